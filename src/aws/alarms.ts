import type { MetricAlarm, PutMetricAlarmInput } from '@aws-sdk/client-cloudwatch';
import type { Aws, Command, Location } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { commandInfo } from './command.ts';
import { paginate } from './paginate.ts';
import { requireField } from './response.ts';
import { afterCurrentTick } from './role-batcher.ts';

/**
 * Loads the client, which most runs never use. It returns one promise, so that all waiting reads continue in the same tick.
 */
function loadCloudWatch(): Promise<typeof import('@aws-sdk/client-cloudwatch')> {
  cloudWatch ??= import('@aws-sdk/client-cloudwatch');
  return cloudWatch;
}

let cloudWatch: Promise<typeof import('@aws-sdk/client-cloudwatch')> | undefined;

/** Maximum number of alarms in a response of DescribeAlarms, and of names in its request (API reference). */
export const MAX_ALARMS_PER_PAGE = 100;

/** Returns the metric alarms with these names, at most 100. The response omits those that do not exist. */
export async function describeAlarms(
  aws: Pick<Aws, 'send'>,
  location: Location,
  names: readonly string[],
): Promise<MetricAlarm[]> {
  const { DescribeAlarmsCommand } = await loadCloudWatch();
  const response = await aws.send(
    location,
    new DescribeAlarmsCommand({ AlarmNames: [...names], MaxRecords: MAX_ALARMS_PER_PAGE }),
  );
  return requireField(response, 'MetricAlarms');
}

/** Returns the metric alarms of an account in a Region, or those whose names begin with a prefix. */
export async function listAlarms(
  aws: Pick<Aws, 'send'>,
  location: Location,
  AlarmNamePrefix?: string,
): Promise<MetricAlarm[]> {
  const { DescribeAlarmsCommand } = await loadCloudWatch();
  const alarms: MetricAlarm[] = [];
  const pages = paginate(
    (NextToken) =>
      aws.send(
        location,
        new DescribeAlarmsCommand(
          omitUndefined({ AlarmNamePrefix, MaxRecords: MAX_ALARMS_PER_PAGE, NextToken }),
        ),
      ),
    ({ NextToken }) => ({ hasMore: NextToken !== undefined, marker: NextToken }),
  );
  for await (const page of pages) alarms.push(...requireField(page, 'MetricAlarms'));
  return alarms;
}

/** Creates or replaces an alarm. CloudWatch ignores the tags of an alarm that exists. */
export async function putAlarm(aws: Aws, location: Location, input: PutMetricAlarmInput): Promise<void> {
  const { PutMetricAlarmCommand } = await loadCloudWatch();
  await aws.send(location, new PutMetricAlarmCommand(input));
}

export async function deleteAlarm(aws: Aws, location: Location, name: string): Promise<void> {
  const { DeleteAlarmsCommand } = await loadCloudWatch();
  await aws.send(location, new DeleteAlarmsCommand({ AlarmNames: [name] }));
}

export async function listAlarmTags(
  aws: Aws,
  location: Location,
  arn: string,
): Promise<{ Key?: string | undefined; Value?: string | undefined }[]> {
  const { ListTagsForResourceCommand } = await loadCloudWatch();
  const response = await aws.send(location, new ListTagsForResourceCommand({ ResourceARN: arn }));
  return requireField(response, 'Tags');
}

/** The prefix of the names of all alarms that replikey creates. */
const PREFIX = 'replikey-';

type AlarmsByName = ReadonlyMap<string, MetricAlarm>;

/** The reads of alarms of one account and Region. */
interface AlarmReads {
  /** Reads by name, also of names without an alarm. */
  byName: Map<string, Promise<AlarmsByName>>;
  /** The names that are read next, and the alarms that these reads get. */
  pending?: { names: string[]; alarms: Promise<AlarmsByName> };
  /** All alarms with the prefix. */
  listing?: Promise<AlarmsByName>;
}

/**
 * Combines the reads of single alarms that start in the same tick: 100 names in a call. A pass over many pairs reads in
 * several ticks, so the second tick, or one with more names, lists all alarms of replikey in the account and Region, 100
 * in a call. A listing that fails is replaced by reads by name.
 */
export function batchAlarmReads(send: Aws['send']): Aws['send'] {
  const readsByLocation = new Map<string, AlarmReads>();

  async function readByName(location: Location, names: readonly string[]): Promise<AlarmsByName> {
    const groups = Array.from({ length: Math.ceil(names.length / MAX_ALARMS_PER_PAGE) }, (_, index) =>
      names.slice(index * MAX_ALARMS_PER_PAGE, (index + 1) * MAX_ALARMS_PER_PAGE),
    );
    const pages = await Promise.all(groups.map((group) => describeAlarms({ send }, location, group)));
    return toMap(pages.flat());
  }

  async function readListed(location: Location, reads: AlarmReads, names: readonly string[]) {
    reads.listing ??= listAlarms({ send }, location, PREFIX).then(toMap);
    try {
      return await reads.listing;
    } catch (error) {
      if (error instanceof UserError) throw error;
      return readByName(location, names);
    }
  }

  async function readPending(location: Location, reads: AlarmReads, names: readonly string[]) {
    await afterCurrentTick();
    delete reads.pending;
    const isFirst = reads.byName.size === names.length;
    return isFirst && names.length <= MAX_ALARMS_PER_PAGE
      ? readByName(location, names)
      : readListed(location, reads, names);
  }

  function alarmsFor(location: Location, name: string): Promise<AlarmsByName> {
    const key = JSON.stringify([location.account, location.region]);
    const reads: AlarmReads = readsByLocation.get(key) ?? { byName: new Map() };
    readsByLocation.set(key, reads);
    const read = reads.byName.get(name);
    if (read) return read;
    if (!reads.pending) {
      const names: string[] = [];
      reads.pending = { names, alarms: readPending(location, reads, names) };
    }
    reads.pending.names.push(name);
    reads.byName.set(name, reads.pending.alarms);
    return reads.pending.alarms;
  }

  return async <O>(location: Location, command: Command<O>): Promise<O> => {
    const { service, operation, input } = commandInfo(command);
    const { AlarmNames: [name, ...others] = [] } = input as { AlarmNames?: string[] };
    const isSingleRead =
      service === 'cloudwatch' && operation === 'DescribeAlarms' && others.length === 0 && name !== undefined;
    if (!isSingleRead || !name.startsWith(PREFIX)) return send(location, command);
    const alarm = (await alarmsFor(location, name)).get(name);
    return { MetricAlarms: alarm ? [alarm] : [] } as O;
  };
}

const toMap = (alarms: readonly MetricAlarm[]): AlarmsByName =>
  new Map(alarms.map((alarm) => [alarm.AlarmName ?? '', alarm]));
