import type { Clock } from '../controller/clock.ts';
import type { Log } from '../log.ts';
import type { KubernetesApi } from './api.ts';
import type { Notice } from './notices.ts';
import { GROUP, type Resource, VERSION } from './resources.ts';

/** Writes events of events.k8s.io. They are for people: what cannot be written is no failure, and none is written twice in an hour. */
export interface Recorder {
  record(resource: Resource, notice: Notice): Promise<void>;
}

export interface RecorderOptions {
  api: KubernetesApi;
  clock: Clock;
  log: Log;
  /** The pod. */
  instance: string;
}

/** For how long the same is not said again, in milliseconds; as long as Kubernetes keeps events. */
const SAME_MS = 60 * 60_000;

/** How many events at once, and how soon there may be one more, in milliseconds: ten thousand failures are no ten thousand events. */
const BURST = 25;
const EVERY_MS = 5_000;

/** Of a note, and of the name of an instance; Kubernetes takes no longer ones. */
const MOST_NOTE = 1_000;
const MOST_INSTANCE = 128;

export function createRecorder({ api, clock, log, instance }: RecorderOptions): Recorder {
  const said = new Map<string, number>();
  let tokens = BURST;
  let filled = clock.now();

  function mayRecord(resource: Resource, { reason, note }: Notice): boolean {
    const now = clock.now();
    for (const [key, at] of said) {
      // In the order of their time.
      if (now - at < SAME_MS) break;
      said.delete(key);
    }
    const key = `${resource.uid} ${reason} ${note}`;
    if (said.has(key)) return false;
    const more = Math.floor((now - filled) / EVERY_MS);
    tokens = Math.min(BURST, tokens + more);
    filled += more * EVERY_MS;
    if (tokens < 1) return false;
    tokens -= 1;
    said.set(key, now);
    return true;
  }

  return {
    async record(resource, notice) {
      if (!mayRecord(resource, notice)) return;
      const { kind, name, namespace, uid } = resource;
      const event = {
        apiVersion: 'events.k8s.io/v1',
        kind: 'Event',
        metadata: { generateName: `${name}-`, namespace },
        eventTime: new Date(clock.now()).toISOString().replace('Z', '000Z'),
        reportingController: `${GROUP}/reconcile`,
        reportingInstance: instance.slice(0, MOST_INSTANCE),
        action: 'Reconcile',
        reason: notice.reason,
        type: notice.type,
        note: shortened(notice.note),
        regarding: { apiVersion: `${GROUP}/${VERSION}`, kind, name, namespace, uid },
      };
      try {
        const path = `/apis/events.k8s.io/v1/namespaces/${namespace}/events`;
        const { status, body } = await api.request('POST', path, event);
        if (status !== 201) throw new Error(`HTTP ${status} ${body?.message ?? ''}`);
      } catch (error) {
        log.debug({ resource: name }, `an event was not written: ${(error as Error).message}`);
      }
    },
  };
}

/** In bytes, not in the middle of a character. */
const shortened = (note: string): string =>
  Buffer.byteLength(note) <= MOST_NOTE
    ? note
    : `${Buffer.from(note).subarray(0, MOST_NOTE).toString('utf8').replace(/�+$/, '')}…`;
