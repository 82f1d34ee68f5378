import { byCodeUnit } from '../canonical.ts';
import { jittered } from '../controller/backoff.ts';
import type { Clock } from '../controller/clock.ts';
import { grouped } from '../controller/grouped.ts';
import { hashOf, type Watching, type Written } from '../controller/watch.ts';
import type { Log } from '../log.ts';
import type { KubernetesApi } from './api.ts';
import { createReflector } from './reflector.ts';
import type { ResourceStatus } from './resource-status.ts';
import { fileFrom, fileNameOf, PLURALS, type Resource, type ResourceKind } from './resources.ts';

/** Custom resources, as if they were files. */
export interface ResourceSource extends Watching {
  /** As it was when it was last told of; by what it is called where a file is expected. */
  find(file: string): Resource | undefined;
  /** Its status was written: the watch tells later. */
  written(file: string, status: ResourceStatus): void;
}

export interface SourceOptions {
  api: KubernetesApi;
  clock: Clock;
  /** From 0 up to 1. */
  chance: () => number;
  log: Log;
  /** Called with what is declared at first, and whenever it is something else. */
  onChange: (written: Written) => void;
  /** Called after that with those that changed in whatever way: in their status, too. */
  onTouch: (files: string[]) => void;
  signal: AbortSignal;
}

/** How long changes are gathered, in milliseconds: one apply writes many resources. */
const SETTLE_MS = 100;

/** Between two lists of a kind that is watched, in milliseconds. */
const RESYNC_MS = 30 * 60_000;

const KINDS = Object.keys(PLURALS) as ResourceKind[];

/**
 * Follow the custom resources of the namespace that the process runs in. It begins when all kinds were listed, however long
 * that takes: a pair without the Guardrails that nobody could read would go beyond them.
 */
export async function watchResources(options: SourceOptions): Promise<ResourceSource> {
  const { api, clock, chance, log, signal, onChange, onTouch } = options;
  const stop = new AbortController();
  const complaints = grouped({
    clock,
    forMs: 10 * 60_000,
    say: (cause, _, count) => log.warn(count > 1 ? `${cause} (${count} times)` : cause),
  });
  const listed = new Set<ResourceKind>();
  let begun = () => {};
  const begin = new Promise<void>((resolve) => {
    begun = resolve;
  });
  let known: string | undefined;
  let told = new Map<string, Resource>();
  /** Statuses that were written, each to a version that may still be the newest that a list or a watch has told of. */
  const ahead = new Map<string, { version: string; status: ResourceStatus }>();
  const touched = new Set<string>();
  let callOff: (() => void) | undefined;

  const reflectors = new Map(
    KINDS.map((kind) => [
      kind,
      createReflector({
        api,
        kind,
        clock,
        chance,
        resyncMs: jittered(RESYNC_MS, chance()),
        onChange: (names) => {
          listed.add(kind);
          if (listed.size < KINDS.length) return;
          begun();
          for (const name of names) touched.add(fileNameOf({ kind, namespace: api.namespace, name }));
          callOff ??= clock.after(SETTLE_MS, tell);
        },
        onError: (error) => complaints.say(error.message, kind),
      }),
    ]),
  );

  function tell(): void {
    callOff = undefined;
    const resources = [...reflectors.values()].flatMap((one) => [...one.resources.values()]);
    told = new Map(resources.map((one) => [fileNameOf(one), upToDate(one)]));
    for (const file of ahead.keys()) if (!told.has(file)) ahead.delete(file);
    const files = resources.map(fileFrom).sort((a, b) => byCodeUnit(a.file, b.file));
    const changed = [...touched];
    touched.clear();
    const written = { files, problems: [], mayMiss };
    const hash = hashOf(written);
    if (hash !== known) onChange(written);
    known = hash;
    onTouch(changed);
  }

  function upToDate(resource: Resource): Resource {
    const file = fileNameOf(resource);
    const written = ahead.get(file);
    if (written?.version === resource.version) return { ...resource, status: written.status };
    ahead.delete(file);
    return resource;
  }

  const close = () => {
    stop.abort();
    callOff?.();
    complaints.close();
    begun();
  };
  signal.addEventListener('abort', close, { once: true });
  for (const one of reflectors.values()) void one.run(stop.signal);
  await begin;
  if (!stop.signal.aborted) {
    callOff?.();
    tell();
  }
  return {
    find: (file) => told.get(file),
    written(file, status) {
      const before = told.get(file);
      if (!before) return;
      ahead.set(file, { version: before.version, status });
      told.set(file, { ...before, status });
    },
    async reload() {
      for (const one of reflectors.values()) one.refresh();
    },
    close,
  };
}

/** The others go on without one that never was right; without Guardrails nothing does. */
const mayMiss = (file: string): boolean => !file.startsWith('Guardrails/');
