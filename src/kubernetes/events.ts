import { isDrift } from '../controller/conditions.ts';
import { formatBurst, isDeletion } from '../controller/failure-bursts.ts';
import type { PairStatus } from '../controller/status.ts';
import { JOB_PROBLEMS } from '../core/job-status.ts';
import type { Log } from '../log.ts';
import type { Clock } from '../util/clock.ts';
import { escapeUnprintable } from '../util/escape.ts';
import type { KubernetesApi } from './api.ts';
import { API_GROUP, API_VERSION, type CustomResource } from './resources.ts';

/** Kubernetes event of a resource, for users. */
export interface ResourceEvent {
  type: 'Normal' | 'Warning';
  reason:
    | 'Applied'
    | 'Drifted'
    | 'Failed'
    | 'Blocked'
    | 'Invalid'
    | 'ReplicationFailed'
    | `Backfill${string}`;
  note: string;
}

/** Reasons of the Ready condition that no retry resolves. The user must act or change the spec. */
const BLOCKED_REASONS = ['Blocked', 'Refused'];

/** Computes the events of a pair from two consecutive statuses. Pure. */
export function resourceEventsOf(before: PairStatus, after: PairStatus): ResourceEvent[] {
  const events: ResourceEvent[] = [];
  const drifted = after.conditions.Drifted;
  if (isDrift(drifted) && drifted.message !== before.conditions.Drifted.message)
    events.push({ type: 'Warning', reason: 'Drifted', note: escapeUnprintable(drifted.message) });
  const [change] = after.changes;
  if (change?.result === 'applied' && change.at !== before.changes[0]?.at) {
    const ids = change.steps.map(({ id }) => id);
    const count = ids.length + (change.omittedSteps ?? 0);
    const idText = count > 5 ? `${ids.slice(0, 5).join(', ')} and ${count - 5} more` : ids.join(', ');
    events.push({
      type: 'Normal',
      reason: 'Applied',
      note: `${count === 1 ? '1 change' : `${count} changes`}: ${escapeUnprintable(idText)}`,
    });
  }
  const [readyBefore, readyAfter] = [before.conditions.Ready, after.conditions.Ready];
  if (
    readyAfter.status === 'False' &&
    readyAfter.reason !== 'ChangesPending' &&
    readyAfter.message !== readyBefore.message
  )
    events.push({
      type: 'Warning',
      reason: BLOCKED_REASONS.includes(readyAfter.reason) ? 'Blocked' : 'Failed',
      note: escapeUnprintable(`${readyAfter.reason}: ${readyAfter.message}`),
    });
  const backfill = after.conditions.BackfillComplete;
  // The message changes with the progress of the job.
  if (backfill && backfill.reason !== before.conditions.BackfillComplete?.reason)
    events.push({
      type: after.jobs?.some(({ state }) => JOB_PROBLEMS.has(state)) ? 'Warning' : 'Normal',
      reason: `Backfill${backfill.reason}`,
      note: escapeUnprintable(backfill.message),
    });
  for (const burst of after.failureBursts ?? []) {
    const previous = before.failureBursts?.find(({ id }) => id === burst.id);
    if (burst.reportedAt === undefined || previous?.reportedAt !== undefined) continue;
    events.push({
      type: isDeletion(burst) ? 'Normal' : 'Warning',
      reason: 'ReplicationFailed',
      note: escapeUnprintable(formatBurst(burst)),
    });
  }
  return events;
}

/**
 * Writes events of events.k8s.io. Events only inform users, so a failed write is not an error. The same event is
 * written at most once per hour.
 */
export interface EventRecorder {
  record(resource: CustomResource, event: ResourceEvent): Promise<void>;
}

export interface EventRecorderOptions {
  api: KubernetesApi;
  clock: Clock;
  log: Log;
  /** Name of the pod. */
  instance: string;
}

/** Time in milliseconds during which an event is not repeated: the default retention time of Kubernetes events. */
const EVENT_DEDUP_MS = 60 * 60_000;

/**
 * Token bucket for events: burst size, and milliseconds until the next token. It prevents ten thousand events for ten
 * thousand failures.
 */
const EVENT_BURST = 25;
const EVENT_REFILL_MS = 5_000;

/** Maximum size of a note and of an instance name. Kubernetes rejects longer values. */
const MAX_NOTE_BYTES = 1_000;
const MAX_INSTANCE_LENGTH = 128;

export function createEventRecorder({ api, clock, log, instance }: EventRecorderOptions): EventRecorder {
  const recordedAt = new Map<string, number>();
  let tokens = EVENT_BURST;
  let refilledAt = clock.now();

  function shouldRecord(resource: CustomResource, { reason, note }: ResourceEvent): boolean {
    const now = clock.now();
    for (const [key, time] of recordedAt) {
      // The map is in chronological order.
      if (now - time < EVENT_DEDUP_MS) break;
      recordedAt.delete(key);
    }
    const key = `${resource.uid} ${reason} ${note}`;
    if (recordedAt.has(key)) return false;
    const refill = Math.floor((now - refilledAt) / EVENT_REFILL_MS);
    tokens = Math.min(EVENT_BURST, tokens + refill);
    refilledAt += refill * EVENT_REFILL_MS;
    if (tokens < 1) return false;
    tokens -= 1;
    recordedAt.set(key, now);
    return true;
  }

  return {
    async record(resource, resourceEvent) {
      if (!shouldRecord(resource, resourceEvent)) return;
      const { kind, name, namespace, uid } = resource;
      const manifest = {
        apiVersion: 'events.k8s.io/v1',
        kind: 'Event',
        metadata: { generateName: `${name}-`, namespace },
        eventTime: new Date(clock.now()).toISOString().replace('Z', '000Z'),
        reportingController: `${API_GROUP}/reconcile`,
        reportingInstance: instance.slice(0, MAX_INSTANCE_LENGTH),
        action: 'Reconcile',
        reason: resourceEvent.reason,
        type: resourceEvent.type,
        note: truncateNote(resourceEvent.note),
        regarding: { apiVersion: `${API_GROUP}/${API_VERSION}`, kind, name, namespace, uid },
      };
      try {
        const path = `/apis/events.k8s.io/v1/namespaces/${namespace}/events`;
        const { status, body } = await api.request('POST', path, manifest);
        if (status !== 201) throw new Error(`HTTP ${status} ${body?.message ?? ''}`);
      } catch (error) {
        log.debug({ resource: name }, `cannot write an event: ${(error as Error).message}`);
      }
    },
  };
}

/** Truncates a note to the limit in bytes, without splitting a character. */
const truncateNote = (note: string): string =>
  Buffer.byteLength(note) <= MAX_NOTE_BYTES
    ? note
    : `${Buffer.from(note).subarray(0, MAX_NOTE_BYTES).toString('utf8').replace(/�+$/, '')}…`;
