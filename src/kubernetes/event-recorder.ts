import type { Log } from '../log.ts';
import type { Clock } from '../util/clock.ts';
import type { KubernetesApi } from './api.ts';
import type { ResourceEvent } from './events.ts';
import { API_GROUP, API_VERSION, type CustomResource } from './resources.ts';

/** Writes events of events.k8s.io. They are for people: what cannot be written is no failure, and none is written twice in an hour. */
export interface EventRecorder {
  record(resource: CustomResource, event: ResourceEvent): Promise<void>;
}

export interface EventRecorderOptions {
  api: KubernetesApi;
  clock: Clock;
  log: Log;
  /** The pod. */
  instance: string;
}

/** For how long the same is not said again, in milliseconds; as long as Kubernetes keeps events. */
const EVENT_DEDUP_MS = 60 * 60_000;

/** How many events at once, and how soon there may be one more, in milliseconds: ten thousand failures are no ten thousand events. */
const EVENT_BURST = 25;
const EVENT_REFILL_MS = 5_000;

/** Of a note, and of the name of an instance; Kubernetes takes no longer ones. */
const MAX_NOTE_BYTES = 1_000;
const MAX_INSTANCE_LENGTH = 128;

export function createEventRecorder({ api, clock, log, instance }: EventRecorderOptions): EventRecorder {
  const recordedAt = new Map<string, number>();
  let tokens = EVENT_BURST;
  let refilledAt = clock.now();

  function shouldRecord(resource: CustomResource, { reason, note }: ResourceEvent): boolean {
    const now = clock.now();
    for (const [key, time] of recordedAt) {
      // In the order of their time.
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
        log.debug({ resource: name }, `an event was not written: ${(error as Error).message}`);
      }
    },
  };
}

/** In bytes, not in the middle of a character. */
const truncateNote = (note: string): string =>
  Buffer.byteLength(note) <= MAX_NOTE_BYTES
    ? note
    : `${Buffer.from(note).subarray(0, MAX_NOTE_BYTES).toString('utf8').replace(/�+$/, '')}…`;
