import {
  DeleteBucketPolicyCommand,
  GetBucketPolicyCommand,
  PutBucketPolicyCommand,
} from '@aws-sdk/client-s3';
import { bucketResourceId, locationOfSide, positionOfPath } from '../core/ids.ts';
import { orphanResource } from '../core/orphan.ts';
import type { Kind } from '../core/resource.ts';
import type { Statement } from '../iam/types.ts';
import { bucketPolicyStatements, externalRoleIds } from '../policy/replication-policies.ts';
import {
  joinPolicy,
  normalizeStatements,
  omitRedundantStatements,
  type Statements,
  splitPolicy,
  toStatementList,
} from '../policy/statements.ts';
import { bucketAuditEvents } from './cloudtrail-events.ts';
import { ignoreErrors } from './helpers.ts';
import { isPolicyEmpty, parsePolicyDocument, policyNotes } from './policy-document.ts';
import { bucketTransientErrors } from './transient-errors.ts';

/** Our statements in the policy of a destination bucket, where the source is of another account. */
export interface S3BucketPolicy {
  bucket: string;
  statements: Statements;
}

/** S3 takes bucket policies of up to 20 KB. */
const MAX_BUCKET_POLICY_CHARACTERS = 20_480;

export const s3BucketPolicy: Kind<S3BucketPolicy> = {
  name: 's3.bucket-policy',
  permissions: { read: ['s3:GetBucketPolicy'], write: ['s3:PutBucketPolicy', 's3:DeleteBucketPolicy'] },

  desired({ pair, relatedPairs: pairs }) {
    const { bucket } = pair.destination;
    const pairsOfBucket = pairs.filter((otherPair) => otherPair.destination.bucket === bucket);
    const statements = bucketPolicyStatements(pairsOfBucket);
    if (Object.keys(statements).length === 0) return [];
    return [
      {
        id: bucketResourceId('s3.bucket-policy', bucket),
        kind: 's3.bucket-policy',
        location: locationOfSide(pair.destination),
        spec: { bucket, statements },
        after: [bucketResourceId('s3.bucket', bucket), ...externalRoleIds(pairsOfBucket)],
        declaredBy: [pair.name],
        position: positionOfPath(pair, 'spec.destination.account'),
      },
    ];
  },

  orphans: (orphan) =>
    orphan.destinations.map(({ bucket, location }) =>
      orphanResource(orphan, {
        id: bucketResourceId('s3.bucket-policy', bucket),
        kind: 's3.bucket-policy',
        location,
        spec: { bucket, statements: {} },
        after: orphan.sources.map((source) => bucketResourceId('s3.replication', source.bucket)),
      }),
    ),

  normalize: ({ bucket, statements }) => ({ bucket, statements: normalizeStatements(statements) }),

  complete: (desired, current) => ({
    ...desired,
    statements: omitRedundantStatements(
      desired.statements,
      (current?.foreign as Statement[] | undefined) ?? [],
    ),
  }),

  blockedReason(desired, current) {
    const policy = joinPolicy(desired.statements, (current?.foreign as Statement[] | undefined) ?? []);
    const size = JSON.stringify(policy).length;
    if (size <= MAX_BUCKET_POLICY_CHARACTERS) return undefined;
    return `the policy of ${desired.bucket} would have ${size} characters, and S3 allows ${MAX_BUCKET_POLICY_CHARACTERS}: let fewer sources replicate to it`;
  },

  async read(aws, { location, spec, declaredBy, pruneOwners: prune }) {
    const owner = await aws.accountId(location.account);
    const response = await ignoreErrors(
      aws.send(location, new GetBucketPolicyCommand({ Bucket: spec.bucket, ExpectedBucketOwner: owner })),
      'NoSuchBucket',
      'NoSuchBucketPolicy',
    );
    if (response?.Policy === undefined) return undefined;
    const { managed, foreign } = splitPolicy(parsePolicyDocument(response.Policy), declaredBy, prune);
    return { spec: { bucket: spec.bucket, statements: managed }, attrs: {}, foreign: foreign };
  },

  operations: (_, __, isRemoval) => [isRemoval ? 's3:DeleteBucketPolicy' : 's3:PutBucketPolicy'],

  async write(aws, { location, spec }, current) {
    const policy = joinPolicy(spec.statements, (current?.foreign as Statement[] | undefined) ?? []);
    await aws.send(
      location,
      new PutBucketPolicyCommand({
        Bucket: spec.bucket,
        ExpectedBucketOwner: await aws.accountId(location.account),
        Policy: JSON.stringify(policy),
      }),
    );
  },

  isShared: true,

  isEmpty: isPolicyEmpty,

  async remove(aws, { location, spec }) {
    const owner = await aws.accountId(location.account);
    await aws.send(
      location,
      new DeleteBucketPolicyCommand({ Bucket: spec.bucket, ExpectedBucketOwner: owner }),
    );
  },

  explain: () => 'across accounts the bucket of the destination must allow the role, too',

  notes: (_, current) => policyNotes(current.spec.statements, current.foreign),

  facts: ({ bucket, statements }, { location, current }) => ({
    buckets: {
      [bucket]: {
        region: location.region,
        policy: joinPolicy(statements, (current?.foreign as Statement[] | undefined) ?? []),
      },
    },
  }),

  manualSteps: ({ bucket, statements }) => ({
    what: `add these statements to the policy of ${bucket}`,
    document: toStatementList(statements),
    command: `aws s3api put-bucket-policy --bucket ${bucket} --policy file://policy.json`,
  }),

  transientErrors: [
    ...bucketTransientErrors,
    { code: 'MalformedPolicy', message: /principal/i, waitsFor: 'S3 to see the new role as a principal' },
  ],

  auditEvents: bucketAuditEvents({ '': ['DeleteBucketPolicy'], '/': ['PutBucketPolicy'] }),
};
