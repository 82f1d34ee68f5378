import pLimit from 'p-limit';
import type { AwsClient } from '../aws/client.ts';
import { batchPairs } from '../core/batches.ts';
import { desiredResources, jobResources, mergeDeclarations } from '../core/desired.ts';
import type { DeclaredBuckets } from '../core/guard.ts';
import { planHandover, splitByAccess } from '../core/handover.ts';
import { createRefResolver, joinDrafts, type PlanDraft, planChanges } from '../core/plan.ts';
import { isRef, ref } from '../core/ref.ts';
import type { ActualState, Id, Location, Note, PlanContent, Ref, Resource } from '../core/resource.ts';
import { proveWithGrants } from '../facts/collect.ts';
import { readJobFacts } from '../facts/job-facts.ts';
import { locationsOf } from '../facts/locations.ts';
import { type OrganizationReader, organizationReaderOf } from '../facts/organization.ts';
import { addTransitionFacts, readLiveProofInputs, readProofInputs } from '../facts/proof-inputs.ts';
import { guardJobs } from '../proof/job-guard.ts';
import {
  factsBeforePlan,
  proveDesiredRules,
  proveProjectedRules,
  transitionInputs,
} from '../proof/plan-proof.ts';
import { createArnResolver } from '../proof/project.ts';
import { proveTransitions, rulesStoppedByExpiry } from '../proof/transition-proof.ts';
import { guardTransitions } from '../proof/transition-risks.ts';
import type { RuleProofSummary } from '../proof/types.ts';
import type { Specs } from '../spec/types.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { alarmTopicNotes } from './alarm-topics.ts';
import {
  type BlockedPairs,
  declaredBucketsOf,
  findBlockedPairs,
  joinBlockedPairs,
  NO_BLOCKED_PAIRS,
  withHeldPrune,
} from './blocked-pairs.ts';
import { addForeignStatements } from './foreign-statements.ts';
import { addFormerRoles, declaredRoles, type RoleOwners, recordFormerRoles } from './former-roles.ts';
import { addInlineSizes } from './inline-policies.ts';
import { addKeyCensuses } from './key-census.ts';
import { addPoliciesToNarrow } from './narrow.ts';
import { observe } from './observe.ts';
import type { PassOptions } from './pass.ts';
import { type PrunePlan, planPrune, withDrain } from './prune.ts';
import { createSwitchCheck, type SwitchCheck } from './switch-check.ts';
import { addTargetKeys } from './target-keys.ts';

/** A draft plan with everything that sealing, guarding and applying it needs. */
export interface Draft {
  content: PlanContent;
  /** The proof of every declared rule, in the state after the plan. */
  proof: RuleProofSummary[];
  prune: PrunePlan;
  /** The actual state of the resources in batches with changes. */
  actual: ActualState;
  transition: Transition;
  /** Account ids by the names of their Account documents. */
  accounts: Record<string, string>;
  buckets: DeclaredBuckets;
}

/** Pairs that are read and compared at a time. The calls of a smaller batch do not use all connections. */
const BATCH_SIZE = 50;

/** Concurrent batches: one is compared while the next is read. */
const MAX_CONCURRENT_BATCHES = 3;

/**
 * Observes, plans and proves all pairs. Pairs without shared resources go in separate batches, so that memory does not
 * grow with the number of pairs. With prune, all pairs are one batch.
 */
export async function draftPlan(specs: Specs, aws: AwsClient, options: PassOptions): Promise<Draft> {
  const limit = pLimit(MAX_CONCURRENT_BATCHES);
  const batches = options.prune ? [specs.pairs] : batchPairs(specs.pairs, BATCH_SIZE);
  const owners = declaredRoles(batches);
  const organization = organizationReaderOf(aws, specs, options.organizationAccount);
  const parts = await Promise.all(
    batches.map((pairs) =>
      limit(() => draftBatch({ ...specs, pairs }, aws.withCache(), { ...options, organization }, owners)),
    ),
  );
  return {
    content: joinDrafts(parts.map(({ draft }) => draft)),
    proof: parts.flatMap(({ proof }) => proof),
    accounts: Object.fromEntries(parts.flatMap(({ accountIds }) => [...accountIds])),
    buckets: {
      count: parts.reduce((sum, { buckets }) => sum + buckets.count, 0),
      denied: parts.flatMap(({ buckets }) => buckets.denied),
    },
    ...joinChanges(parts),
  };
}

/** Options of a batch. The batches of a pass share the reader of the organization. */
type BatchOptions = PassOptions & { organization?: OrganizationReader | undefined };

/** How an apply changes live rules. */
export interface Transition {
  /** Steps that come after the rules that they would otherwise stop. */
  deferred: ReadonlySet<Id>;
  /** Absent when nothing changes. */
  checkSwitch?: SwitchCheck;
}

/** What an apply of a batch needs. */
interface Changes extends Pick<Draft, 'prune' | 'actual'> {
  transition: Transition & { checkSwitch: SwitchCheck };
}

interface BatchDraft {
  draft: PlanDraft;
  proof: RuleProofSummary[];
  accountIds: ReadonlyMap<string, string>;
  buckets: DeclaredBuckets;
  frozen: BlockedPairs;
  /** Absent when nothing changes: only an apply needs it. */
  changes?: Changes;
}

/**
 * Observes, plans and proves one batch. Pairs that turn out to be blocked are left out, and the rest is planned again as
 * a run without them: their entries in shared documents stay as they are. While anything is blocked, prune removes
 * nothing: what cannot be read may still need the orphans, or the credentials may belong to another account.
 *
 * @param aws with a cache: identical reads are sent once.
 */
async function draftBatch(
  batch: Specs,
  aws: AwsClient,
  options: BatchOptions,
  owners: RoleOwners,
): Promise<BatchDraft> {
  const { kinds, onProof } = options;
  let isPruning = options.prune ?? false;
  let heldPrune: PlanDraft | undefined;
  let buckets: DeclaredBuckets | undefined;
  // Also those of blocked pairs.
  const accountIds = new Map<string, string>();
  let frozen = NO_BLOCKED_PAIRS;
  for (let round = 0; ; ) {
    const pairs = batch.pairs.filter(({ name }) => !frozen.names.has(name));
    const specs = { ...batch, pairs };
    const part = await draftPairs(specs, batch, aws, { ...options, prune: isPruning }, owners);
    const { planned, proofs, prune, resources, actual, inputs, facts, nowMs } = part;
    const { allowUnproven } = options;
    buckets ??= declaredBucketsOf(part, kinds);
    for (const [name, id] of inputs.accountIds) accountIds.set(name, id);
    const newlyBlocked = findBlockedPairs({ ...part, pairs, kinds, round, allowUnproven });
    if (isPruning && planned.blocked.length + newlyBlocked.names.size > 0) {
      isPruning = false;
      heldPrune = {
        ...planned,
        blocked: [...planned.blocked, ...newlyBlocked.blocked],
        notes: [...prune.notes],
      };
      continue;
    }
    frozen = joinBlockedPairs(frozen, newlyBlocked);
    if (newlyBlocked.names.size > 0) {
      round++;
      continue;
    }

    options.propagation?.recordPlan(resources, actual, planned);
    const transition = (plan: PlanDraft) =>
      transitionInputs({ specs, resources, actual, kinds, plan, facts, proofs });
    const { draft: guarded, deferred } = hasChangesOf(planned)
      ? guardTransitions(planned, kinds, (plan) => proveTransitions(transition(plan)))
      : { draft: planned, deferred: new Set<Id>() };
    const kept = withoutBreakingExpiries(guarded, () => rulesStoppedByExpiry(transition(guarded), nowMs));
    frozen = heldPrune ? withHeldPrune(frozen, kept, heldPrune) : frozen;
    const jobFacts = await readJobFacts(aws, {
      plan: kept,
      specs,
      kinds,
      nowMs,
      roleArnOf: part.jobRoleArnOf,
    });
    const jobs = guardJobs(
      kept,
      kinds,
      options.allowedRisks,
      () => proveProjectedRules(specs, resources, actual, kinds, facts),
      (id) => jobFacts.get(id),
    );
    const draft = {
      ...jobs,
      blocked: [...jobs.blocked, ...frozen.blocked],
      withheld: frozen.withheld,
      notes: [...jobs.notes, ...(heldPrune?.notes ?? [])],
    };
    const proof = [...proofs, ...frozen.proofs].map((ruleProof): RuleProofSummary => {
      onProof?.(ruleProof, () => factsBeforePlan(resources, actual, kinds, facts));
      const { answers, ...summary } = ruleProof;
      return { ...summary, requests: answers.length };
    });
    return {
      draft,
      proof,
      frozen,
      buckets,
      accountIds,
      ...(hasChangesOf(draft) && {
        changes: {
          prune: {
            ...prune,
            withOrphanRules: isPruning
              ? recordFormerRoles(
                  addTargetKeys(addForeignStatements(prune.withOrphanRules, actual, pairs), actual),
                  resources,
                )
              : resources,
            withAllOrphans: resources,
          },
          actual,
          transition: {
            deferred,
            checkSwitch: createSwitchCheck({ specs, resources, kinds, facts }),
          },
        },
      }),
    };
  }
}

/**
 * Observes, plans and proves some pairs of a batch.
 *
 * @param batch with all pairs: no permission of them is an orphan
 */
async function draftPairs(
  specs: Specs,
  batch: Specs,
  aws: AwsClient,
  options: BatchOptions,
  owners: RoleOwners,
) {
  const { kinds, signal, drainMs, jobsOnly, organization } = options;
  const declared = desiredResources(specs.pairs, [...kinds.values()]);
  const desired = jobsOnly ? jobResources(declared, specs.pairs, kinds) : declared;
  const { managed, unmanaged } = splitByAccess(desired, specs.pairs);
  const prune = options.prune
    ? await planPrune(managed, batch, omitUndefined({ kinds, aws, signal, drainMs }))
    : withoutOrphans(withDrain(managed, drainMs));
  const [observed, inputs] = await Promise.all([
    observe(prune.withAllOrphans, kinds, aws, signal),
    jobsOnly ? readLiveProofInputs(specs, aws, organization) : readProofInputs(specs, aws, organization),
  ]);
  const nowMs = aws.now();
  const withForeign = addTargetKeys(
    addForeignStatements(prune.withAllOrphans, observed, specs.pairs),
    observed,
  );
  const formerOptions = omitUndefined({ kinds, aws, signal, owners, batch: batch.pairs, nowMs });
  const former = await addFormerRoles(withForeign, observed, formerOptions);
  const narrowing = await addPoliciesToNarrow(former.resources, former.actual, batch, { kinds, aws }, nowMs);
  const accountIdOf = ({ account = '' }: Location) => inputs.accountIds.get(account) ?? '';
  const withSizes = addInlineSizes(narrowing.resources, inputs.facts, ({ location }) =>
    accountIdOf(location),
  );
  // Narrowing also replaces resources, which are then read by another spec.
  const observedResources = new Set(former.resources);
  const added = narrowing.resources.filter((resource) => !observedResources.has(resource));
  const actual =
    added.length === 0
      ? former.actual
      : new Map([...former.actual, ...(await observe(added, kinds, aws, signal))]);
  const resources = await addKeyCensuses(withSizes, actual, specs.pairs, { kinds, aws });
  const handover = planHandover(unmanaged, specs.pairs, kinds, createRefResolver(actual));
  const context = {
    blocked: prune.blocked,
    notes: [...prune.notes, ...former.notes, ...narrowing.notes],
    nowMs,
  };
  const withoutTopics = planChanges(resources, actual, kinds, handover, context);
  const locations = locationsOf(specs, specs.pairs[0]?.source.region ?? 'us-east-1');
  const topicNotes = await alarmTopicNotes(aws, {
    planned: withoutTopics,
    resources,
    kinds,
    locations,
    accountIdOf,
  });
  const planned = { ...withoutTopics, notes: [...withoutTopics.notes, ...topicNotes] };
  const beforeGrants = await addTransitionFacts(
    inputs,
    { specs, resources, actual, kinds, plan: planned },
    aws,
    organization,
  );
  const { result: proofs, facts: factsWithGrants } = await proveWithGrants(
    aws,
    beforeGrants.facts,
    locations,
    (known) => {
      const result = proveDesiredRules(specs, managed, actual, kinds, { ...beforeGrants, facts: known });
      return { result, proofs: result };
    },
  );
  const facts = { ...beforeGrants, facts: factsWithGrants };
  const resolveArn = (reference: Ref) => createArnResolver(resources, actual, kinds, accountIdOf)(reference);
  const arnOf = (resource: Resource) => resolveArn(ref(resource.id));
  const jobRoleArnOf = (id: Id) => {
    const job = resources.find((resource) => resource.id === id);
    const { roleArn = '' } = (job?.context ?? {}) as { roleArn?: string | Ref };
    return isRef(roleArn) ? resolveArn(roleArn) : roleArn;
  };
  return {
    planned,
    proofs,
    prune,
    resources,
    actual,
    inputs,
    facts,
    nowMs,
    arnOf,
    jobRoleArnOf,
    blockedOrphans: prune.blocked,
  };
}

const hasChangesOf = ({ waves, housekeeping }: PlanDraft): boolean =>
  housekeeping.length > 0 || waves.some((wave) => wave.length > 0);

/**
 * Keeps expired permissions without which a rule would not replicate any more: a foreign rule that uses them, or a rule
 * whose permissions another caller changed.
 */
function withoutBreakingExpiries(draft: PlanDraft, rulesStopped: () => string[]): PlanDraft {
  if (draft.housekeeping.every(({ action }) => action !== 'expire')) return draft;
  const stopped = rulesStopped();
  if (stopped.length === 0) return draft;
  const rules = stopped.join(', ');
  const kept = draft.housekeeping.filter(({ action }) => action === 'expire');
  return {
    ...draft,
    housekeeping: draft.housekeeping.filter(({ action }) => action !== 'expire'),
    notes: [
      ...draft.notes,
      ...kept.map(
        ({ id, pairs }): Note => ({
          id,
          message: `keeps expired permissions: without them the rules ${rules} would not replicate`,
          pairs,
        }),
      ),
    ],
  };
}

function joinChanges(parts: readonly BatchDraft[]): Pick<Draft, 'prune' | 'actual' | 'transition'> {
  const changes = parts.flatMap((part) => part.changes ?? []);
  const [only] = changes;
  const frozen = {
    blocked: parts.flatMap((part) => part.frozen.blocked),
    withheld: parts.flatMap((part) => part.frozen.withheld),
  };
  const withFrozen = (prune: PrunePlan): PrunePlan => ({
    ...prune,
    blocked: [...prune.blocked, ...frozen.blocked],
    withheld: frozen.withheld,
  });
  if (only && changes.length === 1) return { ...only, prune: withFrozen(only.prune) };
  const resources = changes.flatMap(({ prune }) => prune.withAllOrphans);
  return {
    // A resource that several batches declare is the same in each.
    prune: withFrozen(withoutOrphans(mergeById(resources))),
    actual: new Map(changes.flatMap(({ actual }) => [...actual])),
    transition: {
      deferred: new Set(changes.flatMap(({ transition }) => [...transition.deferred])),
      async checkSwitch(change, ...state) {
        // A bucket is in one batch.
        const batch = changes.find(({ actual }) => actual.has(change.resource.id));
        await batch?.transition.checkSwitch(change, ...state);
      },
    },
  };
}

function mergeById(resources: readonly Resource[]): Resource[] {
  const byId = new Map<Id, Resource>();
  for (const resource of resources) {
    const existing = byId.get(resource.id);
    byId.set(resource.id, existing ? mergeDeclarations(existing, resource) : resource);
  }
  return [...byId.values()];
}

const withoutOrphans = (managed: Resource[]): PrunePlan => ({
  withOrphanRules: managed,
  withAllOrphans: managed,
  blocked: [],
  notes: [],
});
