import { createHash } from 'node:crypto';
import { compareCodeUnits } from '../util/canonical-json.ts';
import type { Clock } from '../util/clock.ts';
import { createElector, type LeaseStore, type LeaseTimes } from './leader-election.ts';

/** Which part of all pairs a process is for: the first of three is 1 of 3. */
export interface Shard {
  index: number;
  of: number;
}

/**
 * The shard of a source bucket, from 1. By rendezvous hashing: where their number changes only those pairs move that
 * must, and every process comes to the same answer by itself. All pairs of a source are in one shard, since they share
 * its configuration.
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

/** Which pairs this process writes to. */
export interface Leadership {
  /** The leases of all parts, in their order. */
  leaseNames: readonly string[];
  /** Whether it may write to the pairs of a source bucket now: asked before every attempt of a call that writes. */
  isLeaderFor(bucket: string): boolean;
  /** Whether it looks after them: those it leads, and those that it is for. */
  isAssignedTo(bucket: string): boolean;
  run(signal: AbortSignal): Promise<void>;
  /** Give everything back. */
  release(): Promise<void>;
}

/** That a process begins or ceases to lead the pairs of a lease. */
export interface LeadershipChange {
  /** Of the lease. */
  name: string;
  isLeader: boolean;
  /** How often the lease had changed hands: it tells an earlier leader from a later one. */
  transitions: number;
}

export interface LeadershipOptions {
  /** Absent: all pairs are one part. */
  shard?: Shard;
  openStore(name: string): LeaseStore;
  identity: string;
  clock: Clock;
  times: LeaseTimes;
  random: () => number;
  onChange: (change: LeadershipChange) => void;
  onError: (name: string, error: Error) => void;
}

/** The lease that every process needs to write anything. */
export const LEASE_NAME = 'replikey';

const SINGLE_SHARD: Shard = { index: 1, of: 1 };

/** Of one part it is the lease itself. */
const leaseNamesOf = ({ of: count }: Shard): string[] =>
  count === 1
    ? [LEASE_NAME]
    : Array.from({ length: count }, (_, index) => `${LEASE_NAME}-${index + 1}-of-${count}`);

/** Of a process that only looks: it stands in nobody's way. */
export const readOnlyLeadership = (shard: Shard = SINGLE_SHARD): Leadership => ({
  leaseNames: leaseNamesOf(shard),
  isLeaderFor: () => false,
  isAssignedTo: (bucket) => shardOf(bucket, shard.of) === shard.index,
  run: async () => {},
  release: async () => {},
});

/**
 * A lease for each part of the pairs: this process is for one of them, and stands in for the others. Who divides the
 * pairs otherwise has other leases for them; so the lease that a process alone would hold is held by all together that
 * divide them in one way, and no pair is written by two while their number changes.
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
