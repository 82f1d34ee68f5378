import { createHash } from 'node:crypto';
import type { StateValue } from '@aws-sdk/client-cloudwatch';
import { accountOfArn } from '../../iam/context.ts';
import { missingFeatureError } from '../aws-error.ts';
import type { AccountState, AlarmConfiguration, AlarmState, ContributorState } from '../state.ts';
import type { Store } from '../store.ts';
import { formatMessageTime, messagesOf, periodOfQueries, type TopicMessage } from './alarm-notification.ts';
import {
  ALARM_COMPARISONS,
  type AlarmDecision,
  type AlarmRule,
  decideAlarmState,
  EXTRA_PERIODS,
  type PeriodDatapoint,
} from './alarm-state.ts';
import {
  datapointsOf,
  findMetrics,
  type MetricRecorder,
  MINUTE_MS,
  STATISTICS,
  toDimensions,
} from './metrics.ts';
import { type InsightsSeries, parseInsightsQuery, selectSeries } from './metrics-insights.ts';

/** Evaluates alarms, as CloudWatch does once a minute. */
export interface AlarmEvaluator {
  /** Evaluates the alarms for the minutes since their last evaluation, and for new datapoints. */
  evaluate(): void;
  /** Evaluates the alarms soon, together with other calls. */
  evaluateSoon(): void;
  /** Changes the state of an alarm until its next evaluation, and notifies the topics of the new state. */
  setState(alarm: AlarmState, state: { value: StateValue; reason: string; reasonData?: string }): void;
  stop(): void;
}

/** Longest time for which a gap between two evaluations is evaluated minute by minute: an alarm covers at most a day. */
const MAX_GAP_MINUTES = 24 * 60;

/** Time until an evaluation that an operation requested, in milliseconds: it covers all operations of that time. */
const SOON_MS = 100;

/** Interval in milliseconds at which the timer looks for a new minute of the clock of the sandbox. */
const TIMER_MS = 5_000;

export function createAlarmEvaluator(options: {
  store: Store;
  clock: () => number;
  metricsDelayMs: () => number;
  metricRecorder: MetricRecorder;
  /** Records the metrics that depend on the time alone. */
  sampleMetrics: () => void;
  /** Sends a message to a topic of the Region of the alarm. Never throws: CloudWatch detects no failure of a topic. */
  publish: (message: TopicMessage) => void;
  /** Callback for an evaluation that could not be saved. */
  onError: (message: string) => void;
}): AlarmEvaluator {
  const { store, clock, metricsDelayMs, metricRecorder, sampleMetrics, publish, onError } = options;
  /** Last evaluations: the minute since the epoch, and the revision of the metrics. A changed alarm has none. */
  const evaluations = new WeakMap<AlarmConfiguration, { minute: number; revision: number }>();
  let soonTimer: NodeJS.Timeout | undefined;
  let timerMinute = 0;
  let isStopped = false;

  const timer = setInterval(() => {
    const minute = Math.floor(clock() / MINUTE_MS);
    if (minute !== timerMinute) evaluateAndSave();
    timerMinute = minute;
  }, TIMER_MS);
  timer.unref();

  function evaluateAndSave(): void {
    evaluate();
    store
      .flush()
      .catch((error: unknown) => onError(`cannot save the states of alarms: ${(error as Error).message}`));
  }

  function evaluate(): void {
    sampleMetrics();
    for (const account of store.accounts())
      for (const alarm of account.alarms?.values() ?? []) evaluateAlarm(account, alarm);
  }

  function evaluateAlarm(account: AccountState, alarm: AlarmState): void {
    const now = clock();
    const minute = Math.floor(now / MINUTE_MS);
    const { revision } = metricRecorder;
    const last = evaluations.get(alarm.configuration);
    if (last?.minute === minute && last.revision === revision) return;
    evaluations.set(alarm.configuration, { minute, revision });
    // Nothing was recorded since the last evaluation, but datapoints have left the evaluation range.
    const firstMinute = Math.max((last?.minute ?? minute) + 1, minute - MAX_GAP_MINUTES);
    for (let past = firstMinute; past < minute; past++) evaluateAt(account, alarm, past * MINUTE_MS);
    evaluateAt(account, alarm, now);
  }

  /** Evaluates an alarm at a time. The newest period ends with the minute of this time. */
  function evaluateAt(account: AccountState, alarm: AlarmState, at: number): void {
    const evaluation = evaluationOf(alarm.configuration);
    const decisions = evaluation.seriesOf(store, alarm).map(({ attributes, metrics }) => {
      const end = (Math.floor(at / MINUTE_MS) + 1) * MINUTE_MS;
      const periods = evaluation.rule.evaluationPeriods + EXTRA_PERIODS;
      const start = end - periods * evaluation.periodMs;
      const visibleEnd = Math.min(end, at - metricsDelayMs() + 1);
      const values = datapointsOf({ metrics, start, end: visibleEnd, periodMs: evaluation.periodMs });
      const datapoints = Array.from({ length: periods }, (_, index): PeriodDatapoint => {
        const period = start + index * evaluation.periodMs;
        const statistics = values.get(period);
        return statistics
          ? { at: period, value: evaluation.statistic(statistics), sampleCount: statistics.count }
          : { at: period };
      });
      return { attributes, datapoints, decision: decideAlarmState(datapoints, evaluation.rule) };
    });
    if (evaluation.hasContributors) {
      const contributors = decisions.filter(({ datapoints }) =>
        datapoints.some(({ value }) => value !== undefined),
      );
      updateContributors(account, alarm, contributors, at);
      return;
    }
    const [{ datapoints, decision } = { datapoints: [], decision: undefined }] = decisions;
    if (decision?.state === undefined || decision.state === alarm.state) return;
    const reasonData = formatReasonData(alarm.configuration, evaluation.periodMs, datapoints, at);
    changeState(account, alarm, { value: decision.state, reason: decision.reason, reasonData }, at);
  }

  function updateContributors(
    account: AccountState,
    alarm: AlarmState,
    series: { attributes: Record<string, string>; decision: AlarmDecision }[],
    at: number,
  ): void {
    const previous = alarm.contributors ?? new Map<string, ContributorState>();
    const current = new Map<string, ContributorState>();
    const reasons = new Map<string, string>();
    for (const { attributes, decision } of series) {
      const id = createHash('sha256').update(JSON.stringify(attributes)).digest('hex').slice(0, 32);
      const earlier = previous.get(id);
      reasons.set(id, decision.reason);
      const isInAlarm = decision.state === 'ALARM' || (decision.state === undefined && earlier !== undefined);
      if (isInAlarm) current.set(id, earlier ?? { attributes, reason: decision.reason, transitioned: at });
    }
    const entered = [...current].filter(([id]) => !previous.has(id));
    const left = [...previous].filter(([id]) => !current.has(id));
    if (entered.length + left.length > 0) {
      alarm.contributors = current;
      store.markChanged(account);
    }
    for (const [id, { attributes, reason }] of entered)
      notify(alarm, { from: 'OK', to: 'ALARM', reason, at, contributor: { id, attributes } });
    for (const [id, { attributes }] of left) {
      const reason = reasons.get(id) ?? 'No data was returned for this contributor';
      notify(alarm, { from: 'ALARM', to: 'OK', reason, at, contributor: { id, attributes } });
    }
    const value = series.length === 0 ? 'INSUFFICIENT_DATA' : current.size > 0 ? 'ALARM' : 'OK';
    const reason =
      series.length === 0
        ? 'Insufficient Data: the query returned no time series.'
        : `${current.size} out of ${series.length} time series evaluated to ALARM`;
    if (value !== alarm.state) changeState(account, alarm, { value, reason }, at);
  }

  function changeState(
    account: AccountState,
    alarm: AlarmState,
    { value, reason, reasonData }: { value: StateValue; reason: string; reasonData?: string },
    at: number,
  ): void {
    const from = alarm.state;
    alarm.state = value;
    alarm.reason = reason;
    if (reasonData === undefined) delete alarm.reasonData;
    else alarm.reasonData = reasonData;
    alarm.updated = at;
    if (value !== from) alarm.transitioned = at;
    store.markChanged(account);
    if (value !== from) notify(alarm, { from, to: value, reason, at });
  }

  const notify = (alarm: AlarmState, transition: Parameters<typeof messagesOf>[1]) => {
    for (const message of messagesOf(alarm, transition)) publish(message);
  };

  return {
    evaluate,
    evaluateSoon() {
      if (isStopped) return;
      soonTimer ??= setTimeout(() => {
        soonTimer = undefined;
        evaluateAndSave();
      }, SOON_MS).unref();
    },
    setState(alarm, state) {
      const minute = Math.floor(clock() / MINUTE_MS);
      evaluations.set(alarm.configuration, { minute, revision: metricRecorder.revision });
      changeState(store.account(accountOfArn(alarm.arn)), alarm, state, clock());
    },
    stop() {
      isStopped = true;
      clearInterval(timer);
      clearTimeout(soonTimer);
    },
  };
}

/** Formats the datapoints of a decision as CloudWatch does in `StateReasonData`. */
function formatReasonData(
  { Threshold, Statistic, Unit }: AlarmConfiguration,
  periodMs: number,
  datapoints: readonly PeriodDatapoint[],
  at: number,
): string {
  const existing = datapoints.filter(({ value }) => value !== undefined);
  return JSON.stringify({
    version: '1.0',
    queryDate: formatMessageTime(at),
    ...(existing[0] && { startDate: formatMessageTime(existing[0].at) }),
    ...(Unit === undefined ? {} : { unit: Unit }),
    ...(Statistic === undefined ? {} : { statistic: Statistic }),
    period: periodMs / 1000,
    recentDatapoints: existing.map(({ value }) => value),
    threshold: Threshold,
    evaluatedDatapoints: [...existing].reverse().map(({ at: start, sampleCount, value }) => ({
      timestamp: formatMessageTime(start),
      sampleCount,
      value,
    })),
  });
}

/** How to evaluate an alarm. */
interface Evaluation {
  rule: AlarmRule;
  periodMs: number;
  statistic: (typeof STATISTICS)[string] & {};
  /** Whether each time series has a state of its own. */
  hasContributors: boolean;
  seriesOf: (store: Store, alarm: AlarmState) => InsightsSeries[];
}

const evaluationsByConfiguration = new WeakMap<AlarmConfiguration, Evaluation>();

function evaluationOf(configuration: AlarmConfiguration): Evaluation {
  const evaluation = evaluationsByConfiguration.get(configuration) ?? toEvaluation(configuration);
  evaluationsByConfiguration.set(configuration, evaluation);
  return evaluation;
}

/**
 * Returns how to evaluate an alarm.
 *
 * @throws AwsError for a query that the sandbox does not implement.
 */
export function toEvaluation(configuration: AlarmConfiguration): Evaluation {
  const {
    EvaluationPeriods = 1,
    DatapointsToAlarm,
    ComparisonOperator,
    Threshold = 0,
    Metrics,
  } = configuration;
  const operator = ComparisonOperator ?? 'GreaterThanThreshold';
  const rule: AlarmRule = {
    operator,
    threshold: Threshold,
    comparison: (value) => ALARM_COMPARISONS[operator]?.compare(value, Threshold) ?? false,
    evaluationPeriods: EvaluationPeriods,
    ...(DatapointsToAlarm === undefined ? {} : { datapointsToAlarm: DatapointsToAlarm }),
    treatMissingData: (configuration.TreatMissingData ?? 'missing') as AlarmRule['treatMissingData'],
  };
  const [query] = Metrics ?? [];
  const periodMs = (configuration.Period ?? periodOfQueries(Metrics ?? [])) * 1000;
  const insights = query?.Expression === undefined ? undefined : parseInsightsQuery(query.Expression);
  if (insights)
    return {
      rule,
      periodMs,
      statistic: requireStatistic(insights.statistic),
      hasContributors: insights.groupBy.length > 0,
      seriesOf: ({ metrics }, { arn, region }) =>
        selectSeries(
          insights,
          [...metrics.values()].filter(
            (metric) => metric.account === accountOfArn(arn) && metric.region === region,
          ),
        ),
    };
  const { Metric, Stat, Unit } = query?.MetricStat ?? {
    Metric: configuration,
    Stat: configuration.Statistic,
    Unit: configuration.Unit,
  };
  return {
    rule,
    periodMs,
    statistic: requireStatistic(Stat ?? ''),
    hasContributors: false,
    seriesOf: (store, { arn, region }) => [
      {
        attributes: {},
        metrics: findMetrics(store, {
          account: accountOfArn(arn),
          region,
          namespace: Metric?.Namespace ?? '',
          name: Metric?.MetricName ?? '',
          dimensions: toDimensions(Metric?.Dimensions),
          unit: Unit,
        }),
      },
    ],
  };
}

function requireStatistic(name: string): Evaluation['statistic'] {
  const statistic = STATISTICS[name];
  if (!statistic) throw missingFeatureError(`alarms with the statistic ${name}`);
  return statistic;
}
