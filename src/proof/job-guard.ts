import { startsJob } from '../core/batch-job.ts';
import type { Kind } from '../core/kind.ts';
import type { PlanDraft } from '../core/plan.ts';
import {
  allowanceOf,
  type Blocked,
  type Id,
  type JobStatus,
  type Note,
  type Plan,
  type Risk,
  type Step,
} from '../core/resource.ts';
import { canonicalJson } from '../util/canonical-json.ts';
import { type JobFacts, lifecycleNotes, reportProblem, sizeText } from './job-notes.ts';
import type { RuleProof } from './types.ts';

/** The risks without whose allowance a plan omits a job. */
export const JOB_RISKS: readonly Risk['id'][] = [
  'start-backfill',
  'start-reencryption',
  'backfill-foreign-rules',
];

/**
 * Decides which steps of jobs a plan keeps. Pure.
 *
 * A job runs all enabled rules of its bucket, also foreign ones, and fails when more than half of its tasks do. So none is
 * created or started before every rule is proven, also with `--allow-unproven`. A step with a risk that is not allowed is left
 * out, and the plan says what it waits for: the other steps do not depend on it.
 *
 * @param proveRules proves all rules of the buckets of a plan, after the plan
 * @param factsOf returns what was read about a job, by the id of its resource
 */
export function guardJobs(
  draft: PlanDraft,
  kinds: ReadonlyMap<string, Kind>,
  allowedRisks: readonly string[],
  proveRules: () => readonly RuleProof[],
  factsOf: (id: Id) => JobFacts | undefined,
): PlanDraft {
  const blocked: Blocked[] = [];
  const notes: Note[] = [];
  const waiting: Id[] = [];
  /** What a person must do, by the id of the job. */
  const verdicts = new Map<Id, Pick<JobStatus, 'state' | 'reason' | 'approval'>>();
  // Most plans have no such step, and others have many.
  let proofs: readonly RuleProof[] | undefined;
  const enabledRulesOf = (bucketName: string): RuleProof[] => {
    proofs ??= proveRules();
    return proofs.filter(({ bucket, verdict }) => bucket === bucketName && verdict !== 'off');
  };
  const keep = (step: Step): Step[] => {
    if (!isJobStep(step, kinds) || !startsJob(step)) return [step];
    const runsRules = kinds.get(step.kind)?.scope.runsRules ?? true;
    const rules = runsRules ? enabledRulesOf(bucketOf(step)) : [];
    const facts = factsOf(step.id) ?? { lifecycles: [] };
    const why = (runsRules ? unprovenReason(rules) : undefined) ?? reportProblem(facts);
    const risks = [...step.risks, ...foreignRisks(step, rules)];
    const open = risks.filter(
      (risk) => !allowedRisks.includes(risk.id) && !allowedRisks.includes(allowanceOf(risk)),
    );
    const foreign = open.filter(({ id }) => id === 'backfill-foreign-rules');
    const { id, pairs, from } = step;
    if (why !== undefined) {
      blocked.push({ id, why, pairs, from });
      verdicts.set(id, { state: 'blocked', reason: why });
      return [];
    }
    const size = sizeText(facts);
    if (open.length > 0)
      verdicts.set(id, {
        state: 'awaitingApproval',
        reason: openText(open, size),
        approval: approvalOf(open),
      });
    if (foreign.length > 0) {
      blocked.push({ id, why: openText(foreign), pairs, from });
      return [];
    }
    notes.push(...lifecycleNotes(facts).map((message) => ({ id, message, pairs })));
    if (open.length > 0) {
      waiting.push(id);
      notes.push({ id, message: `waits for an approval: it ${openText(open, size)}`, pairs });
      return [];
    }
    // The size changes every day, so it is no part of a risk, which the digest of the plan covers.
    if (size !== undefined) notes.push({ id, message: `the job replicates ${size}`, pairs });
    return [{ ...step, risks }];
  };
  const waves = draft.waves.map((wave) => wave.flatMap(keep));
  if (blocked.length + notes.length === 0) return { ...draft, waves };
  return {
    ...draft,
    waves,
    jobs: draft.jobs.map((job) => ({ ...job, ...verdicts.get(job.id) })),
    blocked: [...draft.blocked, ...blocked],
    notes: [...draft.notes, ...notes],
    unchangedIds: [...draft.unchangedIds, ...waiting],
  };
}

/** Returns a draft without the steps of jobs. */
export const withoutJobs = (draft: PlanDraft, kinds: ReadonlyMap<string, Kind>): PlanDraft => ({
  ...draft,
  waves: draft.waves.map((wave) => wave.filter((step) => !isJobStep(step, kinds))),
});

/**
 * Returns a draft without the steps of jobs that a plan does not have, because a person has approved that plan. A job that the
 * plan creates may wait for its approval in the next stage: that step has the same id, and is another one.
 */
export function withoutUnplannedJobs(
  draft: PlanDraft,
  plan: Pick<Plan, 'waves'>,
  kinds: ReadonlyMap<string, Kind>,
): PlanDraft {
  const contentOf = ({ id, action, patch }: Step) => canonicalJson({ id, action, patch });
  const planned = new Set(plan.waves.flat().map(contentOf));
  return {
    ...draft,
    waves: draft.waves.map((wave) =>
      wave.filter((step) => !isJobStep(step, kinds) || planned.has(contentOf(step))),
    ),
  };
}

const isJobStep = ({ kind }: Step, kinds: ReadonlyMap<string, Kind>): boolean =>
  kinds.get(kind)?.scope.stage === 'jobs';

const bucketOf = ({ desired }: Step): string => (desired as { bucket: string }).bucket;

/** Returns why a job of a bucket may not run. */
function unprovenReason(rules: readonly RuleProof[]): string | undefined {
  if (rules.length === 0)
    return 'the bucket has no enabled rule, so a job would replicate nothing; enable a rule';
  const unproven = rules.find(({ verdict }) => verdict !== 'proven');
  if (!unproven) return undefined;
  const { rule, spec, findings, verdict } = unproven;
  const [finding] = findings;
  // A bucket without rules has one proof.
  if (rule === '') return `a job would replicate nothing: ${finding?.message ?? 'the bucket has no rules'}`;
  const cause = finding ? `${finding.code} ${finding.message}` : `its proof is ${verdict}`;
  return `a job runs all enabled rules of the bucket, and the ${spec === undefined ? 'foreign ' : ''}rule "${rule}" is not proven: ${cause}; fix it, or disable the rule`;
}

function foreignRisks(step: Step, rules: readonly RuleProof[]): Risk[] {
  const foreign = rules.filter(({ spec }) => spec === undefined).map(({ rule }) => `"${rule}"`);
  if (foreign.length === 0) return [];
  const message = `runs the foreign rules ${foreign.join(', ')} of ${bucketOf(step)} too`;
  return [{ id: 'backfill-foreign-rules', message }];
}

const openText = (risks: readonly Risk[], size?: string): string =>
  `${risks.map(({ message }) => message).join('; it ')}${size === undefined ? '' : `, ${size}`}; approve with ${approvalOf(risks)}`;

/** Returns the options that allow some risks. */
const approvalOf = (risks: readonly Risk[]): string =>
  [...new Set(risks.map((risk) => `--allow ${allowanceOf(risk)}`))].join(' ');
