import { formatAwsError, formatNameAndMessage } from '../aws/errors.ts';
import { bucketResourceId, NO_POSITION } from '../core/ids.ts';
import { emptyOrphan, type Orphan } from '../core/orphan.ts';
import type { Aws, Blocked, Location } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import { fetchBucketRegion, headBucket, s3Bucket } from '../kinds/s3-bucket.ts';
import type { Specs } from '../spec/types.ts';
import type { OrphanCandidate } from './find-orphans.ts';

/** An account for which replikey has credentials. */
export interface ReachableAccount {
  /** Account id (12 digits). */
  id: string;
  /** Any location in the account. */
  location: Location;
}

/** Returns every account for which the specs give credentials, each once even if several names refer to it. */
export async function reachableAccounts({ pairs, accounts }: Specs, aws: Aws): Promise<ReachableAccount[]> {
  const sides = pairs.flatMap(({ source, destination }) => [source, destination]);
  const accountNames = new Set([
    ...sides.filter(({ managed }) => managed).map(({ account }) => account),
    ...accounts.filter(({ managed }) => managed).map(({ name }) => name),
  ]);
  const lookups = [...accountNames].map(async (account): Promise<[string, Location]> => {
    const region = (sides.find((side) => side.account === account) ?? sides[0])?.region ?? 'us-east-1';
    const location = account === undefined ? { region } : { account, region };
    return [await fetchAccountId(account, aws), location];
  });
  return [...new Map(await Promise.all(lookups))].map(([id, location]) => ({ id, location }));
}

/**
 * Returns the id of an account. Replikey searches for orphans only in accounts with known ids.
 *
 * @throws UserError if the account id cannot be determined.
 */
async function fetchAccountId(account: string | undefined, aws: Aws): Promise<string> {
  try {
    return await aws.accountId(account);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(EXIT.failed, formatAwsError(error), {
      cause: error,
    });
  }
}

/** An orphan with the locations of its resources in reachable accounts. */
export interface LocatedOrphan {
  candidate: OrphanCandidate;
  orphan: Orphan;
  /** Buckets and keys that none of the accounts owns. Their owners manage the policies of these. */
  foreignOwned: string[];
  /** Regions of its buckets. */
  regions: string[];
  /** A bucket whose owner could not be determined, if any. */
  blocked?: Blocked;
}

export async function locateOrphan(
  candidate: OrphanCandidate,
  accounts: readonly ReachableAccount[],
  aws: Aws,
): Promise<LocatedOrphan> {
  const { name, spec, role, sources, destinations, keys } = candidate;
  const accountIdOf = (arn: string) => arn.split(':')[4];
  const homeAccounts = accounts.filter(({ id }) => id === accountIdOf(role.arn));
  const otherAccounts = accounts.filter((account) => !homeAccounts.includes(account));
  const sourceLookups = await Promise.all(sources.map((bucket) => lookUpBucket(bucket, homeAccounts, aws)));
  const destinationLookups = await Promise.all(
    destinations.map((bucket) => lookUpBucket(bucket, [...homeAccounts, ...otherAccounts], aws)),
  );
  const keysWithOwner = keys.map((arn) => ({
    arn,
    owner: accounts.find(({ id }) => id === accountIdOf(arn)),
  }));
  const failedLookup = [...sourceLookups, ...destinationLookups].find(isFailedLookup);
  return {
    candidate,
    orphan: {
      ...emptyOrphan({ sidName: name, specName: spec, role }),
      // An inaccessible bucket may still have rules: keep it as a source, so that the later read reports the reason.
      sources: sourceLookups
        .filter(({ state }) => state !== 'absent')
        .map(({ bucket, location }) => ({ bucket, location: location ?? role.location })),
      destinations: destinationLookups.flatMap(({ bucket, location, owner }) =>
        location && owner && otherAccounts.includes(owner) ? [{ bucket, location }] : [],
      ),
      keys: keysWithOwner.flatMap(({ arn, owner }) =>
        owner ? [{ arn, location: { ...owner.location, region: arn.split(':')[3] ?? '' } }] : [],
      ),
    },
    foreignOwned: [
      ...destinationLookups.filter(({ state }) => state === 'hidden').map(({ bucket }) => bucket),
      ...keysWithOwner.filter(({ owner }) => !owner).map(({ arn }) => arn),
    ],
    regions: [
      ...new Set([...sourceLookups, ...destinationLookups].flatMap(({ location }) => location?.region ?? [])),
    ],
    ...(failedLookup && { blocked: blockedByFailedLookup(spec, failedLookup) }),
  };
}

interface BucketLookup {
  bucket: string;
  /** `hidden`: none of the accounts owns the bucket, or the bucket cannot be read. */
  state: 'found' | 'absent' | 'hidden';
  location?: Location;
  owner?: ReachableAccount;
  why?: string;
}

const isFailedLookup = (lookup: BucketLookup): lookup is BucketLookup & { why: string } =>
  lookup.why !== undefined;

const blockedByFailedLookup = (spec: string, { bucket, why }: { bucket: string; why: string }): Blocked => ({
  id: bucketResourceId(s3Bucket.name, bucket),
  why: `cannot search it for orphans of ${spec}: ${why}`,
  pairs: [spec],
  from: NO_POSITION,
});

/** Finds the account that owns a bucket, and the bucket's Region. */
export async function lookUpBucket(
  bucket: string,
  accounts: readonly ReachableAccount[],
  aws: Aws,
): Promise<BucketLookup> {
  for (const owner of accounts) {
    try {
      const location = {
        ...owner.location,
        region: await fetchBucketRegion(aws, bucket, owner.location.region, owner.location.account),
      };
      await headBucket(aws, location, bucket, owner.id);
      return { bucket, state: 'found', location, owner };
    } catch (error) {
      if (error instanceof UserError || !(error instanceof Error)) throw error;
      // A HEAD response has no body, so the status is the only information.
      const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
      if (status === 404) return { bucket, state: 'absent' };
      if (status !== 403) return { bucket, state: 'hidden', why: formatNameAndMessage(error) };
    }
  }
  return { bucket, state: 'hidden' };
}
