import { GetBucketVersioningCommand, PutBucketVersioningCommand } from '@aws-sdk/client-s3';
import { bucketResourceId, locationOfSide, positionOfPath } from '../core/ids.ts';
import type { Kind } from '../core/resource.ts';
import { bucketAuditEvents } from './cloudtrail-events.ts';
import { ignoreErrors } from './helpers.ts';
import { bucketTransientErrors } from './transient-errors.ts';

/** Versioning, which replication needs on both sides. It is only ever switched on. */
export interface S3Versioning {
  bucket: string;
  /** `Off` was never configured. */
  status: 'Enabled' | 'Suspended' | 'Off';
}

export const s3Versioning: Kind<S3Versioning> = {
  name: 's3.versioning',
  permissions: { read: ['s3:GetBucketVersioning'], write: ['s3:PutBucketVersioning'] },

  desired: ({ pair }) =>
    (['source', 'destination'] as const).map((side) => ({
      id: bucketResourceId('s3.versioning', pair[side].bucket),
      kind: 's3.versioning',
      location: locationOfSide(pair[side]),
      spec: { bucket: pair[side].bucket, status: 'Enabled' },
      after: [bucketResourceId('s3.bucket', pair[side].bucket)],
      declaredBy: [pair.name],
      position: positionOfPath(pair, `spec.${side}.bucket`),
    })),

  normalize: (spec) => spec,

  async read(aws, { location, spec }) {
    const owner = await aws.accountId(location.account);
    const response = await ignoreErrors(
      aws.send(location, new GetBucketVersioningCommand({ Bucket: spec.bucket, ExpectedBucketOwner: owner })),
      'NoSuchBucket',
    );
    return response && { spec: { bucket: spec.bucket, status: response.Status ?? 'Off' }, attrs: {} };
  },

  operations: () => ['s3:PutBucketVersioning'],

  async write(aws, { location, spec }) {
    await aws.send(
      location,
      new PutBucketVersioningCommand({
        Bucket: spec.bucket,
        ExpectedBucketOwner: await aws.accountId(location.account),
        VersioningConfiguration: { Status: 'Enabled' },
      }),
    );
  },

  explain: () => 'replication needs versioning on both buckets',

  manualSteps: ({ bucket }) => ({
    what: `enable versioning on ${bucket}`,
    command: `aws s3api put-bucket-versioning --bucket ${bucket} --versioning-configuration Status=Enabled`,
  }),

  facts: ({ bucket }, { location }) => ({
    buckets: { [bucket]: { region: location.region, versioning: { Status: 'Enabled' } } },
  }),

  transientErrors: bucketTransientErrors,

  auditEvents: bucketAuditEvents({ '': ['PutBucketVersioning'] }),
};
