import type { ComparisonOperator, StateValue } from '@aws-sdk/client-cloudwatch';

/** Datapoint of a period: its start in milliseconds since the epoch, and its value; undefined: missing. */
export interface PeriodDatapoint {
  at: number;
  value?: number;
  sampleCount?: number;
}

/** Settings of an alarm that decide its state. */
export interface AlarmRule {
  comparison: (value: number) => boolean;
  operator: ComparisonOperator;
  threshold: number;
  evaluationPeriods: number;
  /** Absent: all periods, and the reason does not name the number. */
  datapointsToAlarm?: number;
  treatMissingData: 'missing' | 'ignore' | 'breaching' | 'notBreaching';
}

/** State that follows from the datapoints; `state` is undefined if the alarm keeps its state. */
export interface AlarmDecision {
  state?: StateValue;
  reason: string;
}

/**
 * Periods that CloudWatch reads beyond the evaluation periods. The documentation shows 5 periods for 3, and states no
 * other number.
 */
export const EXTRA_PERIODS = 2;

export const ALARM_COMPARISONS: Partial<
  Record<ComparisonOperator, { compare: (value: number, threshold: number) => boolean; text: string }>
> = {
  GreaterThanOrEqualToThreshold: { compare: (a, b) => a >= b, text: 'greater than or equal to' },
  GreaterThanThreshold: { compare: (a, b) => a > b, text: 'greater than' },
  LessThanThreshold: { compare: (a, b) => a < b, text: 'less than' },
  LessThanOrEqualToThreshold: { compare: (a, b) => a <= b, text: 'less than or equal to' },
};

/**
 * Decides the state of an alarm from the datapoints of its evaluation range, oldest first (CloudWatch User Guide,
 * "Configuring how CloudWatch alarms treat missing data").
 */
export function decideAlarmState(datapoints: readonly PeriodDatapoint[], rule: AlarmRule): AlarmDecision {
  const { comparison, evaluationPeriods, datapointsToAlarm = evaluationPeriods, treatMissingData } = rule;
  const newestFirst = [...datapoints].reverse();
  const existing = newestFirst.filter(hasValue).slice(0, evaluationPeriods);
  const missing = evaluationPeriods - existing.length;
  const breaching = existing.filter(({ value }) => comparison(value));
  const decide = (breachingCount: number): AlarmDecision => {
    const state = breachingCount >= datapointsToAlarm ? 'ALARM' : 'OK';
    return { state, reason: formatReason(rule, state, existing, missing) };
  };
  if (missing === 0 || treatMissingData === 'notBreaching') return decide(breaching.length);
  if (treatMissingData === 'breaching') return decide(breaching.length + missing);
  if (existing.length > breaching.length || breaching.length >= datapointsToAlarm)
    return decide(breaching.length);

  const unknown: AlarmDecision = {
    ...(treatMissingData === 'missing' ? { state: 'INSUFFICIENT_DATA' } : {}),
    reason: `Insufficient Data: ${counted(missing, 'datapoint')} ${missing === 1 ? 'was' : 'were'} unknown.`,
  };
  // All existing datapoints breach, and they are too few. A breaching datapoint that is old enough is not premature.
  const oldestAge = newestFirst.findLastIndex(hasValue) + 1;
  if (treatMissingData === 'ignore' || oldestAge < datapointsToAlarm) return unknown;
  return { state: 'ALARM', reason: formatReason(rule, 'ALARM', existing, missing) };
}

const hasValue = (datapoint: PeriodDatapoint): datapoint is PeriodDatapoint & { value: number } =>
  datapoint.value !== undefined;

/** Formats the reason of a state as CloudWatch does in `StateReason`. */
function formatReason(
  { comparison, operator, threshold, evaluationPeriods, datapointsToAlarm, treatMissingData }: AlarmRule,
  state: 'OK' | 'ALARM',
  existing: readonly (PeriodDatapoint & { value: number })[],
  missing: number,
): string {
  const treatment = { breaching: '[Breaching]', notBreaching: '[NonBreaching]', missing: '', ignore: '' }[
    treatMissingData
  ];
  const missingText = `${counted(missing, 'missing datapoint')} ${missing === 1 ? 'was' : 'were'} treated as ${treatment}`;
  if (existing.length === 0)
    return `Threshold Crossed: no datapoints were received for ${counted(evaluationPeriods, 'period')} and ${missingText}.`;
  const deciding = existing.filter(({ value }) => comparison(value) === (state === 'ALARM'));
  const listed = deciding.length > 0 ? deciding : existing;
  const values = listed.map(({ at, value }) => `${formatDouble(value)} (${formatDate(at)})`).join(', ');
  const count =
    datapointsToAlarm === undefined
      ? counted(listed.length, 'datapoint')
      : `${listed.length} out of the last ${evaluationPeriods} datapoints`;
  const isBreaching = comparison(listed[0]?.value ?? Number.NaN);
  const verb = `${listed.length === 1 ? 'was' : 'were'}${isBreaching ? '' : ' not'}`;
  const operatorText = ALARM_COMPARISONS[operator]?.text;
  const filled = missing > 0 && treatment !== '' ? ` and ${missingText}` : '';
  const minimum = state === 'ALARM' ? datapointsToAlarm : evaluationPeriods - (datapointsToAlarm ?? 0) + 1;
  const transition = state === 'ALARM' ? 'OK -> ALARM' : 'ALARM -> OK';
  const minimumText =
    datapointsToAlarm === undefined
      ? ''
      : ` (minimum ${counted(minimum ?? 1, 'datapoint')} for ${transition} transition)`;
  return `Threshold Crossed: ${count} [${values}] ${verb} ${operatorText} the threshold (${formatDouble(threshold)})${filled}${minimumText}.`;
}

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** Formats a number as Java does: `1.0`, `0.25`, `1.2E7`. */
function formatDouble(value: number): string {
  const size = Math.abs(value);
  if (value === 0 || (size >= 1e-3 && size < 1e7)) return Number.isInteger(value) ? `${value}.0` : `${value}`;
  const [mantissa = '', exponent = ''] = value.toExponential().split('e');
  return `${mantissa.includes('.') ? mantissa : `${mantissa}.0`}E${Number(exponent)}`;
}

/** Formats a time as `30/11/26 10:05:00`. */
function formatDate(at: number): string {
  const [date = '', time = ''] = new Date(at).toISOString().split(/[T.]/);
  const [year = '', month, day] = date.split('-');
  return `${day}/${month}/${year.slice(2)} ${time}`;
}
