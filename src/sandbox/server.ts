import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { forStrangers, isLoopback, strangerOf } from '../http/strangers.ts';
import { AwsError, asAwsError } from './aws-error.ts';
import type { Call, Handlers } from './call.ts';
import { cloudTrailHandlers } from './cloudtrail.ts';
import { control } from './control.ts';
import { folderStore } from './folder-store.ts';
import { iamHandlers } from './iam.ts';
import { kmsHandlers } from './kms.ts';
import { createKeyService } from './kms-service.ts';
import { defaultKnobs, faultPicker, type Knobs } from './knobs.ts';
import { encodeJson, encodeJsonError } from './protocol/json.ts';
import type { Operation, ServiceName } from './protocol/operations.ts';
import { encodeQuery, encodeQueryError } from './protocol/query.ts';
import { type Answer, encodeRest, encodeRestError, HOST_ID } from './protocol/rest-xml.ts';
import { type RequestEntry, type RequestLog, requestLog } from './request-log.ts';
import { s3Handlers } from './s3/handlers.ts';
import { createReplicator } from './s3/replicate.ts';
import { memoryStore, type Store } from './store.ts';
import { stsHandlers } from './sts.ts';
import { createTrail } from './trail.ts';
import { understand } from './understand.ts';

export interface SandboxOptions {
  /** Address to listen on; default 127.0.0.1. */
  host?: string;
  /** 0 (default) takes any free port. */
  port?: number;
  /** A folder for the state; absent: in memory. */
  state?: string;
  knobs?: Partial<Knobs>;
  /** Milliseconds since the epoch; default the system's. */
  clock?: () => number;
  /** Milliseconds for the headers of a request to arrive, and for all of it; default a minute, and five. */
  limits?: { headersMs: number; requestMs: number };
  /** Told of every call, before it is handled and before it is answered. */
  onCall?: (entry: RequestEntry, phase: 'before' | 'after') => void | Promise<void>;
}

export interface Sandbox {
  /** `http://127.0.0.1:4566` */
  endpoint: string;
  /** May be turned while it runs. */
  knobs: Knobs;
  log: RequestLog;
  store: Store;
  /** Resolves when replication has nothing left to do. */
  replicated(): Promise<void>;
  close(): Promise<void>;
}

/** Buckets and services by the names that they have at AWS: nobody else can point those anywhere. */
const AWS_NAMES = /\.amazonaws\.com(?:\.cn)?$/;

const HANDLERS: Record<ServiceName, Handlers> = {
  s3: s3Handlers,
  iam: iamHandlers,
  kms: kmsHandlers,
  sts: stsHandlers,
  cloudtrail: cloudTrailHandlers,
};

/**
 * Start an AWS of one's own: S3, IAM, STS and KMS over HTTP, as any AWS client speaks them.
 *
 * @throws Error when the port or the folder is in use.
 */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const clock = options.clock ?? Date.now;
  const store = options.state === undefined ? memoryStore() : folderStore(options.state);
  const knobs: Knobs = { ...defaultKnobs(), ...options.knobs };
  const log = requestLog();
  const trail = createTrail(store);
  const pickFault = faultPicker(knobs);
  const keys = createKeyService(store, clock);
  const replicator = createReplicator({ store, keys, clock, delayMs: () => knobs.replicationDelayMs });

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const stranger = isLoopback(bound().address) ? strangerOf(request, AWS_NAMES) : undefined;
    if (stranger !== undefined) {
      response.writeHead(421, { 'content-type': 'text/plain' }).end(`${forStrangers(stranger)}\n`);
      return;
    }
    if (request.url?.startsWith('/_sandbox/')) {
      await control(request, response, { knobs, log, store });
      return;
    }
    const requestId = randomUUID();
    const asked = await understand(request, store, clock());
    const { service, operation } = asked;
    const entry = log.add({ service, operation: asked.name, account: asked.account, region: asked.region });
    await options.onCall?.(entry, 'before');
    if (knobs.latencyMs > 0) await sleep(knobs.latencyMs);
    const fault = pickFault(service, asked.name);
    if (fault === 'reset-before') {
      request.socket.destroy();
      return;
    }
    let answer: Answer;
    let input: Record<string, unknown> = {};
    try {
      if (asked.refusal) throw asked.refusal;
      if (typeof fault === 'object')
        throw new AwsError(fault.status, fault.code, fault.message ?? fault.code);
      const handler = HANDLERS[service][asked.name];
      if (!operation || !handler) {
        throw new AwsError(501, 'NotImplemented', `The sandbox does not implement ${service}:${asked.name}`);
      }
      const call: Call = {
        service,
        operation: asked.name,
        caller: asked.caller,
        region: asked.region,
        now: clock(),
        requestId,
        headers: asked.headers,
        store,
        keys,
        knobs,
        replicator,
        trail,
        ...(asked.session === undefined ? {} : { session: asked.session }),
      };
      input = await asked.decode(operation);
      const output = ((await handler(call, input)) ?? {}) as Record<string, unknown>;
      answer = ENCODERS[service](operation, output, requestId);
    } catch (error) {
      answer = encodeError(service, asAwsError(error), requestId, asked.resource);
      entry.code = error instanceof AwsError ? error.code : 'InternalError';
    }
    trail.add({ ...asked, input, at: clock(), requestId, code: entry.code });
    await store.flush().catch((error: unknown) => {
      answer = encodeError(service, asAwsError(error), requestId, asked.resource);
    });
    entry.status = answer.status;
    await options.onCall?.(entry, 'after');
    if (fault === 'reset-after') {
      request.socket.destroy();
      return;
    }
    send(response, answer, requestId, request.method === 'HEAD');
  }

  const { headersMs, requestMs } = options.limits ?? { headersMs: 60_000, requestMs: 300_000 };
  const server = createServer(
    {
      keepAlive: true,
      maxHeaderSize: 64 * 1024,
      headersTimeout: headersMs,
      requestTimeout: requestMs,
      connectionsCheckingInterval: Math.min(30_000, headersMs),
    },
    (request, response) => {
      handle(request, response).catch((error: unknown) => {
        // Only a client that went away, or a fault of the sandbox itself, comes here.
        if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' });
        response.end(String(error));
      });
    },
  );
  const bound = () => server.address() as AddressInfo;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, options.host ?? '127.0.0.1', resolve);
  }).catch(async (error: unknown) => {
    await store.close();
    throw error;
  });
  replicator.resume();

  const { address, port, family } = bound();
  return {
    endpoint: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    knobs,
    log,
    store,
    replicated: () => replicator.drained(),
    async close() {
      replicator.stop();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await store.close();
    },
  };
}

const ENCODERS: Record<
  ServiceName,
  (operation: Operation, output: Record<string, unknown>, id: string) => Answer
> = {
  s3: encodeRest,
  iam: (operation, output, id) => encodeQuery('iam', operation, output, id),
  sts: (operation, output, id) => encodeQuery('sts', operation, output, id),
  kms: encodeJson,
  cloudtrail: encodeJson,
};

function encodeError(service: ServiceName, error: AwsError, id: string, resource: string): Answer {
  if (service === 's3') return encodeRestError(error, id, resource);
  return service === 'iam' || service === 'sts'
    ? encodeQueryError(service, error, id)
    : encodeJsonError(error);
}

function send(response: ServerResponse, answer: Answer, requestId: string, headOnly: boolean): void {
  const body = headOnly ? '' : answer.body;
  const headers = {
    'x-amz-request-id': requestId,
    'x-amzn-requestid': requestId,
    'x-amz-id-2': HOST_ID,
    ...answer.headers,
    ...(headOnly || answer.status === 204 || answer.status === 304
      ? {}
      : { 'content-length': Buffer.byteLength(body) }),
  };
  response.writeHead(answer.status, headers);
  response.end(answer.status === 204 || answer.status === 304 ? undefined : body);
}
