import type { Clock } from './clock.ts';
import { createElector, type LeaseStore, type LeaseTimes } from './elector.ts';
import { type Shard, shardOf } from './shards.ts';

/** Which pairs this process writes to. */
export interface Leadership {
  /** Whether it may write to the pairs of a source bucket now: asked before every attempt of a call that writes. */
  leads(bucket: string): boolean;
  /** Whether it looks after them: those it leads, and those that it is for. */
  minds(bucket: string): boolean;
  run(signal: AbortSignal): Promise<void>;
  /** Give everything back. */
  release(): Promise<void>;
}

export interface LeadershipOptions {
  /** Absent: all pairs are one part. */
  shard?: Shard;
  store(name: string): LeaseStore;
  identity: string;
  clock: Clock;
  times: LeaseTimes;
  chance: () => number;
  /** Told when it begins and when it ceases to lead something. */
  onChange: (what: { name: string; leads: boolean; any: boolean }) => void;
  onError: (name: string, error: Error) => void;
}

/** A lease for each part of the pairs: this process is for one of them, and stands in for the others. */
export function createLeadership(options: LeadershipOptions): Leadership {
  const { shard = { index: 1, of: 1 }, store, onChange, onError, ...rest } = options;
  const electors = Array.from({ length: shard.of }, (_, at) => {
    const name = shard.of === 1 ? 'replikey' : `replikey-${at + 1}-of-${shard.of}`;
    return createElector({
      ...rest,
      store: store(name),
      isBackup: at + 1 !== shard.index,
      onChange: (leads) => onChange({ name, leads, any: electors.some((one) => one.leads()) }),
      onError: (error) => onError(name, error),
    });
  });
  const electorOf = (bucket: string) => electors[shardOf(bucket, shard.of) - 1];
  return {
    leads: (bucket) => electorOf(bucket)?.leads() ?? false,
    minds: (bucket) => shardOf(bucket, shard.of) === shard.index || (electorOf(bucket)?.leads() ?? false),
    run: async (signal) => {
      await Promise.all(electors.map((one) => one.run(signal)));
    },
    release: async () => {
      await Promise.all(electors.map((one) => one.release()));
    },
  };
}
