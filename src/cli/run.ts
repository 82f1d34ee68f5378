import { hostname } from 'node:os';
import manifest from '../../package.json' with { type: 'json' };
import { createClients } from '../aws/clients.ts';
import { createDoor, type Door, type DoorOptions } from '../aws/door.ts';
import { systemClock } from '../controller/clock.ts';
import { type ControllerOptions, createController } from '../controller/controller.ts';
import { attemptTimeout } from '../controller/elector.ts';
import type { Keyed } from '../controller/keys.ts';
import { LEASE } from '../controller/leadership.ts';
import { createMetrics } from '../controller/metrics.ts';
import { routesOf } from '../controller/routes.ts';
import { type Surfaces, serveSurfaces } from '../controller/server.ts';
import { type Watching, watchSpecs } from '../controller/watch.ts';
import { EXIT, UserError } from '../errors.ts';
import { kinds } from '../kinds/index.ts';
import { isInCluster, type KubernetesApi, kubernetesApi } from '../kubernetes/api.ts';
import { type Cluster, followCluster } from '../kubernetes/cluster.ts';
import { createLog, type Log } from '../log.ts';
import { wantsColour } from '../report/paint.ts';
import type { Sandbox } from '../sandbox/server.ts';
import { labelSelector, SelectionError } from '../spec/select.ts';
import type { Specs } from '../spec/types.ts';
import { Interrupted } from './interrupt.ts';
import type { Io } from './io.ts';
import { leadershipOf, leaseTimes } from './leadership.ts';
import type { RunOptions } from './options.ts';
import { thresholds } from './reconcile.ts';
import { embedded, refuseNoUrl, startEmbedded } from './session.ts';
import { givenBy } from './specs.ts';
import { systemReason } from './system-reason.ts';

/** What asks CloudTrail: most never need it. */
const cloudTrail = () => import('../aws/cloudtrail.ts');

/** Milliseconds between two looks at what is written, where the system gives no notice. */
const LOOK_MS = 10_000;

/** `reconcile <paths>`: the controller, until it is stopped. */
export async function run(
  paths: readonly string[],
  options: RunOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  refuseOnce(options);
  refuseNoUrl(io);
  const sandbox = options.sandbox === undefined ? undefined : await startEmbedded(options.sandbox);
  try {
    return await lookAfter(paths, options, io, signal, sandbox);
  } finally {
    await sandbox?.close();
  }
}

/** All but the sandbox, which is there until nothing talks to it any more. */
async function lookAfter(
  paths: readonly string[],
  options: RunOptions,
  io: Io,
  signal: AbortSignal,
  sandbox: Sandbox | undefined,
): Promise<number> {
  const api = options.source === 'kubernetes' ? await clusterApi(paths, io) : undefined;
  const isSelected = selecting(options);
  const log = createLog(io.stderr, { level: options.logLevel, colour: wantsColour(io.stderr, io.env) });
  const metrics = createMetrics({ version: manifest.version, name: LEASE, workers: options.workers });
  const leadership = await leadershipOf(options, io, log, ({ name, leads, transitions }) => {
    metrics.leads(name, leads);
    log.info(
      { lease: name, transitions },
      leads ? 'this process leads now' : 'this process does not lead any more',
    );
    controller.resync();
    cluster?.tellAll();
  });
  for (const name of leadership?.leases ?? [LEASE]) metrics.leads(name, leadership === undefined);
  let cluster: Cluster | undefined;
  const settings: ControllerOptions = {
    kinds,
    clock: systemClock,
    chance: Math.random,
    log,
    open: (specs) =>
      doorFor(specs, {
        sandbox,
        signal,
        // A call that is under way when the lease is lost has ended before another may begin.
        ...(leadership === undefined ? {} : { timeoutMs: attemptTimeout(leaseTimes(options)) }),
        onRetry: ({ operation, reason, isThrottle }) => {
          if (isThrottle) metrics.throttled(operation);
          log.debug({ operation }, `${operation} is tried again: ${reason}`);
        },
      }),
    signal,
    given: givenBy(options, io),
    cloudTrail,
    intervalMs: options.interval * 1000,
    ...(options.verifyInterval === undefined ? {} : { verifyIntervalMs: options.verifyInterval * 1000 }),
    workers: options.workers,
    waitMs: options.wait * 1000,
    allow: options.allow,
    allowUnproven: options.allowUnproven ?? false,
    thresholds: (limits) => thresholds(options, limits),
    mayWrite: (one) => leadership?.leads(sourceOf(one)) ?? true,
    mine: (one) => isSelected(one) && (leadership?.minds(sourceOf(one)) ?? true),
    observer: metrics.observer,
    onStatus: (after, before) => cluster?.tell(after, before),
  };
  const controller = createController(settings);
  const stopping = new AbortController();
  const electing = leadership?.run(stopping.signal);

  let surfaces: Surfaces | undefined;
  let watching: Pick<Watching, 'reload' | 'close'> | undefined;
  const reload = () => void watching?.reload();
  try {
    surfaces =
      options.listen &&
      (await serveSurfaces(routesOf({ controller, metrics, signal, settings }), options.listen).catch(
        (error: Error) => {
          throw new UserError(
            EXIT.usage,
            `cannot listen: ${systemReason(error)}; --listen takes another address`,
          );
        },
      ));
    if (surfaces) io.stdout.write(`replikey listens on ${surfaces.url}\n`);
    if (api)
      cluster = await followCluster({
        api,
        clock: systemClock,
        chance: Math.random,
        log,
        instance: hostname(),
        controller,
        leads: (bucket) => leadership?.leads(bucket) ?? true,
        signal,
      });
    watching =
      cluster ??
      (await watchSpecs(paths, { clock: systemClock, everyMs: LOOK_MS, onChange: controller.update }));
    io.on('SIGHUP', reload);
    const { pairs, problems } = controller.status();
    if (!cluster && pairs.length === 0 && problems.length > 0)
      throw new UserError(EXIT.specs, 'there is no spec that is right to begin with');
    log.info(
      { pairs: pairs.length },
      `looking after ${pairs.length} ${pairs.length === 1 ? 'pair' : 'pairs'}, every ${options.interval} s`,
    );
    await stopped(signal);
    if (signal.reason instanceof Interrupted) log.info(signal.reason.told);
    return await graceful(
      io,
      async () => {
        watching?.close();
        await controller.drain();
        await cluster?.drain();
        // Only now: nobody else may write while a call of ours is in flight.
        stopping.abort();
        await electing;
        await leadership
          ?.release()
          .catch((error: Error) => log.warn(`the lease was not given back: ${error.message}`));
      },
      options.grace * 1000,
      log,
    );
  } finally {
    io.off('SIGHUP', reload);
    watching?.close();
    stopping.abort();
    await surfaces?.close();
  }
}

function doorFor(
  { accounts, pairs }: Specs,
  options: Pick<DoorOptions, 'onRetry' | 'signal'> & { sandbox: Sandbox | undefined; timeoutMs?: number },
): { door: Door; close(): void } {
  const { sandbox, timeoutMs, ...rest } = options;
  const clients = createClients(accounts, {
    cloudTrail,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(sandbox && embedded(sandbox)),
  });
  const door = createDoor({ ...rest, clients, accounts, region: pairs[0]?.source.region ?? 'us-east-1' });
  return { door, close: () => clients.destroy() };
}

/** @throws UserError where specs cannot come from a cluster. */
async function clusterApi(paths: readonly string[], { env }: Io): Promise<KubernetesApi> {
  if (paths.length > 0) throw new UserError(EXIT.usage, '--source kubernetes reads no files: name no paths');
  if (!isInCluster(env))
    throw new UserError(EXIT.usage, '--source kubernetes needs a pod to run in, with a service account');
  return kubernetesApi(env).catch((error: Error) => {
    throw new UserError(EXIT.usage, `--source kubernetes needs a service account: ${error.message}`);
  });
}

/** @throws UserError for what only a single pass can do. */
function refuseOnce({ output, prune, plan, out, sarif, observed, detailedExitcode }: RunOptions): void {
  const given = {
    '--prune': prune,
    '--plan': plan,
    '--out': out,
    '--sarif': sarif,
    '--observed': observed,
    '--detailed-exitcode': detailedExitcode,
    '--output': output === 'text' ? undefined : output,
  };
  const [option] = Object.entries(given).find(([, value]) => value !== undefined) ?? [];
  if (option) throw new UserError(EXIT.usage, `${option} is for a single pass: add --once, or --dry-run`);
}

/**
 * The pairs that the command line chooses. A name that no spec has now may be declared later.
 *
 * @throws UserError for a selector that cannot be read.
 */
function selecting({ only, selector }: RunOptions): (one: Keyed) => boolean {
  try {
    const matches = selector === undefined ? () => true : labelSelector(selector);
    return ({ key, pairs }) =>
      (only.length === 0 || only.includes(key)) && pairs.some(({ labels }) => matches(labels));
  } catch (error) {
    if (error instanceof SelectionError) throw new UserError(EXIT.usage, error.message);
    throw error;
  }
}

const stopped = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

/** End well in time, or say that something is cut off, and cut it off: a call to AWS may take longer than anybody waits. */
async function graceful(io: Io, end: () => Promise<void>, graceMs: number, log: Log): Promise<number> {
  let callOff = () => {};
  const late = new Promise<'late'>((resolve) => {
    callOff = systemClock.after(graceMs, () => resolve('late'));
  });
  const outcome = await Promise.race([end(), late]);
  callOff();
  if (outcome !== 'late') return EXIT.ok;
  log.warn(`what was in flight did not end within ${graceMs / 1000} s; the next run looks how far it came`);
  return io.exit(EXIT.failed);
}

/** The bucket by which pairs are parted. */
const sourceOf = ({ pairs }: Keyed): string => pairs[0]?.source.bucket ?? '';
