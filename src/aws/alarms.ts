import type { MetricAlarm, PutMetricAlarmInput } from '@aws-sdk/client-cloudwatch';
import type { Aws, Location } from '../core/resource.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { paginate } from './paginate.ts';
import { requireField } from './response.ts';

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
