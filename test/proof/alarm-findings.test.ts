import type { MetricAlarm } from '@aws-sdk/client-cloudwatch';
import { describe, expect, test } from 'vitest';
import {
  type AlarmedRule,
  alarmFindings,
  type LocatedAlarms,
  rulesWithoutAlarm,
  type TopicsByArn,
  topicsOfAlarms,
} from '../../src/proof/alarm-findings.ts';

const EAST = 'us-east-1';
const WEST = 'us-west-2';
const TOPIC = 'arn:aws:sns:us-east-1:111122223333:replication';
const WEST_TOPIC = TOPIC.replace(EAST, WEST);
const ID = 'replikey/tax/tax';

const RULE: AlarmedRule = {
  id: ID,
  source: { bucket: 'acme-tax', region: EAST },
  destination: { bucket: 'acme-tax-replica', region: WEST },
  hasMetrics: true,
};
const OTHER_RULE: AlarmedRule = {
  ...RULE,
  id: 'books',
  destination: { bucket: 'acme-books', region: 'eu-west-1' },
};

/**
 * The policy that SNS gives to a new topic (SNS Developer Guide, "Example cases for Amazon SNS access control"). It permits
 * alarms of the same account by aws:SourceOwner.
 */
const DEFAULT_POLICY = {
  Version: '2008-10-17',
  Id: '__default_policy_ID',
  Statement: {
    Sid: '__default_statement_ID',
    Effect: 'Allow' as const,
    Principal: { AWS: '*' },
    Action: ['SNS:GetTopicAttributes', 'SNS:Subscribe', 'SNS:Publish'],
    Resource: TOPIC,
    Condition: { StringEquals: { 'AWS:SourceOwner': '111122223333' } },
  },
};
const TOPICS: TopicsByArn = { [TOPIC]: { policy: DEFAULT_POLICY } };

/** An alarm that works: the dimensions and the Region of the four repositories that aws-facts-operations.md 2.2 cites. */
const FAILED: MetricAlarm = {
  AlarmName: 'failed',
  AlarmArn: 'arn:aws:cloudwatch:us-east-1:111122223333:alarm:failed',
  ActionsEnabled: true,
  AlarmActions: [TOPIC],
  Namespace: 'AWS/S3',
  MetricName: 'OperationsFailedReplication',
  Dimensions: [
    { Name: 'SourceBucket', Value: 'acme-tax' },
    { Name: 'DestinationBucket', Value: 'acme-tax-replica' },
    { Name: 'RuleId', Value: ID },
  ],
  Statistic: 'Sum',
  Period: 300,
  EvaluationPeriods: 1,
  Threshold: 0,
  ComparisonOperator: 'GreaterThanThreshold',
  TreatMissingData: 'notBreaching',
};
const LATE: MetricAlarm = {
  ...FAILED,
  MetricName: 'ReplicationLatency',
  Statistic: 'Maximum',
  Threshold: 900,
};
const dimensions = (values: Record<string, string>) => ({
  Dimensions: Object.entries(values).map(([Name, Value]) => ({ Name, Value })),
});
const withDimension = (name: string, value: string) => ({
  Dimensions: FAILED.Dimensions?.map((dimension) =>
    dimension.Name === name ? { Name: name, Value: value } : dimension,
  ),
});
/** An alarm with a query of Metrics Insights in place of a metric. */
const queryAlarm = (Expression: string): MetricAlarm => {
  const { MetricName: _, Namespace: __, Dimensions: ___, Statistic: ____, Period: _____, ...rest } = FAILED;
  return { ...rest, Metrics: [{ Id: 'q1', Expression, Period: 300 }] };
};

const located = (alarm: MetricAlarm, region = EAST): LocatedAlarms[] => [
  { location: { region }, alarms: [alarm] },
];
const findings = (alarm: MetricAlarm, region = EAST, topics = TOPICS, rules = [RULE, OTHER_RULE]) =>
  alarmFindings(rules, located(alarm, region), topics).map(
    ({ bucket, rule, finding: { code, message } }) => `${bucket} ${rule ?? '-'} ${code} ${message}`,
  );

describe('alarms that can never fire', () => {
  test.each<[title: string, alarm: MetricAlarm, region?: string]>([
    ['on failed operations, in the Region of the source', FAILED],
    [
      'on latency, in the Region of the destination',
      { ...LATE, AlarmArn: LATE.AlarmArn?.replace(EAST, WEST), AlarmActions: [WEST_TOPIC] },
      WEST,
    ],
    ['with the unit of the metric', { ...FAILED, Unit: 'Count' }],
    ['on the rate of failed operations', { ...FAILED, Statistic: 'Average', Threshold: 0.5 }],
    [
      'with a query over all rules',
      queryAlarm(
        'SELECT SUM(OperationsFailedReplication) FROM SCHEMA("AWS/S3", SourceBucket, DestinationBucket, RuleId) GROUP BY RuleId',
      ),
    ],
    ['with a query over the namespace', queryAlarm('SELECT MAX(ReplicationLatency) FROM "AWS/S3"')],
    ['on another bucket', { ...FAILED, ...dimensions({ BucketName: 'other' }) }],
    [
      'on another metric',
      { ...FAILED, MetricName: 'NumberOfObjects', ...dimensions({ BucketName: 'acme-tax' }) },
    ],
  ])('no finding about an alarm %s', (_, alarm, region) => {
    expect(findings(alarm, region)).toEqual([]);
  });

  // Both occur in public code (aws-facts-operations.md 2.2): BucketName, and no DestinationBucket.
  test.each<[title: string, change: Partial<MetricAlarm>, reason: RegExp, region?: string]>([
    [
      'BucketName instead of the three dimensions',
      dimensions({ BucketName: 'acme-tax' }),
      /it lacks the dimensions SourceBucket, DestinationBucket and RuleId; the metric does not have the dimension BucketName/,
    ],
    [
      'no DestinationBucket',
      dimensions({ SourceBucket: 'acme-tax', RuleId: ID }),
      /it lacks the dimension DestinationBucket; S3 publishes OperationsFailedReplication in us-east-1, with SourceBucket=acme-tax, DestinationBucket=acme-tax-replica and RuleId=replikey\/tax\/tax$/,
    ],
    ['no dimension', dimensions({}), /it lacks the dimensions SourceBucket/],
    [
      'the ARN of the source',
      withDimension('SourceBucket', 'arn:aws:s3:::acme-tax'),
      /its SourceBucket is an ARN/,
    ],
    [
      'the ARN of the destination',
      withDimension('DestinationBucket', 'arn:aws:s3:::acme-tax-replica'),
      /its DestinationBucket is an ARN/,
    ],
    ['an unknown rule', withDimension('RuleId', 'tax'), /acme-tax has no rule with the ID tax/],
    [
      'the destination of another rule',
      withDimension('DestinationBucket', 'acme-books'),
      /the rule replikey\/tax\/tax replicates to acme-tax-replica, not to acme-books/,
    ],
    [
      'a former rule and a former destination',
      dimensions({ SourceBucket: 'acme-tax', DestinationBucket: 'acme-old', RuleId: 'old' }),
      /no rule with the ID old; no rule of acme-tax replicates to acme-old/,
    ],
    [
      'the Region of the destination',
      {},
      /it is in us-west-2, and OperationsFailedReplication in us-east-1/,
      WEST,
    ],
    [
      'latency in the Region of the source',
      { MetricName: 'ReplicationLatency' },
      /it is in us-east-1, and ReplicationLatency in us-west-2/,
    ],
    [
      'pending bytes in the Region of the source',
      { MetricName: 'BytesPendingReplication' },
      /it is in us-east-1, and BytesPendingReplication in us-west-2/,
    ],
    ['another namespace', { Namespace: 'AWS/S3/Replication' }, /its namespace is AWS\/S3\/Replication/],
    ['another unit', { Unit: 'Percent' }, /its unit is Percent, and that of the metric Count/],
    // "Average" of the metric is the failure rate (S3 User Guide, "Metrics and dimensions").
    [
      'an average above the rate',
      { Statistic: 'Average', Threshold: 5 },
      /Average of OperationsFailedReplication is between 0 and 1, so it is never greater than 5/,
    ],
    [
      'a negative sum',
      { ComparisonOperator: 'LessThanThreshold', Threshold: 0 },
      /Sum of OperationsFailedReplication is at least 0, so it is never less than 0/,
    ],
  ])('RK1501: %s', (_, change, reason, region) => {
    const [text = '', ...others] = findings({ ...FAILED, ...change }, region).filter((line) =>
      line.includes('RK1501'),
    );
    expect(text).toMatch(reason);
    expect(text).toMatch(/^acme-tax \S+ RK1501 the alarm failed in us-(east-1|west-2) can never fire: /);
    expect(others).toEqual([]);
  });

  test('RK1501: metrics of a metric math alarm, and a query with other dimensions', () => {
    const Metric = { Namespace: 'AWS/S3', MetricName: 'ReplicationLatency', ...dimensions({ RuleId: ID }) };
    const math = {
      ...queryAlarm('m1 / 60'),
      Metrics: [
        { Id: 'e1', Expression: 'm1 / 60' },
        { Id: 'm1', MetricStat: { Metric, Period: 300, Stat: 'Maximum' }, ReturnData: false },
      ],
    };
    expect(findings(math).join()).toMatch(/lacks the dimensions SourceBucket and DestinationBucket/);
    expect(
      findings(
        queryAlarm('SELECT MAX(ReplicationLatency) FROM SCHEMA("AWS/S3", SourceBucket, RuleId)'),
      ).join(),
    ).toMatch(/acme-tax - RK1501 .*lacks the dimension DestinationBucket/);
  });

  test('RK1501: a rule without replication metrics', () => {
    expect(findings(FAILED, EAST, TOPICS, [{ ...RULE, hasMetrics: false }]).join()).toMatch(
      /the rule replikey\/tax\/tax has no replication metrics/,
    );
  });

  test('RK1501: an alarm that treats missing data as breaching is always in ALARM', () => {
    const alarm = { ...FAILED, TreatMissingData: 'breaching', ...dimensions({ BucketName: 'acme-tax' }) };
    expect(findings(alarm).join()).toMatch(/is always in ALARM, because its metric has no data: it lacks/);
  });

  test('a destination whose Region is unknown: no finding about the Region', () => {
    const unread = { ...RULE, destination: { bucket: 'acme-tax-replica' } };
    expect(findings({ ...LATE, AlarmActions: [TOPIC] }, EAST, TOPICS, [unread])).toEqual([]);
  });
});

describe('alarms that notify no topic', () => {
  test.each<[title: string, alarm: Partial<MetricAlarm>, topics: TopicsByArn, reason: RegExp]>([
    ['disabled actions', { ActionsEnabled: false }, TOPICS, /its actions are disabled/],
    ['no action', { AlarmActions: [] }, TOPICS, /no action for the state ALARM/],
    ['a deleted topic', {}, { [TOPIC]: null }, /the topic \S+ does not exist/],
    [
      'a policy for S3 only',
      {},
      {
        [TOPIC]: {
          policy: {
            Statement: {
              Effect: 'Allow',
              Principal: { Service: 's3.amazonaws.com' },
              Action: 'SNS:Publish',
              Resource: TOPIC,
            },
          },
        },
      },
      /CloudWatch cannot publish to the topic \S+: its policy does not allow sns:Publish/,
    ],
    [
      'a Deny',
      {},
      {
        [TOPIC]: {
          policy: {
            Statement: [
              DEFAULT_POLICY.Statement,
              { Sid: 'No', Effect: 'Deny', Principal: '*', Action: 'SNS:Publish', Resource: '*' },
            ],
          },
        },
      },
      /its policy denies sns:Publish .*\(No\)/,
    ],
    [
      'the default policy of another account',
      { AlarmArn: FAILED.AlarmArn?.replace('111122223333', '444455556666') },
      TOPICS,
      /its policy does not allow sns:Publish .*AWS:SourceOwner/,
    ],
    // A service cannot use the key that AWS manages (SNS Developer Guide, "Enable compatibility between event sources").
    [
      'the key that AWS manages',
      {},
      { [TOPIC]: { policy: DEFAULT_POLICY, kmsKey: 'alias/aws/sns' } },
      /encrypted under alias\/aws\/sns/,
    ],
  ])('RK1502: %s', (_, change, topics, reason) => {
    const texts = findings({ ...FAILED, ...change }, EAST, topics);
    expect(texts).toEqual([
      expect.stringMatching(/^acme-tax replikey\/tax\/tax RK1502 the alarm failed in us-east-1: /),
    ]);
    expect(texts.join()).toMatch(reason);
  });

  test('a topic that cannot be read, or whose policy depends on an unknown value: no finding', () => {
    const conditional = {
      ...DEFAULT_POLICY.Statement,
      Condition: { StringEquals: { 'aws:PrincipalOrgID': 'o-1' } },
    };
    expect(findings(FAILED, EAST, { [TOPIC]: { unread: 'denied' } })).toEqual([]);
    expect(findings(FAILED, EAST, { [TOPIC]: { policy: { Statement: conditional } } })).toEqual([]);
  });

  test('topics to read: only those of alarms on the rules', () => {
    const other = { ...FAILED, ...dimensions({ BucketName: 'other' }), AlarmActions: [WEST_TOPIC] };
    const lambda = 'arn:aws:lambda:us-east-1:111122223333:function:page';
    const alarms = [{ ...FAILED, AlarmActions: [TOPIC, lambda] }, other];
    expect(topicsOfAlarms([RULE], [{ location: { region: EAST }, alarms }])).toEqual([TOPIC]);
  });
});

test('RK1503: alarms that cannot be read are reported, and do not count as none', () => {
  const unread = [{ location: { region: EAST }, alarms: { unread: 'AccessDenied' } }];
  expect(alarmFindings([RULE], unread, {})).toMatchObject([
    {
      bucket: 'acme-tax',
      finding: { code: 'RK1503', message: expect.stringMatching(/us-east-1 cannot be read.*AccessDenied/) },
    },
  ]);
});

describe('rulesWithoutAlarm', () => {
  const missing = (alarms: LocatedAlarms['alarms'], region = EAST, rule = RULE): string[] =>
    rulesWithoutAlarm(
      [rule],
      [
        { location: { region }, alarms },
        ...(region === EAST ? [] : [{ location: { region: EAST }, alarms: [] }]),
      ],
    ).map(({ id }) => id);

  test('an alarm on the failed operations of the rule: none', () => {
    expect(missing([FAILED])).toEqual([]);
  });

  test('no alarm, one on another metric, on another bucket and on another rule: the rule', () => {
    const other = { Dimensions: [{ Name: 'SourceBucket', Value: 'other' }] };
    const otherRule = {
      Dimensions: FAILED.Dimensions?.map((one) => (one.Name === 'RuleId' ? { ...one, Value: 'books' } : one)),
    };
    for (const alarms of [
      [],
      [{ ...FAILED, MetricName: 'ReplicationLatency' }],
      [{ ...FAILED, ...other }],
      [{ ...FAILED, ...otherRule }],
    ])
      expect(missing(alarms as MetricAlarm[])).toEqual([ID]);
  });

  test('a query over all rules counts only in the Region of the source, where S3 publishes the failures', () => {
    const query = {
      AlarmName: 'any',
      Metrics: [
        {
          Id: 'a',
          Expression:
            'SELECT SUM(OperationsFailedReplication) FROM SCHEMA("AWS/S3", SourceBucket, DestinationBucket, RuleId)',
        },
      ],
    };
    expect(missing([query])).toEqual([]);
    expect(missing([query], WEST)).toEqual([ID]);
  });

  test('alarms that cannot be read, and a rule without metrics: none, because they have findings', () => {
    expect(missing({ unread: 'AccessDenied' })).toEqual([]);
    expect(missing([], EAST, { ...RULE, hasMetrics: false })).toEqual([]);
  });
});
