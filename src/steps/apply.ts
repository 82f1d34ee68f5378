import pLimit, { type LimitFunction } from 'p-limit';
import { describeError } from '../aws/describe-error.ts';
import type { Door } from '../aws/door.ts';
import { isRead, nameOf } from '../aws/operation.ts';
import { patiently } from '../aws/patiently.ts';
import { stableJson } from '../canonical.ts';
import { aboutOf } from '../core/adoption.ts';
import { difference, settled } from '../core/plan.ts';
import { showPointer } from '../core/pointer.ts';
import type { Aws, Id, Kind, Observation, Plan, Resource, Seen, Settling, Step } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import { naming, readOne } from './observe.ts';

/** What became of one step. */
export interface StepResult {
  id: Id;
  action: Step['action'];
  result: 'applied' | 'failed' | 'skipped';
  /** For what failed or was skipped: why, and what to do. */
  why?: string;
}

export interface ApplyOptions {
  resources: readonly Resource[];
  actual: ReadonlyMap<Id, Observation>;
  kinds: ReadonlyMap<string, Kind>;
  door: Door;
  signal?: AbortSignal;
  /** How long to wait for what was written to be seen, in milliseconds. */
  waitMs: number;
  onEvent?: (event: ApplyEvent) => void;
}

export type ApplyEvent =
  | { type: 'applied' | 'failed' | 'skipped'; step: Step; why?: string }
  | { type: 'waiting'; step: Step; waitsFor: string; untilMs: number };

/**
 * Carry a plan out: each step starts when the steps that it needs are done, however many run beside it. A step that
 * fails stops only what depends on it; after an abort none starts, and those in flight are finished.
 */
export async function apply(plan: Plan, options: ApplyOptions): Promise<StepResult[]> {
  const { signal, onEvent } = options;
  const byId = new Map(options.resources.map((resource) => [resource.id, resource]));
  const actual = new Map(options.actual);
  const blocked = new Map(plan.blocked.map(({ id }) => [id, `${id} is blocked`]));
  const running = new Map<Id, Promise<StepResult>>();
  const oneByOne = new Map<string, LimitFunction>();
  const isNew = ({ id, kind }: Resource): boolean =>
    options.kinds.get(kind)?.tags !== undefined && options.actual.get(id)?.state === 'absent';
  // Buckets, keys and roles that were not there: nobody else has put anything into what this run makes.
  const made = new Set(options.resources.filter(isNew).map(aboutOf));

  async function run(step: Step): Promise<StepResult> {
    const { id, action } = step;
    const skip = (why: string): StepResult => {
      onEvent?.({ type: 'skipped', step, why });
      return { id, action, result: 'skipped', why };
    };
    for (const need of step.needs) {
      const obstacle = blocked.get(need);
      if (obstacle) return skip(obstacle);
      const before = await running.get(need);
      if (before && before.result !== 'applied') return skip(`${need} was not applied`);
    }
    if (signal?.aborted) return skip('interrupted before it was started');
    const resource = byId.get(id);
    if (!resource) throw new Error(`the plan names ${id}, which no spec wants`);
    try {
      const seen = await writeAndSee(step, resource);
      actual.set(id, seen ? { state: 'present', seen } : { state: 'absent' });
      onEvent?.({ type: 'applied', step });
      return { id, action, result: 'applied' };
    } catch (error) {
      const why = cutOff(error, signal)
        ? 'interrupted half-way: the call in flight was finished, and the next run looks how far it came'
        : error instanceof Error
          ? error.message
          : String(error);
      onEvent?.({ type: 'failed', step, why });
      return { id, action, result: 'failed', why };
    }
  }

  /** Write or take away, and read until that is seen. */
  async function writeAndSee(step: Step, resource: Resource): Promise<Seen | undefined> {
    const kind = options.kinds.get(resource.kind);
    if (!kind) throw new Error(`no kind is named ${resource.kind}`);
    const observation = actual.get(resource.id);
    const was = observation?.state === 'present' ? observation.seen : undefined;
    const desired = { ...resource, spec: settled(resource, actual, kind) };
    const waiting = (waitsFor: string) =>
      onEvent?.({ type: 'waiting', step, waitsFor, untilMs: options.waitMs });
    const mayBeOthers = was ? was.rest !== undefined : kind.shared && !made.has(aboutOf(resource));
    const unmoved = async () => {
      if (mayBeOthers) await untouched(kind, desired, was, options);
    };

    // S3 takes one change of a bucket at a time, and answers OperationAborted to the others.
    const name = resource.id.slice(resource.id.indexOf('/'));
    const queue = oneByOne.get(name) ?? pLimit(1);
    oneByOne.set(name, queue);
    if (step.action === 'delete') {
      // What is not there any more needs no waiting for.
      const patient = {
        ...kind,
        settles: kind.settles?.filter(({ code }) => !code.startsWith('NoSuch')) ?? [],
      };
      await queue(async () => {
        await unmoved();
        await write(patient, desired, (aws) => kind.remove?.(aws, desired), options, waiting);
      });
      if (!signal?.aborted) await vanishing(desired, options, waiting);
      return undefined;
    }
    await queue(async () => {
      await unmoved();
      await write(kind, desired, (aws) => kind.write(aws, desired, was), options, waiting);
    });
    // Written is applied; what an interrupted run did not read back, the next one reads.
    if (signal?.aborted) return { spec: desired.spec, attrs: was?.attrs ?? {} };
    return seeing(kind, desired, was, options, waiting);
  }

  for (const step of plan.waves.flat()) running.set(step.id, run(step));
  return Promise.all(running.values());
}

/**
 * Read once more what is written as a whole though others have their part in it. AWS takes such a document without a
 * condition, so that what was put there since it was read would be lost.
 *
 * @throws Error where it is not as it was when the plan was made.
 */
async function untouched(
  kind: Kind,
  desired: Resource,
  was: Seen | undefined,
  { kinds, door, signal }: ApplyOptions,
): Promise<void> {
  const observation = await readOne(desired, kinds, door, signal);
  if (observation.state === 'unknown') throw new Error(observation.why, { cause: observation.error });
  const now = observation.state === 'present' ? observation.seen : undefined;
  const parts = (rest: unknown) => (Array.isArray(rest) ? rest.map(stableJson).sort() : rest);
  const all = (seen: Seen | undefined) => seen && stableJson([kind.canonical(seen.spec), parts(seen.rest)]);
  if (all(now) === all(was)) return;
  throw new Error('somebody else has changed it since it was read; nothing was written');
}

/**
 * Write, waiting while a refusal is one that passes after our own writes. What is tried again is the call that was
 * refused, and not those before it: a second CreateKey would make a second key.
 */
async function write(
  kind: Kind,
  desired: Resource,
  act: (aws: Aws) => Promise<void> | undefined,
  { door, waitMs, signal }: ApplyOptions,
  waiting: (waitsFor: string) => void,
): Promise<void> {
  const { named, last } = naming(door);
  let told = '';
  let written = false;
  const passing = (error: Error): boolean => {
    const waitsFor = settlingOf(kind, error)?.waitsFor;
    if (waitsFor !== undefined && waitsFor !== told) {
      told = waitsFor;
      waiting(told);
    }
    return waitsFor !== undefined;
  };
  const patience = { forMs: waitMs, longestMs: 3_000, signal };
  const settling: Aws = {
    ...named,
    send(at, command) {
      if (isRead(nameOf(command).operation)) return named.send(at, command);
      written = true;
      return patiently(() => named.send(at, command), { ...patience, again: passing });
    },
  };
  try {
    // Until something was written, the reads that come before it may be refused in passing, too.
    const again = (error: Error) => !written && passing(error);
    await patiently(async () => act(settling), { ...patience, again });
  } catch (error) {
    if (error instanceof UserError) throw error;
    const waited = told ? ` (waited for ${told})` : '';
    throw new Error(`${describeError(error, last(), desired.at)}${waited}`, { cause: error });
  }
}

/**
 * Read until AWS shows what was written. A read that still shows what was there before is stale, and waited for; so is
 * one that is refused as what was just made may be. A read that shows something else says that a setting did not take: an emulator dropped it, or somebody else wrote.
 */
async function seeing(
  kind: Kind,
  desired: Resource,
  was: Seen | undefined,
  options: ApplyOptions,
  waiting: (waitsFor: string) => void,
): Promise<Seen> {
  const before = was && stableJson(kind.canonical(was.spec));
  let seen: Seen | undefined;
  let told = '';
  const look = async (): Promise<Seen> => {
    const observation = await readOne(desired, options.kinds, options.door, options.signal);
    if (observation.state === 'unknown') throw new Error(observation.why, { cause: observation.error });
    seen = observation.state === 'present' ? observation.seen : undefined;
    if (seen && seen.attrs.state !== 'Creating' && !lacking(desired, seen, kind)) return seen;
    throw new NotSeen();
  };
  try {
    const passing = (error: Error): string | undefined => {
      if (error.cause instanceof Error) return settlingOf(kind, error.cause)?.waitsFor;
      const stale =
        seen === undefined ||
        stableJson(kind.canonical(seen.spec)) === before ||
        seen.attrs.state === 'Creating';
      return error instanceof NotSeen && stale ? `${desired.id} to show what was written` : undefined;
    };
    const again = (error: Error) => {
      const waitsFor = passing(error);
      if (waitsFor !== undefined && waitsFor !== told) {
        told = waitsFor;
        waiting(told);
      }
      return waitsFor !== undefined;
    };
    return await patiently(look, { forMs: options.waitMs, longestMs: 3_000, signal: options.signal, again });
  } catch (error) {
    if (!(error instanceof NotSeen)) throw error;
    const accepted = `AWS accepted the write, but${told ? ` after ${options.waitMs / 1000} s` : ''}`;
    if (!seen) throw new Error(`${accepted} ${desired.id} is still not there`);
    if (seen.attrs.state === 'Creating') throw new Error(`${accepted} ${desired.id} is still being created`);
    throw new Error(`${accepted} ${lacking(desired, seen, kind)}`);
  }
}

/** Read until AWS does not show any more what was taken away. */
async function vanishing(
  gone: Resource,
  { kinds, door, waitMs, signal }: ApplyOptions,
  waiting: (waitsFor: string) => void,
): Promise<void> {
  let told = false;
  const look = async (): Promise<void> => {
    const observation = await readOne(gone, kinds, door, signal);
    if (observation.state === 'unknown') throw new Error(observation.why, { cause: observation.error });
    if (observation.state === 'present') throw new NotSeen();
  };
  const again = (error: Error) => {
    if (error instanceof NotSeen && !told) waiting(`${gone.id} to be gone`);
    told ||= error instanceof NotSeen;
    return error instanceof NotSeen;
  };
  try {
    await patiently(look, { forMs: waitMs, longestMs: 3_000, signal, again });
  } catch (error) {
    if (!(error instanceof NotSeen)) throw error;
    throw new Error(`AWS accepted its deletion, but after ${waitMs / 1000} s ${gone.id} is still there`);
  }
}

/** What a resource lacks after it was written, if so. */
function lacking(desired: Resource, seen: Seen, kind: Kind): string | undefined {
  const paths = difference(seen, desired.spec, kind).map(({ path }) => showPointer(path));
  if (paths.length === 0) return kind.blocks?.(desired.spec, seen, desired.at);
  return `these settings did not take: ${paths.join(', ')}; either this endpoint does not keep them, or somebody else changes the same thing`;
}

/** Whether it ended since a person interrupted the run, and not for a fault of its own. */
const cutOff = (error: unknown, signal: AbortSignal | undefined): boolean =>
  signal?.aborted === true &&
  [error, (error as { cause?: unknown } | undefined)?.cause].includes(signal.reason);

class NotSeen extends Error {}

function settlingOf(kind: Kind, error: Error): Settling | undefined {
  return kind.settles?.find(
    ({ code, message }) => code === error.name && (message?.test(error.message) ?? true),
  );
}
