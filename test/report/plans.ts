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

/** A plan that a person could meet: how AWS came to be what it is, and what is declared then. */
export interface Case {
  name: string;
  /** What was declared and applied before. */
  before?: string;
  /** What somebody did by hand since. */
  byHand?: (env: TestEnv) => Promise<unknown>;
  yaml: string;
  prune?: true;
}

const EAST = { region: 'us-east-1' };
const WEST = { region: 'us-west-2' };

const accounts = (managed: boolean) =>
  managed ? ACCOUNT_SPECS : ACCOUNT_SPECS.replace('"444455556666" }', '"444455556666", managed: false }');

const withRule = (more: string) => TAX_SPEC.replace('    - prefix: Tax/', `    - prefix: Tax/\n${more}`);
const named = (name: string) => TAX_SPEC.replaceAll('tax', name).replace('Tax/', `${name}/`);
const fanOut = ['us-west-2', 'eu-west-1', 'ap-southeast-2']
  .map((region) =>
    TAX_SPEC.replace('name: tax', `name: tax-${region}`)
      .replaceAll('acme-tax-replica', `acme-tax-${region}`)
      .replace('us-west-2', region),
  )
  .join('---\n');

/** Somebody replaces a condition of the role's policy by one that names the bucket alone. */
async function narrowedByHand({ door }: TestEnv): Promise<void> {
  const policy = { RoleName: 'replikey-acme-tax', PolicyName: 'replikey' };
  const { PolicyDocument = '' } = await door.send(EAST, new GetRolePolicyCommand(policy));
  const narrowed = decodeURIComponent(PolicyDocument).replace(
    '["arn:aws:s3:::acme-tax","arn:aws:s3:::acme-tax/Tax/*"]',
    '"arn:aws:s3:::acme-tax"',
  );
  await door.send(EAST, new PutRolePolicyCommand({ ...policy, PolicyDocument: narrowed }));
}

/** A bucket that was there before, versioned, under a key of its own. */
async function foundBucket({ door }: TestEnv): Promise<void> {
  const KMSMasterKeyID = 'arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555';
  const Bucket = 'acme-tax';
  await door.send(EAST, new CreateBucketCommand({ Bucket }));
  await door.send(
    EAST,
    new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }),
  );
  const rule = { ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms' as const, KMSMasterKeyID } };
  await door.send(
    EAST,
    new PutBucketEncryptionCommand({ Bucket, ServerSideEncryptionConfiguration: { Rules: [rule] } }),
  );
}

/** A rule of somebody else in the same configuration. */
export async function foreignRule({ door }: TestEnv): Promise<void> {
  const { GetBucketReplicationCommand } = await import('@aws-sdk/client-s3');
  const { ReplicationConfiguration } = await door.send(
    EAST,
    new GetBucketReplicationCommand({ Bucket: 'acme-tax' }),
  );
  const [first, ...rest] = ReplicationConfiguration?.Rules ?? [];
  const theirs = { ...first, ID: 'theirs', Priority: 77, Filter: { Prefix: 'Theirs/' } };
  await door.send(
    EAST,
    new PutBucketReplicationCommand({
      Bucket: 'acme-tax',
      ReplicationConfiguration: {
        Role: ReplicationConfiguration?.Role,
        Rules: [first, theirs, ...rest] as never,
      },
    }),
  );
}

const unreadable = async ({ sandbox }: TestEnv): Promise<void> => {
  const what = { status: 403, code: 'AccessDenied', message: 'Access Denied' };
  sandbox.faultSettings.faults = [{ match: 'GetBucketVersioning', nth: 1, times: 1_000, what }];
};

/** Somebody keeps everybody from writing replicas. */
export const denied = async ({ door }: TestEnv): Promise<void> => {
  await door.send(
    WEST,
    new PutBucketPolicyCommand({
      Bucket: 'acme-tax-replica',
      Policy: JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          {
            Sid: 'NobodyWrites',
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

const deletable = (yaml: string) => yaml.replace('  rules:', '  policy: { deletion: Remove }\n  rules:');

export const CASES: Case[] = [
  { name: 'everything-is-new', yaml: TAX_SPEC },
  { name: 'nothing-to-do', before: TAX_SPEC, yaml: TAX_SPEC },
  { name: 'a-condition-was-changed-by-hand', before: TAX_SPEC, byHand: narrowedByHand, yaml: TAX_SPEC },
  { name: 'a-field-of-a-rule', before: TAX_SPEC, yaml: withRule('      deleteMarkerReplication: true') },
  { name: 'another-prefix', before: TAX_SPEC, yaml: TAX_SPEC.replace('prefix: Tax/', 'prefix: Taxes/') },
  {
    name: 'one-more-rule',
    before: TAX_SPEC,
    yaml: withRule('    - prefix: Ledgers/\n      replicationTimeControl: true'),
  },
  {
    name: 'a-spec-is-gone',
    before: `${deletable(TAX_SPEC)}---\n${named('books')}`,
    yaml: named('books'),
    prune: true,
  },
  {
    name: 'a-rule-is-gone',
    before: deletable(withRule('    - prefix: Ledgers/')),
    yaml: deletable(TAX_SPEC),
    prune: true,
  },
  {
    name: 'a-rule-of-somebody-else',
    before: TAX_SPEC,
    byHand: foreignRule,
    yaml: withRule('      metrics: false'),
  },
  { name: 'another-key', before: TAX_SPEC, yaml: TAX_SPEC.replace('alias/acme-tax }', 'alias/acme-vault }') },
  { name: 'a-bucket-that-was-there', byHand: foundBucket, yaml: TAX_SPEC },
  { name: 'across-accounts', yaml: `${accounts(true)}${CROSS_ACCOUNT_SPEC}` },
  {
    name: 'an-account-of-somebody-else',
    yaml: `${accounts(false)}${CROSS_ACCOUNT_SPEC.replace('alias/acme-tax-replica', 'arn:aws:kms:us-west-2:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab')}`,
  },
  { name: 'fan-out', yaml: fanOut },
  { name: 'two-way', yaml: TAX_SPEC.replace('spec:\n', 'spec:\n  direction: both\n') },
  { name: 'unreadable', before: TAX_SPEC, byHand: unreadable, yaml: TAX_SPEC },
  { name: 'would-not-replicate', before: TAX_SPEC, byHand: denied, yaml: TAX_SPEC },
  {
    name: 'unicode-and-tags',
    yaml: TAX_SPEC.replace(
      'prefix: Tax/',
      'filter: { prefix: "Straße/日本/", tags: { tier: gold, stage: "" } }',
    ),
  },
  {
    name: 'a-spare-key-is-missing',
    yaml: TAX_SPEC.replace(
      '  rules:',
      '  sourceKeys: ["arn:aws:kms:us-east-1:111122223333:key/99999999-2222-3333-4444-555555555555"]\n  rules:',
    ),
  },
  {
    name: 'many-pairs',
    yaml: Array.from({ length: 40 }, (_, index) => named(`team-${index + 1}`)).join('---\n'),
  },
];

export interface Made {
  outcome: Outcome;
  pairs: BucketReplication[];
}

/** Make AWS what it is in a case, and plan. */
export async function planned(
  { before, byHand, yaml, prune }: Case,
  options: Partial<PassOptions> = {},
): Promise<Made> {
  await using env = await testEnv(yaml);
  if (before !== undefined) {
    const { remaining: left } = await env.reconcileWith(before);
    if (left?.waves.length !== 0) throw new Error('what was declared before did not converge');
  }
  await byHand?.(env);
  const outcome = await env.reconcileWith(yaml, { dryRun: true, ...(prune && { prune }), ...options });
  return { outcome, pairs: (await parseSpecs(yaml)).pairs };
}
