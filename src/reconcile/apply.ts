import pLimit, { type LimitFunction } from 'p-limit';
import type { AwsClient } from '../aws/client.ts';
import { commandInfo, isReadOperation } from '../aws/command.ts';
import { formatAwsError } from '../aws/errors.ts';
import { type RetryOptions, retry } from '../aws/retry.ts';
import { ownerKey } from '../core/adoption.ts';
import { startsJob } from '../core/batch-job.ts';
import { fieldPathOf } from '../core/diff.ts';
import { pairsWithChangingRules } from '../core/housekeeping.ts';
import { MANAGED_BY_TAG, NO_POSITION } from '../core/ids.ts';
import {
  AlreadyExistsError,
  type Change,
  isForReplication,
  type Kind,
  type Retention,
  type TransientError,
} from '../core/kind.ts';
import {
  joinDrafts,
  planChanges,
  renderChange,
  renderFrom,
  requireKind,
  resourceDiff,
} from '../core/plan.ts';
import {
  type ActualState,
  type Aws,
  type Current,
  DEFAULT_DRAIN_MS,
  type Housekeeping,
  type Id,
  type ManualStep,
  type Observation,
  type Plan,
  type PlanContent,
  type Resource,
  type Step,
} from '../core/resource.ts';
import { UserError } from '../errors.ts';
import { withoutUnplannedJobs } from '../proof/job-guard.ts';
import { deferSteps } from '../proof/transition-risks.ts';
import { canonicalJson } from '../util/canonical-json.ts';
import { formatPointer } from '../util/json-pointer.ts';
import { type CanaryFirstOptions, planCanaryFirst, runCanaryFirst } from './canary-first.ts';
import { observe, observeResource } from './observe.ts';
import { documentsNeededBy, type Propagation, REPORT_INTERVAL_MS } from './propagation.ts';
import { INTERRUPTED, missingNeedReason, type StepResult } from './step-result.ts';
import { type SwitchCheck, SwitchError } from './switch-check.ts';

export interface ApplyOptions {
  resources: readonly Resource[];
  actual: ReadonlyMap<Id, Observation>;
  kinds: ReadonlyMap<string, Kind>;
  /** Steps that come after the rules that they would otherwise stop. */
  deferred?: ReadonlySet<Id>;
  /** Proves changed rules again before they are written; absent: they are written as planned. */
  checkSwitch?: SwitchCheck | undefined;
  aws: AwsClient;
  signal?: AbortSignal;
  /** Time limit for a write to become visible, in milliseconds. */
  propagationTimeoutMs: number;
  /** The wait before rules depend on changed permissions; absent: no wait. */
  propagation?: Propagation;
  /** Tests changed rules with canaries before they take effect; absent: never. */
  canaryFirst?: CanaryFirstOptions;
  onEvent?: (event: ApplyEvent) => void;
}

export type ApplyEvent =
  | { type: 'applied' | 'failed' | 'skipped'; step: Step; why?: string }
  | { type: 'waiting'; step: Step; waitsFor: string; untilMs: number };

/**
 * Applies a plan in stages of resources. A single stage is the plan itself. With several, each stage is observed and
 * planned again, because the previous stage changed the state. A failure ends the run.
 */
export async function applyInStages(
  plan: Plan,
  stages: readonly Resource[][],
  actual: ActualState,
  options: Omit<ApplyOptions, 'resources' | 'actual'>,
): Promise<StepResult[]> {
  const [only] = stages;
  if (only && stages.length === 1) return apply(plan, { ...options, resources: only, actual });
  const results: StepResult[] = [];
  for (const resources of stages) {
    const current = await observe(resources, options.kinds, options.aws.withBatching(), options.signal);
    const nowMs = options.aws.now();
    const draft = planChanges(resources, current, options.kinds, [], { blocked: [], notes: [], nowMs });
    const content = joinDrafts([
      deferSteps(withoutUnplannedJobs(draft, plan, options.kinds), options.kinds, options.deferred),
    ]);
    results.push(...(await apply(content, { ...options, resources, actual: current })));
    if (options.signal?.aborted || results.some(({ result }) => result !== 'applied')) break;
  }
  return results;
}

/**
 * Applies a plan. Each step starts when the steps that it needs are done; independent steps run concurrently. A failed
 * step stops only the steps that depend on it. After an abort no step starts, and those in flight are finished.
 *
 * Retained permissions are renewed before the rules that may still need them change. The result contains a write of
 * housekeeping only if it failed.
 */
export async function apply(plan: PlanContent, options: ApplyOptions): Promise<StepResult[]> {
  const { signal, onEvent } = options;
  const resourcesById = new Map(options.resources.map((resource) => [resource.id, resource]));
  const actual = new Map(options.actual);
  const blockedReasons = new Map(plan.blocked.map(({ id }) => [id, `${id} is blocked`]));
  const runs = new Map<Id, Promise<StepResult>>();
  const queues = new Map<string, LimitFunction>();
  const isNewResource = ({ id, kind }: Resource): boolean =>
    options.kinds.get(kind)?.fetchTags !== undefined && options.actual.get(id)?.state === 'absent';
  // Buckets, keys and roles that did not exist: their documents hold no foreign entries, because this run creates them.
  const createdOwners = new Set(options.resources.filter(isNewResource).map(ownerKey));
  const housekeeping = new Map(plan.housekeeping.map((item) => [item.id, item.action]));
  const changingPairs = pairsWithChangingRules(plan.waves.flat(), options.kinds);
  const leftBehind = new Map<Id, ManualStep[]>();

  async function runStep(step: Step): Promise<StepResult> {
    const { id, action } = step;
    const skip = (why: string): StepResult => {
      onEvent?.({ type: 'skipped', step, why });
      return { id, action, result: 'skipped', why };
    };
    // Read before the first wait: a step waits only for those that started before it, so no two wait for each other.
    const dependencies = step.needs.map((need) => [need, runs.get(need)] as const);
    for (const [need, run] of dependencies) {
      const blockedReason = blockedReasons.get(need);
      if (blockedReason) return skip(blockedReason);
      const dependency = await run;
      if (dependency && dependency.result !== 'applied') return skip(missingNeedReason(need));
    }
    if (signal?.aborted) return skip(INTERRUPTED.notStarted);
    const resource = resourcesById.get(id);
    if (!resource) throw new Error(`the plan contains ${id}, which no spec declares`);
    try {
      const current = changesRules(step)
        ? await switchRules(step, resource)
        : isJobStart(step)
          ? await startJob(step, resource)
          : await writeAndVerify(step, resource, retentionMode(step));
      if (current === 'interrupted') return skip(INTERRUPTED.notStarted);
      actual.set(id, current ? { state: 'present', current } : { state: 'absent' });
      if (!housekeeping.has(id)) {
        options.propagation?.recordWrite(resource);
        onEvent?.({ type: 'applied', step });
      }
      return { id, action, result: 'applied' };
    } catch (error) {
      const why = isInterruption(error, signal)
        ? INTERRUPTED.inFlight
        : error instanceof Error
          ? error.message
          : String(error);
      onEvent?.({ type: 'failed', step, why });
      return { id, action, result: 'failed', why };
    }
  }

  const changesRules = ({ kind }: Step): boolean => options.kinds.get(kind)?.scope.stage === 'rules';

  const isJobStart = (step: Step): boolean =>
    options.kinds.get(step.kind)?.scope.stage === 'jobs' && startsJob(step);

  /** Creates or starts a job when S3 uses its permissions: S3 tries an object of a job once. A new bucket has no objects yet. */
  async function startJob(step: Step, resource: Resource): Promise<Current | undefined | 'interrupted'> {
    if (!createdOwners.has(ownerKey(resource))) await waitForPermissions(step, resource);
    return signal?.aborted ? 'interrupted' : writeAndVerify(step, resource, retentionMode(step));
  }

  /** Waits until S3 uses the permissions that a resource depends on. */
  const waitForPermissions = (step: Step, resource: Resource): Promise<void> | undefined =>
    options.propagation?.wait(documentsNeededBy(resource, resourcesById, options.kinds), {
      signal,
      onWait: (untilMs) =>
        onEvent?.({ type: 'waiting', step, waitsFor: 'S3 to use the changed permissions', untilMs }),
    });

  /** Changes rules when S3 uses the permissions that they depend on. */
  async function switchRules(step: Step, resource: Resource): Promise<Current | undefined | 'interrupted'> {
    const ended = await testOrWait(step, resource);
    try {
      if (signal?.aborted && ended.length === 0) return 'interrupted';
      await renewExpiring(step);
      return await writeAndVerify(step, resource, retentionMode(step), ended);
    } catch (error) {
      throw ended.length === 0 ? error : await withoutTemporaryRules(error, resource, ended);
    }
  }

  /**
   * Makes sure that S3 uses the permissions that changed rules of an existing bucket depend on: by canaries under
   * temporary rules, or by a wait. A new bucket has no objects yet. Returns the ids of the temporary rules.
   */
  async function testOrWait(step: Step, resource: Resource): Promise<readonly string[]> {
    const { canaryFirst } = options;
    if (createdOwners.has(ownerKey(resource))) return [];
    const kind = requireKind(options.kinds, resource);
    const change = renderChange(resource, actual, kind);
    if (!kind.check?.(change).widensUse) return [];
    const settleMs = options.propagationTimeoutMs;
    const plan = canaryFirst && (await planCanaryFirst(change, canaryFirst, options.aws, settleMs));
    if (!plan?.coversAll) await waitForPermissions(step, resource);
    if (!plan || signal?.aborted) return [];
    try {
      const current = await writeChange(step, plan.addRules);
      if (current) actual.set(step.id, { state: 'present', current });
      let reportedAt = Number.NEGATIVE_INFINITY;
      const onCheck = () => {
        if (performance.now() < reportedAt + REPORT_INTERVAL_MS) return;
        reportedAt = performance.now();
        onEvent?.({
          type: 'waiting',
          step,
          waitsFor: 'a canary to be replicated',
          untilMs: canaryFirst.timeoutMs,
        });
      };
      await runCanaryFirst(plan, canaryFirst, { aws: options.aws, settleMs, signal, onCheck });
      return plan.canaryIds;
    } catch (error) {
      throw await withoutTemporaryRules(error, plan.addRules.resource, plan.canaryIds);
    }
  }

  /** Removes temporary rules after a failure. Returns the error, with the rules that could not be removed. */
  async function withoutTemporaryRules(
    error: unknown,
    resource: Resource,
    ended: readonly string[],
  ): Promise<unknown> {
    const aws = signal?.aborted ? options.aws.uninterruptible() : options.aws;
    const kind = requireKind(options.kinds, resource);
    try {
      await serialized(resource, async () => {
        const observation = await observeResource(resource, options.kinds, aws);
        if (observation.state === 'unknown') throw new Error(observation.reason);
        if (observation.state === 'absent') return;
        const { current } = observation;
        if (!current.retained?.some(({ id }) => ended.includes(id))) return;
        const retention: Retention = { mode: 'keep', nowMs: aws.now(), ended };
        // Without other rules the document is deleted, as if no spec declared it.
        const { context: _, ...rest } = resource;
        const unchanged: Resource = { ...rest, spec: current.spec, orphaned: true };
        const change = renderFrom(unchanged, current, kind, () => undefined, retention);
        await (change.doc === undefined ? kind.remove?.(aws, resource) : kind.send(aws, change));
      });
      return error;
    } catch (removalError) {
      const [message, reason] = [error, removalError].map((item) =>
        item instanceof Error ? item.message : String(item),
      );
      return new Error(
        `${message}; the temporary rules ${ended.join(', ')} stay until they expire: ${reason}`,
        { cause: error },
      );
    }
  }

  function retentionMode({ id, pairs }: Step): Retention['mode'] {
    if (housekeeping.get(id) === 'expire') return 'narrow';
    return pairs.some((pair) => changingPairs.has(pair)) ? 'renew' : 'keep';
  }

  /**
   * Renews the retained permissions that would expire before the objects in flight are done, because the steps before
   * the change of the rules took long.
   */
  async function renewExpiring({ needs, pairs }: Step): Promise<void> {
    for (const id of needs) {
      const resource = resourcesById.get(id);
      const observation = actual.get(id);
      if (!resource || observation?.state !== 'present') continue;
      const untilMs = options.aws.now() + (resource.drainMs ?? DEFAULT_DRAIN_MS);
      const isExpiring = observation.current.retained?.some(({ expiresAtMs }) => expiresAtMs < untilMs);
      if (!isExpiring || resource.drainMs === 0) continue;
      const current = await writeAndVerify(housekeepingStep({ ...resource, pairs }), resource, 'renew');
      if (current) actual.set(id, { state: 'present', current });
    }
  }

  /**
   * Proves changed rules again, by the documents as they are now. After writes of this run, a read may still show the
   * previous document, so the check is repeated.
   */
  async function proveAgain(change: Change, { needs }: Step): Promise<void> {
    const { checkSwitch, aws, propagationTimeoutMs } = options;
    if (!checkSwitch) return;
    const hasWritten = needs.some((id) => runs.has(id));
    await retry(() => checkSwitch(change, { actual, createdOwners }, aws.withCache()), {
      timeoutMs: Math.min(propagationTimeoutMs, MAX_STALE_MS),
      maxDelayMs: 3_000,
      signal,
      shouldRetry: (error) => hasWritten && error instanceof SwitchError,
    });
  }

  /** Writes or deletes a document, and reads it until AWS shows the result. */
  async function writeAndVerify(
    step: Step,
    resource: Resource,
    mode: Retention['mode'],
    ended: readonly string[] = [],
  ): Promise<Current | undefined> {
    const kind = requireKind(options.kinds, resource);
    const retention = { mode, nowMs: options.aws.now(), ended };
    return writeChange(step, renderChange(resource, actual, kind, undefined, retention));
  }

  /** Sends a change, and reads the document until AWS shows the result. */
  async function writeChange(step: Step, change: Change): Promise<Current | undefined> {
    const { resource } = change;
    const kind = requireKind(options.kinds, resource);
    const reportWaiting = (waitsFor: string) =>
      onEvent?.({ type: 'waiting', step, waitsFor, untilMs: options.propagationTimeoutMs });
    const { replacesWholeDocument, initialContent } = kind.response;
    const mayHaveForeignEntries = change.current
      ? change.current.foreign !== undefined
      : replacesWholeDocument && !initialContent && !createdOwners.has(ownerKey(resource));

    const write = (writingKind: Kind, send: (aws: Aws) => Promise<void> | undefined) =>
      serialized(resource, async () => {
        const written = mayHaveForeignEntries && (await readAgain(kind, change, options)) === 'written';
        if (written) return;
        if (changesRules(step) && change.doc !== undefined) await proveAgain(change, step);
        await writeWithRetry(writingKind, send, options, reportWaiting);
      });
    if (step.action === 'delete' || change.doc === undefined) {
      // A document that is already gone needs no waiting.
      const transientErrors = kind.transientErrors?.filter(({ code }) => !code.startsWith('NoSuch')) ?? [];
      await write({ ...kind, transientErrors }, (aws) => kind.remove?.(aws, change.resource));
      if (!signal?.aborted) await readUntilDeleted(change.resource, options, reportWaiting);
      return undefined;
    }
    try {
      await write(kind, async (aws) =>
        kind.send(aws, await retry(() => withInitialContent(kind, change, step, aws), staleReads(resource))),
      );
    } catch (error) {
      if (!(error instanceof AlreadyExistsError) || signal?.aborted) throw error;
      return useExisting(kind, change, error, reportWaiting);
    }
    // An interrupted run does not read its writes back. The next run observes them.
    if (signal?.aborted)
      return { spec: change.desired, attrs: change.current?.attrs ?? {}, retained: change.retained };
    return readUntilWritten(kind, change, options, reportWaiting);
  }

  /** Retries reads of a document that may not show what this run has created. */
  const staleReads = (resource: Resource): RetryOptions => ({
    timeoutMs: createdOwners.has(ownerKey(resource))
      ? Math.min(options.propagationTimeoutMs, MAX_STALE_MS)
      : 0,
    maxDelayMs: 3_000,
    signal,
    shouldRetry: (error) => error instanceof UnplannedRiskError,
  });

  /**
   * Continues with a bucket, key or role that exists although this run was to create it, if replikey created it: another
   * run of the same specs, or this run, whose response was lost.
   *
   * @throws Error when another caller created it, because the plan shows no change of an existing resource
   */
  async function useExisting(
    kind: Kind,
    { resource }: Change,
    { leftBehind: unusedBeside }: AlreadyExistsError,
    reportWaiting: (waitsFor: string) => void,
  ): Promise<Current> {
    const { aws, kinds, propagationTimeoutMs } = options;
    // Other runs write its documents, so they are read again before this run writes them.
    createdOwners.delete(ownerKey(resource));
    const update = async (): Promise<Change> => {
      const observation = await observeResource(resource, kinds, aws, signal);
      if (observation.state === 'unknown') throw new Error(observation.reason, { cause: observation.error });
      if (observation.state === 'absent')
        throw new NotVisibleError('AWS reports that it exists already, but returns none');
      const { current } = observation;
      const unused = await unusedBeside(aws, current);
      if (unused.length > 0) leftBehind.set(resource.id, unused);
      const tags = await kind.fetchTags?.(aws, resource, current);
      if (tags?.[MANAGED_BY_TAG] !== 'replikey')
        throw new Error(
          'another caller created it since it was read; it was not changed: run again, and review the plan for it',
        );
      const change = renderFrom(resource, current, kind, () => undefined);
      const blocked = kind.check?.(change).blocked;
      if (blocked !== undefined) throw new Error(blocked);
      if (resourceDiff(current, change.desired, kind).patch.length > 0)
        await serialized(resource, () =>
          writeWithRetry(kind, (client) => kind.send(client, change), options, reportWaiting),
        );
      return change;
    };
    const change = await retry(update, {
      timeoutMs: propagationTimeoutMs,
      maxDelayMs: 3_000,
      signal,
      // A read may not show the resource, or not its name, for a while.
      shouldRetry: (error) =>
        error instanceof NotVisibleError ||
        error instanceof AlreadyExistsError ||
        [error, error.cause].some((item) => item instanceof Error && findTransientError(kind, item)),
    });
    return readUntilWritten(kind, change, options, reportWaiting);
  }

  /** S3 allows one change of a bucket at a time, and refuses others with OperationAborted. */
  function serialized(resource: Resource, write: () => Promise<void>): Promise<void> {
    const queueKey = resource.id.slice(resource.id.indexOf('/'));
    const queue = queues.get(queueKey) ?? pLimit(1);
    queues.set(queueKey, queue);
    return queue(write);
  }

  const steps = plan.waves.flat();
  const renewals = plan.housekeeping.filter(({ action }) => action !== 'expire');
  const expiries = plan.housekeeping.filter(({ action }) => action === 'expire');
  for (const item of renewals) runs.set(item.id, runStep(housekeepingStep(item)));
  // IAM replaces a deleted role in other policies by its id, so a role is deleted after these are narrowed.
  const deletesRole = ({ action, kind }: Step) =>
    action === 'delete' && options.kinds.get(kind)?.scope.type === 'role';
  // Permissions are removed last, and only when everything before has succeeded that replication depends on.
  const needsOfExpiry = steps
    .filter((step) => !deletesRole(step) && isForReplication(step.id, options.kinds))
    .map(({ id }) => id);
  const addNeeds = (step: Step): Step => {
    const renewed = renewals.filter(({ pairs }) => pairs.some((pair) => step.pairs.includes(pair)));
    const added = changesRules(step) ? renewed : deletesRole(step) ? expiries : [];
    return { ...step, needs: [...step.needs, ...added.map(({ id }) => id)] };
  };
  const runInOrder = (step: Step) => runs.set(step.id, runStep(step));
  for (const step of steps.filter((step) => !deletesRole(step)).map(addNeeds)) runInOrder(step);
  for (const item of expiries)
    runInOrder(housekeepingStep({ ...item, needs: [...needsOfExpiry, ...item.needs] }));
  for (const step of steps.filter(deletesRole).map(addNeeds)) runInOrder(step);
  const results = (await Promise.all(runs.values())).map((result): StepResult => {
    const unused = leftBehind.get(result.id);
    return unused ? { ...result, leftBehind: unused } : result;
  });
  return results.filter(({ id, result }) => result !== 'applied' || !housekeeping.has(id));
}

/** Time for which a read may show a document that this run has replaced, in milliseconds. */
const MAX_STALE_MS = 10_000;

/** Returns the step of a write that changes only retained permissions. */
function housekeepingStep({
  id,
  pairs,
  ...item
}: Pick<Housekeeping, 'id' | 'pairs'> & Partial<Housekeeping & Resource>): Step {
  return {
    id,
    kind: id.slice(0, id.indexOf('/')),
    action: 'update',
    at: item.at ?? item.location ?? { region: '' },
    patch: [],
    before: {},
    desired: undefined,
    why: [],
    calls: [],
    needs: item.needs ?? [],
    risks: [],
    pairs,
    from: item.from ?? item.position ?? NO_POSITION,
  };
}

/**
 * Reads a document again immediately before a write that replaces it as a whole. AWS accepts the write without a
 * condition, so entries that were added since the plan would be lost. `written`: another run of the same specs has
 * written the document.
 *
 * @throws Error when it differs from the document of the plan, and from the one to write
 */
async function readAgain(
  kind: Kind,
  change: Change,
  { kinds, aws, signal }: ApplyOptions,
): Promise<'unchanged' | 'written'> {
  const { resource, current: before } = change;
  const observation = await observeResource(resource, kinds, aws, signal);
  if (observation.state === 'unknown') throw new Error(observation.reason, { cause: observation.error });
  const current = observation.state === 'present' ? observation.current : undefined;
  const fingerprint = (state: Current | undefined) =>
    state && canonicalJson([kind.normalize(state.spec), foreignIn(state), retainedIds(state)]);
  if (fingerprint(current) === fingerprint(before)) return 'unchanged';
  const isWritten =
    current === undefined || change.doc === undefined
      ? current === change.doc
      : foreignIn(current) === foreignIn(before) &&
        resourceDiff(current, change.desired, kind).patch.length === 0 &&
        symmetricDifference(retainedIds(current), retainedIds(change)).length === 0;
  if (isWritten) return 'written';
  throw new Error('another caller changed it since it was read; nothing was written');
}

/** Returns a text that is equal for equal foreign entries, in any order. */
function foreignIn(state: Current | undefined): string {
  const foreign = state?.foreign ?? [];
  return canonicalJson(Array.isArray(foreign) ? foreign.map(canonicalJson).sort() : foreign);
}

/** An existing document has a risk that the plan of a new document did not show. */
class UnplannedRiskError extends Error {}

/**
 * Merges the initial content of a document into a change, when AWS filled the document at the creation of its bucket or
 * key.
 *
 * @throws UnplannedRiskError when the content is not that of a new bucket or key: another run may have created it
 */
async function withInitialContent(kind: Kind, change: Change, step: Step, aws: Aws): Promise<Change> {
  const { resource, current } = change;
  if (current || !kind.response.initialContent) return change;
  const doc = await kind.fetch(aws, resource.location, resource.name, resource.details);
  if (doc === undefined) return change;
  const update = renderFrom(resource, kind.parse(doc, resource), kind, () => undefined);
  const { blocked, risks = [] } = kind.check?.(update) ?? {};
  const planned = step.risks.map(({ id }) => id);
  const unplanned = risks.filter(({ id, isInitial }) => !isInitial && !planned.includes(id));
  const [problem = blocked] = unplanned.map(({ message }) => message);
  if (problem === undefined) return update;
  throw new UnplannedRiskError(
    `another caller changed it since it was read: ${problem}; nothing was written: run again, and review the plan`,
  );
}

/**
 * Writes, and retries errors that are transient after replikey's own writes. It retries only the call that failed and
 * not the calls before it: a second CreateKey would create a second key.
 */
async function writeWithRetry(
  kind: Kind,
  send: (aws: Aws) => Promise<void> | undefined,
  { aws, propagationTimeoutMs, signal }: ApplyOptions,
  reportWaiting: (waitsFor: string) => void,
): Promise<void> {
  let reportedWait = '';
  let hasWritten = false;
  const isTransient = (error: Error): boolean => {
    const waitsFor = findTransientError(kind, error)?.waitsFor;
    if (waitsFor !== undefined && waitsFor !== reportedWait) {
      reportedWait = waitsFor;
      reportWaiting(reportedWait);
    }
    return waitsFor !== undefined;
  };
  const retryOptions = { timeoutMs: propagationTimeoutMs, maxDelayMs: 3_000, signal };
  const retryingAws: Aws = {
    ...aws,
    send(location, command) {
      if (isReadOperation(commandInfo(command).operation)) return aws.send(location, command);
      hasWritten = true;
      return retry(() => aws.send(location, command), { ...retryOptions, shouldRetry: isTransient });
    },
  };
  try {
    // The reads before the first write may fail transiently, too.
    const shouldRetry = (error: Error) => !hasWritten && isTransient(error);
    await retry(async () => send(retryingAws), { ...retryOptions, shouldRetry });
  } catch (error) {
    if (error instanceof UserError || error instanceof AlreadyExistsError) throw error;
    const waitedText = reportedWait ? ` (waited for ${reportedWait})` : '';
    throw new Error(`${formatAwsError(error)}${waitedText}`, {
      cause: error,
    });
  }
}

/**
 * Reads until AWS shows the written document. A read that still shows the previous document is stale, and is retried.
 * An error that is transient for a new resource is retried, too. Any other difference means that a setting was dropped
 * by the endpoint, or changed by another caller.
 */
async function readUntilWritten(
  kind: Kind,
  change: Change,
  options: ApplyOptions,
  reportWaiting: (waitsFor: string) => void,
): Promise<Current> {
  const { resource, current: previous } = change;
  const stateOf = (state: Current) => canonicalJson([kind.normalize(state.spec), retainedIds(state)]);
  const stateBefore = previous && stateOf(previous);
  let current: Current | undefined;
  let reportedWait = '';
  const readBack = async (): Promise<Current> => {
    const observation = await observeResource(resource, options.kinds, options.aws, options.signal);
    if (observation.state === 'unknown') throw new Error(observation.reason, { cause: observation.error });
    current = observation.state === 'present' ? observation.current : undefined;
    if (current && current.attrs.state !== 'Creating' && !writeProblem(change, current, kind)) return current;
    throw new NotVisibleError();
  };
  try {
    const waitReasonOf = (error: Error): string | undefined => {
      if (error.cause instanceof Error) return findTransientError(kind, error.cause)?.waitsFor;
      // With other foreign entries, it is not the previous document.
      const isPrevious =
        current && stateOf(current) === stateBefore && foreignIn(current) === foreignIn(previous);
      const isStale = current === undefined || isPrevious || current.attrs.state === 'Creating';
      return error instanceof NotVisibleError && isStale
        ? `${resource.id} to show the written state`
        : undefined;
    };
    const shouldRetry = (error: Error) => {
      const waitsFor = waitReasonOf(error);
      if (waitsFor !== undefined && waitsFor !== reportedWait) {
        reportedWait = waitsFor;
        reportWaiting(reportedWait);
      }
      return waitsFor !== undefined;
    };
    return await retry(readBack, {
      timeoutMs: options.propagationTimeoutMs,
      maxDelayMs: 3_000,
      signal: options.signal,
      shouldRetry,
    });
  } catch (error) {
    if (!(error instanceof NotVisibleError)) throw error;
    const prefix = `AWS accepted the write, but${reportedWait ? ` after ${options.propagationTimeoutMs / 1000} s` : ''}`;
    if (!current) throw new Error(`${prefix} ${resource.id} still does not exist`);
    if (current.attrs.state === 'Creating')
      throw new Error(`${prefix} ${resource.id} is still being created`);
    if (foreignIn(current) !== foreignIn(previous))
      throw new Error(
        `another caller replaced it after the write, from an older read: ${writeProblem(change, current, kind)}`,
      );
    throw new Error(`${prefix} ${writeProblem(change, current, kind)}`);
  }
}

/** Reads until AWS no longer shows the deleted document. */
async function readUntilDeleted(
  resource: Resource,
  { kinds, aws, propagationTimeoutMs, signal }: ApplyOptions,
  reportWaiting: (waitsFor: string) => void,
): Promise<void> {
  let isReported = false;
  const readBack = async (): Promise<void> => {
    const observation = await observeResource(resource, kinds, aws, signal);
    if (observation.state === 'unknown') throw new Error(observation.reason, { cause: observation.error });
    if (observation.state === 'present') throw new NotVisibleError();
  };
  const shouldRetry = (error: Error) => {
    if (error instanceof NotVisibleError && !isReported) reportWaiting(`${resource.id} to be deleted`);
    isReported ||= error instanceof NotVisibleError;
    return error instanceof NotVisibleError;
  };
  try {
    await retry(readBack, { timeoutMs: propagationTimeoutMs, maxDelayMs: 3_000, signal, shouldRetry });
  } catch (error) {
    if (!(error instanceof NotVisibleError)) throw error;
    throw new Error(
      `AWS accepted the deletion, but after ${propagationTimeoutMs / 1000} s ${resource.id} still exists`,
    );
  }
}

/** Describes how a document that was read back differs from the desired one. */
function writeProblem(change: Change, current: Current, kind: Kind): string | undefined {
  const { patch } = resourceDiff(current, change.desired, kind);
  const paths = [
    ...new Set(patch.map(({ path }) => formatPointer(fieldPathOf(path)))),
    ...symmetricDifference(retainedIds(change), retainedIds(current)),
  ];
  if (paths.length === 0) return kind.check?.({ ...change, current }).blocked;
  return `these settings do not have the written values: ${paths.join(', ')}; either the endpoint drops them, or another caller changes them`;
}

const retainedIds = ({ retained = [] }: Pick<Current, 'retained'>): string[] =>
  retained.map(({ id }) => id).sort();

const symmetricDifference = (a: readonly string[], b: readonly string[]): string[] => [
  ...a.filter((item) => !b.includes(item)),
  ...b.filter((item) => !a.includes(item)),
];

/** Whether the error comes from an interruption by a person, and not from a fault. */
const isInterruption = (error: unknown, signal: AbortSignal | undefined): boolean =>
  signal?.aborted === true &&
  [error, (error as { cause?: unknown } | undefined)?.cause].includes(signal.reason);

class NotVisibleError extends Error {}

function findTransientError(kind: Kind, error: Error): TransientError | undefined {
  return kind.transientErrors?.find(
    ({ code, message }) => code === error.name && (message?.test(error.message) ?? true),
  );
}
