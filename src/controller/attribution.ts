import * as z from 'zod';
import type { AwsClient } from '../aws/client.ts';
import type { CloudTrailModule } from '../aws/cloudtrail.ts';
import { nameFromId } from '../core/ids.ts';
import type { Kind } from '../core/kind.ts';
import type { Id, Location, Step } from '../core/resource.ts';
import type { Log } from '../log.ts';
import { canonicalJson } from '../util/canonical-json.ts';
import type { Clock } from '../util/clock.ts';
import { escapeUnprintable } from '../util/escape.ts';
import { createWorkQueue } from './queue.ts';

/** A period in milliseconds since 1970. */
interface Period {
  since: number;
  until: number;
}

/** A document, and the CloudTrail events that change it. */
export interface AuditedDocument {
  id: Id;
  /** The name by which events refer to its bucket, role or key. */
  name: string;
  location: Location;
  eventNames: string[];
  subject: Omit<Kind['auditEvents'], 'eventNamesByPath'>;
}

/** Attributes changes to the caller that made them. No pass waits for an attribution or depends on it. */
export interface Attributor {
  /** Starts a lookup of the changes that these steps revert, in the given period (milliseconds since 1970). */
  enqueue(key: string, steps: readonly Step[], period: Period): void;
  /** Starts a lookup of the last change of a document in the given period. */
  lookUp(key: string, document: AuditedDocument, period: Period): void;
  /** Drops all lookups of a removed pair. */
  forget(key: string): void;
  drain(): Promise<void>;
}

interface AttributorOptions {
  kinds: ReadonlyMap<string, Kind>;
  client(): AwsClient;
  loadCloudTrail(): Promise<Pick<CloudTrailModule, 'lookUp'>>;
  clock: Clock;
  log: Log;
  /** Receives each attribution that a lookup finds. */
  onAttributed(key: string, id: Id, change: LastChange): void;
  /** Called after each lookup, with or without a result. */
  onLookedUp?(key: string): void;
}

interface EventLookup extends AuditedDocument, Period {
  key: string;
  /** The location in which CloudTrail lists the events of the resource. */
  eventLocation: Location;
  /** The change that reverts the drift. The same change again starts no second lookup. */
  patch: string;
  isDone: boolean;
}

/**
 * Delay of the first lookup. CloudTrail delivers events after some minutes and states this delay only as an average.
 * Lookups stop after MAX_EVENT_DELAY_MS.
 */
const FIRST_LOOKUP_MS = 60_000;
const MAX_EVENT_DELAY_MS = 30 * 60_000;

/** Delay that gathers the lookups of concurrent drift into one batch. */
const BATCH_DELAY_MS = 1_000;

const BATCH_KEY = 'round';

/**
 * Runs all lookups in batches: one call for each event name, account and Region, for any number of documents. An
 * account may call LookupEvents twice a second, and drift often affects several documents.
 */
export function createAttributor({
  kinds,
  client,
  loadCloudTrail,
  clock,
  log,
  onAttributed,
  onLookedUp,
}: AttributorOptions): Attributor {
  /** By pair and document: the latest lookup, including a completed lookup. */
  const lookupsByKey = new Map<string, EventLookup>();
  const deniedLocations = new Set<string>();
  let attempts = 0;
  const queue = createWorkQueue({ clock, workers: 1, work: runBatch });

  const pendingLookups = () => [...lookupsByKey.values()].filter(({ isDone }) => !isDone);

  async function runBatch(): Promise<void> {
    const pending = pendingLookups();
    const aws = client().withCache();
    const eventsByGroup = new Map<string, LookupEventsEntry[]>();
    for (const [key, group] of groupLookups(pending)) {
      const events = await fetchEvents(aws, group);
      if (events) eventsByGroup.set(key, events);
    }
    for (const lookup of pending) {
      await attributeLookup(lookup, aws, eventsByGroup).catch((error: Error) =>
        log.debug(`${lookup.id}: ${error.message}`),
      );
      if (clock.now() - lookup.until > MAX_EVENT_DELAY_MS) lookup.isDone = true;
      onLookedUp?.(lookup.key);
    }
    if (pendingLookups().length > 0) queue.addAfter(BATCH_KEY, FIRST_LOOKUP_MS * 2 ** attempts);
    attempts += 1;
  }

  /** Fetches the events of one name in one location for a group of lookups. Returns undefined if the call fails. */
  async function fetchEvents(
    aws: AwsClient,
    { location, eventName, lookups }: LookupGroup,
  ): Promise<LookupEventsEntry[] | undefined> {
    const from = Math.min(...lookups.map(({ since }) => since));
    const to = Math.max(...lookups.map(({ until }) => until));
    try {
      const { lookUp } = await loadCloudTrail();
      return await lookUp(aws, location, { eventName, fromMs: from, toMs: to });
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const isDenied = /^AccessDenied/.test(error.name);
      // A missing permission is not a failure: the location is logged only the first time.
      const deniedLocation = locationKey(location);
      if (!isDenied || !deniedLocations.has(deniedLocation))
        log.debug(`attribution failed: ${error.message}`);
      if (isDenied) {
        deniedLocations.add(deniedLocation);
        for (const lookup of lookups) lookup.isDone = true;
      }
      return undefined;
    }
  }

  async function attributeLookup(
    lookup: EventLookup,
    aws: AwsClient,
    eventsByGroup: ReadonlyMap<string, LookupEventsEntry[]>,
  ): Promise<void> {
    const { key, id, name, location, subject, eventNames, since, until } = lookup;
    const eventLists = eventNames.map((eventName) =>
      eventsByGroup.get(groupKey(lookup.eventLocation, eventName)),
    );
    // With events of several names, the last change is known only if the events of all names are available.
    if (lookup.isDone || eventLists.some((events) => events === undefined)) return;
    const candidates = eventLists.flatMap((events) => events ?? []);
    if (candidates.length === 0) return;
    const names = [name, ...((await subject.fetchAliases?.(aws, location, name)) ?? [])];
    const isAbout = (parameters: Record<string, unknown>) => subject.matches(parameters, names);
    const change = findLastChange(candidates, { since, until, isAbout });
    if (!change || lookupsByKey.get(lookupKey(key, id)) !== lookup) return;
    lookup.isDone = true;
    onAttributed(key, id, change);
  }

  /** Starts a lookup, unless the latest lookup of the document is for the same change. */
  function addLookup(key: string, document: AuditedDocument, period: Period, patch: string): void {
    const { id, location, eventNames, subject } = document;
    const previous = lookupsByKey.get(lookupKey(key, id));
    const isSame = previous?.since === period.since && previous.patch === patch;
    if (eventNames.length === 0 || isSame) return;
    const region = subject.eventRegion?.(location.region) ?? location.region;
    const eventLocation = { ...location, region };
    lookupsByKey.set(lookupKey(key, id), {
      key,
      ...document,
      eventLocation,
      ...period,
      patch,
      isDone: false,
    });
    attempts = 0;
    queue.addAfter(BATCH_KEY, BATCH_DELAY_MS);
  }

  return {
    enqueue(key, steps, period) {
      for (const step of steps) {
        const auditEvents = kinds.get(step.kind)?.auditEvents;
        if (!auditEvents) continue;
        const { id, at: location } = step;
        const document = {
          id,
          name: nameFromId(id, location),
          location,
          eventNames: eventNamesOf(auditEvents, step),
          subject: auditEvents,
        };
        addLookup(key, document, period, canonicalJson(step.patch));
      }
    },
    lookUp: (key, document, period) => addLookup(key, document, period, ''),
    forget(key) {
      for (const [mapKey, lookup] of lookupsByKey) if (lookup.key === key) lookupsByKey.delete(mapKey);
    },
    drain: () => queue.drain(),
  };
}

/** Returns the event names that could have made the change that a step reverts. */
function eventNamesOf({ eventNamesByPath: events }: Kind['auditEvents'], { action, patch }: Step): string[] {
  const prefixes = Object.keys(events).sort((a, b) => b.length - a.length);
  const paths = action === 'create' ? [''] : patch.map(({ path }) => path);
  const names = paths.flatMap(
    (path) => events[prefixes.find((prefix) => path.startsWith(prefix)) ?? ''] ?? [],
  );
  return [...new Set(names)];
}

interface LookupGroup {
  location: Location;
  eventName: string;
  lookups: EventLookup[];
}

function groupLookups(lookups: readonly EventLookup[]): Map<string, LookupGroup> {
  const groups = new Map<string, LookupGroup>();
  for (const lookup of lookups) {
    for (const eventName of lookup.eventNames) {
      const key = groupKey(lookup.eventLocation, eventName);
      const group = groups.get(key);
      if (group) group.lookups.push(lookup);
      else groups.set(key, { location: lookup.eventLocation, eventName, lookups: [lookup] });
    }
  }
  return groups;
}

const locationKey = ({ account = '', region }: Location): string => `${account} ${region}`;
const groupKey = (location: Location, eventName: string): string => `${locationKey(location)} ${eventName}`;
const lookupKey = (key: string, id: Id): string => `${key}\n${id}`;

/** The last change of a document, according to CloudTrail. */
export interface LastChange {
  /** The ARN of the caller, or the service that made the change by itself. */
  by: string;
  /** `PutRolePolicy` */
  event: string;
  /** ISO 8601, in whole seconds. */
  at: string;
}

/** An event as LookupEvents returns it: the JSON text in this field contains most of the record. */
export interface LookupEventsEntry {
  CloudTrailEvent?: string | undefined;
}

const cloudTrailRecord = z.object({
  eventName: z.string(),
  eventTime: z.iso.datetime(),
  userIdentity: z.object({
    arn: z.string().optional(),
    invokedBy: z.string().optional(),
    accountId: z.string().optional(),
  }),
  userAgent: z.string().optional(),
  errorCode: z.string().optional(),
  requestParameters: z.record(z.string(), z.unknown()).nullish(),
});
type CloudTrailRecord = z.output<typeof cloudTrailRecord>;

/** The changes of one document to look for, in a period in milliseconds since 1970. */
interface ChangeFilter {
  since: number;
  until: number;
  isAbout(parameters: Record<string, unknown>): boolean;
}

/**
 * Returns the newest event that changed a document and that replikey did not cause. Returns undefined if no such event
 * is available (yet). Pure.
 */
export function findLastChange(
  events: readonly LookupEventsEntry[],
  { since, until, isAbout }: ChangeFilter,
): LastChange | undefined {
  const [newest] = events
    .flatMap(parseRecord)
    .filter(({ errorCode, userAgent = '', requestParameters, eventTime }) => {
      const at = Date.parse(eventTime);
      return (
        errorCode === undefined &&
        !isReplikey(userAgent) &&
        // CloudTrail gives event times in whole seconds.
        at > since - 1_000 &&
        at <= until &&
        isAbout(requestParameters ?? {})
      );
    })
    .sort((a, b) => Date.parse(b.eventTime) - Date.parse(a.eventTime));
  const caller = newest && callerOf(newest);
  return newest && caller !== undefined
    ? { by: escapeUnprintable(caller), event: escapeUnprintable(newest.eventName), at: newest.eventTime }
    : undefined;
}

/** Returns an empty list for an event that does not have the expected form. */
function parseRecord({ CloudTrailEvent = '' }: LookupEventsEntry): CloudTrailRecord[] {
  try {
    const parsed = cloudTrailRecord.safeParse(JSON.parse(CloudTrailEvent));
    return parsed.success ? [parsed.data] : [];
  } catch {
    return [];
  }
}

/** Whether replikey made the call: its user agent says so. S3 reports the user agent in brackets. */
const isReplikey = (userAgent: string): boolean => /^\[?replikey\//.test(userAgent);

/** Returns the caller. For a caller from another account, CloudTrail reports only the account. */
const callerOf = ({ userIdentity: { arn, invokedBy, accountId } }: CloudTrailRecord): string | undefined =>
  arn ?? invokedBy ?? (accountId === undefined ? undefined : `account ${accountId}`);
