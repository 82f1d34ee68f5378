import { mergeFacts } from '../core/facts.ts';
import { locationOfSide } from '../core/ids.ts';
import type { PlanDraft } from '../core/plan.ts';
import type { Aws } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import type { ProofInputs } from '../proof/plan-proof.ts';
import type { BucketReplication, Specs } from '../spec/types.ts';
import { collectFacts, collectObjectLocks } from './collect.ts';
import { locationsOf } from './locations.ts';

/** Reads the proof inputs concurrently with the observation, because neither depends on the other. */
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
 * Adds the Object Lock facts. Object Lock requires more permissions of the role, but a missing permission is only a
 * warning. It is therefore read only for buckets of pairs that the plan changes: a converged pass makes no calls for
 * it.
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
