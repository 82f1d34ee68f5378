import type { MetricDataQuery, StateValue } from '@aws-sdk/client-cloudwatch';
import { accountOfArn } from '../../iam/context.ts';
import { regionNameOf } from '../../util/arn.ts';
import type { AlarmConfiguration, AlarmState, ContributorState } from '../state.ts';

/** Message of an alarm to a topic of SNS. */
export interface TopicMessage {
  topicArn: string;
  subject: string;
  message: string;
  /** ARN of the alarm: `aws:SourceArn` of the request that CloudWatch makes as `cloudwatch.amazonaws.com`. */
  sourceArn: string;
}

/** Change of the state of an alarm, or of one of its contributors. */
export interface AlarmTransition {
  from: StateValue;
  to: StateValue;
  reason: string;
  /** Milliseconds since the epoch. */
  at: number;
  contributor?: { id: string } & Pick<ContributorState, 'attributes'>;
}

/** Returns the messages to the topics that an alarm notifies of a transition; none while its actions are disabled. */
export function messagesOf(alarm: AlarmState, transition: AlarmTransition): TopicMessage[] {
  const { ActionsEnabled = true, OKActions, AlarmActions, InsufficientDataActions } = alarm.configuration;
  if (!ActionsEnabled) return [];
  const actions = { OK: OKActions, ALARM: AlarmActions, INSUFFICIENT_DATA: InsufficientDataActions };
  const message = JSON.stringify(notificationOf(alarm, transition));
  const subject = `${transition.to}: "${alarm.name}" in ${regionNameOf(alarm.region)}`;
  return (actions[transition.to] ?? []).map((topicArn) => ({
    topicArn,
    // SNS accepts at most 100 characters.
    subject: subject.length > 100 ? `${subject.slice(0, 97)}...` : subject,
    message,
    sourceArn: alarm.arn,
  }));
}

/** Formats a time as CloudWatch does in its messages: `2026-11-30T10:05:00.000+0000`. */
export const formatMessageTime = (at: number): string => new Date(at).toISOString().replace('Z', '+0000');

function notificationOf(
  { name, arn, region, configuration, configured }: AlarmState,
  { from, to, reason, at, contributor }: AlarmTransition,
): object {
  return {
    AlarmName: name,
    AlarmDescription: configuration.AlarmDescription ?? null,
    AWSAccountId: accountOfArn(arn),
    AlarmConfigurationUpdatedTimestamp: formatMessageTime(configured),
    NewStateValue: to,
    NewStateReason: reason,
    StateChangeTime: formatMessageTime(at),
    Region: regionNameOf(region),
    AlarmArn: arn,
    OldStateValue: from,
    OKActions: configuration.OKActions ?? [],
    AlarmActions: configuration.AlarmActions ?? [],
    InsufficientDataActions: configuration.InsufficientDataActions ?? [],
    // AWS does not document how SNS messages name a contributor. These are the names of DescribeAlarmHistory.
    ...(contributor && {
      AlarmContributorId: contributor.id,
      AlarmContributorAttributes: contributor.attributes,
    }),
    Trigger: triggerOf(configuration),
  };
}

function triggerOf(configuration: AlarmConfiguration): object {
  const { MetricName, Namespace, Statistic, Unit, Dimensions = [], Period, Metrics } = configuration;
  const { EvaluationPeriods, DatapointsToAlarm, ComparisonOperator, Threshold } = configuration;
  return {
    ...(Metrics === undefined
      ? {
          MetricName,
          Namespace,
          StatisticType: 'Statistic',
          Statistic: Statistic?.toUpperCase(),
          Unit: Unit ?? null,
          Dimensions: Dimensions.map(({ Name, Value }) => ({ value: Value, name: Name })),
        }
      : {}),
    Period: Period ?? periodOfQueries(Metrics ?? []),
    EvaluationPeriods,
    ...(DatapointsToAlarm === undefined ? {} : { DatapointsToAlarm }),
    ComparisonOperator,
    Threshold,
    TreatMissingData: configuration.TreatMissingData ?? 'missing',
    EvaluateLowSampleCountPercentile: '',
    ...(Metrics === undefined ? {} : { Metrics }),
  };
}

/** Returns the period of the queries of an alarm in seconds. */
export const periodOfQueries = (queries: readonly MetricDataQuery[]): number => {
  const [{ Period, MetricStat } = {}] = queries as [Partial<MetricDataQuery>?];
  return MetricStat?.Period ?? Period ?? 60;
};
