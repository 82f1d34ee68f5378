import type { AwsClient } from '../aws/client.ts';
import type { CloudTrailModule } from '../aws/cloudtrail.ts';
import { nameFromId } from '../core/ids.ts';
import type { AuditEvents, AuditedCall, Kind } from '../core/kind.ts';
import type { Id, Location, Step } from '../core/resource.ts';
import type { Log } from '../log.ts';
import { canonicalJson } from '../util/canonical-json.ts';
import type { Clock } from '../util/clock.ts';
import { type AuditRecord, findLastChange, type LastChange, parseLookupEntry } from './audit-record.ts';
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
  subject: Omit<AuditEvents, 'eventNamesByPath'>;
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

export interface AttributorOptions {
  kinds: ReadonlyMap<string, Kind>;
  client(): AwsClient;
  loadCloudTrail(): Promise<Pick<CloudTrailModule, 'lookUp'>>;
  /**
   * Returns the events of these names that `--changes` received from a location; absent: that option is not set. CloudTrail
   * is then called only for a change that is not among them after a minute.
   */
  receivedEvents?: ((location: Location, eventNames: readonly string[]) => AuditRecord[]) | undefined;
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
  /** When to call CloudTrail, on the monotonic clock. */
  dueAt: number;
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
  receivedEvents,
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
    if (receivedEvents) {
      for (const lookup of pending)
        await attributeLookup(lookup, aws, receivedEvents(lookup.eventLocation, lookup.eventNames));
    }
    const due = pending.filter(({ isDone, dueAt }) => !isDone && dueAt <= clock.monotonicNow());
    const recordsByGroup = new Map<string, AuditRecord[]>();
    for (const [key, group] of groupLookups(due)) {
      const records = await fetchEvents(aws, group);
      if (records) recordsByGroup.set(key, records);
    }
    for (const lookup of due) {
      const { eventLocation, eventNames } = lookup;
      const recordLists = eventNames.map((name) => recordsByGroup.get(groupKey(eventLocation, name)));
      // With events of several names, the last change is known only if the events of all names are available.
      if (recordLists.every((records) => records !== undefined))
        await attributeLookup(lookup, aws, recordLists.flat());
    }
    for (const lookup of pending) {
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
  ): Promise<AuditRecord[] | undefined> {
    const from = Math.min(...lookups.map(({ since }) => since));
    const to = Math.max(...lookups.map(({ until }) => until));
    try {
      const { lookUp } = await loadCloudTrail();
      const entries = await lookUp(aws, location, { eventName, fromMs: from, toMs: to });
      return entries.flatMap(parseLookupEntry);
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

  /** Attributes the change of a lookup, if it is among these events. Logs an error of the names of its document. */
  async function attributeLookup(
    lookup: EventLookup,
    aws: AwsClient,
    candidates: readonly AuditRecord[],
  ): Promise<void> {
    const { key, id, name, location, subject, since, until } = lookup;
    if (lookup.isDone || candidates.length === 0) return;
    try {
      const aliases = (await subject.fetchAliases?.(aws, location, name)) ?? [];
      const names = new Set([name, ...aliases].map(subject.normalizeName));
      const isAbout = (call: AuditedCall) =>
        subject.namesIn(call).some((subjectName) => names.has(subjectName));
      const change = findLastChange(candidates, { since, until, isAbout });
      if (!change || lookupsByKey.get(lookupKey(key, id)) !== lookup) return;
      lookup.isDone = true;
      onAttributed(key, id, change);
    } catch (error) {
      log.debug(`${id}: ${error instanceof Error ? error.message : error}`);
    }
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
      dueAt: clock.monotonicNow() + (receivedEvents ? FIRST_LOOKUP_MS : BATCH_DELAY_MS),
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
export function eventNamesOf(
  { eventNamesByPath: events }: AuditEvents,
  { action, patch }: Pick<Step, 'action' | 'patch'>,
): string[] {
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
