import { GetPublicAccessBlockCommand, PutPublicAccessBlockCommand } from '@aws-sdk/client-s3';
import { bucketResourceId, locationOfSide, positionOfPath } from '../core/ids.ts';
import type { Kind } from '../core/resource.ts';
import { bucketAuditEvents } from './cloudtrail-events.ts';
import { ignoreErrors } from './helpers.ts';
import { bucketTransientErrors } from './transient-errors.ts';

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
  permissions: { read: ['s3:GetBucketPublicAccessBlock'], write: ['s3:PutBucketPublicAccessBlock'] },

  desired: ({ pair }) =>
    (['source', 'destination'] as const).flatMap((side) => {
      const { bucket, blockPublicAccess: blockAll } = pair[side];
      if (blockAll === undefined) return [];
      return [
        {
          id: bucketResourceId('s3.public-access', bucket),
          kind: 's3.public-access',
          location: locationOfSide(pair[side]),
          spec: {
            bucket,
            blockPublicAcls: blockAll,
            ignorePublicAcls: blockAll,
            blockPublicPolicy: blockAll,
            restrictPublicBuckets: blockAll,
          },
          after: [bucketResourceId('s3.bucket', bucket)],
          declaredBy: [pair.name],
          position: positionOfPath(pair, `spec.${side}.blockPublicAccess`),
        },
      ];
    }),

  normalize: (spec) => spec,

  async read(aws, { location, spec }) {
    const owner = await aws.accountId(location.account);
    const response = await ignoreErrors(
      aws.send(
        location,
        new GetPublicAccessBlockCommand({ Bucket: spec.bucket, ExpectedBucketOwner: owner }),
      ),
      'NoSuchBucket',
      'NoSuchPublicAccessBlockConfiguration',
    );
    const configuration = response?.PublicAccessBlockConfiguration;
    return (
      configuration && {
        spec: {
          bucket: spec.bucket,
          blockPublicAcls: configuration.BlockPublicAcls ?? false,
          ignorePublicAcls: configuration.IgnorePublicAcls ?? false,
          blockPublicPolicy: configuration.BlockPublicPolicy ?? false,
          restrictPublicBuckets: configuration.RestrictPublicBuckets ?? false,
        },
        attrs: {},
      }
    );
  },

  operations: () => ['s3:PutPublicAccessBlock'],

  async write(aws, { location, spec }) {
    await aws.send(
      location,
      new PutPublicAccessBlockCommand({
        Bucket: spec.bucket,
        ExpectedBucketOwner: await aws.accountId(location.account),
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

  risks: (desired, current) =>
    !desired.blockPublicPolicy && Object.values(current.spec).includes(true)
      ? [
          {
            id: 'open-public-access',
            message: `${desired.bucket} would no longer be kept from becoming public`,
          },
        ]
      : [],

  transientErrors: bucketTransientErrors,

  auditEvents: bucketAuditEvents({
    '': ['DeleteBucketPublicAccessBlock'],
    '/': ['PutBucketPublicAccessBlock'],
  }),
};
