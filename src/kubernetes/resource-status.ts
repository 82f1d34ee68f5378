import type { Condition, ConditionType, PairStatus } from '../controller/status.ts';
import type { Problem } from '../spec/types.ts';
import { visible } from '../visible.ts';
import type { Resource } from './resources.ts';

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
export interface Known {
  /** Absent: it never was right, is another's, or is no pair. */
  pair?: PairStatus;
  /** Why it does not count as it is. */
  problems: readonly Problem[];
  /** ISO 8601 */
  now: string;
}

/** More follow from the first, or can wait. */
const SHOWN_PROBLEMS = 5;

/** Of a message; Kubernetes takes no longer ones. */
const MOST_CHARACTERS = 32_768;

const PAIR_CONDITIONS: ConditionType[] = ['Ready', 'Proven', 'Verified', 'Drifted'];

/** The status that a resource should have; undefined where nothing is known of it as it is now. Pure. */
export function statusFor(resource: Resource, known: Known): ResourceStatus | undefined {
  const { pair, problems, now } = known;
  if (problems.length === 0 && resource.kind === 'BucketReplication') return pair && ofPair(resource, pair);
  const ready: Condition =
    problems.length > 0
      ? { status: 'False', reason: 'Invalid', message: whyInvalid(problems, pair !== undefined), since: now }
      : { status: 'True', reason: 'Accepted', message: 'it is right, and counts', since: now };
  return withConditions(resource, [['Ready', ready]], pair);
}

/** Only after a pass over what is declared now: until then the last one stands. */
function ofPair(resource: Resource, pair: PairStatus): ResourceStatus | undefined {
  if (pair.lastRun === undefined || pair.generation !== pair.declaredGeneration) return undefined;
  // What AWS said goes to whoever describes the resource, on a terminal.
  const conditions = PAIR_CONDITIONS.map((type) => {
    const condition = pair.conditions[type];
    return [type, { ...condition, message: visible(condition.message) }] as const;
  });
  return withConditions(resource, conditions, pair);
}

function withConditions(
  { generation, status: before }: Resource,
  conditions: readonly (readonly [ConditionType, Condition])[],
  pair: PairStatus | undefined,
): ResourceStatus {
  const stored = new Map(before?.conditions?.map((one) => [one.type, one]));
  const lastSuccess = pair?.lastSuccess === undefined ? before?.lastSuccess : inSeconds(pair.lastSuccess);
  const now = new Map(
    conditions.map(([type, condition]) => [
      type,
      conditionFor(type, condition, stored.get(type), generation),
    ]),
  );
  return {
    observedGeneration: generation,
    ...(lastSuccess === undefined ? {} : { lastSuccess }),
    conditions: PAIR_CONDITIONS.flatMap((type) => now.get(type) ?? stored.get(type) ?? []),
  };
}

/** What this process did not look at yet is as another left it; what is as it was is so since then. */
function conditionFor(
  type: ConditionType,
  { status, reason, message, since }: Condition,
  stored: ResourceCondition | undefined,
  observedGeneration: number,
): ResourceCondition {
  if (reason === 'Pending' && stored) return stored;
  const lastTransitionTime = stored?.status === status ? stored.lastTransitionTime : inSeconds(since);
  return {
    type,
    status,
    observedGeneration,
    lastTransitionTime,
    reason,
    message: message.slice(0, MOST_CHARACTERS),
  };
}

function whyInvalid(problems: readonly Problem[], wasRight: boolean): string {
  const lines = problems
    .slice(0, SHOWN_PROBLEMS)
    .map(
      ({ path, message, hint }) =>
        `${path === undefined ? '' : `${path}: `}${message}${hint ? ` (${hint})` : ''}`,
    );
  const more = problems.length - lines.length;
  return [
    ...lines,
    ...(more > 0 ? [`and ${more} more`] : []),
    ...(wasRight ? ['it counts as it was when it last was right'] : []),
  ].join('\n');
}

/** How old the time of the last success may become before it is written for its own sake, in milliseconds. */
const SUCCESS_MS = 60 * 60_000;

/** Whether it says anything new: that all is well still is no news for an hour. */
export function isNews(before: ResourceStatus | undefined, after: ResourceStatus): boolean {
  const { lastSuccess: then, ...was } = before ?? {};
  const { lastSuccess: now, ...is } = after;
  if (canonical(was) !== canonical(is)) return true;
  return Date.parse(now ?? '') - Date.parse(then ?? '1970-01-01T00:00:00Z') >= SUCCESS_MS;
}

const canonical = ({ observedGeneration, conditions = [] }: ResourceStatus): string =>
  JSON.stringify([
    observedGeneration,
    conditions
      .map((one) => [
        one.type,
        one.status,
        one.reason,
        one.message,
        one.observedGeneration,
        one.lastTransitionTime,
      ])
      .sort(),
  ]);

/** Times of Kubernetes have whole seconds. */
const inSeconds = (iso: string): string => iso.replace(/\.\d+Z$/, 'Z');
