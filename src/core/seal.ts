import { createHash } from 'node:crypto';
import { canonicalJson } from '../util/canonical-json.ts';
import type { Blocked, Plan, PlanContent, Step } from './resource.ts';

/** The parts of a plan that a person approves together with the steps. */
export interface SealInputs {
  /** Account ids by the names of their Account documents; `''` for the ambient credentials. */
  accounts: Readonly<Record<string, string>>;
  /** Limits that the specs declare. */
  guardrails: object;
  /** Verdicts of the proof, by rule. */
  verdicts: readonly RuleVerdictSummary[];
}

/** The verdict on one rule, without texts that differ between two runs. */
export interface RuleVerdictSummary {
  bucket: string;
  rule: string;
  verdict: string;
  codes: string[];
}

/** Seals a plan: computes its digest, and freezes its lists and the fields of its steps. */
export function seal(content: PlanContent, inputs: SealInputs): Plan {
  const waves = content.waves.map((wave) => wave.map(withoutMarks));
  return Object.freeze({
    format: 2,
    waves: Object.freeze(waves.map((wave) => Object.freeze(wave.map(freezeFields)))) as Step[][],
    blocked: freezeItems(content.blocked),
    withheld: freezeItems(content.withheld),
    notes: freezeItems(content.notes),
    handover: freezeItems(content.handover),
    housekeeping: freezeItems(content.housekeeping),
    retained: freezeItems(content.retained),
    unchanged: content.unchanged,
    accounts: Object.freeze(inputs.accounts),
    digest: digestOf({ ...content, waves }, inputs),
  });
}

const freezeItems = <T extends object>(items: readonly T[]): T[] =>
  Object.freeze(items.map((item) => Object.freeze(item))) as T[];

const withoutMarks = (step: Step): Step => ({
  ...step,
  risks: step.risks.map(({ isInitial: _, ...risk }) => risk),
});

/** Freezes a step and its lists; deeper values are documents, which no code changes. */
function freezeFields(step: Step): Step {
  for (const value of Object.values(step)) Object.freeze(value);
  return Object.freeze(step);
}

/**
 * SHA-256 over the managed parts of the documents before and after, risks, adoption, account ids, guardrails and
 * verdicts of the proof. Two plans of one state have the same digest, so it covers neither positions in the YAML nor
 * request ids, and no retained permission that exists already: an approved plan stays valid while these expire.
 */
function digestOf({ waves, blocked, handover }: PlanContent, inputs: SealInputs): string {
  const data = {
    waves: waves.map((wave) => wave.map(withoutPosition)),
    ...inputs,
    // Batches of pairs determine the order of these lists, and a saved plan has other batches.
    blocked: toSortedTexts(
      blocked.map((item) => ({ ...withoutPosition(item), why: withoutRequestIds(item.why) })),
    ),
    handover: toSortedTexts(handover),
    verdicts: toSortedTexts(inputs.verdicts),
  };
  return createHash('sha256').update(canonicalJson(data)).digest('hex');
}

const withoutPosition = ({ from: _, ...rest }: Step | Blocked) => rest;

const toSortedTexts = (items: readonly object[]): string[] => items.map(canonicalJson).sort();

/** AWS gives each request another id, which error texts contain as `, request 1A2B`. */
export const withoutRequestIds = (text: string): string => text.replace(/, request [\w+/=-]+/g, '');
