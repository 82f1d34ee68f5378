import {
  DeleteBucketPolicyCommand,
  GetBucketPolicyCommand,
  PutBucketPolicyCommand,
} from '@aws-sdk/client-s3';
import { unwanted } from '../core/leftover.ts';
import { bucketId, place, position } from '../core/names.ts';
import { bucketStatements, rolesByArn } from '../core/permissions.ts';
import type { Kind } from '../core/resource.ts';
import {
  canonicalStatements,
  joinPolicy,
  type Statements,
  splitPolicy,
  statementList,
  withoutRepeats,
} from '../core/statements.ts';
import type { Statement } from '../iam/types.ts';
import { orAbsent } from './absent.ts';
import { bucketSettles } from './bucket-settles.ts';
import { isSpent, policyOf, remarks } from './policy-text.ts';
import { bucketTrail } from './trail.ts';

/** Our statements in the policy of a destination bucket, where the source is of another account. */
export interface S3BucketPolicy {
  bucket: string;
  statements: Statements;
}

/** S3 takes bucket policies of up to 20 KB. */
const LIMIT = 20_480;

export const s3BucketPolicy: Kind<S3BucketPolicy> = {
  name: 's3.bucket-policy',
  actions: { read: ['s3:GetBucketPolicy'], write: ['s3:PutBucketPolicy', 's3:DeleteBucketPolicy'] },

  want({ pair, pairs }) {
    const { bucket } = pair.destination;
    const sharing = pairs.filter((other) => other.destination.bucket === bucket);
    const statements = bucketStatements(sharing);
    if (Object.keys(statements).length === 0) return [];
    return [
      {
        id: bucketId('s3.bucket-policy', bucket),
        kind: 's3.bucket-policy',
        at: place(pair.destination),
        spec: { bucket, statements },
        after: [bucketId('s3.bucket', bucket), ...rolesByArn(sharing)],
        pairs: [pair.name],
        from: position(pair, 'spec.destination.account'),
      },
    ];
  },

  left: (of) =>
    of.destinations.map(({ bucket, at }) =>
      unwanted(of, {
        id: bucketId('s3.bucket-policy', bucket),
        kind: 's3.bucket-policy',
        at,
        spec: { bucket, statements: {} },
        after: of.sources.map((source) => bucketId('s3.replication', source.bucket)),
      }),
    ),

  canonical: ({ bucket, statements }) => ({ bucket, statements: canonicalStatements(statements) }),

  complete: (desired, seen) => ({
    ...desired,
    statements: withoutRepeats(desired.statements, (seen?.rest as Statement[] | undefined) ?? []),
  }),

  blocks(desired, seen) {
    const policy = joinPolicy(desired.statements, (seen?.rest as Statement[] | undefined) ?? []);
    const size = JSON.stringify(policy).length;
    if (size <= LIMIT) return undefined;
    return `the policy of ${desired.bucket} would have ${size} characters, and S3 allows ${LIMIT}: let fewer sources replicate to it`;
  },

  async read(aws, { at, spec, pairs, prune }) {
    const owner = await aws.accountId(at.account);
    const answer = await orAbsent(
      aws.send(at, new GetBucketPolicyCommand({ Bucket: spec.bucket, ExpectedBucketOwner: owner })),
      'NoSuchBucket',
      'NoSuchBucketPolicy',
    );
    if (answer?.Policy === undefined) return undefined;
    const { ours, foreign } = splitPolicy(policyOf(answer.Policy), pairs, prune);
    return { spec: { bucket: spec.bucket, statements: ours }, attrs: {}, rest: foreign };
  },

  calls: (_, __, goes) => [goes ? 's3:DeleteBucketPolicy' : 's3:PutBucketPolicy'],

  async write(aws, { at, spec }, was) {
    const policy = joinPolicy(spec.statements, (was?.rest as Statement[] | undefined) ?? []);
    await aws.send(
      at,
      new PutBucketPolicyCommand({
        Bucket: spec.bucket,
        ExpectedBucketOwner: await aws.accountId(at.account),
        Policy: JSON.stringify(policy),
      }),
    );
  },

  shared: true,

  isSpent,

  async remove(aws, { at, spec }) {
    const owner = await aws.accountId(at.account);
    await aws.send(at, new DeleteBucketPolicyCommand({ Bucket: spec.bucket, ExpectedBucketOwner: owner }));
  },

  explain: () => 'across accounts the bucket of the destination must allow the role, too',

  notes: (_, seen) => remarks(seen.spec.statements, seen.rest),

  facts: ({ bucket, statements }, { at, seen }) => ({
    buckets: {
      [bucket]: {
        region: at.region,
        policy: joinPolicy(statements, (seen?.rest as Statement[] | undefined) ?? []),
      },
    },
  }),

  byHand: ({ bucket, statements }) => ({
    what: `add these statements to the policy of ${bucket}`,
    document: statementList(statements),
    command: `aws s3api put-bucket-policy --bucket ${bucket} --policy file://policy.json`,
  }),

  settles: [
    ...bucketSettles,
    { code: 'MalformedPolicy', message: /principal/i, waitsFor: 'S3 to see the new role as a principal' },
  ],

  trail: bucketTrail({ '': ['DeleteBucketPolicy'], '/': ['PutBucketPolicy'] }),
};
