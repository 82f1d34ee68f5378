import { regionOfArn } from '../../util/arn.ts';
import { type Path, positionOf, problemAtPath } from '../document.ts';
import { type AlarmType, ruleAlarmName } from '../patterns.ts';
import { reverseNameOf, ruleNamesOf } from '../resolve.ts';
import { MAX_ALARM_TOPICS, METRIC_PERIOD_MINUTES } from '../schema.ts';
import { formatPosition } from '../source-file.ts';
import type { Position, Problem } from '../types.ts';
import { type CheckedReplication, isValidAt } from '../validate.ts';
import type { ReplicationSpec } from './conflicts.ts';
import { type CheckFailure, type PairCheck, partitionFailures } from './pairs.ts';

/** Checks of the alarms of one spec. */
export const alarmChecks: readonly PairCheck[] = [
  checkAlarmDeclared,
  checkLatency,
  checkTopicsUnique,
  checkTopicPartitions,
  checkTopicRegions,
  checkAlarmsNotify,
  checkTopicCount,
  checkAlarmMetrics,
];

const ALARMS: Path = ['spec', 'alarms'];
const NOTIFY: Path = [...ALARMS, 'notify'];

/** The fields that decide about the Regions of the alarms. */
const REGION_FIELDS: Path[] = [
  ['spec', 'source', 'region'],
  ['spec', 'destination', 'region'],
  ['spec', 'direction'],
  [...ALARMS, 'failed'],
  [...ALARMS, 'lateAfterMinutes'],
];

/** The name of the metric of an alarm. */
const METRIC_NAMES = { failed: 'OperationsFailedReplication', late: 'ReplicationLatency' } as const;

/** An alarm of a spec in one direction, with the Region in which S3 publishes its metric. */
interface DeclaredAlarm {
  type: AlarmType;
  region: string;
  /** Name of the spec, or of its reverse direction. */
  specName: string;
}

/** Returns the alarms of each direction of a spec. */
function declaredAlarms(
  { alarms, source, destination, direction }: ReplicationSpec,
  name = '',
): DeclaredAlarm[] {
  const ofDirection = (specName: string, from: string, to: string): DeclaredAlarm[] => [
    ...(alarms?.failed ? [{ type: 'failed' as const, region: from, specName }] : []),
    ...(alarms?.lateAfterMinutes === undefined ? [] : [{ type: 'late' as const, region: to, specName }]),
  ];
  return [
    ...ofDirection(name, source.region, destination.region),
    ...(direction === 'both' ? ofDirection(reverseNameOf(name), destination.region, source.region) : []),
  ];
}

/** `us-east-1 (failed) and us-west-2 (late)` */
function regionsText(declared: readonly DeclaredAlarm[]): string {
  const regions = [...new Set(declared.map(({ region }) => region))];
  return regions
    .map((region) => {
      const types = new Set(declared.filter((alarm) => alarm.region === region).map(({ type }) => type));
      return `${region} (${[...types].join(', ')})`;
    })
    .join(' and ');
}

function checkAlarmDeclared({ content: { spec } }: CheckedReplication): CheckFailure[] {
  if (!spec.alarms || spec.alarms.failed !== undefined || spec.alarms.lateAfterMinutes !== undefined)
    return [];
  const hint = 'add failed: true or lateAfterMinutes: 30, or remove alarms';
  return [[ALARMS, 'alarms declares no alarm', hint, [...ALARMS, 'failed'], [...ALARMS, 'lateAfterMinutes']]];
}

function checkLatency({ content: { spec } }: CheckedReplication): CheckFailure[] {
  const { lateAfterMinutes } = spec.alarms ?? {};
  if (lateAfterMinutes === undefined || lateAfterMinutes % METRIC_PERIOD_MINUTES === 0) return [];
  const message = `lateAfterMinutes is ${lateAfterMinutes}, but the alarm evaluates periods of ${METRIC_PERIOD_MINUTES} minutes`;
  const next = Math.ceil(lateAfterMinutes / METRIC_PERIOD_MINUTES) * METRIC_PERIOD_MINUTES;
  return [
    [[...ALARMS, 'lateAfterMinutes'], message, `use a multiple of ${METRIC_PERIOD_MINUTES}, such as ${next}`],
  ];
}

function checkTopicsUnique({ content: { spec } }: CheckedReplication): CheckFailure[] {
  const topics = spec.alarms?.notify ?? [];
  return topics.flatMap((topic, index): CheckFailure[] =>
    topics.indexOf(topic) === index
      ? []
      : [[[...NOTIFY, index], 'the topic is already in the list', 'remove one of the two']],
  );
}

function checkTopicPartitions({ content: { spec } }: CheckedReplication): CheckFailure[] {
  return (spec.alarms?.notify ?? []).flatMap((topic, index) =>
    partitionFailures([...NOTIFY, index], topic, 'source', spec.source.region),
  );
}

/** Refuses a topic that no alarm can notify. */
function checkTopicRegions({ content: { spec } }: CheckedReplication): CheckFailure[] {
  const declared = declaredAlarms(spec);
  const regions = new Set(declared.map(({ region }) => region));
  if (regions.size === 0) return [];
  return (spec.alarms?.notify ?? []).flatMap((topic, index): CheckFailure[] => {
    const region = regionOfArn(topic);
    if (regions.has(region)) return [];
    const message = `the topic is in ${region}, but the alarms are in ${regionsText(declared)}`;
    const hint = `use a topic in ${[...regions].join(' or ')}; CloudWatch notifies only topics of the Region of the alarm`;
    return [[[...NOTIFY, index], message, hint, ...REGION_FIELDS]];
  });
}

/** Refuses an alarm without a topic: its state would change, and CloudWatch would notify no topic. */
function checkAlarmsNotify({ content: { spec } }: CheckedReplication): CheckFailure[] {
  const topicRegions = new Set((spec.alarms?.notify ?? []).map(regionOfArn));
  const silent = declaredAlarms(spec).filter(({ region }) => !topicRegions.has(region));
  return [...new Map(silent.map((alarm) => [alarm.region, alarm])).values()].map(({ type, region }) => {
    const message = `the ${type} alarm notifies no topic: S3 publishes ${METRIC_NAMES[type]} in ${region}, and no topic in notify is there`;
    return [NOTIFY, message, `add the ARN of an SNS topic in ${region}`, ...REGION_FIELDS];
  });
}

function checkTopicCount({ content: { spec } }: CheckedReplication): CheckFailure[] {
  const topics = spec.alarms?.notify ?? [];
  return [...new Set(topics.map(regionOfArn))].flatMap((region): CheckFailure[] => {
    const count = topics.filter((topic) => regionOfArn(topic) === region).length;
    if (count <= MAX_ALARM_TOPICS) return [];
    const message = `notify has ${count} topics in ${region}, but an alarm notifies at most ${MAX_ALARM_TOPICS}`;
    return [[NOTIFY, message, 'remove some, or subscribe all endpoints to one topic']];
  });
}

/** Refuses alarms on rules for which S3 publishes no metrics. */
function checkAlarmMetrics({ content: { spec } }: CheckedReplication): CheckFailure[] {
  if (declaredAlarms(spec).length === 0) return [];
  return spec.rules.flatMap((rule, index): CheckFailure[] => {
    if (rule.metrics) return [];
    const message = 'the alarms of the spec can never fire for this rule, because it has no metrics';
    return [
      [['spec', 'rules', index, 'metrics'], message, 'remove metrics: false, or remove alarms', ALARMS],
    ];
  });
}

/** Reports rules whose alarms have the same name in one account and Region: `a-b` and `c`, `a` and `b-c`. */
export function checkAlarmNamesUnique(pairs: readonly CheckedReplication[]): Problem[] {
  const firstByName = new Map<string, Position>();
  return pairs.flatMap((pair) => {
    const { metadata, spec } = pair.content;
    if (spec.alarms?.scope !== 'rule') return [];
    const depends: Path[] = [['metadata', 'name'], ['spec', 'source', 'account'], ALARMS, ...REGION_FIELDS];
    const problems = new Map<number, Problem>();
    for (const { type, region, specName } of declaredAlarms(spec, metadata.name)) {
      const account = specName === metadata.name ? spec.source.account : spec.destination.account;
      for (const [index, ruleName] of ruleNamesOf(spec.rules).entries()) {
        const path: Path = ['spec', 'rules', index, 'name'];
        if (!isValidAt(pair, path, ['spec', 'rules', index], ...depends)) continue;
        const name = ruleAlarmName(specName, ruleName, type);
        const key = [name, account ?? '', region].join(' ');
        const previous = firstByName.get(key);
        const position = positionOf(pair.parsed, path);
        firstByName.set(key, previous ?? position);
        if (!previous || problems.has(index)) continue;
        const message = `the alarm ${name} in ${region} is also that of the rule at ${formatPosition(previous)}`;
        problems.set(
          index,
          problemAtPath(pair.parsed, path, message, 'give one of the two rules another name'),
        );
      }
    }
    return [...problems.values()];
  });
}
