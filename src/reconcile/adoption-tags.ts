import { ownerKey, type TagsById } from '../core/adoption.ts';
import type { Kind } from '../core/kind.ts';
import type { ActualState, Aws, Id, PlanContent, Resource } from '../core/resource.ts';

/** Read whose the things are that a plan would change and that are there already: only these, so that a converged pass
 * costs nothing. What may not be read is undefined. */
export async function readTags(
  plan: PlanContent,
  resources: readonly Resource[],
  actual: ActualState,
  kinds: ReadonlyMap<string, Kind>,
  aws: Aws,
): Promise<TagsById> {
  const changedOwners = new Set(plan.waves.flat().map(ownerKey));
  const ownerResources = resources.flatMap((resource) => {
    const kind = kinds.get(resource.kind);
    const observation = actual.get(resource.id);
    const isPresentAndChanging = observation?.state === 'present' && changedOwners.has(ownerKey(resource));
    return kind?.fetchTags && isPresentAndChanging ? [{ resource, kind, current: observation.current }] : [];
  });
  const reads = ownerResources.map(
    async ({ resource, kind, current }): Promise<[Id, Record<string, string> | undefined]> => [
      resource.id,
      await kind.fetchTags?.(aws, resource, current).catch(() => undefined),
    ],
  );
  return new Map(await Promise.all(reads));
}
