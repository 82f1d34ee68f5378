import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createKubernetesApi } from '../../src/kubernetes/api.ts';
import { type ApiServer, NAMESPACE } from './api-server.ts';
import { deployedRules, isAllowed } from './role.ts';

/** Fault that affects a number of matching requests. */
export interface Fault {
  match: RegExp;
  times: number;
  /**
   * `lost`: the server executes the request and sends no response. A number: the server rejects the request with this
   * status. `held`: the server holds the request until `release`. `trickled`: the server sends the response byte by byte
   * without end. `endless`: a list whose pages never end, or a watch whose event never ends.
   */
  effect: 'lost' | 'held' | 'trickled' | 'endless' | number;
}

export interface FakeApiServer extends ApiServer {
  /** Requests in order: `PATCH /apis/…`, or `WATCH …`. */
  log: string[];
  faults: Fault[];
  /** Continues held requests. */
  release(): void;
  /** Interrupts all watches. */
  cutWatches(): void;
  /** Deletes the history, so that a watch from an earlier version must list again. */
  compact(): void;
  /** Sends a bookmark with the current version to all watches. */
  bookmark(): void;
  readonly watches: number;
  /** Number of held requests. */
  readonly holding: number;
}

// biome-ignore lint/suspicious/noExplicitAny: any resource
type Resource = any;

interface HistoryEntry {
  version: number;
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  collection: string;
  object: Resource;
}

interface Reply {
  status: number;
  body: unknown;
}

const TOKEN = 'a-token-that-must-never-be-printed';

/** Token of the client with all permissions. */
const ADMIN = 'a-token-of-the-admin';

/** Path of a collection, a resource or its status. */
const PATH = /^(\/apis\/[^/]+\/[^/]+\/namespaces\/[^/]+\/[^/]+)(?:\/([^/]+))?(?:\/(status))?$/;

/**
 * Starts a fake API server. It stores any resource by its path, with optimistic concurrency, paged lists, watches with
 * bookmarks and a limited history, and the status subresource. A process with its environment has the permissions of the
 * deployed role. With `tls`, a separate process can connect.
 */
export async function startFakeApiServer({ tls = false } = {}): Promise<FakeApiServer> {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-fake-api-server-'));
  const rules = await deployedRules();
  const resources = new Map<string, Resource>();
  const history: HistoryEntry[] = [];
  const watches = new Set<{ collection: string; send: (event: unknown) => void; cut: () => void }>();
  const held = new Set<() => void>();
  const log: string[] = [];
  const faults: Fault[] = [];
  let version = 100;
  let oldest = 0;

  const publish = (type: HistoryEntry['type'], collection: string, object: Resource) => {
    const entry = { version, type, collection, object: structuredClone(object) };
    history.push(entry);
    for (const watch of watches)
      if (watch.collection === collection) watch.send({ type, object: entry.object });
  };
  const put = (type: 'ADDED' | 'MODIFIED', collection: string, object: Resource) => {
    version += 1;
    object.metadata.resourceVersion = String(version);
    resources.set(`${collection}/${object.metadata.name}`, object);
    publish(type, collection, object);
    return structuredClone(object);
  };
  const errorReply = (status: number, message: string): Reply => ({
    status,
    body: { kind: 'Status', status: 'Failure', code: status, message },
  });

  function create(collection: string, object: Resource): Reply {
    const { metadata } = object;
    if (
      metadata.generateName !== undefined &&
      !/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?-?$/.test(metadata.generateName)
    )
      return errorReply(422, 'a lowercase RFC 1123 subdomain, of which a hyphen may be the last');
    metadata.name ??= `${metadata.generateName}${randomUUID().slice(0, 5)}`;
    if (resources.has(`${collection}/${metadata.name}`)) return errorReply(409, 'already exists');
    Object.assign(metadata, {
      namespace: NAMESPACE,
      uid: randomUUID(),
      generation: 1,
      creationTimestamp: new Date().toISOString(),
    });
    const { status: _, ...rest } = object;
    return { status: 201, body: put('ADDED', collection, rest) };
  }

  function change(collection: string, before: Resource, after: Resource): Reply {
    if (JSON.stringify(before) === JSON.stringify(after)) return { status: 200, body: before };
    if (JSON.stringify(before.spec) !== JSON.stringify(after.spec)) after.metadata.generation += 1;
    return { status: 200, body: put('MODIFIED', collection, after) };
  }

  function single(
    method: string,
    collection: string,
    name: string,
    isStatus: boolean,
    body: Resource,
  ): Reply {
    const before = resources.get(`${collection}/${name}`);
    if (!before) return errorReply(404, `${name} not found`);
    const after = structuredClone(before);
    if (method === 'GET') return { status: 200, body: before };
    if (method === 'DELETE') {
      resources.delete(`${collection}/${name}`);
      version += 1;
      publish('DELETED', collection, {
        ...before,
        metadata: { ...before.metadata, resourceVersion: String(version) },
      });
      return { status: 200, body: before };
    }
    const { resourceVersion, uid } = body.metadata ?? {};
    if (resourceVersion !== undefined && resourceVersion !== before.metadata.resourceVersion)
      return errorReply(409, 'the object has been modified');
    if (uid !== undefined && uid !== before.metadata.uid) return errorReply(409, 'another uid');
    if (method === 'PUT') return change(collection, before, { ...after, spec: body.spec });
    if (!isStatus) return change(collection, before, { ...after, spec: { ...after.spec, ...body.spec } });
    // Conditions are a map by type: conditions of other writers stay.
    const { conditions = [], ...rest } = body.status ?? {};
    const byType = new Map<string, Resource>();
    for (const condition of [...(before.status?.conditions ?? []), ...conditions])
      byType.set(condition.type, condition);
    return change(collection, before, {
      ...after,
      status: body.status === null ? undefined : { ...rest, conditions: [...byType.values()] },
    });
  }

  function list(collection: string, { limit, from }: { limit: number; from: string | null }): Reply {
    const [since, skip] = (from ?? `${version}:0`).split(':').map(Number);
    if ((since ?? 0) < oldest) return errorReply(410, 'the continue token is too old');
    const all = [...resources]
      .filter(([at]) => path.dirname(at) === collection)
      .map(([, resource]) => resource);
    const start = skip ?? 0;
    const next = start + limit < all.length ? `${since}:${start + limit}` : '';
    const metadata = { resourceVersion: String(since), continue: next };
    return { status: 200, body: { metadata, items: all.slice(start, start + limit) } };
  }

  function watch(collection: string, from: number, response: http.ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    const send = (event: unknown) => void response.write(`${JSON.stringify(event)}\n`);
    if (from < oldest) {
      send({ type: 'ERROR', object: { code: 410, message: 'too old resource version' } });
      response.end();
      return;
    }
    const entry = { collection, send, cut: () => void response.socket?.destroy() };
    watches.add(entry);
    response.on('close', () => watches.delete(entry));
    for (const { version: at, collection: of, type, object } of history)
      if (of === collection && at > from) send({ type, object });
  }

  async function handleRequest(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://fake');
    const method = request.method ?? '';
    const isWatch = searchParams.get('watch') === 'true';
    log.push(`${isWatch ? 'WATCH' : method} ${pathname}`);
    let text = '';
    for await (const chunk of request) text += chunk;
    const sendReply = ({ status, body }: Reply) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    };
    const token = request.headers.authorization?.replace(/^Bearer /, '');
    if (token !== TOKEN && token !== ADMIN) return sendReply(errorReply(401, 'Unauthorized'));
    if (token === TOKEN && !isAllowed(rules, { method, path: pathname, isWatch }))
      return sendReply(errorReply(403, `${method} ${pathname} is forbidden`));
    const fault = faults.find(({ match, times }) => times > 0 && match.test(`${method} ${pathname}`));
    if (fault) fault.times -= 1;
    if (typeof fault?.effect === 'number') return sendReply(errorReply(fault.effect, 'a fault'));
    if (fault?.effect === 'trickled' || (fault?.effect === 'endless' && isWatch)) {
      const isTrickled = fault.effect === 'trickled';
      const bytes = ' '.repeat(isTrickled ? 1 : 64 * 1024);
      const timer = setInterval(() => response.write(bytes), isTrickled ? 20 : 1);
      response.on('close', () => clearInterval(timer));
      return;
    }
    if (fault?.effect === 'endless') {
      const metadata = { resourceVersion: String(version), continue: randomUUID() };
      return sendReply({ status: 200, body: { metadata, items: [] } });
    }
    if (fault?.effect === 'held')
      await new Promise<void>((resolve) => {
        held.add(resolve);
      });

    const [, collection, name, status] = PATH.exec(pathname) ?? [];
    if (collection === undefined) return sendReply(errorReply(404, 'no such path'));
    if (isWatch) return watch(collection, Number(searchParams.get('resourceVersion')), response);
    const body = text === '' ? undefined : JSON.parse(text);
    const reply =
      name !== undefined
        ? single(method, collection, name, status !== undefined, body)
        : method === 'POST'
          ? create(collection, body)
          : list(collection, {
              limit: Number(searchParams.get('limit') ?? 1e9),
              from: searchParams.get('continue'),
            });
    if (fault?.effect === 'lost') response.socket?.destroy();
    else sendReply(reply);
  }

  if (tls) createCertificate(folder);
  const account = async (name: string, token: string): Promise<string> => {
    const at = path.join(folder, name);
    await mkdir(at, { recursive: true });
    await writeFile(path.join(at, 'token'), token);
    await writeFile(path.join(at, 'namespace'), NAMESPACE);
    if (tls) await copyFile(path.join(folder, 'ca.crt'), path.join(at, 'ca.crt'));
    return at;
  };
  const handler: http.RequestListener = (request, response) =>
    void handleRequest(request, response).catch(() => response.destroy());
  const server = tls
    ? https.createServer(
        {
          key: await readFile(path.join(folder, 'server.key')),
          cert: await readFile(path.join(folder, 'ca.crt')),
        },
        handler,
      )
    : http.createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const env = {
    KUBERNETES_SERVICE_HOST: '127.0.0.1',
    KUBERNETES_SERVICE_PORT: String(port),
    REPLIKEY_SERVICE_ACCOUNT: await account('replikey', TOKEN),
  };
  const admin = await createKubernetesApi(env, {
    serviceAccountDir: await account('admin', ADMIN),
    ...(tls ? {} : { server: `http://127.0.0.1:${port}` }),
  });
  return {
    name: 'fake',
    env,
    admin,
    log,
    faults,
    release() {
      for (const resume of held) resume();
      held.clear();
    },
    cutWatches() {
      for (const { cut } of watches) cut();
    },
    compact() {
      oldest = ++version;
      history.length = 0;
    },
    bookmark() {
      const metadata = { resourceVersion: String(version) };
      for (const { send } of watches) send({ type: 'BOOKMARK', object: { metadata } });
    },
    get holding() {
      return held.size;
    },
    get watches() {
      return watches.size;
    },
    async [Symbol.asyncDispose]() {
      for (const resume of held) resume();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true });
    },
  };
}

/** Creates a key and a self-signed certificate for 127.0.0.1. */
function createCertificate(folder: string): void {
  const result = spawnSync(
    'openssl',
    [
      ...[
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '2',
      ],
      ...['-subj', '/CN=fake', '-addext', 'subjectAltName=IP:127.0.0.1'],
      ...['-keyout', path.join(folder, 'server.key'), '-out', path.join(folder, 'ca.crt')],
    ],
    { encoding: 'utf8' },
  );
  if (result.status !== 0) throw new Error(result.stderr);
}
