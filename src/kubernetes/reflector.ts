import { backoffMs, type Clock, sleep } from '../util/clock.ts';
import type { KubernetesApi } from './api.ts';
import { type CustomResource, collectionPathOf, type ResourceKind, toCustomResource } from './resources.ts';

/** All resources of a kind, as the API server last said. */
export interface Reflector {
  readonly resources: ReadonlyMap<string, CustomResource>;
  /** List them now. */
  refresh(): void;
  run(signal: AbortSignal): Promise<void>;
}

export interface ReflectorOptions {
  api: KubernetesApi;
  kind: ResourceKind;
  clock: Clock;
  /** From 0 up to 1. */
  random: () => number;
  /** Milliseconds after which they are listed anew, whatever the watch has said. */
  resyncMs: number;
  /** Told of the names of those that came, changed or went; at first of none, when they were listed. */
  onChange: (names: string[]) => void;
  onError: (error: Error) => void;
}

/** Of a list; the API server's own clients ask for as many. */
const LIST_PAGE_SIZE = 500;

/** How long a watch is asked to last, in milliseconds; half as long again at most, so that not all end at once. */
const WATCH_TIMEOUT_MS = 240_000;

/** How long after that a watch is given up that did not end: its connection may be dead. */
const WATCH_GRACE_MS = 30_000;

/** Too old to watch from, or to list on from: what was in between is forgotten. */
const HTTP_GONE = 410;

/**
 * List, then watch from there; go on where a watch ended, and list anew where it cannot go on, and once in a while. What
 * is known stays known while the API server cannot be reached.
 */
export function createReflector(options: ReflectorOptions): Reflector {
  const { api, kind, clock, random, onChange, onError } = options;
  const collectionPath = collectionPathOf(kind, api.namespace);
  let resources = new Map<string, CustomResource>();
  /** Where a watch goes on. */
  let resourceVersion = '';
  let mustRelist = true;
  let listedAt = 0;
  let abortWatch = () => {};

  async function list(): Promise<void> {
    const listedResources = new Map<string, CustomResource>();
    let next = '';
    let listVersion = '';
    do {
      const { status, body } = await api.request(
        'GET',
        `${collectionPath}?limit=${LIST_PAGE_SIZE}${next === '' ? '' : `&continue=${encodeURIComponent(next)}`}`,
      );
      if (status !== 200) throw new ApiRequestError(kind, status, body?.message);
      for (const item of body.items) listedResources.set(item.metadata.name, toCustomResource(kind, item));
      next = body.metadata.continue ?? '';
      listVersion = body.metadata.resourceVersion;
    } while (next !== '');
    resourceVersion = listVersion;
    listedAt = clock.now();
    const names = new Set([...resources.keys(), ...listedResources.keys()]);
    const previous = resources;
    resources = listedResources;
    onChange([...names].filter((name) => !isSameResource(previous.get(name), listedResources.get(name))));
  }

  async function relist(): Promise<void> {
    mustRelist = false;
    try {
      await list();
    } catch (error) {
      mustRelist = true;
      throw error;
    }
  }

  async function watch(signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const timeoutMs = Math.round(WATCH_TIMEOUT_MS * (1 + random() / 2));
    abortWatch = () => stop.abort();
    const cancelTimeout = clock.schedule(timeoutMs + WATCH_GRACE_MS, abortWatch);
    signal.addEventListener('abort', abortWatch);
    const watchPath = `${collectionPath}?watch=true&allowWatchBookmarks=true&timeoutSeconds=${Math.round(timeoutMs / 1000)}&resourceVersion=${resourceVersion}`;
    try {
      for await (const { type, object } of api.watch(watchPath, stop.signal)) {
        if (type === 'ERROR') throw new ApiRequestError(kind, object.code, object.message);
        resourceVersion = object.metadata.resourceVersion;
        if (type === 'BOOKMARK') continue;
        const { name } = object.metadata;
        if (type === 'DELETED') resources.delete(name);
        else resources.set(name, toCustomResource(kind, object));
        onChange([name]);
      }
    } catch (error) {
      // Cut off by ourselves, it goes on.
      if (!stop.signal.aborted) throw error;
    } finally {
      cancelTimeout();
      signal.removeEventListener('abort', abortWatch);
    }
  }

  async function run(signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      const startedAt = clock.now();
      try {
        if (mustRelist || clock.now() - listedAt >= options.resyncMs) await relist();
        await watch(signal);
        // One that ends as soon as it begins is no better than one that fails.
        failures = clock.now() - startedAt < 1_000 ? failures + 1 : 0;
      } catch (error) {
        failures = clock.now() - startedAt < 60_000 ? failures + 1 : 1;
        if (error instanceof ApiRequestError && error.status === HTTP_GONE) mustRelist = true;
        else if (!signal.aborted) onError(error as Error);
      }
      if (failures > 0) await sleep(clock, Math.min(backoffMs(failures, random()), 30_000), signal);
    }
  }

  return {
    get resources() {
      return resources;
    },
    refresh() {
      mustRelist = true;
      abortWatch();
    },
    run,
  };
}

class ApiRequestError extends Error {
  readonly status: number;
  constructor(kind: ResourceKind, status: number, message = '') {
    const hint = status === 404 ? '; apply deploy/kubernetes/crd.yaml to the cluster' : '';
    super(`${kind} resources cannot be read: HTTP ${status} ${message}${hint}`);
    this.status = status;
  }
}

const isSameResource = (a: CustomResource | undefined, b: CustomResource | undefined): boolean =>
  JSON.stringify(a) === JSON.stringify(b);
