import { createHash } from 'node:crypto';
import { compareCodeUnits } from '../util/canonical-json.ts';
import type { Clock } from '../util/clock.ts';
import { createElector, type LeaseStore, type LeaseTimes } from './leader-election.ts';

/** The part of all pairs that a process handles: the first of three is 1 of 3. */
export interface Shard {
  index: number;
  of: number;
}

/**
 * Returns the shard of a source bucket, from 1, by rendezvous hashing. If the number of shards changes, only the
 * minimum number of pairs moves, and every process computes the same result by itself. All pairs of a source are in
 * one shard, because they share its replication configuration.
 */
export function shardOf(bucket: string, count: number): number {
  const candidates = Array.from({ length: count }, (_, index) => ({
    index: index + 1,
    weight: createHash('sha256')
      .update(`${index + 1} ${bucket}`)
      .digest('hex'),
  }));
  return candidates.reduce((best, candidate) =>
    compareCodeUnits(candidate.weight, best.weight) > 0 ? candidate : best,
  ).index;
}

/** The pairs that this process writes to. */
export interface Leadership {
  /** The leases of all shards, in the order of the shards. */
  leaseNames: readonly string[];
  /**
   * Whether this process may write to the pairs of a source bucket now. Checked before every attempt of a call that
   * writes.
   */
  isLeaderFor(bucket: string): boolean;
  /**
   * Whether this process handles the pairs of a source bucket: the pairs of its own shard and of the shards it leads.
   */
  isAssignedTo(bucket: string): boolean;
  run(signal: AbortSignal): Promise<void>;
  /** Releases all leases. */
  release(): Promise<void>;
}

/** The start or the end of this process's leadership for the pairs of a lease. */
export interface LeadershipChange {
  /** Name of the lease. */
  name: string;
  isLeader: boolean;
  /** How often the holder of the lease had changed. It distinguishes an earlier leader from a later leader. */
  transitions: number;
}

export interface LeadershipOptions {
  /** Absent: all pairs are one shard. */
  shard?: Shard;
  openStore(name: string): LeaseStore;
  identity: string;
  clock: Clock;
  times: LeaseTimes;
  random: () => number;
  onChange: (change: LeadershipChange) => void;
  onError: (name: string, error: Error) => void;
}

/** The lease that every process needs before it writes. */
export const LEASE_NAME = 'replikey';

const SINGLE_SHARD: Shard = { index: 1, of: 1 };

/** Returns the lease names of all shards. A single shard uses LEASE_NAME itself. */
const leaseNamesOf = ({ of: count }: Shard): string[] =>
  count === 1
    ? [LEASE_NAME]
    : Array.from({ length: count }, (_, index) => `${LEASE_NAME}-${index + 1}-of-${count}`);

/** Creates the leadership of a read-only process: it takes no lease and so delays no other process. */
export const readOnlyLeadership = (shard: Shard = SINGLE_SHARD): Leadership => ({
  leaseNames: leaseNamesOf(shard),
  isLeaderFor: () => false,
  isAssignedTo: (bucket) => shardOf(bucket, shard.of) === shard.index,
  run: async () => {},
  release: async () => {},
});

/**
 * Creates a lease for each shard. This process is preferred for one shard and is a standby for the others. Processes
 * with another number of shards use other shard leases. Therefore all processes with the same number of shards also
 * share LEASE_NAME, the lease that a single process would hold. So no two processes write to a pair while the number
 * of shards changes.
 */
export function createLeadership(options: LeadershipOptions): Leadership {
  const { shard = SINGLE_SHARD, openStore, identity, onChange, onError, ...electorOptions } = options;
  const isSharded = shard.of > 1;
  const leaseNames = leaseNamesOf(shard);
  const reportedLeases = new Set<string>();
  const reportChanges = (): void => {
    for (const [index, name] of leaseNames.entries()) {
      const isLeader = leadsShard(index);
      if (isLeader === reportedLeases.has(name)) continue;
      if (isLeader) reportedLeases.add(name);
      else reportedLeases.delete(name);
      onChange({ name, isLeader, transitions: shardElectors[index]?.transitions() ?? 0 });
    }
  };
  const electorFor = (
    name: string,
    overrides: { identity: string; isStandby?: boolean; isShared?: boolean },
  ) =>
    createElector({
      ...electorOptions,
      ...overrides,
      store: openStore(name),
      onChange: reportChanges,
      onError: (error) => onError(name, error),
    });
  const shardElectors = leaseNames.map((name, index) =>
    electorFor(name, { identity, isStandby: index + 1 !== shard.index }),
  );
  const shardCountElector =
    isSharded && electorFor(LEASE_NAME, { identity: `${shard.of} parts`, isShared: true });
  const electors = shardCountElector ? [shardCountElector, ...shardElectors] : shardElectors;
  const leadsShard = (index: number): boolean =>
    (shardCountElector ? shardCountElector.isLeader() : true) && (shardElectors[index]?.isLeader() ?? false);
  const shardIndexOf = (bucket: string): number => shardOf(bucket, shard.of) - 1;
  return {
    leaseNames,
    isLeaderFor: (bucket) => leadsShard(shardIndexOf(bucket)),
    isAssignedTo: (bucket) => shardIndexOf(bucket) === shard.index - 1 || leadsShard(shardIndexOf(bucket)),
    run: async (signal) => {
      await Promise.all(electors.map((elector) => elector.run(signal)));
    },
    release: async () => {
      await Promise.all(electors.map((elector) => elector.release()));
    },
  };
}
