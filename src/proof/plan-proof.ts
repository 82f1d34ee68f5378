import type { Facts } from '../core/facts.ts';
import type { Refusal } from '../core/guard.ts';
import { keyResourceId } from '../core/ids.ts';
import type { Kind } from '../core/kind.ts';
import { ref } from '../core/ref.ts';
import type { ActualState, Plan, Resource } from '../core/resource.ts';
import type { BucketReplication, Side, Specs } from '../spec/types.ts';
import { attachPositions } from './attach-positions.ts';
import type { ObservedObject } from './object-cases.ts';
import { createArnResolver, projectFacts } from './project.ts';
import { proveRules } from './prove.ts';
import type { RuleProof, RuleVerdict } from './types.ts';

/** Facts for the proof that a pass does not read anyway: policies of buckets and roles, keys that specs name by ARN. */
export interface ProofInputs {
  facts: Facts;
  /** Twelve digits by the name of an account; those that nobody tells are absent. */
  accountIds: ReadonlyMap<string, string>;
}

/**
 * Prove the rules that specs declare, as they will be once everything that differs is applied: what was read, and the
 * plan on top. Pure.
 */
export function proveDesiredRules(
  specs: Specs,
  resources: readonly Resource[],
  actual: ActualState,
  kinds: ReadonlyMap<string, Kind>,
  { facts, accountIds }: ProofInputs,
): RuleProof[] {
  // Where nobody answers whose an account is, the plan itself is blocked, and says why.
  const managedPairs = specs.pairs.filter(
    ({ source, destination }) =>
      source.managed && [source, destination].every(({ account = '' }) => accountIds.has(account)),
  );
  const accountIdOf = ({ account = '' }: { account?: string }) => accountIds.get(account) ?? '';
  const projected = projectFacts(facts, resources, actual, kinds, accountIdOf);
  const arnOf = createArnResolver(resources, actual, kinds, accountIdOf);
  const keyKind = [...kinds.values()].find(({ scope }) => scope.type === 'key');
  const keyArnOf = (side: Side): string => {
    if ('arn' in side.key) return side.key.arn;
    return keyKind ? arnOf(ref(keyKind.scope.ownerId(keyResourceId(keyKind.name, side)))) : '';
  };
  const objectsByBucket = new Map<string, ObservedObject[]>();
  for (const pair of managedPairs) {
    const objects = declaredObjectsOf(pair, keyArnOf);
    const ofBucket = objectsByBucket.get(pair.source.bucket);
    if (ofBucket) ofBucket.push(...objects);
    else objectsByBucket.set(pair.source.bucket, objects);
  }
  const proofs = [...objectsByBucket].flatMap(([bucket, objects]) => proveRules(projected, bucket, objects));
  // Rules of other people are for the doctor: a plan answers for what it declares.
  return attachPositions(proofs, managedPairs).filter(({ spec }) => spec !== undefined);
}

/** Objects that are declared to lie in the source: under each of its keys, with a Bucket Key and without. */
function declaredObjectsOf(pair: BucketReplication, keyArnOf: (side: Side) => string): ObservedObject[] {
  const sides: Side[] = pair.sourceKeys.map((key) => ({ ...pair.source, key }));
  return [pair.source, ...sides].flatMap((side) => {
    const keyArn = keyArnOf(side);
    return [true, false].map((bucketKey) => ({
      encryption: { algorithm: 'aws:kms' as const, keyArn, bucketKey },
    }));
  });
}

/**
 * Reasons not to apply a plan: rules that would not replicate once it is applied. Specs that something blocks are told so
 * by the plan, and their replication is not switched on anyway.
 */
export function unprovenRefusals(proofs: readonly RuleVerdict[], { blocked }: Plan): Refusal[] {
  const blockedSpecs = new Set(blocked.flatMap(({ pairs }) => pairs));
  return proofs
    .filter(({ verdict, spec = '' }) => verdict === 'broken' && !blockedSpecs.has(spec))
    .map(({ rule, findings }) => ({
      id: 'unproven',
      message: `${rule} would not replicate: ${findings[0]?.code} ${findings[0]?.message}; mend that, or apply it all the same with --allow-unproven`,
    }));
}
