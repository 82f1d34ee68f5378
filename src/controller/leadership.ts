import type { Clock } from './clock.ts';
import { createElector, type LeaseStore, type LeaseTimes } from './elector.ts';
import { type Shard, shardOf } from './shards.ts';

/** Which pairs this process writes to. */
export interface Leadership {
  /** The leases of all parts, in their order. */
  leases: readonly string[];
  /** Whether it may write to the pairs of a source bucket now: asked before every attempt of a call that writes. */
  leads(bucket: string): boolean;
  /** Whether it looks after them: those it leads, and those that it is for. */
  minds(bucket: string): boolean;
  run(signal: AbortSignal): Promise<void>;
  /** Give everything back. */
  release(): Promise<void>;
}

/** That a process begins or ceases to lead the pairs of a lease. */
export interface LeadershipChange {
  /** Of the lease. */
  name: string;
  leads: boolean;
  /** How often the lease had changed hands: it tells an earlier leader from a later one. */
  transitions: number;
}

export interface LeadershipOptions {
  /** Absent: all pairs are one part. */
  shard?: Shard;
  store(name: string): LeaseStore;
  identity: string;
  clock: Clock;
  times: LeaseTimes;
  chance: () => number;
  onChange: (what: LeadershipChange) => void;
  onError: (name: string, error: Error) => void;
}

/** The lease that every process needs to write anything. */
export const LEASE = 'replikey';

const ALL: Shard = { index: 1, of: 1 };

/** Of one part it is the lease itself. */
const leasesOf = ({ of }: Shard): string[] =>
  of === 1 ? [LEASE] : Array.from({ length: of }, (_, at) => `${LEASE}-${at + 1}-of-${of}`);

/** Of a process that only looks: it stands in nobody's way. */
export const onlooker = (shard: Shard = ALL): Leadership => ({
  leases: leasesOf(shard),
  leads: () => false,
  minds: (bucket) => shardOf(bucket, shard.of) === shard.index,
  run: async () => {},
  release: async () => {},
});

/**
 * A lease for each part of the pairs: this process is for one of them, and stands in for the others. Who divides the
 * pairs otherwise has other leases for them; so the lease that a process alone would hold is held by all together that
 * divide them in one way, and no pair is written by two while their number changes.
 */
export function createLeadership(options: LeadershipOptions): Leadership {
  const { shard = ALL, store, identity, onChange, onError, ...rest } = options;
  const isDivided = shard.of > 1;
  const leases = leasesOf(shard);
  const told = new Set<string>();
  const tell = (): void => {
    for (const [at, name] of leases.entries()) {
      const leads = leadsPart(at);
      if (leads === told.has(name)) continue;
      if (leads) told.add(name);
      else told.delete(name);
      onChange({ name, leads, transitions: parts[at]?.transitions() ?? 0 });
    }
  };
  const elector = (name: string, more: { identity: string; isBackup?: boolean; isShared?: boolean }) =>
    createElector({
      ...rest,
      ...more,
      store: store(name),
      onChange: tell,
      onError: (error) => onError(name, error),
    });
  const parts = leases.map((name, at) => elector(name, { identity, isBackup: at + 1 !== shard.index }));
  const division = isDivided && elector(LEASE, { identity: `${shard.of} parts`, isShared: true });
  const all = division ? [division, ...parts] : parts;
  const leadsPart = (at: number): boolean =>
    (division ? division.leads() : true) && (parts[at]?.leads() ?? false);
  const partOf = (bucket: string): number => shardOf(bucket, shard.of) - 1;
  return {
    leases,
    leads: (bucket) => leadsPart(partOf(bucket)),
    minds: (bucket) => partOf(bucket) === shard.index - 1 || leadsPart(partOf(bucket)),
    run: async (signal) => {
      await Promise.all(all.map((one) => one.run(signal)));
    },
    release: async () => {
      await Promise.all(all.map((one) => one.release()));
    },
  };
}
