import { GetBucketVersioningCommand, PutBucketVersioningCommand } from '@aws-sdk/client-s3';
import { bucketId, place, position } from '../core/names.ts';
import type { Kind } from '../core/resource.ts';
import { orAbsent } from './absent.ts';
import { bucketSettles } from './bucket-settles.ts';
import { bucketTrail } from './trail.ts';

/** Versioning, which replication needs on both sides. It is only ever switched on. */
export interface S3Versioning {
  bucket: string;
  /** `Off` was never configured. */
  status: 'Enabled' | 'Suspended' | 'Off';
}

export const s3Versioning: Kind<S3Versioning> = {
  name: 's3.versioning',
  actions: { read: ['s3:GetBucketVersioning'], write: ['s3:PutBucketVersioning'] },

  want: ({ pair }) =>
    (['source', 'destination'] as const).map((side) => ({
      id: bucketId('s3.versioning', pair[side].bucket),
      kind: 's3.versioning',
      at: place(pair[side]),
      spec: { bucket: pair[side].bucket, status: 'Enabled' },
      after: [bucketId('s3.bucket', pair[side].bucket)],
      pairs: [pair.name],
      from: position(pair, `spec.${side}.bucket`),
    })),

  canonical: (spec) => spec,

  async read(aws, { at, spec }) {
    const owner = await aws.accountId(at.account);
    const answer = await orAbsent(
      aws.send(at, new GetBucketVersioningCommand({ Bucket: spec.bucket, ExpectedBucketOwner: owner })),
      'NoSuchBucket',
    );
    return answer && { spec: { bucket: spec.bucket, status: answer.Status ?? 'Off' }, attrs: {} };
  },

  calls: () => ['s3:PutBucketVersioning'],

  async write(aws, { at, spec }) {
    await aws.send(
      at,
      new PutBucketVersioningCommand({
        Bucket: spec.bucket,
        ExpectedBucketOwner: await aws.accountId(at.account),
        VersioningConfiguration: { Status: 'Enabled' },
      }),
    );
  },

  explain: () => 'replication needs versioning on both buckets',

  byHand: ({ bucket }) => ({
    what: `enable versioning on ${bucket}`,
    command: `aws s3api put-bucket-versioning --bucket ${bucket} --versioning-configuration Status=Enabled`,
  }),

  facts: ({ bucket }, { at }) => ({
    buckets: { [bucket]: { region: at.region, versioning: { Status: 'Enabled' } } },
  }),

  settles: bucketSettles,

  trail: bucketTrail({ '': ['PutBucketVersioning'] }),
};
