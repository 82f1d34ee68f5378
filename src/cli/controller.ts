import { hostname } from 'node:os';
import manifest from '../../package.json' with { type: 'json' };
import { type AwsClient, type AwsClientOptions, createAwsClient } from '../aws/client.ts';
import { createSdkClients, resolveEndpoint } from '../aws/sdk-clients.ts';
import { type ControllerOptions, createController } from '../controller/controller.ts';
import type { QueueSource } from '../controller/event-queue.ts';
import {
  createLeadership,
  LEASE_NAME,
  type Leadership,
  type LeadershipOptions,
  readOnlyLeadership,
  type Shard,
  shardOf,
} from '../controller/leadership.ts';
import { createMetrics } from '../controller/metrics.ts';
import { createHealthRoutes, createRoutes } from '../controller/routes.ts';
import { type ControllerServer, type Route, startControllerServer } from '../controller/server.ts';
import { type SpecWatcher, watchSpecs } from '../controller/spec-watcher.ts';
import type { WorkItem } from '../controller/work-items.ts';
import { EXIT, systemErrorReason, UserError } from '../errors.ts';
import { kinds } from '../kinds/index.ts';
import { createKubernetesApi, isInCluster, type KubernetesApi } from '../kubernetes/api.ts';
import { type Cluster, watchCluster } from '../kubernetes/cluster.ts';
import { createLog, type Log } from '../log.ts';
import { isColourEnabled } from '../report/style.ts';
import type { Sandbox } from '../sandbox/server.ts';
import { parseLabelSelector, SelectionError } from '../spec/select.ts';
import type { Specs } from '../spec/types.ts';
import { queueAddressOf } from '../util/arn.ts';
import { createAbortController, systemClock } from '../util/clock.ts';
import { parseQueueName } from '../util/queue-address.ts';
import type { Io } from './command-model.ts';
import { attemptTimeout, createIdentity, type LockOptions, leaseTimesOf, openLeaseStore } from './lock.ts';
import { propagationWaitMs, variableInputOf, type WaitOptions } from './options.ts';
import { rejectInvalidEndpoints, sandboxConnection, startEmbeddedSandbox } from './session.ts';
import { InterruptedError } from './signals.ts';
import { guardThresholds, type ReconcileOptions } from './single-pass.ts';

/** Options of `reconcile` itself: of one pass, or of the controller. */
export interface RunOptions
  extends Omit<ReconcileOptions, keyof LockOptions | keyof WaitOptions>,
    LockOptions,
    WaitOptions {
  source: 'files' | 'kubernetes';
  /** Seconds; absent: the default. */
  interval?: number;
  verifyInterval?: number;
  /** Seconds; 0: never. Absent: that of the interval, and at least 5 minutes. */
  metricsInterval?: number;
  samplePages: number;
  grace: number;
  workers: number;
  /** URLs or ARNs of queues. */
  failures: string[];
  changes: string[];
  listen?: ListenAddress;
  healthListen?: ListenAddress;
  planOnly?: true;
  shard?: { index: number | 'auto'; of: number };
}

interface ListenAddress {
  host: string;
  port: number;
}

/** Loads the CloudTrail client only when it is needed: most runs never need it. */
const loadCloudTrail = () => import('../aws/cloudtrail.ts');

/** Loads the SQS client only when there is a queue. */
const loadSqs = () => import('../aws/sqs.ts');

/** Milliseconds between two polls of the spec files, for file systems without events. */
const SPEC_POLL_MS = 10_000;

/** `reconcile <paths>`: runs the controller until a signal stops it. */
export async function runController(
  paths: readonly string[],
  options: RunOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  rejectSinglePassOptions(options);
  for (const option of ['failures', 'changes'] as const)
    if (options.planOnly && options[option].length > 0)
      throw new UserError(
        EXIT.usage,
        `--${option} deletes the messages that it received, but --plan-only never writes: remove one of them`,
      );
  rejectInvalidEndpoints(io);
  const log = createLog(io.stderr, { level: options.logLevel, colour: isColourEnabled(io.stderr, io.env) });
  const sandbox =
    options.sandbox === undefined ? undefined : await startEmbeddedSandbox(options.sandbox, log);
  try {
    return await runUntilStopped(paths, options, io, signal, log, sandbox);
  } finally {
    await sandbox?.close();
  }
}

/** Runs the controller. The caller closes the sandbox afterwards, when nothing calls it any more. */
async function runUntilStopped(
  paths: readonly string[],
  options: RunOptions,
  io: Io,
  signal: AbortSignal,
  log: Log,
  sandbox: Sandbox | undefined,
): Promise<number> {
  // Each pass reports an endpoint that cannot be resolved. The wait is safe for all.
  const endpoint = await resolveEndpoint(sandbox ? sandboxConnection(sandbox) : {}).catch(() => 'aws');
  const api = options.source === 'kubernetes' ? await openClusterApi(paths, io) : undefined;
  const isSelected = selectionFilter(options);
  const metrics = createMetrics({ version: manifest.version, name: LEASE_NAME, workers: options.workers });
  const leases = new Map<string, boolean>();
  const leadership = await leadershipFromOptions(
    options,
    io,
    log,
    sandbox,
    ({ name, isLeader: leads, transitions }) => {
      leases.set(name, leads);
      metrics.setLeader(name, leads);
      log.info({ lease: name, transitions }, leads ? 'became leader' : 'lost leadership');
      controller.resync();
      cluster?.reportAll();
    },
  );
  for (const name of leadership?.leaseNames ?? [LEASE_NAME])
    metrics.setLeader(name, leadership === undefined);
  for (const name of leadership?.leaseNames ?? []) leases.set(name, false);
  let cluster: Cluster | undefined;
  const intervalSeconds =
    options.interval ?? (options.changes.length > 0 ? INTERVAL_WITH_CHANGES_SECONDS : INTERVAL_SECONDS);
  const controllerOptions: ControllerOptions = {
    kinds,
    clock: systemClock,
    random: Math.random,
    log,
    connect: (specs) =>
      openAwsClient(specs, {
        sandbox,
        ...(options.account === undefined
          ? {}
          : { expectedAccount: { id: options.account, requiredBy: '--account requires' } }),
        signal,
        // A call in flight when the lease is lost must end before another process can lead.
        ...(leadership === undefined ? {} : { timeoutMs: attemptTimeout(options) }),
        onRetry: ({ operation, reason, isThrottle }) => {
          if (isThrottle) metrics.countThrottle(operation);
          log.debug({ operation }, `retrying ${operation}: ${reason}`);
        },
      }),
    signal,
    variableInput: variableInputOf(options, io),
    loadCloudTrail,
    ...(options.failures.length > 0 && {
      failures: queueSourceOf(options.failures, options, io, sandbox, leadership !== undefined),
    }),
    ...(options.changes.length > 0 && {
      changes: queueSourceOf(options.changes, options, io, sandbox, leadership !== undefined),
    }),
    intervalMs: intervalSeconds * 1000,
    ...(options.verifyInterval === undefined ? {} : { verifyIntervalMs: options.verifyInterval * 1000 }),
    ...metricsIntervalOf(options),
    samplePages: options.samplePages,
    workers: options.workers,
    waitMs: options.wait * 1000,
    allow: options.allow,
    allowUnproven: options.allowUnproven ?? false,
    organizationAccount: options.organizationAccount,
    thresholds: (limits) => guardThresholds(options, limits),
    ...(options.drain === undefined ? {} : { drainMs: options.drain }),
    propagationWaitMs: propagationWaitMs(options, endpoint),
    canaryFirst: options.canaryFirst ?? false,
    role: () => ({
      role: options.planOnly
        ? 'planOnly'
        : leadership === undefined
          ? 'single'
          : [...leases.values()].includes(true)
            ? 'leader'
            : 'standby',
      leases: options.planOnly ? {} : Object.fromEntries(leases),
    }),
    isLeaderFor: (item) => leadership?.isLeaderFor(sourceBucketOf(item)) ?? true,
    selection: {
      only: options.only,
      ...(options.selector === undefined ? {} : { selector: options.selector }),
    },
    // Resources of a cluster can be created after the controller starts.
    requireSelection: api === undefined,
    isAssigned: (item) => isSelected(item) && (leadership?.isAssignedTo(sourceBucketOf(item)) ?? true),
    observer: metrics.observer,
    onStatusUpdate: (after, before) => cluster?.report(after, before),
  };
  const controller = createController(controllerOptions);
  const stopElection = createAbortController();
  const election = leadership?.run(stopElection.signal);

  const servers: ControllerServer[] = [];
  const openServer = async (
    option: string,
    address: ListenAddress | undefined,
    routes: ReadonlyMap<string, Route>,
  ): Promise<string | undefined> => {
    if (!address) return undefined;
    const server = await listenOn(option, address, routes);
    servers.push(server);
    return server.url;
  };
  let watcher: Pick<SpecWatcher, 'reload' | 'close'> | undefined;
  const reload = () => void watcher?.reload();
  try {
    const routesOptions = { controller, metrics, signal, settings: controllerOptions };
    const url = await openServer('--listen', options.listen, createRoutes(routesOptions));
    if (url) io.stdout.write(`replikey listens on ${url}\n`);
    const healthUrl = await openServer(
      '--health-listen',
      options.healthListen,
      createHealthRoutes(routesOptions),
    );
    if (healthUrl) io.stdout.write(`health checks listen on ${healthUrl}\n`);
    if (api)
      cluster = await watchCluster({
        api,
        clock: systemClock,
        random: Math.random,
        log,
        instance: hostname(),
        controller,
        isLeaderForBucket: (bucket) => leadership?.isLeaderFor(bucket) ?? true,
        signal,
      });
    watcher =
      cluster ??
      (await watchSpecs(paths, {
        clock: systemClock,
        pollIntervalMs: SPEC_POLL_MS,
        onChange: controller.update,
      }));
    io.on('SIGHUP', reload);
    const { pairs, problems } = controller.status();
    const selectionProblem = problems.find(({ position }) => /^--(only|selector)$/.test(position.file));
    if (!cluster && selectionProblem) throw new UserError(EXIT.usage, selectionProblem.message);
    if (!cluster && pairs.length === 0 && problems.length > 0)
      throw new UserError(EXIT.specs, 'no valid spec found at startup');
    log.info(
      { pairs: pairs.length },
      `reconciling ${pairs.length} ${pairs.length === 1 ? 'pair' : 'pairs'} every ${intervalSeconds} s`,
    );
    await untilAborted(signal);
    if (signal.reason instanceof InterruptedError) log.info(signal.reason.notice);
    return await shutDown(
      io,
      async () => {
        watcher?.close();
        await controller.drain();
        await cluster?.drain();
        // Stops the election last: no other process may write while this process has a call in flight.
        stopElection.abort();
        await election;
        await leadership
          ?.release()
          .catch((error: Error) => log.warn(`cannot release the lease: ${error.message}`));
      },
      options.grace * 1000,
      log,
    );
  } finally {
    io.off('SIGHUP', reload);
    watcher?.close();
    stopElection.abort();
    await Promise.all(servers.map((server) => server.close()));
  }
}

/** The default of `--interval`, without and with `--changes`, which reports most changes within seconds. */
const INTERVAL_SECONDS = 300;
const INTERVAL_WITH_CHANGES_SECONDS = 7_200;

/** CloudWatch bills each metric that a read requests. */
const MIN_METRICS_INTERVAL_SECONDS = 300;

function metricsIntervalOf({
  metricsInterval,
  interval = INTERVAL_SECONDS,
}: RunOptions): Pick<ControllerOptions, 'metricsIntervalMs'> {
  const seconds = metricsInterval ?? Math.max(interval, MIN_METRICS_INTERVAL_SECONDS);
  return seconds === 0 ? {} : { metricsIntervalMs: seconds * 1000 };
}

/** @throws UserError if the address is not available. */
const listenOn = (
  option: string,
  address: ListenAddress,
  routes: ReadonlyMap<string, Route>,
): Promise<ControllerServer> =>
  startControllerServer(routes, address).catch((error: Error) => {
    throw new UserError(
      EXIT.usage,
      `cannot listen: ${systemErrorReason(error)}; choose another address with ${option}`,
    );
  });

function openAwsClient(
  { accounts, pairs }: Specs,
  options: Pick<AwsClientOptions, 'onRetry' | 'signal' | 'expectedAccount'> & {
    sandbox: Sandbox | undefined;
    timeoutMs?: number;
  },
): { aws: AwsClient; close(): void } {
  const { sandbox, timeoutMs, ...rest } = options;
  const clients = createSdkClients(accounts, {
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(sandbox && sandboxConnection(sandbox)),
  });
  const aws = createAwsClient({ ...rest, clients, accounts, region: pairs[0]?.source.region ?? 'us-east-1' });
  return { aws, close: () => clients.destroy() };
}

/** @throws UserError if specs cannot come from a cluster. */
async function openClusterApi(paths: readonly string[], { env }: Io): Promise<KubernetesApi> {
  if (paths.length > 0)
    throw new UserError(EXIT.usage, '--source kubernetes does not read files: remove the paths');
  if (!isInCluster(env))
    throw new UserError(
      EXIT.usage,
      '--source kubernetes requires a pod with a service account: run it in a cluster',
    );
  return createKubernetesApi(env).catch((error: Error) => {
    throw new UserError(EXIT.usage, `--source kubernetes cannot use the service account: ${error.message}`);
  });
}

/** @throws UserError for an option that only a single pass supports. */
function rejectSinglePassOptions({
  output,
  prune,
  plan,
  yes,
  out,
  sarif,
  observed,
  detailedExitcode,
}: RunOptions): void {
  const singlePassOptions = {
    '--prune': prune,
    '--plan': plan,
    '--yes': yes,
    '--out': out,
    '--sarif': sarif,
    '--observed': observed,
    '--detailed-exitcode': detailedExitcode,
    '--output': output === 'text' ? undefined : output,
  };
  const [option] = Object.entries(singlePassOptions).find(([, value]) => value !== undefined) ?? [];
  if (option) throw new UserError(EXIT.usage, `${option} requires a single pass: add --once or --dry-run`);
}

/**
 * Returns a filter for the pairs that the command line selects. The controller reports a name without a spec as a
 * problem: a spec may declare it later.
 *
 * @throws UserError for an invalid selector.
 */
function selectionFilter({ only, selector }: RunOptions): (item: WorkItem) => boolean {
  try {
    const matches = selector === undefined ? () => true : parseLabelSelector(selector);
    return ({ key, pairs }) =>
      (only.length === 0 || only.includes(key) || pairs.some(({ name }) => only.includes(name))) &&
      pairs.some(({ labels }) => matches(labels));
  } catch (error) {
    if (error instanceof SelectionError) throw new UserError(EXIT.usage, error.message);
    throw error;
  }
}

/** The longest wait of a call for messages, and the time left for its response, in seconds. */
const MAX_POLL_SECONDS = 20;
const POLL_MARGIN_SECONDS = 2;

/** Returns the queues of events. A call ends before the time limit of an attempt, with or without messages. */
function queueSourceOf(
  queues: readonly string[],
  options: RunOptions,
  { env }: Io,
  sandbox: Sandbox | undefined,
  hasLease: boolean,
): QueueSource {
  const endpoint = sandbox?.endpoint ?? env.AWS_ENDPOINT_URL_SQS ?? env.AWS_ENDPOINT_URL;
  const addresses = queues.map((text) => queueAddressOf(parseQueueName(text), endpoint));
  const limitSeconds = hasLease ? Math.floor(attemptTimeout(options) / 1000) : Number.POSITIVE_INFINITY;
  return {
    queues: [...new Map(addresses.map((address) => [address.arn, address])).values()],
    waitSeconds: Math.max(1, Math.min(MAX_POLL_SECONDS, limitSeconds - POLL_MARGIN_SECONDS)),
    loadSqs,
  };
}

const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

/**
 * Finishes within the grace period. Otherwise logs a warning and ends the process, because a call to AWS may take too
 * long.
 */
async function shutDown(io: Io, finish: () => Promise<void>, graceMs: number, log: Log): Promise<number> {
  let cancelTimeout = () => {};
  const timeout = new Promise<'late'>((resolve) => {
    cancelTimeout = systemClock.schedule(graceMs, () => resolve('late'));
  });
  const outcome = await Promise.race([finish(), timeout]);
  cancelTimeout();
  if (outcome !== 'late') return EXIT.ok;
  log.warn(
    `calls in flight did not finish within ${graceMs / 1000} s; the next run reads the actual state again`,
  );
  return io.exit(EXIT.failed);
}

/** Returns the source bucket, which determines the shard of a pair. */
const sourceBucketOf = ({ pairs }: WorkItem): string => pairs[0]?.source.bucket ?? '';

/**
 * Creates the leadership for deployments with several processes: by Leases in a cluster, by objects in S3 elsewhere.
 * Returns undefined for a single process.
 *
 * @throws UserError if the options require a lease or lock that is not available.
 */
async function leadershipFromOptions(
  options: RunOptions,
  io: Io,
  log: Log,
  sandbox: Sandbox | undefined,
  onChange: LeadershipOptions['onChange'],
): Promise<Leadership | undefined> {
  const shard = resolveShard(options, io);
  if (options.planOnly) return readOnlyLeadership(shard);
  const store = await openLeaseStore(options, io, sandbox && sandboxConnection(sandbox));
  if (!store) {
    if (shard)
      throw new UserError(
        EXIT.usage,
        '--shard requires leader election: add --lock s3://bucket/key, or run in a cluster',
      );
    return undefined;
  }
  const identity = createIdentity();
  log.info({ identity, ...shard }, 'leader election enabled');
  return createLeadership({
    ...(shard === undefined ? {} : { shard }),
    openStore: store,
    identity,
    clock: systemClock,
    times: leaseTimesOf(options),
    random: Math.random,
    onChange,
    onError: (name, error) => log.warn({ lease: name }, error.message),
  });
}

/**
 * Resolves `auto`. A StatefulSet numbers its pods from 0. Other pod names have no ordinal, so a hash of the name
 * selects the shard.
 */
function resolveShard({ shard }: RunOptions, io: Io): Shard | undefined {
  if (shard === undefined || shard.index !== 'auto') return shard as Shard | undefined;
  const podName = io.env.HOSTNAME ?? hostname();
  const ordinal = /-(\d{1,4})$/.exec(podName)?.[1];
  const index = ordinal === undefined ? shardOf(podName, shard.of) : (Number(ordinal) % shard.of) + 1;
  return { index, of: shard.of };
}
