import {
  GetBucketOwnershipControlsCommand,
  type ObjectOwnership,
  PutBucketOwnershipControlsCommand,
} from '@aws-sdk/client-s3';
import { requireField } from '../aws/response.ts';
import { bucketResourceId, locationOfSide, positionOfPath } from '../core/ids.ts';
import type { Kind } from '../core/kind.ts';
import { bucketAuditEvents } from './cloudtrail-events.ts';
import { bucketTransientErrors, ignoreErrors } from './helpers.ts';
import { bucketScope } from './scopes.ts';

/** Ownership of new objects of a bucket, if a spec declares it. */
export interface S3Ownership {
  bucket: string;
  objectOwnership: ObjectOwnership;
}

export interface OwnershipDoc {
  Rules: { ObjectOwnership: ObjectOwnership }[];
}

export const s3Ownership: Kind<S3Ownership, OwnershipDoc> = {
  name: 's3.ownership',
  scope: { ...bucketScope, facts: (ownership) => ({ ownership }) },
  permissions: { read: ['s3:GetBucketOwnershipControls'], write: ['s3:PutBucketOwnershipControls'] },

  desired: ({ pair }) =>
    (['source', 'destination'] as const).flatMap((side) => {
      const { bucket, objectOwnership } = pair[side];
      if (objectOwnership === undefined) return [];
      return [
        {
          id: bucketResourceId('s3.ownership', bucket),
          kind: 's3.ownership',
          name: bucket,
          location: locationOfSide(pair[side]),
          spec: { bucket, objectOwnership },
          after: [bucketResourceId('s3.bucket', bucket)],
          declaredBy: [pair.name],
          position: positionOfPath(pair, `spec.${side}.objectOwnership`),
        },
      ];
    }),

  async fetch(aws, location, name) {
    const owner = await aws.accountId(location.account);
    const response = await ignoreErrors(
      aws.send(location, new GetBucketOwnershipControlsCommand({ Bucket: name, ExpectedBucketOwner: owner })),
      'NoSuchBucket',
      'OwnershipControlsNotFoundError',
    );
    const rules = response ? (requireField(response, 'OwnershipControls').Rules ?? []) : [];
    return rules.length === 0
      ? undefined
      : { Rules: rules.flatMap(({ ObjectOwnership }) => (ObjectOwnership ? [{ ObjectOwnership }] : [])) };
  },

  parse: ({ Rules: [rule] }, { name }) => ({
    spec: { bucket: name, objectOwnership: rule?.ObjectOwnership ?? 'ObjectWriter' },
    attrs: {},
  }),

  normalize: (spec) => spec,

  render: ({ spec }) => ({ Rules: [{ ObjectOwnership: spec.objectOwnership }] }),

  operations: () => [{ call: 's3:PutBucketOwnershipControls' }],

  async send(aws, { resource: { name, location }, doc }) {
    await aws.send(
      location,
      new PutBucketOwnershipControlsCommand({
        Bucket: name,
        ExpectedBucketOwner: await aws.accountId(location.account),
        OwnershipControls: doc,
      }),
    );
  },

  response: {},

  check: ({ current, desired: { bucket, objectOwnership } }) => ({
    risks:
      current?.spec.objectOwnership === objectOwnership
        ? []
        : [
            {
              id: 'change-ownership',
              message:
                objectOwnership === 'BucketOwnerEnforced'
                  ? `disables the ACLs of ${bucket} and its objects`
                  : `enables the ACLs of ${bucket} and its objects again`,
            },
          ],
  }),

  explain: (_, { objectOwnership }) => `the spec sets object ownership to ${objectOwnership}`,

  transientErrors: bucketTransientErrors,

  auditEvents: bucketAuditEvents({
    '': ['DeleteBucketOwnershipControls'],
    '/': ['PutBucketOwnershipControls'],
  }),
};
