import { groupedBy } from '../core/grouped-by.ts';
import { place } from '../core/names.ts';
import { layOver, type Observed } from '../core/observed.ts';
import { keyArn } from '../core/permissions.ts';
import type { PlanPart } from '../core/plan.ts';
import type { Actual, Aws, Kind, Ref, Resource } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import type { SeenObject } from '../proof/cases.ts';
import { foresee, futureArns } from '../proof/foresee.ts';
import { locate } from '../proof/locate.ts';
import { prove } from '../proof/prove.ts';
import type { RuleProof } from '../proof/types.ts';
import type { BucketReplication, Side, Specs } from '../spec/types.ts';
import { atlasOf } from './atlas.ts';
import { readObjectLocks, readThings } from './read.ts';

/** What the proof asks beside what a pass reads anyway: policies of buckets and of roles, keys that are given by ARN. */
export interface Around {
  observed: Observed;
  /** Twelve digits by the name of an account; those that nobody tells are absent. */
  accountIds: ReadonlyMap<string, string>;
}

/** Read it, at once with the rest: none of it depends on what the rest is. */
export async function readAround(specs: Specs, aws: Aws): Promise<Around> {
  const ours = specs.pairs.filter(({ source }) => source.managed);
  const [observed, accountIds] = await Promise.all([
    readThings(
      aws,
      {
        buckets: ours.flatMap(({ source, destination }) => [source.bucket, destination.bucket]),
        roles: ours.map(({ role, source }) =>
          'arn' in role ? role : { name: role.name, at: place(source) },
        ),
        keys: ours.flatMap(keysByArn),
      },
      atlasOf(specs, ours[0]?.source.region ?? 'us-east-1'),
    ),
    accountIdsOf(ours, aws),
  ]);
  return { observed, accountIds };
}

/**
 * Whether buckets have Object Lock, which asks more of the role. It is only ever a warning, so that it is read of those
 * alone of which a plan changes something: a converged pass costs nothing for it.
 */
export async function readLocks(
  around: Around,
  made: Pick<PlanPart, 'waves'>,
  specs: Specs,
  aws: Aws,
): Promise<Around> {
  const changing = new Set(made.waves.flat().flatMap(({ pairs }) => pairs));
  const pairs = specs.pairs.filter(({ name, source }) => source.managed && changing.has(name));
  const buckets = pairs.flatMap(({ source, destination }) => [source.bucket, destination.bucket]);
  if (buckets.length === 0) return around;
  const locks = await readObjectLocks(aws, buckets, atlasOf(specs, pairs[0]?.source.region ?? 'us-east-1'));
  const observed = { ...around.observed, buckets: { ...around.observed.buckets } };
  layOver(observed, { buckets: locks });
  return { ...around, observed };
}

/**
 * Prove the rules that specs declare, as they will be once everything that differs is applied: what was read, and the
 * plan on top. Pure.
 */
export function proveDeclared(
  specs: Specs,
  resources: readonly Resource[],
  actual: Actual,
  kinds: ReadonlyMap<string, Kind>,
  { observed, accountIds }: Around,
): RuleProof[] {
  // Where nobody answers whose an account is, the plan itself is blocked, and says why.
  const managed = specs.pairs.filter(
    ({ source, destination }) =>
      source.managed && [source, destination].every(({ account = '' }) => accountIds.has(account)),
  );
  const accountIdOf = ({ account = '' }: { account?: string }) => accountIds.get(account) ?? '';
  const foreseen = foresee(observed, resources, actual, kinds, accountIdOf);
  const arnOf = futureArns(resources, actual, accountIdOf);
  const bySource = groupedBy(managed, ({ source }) => source.bucket);
  const proofs = [...bySource].flatMap(([bucket, pairs]) =>
    prove(
      foreseen,
      bucket,
      pairs.flatMap((pair) => objectsOf(pair, arnOf)),
    ),
  );
  // Rules of other people are for the doctor: a plan answers for what it declares.
  return locate(proofs, managed).filter(({ spec }) => spec !== undefined);
}

/** Objects that are declared to lie in the source: under each of its keys, with a Bucket Key and without. */
function objectsOf(pair: BucketReplication, arnOf: (reference: Ref) => string): SeenObject[] {
  const sides: Side[] = pair.sourceKeys.map((key) => ({ ...pair.source, key }));
  return [pair.source, ...sides].flatMap((side) => {
    const key = keyArn(side);
    const arn = typeof key === 'string' ? key : arnOf(key);
    return [true, false].map((bucketKey) => ({
      encryption: { algorithm: 'aws:kms' as const, keyArn: arn, bucketKey },
    }));
  });
}

const keysByArn = ({ source, destination, sourceKeys }: BucketReplication): string[] =>
  [source.key, destination.key, ...sourceKeys].flatMap((key) => ('arn' in key ? key.arn : []));

async function accountIdsOf(pairs: readonly BucketReplication[], aws: Aws): Promise<Map<string, string>> {
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
  const declared = sides.flatMap(({ account = '', accountId }): [string, string][] =>
    accountId === undefined ? [] : [[account, accountId]],
  );
  return new Map([...declared, ...(await Promise.all(ids)).flat()]);
}
