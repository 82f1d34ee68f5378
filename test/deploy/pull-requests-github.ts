import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export const TOKEN = 'ghs_a-token-that-must-never-be-printed';
export const BOT = 'github-actions[bot]';

export interface Comment {
  id: number;
  user: { login: string };
  body: string;
}

/** Fault response to a matching request. */
export interface Fault {
  match: string;
  status: number;
  headers?: Record<string, string>;
  /** Whether the server executes the request before it sends the fault response. */
  isExecuted?: boolean;
}

/** Fake of the GitHub API for comments and labels, on loopback. */
export interface FakeGitHub extends AsyncDisposable {
  url: string;
  comments: Comment[];
  labels: string[];
  /** Response of `GET /repos/{owner}/{repo}/commits/{sha}/pulls`. */
  pulls: object[];
  /** Each fault applies once. */
  faults: Fault[];
  /** Requests in order, for example `POST /repos/acme/infra/issues/7/comments`. */
  requests: string[];
}

type Reply = [status: number, body?: unknown];

export async function startFakeGitHub(): Promise<FakeGitHub> {
  const state = {
    comments: [] as Comment[],
    labels: [] as string[],
    pulls: [] as object[],
    faults: [] as Fault[],
    requests: [] as string[],
  };
  let lastId = 1000;

  const routes: [
    RegExp,
    (match: string[], body: { [name: string]: unknown }, query: URLSearchParams) => Reply,
  ][] = [
    [/^POST \/graphql$/, () => [200, { data: { viewer: { login: BOT } } }]],
    [
      /^GET \/repos\/acme\/infra\/issues\/7\/comments$/,
      (_, __, query) => {
        const [size, page] = [Number(query.get('per_page') ?? 30), Number(query.get('page') ?? 1)];
        return [200, state.comments.slice((page - 1) * size, page * size)];
      },
    ],
    [
      /^POST \/repos\/acme\/infra\/issues\/7\/comments$/,
      (_, { body }) => {
        const comment = { id: ++lastId, user: { login: BOT }, body: String(body) };
        state.comments.push(comment);
        return [201, comment];
      },
    ],
    [
      /^PATCH \/repos\/acme\/infra\/issues\/comments\/(\d+)$/,
      ([id], { body }) => {
        const comment = state.comments.find((candidate) => candidate.id === Number(id));
        if (!comment) return [404, { message: 'Not Found' }];
        comment.body = String(body);
        return [200, comment];
      },
    ],
    [/^GET \/repos\/acme\/infra\/issues\/7\/labels$/, () => [200, state.labels.map((name) => ({ name }))]],
    [
      /^POST \/repos\/acme\/infra\/issues\/7\/labels$/,
      (_, { labels }) => {
        state.labels.push(...(labels as string[]));
        return [200, state.labels.map((name) => ({ name }))];
      },
    ],
    [
      /^DELETE \/repos\/acme\/infra\/issues\/7\/labels\/(.+)$/,
      ([name = '']) => {
        const at = state.labels.indexOf(decodeURIComponent(name));
        if (at < 0) return [404, { message: 'Label does not exist' }];
        state.labels.splice(at, 1);
        return [200, []];
      },
    ],
    [/^GET \/repos\/acme\/infra\/commits\/[0-9a-f]{40}\/pulls$/, () => [200, state.pulls]],
  ];

  const route = (operation: string, query: URLSearchParams, body: { [name: string]: unknown }): Reply => {
    for (const [pattern, handle] of routes) {
      const match = pattern.exec(operation);
      if (match) return handle(match.slice(1), body, query);
    }
    return [404, { message: 'Not Found' }];
  };

  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://github.test');
    const operation = `${request.method} ${url.pathname}`;
    const text = await readBody(request);
    state.requests.push(operation);
    const send = ([status, body]: Reply, headers = {}) =>
      response
        .writeHead(status, { 'content-type': 'application/json', ...headers })
        .end(JSON.stringify(body ?? {}));
    if (request.headers.authorization !== `Bearer ${TOKEN}`)
      return send([401, { message: 'Bad credentials' }]);
    const index = state.faults.findIndex(({ match }) => operation.startsWith(match));
    const [fault] = index < 0 ? [] : state.faults.splice(index, 1);
    const requestBody = text === '' ? {} : JSON.parse(text);
    if (fault && !fault.isExecuted) return send([fault.status, { message: 'a fault' }], fault.headers);
    const reply = route(operation, url.searchParams, requestBody);
    return fault ? send([fault.status, { message: 'a fault' }], fault.headers) : send(reply);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    ...state,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
