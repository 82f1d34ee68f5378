import { randomBytes, randomUUID } from 'node:crypto';
import { Event, type NotificationConfiguration } from '@aws-sdk/client-s3';
import { partitionOfRegion, regionOfArn } from '../../util/arn.ts';
import { AwsError } from '../aws-error.ts';
import type { Call, Handlers } from '../call.ts';
import { HOST_ID, malformedXmlError } from '../protocol/rest-xml.ts';
import type { SendRefusal } from '../sqs/queue-service.ts';
import type { BucketState } from '../state.ts';
import { supersedePolicy } from '../stored-policies.ts';
import { getAuthorizedBucket, invalidArgumentError } from './access.ts';
import { markBucketChanged } from './bucket-settings.ts';
import {
  coversEvent,
  entriesOf,
  filterValueOf,
  type NotificationEntry,
  S3_SUBJECT,
  s3SenderOf,
} from './event-notifier.ts';

export const notificationHandlers: Handlers = {
  PutBucketNotificationConfiguration(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutBucketNotification');
    if (!input.NotificationConfiguration) throw malformedXmlError();
    const configuration = withIds(input.NotificationConfiguration);
    checkConfiguration(configuration, bucket);
    const destinations = entriesOf(configuration).filter(isSupportedDestination);
    if (!input.SkipDestinationValidation) {
      checkDestinations(call, bucket, destinations);
      const message = { body: testMessageOf(call, bucket), subject: S3_SUBJECT };
      for (const { service, arn } of destinations)
        call.notifier.destinations[service].sendAs(s3SenderOf(bucket), arn, message);
    }
    const notifications = bucket.notifications ?? { configuration: {} };
    supersedePolicy(
      notifications,
      notifications.configuration,
      call.now,
      call.faultSettings.notificationDelayMs,
    );
    bucket.notifications = { ...notifications, configuration };
    return markBucketChanged(call, bucket);
  },

  GetBucketNotificationConfiguration: (call, input) =>
    getAuthorizedBucket(call, input, 's3:GetBucketNotification').notifications?.configuration ?? {},
};

/**
 * Returns a configuration as S3 stores it: each entry has an id, and the names of filter rules begin with a capital.
 * fact: localstack TestS3NotificationsToSQS::test_filter_rules_case_insensitive (recorded from AWS)
 */
function withIds(configuration: NotificationConfiguration): NotificationConfiguration {
  const complete = <T extends { Id?: string | undefined; Filter?: NotificationEntry['filter'] }>(
    entries: T[] | undefined,
  ): T[] | undefined =>
    entries?.map((entry) => ({
      ...entry,
      Id: entry.Id || Buffer.from(randomUUID()).toString('base64'),
      ...(entry.Filter?.Key?.FilterRules
        ? { Filter: { Key: { FilterRules: entry.Filter.Key.FilterRules.map(capitalizeName) } } }
        : {}),
    }));
  const { TopicConfigurations, QueueConfigurations, LambdaFunctionConfigurations } = configuration;
  const lists = {
    TopicConfigurations: complete(TopicConfigurations),
    QueueConfigurations: complete(QueueConfigurations),
    LambdaFunctionConfigurations: complete(LambdaFunctionConfigurations),
    EventBridgeConfiguration: configuration.EventBridgeConfiguration,
  };
  return Object.fromEntries(Object.entries(lists).filter(([, value]) => value !== undefined));
}

const capitalizeName = <T extends { Name?: string | undefined }>(rule: T): T => ({
  ...rule,
  Name: /^(prefix|suffix)$/i.test(rule.Name ?? '')
    ? `${rule.Name?.slice(0, 1).toUpperCase()}${rule.Name?.slice(1).toLowerCase()}`
    : rule.Name,
});

/** The sandbox has no functions: it keeps their entries, and sends nothing to them. */
const isSupportedDestination = (
  entry: NotificationEntry,
): entry is NotificationEntry & { service: 'sqs' | 'sns' } => entry.service !== 'lambda';

/** Names of the destinations in the XML of the request, which errors contain. */
const DESTINATION_ELEMENTS = { sqs: 'Queue', sns: 'Topic', lambda: 'CloudFunction' };

/** @throws AwsError InvalidArgument with the message of S3, in the order of S3: the form first. */
function checkConfiguration(configuration: NotificationConfiguration, bucket: BucketState): void {
  const entries = entriesOf(configuration);
  for (const entry of entries) checkEntry(entry, bucket);
  const ids = entries.map(({ id }) => id);
  if (new Set(ids).size < ids.length)
    throw invalidNotificationError('Same ID used for multiple configurations. IDs must be unique');
  for (const [index, entry] of entries.entries()) {
    const overlapping = entries.slice(index + 1).find((other) => overlaps(entry, other));
    if (overlapping) throw overlapError(entry, overlapping);
  }
}

const invalidNotificationError = (message: string): AwsError => new AwsError(400, 'InvalidArgument', message);

const EVENTS = new Set<string>(Object.values(Event));

function checkEntry({ service, arn, events, filter }: NotificationEntry, bucket: BucketState): void {
  const [prefix, partition, arnService, , account, name] = arn.split(':');
  if (prefix !== 'arn' || arnService !== service || !name || !/^\d{12}$/.test(account ?? ''))
    throw invalidArgumentError('The ARN could not be parsed', DESTINATION_ELEMENTS[service], arn);
  if (regionOfArn(arn) !== bucket.region || partition !== partitionOfRegion(bucket.region))
    throw invalidArgumentError(
      'The notification destination service region is not valid for the bucket location constraint',
      DESTINATION_ELEMENTS[service],
      arn,
    );
  if (arn.endsWith('.fifo'))
    throw invalidNotificationError(
      `FIFO ${service === 'sqs' ? 'SQS queues' : 'SNS topics'} are not supported.`,
    );
  if (events.length === 0) throw malformedXmlError();
  const unknownEvent = events.find((event) => !EVENTS.has(event));
  if (unknownEvent !== undefined)
    throw invalidArgumentError('The event is not supported for notifications', 'Event', unknownEvent);
  const rules = filter?.Key?.FilterRules ?? [];
  const unknownRule = rules.find(({ Name }) => !/^(prefix|suffix)$/i.test(Name ?? ''));
  if (unknownRule)
    throw invalidArgumentError(
      'filter rule name must be either prefix or suffix',
      'FilterRule.Name',
      unknownRule.Name ?? '',
    );
  for (const name of ['prefix', 'suffix'] as const)
    if (rules.filter(({ Name }) => Name?.toLowerCase() === name).length > 1)
      throw invalidArgumentError(
        `Cannot specify more than one ${name} rule in a filter.`,
        'FilterRule.Name',
        name,
      );
}

/** Returns whether two entries select a common event of a common key. */
function overlaps(a: NotificationEntry, b: NotificationEntry): boolean {
  const prefixes = [filterValueOf(a.filter, 'prefix'), filterValueOf(b.filter, 'prefix')] as const;
  const suffixes = [filterValueOf(a.filter, 'suffix'), filterValueOf(b.filter, 'suffix')] as const;
  return (
    a.events.some((event) =>
      b.events.some((other) => coversEvent(event, other) || coversEvent(other, event)),
    ) &&
    (prefixes[0].startsWith(prefixes[1]) || prefixes[1].startsWith(prefixes[0])) &&
    (suffixes[0].endsWith(suffixes[1]) || suffixes[1].endsWith(suffixes[0]))
  );
}

const overlapError = (...entries: NotificationEntry[]): AwsError =>
  invalidNotificationError(
    entries.some(({ filter }) => (filter?.Key?.FilterRules ?? []).length > 0)
      ? 'Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are overlapping for the same event type.'
      : 'Configurations overlap. Configurations on the same bucket cannot share a common event type.',
  );

/**
 * Checks that each destination exists and allows S3 to send.
 * fact: localstack TestS3NotificationsToSQS::test_multiple_invalid_sqs_arns (recorded from AWS)
 */
function checkDestinations(
  call: Call,
  bucket: BucketState,
  entries: (NotificationEntry & { service: 'sqs' | 'sns' })[],
): void {
  const fields: Record<string, string> = {};
  let number = 0;
  for (const { service, arn } of entries) {
    const refusal = call.notifier.destinations[service].findRefusal(arn, s3SenderOf(bucket));
    if (!refusal) continue;
    number += 1;
    fields[`ArgumentName${number}`] = arn;
    fields[`ArgumentValue${number}`] = describeRefusal(service, refusal);
  }
  if (number === 0) return;
  throw new AwsError(
    400,
    'InvalidArgument',
    'Unable to validate the following destination configurations',
    fields,
  );
}

function describeRefusal(service: 'sqs' | 'sns', { cause }: SendRefusal): string {
  const noun = service === 'sqs' ? 'queue' : 'topic';
  return cause === 'absent'
    ? `The destination ${noun} does not exist`
    : `Permissions on the destination ${noun} do not allow S3 to publish notifications from this bucket`;
}

/** S3 User Guide, "Event message structure", "Amazon S3 test message". */
const testMessageOf = ({ now }: Call, { name }: BucketState): string =>
  JSON.stringify({
    Service: 'Amazon S3',
    Event: 's3:TestEvent',
    Time: new Date(now).toISOString(),
    Bucket: name,
    RequestId: randomBytes(8).toString('hex').toUpperCase(),
    HostId: HOST_ID,
  });
