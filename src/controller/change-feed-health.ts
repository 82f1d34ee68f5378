import { type Clock, isoSeconds } from '../util/clock.ts';
import type { ConditionState } from './conditions.ts';

/** A change of which an event should arrive. */
export interface ExpectedEvent {
  pair: string;
  /**
   * `drift`: a pass found a change by another caller. `ownWrite`: replikey made the change itself, which shows whether
   * events arrive at all.
   */
  type: 'drift' | 'ownWrite';
  /** Ids of the changed documents. */
  ids: string[];
  /** Milliseconds since 1970: the period of the change. */
  since: number;
  until: number;
  /** The accounts (12 digits or names) and Regions whose events report it: `111122223333 us-east-1`. */
  places: string[];
  hasArrived(): boolean;
}

/** Judges whether change events arrive: the condition `Events` of each pair. */
export interface ChangeFeedHealth {
  /** Reports a call for messages, with the reason if it failed. */
  recordCall(queueArn: string, failure?: string): void;
  /** Reports an event of an account and Region. It shows that their events arrive again. */
  recordEvent(place: string): void;
  /** Checks after the delivery delay that the event of a change arrived. */
  expect(expected: ExpectedEvent): void;
  /** Reports a pass that found a pair as declared, with its start on the monotonic clock. */
  recordCleanPass(pair: string, startedAt: number): void;
  conditionOf(pair: string): ConditionState;
  forget(pair: string): void;
  close(): void;
}

/**
 * The time within which an event is expected, in milliseconds. CloudTrail delivers events within about 5 minutes on average,
 * without a guarantee (AWS CloudTrail User Guide, "How CloudTrail works").
 */
export const DELIVERY_DELAY_MS = 15 * 60_000;

/** The time for which all calls for messages must fail before the condition changes, in milliseconds. */
const UNREADABLE_AFTER_MS = 60_000;

interface MissedEvent extends ExpectedEvent {
  /** On the monotonic clock. */
  foundAt: number;
  reportedAt: number;
}

interface ChangeFeedHealthOptions {
  clock: Clock;
  /** Called when the condition of one pair, or of all pairs, may have changed. */
  onChange(pair?: string): void;
  /** Called once for each missed event. */
  onMissed(expected: ExpectedEvent, message: string): void;
}

export function createChangeFeedHealth({
  clock,
  onChange,
  onMissed,
}: ChangeFeedHealthOptions): ChangeFeedHealth {
  /** By ARN of the queue, since the first of consecutive failures. */
  const failures = new Map<string, { since: number; at: string; reason: string; isReported: boolean }>();
  let hasReceived = false;
  let isClosed = false;
  /** Timers by pair and type. An earlier expectation stays, so that frequent changes do not postpone its check. */
  const timers = new Map<string, () => void>();
  const missed = new Map<string, MissedEvent>();
  /** When an event was last received, by account and Region, on the monotonic clock. */
  const lastEventAt = new Map<string, number>();

  function check(expected: ExpectedEvent, foundAt: number): void {
    if (expected.hasArrived()) return;
    const earlier = missed.get(expected.pair);
    // Drift that no event announced is the more important evidence.
    if (earlier?.type === 'drift' && expected.type === 'ownWrite') return;
    const event = { ...expected, foundAt, reportedAt: clock.monotonicNow() };
    missed.set(expected.pair, event);
    onMissed(expected, missedMessage(event));
    onChange(expected.pair);
  }

  function clear(pair: string): void {
    missed.delete(pair);
    onChange(pair);
  }

  return {
    recordCall(queueArn, reason) {
      if (reason === undefined) {
        const wasReported = failures.get(queueArn)?.isReported;
        failures.delete(queueArn);
        if (!hasReceived || wasReported) {
          hasReceived = true;
          onChange();
        }
        return;
      }
      const now = clock.monotonicNow();
      const failure = failures.get(queueArn) ?? {
        since: now,
        at: isoSeconds(clock.now()),
        reason,
        isReported: false,
      };
      failures.set(queueArn, failure);
      if (failure.isReported || now - failure.since < UNREADABLE_AFTER_MS) return;
      failures.set(queueArn, { ...failure, reason, isReported: true });
      onChange();
    },
    recordEvent(place) {
      const now = clock.monotonicNow();
      lastEventAt.set(place, now);
      for (const [pair, { places }] of missed) if (places.includes(place)) clear(pair);
    },
    expect(expected) {
      const key = `${expected.type} ${expected.pair}`;
      if (isClosed || timers.has(key)) return;
      const foundAt = clock.monotonicNow();
      const cancel = clock.schedule(DELIVERY_DELAY_MS, () => {
        timers.delete(key);
        check(expected, foundAt);
      });
      timers.set(key, cancel);
    },
    recordCleanPass(pair, startedAt) {
      const event = missed.get(pair);
      if (!event || startedAt < event.reportedAt) return;
      // A single event was lost: others of the same account and Region have arrived since.
      if (event.places.some((place) => (lastEventAt.get(place) ?? 0) > event.foundAt)) clear(pair);
    },
    conditionOf(pair) {
      const [unreadable] = [...failures].filter(([, { isReported }]) => isReported);
      if (unreadable) {
        const [arn, { at, reason }] = unreadable;
        return {
          status: 'False',
          reason: 'Unreadable',
          message: `cannot receive change events from ${arn} since ${at}: ${reason}; check that the queue exists, and that replikey may use sqs:ReceiveMessage and sqs:DeleteMessage`,
        };
      }
      const event = missed.get(pair);
      if (event)
        return {
          status: 'False',
          reason: event.type === 'drift' ? 'ChangeMissed' : 'NoEvents',
          message: missedMessage(event),
        };
      return hasReceived
        ? { status: 'True', reason: 'Receiving', message: 'replikey receives change events' }
        : { status: 'Unknown', reason: 'Pending', message: 'replikey has not received from the queue yet' };
    },
    forget(pair) {
      for (const type of ['drift', 'ownWrite']) {
        timers.get(`${type} ${pair}`)?.();
        timers.delete(`${type} ${pair}`);
      }
      missed.delete(pair);
    },
    close() {
      isClosed = true;
      for (const cancel of timers.values()) cancel();
      timers.clear();
    },
  };
}

const MAX_LISTED_IDS = 3;

function missedMessage({ type, ids, since, until, places }: ExpectedEvent): string {
  const more = ids.length - MAX_LISTED_IDS;
  const listed = `${ids.slice(0, MAX_LISTED_IDS).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
  const what =
    type === 'drift'
      ? `no event announced the change of ${listed} between ${isoSeconds(since)} and ${isoSeconds(until)}`
      : `no event arrived for the change of ${listed} that replikey made at ${isoSeconds(since)}`;
  const where = places.map((place) => place.replace(' ', ' in ')).join(', ');
  return `${what}: check that a trail with logging on records account ${where}, and that its EventBridge rule forwards the events to the queue (reconcile events --cloudformation)`;
}
