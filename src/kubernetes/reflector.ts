import { backoff } from '../controller/backoff.ts';
import { type Clock, sleep } from '../controller/clock.ts';
import type { KubernetesApi } from './api.ts';
import { listOf, type Resource, type ResourceKind, resourceFrom } from './resources.ts';

/** All resources of a kind, as the API server last said. */
export interface Reflector {
  readonly resources: ReadonlyMap<string, Resource>;
  /** List them now. */
  refresh(): void;
  run(signal: AbortSignal): Promise<void>;
}

export interface ReflectorOptions {
  api: KubernetesApi;
  kind: ResourceKind;
  clock: Clock;
  /** From 0 up to 1. */
  chance: () => number;
  /** Milliseconds after which they are listed anew, whatever the watch has said. */
  resyncMs: number;
  /** Told of the names of those that came, changed or went; at first of none, when they were listed. */
  onChange: (names: string[]) => void;
  onError: (error: Error) => void;
}

/** Of a list; the API server's own clients ask for as many. */
const PAGE = 500;

/** How long a watch is asked to last, in milliseconds; half as long again at most, so that not all end at once. */
const WATCH_MS = 240_000;

/** How long after that a watch is given up that did not end: its connection may be dead. */
const MERCY_MS = 30_000;

/** Too old to watch from, or to list on from: what was in between is forgotten. */
const GONE = 410;

/**
 * List, then watch from there; go on where a watch ended, and list anew where it cannot go on, and once in a while. What
 * is known stays known while the API server cannot be reached.
 */
export function createReflector(options: ReflectorOptions): Reflector {
  const { api, kind, clock, chance, onChange, onError } = options;
  const path = listOf(kind, api.namespace);
  let resources = new Map<string, Resource>();
  /** Where a watch goes on. */
  let version = '';
  let mustList = true;
  let listedAt = 0;
  let cut = () => {};

  async function list(): Promise<void> {
    const found = new Map<string, Resource>();
    let next = '';
    let listed = '';
    do {
      const { status, body } = await api.request(
        'GET',
        `${path}?limit=${PAGE}${next === '' ? '' : `&continue=${encodeURIComponent(next)}`}`,
      );
      if (status !== 200) throw new Refused(kind, status, body?.message);
      for (const item of body.items) found.set(item.metadata.name, resourceFrom(kind, item));
      next = body.metadata.continue ?? '';
      listed = body.metadata.resourceVersion;
    } while (next !== '');
    version = listed;
    listedAt = clock.now();
    const names = new Set([...resources.keys(), ...found.keys()]);
    const before = resources;
    resources = found;
    onChange([...names].filter((name) => !isSame(before.get(name), found.get(name))));
  }

  async function listAnew(): Promise<void> {
    mustList = false;
    try {
      await list();
    } catch (error) {
      mustList = true;
      throw error;
    }
  }

  async function watch(signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const lastMs = Math.round(WATCH_MS * (1 + chance() / 2));
    cut = () => stop.abort();
    const callOff = clock.after(lastMs + MERCY_MS, cut);
    signal.addEventListener('abort', cut);
    const at = `${path}?watch=true&allowWatchBookmarks=true&timeoutSeconds=${Math.round(lastMs / 1000)}&resourceVersion=${version}`;
    try {
      for await (const { type, object } of api.watch(at, stop.signal)) {
        if (type === 'ERROR') throw new Refused(kind, object.code, object.message);
        version = object.metadata.resourceVersion;
        if (type === 'BOOKMARK') continue;
        const { name } = object.metadata;
        if (type === 'DELETED') resources.delete(name);
        else resources.set(name, resourceFrom(kind, object));
        onChange([name]);
      }
    } catch (error) {
      // Cut off by ourselves, it goes on.
      if (!stop.signal.aborted) throw error;
    } finally {
      callOff();
      signal.removeEventListener('abort', cut);
    }
  }

  async function run(signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      const began = clock.now();
      try {
        if (mustList || clock.now() - listedAt >= options.resyncMs) await listAnew();
        await watch(signal);
        // One that ends as soon as it begins is no better than one that fails.
        failures = clock.now() - began < 1_000 ? failures + 1 : 0;
      } catch (error) {
        failures = clock.now() - began < 60_000 ? failures + 1 : 1;
        if (error instanceof Refused && error.status === GONE) mustList = true;
        else if (!signal.aborted) onError(error as Error);
      }
      if (failures > 0) await sleep(clock, Math.min(backoff(failures, chance()), 30_000), signal);
    }
  }

  return {
    get resources() {
      return resources;
    },
    refresh() {
      mustList = true;
      cut();
    },
    run,
  };
}

class Refused extends Error {
  readonly status: number;
  constructor(kind: ResourceKind, status: number, message = '') {
    const hint = status === 404 ? '; apply deploy/kubernetes/crd.yaml to the cluster' : '';
    super(`${kind} resources cannot be read: HTTP ${status} ${message}${hint}`);
    this.status = status;
  }
}

const isSame = (one: Resource | undefined, other: Resource | undefined): boolean =>
  JSON.stringify(one) === JSON.stringify(other);
