import { createDedupedLog } from '../controller/deduped-log.ts';
import { createWorkQueue } from '../controller/queue.ts';
import type { Log } from '../log.ts';
import { backoffMs } from '../util/backoff.ts';
import type { Clock } from '../util/clock.ts';
import type { KubernetesApi } from './api.ts';
import type { EventRecorder } from './event-recorder.ts';
import { API_GROUP, API_VERSION, type CustomResource, resourcePathOf } from './resources.ts';
import { needsStatusUpdate, type ResourceStatus, type StatusInput, toResourceStatus } from './status.ts';

/** Brings the status of resources to what is known of them, each whenever anything about it may have changed. */
export interface StatusWriter {
  enqueue(file: string): void;
  /** Write what waits now, and nothing more. */
  drain(): Promise<void>;
}

export interface StatusWriterOptions {
  api: KubernetesApi;
  clock: Clock;
  /** From 0 up to 1. */
  random: () => number;
  log: Log;
  recorder: EventRecorder;
  find(file: string): CustomResource | undefined;
  /** Told what was written. */
  onWritten(file: string, status: ResourceStatus): void;
  statusInputOf(file: string): Omit<StatusInput, 'now'>;
  /** Whether this process is the one to write it. */
  isLeaderFor(resource: CustomResource): boolean;
}

const STATUS_WORKERS = 4;

export function createStatusWriter(options: StatusWriterOptions): StatusWriter {
  const { api, clock, random, log, recorder } = options;
  const failures = new Map<string, number>();
  const warnings = createDedupedLog({
    clock,
    windowMs: 10 * 60_000,
    write: (cause, resourceNames, count) =>
      log.warn({ resources: resourceNames.slice(0, 20) }, count > 1 ? `${cause} (${count} times)` : cause),
  });
  let onIdle: (() => void) | undefined;
  const queue = createWorkQueue({
    clock,
    workers: STATUS_WORKERS,
    work: async (file) => {
      await syncStatus(file);
      if (queue.depth === 0) onIdle?.();
    },
  });

  async function syncStatus(file: string): Promise<void> {
    const resource = options.find(file);
    if (!resource) failures.delete(file);
    if (!resource || !options.isLeaderFor(resource)) return;
    const desired = toResourceStatus(resource, {
      ...options.statusInputOf(file),
      now: new Date(clock.now()).toISOString(),
    });
    if (!desired || !needsStatusUpdate(resource.status, desired)) return;
    try {
      const writtenStatus = await applyStatus(api, resource, desired);
      failures.delete(file);
      if (!writtenStatus) return;
      options.onWritten(file, writtenStatus);
    } catch (error) {
      warnings.add((error as Error).message, resource.name);
      const count = (failures.get(file) ?? 0) + 1;
      failures.set(file, count);
      queue.addAfter(file, backoffMs(count, random()));
      return;
    }
    const invalidMessage = invalidMessageOf(desired);
    if (invalidMessage !== undefined && invalidMessage !== invalidMessageOf(resource.status))
      await recorder.record(resource, { type: 'Warning', reason: 'Invalid', note: invalidMessage });
  }

  return {
    enqueue: (file) => queue.add(file),
    async drain() {
      if (queue.depth > 0)
        await new Promise<void>((resolve) => {
          onIdle = resolve;
        });
      await queue.drain();
      warnings.close();
    },
  };
}

/**
 * By server-side apply, so that conditions of others stay, and never to another resource that has the same name by now.
 *
 * @returns the status as it is now; undefined where there is no such resource any more.
 * @throws Error where it was not written, and another attempt may help.
 */
async function applyStatus(
  api: KubernetesApi,
  resource: CustomResource,
  { conditions = [], ...otherFields }: ResourceStatus,
): Promise<ResourceStatus | undefined> {
  const { kind, name, namespace, uid } = resource;
  const { status, body } = await api.request(
    'PATCH',
    `${resourcePathOf(resource)}/status?fieldManager=replikey&force=true`,
    {
      apiVersion: `${API_GROUP}/${API_VERSION}`,
      kind,
      metadata: { name, namespace, uid },
      status: { ...otherFields, conditions },
    },
    'application/apply-patch+yaml',
  );
  // Gone, or made anew: the watch will tell.
  if (status === 404 || status === 409) return undefined;
  if (status !== 200) throw new Error(`status cannot be written: HTTP ${status} ${body?.message ?? ''}`);
  return body.status;
}

const invalidMessageOf = (status: ResourceStatus | undefined): string | undefined =>
  status?.conditions?.find(({ type, reason }) => type === 'Ready' && reason === 'Invalid')?.message;
