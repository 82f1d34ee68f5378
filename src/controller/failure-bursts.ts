import { createHash } from 'node:crypto';
import type { FailureEvent } from './failure-events.ts';
import { type FailureBurst, formatLastChange } from './status.ts';

/** A burst ends after this time without a failure, in milliseconds. S3 reports most failures within minutes. */
const BURST_IDLE_MS = 15 * 60_000;

/** A burst stays visible for this time after its last failure, in milliseconds. */
const BURST_HISTORY_MS = 24 * 3_600_000;

/** The number of keys of a burst, and their length in characters: the newest is always kept. */
const MAX_KEYS = 20;
const MAX_KEYS_LENGTH = 4_096;

/** The number of bursts of a pair, and of all bursts that keep keys. A further burst is only counted. */
const MAX_BURSTS_OF_PAIR = 200;
const MAX_BURSTS_WITH_KEYS = 2_000;

/** The number of events that are remembered, because SQS and S3 may deliver an event more than once. */
const MAX_REMEMBERED_EVENTS = 50_000;

/**
 * Whether a failed operation was a deletion: S3 could not replicate a delete marker. No data is missing then, so such a
 * failure does not make a pair unhealthy. AWS documents `OBJECT_PUT` alone by name.
 */
export const isDeletion = ({ operation }: Pick<FailureBurst, 'operation'>): boolean =>
  /DELETE/i.test(operation);

/** Returns a burst with one more failure. The events are unordered. Pure. */
export function addFailure(
  burst: FailureBurst,
  event: FailureEvent,
  now: number,
  keepsKeys = true,
): FailureBurst {
  const time = timeOf(event, now);
  const earlierKeys = burst.keys.filter((key) => key !== event.key);
  return {
    ...burst,
    count: burst.count + 1,
    since: time < burst.since ? time : burst.since,
    until: time > burst.until ? time : burst.until,
    keys: keepsKeys ? limitKeys([event.key, ...earlierKeys]) : burst.keys,
  };
}

/** Returns the burst that begins with a failure. Pure. */
export function startBurst(id: string, event: FailureEvent, now: number, keepsKeys = true): FailureBurst {
  const { bucket, rule, reason, operation, key } = event;
  const time = timeOf(event, now);
  const keys = keepsKeys ? [key] : [];
  return { id, bucket, rule, reason, operation, count: 1, since: time, until: time, keys };
}

/** Returns the time of the failed request. A time in the future is wrong. */
function timeOf({ requestedAt, reportedAt }: FailureEvent, now: number): string {
  const times = [requestedAt, reportedAt].filter((time) => time !== undefined && time <= now);
  return new Date(times[0] ?? now).toISOString();
}

function limitKeys(keys: readonly string[]): string[] {
  let length = 0;
  return keys.slice(0, MAX_KEYS).filter((key, index) => {
    length += key.length;
    return index === 0 || length <= MAX_KEYS_LENGTH;
  });
}

/** The bursts of all pairs, in bounded memory. */
export interface FailureBursts {
  /**
   * Counts a failure of a pair. Returns its burst and whether the failure begins it; undefined for an event that was
   * counted before.
   */
  add(pair: string, event: FailureEvent): { burst: FailureBurst; isNew: boolean } | undefined;
  /** Replaces a burst by its id; a burst that was removed stays removed. */
  update(pair: string, id: string, change: (burst: FailureBurst) => FailureBurst): void;
  find(pair: string, id: string): FailureBurst | undefined;
  /** Returns the bursts of a pair, newest first. */
  of(pair: string): FailureBurst[];
  /** Ends the bursts without a recent failure, and removes those of yesterday. Returns their pairs. */
  expire(): string[];
  /** Returns when the next burst ends or is removed without a further failure, in milliseconds of `now`; undefined: none. */
  nextExpiry(): number | undefined;
  forget(pair: string): void;
}

interface BurstEntry {
  burst: FailureBurst;
  keepsKeys: boolean;
  /** When the last failure was received. The events of a backlog are old, and yet they belong together. */
  receivedAt: number;
}

/** @param now returns milliseconds that never go back */
export function createFailureBursts({
  now,
  wallTime,
  onRemove,
}: {
  now: () => number;
  wallTime: () => number;
  onRemove?: (pair: string, id: string) => void;
}): FailureBursts {
  const entriesByPair = new Map<string, Map<string, BurstEntry>>();
  const remembered = new Set<string>();
  let started = 0;
  let withKeys = 0;

  const entriesOf = (pair: string): BurstEntry[] => [...(entriesByPair.get(pair)?.values() ?? [])];
  const expiryOf = ({ burst, receivedAt }: BurstEntry): number =>
    receivedAt + (burst.endedAt === undefined ? BURST_IDLE_MS : BURST_HISTORY_MS);

  function isRepeated(event: FailureEvent): boolean {
    const digest = eventDigest(event);
    if (remembered.has(digest)) return true;
    remembered.add(digest);
    // A Set is in the order of its additions.
    if (remembered.size > MAX_REMEMBERED_EVENTS)
      for (const oldest of remembered) {
        remembered.delete(oldest);
        break;
      }
    return false;
  }

  function remove(pair: string, key: string): void {
    const entry = entriesByPair.get(pair)?.get(key);
    if (!entry) return;
    if (entry.keepsKeys) withKeys -= 1;
    entriesByPair.get(pair)?.delete(key);
    onRemove?.(pair, entry.burst.id);
  }

  return {
    add(pair, event) {
      if (isRepeated(event)) return undefined;
      const entries = entriesByPair.get(pair) ?? new Map<string, BurstEntry>();
      entriesByPair.set(pair, entries);
      const key = JSON.stringify([event.bucket, event.rule, event.reason, isDeletion(event)]);
      const entry = entries.get(key);
      if (entry && entry.burst.endedAt === undefined) {
        entry.burst = addFailure(entry.burst, event, wallTime(), entry.keepsKeys);
        entry.receivedAt = now();
        return { burst: entry.burst, isNew: false };
      }
      if (entry) remove(pair, key);
      const [oldest] = entries.keys();
      if (entries.size >= MAX_BURSTS_OF_PAIR && oldest !== undefined) remove(pair, oldest);
      const keepsKeys = withKeys < MAX_BURSTS_WITH_KEYS;
      if (keepsKeys) withKeys += 1;
      started += 1;
      const burst = startBurst(String(started), event, wallTime(), keepsKeys);
      entries.set(key, { burst, keepsKeys, receivedAt: now() });
      return { burst, isNew: true };
    },
    update(pair, id, change) {
      const entry = entriesOf(pair).find(({ burst }) => burst.id === id);
      if (entry) entry.burst = change(entry.burst);
    },
    find: (pair, id) => entriesOf(pair).find(({ burst }) => burst.id === id)?.burst,
    of: (pair) =>
      entriesOf(pair)
        .map(({ burst }) => burst)
        .sort((a, b) => Date.parse(b.until) - Date.parse(a.until)),
    expire() {
      const changedPairs = new Set<string>();
      const endedAt = new Date(wallTime()).toISOString();
      for (const [pair, entries] of entriesByPair)
        for (const [key, entry] of entries) {
          if (now() < expiryOf(entry)) continue;
          if (entry.burst.endedAt === undefined) entry.burst = { ...entry.burst, endedAt };
          else remove(pair, key);
          changedPairs.add(pair);
        }
      return [...changedPairs];
    },
    nextExpiry() {
      const times = [...entriesByPair.keys()].flatMap((pair) => entriesOf(pair).map(expiryOf));
      return times.length === 0 ? undefined : times.reduce((first, time) => Math.min(first, time));
    },
    forget(pair) {
      for (const key of entriesByPair.get(pair)?.keys() ?? []) remove(pair, key);
      entriesByPair.delete(pair);
    },
  };
}

/** Returns a short digest of what identifies an event: several thousand of them have to fit into memory. */
const eventDigest = ({
  bucket,
  key,
  versionId,
  sequencer,
  rule,
  operation,
  reason,
  requestedAt,
}: FailureEvent): string =>
  createHash('sha256')
    .update(JSON.stringify([bucket, key, versionId, sequencer, rule, operation, reason, requestedAt]))
    .digest('base64')
    .slice(0, 20);

/** The number of bursts in the status of a pair, and the length of their details in characters of JSON. */
const MAX_SHOWN_BURSTS = 10;
const MAX_SHOWN_LENGTH = 16 * 1_024;

/**
 * Returns the newest bursts within the limits of a status: the ones that continue first. Beyond the length, a burst keeps
 * its first key and no commands. Pure.
 */
export function limitBursts(bursts: readonly FailureBurst[]): FailureBurst[] {
  let length = 0;
  const isEnded = ({ endedAt }: FailureBurst) => Number(endedAt !== undefined);
  return [...bursts]
    .sort((a, b) => isEnded(a) - isEnded(b) || Date.parse(b.until) - Date.parse(a.until))
    .slice(0, MAX_SHOWN_BURSTS)
    .map((burst) => {
      const burstLength = JSON.stringify(burst).length;
      if (length + burstLength <= MAX_SHOWN_LENGTH) {
        length += burstLength;
        return burst;
      }
      const { commands: _, ...rest } = burst;
      return { ...rest, keys: burst.keys.slice(0, 1) };
    });
}

/**
 * Returns a burst as a sentence: `tax/tax: 214 objects since 2026-11-30T10:02:00Z, SrcGetObjectNotPermitted: …`, with
 * cause, author and fix if they are known. Pure.
 */
export function formatBurst(burst: FailureBurst): string {
  const { rule, reason, count, since, cause, lastChange, reverted, fix } = burst;
  const [singular, plural] = isDeletion(burst) ? ['delete marker', 'delete markers'] : ['object', 'objects'];
  const counts = `${count.toLocaleString('en')} ${count === 1 ? singular : plural}`;
  const details = [
    ...(cause === undefined ? [] : [cause]),
    ...(lastChange ? [formatLastChange(lastChange)] : []),
    ...(reverted ? [`replikey reverted ${reverted.ids.join(', ')} at ${toSeconds(reverted.at)}`] : []),
  ];
  return [
    `${rule.replace(/^replikey\//, '')}: ${counts} since ${toSeconds(since)}, ${reason}`,
    ...(details.length === 0 ? [] : [`: ${details.join('; ')}`]),
    ...(fix === undefined ? [] : [`. Fix: ${fix}`]),
  ].join('');
}

const toSeconds = (time: string): string => time.replace(/\.\d+Z$/, 'Z');
