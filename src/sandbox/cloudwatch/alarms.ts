import type {
  DeleteAlarmsInput,
  DescribeAlarmContributorsInput,
  DescribeAlarmContributorsOutput,
  DescribeAlarmsInput,
  DescribeAlarmsOutput,
  DisableAlarmActionsInput,
  ListTagsForResourceInput,
  ListTagsForResourceOutput,
  MetricAlarm,
  MetricDataQuery,
  PutMetricAlarmInput,
  SetAlarmStateInput,
  Tag,
  TagResourceInput,
  UntagResourceInput,
} from '@aws-sdk/client-cloudwatch';
import { partitionOfArn, partitionOfRegion, regionOfArn } from '../../util/arn.ts';
import { missingFeatureError } from '../aws-error.ts';
import { type Call, callerAccountOf, type Handlers, markAccountChanged, pageOf } from '../call.ts';
import type { AlarmConfiguration, AlarmState } from '../state.ts';
import { requireCloudWatchAccess } from './access.ts';
import { toEvaluation } from './alarm-evaluator.ts';
import { periodOfQueries } from './alarm-notification.ts';
import { ALARM_COMPARISONS } from './alarm-state.ts';
import {
  cloudWatchError,
  parameterCombinationError,
  requiredParameterError,
  validationError,
} from './errors.ts';
import { checkPeriod } from './metric-data.ts';

/** Limits of the CloudWatch API Reference: DescribeAlarms, DeleteAlarms, EnableAlarmActions, PutMetricAlarm. */
const MAX_NAMES = 100;
const MAX_ACTIONS = 5;
const MAX_ALARM_TAGS = 50;

/** Handlers of metric alarms. Composite alarms, log alarms, mute rules and the history of alarms are not implemented. */
export const alarmHandlers: Handlers = {
  PutMetricAlarm(call, input: PutMetricAlarmInput): void {
    const { AlarmName = '', Tags = [] } = input;
    const arn = alarmArnOf(call, AlarmName);
    requireCloudWatchAccess(call, arn, {
      'cloudwatch:AlarmActions': [
        ...(input.AlarmActions ?? []),
        ...(input.OKActions ?? []),
        ...(input.InsufficientDataActions ?? []),
      ],
      ...requestTagKeysOf(Tags),
    });
    // "To be able to associate tags with the alarm when you create the alarm, you must have the cloudwatch:TagResource
    // permission" (CloudWatch API Reference, PutMetricAlarm).
    if (Tags.length > 0) requireCloudWatchAccess(call, arn, requestTagKeysOf(Tags), 'TagResource');
    if (AlarmName.length < 1 || AlarmName.length > 255)
      throw validationError(
        `1 validation error detected: Value '${AlarmName}' at 'alarmName' failed to satisfy constraint: Member must have length between 1 and 255, inclusive`,
      );
    const configuration = toAlarmConfiguration(input);
    checkAlarmConfiguration(configuration, call.region);
    checkTags(Tags);
    const account = callerAccountOf(call);
    account.alarms ??= new Map();
    const key = `${call.region}/${AlarmName}`;
    const existing = account.alarms.get(key);
    // "When you update an existing alarm, its state is left unchanged", and tags of the request are ignored.
    account.alarms.set(key, {
      name: AlarmName,
      region: call.region,
      arn,
      state: 'INSUFFICIENT_DATA',
      reason: 'Unchecked: Initial alarm creation',
      updated: call.now,
      transitioned: call.now,
      tags: new Map(Tags.map(({ Key = '', Value = '' }) => [Key, Value])),
      ...existing,
      configuration,
      configured: call.now,
    });
    markAccountChanged(call, undefined);
  },

  DescribeAlarms(call, input: DescribeAlarmsInput): DescribeAlarmsOutput {
    const {
      AlarmNames,
      AlarmNamePrefix,
      AlarmTypes,
      StateValue,
      ActionPrefix,
      MaxRecords = 50,
      NextToken,
    } = input;
    for (const name of AlarmNames ?? ['*']) requireCloudWatchAccess(call, alarmArnOf(call, name));
    checkNames(AlarmNames ?? []);
    if (AlarmNames && AlarmNamePrefix !== undefined)
      throw validationError('AlarmNames and AlarmNamePrefix cannot be specified together.');
    if (MaxRecords < 1 || MaxRecords > 100)
      throw validationError(
        `1 validation error detected: Value '${MaxRecords}' at 'maxRecords' failed to satisfy constraint: Member must have value between 1 and 100, inclusive`,
      );
    if (
      NextToken !== undefined &&
      Number.isNaN(Number(Buffer.from(NextToken, 'base64url').toString() || 'x'))
    )
      throw cloudWatchError('InvalidNextToken', 'The next token specified is invalid.');
    call.alarmEvaluator.evaluate();
    const isSelected = ({ name, state, configuration }: AlarmState): boolean =>
      (AlarmTypes ?? ['MetricAlarm']).includes('MetricAlarm') &&
      (AlarmNames?.includes(name) ?? true) &&
      name.startsWith(AlarmNamePrefix ?? '') &&
      (StateValue === undefined || state === StateValue) &&
      (ActionPrefix === undefined ||
        alarmActionsOf(configuration).some((action) => action.startsWith(ActionPrefix)));
    const { items, next } = pageOf(alarmsOf(call).filter(isSelected), MaxRecords, NextToken);
    return {
      MetricAlarms: items.map(toMetricAlarm),
      CompositeAlarms: [],
      ...(next === undefined ? {} : { NextToken: next }),
    };
  },

  /** "If you specify any incorrect alarm names, the alarms you specify with correct names are still deleted." */
  DeleteAlarms(call, { AlarmNames = [] }: DeleteAlarmsInput): void {
    for (const name of AlarmNames) requireCloudWatchAccess(call, alarmArnOf(call, name));
    checkNames(AlarmNames);
    for (const name of AlarmNames) callerAccountOf(call).alarms?.delete(`${call.region}/${name}`);
    markAccountChanged(call, undefined);
  },

  SetAlarmState(
    call,
    { AlarmName = '', StateValue, StateReason = '', StateReasonData }: SetAlarmStateInput,
  ): void {
    requireCloudWatchAccess(call, alarmArnOf(call, AlarmName));
    const alarm = requireAlarm(call, AlarmName, 'ResourceNotFound');
    if (StateValue !== 'OK' && StateValue !== 'ALARM' && StateValue !== 'INSUFFICIENT_DATA')
      throw validationError(
        `1 validation error detected: Value '${StateValue}' at 'stateValue' failed to satisfy constraint: Member must satisfy enum value set: [INSUFFICIENT_DATA, ALARM, OK]`,
      );
    if (StateReasonData !== undefined && !isJson(StateReasonData))
      throw cloudWatchError('InvalidFormat', 'StateReasonData is not valid JSON.', {
        shape: 'com.amazonaws.cloudwatch#InvalidFormatFault',
      });
    call.alarmEvaluator.setState(alarm, {
      value: StateValue,
      reason: StateReason,
      ...(StateReasonData === undefined ? {} : { reasonData: StateReasonData }),
    });
  },

  EnableAlarmActions: (call, { AlarmNames = [] }: DisableAlarmActionsInput) =>
    setActionsEnabled(call, AlarmNames, true),

  DisableAlarmActions: (call, { AlarmNames = [] }: DisableAlarmActionsInput) =>
    setActionsEnabled(call, AlarmNames, false),

  DescribeAlarmContributors(
    call,
    { AlarmName = '', NextToken }: DescribeAlarmContributorsInput,
  ): DescribeAlarmContributorsOutput {
    requireCloudWatchAccess(call, alarmArnOf(call, AlarmName));
    call.alarmEvaluator.evaluate();
    const contributors = [...(requireAlarm(call, AlarmName).contributors ?? [])].map(
      ([ContributorId, { attributes, reason, transitioned }]) => ({
        ContributorId,
        ContributorAttributes: attributes,
        StateReason: reason,
        StateTransitionedTimestamp: new Date(transitioned),
      }),
    );
    const { items, next } = pageOf(contributors, MAX_NAMES, NextToken);
    return { AlarmContributors: items, ...(next === undefined ? {} : { NextToken: next }) };
  },

  TagResource(call, { ResourceARN = '', Tags = [] }: TagResourceInput): void {
    requireCloudWatchAccess(call, ResourceARN, requestTagKeysOf(Tags));
    const { tags } = requireTaggedAlarm(call, ResourceARN);
    const changedTags = new Map([
      ...tags,
      ...Tags.map(({ Key = '', Value = '' }): [string, string] => [Key, Value]),
    ]);
    checkTags([...changedTags].map(([Key, Value]) => ({ Key, Value })));
    for (const [key, value] of changedTags) tags.set(key, value);
    markAccountChanged(call, undefined);
  },

  UntagResource(call, { ResourceARN = '', TagKeys = [] }: UntagResourceInput): void {
    requireCloudWatchAccess(call, ResourceARN, { 'aws:TagKeys': TagKeys });
    const { tags } = requireTaggedAlarm(call, ResourceARN);
    for (const key of TagKeys) tags.delete(key);
    markAccountChanged(call, undefined);
  },

  ListTagsForResource(call, { ResourceARN = '' }: ListTagsForResourceInput): ListTagsForResourceOutput {
    requireCloudWatchAccess(call, ResourceARN);
    const { tags } = requireTaggedAlarm(call, ResourceARN);
    return { Tags: [...tags].map(([Key, Value]) => ({ Key, Value })) };
  },
};

const alarmArnOf = ({ region, caller }: Call, name: string): string =>
  `arn:${partitionOfRegion(region)}:cloudwatch:${region}:${caller.account}:alarm:${name}`;

/** Returns the alarms of the caller's account in the Region, by name. */
const alarmsOf = (call: Call): AlarmState[] =>
  [...(callerAccountOf(call).alarms?.values() ?? [])]
    .filter(({ region }) => region === call.region)
    .sort((a, b) => (a.name < b.name ? -1 : 1));

function requireAlarm(
  call: Call,
  name: string,
  code: 'ResourceNotFound' | 'ResourceNotFoundException' = 'ResourceNotFoundException',
): AlarmState {
  const alarm = callerAccountOf(call).alarms?.get(`${call.region}/${name}`);
  if (!alarm) throw cloudWatchError(code, `Unknown alarm: ${name}`, { status: 404 });
  return alarm;
}

function requireTaggedAlarm(call: Call, arn: string): AlarmState {
  const prefix = alarmArnOf(call, '');
  if (!/^arn:[^:]+:cloudwatch:/.test(arn)) throw validationError(`Invalid arn syntax: ${arn}`);
  if (!/^arn:[^:]+:cloudwatch:[^:]*:\d*:alarm:/.test(arn)) throw missingFeatureError(`tags of ${arn}`);
  if (!arn.startsWith(prefix))
    throw cloudWatchError('ResourceNotFoundException', `${arn} does not exist`, { status: 404 });
  return requireAlarm(call, arn.slice(prefix.length));
}

const requestTagKeysOf = (tags: readonly Tag[]): Record<string, string | string[]> =>
  tags.length === 0
    ? {}
    : {
        ...Object.fromEntries(tags.map(({ Key, Value = '' }) => [`aws:RequestTag/${Key}`, Value])),
        'aws:TagKeys': tags.map(({ Key = '' }) => Key),
      };

function checkTags(tags: readonly Tag[]): void {
  if (tags.length > MAX_ALARM_TAGS) throw validationError(`An alarm has at most ${MAX_ALARM_TAGS} tags.`);
  for (const { Key = '', Value = '' } of tags)
    if (Key.length < 1 || Key.length > 128 || Value.length > 256 || Key.toLowerCase().startsWith('aws:'))
      throw validationError(`The tag ${Key} is not valid.`);
}

function checkNames(names: readonly string[]): void {
  if (names.length > MAX_NAMES)
    throw validationError(
      `1 validation error detected: Value '[${names.join(', ')}]' at 'alarmNames' failed to satisfy constraint: Member must have length less than or equal to ${MAX_NAMES}`,
    );
}

function setActionsEnabled(call: Call, names: readonly string[], enabled: boolean): void {
  for (const name of names) requireCloudWatchAccess(call, alarmArnOf(call, name));
  checkNames(names);
  for (const alarm of alarmsOf(call))
    if (names.includes(alarm.name)) alarm.configuration.ActionsEnabled = enabled;
  markAccountChanged(call, undefined);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const alarmActionsOf = ({
  AlarmActions,
  OKActions,
  InsufficientDataActions,
}: AlarmConfiguration): string[] => [
  ...(AlarmActions ?? []),
  ...(OKActions ?? []),
  ...(InsufficientDataActions ?? []),
];

/** Returns the members of a request that an alarm keeps. The sandbox rejects a request with others. */
function toAlarmConfiguration(input: PutMetricAlarmInput): AlarmConfiguration {
  const configuration: AlarmConfiguration = {
    AlarmDescription: input.AlarmDescription,
    ActionsEnabled: input.ActionsEnabled ?? true,
    OKActions: input.OKActions ?? [],
    AlarmActions: input.AlarmActions ?? [],
    InsufficientDataActions: input.InsufficientDataActions ?? [],
    MetricName: input.MetricName,
    Namespace: input.Namespace,
    Statistic: input.Statistic,
    Dimensions: input.Dimensions ?? (input.MetricName === undefined ? undefined : []),
    Period: input.Period,
    Unit: input.Unit,
    EvaluationPeriods: input.EvaluationPeriods,
    DatapointsToAlarm: input.DatapointsToAlarm,
    Threshold: input.Threshold,
    ComparisonOperator: input.ComparisonOperator,
    TreatMissingData: input.TreatMissingData,
    Metrics: input.Metrics,
  };
  for (const [member, value] of Object.entries(configuration))
    if (value === undefined || value === null) delete configuration[member as keyof AlarmConfiguration];
  return configuration;
}

/** @throws AwsError for an alarm that CloudWatch rejects, or that the sandbox does not implement. */
function checkAlarmConfiguration(configuration: AlarmConfiguration, region: string): void {
  const { ComparisonOperator = 'GreaterThanThreshold', TreatMissingData = 'missing' } = configuration;
  const { EvaluationPeriods = 0, DatapointsToAlarm = EvaluationPeriods, Threshold, Metrics } = configuration;
  checkActions(configuration, region);
  if (!ALARM_COMPARISONS[ComparisonOperator]) throw missingFeatureError(`alarms with ${ComparisonOperator}`);
  if (!['missing', 'ignore', 'breaching', 'notBreaching'].includes(TreatMissingData))
    throw validationError(
      `Option ${TreatMissingData} is not supported for TreatMissingData parameter. Supported options are: [breaching, notBreaching, ignore, missing].`,
    );
  if (EvaluationPeriods < 1) throw validationError('EvaluationPeriods must be at least 1.');
  if (DatapointsToAlarm < 1 || DatapointsToAlarm > EvaluationPeriods)
    throw validationError('DatapointsToAlarm must be between 1 and EvaluationPeriods.');
  if (Threshold === undefined) throw validationError('Threshold is required.');
  if (Metrics === undefined) checkMetric(configuration);
  else checkMetrics(configuration);
  checkEvaluationTime(configuration.Period ?? periodOfQueries(Metrics ?? []), EvaluationPeriods);
  toEvaluation(configuration);
}

function checkMetric({ MetricName, Namespace, Statistic, Period }: AlarmConfiguration): void {
  for (const [member, value] of Object.entries({ MetricName, Namespace, Statistic, Period }))
    if (value === undefined)
      throw requiredParameterError(`The parameter ${member} is required for an alarm on a metric.`);
}

function checkMetrics({ Metrics = [], ...configuration }: AlarmConfiguration): void {
  const { MetricName, Namespace, Statistic, Period, Unit, Dimensions } = configuration;
  if ([MetricName, Namespace, Statistic, Period, Unit, Dimensions].some((value) => value !== undefined))
    throw parameterCombinationError(
      'Metrics cannot be combined with MetricName, Namespace, Dimensions, Period, Unit, Statistic or ExtendedStatistic.',
    );
  const returned = Metrics.filter(({ ReturnData = true }) => ReturnData);
  if (returned.length !== 1)
    throw validationError('Exactly one element of the metrics list should return data.');
  if (Metrics.length > 1) throw missingFeatureError('metric math in alarms');
  const {
    MetricStat,
    Expression,
    Period: queryPeriod,
    AccountId,
  }: Partial<MetricDataQuery> = Metrics[0] ?? {};
  if (AccountId !== undefined) throw missingFeatureError('AccountId in alarms');
  if ((MetricStat === undefined) === (Expression === undefined))
    throw validationError('Exactly one of MetricStat and Expression must be specified.');
  if (Expression !== undefined && queryPeriod === undefined)
    throw validationError('Period must not be null for a Metrics Insights query.');
}

/** Checks period and duration (CloudWatch API Reference, PutMetricAlarm, EvaluationPeriods and Period). */
function checkEvaluationTime(period: number, evaluationPeriods: number): void {
  checkPeriod(period);
  if (period < 60) throw missingFeatureError('alarms with a period under 60 seconds');
  const limit = period < 3600 ? 86_400 : 604_800;
  if (period * evaluationPeriods > limit)
    throw validationError(
      `Metrics cannot be checked across more than ${limit === 86_400 ? 'a day' : 'seven days'} (EvaluationPeriods * Period must be <= ${limit}).`,
    );
}

/**
 * Checks the actions. fact: "Invalid region ca-central-1 specified. Only us-west-2 is supported." (cds-snc/
 * notification-terraform#128) and "Invalid partition aws specified. Only aws-us-gov is supported." CloudWatch does not
 * check whether a topic exists.
 */
function checkActions(configuration: AlarmConfiguration, region: string): void {
  const { AlarmActions = [], OKActions = [], InsufficientDataActions = [] } = configuration;
  for (const actions of [AlarmActions, OKActions, InsufficientDataActions])
    if (actions.length > MAX_ACTIONS)
      throw validationError(`An alarm has at most ${MAX_ACTIONS} actions for each state.`);
  for (const arn of alarmActionsOf(configuration)) {
    if (!/^arn:[^:]+:[^:]+:[^:]*:[^:]*:.+$/.test(arn)) throw validationError(`Invalid arn syntax: ${arn}`);
    if (partitionOfArn(arn) !== partitionOfRegion(region))
      throw validationError(
        `Invalid partition ${partitionOfArn(arn)} specified. Only ${partitionOfRegion(region)} is supported.`,
      );
    if (arn.split(':')[2] !== 'sns') throw missingFeatureError(`the alarm action ${arn}`);
    if (regionOfArn(arn) !== region)
      throw validationError(`Invalid region ${regionOfArn(arn)} specified. Only ${region} is supported.`);
  }
}

const toMetricAlarm = (alarm: AlarmState): MetricAlarm => ({
  AlarmName: alarm.name,
  AlarmArn: alarm.arn,
  AlarmConfigurationUpdatedTimestamp: new Date(alarm.configured),
  StateValue: alarm.state,
  StateReason: alarm.reason,
  ...(alarm.reasonData === undefined ? {} : { StateReasonData: alarm.reasonData }),
  StateUpdatedTimestamp: new Date(alarm.updated),
  StateTransitionedTimestamp: new Date(alarm.transitioned),
  ...alarm.configuration,
});
