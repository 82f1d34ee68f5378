import { backoffMs, type Clock, createAbortController, sleep } from '../util/clock.ts';
import type { KubernetesApi } from './api.ts';
import { type CustomResource, collectionPathOf, type ResourceKind, toCustomResource } from './resources.ts';

/** Local copy of all resources of a kind, from the last responses of the API server. */
export interface Reflector {
  readonly resources: ReadonlyMap<string, CustomResource>;
  /** Lists the resources again immediately. */
  refresh(): void;
  run(signal: AbortSignal): Promise<void>;
}

export interface ReflectorOptions {
  api: KubernetesApi;
  kind: ResourceKind;
  clock: Clock;
  /** Returns a random number from 0 up to 1. */
  random: () => number;
  /** Milliseconds after which the reflector lists again, regardless of watch events. */
  resyncMs: number;
  /** Callback for the names of added, changed and deleted resources. Also runs after a list without changes. */
  onChange: (names: string[]) => void;
  onError: (error: Error) => void;
}

/** Page size of a list; the same as in client-go. */
const LIST_PAGE_SIZE = 500;

/**
 * Limits of a list and of the local copy. A server that does not end a list, or a watch, must not fill the memory or
 * stop the reflector. Pages may be smaller than requested.
 */
export const LIST_LIMITS = {
  pages: 1_000,
  resources: 50_000,
  /** Of all pages. Ten thousand typical resources have about 20 MiB. */
  bytes: 64 * 1024 * 1024,
  /** Milliseconds for one page, and for all pages. */
  pageMs: 30_000,
  totalMs: 5 * 60_000,
};

/**
 * Minimum timeout of a watch in milliseconds. The reflector adds up to 50 % at random, so that not all watches end at
 * the same time.
 */
const WATCH_TIMEOUT_MS = 240_000;

/** Milliseconds after this timeout until the reflector aborts a watch, because its connection may be dead. */
const WATCH_GRACE_MS = 30_000;

/** Status for an expired resource version or continue token: the API server no longer has the later changes. */
const HTTP_GONE = 410;

/**
 * Creates a reflector. It lists the resources, then watches from that version, and resumes where a watch ended. It
 * lists again when it cannot resume, and after each resync interval. It keeps its copy while the API server is
 * unreachable.
 */
export function createReflector(options: ReflectorOptions): Reflector {
  const { api, kind, clock, random, onChange, onError } = options;
  const collectionPath = collectionPathOf(kind, api.namespace);
  let resources = new Map<string, CustomResource>();
  /** Version from which the next watch resumes. */
  let resourceVersion = '';
  let mustRelist = true;
  let listedAt = 0;
  let abortWatch = () => {};

  async function list(): Promise<void> {
    const listedResources = new Map<string, CustomResource>();
    const startedAt = clock.monotonicNow();
    let next = '';
    let listVersion = '';
    let remainingBytes = LIST_LIMITS.bytes;
    let pages = 0;
    do {
      if (pages === LIST_LIMITS.pages) throw endlessListError(kind, `${LIST_LIMITS.pages} pages`);
      if (clock.monotonicNow() - startedAt > LIST_LIMITS.totalMs)
        throw endlessListError(kind, `${LIST_LIMITS.totalMs / 60_000} minutes`);
      const { status, body, bytes } = await api.request(
        'GET',
        `${collectionPath}?limit=${LIST_PAGE_SIZE}${next === '' ? '' : `&continue=${encodeURIComponent(next)}`}`,
        undefined,
        { timeoutMs: LIST_LIMITS.pageMs, maxBytes: remainingBytes },
      );
      if (status !== 200) throw new ApiRequestError(kind, status, body.message);
      const page = parseList(kind, body);
      for (const item of page.items) listedResources.set(item.metadata.name, toCustomResource(kind, item));
      checkCount(kind, listedResources.size);
      next = page.continue;
      listVersion = page.resourceVersion;
      remainingBytes -= bytes;
      pages += 1;
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
    const stop = createAbortController();
    const timeoutMs = Math.round(WATCH_TIMEOUT_MS * (1 + random() / 2));
    abortWatch = () => stop.abort();
    const cancelTimeout = clock.schedule(timeoutMs + WATCH_GRACE_MS, abortWatch);
    signal.addEventListener('abort', abortWatch);
    const watchPath = `${collectionPath}?watch=true&allowWatchBookmarks=true&timeoutSeconds=${Math.round(timeoutMs / 1000)}&resourceVersion=${resourceVersion}`;
    try {
      for await (const { type, object } of api.watch(watchPath, stop.signal)) {
        if (type === 'ERROR') throw new ApiRequestError(kind, object.code, object.message);
        if (typeof object.metadata?.resourceVersion !== 'string')
          throw invalidApiResponse(kind, 'an event without a resource version');
        if (type === 'BOOKMARK') {
          resourceVersion = object.metadata.resourceVersion;
          continue;
        }
        if (!isResource(object)) throw invalidApiResponse(kind, 'an event without a resource');
        const { name } = object.metadata;
        if (type === 'DELETED') resources.delete(name);
        else {
          checkCount(kind, resources.size + (resources.has(name) ? 0 : 1));
          resources.set(name, toCustomResource(kind, object));
        }
        resourceVersion = object.metadata.resourceVersion;
        onChange([name]);
      }
    } catch (error) {
      // The reflector itself aborted this watch, and `run` continues.
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
        // A watch that ends within a second counts as a failure.
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

interface ApiResource {
  metadata: { name: string; resourceVersion: string };
}

const isResource = (item: unknown): item is ApiResource =>
  typeof (item as ApiResource | null)?.metadata?.name === 'string';

/** @throws Error if the body is not a list of resources. */
function parseList(
  kind: ResourceKind,
  { items, metadata }: { items?: unknown; metadata?: { continue?: unknown; resourceVersion?: unknown } },
): { items: ApiResource[]; continue: string; resourceVersion: string } {
  const { continue: next = '', resourceVersion } = metadata ?? {};
  if (!Array.isArray(items) || typeof next !== 'string' || typeof resourceVersion !== 'string')
    throw invalidApiResponse(kind, 'not a list');
  if (!items.every(isResource)) throw invalidApiResponse(kind, 'an item without a name');
  return { items, continue: next, resourceVersion };
}

const invalidApiResponse = (kind: ResourceKind, reason: string): Error =>
  new Error(`cannot read ${kind} resources: invalid response of the API server: ${reason}`);

const endlessListError = (kind: ResourceKind, limit: string): Error =>
  new Error(
    `cannot read ${kind} resources: the list does not end within ${limit}; check the API server and the number of resources`,
  );

function checkCount(kind: ResourceKind, count: number): void {
  if (count > LIST_LIMITS.resources)
    throw new Error(
      `cannot read ${kind} resources: more than ${LIST_LIMITS.resources} in the namespace; delete some, or divide them among namespaces`,
    );
}

class ApiRequestError extends Error {
  readonly status: number;
  constructor(kind: ResourceKind, status: number, message = '') {
    const hint = status === 404 ? '; apply deploy/kubernetes/crd/crd.yaml to the cluster' : '';
    super(`cannot read ${kind} resources: HTTP ${status} ${message}${hint}`);
    this.status = status;
  }
}

const isSameResource = (a: CustomResource | undefined, b: CustomResource | undefined): boolean =>
  JSON.stringify(a) === JSON.stringify(b);
