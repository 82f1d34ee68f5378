import { emptyFacts, type Fact, type Facts, mergeFacts } from '../core/facts.ts';
import type { Refusal } from '../core/guard.ts';
import { keyResourceId } from '../core/ids.ts';
import { isForReplication, KEEP_RETAINED, type Kind, type Retention } from '../core/kind.ts';
import { ref } from '../core/ref.ts';
import type { ActualState, Plan, Resource } from '../core/resource.ts';
import type { Policy } from '../iam/types.ts';
import { toSidName } from '../policy/statements.ts';
import { sourceKeySides } from '../spec/key-uses.ts';
import type { BucketReplication, Side, Specs } from '../spec/types.ts';
import { attachPositions } from './attach-positions.ts';
import type { ObservedObject } from './object-cases.ts';
import { createArnResolver, type Projection, projectFacts } from './project.ts';
import { proveRules } from './prove.ts';
import { observedForm, type TransitionInputs } from './transition-proof.ts';
import type { RuleProof, RuleVerdict } from './types.ts';

/**
 * Facts for the proof that a pass does not read otherwise: policies of buckets and roles, and keys that specs name by
 * ARN.
 */
export interface ProofInputs {
  facts: Facts;
  /** Account ids (12 digits) by account name; an unknown account is absent. */
  accountIds: ReadonlyMap<string, string>;
  /** Managed policies that a plan makes permissions boundaries, by ARN. */
  boundaries?: Readonly<Record<string, Fact<Policy>>>;
}

/** Returns the projection of a plan. */
export function projectionOf(
  resources: readonly Resource[],
  actual: ActualState,
  kinds: ReadonlyMap<string, Kind>,
  { accountIds, boundaries = {} }: Omit<ProofInputs, 'facts'>,
): Projection {
  const accountIdOf = ({ account = '' }: { account?: string }) => accountIds.get(account) ?? '';
  const arnOf = createArnResolver(resources, actual, kinds, accountIdOf);
  return { actual, kinds, accountIdOf, arnOf, boundaries };
}

/** Proves the rules that specs declare, as projected: the facts with the plan applied to them. Pure. */
export const proveDesiredRules = (...inputs: Parameters<typeof proveProjectedRules>): RuleProof[] =>
  // The proof of the transition covers foreign rules.
  proveProjectedRules(...inputs).filter(({ spec }) => spec !== undefined);

/** Proves all rules of the buckets of the specs, as projected. A foreign rule has no `spec`. Pure. */
export function proveProjectedRules(
  specs: Specs,
  resources: readonly Resource[],
  actual: ActualState,
  kinds: ReadonlyMap<string, Kind>,
  { facts, ...inputs }: ProofInputs,
  retention: Retention = KEEP_RETAINED,
): RuleProof[] {
  const managedPairs = decidablePairs(specs, inputs);
  const projection = projectionOf(resources, actual, kinds, inputs);
  const projected = projectFacts(facts, resources, projection, retention);
  const objectsByBucket = declaredObjects(managedPairs, projection);
  const proofs = [...objectsByBucket].flatMap(([bucket, objects]) => proveRules(projected, bucket, objects));
  return attachPositions(proofs, managedPairs, projected);
}

/** Returns the facts before a plan: the documents that the proof read, and those that the pass observed. */
export function factsBeforePlan(
  resources: readonly Resource[],
  actual: ActualState,
  kinds: ReadonlyMap<string, Kind>,
  { facts, ...inputs }: ProofInputs,
): Facts {
  const projection = projectionOf(resources, actual, kinds, inputs);
  const observed = resources.flatMap((resource) => observedForm(resource, projection));
  const before = projectFacts(emptyFacts(), observed, projection);
  // Documents as AWS has them take precedence over documents that replikey rendered.
  mergeFacts(before, facts);
  return before;
}

/** A plan with its facts, for the proof of its transition. */
export interface PlannedTransition {
  specs: Specs;
  resources: readonly Resource[];
  actual: ActualState;
  kinds: ReadonlyMap<string, Kind>;
  plan: TransitionInputs['plan'];
  facts: ProofInputs;
  /** The proofs of the declared rules, after the plan. */
  proofs: readonly RuleProof[];
}

/** Returns the inputs for the proof of a plan's transition. */
export function transitionInputs({
  specs,
  resources,
  actual,
  kinds,
  plan,
  facts: { facts, ...inputs },
  proofs,
}: PlannedTransition): TransitionInputs {
  const projection = projectionOf(resources, actual, kinds, inputs);
  const orphans = resources.flatMap(({ pruneOwners = [], disableOwners = [] }) => [
    ...pruneOwners,
    ...disableOwners,
  ]);
  return {
    facts,
    resources,
    projection,
    plan,
    declaredRules: new Set(proofs.map(({ bucket, rule }) => `${bucket} ${rule}`)),
    owners: new Set([...specs.pairs.map(({ name }) => toSidName(name)), ...orphans]),
    objectsByBucket: declaredObjects(decidablePairs(specs, inputs), projection),
  };
}

/** Returns the pairs with managed sources. If an account id is unknown, the plan itself is blocked and says why. */
const decidablePairs = (
  { pairs }: Pick<Specs, 'pairs'>,
  { accountIds }: Pick<ProofInputs, 'accountIds'>,
): BucketReplication[] =>
  pairs.filter(
    ({ source, destination }) =>
      source.managed && [source, destination].every(({ account = '' }) => accountIds.has(account)),
  );

/** Returns the objects that specs declare, by source bucket. */
export function declaredObjects(
  pairs: readonly BucketReplication[],
  { kinds, arnOf }: Projection,
): Map<string, ObservedObject[]> {
  const keyKind = [...kinds.values()].find(({ scope }) => scope.type === 'key');
  const keyArnOf = (side: Side): string => {
    if ('arn' in side.key) return side.key.arn;
    return keyKind ? arnOf(ref(keyKind.scope.ownerId(keyResourceId(keyKind.name, side)))) : '';
  };
  const objectsByBucket = new Map<string, ObservedObject[]>();
  for (const pair of pairs) {
    const objects = declaredObjectsOf(pair, keyArnOf);
    const ofBucket = objectsByBucket.get(pair.source.bucket);
    if (ofBucket) ofBucket.push(...objects);
    else objectsByBucket.set(pair.source.bucket, objects);
  }
  return objectsByBucket;
}

/** Returns the objects that a spec declares for its source: under each of its keys, with and without a Bucket Key. */
function declaredObjectsOf(pair: BucketReplication, keyArnOf: (side: Side) => string): ObservedObject[] {
  return sourceKeySides(pair).flatMap((side) => {
    const keyArn = keyArnOf(side);
    // A pass over jobs alone does not look keys up. Their ARNs are in the default encryption and in policies.
    if (keyArn === '') return [];
    return [true, false].map((bucketKey) => ({
      encryption: { algorithm: 'aws:kms' as const, keyArn, bucketKey },
    }));
  });
}

/**
 * Returns the reasons to refuse a plan: rules that would not replicate after apply, and rules whose control policies could not
 * be read. It skips blocked specs: the plan
 * reports these already, and apply does not enable their replication.
 */
export function unprovenRefusals(
  proofs: readonly RuleVerdict[],
  { blocked }: Plan,
  kinds: ReadonlyMap<string, Kind>,
): Refusal[] {
  const blockedSpecs = new Set(
    blocked.flatMap(({ id, pairs }) => (isForReplication(id, kinds) ? pairs : [])),
  );
  return proofs
    .filter(
      ({ verdict, basis, spec = '' }) =>
        // replikey was to read the control policies: without them, a proof is not what the user asked for.
        (verdict === 'broken' || (verdict === 'unknown' && basis?.controlPolicies.undecided !== undefined)) &&
        !blockedSpecs.has(spec),
    )
    .map(({ rule, verdict, findings }) => ({
      id: 'unproven',
      message: `${rule} ${verdict === 'broken' ? 'would not replicate' : 'is not proven'}: ${findings[0]?.code} ${findings[0]?.message}; fix the cause, or apply with --allow-unproven`,
    }));
}
