import {
  DeleteRolePermissionsBoundaryCommand,
  DeleteRolePolicyCommand,
  PutRolePermissionsBoundaryCommand,
  PutRolePolicyCommand,
  TagRoleCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam';
import {
  DeleteAliasCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  DisableKeyRotationCommand,
  EnableKeyRotationCommand,
  GetKeyPolicyCommand,
  PutKeyPolicyCommand,
  UpdateKeyDescriptionCommand,
} from '@aws-sdk/client-kms';
import {
  DeleteBucketCommand,
  DeleteBucketPolicyCommand,
  DeleteBucketReplicationCommand,
  DeletePublicAccessBlockCommand,
  GetBucketEncryptionCommand,
  GetBucketPolicyCommand,
  GetBucketReplicationCommand,
  PutBucketEncryptionCommand,
  PutBucketOwnershipControlsCommand,
  PutBucketPolicyCommand,
  PutBucketReplicationCommand,
  PutBucketVersioningCommand,
  PutPublicAccessBlockCommand,
  type ReplicationRule,
  type ServerSideEncryptionRule,
} from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import type { AwsClient } from '../../src/aws/client.ts';
import { desiredResources } from '../../src/core/desired.ts';
import { FACT_ACTIONS } from '../../src/core/facts.ts';
import { renderChange, resourceDiff } from '../../src/core/plan.ts';
import type { ActualState } from '../../src/core/resource.ts';
import { kinds } from '../../src/kinds/index.ts';
import { observe } from '../../src/reconcile/observe.ts';
import { canonicalJson } from '../../src/util/canonical-json.ts';
import { ACCOUNT_SPECS, type TestEnv, testEnv } from '../support/env.ts';
import { stateOf } from '../support/state.ts';

/** A pair that declares something of everything. */
const BOUNDARY = 'arn:aws:iam::aws:policy/AmazonS3FullAccess';
const FULL = `${ACCOUNT_SPECS}apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: tax }
spec:
  source:
    bucket: acme-tax
    region: us-east-1
    account: main
    key: { alias: alias/acme-tax, description: Tax records, rotation: true, rotationPeriodInDays: 180 }
    blockPublicAccess: true
    objectOwnership: BucketOwnerEnforced
  destination:
    bucket: acme-tax-replica
    region: us-west-2
    account: backup
    key: alias/acme-tax-replica
    defaultEncryption: DSSE-KMS
    storageClass: STANDARD_IA
  sourceKeys: [alias/acme-old]
  role:
    path: /service-role/
    permissionsBoundary: ${BOUNDARY}
    tags: { team: finance }
  rules:
    - { prefix: Tax/, deleteMarkerReplication: true }
    - name: ledgers
      filter: { prefix: Ledgers/, tags: { tier: gold } }
      replicationTimeControl: true
      replicaModifications: true
`;
const SOURCE = 'acme-tax';
const REPLICA = 'acme-tax-replica';
const ROLE = 'replikey-acme-tax';
const ROLE_ID = `${ROLE}@main`;
const east = { account: 'main', region: 'us-east-1' };
const west = { account: 'backup', region: 'us-west-2' };

/** What somebody does by hand, and what the plan then names: resource, and path of each field. */
interface Perturbation {
  name: string;
  disturb(door: AwsClient): Promise<unknown>;
  planned: Record<string, string[]>;
  /** Risks that healing it takes. */
  allow?: string[];
}

/** A change of one rule of the replication configuration. */
const ofRule = (
  name: string,
  change: (rule: ReplicationRule) => ReplicationRule,
  ...paths: string[]
): Perturbation => ({
  name: `the ${name} of a rule`,
  disturb: async (door) => {
    const { ReplicationConfiguration: found } = await door.send(
      east,
      new GetBucketReplicationCommand({ Bucket: SOURCE }),
    );
    const Rules = found?.Rules?.map((rule) => (rule.ID?.endsWith('/tax') ? change(rule) : rule));
    const ReplicationConfiguration = { Role: found?.Role, Rules };
    await door.send(east, new PutBucketReplicationCommand({ Bucket: SOURCE, ReplicationConfiguration }));
  },
  planned: { [`s3.replication/${SOURCE}`]: paths.map((path) => `/rules/replikey~1tax~1tax/${path}`) },
});

const toDestination =
  (change: Partial<NonNullable<ReplicationRule['Destination']>>) => (rule: ReplicationRule) => ({
    ...rule,
    Destination: { ...rule.Destination, Bucket: rule.Destination?.Bucket, ...change },
  });

const ofEncryption = (
  name: string,
  change: (rule: ServerSideEncryptionRule) => ServerSideEncryptionRule,
  path: string,
  allow: string[] = [],
): Perturbation => ({
  name,
  disturb: async (door) => {
    const { ServerSideEncryptionConfiguration: found } = await door.send(
      east,
      new GetBucketEncryptionCommand({ Bucket: SOURCE }),
    );
    const Rules = found?.Rules?.map(change) ?? [];
    await door.send(
      east,
      new PutBucketEncryptionCommand({ Bucket: SOURCE, ServerSideEncryptionConfiguration: { Rules } }),
    );
  },
  planned: { [`s3.encryption/${SOURCE}`]: [path] },
  allow,
});

const keyOf = async (door: AwsClient): Promise<string> =>
  (await door.send(east, new DescribeKeyCommand({ KeyId: 'alias/acme-tax' }))).KeyMetadata?.KeyId ?? '';

/** For every kind: what is disturbed, and what exactly is found. */
const PERTURBATIONS: Record<string, Perturbation[]> = {
  'kms.key': [
    {
      name: 'the alias taken off a key of ours',
      disturb: (door) => door.send(east, new DeleteAliasCommand({ AliasName: 'alias/acme-tax' })),
      planned: {
        'kms.key/alias/acme-tax@main/us-east-1': [
          '/alias',
          '/description',
          '/rotation',
          '/rotationPeriodInDays',
        ],
        'kms.key-policy/alias/acme-tax@main/us-east-1': ['/alias', '/statements'],
      },
    },
    {
      name: 'rotation switched off',
      disturb: async (door) => door.send(east, new DisableKeyRotationCommand({ KeyId: await keyOf(door) })),
      // Without rotation there is no period to be read.
      planned: { 'kms.key/alias/acme-tax@main/us-east-1': ['/rotation', '/rotationPeriodInDays'] },
    },
    {
      name: 'another period of rotation',
      disturb: async (door) =>
        door.send(east, new EnableKeyRotationCommand({ KeyId: await keyOf(door), RotationPeriodInDays: 90 })),
      planned: { 'kms.key/alias/acme-tax@main/us-east-1': ['/rotationPeriodInDays'] },
    },
    {
      name: 'another description',
      disturb: async (door) =>
        door.send(east, new UpdateKeyDescriptionCommand({ KeyId: await keyOf(door), Description: 'Old' })),
      planned: { 'kms.key/alias/acme-tax@main/us-east-1': ['/description'] },
    },
  ],
  'kms.key-policy': [
    {
      name: 'our statement taken out of a key policy',
      disturb: async (door) => {
        const key = { KeyId: await keyOf(door), PolicyName: 'default' };
        const { Policy = '' } = await door.send(east, new GetKeyPolicyCommand(key));
        const policy = JSON.parse(Policy) as { Statement: { Sid: string }[] };
        policy.Statement = policy.Statement.filter(({ Sid }) => !Sid.startsWith('Replikey'));
        await door.send(east, new PutKeyPolicyCommand({ ...key, Policy: JSON.stringify(policy) }));
      },
      planned: { 'kms.key-policy/alias/acme-tax@main/us-east-1': ['/statements/ReplikeySourceKeyTax'] },
    },
  ],
  'iam.role': [
    {
      name: 'another service trusted in place of S3',
      disturb: (door) =>
        door.send(
          east,
          new UpdateAssumeRolePolicyCommand({
            RoleName: ROLE,
            PolicyDocument: JSON.stringify({
              Version: '2012-10-17',
              Statement: [
                {
                  Sid: 'ReplikeyAssumeRole',
                  Effect: 'Allow',
                  Principal: { Service: 'ec2.amazonaws.com' },
                  Action: 'sts:AssumeRole',
                },
              ],
            }),
          }),
        ),
      planned: {
        [`iam.role/${ROLE_ID}`]: [
          '/trust/ReplikeyAssumeRole/Principal/Service/ec2.amazonaws.com',
          '/trust/ReplikeyAssumeRole/Principal/Service/s3.amazonaws.com',
        ],
      },
    },
    {
      name: 'another boundary',
      disturb: (door) =>
        door.send(
          east,
          new PutRolePermissionsBoundaryCommand({
            RoleName: ROLE,
            PermissionsBoundary: 'arn:aws:iam::aws:policy/AdministratorAccess',
          }),
        ),
      planned: { [`iam.role/${ROLE_ID}`]: ['/permissionsBoundary'] },
      allow: ['change-boundary'],
    },
    {
      name: 'the boundary taken away',
      disturb: (door) => door.send(east, new DeleteRolePermissionsBoundaryCommand({ RoleName: ROLE })),
      planned: { [`iam.role/${ROLE_ID}`]: ['/permissionsBoundary'] },
    },
    {
      name: 'a tag that says something else, and one that nobody declared',
      disturb: (door) =>
        door.send(
          east,
          new TagRoleCommand({
            RoleName: ROLE,
            Tags: [
              { Key: 'team', Value: 'legal' },
              { Key: 'theirs', Value: 'kept' },
            ],
          }),
        ),
      planned: { [`iam.role/${ROLE_ID}`]: ['/tags/team'] },
    },
  ],
  'iam.role-policy': [
    {
      name: 'the policy of the role deleted',
      disturb: (door) =>
        door.send(east, new DeleteRolePolicyCommand({ RoleName: ROLE, PolicyName: 'replikey' })),
      planned: { [`iam.role-policy/${ROLE_ID}`]: ['/role', '/statements'] },
    },
    {
      name: 'a statement added under a name of ours',
      disturb: async (door) => {
        const policy = { RoleName: ROLE, PolicyName: 'replikey' };
        const PolicyDocument = JSON.stringify({
          Version: '2012-10-17',
          Statement: [{ Sid: 'ReplikeySourceBucketTax', Effect: 'Allow', Action: 's3:*', Resource: '*' }],
        });
        await door.send(east, new PutRolePolicyCommand({ ...policy, PolicyDocument }));
      },
      planned: {
        [`iam.role-policy/${ROLE_ID}`]: [
          '/statements/ReplikeyDestinationDeletesTax',
          '/statements/ReplikeyDestinationKeyTax',
          '/statements/ReplikeyDestinationObjectsTax',
          '/statements/ReplikeyDestinationOwnerTax',
          '/statements/ReplikeySourceBucketTax/Action/s3:*',
          '/statements/ReplikeySourceBucketTax/Action/s3:GetReplicationConfiguration',
          '/statements/ReplikeySourceBucketTax/Action/s3:ListBucket',
          '/statements/ReplikeySourceBucketTax/Resource/*',
          '/statements/ReplikeySourceBucketTax/Resource/arn:aws:s3:::acme-tax',
          '/statements/ReplikeySourceKeyTax',
          '/statements/ReplikeySourceObjectsTax',
        ],
      },
    },
  ],
  's3.bucket': [
    {
      name: 'the destination deleted',
      disturb: (door) => door.send(west, new DeleteBucketCommand({ Bucket: REPLICA })),
      planned: {
        [`s3.bucket/${REPLICA}`]: ['/bucket', '/region'],
        [`s3.versioning/${REPLICA}`]: ['/bucket', '/status'],
        [`s3.encryption/${REPLICA}`]: ['/bucket', '/bucketKeyEnabled', '/kmsMasterKeyId', '/sseAlgorithm'],
        [`s3.bucket-policy/${REPLICA}`]: ['/bucket', '/statements'],
      },
    },
  ],
  's3.versioning': [
    {
      name: 'versioning of the destination suspended',
      disturb: (door) =>
        door.send(
          west,
          new PutBucketVersioningCommand({
            Bucket: REPLICA,
            VersioningConfiguration: { Status: 'Suspended' },
          }),
        ),
      planned: { [`s3.versioning/${REPLICA}`]: ['/status'] },
    },
  ],
  's3.encryption': [
    ofEncryption(
      'the S3 Bucket Key switched off',
      (rule) => ({ ...rule, BucketKeyEnabled: false }),
      '/bucketKeyEnabled',
    ),
    ofEncryption(
      'another default key',
      (rule) => ({
        ...rule,
        ApplyServerSideEncryptionByDefault: {
          SSEAlgorithm: 'aws:kms',
          KMSMasterKeyID: 'arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555',
        },
      }),
      '/kmsMasterKeyId',
      ['change-default-key'],
    ),
  ],
  's3.bucket-policy': [
    {
      name: 'the policy of the destination deleted',
      disturb: (door) => door.send(west, new DeleteBucketPolicyCommand({ Bucket: REPLICA })),
      planned: { [`s3.bucket-policy/${REPLICA}`]: ['/bucket', '/statements'] },
    },
    {
      name: 'an action taken out of the policy of the destination, and a statement of somebody else put in',
      disturb: async (door) => {
        const { Policy = '' } = await door.send(west, new GetBucketPolicyCommand({ Bucket: REPLICA }));
        const policy = JSON.parse(Policy) as { Statement: { Sid: string; Action: string | string[] }[] };
        const Statement = policy.Statement.map((one) =>
          one.Sid === 'ReplikeyDestinationObjectsTax' ? { ...one, Action: 's3:ReplicateObject' } : one,
        );
        const theirs = {
          Sid: 'TlsOnly',
          Effect: 'Deny',
          Principal: '*',
          Action: 's3:*',
          Resource: `arn:aws:s3:::${REPLICA}/*`,
          Condition: { NumericLessThan: { 's3:TlsVersion': '1.2' } },
        };
        const text = JSON.stringify({ ...policy, Statement: [...Statement, theirs] });
        await door.send(west, new PutBucketPolicyCommand({ Bucket: REPLICA, Policy: text }));
      },
      planned: {
        [`s3.bucket-policy/${REPLICA}`]: [
          '/statements/ReplikeyDestinationObjectsTax/Action/s3:ReplicateTags',
        ],
      },
    },
  ],
  's3.public-access': [
    {
      name: 'one of the four settings switched off',
      disturb: (door) =>
        door.send(
          east,
          new PutPublicAccessBlockCommand({
            Bucket: SOURCE,
            PublicAccessBlockConfiguration: {
              BlockPublicAcls: true,
              IgnorePublicAcls: true,
              BlockPublicPolicy: false,
              RestrictPublicBuckets: true,
            },
          }),
        ),
      planned: { [`s3.public-access/${SOURCE}`]: ['/blockPublicPolicy'] },
    },
    {
      name: 'the block deleted',
      disturb: (door) => door.send(east, new DeletePublicAccessBlockCommand({ Bucket: SOURCE })),
      planned: {
        [`s3.public-access/${SOURCE}`]: [
          '/blockPublicAcls',
          '/blockPublicPolicy',
          '/bucket',
          '/ignorePublicAcls',
          '/restrictPublicBuckets',
        ],
      },
    },
  ],
  's3.ownership': [
    {
      name: 'objects left to their writers',
      disturb: (door) =>
        door.send(
          east,
          new PutBucketOwnershipControlsCommand({
            Bucket: SOURCE,
            OwnershipControls: { Rules: [{ ObjectOwnership: 'ObjectWriter' }] },
          }),
        ),
      planned: { [`s3.ownership/${SOURCE}`]: ['/objectOwnership'] },
      allow: ['change-ownership'],
    },
  ],
  's3.replication': [
    {
      name: 'the configuration deleted',
      disturb: (door) => door.send(east, new DeleteBucketReplicationCommand({ Bucket: SOURCE })),
      planned: { [`s3.replication/${SOURCE}`]: ['/bucket', '/foreignRules', '/role', '/rules', '/v1Rules'] },
    },
    ofRule('status', (rule) => ({ ...rule, Status: 'Disabled' }), 'status'),
    ofRule('prefix', (rule) => ({ ...rule, Filter: { Prefix: 'Taxes/' } }), 'prefix'),
    ofRule(
      'filter',
      (rule) => ({
        ...rule,
        DeleteMarkerReplication: { Status: 'Disabled' },
        Filter: { And: { Prefix: 'Tax/', Tags: [{ Key: 'a', Value: 'b' }] } },
      }),
      'deleteMarkerReplication',
      'tags/a',
    ),
    ofRule(
      'delete marker replication',
      (rule) => ({ ...rule, DeleteMarkerReplication: { Status: 'Disabled' } }),
      'deleteMarkerReplication',
    ),
    ofRule(
      'replica modification sync',
      (rule) => ({
        ...rule,
        SourceSelectionCriteria: {
          ...rule.SourceSelectionCriteria,
          ReplicaModifications: { Status: 'Enabled' },
        },
      }),
      'replicaModifications',
    ),
    ofRule(
      'owner',
      toDestination({ AccessControlTranslation: undefined, Account: undefined }),
      'account',
      'owner',
    ),
    ofRule('storage class', toDestination({ StorageClass: 'GLACIER' }), 'storageClass'),
    ofRule(
      'replica key',
      toDestination({
        EncryptionConfiguration: { ReplicaKmsKeyID: 'arn:aws:kms:us-west-2:111122223333:key/1' },
      }),
      'replicaKmsKeyId',
    ),
    ofRule('metrics', toDestination({ Metrics: { Status: 'Disabled' } }), 'metrics'),
    ofRule(
      'selection of encrypted objects',
      (rule) => {
        const { SourceSelectionCriteria: _, ...rest } = rule;
        const { EncryptionConfiguration: __, ...destination } = rule.Destination ?? { Bucket: '' };
        return { ...rest, Destination: destination } as ReplicationRule;
      },
      'replicaKmsKeyId',
      'sseKmsEncryptedObjects',
    ),
    ofRule(
      'replication time control',
      toDestination({
        ReplicationTime: { Status: 'Enabled', Time: { Minutes: 15 } },
        Metrics: { Status: 'Enabled', EventThreshold: { Minutes: 15 } },
      }),
      'replicationTimeControl',
    ),
  ],
};

const resourcesOf = ({ specs }: TestEnv) => desiredResources(specs.pairs, [...kinds.values()]);

/** What AWS shows of every resource, each read by its kind. */
async function seenOf(env: TestEnv): Promise<ActualState> {
  return observe(resourcesOf(env), kinds, env.door);
}

test('there is a disturbance for every kind, and for no other', () => {
  expect(Object.keys(PERTURBATIONS).sort()).toEqual([...kinds.keys()].sort());
});

describe('every kind', () => {
  test('sees nothing where nothing is, and does not write to find out', async () => {
    await using env = await testEnv(FULL);
    const actual = await observe(resourcesOf(env), kinds, env.door.readOnly());
    expect(new Set([...actual.values()].map(({ state }) => state))).toEqual(new Set(['absent']));
    expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
  });

  test('sees what it wrote, in the normal form of what was declared', async () => {
    await using env = await testEnv(FULL);
    await env.reconcile();
    const actual = await seenOf(env);
    for (const resource of resourcesOf(env)) {
      const kind = kinds.get(resource.kind);
      const observation = actual.get(resource.id);
      if (!kind || observation?.state !== 'present')
        throw new Error(`${resource.id} is ${observation?.state}`);
      const { desired } = renderChange(resource, actual, kind);
      expect(resourceDiff(observation.current, desired, kind).patch, resource.id).toEqual([]);
      // One normal form: a second time changes nothing.
      expect(canonicalJson(kind.normalize(desired)), resource.id).toBe(canonicalJson(desired));
    }
  });

  test('can write again what is there, and leaves everything as it is', async () => {
    await using env = await testEnv(FULL);
    await env.reconcile();
    const before = stateOf(env.sandbox);
    const actual = await seenOf(env);
    for (const resource of resourcesOf(env)) {
      const kind = kinds.get(resource.kind);
      if (kind) await kind.send(env.door, renderChange(resource, actual, kind));
    }
    expect(stateOf(env.sandbox)).toEqual(before);
  });

  test('names the IAM actions of every call that it sends, and so does the proof', async () => {
    await using env = await testEnv(FULL);
    await env.reconcile();
    await env.reconcile();
    const ofKinds = [...kinds.values()].flatMap(({ permissions: actions }) => [
      ...actions.read,
      ...actions.write,
    ]);
    const named = new Set([...ofKinds, ...Object.values(FACT_ACTIONS).flat()]);
    const sent = Object.keys(env.sandbox.log.counts()).filter((call) => call !== 'sts:GetCallerIdentity');
    expect(sent.filter((call) => !named.has(ACTIONS[call] ?? call))).toEqual([]);
  });
});

/** Operations that IAM knows under another name. */
const ACTIONS: Record<string, string> = {
  's3:GetBucketEncryption': 's3:GetEncryptionConfiguration',
  's3:GetObjectLockConfiguration': 's3:GetBucketObjectLockConfiguration',
  's3:PutBucketEncryption': 's3:PutEncryptionConfiguration',
  's3:GetBucketReplication': 's3:GetReplicationConfiguration',
  's3:PutBucketReplication': 's3:PutReplicationConfiguration',
  's3:GetPublicAccessBlock': 's3:GetBucketPublicAccessBlock',
  's3:PutPublicAccessBlock': 's3:PutBucketPublicAccessBlock',
};

describe.each(Object.entries(PERTURBATIONS))('%s, disturbed by hand', (_, perturbations) => {
  test.each(perturbations)('$name: the plan names it, and healing it leaves nothing to do', async (given) => {
    await using env = await testEnv(FULL);
    await env.reconcile();
    await given.disturb(env.door);

    const { plan } = await env.reconcile({ dryRun: true });
    const named = plan.waves.flat().map(({ id, patch }) => [id, patch.map(({ path }) => path).sort()]);
    const expected = Object.entries(given.planned);
    expect(named.map(([id]) => id).sort()).toEqual(expected.map(([id]) => id).sort());
    for (const [id, paths] of expected) expect(Object.fromEntries(named)[id]).toEqual([...paths].sort());
    for (const step of plan.waves.flat()) expect(step.why.join()).not.toBe('');

    const healed = await env.reconcile({ allowedRisks: given.allow ?? [] });
    expect(healed.results.filter(({ result }) => result !== 'applied')).toEqual([]);
    expect(healed.remaining?.waves).toEqual([]);
  });
});

test('a key that is switched off blocks what needs it, and is never switched on by us', async () => {
  await using env = await testEnv(FULL);
  await env.reconcile();
  await env.door.send(east, new DisableKeyCommand({ KeyId: await keyOf(env.door) }));
  env.sandbox.log.reset();
  const { plan } = await env.reconcile();
  expect(plan.blocked).toMatchObject([
    { id: 'kms.key/alias/acme-tax@main/us-east-1', why: expect.stringMatching(/is Disabled; enable it/) },
  ]);
  expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
});
