import {
  type BucketLocationConstraint,
  CreateBucketCommand,
  GetBucketTaggingCommand,
  HeadBucketCommand,
} from '@aws-sdk/client-s3';
import { bucketResourceId, locationOfSide, positionOfPath } from '../core/ids.ts';
import type { Kind } from '../core/kind.ts';
import type { Aws, Location } from '../core/resource.ts';
import { ACCOUNT_REGIONAL_BUCKET } from '../spec/patterns.ts';
import { bucketArn } from '../util/arn.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { bucketAuditEvents } from './cloudtrail-events.ts';
import { ignoreErrors, orAlreadyExists, ownershipTags, toTagMap } from './helpers.ts';
import { fetchVersioning } from './s3-versioning.ts';
import { bucketScope } from './scopes.ts';

/** A bucket in its Region. S3 creates new buckets private and without ACLs since April 2023. */
export interface S3Bucket {
  bucket: string;
  region: string;
}

export interface BucketDoc {
  region: string;
  /** In a rendered document: a new bucket gets Object Lock. */
  objectLock?: true;
}

/** More input for `render`. */
interface BucketContext {
  objectLock: boolean;
}

export const s3Bucket: Kind<S3Bucket, BucketDoc> = {
  name: 's3.bucket',
  scope: {
    ...bucketScope,
    // A new bucket is private and has none of these documents.
    facts: ({ region, objectLock }, { current, accountId }) => ({
      region,
      account: accountId,
      ...(current
        ? {}
        : {
            policy: null,
            objectLock: objectLock ? { ObjectLockEnabled: 'Enabled' } : null,
            publicAccessBlock: null,
            ownership: null,
            replication: null,
          }),
    }),
  },
  permissions: {
    read: ['s3:GetBucketVersioning', 's3:GetBucketTagging'],
    write: ['s3:CreateBucket', 's3:TagResource'],
  },

  desired: ({ pair }) =>
    (['source', 'destination'] as const).map((side) => ({
      id: bucketResourceId('s3.bucket', pair[side].bucket),
      kind: 's3.bucket',
      name: pair[side].bucket,
      location: locationOfSide(pair[side]),
      spec: { bucket: pair[side].bucket, region: pair[side].region },
      context: { objectLock: pair[side].objectLock !== undefined } satisfies BucketContext,
      after: [],
      declaredBy: [pair.name],
      position: positionOfPath(pair, `spec.${side}.bucket`),
    })),

  /**
   * Reads the versioning, which a pass reads in any case. CreateBucket is no test of existence: in us-east-1 it returns
   * 200 for an existing bucket and resets its ACLs.
   */
  async fetch(aws, location, name) {
    try {
      await fetchVersioning(aws, location, name);
      return { region: location.region };
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (error.name === 'NoSuchBucket') {
        await assertOwnNamespace(aws, location, name);
        return undefined;
      }
      const region = regionFromRedirect(error);
      if (region !== undefined && region !== location.region) return { region };
      throw error;
    }
  },

  parse: ({ region }, { name }) => ({
    spec: { bucket: name, region },
    attrs: { arn: bucketArn(name, region) },
  }),

  normalize: (spec) => spec,

  render: ({ spec, context }) => ({
    region: spec.region,
    ...((context as BucketContext | undefined)?.objectLock && { objectLock: true as const }),
  }),

  operations: () => [{ call: 's3:CreateBucket' }],

  async send(aws, { resource: { name, location, spec, declaredBy }, current, doc }) {
    if (current) return;
    const command = new CreateBucketCommand({
      Bucket: name,
      // Without the namespace, S3 rejects the name with MissingNamespaceHeader.
      ...(ACCOUNT_REGIONAL_BUCKET.test(name) ? { BucketNamespace: 'account-regional' as const } : {}),
      ...(doc?.objectLock ? { ObjectLockEnabledForBucket: true } : {}),
      CreateBucketConfiguration: omitUndefined({
        // us-east-1 is the only Region that S3 does not accept as a location constraint.
        LocationConstraint:
          spec.region === 'us-east-1' ? undefined : (spec.region as BucketLocationConstraint),
        Tags: ownershipTags(declaredBy),
      }),
    });
    await orAlreadyExists(aws.send(location, command), 'BucketAlreadyOwnedByYou');
  },

  response: {},

  check: ({ resource: { spec }, current }) => ({
    blocked:
      !current || current.spec.region === spec.region
        ? undefined
        : `the bucket ${spec.bucket} is in ${current.spec.region}, not in ${spec.region}; correct the region in the spec, since a bucket cannot be moved`,
  }),

  fetchTags: (aws, { location, name }) => fetchBucketTags(aws, location, name),

  transientErrors: [
    { code: 'OperationAborted', waitsFor: 'S3 to finish another operation on the bucket name' },
  ],

  auditEvents: bucketAuditEvents({ '': ['DeleteBucket'] }, ['CreateBucket']),
};

/** Returns the tags of a bucket. */
export async function fetchBucketTags(
  aws: Aws,
  location: Location,
  name: string,
): Promise<Record<string, string>> {
  const owner = await aws.accountId(location.account);
  const response = await ignoreErrors(
    aws.send(location, new GetBucketTaggingCommand({ Bucket: name, ExpectedBucketOwner: owner })),
    'NoSuchTagSet',
  );
  return toTagMap(response?.TagSet);
}

/**
 * Checks that the account can create a bucket of this name. The specs do not contain the account of ambient credentials.
 *
 * @throws Error when the name is in the account-regional namespace of another account.
 */
async function assertOwnNamespace(aws: Aws, location: Location, name: string): Promise<void> {
  const [, account] = ACCOUNT_REGIONAL_BUCKET.exec(name) ?? [];
  if (account === undefined) return;
  const owner = await aws.accountId(location.account);
  if (account !== owner)
    throw new Error(
      `the bucket does not exist, and only account ${account} can create it, not ${owner}: its name ends in -${account}-${location.region}-an; use another name`,
    );
}

/**
 * Returns the correct Region of a bucket. S3 sends it in the 301 PermanentRedirect or 400 AuthorizationHeaderMalformed
 * for a wrong Region.
 */
function regionFromRedirect(
  error: Error & { Region?: string; $response?: { headers?: Record<string, string> } },
) {
  if (
    !['PermanentRedirect', 'AuthorizationHeaderMalformed', 'IllegalLocationConstraintException'].includes(
      error.name,
    )
  ) {
    return undefined;
  }
  return error.$response?.headers?.['x-amz-bucket-region'] ?? error.Region;
}

/**
 * Sends HeadBucket.
 *
 * @throws the error of AWS when the bucket belongs to another account, or does not exist.
 */
export const headBucket = (aws: Pick<Aws, 'send'>, location: Location, bucket: string, owner?: string) =>
  aws.send(location, new HeadBucketCommand(omitUndefined({ Bucket: bucket, ExpectedBucketOwner: owner })));

/** Returns the Region of a bucket. S3 names it in every response, also in errors and to callers of other Regions. */
export async function fetchBucketRegion(
  aws: Pick<Aws, 'send'>,
  bucket: string,
  callRegion: string,
  account?: string,
): Promise<string> {
  const location = omitUndefined({ account, region: callRegion });
  try {
    return (await headBucket(aws, location, bucket)).BucketRegion ?? callRegion;
  } catch (error) {
    const region = bucketRegionIn(error);
    if (region === undefined || region === callRegion) throw error;
    return region;
  }
}

/** Returns the Region of a bucket from an error of S3, which names it also for a bucket of another account. */
export function bucketRegionIn(error: unknown): string | undefined {
  const { $response } = error as { $response?: { headers?: Record<string, string> } };
  return $response?.headers?.['x-amz-bucket-region'];
}
