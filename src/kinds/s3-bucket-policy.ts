import {
  DeleteBucketPolicyCommand,
  GetBucketPolicyCommand,
  PutBucketPolicyCommand,
} from '@aws-sdk/client-s3';
import { requireField } from '../aws/response.ts';
import { bucketResourceId, locationOfSide, positionOfPath } from '../core/ids.ts';
import type { Kind } from '../core/kind.ts';
import { orphanResource } from '../core/orphan.ts';
import type { Location } from '../core/resource.ts';
import type { Policy, Statement } from '../iam/types.ts';
import { bucketPolicyStatements } from '../policy/required-statements.ts';
import { normalizeStatements, type Statements, toStatementList } from '../policy/statements.ts';
import { awsCli, MERGED_FILE, mergePolicyCommand } from '../util/aws-cli.ts';
import { bucketAuditEvents } from './cloudtrail-events.ts';
import { bucketTransientErrors, externalRoleIds, ignoreErrors, roleArnOrRef } from './helpers.ts';
import {
  deletedPrincipalProblem,
  parsePolicyDocument,
  policyNotes,
  renderPolicy,
  splitByOwner,
} from './policy-document.ts';
import { bucketScope } from './scopes.ts';

/** Managed statements in the policy of a destination bucket, if the source belongs to another account. */
export interface S3BucketPolicy {
  bucket: string;
  statements: Statements;
}

/** S3 accepts bucket policies of up to 20 KB. */
const MAX_BUCKET_POLICY_LENGTH = 20_480;

export const s3BucketPolicy: Kind<S3BucketPolicy, Policy, Statement[]> = {
  name: 's3.bucket-policy',
  scope: { ...bucketScope, facts: (policy) => ({ policy }), factsOfDeleted: { policy: null } },
  permissions: { read: ['s3:GetBucketPolicy'], write: ['s3:PutBucketPolicy', 's3:DeleteBucketPolicy'] },

  desired({ pair, relatedPairs }) {
    const { bucket } = pair.destination;
    const pairsOfBucket = relatedPairs.filter(({ destination }) => destination.bucket === bucket);
    const statements = bucketPolicyStatements(pairsOfBucket, roleArnOrRef);
    if (Object.keys(statements).length === 0) return [];
    return [
      {
        id: bucketResourceId('s3.bucket-policy', bucket),
        kind: 's3.bucket-policy',
        name: bucket,
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
        name: bucket,
        location,
        spec: { bucket, statements: {} },
        after: orphan.sources.map((source) => bucketResourceId('s3.replication', source.bucket)),
      }),
    ),

  async fetch(aws, location, name) {
    const owner = await aws.accountId(location.account);
    const response = await ignoreErrors(
      aws.send(location, new GetBucketPolicyCommand({ Bucket: name, ExpectedBucketOwner: owner })),
      'NoSuchBucket',
      'NoSuchBucketPolicy',
    );
    return response && parsePolicyDocument(requireField(response, 'Policy'));
  },

  parse(policy, resource) {
    const { managed, ...others } = splitByOwner(policy, resource);
    return { spec: { bucket: resource.name, statements: managed }, ...others };
  },

  normalize: ({ bucket, statements }) => ({ bucket, statements: normalizeStatements(statements) }),

  render: renderPolicy,

  operations: ({ doc, resource: { location }, desired: { bucket, statements } }) =>
    doc === undefined
      ? [{ call: 's3:DeleteBucketPolicy' }]
      : [
          {
            call: 's3:PutBucketPolicy',
            manual: {
              what: `add these statements to the policy of ${bucket}`,
              document: toStatementList(statements),
              command: addToBucketPolicyCommand(bucket, location, statements),
            },
          },
        ],

  async send(aws, { resource: { name, location }, doc }) {
    await aws.send(
      location,
      new PutBucketPolicyCommand({
        Bucket: name,
        ExpectedBucketOwner: await aws.accountId(location.account),
        Policy: JSON.stringify(doc),
      }),
    );
  },

  async remove(aws, { name, location }) {
    const owner = await aws.accountId(location.account);
    await aws.send(location, new DeleteBucketPolicyCommand({ Bucket: name, ExpectedBucketOwner: owner }));
  },

  response: { replacesWholeDocument: true },

  check(change) {
    const size = JSON.stringify(change.doc ?? '').length;
    return {
      blocked:
        size <= MAX_BUCKET_POLICY_LENGTH
          ? deletedPrincipalProblem(change.current?.foreign, `policy of ${change.resource.name}`)
          : `the policy of ${change.resource.name} would have ${size} characters, but S3 allows ${MAX_BUCKET_POLICY_LENGTH}; replicate to it from fewer sources`,
      notes: policyNotes(change),
    };
  },

  explain: () => 'across accounts, the destination bucket must also allow the role',

  transientErrors: [
    ...bucketTransientErrors,
    { code: 'MalformedPolicy', message: /principal/i, waitsFor: 'S3 to see the new role as a principal' },
  ],

  auditEvents: bucketAuditEvents({ '': ['DeleteBucketPolicy'], '/': ['PutBucketPolicy'] }),
};

/** Returns the command that adds statements to a bucket policy, in an account that replikey cannot read. */
function addToBucketPolicyCommand(bucket: string, { region }: Location, statements: Statements): string {
  return mergePolicyCommand(
    {
      get: awsCli('s3api get-bucket-policy', { region, bucket, query: 'Policy', output: 'text' }),
      absentError: 'NoSuchBucketPolicy',
      put: awsCli('s3api put-bucket-policy', { region, bucket, policy: MERGED_FILE }),
    },
    toStatementList(statements),
  );
}
