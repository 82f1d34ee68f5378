import type { AwsClient } from '../aws/client.ts';
import type { Kind } from '../core/kind.ts';
import type { Location, Resource, Step } from '../core/resource.ts';
import { changeEventNames } from '../kinds/cloudtrail-events.ts';
import { auditSubjects } from '../kinds/index.ts';
import { createDedupedLog, type Log } from '../log.ts';
import type { Outcome } from '../reconcile/pass.ts';
import type { Specs } from '../spec/types.ts';
import type { QueueAddress } from '../util/arn.ts';
import { type Clock, createAbortController } from '../util/clock.ts';
import { eventNamesOf } from './attribution.ts';
import { type AuditRecord, isReplikey } from './audit-record.ts';
import { type ChangeEvent, parseChangeMessage } from './change-events.ts';
import { createChangeFeedHealth } from './change-feed-health.ts';
import { type ChangeIndex, type ChangeSubject, createChangeIndex, provenSubjects } from './change-index.ts';
import { createChangeLog, type ReceivedChange } from './change-log.ts';
import type { ConditionState } from './conditions.ts';
import {
  consumeQueue,
  type Disposition,
  isLeaderForAny,
  locationOfQueue,
  type QueueSource,
} from './event-queue.ts';
import type { PairStatus } from './status.ts';
import { keysBySpec, type WorkItem } from './work-items.ts';

export interface ChangeMonitorOptions extends QueueSource {
  kinds: ReadonlyMap<string, Kind>;
  clock: Clock;
  random: () => number;
  log: Log;
  client(): AwsClient;
  /** Returns the current specs; undefined before there are any. */
  specs(): Specs | undefined;
  /** Returns the declared items, and those that this process handles. */
  items(): { declared: ReadonlyMap<string, WorkItem>; assigned: ReadonlyMap<string, WorkItem> };
  isLeaderFor(item: WorkItem): boolean;
  /** Returns the id of an account by the name of its Account document; undefined while it is not known. */
  accountIdOf(name: string | undefined): string | undefined;
  statusOf(pair: string): PairStatus | undefined;
  /** Queues a pass for a pair after some milliseconds, unless one is due earlier. */
  requestPass(pair: string, delayMs: number): void;
  /** Receives the condition `Events` of a pair when it may have changed. */
  onCondition(pair: string, condition: ConditionState): void;
  /** Counts an event, for metrics. `ageMs`: the time since the change. */
  onEvent?(event: { result: ChangeResult; ageMs: number }): void;
}

/**
 * What follows from an event: a pass over its pairs; none, because a pass has read the change already (`stale`), because
 * replikey made it (`own`), because the call failed (`failed`), or because no pair uses the resource (`unrelated`).
 */
export type ChangeResult = 'pass' | 'stale' | 'own' | 'failed' | 'unrelated';

/** A completed pass over a pair. */
export interface CompletedPass {
  pair: string;
  /** The start, in milliseconds since 1970 by the clock of AWS, and on the monotonic clock. */
  startedAt: number;
  startedMonotonic: number;
  outcome: Outcome;
  status: PairStatus;
}

/** Consumes change events, and queues a pass for each pair that a change concerns. */
export interface ChangeMonitor {
  /** Takes the resources of the current specs. */
  update(resources: readonly Resource[]): void;
  recordPass(pass: CompletedPass): void;
  conditionOf(pair: string): ConditionState;
  /** Returns the events of these names that were received from a location. */
  receivedEvents(location: Location, eventNames: readonly string[]): AuditRecord[];
  forget(pair: string): void;
  /** Stops receiving, and waits for the work in flight. */
  drain(): Promise<void>;
}

/** Gathers the changes of one action, of which each is an event, into one pass. */
export const CHANGE_DEBOUNCE_MS = 5_000;

/** How long after a change a read may still return the previous state, in milliseconds, with a margin for clocks. */
const CONSISTENCY_MS = 60_000;

/** CloudTrail gives times in whole seconds. */
const TIME_PRECISION_MS = 1_000;

/** How long a message for pairs of several processes is returned after it was first received, in milliseconds. */
const SHARED_RETURN_MS = 60_000;

export function createChangeMonitor(options: ChangeMonitorOptions): ChangeMonitor {
  const { kinds, clock, log, queues, items, isLeaderFor, accountIdOf } = options;
  const stop = createAbortController();
  const warnings = createDedupedLog({
    clock,
    windowMs: 3_600_000,
    write: (cause, subjects, count) =>
      log.warn({ queues: subjects }, count > 1 ? `${cause} (${count} times)` : cause),
  });
  const eventNames = new Map(
    [...changeEventNames(kinds.values())].map(([source, names]) => [source, new Set(names)]),
  );
  const changes = createChangeLog(clock);
  const health = createChangeFeedHealth({
    clock,
    onChange: (pair) => {
      const pairs = pair === undefined ? [...items().assigned.keys()] : [pair];
      for (const each of pairs) options.onCondition(each, health.conditionOf(each));
    },
    onMissed: ({ pair }, message) => log.warn({ pair }, `change event missed: ${message}`),
  });
  let index: ChangeIndex = createChangeIndex({ kinds, resources: [], keyOf: () => undefined, accountIdOf });
  /** By pair: the start of the last pass that found it as declared, and the end of the last pass that wrote. */
  const cleanSince = new Map<string, number>();
  const wroteUntil = new Map<string, number>();
  /** By event: when a message for pairs of other processes was first received. */
  const returnedSince = new Map<string, number>();

  const isHandled = (pair: string): boolean => {
    const item = items().assigned.get(pair);
    return item !== undefined && isLeaderFor(item);
  };

  function handle(body: string, queue: QueueAddress): Disposition {
    const message = parseChangeMessage(body);
    if (message.type === 'unknown') {
      warnings.add(
        `a message is no change event: ${message.why}; it stays in the queue, so that SQS moves it to the dead-letter queue`,
        queue.arn,
      );
      return 'unknown';
    }
    const { event } = message;
    const names = eventNames.get(event.eventSource)?.has(event.eventName) ? index.namesOf(event) : [];
    if (names.length === 0) return count(event, 'unrelated');
    if (event.errorCode !== undefined) return count(event, 'failed');
    const isOwn = isOwnChange(event);
    const pairs = index.pairsOf(event);
    const isNew = changes.add({ event, names, isOwn, isRelated: pairs.length > 0 });
    health.recordEvent(placeOf(event.recipientAccountId, event.awsRegion));
    if (isNew) {
      const requested = isOwn ? [] : pairs.filter((pair) => isHandled(pair) && !isStale(event, pair));
      for (const pair of requested) options.requestPass(pair, CHANGE_DEBOUNCE_MS);
      const result = isOwn ? 'own' : requested.length > 0 ? 'pass' : pairs.length > 0 ? 'stale' : 'unrelated';
      count(event, result);
    }
    return dispositionOf(event, names, pairs);
  }

  function count(event: ChangeEvent, result: ChangeResult): Disposition {
    options.onEvent?.({ result, ageMs: Math.max(0, clock.now() - Date.parse(event.eventTime)) });
    return 'handled';
  }

  /**
   * Returns a message of which other processes may need to know. A message for pairs of this process alone is handled. One for
   * pairs of several processes is returned for a minute, so that each of them receives it.
   */
  function dispositionOf(
    event: ChangeEvent,
    names: readonly string[],
    pairs: readonly string[],
  ): Disposition {
    const isForOthers = pairs.some((pair) => !isHandled(pair));
    if (!isForOthers && !mayConcernOthers(event, names)) return 'handled';
    if (pairs.length > 0 && !pairs.some(isHandled)) return 'elsewhere';
    const now = clock.monotonicNow();
    for (const [id, at] of returnedSince) {
      if (now - at < 2 * SHARED_RETURN_MS) break;
      returnedSince.delete(id);
    }
    const since = returnedSince.get(event.eventID) ?? now;
    returnedSince.set(event.eventID, since);
    return now - since < SHARED_RETURN_MS ? 'elsewhere' : 'handled';
  }

  /** Only the process that handles a pair knows the keys behind its aliases, and the policies of its role. */
  const mayConcernOthers = ({ eventSource }: ChangeEvent, names: readonly string[]): boolean => {
    const isLearned = (name: string) =>
      eventSource === auditSubjects.key.source ? !name.startsWith('alias/') : name.startsWith('arn:');
    return names.some(isLearned) && !handlesAll();
  };

  let completeness = { at: Number.NEGATIVE_INFINITY, isComplete: true };
  /** Whether this process handles every declared pair, determined at most once a second. */
  function handlesAll(): boolean {
    const now = clock.monotonicNow();
    if (now - completeness.at >= 1_000)
      completeness = { at: now, isComplete: [...items().declared.keys()].every(isHandled) };
    return completeness.isComplete;
  }

  /** Whether a pass has read a pair after a change. */
  const isStale = (event: ChangeEvent, pair: string): boolean =>
    Date.parse(event.eventTime) + CONSISTENCY_MS < (cleanSince.get(pair) ?? Number.NEGATIVE_INFINITY);

  /**
   * Whether this replikey made a call: by its user agent, and by the ARN of one of its credentials. Another replikey, such as
   * an apply of other specs, has the same user agent. A pass for an event of unknown origin is harmless.
   */
  function isOwnChange(event: ChangeEvent): boolean {
    const { arn } = event.userIdentity;
    if (!isReplikey(event) || arn === undefined) return false;
    const names = [undefined, ...(options.specs()?.accounts ?? []).map(({ name }) => name)];
    const client = options.client();
    return names.some((name) => withoutSessionTime(client.callerArn(name)) === withoutSessionTime(arn));
  }

  /** Returns where events of a document come from. */
  function placeOfStep({ kind, at }: Pick<Step, 'kind' | 'at'>): string {
    const { eventRegion } = kinds.get(kind)?.auditEvents ?? {};
    return placeOf(accountIdOf(at.account) ?? '', eventRegion?.(at.region) ?? at.region);
  }

  /** Expects the event of each change that a pass found, and of each change that it made. */
  function expectEvents({ pair, startedAt, outcome, status }: CompletedPass): void {
    const appliedIds = new Set(outcome.results.flatMap(({ id, result }) => (result === 'applied' ? id : [])));
    const steps = outcome.plan.waves.flat().filter((step) => {
      const auditEvents = kinds.get(step.kind)?.auditEvents;
      return auditEvents !== undefined && eventNamesOf(auditEvents, step).length > 0;
    });
    const until = options.client().now();
    const [change] = status.changes;
    const isDrift = change?.cause === 'drift' && change.at === status.lastRun;
    const previousCleanAt = cleanSince.get(pair);
    if (isDrift && previousCleanAt !== undefined) {
      const writtenUntil = wroteUntil.get(pair) ?? Number.NEGATIVE_INFINITY;
      expectEvent('drift', steps, previousCleanAt, until, ({ event, isOwn }) => {
        const at = Date.parse(event.eventTime);
        // The event of replikey's own last write announces no later change.
        // The previous pass may have read the state before a change that was made earlier.
        return at > previousCleanAt - CONSISTENCY_MS && (!isOwn || at > writtenUntil);
      });
    }
    const applied = steps.filter(({ id }) => appliedIds.has(id));
    if (applied.length === 0) return;
    wroteUntil.set(pair, until);
    expectEvent(
      'ownWrite',
      applied,
      startedAt,
      until,
      ({ event }) => Date.parse(event.eventTime) > startedAt - TIME_PRECISION_MS,
    );

    function expectEvent(
      type: 'drift' | 'ownWrite',
      expectedSteps: readonly Step[],
      since: number,
      to: number,
      isAnnouncement: (change: ReceivedChange) => boolean,
    ): void {
      if (expectedSteps.length === 0) return;
      const places = [...new Set(expectedSteps.map(placeOfStep))];
      const sources = new Set(expectedSteps.map(({ kind }) => kinds.get(kind)?.auditEvents.source));
      const ids = expectedSteps.map(({ id }) => id);
      // The names of a key are known only to the proof, so that all resources of the pair with the same source count.
      const hasArrived = () =>
        index
          .subjectsOf(pair)
          .some((subject) => sources.has(subject.source) && changes.of(subject).some(isAnnouncement));
      health.expect({ pair, type, ids, since, until: to, places, hasArrived });
    }
  }

  /** Takes the resources that only a proof knows. A change of one of them may have arrived while they were unknown. */
  function updateProven(pair: string, status: PairStatus | undefined, since: number): void {
    const region = items().declared.get(pair)?.pairs[0]?.source.region;
    if (!status || region === undefined) return;
    const bases = status.proof.flatMap(({ basis }) => basis ?? []);
    const added: ChangeSubject[] = index.setProven(pair, provenSubjects(bases, region));
    const isMissed = ({ event, isOwn }: ReceivedChange) =>
      !isOwn && Date.parse(event.eventTime) > since - CONSISTENCY_MS && index.pairsOf(event).includes(pair);
    if (added.some((subject) => changes.of(subject).some(isMissed)))
      options.requestPass(pair, CHANGE_DEBOUNCE_MS);
  }

  const consumers = queues.map((queue) =>
    consumeQueue({
      ...options,
      contents: 'change events',
      queue: () => ({ url: queue.url, location: locationOfQueue(queue, options.specs()) }),
      signal: stop.signal,
      isActive: () => options.specs() !== undefined && isLeaderForAny(options),
      handle: ({ body }) => handle(body, queue),
      onBatch: () => {},
      onReceive: (failure) => health.recordCall(queue.arn, failure),
      warn: (message) => warnings.add(message, queue.arn),
    }),
  );

  return {
    update(resources) {
      const { declared } = items();
      const keyBySpec = keysBySpec(declared);
      index = createChangeIndex({ kinds, resources, keyOf: (spec) => keyBySpec.get(spec), accountIdOf });
      for (const pair of declared.keys())
        updateProven(pair, options.statusOf(pair), Number.POSITIVE_INFINITY);
    },
    recordPass(pass) {
      const { pair, startedAt, startedMonotonic, status } = pass;
      updateProven(pair, status, startedAt);
      expectEvents(pass);
      // The proof of a new key has its alias alone. Another pass learns its id, by which events name it.
      const isCreation = pass.outcome.results.some(
        ({ action, result }) => action === 'create' && result === 'applied',
      );
      const { normalizeName } = auditSubjects.key;
      const hasUnknownKey = status.proof.some(({ basis }) =>
        basis?.keys.some((arn) => normalizeName(arn).startsWith('alias/')),
      );
      if (isCreation && hasUnknownKey) options.requestPass(pair, CONSISTENCY_MS);
      if (status.retry !== 'none') return;
      cleanSince.set(pair, startedAt);
      if (status.changes[0]?.at !== status.lastRun) health.recordCleanPass(pair, startedMonotonic);
    },
    conditionOf: (pair) => health.conditionOf(pair),
    receivedEvents(location, names) {
      return changes.byName(names, location.region, accountIdOf(location.account));
    },
    forget(pair) {
      health.forget(pair);
      cleanSince.delete(pair);
      wroteUntil.delete(pair);
    },
    async drain() {
      stop.abort();
      health.close();
      await Promise.all(consumers);
      warnings.close();
    },
  };
}

/** Removes the time from a session name that the AWS SDK chose. It changes whenever the credentials are renewed. */
const withoutSessionTime = (arn: string | undefined): string | undefined =>
  arn?.replace(/\/aws-sdk-js-(session-)?\d+$/, '/aws-sdk-js');

const placeOf = (accountId: string, region: string): string => `${accountId} ${region}`;
