import type { Kind } from '../core/kind.ts';
import type { PlanDraft } from '../core/plan.ts';
import type { ActualState, Id, Resource } from '../core/resource.ts';
import { needsOf } from '../core/waves.ts';
import { type Clock, sleep } from '../util/clock.ts';

/**
 * The wait before rules depend on documents that changed. IAM, KMS and S3 return a new document before S3 uses it, and
 * S3 never retries an object that it failed in between.
 *
 * AWS does not report when most documents changed. The wait therefore starts when this process first reads a document
 * as declared, or has written it. A run that only enables the rules of an interrupted run waits as well.
 */
export interface Propagation {
  /** Records the documents of a plan: those without a step are as declared. */
  recordPlan(
    resources: readonly Resource[],
    actual: ActualState,
    plan: Pick<PlanDraft, 'unchangedIds'>,
  ): void;
  /** Records that AWS returned a document as it was written. */
  recordWrite(resource: Resource): void;
  /**
   * Waits until this process has known all documents as declared for the time of the wait, or until the signal aborts.
   *
   * @param onWait called every half minute with the remaining time in milliseconds
   */
  wait(
    documents: readonly Resource[],
    options: { signal?: AbortSignal | undefined; onWait: (ms: number) => void },
  ): Promise<void>;
}

/** Time between two reports of a wait, which show that the pass is alive. */
export const REPORT_INTERVAL_MS = 30_000;

export interface PropagationOptions {
  clock: Clock;
  /** The time of the wait, in milliseconds. */
  waitMs: number;
}

/** Creates the record of one process, which all its passes share. */
export function createPropagation({ clock, waitMs }: PropagationOptions): Propagation {
  /** Times on the monotonic clock, by document and specs: another spec declares other parts of a shared document. */
  const knownSince = new Map<string, number>();
  const keyOf = ({ id, declaredBy }: Resource): string => `${id} ${declaredBy.join()}`;

  function remainingMs(resource: Resource): number {
    const key = keyOf(resource);
    const since = knownSince.get(key) ?? clock.monotonicNow();
    knownSince.set(key, since);
    return since + waitMs - clock.monotonicNow();
  }

  return {
    recordPlan(resources, actual, { unchangedIds }) {
      if (waitMs === 0) return;
      const unchanged = new Set(unchangedIds);
      for (const resource of resources) {
        const key = keyOf(resource);
        if (!unchanged.has(resource.id) || actual.get(resource.id)?.state !== 'present')
          knownSince.delete(key);
        else if (!knownSince.has(key)) knownSince.set(key, clock.monotonicNow());
      }
    },
    recordWrite(resource) {
      if (waitMs > 0) knownSince.set(keyOf(resource), clock.monotonicNow());
    },
    async wait(documents, { signal, onWait }) {
      for (;;) {
        const ms = Math.max(0, ...documents.map(remainingMs));
        if (waitMs === 0 || ms === 0 || signal?.aborted) return;
        onWait(ms);
        await sleep(clock, Math.min(ms, REPORT_INTERVAL_MS), signal);
      }
    },
  };
}

/** Returns the documents that a resource depends on, also through others: what S3 uses to replicate by its rules. */
export function documentsNeededBy(
  resource: Resource,
  resourcesById: ReadonlyMap<Id, Resource>,
  kinds: ReadonlyMap<string, Kind>,
): Resource[] {
  const needed = new Map<Id, Resource>();
  const visit = (current: Resource): void => {
    for (const id of needsOf(current)) {
      const need = resourcesById.get(id);
      if (!need || needed.has(id)) continue;
      needed.set(id, need);
      visit(need);
    }
  };
  visit(resource);
  return [...needed.values()].filter(({ kind }) => kinds.get(kind)?.scope.stage === 'permissions');
}
