import { canonicalJson, compareCodeUnits, sortKeys } from '../util/canonical-json.ts';
import { formatPointer } from '../util/json-pointer.ts';
import { fieldPathOf } from './diff.ts';
import type { Kind } from './kind.ts';
import { isRef } from './ref.ts';
import type { ActualState, Blocked, Id, Plan, PlanTarget, Step } from './resource.ts';

/** Lists the differences between an approved plan and the current one, by step. */
export function diffPlans(approved: Plan, current: Plan): { step: Id; message: string }[] {
  const [approvedEntries, currentEntries] = [entriesById(approved), entriesById(current)];
  const ids = [...new Set([...approvedEntries.keys(), ...currentEntries.keys()])].sort(compareCodeUnits);
  return ids.flatMap((id) => {
    const message = describeChange(approvedEntries.get(id), currentEntries.get(id));
    return message === undefined ? [] : [{ step: id, message }];
  });
}

type PlanEntry = { step?: Step; blocked?: Blocked };

function entriesById({ waves, blocked }: Plan): Map<Id, PlanEntry> {
  return new Map<Id, PlanEntry>([
    ...waves.flat().map((step): [Id, PlanEntry] => [step.id, { step }]),
    ...blocked.map((item): [Id, PlanEntry] => [item.id, { blocked: item }]),
  ]);
}

function describeChange(before: PlanEntry | undefined, after: PlanEntry | undefined): string | undefined {
  if (after?.blocked) {
    const sameReason = before?.blocked?.why === after.blocked.why;
    return sameReason ? undefined : `is blocked now: ${after.blocked.why}`;
  }
  if (!after?.step) return before?.blocked ? 'is no longer blocked' : 'the plan no longer changes it';
  if (!before?.step) return `the plan now ${after.step.action}s it`;
  if (before.step.action !== after.step.action)
    return `the plan now ${after.step.action}s it; the approved plan ${before.step.action}s it`;
  const paths = changedPaths(before.step, after.step);
  if (paths.length > 0) return `the changes of ${paths.join(', ')} differ`;
  return canonicalJson(stepWithoutPosition(before.step)) === canonicalJson(stepWithoutPosition(after.step))
    ? undefined
    : 'the reasons, the risks or the order differ';
}

const stepWithoutPosition = ({ from: _, ...step }: Step): object => step;

/** Returns the fields whose new or previous values differ between two steps. */
function changedPaths(before: Step, after: Step): string[] {
  const fieldsByPath = ({ patch, before: previousValues }: Step) =>
    new Map(
      patch.map((operation) => [operation.path, canonicalJson([operation, previousValues[operation.path]])]),
    );
  const [fieldsBefore, fieldsAfter] = [fieldsByPath(before), fieldsByPath(after)];
  const paths = [...new Set([...fieldsBefore.keys(), ...fieldsAfter.keys()])].sort(compareCodeUnits);
  const changed = paths.filter((path) => fieldsBefore.get(path) !== fieldsAfter.get(path));
  return [...new Set(changed.map(fieldPathOf))].map(formatPointer);
}

/**
 * Returns whether a plan is what remains of an approved plan after a part of it was applied: each of its steps is one of
 * the approved steps, and the documents of the others are as the approved plan leaves them.
 */
export function isRemainder(approved: Plan, current: Plan, state: ObservedState): boolean {
  const approvedEntries = entriesById(approved);
  const currentSteps = current.waves.flat();
  const currentIds = new Set(currentSteps.map(({ id }) => id));
  const missingSteps = approved.waves.flat().filter(({ id }) => !currentIds.has(id));
  return (
    missingSteps.length > 0 &&
    missingSteps.every((step) => isApplied(step, state)) &&
    isWithinTarget(current.target, approved.target) &&
    current.blocked.every(({ id, why }) => approvedEntries.get(id)?.blocked?.why === why) &&
    currentSteps.every((step) => {
      const approvedStep = approvedEntries.get(step.id)?.step;
      return approvedStep !== undefined && isResolved(contentOf(approvedStep), contentOf(step));
    })
  );
}

/** Returns whether a target is another target, or a part of its accounts and partitions. */
const isWithinTarget = (target: PlanTarget, other: PlanTarget): boolean =>
  target.endpoint === other.endpoint &&
  target.partitions.every((partition) => other.partitions.includes(partition)) &&
  Object.entries(target.accounts).every(([name, id]) => other.accounts[name] === id);

/** The state that a plan was made from. */
export interface ObservedState {
  actual: ActualState;
  kinds: ReadonlyMap<string, Kind>;
}

/**
 * Returns whether a document is as a step leaves it. A document that was not observed does not count as applied: the
 * step may be missing because something else needs the document now.
 */
function isApplied({ id, kind: name, action, desired }: Step, { actual, kinds }: ObservedState): boolean {
  const observation = actual.get(id);
  if (action === 'delete') return observation?.state === 'absent';
  const kind = kinds.get(name);
  if (observation?.state !== 'present' || !kind) return false;
  const current = sortKeys(kind.normalize(observation.current.spec));
  return isResolved(JSON.parse(canonicalJson(desired)), JSON.parse(canonicalJson(current)));
}

/** Returns what a step changes, as plain JSON. The order of steps depends on the others. */
const contentOf = ({ from: _, needs: __, why: ___, ...content }: Step): unknown =>
  JSON.parse(canonicalJson(content));

/** Returns whether a value is another value in which references were replaced by the attributes of their targets. */
function isResolved(approved: unknown, current: unknown): boolean {
  if (isRef(approved) && typeof current === 'string') return true;
  if (typeof approved !== 'object' || typeof current !== 'object' || approved === null || current === null)
    return approved === current;
  const [approvedFields, currentFields] = [Object.entries(approved), new Map(Object.entries(current))];
  return (
    approvedFields.length === currentFields.size &&
    approvedFields.every(
      ([name, value]) => currentFields.has(name) && isResolved(value, currentFields.get(name)),
    )
  );
}
