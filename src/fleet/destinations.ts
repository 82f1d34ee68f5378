import { formatAwsError, isAccessDenied } from '../aws/errors.ts';
import { type BucketFacts, type Fact, factValue } from '../core/facts.ts';
import type { Aws } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import type { Locations } from '../facts/locations.ts';
import { bucketRegionIn, fetchBucketRegion } from '../kinds/s3-bucket.ts';
import { createFinding, type Finding } from '../proof/findings.ts';

/** The accounts of a fleet, for decisions about the owner of a bucket. Account ids have 12 digits. */
export interface KnownAccounts {
  /** Accounts whose buckets are all listed. */
  listed: ReadonlySet<string>;
  /** Other accounts of the user: without credentials, or not readable. */
  unlisted: ReadonlySet<string>;
}

/**
 * The owner of a destination bucket. `elsewhere`: the bucket exists, and no listed account owns it; S3 reports no owner.
 */
export type DestinationOwner =
  | { status: 'owned'; account: string; isKnown: boolean }
  | { status: 'absent' }
  | { status: 'elsewhere'; sourceAccount: string; accounts: KnownAccounts }
  | { status: 'unknown'; reason: string };

/**
 * Finds the owner of a destination. It makes no call that the proof of the rule has not made, if the client caches.
 *
 * @param fact the facts of the bucket from the proof
 * @param owner the account in whose list of buckets the name is
 */
export async function findDestinationOwner(
  aws: Pick<Aws, 'send'>,
  name: string,
  fact: Fact<BucketFacts> | undefined,
  { owner, source, locations, accounts }: DestinationContext,
): Promise<DestinationOwner> {
  if (fact === null) return { status: 'absent' };
  const account = owner ?? factValue(fact)?.account;
  if (account !== undefined)
    return {
      status: 'owned',
      account,
      isKnown: accounts.listed.has(account) || accounts.unlisted.has(account),
    };
  try {
    await fetchBucketRegion(aws, name, locations.region, source.accountName);
  } catch (error) {
    if (error instanceof UserError) throw error;
    // S3 names the Region of every bucket that exists, also to callers without permission.
    const exists = isAccessDenied(error) && bucketRegionIn(error) !== undefined;
    if (!exists) return { status: 'unknown', reason: formatAwsError(error) };
  }
  return { status: 'elsewhere', sourceAccount: source.account, accounts };
}

export interface DestinationContext {
  /** The account (12 digits) that lists the bucket. */
  owner: string | undefined;
  /** The account of the source, by its id and by its name in the AWS client. */
  source: { account: string; accountName: string };
  locations: Locations;
  accounts: KnownAccounts;
}

/**
 * Returns a finding about the owner of a destination. S3 finds the bucket by its name alone. An account that creates a
 * deleted bucket again can receive the objects. Pure.
 *
 * @param expected the account that the rule names
 */
export function destinationFinding(
  destination: DestinationOwner,
  name: string,
  expected: string | undefined,
): Finding | undefined {
  if (destination.status === 'owned')
    return destination.isKnown
      ? undefined
      : createFinding(
          'RK1702',
          `${name} is in account ${destination.account}, which is not among the known accounts`,
        );
  if (destination.status !== 'elsewhere') return undefined;
  const { accounts, sourceAccount } = destination;
  const owner = expected ?? sourceAccount;
  if (accounts.listed.has(owner)) {
    if (expected !== undefined)
      return createFinding(
        'RK1701',
        `the rule names account ${expected} as the owner of ${name}, and the bucket exists, but not in that account: another account may have taken over the name`,
      );
    if (accounts.unlisted.size === 0)
      return createFinding(
        'RK1701',
        `${name} exists, but none of the surveyed accounts owns it, and the rule names no owner: another account may have taken over the name, and would receive the objects. If the bucket belongs to a partner, set Destination.Account to its account`,
      );
    const message = `the owner of ${name} is unknown: it is none of the surveyed accounts, and the buckets of ${[...accounts.unlisted].join(', ')} could not be listed`;
    return createFinding('RK1901', message);
  }
  if (accounts.unlisted.has(owner)) return undefined;
  return createFinding(
    'RK1702',
    `${name} belongs to account ${owner} according to the rule, which is not among the known accounts; replikey cannot read it, so the rule is not proven`,
  );
}
