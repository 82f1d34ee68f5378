import { type Clock, sleep } from '../util/clock.ts';

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
interface ClockReading {
  monotonic: number;
  wallTime: number;
}

/** How long a backup holds what is another's before it offers it again, in milliseconds. */
const STANDBY_HANDBACK_MS = 10 * 60_000;

export const DEFAULT_LEASE_TIMES: LeaseTimes = {
  durationMs: 30_000,
  renewDeadlineMs: 20_000,
  retryMs: 5_000,
};

/**
 * What of a call may still be under way when another begins to lead must have ended by then: an attempt may take no longer
 * than this, in milliseconds.
 */
export const attemptTimeoutOf = ({ durationMs, renewDeadlineMs }: LeaseTimes): number =>
  durationMs - renewDeadlineMs;

export interface Elector {
  /** Whether this process leads now: asked before every attempt of a call that writes. */
  isLeader(): boolean;
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
  isStandby?: boolean;
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
  random: () => number;
  /** Told when it begins and when it ends. */
  onChange: (isLeader: boolean) => void;
  onError?: (error: Error) => void;
}

/** @throws Error for times in which a lease could be held by two. */
export function createElector(options: ElectorOptions): Elector {
  const { store, identity, clock, random } = options;
  const times = options.times ?? DEFAULT_LEASE_TIMES;
  if (!(times.durationMs > times.renewDeadlineMs && times.renewDeadlineMs > 1.2 * times.retryMs))
    throw new Error('a lease must last longer than its renewal may take, and that longer than 1.2 retries');
  /** When the renewal that counts was sent; before its answer, since the record is as old as that. */
  let lastRenewal: ClockReading | undefined;
  let transitions = 0;
  let lastNotified = false;
  /** What somebody else wrote, and since when it is seen: clocks of others are not asked. */
  let observedRecord: { version: string; since: number } | undefined;
  /** Since when it is held. */
  let heldSince = 0;
  const { isStandby = false, isShared = false } = options;

  const readClock = (): ClockReading => ({ monotonic: clock.monotonicNow(), wallTime: clock.now() });
  /**
   * The longer of the two counts, since the clock of a machine that was suspended stood still meanwhile. To begin sooner
   * because the time of day was set would be wrong: who waits for others asks the steady clock alone.
   */
  const elapsedSince = ({ monotonic, wallTime }: ClockReading): number =>
    Math.max(clock.monotonicNow() - monotonic, clock.now() - wallTime);

  const isLeader = (): boolean =>
    lastRenewal !== undefined && elapsedSince(lastRenewal) < times.renewDeadlineMs;

  const notifyChange = (): void => {
    if (isLeader() === lastNotified) return;
    lastNotified = isLeader();
    options.onChange(lastNotified);
  };

  const buildRecord = (now: number, previous?: LeaseRecord): LeaseRecord => {
    const isHolder = previous?.holder === identity;
    return {
      holder: identity,
      durationSeconds: Math.ceil(times.durationMs / 1000),
      acquired: isHolder ? previous.acquired : new Date(now).toISOString(),
      renewed: new Date(now).toISOString(),
      transitions: previous === undefined ? 0 : isHolder ? previous.transitions : previous.transitions + 1,
    };
  };

  /** One attempt to hold it: whether it is held now. */
  async function tryAcquireOrRenew(): Promise<boolean> {
    const startedAt = readClock();
    const stored = await store.read();
    const readAt = readClock();
    const version = stored?.version ?? '';
    if (stored?.record.holder !== identity) {
      if (observedRecord?.version !== version) observedRecord = { version, since: readAt.monotonic };
      const waitMs = (stored ? leaseDurationMs(stored.record) : 0) + (isStandby ? times.durationMs : 0);
      if (readAt.monotonic - observedRecord.since < waitMs) return recordLost();
    } else if (
      isStandby &&
      lastRenewal !== undefined &&
      readAt.monotonic - heldSince >= STANDBY_HANDBACK_MS
    ) {
      await release();
      return false;
    }
    if (!stored) {
      const record = buildRecord(readAt.wallTime);
      return (await store.create(record)) ? recordAcquired(record, readAt) : recordLost();
    }
    const { record } = stored;
    const next = buildRecord(readAt.wallTime, record);
    if (await store.update(next, version)) return recordAcquired(next, readAt);
    const otherStored = isShared ? await store.read() : undefined;
    // Another that leads with it was faster, and has renewed it for both: after it was asked for here.
    return otherStored?.record.holder === identity
      ? recordAcquired(otherStored.record, startedAt)
      : recordLost();
  }

  /** How long it is another's: as long as they say, who may run with another duration, and as long as it is here. */
  const leaseDurationMs = ({ holder, durationSeconds }: LeaseRecord): number =>
    holder === '' ? 0 : Math.max(times.durationMs, durationSeconds * 1000);

  function recordAcquired(record: LeaseRecord, sentAt: ClockReading): boolean {
    if (lastRenewal === undefined) heldSince = sentAt.monotonic;
    lastRenewal = sentAt;
    transitions = record.transitions;
    observedRecord = undefined;
    return true;
  }

  function recordLost(): boolean {
    lastRenewal = undefined;
    return false;
  }

  async function release(): Promise<void> {
    if (lastRenewal === undefined) return;
    lastRenewal = undefined;
    notifyChange();
    if (isShared) return;
    const stored = await store.read();
    if (stored?.record.holder !== identity) return;
    const now = new Date(clock.now()).toISOString();
    await store.update({ ...stored.record, holder: '', durationSeconds: 1, renewed: now }, stored.version);
  }

  return {
    isLeader,
    transitions: () => transitions,
    async run(signal) {
      while (!signal.aborted) {
        try {
          await tryAcquireOrRenew();
        } catch (error) {
          // What became of it is not known: the next look tells. Until then the last renewal counts.
          options.onError?.(error as Error);
        }
        notifyChange();
        const delayMs = lastRenewal === undefined ? times.retryMs * (1 + 0.2 * random()) : times.retryMs;
        // It ends by itself between two attempts, too.
        const remainingMs =
          lastRenewal === undefined ? delayMs : times.renewDeadlineMs - elapsedSince(lastRenewal);
        if (remainingMs > 0 && remainingMs < delayMs) {
          await sleep(clock, remainingMs, signal);
          notifyChange();
          await sleep(clock, delayMs - remainingMs, signal);
        } else await sleep(clock, delayMs, signal);
      }
    },
    release,
  };
}
