import { roleId } from '../core/names.ts';
import { keyArn } from '../core/permissions.ts';
import { knownIn } from '../core/plan.ts';
import { ref } from '../core/ref.ts';
import type { Actual, Aws, Kind, Ref, Resource } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import type { SeenObject } from '../proof/cases.ts';
import { foresee, futureArns } from '../proof/foresee.ts';
import { locate } from '../proof/locate.ts';
import { prove } from '../proof/prove.ts';
import type { RuleProof } from '../proof/types.ts';
import type { BucketReplication, Side, Specs } from '../spec/types.ts';
import { atlasOf } from './atlas.ts';
import { readThings } from './read.ts';

/**
 * Prove the rules that specs declare, as they will be once everything that differs is applied: what the pass has read
 * anyway, with what the proof asks beside (policies of buckets and of roles that are there), and the plan on top.
 */
export async function proveDeclared(
  specs: Specs,
  resources: readonly Resource[],
  actual: Actual,
  kinds: ReadonlyMap<string, Kind>,
  aws: Aws,
): Promise<RuleProof[]> {
  const ours = specs.pairs.filter(({ source }) => source.managed);
  const accountIds = await accountIdsOf(ours, aws);
  // Where nobody answers whose an account is, the plan itself is blocked, and says why.
  const managed = ours.filter(({ source, destination }) =>
    [source, destination].every(({ account = '' }) => accountIds.has(account)),
  );
  const known = knownIn(actual);
  const given = managed.flatMap(keysByArn);
  const read = await readThings(
    aws,
    {
      buckets: managed.flatMap(({ source, destination }) => [source.bucket, destination.bucket]),
      roles: managed.flatMap((pair) =>
        'arn' in pair.role ? pair.role.arn : (known(ref(roleId(pair))) ?? []),
      ),
      keys: given,
    },
    atlasOf(specs, managed[0]?.source.region ?? 'us-east-1'),
  );
  const accountIdOf = ({ account = '' }: { account?: string }) => accountIds.get(account) ?? '';
  const observed = foresee(read, resources, actual, kinds, accountIdOf);
  const arnOf = futureArns(resources, actual, accountIdOf);
  const sources = [...new Set(managed.map(({ source }) => source.bucket))];
  const proofs = sources.flatMap((bucket) =>
    prove(
      observed,
      bucket,
      managed.filter(({ source }) => source.bucket === bucket).flatMap((pair) => objectsOf(pair, arnOf)),
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
