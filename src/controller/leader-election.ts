import { type Clock, sleep } from '../util/clock.ts';

/** The holder of a lease, in the form of a Kubernetes Lease. */
export interface LeaseRecord {
  /** Empty: the lease has no holder. */
  holder: string;
  /** Duration that the holder declares, in seconds. */
  durationSeconds: number;
  /** ISO 8601 */
  acquired: string;
  renewed: string;
  /**
   * How often the holder changed. The number only grows, and so distinguishes an earlier holder from a later holder.
   */
  transitions: number;
}

/** Stores a lease. Writes are conditional, so that only one of several concurrent writers succeeds. */
export interface LeaseStore {
  /** For logs: `lease replikey in namespace replikey`. */
  name: string;
  /** Returns the record and the version that the next write must match, or undefined if no record exists. */
  read(): Promise<{ record: LeaseRecord; version: string } | undefined>;
  /** Returns false if another process wrote first. Throws if the outcome is unknown. */
  create(record: LeaseRecord): Promise<boolean>;
  update(record: LeaseRecord, version: string): Promise<boolean>;
}

/** Times in milliseconds; their required order is that of client-go. */
export interface LeaseTimes {
  /** Another process takes over after this time without a renewal. */
  durationMs: number;
  /** The holder stops by itself after this time without a renewal. */
  renewDeadlineMs: number;
  /** Time between two attempts. */
  retryMs: number;
}

/** One moment, on the monotonic clock and as time of day. */
interface ClockReading {
  monotonic: number;
  wallTime: number;
}

/** How long a standby holds a lease before it releases it for the preferred process, in milliseconds. */
const STANDBY_HANDBACK_MS = 10 * 60_000;

/** The wait after another process wrote a lease first, in milliseconds. */
const LOST_RACE_MS = 100;

export const DEFAULT_LEASE_TIMES: LeaseTimes = {
  durationMs: 30_000,
  renewDeadlineMs: 20_000,
  retryMs: 5_000,
};

/**
 * Returns the maximum duration of an attempt of an AWS call, in milliseconds. A call in flight then ends before
 * another process can lead.
 */
export const attemptTimeoutOf = ({ durationMs, renewDeadlineMs }: LeaseTimes): number =>
  durationMs - renewDeadlineMs;

export interface Elector {
  /** Whether this process leads now. Checked before every attempt of a call that writes. */
  isLeader(): boolean;
  /** How often the holder of the lease had changed when this process acquired it. */
  transitions(): number;
  /** Acquires and renews the lease until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /**
   * Acquires the lease for a run that does not wait for its holder. Returns the record of the other process that holds
   * the lease, or undefined if this process now holds it. If a holder seems to have ended without a release, observes the
   * lease until it expires.
   *
   * @param onWait called once before such a wait, with the maximum wait in milliseconds
   * @throws the error of the store, or the reason of the interruption
   */
  acquire(options: {
    signal: AbortSignal;
    onWait: (record: LeaseRecord, ms: number) => void;
  }): Promise<LeaseRecord | undefined>;
  /** Releases the lease, so that another process need not wait until it expires. */
  release(): Promise<void>;
}

export interface ElectorOptions {
  /**
   * Whether this process takes the lease only as a substitute. It waits for a further lease duration before it takes a
   * free lease. It releases the lease at intervals, so that the preferred process can take it back.
   */
  isStandby?: boolean;
  store: LeaseStore;
  /** Unique for this process: two processes with the same identity would both lead. */
  identity: string;
  /**
   * Whether several processes intentionally lead with the same identity. A renewal by one process counts for all. No
   * process releases the lease, because none knows whether it is the last.
   */
  isShared?: boolean;
  clock: Clock;
  times?: LeaseTimes;
  random: () => number;
  /** Called when the leadership begins and when it ends. */
  onChange: (isLeader: boolean) => void;
  onError?: (error: Error) => void;
}

/** @throws Error for times with which two processes could hold a lease. */
export function createElector(options: ElectorOptions): Elector {
  const { store, identity, clock, random } = options;
  const times = options.times ?? DEFAULT_LEASE_TIMES;
  if (!(times.durationMs > times.renewDeadlineMs && times.renewDeadlineMs > 1.2 * times.retryMs))
    throw new Error(
      'invalid lease times: the duration must exceed the renew deadline, and the renew deadline 1.2 times the retry interval',
    );
  /** When the last successful renewal was sent. Not when its response arrived: the record is as old as the request. */
  let lastRenewal: ClockReading | undefined;
  let transitions = 0;
  let lastNotified = false;
  /**
   * The version that another process wrote, and when this process first saw it. Clocks of other processes are not
   * used.
   */
  let observedRecord: { version: string; since: number; record: LeaseRecord | undefined } | undefined;
  /** When this process acquired the lease. */
  let heldSince = 0;
  const { isStandby = false, isShared = false } = options;

  const readClock = (): ClockReading => ({ monotonic: clock.monotonicNow(), wallTime: clock.now() });
  /**
   * Returns the longer of the two elapsed times, because the monotonic clock may stop while a machine is suspended.
   * Only the holder uses it. A process that waits for another holder uses the monotonic clock alone: a changed time of
   * day must not make it take over sooner.
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

  /** Makes one attempt to acquire or renew the lease, and returns whether this process holds it. */
  async function tryAcquireOrRenew(): Promise<boolean> {
    const startedAt = readClock();
    const stored = await store.read();
    const readAt = readClock();
    const version = stored?.version ?? '';
    if (stored?.record.holder !== identity) {
      if (observedRecord?.version !== version)
        observedRecord = { version, since: readAt.monotonic, record: stored?.record };
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
    // A process with the same identity renewed the lease for all of them, after this attempt started.
    return otherStored?.record.holder === identity
      ? recordAcquired(otherStored.record, startedAt)
      : recordLost();
  }

  /**
   * How long a lease belongs to another holder: the longer of its declared duration and the duration configured here.
   */
  const leaseDurationMs = ({ holder, durationSeconds }: LeaseRecord): number =>
    holder === '' ? 0 : Math.max(times.durationMs, durationSeconds * 1000);

  /**
   * Whether a lease was renewed within its duration, by the wall clock. Only a process that then gives up uses it: with a
   * wrong clock it gives up too often, but never takes a lease that another process holds.
   */
  const isFresh = (record: LeaseRecord): boolean => {
    const ageMs = clock.now() - Date.parse(record.renewed);
    return ageMs >= 0 && ageMs < leaseDurationMs(record);
  };

  async function acquire({ signal, onWait }: Parameters<Elector['acquire']>[0]) {
    let firstVersion: string | undefined;
    for (;;) {
      signal.throwIfAborted();
      const isAcquired = await tryAcquireOrRenew();
      notifyChange();
      if (isAcquired) return undefined;
      const { version = '', since = 0, record } = observedRecord ?? {};
      const isFirst = firstVersion === undefined;
      firstVersion ??= version;
      if (!record?.holder) {
        // Another process wrote at the same time. The next read shows its record.
        await sleep(clock, LOST_RACE_MS, signal);
        continue;
      }
      // A changed version is a renewal, or the record of another new holder.
      if (version !== firstVersion || isFresh(record)) return record;
      const remainingMs = since + leaseDurationMs(record) - clock.monotonicNow();
      if (isFirst) onWait(record, remainingMs);
      await sleep(clock, Math.min(remainingMs, times.retryMs), signal);
    }
  }

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
    acquire,
    transitions: () => transitions,
    async run(signal) {
      while (!signal.aborted) {
        try {
          await tryAcquireOrRenew();
        } catch (error) {
          // The outcome is unknown; the next read shows it. Until then the last renewal counts.
          options.onError?.(error as Error);
        }
        notifyChange();
        const delayMs = lastRenewal === undefined ? times.retryMs * (1 + 0.2 * random()) : times.retryMs;
        // The leadership can also expire between two attempts.
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
