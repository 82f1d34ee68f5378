import type { Kind } from '../core/kind.ts';
import type { PlanDraft } from '../core/plan.ts';
import type { Id, Note, Risk, Step } from '../core/resource.ts';
import type { StoppedRule, TransitionProof } from './transition-proof.ts';

/** A plan whose steps are in a safe order, with the risks that no order avoids. */
export interface GuardedDraft {
  draft: PlanDraft;
  /** Steps that come after the rules that they would otherwise stop. */
  deferred: ReadonlySet<Id>;
}

/**
 * Orders the steps of a plan by the proof, and adds a risk for each rule that the plan stops in any order. Pure.
 *
 * Permissions are widened before the rules change. A default encryption, a trust policy or a boundary has one value at
 * a time: if it stops a rule before the rules change, it comes after them, where the proof allows this.
 */
export function guardTransitions(
  planned: PlanDraft,
  kinds: ReadonlyMap<string, Kind>,
  prove: (draft: PlanDraft) => TransitionProof,
): GuardedDraft {
  let draft = planned;
  let proof = prove(draft);
  const deferred = new Set<Id>();
  const inFlight: StoppedRule[] = [];
  const rejected = new Set<Id>();
  for (;;) {
    const stopped = proof.stopped.find(
      ({ when, step }) =>
        when === 'during' && step !== undefined && !deferred.has(step) && !rejected.has(step),
    );
    if (!stopped?.step) break;
    const reordered = deferStep(draft, stopped.step, kinds);
    const reproof = reordered && prove(reordered);
    if (reordered && reproof && reproof.stopped.length < proof.stopped.length) {
      deferred.add(stopped.step);
      if (stopped.losesInFlight) inFlight.push(stopped);
      [draft, proof] = [reordered, reproof];
    } else rejected.add(stopped.step);
  }
  const risks = new Map<Id, Risk[]>();
  const add = (id: Id | undefined, risk: Risk) => id && risks.set(id, [...(risks.get(id) ?? []), risk]);
  for (const stopped of proof.stopped) add(stopped.step ?? lastStepOf(draft), riskOf(stopped));
  for (const { step, rule, bucket } of inFlight)
    add(step, {
      id: 'lose-in-flight',
      message: `objects in flight under the rule "${rule}" of ${bucket} fail when this step is done`,
    });
  return {
    draft: { ...withRisks(draft, risks), notes: [...draft.notes, ...undecidedNotes(proof, kinds)] },
    deferred,
  };
}

const lastStepOf = ({ waves }: PlanDraft): Id | undefined => waves.flat().at(-1)?.id;

const withRisks = (draft: PlanDraft, risks: ReadonlyMap<Id, Risk[]>): PlanDraft =>
  risks.size === 0
    ? draft
    : {
        ...draft,
        waves: draft.waves.map((wave) =>
          wave.map((step) => ({ ...step, risks: [...step.risks, ...(risks.get(step.id) ?? [])] })),
        ),
      };

const PERIODS = {
  during: 'until later steps are done',
  after: 'from then on',
  expired: 'when the replaced permissions expire',
};

function riskOf({ bucket, rule, isForeign, when, objects, finding }: StoppedRule): Risk {
  const cause = `${finding.code} ${finding.message}`;
  const message = `stops the ${isForeign ? 'foreign ' : ''}rule "${rule}" of ${bucket} for ${objects}, ${PERIODS[when]}: ${cause}`;
  return isForeign
    ? { id: 'stop-foreign-rules', message, subject: `${bucket}/${rule}` }
    : { id: 'lose-in-flight', message };
}

/** Returns one note for the foreign rules of a bucket that replikey can prove neither before nor after the plan. */
function undecidedNotes({ undecided }: TransitionProof, kinds: ReadonlyMap<string, Kind>): Note[] {
  const kind = [...kinds.values()].find(({ scope }) => scope.stage === 'rules');
  if (!kind) return [];
  const byBucket = new Map<string, TransitionProof['undecided']>();
  for (const item of undecided) byBucket.set(item.bucket, [...(byBucket.get(item.bucket) ?? []), item]);
  return [...byBucket].map(([bucket, items]) => ({
    id: `${kind.name}/${bucket}`,
    message: `cannot prove the foreign rules ${items.map(({ rule }) => `"${rule}"`).join(', ')}, before the plan or after: ${items[0]?.finding.message}`,
    pairs: [],
  }));
}

/**
 * Moves an update behind the changes of the rules that need it. Undefined when there are none, or when it creates what
 * they use.
 */
export function deferStep(draft: PlanDraft, id: Id, kinds: ReadonlyMap<string, Kind>): PlanDraft | undefined {
  const steps = draft.waves.flat();
  const step = steps.find((candidate) => candidate.id === id);
  const isOfRules = ({ kind }: Step) => kinds.get(kind)?.scope.stage === 'rules';
  const rules = steps.filter((candidate) => isOfRules(candidate) && candidate.needs.includes(id));
  if (step?.action !== 'update' || isOfRules(step) || rules.length === 0) return undefined;
  const needs = [...step.needs, ...rules.flatMap((rule) => [...rule.needs, rule.id])];
  const moved: Step = { ...step, needs: [...new Set(needs)].filter((need) => need !== id) };
  const waves = draft.waves.map((wave) =>
    wave
      .filter((candidate) => candidate.id !== id)
      .map((candidate) => ({ ...candidate, needs: candidate.needs.filter((need) => need !== id) })),
  );
  return { ...draft, waves: [...waves, [moved]] };
}

/** Moves updates behind the changes of the rules that need them, where the plan has any. */
export const deferSteps = (
  draft: PlanDraft,
  kinds: ReadonlyMap<string, Kind>,
  ids: Iterable<Id> = [],
): PlanDraft => [...ids].reduce((result, id) => deferStep(result, id, kinds) ?? result, draft);
