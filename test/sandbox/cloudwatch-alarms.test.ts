import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { afterEach, describe, expect, test } from 'vitest';
import { createAlarmEvaluator } from '../../src/sandbox/cloudwatch/alarm-evaluator.ts';
import type { TopicMessage } from '../../src/sandbox/cloudwatch/alarm-notification.ts';
import { createMetricRecorder, singleValue } from '../../src/sandbox/cloudwatch/metrics.ts';
import type { AlarmConfiguration, AlarmState } from '../../src/sandbox/state.ts';
import { createMemoryStore } from '../../src/sandbox/store.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { pythonEnvironment } from '../support/python.ts';
import { callCloudWatch, type RawResponse } from '../support/raw-aws.ts';
import { changeRolePolicy, put } from './support.ts';

/** 2026-11-30T10:00:00Z */
const TEN = Date.UTC(2026, 10, 30, 10);
const MINUTE = 60_000;
const ACCOUNT = '111122223333';
const TOPIC = `arn:aws:sns:us-east-1:${ACCOUNT}:replication`;
const ALARM_ARN = `arn:aws:cloudwatch:us-east-1:${ACCOUNT}:alarm`;
const DIMENSIONS = [
  { Name: 'SourceBucket', Value: 'acme-tax' },
  { Name: 'DestinationBucket', Value: 'acme-tax-replica' },
  { Name: 'RuleId', Value: 'replikey/tax/tax' },
];

/** Alarm on failed operations, as objects.md of S3 replication and public Terraform modules declare it. */
const FAILED_ALARM = {
  AlarmName: 'replikey-tax-tax-failed',
  AlarmDescription: 'objects fail to replicate',
  ActionsEnabled: true,
  AlarmActions: [TOPIC],
  Namespace: 'AWS/S3',
  MetricName: 'OperationsFailedReplication',
  Dimensions: DIMENSIONS,
  Statistic: 'Sum',
  Period: 300,
  EvaluationPeriods: 1,
  Threshold: 0,
  ComparisonOperator: 'GreaterThanThreshold',
  TreatMissingData: 'notBreaching',
};

const LATE_ALARM = {
  ...FAILED_ALARM,
  AlarmName: 'replikey-tax-tax-late',
  AlarmActions: [],
  MetricName: 'ReplicationLatency',
  Statistic: 'Maximum',
  EvaluationPeriods: 3,
  DatapointsToAlarm: 3,
  Threshold: 1800,
  TreatMissingData: 'ignore',
};

let now = TEN;
const clock = () => now;
let env: TestEnv | undefined;

afterEach(async () => {
  await env?.[Symbol.asyncDispose]();
  env = undefined;
  now = TEN;
});

async function startPair(state?: string): Promise<TestEnv> {
  env = await testEnv(TAX_SPEC, { clock, ...(state === undefined ? {} : { state }) });
  await env.reconcile();
  return env;
}

async function startEmpty(): Promise<string> {
  env = await testEnv(TAX_SPEC, { clock });
  return env.sandbox.endpoint;
}

const call = (
  endpoint: string,
  operation: string,
  input: object = {},
  region = 'us-east-1',
): Promise<RawResponse> => callCloudWatch(endpoint, operation, input, { accessKeyId: ACCOUNT, region });

type Alarms = Record<string, unknown>[];

const describeAlarms = async (endpoint: string, input: object = {}, region?: string): Promise<Alarms> =>
  (await call(endpoint, 'DescribeAlarms', input, region)).json.MetricAlarms as Alarms;

const statesOf = async (endpoint: string, region?: string): Promise<Record<string, unknown>> =>
  Object.fromEntries(
    (await describeAlarms(endpoint, {}, region)).map(({ AlarmName, StateValue }) => [AlarmName, StateValue]),
  );

/** Puts an object whose replication fails, because the role may not write it. */
async function failObject(pair: TestEnv, Key = 'Tax/failed'): Promise<void> {
  await changeRolePolicy(pair.client, (statements) => {
    for (const [sid, statement] of Object.entries(statements))
      if (JSON.stringify(statement).includes('s3:ReplicateObject')) delete statements[sid];
  });
  await put(pair, { Key });
}

// CloudWatch API Reference, PutMetricAlarm and DescribeAlarms.
describe('PutMetricAlarm', () => {
  test('PutMetricAlarm: DescribeAlarms returns the alarm with its defaults', async () => {
    const endpoint = await startEmpty();
    expect(await call(endpoint, 'PutMetricAlarm', FAILED_ALARM)).toMatchObject({ status: 200 });
    now += MINUTE;
    expect(await describeAlarms(endpoint)).toEqual([
      {
        ...FAILED_ALARM,
        AlarmArn: `${ALARM_ARN}:replikey-tax-tax-failed`,
        OKActions: [],
        InsufficientDataActions: [],
        AlarmConfigurationUpdatedTimestamp: TEN / 1000,
        StateValue: 'OK',
        StateReason:
          'Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as [NonBreaching].',
        StateReasonData: expect.stringContaining('"recentDatapoints":[]'),
        StateUpdatedTimestamp: now / 1000,
        StateTransitionedTimestamp: now / 1000,
      },
    ]);
  });

  test('PutMetricAlarm: a new alarm without data stays INSUFFICIENT_DATA', async () => {
    const endpoint = await startEmpty();
    const { TreatMissingData, ...alarm } = FAILED_ALARM;
    await call(endpoint, 'PutMetricAlarm', alarm);
    expect(await describeAlarms(endpoint)).toMatchObject([
      { StateValue: 'INSUFFICIENT_DATA', StateReason: 'Unchecked: Initial alarm creation' },
    ]);
  });

  // "the update completely overwrites the previous configuration of the alarm", and "its state is left unchanged".
  test('PutMetricAlarm: replaces the whole configuration, and keeps state and tags', async () => {
    const endpoint = await startEmpty();
    await call(endpoint, 'PutMetricAlarm', { ...FAILED_ALARM, Tags: [{ Key: 'team', Value: 'tax' }] });
    await call(endpoint, 'SetAlarmState', {
      AlarmName: FAILED_ALARM.AlarmName,
      StateValue: 'ALARM',
      StateReason: 'test',
    });
    const { AlarmDescription, AlarmActions, ...alarm } = FAILED_ALARM;
    await call(endpoint, 'PutMetricAlarm', {
      ...alarm,
      TreatMissingData: 'ignore',
      Tags: [{ Key: 'team', Value: 'hr' }],
    });
    const [updated = {}] = await describeAlarms(endpoint);
    expect(updated).toMatchObject({ AlarmActions: [], StateValue: 'ALARM', StateReason: 'test' });
    expect(updated).not.toHaveProperty('AlarmDescription');
    const { json } = await call(endpoint, 'ListTagsForResource', {
      ResourceARN: `${ALARM_ARN}:${alarm.AlarmName}`,
    });
    expect(json.Tags).toEqual([{ Key: 'team', Value: 'tax' }]);
  });

  test.each<[string, object, string, string | RegExp]>([
    [
      'a topic of another Region',
      { AlarmActions: [`arn:aws:sns:us-west-2:${ACCOUNT}:replication`] },
      'ValidationError',
      'Invalid region us-west-2 specified. Only us-east-1 is supported.',
    ],
    [
      'a topic of another partition',
      { OKActions: [`arn:aws-us-gov:sns:us-east-1:${ACCOUNT}:replication`] },
      'ValidationError',
      'Invalid partition aws-us-gov specified. Only aws is supported.',
    ],
    [
      'an action that is no ARN',
      { AlarmActions: ['replication'] },
      'ValidationError',
      'Invalid arn syntax: replication',
    ],
    [
      'an evaluation of more than a day',
      { EvaluationPeriods: 289 },
      'ValidationError',
      'Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400).',
    ],
    ['a period of 90 s', { Period: 90 }, 'ValidationError', /Period/],
    ['2 of 1 datapoints', { DatapointsToAlarm: 2 }, 'ValidationError', /DatapointsToAlarm/],
    ['an unknown treatment', { TreatMissingData: 'good' }, 'ValidationError', /TreatMissingData/],
    ['no metric', { MetricName: undefined }, 'MissingParameter', /MetricName/],
    [
      'a metric and metrics',
      { Metrics: [{ Id: 'a', Expression: 'SELECT SUM(a) FROM "b"', Period: 60 }] },
      'InvalidParameterCombination',
      /Metrics/,
    ],
  ])('PutMetricAlarm: rejects %s', async (_, settings, code, message) => {
    const endpoint = await startEmpty();
    const response = await call(endpoint, 'PutMetricAlarm', { ...FAILED_ALARM, ...settings });
    expect(response).toMatchObject({ status: 400, code });
    expect(response.message).toMatch(message);
    expect(await describeAlarms(endpoint)).toEqual([]);
  });

  test.each([
    ['anomaly detection', { ComparisonOperator: 'GreaterThanUpperThreshold' }],
    ['an EC2 action', { AlarmActions: ['arn:aws:automate:us-east-1:ec2:stop'] }],
    ['a percentile', { Statistic: undefined, ExtendedStatistic: 'p99' }],
    ['a period of 10 s', { Period: 10 }],
  ])('PutMetricAlarm: responds to %s with 501', async (_, settings) => {
    const endpoint = await startEmpty();
    expect(await call(endpoint, 'PutMetricAlarm', { ...FAILED_ALARM, ...settings })).toMatchObject({
      status: 501,
    });
  });
});

describe('alarms on replication', () => {
  test('alarm: enters ALARM after a failure in the Region of the source, and OK when the failure is past', async () => {
    const pair = await startPair();
    const { endpoint } = pair.sandbox;
    for (const region of ['us-east-1', 'us-west-2'])
      await call(endpoint, 'PutMetricAlarm', { ...FAILED_ALARM, AlarmActions: [] }, region);
    const unscoped = DIMENSIONS.filter(({ Name }) => Name !== 'DestinationBucket');
    await call(endpoint, 'PutMetricAlarm', {
      ...FAILED_ALARM,
      AlarmName: 'incomplete',
      Dimensions: unscoped,
    });
    await put(pair, { Key: 'Tax/first' });
    expect(await statesOf(endpoint)).toEqual({ [FAILED_ALARM.AlarmName]: 'OK', incomplete: 'OK' });
    now = TEN + 10 * MINUTE;
    await failObject(pair);
    // An alarm without all dimensions, or in another Region, never fires.
    expect(await statesOf(endpoint)).toEqual({ [FAILED_ALARM.AlarmName]: 'ALARM', incomplete: 'OK' });
    expect(await statesOf(endpoint, 'us-west-2')).toEqual({ [FAILED_ALARM.AlarmName]: 'OK' });
    expect(await describeAlarms(endpoint, { StateValue: 'ALARM' })).toMatchObject([
      {
        StateReason:
          'Threshold Crossed: 1 datapoint [1.0 (30/11/26 10:06:00)] was greater than the threshold (0.0).',
        StateUpdatedTimestamp: now / 1000,
      },
    ]);
    now = TEN + 60 * MINUTE;
    const [alarm = {}] = await describeAlarms(endpoint, { AlarmNames: [FAILED_ALARM.AlarmName] });
    expect(alarm.StateValue).toBe('OK');
    // The evaluation range is 3 periods of 5 minutes: the datapoint leaves it 15 minutes after its minute.
    expect(alarm.StateTransitionedTimestamp).toBe((TEN + 25 * MINUTE) / 1000);
  });

  test('alarm: an object that is pending for 30 minutes raises the alarm on latency in the Region of the destination', async () => {
    const pair = await startPair();
    const { endpoint, faultSettings } = pair.sandbox;
    await call(endpoint, 'PutMetricAlarm', LATE_ALARM, 'us-west-2');
    await call(endpoint, 'PutMetricAlarm', LATE_ALARM);
    await put(pair, { Key: 'Tax/first' });
    faultSettings.replicationDelayMs = 3_600_000;
    const { client } = pair;
    await client.send(
      { region: 'us-east-1' },
      new PutObjectCommand({ Bucket: 'acme-tax', Key: 'Tax/late', Body: 'x' }),
    );
    // The oldest of the three periods has to contain an age of more than 30 minutes: minutes 26 to 30.
    now = TEN + 39 * MINUTE;
    expect(await statesOf(endpoint, 'us-west-2')).toEqual({ [LATE_ALARM.AlarmName]: 'OK' });
    now = TEN + 40 * MINUTE;
    expect(await statesOf(endpoint, 'us-west-2')).toEqual({ [LATE_ALARM.AlarmName]: 'ALARM' });
    expect(await statesOf(endpoint)).toEqual({ [LATE_ALARM.AlarmName]: 'INSUFFICIENT_DATA' });
  });

  test('alarm: survives a restart with its state', async () => {
    const state = await mkdtemp(path.join(tmpdir(), 'replikey-alarms-'));
    try {
      const pair = await startPair(state);
      await call(pair.sandbox.endpoint, 'PutMetricAlarm', {
        ...FAILED_ALARM,
        Tags: [{ Key: 'team', Value: 'tax' }],
      });
      await failObject(pair);
      const before = await describeAlarms(pair.sandbox.endpoint);
      await pair[Symbol.asyncDispose]();
      env = await testEnv(TAX_SPEC, { clock, state });
      expect(before).toMatchObject([{ StateValue: 'ALARM' }]);
      expect(await describeAlarms(env.sandbox.endpoint)).toEqual(before);
    } finally {
      await env?.[Symbol.asyncDispose]();
      env = undefined;
      await rm(state, { recursive: true });
    }
  });
});

/** CloudWatch User Guide, "Create an alarm based on a Metrics Insights query" and "Acting on alarm changes". */
const INSIGHTS_ALARM = {
  AlarmName: 'replikey-failed',
  Metrics: [
    {
      Id: 'failed',
      Expression:
        'SELECT SUM(OperationsFailedReplication) FROM SCHEMA("AWS/S3", SourceBucket, DestinationBucket, RuleId) GROUP BY SourceBucket, DestinationBucket, RuleId',
      Period: 300,
      ReturnData: true,
    },
  ],
  EvaluationPeriods: 1,
  Threshold: 0,
  ComparisonOperator: 'GreaterThanThreshold',
  TreatMissingData: 'notBreaching',
};

describe('alarms on Metrics Insights queries', () => {
  test('alarm: each rule is a contributor, and a query without time series is INSUFFICIENT_DATA', async () => {
    const pair = await startPair();
    const { endpoint } = pair.sandbox;
    expect(await call(endpoint, 'PutMetricAlarm', INSIGHTS_ALARM)).toMatchObject({ status: 200 });
    expect(await statesOf(endpoint)).toEqual({ 'replikey-failed': 'INSUFFICIENT_DATA' });
    await put(pair);
    expect(await statesOf(endpoint)).toEqual({ 'replikey-failed': 'OK' });
    await failObject(pair);
    expect(await statesOf(endpoint)).toEqual({ 'replikey-failed': 'ALARM' });
    const contributors = () => call(endpoint, 'DescribeAlarmContributors', { AlarmName: 'replikey-failed' });
    expect((await contributors()).json.AlarmContributors).toEqual([
      {
        ContributorId: expect.any(String),
        ContributorAttributes: {
          SourceBucket: 'acme-tax',
          DestinationBucket: 'acme-tax-replica',
          RuleId: 'replikey/tax/tax',
        },
        StateReason: expect.stringMatching(/^Threshold Crossed: 1 datapoint \[1\.0 /),
        StateTransitionedTimestamp: now / 1000,
      },
    ]);
    now += 60 * MINUTE;
    expect(await statesOf(endpoint)).toEqual({ 'replikey-failed': 'INSUFFICIENT_DATA' });
    expect((await contributors()).json.AlarmContributors).toEqual([]);
  });

  test.each([
    ['metric math', 'SUM(METRICS())', 501, 'NotImplemented'],
    ['ORDER BY', 'SELECT SUM(a) FROM "b" GROUP BY c ORDER BY SUM() DESC LIMIT 5', 501, 'NotImplemented'],
    ['an unknown function', 'SELECT MEDIAN(a) FROM "b"', 400, 'ValidationError'],
    ['an incomplete query', 'SELECT SUM(a)', 400, 'ValidationError'],
  ])('PutMetricAlarm: rejects a query with %s', async (_, Expression, status, code) => {
    const endpoint = await startEmpty();
    const Metrics = [{ Id: 'a', Expression, Period: 60 }];
    expect(await call(endpoint, 'PutMetricAlarm', { ...INSIGHTS_ALARM, Metrics })).toMatchObject({
      status,
      code,
    });
  });
});

describe('operations on alarms', () => {
  const putAlarms = async (endpoint: string, names: string[]) => {
    for (const AlarmName of names) await call(endpoint, 'PutMetricAlarm', { ...FAILED_ALARM, AlarmName });
  };

  test('DescribeAlarms: filters by names, prefix, state and action, and pages', async () => {
    const endpoint = await startEmpty();
    await putAlarms(endpoint, ['b-1', 'a-1', 'a-2', 'a-3']);
    const namesOf = async (input: object) =>
      (await describeAlarms(endpoint, input)).map(({ AlarmName }) => AlarmName);
    expect(await namesOf({})).toEqual(['a-1', 'a-2', 'a-3', 'b-1']);
    expect(await namesOf({ AlarmNames: ['b-1', 'missing'] })).toEqual(['b-1']);
    expect(await namesOf({ AlarmNamePrefix: 'a-' })).toEqual(['a-1', 'a-2', 'a-3']);
    expect(await namesOf({ StateValue: 'ALARM' })).toEqual([]);
    expect(await namesOf({ ActionPrefix: 'arn:aws:sns' })).toHaveLength(4);
    expect(await namesOf({ ActionPrefix: 'arn:aws:lambda' })).toEqual([]);
    expect(await namesOf({ AlarmTypes: ['CompositeAlarm'] })).toEqual([]);
    const first = await call(endpoint, 'DescribeAlarms', { MaxRecords: 3 });
    expect(first.json.MetricAlarms).toHaveLength(3);
    expect(await namesOf({ MaxRecords: 3, NextToken: first.json.NextToken })).toEqual(['b-1']);
  });

  test.each([
    ['101 names', { AlarmNames: Array.from({ length: 101 }, (_, index) => `a-${index}`) }, 'ValidationError'],
    ['names and a prefix', { AlarmNames: ['a'], AlarmNamePrefix: 'a' }, 'ValidationError'],
    ['101 records', { MaxRecords: 101 }, 'ValidationError'],
    ['a wrong token', { NextToken: '!' }, 'InvalidNextToken'],
  ])('DescribeAlarms: rejects %s', async (_, input, code) => {
    const endpoint = await startEmpty();
    expect(await call(endpoint, 'DescribeAlarms', input)).toMatchObject({ status: 400, code });
  });

  test('DeleteAlarms: deletes the existing alarms among the names', async () => {
    const endpoint = await startEmpty();
    await putAlarms(endpoint, ['a', 'b']);
    expect(await call(endpoint, 'DeleteAlarms', { AlarmNames: ['a', 'missing'] })).toMatchObject({
      status: 200,
    });
    expect(Object.keys(await statesOf(endpoint))).toEqual(['b']);
  });

  // "the alarm returns to its actual state" at the next evaluation.
  test('SetAlarmState: changes the state until the next evaluation', async () => {
    const endpoint = await startEmpty();
    await putAlarms(endpoint, ['a']);
    await call(endpoint, 'SetAlarmState', { AlarmName: 'a', StateValue: 'ALARM', StateReason: 'drill' });
    expect(await describeAlarms(endpoint)).toMatchObject([{ StateValue: 'ALARM', StateReason: 'drill' }]);
    now += MINUTE;
    expect(await statesOf(endpoint)).toEqual({ a: 'OK' });
    const unknown = { AlarmName: 'b', StateValue: 'ALARM', StateReason: 'drill' };
    expect(await call(endpoint, 'SetAlarmState', unknown)).toMatchObject({
      status: 404,
      code: 'ResourceNotFound',
    });
  });

  test('DisableAlarmActions and EnableAlarmActions: change ActionsEnabled', async () => {
    const endpoint = await startEmpty();
    await putAlarms(endpoint, ['a', 'b']);
    const enabled = async () => (await describeAlarms(endpoint)).map(({ ActionsEnabled }) => ActionsEnabled);
    await call(endpoint, 'DisableAlarmActions', { AlarmNames: ['a'] });
    expect(await enabled()).toEqual([false, true]);
    await call(endpoint, 'EnableAlarmActions', { AlarmNames: ['a'] });
    expect(await enabled()).toEqual([true, true]);
  });

  test('TagResource and UntagResource: change the tags of an alarm', async () => {
    const endpoint = await startEmpty();
    await putAlarms(endpoint, ['a']);
    const ResourceARN = `${ALARM_ARN}:a`;
    const tags = async () => (await call(endpoint, 'ListTagsForResource', { ResourceARN })).json.Tags;
    await call(endpoint, 'TagResource', {
      ResourceARN,
      Tags: [
        { Key: 'team', Value: 'tax' },
        { Key: 'tier', Value: '1' },
      ],
    });
    await call(endpoint, 'TagResource', { ResourceARN, Tags: [{ Key: 'team', Value: 'hr' }] });
    expect(await tags()).toEqual([
      { Key: 'team', Value: 'hr' },
      { Key: 'tier', Value: '1' },
    ]);
    await call(endpoint, 'UntagResource', { ResourceARN, TagKeys: ['team'] });
    expect(await tags()).toEqual([{ Key: 'tier', Value: '1' }]);
    const missing = await call(endpoint, 'ListTagsForResource', { ResourceARN: `${ALARM_ARN}:missing` });
    expect(missing).toMatchObject({ status: 404, code: 'ResourceNotFoundException' });
  });

  test('alarms: each account and Region has its own', async () => {
    const endpoint = await startEmpty();
    await putAlarms(endpoint, ['a']);
    expect(await statesOf(endpoint, 'us-west-2')).toEqual({});
    const other = await callCloudWatch(endpoint, 'DescribeAlarms', {}, '444455556666');
    expect(other.json.MetricAlarms).toEqual([]);
  });
});

describe('notifications of alarms', () => {
  /** Returns an evaluator of one alarm on the metric `Pages`, and the messages that it publishes. */
  function evaluatorOf(configuration: Partial<AlarmConfiguration> = {}) {
    const store = createMemoryStore();
    const metricRecorder = createMetricRecorder(store);
    const messages: TopicMessage[] = [];
    const evaluator = createAlarmEvaluator({
      store,
      clock,
      metricsDelayMs: () => 0,
      metricRecorder,
      sampleMetrics: () => {},
      publish: (message) => void messages.push(message),
      onError: () => {},
    });
    const alarm: AlarmState = {
      name: 'pages',
      region: 'us-east-1',
      arn: `${ALARM_ARN}:pages`,
      configuration: {
        Namespace: 'Office',
        MetricName: 'Pages',
        Statistic: 'Sum',
        Period: 60,
        EvaluationPeriods: 1,
        Threshold: 5,
        ComparisonOperator: 'GreaterThanThreshold',
        AlarmActions: [TOPIC],
        OKActions: [TOPIC],
        TreatMissingData: 'notBreaching',
        ...configuration,
      } as AlarmConfiguration,
      configured: TEN,
      state: 'OK',
      reason: '',
      updated: TEN,
      transitioned: TEN,
      tags: new Map(),
    };
    store.account(ACCOUNT).alarms = new Map([['us-east-1/pages', alarm]]);
    const record = (value: number, printer?: string) =>
      metricRecorder.record(
        {
          account: ACCOUNT,
          region: 'us-east-1',
          namespace: 'Office',
          name: 'Pages',
          dimensions: printer === undefined ? [] : [['Printer', printer]],
          unit: 'Count',
        },
        now,
        singleValue(value),
      );
    const transitions = () =>
      messages.map(({ message }) => {
        const { OldStateValue, NewStateValue, AlarmContributorAttributes } = JSON.parse(message);
        return [OldStateValue, NewStateValue, AlarmContributorAttributes?.Printer];
      });
    return { evaluator, alarm, record, messages, transitions };
  }

  // The message has the members of messages that CloudWatch sent to topics.
  test('alarm: publishes each transition once, with the members of a CloudWatch message', () => {
    const { evaluator, record, messages, transitions } = evaluatorOf();
    record(6);
    evaluator.evaluate();
    evaluator.evaluate();
    record(1);
    evaluator.evaluate();
    now += 10 * MINUTE;
    evaluator.evaluate();
    evaluator.stop();
    expect(transitions()).toEqual([
      ['OK', 'ALARM', undefined],
      ['ALARM', 'OK', undefined],
    ]);
    expect(messages[0]).toMatchObject({
      topicArn: TOPIC,
      subject: 'ALARM: "pages" in US East (N. Virginia)',
      sourceArn: `${ALARM_ARN}:pages`,
    });
    expect(JSON.parse(messages[0]?.message ?? '')).toEqual({
      AlarmName: 'pages',
      AlarmDescription: null,
      AWSAccountId: ACCOUNT,
      AlarmConfigurationUpdatedTimestamp: '2026-11-30T10:00:00.000+0000',
      NewStateValue: 'ALARM',
      NewStateReason:
        'Threshold Crossed: 1 datapoint [6.0 (30/11/26 10:00:00)] was greater than the threshold (5.0).',
      StateChangeTime: '2026-11-30T10:00:00.000+0000',
      Region: 'US East (N. Virginia)',
      AlarmArn: `${ALARM_ARN}:pages`,
      OldStateValue: 'OK',
      OKActions: [TOPIC],
      AlarmActions: [TOPIC],
      InsufficientDataActions: [],
      Trigger: {
        MetricName: 'Pages',
        Namespace: 'Office',
        StatisticType: 'Statistic',
        Statistic: 'SUM',
        Unit: null,
        Dimensions: [],
        Period: 60,
        EvaluationPeriods: 1,
        ComparisonOperator: 'GreaterThanThreshold',
        Threshold: 5,
        TreatMissingData: 'notBreaching',
        EvaluateLowSampleCountPercentile: '',
      },
    });
  });

  test('alarm: publishes nothing while its actions are disabled', () => {
    const { evaluator, record, alarm, messages } = evaluatorOf({ ActionsEnabled: false });
    record(6);
    evaluator.evaluate();
    evaluator.stop();
    expect(alarm.state).toBe('ALARM');
    expect(messages).toEqual([]);
  });

  test('alarm: a gap between two evaluations is evaluated minute by minute', () => {
    const { evaluator, record, alarm, transitions } = evaluatorOf();
    evaluator.evaluate();
    now += 2 * MINUTE;
    record(6);
    evaluator.evaluate();
    now += 30 * MINUTE;
    evaluator.evaluate();
    evaluator.stop();
    expect(transitions()).toEqual([
      ['OK', 'ALARM', undefined],
      ['ALARM', 'OK', undefined],
    ]);
    expect(alarm.transitioned).toBe(TEN + 5 * MINUTE);
  });

  // "SNS notifications: alarm level yes, contributor level yes" (CloudWatch User Guide, "Acting on alarm changes").
  test('alarm: a query with GROUP BY publishes the transitions of the alarm and of each contributor', () => {
    const { Statistic, Namespace, MetricName, Period, ...others } = evaluatorOf().alarm.configuration;
    const { evaluator, record, transitions, alarm } = evaluatorOf();
    alarm.configuration = {
      ...others,
      Metrics: [{ Id: 'a', Expression: 'SELECT SUM(Pages) FROM "Office" GROUP BY Printer', Period: 60 }],
    };
    record(6, 'p1');
    record(1, 'p2');
    evaluator.evaluate();
    now += MINUTE;
    record(7, 'p2');
    evaluator.evaluate();
    now += 2 * MINUTE;
    evaluator.evaluate();
    evaluator.stop();
    expect(transitions()).toEqual([
      ['OK', 'ALARM', 'p1'],
      ['OK', 'ALARM', undefined],
      ['OK', 'ALARM', 'p2'],
      // The last datapoint of p1 has left the evaluation range of 3 minutes.
      ['ALARM', 'OK', 'p1'],
    ]);
  });
});

const awscli = pythonEnvironment('awscli');
const run = promisify(execFile);

describe('AWS CLI', () => {
  test.skipIf(awscli.missing)('AWS CLI: puts and describes an alarm', async () => {
    const endpoint = await startEmpty();
    const aws = async (...args: string[]) => {
      const { stdout } = await run(
        awscli.program('python'),
        ['-m', 'awscli', 'cloudwatch', '--output', 'json', ...args],
        {
          env: {
            PATH: process.env.PATH,
            AWS_ENDPOINT_URL: endpoint,
            AWS_ACCESS_KEY_ID: ACCOUNT,
            AWS_SECRET_ACCESS_KEY: 'test',
            AWS_DEFAULT_REGION: 'us-east-1',
          },
        },
      );
      return stdout === '' ? undefined : JSON.parse(stdout);
    };
    await aws('put-metric-alarm', '--cli-input-json', JSON.stringify({ ...FAILED_ALARM, Threshold: 0.5 }));
    expect(await aws('describe-alarms', '--alarm-names', FAILED_ALARM.AlarmName)).toMatchObject({
      MetricAlarms: [{ ...FAILED_ALARM, Threshold: 0.5, StateValue: 'OK' }],
    });
  });
});
