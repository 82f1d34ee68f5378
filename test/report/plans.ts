import { GetRolePolicyCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import {
  CreateBucketCommand,
  PutBucketEncryptionCommand,
  PutBucketPolicyCommand,
  PutBucketReplicationCommand,
  PutBucketVersioningCommand,
} from '@aws-sdk/client-s3';
import type { Outcome, PassOptions } from '../../src/reconcile/pass.ts';
import type { BucketReplication } from '../../src/spec/types.ts';
import {
  ACCOUNT_SPECS,
  CROSS_ACCOUNT_SPEC,
  parseSpecs,
  TAX_SPEC,
  type TestEnv,
  testEnv,
} from '../support/env.ts';

/** A plan scenario: the state of AWS and the specs to plan. */
export interface Case {
  name: string;
  /** The specs that are applied first. */
  before?: string;
  /** Makes a foreign change before the plan. */
  setup?: (env: TestEnv) => Promise<unknown>;
  yaml: string;
  prune?: true;
  /** Overrides the drain of the specs. */
  drainMs?: number;
}

const EAST = { region: 'us-east-1' };
const WEST = { region: 'us-west-2' };

const accounts = (managed: boolean) =>
  managed ? ACCOUNT_SPECS : ACCOUNT_SPECS.replace('"444455556666" }', '"444455556666", managed: false }');

const withRule = (lines: string) => TAX_SPEC.replace('    - prefix: Tax/', `    - prefix: Tax/\n${lines}`);
const renamedSpec = (name: string) => TAX_SPEC.replaceAll('tax', name).replace('Tax/', `${name}/`);
const fanOut = ['us-west-2', 'eu-west-1', 'ap-southeast-2']
  .map((region) =>
    TAX_SPEC.replace('name: tax', `name: tax-${region}`)
      .replaceAll('acme-tax-replica', `acme-tax-${region}`)
      .replace('us-west-2', region),
  )
  .join('---\n');

/** Replaces a condition of the role's policy with a condition that names only the bucket. */
async function narrowCondition({ client }: TestEnv): Promise<void> {
  const policy = { RoleName: 'replikey-acme-tax', PolicyName: 'replikey' };
  const { PolicyDocument = '' } = await client.send(EAST, new GetRolePolicyCommand(policy));
  const narrowed = decodeURIComponent(PolicyDocument).replace(
    '["arn:aws:s3:::acme-tax","arn:aws:s3:::acme-tax/Tax/*"]',
    '"arn:aws:s3:::acme-tax"',
  );
  await client.send(EAST, new PutRolePolicyCommand({ ...policy, PolicyDocument: narrowed }));
}

/** Creates a versioned bucket with its own default key. */
async function createBucket({ client }: TestEnv): Promise<void> {
  const KMSMasterKeyID = 'arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555';
  const Bucket = 'acme-tax';
  await client.send(EAST, new CreateBucketCommand({ Bucket }));
  await client.send(
    EAST,
    new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }),
  );
  const rule = { ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms' as const, KMSMasterKeyID } };
  await client.send(
    EAST,
    new PutBucketEncryptionCommand({ Bucket, ServerSideEncryptionConfiguration: { Rules: [rule] } }),
  );
}

/** Adds a foreign rule to the configuration of the source. */
export async function addForeignRule({ client }: TestEnv): Promise<void> {
  const { GetBucketReplicationCommand } = await import('@aws-sdk/client-s3');
  const { ReplicationConfiguration } = await client.send(
    EAST,
    new GetBucketReplicationCommand({ Bucket: 'acme-tax' }),
  );
  const [first, ...rest] = ReplicationConfiguration?.Rules ?? [];
  const foreign = { ...first, ID: 'foreign', Priority: 77, Filter: { Prefix: 'Foreign/' } };
  await client.send(
    EAST,
    new PutBucketReplicationCommand({
      Bucket: 'acme-tax',
      ReplicationConfiguration: {
        Role: ReplicationConfiguration?.Role,
        Rules: [first, foreign, ...rest] as never,
      },
    }),
  );
}

const denyVersioningRead = async ({ sandbox }: TestEnv): Promise<void> => {
  const what = { status: 403, code: 'AccessDenied', message: 'Access Denied' };
  sandbox.faultSettings.faults = [{ match: 'GetBucketVersioning', nth: 1, times: 1_000, what }];
};

/** Denies every principal to write replicas. */
export const denyReplicaWrites = async ({ client }: TestEnv): Promise<void> => {
  await client.send(
    WEST,
    new PutBucketPolicyCommand({
      Bucket: 'acme-tax-replica',
      Policy: JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          {
            Sid: 'DenyReplicaWrites',
            Effect: 'Deny',
            Principal: '*',
            Action: 's3:ReplicateObject',
            Resource: 'arn:aws:s3:::acme-tax-replica/*',
          },
        ],
      }),
    }),
  );
};

const withDeletion = (yaml: string) => yaml.replace('  rules:', '  policy: { deletion: Remove }\n  rules:');

export const CASES: Case[] = [
  { name: 'all-new', yaml: TAX_SPEC },
  { name: 'nothing-to-do', before: TAX_SPEC, yaml: TAX_SPEC },
  { name: 'condition-drift', before: TAX_SPEC, setup: narrowCondition, yaml: TAX_SPEC },
  { name: 'changed-rule-field', before: TAX_SPEC, yaml: withRule('      deleteMarkerReplication: true') },
  { name: 'changed-prefix', before: TAX_SPEC, yaml: TAX_SPEC.replace('prefix: Tax/', 'prefix: Taxes/') },
  {
    name: 'added-rule',
    before: TAX_SPEC,
    yaml: withRule('    - prefix: Ledgers/\n      replicationTimeControl: true'),
  },
  {
    name: 'removed-spec',
    before: `${withDeletion(TAX_SPEC)}---\n${renamedSpec('books')}`,
    yaml: renamedSpec('books'),
    prune: true,
  },
  {
    name: 'removed-spec-without-drain',
    before: `${withDeletion(TAX_SPEC)}---\n${renamedSpec('books')}`,
    yaml: renamedSpec('books'),
    prune: true,
    drainMs: 0,
  },
  {
    name: 'removed-rule',
    before: withDeletion(withRule('    - prefix: Ledgers/')),
    yaml: withDeletion(TAX_SPEC),
    prune: true,
  },
  {
    name: 'foreign-rule',
    before: TAX_SPEC,
    setup: addForeignRule,
    yaml: withRule('      metrics: false'),
  },
  { name: 'changed-key', before: TAX_SPEC, yaml: TAX_SPEC.replace('alias/acme-tax }', 'alias/acme-vault }') },
  { name: 'existing-bucket', setup: createBucket, yaml: TAX_SPEC },
  { name: 'cross-account', yaml: `${accounts(true)}${CROSS_ACCOUNT_SPEC}` },
  {
    name: 'unmanaged-account',
    yaml: `${accounts(false)}${CROSS_ACCOUNT_SPEC.replace('alias/acme-tax-replica', 'arn:aws:kms:us-west-2:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab')}`,
  },
  { name: 'fan-out', yaml: fanOut },
  { name: 'two-way', yaml: TAX_SPEC.replace('spec:\n', 'spec:\n  direction: both\n') },
  { name: 'unreadable', before: TAX_SPEC, setup: denyVersioningRead, yaml: TAX_SPEC },
  { name: 'would-not-replicate', before: TAX_SPEC, setup: denyReplicaWrites, yaml: TAX_SPEC },
  {
    name: 'unicode-and-tags',
    yaml: TAX_SPEC.replace(
      'prefix: Tax/',
      'filter: { prefix: "Straße/日本/", tags: { tier: gold, stage: "" } }',
    ),
  },
  {
    name: 'missing-source-key',
    yaml: TAX_SPEC.replace(
      '  rules:',
      '  sourceKeys: ["arn:aws:kms:us-east-1:111122223333:key/99999999-2222-3333-4444-555555555555"]\n  rules:',
    ),
  },
  {
    name: 'many-pairs',
    yaml: Array.from({ length: 40 }, (_, index) => renamedSpec(`team-${index + 1}`)).join('---\n'),
  },
];

export interface PlannedCase {
  outcome: Outcome;
  pairs: BucketReplication[];
}

/** Creates the AWS state of a case and plans its specs. */
export async function planCase(
  { before, setup, yaml, prune, drainMs }: Case,
  options: Partial<PassOptions> = {},
): Promise<PlannedCase> {
  await using env = await testEnv(yaml);
  if (before !== undefined) {
    const { remaining } = await env.reconcileWith(before);
    if (remaining?.waves.length !== 0) throw new Error('the first apply did not converge');
  }
  await setup?.(env);
  const outcome = await env.reconcileWith(yaml, {
    dryRun: true,
    ...(prune && { prune }),
    ...(drainMs !== undefined && { drainMs }),
    ...options,
  });
  return { outcome, pairs: (await parseSpecs(yaml)).pairs };
}
