import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { accountOfArn } from '../iam/context.ts';
import { disallowedHost, disallowedHostMessage, isLoopback } from '../util/host-check.ts';
import { createRequestLog, handleAdminRequest, type RequestEntry, type RequestLog } from './admin-api.ts';
import { AwsError, missingFeatureError, toAwsError } from './aws-error.ts';
import type { Call } from './call.ts';
import { createEventDelivery } from './cloudtrail/event-delivery.ts';
import { createEventLog } from './cloudtrail/event-log.ts';
import { createAlarmEvaluator } from './cloudwatch/alarm-evaluator.ts';
import { createMetricRecorder } from './cloudwatch/metrics.ts';
import { createFaultPicker, defaultFaultSettings, type FaultSettings } from './faults.ts';
import { createFolderStore, type FolderStoreOptions } from './folder-store.ts';
import { serviceHandlers } from './handlers.ts';
import { createKeyService } from './kms/keys.ts';
import { type ParsedRequest, parseRequest } from './parse-request.ts';
import type { RestService, SdkOperation } from './protocol/operations.ts';
import { type EncodedResponse, encodeRest, encodeRestError, HOST_ID } from './protocol/rest-xml.ts';
import {
  encodeQuery,
  encodeQueryError,
  encodeRpc,
  encodeRpcError,
  type QueryService,
} from './protocol/rpc.ts';
import { checkSupportedMembers } from './protocol/supported-members.ts';
import { originOf } from './request-context.ts';
import { createEventNotifier } from './s3/event-notifier.ts';
import { createReplicationEvents } from './s3/replication-events.ts';
import { createReplicator } from './s3/replicator.ts';
import { createJobRunner } from './s3control/job-runner.ts';
import { createTopicService } from './sns/topic-service.ts';
import { createQueueService } from './sqs/queue-service.ts';
import { createMemoryStore, type Store } from './store.ts';

export interface SandboxOptions {
  /** Address to listen on; default 127.0.0.1. */
  host?: string;
  /** Port to listen on; 0 (default) selects any free port. */
  port?: number;
  /** Folder for the state; absent: the state is in memory. */
  state?: string;
  storeOptions?: FolderStoreOptions;
  faultSettings?: Partial<FaultSettings>;
  /** Clock in milliseconds since the epoch; default: the system clock. */
  clock?: () => number;
  /** Waits before each response with a latency; default: a timer. */
  sleep?: (ms: number) => Promise<void>;
  /** Timeouts in milliseconds for the headers and for the whole request; default: one minute and five minutes. */
  limits?: { headersMs: number; requestMs: number };
  /** Callback for each call: first before the sandbox handles it, then before the sandbox responds. */
  onCall?: (entry: RequestEntry, phase: 'before' | 'after') => void | Promise<void>;
  /** Callback for a failure that no response reports: of a replication in the background. */
  onError?: (message: string) => void;
}

export interface Sandbox {
  /** URL, for example `http://127.0.0.1:4566`. */
  endpoint: string;
  /** Fault settings, which can change while the sandbox runs. */
  faultSettings: FaultSettings;
  log: RequestLog;
  store: Store;
  /** Resolves when no replication is pending. Throws when one failed because of a bug in the sandbox. */
  waitForReplication(): Promise<void>;
  /** Resolves when no batch job can proceed before time passes or a client confirms it. */
  waitForJobs(): Promise<void>;
  close(): Promise<void>;
}

const sleepWithTimer = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Host names of buckets and services at AWS. Only AWS controls their DNS records, so that they are safe against DNS
 * rebinding.
 */
const AWS_HOSTNAMES = /\.amazonaws\.com(?:\.cn)?$/;

/**
 * Starts the sandbox: an HTTP server that emulates S3, S3 Control, IAM, STS, KMS, CloudTrail, CloudWatch, SQS, SNS and
 * Organizations for any AWS client.
 *
 * @throws Error when the port or the folder is in use.
 */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const clock = options.clock ?? Date.now;
  const store =
    options.state === undefined
      ? createMemoryStore()
      : await createFolderStore(options.state, options.storeOptions);
  const faultSettings: FaultSettings = { ...defaultFaultSettings(), ...options.faultSettings };
  const log = createRequestLog();
  const eventLog = createEventLog(store);
  const metricRecorder = createMetricRecorder(store);
  const pickFault = createFaultPicker(faultSettings);
  const keyService = createKeyService(store, clock);
  const onError = options.onError ?? (() => {});
  const queues = createQueueService({ store, keyService, clock });
  const topics = createTopicService({ store, keyService, queues, clock, onError });
  const eventDelivery = createEventDelivery({ faultSettings, queues, onError });
  const notifier = createEventNotifier({ destinations: { sqs: queues, sns: topics }, clock, onError });
  const replicator = createReplicator({
    store,
    keyService,
    clock,
    delayMs: () => faultSettings.replicationDelayMs,
    inFlight: () => faultSettings.inFlight,
    metricRecorder,
    observers: [
      createReplicationEvents({ store, notifier, clock, onError }),
      { pending() {}, finished: () => alarmEvaluator.evaluateSoon(), stop() {} },
    ],
    onError,
  });
  const alarmEvaluator = createAlarmEvaluator({
    store,
    clock,
    metricsDelayMs: () => faultSettings.metricsDelayMs,
    metricRecorder,
    sampleMetrics: replicator.sampleMetrics,
    publish({ topicArn, sourceArn, subject, message }) {
      const service = 'cloudwatch.amazonaws.com';
      const sender = { service, sourceArn, sourceAccount: accountOfArn(sourceArn) };
      const refusal = topics.sendAs(sender, topicArn, { body: message, subject });
      if (refusal) onError(`cannot notify ${topicArn} of the alarm ${sourceArn}: ${refusal.detail}`);
    },
    onError,
  });
  const jobRunner = createJobRunner({ store, keyService, replicator, clock, faultSettings, onError });
  const sleep = options.sleep ?? sleepWithTimer;
  /** Controllers of the signals `disconnected` of the requests that are handled. */
  const openRequests = new Set<AbortController>();

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const unexpectedHost = isLoopback(serverAddress().address)
      ? disallowedHost(request, AWS_HOSTNAMES)
      : undefined;
    if (unexpectedHost !== undefined) {
      response
        .writeHead(421, { 'content-type': 'text/plain' })
        .end(`${disallowedHostMessage(unexpectedHost)}\n`);
      return;
    }
    if (request.url?.startsWith('/_sandbox/')) {
      await handleAdminRequest(request, response, { faultSettings, log, store });
      return;
    }
    const requestId = randomUUID();
    const systemTime = options.clock === undefined ? Date.now() : undefined;
    const parsedRequest = await parseRequest(request, store, clock(), systemTime);
    const { service, operation } = parsedRequest;
    const entry = log.add({
      service,
      operation: parsedRequest.name,
      account: parsedRequest.account,
      region: parsedRequest.region,
    });
    await options.onCall?.(entry, 'before');
    if (faultSettings.latencyMs > 0) await sleep(faultSettings.latencyMs);
    const fault = pickFault(service, parsedRequest.name, parsedRequest.region);
    if (fault === 'reset-before') {
      request.socket.destroy();
      return;
    }
    let encodedResponse: EncodedResponse;
    let input: Record<string, unknown> = {};
    const responseHeaders: Record<string, string> = {};
    try {
      if (parsedRequest.refusal) throw parsedRequest.refusal;
      if (typeof fault === 'object')
        throw new AwsError(fault.status, fault.code, fault.message ?? fault.code);
      const handler = serviceHandlers[service][parsedRequest.name];
      if (!operation || !handler) {
        throw missingFeatureError(`${service}:${parsedRequest.name}`);
      }
      input = await parsedRequest.decode(operation);
      checkSupportedMembers(service, parsedRequest.name, input);
      const call: Call = {
        service,
        operation: parsedRequest.name,
        caller: parsedRequest.caller,
        region: parsedRequest.region,
        now: clock(),
        clock,
        disconnected: disconnectionOf(response, openRequests),
        requestId,
        headers: parsedRequest.headers,
        responseHeaders,
        origin: originOf(request, clock()),
        input,
        store,
        keyService,
        faultSettings,
        replicator,
        jobRunner,
        queues,
        topics,
        notifier,
        eventLog,
        metricRecorder,
        alarmEvaluator,
        ...(parsedRequest.session === undefined ? {} : { session: parsedRequest.session }),
      };
      const output = ((await handler(call, input)) ?? {}) as Record<string, unknown>;
      encodedResponse = encodeResponse(parsedRequest, operation, output, requestId);
    } catch (error) {
      encodedResponse = encodeErrorResponse(parsedRequest, toAwsError(error), requestId);
      entry.code = error instanceof AwsError ? error.code : 'InternalError';
    }
    await store.flush().catch((error: unknown) => {
      encodedResponse = encodeErrorResponse(parsedRequest, toAwsError(error), requestId);
      entry.code = 'InternalError';
    });
    const event = eventLog.add({ ...parsedRequest, input, at: clock(), requestId, code: entry.code });
    if (event) eventDelivery.deliver(event);
    entry.status = encodedResponse.status;
    await options.onCall?.(entry, 'after');
    if (fault === 'reset-after') {
      request.socket.destroy();
      return;
    }
    Object.assign(encodedResponse.headers, responseHeaders);
    sendResponse(response, encodedResponse, {
      requestId: requestIdHeaders(parsedRequest, requestId),
      headOnly: request.method === 'HEAD',
      now: clock(),
    });
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
        // Causes are a client that disconnected, or a bug in the sandbox.
        if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' });
        response.end(String(error));
      });
    },
  );
  const serverAddress = () => server.address() as AddressInfo;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, options.host ?? '127.0.0.1', resolve);
  }).catch(async (error: unknown) => {
    alarmEvaluator.stop();
    await store.close();
    throw error;
  });
  replicator.resume();
  jobRunner.resume();

  const { address, port, family } = serverAddress();
  return {
    endpoint: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    faultSettings,
    log,
    store,
    async waitForReplication() {
      await replicator.waitUntilIdle();
      alarmEvaluator.evaluate();
      await store.flush();
    },
    async waitForJobs() {
      await jobRunner.waitUntilIdle();
      await store.flush();
    },
    async close() {
      for (const controller of openRequests) controller.abort();
      alarmEvaluator.stop();
      eventDelivery.stop();
      await jobRunner.stop();
      await replicator.stop();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await store.close();
    },
  };
}

/** Returns a signal that is aborted when the client disconnects, or through its controller in `openRequests`. */
function disconnectionOf(response: ServerResponse, openRequests: Set<AbortController>): AbortSignal {
  const controller = new AbortController();
  // The client can have disconnected before the sandbox has read the whole request.
  if (response.destroyed) controller.abort();
  else openRequests.add(controller);
  response.once('close', () => {
    openRequests.delete(controller);
    controller.abort();
  });
  return controller.signal;
}

type RequestFormat = Pick<ParsedRequest, 'service' | 'protocol'>;

function encodeResponse(
  { service, protocol }: RequestFormat,
  operation: SdkOperation,
  output: Record<string, unknown>,
  id: string,
): EncodedResponse {
  if (protocol === 'rest') return encodeRest(operation, output, service as RestService);
  if (protocol === 'query') return encodeQuery(service as QueryService, operation, output, id);
  return encodeRpc(protocol, operation, output);
}

function encodeErrorResponse(
  { service, protocol }: RequestFormat,
  error: AwsError,
  id: string,
): EncodedResponse {
  if (protocol === 'rest') return encodeRestError(error, id, service as RestService);
  // A service that the sandbox does not have responds as STS does.
  if (protocol === 'query')
    return encodeQueryError(service === 's3' ? 'sts' : (service as QueryService), error, id);
  return encodeRpcError(protocol, error);
}

/** Returns the headers that contain the id of a request: S3 has others than the services of the other protocols. */
const requestIdHeaders = ({ protocol }: RequestFormat, requestId: string): Record<string, string> =>
  protocol === 'rest'
    ? { 'x-amz-request-id': requestId, 'x-amz-id-2': HOST_ID }
    : { 'x-amzn-requestid': requestId };

function sendResponse(
  response: ServerResponse,
  encodedResponse: EncodedResponse,
  { requestId, headOnly, now }: { requestId: Record<string, string>; headOnly: boolean; now: number },
): void {
  const body = headOnly ? '' : encodedResponse.body;
  const headers = {
    ...requestId,
    date: new Date(now).toUTCString(),
    ...encodedResponse.headers,
    ...(headOnly || encodedResponse.status === 204 || encodedResponse.status === 304
      ? {}
      : { 'content-length': Buffer.byteLength(body) }),
  };
  response.writeHead(encodedResponse.status, headers);
  response.end(encodedResponse.status === 204 || encodedResponse.status === 304 ? undefined : body);
}
