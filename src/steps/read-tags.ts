import { aboutOf, type TagsOf } from '../core/adoption.ts';
import type { Actual, Aws, Id, Kind, Plan, Resource } from '../core/resource.ts';

/** Read whose the things are that a plan would change and that are there already: only these, so that a converged pass
 * costs nothing. What may not be read is undefined. */
export async function readTags(
  plan: Plan,
  resources: readonly Resource[],
  actual: Actual,
  kinds: ReadonlyMap<string, Kind>,
  aws: Aws,
): Promise<TagsOf> {
  const changing = new Set(plan.waves.flat().map(aboutOf));
  const things = resources.flatMap((resource) => {
    const kind = kinds.get(resource.kind);
    const observation = actual.get(resource.id);
    const isThere = observation?.state === 'present' && changing.has(aboutOf(resource));
    return kind?.tags && isThere ? [{ resource, kind, seen: observation.seen }] : [];
  });
  const read = things.map(
    async ({ resource, kind, seen }): Promise<[Id, Record<string, string> | undefined]> => [
      resource.id,
      await kind.tags?.(aws, resource, seen).catch(() => undefined),
    ],
  );
  return new Map(await Promise.all(read));
}
