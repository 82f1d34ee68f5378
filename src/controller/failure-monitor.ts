import type { AwsClient } from '../aws/client.ts';
import type { CloudTrailModule } from '../aws/cloudtrail.ts';
import { formatAwsError } from '../aws/errors.ts';
import { toRuleId } from '../core/ids.ts';
import type { Kind } from '../core/kind.ts';
import { diagnoseFailure } from '../doctor/diagnose.ts';
import { type Locations, locationOfArn, locationsOf } from '../facts/locations.ts';
import { organizationReaderOf } from '../facts/organization.ts';
import { auditSubjects } from '../kinds/index.ts';
import { createDedupedLog, type Log } from '../log.ts';
import { FINDING_CODES } from '../proof/findings.ts';
import type { BucketReplication, Specs } from '../spec/types.ts';
import type { QueueAddress } from '../util/arn.ts';
import { backoffMs, type Clock, createAbortController } from '../util/clock.ts';
import { type AttributorOptions, type AuditedDocument, createAttributor } from './attribution.ts';
import {
  consumeQueue,
  type Disposition,
  isLeaderForAny,
  locationOfQueue,
  type QueueSource,
} from './event-queue.ts';
import { createFailureBursts, formatBurst, isDeletion, limitBursts } from './failure-bursts.ts';
import { type FailureEvent, parseFailureMessage } from './failure-events.ts';
import { type CausingDocument, explainFailure } from './failure-explanation.ts';
import { createWorkQueue } from './queue.ts';
import { type FailureBurst, formatLastChange, type PairStatus } from './status.ts';
import type { WorkItem } from './work-items.ts';

export interface FailureMonitorOptions extends QueueSource {
  kinds: ReadonlyMap<string, Kind>;
  clock: Clock;
  random: () => number;
  log: Log;
  client(): AwsClient;
  /** Name of the account that reads the organization; absent: control policies are not read. */
  organizationAccount?: string | undefined;
  /** Returns the current specs; undefined before there are any. */
  specs(): Specs | undefined;
  /** Returns the declared items, and those that this process handles. */
  items(): { declared: ReadonlyMap<string, WorkItem>; assigned: ReadonlyMap<string, WorkItem> };
  isLeaderFor(item: WorkItem): boolean;
  /** Absent: changes are not attributed. */
  loadCloudTrail?(): Promise<Pick<CloudTrailModule, 'lookUp'>>;
  receivedEvents?: AttributorOptions['receivedEvents'];
  statusOf(pair: string): PairStatus | undefined;
  /** Receives the bursts of a pair, newest first, after they changed. */
  onBursts(pair: string, bursts: FailureBurst[]): void;
  /** Queues a pass for a pair, which corrects the cause if it is drift. */
  requestPass(pair: string): void;
  /** Counts an event, for metrics; `pair` is empty for an event of a rule that no spec declares. */
  onEvent?(event: { pair: string; reason: string }): void;
}

/** Consumes failure events, groups them into bursts, and explains each burst once. */
export interface FailureMonitor {
  /** Marks the bursts whose cause the last pass over a pair corrected, after a pass or its attribution. */
  markReverted(pair: string): void;
  forget(pair: string): void;
  /** Stops receiving, and waits for the work in flight. */
  drain(): Promise<void>;
}

/** The shortest time between two updates of the status of a pair, in milliseconds. */
const PUBLISH_INTERVAL_MS = 10_000;

/** Explanations that run concurrently, and the time between their starts after the first ones, in milliseconds. */
const EXPLANATION_WORKERS = 2;
const EXPLANATION_TOKENS = 10;
const EXPLANATION_REFILL_MS = 2_000;
const MAX_EXPLANATION_ATTEMPTS = 3;

/** Number of undeclared rules that are named in the log. */
const MAX_UNKNOWN_RULES = 100;

/** How long the report of a burst waits for the first lookup of its author at most, in milliseconds. */
const AUTHOR_WAIT_MS = 20_000;

/** How long before the first failure the causing change is searched for: rules with few objects fail late. */
const LOOK_BACK_MS = 24 * 3_600_000;

export function createFailureMonitor(options: FailureMonitorOptions): FailureMonitor {
  const { clock, log, random, queues, loadCloudTrail } = options;
  const bursts = createFailureBursts({ now: clock.monotonicNow, wallTime: clock.now, onRemove: dropBurst });
  const stop = createAbortController();
  const warnings = createDedupedLog({
    clock,
    windowMs: 3_600_000,
    write: (cause, subjects, count) =>
      log.warn({ queues: subjects }, count > 1 ? `${cause} (${count} times)` : cause),
  });
  const publisher = createPublisher(clock, (pair) => options.onBursts(pair, limitBursts(bursts.of(pair))));
  const ownerOf = createOwnerLookup(options);
  const explanations = createWorkQueue({ clock, workers: EXPLANATION_WORKERS, work: explain });
  const takeToken = createTokens(clock);
  /** The bursts that are not explained yet: their first failure, and the number of failed attempts. */
  const unexplained = new Map<string, { event: FailureEvent; attempts: number }>();
  /** The bursts whose cause was found: when the diagnosis began, in milliseconds since 1970. */
  const foundAt = new Map<string, number>();
  /** The bursts whose report waits for the author. */
  const authorWaits = new Map<string, () => void>();
  const attributor =
    loadCloudTrail &&
    createAttributor({
      ...options,
      loadCloudTrail,
      onAttributed(key, _, lastChange) {
        const { pair, id } = parseBurstKey(key);
        bursts.update(pair, id, (burst) => ({ ...burst, lastChange }));
        const burst = bursts.find(pair, id);
        if (burst?.reportedAt === undefined) return;
        log.info({ pair, rule: burst.rule }, `cause of failed replication: ${formatLastChange(lastChange)}`);
        publisher.publish(pair, true);
      },
      onLookedUp(key) {
        const { pair, id } = parseBurstKey(key);
        report(pair, id);
      },
    });
  const changedPairs = new Set<string>();
  const unknownRules = new Set<string>();
  let cancelEnd = () => {};

  function handle(body: string, queue: QueueAddress): Disposition {
    const message = parseFailureMessage(body);
    if (message.type === 'test') return 'handled';
    if (message.type === 'unknown') {
      warnings.add(
        `a message is no failure event: ${message.why}; it stays in the queue, so that SQS moves it to the dead-letter queue`,
        queue.arn,
      );
      return 'unknown';
    }
    const owners = [...message.failures, ...message.notices].map(ownerOf);
    if (owners.includes('elsewhere')) return 'elsewhere';
    for (const { event, bucket, rule } of message.notices)
      countEvent(ownerOf({ bucket, rule }), metricReasonOf(event), { bucket, rule }, queue);
    for (const failure of message.failures) {
      const owner = ownerOf(failure);
      const counted = typeof owner === 'object' ? bursts.add(owner.key, failure) : undefined;
      if (typeof owner === 'object' && !counted) continue;
      countEvent(owner, metricReasonOf(failure.reason), failure, queue);
      if (!counted || typeof owner !== 'object') continue;
      if (counted.isNew) {
        const key = burstKey(owner.key, counted.burst.id);
        unexplained.set(key, { event: failure, attempts: 0 });
        explanations.addAfter(key, takeToken());
      }
      changedPairs.add(owner.key);
    }
    return 'handled';
  }

  function countEvent(
    owner: WorkItem | string,
    reason: string,
    { bucket, rule }: Pick<FailureEvent, 'bucket' | 'rule'>,
    queue: QueueAddress,
  ): void {
    options.onEvent?.({ pair: typeof owner === 'object' ? owner.key : '', reason });
    const subject = `${rule} of ${bucket}`;
    if (typeof owner === 'object' || unknownRules.has(subject) || unknownRules.size === MAX_UNKNOWN_RULES)
      return;
    unknownRules.add(subject);
    log.warn({ queue: queue.arn }, `failure events of a rule that no spec declares: ${subject}`);
  }

  function publishBatch(): void {
    for (const pair of changedPairs) publisher.publish(pair);
    changedPairs.clear();
    scheduleEnd();
  }

  /** Stops all work for a burst that was removed. */
  function dropBurst(pair: string, id: string): void {
    const key = burstKey(pair, id);
    explanations.forget(key);
    unexplained.delete(key);
    foundAt.delete(key);
    attributor?.forget(key);
    authorWaits.get(key)?.();
    authorWaits.delete(key);
  }

  /** Ends idle bursts, and removes old ones, when the first of them is due. */
  function scheduleEnd(): void {
    cancelEnd();
    const expiry = bursts.nextExpiry();
    if (expiry === undefined || stop.signal.aborted) return;
    cancelEnd = clock.schedule(expiry - clock.monotonicNow(), () => {
      for (const pair of bursts.expire()) publisher.publish(pair, true);
      scheduleEnd();
    });
  }

  async function explain(key: string): Promise<void> {
    const { pair, id } = parseBurstKey(key);
    const burst = bursts.find(pair, id);
    const specs = options.specs();
    const { event, attempts = 0 } = unexplained.get(key) ?? {};
    if (!burst || !specs || !event) {
      unexplained.delete(key);
      return;
    }
    try {
      const document = await explainBurst(pair, burst, event, specs);
      unexplained.delete(key);
      if (!document || !attributor) return report(pair, id);
      const failedAt = event.reportedAt ?? event.requestedAt ?? clock.now();
      attributor.lookUp(key, document, { since: failedAt - LOOK_BACK_MS, until: failedAt });
      authorWaits.set(
        key,
        clock.schedule(AUTHOR_WAIT_MS, () => report(pair, id)),
      );
    } catch (error) {
      if (stop.signal.aborted) return;
      if (attempts + 1 < MAX_EXPLANATION_ATTEMPTS) {
        unexplained.set(key, { event, attempts: attempts + 1 });
        return explanations.addAfter(key, backoffMs(attempts + 1, random()));
      }
      unexplained.delete(key);
      const cause = `replikey cannot diagnose it: ${formatAwsError(error)}`;
      bursts.update(pair, id, (current) => ({ ...current, cause }));
      report(pair, id);
    }
  }

  /** Diagnoses the first object of a burst, and adds the explanation. Returns the document that causes the failure. */
  async function explainBurst(pair: string, burst: FailureBurst, event: FailureEvent, specs: Specs) {
    const { bucket, key, versionId } = event;
    const startedAt = clock.now();
    const aws = options.client().readOnly().withCache();
    const region = specs.pairs.find(({ source }) => source.bucket === bucket)?.source.region ?? '';
    const locations = locationsOf(specs, region);
    const failed = {
      bucket,
      key,
      ...(versionId !== undefined && { versionId }),
      isDeletion: isDeletion(burst),
    };
    const organization = organizationReaderOf(aws, specs, options.organizationAccount);
    const { proofs, facts } = await diagnoseFailure(aws, failed, {
      locations,
      organization,
      now: () => aws.now(),
    });
    const pairs = options.items().assigned.get(pair)?.pairs ?? [];
    const aliases = await declaredAliases(aws, pairs);
    const { document, commands, ...explanation } = explainFailure(burst, proofs, facts, aliases);
    await aws.verifyAccounts();
    if (commands.length > 0 || document) foundAt.set(burstKey(pair, burst.id), startedAt);
    bursts.update(pair, burst.id, (current) => ({
      ...current,
      ...explanation,
      ...(commands.length > 0 && { commands }),
    }));
    markReverted(pair);
    return document && toAuditedDocument(document, locations);
  }

  /** Reports a burst once: one log line, one update of the status, and a pass that corrects drift. */
  function report(pair: string, id: string): void {
    const key = burstKey(pair, id);
    authorWaits.get(key)?.();
    authorWaits.delete(key);
    const burst = bursts.find(pair, id);
    if (!burst || burst.reportedAt !== undefined) return;
    const reportedAt = new Date(clock.now()).toISOString();
    bursts.update(pair, id, (current) => ({ ...current, reportedAt }));
    log[isDeletion(burst) ? 'info' : 'warn'](
      { pair, rule: burst.rule },
      `replication fails: ${formatBurst(burst)}`,
    );
    publisher.publish(pair, true);
    if (foundAt.has(key)) options.requestPass(pair);
  }

  /** Adds the change with which replikey corrected the cause: the rule is proven after a pass that reverted drift. */
  function markReverted(pair: string): void {
    const status = options.statusOf(pair);
    const change = status?.changes.find(({ cause, result }) => cause === 'drift' && result === 'applied');
    if (!status || !change) return;
    for (const burst of bursts.of(pair)) {
      const isProven = status.proof.some(({ rule, verdict }) => rule === burst.rule && verdict === 'proven');
      const foundMs = foundAt.get(burstKey(pair, burst.id));
      const isLater = Date.parse(change.at) >= (foundMs ?? Date.parse(burst.since));
      if (!isProven || !isLater || burst.endedAt !== undefined) continue;
      const lastChange = burst.lastChange ?? change.steps.find((step) => step.lastChange)?.lastChange;
      if (burst.reverted?.at === change.at && burst.lastChange === lastChange) continue;
      const reverted = { at: change.at, ids: change.steps.map(({ id }) => id) };
      bursts.update(pair, burst.id, (current) => ({
        ...current,
        reverted,
        ...(lastChange && { lastChange }),
      }));
      publisher.publish(pair, true);
    }
  }

  const consumers = queues.map((queue) =>
    consumeQueue({
      ...options,
      contents: 'failure events',
      queue: () => ({ url: queue.url, location: locationOfQueue(queue, options.specs()) }),
      signal: stop.signal,
      isActive: () => options.specs() !== undefined && isLeaderForAny(options),
      handle: ({ body }) => handle(body, queue),
      onBatch: publishBatch,
      warn: (message) => warnings.add(message, queue.arn),
    }),
  );

  return {
    markReverted,
    forget(pair) {
      bursts.forget(pair);
      publisher.forget(pair);
    },
    async drain() {
      stop.abort();
      cancelEnd();
      for (const key of [...authorWaits.keys()]) {
        const { pair, id } = parseBurstKey(key);
        report(pair, id);
      }
      await Promise.all([...consumers, explanations.drain(), attributor?.drain()]);
      publisher.close();
      warnings.close();
    },
  };
}

const burstKey = (pair: string, id: string): string => `${pair}\n${id}`;

function parseBurstKey(key: string): { pair: string; id: string } {
  const [pair = '', id = ''] = key.split('\n');
  return { pair, id };
}

function toAuditedDocument(
  { type, of, name, eventNames }: CausingDocument,
  locations: Locations,
): AuditedDocument {
  const location =
    type === 'bucket'
      ? (locations.buckets.get(of) ?? { region: locations.region })
      : locationOfArn(of, locations, of.split(':')[3] || locations.region);
  return { id: `${type}/${of}`, name, location, eventNames, subject: auditSubjects[type] };
}

/** Returns the aliases that pairs declare, by the ARN of the key. An alias that cannot be read is left out. */
async function declaredAliases(
  aws: AwsClient,
  pairs: readonly BucketReplication[],
): Promise<ReadonlyMap<string, string>> {
  const sides = pairs.flatMap(({ source, destination }) => [source, destination]);
  const entries = sides.map(async ({ key, region, account, managed }) => {
    if (!('alias' in key) || !managed) return [];
    const location = account === undefined ? { region } : { account, region };
    const names = await auditSubjects.key.fetchAliases?.(aws, location, key.alias).catch(() => []);
    return (names ?? []).filter((name) => name.startsWith('arn:')).map((arn) => [arn, key.alias] as const);
  });
  return new Map((await Promise.all(entries)).flat());
}

/**
 * Returns a function that finds the item of an event: `elsewhere` if another process handles the bucket, or this one
 * before its first pass; `unknown` if no spec declares the rule.
 */
function createOwnerLookup({
  items,
  isLeaderFor,
  statusOf,
}: Pick<FailureMonitorOptions, 'items' | 'isLeaderFor' | 'statusOf'>) {
  let indexed: ReadonlyMap<string, WorkItem> | undefined;
  let itemsByRule = new Map<string, WorkItem>();
  let itemsByBucket = new Map<string, WorkItem[]>();
  const updateIndex = (declared: ReadonlyMap<string, WorkItem>): void => {
    if (declared === indexed) return;
    indexed = declared;
    itemsByRule = new Map();
    itemsByBucket = new Map();
    for (const item of declared.values())
      for (const { name, source, rules } of item.pairs) {
        itemsByBucket.set(source.bucket, [...(itemsByBucket.get(source.bucket) ?? []), item]);
        for (const rule of rules)
          itemsByRule.set(`${source.bucket} ${rule.id ?? toRuleId(name, rule.name)}`, item);
      }
  };
  return ({ bucket, rule }: Pick<FailureEvent, 'bucket' | 'rule'>): WorkItem | 'elsewhere' | 'unknown' => {
    const { declared, assigned } = items();
    updateIndex(declared);
    const candidates = itemsByBucket.get(bucket) ?? [];
    // A rule that replikey adopted keeps its id, which the last proof knows.
    const isProvenIn = ({ key }: WorkItem) =>
      statusOf(key)?.proof.some((verdict) => verdict.bucket === bucket && verdict.rule === rule) ?? false;
    const item = itemsByRule.get(`${bucket} ${rule}`) ?? candidates.find(isProvenIn);
    const handles = (each: WorkItem) => assigned.has(each.key) && isLeaderFor(each);
    if (item) return handles(item) ? item : 'elsewhere';
    const isComplete = candidates.every((each) => handles(each) && statusOf(each.key)?.lastRun !== undefined);
    return isComplete ? 'unknown' : 'elsewhere';
  };
}

/** Publishes the bursts of a pair, at most once in an interval unless it is urgent. */
function createPublisher(clock: Clock, write: (pair: string) => void) {
  const writtenAt = new Map<string, number>();
  const timers = new Map<string, () => void>();
  const publish = (pair: string): void => {
    timers.get(pair)?.();
    timers.delete(pair);
    writtenAt.set(pair, clock.monotonicNow());
    write(pair);
  };
  return {
    publish(pair: string, isUrgent = false): void {
      const waitMs =
        (writtenAt.get(pair) ?? Number.NEGATIVE_INFINITY) + PUBLISH_INTERVAL_MS - clock.monotonicNow();
      if (isUrgent || waitMs <= 0) {
        publish(pair);
        return;
      }
      if (!timers.has(pair))
        timers.set(
          pair,
          clock.schedule(waitMs, () => publish(pair)),
        );
    },
    forget(pair: string): void {
      timers.get(pair)?.();
      timers.delete(pair);
      writtenAt.delete(pair);
    },
    /** Publishes what waits. */
    close(): void {
      for (const pair of [...timers.keys()]) publish(pair);
    },
  };
}

/** Returns a function that takes a token of a bucket, and returns the milliseconds to wait for it. */
function createTokens(clock: Clock): () => number {
  /** When the bucket will be full again. */
  let fullAt = Number.NEGATIVE_INFINITY;
  return () => {
    const now = clock.monotonicNow();
    fullAt = Math.max(fullAt, now) + EXPLANATION_REFILL_MS;
    return Math.max(0, fullAt - now - EXPLANATION_TOKENS * EXPLANATION_REFILL_MS);
  };
}

/**
 * Failure reasons of S3 that no finding has (Amazon S3 User Guide, "Amazon S3 replication failure reasons"), and the
 * events of replication that are no failures.
 */
const OTHER_REASONS = [
  'DstBucketInvalidRegion',
  'DstMultipartCompleteNotPermitted',
  'DstMultipartInitNotPermitted',
  'DstMultipartPartUploadNotPermitted',
  'DstMultipartUploadNotPermitted',
  'DstObjectHardDeleted',
  'DstPutAclNotPermitted',
  'DstPutLegalHoldNotPermitted',
  'DstPutRetentionNotPermitted',
  'DstVersionNotFound',
  'InitiateReplicationNotPermitted',
  'OperationMissedThreshold',
  'OperationNotTracked',
  'OperationReplicatedAfterThreshold',
  'SrcBucketInvalidRegion',
  'SrcHeadObjectNotPermitted',
  'SrcKeyNotFound',
  'SrcObjectNotEligible',
  'SrcObjectNotFound',
  'SrcReplicationNotPending',
  'SrcVersionNotFound',
];

const KNOWN_REASONS: ReadonlySet<string> = new Set([
  ...Object.values(FINDING_CODES).flatMap((definition) =>
    'failureReason' in definition ? [definition.failureReason] : [],
  ),
  ...OTHER_REASONS,
]);

/** Returns a reason as the value of a label. The text of a message must not create any number of time series. */
const metricReasonOf = (reason: string): string => (KNOWN_REASONS.has(reason) ? reason : 'other');
