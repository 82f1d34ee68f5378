import {
  type BucketLocationConstraint,
  CreateBucketCommand,
  GetBucketTaggingCommand,
  GetBucketVersioningCommand,
} from '@aws-sdk/client-s3';
import { defined } from '../canonical.ts';
import { bucketId, place, position } from '../core/names.ts';
import { bucketArn } from '../core/permissions.ts';
import type { Kind } from '../core/resource.ts';
import { orAbsent } from './absent.ts';
import { ownTags, tagMap } from './tags.ts';
import { bucketTrail } from './trail.ts';

/** A bucket of ours in its Region. New ones are private and without ACLs, as S3 makes them since April 2023. */
export interface S3Bucket {
  bucket: string;
  region: string;
}

export const s3Bucket: Kind<S3Bucket> = {
  name: 's3.bucket',
  actions: {
    read: ['s3:GetBucketVersioning', 's3:GetBucketTagging'],
    write: ['s3:CreateBucket', 's3:TagResource'],
  },

  want: ({ pair }) =>
    (['source', 'destination'] as const).map((side) => ({
      id: bucketId('s3.bucket', pair[side].bucket),
      kind: 's3.bucket',
      at: place(pair[side]),
      spec: { bucket: pair[side].bucket, region: pair[side].region },
      after: [],
      pairs: [pair.name],
      from: position(pair, `spec.${side}.bucket`),
    })),

  canonical: (spec) => spec,

  blocks(desired, seen) {
    if (!seen || seen.spec.region === desired.region) return undefined;
    return `the bucket ${desired.bucket} lies in ${seen.spec.region}, not in ${desired.region}: a bucket cannot be moved, so correct the region in the spec`;
  },

  /**
   * Existence is read from the versioning, which is read anyway; never by CreateBucket, which in us-east-1 answers 200
   * for a bucket that is there and resets its ACLs.
   */
  async read(aws, { at, spec }) {
    const seen = (region: string) => ({
      spec: { bucket: spec.bucket, region },
      attrs: { arn: bucketArn(spec.bucket, region) },
    });
    try {
      await aws.send(
        at,
        new GetBucketVersioningCommand({
          Bucket: spec.bucket,
          ExpectedBucketOwner: await aws.accountId(at.account),
        }),
      );
      return seen(spec.region);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (error.name === 'NoSuchBucket') return undefined;
      const elsewhere = regionOf(error);
      if (elsewhere !== undefined && elsewhere !== spec.region) return seen(elsewhere);
      throw error;
    }
  },

  calls: () => ['s3:CreateBucket'],

  async write(aws, { at, spec, pairs }, was) {
    if (was) return;
    const command = new CreateBucketCommand({
      Bucket: spec.bucket,
      CreateBucketConfiguration: defined({
        // us-east-1 is the one Region that must not be named.
        LocationConstraint:
          spec.region === 'us-east-1' ? undefined : (spec.region as BucketLocationConstraint),
        Tags: ownTags(pairs),
      }),
    });
    // It is ours already when the answer to an earlier attempt was lost.
    await orAbsent(aws.send(at, command), 'BucketAlreadyOwnedByYou');
  },

  async tags(aws, { at, spec }) {
    const owner = await aws.accountId(at.account);
    const answer = await orAbsent(
      aws.send(at, new GetBucketTaggingCommand({ Bucket: spec.bucket, ExpectedBucketOwner: owner })),
      'NoSuchTagSet',
    );
    return tagMap(answer?.TagSet);
  },

  // A new bucket is private, unlocked and nobody's but its owner's.
  facts: ({ bucket, region }, { seen, accountId }) => ({
    buckets: {
      [bucket]: {
        region,
        account: accountId,
        ...(seen
          ? {}
          : { policy: null, objectLock: null, publicAccessBlock: null, ownership: null, replication: null }),
      },
    },
  }),

  settles: [{ code: 'OperationAborted', waitsFor: 'S3 to finish another operation on the bucket name' }],

  trail: bucketTrail({ '': ['DeleteBucket'] }),
};

/** S3 answers a wrong Region with 301 PermanentRedirect or 400 AuthorizationHeaderMalformed, and names the right one. */
function regionOf(error: Error & { Region?: string; $response?: { headers?: Record<string, string> } }) {
  if (
    !['PermanentRedirect', 'AuthorizationHeaderMalformed', 'IllegalLocationConstraintException'].includes(
      error.name,
    )
  ) {
    return undefined;
  }
  return error.$response?.headers?.['x-amz-bucket-region'] ?? error.Region;
}
