import type { Condition, ConditionType } from '../controller/conditions.ts';
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

/** What is known here of what a resource declares. */
export interface StatusInput {
  /** Absent: it never was right, is another's, or is no pair. */
  pair?: PairStatus;
  /** Why it does not count as it is. */
  problems: readonly Problem[];
  /** ISO 8601 */
  now: string;
}

/** More follow from the first, or can wait. */
const MAX_SHOWN_PROBLEMS = 5;

/** Of a message; Kubernetes takes no longer ones. */
const MAX_CONDITION_MESSAGE_LENGTH = 32_768;

const PAIR_CONDITION_TYPES: ConditionType[] = ['Ready', 'Proven', 'Verified', 'Drifted'];

/** The status that a resource should have; undefined where nothing is known of it as it is now. Pure. */
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
      : { status: 'True', reason: 'Accepted', message: 'it is right, and counts', since: now };
  return mergeConditions(resource, [['Ready', ready]], pair);
}

/** Only after a pass over what is declared now: until then the last one stands. */
function toPairResourceStatus(resource: CustomResource, pair: PairStatus): ResourceStatus | undefined {
  if (pair.lastRun === undefined || pair.generation !== pair.declaredGeneration) return undefined;
  // What AWS said goes to whoever describes the resource, on a terminal.
  const conditions = PAIR_CONDITION_TYPES.map((type) => {
    const condition = pair.conditions[type];
    return [type, { ...condition, message: escapeUnprintable(condition.message) }] as const;
  });
  return mergeConditions(resource, conditions, pair);
}

function mergeConditions(
  { generation, status: currentStatus }: CustomResource,
  conditions: readonly (readonly [ConditionType, Condition])[],
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
  return {
    observedGeneration: generation,
    ...(lastSuccess === undefined ? {} : { lastSuccess }),
    conditions: PAIR_CONDITION_TYPES.flatMap((type) => merged.get(type) ?? storedConditions.get(type) ?? []),
  };
}

/** What this process did not look at yet is as another left it; what is as it was is so since then. */
function toResourceCondition(
  type: ConditionType,
  { status, reason, message, since }: Condition,
  stored: ResourceCondition | undefined,
  observedGeneration: number,
): ResourceCondition {
  if (reason === 'Pending' && stored) return stored;
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
    ...(hasLastValidVersion ? ['it counts as it was when it last was right'] : []),
  ].join('\n');
}

/** How old the time of the last success may become before it is written for its own sake, in milliseconds. */
const LAST_SUCCESS_REFRESH_MS = 60 * 60_000;

/** Whether it says anything new: that all is well still is no news for an hour. */
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

/** Times of Kubernetes have whole seconds. */
const truncateToSeconds = (iso: string): string => iso.replace(/\.\d+Z$/, 'Z');

/** Brings the status of resources to what is known of them, each whenever anything about it may have changed. */
export interface StatusWriter {
  enqueue(file: string): void;
  /** Write what waits now, and nothing more. */
  drain(): Promise<void>;
}

export interface StatusWriterOptions {
  api: KubernetesApi;
  clock: Clock;
  /** From 0 up to 1. */
  random: () => number;
  log: Log;
  recorder: EventRecorder;
  find(file: string): CustomResource | undefined;
  /** Told what was written. */
  onWritten(file: string, status: ResourceStatus): void;
  statusInputOf(file: string): Omit<StatusInput, 'now'>;
  /** Whether this process is the one to write it. */
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
 * By server-side apply, so that conditions of others stay, and never to another resource that has the same name by now.
 *
 * @returns the status as it is now; undefined where there is no such resource any more.
 * @throws Error where it was not written, and another attempt may help.
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
    'application/apply-patch+yaml',
  );
  // Gone, or made anew: the watch will tell.
  if (status === 404 || status === 409) return undefined;
  if (status !== 200) throw new Error(`status cannot be written: HTTP ${status} ${body?.message ?? ''}`);
  return body.status;
}

const invalidMessageOf = (status: ResourceStatus | undefined): string | undefined =>
  status?.conditions?.find(({ type, reason }) => type === 'Ready' && reason === 'Invalid')?.message;
