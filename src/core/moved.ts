import { byCodeUnit, stableJson } from '../canonical.ts';
import { showPointer } from './pointer.ts';
import type { Blocked, Id, Plan, Step } from './resource.ts';

/** How one plan differs from another, step by step: what somebody who approved the first has not seen. */
export function moved(approved: Plan, now: Plan): { step: Id; message: string }[] {
  const [before, after] = [told(approved), told(now)];
  const ids = [...new Set([...before.keys(), ...after.keys()])].sort(byCodeUnit);
  return ids.flatMap((id) => {
    const message = difference(before.get(id), after.get(id));
    return message === undefined ? [] : [{ step: id, message }];
  });
}

type Told = { step?: Step; blocked?: Blocked };

function told({ waves, blocked }: Plan): Map<Id, Told> {
  return new Map<Id, Told>([
    ...waves.flat().map((step): [Id, Told] => [step.id, { step }]),
    ...blocked.map((one): [Id, Told] => [one.id, { blocked: one }]),
  ]);
}

function difference(before: Told | undefined, after: Told | undefined): string | undefined {
  if (after?.blocked) {
    const same = before?.blocked?.why === after.blocked.why;
    return same ? undefined : `is blocked now: ${after.blocked.why}`;
  }
  if (!after?.step)
    return before?.blocked ? 'is not blocked any more' : 'is as declared now, without this plan';
  if (!before?.step) return `would be ${after.step.action}d now`;
  if (before.step.action !== after.step.action)
    return `would be ${after.step.action}d now, not ${before.step.action}d`;
  const paths = changedPaths(before.step, after.step);
  if (paths.length > 0) return `other changes of ${paths.join(', ')}`;
  return stableJson(bare(before.step)) === stableJson(bare(after.step))
    ? undefined
    : 'other reasons, risks or order';
}

const bare = ({ from: _, ...step }: Step): object => step;

/** The fields that would be set to something else, or come from something else. */
function changedPaths(before: Step, after: Step): string[] {
  const of = ({ patch, before: was }: Step) =>
    new Map(patch.map((operation) => [operation.path, stableJson([operation, was[operation.path]])]));
  const [one, other] = [of(before), of(after)];
  const paths = [...new Set([...one.keys(), ...other.keys()])].sort(byCodeUnit);
  return paths.filter((path) => one.get(path) !== other.get(path)).map(showPointer);
}
