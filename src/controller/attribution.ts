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

/** Finds out who changed what drifted. Nothing waits for it, and nothing depends on it. */
interface Attributor {
  /** Find out who made the changes that these steps put back, of all that happened in some milliseconds. */
  enqueue(key: string, steps: readonly Step[], period: { since: number; until: number }): void;
  /** The pair is gone, and with it what was asked of it. */
  forget(key: string): void;
  drain(): Promise<void>;
}

interface AttributorOptions {
  kinds: ReadonlyMap<string, Kind>;
  client(): AwsClient;
  loadCloudTrail(): Promise<Pick<CloudTrailModule, 'lookUp'>>;
  clock: Clock;
  log: Log;
  /** Told what became known. */
  onAttributed(key: string, id: Id, change: LastChange): void;
}

interface EventLookup {
  key: string;
  id: Id;
  auditEvents: Kind['auditEvents'];
  location: Location;
  /** Where its events are told. */
  eventLocation: Location;
  eventNames: string[];
  since: number;
  until: number;
  /** What was to be put back: the same again is no new question. */
  patch: string;
  isDone: boolean;
}

/** CloudTrail is some minutes late, and says "on average". What it does not tell until then it will not tell. */
const FIRST_LOOKUP_MS = 60_000;
const MAX_EVENT_DELAY_MS = 30 * 60_000;

/** What drifts together is asked about together. */
const BATCH_DELAY_MS = 1_000;

const BATCH_KEY = 'round';

/**
 * All questions are asked in rounds, one for the events of one name in an account and Region however many documents it is
 * about: an account may ask twice a second, and whoever drifts seldom drifts alone.
 */
export function createAttributor({
  kinds,
  client,
  loadCloudTrail,
  clock,
  log,
  onAttributed,
}: AttributorOptions): Attributor {
  /** By pair and document: the last question about it, also when it is over. */
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
    }
    if (pendingLookups().length > 0) queue.addAfter(BATCH_KEY, FIRST_LOOKUP_MS * 2 ** attempts);
    attempts += 1;
  }

  /** The events of one name in one place that some questions are about; undefined where they cannot be had now. */
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
      // Who may not ask does not know, which is no failure: it is said once.
      const deniedLocation = locationKey(location);
      if (!isDenied || !deniedLocations.has(deniedLocation))
        log.debug(`who changed something is not known: ${error.message}`);
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
    const { key, id, location, auditEvents, eventNames, since, until } = lookup;
    const eventLists = eventNames.map((eventName) =>
      eventsByGroup.get(groupKey(lookup.eventLocation, eventName)),
    );
    // Of two sorts of events the last one is known only where both are.
    if (lookup.isDone || eventLists.some((events) => events === undefined)) return;
    const candidates = eventLists.flatMap((events) => events ?? []);
    if (candidates.length === 0) return;
    const resourceName = nameFromId(id, location);
    const names = [resourceName, ...((await auditEvents.fetchAliases?.(aws, location, resourceName)) ?? [])];
    const isAbout = (parameters: Record<string, unknown>) => auditEvents.matches(parameters, names);
    const change = findLastChange(candidates, { since, until, isAbout });
    if (!change || lookupsByKey.get(lookupKey(key, id)) !== lookup) return;
    lookup.isDone = true;
    onAttributed(key, id, change);
  }

  return {
    enqueue(key, steps, period) {
      for (const step of steps) {
        const auditEvents = kinds.get(step.kind)?.auditEvents;
        const eventNames = auditEvents ? eventNamesOf(auditEvents, step) : [];
        const patch = canonicalJson(step.patch);
        const previous = lookupsByKey.get(lookupKey(key, step.id));
        const isSame = previous?.since === period.since && previous.patch === patch;
        if (!auditEvents || eventNames.length === 0 || isSame) continue;
        const region = auditEvents.eventRegion?.(step.at.region) ?? step.at.region;
        const eventLocation = { ...step.at, region };
        const { id, at: location } = step;
        lookupsByKey.set(lookupKey(key, id), {
          key,
          id,
          auditEvents,
          location,
          eventLocation,
          eventNames,
          ...period,
          patch,
          isDone: false,
        });
        attempts = 0;
        queue.addAfter(BATCH_KEY, BATCH_DELAY_MS);
      }
    },
    forget(key) {
      for (const [mapKey, lookup] of lookupsByKey) if (lookup.key === key) lookupsByKey.delete(mapKey);
    },
    drain: () => queue.drain(),
  };
}

/** The events that could have made what a step puts back. */
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

/** Who changed something last, as CloudTrail tells it. */
export interface LastChange {
  /** The ARN of whoever it was, or the service that did it by itself. */
  by: string;
  /** `PutRolePolicy` */
  event: string;
  /** ISO 8601, in whole seconds. */
  at: string;
}

/** An event as LookupEvents answers it: all but a few fields are a JSON text within. */
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

/** What is looked for: changes of one document, in milliseconds since 1970. */
interface ChangeFilter {
  since: number;
  until: number;
  isAbout(parameters: Record<string, unknown>): boolean;
}

/** The newest of the events that changed a document and was not ours; undefined: not known, or not yet. Pure. */
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
        // Times of events have whole seconds.
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

/** What is not of the form of an event tells nothing. */
function parseRecord({ CloudTrailEvent = '' }: LookupEventsEntry): CloudTrailRecord[] {
  try {
    const parsed = cloudTrailRecord.safeParse(JSON.parse(CloudTrailEvent));
    return parsed.success ? [parsed.data] : [];
  } catch {
    return [];
  }
}

/** Every call of ours says so; S3 tells it in brackets. */
const isReplikey = (userAgent: string): boolean => /^\[?replikey\//.test(userAgent);

/** Of a caller from another account CloudTrail tells only which. */
const callerOf = ({ userIdentity: { arn, invokedBy, accountId } }: CloudTrailRecord): string | undefined =>
  arn ?? invokedBy ?? (accountId === undefined ? undefined : `account ${accountId}`);
