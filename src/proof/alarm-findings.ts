import type { MetricAlarm } from '@aws-sdk/client-cloudwatch';
import { type Fact, factValue, isUnread } from '../core/facts.ts';
import type { Location } from '../core/resource.ts';
import { accountOfArn } from '../iam/context.ts';
import type { Policy } from '../iam/types.ts';
import { regionOfArn } from '../util/arn.ts';
import { decide } from './decide.ts';
import { createFinding, type Finding } from './findings.ts';

/** The metric alarms of one location. */
export interface LocatedAlarms {
  location: Location;
  alarms: Fact<MetricAlarm[]>;
}

export interface TopicFacts {
  policy?: Policy;
  /** Id, ARN or alias of the key that encrypts its messages. */
  kmsKey?: string;
}

/** Topics by ARN. Null: the topic does not exist. */
export type TopicsByArn = Readonly<Record<string, Fact<TopicFacts>>>;

/** A rule, with what its metrics depend on. */
export interface AlarmedRule {
  /** ID of the rule in S3. */
  id: string;
  source: { bucket: string; region: string };
  /** Without the Region, if it is not known. */
  destination: { bucket: string; region?: string };
  hasMetrics: boolean;
}

/** A finding, with the bucket and the rule that it concerns. */
export interface AlarmFinding {
  bucket: string;
  /** ID; absent: no single rule. */
  rule?: string;
  finding: Finding;
}

/**
 * The metrics of a rule: the side whose Region has them, their unit, and the largest value of a single datapoint.
 *
 * The Regions are those that users observed (prometheus-community/yet-another-cloudwatch-exporter#1188). Units, and the
 * average of the failed operations as their rate: S3 User Guide, "Metrics and dimensions".
 */
const METRIC_TRAITS: Readonly<Record<string, { side: 'source' | 'destination'; unit: string; max: number }>> =
  {
    OperationsFailedReplication: { side: 'source', unit: 'Count', max: 1 },
    ReplicationLatency: { side: 'destination', unit: 'Seconds', max: Number.POSITIVE_INFINITY },
    BytesPendingReplication: { side: 'destination', unit: 'Bytes', max: Number.POSITIVE_INFINITY },
    OperationsPendingReplication: { side: 'destination', unit: 'Count', max: Number.POSITIVE_INFINITY },
  };

const METRIC_NAMESPACE = 'AWS/S3';
const DIMENSIONS = ['SourceBucket', 'DestinationBucket', 'RuleId'] as const;

/** One metric that an alarm watches. */
interface WatchedMetric {
  name: string;
  namespace: string;
  dimensions: Readonly<Record<string, string>>;
  statistic: string;
  unit?: string | undefined;
  /** Names in the schema of a query of Metrics Insights, in place of values. */
  query?: true;
}

/** Returns the ARNs of the topics of the alarms on the metrics of some rules. */
export const topicsOfAlarms = (
  rules: readonly AlarmedRule[],
  locations: readonly LocatedAlarms[],
): string[] =>
  locations
    .flatMap(({ alarms }) => factValue(alarms) ?? [])
    .filter((alarm) => watchedMetricsOf(alarm).some((metric) => rulesOfMetric(metric, rules).length > 0))
    .flatMap(({ AlarmActions = [] }) => AlarmActions.filter(isTopic));

const isTopic = (arn: string): boolean => arn.split(':')[2] === 'sns';

/**
 * Returns findings about the alarms on the replication metrics of some buckets: those that can never fire, and those
 * whose notification reaches no topic. Pure.
 *
 * @param rules all rules of these buckets
 */
export function alarmFindings(
  rules: readonly AlarmedRule[],
  locations: readonly LocatedAlarms[],
  topics: TopicsByArn,
): AlarmFinding[] {
  return locations.flatMap(({ location: { region }, alarms }) => {
    const [first] = rules;
    if (isUnread(alarms) && first) {
      const message = `the alarms in ${region} cannot be read, so alarms that can never fire stay unnoticed: ${alarms.unread}`;
      return [{ bucket: first.source.bucket, finding: createFinding('RK1503', message) }];
    }
    return (factValue(alarms) ?? []).flatMap((alarm) => findingsOfAlarm(alarm, region, rules, topics));
  });
}

/**
 * Returns the rules with metrics whose failed operations no alarm watches. An alarm that can never fire counts: it has a
 * finding of its own. Rules whose alarms could not be read are omitted. Pure.
 *
 * @param rules all rules of some buckets
 */
export function rulesWithoutAlarm(
  rules: readonly AlarmedRule[],
  locations: readonly LocatedAlarms[],
): AlarmedRule[] {
  const watched = locations.flatMap(({ location: { region }, alarms }) =>
    (factValue(alarms) ?? [])
      .flatMap(watchedMetricsOf)
      .filter(({ name }) => name === 'OperationsFailedReplication')
      .flatMap((metric) => {
        const { RuleId: id } = metric.dimensions;
        return rulesOfMetric(metric, rules).filter((rule) =>
          // A query reads the metrics of its Region. An alarm on one metric in another Region has a finding.
          metric.query ? region === rule.source.region : id === undefined || id === rule.id,
        );
      }),
  );
  return rules.filter((rule) => {
    // S3 publishes the failed operations in the Region of the source.
    const source = locations.find(({ location }) => location.region === rule.source.region);
    return rule.hasMetrics && source !== undefined && !isUnread(source.alarms) && !watched.includes(rule);
  });
}

function findingsOfAlarm(
  alarm: MetricAlarm,
  region: string,
  allRules: readonly AlarmedRule[],
  topics: TopicsByArn,
): AlarmFinding[] {
  const watched = watchedMetricsOf(alarm).flatMap((metric) => {
    const rules = rulesOfMetric(metric, allRules);
    return rules.length > 0 ? [{ metric, rules }] : [];
  });
  const [first] = watched;
  if (!first) return [];
  const subject = `the alarm ${alarm.AlarmName} in ${region}`;
  const { bucket } = first.rules[0]?.source ?? { bucket: '' };
  const rule = first.rules.find(({ id }) => id === first.metric.dimensions.RuleId)?.id;
  const about = { bucket, ...(rule === undefined ? {} : { rule }) };
  const problems = watched.flatMap(({ metric, rules }) => [
    ...dataProblems(metric, region, rules),
    ...thresholdProblems(alarm, metric),
  ]);
  const silent = notificationProblems(alarm, topics);
  return [
    ...(problems.length > 0
      ? [{ ...about, finding: createFinding('RK1501', neverFiresText(alarm, subject, problems, first)) }]
      : []),
    ...silent.map((problem) => ({ ...about, finding: createFinding('RK1502', `${subject}: ${problem}`) })),
  ];
}

function neverFiresText(
  { TreatMissingData }: MetricAlarm,
  subject: string,
  problems: readonly string[],
  { metric, rules }: { metric: WatchedMetric; rules: readonly AlarmedRule[] },
): string {
  const effect =
    TreatMissingData === 'breaching'
      ? 'is always in ALARM, because its metric has no data'
      : 'can never fire';
  const rule = rules.find(({ id }) => id === metric.dimensions.RuleId) ?? rules[0];
  const side = METRIC_TRAITS[metric.name]?.side ?? 'source';
  const expected = rule
    ? `; S3 publishes ${metric.name} in ${rule[side].region ?? 'the Region of the destination'}, with SourceBucket=${rule.source.bucket}, DestinationBucket=${rule.destination.bucket} and RuleId=${rule.id}`
    : '';
  return `${subject} ${effect}: ${[...new Set(problems)].join('; ')}${expected}`;
}

function watchedMetricsOf(alarm: MetricAlarm): WatchedMetric[] {
  const single = alarm.MetricName === undefined ? [] : [{ ...alarm, Stat: statisticOf(alarm) }];
  const queries = alarm.Metrics ?? [];
  const stats = queries.flatMap(({ MetricStat }) =>
    MetricStat?.Metric ? [{ ...MetricStat.Metric, Stat: MetricStat.Stat, Unit: MetricStat.Unit }] : [],
  );
  return [
    ...[...single, ...stats]
      .filter(({ MetricName = '' }) => MetricName in METRIC_TRAITS)
      .map(
        ({ MetricName = '', Namespace = '', Dimensions = [], Stat = '', Unit }): WatchedMetric => ({
          name: MetricName,
          namespace: Namespace,
          dimensions: Object.fromEntries(Dimensions.map(({ Name = '', Value = '' }) => [Name, Value])),
          statistic: Stat,
          unit: Unit,
        }),
      ),
    ...queries.flatMap(({ Expression = '' }) => queriedMetricOf(Expression) ?? []),
  ];
}

const statisticOf = ({ Statistic, ExtendedStatistic }: MetricAlarm): string =>
  Statistic ?? ExtendedStatistic ?? '';

/** `SELECT MAX(ReplicationLatency) FROM SCHEMA("AWS/S3", SourceBucket, …)`, or `FROM "AWS/S3"` for all dimensions. */
const INSIGHTS_QUERY =
  /^\s*SELECT\s+(\w+)\(\s*"?(\w+)"?\s*\)\s+FROM\s+(?:SCHEMA\(\s*"([^"]+)"\s*((?:,[^,)]+)*)\)|"([^"]+)")/i;

function queriedMetricOf(expression: string): WatchedMetric | undefined {
  const [, statistic = '', name = '', schema, labels = '', namespace] = INSIGHTS_QUERY.exec(expression) ?? [];
  if (!(name in METRIC_TRAITS)) return undefined;
  const names = schema === undefined ? [...DIMENSIONS] : labels.split(',').map((label) => label.trim());
  return {
    name,
    namespace: schema ?? namespace ?? '',
    dimensions: Object.fromEntries(names.filter(Boolean).map((label) => [label, ''])),
    statistic,
    query: true,
  };
}

/** Returns the rules of the bucket that a metric is meant for; none if that is another bucket. */
function rulesOfMetric(
  { dimensions, query }: WatchedMetric,
  rules: readonly AlarmedRule[],
): readonly AlarmedRule[] {
  if (query) return rules;
  const source = dimensions.SourceBucket ?? dimensions.BucketName;
  if (source !== undefined) return rules.filter((rule) => rule.source.bucket === bucketNameIn(source));
  const destination = dimensions.DestinationBucket;
  if (destination !== undefined)
    return rules.filter((rule) => rule.destination.bucket === bucketNameIn(destination));
  return dimensions.RuleId === undefined ? rules : rules.filter(({ id }) => id === dimensions.RuleId);
}

const bucketNameIn = (value: string): string =>
  value.startsWith('arn:') ? (value.split(':').at(-1) ?? '') : value;

/** Returns why the metric of an alarm has no data. */
function dataProblems(metric: WatchedMetric, region: string, rules: readonly AlarmedRule[]): string[] {
  const { name, namespace, dimensions, unit, query } = metric;
  const { side, unit: metricUnit } = METRIC_TRAITS[name] ?? { side: 'source', unit: undefined };
  const names = Object.keys(dimensions);
  const missing = DIMENSIONS.filter((dimension) => !names.includes(dimension));
  const extra = names.filter((dimension) => !(DIMENSIONS as readonly string[]).includes(dimension));
  return [
    ...(namespace === METRIC_NAMESPACE
      ? []
      : [`its namespace is ${namespace}, and that of the metric ${METRIC_NAMESPACE}`]),
    ...(missing.length > 0 ? [`it lacks ${listText('dimension', missing)}`] : []),
    ...(extra.length > 0 ? [`the metric does not have ${listText('dimension', extra)}`] : []),
    ...(query ? [] : valueProblems(dimensions, rules)),
    ...(query ? [] : regionProblems(metric, region, side, rules)),
    ...(unit === undefined || unit === metricUnit
      ? []
      : [`its unit is ${unit}, and that of the metric ${metricUnit}`]),
  ];
}

/** `the dimension RuleId`, `the dimensions DestinationBucket and RuleId` */
const listText = (noun: string, items: readonly string[]): string =>
  `the ${noun}${items.length > 1 ? 's' : ''} ${[items.slice(0, -1).join(', '), ...items.slice(-1)].filter(Boolean).join(' and ')}`;

/** Returns which values of dimensions no metric has. */
function valueProblems(
  dimensions: Readonly<Record<string, string>>,
  rules: readonly AlarmedRule[],
): string[] {
  const { SourceBucket, DestinationBucket, RuleId } = dimensions;
  const arns = (['SourceBucket', 'DestinationBucket'] as const).filter((name) =>
    dimensions[name]?.startsWith('arn:'),
  );
  const bucket = bucketNameIn(SourceBucket ?? rules[0]?.source.bucket ?? '');
  const destination = DestinationBucket && bucketNameIn(DestinationBucket);
  const rule = rules.find(({ id }) => id === RuleId);
  const isKnownDestination = rules.some((other) => other.destination.bucket === destination);
  return [
    ...arns.map((name) => `its ${name} is an ARN, and that of the metric a name`),
    ...(RuleId !== undefined && !rule ? [`${bucket} has no rule with the ID ${RuleId}`] : []),
    ...(rule && destination !== undefined && rule.destination.bucket !== destination
      ? [`the rule ${rule.id} replicates to ${rule.destination.bucket}, not to ${destination}`]
      : []),
    ...(!rule && destination !== undefined && !isKnownDestination
      ? [`no rule of ${bucket} replicates to ${destination}`]
      : []),
    ...(rule && !rule.hasMetrics ? [`the rule ${rule.id} has no replication metrics`] : []),
  ];
}

function regionProblems(
  { name, dimensions }: WatchedMetric,
  region: string,
  side: 'source' | 'destination',
  rules: readonly AlarmedRule[],
): string[] {
  const candidates = rules.filter(
    ({ destination }) =>
      dimensions.DestinationBucket === undefined ||
      destination.bucket === bucketNameIn(dimensions.DestinationBucket),
  );
  const regions = [...new Set(candidates.map((rule) => rule[side].region))];
  if (regions.length === 0 || regions.includes(undefined) || regions.includes(region)) return [];
  return [`it is in ${region}, and ${name} in ${regions.join(' and ')}`];
}

/** Returns why no value of a metric is beyond the threshold of an alarm. */
function thresholdProblems(alarm: MetricAlarm, { name, statistic }: WatchedMetric): string[] {
  const { Threshold: threshold, ComparisonOperator: operator, Metrics = [] } = alarm;
  // The result of an expression may have any value.
  if (threshold === undefined || Metrics.length > 1) return [];
  const isTotal = /^(sum|samplecount|count)$/i.test(statistic);
  const max = isTotal ? Number.POSITIVE_INFINITY : (METRIC_TRAITS[name]?.max ?? Number.POSITIVE_INFINITY);
  const isReachable = {
    GreaterThanThreshold: max > threshold,
    GreaterThanOrEqualToThreshold: max >= threshold,
    LessThanThreshold: threshold > 0,
    LessThanOrEqualToThreshold: threshold >= 0,
  }[operator as string];
  if (isReachable !== false) return [];
  const range = max === Number.POSITIVE_INFINITY ? 'at least 0' : `between 0 and ${max}`;
  return [`${statistic} of ${name} is ${range}, so it is never ${comparisonText(operator)} ${threshold}`];
}

const comparisonText = (operator = ''): string =>
  ({
    GreaterThanThreshold: 'greater than',
    GreaterThanOrEqualToThreshold: 'at least',
    LessThanThreshold: 'less than',
    LessThanOrEqualToThreshold: 'at most',
  })[operator] ?? operator;

/** Returns why an alarm that fires notifies nothing. */
function notificationProblems(alarm: MetricAlarm, topics: TopicsByArn): string[] {
  const { ActionsEnabled, AlarmActions = [], AlarmArn = '' } = alarm;
  if (ActionsEnabled === false)
    return ['its actions are disabled; enable them with aws cloudwatch enable-alarm-actions'];
  if (AlarmActions.length === 0)
    return [
      'it has no action for the state ALARM, so only a composite alarm or an EventBridge rule can notice it',
    ];
  return AlarmActions.filter(isTopic).flatMap((arn) => topicProblem(arn, topics[arn], AlarmArn) ?? []);
}

/** Returns why CloudWatch cannot publish to a topic; undefined if it can, or if that is not known. */
export function topicProblem(
  arn: string,
  topic: Fact<TopicFacts> | undefined,
  alarmArn: string,
): string | undefined {
  if (topic === null) return `the topic ${arn} does not exist`;
  const alarmRegion = regionOfArn(alarmArn);
  if (alarmRegion !== '' && regionOfArn(arn) !== alarmRegion)
    return `the topic ${arn} is not in ${alarmRegion}`;
  const facts = factValue(topic);
  if (!facts) return undefined;
  if (/(^|:)alias\/aws\/sns$/.test(facts.kmsKey ?? ''))
    return `the topic ${arn} is encrypted under alias/aws/sns, whose policy does not permit CloudWatch; use a customer managed key`;
  const account = accountOfArn(arn);
  const decision = decide(
    {
      principal: 'cloudwatch.amazonaws.com',
      action: 'sns:Publish',
      resource: arn,
      resourceAccount: account,
      context: {
        // The default policy of a topic permits its own account by aws:SourceOwner.
        'aws:SourceOwner': accountOfArn(alarmArn),
        'aws:SourceAccount': accountOfArn(alarmArn),
        'aws:SourceArn': alarmArn,
      },
    },
    { resource: { name: 'its policy', policy: facts.policy ?? { Statement: [] } } },
  );
  if ('undecided' in decision || decision.allowed) return undefined;
  return `CloudWatch cannot publish to the topic ${arn}: ${decision.reason}`;
}

/** Returns that a topic could not be read, if so: whether CloudWatch can publish to it is unknown. */
export const unreadTopicText = (arn: string, topic: Fact<TopicFacts> | undefined): string | undefined =>
  isUnread(topic)
    ? `replikey cannot read the topic ${arn}, so it is unknown whether CloudWatch can publish to it: ${topic.unread}`
    : undefined;
