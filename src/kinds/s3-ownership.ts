import {
  GetBucketOwnershipControlsCommand,
  type ObjectOwnership,
  PutBucketOwnershipControlsCommand,
} from '@aws-sdk/client-s3';
import { bucketId, place, position } from '../core/names.ts';
import type { Kind } from '../core/resource.ts';
import { orAbsent } from './absent.ts';
import { bucketSettles } from './bucket-settles.ts';
import { bucketTrail } from './trail.ts';

/** Who owns new objects of a bucket, where it is declared. */
export interface S3Ownership {
  bucket: string;
  objectOwnership: ObjectOwnership;
}

export const s3Ownership: Kind<S3Ownership> = {
  name: 's3.ownership',
  actions: { read: ['s3:GetBucketOwnershipControls'], write: ['s3:PutBucketOwnershipControls'] },

  want: ({ pair }) =>
    (['source', 'destination'] as const).flatMap((side) => {
      const { bucket, objectOwnership } = pair[side];
      if (objectOwnership === undefined) return [];
      return [
        {
          id: bucketId('s3.ownership', bucket),
          kind: 's3.ownership',
          at: place(pair[side]),
          spec: { bucket, objectOwnership },
          after: [bucketId('s3.bucket', bucket)],
          pairs: [pair.name],
          from: position(pair, `spec.${side}.objectOwnership`),
        },
      ];
    }),

  canonical: (spec) => spec,

  async read(aws, { at, spec }) {
    const owner = await aws.accountId(at.account);
    const answer = await orAbsent(
      aws.send(
        at,
        new GetBucketOwnershipControlsCommand({ Bucket: spec.bucket, ExpectedBucketOwner: owner }),
      ),
      'NoSuchBucket',
      'OwnershipControlsNotFoundError',
    );
    const objectOwnership = answer?.OwnershipControls?.Rules?.[0]?.ObjectOwnership;
    return objectOwnership && { spec: { bucket: spec.bucket, objectOwnership }, attrs: {} };
  },

  calls: () => ['s3:PutBucketOwnershipControls'],

  async write(aws, { at, spec }) {
    await aws.send(
      at,
      new PutBucketOwnershipControlsCommand({
        Bucket: spec.bucket,
        ExpectedBucketOwner: await aws.accountId(at.account),
        OwnershipControls: { Rules: [{ ObjectOwnership: spec.objectOwnership }] },
      }),
    );
  },

  explain: (_, { objectOwnership }) => `objects are declared ${objectOwnership}`,

  risks: (desired, seen) =>
    seen.spec.objectOwnership === desired.objectOwnership
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

  settles: bucketSettles,

  trail: bucketTrail({ '': ['DeleteBucketOwnershipControls'], '/': ['PutBucketOwnershipControls'] }),
};
