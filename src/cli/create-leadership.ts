import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { LeaseStore, LeaseTimes } from '../controller/leader-election.ts';
import {
  createLeadership,
  type Leadership,
  type LeadershipOptions,
  readOnlyLeadership,
  type Shard,
  shardOf,
} from '../controller/leadership.ts';
import { openS3Lock } from '../controller/s3-lock.ts';
import { EXIT, UserError } from '../errors.ts';
import { createKubernetesApi, isInCluster } from '../kubernetes/api.ts';
import { createKubernetesLeaseStore } from '../kubernetes/lease.ts';
import type { Log } from '../log.ts';
import { systemClock } from '../util/clock.ts';
import type { Io } from './io.ts';
import type { RunOptions } from './options.ts';

/** Renewed for two thirds of its duration at most, and tried every sixth of it. */
export const leaseTimes = ({ leaseDuration }: RunOptions): LeaseTimes => ({
  durationMs: leaseDuration * 1000,
  renewDeadlineMs: (leaseDuration * 2000) / 3,
  retryMs: (leaseDuration * 1000) / 6,
});

/**
 * Whoever may write, where several processes could: by Leases in a cluster, by objects in S3 elsewhere. None where this
 * process is alone.
 *
 * @throws UserError where what was asked for cannot be had.
 */
export async function leadershipFromOptions(
  options: RunOptions,
  io: Io,
  log: Log,
  onChange: LeadershipOptions['onChange'],
): Promise<Leadership | undefined> {
  const shard = resolveShard(options, io);
  if (options.planOnly) return readOnlyLeadership(shard);
  const store = await openLeaseStore(options, io);
  if (!store) {
    if (shard)
      throw new UserError(
        EXIT.usage,
        '--shard needs a lease: --lock s3://bucket/key, or a cluster to run in',
      );
    return undefined;
  }
  const identity = `${hostname()}_${randomUUID()}`;
  log.info({ identity, ...shard }, 'leading needs a lease here');
  return createLeadership({
    ...(shard === undefined ? {} : { shard }),
    openStore: store,
    identity,
    clock: systemClock,
    times: leaseTimes(options),
    random: Math.random,
    onChange,
    onError: (name, error) => log.warn({ lease: name }, error.message),
  });
}

async function openLeaseStore(
  { leaderElect, lock }: RunOptions,
  io: Io,
): Promise<((name: string) => LeaseStore) | undefined> {
  const lockKind =
    leaderElect === 'auto' ? (lock ? 's3' : isInCluster(io.env) ? 'lease' : 'none') : leaderElect;
  if (lockKind === 'none') return undefined;
  if (lockKind === 's3') {
    if (!lock) throw new UserError(EXIT.usage, '--leader-elect s3 needs --lock s3://bucket/key');
    return openS3Lock(lock, io.env.AWS_ENDPOINT_URL !== undefined);
  }
  const api = await createKubernetesApi(io.env);
  return (name) => createKubernetesLeaseStore(api, name);
}

/** `auto`: a StatefulSet numbers its pods from 0; another name says nothing of an order, but spreads. */
function resolveShard({ shard }: RunOptions, io: Io): Shard | undefined {
  if (shard === undefined || shard.index !== 'auto') return shard as Shard | undefined;
  const podName = io.env.HOSTNAME ?? hostname();
  const ordinal = /-(\d{1,4})$/.exec(podName)?.[1];
  const index = ordinal === undefined ? shardOf(podName, shard.of) : (Number(ordinal) % shard.of) + 1;
  return { index, of: shard.of };
}
