import { type ActualState, currentOf, type Id, type Resource } from '../core/resource.ts';

/**
 * Returns the id by ARN of a resource, with its own id. Prune finds an orphan by ARN, while a spec may declare the same
 * resource by alias.
 */
export function arnAliasOf({ id, kind }: Resource, actual: ActualState): [Id, Id][] {
  const arn = currentOf(actual, id)?.attrs.arn;
  return arn === undefined ? [] : [[`${kind}/${arn}`, id]];
}

/** Merges an orphaned resource into the resource of the same id. */
export function mergeOrphan(existing: Resource | undefined, orphaned: Resource): Resource {
  if (!existing) return orphaned;
  const after = [...new Set([...existing.after, ...orphaned.after])];
  if (!existing.orphaned) return { ...existing, after };
  const pairs = [...new Set([...existing.declaredBy, ...orphaned.declaredBy])];
  return {
    ...existing,
    after,
    declaredBy: pairs,
    pruneOwners: [...new Set([...(existing.pruneOwners ?? []), ...(orphaned.pruneOwners ?? [])])],
  };
}
