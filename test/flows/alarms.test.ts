import { DescribeAlarmsCommand, type MetricAlarm, PutMetricAlarmCommand } from '@aws-sdk/client-cloudwatch';
import { CreateTopicCommand, SetTopicAttributesCommand } from '@aws-sdk/client-sns';
import { describe, expect, test } from 'vitest';
import { diagnose } from '../../src/doctor/diagnose.ts';
import { locationsOf } from '../../src/facts/locations.ts';
import { planText } from '../../src/report/plan-text.ts';
import { changeRolePolicy, put } from '../sandbox/support.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { callCloudWatch } from '../support/raw-aws.ts';

const EAST = { region: 'us-east-1' };
const WEST = { region: 'us-west-2' };
const ACCOUNT = '111122223333';
const FAILED = 'replikey-tax-tax-failed';
const LATE = 'replikey-tax-tax-late';
const FAILED_ID = `cloudwatch.alarm/${FAILED}@us-east-1`;
const topicIn = ({ region }: { region: string }) => `arn:aws:sns:${region}:${ACCOUNT}:replication`;

const withAlarms = (settings: string, spec = TAX_SPEC) =>
  spec.replace('  rules:', `  alarms: { ${settings} }\n  rules:`);
const BOTH = `failed: true, lateAfterMinutes: 30, notify: [${topicIn(EAST)}, ${topicIn(WEST)}]`;
const ALARMED = withAlarms(BOTH);
const REMOVE = '  policy: { deletion: Remove }\n  rules:';

/** Returns the alarms of a Region as a client without code of replikey receives them. */
async function alarmsIn(env: TestEnv, { region }: { region: string }): Promise<MetricAlarm[]> {
  const { json } = await callCloudWatch(
    env.sandbox.endpoint,
    'DescribeAlarms',
    {},
    { accessKeyId: ACCOUNT, region },
  );
  return json.MetricAlarms as MetricAlarm[];
}

const statesIn = async (env: TestEnv, at: { region: string }) =>
  Object.fromEntries((await alarmsIn(env, at)).map(({ AlarmName, StateValue }) => [AlarmName, StateValue]));
const namesIn = async (env: TestEnv, at: { region: string }) =>
  (await alarmsIn(env, at)).map(({ AlarmName }) => AlarmName);

const createTopics = (env: TestEnv) =>
  Promise.all([EAST, WEST].map((at) => env.client.send(at, new CreateTopicCommand({ Name: 'replication' }))));
const denied = { status: 403, code: 'AccessDenied' };
const refuse = (env: TestEnv, match: string) => {
  env.sandbox.faultSettings.faults = [{ match, nth: 1, times: 1_000, what: denied }];
};

describe('alarms', () => {
  // Regions: yet-another-cloudwatch-exporter#1188. Dimensions and periods: aws-facts-operations.md 2.2.
  test('a denied put: the alarm on failures enters ALARM in the Region of its metric, and no other does', async () => {
    let now = Date.UTC(2026, 10, 30, 10);
    await using env = await testEnv(ALARMED, { clock: () => now });
    await createTopics(env);
    const { plan } = await env.reconcile();
    expect(plan.notes).toEqual([]);
    expect(await alarmsIn(env, EAST)).toMatchObject([
      {
        AlarmName: FAILED,
        ActionsEnabled: true,
        AlarmActions: [topicIn(EAST)],
        Namespace: 'AWS/S3',
        MetricName: 'OperationsFailedReplication',
        Dimensions: [
          { Name: 'SourceBucket', Value: 'acme-tax' },
          { Name: 'DestinationBucket', Value: 'acme-tax-replica' },
          { Name: 'RuleId', Value: 'replikey/tax/tax' },
        ],
        Statistic: 'Sum',
        Period: 300,
        EvaluationPeriods: 1,
        Threshold: 0,
        ComparisonOperator: 'GreaterThanThreshold',
        TreatMissingData: 'notBreaching',
      },
    ]);
    expect(await alarmsIn(env, WEST)).toMatchObject([
      {
        AlarmName: LATE,
        AlarmActions: [topicIn(WEST)],
        MetricName: 'ReplicationLatency',
        Statistic: 'Maximum',
        Period: 300,
        EvaluationPeriods: 3,
        DatapointsToAlarm: 3,
        Threshold: 1800,
        TreatMissingData: 'ignore',
      },
    ]);
    await put(env, { Key: 'Tax/first' });
    await changeRolePolicy(env.client, (statements) => {
      for (const [sid, statement] of Object.entries(statements))
        if (JSON.stringify(statement).includes('s3:ReplicateObject')) delete statements[sid];
    });
    now += 10 * 60_000;
    await put(env, { Key: 'Tax/failed' });
    expect(await statesIn(env, EAST)).toEqual({ [FAILED]: 'ALARM' });
    expect((await statesIn(env, WEST))[LATE]).not.toBe('ALARM');
    expect(await namesIn(env, { region: 'eu-west-1' })).toEqual([]);
  });

  test('a second pass: changes nothing, with one call for each Region', async () => {
    await using env = await testEnv(
      `${ALARMED}    - prefix: Books/\n    - { name: claims, prefix: Claims/ }\n`,
    );
    await createTopics(env);
    await env.reconcile();
    env.sandbox.log.reset();
    const { plan } = await env.reconcile();
    expect(plan.waves).toEqual([]);
    const counts = Object.entries(env.sandbox.log.counts()).filter(
      ([call]) => !/^(s3|iam|kms|sts):/.test(call),
    );
    expect(counts).toEqual([['cloudwatch:DescribeAlarms', 2]]);
  });

  test('the plan: shows the price, and a topic that does not exist', async () => {
    await using env = await testEnv(ALARMED);
    const { plan } = await env.reconcile({ dryRun: true });
    const text = planText(plan, env.specs.pairs).replaceAll(/\s+/g, ' ');
    expect(text).toContain('fails; costs about 0.10 USD a month');
    expect(text).toContain('CloudWatch charges about 0.20 USD a month for 2 new alarms');
    expect(plan.notes.map(({ id, message }) => `${id}: ${message}`)).toEqual([
      `${FAILED_ID}: the topic ${topicIn(EAST)} does not exist`,
      `cloudwatch.alarm/${LATE}@us-west-2: the topic ${topicIn(WEST)} does not exist`,
    ]);
  });

  test('the plan: reports a topic whose policy does not permit CloudWatch', async () => {
    await using env = await testEnv(withAlarms(`failed: true, notify: [${topicIn(EAST)}]`));
    await createTopics(env);
    const Statement = [
      {
        Effect: 'Allow',
        Principal: { Service: 's3.amazonaws.com' },
        Action: 'SNS:Publish',
        Resource: topicIn(EAST),
      },
    ];
    const attribute = {
      AttributeName: 'Policy',
      AttributeValue: JSON.stringify({ Version: '2012-10-17', Statement }),
    };
    await env.client.send(EAST, new SetTopicAttributesCommand({ TopicArn: topicIn(EAST), ...attribute }));
    const { plan } = await env.reconcile({ dryRun: true });
    expect(plan.notes.map(({ message }) => message).join()).toMatch(/CloudWatch cannot publish to the topic/);
  });

  test('an edited prefix of an unnamed rule: the alarm watches the rule under the id that it keeps', async () => {
    await using env = await testEnv(ALARMED);
    await env.reconcile();
    const edited = ALARMED.replace('prefix: Tax/', 'prefix: Taxes/');
    const { remaining } = await env.reconcileWith(edited);
    expect(remaining?.waves).toEqual([]);
    const alarm = (await alarmsIn(env, EAST)).find(({ AlarmName }) => AlarmName?.includes('taxes'));
    expect(alarm?.Dimensions).toContainEqual({ Name: 'RuleId', Value: 'replikey/tax/tax' });
  });
});

describe('alarms that cannot be read or written', () => {
  test('denied reads: the rules are applied, and the alarms are blocked', async () => {
    await using env = await testEnv(ALARMED);
    refuse(env, 'DescribeAlarms');
    const { plan, results } = await env.reconcile();
    expect(plan.blocked.map(({ id }) => id)).toEqual([FAILED_ID, `cloudwatch.alarm/${LATE}@us-west-2`]);
    expect(results.find(({ id }) => id === 's3.replication/acme-tax')?.result).toBe('applied');
    expect(results.every(({ result }) => result === 'applied')).toBe(true);
  });

  test('denied writes: the rules are applied, and the run fails', async () => {
    await using env = await testEnv(ALARMED);
    refuse(env, 'PutMetricAlarm');
    const { results } = await env.reconcile();
    const failures = results.filter(({ result }) => result !== 'applied');
    expect(failures.map(({ id }) => id)).toEqual([FAILED_ID, `cloudwatch.alarm/${LATE}@us-west-2`]);
    expect(failures[0]?.why).toMatch(/PutMetricAlarm in us-east-1: AccessDenied/);
    expect(env.sandbox.store.bucket('acme-tax')?.replication?.Rules).toHaveLength(1);
  });
});

describe('existing alarms', () => {
  const foreign = {
    AlarmName: FAILED,
    Namespace: 'AWS/S3',
    MetricName: 'BucketSizeBytes',
    Dimensions: [{ Name: 'BucketName', Value: 'other' }],
    Statistic: 'Average' as const,
    Period: 3_600,
    EvaluationPeriods: 1,
    Threshold: 5,
    ComparisonOperator: 'GreaterThanThreshold' as const,
  };
  const create = (env: TestEnv, alarm: object = foreign) =>
    env.client.send(EAST, new PutMetricAlarmCommand({ ...foreign, ...alarm }));
  const read = async (env: TestEnv) =>
    (await env.client.send(EAST, new DescribeAlarmsCommand({ AlarmNames: [FAILED] }))).MetricAlarms?.[0];

  test('an alarm of the same name that replikey did not create: follows adopt', async () => {
    await using env = await testEnv(ALARMED);
    await create(env);
    const never = ALARMED.replace('  rules:', '  policy: { adopt: Never }\n  rules:');
    const refused = await env.reconcileWith(never);
    expect(refused.refusals.map(({ id, step }) => [id, step])).toEqual([['adopt', FAILED_ID]]);
    const adopted = await env.reconcile();
    expect(adopted.plan.notes.map(({ message }) => message)).toContain(
      'already exists: replikey changes only the settings in this plan',
    );
    expect(await read(env)).toMatchObject({ MetricName: 'OperationsFailedReplication', Threshold: 0 });
  });

  test('an alarm that another caller creates after the plan: is not replaced', async () => {
    await using env = await testEnv(ALARMED);
    let creation: Promise<unknown> | undefined;
    const { results } = await env.reconcile({
      onPlan: () => {
        creation = create(env);
      },
    });
    await creation;
    expect(results.find(({ id }) => id === FAILED_ID)).toMatchObject({
      result: 'failed',
      why: expect.stringMatching(/another caller created it since it was read/),
    });
    expect(await read(env)).toMatchObject({ MetricName: 'BucketSizeBytes' });
  });

  test('an alarm that another caller changes after the plan: is not overwritten', async () => {
    await using env = await testEnv(ALARMED);
    await env.reconcile();
    await create(env, { Threshold: 6 });
    let change: Promise<unknown> | undefined;
    const { results } = await env.reconcile({
      onPlan: () => {
        change = create(env, { Threshold: 7 });
      },
    });
    await change;
    expect(results).toMatchObject([
      { id: FAILED_ID, result: 'failed', why: expect.stringMatching(/another caller/) },
    ]);
    expect(await read(env)).toMatchObject({ Threshold: 7 });
  });
});

describe('alarms of an account', () => {
  const other = TAX_SPEC.replaceAll('tax', 'books').replace('Tax/', 'Books/');
  const settings = `scope: account, ${BOTH}`;
  const both = `${withAlarms(settings)}---\n${withAlarms(settings, other)}`;

  // The query of aws-facts-operations.md 2.2.
  test('two specs: share one alarm in each Region, which covers every rule', async () => {
    await using env = await testEnv(both);
    const { plan } = await env.reconcile();
    const steps = plan.waves.flat().filter(({ id }) => id.startsWith('cloudwatch.'));
    expect(steps.map(({ id, pairs }) => [id, pairs])).toEqual([
      ['cloudwatch.alarm/replikey-failed@us-east-1', ['tax', 'books']],
      ['cloudwatch.alarm/replikey-late@us-west-2', ['tax', 'books']],
    ]);
    const [alarm] = await alarmsIn(env, EAST);
    expect(alarm?.Metrics).toMatchObject([
      {
        Expression:
          'SELECT SUM(OperationsFailedReplication) FROM SCHEMA("AWS/S3", SourceBucket, DestinationBucket, RuleId) GROUP BY SourceBucket, DestinationBucket, RuleId',
        Period: 300,
      },
    ]);
    const more = await env.reconcileWith(
      both.replace('- prefix: Tax/', '- prefix: Tax/\n    - prefix: Claims/'),
    );
    expect(more.plan.waves.flat().filter(({ id }) => id.startsWith('cloudwatch.'))).toEqual([]);
  });
});

describe('prune', () => {
  const removable = ALARMED.replace('  rules:', REMOVE);
  const other = TAX_SPEC.replaceAll('tax', 'books');
  const options = {
    prune: true,
    drainMs: 0,
    allowedRisks: ['lose-in-flight', 'remove-pair'],
    thresholds: { maxRemovals: 50 },
  };

  test('a removed spec with deletion: Remove: its alarms are deleted before its role', async () => {
    await using env = await testEnv(`${removable}---\n${other}`);
    await env.reconcile();
    const { results, refusals } = await env.reconcileWith(other, options);
    expect(refusals).toEqual([]);
    expect(results.every(({ result }) => result === 'applied')).toBe(true);
    expect([...(await namesIn(env, EAST)), ...(await namesIn(env, WEST))]).toEqual([]);
    const deletions = env.sandbox.log.entries.filter(({ operation }) =>
      /^Delete(Alarms|Role)$/.test(operation),
    );
    expect(deletions.map(({ operation }) => operation)).toEqual([
      'DeleteAlarms',
      'DeleteAlarms',
      'DeleteRole',
    ]);
  });

  test('alarms that a spec no longer declares: are deleted with deletion: Remove, and kept otherwise', async () => {
    await using env = await testEnv(ALARMED);
    await env.reconcile();
    expect((await env.reconcileWith(TAX_SPEC, options)).plan.waves).toEqual([]);
    expect(await namesIn(env, EAST)).toEqual([FAILED]);
    await env.reconcileWith(TAX_SPEC.replace('  rules:', REMOVE), options);
    expect([...(await namesIn(env, EAST)), ...(await namesIn(env, WEST))]).toEqual([]);
  });

  test('foreign alarms with the same prefix, and alarms of specs outside the run: are kept', async () => {
    await using env = await testEnv(`${ALARMED}---\n${other}`);
    await env.reconcile();
    const alarm = { ...(await alarmsIn(env, EAST))[0], AlarmName: 'replikey-of-another-tool' };
    await env.client.send(EAST, new PutMetricAlarmCommand(alarm as PutMetricAlarmCommand['input']));
    await env.reconcileWith(other.replace('  rules:', REMOVE), options);
    expect(await namesIn(env, EAST)).toEqual(['replikey-of-another-tool', FAILED]);
  });
});

test('doctor: reports an alarm without DestinationBucket, and one that CloudWatch cannot read', async () => {
  await using env = await testEnv(ALARMED);
  await createTopics(env);
  await env.reconcile();
  const findings = async () => {
    const { proofs } = await diagnose(env.client, ['acme-tax'], {
      locations: locationsOf(env.specs, 'us-east-1'),
      sampleSize: 0,
      now: () => env.client.now(),
    });
    return proofs.flatMap((proof) =>
      proof.findings
        .filter(({ code }) => code.startsWith('RK15'))
        .map(({ code, message }) => `${code} ${message}`),
    );
  };
  expect(await findings()).toEqual([]);
  const { Dimensions = [], ...alarm } = (await alarmsIn(env, EAST))[0] ?? {};
  const incomplete = {
    ...alarm,
    AlarmName: 'mine',
    Dimensions: Dimensions.slice(0, 1),
    ActionsEnabled: false,
  };
  await env.client.send(EAST, new PutMetricAlarmCommand(incomplete as PutMetricAlarmCommand['input']));
  expect(await findings()).toEqual([
    expect.stringMatching(
      /^RK1501 the alarm mine in us-east-1 can never fire: it lacks the dimensions DestinationBucket and RuleId/,
    ),
    expect.stringMatching(/^RK1502 the alarm mine in us-east-1: its actions are disabled/),
  ]);
  refuse(env, 'DescribeAlarms');
  expect(await findings()).toEqual([
    expect.stringMatching(/^RK1503 the alarms in us-east-1 cannot be read/),
    expect.stringMatching(/^RK1503 the alarms in us-west-2 cannot be read/),
  ]);
});
