import {
  ALL_CONDITION_TYPES,
  BACKFILL_CONDITION,
  type Condition,
  EVENTS_CONDITION,
} from '../controller/conditions.ts';
import { createWorkQueue } from '../controller/queue.ts';
import type { PairStatus } from '../controller/status.ts';
import { createDedupedLog, type Log } from '../log.ts';
import type { Problem } from '../spec/types.ts';
import { backoffMs, type Clock } from '../util/clock.ts';
import { escapeUnprintable } from '../util/escape.ts';
import type { KubernetesApi } from './api.ts';
import type { EventRecorder } from './events.ts';
import {
  API_GROUP,
  API_VERSION,
  type CustomResource,
  type ResourceCondition,
  type ResourceStatus,
  resourcePathOf,
} from './resources.ts';

type AnyConditionType = (typeof ALL_CONDITION_TYPES)[number];

/** State of a declared resource in this process. */
export interface StatusInput {
  /** Absent if the spec was never valid, another process reconciles it, or the resource is not a pair. */
  pair?: PairStatus;
  /** Problems that make the current spec invalid. */
  problems: readonly Problem[];
  /** Current time, ISO 8601. */
  now: string;
}

/** Maximum number of problems in a message. Later problems often follow from the first ones. */
const MAX_SHOWN_PROBLEMS = 5;

/** Maximum length of a condition message, a limit of Kubernetes. */
const MAX_CONDITION_MESSAGE_LENGTH = 32_768;

/** Computes the desired status of a resource; undefined without a result for its current spec. Pure. */
export function toResourceStatus(resource: CustomResource, input: StatusInput): ResourceStatus | undefined {
  const { pair, problems, now } = input;
  if (problems.length === 0 && resource.kind === 'BucketReplication')
    return pair && toPairResourceStatus(resource, pair);
  const ready: Condition =
    problems.length > 0
      ? {
          status: 'False',
          reason: 'Invalid',
          message: formatInvalidMessage(problems, pair !== undefined),
          since: now,
        }
      : { status: 'True', reason: 'Accepted', message: 'valid and in effect', since: now };
  return mergeConditions(resource, [['Ready', ready]], pair);
}

/** Returns undefined until a pass over the current spec is complete; the previous status then remains. */
function toPairResourceStatus(resource: CustomResource, pair: PairStatus): ResourceStatus | undefined {
  if (pair.lastRun === undefined || pair.generation !== pair.declaredGeneration) return undefined;
  // kubectl describe prints the messages, which can contain text from AWS, on a terminal.
  const conditions = ALL_CONDITION_TYPES.flatMap((type) => {
    const condition = pair.conditions[type];
    return condition
      ? [[type, { ...condition, message: escapeUnprintable(condition.message) }] as const]
      : [];
  });
  return mergeConditions(resource, conditions, pair);
}

function mergeConditions(
  { generation, status: currentStatus }: CustomResource,
  conditions: readonly (readonly [AnyConditionType, Condition])[],
  pair: PairStatus | undefined,
): ResourceStatus {
  const storedConditions = new Map(
    currentStatus?.conditions?.map((condition) => [condition.type, condition]),
  );
  const lastSuccess =
    pair?.lastSuccess === undefined ? currentStatus?.lastSuccess : truncateToSeconds(pair.lastSuccess);
  const merged = new Map(
    conditions.map(([type, condition]) => [
      type,
      toResourceCondition(type, condition, storedConditions.get(type), generation),
    ]),
  );
  /** A pair that declares no backfill any more, or whose controller has no `--changes`, loses the condition. */
  const isUndeclared = (type: AnyConditionType) =>
    (type === BACKFILL_CONDITION || type === EVENTS_CONDITION) && merged.has('Proven');
  return {
    observedGeneration: generation,
    ...(lastSuccess === undefined ? {} : { lastSuccess }),
    conditions: ALL_CONDITION_TYPES.flatMap(
      (type) => merged.get(type) ?? (isUndeclared(type) ? [] : storedConditions.get(type)) ?? [],
    ),
  };
}

/**
 * Converts a condition. Keeps the stored result of another process while this process has none (`Pending`, or
 * `NotEnabled` of canaries). Keeps the transition time if the status is unchanged.
 */
function toResourceCondition(
  type: AnyConditionType,
  { status, reason, message, since }: Condition,
  stored: ResourceCondition | undefined,
  observedGeneration: number,
): ResourceCondition {
  // A process without canaries has no result. Rules without metrics are a result.
  const hasNoCanaries = type === 'Verified' && reason === 'NotEnabled';
  const hasResult = reason !== 'Pending' && !hasNoCanaries;
  if (!hasResult && stored && stored.reason !== 'Pending') return stored;
  const lastTransitionTime = stored?.status === status ? stored.lastTransitionTime : truncateToSeconds(since);
  return {
    type,
    status,
    observedGeneration,
    lastTransitionTime,
    reason,
    message: message.slice(0, MAX_CONDITION_MESSAGE_LENGTH),
  };
}

function formatInvalidMessage(problems: readonly Problem[], hasLastValidVersion: boolean): string {
  const lines = problems
    .slice(0, MAX_SHOWN_PROBLEMS)
    .map(
      ({ path, message, hint }) =>
        `${path === undefined ? '' : `${path}: `}${message}${hint ? ` (${hint})` : ''}`,
    );
  const omittedCount = problems.length - lines.length;
  return [
    ...lines,
    ...(omittedCount > 0 ? [`and ${omittedCount} more`] : []),
    ...(hasLastValidVersion ? ['the last valid version stays in effect'] : []),
  ].join('\n');
}

/** Milliseconds after which a new `lastSuccess` alone is a reason to write the status. */
const LAST_SUCCESS_REFRESH_MS = 60 * 60_000;

/** Returns whether a status differs enough to write it. A later `lastSuccess` alone counts only after an hour. */
export function needsStatusUpdate(before: ResourceStatus | undefined, after: ResourceStatus): boolean {
  const { lastSuccess: lastSuccessBefore, ...fieldsBefore } = before ?? {};
  const { lastSuccess: lastSuccessAfter, ...fieldsAfter } = after;
  if (serializeStatus(fieldsBefore) !== serializeStatus(fieldsAfter)) return true;
  return (
    Date.parse(lastSuccessAfter ?? '') - Date.parse(lastSuccessBefore ?? '1970-01-01T00:00:00Z') >=
    LAST_SUCCESS_REFRESH_MS
  );
}

const serializeStatus = ({ observedGeneration, conditions = [] }: ResourceStatus): string =>
  JSON.stringify([
    observedGeneration,
    conditions
      .map((condition) => [
        condition.type,
        condition.status,
        condition.reason,
        condition.message,
        condition.observedGeneration,
        condition.lastTransitionTime,
      ])
      .sort(),
  ]);

/** Truncates a time to seconds, as Kubernetes requires. */
const truncateToSeconds = (iso: string): string => iso.replace(/\.\d+Z$/, 'Z');

/** Writes the status of each resource that may have changed, through a work queue. */
export interface StatusWriter {
  enqueue(file: string): void;
  /** Writes all queued statuses, and then stops. */
  drain(): Promise<void>;
}

export interface StatusWriterOptions {
  api: KubernetesApi;
  clock: Clock;
  /** Returns a random number from 0 up to 1. */
  random: () => number;
  log: Log;
  recorder: EventRecorder;
  find(file: string): CustomResource | undefined;
  /** Callback for a written status. */
  onWritten(file: string, status: ResourceStatus): void;
  statusInputOf(file: string): Omit<StatusInput, 'now'>;
  /** Returns whether this process writes the status of a resource. */
  isLeaderFor(resource: CustomResource): boolean;
}

const STATUS_WORKERS = 4;

export function createStatusWriter(options: StatusWriterOptions): StatusWriter {
  const { api, clock, random, log, recorder } = options;
  const failures = new Map<string, number>();
  const warnings = createDedupedLog({
    clock,
    windowMs: 10 * 60_000,
    write: (cause, resourceNames, count) =>
      log.warn({ resources: resourceNames.slice(0, 20) }, count > 1 ? `${cause} (${count} times)` : cause),
  });
  let onIdle: (() => void) | undefined;
  const queue = createWorkQueue({
    clock,
    workers: STATUS_WORKERS,
    work: async (file) => {
      await syncStatus(file);
      if (queue.depth === 0) onIdle?.();
    },
  });

  async function syncStatus(file: string): Promise<void> {
    const resource = options.find(file);
    if (!resource) failures.delete(file);
    if (!resource || !options.isLeaderFor(resource)) return;
    const desired = toResourceStatus(resource, {
      ...options.statusInputOf(file),
      now: new Date(clock.now()).toISOString(),
    });
    if (!desired || !needsStatusUpdate(resource.status, desired)) return;
    try {
      const writtenStatus = await applyStatus(api, resource, desired);
      failures.delete(file);
      if (!writtenStatus) return;
      options.onWritten(file, writtenStatus);
    } catch (error) {
      warnings.add((error as Error).message, resource.name);
      const count = (failures.get(file) ?? 0) + 1;
      failures.set(file, count);
      queue.addAfter(file, backoffMs(count, random()));
      return;
    }
    const invalidMessage = invalidMessageOf(desired);
    if (invalidMessage !== undefined && invalidMessage !== invalidMessageOf(resource.status))
      await recorder.record(resource, { type: 'Warning', reason: 'Invalid', note: invalidMessage });
  }

  return {
    enqueue: (file) => queue.add(file),
    async drain() {
      if (queue.depth > 0)
        await new Promise<void>((resolve) => {
          onIdle = resolve;
        });
      await queue.drain();
      warnings.close();
    },
  };
}

/**
 * Writes a status by server-side apply, which keeps the conditions of other writers. The `uid` in the request prevents
 * a write to a later resource of the same name.
 *
 * @returns the new status; undefined if the resource no longer exists.
 * @throws Error when the write failed and a retry may succeed.
 */
async function applyStatus(
  api: KubernetesApi,
  resource: CustomResource,
  { conditions = [], ...otherFields }: ResourceStatus,
): Promise<ResourceStatus | undefined> {
  const { kind, name, namespace, uid } = resource;
  const { status, body } = await api.request(
    'PATCH',
    `${resourcePathOf(resource)}/status?fieldManager=replikey&force=true`,
    {
      apiVersion: `${API_GROUP}/${API_VERSION}`,
      kind,
      metadata: { name, namespace, uid },
      status: { ...otherFields, conditions },
    },
    { contentType: 'application/apply-patch+yaml' },
  );
  // The resource was deleted, or deleted and re-created. The watch reports it.
  if (status === 404 || status === 409) return undefined;
  if (status !== 200) throw new Error(`cannot write the status: HTTP ${status} ${body?.message ?? ''}`);
  return body.status;
}

const invalidMessageOf = (status: ResourceStatus | undefined): string | undefined =>
  status?.conditions?.find(({ type, reason }) => type === 'Ready' && reason === 'Invalid')?.message;
