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

/** An answer in place of the right one; `after`: the right thing was done all the same. */
export interface Fault {
  match: string;
  status: number;
  headers?: Record<string, string>;
  after?: boolean;
}

/** As much of GitHub's API as a comment and a label need, on loopback. */
export interface GitHub extends AsyncDisposable {
  url: string;
  comments: Comment[];
  labels: string[];
  /** What `GET /repos/{owner}/{repo}/commits/{sha}/pulls` answers. */
  pulls: object[];
  /** Each is used once. */
  faults: Fault[];
  /** `POST /repos/acme/infra/issues/7/comments`, in order. */
  requests: string[];
}

type Answer = [status: number, body?: unknown];

export async function startGitHub(): Promise<GitHub> {
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
    (match: string[], body: { [name: string]: unknown }, query: URLSearchParams) => Answer,
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
        const comment = state.comments.find((one) => one.id === Number(id));
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

  const answer = (asked: string, query: URLSearchParams, body: { [name: string]: unknown }): Answer => {
    for (const [pattern, handle] of routes) {
      const match = pattern.exec(asked);
      if (match) return handle(match.slice(1), body, query);
    }
    return [404, { message: 'Not Found' }];
  };

  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://github.test');
    const asked = `${request.method} ${url.pathname}`;
    const text = await bodyOf(request);
    state.requests.push(asked);
    const send = ([status, body]: Answer, headers = {}) =>
      response
        .writeHead(status, { 'content-type': 'application/json', ...headers })
        .end(JSON.stringify(body ?? {}));
    if (request.headers.authorization !== `Bearer ${TOKEN}`)
      return send([401, { message: 'Bad credentials' }]);
    const fault = state.faults.findIndex(({ match }) => asked.startsWith(match));
    const [found] = fault < 0 ? [] : state.faults.splice(fault, 1);
    const given = text === '' ? {} : JSON.parse(text);
    if (found && !found.after) return send([found.status, { message: 'a fault' }], found.headers);
    const right = answer(asked, url.searchParams, given);
    return found ? send([found.status, { message: 'a fault' }], found.headers) : send(right);
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

export async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
