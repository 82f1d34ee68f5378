import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  AttachRolePolicyCommand,
  CreatePolicyCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam';
import { CreateAliasCommand, CreateKeyCommand, DisableKeyCommand } from '@aws-sdk/client-kms';
import {
  CreateBucketCommand,
  PutBucketEncryptionCommand,
  PutBucketPolicyCommand,
  PutBucketReplicationCommand,
  PutBucketTaggingCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { Ajv, type ValidateFunction } from 'ajv';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRoutes, type RoutesOptions } from '../../src/controller/routes.ts';
import { startControllerServer } from '../../src/controller/server.ts';
import { outputSchema } from '../../src/report/schema.ts';
import { RECORDED } from '../iac/recorded.ts';
import { changeRolePolicy, EAST, keyOf, REPLICA, ROLE, WEST } from '../sandbox/support.ts';
import { runCli } from '../support/cli.ts';
import { controllerStatus, pairStatus } from '../support/controller-status.ts';
import { ACCOUNT_SPECS, instantSoon, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { createTestOrganization } from '../support/organization.ts';
import { nameOf, type Schema } from './output-tables.ts';

/** A controller whose status has every field. */
const statusServer = await startControllerServer(
  createRoutes({
    controller: {
      status: () =>
        controllerStatus([
          pairStatus({
            name: 'tax',
            replication: {
              at: '2026-01-01T00:00:00.000Z',
              state: 'unreadable',
              reason: 'AccessDenied',
              rulesWithoutMetrics: 1,
              operations: 2,
              failed: 1,
              failedSince: '2026-01-01T00:00:00.000Z',
              failedUntil: '2026-01-01T00:05:00.000Z',
              replicatedUntil: '2026-01-01T00:00:00.000Z',
              unrecovered: true,
              latencySeconds: 1.5,
              pendingOperations: 1,
              pendingBytes: 1_000,
              history: { failed: [], latencySeconds: [] },
            },
            canary: { at: '2026-01-01T00:00:00.000Z', result: 'replicated', latencyMs: 812.5 },
          }),
          pairStatus({
            name: 'cross-account',
            sides: [
              {
                source: { bucket: 'acme-a', region: 'us-east-1', account: 'main' },
                destination: { bucket: 'acme-b', region: 'us-east-1', account: 'backup' },
              },
            ],
          }),
        ]),
    },
    settings: { clock: fakeClock(), intervalMs: 1_000 },
  } as unknown as RoutesOptions),
  { host: '127.0.0.1', port: 0 },
);
afterAll(() => statusServer.close());

/** One run of the program, with the schema of its output. */
interface Run {
  /** The schema definition; for NDJSON, the definitions of the lines. */
  as: string | string[];
  args: string[];
  code?: number;
  yaml?: string;
  before?: (env: TestEnv, time: { offsetMs: number }) => Promise<unknown>;
}

const TWO_SPECS = `${TAX_SPEC}---\n${TAX_SPEC.replaceAll('tax', 'books').replaceAll('Tax/', 'Books/')}`;

/** A destination in an account without credentials. */
const PARTNER = `apiVersion: replikey.dev/v1
kind: Account
metadata: { name: main }
spec: { id: "111122223333" }
---
apiVersion: replikey.dev/v1
kind: Account
metadata: { name: partner }
spec: { id: "999988887777", managed: false }
---
${TAX_SPEC.replace('acme-tax,', 'acme-tax, account: main,').replace(
  'key: alias/acme-tax-replica',
  'account: partner, key: "arn:aws:kms:us-west-2:999988887777:key/1234abcd-12ab-34cd-56ef-1234567890ab"',
)}`;

const variableRef = (name: string): string => `\${var.${name}}`;

const VARIABLES = `apiVersion: replikey.dev/v1
kind: Variables
metadata: { name: stage }
spec:
  variables:
    stage: { type: string, default: dev }
    paused: { type: boolean, default: false }
---
${TAX_SPEC.replace('Tax/', `"Tax/${variableRef('stage')}/"\n      enabled: ${variableRef('paused')}`)}`;

/** A Defaults document with an invalid value, which the pair inherits. */
const DEFAULTS = `apiVersion: replikey.dev/v1
kind: Defaults
metadata: { name: house }
spec: { source: { account: undeclared }, destination: { account: undeclared } }
---
${TAX_SPEC.replace('spec:', 'spec:\n  defaults: house')}`;

const SELECTED = TAX_SPEC.replace('{ name: tax }', '{ name: tax, labels: { team: tax } }');

const putObject = async ({ client, sandbox }: TestEnv, Key: string) => {
  await client.send(EAST, new PutObjectCommand({ Bucket: 'acme-tax', Key, Body: 'numbers' }));
  await sandbox.waitForReplication();
};

/** Applies the specs with another prefix, then those of the run, which leaves replaced permissions. */
const changePrefix = async (env: TestEnv) => {
  await env.reconcileWith(TAX_SPEC.replace('Tax/', 'Ledgers/'));
  await env.reconcile();
};

/** Removes the role's permission to write replicas. */
const denyReplicaWrites = async (env: TestEnv) => {
  await env.reconcile();
  await changeRolePolicy(env.client, (statements) => {
    delete statements.ReplikeyDestinationObjectsTax;
  });
  await putObject(env, 'Tax/2026.pdf');
};

/** Adds Deny statements and disables a key. */
const addDenials = async (env: TestEnv) => {
  await env.reconcile();
  const { client } = env;
  const Principal = { Service: 's3.amazonaws.com' };
  const trust = [
    { Effect: 'Allow', Principal, Action: 'sts:AssumeRole' },
    { Effect: 'Deny', Principal, Action: 'sts:AssumeRole' },
  ];
  const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: trust });
  await client.send(EAST, new UpdateAssumeRolePolicyCommand({ RoleName: ROLE, PolicyDocument }));
  const deny = {
    Effect: 'Deny',
    Principal: '*',
    Action: 's3:ReplicateObject',
    Resource: `arn:aws:s3:::${REPLICA}/*`,
  };
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [deny] });
  await client.send(WEST, new PutBucketPolicyCommand({ Bucket: REPLICA, Policy }));
  await client.send(WEST, new DisableKeyCommand({ KeyId: await keyOf(client, WEST) }));
};

/** Account documents of the ambient credentials, and of a profile that does not exist. */
const ACCOUNTS = `apiVersion: replikey.dev/v1
kind: Account
metadata: { name: main }
spec: { id: "111122223333" }
---
apiVersion: replikey.dev/v1
kind: Account
metadata: { name: other }
spec: { id: "444455556666", profile: none }
`;

/** Makes the destination a source, with a rule and a tag of another tool. The trust policy no longer denies. */
const replicateBack = async ({ client }: TestEnv) => {
  const trust = { Effect: 'Allow', Principal: { Service: 's3.amazonaws.com' }, Action: 'sts:AssumeRole' };
  const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: [trust] });
  await client.send(EAST, new UpdateAssumeRolePolicyCommand({ RoleName: ROLE, PolicyDocument }));
  const rule = {
    ID: 'back',
    Status: 'Enabled' as const,
    Priority: 1,
    Filter: {},
    DeleteMarkerReplication: { Status: 'Disabled' as const },
    Destination: { Bucket: 'arn:aws:s3:::acme-tax' },
  };
  const Role = `arn:aws:iam::111122223333:role/${ROLE}`;
  const ReplicationConfiguration = { Role, Rules: [rule] };
  await client.send(WEST, new PutBucketReplicationCommand({ Bucket: REPLICA, ReplicationConfiguration }));
  const Tagging = { TagSet: [{ Key: 'terraform', Value: 'true' }] };
  await client.send(WEST, new PutBucketTaggingCommand({ Bucket: REPLICA, Tagging }));
};

const fault = (match: string, status = 403, code = 'AccessDenied') => ({
  match,
  nth: 1,
  times: 1_000,
  what: { status, code, message: 'not today' },
});

/** A spec with a backfill of the objects that exist before its rules. */
const BACKFILL = TAX_SPEC.replace(
  '  rules:',
  `  backfill:
    before: "${instantSoon()}"
    report: { bucket: acme-tax, prefix: reports/ }
  rules:`,
);

async function createBackfillJob(env: TestEnv): Promise<void> {
  await env.reconcileWith(TAX_SPEC.replace('prefix: Tax/', 'prefix: Other/'));
  await putObject(env, 'Tax/1');
  await env.reconcileWith(BACKFILL);
  await env.sandbox.waitForJobs();
}

const RUNS: Record<string, Run> = {
  'a plan of new resources': { as: 'Plan', args: ['--dry-run', '-'] },
  'a plan without changes': {
    as: 'Plan',
    args: ['plan', '-'],
    before: (env) => env.reconcile(),
  },
  'a plan of selected specs': {
    as: 'Plan',
    yaml: SELECTED,
    args: ['plan', '-', '-l', 'team=tax', '--only', 'tax'],
  },
  'a plan with variables': {
    as: 'Plan',
    yaml: VARIABLES,
    args: ['plan', '-', '--var', 'stage=prod', '--var', 'paused=true'],
  },
  'a plan with manual steps': { as: 'Plan', yaml: PARTNER, args: ['plan', '-'] },
  'a blocked plan': {
    as: 'Plan',
    code: 1,
    args: ['plan', '-'],
    before: async ({ sandbox }) => sandbox.faultSettings.faults.push(fault('ListAliases')),
  },
  'a plan with prune': {
    as: 'Plan',
    args: ['plan', '-', '--prune', '--account', '111122223333'],
    before: (env) =>
      env.reconcileWith(TWO_SPECS.replaceAll('  rules:', '  policy: { deletion: Remove }\n  rules:')),
  },
  'a plan while replaced permissions stay': {
    as: 'Plan',
    args: ['plan', '-'],
    before: changePrefix,
  },
  'a plan after replaced permissions have expired': {
    as: 'Plan',
    args: ['plan', '-'],
    before: async (env, time) => {
      await changePrefix(env);
      time.offsetMs = 20 * 60_000;
    },
  },
  'a plan from a snapshot': { as: 'Plan', args: ['plan', '-', '--observed', 'observed.json'] },
  'a pass': { as: 'Pass', args: ['--once', '-'] },
  'a pass beside another run that created an alias': {
    as: 'Pass',
    args: ['--once', '-'],
    before: async ({ client, sandbox }) => {
      const Tags = [{ TagKey: 'replikey:managed-by', TagValue: 'replikey' }];
      const { KeyMetadata } = await client.send(EAST, new CreateKeyCommand({ Tags }));
      const alias = { AliasName: 'alias/acme-tax', TargetKeyId: KeyMetadata?.KeyId };
      await client.send(EAST, new CreateAliasCommand(alias));
      // The plan is made before the alias is visible.
      sandbox.faultSettings.faults.push({ ...fault('DescribeKey', 400, 'NotFoundException'), times: 2 });
    },
  },
  'a refused pass': {
    as: 'Pass',
    code: 3,
    args: ['--once', '-'],
    before: async ({ client }) => {
      await client.send(EAST, new CreateBucketCommand({ Bucket: 'acme-tax' }));
      await client.send(
        EAST,
        new PutBucketVersioningCommand({
          Bucket: 'acme-tax',
          VersioningConfiguration: { Status: 'Enabled' },
        }),
      );
      const KMSMasterKeyID = 'arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555';
      const ApplyServerSideEncryptionByDefault = { SSEAlgorithm: 'aws:kms' as const, KMSMasterKeyID };
      const ServerSideEncryptionConfiguration = { Rules: [{ ApplyServerSideEncryptionByDefault }] };
      await client.send(
        EAST,
        new PutBucketEncryptionCommand({ Bucket: 'acme-tax', ServerSideEncryptionConfiguration }),
      );
    },
  },
  'a pass that would stop a foreign rule': {
    as: 'Pass',
    code: 3,
    args: ['--once', '-'],
    yaml: TAX_SPEC.replace('acme-tax-replica,', 'acme-tax-moved,'),
    before: async (env) => {
      await env.reconcile();
      const { Role, Rules = [] } = env.sandbox.store.bucket('acme-tax')?.replication ?? {};
      const foreign = Rules.map((rule) => ({
        ...rule,
        ID: 'legacy',
        Priority: 9,
        Filter: { Prefix: 'Tax/legacy/' },
      }));
      const ReplicationConfiguration = { Role, Rules: [...Rules, ...foreign] };
      await env.client.send(
        EAST,
        new PutBucketReplicationCommand({ Bucket: 'acme-tax', ReplicationConfiguration }),
      );
    },
  },
  'a failed pass': {
    as: 'Pass',
    code: 1,
    args: ['--once', '-'],
    before: async ({ sandbox }) => sandbox.faultSettings.faults.push(fault('PutBucketVersioning')),
  },
  'a pass as NDJSON': {
    as: ['PlanEvent', 'WaitingEvent', 'StepEvent', 'OutcomeEvent'],
    args: ['--once', '-', '-o', 'ndjson'],
    before: async ({ sandbox }) => Object.assign(sandbox.faultSettings, { rolePropagationMs: 300 }),
  },
  'a failed pass as NDJSON': {
    as: ['PlanEvent', 'StepEvent', 'OutcomeEvent'],
    code: 1,
    args: ['--once', '-', '-o', 'ndjson'],
    before: async ({ sandbox }) => sandbox.faultSettings.faults.push(fault('CreateRole')),
  },
  'a pass with an invalid spec as NDJSON': {
    as: ['ErrorEvent'],
    code: 65,
    yaml: 'kind: Nothing',
    args: ['--once', '-', '-o', 'ndjson'],
  },
  'a diagnosis without problems': {
    as: 'Diagnosis',
    args: ['doctor', '-'],
    before: async (env) => {
      await env.reconcile();
      await putObject(env, 'Tax/2026.pdf');
    },
  },
  'a diagnosis of a role with a managed policy': {
    as: 'Diagnosis',
    args: ['doctor', '-'],
    before: async (env) => {
      await env.reconcile();
      const document = {
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Action: 's3:ListAllMyBuckets', Resource: '*' }],
      };
      const { Policy } = await env.client.send(
        EAST,
        new CreatePolicyCommand({ PolicyName: 'company', PolicyDocument: JSON.stringify(document) }),
      );
      await env.client.send(EAST, new AttachRolePolicyCommand({ RoleName: ROLE, PolicyArn: Policy?.Arn }));
    },
  },
  'a diagnosis with a problem': {
    as: 'Diagnosis',
    code: 1,
    args: ['doctor', '-'],
    before: denyReplicaWrites,
  },
  'a diagnosis without specs': {
    as: 'Diagnosis',
    code: 1,
    args: ['doctor', '--bucket', 'acme-tax'],
    before: denyReplicaWrites,
  },
  'a diagnosis of Deny statements and a disabled key': {
    as: 'Diagnosis',
    code: 1,
    args: ['doctor', '-'],
    before: addDenials,
  },
  'a survey of accounts': {
    as: 'FleetReport',
    code: 1,
    yaml: ACCOUNTS,
    args: ['doctor', '--all', '-', '--save', 'survey.json'],
    before: addDenials,
  },
  'a survey that is compared with the last one': {
    as: 'FleetReport',
    code: 1,
    yaml: ACCOUNTS,
    args: [
      'doctor',
      '--all',
      '-',
      '--save',
      'survey.json',
      '--regions',
      'us-east-1,us-west-2',
      '--organization-account',
      'main',
    ],
    before: async (env) => {
      await addDenials(env);
      await createTestOrganization(env.sandbox.endpoint, '999988887777', ['111122223333']);
      await replicateBack(env);
    },
  },
  'a survey that cannot read a bucket of the last one': {
    as: 'FleetReport',
    code: 1,
    yaml: ACCOUNTS,
    args: ['doctor', '--all', '-', '--save', 'survey.json'],
    before: async (env) => {
      await addDenials(env);
      const statement = {
        Effect: 'Deny',
        Principal: '*',
        Action: 's3:GetReplicationConfiguration',
        Resource: 'arn:aws:s3:::acme-tax',
      };
      const Policy = JSON.stringify({ Version: '2012-10-17', Statement: statement });
      await env.client.send(EAST, new PutBucketPolicyCommand({ Bucket: 'acme-tax', Policy }));
    },
  },
  'a diagnosis that cannot read the organization': {
    as: 'Diagnosis',
    code: 1,
    yaml: `${ACCOUNT_SPECS}${TAX_SPEC}`,
    args: ['doctor', '-', '--organization-account', 'main'],
    before: async (env) => {
      await env.reconcile();
      await createTestOrganization(env.sandbox.endpoint, '999988887777', ['111122223333']);
    },
  },
  'a diagnosis of a plan of Terraform': {
    as: 'Diagnosis',
    code: 1,
    args: ['doctor', '--terraform', path.resolve(RECORDED, 'same-account-new-no-kms-statement.json')],
  },
  'a diagnosis of one object': {
    as: 'ExplainedObject',
    code: 1,
    args: ['doctor', '--bucket', 'acme-tax', '--object', 'Tax/2026.pdf'],
    before: denyReplicaWrites,
  },
  'a diagnosis of an object that no rule selects': {
    as: 'ExplainedObject',
    code: 1,
    args: ['doctor', '--bucket', 'acme-tax', '--object', 'Notes/1'],
    before: async (env) => {
      await env.reconcile();
      await putObject(env, 'Notes/1');
    },
  },
  'replicated canaries': { as: 'Verification', args: ['verify', '-'], before: (env) => env.reconcile() },
  'canaries of a disabled rule': {
    as: 'Verification',
    yaml: TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      enabled: false'),
    args: ['verify', '-'],
    before: (env) => env.reconcile(),
  },
  'canaries that replikey cannot remove': {
    as: 'Verification',
    code: 1,
    args: ['verify', '-'],
    before: async (env) => {
      await env.reconcile();
      env.sandbox.faultSettings.faults.push(fault('DeleteObject'));
    },
  },
  'canaries in a bucket with Governance retention': {
    as: 'Verification',
    args: ['verify', '-', '--allow', 'canary-retained'],
    before: async (env) => {
      await env.reconcile();
      Object.assign(env.sandbox.store.bucket('acme-tax-replica') ?? {}, {
        objectLock: true,
        defaultRetention: { Mode: 'GOVERNANCE', Days: 1 },
      });
    },
  },
  'canaries in a bucket with Compliance retention': {
    as: 'Verification',
    code: 3,
    args: ['verify', '-', '--allow', 'canary-retained'],
    before: async (env) => {
      await env.reconcile();
      Object.assign(env.sandbox.store.bucket('acme-tax-replica') ?? {}, {
        objectLock: true,
        defaultRetention: { Mode: 'COMPLIANCE', Days: 1 },
      });
    },
  },
  'the plan of a re-drive': {
    as: 'Redrive',
    code: 3,
    args: ['redrive', '-'],
    before: (env) => env.reconcile(),
  },
  'a re-drive': {
    as: 'Redrive',
    args: ['redrive', '--bucket', 'acme-tax', '--objects', 'existing', '--allow', 'start-backfill'],
    before: async (env) => {
      await env.reconcileWith(TAX_SPEC.replace('prefix: Tax/', 'prefix: Other/'));
      await putObject(env, 'Tax/1');
      await env.reconcile();
    },
  },
  'the plan of a backfill that waits for an approval': {
    as: 'Plan',
    yaml: BACKFILL,
    args: ['plan', '-'],
    before: createBackfillJob,
  },
  'the status of a backfill that waits for an approval': {
    as: 'StatusReport',
    yaml: BACKFILL,
    args: ['status', '-'],
    before: createBackfillJob,
  },
  'a re-drive with a report': {
    as: 'Redrive',
    code: 1,
    args: [
      ...['redrive', '-', '--objects', 'elsewhere', '--report', 's3://acme-reports/replikey/'],
      ...['--allow', 'start-backfill'],
    ],
    before: async (env) => {
      await env.reconcile();
      await env.client.send(EAST, new CreateBucketCommand({ Bucket: 'acme-reports' }));
      await putObject(env, 'Tax/1');
      // A replica that was deleted permanently is not replicated again.
      env.sandbox.store.bucket(REPLICA)?.objects.delete('Tax/1');
    },
  },
  'status of a pair': { as: 'StatusReport', args: ['status', '-'], before: (env) => env.reconcile() },
  'status of a controller': { as: 'StatusReport', args: ['status', '--server', statusServer.url] },
  'status of a pair with pending changes': { as: 'StatusReport', args: ['status', '-'] },
  'valid specs': { as: 'Validation', args: ['validate', '-'] },
  'valid specs with variables': { as: 'Validation', yaml: VARIABLES, args: ['validate', '-'] },
  'invalid Defaults': { as: 'Validation', code: 65, yaml: DEFAULTS, args: ['validate', '-'] },
  'invalid specs': {
    as: 'Validation',
    code: 65,
    yaml: TAX_SPEC.replace('region:', 'regoin:'),
    args: ['validate', '-'],
  },
  'imported specs': {
    as: 'Import',
    args: ['import', '--bucket', 'acme-tax'],
    before: (env) => env.reconcile(),
  },
  'imported specs with a warning': {
    as: 'Import',
    args: ['import', '--all'],
    before: async (env) => {
      await env.reconcile();
      const status = { Status: 'Suspended' } as const;
      await env.client.send(
        WEST,
        new PutBucketVersioningCommand({ Bucket: REPLICA, VersioningConfiguration: status }),
      );
    },
  },
  'a snapshot': { as: 'Snapshot', args: ['observe', '-'] },
  'a snapshot of named accounts': { as: 'Snapshot', yaml: PARTNER, args: ['observe', '-'] },
  'a snapshot of a bucket in another Region': {
    as: 'Snapshot',
    args: ['observe', '-'],
    before: ({ client }) =>
      client.send(
        WEST,
        new CreateBucketCommand({
          Bucket: 'acme-tax',
          CreateBucketConfiguration: { LocationConstraint: 'us-west-2' },
        }),
      ),
  },
  'the version': { as: 'Version', args: ['version'] },
  'invalid arguments': { as: 'ErrorResult', code: 64, args: ['plan', '-', '--wait', 'long'] },
  'a missing bucket': { as: 'ErrorResult', code: 1, args: ['import', '--bucket', 'nowhere'] },
};

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const AJV = { formats: { 'date-time': TIME }, allowUnionTypes: true };

const published = JSON.parse(await readFile('schema/replikey.output.schema.json', 'utf8')) as Schema;
const strict = outputSchema({ strict: true }) as Schema;
const validatorsOf = (schema: Schema) => {
  const ajv = new Ajv({ ...AJV, allErrors: true }).addSchema(schema, 'output');
  return (part: string): ValidateFunction => {
    const validator = ajv.getSchema(`output#/definitions/${part}`);
    if (!validator) throw new Error(`the schema does not define ${part}`);
    return validator;
  };
};
const publishedValidator = validatorsOf(published);
const strictValidator = validatorsOf(strict);
const anyDefinition = new Ajv(AJV).compile(published);

type Value = Record<string, unknown>;
const printedValues = new Map<string, { value: Value; part: string }[]>();

/** Returns the values that one run prints: one value, or one for each line. */
async function valuesOf(
  { as, args, code = 0, yaml = TAX_SPEC, before }: Run,
  folder: string,
): Promise<Value[]> {
  const time = { offsetMs: 0 };
  await using env = await testEnv(TAX_SPEC, { clock: () => Date.now() + time.offsetMs });
  await before?.(env, time);
  const json = args.includes('-o') || args[0] === 'observe' ? [] : ['-o', 'json'];
  const input = args.includes('-') ? { input: yaml } : {};
  const { endpoint } = env.sandbox;
  const result = await runCli([...args, ...json], { endpoint, cwd: folder, ...input });
  expect(result.code, result.stderr + result.stdout).toBe(code);
  return typeof as === 'string'
    ? [JSON.parse(result.stdout)]
    : result.stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
}

const EVENTS: Record<string, string> = {
  plan: 'PlanEvent',
  waiting: 'WaitingEvent',
  outcome: 'OutcomeEvent',
  error: 'ErrorEvent',
};

beforeAll(async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-printed-'));
  try {
    const [snapshot] = await valuesOf({ as: 'Snapshot', args: ['observe', '-'] }, folder);
    await writeFile(path.join(folder, 'observed.json'), JSON.stringify(snapshot));
    for (const [name, run] of Object.entries(RUNS)) {
      const values = await valuesOf(run, folder);
      const partOf = ({ type }: Value) =>
        typeof run.as === 'string' ? run.as : (EVENTS[String(type)] ?? 'StepEvent');
      printedValues.set(
        name,
        values.map((value) => ({ value, part: partOf(value) })),
      );
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  // About thirty sequential runs of the program; a busy machine needs longer.
}, 240_000);

describe.each(Object.entries(RUNS))('%s', (name, { as }) => {
  test('matches the published schema, without additional fields', () => {
    const values = printedValues.get(name) ?? [];
    expect(new Set(values.map(({ part }) => part))).toEqual(new Set([as].flat()));
    for (const { value, part } of values) {
      for (const validate of [publishedValidator(part), strictValidator(part), anyDefinition]) {
        expect(validate(value) ? [] : validate.errors, part).toEqual([]);
      }
    }
  });

  test('does not match without a required field, and matches with an additional field', () => {
    for (const { value, part } of printedValues.get(name) ?? []) {
      for (const key of published.definitions?.[part]?.required ?? []) {
        const { [key]: _, ...rest } = value;
        expect(publishedValidator(part)(rest), `without ${key}`).toBe(false);
      }
      const newer = { ...value, invented: 1 };
      expect(publishedValidator(part)(newer)).toBe(true);
      expect(strictValidator(part)(newer)).toBe(false);
    }
  });
});

test.each<[string, (text: string) => string]>([
  ['an unknown action', (text) => text.replace('"action":"create"', '"action":"destroy"')],
  ['a line of type text', (text) => text.replace(/"line":(\d+)/, '"line":"$1"')],
  ['an unknown patch operation', (text) => text.replace('"op":"add"', '"op":"move"')],
  ['a truncated digest', (text) => text.replace(/"digest":"\w\w/, '"digest":"')],
  ['an unknown verdict', (text) => text.replace('"verdict":"proven"', '"verdict":"fine"')],
  ['a text in place of a list', (text) => text.replace(/"why":\[[^\]]*\]/, '"why":"because"')],
  ['another format', (text) => text.replace('"format":3', '"format":1')],
])('the schema rejects a plan with %s', (_, change) => {
  const [plan] = printedValues.get('a plan of new resources') ?? [];
  const text = JSON.stringify(plan?.value);
  const invalidText = change(text);
  expect(invalidText).not.toBe(text);
  expect(publishedValidator('Plan')(JSON.parse(invalidText))).toBe(false);
  expect(anyDefinition(JSON.parse(invalidText))).toBe(false);
});

test('every documented field occurs in the output of some run', () => {
  const printedFields = new Set<string>();
  const collectFields = (schema: Schema, value: unknown, path: string): void => {
    const name = nameOf(schema);
    if (name !== '') {
      collectFields(published.definitions?.[name] ?? {}, value, name);
      return;
    }
    if (Array.isArray(value)) for (const item of value) collectFields(schema.items ?? {}, item, path);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
    for (const form of schema.anyOf ?? [schema]) {
      for (const [key, field] of Object.entries(form.properties ?? {})) {
        if (!(key in value)) continue;
        printedFields.add(`${path}.${key}`);
        collectFields(field, (value as Value)[key], `${path}.${key}`);
      }
    }
  };
  for (const { part, value } of [...printedValues.values()].flat()) {
    collectFields({ $ref: `#/definitions/${part}` }, value, part);
  }
  const documented = Object.entries(published.definitions ?? {}).flatMap(([name, part]) =>
    (part.anyOf ?? [part]).flatMap(({ properties = {} }) =>
      Object.keys(properties).map((key) => `${name}.${key}`),
    ),
  );
  expect([...new Set(documented)].filter((field) => !printedFields.has(field))).toEqual([]);
});
