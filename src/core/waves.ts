import { collectRefs } from './ref.ts';
import type { Id, Resource } from './resource.ts';

/**
 * Returns the resources that a resource needs: the targets of its references, and the entries of `after`. An id may
 * appear more than once.
 */
export const needsOf = ({ spec, after }: Resource): Id[] => [...collectRefs(spec), ...after];

/**
 * Lets resources follow others that declare that they need them, because the observed state demands the other order.
 * Nothing waits for a resource that follows others, so no circle can result.
 */
export function withFollowers(
  resources: readonly Resource[],
  follows: ReadonlyMap<Id, readonly Id[]>,
): readonly Resource[] {
  if (follows.size === 0) return resources;
  const ids = new Set(resources.map(({ id }) => id));
  return resources.map((resource) => ({
    ...resource,
    after: [
      ...resource.after.filter((id) => !follows.has(id)),
      ...(follows.get(resource.id) ?? []).filter((id) => ids.has(id)),
    ],
  }));
}

/**
 * Sorts resources into waves: each needs only resources of earlier waves.
 *
 * @throws Error when a resource needs an id that no spec declares, or when resources need each other in a circle (the
 * message prints the circle): both are faults of a kind, not of a spec.
 */
export function toWaves(resources: readonly Resource[]): Resource[][] {
  const resourcesById = new Map(resources.map((resource) => [resource.id, resource]));
  const depths = new Map<Id, number>();

  /** The resources on the path to the current one. */
  const path: Id[] = [];

  const depthOf = (id: Id): number => {
    const knownDepth = depths.get(id);
    if (knownDepth !== undefined) return knownDepth;
    if (path.includes(id)) throw new Error(`circular dependency: ${[...path, id].join(' -> ')}`);
    const resource = resourcesById.get(id);
    if (!resource) throw new Error(`${path.at(-1)} needs ${id}, which no spec declares`);
    path.push(id);
    let depth = 0;
    for (const need of needsOf(resource)) depth = Math.max(depth, depthOf(need) + 1);
    path.pop();
    depths.set(id, depth);
    return depth;
  };

  const result: Resource[][] = [];
  for (const resource of resources) {
    const depth = depthOf(resource.id);
    while (result.length <= depth) result.push([]);
    result[depth]?.push(resource);
  }
  return result;
}
