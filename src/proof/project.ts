import { type Facts, mergeFacts } from '../core/facts.ts';
import { createRefResolver, resolveDesired } from '../core/plan.ts';
import { ref } from '../core/ref.ts';
import type { ActualState, Id, Kind, Location, Ref, Resource } from '../core/resource.ts';
import { bucketArn, partitionOfRegion } from '../util/arn.ts';

/** Twelve digits of whose a resource is. */
export type AccountIdOf = (location: Location) => string;

/** ARNs of resources: as they are, or as they will be. */
export function createArnResolver(
  resources: readonly Resource[],
  actual: ActualState,
  accountIdOf: AccountIdOf,
): (reference: Ref) => string {
  const byId = new Map(resources.map((resource) => [resource.id, resource]));
  const knownArn = createRefResolver(actual);
  return (reference) => knownArn(reference) ?? projectedArn(byId.get(reference.$ref), accountIdOf);
}

/** How things will stand once everything that the specs want is in place, laid over what was read. Pure. */
export function projectFacts(
  facts: Facts,
  resources: readonly Resource[],
  actual: ActualState,
  kinds: ReadonlyMap<string, Kind>,
  accountIdOf: AccountIdOf,
): Facts {
  const arnOf = createArnResolver(resources, actual, accountIdOf);
  const projected: Facts = {
    buckets: { ...facts.buckets },
    roles: { ...facts.roles },
    keys: { ...facts.keys },
  };
  for (const resource of resources) {
    const kind = kinds.get(resource.kind);
    const observation = actual.get(resource.id) ?? { state: 'absent' };
    if (!kind?.facts || observation.state === 'unknown') continue;
    const resourceFacts = kind.facts(resolveDesired(resource, actual, kind, arnOf), {
      current: observation.state === 'present' ? observation.current : undefined,
      location: resource.location,
      accountId: accountIdOf(resource.location),
      arn: arnOf(ref(ownerIdOf(resource.id))),
    });
    mergeFacts(projected, resourceFacts);
  }
  return projected;
}

/** What a policy belongs to: the role of `iam.role-policy/…`, the key of `kms.key-policy/…`. */
const ownerIdOf = (id: Id): Id => id.replace(/^(iam\.role|kms\.key)-policy\//, '$1/') as Id;

/** The ARN that a thing will have: a role's and a bucket's follow from their names, a key's id is for KMS to choose. */
function projectedArn(resource: Resource | undefined, accountIdOf: AccountIdOf): string {
  if (!resource) return '';
  const { location, spec } = resource as Resource<Record<string, string | undefined>>;
  const arnPrefix = `arn:${partitionOfRegion(location.region)}`;
  if (spec.arn !== undefined) return spec.arn;
  if (resource.kind === 'iam.role')
    return `${arnPrefix}:iam::${accountIdOf(location)}:role${spec.path ?? '/'}${spec.name}`;
  if (resource.kind === 'kms.key')
    return `${arnPrefix}:kms:${location.region}:${accountIdOf(location)}:key/${spec.alias}`;
  return bucketArn(spec.bucket ?? '', location.region);
}
