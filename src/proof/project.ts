import { type BucketFacts, type Facts, type KeyFacts, mergeFacts, type RoleFacts } from '../core/facts.ts';
import { KEEP_RETAINED, type Kind, type Retention } from '../core/kind.ts';
import { createRefResolver, renderChange } from '../core/plan.ts';
import { ref } from '../core/ref.ts';
import type { ActualState, Location, Ref, Resource } from '../core/resource.ts';

/** Returns the account id (12 digits) of a location. */
export type AccountIdOf = (location: Location) => string;

/** Returns a function that resolves references to ARNs: the actual ARN, or the ARN that the resource will have. */
export function createArnResolver(
  resources: readonly Resource[],
  actual: ActualState,
  kinds: ReadonlyMap<string, Kind>,
  accountIdOf: AccountIdOf,
): (reference: Ref) => string {
  const resourcesById = new Map(resources.map((resource) => [resource.id, resource]));
  const knownArn = createRefResolver(actual);
  const futureArn = ({ $ref }: Ref): string => {
    const resource = resourcesById.get($ref);
    const kind = resource && kinds.get(resource.kind);
    return kind ? kind.scope.arn(resource, accountIdOf(resource.location)) : '';
  };
  return (reference) => knownArn(reference) ?? futureArn(reference);
}

/**
 * Returns the facts after apply: the rendered documents laid over the fetched documents. Pure.
 *
 * @param retention default: with all retained permissions
 */
export function projectFacts(
  facts: Facts,
  resources: readonly Resource[],
  actual: ActualState,
  kinds: ReadonlyMap<string, Kind>,
  accountIdOf: AccountIdOf,
  retention: Retention = KEEP_RETAINED,
): Facts {
  const arnOf = createArnResolver(resources, actual, kinds, accountIdOf);
  const projected: Facts = {
    buckets: { ...facts.buckets },
    roles: { ...facts.roles },
    keys: { ...facts.keys },
  };
  for (const resource of resources) {
    const kind = kinds.get(resource.kind);
    if (!kind?.scope.facts || actual.get(resource.id)?.state === 'unknown') continue;
    const { doc, current } = renderChange(resource, actual, kind, arnOf, retention);
    const arn = arnOf(ref(kind.scope.ownerId(resource.id)));
    const context = { current, arn, accountId: accountIdOf(resource.location) };
    const documentFacts = kind.scope.facts(doc, context);
    if (documentFacts) mergeFacts(projected, toFacts(kind, resource, arn, documentFacts));
  }
  return projected;
}

/** Wraps facts about one bucket, role or key. */
function toFacts(
  { scope }: Kind,
  { name, location }: Resource,
  arn: string,
  fields: Partial<BucketFacts & RoleFacts & KeyFacts>,
): Partial<Facts> {
  if (scope.type === 'bucket') return { buckets: { [name]: { region: location.region, ...fields } } };
  if (scope.type === 'role') return { roles: { [arn]: fields } };
  return { keys: { [arn]: { arn, ...fields } as KeyFacts } };
}
