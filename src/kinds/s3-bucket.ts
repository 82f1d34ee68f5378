import {
  type BucketLocationConstraint,
  CreateBucketCommand,
  GetBucketTaggingCommand,
  GetBucketVersioningCommand,
} from '@aws-sdk/client-s3';
import { bucketResourceId, locationOfSide, positionOfPath } from '../core/ids.ts';
import type { Kind } from '../core/resource.ts';
import { bucketArn } from '../util/arn.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { bucketAuditEvents } from './cloudtrail-events.ts';
import { ignoreErrors } from './helpers.ts';
import { ownershipTags, toTagMap } from './tags.ts';

/** A bucket of ours in its Region. New ones are private and without ACLs, as S3 makes them since April 2023. */
export interface S3Bucket {
  bucket: string;
  region: string;
}

export const s3Bucket: Kind<S3Bucket> = {
  name: 's3.bucket',
  permissions: {
    read: ['s3:GetBucketVersioning', 's3:GetBucketTagging'],
    write: ['s3:CreateBucket', 's3:TagResource'],
  },

  desired: ({ pair }) =>
    (['source', 'destination'] as const).map((side) => ({
      id: bucketResourceId('s3.bucket', pair[side].bucket),
      kind: 's3.bucket',
      location: locationOfSide(pair[side]),
      spec: { bucket: pair[side].bucket, region: pair[side].region },
      after: [],
      declaredBy: [pair.name],
      position: positionOfPath(pair, `spec.${side}.bucket`),
    })),

  normalize: (spec) => spec,

  blockedReason(desired, current) {
    if (!current || current.spec.region === desired.region) return undefined;
    return `the bucket ${desired.bucket} lies in ${current.spec.region}, not in ${desired.region}: a bucket cannot be moved, so correct the region in the spec`;
  },

  /**
   * Existence is read from the versioning, which is read anyway; never by CreateBucket, which in us-east-1 answers 200
   * for a bucket that is there and resets its ACLs.
   */
  async read(aws, { location, spec }) {
    const currentIn = (region: string) => ({
      spec: { bucket: spec.bucket, region },
      attrs: { arn: bucketArn(spec.bucket, region) },
    });
    try {
      await aws.send(
        location,
        new GetBucketVersioningCommand({
          Bucket: spec.bucket,
          ExpectedBucketOwner: await aws.accountId(location.account),
        }),
      );
      return currentIn(spec.region);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (error.name === 'NoSuchBucket') return undefined;
      const actualRegion = regionFromRedirect(error);
      if (actualRegion !== undefined && actualRegion !== spec.region) return currentIn(actualRegion);
      throw error;
    }
  },

  operations: () => ['s3:CreateBucket'],

  async write(aws, { location, spec, declaredBy }, current) {
    if (current) return;
    const command = new CreateBucketCommand({
      Bucket: spec.bucket,
      CreateBucketConfiguration: omitUndefined({
        // us-east-1 is the one Region that must not be named.
        LocationConstraint:
          spec.region === 'us-east-1' ? undefined : (spec.region as BucketLocationConstraint),
        Tags: ownershipTags(declaredBy),
      }),
    });
    // It is ours already when the answer to an earlier attempt was lost.
    await ignoreErrors(aws.send(location, command), 'BucketAlreadyOwnedByYou');
  },

  async fetchTags(aws, { location, spec }) {
    const owner = await aws.accountId(location.account);
    const response = await ignoreErrors(
      aws.send(location, new GetBucketTaggingCommand({ Bucket: spec.bucket, ExpectedBucketOwner: owner })),
      'NoSuchTagSet',
    );
    return toTagMap(response?.TagSet);
  },

  // A new bucket is private, unlocked and nobody's but its owner's.
  facts: ({ bucket, region }, { current, accountId }) => ({
    buckets: {
      [bucket]: {
        region,
        account: accountId,
        ...(current
          ? {}
          : { policy: null, objectLock: null, publicAccessBlock: null, ownership: null, replication: null }),
      },
    },
  }),

  transientErrors: [
    { code: 'OperationAborted', waitsFor: 'S3 to finish another operation on the bucket name' },
  ],

  auditEvents: bucketAuditEvents({ '': ['DeleteBucket'] }),
};

/** S3 answers a wrong Region with 301 PermanentRedirect or 400 AuthorizationHeaderMalformed, and names the right one. */
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
