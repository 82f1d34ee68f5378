import type { Kind } from '../core/kind.ts';
import type { Orphan } from '../core/orphan.ts';
import type { ActualState, Id, Resource } from '../core/resource.ts';
import { toSidName } from '../policy/statements.ts';
import type { BucketReplication } from '../spec/types.ts';

/** Of which specs the rules go, and of which the permissions, too. */
export interface PruneScope {
  rules: readonly Orphan[];
  permissions: readonly Orphan[];
}

/**
 * What is wanted and what is left, each thing once. What is wanted is told what may be taken away from it: of specs that
 * are gone, and of those that want it themselves, where they all say so, the rules that they declare no more.
 */
export function withOrphans(
  desired: readonly Resource[],
  scope: PruneScope,
  pairs: readonly BucketReplication[],
  kinds: ReadonlyMap<string, Kind>,
  actual: ActualState,
): Resource[] {
  const removableSpecs = new Set(
    pairs.flatMap(({ name, policy }) => (policy.deletion === 'Remove' ? name : [])),
  );
  const isPrunedFirst = ({ kind }: Resource) => kinds.get(kind)?.scope.stage === 'rules';
  const byId = new Map<Id, Resource>();
  for (const resource of desired) {
    const ownNames =
      isPrunedFirst(resource) && resource.declaredBy.every((name) => removableSpecs.has(name))
        ? resource.declaredBy
        : [];
    const orphans = isPrunedFirst(resource) ? scope.rules : scope.permissions;
    const prune = [...new Set([...ownNames.map(toSidName), ...orphans.map(({ sidName: name }) => name)])];
    byId.set(resource.id, prune.length > 0 ? { ...resource, pruneOwners: prune } : resource);
  }
  const aliases = new Map(desired.flatMap((resource) => arnAliasOf(resource, actual)));
  const ruleIds = new Set(desired.filter(isPrunedFirst).map(({ id }) => id));
  for (const kind of kinds.values()) {
    const orphans = kind.scope.stage === 'rules' ? scope.rules : scope.permissions;
    for (const resource of orphans.flatMap((orphan) => kind.orphans?.(orphan) ?? [])) {
      const id = aliases.get(resource.id) ?? resource.id;
      // Rules that are wanted come after the permissions that they use: these are taken away in a stage of their own.
      const after = resource.after
        .map((dependency) => aliases.get(dependency) ?? dependency)
        .filter((dependency) => !ruleIds.has(dependency));
      byId.set(id, mergeOrphan(byId.get(id), { ...resource, after }));
    }
  }
  return [...byId.values()];
}

/** What is left is found by ARN, though it may be wanted by another name: an alias. */
function arnAliasOf({ id, kind }: Resource, actual: ActualState): [Id, Id][] {
  const observation = actual.get(id);
  const arn = observation?.state === 'present' ? observation.current.attrs.arn : undefined;
  return arn === undefined ? [] : [[`${kind}/${arn}`, id]];
}

function mergeOrphan(existing: Resource | undefined, orphaned: Resource): Resource {
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
