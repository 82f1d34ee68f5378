import type { Kind } from '../core/kind.ts';
import type { PlanDraft } from '../core/plan.ts';
import type { Aws, Id, Location, Note, Resource } from '../core/resource.ts';
import { readTopics } from '../facts/alarms.ts';
import { type Locations, locationOfArn } from '../facts/locations.ts';
import type { CloudWatchAlarm } from '../kinds/cloudwatch-alarm.ts';
import { topicProblem, unreadTopicText } from '../proof/alarm-findings.ts';
import { regionOfArn } from '../util/arn.ts';

/** What a plan needs for the notes on the topics of alarms. */
interface AlarmSubject {
  planned: Pick<PlanDraft, 'waves'>;
  resources: readonly Resource[];
  kinds: ReadonlyMap<string, Kind>;
  locations: Locations;
  accountIdOf(location: Location): string;
}

/**
 * Returns notes on the topics of the alarms that a plan changes, if CloudWatch cannot publish to them: a note for each topic,
 * on the first of its alarms. A pass without changes reads no topics.
 */
export async function alarmTopicNotes(aws: Aws, subject: AlarmSubject): Promise<Note[]> {
  const { planned, resources, kinds, locations, accountIdOf } = subject;
  const changed = new Set<Id>(
    planned.waves.flat().flatMap(({ id, action }) => (action === 'delete' ? [] : id)),
  );
  const alarms = resources.filter(
    ({ id, kind }) => changed.has(id) && kinds.get(kind)?.scope.type === 'alarm',
  ) as Resource<CloudWatchAlarm>[];
  const topics = [...new Set(alarms.flatMap(({ spec }) => spec.alarmActions ?? []))];
  if (topics.length === 0) return [];
  const facts = await readTopics(aws, topics, (arn) => locationOfArn(arn, locations, regionOfArn(arn)));
  return topics.flatMap((topic): Note[] => {
    const users = alarms.filter(({ spec }) => spec.alarmActions?.includes(topic));
    const [first] = users;
    const kind = first && kinds.get(first.kind);
    if (!first || !kind) return [];
    const arn = kind.scope.arn(first, accountIdOf(first.location));
    const problem = topicProblem(topic, facts[topic], arn) ?? unreadTopicText(topic, facts[topic]);
    const pairs = [...new Set(users.flatMap(({ declaredBy }) => declaredBy))];
    return problem === undefined ? [] : [{ id: first.id, message: problem, pairs }];
  });
}
