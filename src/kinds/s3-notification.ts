import {
  GetBucketNotificationConfigurationCommand,
  PutBucketNotificationConfigurationCommand,
} from '@aws-sdk/client-s3';
import { withRequestBody } from '../aws/command.ts';
import { bucketResourceId, locationOfSide, positionOfPath } from '../core/ids.ts';
import type { Change, Kind } from '../core/kind.ts';
import { orphanResource } from '../core/orphan.ts';
import type { Aws, Current, Location, Resource } from '../core/resource.ts';
import { toSidName, toStatementList } from '../policy/statements.ts';
import type { BucketReplication, FailureEventName } from '../spec/types.ts';
import { awsCli, MERGED_FILE, mergeCommand } from '../util/aws-cli.ts';
import { compareCodeUnits, isJsonEqual, sortKeys, toSortedSet } from '../util/canonical-json.ts';
import { bucketAuditEvents } from './cloudtrail-events.ts';
import { targetKeyStatements, targetPolicyId, targetTypeOf } from './failure-target.ts';
import { bucketTransientErrors, ignoreErrors } from './helpers.ts';
import {
  insertConfigurations,
  type NotificationConfiguration,
  type NotificationDoc,
  toNotificationDoc,
  toNotificationXml,
} from './notification-document.ts';
import { bucketScope } from './scopes.ts';

/** The entries of replikey in the notification configuration of a source bucket. All others stay as they are. */
export interface S3Notification {
  bucket: string;
  /** By id: `replikey/<spec>`. */
  entries: Record<string, FailureEntry>;
}

/** Events of a bucket, of all of its rules, that S3 sends to a queue or topic. */
export interface FailureEntry {
  /** ARN of the queue or topic. */
  to: string;
  /** Event names of S3, sorted. */
  events: string[];
  /** Another caller added a filter, which replikey removes: rules select objects in ways that a filter cannot express. */
  filtered?: true;
}

/** More input for `check`. */
export interface NotificationContext {
  /** KMS keys of its queues and topics that no spec declares: ids, ARNs or aliases. */
  undeclaredKeys: string[];
}

type CurrentNotification = Current<S3Notification, NotificationConfiguration[]>;

/**
 * Names of the events in S3.
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
 */
const S3_EVENT_NAMES: Record<FailureEventName, string> = {
  failed: 's3:Replication:OperationFailedReplication',
  missedThreshold: 's3:Replication:OperationMissedThreshold',
  replicatedLate: 's3:Replication:OperationReplicatedAfterThreshold',
  notTracked: 's3:Replication:OperationNotTracked',
};

/** S3 allows this many configurations in a bucket. */
const MAX_CONFIGURATIONS = 100;

export const s3Notification: Kind<S3Notification, NotificationDoc, NotificationConfiguration[]> = {
  name: 's3.notification',
  scope: { ...bucketScope, stage: 'monitoring' },
  permissions: { read: ['s3:GetBucketNotification'], write: ['s3:PutBucketNotification'] },

  desired({ pair, relatedPairs }) {
    if (!pair.failures) return [];
    const { bucket } = pair.source;
    const pairsOfBucket = relatedPairs.filter(({ source }) => source.bucket === bucket);
    return [
      {
        id: bucketResourceId('s3.notification', bucket),
        kind: 's3.notification',
        name: bucket,
        location: locationOfSide(pair.source),
        spec: { bucket, entries: desiredEntries(pairsOfBucket) },
        after: [
          // S3 validates each target when the configuration is written.
          ...pairsOfBucket.flatMap(({ failures }) => (failures ? targetPolicyId(failures.to) : [])),
          bucketResourceId('s3.replication', bucket),
        ],
        declaredBy: [pair.name],
        position: positionOfPath(pair, 'spec.failures'),
      },
    ];
  },

  orphans: (orphan) =>
    orphan.notifications.map(({ bucket, location, targets }) =>
      orphanResource(orphan, {
        id: bucketResourceId('s3.notification', bucket),
        kind: 's3.notification',
        name: bucket,
        location,
        spec: { bucket, entries: {} },
        // Last, because prune finds the policies through the entries.
        after: targets.map(({ arn }) => targetPolicyId(arn)),
      }),
    ),

  normalize: ({ bucket, entries }) => ({
    bucket,
    entries: sortKeys(
      Object.fromEntries(
        Object.entries(entries).map(([id, entry]) => [id, { ...entry, events: toSortedSet(entry.events) }]),
      ),
    ),
  }),

  async fetch(aws, location, name) {
    const owner = await aws.accountId(location.account);
    const response = await ignoreErrors(
      aws.send(
        location,
        new GetBucketNotificationConfigurationCommand({ Bucket: name, ExpectedBucketOwner: owner }),
      ),
      'NoSuchBucket',
    );
    const doc = response && toNotificationDoc(response);
    // S3 returns an empty document for a bucket without a configuration.
    return doc && doc.configurations.length > 0 ? doc : undefined;
  },

  parse({ configurations, rootAttributes }, { name, spec, declaredBy, pruneOwners = [] }) {
    const owners = new Set([...declaredBy.map(toSidName), ...pruneOwners]);
    const isManaged = ({ id = '' }: NotificationConfiguration) =>
      id in spec.entries || owners.has(toSidName(specNameOfEntry(id) ?? ''));
    const managed = configurations.filter(isManaged);
    return {
      spec: {
        bucket: name,
        entries: Object.fromEntries(managed.map((entry) => [entry.id ?? '', parseEntry(entry)])),
      },
      // The text of the managed entries, by their ids: an entry that stays keeps what this version does not know.
      attrs: {
        ...(rootAttributes !== undefined && { rootAttributes }),
        ...Object.fromEntries(managed.flatMap(({ id = '', xml }) => (xml === undefined ? [] : [[id, xml]]))),
      },
      foreign: configurations.filter((configuration) => !isManaged(configuration)),
    };
  },

  render({ spec, orphaned }, current) {
    const foreign = current?.foreign ?? [];
    const entries = Object.entries(spec.entries).flatMap(([id, entry]): NotificationConfiguration[] => {
      const events = entry.events.filter((event) => !foreign.some((other) => sends(other, entry.to, event)));
      return events.length === 0 ? [] : [toStoredEntry(id, { ...entry, events }, current)];
    });
    if (orphaned && foreign.length + entries.length === 0) return undefined;
    const { rootAttributes } = current?.attrs ?? {};
    return {
      configurations: insertConfigurations(foreign, entries),
      ...(rootAttributes !== undefined && { rootAttributes }),
    };
  },

  operations: ({ resource: { name, location }, desired: { entries } }) => [
    {
      call: 's3:PutBucketNotificationConfiguration',
      manual: {
        what: `send the failure events of ${name}`,
        document: toSdkForm(entries),
        command: addEntriesCommand(name, location, entries),
      },
    },
  ],

  send: (aws, { resource: { name, location }, doc }) =>
    putDocument(aws, location, name, doc ?? { configurations: [] }),

  remove: (aws, { name, location }) => putDocument(aws, location, name, { configurations: [] }),

  response: { replacesWholeDocument: true },

  check: (change) => ({
    blocked: notificationProblem(change),
    notes: coverageNotes(change),
    changeNotes: undeclaredKeyNotes(change.resource),
  }),

  explain: (path) =>
    path === ''
      ? 'S3 reports a failed object only to a queue or topic in the notification configuration of the bucket'
      : path.endsWith('/filtered')
        ? 'a filter hides the events of other objects'
        : undefined,

  transientErrors: [
    ...bucketTransientErrors,
    {
      code: 'InvalidArgument',
      message: /Unable to validate the following destination configurations/,
      waitsFor: 'S3 to see the policy of the queue or topic',
    },
  ],

  auditEvents: bucketAuditEvents({ '': ['PutBucketNotification'], '/': ['PutBucketNotification'] }),
};

const toEntryId = (spec: string): string => `replikey/${spec}`;

/** Returns the spec of an entry; undefined for a foreign entry. */
export const specNameOfEntry = (id: string): string | undefined => /^replikey\/([^/]+)$/.exec(id)?.[1];

/**
 * Returns the entries of the specs that share a bucket. S3 accepts each event once, so an event that several specs
 * declare is in the entry of the first of them by name. `checkAgreement` ensures that they declare the same target.
 */
function desiredEntries(pairs: readonly BucketReplication[]): S3Notification['entries'] {
  const claimed = new Set<string>();
  const entries: S3Notification['entries'] = {};
  for (const { name, failures } of [...pairs].sort((a, b) => compareCodeUnits(a.name, b.name))) {
    const events = (failures?.events ?? []).filter((event) => !claimed.has(event));
    if (!failures || events.length === 0) continue;
    for (const event of events) claimed.add(event);
    entries[toEntryId(name)] = { to: failures.to, events: events.map((event) => S3_EVENT_NAMES[event]) };
  }
  return entries;
}

const parseEntry = ({ target = '', events, isFiltered }: NotificationConfiguration): FailureEntry => ({
  to: target,
  events: toSortedSet(events),
  ...(isFiltered && { filtered: true as const }),
});

/** Returns the element of an entry. It keeps its text if the entry is as desired. */
function toStoredEntry(
  id: string,
  entry: FailureEntry,
  current: CurrentNotification | undefined,
): NotificationConfiguration {
  const xml = isJsonEqual(current?.spec.entries[id], { ...entry, events: toSortedSet(entry.events) })
    ? current?.attrs[id]
    : undefined;
  return {
    element: targetTypeOf(entry.to).noun === 'topic' ? 'TopicConfiguration' : 'QueueConfiguration',
    id,
    target: entry.to,
    events: entry.events,
    isFiltered: false,
    ...(xml !== undefined && { xml }),
  };
}

/** Whether a configuration contains an event, by its name or by a wildcard: `s3:Replication:*`. */
const contains = ({ events }: NotificationConfiguration, event: string): boolean =>
  events.some((name) => name === event || (name.endsWith('*') && event.startsWith(name.slice(0, -1))));

/** Whether a configuration sends an event of every object to a target. */
const sends = (configuration: NotificationConfiguration, to: string, event: string): boolean =>
  configuration.target === to && !configuration.isFiltered && contains(configuration, event);

function notificationProblem({
  resource: { name, spec },
  current,
  doc,
}: Change<S3Notification, NotificationDoc, NotificationConfiguration[]>): string | undefined {
  const count = doc?.configurations.length ?? 0;
  if (count > MAX_CONFIGURATIONS)
    return `${name} would have ${count} notification configurations, but S3 allows ${MAX_CONFIGURATIONS}; remove some`;
  for (const { to, events } of Object.values(spec.entries))
    for (const event of events) {
      const other = current?.foreign?.find(
        (configuration) => contains(configuration, event) && !sends(configuration, to, event),
      );
      if (!other) continue;
      const remedy = other.isFiltered
        ? 'remove its filter, or the event from it'
        : `remove the event from it, or declare failures.to: ${other.target}`;
      return `the notification configuration "${other.id ?? '(no id)'}" of ${name} sends ${event} to ${other.target}${other.isFiltered ? ' for some keys' : ''}, and S3 refuses a second one for the same event; ${remedy}`;
    }
  return undefined;
}

/** Returns notes on foreign configurations that already send declared events to the declared target. */
const coverageNotes = ({
  resource: { name, spec },
  current,
}: Change<S3Notification, NotificationDoc, NotificationConfiguration[]>): string[] =>
  (current?.foreign ?? []).flatMap((other) => {
    if (specNameOfEntry(other.id ?? '') !== undefined) return [];
    const covered = Object.values(spec.entries).flatMap(({ to, events }) =>
      events.filter((event) => sends(other, to, event)),
    );
    return covered.length === 0
      ? []
      : [
          `the foreign notification configuration "${other.id}" of ${name} already sends ${covered.join(', ')} to ${other.target}, so replikey adds no entry for them`,
        ];
  });

/** Returns notes on keys whose policies replikey does not write. S3 validates them when the configuration is written. */
const undeclaredKeyNotes = ({ context, declaredBy }: Resource): string[] =>
  ((context ?? {}) as Partial<NotificationContext>).undeclaredKeys?.map(
    (key) =>
      `the KMS key ${key} encrypts the queue or topic, and no spec declares it: its policy must contain ${JSON.stringify(toStatementList(targetKeyStatements(declaredBy))[0])}`,
  ) ?? [];

async function putDocument(
  aws: Aws,
  location: Location,
  bucket: string,
  doc: NotificationDoc,
): Promise<void> {
  const command = new PutBucketNotificationConfigurationCommand({
    Bucket: bucket,
    ExpectedBucketOwner: await aws.accountId(location.account),
    NotificationConfiguration: {},
  });
  try {
    await aws.send(location, withRequestBody(command, toNotificationXml(doc)));
  } catch (error) {
    if (error instanceof Error) error.message += invalidTargetsText(error);
    throw error;
  }
}

/** Returns the targets that S3 could not validate, with its reasons. S3 validates foreign entries, too. */
function invalidTargetsText(error: object): string {
  const fields = error as Record<string, unknown>;
  const targets = Object.keys(fields)
    .filter((name) => /^ArgumentName\d+$/.test(name))
    .map((name) => `${fields[name]} (${fields[name.replace('Name', 'Value')]})`);
  return targets.length === 0 ? '' : `: ${targets.join(', ')}`;
}

/** Returns entries in the form of the AWS CLI. */
function toSdkForm(entries: S3Notification['entries']): Record<string, object[]> {
  const form: Record<string, object[]> = {};
  for (const [Id, { to, events }] of Object.entries(entries)) {
    const isTopic = targetTypeOf(to).noun === 'topic';
    const field = isTopic ? 'TopicConfigurations' : 'QueueConfigurations';
    const target = isTopic ? { TopicArn: to } : { QueueArn: to };
    form[field] = [...(form[field] ?? []), { Id, ...target, Events: events }];
  }
  return form;
}

/** Returns the command that adds entries to a notification configuration, in an account that replikey cannot read. */
const addEntriesCommand = (
  bucket: string,
  { region }: Location,
  entries: S3Notification['entries'],
): string =>
  mergeCommand({
    get: awsCli('s3api get-bucket-notification-configuration', { region, bucket, output: 'json' }),
    additions: toSdkForm(entries),
    program:
      '. // {} | reduce ($new | keys[]) as $field (.; .[$field] = ([.[$field] // [] | .[] | select(.Id as $id | all($new[$field][]; .Id != $id))] + $new[$field]))',
    put: awsCli('s3api put-bucket-notification-configuration', {
      region,
      bucket,
      'notification-configuration': MERGED_FILE,
    }),
  });
