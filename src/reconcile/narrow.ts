import type { AwsClient } from '../aws/client.ts';
import type { Kind } from '../core/kind.ts';
import { renderChange, resourceDiff } from '../core/plan.ts';
import { type ActualState, currentOf, type Note, type Resource, type Retained } from '../core/resource.ts';
import type { Statement } from '../iam/types.ts';
import { resourcesNamedBy, specNameOfSid } from '../policy/statements.ts';
import { locateOrphan, reachableAccounts } from '../prune/locate-orphans.ts';
import type { Specs } from '../spec/types.ts';
import { partitionOfRegion } from '../util/arn.ts';
import { arnAliasOf, mergeOrphan } from './merge-orphans.ts';

/** The policies of keys and buckets that a spec no longer uses, to be narrowed after the drain. */
export interface Narrowing {
  /** The given resources, with the policies to narrow. */
  resources: Resource[];
  /** Policies of other accounts, whose owners remove the statements. */
  notes: Note[];
}

/**
 * Adds the policies of keys and destination buckets that expired permissions of a role name and that no declared
 * permission of the same spec names any more. The policy of the role is the only place that still names them, so it is
 * narrowed last. Without expired permissions this makes no call.
 *
 * @param nowMs the time of AWS, in milliseconds since 1970
 */
export async function addPoliciesToNarrow(
  resources: readonly Resource[],
  actual: ActualState,
  specs: Specs,
  { kinds, aws }: { kinds: ReadonlyMap<string, Kind>; aws: AwsClient },
  nowMs: number,
): Promise<Narrowing> {
  const unused = resources.flatMap((resource) => unusedByRole(resource, resources, actual, kinds, nowMs));
  if (unused.length === 0) return { resources: [...resources], notes: [] };
  const accounts = await reachableAccounts(specs, aws);
  const byId = new Map(resources.map((resource) => [resource.id, resource]));
  const aliases = new Map(resources.flatMap((resource) => arnAliasOf(resource, actual)));
  const notes: Note[] = [];
  for (const { role, owner, destinations, keys } of unused) {
    const spec = specNameOfSid(owner, role.declaredBy);
    const { orphan, foreignOwned } = await locateOrphan(
      {
        name: owner,
        spec,
        role: {
          name: role.name,
          arn: `arn:${partitionOfRegion(role.location.region)}:iam::${await aws.accountId(role.location.account)}:role/${role.name}`,
          location: role.location,
          tags: {},
          statements: [],
          otherPolicies: [],
          isBatchRole: false,
        },
        sources: [],
        destinations,
        keys,
        roleInUse: true,
      },
      accounts,
      aws,
    );
    for (const kind of kinds.values()) {
      if (kind.scope.stage === 'rules' || kind.scope.type === 'role') continue;
      for (const resource of kind.orphans?.(orphan) ?? []) {
        const id = aliases.get(resource.id) ?? resource.id;
        const existing = byId.get(id);
        byId.set(
          id,
          existing
            ? {
                ...mergeOrphan(existing, resource),
                pruneOwners: [...(existing.pruneOwners ?? []), owner],
                // A policy that changes for another reason, too, is changed as any other: the plan shows it.
                ...(isAsDeclared(existing, actual, kind) && { narrowed: true as const }),
              }
            : { ...resource, after: [], narrowed: true },
        );
      }
    }
    if (foreignOwned.length > 0)
      notes.push({
        id: role.id,
        message: `replikey cannot change the policies of ${foreignOwned.join(', ')}: their owners can remove the statements Replikey…${owner}`,
        pairs: [spec],
      });
  }
  return { resources: [...byId.values()], notes };
}

/** Returns whether a declared document needs no change. */
export function isAsDeclared(resource: Resource, actual: ActualState, kind: Kind): boolean {
  const { current, desired } = renderChange(resource, actual, kind);
  return (
    !resource.orphaned && current !== undefined && resourceDiff(current, desired, kind).patch.length === 0
  );
}

interface UnusedByRole {
  /** The policy of the role. */
  role: Resource;
  /** Name of the spec, as it appears in Sids. */
  owner: string;
  destinations: string[];
  keys: string[];
}

/** Returns the keys and buckets that only expired permissions of a role name. */
function unusedByRole(
  role: Resource,
  resources: readonly Resource[],
  actual: ActualState,
  kinds: ReadonlyMap<string, Kind>,
  nowMs: number,
): UnusedByRole[] {
  const retained = currentOf(actual, role.id)?.retained ?? [];
  const expired = retained.filter(({ expiresAtMs }) => expiresAtMs <= nowMs);
  if (kinds.get(role.kind)?.scope.type !== 'role' || expired.length === 0) return [];
  // The spec may have another role now, with the same keys and buckets.
  const declared = resources.flatMap(({ id, kind }) => {
    const current = currentOf(actual, id);
    if (kinds.get(kind)?.scope.type !== 'role' || !current) return [];
    const { statements = {} } = current.spec as { statements?: Record<string, Statement> };
    return Object.entries(statements).map(([Sid, statement]) => ({ Sid, ...statement }));
  });
  const unexpired = retained.filter((entry) => !expired.includes(entry)).map(toStatement);
  return [...new Set(expired.map(({ owner }) => owner))].flatMap((owner): UnusedByRole[] => {
    const ofOwner = expired.filter((entry) => entry.owner === owner).map(toStatement);
    const before = resourcesNamedBy(ofOwner);
    const after = resourcesNamedBy([...declared, ...unexpired].filter(({ Sid }) => Sid.endsWith(owner)));
    const destinations = before.destinations.filter((bucket) => !after.destinations.includes(bucket));
    const keys = before.keys.filter((key) => !after.keys.includes(key));
    return destinations.length + keys.length > 0 ? [{ role, owner, destinations, keys }] : [];
  });
}

const toStatement = ({ replaces, original }: Retained) => ({ ...(original as Statement), Sid: replaces });
