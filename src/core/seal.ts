import { createHash } from 'node:crypto';
import type { BucketReplication, Specs } from '../spec/types.ts';
import { partitionOfRegion } from '../util/arn.ts';
import { canonicalJson, sortKeys, toSortedSet } from '../util/canonical-json.ts';
import { affectedPairs } from './batches.ts';
import { accountsOfPair } from './ids.ts';
import {
  type Blocked,
  type Endpoint,
  PLAN_FORMAT,
  type Plan,
  type PlanContent,
  type PlanTarget,
  type Step,
} from './resource.ts';

/** The parts of a plan beside its content. */
export interface SealInputs {
  /** The target of all writes, also of those that change only retained permissions. */
  target: PlanTarget;
  approved: ApprovedInputs;
}

/** The parts of a plan that a person approves together with the steps. */
export interface ApprovedInputs {
  /** The target of the pairs that the steps concern. */
  target: PlanTarget;
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

/** What a plan was made from. */
export interface SealSources {
  proof: readonly {
    spec?: string;
    bucket: string;
    rule: string;
    verdict: string;
    findings: readonly { code: string }[];
  }[];
  /** Account ids by the names of their Account documents; `''` for the ambient credentials. */
  accounts: Readonly<Record<string, string>>;
  endpoint: Endpoint;
  /** Whether the plan removes orphans. Those of removed specs concern no pair, but every account. */
  isPrune: boolean;
}

/** Returns the parts of a plan beside its content, for the pairs that it concerns. */
export function sealInputsOf(
  content: PlanContent,
  { proof, ...sources }: SealSources,
  specs: Omit<Specs, 'variables'>,
): SealInputs {
  // The checksum of a plan stays the same while retained permissions expire.
  const approvedPairs = affectedPairs({ ...content, housekeeping: [] }, specs.pairs);
  const names = new Set(approvedPairs.map(({ name }) => name));
  return {
    target: targetOf(affectedPairs(content, specs.pairs), sources, specs),
    approved: {
      target: targetOf(approvedPairs, sources, specs),
      guardrails: specs.limits,
      verdicts: proof
        .filter(({ spec = '' }) => names.has(spec))
        .map(({ bucket, rule, verdict, findings }) => ({
          bucket,
          rule,
          verdict,
          codes: findings.map(({ code }) => code),
        })),
    },
  };
}

function targetOf(
  affected: readonly BucketReplication[],
  { accounts, endpoint, isPrune }: Omit<SealSources, 'proof'>,
  specs: Pick<Specs, 'pairs' | 'accounts'>,
): PlanTarget {
  const owners = (isPrune ? specs.pairs : affected).flatMap(accountsOfPair);
  const declaredIds = [
    ...(isPrune ? specs.accounts.map(({ name, id }): [string, string] => [name, id]) : []),
    ...owners.map(({ account = '', accountId }): [string, string | undefined] => [account, accountId]),
  ];
  const ids = declaredIds.flatMap(([name, declaredId]): [string, string][] => {
    const id = accounts[name] ?? declaredId;
    return id === undefined ? [] : [[name, id]];
  });
  return {
    accounts: sortKeys(Object.fromEntries(ids)),
    partitions: toSortedSet(owners.map(({ region }) => partitionOfRegion(region))),
    endpoint,
  };
}

/** Seals a plan: computes its digest, and freezes its lists and the fields of its steps. */
export function seal(content: PlanContent, inputs: SealInputs): Plan {
  const waves = content.waves.map((wave) => wave.map(withoutMarks));
  const { accounts, partitions, endpoint } = inputs.target;
  return Object.freeze({
    format: PLAN_FORMAT,
    waves: Object.freeze(waves.map((wave) => Object.freeze(wave.map(freezeFields)))) as Step[][],
    blocked: freezeItems(content.blocked),
    withheld: freezeItems(content.withheld),
    notes: freezeItems(content.notes),
    handover: freezeItems(content.handover),
    housekeeping: freezeItems(content.housekeeping),
    retained: freezeItems(content.retained),
    ...(content.jobs && { jobs: freezeItems(content.jobs) }),
    unchanged: content.unchanged,
    target: Object.freeze({
      accounts: Object.freeze(accounts),
      partitions: Object.freeze(partitions),
      endpoint,
    }),
    digest: digestOf({ ...content, waves }, inputs.approved),
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
 * SHA-256 over the format, the target, the managed parts of the documents before and after, risks, adoption, guardrails
 * and verdicts of the proof. Two plans of one state have the same digest, so it covers neither positions in the YAML nor
 * request ids, and no retained permission that exists already: an approved plan stays valid while these expire.
 */
export function digestOf({ waves, blocked, handover }: PlanContent, inputs: ApprovedInputs): string {
  const data = {
    format: PLAN_FORMAT,
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
