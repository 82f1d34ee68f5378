import { listAlarms } from '../aws/alarms.ts';
import { formatAwsError } from '../aws/errors.ts';
import type { Fact } from '../core/facts.ts';
import type { Aws, Location } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import { snsTopicPolicy } from '../kinds/sns-topic-policy.ts';
import type { LocatedAlarms, TopicFacts, TopicsByArn } from '../proof/alarm-findings.ts';

/** Reads all metric alarms of a location. */
export async function readAlarms(aws: Aws, location: Location): Promise<LocatedAlarms> {
  try {
    // Rejects the credentials of another account, whose alarms are not those of the buckets.
    await aws.accountId(location.account);
    return { location, alarms: await listAlarms(aws, location) };
  } catch (error) {
    if (error instanceof UserError) throw error;
    return { location, alarms: { unread: formatAwsError(error) } };
  }
}

/** Reads topics of SNS, each once. */
export async function readTopics(
  aws: Aws,
  arns: Iterable<string>,
  locationOf: (arn: string) => Location,
): Promise<TopicsByArn> {
  const reads = [...new Set(arns)].map(
    async (arn): Promise<[string, Fact<TopicFacts>]> => [arn, await readTopic(aws, arn, locationOf(arn))],
  );
  return Object.fromEntries(await Promise.all(reads));
}

async function readTopic(aws: Aws, arn: string, location: Location): Promise<Fact<TopicFacts>> {
  try {
    return (await snsTopicPolicy.fetch(aws, location, arn)) ?? null;
  } catch (error) {
    if (error instanceof UserError) throw error;
    return { unread: formatAwsError(error) };
  }
}
