import {
  GetPublicAccessBlockCommand,
  type PublicAccessBlockConfiguration,
  PutPublicAccessBlockCommand,
} from '@aws-sdk/client-s3';
import { requireField } from '../aws/response.ts';
import { bucketResourceId, locationOfSide, positionOfPath } from '../core/ids.ts';
import type { Kind } from '../core/kind.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { bucketAuditEvents } from './cloudtrail-events.ts';
import { bucketTransientErrors, ignoreErrors } from './helpers.ts';
import { bucketScope } from './scopes.ts';

/** The public access block of a bucket, if a spec declares it: all four settings, or none. */
export interface S3PublicAccess {
  bucket: string;
  blockPublicAcls: boolean;
  ignorePublicAcls: boolean;
  blockPublicPolicy: boolean;
  restrictPublicBuckets: boolean;
}

export const s3PublicAccess: Kind<S3PublicAccess, PublicAccessBlockConfiguration> = {
  name: 's3.public-access',
  scope: {
    ...bucketScope,
    facts: ({ RestrictPublicBuckets }) => ({ publicAccessBlock: omitUndefined({ RestrictPublicBuckets }) }),
  },
  permissions: { read: ['s3:GetBucketPublicAccessBlock'], write: ['s3:PutBucketPublicAccessBlock'] },

  desired: ({ pair }) =>
    (['source', 'destination'] as const).flatMap((side) => {
      const { bucket, blockPublicAccess: blockAll } = pair[side];
      if (blockAll === undefined) return [];
      return [
        {
          id: bucketResourceId('s3.public-access', bucket),
          kind: 's3.public-access',
          name: bucket,
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

  async fetch(aws, location, name) {
    const owner = await aws.accountId(location.account);
    const response = await ignoreErrors(
      aws.send(location, new GetPublicAccessBlockCommand({ Bucket: name, ExpectedBucketOwner: owner })),
      'NoSuchBucket',
      'NoSuchPublicAccessBlockConfiguration',
    );
    return response && requireField(response, 'PublicAccessBlockConfiguration');
  },

  parse: (doc, { name }) => ({
    spec: {
      bucket: name,
      blockPublicAcls: doc.BlockPublicAcls ?? false,
      ignorePublicAcls: doc.IgnorePublicAcls ?? false,
      blockPublicPolicy: doc.BlockPublicPolicy ?? false,
      restrictPublicBuckets: doc.RestrictPublicBuckets ?? false,
    },
    attrs: {},
  }),

  normalize: (spec) => spec,

  render: ({ spec }) => ({
    BlockPublicAcls: spec.blockPublicAcls,
    IgnorePublicAcls: spec.ignorePublicAcls,
    BlockPublicPolicy: spec.blockPublicPolicy,
    RestrictPublicBuckets: spec.restrictPublicBuckets,
  }),

  operations: () => [{ call: 's3:PutPublicAccessBlock' }],

  async send(aws, { resource: { name, location }, doc }) {
    await aws.send(
      location,
      new PutPublicAccessBlockCommand({
        Bucket: name,
        ExpectedBucketOwner: await aws.accountId(location.account),
        PublicAccessBlockConfiguration: doc,
      }),
    );
  },

  response: {},

  check: ({ current, desired }) => ({
    risks:
      current && !desired.blockPublicPolicy && Object.values(current.spec).includes(true)
        ? [
            {
              id: 'open-public-access',
              message: `S3 would no longer prevent ${desired.bucket} from becoming public`,
            },
          ]
        : [],
  }),

  explain: (_, { blockPublicPolicy }) =>
    `the spec ${blockPublicPolicy ? 'blocks' : 'does not block'} public access`,

  transientErrors: bucketTransientErrors,

  auditEvents: bucketAuditEvents({
    '': ['DeleteBucketPublicAccessBlock'],
    '/': ['PutBucketPublicAccessBlock'],
  }),
};
