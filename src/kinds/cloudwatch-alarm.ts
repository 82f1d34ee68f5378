import type {
  ComparisonOperator,
  Dimension,
  MetricAlarm,
  MetricDataQuery,
  PutMetricAlarmInput,
  StandardUnit,
  Statistic,
} from '@aws-sdk/client-cloudwatch';
import { deleteAlarm, describeAlarms, listAlarms, listAlarmTags, putAlarm } from '../aws/alarms.ts';
import { bucketResourceId, locationOfSide, NO_POSITION, positionOfPath } from '../core/ids.ts';
import { AlreadyExistsError, type Kind } from '../core/kind.ts';
import { isRef } from '../core/ref.ts';
import type { Aws, Id, Location, Ref, Resource } from '../core/resource.ts';
import { toSidName } from '../policy/statements.ts';
import { type AlarmType, accountAlarmName, ruleAlarmName } from '../spec/patterns.ts';
import type { BucketReplication, Rule } from '../spec/types.ts';
import { regionOfArn } from '../util/arn.ts';
import { awsCli } from '../util/aws-cli.ts';
import { omitUndefined, toSortedSet } from '../util/canonical-json.ts';
import { ALARM_PRICE_TEXT, QUERY_ALARM_PRICE_TEXT } from '../util/prices.ts';
import { alarmAuditEvents } from './cloudtrail-events.ts';
import { ignoreErrors, ownershipTags, toTagMap } from './helpers.ts';
import { declaredRuleId, ruleIdOrRef } from './s3-replication.ts';
import { alarmScope } from './scopes.ts';

/**
 * An alarm on replication metrics. CloudWatch replaces an alarm as a whole, so the spec has all of its settings: a setting
 * that no spec declares is one that a write removes.
 */
export interface CloudWatchAlarm {
  name: string;
  description?: string;
  actionsEnabled?: boolean;
  /** ARNs, for each state that the alarm enters. */
  alarmActions?: string[];
  okActions?: string[];
  insufficientDataActions?: string[];
  namespace?: string;
  metricName?: string;
  dimensions?: Record<string, string | Ref>;
  statistic?: string;
  extendedStatistic?: string;
  unit?: string;
  /** In seconds. */
  period?: number;
  /** Queries by id, in AWS's form, in place of one metric. */
  metrics?: Record<string, MetricDataQuery>;
  thresholdMetricId?: string;
  evaluationPeriods?: number;
  datapointsToAlarm?: number;
  threshold?: number;
  comparisonOperator?: string;
  treatMissingData?: string;
  evaluateLowSampleCountPercentile?: string;
}

/** More input for `render`; absent for an alarm on all rules. */
interface AlarmContext {
  /** The ID of the rule while no configuration exists. */
  declaredRuleId: string;
}

/** The settings of an alarm in CloudWatch's own form, without its state. */
export type AlarmDoc = Omit<MetricAlarm, StateField>;

const STATE_FIELDS = [
  'StateValue',
  'StateReason',
  'StateReasonData',
  'StateUpdatedTimestamp',
  'StateTransitionedTimestamp',
  'EvaluationState',
  'AlarmConfigurationUpdatedTimestamp',
] as const;
type StateField = (typeof STATE_FIELDS)[number];

/** The members of an alarm and of its queries that `parse` understands. */
const ALARM_ELEMENTS: ReadonlySet<string> = new Set([
  ...['AlarmName', 'AlarmArn', 'AlarmDescription', 'ActionsEnabled'],
  ...['OKActions', 'OKAction', 'AlarmActions', 'AlarmAction'],
  ...['InsufficientDataActions', 'InsufficientDataAction'],
  ...['Namespace', 'MetricName', 'Dimensions', 'Dimension', 'Name', 'Value'],
  ...['Statistic', 'ExtendedStatistic', 'Unit', 'Period', 'Metrics', 'Metric', 'ThresholdMetricId'],
  ...['EvaluationPeriods', 'DatapointsToAlarm', 'Threshold', 'ComparisonOperator', 'TreatMissingData'],
  'EvaluateLowSampleCountPercentile',
  ...['Id', 'Expression', 'Label', 'ReturnData', 'MetricStat', 'Stat', 'AccountId'],
]);

export const cloudwatchAlarm: Kind<CloudWatchAlarm, AlarmDoc, object> = {
  name: 'cloudwatch.alarm',
  scope: alarmScope,
  permissions: {
    read: ['cloudwatch:DescribeAlarms', 'cloudwatch:ListTagsForResource'],
    // CloudWatch requires TagResource for an alarm that is created with tags.
    write: ['cloudwatch:PutMetricAlarm', 'cloudwatch:TagResource', 'cloudwatch:DeleteAlarms'],
  },

  desired: ({ pair }) => alarmTypesOf(pair).flatMap((type) => desiredAlarms(pair, type)),

  async fetch(aws, location, name) {
    const alarms = await describeAlarms(aws, location, [name]);
    const alarm = alarms.find(({ AlarmName }) => AlarmName === name);
    return alarm && withoutState(alarm);
  },

  parse: (doc, { name }) => ({
    spec: {
      name,
      description: doc.AlarmDescription ?? '',
      actionsEnabled: doc.ActionsEnabled ?? true,
      alarmActions: doc.AlarmActions ?? [],
      okActions: doc.OKActions ?? [],
      insufficientDataActions: doc.InsufficientDataActions ?? [],
      ...(doc.Metrics?.length ? { metrics: toQueriesById(doc.Metrics) } : metricOf(doc)),
      ...omitUndefined({
        evaluationPeriods: doc.EvaluationPeriods,
        datapointsToAlarm: doc.DatapointsToAlarm ?? doc.EvaluationPeriods,
        threshold: doc.Threshold,
        thresholdMetricId: doc.ThresholdMetricId,
        comparisonOperator: doc.ComparisonOperator,
        evaluateLowSampleCountPercentile: doc.EvaluateLowSampleCountPercentile,
      }),
      treatMissingData: doc.TreatMissingData ?? 'missing',
    },
    attrs: { arn: doc.AlarmArn ?? '' },
    // Nothing is foreign, but a change since the plan is not overwritten: the alarm is read again before a write.
    foreign: {},
  }),

  normalize: (spec) =>
    omitUndefined({
      ...spec,
      alarmActions: spec.alarmActions && toSortedSet(spec.alarmActions),
      okActions: spec.okActions && toSortedSet(spec.okActions),
      insufficientDataActions: spec.insufficientDataActions && toSortedSet(spec.insufficientDataActions),
    }),

  render({ spec, orphaned, context }, current) {
    if (orphaned) return undefined;
    return omitUndefined({
      AlarmName: spec.name,
      AlarmArn: current?.attrs.arn,
      AlarmDescription: spec.description,
      ActionsEnabled: spec.actionsEnabled,
      AlarmActions: spec.alarmActions,
      OKActions: spec.okActions,
      InsufficientDataActions: spec.insufficientDataActions,
      Namespace: spec.namespace,
      MetricName: spec.metricName,
      Dimensions: spec.dimensions && dimensionListOf(spec.dimensions, context as AlarmContext | undefined),
      Statistic: spec.statistic as Statistic | undefined,
      ExtendedStatistic: spec.extendedStatistic,
      Unit: spec.unit as StandardUnit | undefined,
      Period: spec.period,
      Metrics: spec.metrics && Object.values(spec.metrics),
      ThresholdMetricId: spec.thresholdMetricId,
      EvaluationPeriods: spec.evaluationPeriods,
      DatapointsToAlarm: spec.datapointsToAlarm,
      Threshold: spec.threshold,
      ComparisonOperator: spec.comparisonOperator as ComparisonOperator | undefined,
      TreatMissingData: spec.treatMissingData,
      EvaluateLowSampleCountPercentile: spec.evaluateLowSampleCountPercentile,
    });
  },

  operations({ doc, resource: { name, location } }) {
    if (!doc) return [{ call: 'cloudwatch:DeleteAlarms' }];
    const input = toInput(doc);
    const command = awsCli('cloudwatch put-metric-alarm', {
      region: location.region,
      'cli-input-json': input,
    });
    const what = `create the alarm ${name} in ${location.region}`;
    return [{ call: 'cloudwatch:PutMetricAlarm', manual: { what, document: input, command } }];
  },

  async send(aws, { resource, current, doc }) {
    if (!doc) return;
    const { location, name, declaredBy } = resource;
    // PutMetricAlarm replaces an alarm that another caller has created since it was read.
    if (!current && (await cloudwatchAlarm.fetch(aws, location, name))) throw new AlreadyExistsError();
    await putAlarm(aws, location, {
      ...toInput(doc),
      ...(current ? {} : { Tags: ownershipTags(declaredBy) }),
    });
  },

  async remove(aws, { location, name }) {
    await ignoreErrors(deleteAlarm(aws, location, name), 'ResourceNotFound', 'ResourceNotFoundException');
  },

  response: { replacesWholeDocument: true, elements: ALARM_ELEMENTS },

  explain(path, { metricName, metrics }) {
    const isOnRule = metricName !== undefined;
    if (path !== '') return 'the alarm differs from the spec, and CloudWatch replaces it as a whole';
    const isLate = JSON.stringify(metrics ?? metricName).includes(LATENCY);
    const subject = isOnRule ? 'the rule' : 'any rule of the account in this Region';
    const price = isOnRule ? ALARM_PRICE_TEXT : QUERY_ALARM_PRICE_TEXT;
    return `notifies when ${isLate ? `${subject} is late` : `an operation of ${subject} fails`}; costs ${price}`;
  },

  async fetchTags(aws, { location }, current) {
    return toTagMap(await listAlarmTags(aws, location, current.attrs.arn ?? ''));
  },

  auditEvents: alarmAuditEvents({
    '': ['DeleteAlarms', 'PutMetricAlarm'],
    '/': ['PutMetricAlarm'],
    '/actionsEnabled': ['DisableAlarmActions', 'EnableAlarmActions', 'PutMetricAlarm'],
  }),
};

/** Returns the id of an alarm. The names of alarms are unique in an account and Region. */
export const alarmResourceId = (name: string, { account, region }: Location): Id =>
  `${cloudwatchAlarm.name}/${name}@${[account, region].filter(Boolean).join('/')}`;

/** The prefix of the names of all alarms that replikey creates. */
const NAME_PREFIX = 'replikey-';

/** Returns the alarms with replikey's names in a location, with their tags, except those that are to be skipped. */
export async function fetchReplikeyAlarms(
  aws: Aws,
  location: Location,
  isSkipped: (name: string) => Promise<boolean>,
): Promise<{ name: string; tags: Record<string, string> }[]> {
  const taggedAlarms: { name: string; tags: Record<string, string> }[] = [];
  for (const { AlarmName: name = '', AlarmArn = '' } of await listAlarms(aws, location, NAME_PREFIX))
    if (!(await isSkipped(name)))
      taggedAlarms.push({ name, tags: toTagMap(await listAlarmTags(aws, location, AlarmArn)) });
  return taggedAlarms;
}

/** Returns an alarm that no spec declares any more, which prune deletes. */
export const orphanedAlarm = (
  name: string,
  location: Location,
  specNames: readonly string[],
): Resource<CloudWatchAlarm> => ({
  id: alarmResourceId(name, location),
  kind: cloudwatchAlarm.name,
  name,
  location,
  spec: { name },
  after: [],
  declaredBy: [...specNames],
  position: NO_POSITION,
  pruneOwners: specNames.map(toSidName),
  orphaned: true,
});

/** Metrics of S3, with the dimensions SourceBucket, DestinationBucket and RuleId; an alarm needs all three. */
const FAILED = 'OperationsFailedReplication';
const LATENCY = 'ReplicationLatency';

/** The period of the metrics in seconds. */
const PERIOD = 300;

/** How an alarm of each type evaluates its metric. */
const EVALUATIONS = {
  failed: {
    metricName: FAILED,
    statistic: 'Sum',
    evaluationPeriods: 1,
    datapointsToAlarm: 1,
    // S3 publishes no datapoint while nothing is replicated. With `ignore`, one failure would keep the alarm for ever.
    treatMissingData: 'notBreaching',
  },
  late: {
    metricName: LATENCY,
    statistic: 'Maximum',
    evaluationPeriods: 3,
    datapointsToAlarm: 3,
    // AWS recommends `ignore` (User Guide, Monitoring progress with replication metrics).
    treatMissingData: 'ignore',
  },
} as const satisfies Record<AlarmType, Partial<CloudWatchAlarm>>;

/** The functions of Metrics Insights for the statistics of the alarms. */
const QUERY_FUNCTIONS = { Sum: 'SUM', Maximum: 'MAX' } as const;

const alarmTypesOf = ({ alarms }: BucketReplication): AlarmType[] => [
  ...(alarms?.failed ? (['failed'] as const) : []),
  ...(alarms?.lateAfterMinutes === undefined ? [] : (['late'] as const)),
];

/**
 * Returns the location of an alarm: the Region in which S3 publishes its metric, with the account of the source
 * (prometheus-community/yet-another-cloudwatch-exporter#1188).
 */
function alarmLocation({ source, destination }: BucketReplication, type: AlarmType): Location {
  return { ...locationOfSide(source), region: type === 'failed' ? source.region : destination.region };
}

function desiredAlarms(pair: BucketReplication, type: AlarmType): Resource<CloudWatchAlarm>[] {
  const { alarms, source, destination } = pair;
  if (!alarms) return [];
  const { statistic, metricName, ...evaluation } = EVALUATIONS[type];
  const location = alarmLocation(pair, type);
  const alarmOf = (
    name: string,
    position: string,
    settings: Omit<CloudWatchAlarm, 'name'>,
  ): Resource<CloudWatchAlarm> => ({
    id: alarmResourceId(name, location),
    kind: cloudwatchAlarm.name,
    name,
    location,
    spec: {
      name,
      actionsEnabled: true,
      alarmActions: alarms.notify.filter((topic) => regionOfArn(topic) === location.region),
      okActions: [],
      insufficientDataActions: [],
      ...evaluation,
      threshold: type === 'failed' ? 0 : (alarms.lateAfterMinutes ?? 0) * 60,
      comparisonOperator: 'GreaterThanThreshold',
      ...settings,
    },
    after: [bucketResourceId('s3.replication', source.bucket)],
    declaredBy: [pair.name],
    position: positionOfPath(pair, position),
  });
  if (alarms.scope === 'account') {
    const description = `S3 replication ${EVENT_TEXTS[type](alarms.lateAfterMinutes)}: a rule of this account. Managed by replikey.`;
    const metrics = { q1: insightsQuery(QUERY_FUNCTIONS[statistic], metricName) };
    return [alarmOf(accountAlarmName(type), 'spec.alarms', { description, metrics })];
  }
  return pair.rules.map((rule, index) => ({
    ...alarmOf(ruleAlarmName(pair.name, rule.name, type), `spec.rules[${index}]`, {
      description: ruleDescription(pair, rule, type),
      namespace: 'AWS/S3',
      metricName,
      statistic,
      period: PERIOD,
      dimensions: {
        SourceBucket: source.bucket,
        DestinationBucket: destination.bucket,
        RuleId: ruleIdOrRef(pair, rule),
      },
    }),
    context: { declaredRuleId: declaredRuleId(pair, rule) } satisfies AlarmContext,
  }));
}

const EVENT_TEXTS: Record<AlarmType, (minutes: number | undefined) => string> = {
  failed: () => 'failed',
  late: (minutes) => `is more than ${minutes} minutes late`,
};

function ruleDescription(
  { name, source, destination, alarms }: BucketReplication,
  rule: Rule,
  type: AlarmType,
) {
  const event = EVENT_TEXTS[type](alarms?.lateAfterMinutes);
  return `S3 replication ${event}: ${source.bucket} to ${destination.bucket}, rule ${rule.name} of the spec ${name}. Find the cause: reconcile doctor --bucket ${source.bucket}. Managed by replikey.`;
}

/** Returns a query over all rules of the account in the Region. Each rule is a contributor of the alarm. */
const insightsQuery = (insightsFunction: string, metricName: string): MetricDataQuery => ({
  Id: 'q1',
  Expression: `SELECT ${insightsFunction}(${metricName}) FROM SCHEMA("AWS/S3", SourceBucket, DestinationBucket, RuleId) GROUP BY SourceBucket, DestinationBucket, RuleId`,
  Period: PERIOD,
  ReturnData: true,
});

function withoutState(alarm: MetricAlarm): AlarmDoc {
  return Object.fromEntries(
    Object.entries(alarm).filter(([name]) => !(STATE_FIELDS as readonly string[]).includes(name)),
  );
}

const metricOf = (doc: AlarmDoc): Partial<CloudWatchAlarm> =>
  omitUndefined({
    namespace: doc.Namespace,
    metricName: doc.MetricName,
    dimensions: Object.fromEntries((doc.Dimensions ?? []).map(({ Name = '', Value = '' }) => [Name, Value])),
    statistic: doc.Statistic,
    extendedStatistic: doc.ExtendedStatistic,
    unit: doc.Unit,
    period: doc.Period,
  });

/** Returns queries by id, with the defaults that CloudWatch fills in. */
const toQueriesById = (queries: readonly MetricDataQuery[]): Record<string, MetricDataQuery> =>
  Object.fromEntries(queries.map((query) => [query.Id ?? '', { ReturnData: true, ...omitUndefined(query) }]));

function dimensionListOf(dimensions: Record<string, string | Ref>, context?: AlarmContext): Dimension[] {
  // A reference stays until the configuration exists: then the rule has its declared ID.
  return Object.entries(dimensions).map(([Name, value]) => ({
    Name,
    Value: isRef(value) ? (context?.declaredRuleId ?? '') : value,
  }));
}

/** Returns the input that creates or replaces an alarm. */
function toInput({ AlarmArn: _, ...doc }: AlarmDoc): PutMetricAlarmInput {
  return doc as PutMetricAlarmInput;
}
