import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { classifyError } from '../aws/errors.ts';
import { retry } from '../aws/retry.ts';
import type { Connection } from '../aws/sdk-clients.ts';
import {
  attemptTimeoutOf,
  createElector,
  type LeaseRecord,
  type LeaseStore,
  type LeaseTimes,
} from '../controller/leader-election.ts';
import { LEASE_NAME } from '../controller/leadership.ts';
import { openS3Lock } from '../controller/s3-lock.ts';
import { EXIT, UserError } from '../errors.ts';
import { createKubernetesApi, isInCluster } from '../kubernetes/api.ts';
import { createKubernetesLeaseStore } from '../kubernetes/lease-store.ts';
import type { Log } from '../log.ts';
import { createAbortController, systemClock } from '../util/clock.ts';
import type { Io } from './command-model.ts';

/** Options for several processes of which one at a time writes. */
export interface LockOptions {
  leaderElect: 'auto' | 'lease' | 's3' | 'none';
  lock?: { bucket: string; key: string };
  /** Seconds. */
  leaseDuration: number;
}

/** Derives the lease times: the renewal deadline is two thirds of the duration, the retry interval a sixth. */
export const leaseTimesOf = ({ leaseDuration }: LockOptions): LeaseTimes => ({
  durationMs: leaseDuration * 1000,
  renewDeadlineMs: (leaseDuration * 2000) / 3,
  retryMs: (leaseDuration * 1000) / 6,
});

/** Returns an identity for the holder of a lease, unique for each process. */
export const createIdentity = (): string => `${hostname()}_${randomUUID()}`;

/**
 * Opens the leases or locks of a controller. Returns undefined for a single process.
 *
 * @throws UserError if the options require a lease or lock that is not available
 */
export async function openLeaseStore(
  { leaderElect, lock }: LockOptions,
  { env }: Pick<Io, 'env'>,
  connection: Connection & { fallbackRegion?: string } = {},
): Promise<((name: string) => LeaseStore) | undefined> {
  const method = leaderElect === 'auto' ? (lock ? 's3' : isInCluster(env) ? 'lease' : 'none') : leaderElect;
  if (lock && method !== 's3')
    throw new UserError(EXIT.usage, `--leader-elect ${method} does not use --lock: remove one of them`);
  if (method === 'none') return undefined;
  if (method === 's3') {
    if (!lock) throw new UserError(EXIT.usage, '--leader-elect s3 requires --lock s3://bucket/key');
    return openS3Lock(lock, connection);
  }
  const api = await createKubernetesApi(env).catch((error: Error) => {
    throw new UserError(EXIT.usage, `--leader-elect lease cannot use the service account: ${error.message}`);
  });
  return (name) => createKubernetesLeaseStore(api, name);
}

/** Whether a single pass takes a lock. Unlike the controller, it takes no lease only because it runs in a cluster. */
export const takesLock = (options: Partial<LockOptions>): options is LockOptions =>
  options.lock !== undefined || options.leaderElect === 'lease' || options.leaderElect === 's3';

/** Returns the time limit for an attempt of a call, in milliseconds, so that it ends before another process can write. */
export const attemptTimeout = (options: LockOptions): number => attemptTimeoutOf(leaseTimesOf(options));

/** A lock that this process holds and renews until its release. */
export interface HeldLock {
  /** @throws UserError if the lock was lost, even if this process holds it again: another one may have written. */
  assertHeld(): void;
  release(): Promise<void>;
}

/**
 * Acquires the lock of a single pass, if its options name one. It is the lease of an unsharded controller, which all sharded controllers hold as
 * well.
 *
 * @throws UserError with exit code 3 if another process holds the lock, and with 1 if the lock cannot be used
 */
export async function acquireLock(
  options: Partial<LockOptions>,
  {
    io,
    log,
    signal,
    connection,
  }: {
    io: Pick<Io, 'env'>;
    log: Log;
    signal: AbortSignal;
    connection: Connection & { fallbackRegion?: string };
  },
): Promise<HeldLock | undefined> {
  if (!takesLock(options)) return undefined;
  const openStore = await openLeaseStore(options, io, connection);
  if (!openStore) return undefined;
  const store = openStore(LEASE_NAME);
  let isLost = false;
  let isReleasing = false;
  const elector = createElector({
    store,
    identity: createIdentity(),
    clock: systemClock,
    times: leaseTimesOf(options),
    random: Math.random,
    onChange(isHeld) {
      if (isHeld || isReleasing) return;
      isLost = true;
      log.error(`lost ${store.name}: this run makes no further changes`);
    },
    onError: (error) => log.warn(error.message),
  });
  const holder = await retry(
    () =>
      elector.acquire({
        signal,
        onWait: (record, ms) =>
          log.info(
            `waiting at most ${Math.ceil(ms / 1000)} s for ${describeHolder(record)}, which may have ended without a release of ${store.name}`,
          ),
      }),
    {
      timeoutMs: options.leaseDuration * 1000,
      maxDelayMs: 2_000,
      signal,
      shouldRetry: ({ cause }) => ['transient', 'throttle'].includes(classifyError(cause)),
    },
  ).catch((error: Error) => {
    if (signal.aborted) throw error;
    const exitCode = classifyError(error.cause) === 'credentials' ? EXIT.credentials : EXIT.failed;
    throw new UserError(exitCode, `cannot acquire ${store.name}: ${error.message}; nothing was changed`, {
      cause: error,
    });
  });
  if (holder)
    throw new UserError(
      EXIT.refused,
      `cannot acquire ${store.name}: ${describeHolder(holder)} holds it since ${holder.acquired}, and renewed it at ${holder.renewed}; nothing was changed; run the command again when that process has ended`,
    );
  const stop = createAbortController();
  const renewal = elector.run(stop.signal);
  return {
    assertHeld() {
      isLost ||= !elector.isLeader();
      if (isLost)
        throw new UserError(
          EXIT.failed,
          `lost ${store.name}: this run made no further changes; run the command again`,
        );
    },
    async release() {
      isReleasing = true;
      stop.abort();
      await renewal;
      await elector
        .release()
        .catch((error: Error) => log.warn(`cannot release ${store.name}: ${error.message}`));
    },
  };
}

/** The name of a holder is text of another process. */
const describeHolder = ({ holder }: LeaseRecord): string => holder.slice(0, 200);
