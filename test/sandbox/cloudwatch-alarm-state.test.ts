import { describe, expect, test } from 'vitest';
import {
  type AlarmRule,
  decideAlarmState,
  type PeriodDatapoint,
} from '../../src/sandbox/cloudwatch/alarm-state.ts';

/** 2026-11-30T10:00:00Z */
const TEN = Date.UTC(2026, 10, 30, 10);

/** Parses datapoints in the notation of the user guide: `0` is within the threshold, `X` breaches it, `-` is missing. */
const toDatapoints = (notation: string): PeriodDatapoint[] =>
  notation.split(' ').map((symbol, index) => ({
    at: TEN + index * 60_000,
    ...(symbol === '-' ? {} : { value: symbol === 'X' ? 20 : 0, sampleCount: 1 }),
  }));

const ruleOf = (settings: Partial<AlarmRule> = {}): AlarmRule => ({
  operator: 'GreaterThanThreshold',
  threshold: 10,
  comparison: (value) => value > 10,
  evaluationPeriods: 3,
  treatMissingData: 'missing',
  ...settings,
});

const TREATMENTS = ['missing', 'ignore', 'breaching', 'notBreaching'] as const;
const INSUFFICIENT = 'INSUFFICIENT_DATA';
const RETAIN = undefined;

/*
 * CloudWatch User Guide, "Configuring how CloudWatch alarms treat missing data", both tables: the evaluation range is 5, and
 * the evaluation periods are 3. The columns are MISSING, IGNORE, BREACHING and NOT BREACHING.
 */
describe('decideAlarmState: tables of the user guide', () => {
  test.each([
    ['0 - X - X', ['OK', 'OK', 'OK', 'OK']],
    ['0 - - - -', ['OK', 'OK', 'OK', 'OK']],
    ['- - - - -', [INSUFFICIENT, RETAIN, 'ALARM', 'OK']],
    ['0 X X - X', ['ALARM', 'ALARM', 'ALARM', 'ALARM']],
    ['- - X - -', ['ALARM', RETAIN, 'ALARM', 'OK']],
  ])('decideAlarmState: 3 datapoints to alarm, %s', (notation, states) => {
    const decide = (treatMissingData: AlarmRule['treatMissingData']) =>
      decideAlarmState(toDatapoints(notation), ruleOf({ datapointsToAlarm: 3, treatMissingData })).state;
    expect(TREATMENTS.map(decide)).toEqual(states);
  });

  test.each([
    ['0 - X - X', ['ALARM', 'ALARM', 'ALARM', 'ALARM']],
    ['0 0 X 0 X', ['ALARM', 'ALARM', 'ALARM', 'ALARM']],
    ['0 - X - -', ['OK', 'OK', 'ALARM', 'OK']],
    ['- - - - 0', ['OK', 'OK', 'ALARM', 'OK']],
    ['- - - X -', ['ALARM', RETAIN, 'ALARM', 'OK']],
  ])('decideAlarmState: 2 datapoints to alarm, %s', (notation, states) => {
    const decide = (treatMissingData: AlarmRule['treatMissingData']) =>
      decideAlarmState(toDatapoints(notation), ruleOf({ datapointsToAlarm: 2, treatMissingData })).state;
    expect(TREATMENTS.map(decide)).toEqual(states);
  });

  // "the alarm does not go immediately into ALARM state when the data is either - - - - X or - - - X -"
  test.each(['- - - - X', '- - - X -'])(
    'decideAlarmState: %s is no premature alarm of 3 datapoints',
    (notation) => {
      const decide = (treatMissingData: AlarmRule['treatMissingData']) =>
        decideAlarmState(toDatapoints(notation), ruleOf({ datapointsToAlarm: 3, treatMissingData })).state;
      expect([decide('missing'), decide('ignore')]).not.toContain('ALARM');
    },
  );

  // "The extra data points from farther back in the evaluation range are not needed and are ignored."
  test('decideAlarmState: evaluates the newest datapoints only', () => {
    expect(decideAlarmState(toDatapoints('X X 0 0 0'), ruleOf()).state).toBe('OK');
  });
});

/** Reasons in the form of real alarms, which DescribeAlarms and messages of SNS returned. */
describe('decideAlarmState: reasons', () => {
  test.each<[string, string, Partial<AlarmRule>, string]>([
    [
      'a breaching datapoint',
      '- - X',
      { evaluationPeriods: 1 },
      'Threshold Crossed: 1 datapoint [20.0 (30/11/26 10:02:00)] was greater than the threshold (10.0).',
    ],
    [
      'breaching datapoints with datapoints to alarm',
      '- - X X X',
      { datapointsToAlarm: 3 },
      'Threshold Crossed: 3 out of the last 3 datapoints [20.0 (30/11/26 10:04:00), 20.0 (30/11/26 10:03:00), 20.0 (30/11/26 10:02:00)] were greater than the threshold (10.0) (minimum 3 datapoints for OK -> ALARM transition).',
    ],
    [
      'datapoints within the threshold',
      '0 0',
      { evaluationPeriods: 2 },
      'Threshold Crossed: 2 datapoints [0.0 (30/11/26 10:01:00), 0.0 (30/11/26 10:00:00)] were not greater than the threshold (10.0).',
    ],
    [
      'datapoints within the threshold with datapoints to alarm',
      '0 0',
      { evaluationPeriods: 2, datapointsToAlarm: 2 },
      'Threshold Crossed: 2 out of the last 2 datapoints [0.0 (30/11/26 10:01:00), 0.0 (30/11/26 10:00:00)] were not greater than the threshold (10.0) (minimum 1 datapoint for ALARM -> OK transition).',
    ],
    [
      'no datapoint, not breaching',
      '- - -',
      { evaluationPeriods: 1, treatMissingData: 'notBreaching' },
      'Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as [NonBreaching].',
    ],
    [
      'no datapoint, breaching',
      '- - - - -',
      { treatMissingData: 'breaching' },
      'Threshold Crossed: no datapoints were received for 3 periods and 3 missing datapoints were treated as [Breaching].',
    ],
    [
      'a breaching datapoint among missing ones',
      '- - - - X',
      { datapointsToAlarm: 1, treatMissingData: 'notBreaching' },
      'Threshold Crossed: 1 out of the last 3 datapoints [20.0 (30/11/26 10:04:00)] was greater than the threshold (10.0) and 2 missing datapoints were treated as [NonBreaching] (minimum 1 datapoint for OK -> ALARM transition).',
    ],
    [
      'no datapoint, missing',
      '- - -',
      { evaluationPeriods: 1 },
      'Insufficient Data: 1 datapoint was unknown.',
    ],
    ['no datapoints, missing', '- - - - -', {}, 'Insufficient Data: 3 datapoints were unknown.'],
  ])('decideAlarmState: reason of %s', (_, notation, settings, reason) => {
    expect(decideAlarmState(toDatapoints(notation), ruleOf(settings)).reason).toBe(reason);
  });
});
