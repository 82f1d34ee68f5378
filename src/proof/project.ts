import {
  type BucketFacts,
  copyFacts,
  type Facts,
  type KeyFacts,
  mergeFacts,
  type RoleFacts,
} from '../core/facts.ts';
import { type FactsContext, KEEP_RETAINED, type Kind, type Retention } from '../core/kind.ts';
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

/** What a projection needs beside the facts: the resources, their actual state, and how ARNs follow from them. */
export interface Projection {
  actual: ActualState;
  kinds: ReadonlyMap<string, Kind>;
  accountIdOf: AccountIdOf;
  arnOf: (reference: Ref) => string;
  /** Managed policies that the plan makes permissions boundaries, by ARN. */
  boundaries: NonNullable<FactsContext['boundaries']>;
}

/**
 * Returns the facts after apply: the rendered documents laid over the fetched documents. Pure.
 *
 * @param retention default: with all retained permissions
 */
export function projectFacts(
  facts: Facts,
  resources: readonly Resource[],
  projection: Projection,
  retention: Retention = KEEP_RETAINED,
): Facts {
  const projected = copyFacts(facts);
  for (const resource of resources) {
    const documentFacts = factsAfterWrite(resource, projection, retention);
    if (documentFacts) mergeFacts(projected, documentFacts);
  }
  return projected;
}

/** Returns the facts about one document as a write leaves it; undefined if the document gives no facts. */
export function factsAfterWrite(
  resource: Resource,
  { actual, kinds, accountIdOf, arnOf, boundaries }: Projection,
  retention: Retention = KEEP_RETAINED,
): Partial<Facts> | undefined {
  const kind = kinds.get(resource.kind);
  if (!kind?.scope.facts || actual.get(resource.id)?.state === 'unknown') return undefined;
  const change = renderChange(resource, actual, kind, arnOf, retention);
  const { doc, current } = change;
  // A resource that is only referred to, and does not exist. A step for another resource may create it.
  if (!current && kind.check?.(change).blocked !== undefined) return undefined;
  const arn = arnOf(ref(kind.scope.ownerId(resource.id)));
  const context = { current, arn, accountId: accountIdOf(resource.location), boundaries };
  const documentFacts = doc === undefined ? kind.scope.factsOfDeleted : kind.scope.facts(doc, context);
  return documentFacts && toFacts(kind, resource, arn, documentFacts);
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
