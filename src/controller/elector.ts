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

/** One moment, on the steady clock and as time of day. */
interface Moment {
  elapsed: number;
  timeOfDay: number;
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
  /** Of this process alone: two that share it both lead. */
  identity: string;
  /**
   * Whether others lead with it by the same identity, which is then no mistake: what one of them renews is renewed for
   * all, and none gives it back, since nobody knows who is the last.
   */
  isShared?: boolean;
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
  let renewed: Moment | undefined;
  let transitions = 0;
  let told = false;
  /** What somebody else wrote, and since when it is seen: clocks of others are not asked. */
  let seen: { version: string; since: number } | undefined;
  /** Since when it is held. */
  let heldSince = 0;
  const { isBackup = false, isShared = false } = options;

  const moment = (): Moment => ({ elapsed: clock.elapsed(), timeOfDay: clock.now() });
  /**
   * The longer of the two counts, since the clock of a machine that was suspended stood still meanwhile. To begin sooner
   * because the time of day was set would be wrong: who waits for others asks the steady clock alone.
   */
  const since = ({ elapsed, timeOfDay }: Moment): number =>
    Math.max(clock.elapsed() - elapsed, clock.now() - timeOfDay);

  const leads = (): boolean => renewed !== undefined && since(renewed) < times.renewDeadlineMs;

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
    const asked = moment();
    const found = await store.read();
    const at = moment();
    const version = found?.version ?? '';
    if (found?.record.holder !== identity) {
      if (seen?.version !== version) seen = { version, since: at.elapsed };
      const patience = (found ? lastingMs(found.record) : 0) + (isBackup ? times.durationMs : 0);
      if (at.elapsed - seen.since < patience) return lost();
    } else if (isBackup && renewed !== undefined && at.elapsed - heldSince >= OFFER_MS) {
      await release();
      return false;
    }
    if (!found) {
      const record = recordAt(at.timeOfDay);
      return (await store.create(record)) ? take(record, at) : lost();
    }
    const { record } = found;
    const next = recordAt(at.timeOfDay, record);
    if (await store.update(next, version)) return take(next, at);
    const other = isShared ? await store.read() : undefined;
    // Another that leads with it was faster, and has renewed it for both: after it was asked for here.
    return other?.record.holder === identity ? take(other.record, asked) : lost();
  }

  /** How long it is another's: as long as they say, who may run with another duration, and as long as it is here. */
  const lastingMs = ({ holder, durationSeconds }: LeaseRecord): number =>
    holder === '' ? 0 : Math.max(times.durationMs, durationSeconds * 1000);

  function take(record: LeaseRecord, sent: Moment): boolean {
    if (renewed === undefined) heldSince = sent.elapsed;
    renewed = sent;
    transitions = record.transitions;
    seen = undefined;
    return true;
  }

  function lost(): boolean {
    renewed = undefined;
    return false;
  }

  async function release(): Promise<void> {
    if (renewed === undefined) return;
    renewed = undefined;
    tell();
    if (isShared) return;
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
        const wait = renewed === undefined ? times.retryMs * (1 + 0.2 * chance()) : times.retryMs;
        // It ends by itself between two attempts, too.
        const left = renewed === undefined ? wait : times.renewDeadlineMs - since(renewed);
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
