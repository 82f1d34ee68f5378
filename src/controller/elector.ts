import type { Clock } from './clock.ts';
import { sleep } from './clock.ts';

/** Who may write, as a Lease of Kubernetes says it. */
export interface LeaseRecord {
  /** Empty: nobody. */
  holder: string;
  /** Of the holder, in seconds. */
  durationSeconds: number;
  /** ISO 8601 */
  acquired: string;
  renewed: string;
  /** How often it changed hands: grows, and so tells an earlier holder from a later one. */
  transitions: number;
}

/** Where a lease is kept. What is written conditionally is written by one of all who try. */
export interface LeaseStore {
  /** For logs: `lease replikey in namespace replikey`. */
  name: string;
  /** The record, and what its next version must match; undefined where there is none. */
  read(): Promise<{ record: LeaseRecord; version: string } | undefined>;
  /** False where somebody was faster. Throws where the outcome is not known. */
  create(record: LeaseRecord): Promise<boolean>;
  update(record: LeaseRecord, version: string): Promise<boolean>;
}

/** In milliseconds; the order in which they must lie is that of client-go. */
export interface LeaseTimes {
  /** After this long without a renewal others take over. */
  durationMs: number;
  /** After this long without a renewal the holder stops by itself. */
  renewDeadlineMs: number;
  /** Between two attempts. */
  retryMs: number;
}

/** How long a backup holds what is another's before it offers it again, in milliseconds. */
const OFFER_MS = 10 * 60_000;

export const LEASE_TIMES: LeaseTimes = { durationMs: 30_000, renewDeadlineMs: 20_000, retryMs: 5_000 };

/**
 * What of a call may still be under way when another begins to lead must have ended by then: an attempt may take no longer
 * than this, in milliseconds.
 */
export const attemptTimeout = ({ durationMs, renewDeadlineMs }: LeaseTimes): number =>
  durationMs - renewDeadlineMs;

export interface Elector {
  /** Whether this process leads now: asked before every attempt of a call that writes. */
  leads(): boolean;
  /** How often the lease had changed hands when it came here. */
  transitions(): number;
  /** Try, renew and try again until stopped. */
  run(signal: AbortSignal): Promise<void>;
  /** Give it back, so that another need not wait. */
  release(): Promise<void>;
}

export interface ElectorOptions {
  /**
   * Whether it is only to step in where nobody else does: then it waits for as long again before it takes what nobody
   * holds, and gives it back once in a while, for who should have it to come back to it.
   */
  isBackup?: boolean;
  store: LeaseStore;
  /** Of this process alone: two that share it would both lead. */
  identity: string;
  clock: Clock;
  times?: LeaseTimes;
  chance: () => number;
  /** Told when it begins and when it ends. */
  onChange: (leads: boolean) => void;
  onError?: (error: Error) => void;
}

/** @throws Error for times in which a lease could be held by two. */
export function createElector(options: ElectorOptions): Elector {
  const { store, identity, clock, chance } = options;
  const times = options.times ?? LEASE_TIMES;
  if (!(times.durationMs > times.renewDeadlineMs && times.renewDeadlineMs > 1.2 * times.retryMs))
    throw new Error('a lease must last longer than its renewal may take, and that longer than 1.2 retries');
  /** When the renewal that counts was sent; before its answer, since the record is as old as that. */
  let renewedAt: number | undefined;
  let transitions = 0;
  let told = false;
  /** What somebody else wrote, and when it was first seen: clocks of others are not asked. */
  let seen: { version: string; at: number } | undefined;
  /** Since when it is held. */
  let heldSince = 0;
  const isBackup = options.isBackup ?? false;

  const leads = (): boolean => renewedAt !== undefined && clock.now() - renewedAt < times.renewDeadlineMs;

  const tell = (): void => {
    if (leads() === told) return;
    told = leads();
    options.onChange(told);
  };

  const recordAt = (now: number, before?: LeaseRecord): LeaseRecord => {
    const isOurs = before?.holder === identity;
    return {
      holder: identity,
      durationSeconds: Math.ceil(times.durationMs / 1000),
      acquired: isOurs ? before.acquired : new Date(now).toISOString(),
      renewed: new Date(now).toISOString(),
      transitions: before === undefined ? 0 : isOurs ? before.transitions : before.transitions + 1,
    };
  };

  /** One attempt to hold it: whether it is held now. */
  async function attempt(): Promise<boolean> {
    const found = await store.read();
    const now = clock.now();
    const version = found?.version ?? '';
    if (found?.record.holder !== identity) {
      if (seen?.version !== version) seen = { version, at: now };
      const isHeld = found !== undefined && found.record.holder !== '';
      const patience = (isHeld ? times.durationMs : 0) + (isBackup ? times.durationMs : 0);
      if (now - seen.at < patience) return lost();
    } else if (isBackup && renewedAt !== undefined && now - heldSince >= OFFER_MS) {
      await release();
      return false;
    }
    if (!found) {
      const record = recordAt(now);
      return (await store.create(record)) ? take(record, now) : lost();
    }
    const { record } = found;
    const next = recordAt(now, record);
    return (await store.update(next, version)) ? take(next, now) : lost();
  }

  function take(record: LeaseRecord, sentAt: number): boolean {
    if (renewedAt === undefined) heldSince = sentAt;
    renewedAt = sentAt;
    transitions = record.transitions;
    seen = undefined;
    return true;
  }

  function lost(): boolean {
    renewedAt = undefined;
    return false;
  }

  async function release(): Promise<void> {
    if (renewedAt === undefined) return;
    renewedAt = undefined;
    tell();
    const found = await store.read();
    if (found?.record.holder !== identity) return;
    const now = new Date(clock.now()).toISOString();
    await store.update({ ...found.record, holder: '', durationSeconds: 1, renewed: now }, found.version);
  }

  return {
    leads,
    transitions: () => transitions,
    async run(signal) {
      while (!signal.aborted) {
        try {
          await attempt();
        } catch (error) {
          // What became of it is not known: the next look tells. Until then the last renewal counts.
          options.onError?.(error as Error);
        }
        tell();
        const wait = renewedAt === undefined ? times.retryMs * (1 + 0.2 * chance()) : times.retryMs;
        // It ends by itself between two attempts, too.
        const left = renewedAt === undefined ? wait : renewedAt + times.renewDeadlineMs - clock.now();
        if (left > 0 && left < wait) {
          await sleep(clock, left, signal);
          tell();
          await sleep(clock, wait - left, signal);
        } else await sleep(clock, wait, signal);
      }
    },
    release,
  };
}
