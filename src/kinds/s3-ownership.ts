import {
  GetBucketOwnershipControlsCommand,
  type ObjectOwnership,
  PutBucketOwnershipControlsCommand,
} from '@aws-sdk/client-s3';
import { bucketResourceId, locationOfSide, positionOfPath } from '../core/ids.ts';
import type { Kind } from '../core/resource.ts';
import { bucketAuditEvents } from './cloudtrail-events.ts';
import { ignoreErrors } from './helpers.ts';
import { bucketTransientErrors } from './transient-errors.ts';

/** Who owns new objects of a bucket, where it is declared. */
export interface S3Ownership {
  bucket: string;
  objectOwnership: ObjectOwnership;
}

export const s3Ownership: Kind<S3Ownership> = {
  name: 's3.ownership',
  permissions: { read: ['s3:GetBucketOwnershipControls'], write: ['s3:PutBucketOwnershipControls'] },

  desired: ({ pair }) =>
    (['source', 'destination'] as const).flatMap((side) => {
      const { bucket, objectOwnership } = pair[side];
      if (objectOwnership === undefined) return [];
      return [
        {
          id: bucketResourceId('s3.ownership', bucket),
          kind: 's3.ownership',
          location: locationOfSide(pair[side]),
          spec: { bucket, objectOwnership },
          after: [bucketResourceId('s3.bucket', bucket)],
          declaredBy: [pair.name],
          position: positionOfPath(pair, `spec.${side}.objectOwnership`),
        },
      ];
    }),

  normalize: (spec) => spec,

  async read(aws, { location, spec }) {
    const owner = await aws.accountId(location.account);
    const response = await ignoreErrors(
      aws.send(
        location,
        new GetBucketOwnershipControlsCommand({ Bucket: spec.bucket, ExpectedBucketOwner: owner }),
      ),
      'NoSuchBucket',
      'OwnershipControlsNotFoundError',
    );
    const objectOwnership = response?.OwnershipControls?.Rules?.[0]?.ObjectOwnership;
    return objectOwnership && { spec: { bucket: spec.bucket, objectOwnership }, attrs: {} };
  },

  operations: () => ['s3:PutBucketOwnershipControls'],

  async write(aws, { location, spec }) {
    await aws.send(
      location,
      new PutBucketOwnershipControlsCommand({
        Bucket: spec.bucket,
        ExpectedBucketOwner: await aws.accountId(location.account),
        OwnershipControls: { Rules: [{ ObjectOwnership: spec.objectOwnership }] },
      }),
    );
  },

  explain: (_, { objectOwnership }) => `objects are declared ${objectOwnership}`,

  risks: (desired, current) =>
    current.spec.objectOwnership === desired.objectOwnership
      ? []
      : [
          {
            id: 'change-ownership',
            message:
              desired.objectOwnership === 'BucketOwnerEnforced'
                ? `ACLs of ${desired.bucket} and its objects would stop counting`
                : `ACLs of ${desired.bucket} and its objects would count again`,
          },
        ],

  transientErrors: bucketTransientErrors,

  auditEvents: bucketAuditEvents({
    '': ['DeleteBucketOwnershipControls'],
    '/': ['PutBucketOwnershipControls'],
  }),
};
