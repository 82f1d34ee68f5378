import { CreateRoleCommand, IAMClient, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { CreateQueueCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { expect, test } from 'vitest';
import { type AwsClient, createAwsClient } from '../../src/aws/client.ts';
import { lookUp } from '../../src/aws/cloudtrail.ts';
import { requiredAction, type Service } from '../../src/aws/command.ts';
import { createSdkClients } from '../../src/aws/sdk-clients.ts';
import { deleteMessages, receiveMessages, returnMessages } from '../../src/aws/sqs.ts';
import { runCanaries } from '../../src/canary/canary.ts';
import { measureReplicationLag } from '../../src/facts/object-sample.ts';
import { DAY_PERIODS, lastDay, readRuleMetrics } from '../../src/facts/replication-metrics.ts';
import type { Policy } from '../../src/iam/types.ts';
import { kinds } from '../../src/kinds/index.ts';
import { leastPrivilegePolicies, type PermissionScope } from '../../src/policy/least-privilege.ts';
import { reconcile } from '../../src/reconcile/reconcile.ts';
import { planRedrives, readRedriveState } from '../../src/reconcile/redrive.ts';
import { runCli } from '../support/cli.ts';
import {
  ACCOUNT_SPECS,
  CROSS_ACCOUNT_SPEC,
  instantSoon,
  parseSpecs,
  TAX_SPEC,
  type TestEnv,
  testEnv,
} from '../support/env.ts';
import { callS3 } from '../support/raw-aws.ts';

const ALL_KINDS = [...kinds.values()];
const REGION = 'us-east-1';

/** A spec with every setting, and one with other values of all settings. */
const FULL = TAX_SPEC.replace(
  'alias/acme-tax }',
  '{ alias: alias/acme-tax, description: First, rotation: true }, blockPublicAccess: true, objectOwnership: BucketOwnerEnforced }',
)
  .replace('alias/acme-tax-replica }', 'alias/acme-tax-replica, objectLock: { mode: Governance, days: 1 } }')
  .replace(
    '  rules:',
    '  role: { permissionsBoundary: "arn:aws:iam::aws:policy/AdministratorAccess", tags: { team: tax } }\n  policy: { deletion: Remove }\n  alarms: { scope: account, failed: true, notify: ["arn:aws:sns:us-east-1:111122223333:alarms"] }\n  rules:',
  );
const OTHER = FULL.replace('First', 'Second')
  .replace(':alarms', ':other')
  .replace('rotation: true', 'rotation: false')
  .replace('team: tax', 'team: books')
  .replace('AdministratorAccess', 'PowerUserAccess')
  .replace('blockPublicAccess: true', 'blockPublicAccess: false')
  .replace('BucketOwnerEnforced', 'ObjectWriter')
  .replace('days: 1 ', 'days: 2 ')
  .replace('prefix: Tax/', 'prefix: Taxes/');

const policyFor = async (yaml: string, purpose: PermissionScope): Promise<Policy> => {
  const [accountPolicy] = leastPrivilegePolicies((await parseSpecs(yaml)).pairs, ALL_KINDS, purpose);
  if (!accountPolicy) throw new Error('no account');
  return accountPolicy.policy;
};

/** Returns a client of a caller whose role has only this policy. */
async function clientWithPolicy(
  { sandbox }: TestEnv,
  policy: Policy,
  name = 'least',
): Promise<{ client: AwsClient; close(): void }> {
  const config = {
    endpoint: sandbox.endpoint,
    region: REGION,
    // The root user of an account cannot assume a role.
    credentials: { accessKeyId: 'AKIA111122223333', secretAccessKey: 'test' },
  };
  const [iam, sts] = [new IAMClient(config), new STSClient(config)];
  const trust = { Effect: 'Allow', Principal: { AWS: '111122223333' }, Action: 'sts:AssumeRole' };
  const AssumeRolePolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: [trust] });
  const { Role } = await iam.send(new CreateRoleCommand({ RoleName: name, AssumeRolePolicyDocument }));
  await iam.send(
    new PutRolePolicyCommand({ RoleName: name, PolicyName: 'least', PolicyDocument: JSON.stringify(policy) }),
  );
  const { Credentials } = await sts.send(
    new AssumeRoleCommand({ RoleArn: Role?.Arn, RoleSessionName: 'test' }),
  );
  iam.destroy();
  sts.destroy();
  const clients = createSdkClients([], {
    endpoint: sandbox.endpoint,
    credentials: {
      accessKeyId: Credentials?.AccessKeyId ?? '',
      secretAccessKey: Credentials?.SecretAccessKey ?? '',
      sessionToken: Credentials?.SessionToken ?? '',
    },
  });
  const client = createAwsClient({ clients, accounts: [], region: REGION, retryTimeoutMs: 0 });
  return { client, close: () => clients.destroy() };
}

const ALLOW = ['lock-bucket', 'change-boundary', 'open-public-access', 'change-ownership'];

/** Applies a sequence of specs as a caller with only this policy. Returns the first problem, if any. */
async function applySequence(policy: Policy): Promise<string | undefined> {
  await using env = await testEnv(FULL);
  const { client, close } = await clientWithPolicy(env, policy);
  try {
    for (const yaml of [TAX_SPEC, FULL, OTHER]) {
      const specs = await parseSpecs(yaml);
      const { plan, refusals, results, remaining } = await reconcile(specs, {
        kinds,
        aws: client,
        allowedRisks: ALLOW,
        dryRun: false,
        propagationTimeoutMs: 0,
        allowUnproven: true,
      });
      const failed = results.find(({ result }) => result !== 'applied');
      if (failed) return `${failed.id}: ${failed.why}`;
      if (refusals.length > 0 || plan.blocked.length > 0 || remaining?.waves.length !== 0)
        return JSON.stringify([refusals, plan.blocked, remaining?.waves]);
    }
    // replikey cannot read a boundary before the role has it. At the end every fact is known.
    const last = await reconcile(await parseSpecs(OTHER), {
      kinds,
      aws: client,
      allowedRisks: [],
      dryRun: true,
      propagationTimeoutMs: 0,
    });
    const unknown = last.proof.find(({ verdict }) => verdict === 'unknown');
    return unknown ? (unknown.findings[0]?.message ?? unknown.rule) : undefined;
  } catch (error) {
    return String(error);
  } finally {
    close();
  }
}

const without = (policy: Policy, action: string): Policy => ({
  ...policy,
  Statement: [policy.Statement].flat().flatMap((statement) => {
    const actions = [statement.Action ?? []].flat().filter((candidate) => candidate !== action);
    return actions.length === 0 ? [] : [{ ...statement, Action: actions }];
  }),
});

const actionsOf = (policy: Policy): string[] =>
  [policy.Statement].flat().flatMap(({ Action }) => [Action ?? []].flat());

test('apply policy: allows every change that the specs declare', async () => {
  expect(await applySequence(await policyFor(FULL, { apply: true, verify: false }))).toBe(undefined);
});

test('apply policy: allows the IAM action that an error names, for every operation of a run', async () => {
  await using env = await testEnv(FULL);
  await env.reconcile({ allowedRisks: ALLOW });
  const allowed = actionsOf(await policyFor(FULL, { apply: true, verify: false }));
  const required = [...env.client.calls.byOperation.keys()].map((call) => {
    const [service, operation = ''] = call.split(':');
    return requiredAction(service as Service, operation, {});
  });
  // AWS allows every caller to ask for its own identity.
  expect(required.filter((action) => !allowed.includes(action))).toEqual(['sts:GetCallerIdentity']);
});

test('apply policy: names the ARN of a role with its path, for the role and for its policy', async () => {
  const yaml = TAX_SPEC.replace('  rules:', '  role: { name: tax, path: /team/x/ }\n  rules:');
  const policy = await policyFor(yaml, { apply: true, verify: false });
  const arns = [policy.Statement]
    .flat()
    .filter(({ Action }) =>
      [Action ?? []].flat().some((action) => /^iam:(PutRolePolicy|GetRole)$/.test(action)),
    )
    .flatMap(({ Resource }) => Resource ?? []);
  expect(new Set(arns)).toEqual(new Set(['arn:aws:iam::*:role/team/x/tax']));
});

/** A spec with a backfill of all objects that exist during a test; a spec may be a few minutes ahead. */
const BACKFILL_SPEC = TAX_SPEC.replace(
  '  rules:',
  `  backfill: { before: "${instantSoon()}", report: { bucket: acme-reports } }\n  rules:`,
);

const MAIN_ACCOUNT = `---
apiVersion: replikey.dev/v1
kind: Account
metadata: { name: main }
spec: { id: "111122223333" }
`;

/** Actions that the sequence does not use, each with its use. */
const UNUSED_ACTIONS: Record<string, string> = {
  'cloudwatch:DeleteAlarms': '--prune',
  'cloudwatch:GetMetricData': 'the controller and the doctor',
  'cloudwatch:ListTagsForResource': 'an existing alarm; unreadable tags are a note',
  'iam:DeleteRole': '--prune',
  'iam:DeleteRolePolicy': '--prune',
  'iam:UntagRole': 'a former role',
  's3:DeleteBucketPolicy': '--prune',
  's3:PutBucketPolicy': 'across accounts',
  'iam:GetPolicy': 'a managed policy attached by another user',
  'iam:GetPolicyVersion': 'a managed policy attached by another user',
  'iam:ListAttachedRolePolicies': 'a managed policy attached by another user',
  'kms:ListResourceTags': 'a key without an alias that an interrupted run created',
  's3:GetBucketTagging': 'an existing bucket; unreadable tags are a note',
  's3:ListBucket': 'HEAD of a bucket whose Region no spec declares',
  'iam:UpdateAssumeRolePolicy': 'a trust policy changed by another user',
  'kms:TagResource': 'AWS requires it for CreateKey; the sandbox does not',
  'sns:GetTopicAttributes': 'a topic of an alarm; an unreadable one is a note',
  's3:GetBucketObjectLockConfiguration': 'a bucket with Object Lock, about which the proof warns',
  'kms:ListGrants':
    'a key whose policy does not allow the role; unreadable grants leave the verdict undecided',
  'kms:ListKeys': 'a key without an alias that an interrupted run created',
};

test('apply policy: fails without any of its actions', async () => {
  const policy = await policyFor(FULL, { apply: true, verify: false });
  const actions = [...new Set(actionsOf(policy))].filter((action) => !(action in UNUSED_ACTIONS));
  expect(actions.length).toBeGreaterThan(20);
  const unneeded: string[] = [];
  for (const action of actions)
    if ((await applySequence(without(policy, action))) === undefined) unneeded.push(action);
  expect(unneeded).toEqual([]);
}, 240_000);

const QUEUE = 'arn:aws:sqs:us-east-1:111122223333:failures';
const WITH_FAILURES = TAX_SPEC.replace('  rules:', `  failures: { to: "${QUEUE}" }\n  rules:`);

test('apply policy: allows failure events on the queue that a spec names, and not without each of its actions', async () => {
  const policy = await policyFor(WITH_FAILURES, { apply: true, verify: false });
  const added = actionsOf(policy).filter(
    (action) => action.startsWith('sqs:') || action.endsWith('BucketNotification'),
  );
  expect(added.sort()).toEqual([
    's3:GetBucketNotification',
    's3:PutBucketNotification',
    'sqs:GetQueueAttributes',
    'sqs:ListQueueTags',
    'sqs:SetQueueAttributes',
  ]);
  const resources = [policy.Statement]
    .flat()
    .find(({ Action }) => [Action].flat().includes('sqs:ListQueueTags'));
  expect(resources?.Resource).toEqual([QUEUE]);
  const apply = async (allowed: Policy) => {
    await using env = await testEnv(WITH_FAILURES);
    await env.client.send({ region: REGION }, new CreateQueueCommand({ QueueName: 'failures' }));
    const { client, close } = await clientWithPolicy(env, allowed);
    const { plan, results } = await env.reconcile({ aws: client, propagationTimeoutMs: 0 });
    close();
    return plan.blocked.length === 0 && results.every(({ result }) => result === 'applied');
  };
  expect(await apply(policy)).toBe(true);
  // Unreadable tags are a note.
  for (const action of added.filter((name) => name !== 'sqs:ListQueueTags'))
    expect([action, await apply(without(policy, action))]).toEqual([action, false]);
  expect(
    actionsOf(await policyFor(TAX_SPEC, { apply: true, verify: false })).filter((action) =>
      added.includes(action),
    ),
  ).toEqual([]);
});

const JOB_SPEC = TAX_SPEC.replace(
  '  rules:',
  '  backfill: { before: "2026-01-01T00:00:00Z", report: { bucket: acme-reports } }\n  rules:',
);

test('backfill policy: names jobs, the role and its service, and the report, each in a statement of its own', async () => {
  const pairs = (await parseSpecs(JOB_SPEC.replaceAll('region:', 'account: main, region:') + MAIN_ACCOUNT))
    .pairs;
  const [account] = leastPrivilegePolicies(pairs, ALL_KINDS, {
    apply: true,
    verify: false,
    backfillOnly: true,
  });
  const resourcesOf = (action: string) =>
    statementsWith(account?.policy, action).map(({ Resource, Condition }) => [Resource, Condition]);
  const job = [['arn:aws:s3:us-east-1:111122223333:job/*'], undefined];
  const role = ['arn:aws:iam::111122223333:role/replikey-batch-acme-tax'];
  // Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3": these two have no resource.
  for (const action of ['s3:CreateJob', 's3:ListJobs'])
    expect([action, ...resourcesOf(action)]).toEqual([action, [['*'], undefined]]);
  for (const action of ['s3:DescribeJob', 's3:UpdateJobStatus', 's3:PutJobTagging'])
    expect([action, ...resourcesOf(action)]).toEqual([action, job]);
  // S3 User Guide, "Granting permissions for Batch Operations".
  const service = { StringEquals: { 'iam:PassedToService': 'batchoperations.s3.amazonaws.com' } };
  expect(resourcesOf('iam:PassRole')).toEqual([[role, service]]);
  for (const action of ['iam:GetRole', 'iam:TagRole', 'iam:PutRolePolicy'])
    expect([action, ...resourcesOf(action)]).toEqual([action, [role, undefined]]);
  expect(resourcesOf('s3:GetObject')).toEqual([[['arn:aws:s3:::acme-reports/replikey/*'], undefined]]);
  expect(actionsOf(account?.policy as Policy)).not.toContain('s3:PutReplicationConfiguration');
});

test('backfill policy: names a role that the spec gives by ARN, and no change of it', async () => {
  const arn = 'arn:aws:iam::111122223333:role/own/batch';
  const yaml = JOB_SPEC.replace('report:', `role: { arn: "${arn}" }, report:`);
  const policy = await policyFor(yaml, { apply: true, verify: false, backfillOnly: true });
  const actions = statementsWith(policy, 'iam:GetRole').concat(statementsWith(policy, 'iam:PassRole'));
  expect(actions.map(({ Resource }) => Resource)).toEqual([[arn], [arn]]);
  expect([policy.Statement].flat().filter(({ Resource }) => [Resource].flat().length === 0)).toEqual([]);
  expect(actionsOf(policy)).not.toContain('iam:PutRolePolicy');
});

test('backfill policy: a spec with a backfill needs its statements beside those of the spec without', async () => {
  const purpose = { apply: true, verify: false };
  const needs = (policy: Policy) =>
    [policy.Statement]
      .flat()
      .flatMap(({ Action, Resource, Condition }) =>
        [Action]
          .flat()
          .flatMap((action) =>
            [Resource].flat().map((resource) => JSON.stringify([action, resource, Condition])),
          ),
      );
  const [spec, job, both] = await Promise.all([
    policyFor(TAX_SPEC, purpose),
    policyFor(JOB_SPEC, { ...purpose, backfillOnly: true }),
    policyFor(JOB_SPEC, purpose),
  ]);
  expect(new Set(needs(both))).toEqual(new Set([...needs(spec), ...needs(job)]));
  // `redrive` creates the same jobs for a spec without a backfill.
  const redrive = await policyFor(TAX_SPEC, { ...purpose, backfillOnly: true });
  expect(needs(job)).toEqual(expect.arrayContaining(needs(redrive)));
  expect(actionsOf(redrive)).toContain('s3:CreateJob');
});

test('apply policy: allows a backfill, and not without each of its actions', async () => {
  const policy = await policyFor(BACKFILL_SPEC, { apply: true, verify: false });
  const existing = actionsOf(await policyFor(TAX_SPEC, { apply: true, verify: false }));
  const added = [...new Set(actionsOf(policy))].filter((action) => !existing.includes(action));
  const phases: [call: string, without: Record<string, Policy>][] = [
    [
      's3:CreateJob',
      {
        ...Object.fromEntries(
          ['s3:CreateJob', 's3:ListJobs', 's3:PutJobTagging'].map((action) => [
            action,
            without(policy, action),
          ]),
        ),
        'iam:PassRole': withoutPassRole(policy, 'batchoperations.s3.amazonaws.com'),
      },
    ],
    ['s3:UpdateJobStatus', { 's3:UpdateJobStatus': without(policy, 's3:UpdateJobStatus') }],
    ['iam:TagRole', { 'iam:TagRole': without(policy, 'iam:TagRole') }],
  ];
  const tested = phases.flatMap(([, policies]) => Object.keys(policies));
  expect(added.filter((action) => !tested.includes(action)).sort()).toEqual(UNUSED_JOB_ACTIONS);

  await using env = await testEnv(BACKFILL_SPEC);
  await env.reconcileWith(TAX_SPEC.replace('prefix: Tax/', 'prefix: Other/'));
  await callS3(env.sandbox.endpoint, 'PUT', '/acme-tax/Tax/old.txt', { body: 'old' });
  await callS3(env.sandbox.endpoint, 'PUT', '/acme-reports');
  let callers = 0;
  const runAs = async (allowed: Policy) => {
    const { client, close } = await clientWithPolicy(env, allowed, `least-${callers++}`);
    const { plan, results } = await env.reconcile({
      aws: client,
      allowedRisks: ['start-backfill'],
      propagationTimeoutMs: 0,
    });
    close();
    return {
      calls: plan.waves.flat().flatMap(({ calls }) => calls),
      problem: [...plan.blocked, ...results.filter(({ result }) => result !== 'applied')].find(({ id }) =>
        id.startsWith('s3.backfill/'),
      )?.why,
    };
  };
  for (const [call, policies] of phases) {
    for (const [action, allowed] of Object.entries(policies))
      expect([action, (await runAs(allowed)).problem]).toEqual([action, expect.stringContaining(action)]);
    const { calls, problem } = await runAs(policy);
    expect([problem, ...calls]).toEqual(expect.arrayContaining([undefined, call]));
    await env.sandbox.waitForJobs();
  }
});

test('backfill policy: with the policy of a plan, it allows a re-drive of the same specs', async () => {
  const [reads, jobs] = await Promise.all([
    policyFor(TAX_SPEC, { apply: false, verify: false }),
    policyFor(TAX_SPEC, { apply: true, verify: false, backfillOnly: true }),
  ]);
  const policy = { ...reads, Statement: [reads.Statement, jobs.Statement].flat() };
  await using env = await testEnv();
  await env.reconcileWith(TAX_SPEC.replace('prefix: Tax/', 'prefix: Other/'));
  await callS3(env.sandbox.endpoint, 'PUT', '/acme-tax/Tax/old.txt', { body: 'old' });
  await env.reconcile();
  const { client, close } = await clientWithPolicy(env, policy);
  const states: string[] = [];
  for (let run = 0; run < 2; run++) {
    const redrives = await planRedrives(env.specs.pairs, client, {
      objects: ['existing'],
      nowMs: client.now(),
    });
    const { plan, results } = await reconcile(
      { ...env.specs, pairs: redrives.map(({ pair }) => pair) },
      {
        kinds,
        aws: client,
        allowedRisks: ['start-backfill'],
        dryRun: false,
        propagationTimeoutMs: 0,
        jobsOnly: true,
      },
    );
    expect([plan.blocked, results.filter(({ result }) => result !== 'applied')]).toEqual([[], []]);
    await env.sandbox.waitForJobs();
    for (const redrive of redrives) states.push((await readRedriveState(client, redrive)).state);
  }
  close();
  expect(states).toEqual(['suspended', 'complete']);
});

/**
 * DescribeJob reads why a job ended early, and GetObject the report. If the lifecycle rules cannot be read, the plan says so
 * in a note.
 */
const UNUSED_JOB_ACTIONS = ['s3:DescribeJob', 's3:GetLifecycleConfiguration', 's3:GetObject'];

/** Returns a policy without the statement that allows to pass a role to a service. */
const withoutPassRole = (policy: Policy, service: string): Policy => ({
  ...policy,
  Statement: [policy.Statement]
    .flat()
    .filter(({ Condition }) => !JSON.stringify(Condition ?? {}).includes(`"${service}"`)),
});

test('plan policy: allows reads only, and suffices for a plan and its proof', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const policy = await policyFor(TAX_SPEC, { apply: false, verify: false });
  expect(actionsOf(policy).filter((action) => !/:(Get|List|Describe)/.test(action))).toEqual([]);
  expect(actionsOf(policy)).not.toContain('s3:GetObject');
  const { client, close } = await clientWithPolicy(env, policy);
  const specs = await parseSpecs(TAX_SPEC.replace('prefix: Tax/', 'prefix: Taxes/'));
  const { plan, proof } = await reconcile(specs, {
    kinds,
    aws: client,
    allowedRisks: [],
    dryRun: true,
    propagationTimeoutMs: 0,
  });
  close();
  expect(plan.blocked).toEqual([]);
  expect(plan.waves.flat().length).toBeGreaterThan(0);
  expect(proof.every(({ verdict }) => verdict === 'proven')).toBe(true);
});

test('verify policy: allows canaries', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const { client, close } = await clientWithPolicy(
    env,
    await policyFor(TAX_SPEC, { apply: false, verify: true }),
  );
  const [pair] = env.specs.pairs;
  if (!pair) throw new Error('no pair');
  const results = await runCanaries(pair, {
    aws: client,
    specs: env.specs,
    allowedRisks: [],
    timeoutMs: 5_000,
  });
  close();
  expect(results.map(({ result, left }) => ({ result, left }))).toEqual([
    { result: 'replicated', left: undefined },
    { result: 'replicated', left: undefined },
  ]);
});

test('apply policy: allows canaries for a spec with rollout: canary', async () => {
  const canary = `${TAX_SPEC}  rollout: canary\n`;
  const verifyActions = actionsOf(await policyFor(TAX_SPEC, { apply: true, verify: true }));
  expect(actionsOf(await policyFor(canary, { apply: true, verify: false }))).toEqual(verifyActions);
  expect(actionsOf(await policyFor(TAX_SPEC, { apply: true, verify: false }))).not.toEqual(verifyActions);
  expect(actionsOf(await policyFor(canary, { apply: false, verify: false }))).toEqual(
    actionsOf(await policyFor(TAX_SPEC, { apply: false, verify: false })),
  );
});

test('verify policy: fails without any of its actions, for canaries and for the object sample', async () => {
  await using env = await testEnv();
  await env.reconcile();
  await env.client.send(
    { region: REGION },
    new PutObjectCommand({ Bucket: 'acme-tax', Key: 'Tax/2026.pdf', Body: 'x', Tagging: 'team=tax' }),
  );
  const [pair] = env.specs.pairs;
  if (!pair) throw new Error('no pair');
  let count = 0;
  const suffices = async (policy: Policy): Promise<boolean> => {
    const { client, close } = await clientWithPolicy(env, policy, `least-${count++}`);
    const notices: string[] = [];
    try {
      const results = await runCanaries(pair, {
        aws: client,
        specs: env.specs,
        allowedRisks: [],
        timeoutMs: 2_000,
        onNotice: (line) => notices.push(line),
      });
      if (notices.length > 0) return false;
      if (results.some(({ result, left }) => result !== 'replicated' || left)) return false;
      return (await measureReplicationLag(client, env.specs.pairs)).byStatus.COMPLETED === 1;
    } catch {
      return false;
    } finally {
      close();
    }
  };
  const policy = await policyFor(TAX_SPEC, { apply: false, verify: true });
  const planActions = new Set(actionsOf(await policyFor(TAX_SPEC, { apply: false, verify: false })));
  const verifyActions = actionsOf(policy).filter((action) => !planActions.has(action));
  expect(verifyActions.length).toBeGreaterThan(5);
  expect(await suffices(policy)).toBe(true);
  const unneeded: string[] = [];
  for (const action of verifyActions) if (await suffices(without(policy, action))) unneeded.push(action);
  // S3 requires it when it reuses a Bucket Key; the sandbox does not.
  expect(unneeded).toEqual(['kms:Decrypt']);
}, 120_000);

test('policy: allows cloudwatch:GetMetricData where the rules have metrics, without which the read fails', async () => {
  const purpose = { apply: false, verify: false };
  const silent = TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      metrics: false');
  expect(actionsOf(await policyFor(silent, purpose))).not.toContain('cloudwatch:GetMetricData');
  const policy = await policyFor(TAX_SPEC, purpose);
  await using env = await testEnv();
  const rule = {
    id: 'replikey/tax/tax',
    source: { bucket: 'acme-tax', location: { region: REGION } },
    destination: { bucket: 'acme-tax-replica', region: 'us-west-2' },
  };
  const unreadReasons = async (allowed: Policy, name: string) => {
    const { client, close } = await clientWithPolicy(env, allowed, name);
    const [reading] = await readRuleMetrics(client, [rule], DAY_PERIODS, lastDay(Date.now()));
    close();
    return reading?.unread;
  };
  expect(await unreadReasons(policy, 'may')).toEqual([]);
  const denied = expect.stringContaining('lack the permission cloudwatch:GetMetricData');
  expect(await unreadReasons(without(policy, 'cloudwatch:GetMetricData'), 'may-not')).toEqual([
    denied,
    denied,
  ]);
});

test('attribution policy: adds only cloudtrail:LookupEvents, without which the lookup fails', async () => {
  await using env = await testEnv();
  const purpose = { apply: true, verify: true };
  const basicPolicy = await policyFor(TAX_SPEC, purpose);
  const policy = await policyFor(TAX_SPEC, { ...purpose, attributeDrift: true });
  const added = [policy.Statement]
    .flat()
    .filter((statement) => [statement.Action].flat().includes('cloudtrail:LookupEvents'));
  expect(added).toEqual([{ Effect: 'Allow', Action: ['cloudtrail:LookupEvents'], Resource: ['*'] }]);
  expect([policy.Statement].flat().filter((statement) => !added.includes(statement))).toEqual(
    basicPolicy.Statement,
  );

  const query = { eventName: 'CreateRole', fromMs: Date.now() - 60_000, toMs: Date.now() + 60_000 };
  const permitted = await clientWithPolicy(env, policy, 'may');
  const unpermitted = await clientWithPolicy(env, basicPolicy, 'may-not');
  expect(await lookUp(permitted.client, { region: REGION }, query)).toMatchObject([
    { EventName: 'CreateRole', Username: 'root' },
    { EventName: 'CreateRole', Username: 'root' },
  ]);
  await expect(lookUp(unpermitted.client, { region: REGION }, query)).rejects.toMatchObject({
    name: 'AccessDeniedException',
    message: expect.stringContaining('is not authorized to perform: cloudtrail:LookupEvents'),
  });
  permitted.close();
  unpermitted.close();
});

test('failure events policy: receives, deletes and returns messages, and fails without any of these actions', async () => {
  const arn = `arn:aws:sqs:${REGION}:111122223333:failures`;
  const policy = await policyFor(TAX_SPEC, {
    apply: false,
    verify: false,
    failureQueues: [{ arn, accountId: '111122223333' }],
  });
  const queueActions = actionsOf(policy).filter((action) => action.startsWith('sqs:'));
  expect(queueActions).toEqual(['sqs:ChangeMessageVisibility', 'sqs:DeleteMessage', 'sqs:ReceiveMessage']);
  expect(statementsWith(policy, 'sqs:ReceiveMessage')).toEqual([
    { Effect: 'Allow', Action: queueActions, Resource: [arn] },
  ]);
  expect(statementsWith(policy, 's3:GetObjectVersion')).toMatchObject([
    { Resource: ['arn:aws:s3:::acme-tax/Tax/*'] },
  ]);
  await using env = await testEnv();
  const sqs = new SQSClient({
    endpoint: env.sandbox.endpoint,
    region: REGION,
    credentials: { accessKeyId: '111122223333', secretAccessKey: 'test' },
  });
  const { QueueUrl: url = '' } = await sqs.send(new CreateQueueCommand({ QueueName: 'failures' }));
  const queue = { url, location: { region: REGION } };
  const consume = async (allowed: Policy, name: string): Promise<string | undefined> => {
    for (const MessageBody of ['a', 'b'])
      await sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody }));
    const { client, close } = await clientWithPolicy(env, allowed, name);
    try {
      const messages = await receiveMessages(client, queue, 0);
      await returnMessages(client, queue, messages, 0);
      await deleteMessages(client, queue, messages);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    } finally {
      close();
    }
  };
  expect(await consume(policy, 'may')).toBeUndefined();
  for (const [index, action] of queueActions.entries())
    expect(await consume(without(policy, action), `may-not-${index}`)).toMatch(
      new RegExp(`not authorized to perform: ${action}`, 'i'),
    );
});

const statementsWith = (policy: Policy | undefined, action: string) =>
  [policy?.Statement ?? []].flat().filter(({ Action }) => [Action].flat().includes(action));

test.each([
  ['', 'role/replikey-acme-tax'],
  ['  role: { name: tax, path: /team/x/ }\n', 'role/team/x/tax'],
  ['  role: { arn: "arn:aws:iam::111122223333:role/own/tax" }\n', 'role/own/tax'],
])(
  'apply policy: iam:PassRole names only the role of the pair, with its path (%j)',
  async (role, resource) => {
    const yaml = `${TAX_SPEC.replace('  rules:', `${role}  rules:`).replaceAll('region:', 'account: main, region:')}${MAIN_ACCOUNT}`;
    const [statement, ...others] = statementsWith(
      await policyFor(yaml, { apply: true, verify: false }),
      'iam:PassRole',
    );
    expect(statement?.Resource).toEqual([`arn:aws:iam::111122223333:${resource}`]);
    expect(others).toEqual([]);
  },
);

test('policies: the credentials that assume the role of an account may assume it, and no other credentials', async () => {
  const accountDocument = (name: string, id: string, fields: string) =>
    `---\napiVersion: replikey.dev/v1\nkind: Account\nmetadata: { name: ${name} }\nspec: { id: "${id}"${fields} }\n`;
  const roleOf = (id: string) => `arn:aws:iam::${id}:role/replikey/deploy`;
  const policiesFor = async (main: string, other: string) => {
    const yaml = [
      TAX_SPEC.replace('region: us-east-1', 'account: main, region: us-east-1').replace(
        'region: us-west-2',
        'account: other, region: us-west-2',
      ),
      accountDocument('main', '111122223333', main),
      accountDocument('other', '444455556666', other),
      accountDocument('unused', '999988887777', `, assumeRole: { arn: "${roleOf('999988887777')}" }`),
    ].join('');
    const { pairs, accounts } = await parseSpecs(yaml);
    const policies = leastPrivilegePolicies(pairs, ALL_KINDS, { apply: true, verify: true }, accounts);
    return Object.fromEntries(
      policies.map(({ account, policy }) => [
        account,
        statementsWith(policy, 'sts:AssumeRole').flatMap(({ Resource }) => Resource),
      ]),
    );
  };
  const assume = (id: string) => `assumeRole: { arn: "${roleOf(id)}" }`;
  expect(await policiesFor(`, ${assume('111122223333')}`, `, ${assume('444455556666')}`)).toEqual({
    main: [],
    other: [],
    '': [roleOf('111122223333'), roleOf('444455556666')],
  });
  expect(await policiesFor(', profile: ops', `, ${assume('444455556666')}`)).toEqual({
    main: [],
    other: [],
    '': [roleOf('444455556666')],
  });
  expect(await policiesFor('', '')).toEqual({ main: [], other: [] });
});

test('policies: contain no action pattern, and the resource * only for actions without resource-level permissions', async () => {
  const policy = await policyFor(FULL, { apply: true, verify: true });
  expect(actionsOf(policy).filter((action) => action.includes('*'))).toEqual([]);
  const wildcardStatements = [policy.Statement]
    .flat()
    .filter(({ Resource }) => [Resource].flat().includes('*'));
  expect(wildcardStatements.flatMap(({ Action }) => Action ?? []).sort()).toEqual([
    'cloudwatch:DescribeAlarms',
    'cloudwatch:GetMetricData',
    'iam:GetPolicy',
    'iam:GetPolicyVersion',
    'kms:CreateKey',
    'kms:ListAliases',
    'kms:ListKeys',
  ]);
  const passRole = [policy.Statement].flat().find(({ Action }) => [Action].flat().includes('iam:PassRole'));
  expect(passRole?.Condition).toEqual({ StringEquals: { 'iam:PassedToService': 's3.amazonaws.com' } });
});

test('permissions --failures: prints the actions on the queue for the account that owns it', async () => {
  const yaml = `${ACCOUNT_SPECS}${CROSS_ACCOUNT_SPEC}`;
  const queue = 'https://sqs.us-east-1.amazonaws.com/111122223333/failures';
  const { stdout } = await runCli(['permissions', '-', '--failures', queue], { input: yaml });
  const policies = JSON.parse(stdout) as Record<string, Policy>;
  expect(statementsWith(policies.main, 'sqs:ReceiveMessage')).toMatchObject([
    { Resource: ['arn:aws:sqs:us-east-1:111122223333:failures'] },
  ]);
  expect(statementsWith(policies.backup, 'sqs:ReceiveMessage')).toEqual([]);
});

test('permissions --who-changed: prints cloudtrail:LookupEvents', async () => {
  const { stdout } = await runCli(['permissions', '-', '--who-changed'], { input: TAX_SPEC });
  expect(actionsOf(JSON.parse(stdout) as Policy)).toContain('cloudtrail:LookupEvents');
});

test('an account that reads the organization: reads it, and looks up no events', async () => {
  const { pairs } = await parseSpecs(TAX_SPEC);
  const scope = { apply: true, verify: false, attributeDrift: true, organizationAccount: 'organization' };
  const policies = leastPrivilegePolicies(pairs, ALL_KINDS, scope);
  expect(policies.map(({ account }) => account)).toEqual(['', 'organization']);
  expect([policies[1]?.policy.Statement].flat()).toMatchObject([
    {
      Effect: 'Allow',
      Action: [
        'organizations:DescribeOrganization',
        'organizations:DescribePolicy',
        'organizations:ListParents',
        'organizations:ListPoliciesForTarget',
      ],
      Resource: ['*'],
    },
  ]);
});
