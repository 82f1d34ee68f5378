import { type Facts, mergeFacts } from '../core/facts.ts';
import { groupBy } from '../core/grouped-by.ts';
import { locationOfSide } from '../core/ids.ts';
import type { PlanDraft } from '../core/plan.ts';
import type { ActualState, Aws, Kind, Ref, Resource } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import { collectFacts, collectObjectLocks } from '../facts/collect.ts';
import { locationsOf } from '../facts/locations.ts';
import { keyArnOrRef } from '../policy/replication-policies.ts';
import type { BucketReplication, Side, Specs } from '../spec/types.ts';
import { attachPositions } from './attach-positions.ts';
import type { ObservedObject } from './object-cases.ts';
import { createArnResolver, projectFacts } from './project.ts';
import { proveRules } from './prove.ts';
import type { RuleProof } from './types.ts';

/** What the proof asks beside what a pass reads anyway: policies of buckets and of roles, keys that are given by ARN. */
export interface ProofInputs {
  facts: Facts;
  /** Twelve digits by the name of an account; those that nobody tells are absent. */
  accountIds: ReadonlyMap<string, string>;
}

/** Read it, at once with the rest: none of it depends on what the rest is. */
export async function readProofInputs(specs: Specs, aws: Aws): Promise<ProofInputs> {
  const managedPairs = specs.pairs.filter(({ source }) => source.managed);
  const [facts, accountIds] = await Promise.all([
    collectFacts(
      aws,
      {
        buckets: managedPairs.flatMap(({ source, destination }) => [source.bucket, destination.bucket]),
        roles: managedPairs.map(({ role, source }) =>
          'arn' in role ? role : { name: role.name, location: locationOfSide(source) },
        ),
        keys: managedPairs.flatMap(externalKeyArnsOf),
      },
      locationsOf(specs, managedPairs[0]?.source.region ?? 'us-east-1'),
    ),
    resolveAccountIds(managedPairs, aws),
  ]);
  return { facts, accountIds };
}

/**
 * Whether buckets have Object Lock, which asks more of the role. It is only ever a warning, so that it is read of those
 * alone of which a plan changes something: a converged pass costs nothing for it.
 */
export async function addObjectLockFacts(
  inputs: ProofInputs,
  plan: Pick<PlanDraft, 'waves'>,
  specs: Specs,
  aws: Aws,
): Promise<ProofInputs> {
  const changingPairs = new Set(plan.waves.flat().flatMap(({ pairs }) => pairs));
  const pairs = specs.pairs.filter(({ name, source }) => source.managed && changingPairs.has(name));
  const buckets = pairs.flatMap(({ source, destination }) => [source.bucket, destination.bucket]);
  if (buckets.length === 0) return inputs;
  const locks = await collectObjectLocks(
    aws,
    buckets,
    locationsOf(specs, pairs[0]?.source.region ?? 'us-east-1'),
  );
  const facts = { ...inputs.facts, buckets: { ...inputs.facts.buckets } };
  mergeFacts(facts, { buckets: locks });
  return { ...inputs, facts };
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
  const arnOf = createArnResolver(resources, actual, accountIdOf);
  const bySource = groupBy(managedPairs, ({ source }) => source.bucket);
  const proofs = [...bySource].flatMap(([bucket, pairs]) =>
    proveRules(
      projected,
      bucket,
      pairs.flatMap((pair) => declaredObjectsOf(pair, arnOf)),
    ),
  );
  // Rules of other people are for the doctor: a plan answers for what it declares.
  return attachPositions(proofs, managedPairs).filter(({ spec }) => spec !== undefined);
}

/** Objects that are declared to lie in the source: under each of its keys, with a Bucket Key and without. */
function declaredObjectsOf(pair: BucketReplication, arnOf: (ref: Ref) => string): ObservedObject[] {
  const sides: Side[] = pair.sourceKeys.map((key) => ({ ...pair.source, key }));
  return [pair.source, ...sides].flatMap((side) => {
    const key = keyArnOrRef(side);
    const arn = typeof key === 'string' ? key : arnOf(key);
    return [true, false].map((bucketKey) => ({
      encryption: { algorithm: 'aws:kms' as const, keyArn: arn, bucketKey },
    }));
  });
}

const externalKeyArnsOf = ({ source, destination, sourceKeys }: BucketReplication): string[] =>
  [source.key, destination.key, ...sourceKeys].flatMap((key) => ('arn' in key ? key.arn : []));

async function resolveAccountIds(
  pairs: readonly BucketReplication[],
  aws: Aws,
): Promise<Map<string, string>> {
  const sides = pairs.flatMap(({ source, destination }) => [source, destination]);
  const names = [...new Set(sides.filter((side) => side.managed).map(({ account }) => account))];
  const ids = names.map(async (name): Promise<[string, string][]> => {
    try {
      return [[name ?? '', await aws.accountId(name)]];
    } catch (error) {
      if (error instanceof UserError) throw error;
      return [];
    }
  });
  const declaredIds = sides.flatMap(({ account = '', accountId }): [string, string][] =>
    accountId === undefined ? [] : [[account, accountId]],
  );
  return new Map([...declaredIds, ...(await Promise.all(ids)).flat()]);
}
