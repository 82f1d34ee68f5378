import type { Clock } from '../util/clock.ts';
import type { ChangeEvent } from './change-events.ts';
import { type ChangeSubject, subjectKey } from './change-index.ts';

/** A received event, with the names of the resources that it concerns. */
export interface ReceivedChange {
  event: ChangeEvent;
  names: readonly string[];
  /** Whether this replikey made the change. */
  isOwn: boolean;
  /** Whether a pair uses one of the resources. */
  isRelated: boolean;
  /** When it was received, on the monotonic clock. */
  receivedAt: number;
}

/** The events of the last two hours, in memory. */
export interface ChangeLog {
  /** Adds an event. Returns false for an event that was added before. */
  add(change: Omit<ReceivedChange, 'receivedAt'>): boolean;
  /** Returns the changes of a resource in any account, oldest first. */
  of(subject: Pick<ChangeSubject, 'source' | 'region' | 'name'>): readonly ReceivedChange[];
  /** Returns the events of these names in an account and Region. */
  byName(eventNames: readonly string[], region: string, accountId: string | undefined): ChangeEvent[];
}

const RETENTION_MS = 2 * 3_600_000;

/**
 * Bounds the memory, for related and for unrelated events each. An account with many pipelines writes several changes a second,
 * and these must not displace the evidence for pairs. A later proof may still show that a pair uses a resource.
 */
const MAX_CHANGE_EVENTS = 20_000;

export function createChangeLog(clock: Clock): ChangeLog {
  /** By event id and receiving account, oldest first. A call across accounts has an event in each, with an id of its own. */
  const related = new Map<string, ReceivedChange>();
  const unrelated = new Map<string, ReceivedChange>();
  const bySubject = new Map<string, ReceivedChange[]>();

  const keysOf = ({ event, names }: ReceivedChange): string[] =>
    names.map((name) => subjectKey({ source: event.eventSource, region: event.awsRegion, name }));

  function removeOld(changes: Map<string, ReceivedChange>): void {
    for (const [id, change] of changes) {
      if (changes.size <= MAX_CHANGE_EVENTS && change.receivedAt > clock.monotonicNow() - RETENTION_MS)
        return;
      changes.delete(id);
      for (const key of keysOf(change)) {
        const rest = (bySubject.get(key) ?? []).filter((other) => other !== change);
        if (rest.length > 0) bySubject.set(key, rest);
        else bySubject.delete(key);
      }
    }
  }

  return {
    add(received) {
      const id = `${received.event.recipientAccountId} ${received.event.eventID}`;
      if (related.has(id) || unrelated.has(id)) return false;
      const changes = received.isRelated ? related : unrelated;
      const change = { ...received, receivedAt: clock.monotonicNow() };
      changes.set(id, change);
      for (const key of keysOf(change)) {
        const list = bySubject.get(key);
        if (list) list.push(change);
        else bySubject.set(key, [change]);
      }
      removeOld(related);
      removeOld(unrelated);
      return true;
    },
    of: (subject) => bySubject.get(subjectKey(subject)) ?? [],
    byName(eventNames, region, accountId) {
      const names = new Set(eventNames);
      return [...related.values(), ...unrelated.values()].flatMap(({ event }) =>
        names.has(event.eventName) &&
        event.awsRegion === region &&
        (accountId === undefined || event.recipientAccountId === accountId)
          ? event
          : [],
      );
    },
  };
}
