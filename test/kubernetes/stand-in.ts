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

/** What goes wrong with a request, and for how many. */
export interface Fault {
  match: RegExp;
  times: number;
  /** `lost`: it is done, and the answer never comes; a number: it is answered so, and not done; `held`: until released. */
  what: 'lost' | 'held' | number;
}

export interface StandIn extends ApiServer {
  /** `PATCH /apis/…`, or `WATCH`, in their order. */
  log: string[];
  faults: Fault[];
  /** Let go what is held. */
  release(): void;
  /** End all watches in the middle. */
  cutWatches(): void;
  /** Forget what happened until now: who watches from before must list anew. */
  compact(): void;
  /** Tell watches how far it is. */
  bookmark(): void;
  readonly watches: number;
  /** How many requests are held. */
  readonly holding: number;
}

// biome-ignore lint/suspicious/noExplicitAny: any resource
type Thing = any;

interface Happening {
  version: number;
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  collection: string;
  object: Thing;
}

interface Reply {
  status: number;
  body: unknown;
}

const TOKEN = 'a-token-that-must-never-be-printed';

/** Of who may do everything. */
const ADMIN = 'a-token-of-the-admin';

/** Of the resources of a group, with one in it or not, and its status or not. */
const PATH = /^(\/apis\/[^/]+\/[^/]+\/namespaces\/[^/]+\/[^/]+)(?:\/([^/]+))?(?:\/(status))?$/;

/**
 * In place of an API server: keeps any resource by its path, with versions that must match, lists in pages, watches with
 * bookmarks and an end of memory, and the status as a subresource of its own. Who comes from its environment may do what the
 * deployed role allows. Over TLS where a process shall use it.
 */
export async function startStandIn({ tls = false } = {}): Promise<StandIn> {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-stand-in-'));
  const rules = await deployedRules();
  const things = new Map<string, Thing>();
  const history: Happening[] = [];
  const watches = new Set<{ collection: string; send: (event: unknown) => void; cut: () => void }>();
  const held = new Set<() => void>();
  const log: string[] = [];
  const faults: Fault[] = [];
  let version = 100;
  let oldest = 0;

  const happen = (type: Happening['type'], collection: string, object: Thing) => {
    const one = { version, type, collection, object: structuredClone(object) };
    history.push(one);
    for (const watch of watches)
      if (watch.collection === collection) watch.send({ type, object: one.object });
  };
  const put = (type: 'ADDED' | 'MODIFIED', collection: string, object: Thing) => {
    version += 1;
    object.metadata.resourceVersion = String(version);
    things.set(`${collection}/${object.metadata.name}`, object);
    happen(type, collection, object);
    return structuredClone(object);
  };
  const refusal = (status: number, message: string): Reply => ({
    status,
    body: { kind: 'Status', status: 'Failure', code: status, message },
  });

  function create(collection: string, object: Thing): Reply {
    const { metadata } = object;
    if (
      metadata.generateName !== undefined &&
      !/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?-?$/.test(metadata.generateName)
    )
      return refusal(422, 'a lowercase RFC 1123 subdomain, of which a hyphen may be the last');
    metadata.name ??= `${metadata.generateName}${randomUUID().slice(0, 5)}`;
    if (things.has(`${collection}/${metadata.name}`)) return refusal(409, 'it is there already');
    Object.assign(metadata, {
      namespace: NAMESPACE,
      uid: randomUUID(),
      generation: 1,
      creationTimestamp: new Date().toISOString(),
    });
    const { status: _, ...rest } = object;
    return { status: 201, body: put('ADDED', collection, rest) };
  }

  function change(collection: string, before: Thing, after: Thing): Reply {
    if (JSON.stringify(before) === JSON.stringify(after)) return { status: 200, body: before };
    if (JSON.stringify(before.spec) !== JSON.stringify(after.spec)) after.metadata.generation += 1;
    return { status: 200, body: put('MODIFIED', collection, after) };
  }

  function single(method: string, collection: string, name: string, isStatus: boolean, body: Thing): Reply {
    const before = things.get(`${collection}/${name}`);
    if (!before) return refusal(404, `${name} not found`);
    const after = structuredClone(before);
    if (method === 'GET') return { status: 200, body: before };
    if (method === 'DELETE') {
      things.delete(`${collection}/${name}`);
      version += 1;
      happen('DELETED', collection, {
        ...before,
        metadata: { ...before.metadata, resourceVersion: String(version) },
      });
      return { status: 200, body: before };
    }
    const { resourceVersion, uid } = body.metadata ?? {};
    if (resourceVersion !== undefined && resourceVersion !== before.metadata.resourceVersion)
      return refusal(409, 'the object has been modified');
    if (uid !== undefined && uid !== before.metadata.uid) return refusal(409, 'another uid');
    if (method === 'PUT') return change(collection, before, { ...after, spec: body.spec });
    if (!isStatus) return change(collection, before, { ...after, spec: { ...after.spec, ...body.spec } });
    // Conditions are a map by their type: those of others stay.
    const { conditions = [], ...rest } = body.status ?? {};
    const byType = new Map<string, Thing>();
    for (const one of [...(before.status?.conditions ?? []), ...conditions]) byType.set(one.type, one);
    return change(collection, before, {
      ...after,
      status: body.status === null ? undefined : { ...rest, conditions: [...byType.values()] },
    });
  }

  function list(collection: string, { limit, from }: { limit: number; from: string | null }): Reply {
    const [since, skip] = (from ?? `${version}:0`).split(':').map(Number);
    if ((since ?? 0) < oldest) return refusal(410, 'the continue token is too old');
    const all = [...things].filter(([at]) => path.dirname(at) === collection).map(([, thing]) => thing);
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
    const one = { collection, send, cut: () => void response.socket?.destroy() };
    watches.add(one);
    response.on('close', () => watches.delete(one));
    for (const { version: at, collection: of, type, object } of history)
      if (of === collection && at > from) send({ type, object });
  }

  async function answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://stand-in');
    const method = request.method ?? '';
    const isWatch = searchParams.get('watch') === 'true';
    log.push(`${isWatch ? 'WATCH' : method} ${pathname}`);
    let text = '';
    for await (const chunk of request) text += chunk;
    const say = ({ status, body }: Reply) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    };
    const token = request.headers.authorization?.replace(/^Bearer /, '');
    if (token !== TOKEN && token !== ADMIN) return say(refusal(401, 'Unauthorized'));
    if (token === TOKEN && !isAllowed(rules, { method, path: pathname, isWatch }))
      return say(refusal(403, `${method} ${pathname} is forbidden`));
    const fault = faults.find(({ match, times }) => times > 0 && match.test(`${method} ${pathname}`));
    if (fault) fault.times -= 1;
    if (typeof fault?.what === 'number') return say(refusal(fault.what, 'a fault'));
    if (fault?.what === 'held')
      await new Promise<void>((resolve) => {
        held.add(resolve);
      });

    const [, collection, name, status] = PATH.exec(pathname) ?? [];
    if (collection === undefined) return say(refusal(404, 'no such path'));
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
    if (fault?.what === 'lost') response.socket?.destroy();
    else say(reply);
  }

  if (tls) certify(folder);
  const account = async (name: string, token: string): Promise<string> => {
    const at = path.join(folder, name);
    await mkdir(at, { recursive: true });
    await writeFile(path.join(at, 'token'), token);
    await writeFile(path.join(at, 'namespace'), NAMESPACE);
    if (tls) await copyFile(path.join(folder, 'ca.crt'), path.join(at, 'ca.crt'));
    return at;
  };
  const handler: http.RequestListener = (request, response) =>
    void answer(request, response).catch(() => response.destroy());
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
    name: 'a stand-in',
    env,
    admin,
    log,
    faults,
    release() {
      for (const one of held) one();
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
      for (const one of held) one();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true });
    },
  };
}

/** A key, and a certificate for this machine that is its own authority. */
function certify(folder: string): void {
  const run = spawnSync(
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
      ...['-subj', '/CN=stand-in', '-addext', 'subjectAltName=IP:127.0.0.1'],
      ...['-keyout', path.join(folder, 'server.key'), '-out', path.join(folder, 'ca.crt')],
    ],
    { encoding: 'utf8' },
  );
  if (run.status !== 0) throw new Error(run.stderr);
}
