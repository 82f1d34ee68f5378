import type { Condition, ConditionType, PairStatus } from '../controller/status.ts';
import type { Problem } from '../spec/types.ts';
import { escapeUnprintable } from '../util/escape.ts';
import type { CustomResource } from './resources.ts';

/** What is written to the status of a resource. */
export interface ResourceStatus {
  /** The generation of the resource that this is about. */
  observedGeneration?: number;
  /** RFC 3339 */
  lastSuccess?: string;
  conditions?: ResourceCondition[];
}

export interface ResourceCondition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  observedGeneration?: number;
  /** RFC 3339 */
  lastTransitionTime: string;
  reason: string;
  message: string;
}

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
