import { HeadBucketCommand } from '@aws-sdk/client-s3';
import { describeError, nameAndMessage } from '../aws/describe-error.ts';
import type { Leftover } from '../core/leftover.ts';
import { bucketId, NOWHERE } from '../core/names.ts';
import type { Aws, Blocked, Place } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import { regionOf } from '../import/look.ts';
import type { Specs } from '../spec/types.ts';
import type { Trace } from './traces.ts';

/** An account that can be reached. */
export interface Reached {
  /** Twelve digits. */
  id: string;
  /** Any Region of it. */
  at: Place;
}

/** Every account that the specs give credentials for, each once whatever its names. */
export async function accountsOf({ pairs, accounts }: Specs, aws: Aws): Promise<Reached[]> {
  const sides = pairs.flatMap(({ source, destination }) => [source, destination]);
  const names = new Set([
    ...sides.filter(({ managed }) => managed).map(({ account }) => account),
    ...accounts.filter(({ managed }) => managed).map(({ name }) => name),
  ]);
  const reached = [...names].map(async (account): Promise<[string, Place]> => {
    const region = (sides.find((side) => side.account === account) ?? sides[0])?.region ?? 'us-east-1';
    const at = account === undefined ? { region } : { account, region };
    return [await identified(account, at, aws), at];
  });
  return [...new Map(await Promise.all(reached))].map(([id, at]) => ({ id, at }));
}

/** @throws UserError where it cannot be told: what is left of specs is looked for in accounts that are known. */
async function identified(account: string | undefined, at: Place, aws: Aws): Promise<string> {
  try {
    return await aws.accountId(account);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(EXIT.failed, describeError(error, 'sts:GetCallerIdentity', at), { cause: error });
  }
}

/** What is left of a spec, with the places of what can be reached. */
export interface Located {
  trace: Trace;
  leftover: Leftover;
  /** Buckets and keys that none of the accounts owns: what their policies say is their owners' affair. */
  elsewhere: string[];
  /** A bucket of which it could not be told whose it is, if there is one. */
  unknown?: Blocked;
}

export async function locate(trace: Trace, accounts: readonly Reached[], aws: Aws): Promise<Located> {
  const { name, spec, role, sources, destinations, keys } = trace;
  const idOf = (arn: string) => arn.split(':')[4];
  const home = accounts.filter(({ id }) => id === idOf(role.arn));
  const others = accounts.filter((account) => !home.includes(account));
  const from = await Promise.all(sources.map((bucket) => seek(bucket, home, aws)));
  const to = await Promise.all(destinations.map((bucket) => seek(bucket, [...home, ...others], aws)));
  const owned = keys.map((arn) => ({ arn, owner: accounts.find(({ id }) => id === idOf(arn)) }));
  const unknown = [...from, ...to].find(isUnknown);
  return {
    trace,
    leftover: {
      name,
      spec,
      role: { name: role.name, arn: role.arn, at: role.at },
      roleGoes: false,
      // One that does not let itself be seen is not known to be free of rules: reading it says why.
      sources: from
        .filter(({ state }) => state !== 'absent')
        .map(({ bucket, at }) => ({ bucket, at: at ?? role.at })),
      destinations: to.flatMap(({ bucket, at, owner }) =>
        at && owner && others.includes(owner) ? [{ bucket, at }] : [],
      ),
      keys: owned.flatMap(({ arn, owner }) =>
        owner ? [{ arn, at: { ...owner.at, region: arn.split(':')[3] ?? '' } }] : [],
      ),
    },
    elsewhere: [
      ...to.filter(({ state }) => state === 'hidden').map(({ bucket }) => bucket),
      ...owned.filter(({ owner }) => !owner).map(({ arn }) => arn),
    ],
    ...(unknown && { unknown: notFound(spec, unknown) }),
  };
}

interface Sought {
  bucket: string;
  /** Hidden: it is of none of the accounts, or does not let itself be asked. */
  state: 'found' | 'absent' | 'hidden';
  at?: Place;
  owner?: Reached;
  why?: string;
}

const isUnknown = (one: Sought): one is Sought & { why: string } => one.why !== undefined;

const notFound = (spec: string, { bucket, why }: { bucket: string; why: string }): Blocked => ({
  id: bucketId('s3.bucket', bucket),
  why: `what is left of ${spec} there cannot be found: ${why}`,
  pairs: [spec],
  from: NOWHERE,
});

/** Whose of some accounts a bucket is, and where. */
async function seek(bucket: string, accounts: readonly Reached[], aws: Aws): Promise<Sought> {
  for (const owner of accounts) {
    try {
      const at = { ...owner.at, region: await regionOf(aws, bucket, owner.at.region, owner.at.account) };
      await aws.send(at, new HeadBucketCommand({ Bucket: bucket, ExpectedBucketOwner: owner.id }));
      return { bucket, state: 'found', at, owner };
    } catch (error) {
      if (error instanceof UserError || !(error instanceof Error)) throw error;
      // HEAD answers have no body to say more in than a status.
      const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
      if (status === 404) return { bucket, state: 'absent' };
      if (status !== 403) return { bucket, state: 'hidden', why: nameAndMessage(error) };
    }
  }
  return { bucket, state: 'hidden' };
}
