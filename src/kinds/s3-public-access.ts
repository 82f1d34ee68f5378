import { GetPublicAccessBlockCommand, PutPublicAccessBlockCommand } from '@aws-sdk/client-s3';
import { bucketId, place, position } from '../core/names.ts';
import type { Kind } from '../core/resource.ts';
import { orAbsent } from './absent.ts';
import { bucketSettles } from './bucket-settles.ts';
import { bucketTrail } from './trail.ts';

/** The block of public access of a bucket, where it is declared: all four settings, or none. */
export interface S3PublicAccess {
  bucket: string;
  blockPublicAcls: boolean;
  ignorePublicAcls: boolean;
  blockPublicPolicy: boolean;
  restrictPublicBuckets: boolean;
}

export const s3PublicAccess: Kind<S3PublicAccess> = {
  name: 's3.public-access',
  actions: { read: ['s3:GetBucketPublicAccessBlock'], write: ['s3:PutBucketPublicAccessBlock'] },

  want: ({ pair }) =>
    (['source', 'destination'] as const).flatMap((side) => {
      const { bucket, blockPublicAccess: block } = pair[side];
      if (block === undefined) return [];
      return [
        {
          id: bucketId('s3.public-access', bucket),
          kind: 's3.public-access',
          at: place(pair[side]),
          spec: {
            bucket,
            blockPublicAcls: block,
            ignorePublicAcls: block,
            blockPublicPolicy: block,
            restrictPublicBuckets: block,
          },
          after: [bucketId('s3.bucket', bucket)],
          pairs: [pair.name],
          from: position(pair, `spec.${side}.blockPublicAccess`),
        },
      ];
    }),

  canonical: (spec) => spec,

  async read(aws, { at, spec }) {
    const owner = await aws.accountId(at.account);
    const answer = await orAbsent(
      aws.send(at, new GetPublicAccessBlockCommand({ Bucket: spec.bucket, ExpectedBucketOwner: owner })),
      'NoSuchBucket',
      'NoSuchPublicAccessBlockConfiguration',
    );
    const found = answer?.PublicAccessBlockConfiguration;
    return (
      found && {
        spec: {
          bucket: spec.bucket,
          blockPublicAcls: found.BlockPublicAcls ?? false,
          ignorePublicAcls: found.IgnorePublicAcls ?? false,
          blockPublicPolicy: found.BlockPublicPolicy ?? false,
          restrictPublicBuckets: found.RestrictPublicBuckets ?? false,
        },
        attrs: {},
      }
    );
  },

  calls: () => ['s3:PutPublicAccessBlock'],

  async write(aws, { at, spec }) {
    await aws.send(
      at,
      new PutPublicAccessBlockCommand({
        Bucket: spec.bucket,
        ExpectedBucketOwner: await aws.accountId(at.account),
        PublicAccessBlockConfiguration: {
          BlockPublicAcls: spec.blockPublicAcls,
          IgnorePublicAcls: spec.ignorePublicAcls,
          BlockPublicPolicy: spec.blockPublicPolicy,
          RestrictPublicBuckets: spec.restrictPublicBuckets,
        },
      }),
    );
  },

  explain: (_, { blockPublicPolicy }) =>
    `public access is declared ${blockPublicPolicy ? 'blocked' : 'open'}`,

  risks: (desired, seen) =>
    !desired.blockPublicPolicy && Object.values(seen.spec).includes(true)
      ? [
          {
            id: 'open-public-access',
            message: `${desired.bucket} would no longer be kept from becoming public`,
          },
        ]
      : [],

  settles: bucketSettles,

  trail: bucketTrail({ '': ['DeleteBucketPublicAccessBlock'], '/': ['PutBucketPublicAccessBlock'] }),
};
