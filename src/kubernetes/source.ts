import { hashSpecFiles, type SpecFiles, type SpecWatcher } from '../controller/spec-watcher.ts';
import { createDedupedLog, type Log } from '../log.ts';
import { compareCodeUnits } from '../util/canonical-json.ts';
import { type Clock, createAbortController, withJitter } from '../util/clock.ts';
import type { KubernetesApi } from './api.ts';
import { createReflector } from './reflector.ts';
import {
  type CustomResource,
  RESOURCE_PLURALS,
  type ResourceKind,
  type ResourceStatus,
  resourceFileNameOf,
  toSpecFile,
} from './resources.ts';

/** Spec source that reads custom resources in place of files. */
export interface ResourceSource extends SpecWatcher {
  /** Returns the last published state of a resource, by its file name (see `resourceFileNameOf`). */
  find(file: string): CustomResource | undefined;
  /** Records a status that was written, until the watch reports it. */
  markStatusWritten(file: string, status: ResourceStatus): void;
}

export interface ResourceSourceOptions {
  api: KubernetesApi;
  clock: Clock;
  /** Returns a random number from 0 up to 1. */
  random: () => number;
  log: Log;
  /** Callback for the declared specs: after the first list, and after each change. */
  onChange: (specFiles: SpecFiles) => Promise<void>;
  /** Callback for each resource with any change, including a change of its status; runs after `onChange`. */
  onResourcesUpdated: (files: string[]) => void;
  signal: AbortSignal;
}

/** Debounce time for changes in milliseconds, because one apply writes many resources. */
const RESOURCE_DEBOUNCE_MS = 100;

/** Interval between two lists of a watched kind, in milliseconds. */
const RESYNC_INTERVAL_MS = 30 * 60_000;

const RESOURCE_KINDS = Object.keys(RESOURCE_PLURALS) as ResourceKind[];

/**
 * Watches the custom resources of the namespace of this process. Resolves only after the first list of all kinds,
 * without a time limit: a pair could otherwise violate Guardrails that replikey has not read yet.
 */
export async function watchResources(options: ResourceSourceOptions): Promise<ResourceSource> {
  const { api, clock, random, log, signal, onChange, onResourcesUpdated } = options;
  const stop = createAbortController();
  const warnings = createDedupedLog({
    clock,
    windowMs: 10 * 60_000,
    write: (cause, _, count) => log.warn(count > 1 ? `${cause} (${count} times)` : cause),
  });
  const listedKinds = new Set<ResourceKind>();
  let markSynced = () => {};
  const initialSync = new Promise<void>((resolve) => {
    markSynced = resolve;
  });
  let lastHash: string | undefined;
  let lastPublish = Promise.resolve();
  let publishedResources = new Map<string, CustomResource>();
  /**
   * Written statuses by file, each with the resource version before the write. A status applies until a list or a watch
   * reports a later version.
   */
  const pendingStatuses = new Map<string, { version: string; status: ResourceStatus }>();
  const updatedFiles = new Set<string>();
  let cancelDebounce: (() => void) | undefined;

  const reflectors = new Map(
    RESOURCE_KINDS.map((kind) => [
      kind,
      createReflector({
        api,
        kind,
        clock,
        random,
        resyncMs: withJitter(RESYNC_INTERVAL_MS, random()),
        onChange: (names) => {
          listedKinds.add(kind);
          if (listedKinds.size < RESOURCE_KINDS.length) return;
          markSynced();
          for (const name of names)
            updatedFiles.add(resourceFileNameOf({ kind, namespace: api.namespace, name }));
          cancelDebounce ??= clock.schedule(RESOURCE_DEBOUNCE_MS, () => void publish());
        },
        onError: (error) => warnings.add(error.message, kind),
      }),
    ]),
  );

  function publish(): Promise<void> {
    cancelDebounce = undefined;
    const resources = [...reflectors.values()].flatMap((reflector) => [...reflector.resources.values()]);
    publishedResources = new Map(
      resources.map((resource) => [resourceFileNameOf(resource), withPendingStatus(resource)]),
    );
    for (const file of pendingStatuses.keys())
      if (!publishedResources.has(file)) pendingStatuses.delete(file);
    const files = resources.map(toSpecFile).sort((a, b) => compareCodeUnits(a.file, b.file));
    const changedFiles = [...updatedFiles];
    updatedFiles.clear();
    const specFiles = { files, problems: [], canSkip };
    const hash = hashSpecFiles(specFiles);
    const isChanged = hash !== lastHash;
    lastHash = hash;
    lastPublish = lastPublish
      .then(() => (isChanged ? onChange(specFiles) : undefined))
      .then(() => onResourcesUpdated(changedFiles));
    return lastPublish;
  }

  function withPendingStatus(resource: CustomResource): CustomResource {
    const file = resourceFileNameOf(resource);
    const pending = pendingStatuses.get(file);
    if (pending?.version === resource.resourceVersion) return { ...resource, status: pending.status };
    pendingStatuses.delete(file);
    return resource;
  }

  const close = () => {
    stop.abort();
    cancelDebounce?.();
    warnings.close();
    markSynced();
  };
  signal.addEventListener('abort', close, { once: true });
  for (const reflector of reflectors.values()) void reflector.run(stop.signal);
  await initialSync;
  if (!stop.signal.aborted) {
    cancelDebounce?.();
    await publish();
  }
  return {
    find: (file) => publishedResources.get(file),
    markStatusWritten(file, status) {
      const resource = publishedResources.get(file);
      if (!resource) return;
      pendingStatuses.set(file, { version: resource.resourceVersion, status });
      publishedResources.set(file, { ...resource, status });
    },
    async reload() {
      for (const reflector of reflectors.values()) reflector.refresh();
    },
    close,
  };
}

/** Returns whether the other specs are usable if this file was never valid. Guardrails are mandatory for all specs. */
const canSkip = (file: string): boolean => !file.startsWith('Guardrails/');
