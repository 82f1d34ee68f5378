import { backoff } from '../controller/backoff.ts';
import type { Clock } from '../controller/clock.ts';
import { grouped } from '../controller/grouped.ts';
import { createQueue } from '../controller/queue.ts';
import type { Log } from '../log.ts';
import type { KubernetesApi } from './api.ts';
import type { Recorder } from './recorder.ts';
import { isNews, type Known, type ResourceStatus, statusFor } from './resource-status.ts';
import { GROUP, pathOf, type Resource, VERSION } from './resources.ts';

/** Brings the status of resources to what is known of them, each whenever anything about it may have changed. */
export interface StatusWriter {
  look(file: string): void;
  /** Write what waits now, and nothing more. */
  drain(): Promise<void>;
}

export interface StatusWriterOptions {
  api: KubernetesApi;
  clock: Clock;
  /** From 0 up to 1. */
  chance: () => number;
  log: Log;
  recorder: Recorder;
  find(file: string): Resource | undefined;
  /** Told what was written. */
  written(file: string, status: ResourceStatus): void;
  known(file: string): Omit<Known, 'now'>;
  /** Whether this process is the one to write it. */
  mayWrite(resource: Resource): boolean;
}

const WORKERS = 4;

export function createStatusWriter(options: StatusWriterOptions): StatusWriter {
  const { api, clock, chance, log, recorder } = options;
  const failures = new Map<string, number>();
  const complaints = grouped({
    clock,
    forMs: 10 * 60_000,
    say: (cause, about, count) =>
      log.warn({ resources: about.slice(0, 20) }, count > 1 ? `${cause} (${count} times)` : cause),
  });
  let ended: (() => void) | undefined;
  const queue = createQueue({
    clock,
    workers: WORKERS,
    work: async (file) => {
      await work(file);
      if (queue.depth === 0) ended?.();
    },
  });

  async function work(file: string): Promise<void> {
    const resource = options.find(file);
    if (!resource) failures.delete(file);
    if (!resource || !options.mayWrite(resource)) return;
    const wanted = statusFor(resource, { ...options.known(file), now: new Date(clock.now()).toISOString() });
    if (!wanted || !isNews(resource.status, wanted)) return;
    try {
      const written = await write(api, resource, wanted);
      failures.delete(file);
      if (!written) return;
      options.written(file, written);
    } catch (error) {
      complaints.say((error as Error).message, resource.name);
      const count = (failures.get(file) ?? 0) + 1;
      failures.set(file, count);
      queue.addAfter(file, backoff(count, chance()));
      return;
    }
    const note = invalidity(wanted);
    if (note !== undefined && note !== invalidity(resource.status))
      await recorder.record(resource, { type: 'Warning', reason: 'Invalid', note });
  }

  return {
    look: (file) => queue.add(file),
    async drain() {
      if (queue.depth > 0)
        await new Promise<void>((resolve) => {
          ended = resolve;
        });
      await queue.drain();
      complaints.close();
    },
  };
}

/**
 * By server-side apply, so that conditions of others stay, and never to another resource that has the same name by now.
 *
 * @returns the status as it is now; undefined where there is no such resource any more.
 * @throws Error where it was not written, and another attempt may help.
 */
async function write(
  api: KubernetesApi,
  resource: Resource,
  { conditions = [], ...rest }: ResourceStatus,
): Promise<ResourceStatus | undefined> {
  const { kind, name, namespace, uid } = resource;
  const { status, body } = await api.request(
    'PATCH',
    `${pathOf(resource)}/status?fieldManager=replikey&force=true`,
    {
      apiVersion: `${GROUP}/${VERSION}`,
      kind,
      metadata: { name, namespace, uid },
      status: { ...rest, conditions },
    },
    'application/apply-patch+yaml',
  );
  // Gone, or made anew: the watch will tell.
  if (status === 404 || status === 409) return undefined;
  if (status !== 200) throw new Error(`status cannot be written: HTTP ${status} ${body?.message ?? ''}`);
  return body.status;
}

const invalidity = (status: ResourceStatus | undefined): string | undefined =>
  status?.conditions?.find(({ type, reason }) => type === 'Ready' && reason === 'Invalid')?.message;
