import { layOver, type Observed } from '../core/observed.ts';
import { bucketArn, partition } from '../core/permissions.ts';
import { knownIn, settled } from '../core/plan.ts';
import { ref } from '../core/ref.ts';
import type { Actual, Id, Kind, Place, Ref, Resource } from '../core/resource.ts';

/** Twelve digits of whose a resource is. */
export type AccountIdOf = (at: Place) => string;

/** ARNs of resources: as they are, or as they will be. */
export function futureArns(
  resources: readonly Resource[],
  actual: Actual,
  accountIdOf: AccountIdOf,
): (reference: Ref) => string {
  const byId = new Map(resources.map((resource) => [resource.id, resource]));
  const known = knownIn(actual);
  return (reference) => known(reference) ?? futureArn(byId.get(reference.$ref), accountIdOf);
}

/** How things will stand once everything that the specs want is in place, laid over what was read. Pure. */
export function foresee(
  observed: Observed,
  resources: readonly Resource[],
  actual: Actual,
  kinds: ReadonlyMap<string, Kind>,
  accountIdOf: AccountIdOf,
): Observed {
  const arnOf = futureArns(resources, actual, accountIdOf);
  const result: Observed = {
    buckets: { ...observed.buckets },
    roles: { ...observed.roles },
    keys: { ...observed.keys },
  };
  for (const resource of resources) {
    const kind = kinds.get(resource.kind);
    const observation = actual.get(resource.id) ?? { state: 'absent' };
    if (!kind?.facts || observation.state === 'unknown') continue;
    const facts = kind.facts(settled(resource, actual, kind, arnOf), {
      seen: observation.state === 'present' ? observation.seen : undefined,
      at: resource.at,
      accountId: accountIdOf(resource.at),
      arn: arnOf(ref(thingOf(resource.id))),
    });
    layOver(result, facts);
  }
  return result;
}

/** What a policy belongs to: the role of `iam.role-policy/…`, the key of `kms.key-policy/…`. */
const thingOf = (id: Id): Id => id.replace(/^(iam\.role|kms\.key)-policy\//, '$1/') as Id;

/** The ARN that a thing will have: a role's and a bucket's follow from their names, a key's id is for KMS to choose. */
function futureArn(resource: Resource | undefined, accountIdOf: AccountIdOf): string {
  if (!resource) return '';
  const { at, spec } = resource as Resource<Record<string, string | undefined>>;
  const of = `arn:${partition(at.region)}`;
  if (spec.arn !== undefined) return spec.arn;
  if (resource.kind === 'iam.role')
    return `${of}:iam::${accountIdOf(at)}:role${spec.path ?? '/'}${spec.name}`;
  if (resource.kind === 'kms.key') return `${of}:kms:${at.region}:${accountIdOf(at)}:key/${spec.alias}`;
  return bucketArn(spec.bucket ?? '', at.region);
}
