import {
  type BucketVersioningStatus,
  GetBucketVersioningCommand,
  PutBucketVersioningCommand,
} from '@aws-sdk/client-s3';
import { bucketResourceId, locationOfSide, positionOfPath } from '../core/ids.ts';
import type { Kind } from '../core/kind.ts';
import type { Aws, Location } from '../core/resource.ts';
import { awsCli } from '../util/aws-cli.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { bucketAuditEvents } from './cloudtrail-events.ts';
import { bucketTransientErrors, ignoreErrors } from './helpers.ts';
import { bucketScope } from './scopes.ts';

/** Versioning, which replication needs on both sides. replikey never disables or suspends it. */
export interface S3Versioning {
  bucket: string;
  /** `Off`: versioning was never configured. */
  status: 'Enabled' | 'Suspended' | 'Off';
}

export interface VersioningDoc {
  Status?: BucketVersioningStatus;
}

export const s3Versioning: Kind<S3Versioning, VersioningDoc> = {
  name: 's3.versioning',
  scope: { ...bucketScope, facts: (versioning) => ({ versioning }) },
  permissions: { read: ['s3:GetBucketVersioning'], write: ['s3:PutBucketVersioning'] },

  desired: ({ pair }) =>
    (['source', 'destination'] as const).map((side) => ({
      id: bucketResourceId('s3.versioning', pair[side].bucket),
      kind: 's3.versioning',
      name: pair[side].bucket,
      location: locationOfSide(pair[side]),
      spec: { bucket: pair[side].bucket, status: 'Enabled' },
      after: [bucketResourceId('s3.bucket', pair[side].bucket)],
      declaredBy: [pair.name],
      position: positionOfPath(pair, `spec.${side}.bucket`),
    })),

  fetch: (aws, location, name) => ignoreErrors(fetchVersioning(aws, location, name), 'NoSuchBucket'),

  parse: ({ Status }, { name }) => ({ spec: { bucket: name, status: Status ?? 'Off' }, attrs: {} }),

  normalize: (spec) => spec,

  render: () => ({ Status: 'Enabled' }),

  operations: ({ resource, desired: { bucket } }) => [
    {
      call: 's3:PutBucketVersioning',
      manual: {
        what: `enable versioning on ${bucket}`,
        command: awsCli('s3api put-bucket-versioning', {
          region: resource.location.region,
          bucket,
          'versioning-configuration': 'Status=Enabled',
        }),
      },
    },
  ],

  async send(aws, { resource: { name, location } }) {
    await aws.send(
      location,
      new PutBucketVersioningCommand({
        Bucket: name,
        ExpectedBucketOwner: await aws.accountId(location.account),
        VersioningConfiguration: { Status: 'Enabled' },
      }),
    );
  },

  response: {},

  explain: () => 'replication needs versioning on both buckets',

  transientErrors: bucketTransientErrors,

  auditEvents: bucketAuditEvents({ '': ['PutBucketVersioning'] }),
};

/**
 * Reads the versioning of a bucket.
 *
 * @throws the error of AWS, `NoSuchBucket` among them.
 */
export async function fetchVersioning(aws: Aws, location: Location, bucket: string): Promise<VersioningDoc> {
  const owner = await aws.accountId(location.account);
  const { Status } = await aws.send(
    location,
    new GetBucketVersioningCommand({ Bucket: bucket, ExpectedBucketOwner: owner }),
  );
  return omitUndefined({ Status });
}
