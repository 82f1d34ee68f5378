import { sameJson } from '../canonical.ts';
import { known, type Observed, unreadOf } from '../core/observed.ts';
import type { Decision } from '../iam/types.ts';
import { casesOf, isKms, type SeenObject } from './cases.ts';
import { decide, type UncertainRequest } from './decide.ts';
import { finding, judged } from './findings.ts';
import { mend, mended } from './mend.ts';
import { policiesFor } from './policies.ts';
import { type Ask, assuming, lookingAround, reading, writing } from './requests.ts';
import { ruleFindings } from './rules.ts';
import {
  destinationStates,
  ownership,
  replicaKeyState,
  selection,
  sourceKeyState,
  sourceStates,
} from './states.ts';
import type { Answer, Finding, Fix, ObjectCase, PolicyPlace, RuleProof } from './types.ts';
import { bucketOf, type RuleWorld, replicaKeyArn, worldOf } from './world.ts';

/**
 * Prove the rules of a bucket: every request that S3 makes as the role, for every kind of object that a rule covers,
 * evaluated against all policies that have a say, and the state of everything that it touches. Pure.
 *
 * Findings come in the order in which S3 would meet them, errors first: the first is the reason why an object fails.
 */
export function prove(observed: Observed, bucket: string, seen: readonly SeenObject[] = []): RuleProof[] {
  const fact = observed.buckets[bucket];
  const source = bucketOf(observed, bucket, '');
  if (!source) {
    const unread = unreadOf(fact);
    const what =
      unread === undefined
        ? finding('RK1101', `the bucket ${bucket} does not exist`)
        : finding('RK1901', `the bucket ${bucket} cannot be read: ${unread}`);
    return [withoutRule(bucket, what)];
  }
  const configuration = known(source.replication);
  if (!configuration) {
    const unread = unreadOf(source.replication);
    const what =
      unread === undefined
        ? finding('RK1001', `${bucket} replicates nothing`)
        : finding('RK1901', `the replication configuration of ${bucket} cannot be read: ${unread}`);
    return [withoutRule(bucket, what)];
  }
  const account = source.account === '' ? (configuration.Role.split(':')[4] ?? '') : source.account;
  return configuration.Rules.map((rule) =>
    proveRule(worldOf(observed, { ...source, account }, configuration, rule), (world) =>
      casesOf(world, seen),
    ),
  );
}

/** Prove one rule for some kinds of objects. */
export function proveRule(world: RuleWorld, cases: (world: RuleWorld) => ObjectCase[]): RuleProof {
  const { rule, source, destinationName } = world;
  const about = { bucket: source.name, rule: rule.ID ?? '', destination: destinationName };
  if (rule.Status !== 'Enabled') {
    return { ...about, verdict: 'off', findings: [finding('RK1002', 'the rule is off')], answers: [] };
  }
  const kinds = cases(world);
  const near = narrowed(world, kinds);
  const { findings, answers } = settle(near, steps(near, kinds));
  return { ...about, ...judged([...findings, ...ruleFindings(world)]), answers };
}

/** The same world with nothing in it that the rule does not touch, so that to mend it costs the same among thousands. */
function narrowed(world: RuleWorld, cases: readonly ObjectCase[]): RuleWorld {
  const { observed, role, source, destinationName } = world;
  const keys = cases.flatMap((one) =>
    one.what === 'object' && one.encryption.algorithm !== 'AES256' ? [one.encryption.keyArn] : [],
  );
  const only = <T>(all: Record<string, T>, names: readonly string[]): Record<string, T> =>
    Object.fromEntries(names.flatMap((name) => (name in all ? [[name, all[name] as T]] : [])));
  return {
    ...world,
    observed: {
      buckets: only(observed.buckets, [source.name, destinationName]),
      roles: only(observed.roles, [role]),
      keys: only(observed.keys, [...keys, replicaKeyArn(world) ?? '']),
    },
  };
}

const withoutRule = (bucket: string, one: Finding): RuleProof => ({
  bucket,
  rule: '',
  destination: '',
  ...judged([one]),
  answers: [],
});

/** What S3 meets, in its order: states of things, and requests to be decided. */
function* steps(world: RuleWorld, cases: readonly ObjectCase[]): Generator<Finding | Ask> {
  const { observed, role } = world;
  const facts = observed.roles[role];
  if (facts === null) {
    yield finding('RK1302', `the role ${role} does not exist`);
    return;
  }
  yield assuming(world);
  yield* sourceStates(world);
  yield* destinationStates(world);
  yield* selection(world);
  yield* lookingAround(world);
  const replica = replicaKeyState(world);
  const encrypted = cases.some((one) => one.what === 'object' && isKms(one.encryption.algorithm));
  for (const one of cases) {
    yield* reading(world, one);
    if (one.what === 'object' && one.encryption.algorithm !== 'AES256')
      yield* sourceKeyState(world, one.encryption.keyArn);
  }
  if (encrypted) yield* replica.missing;
  for (const one of cases) yield* writing(world, one, replica);
  yield* ownership(world);
}

/**
 * Decide every request. Each denial is mended in a copy of the world, so that the fix is tried as it is printed, and
 * what comes after is asked where the fix is in place: no cause is told twice.
 */
function settle(world: RuleWorld, all: Iterable<Finding | Ask>): { findings: Finding[]; answers: Answer[] } {
  const findings: Finding[] = [];
  const answers: Answer[] = [];
  const asked = new Map<string, UncertainRequest[]>();
  const told = new Set<string>();
  let { observed } = world;
  for (const step of all) {
    if (!('request' in step && 'purpose' in step)) {
      if (!told.has(step.message)) findings.push(step);
      told.add(step.message);
      continue;
    }
    const ask = chosen(observed, world.role, step);
    const what = `${ask.request.action} ${ask.request.resource}`;
    const alike = asked.get(what) ?? [];
    if (alike.some((one) => sameJson(one, ask.request))) continue;
    asked.set(what, [...alike, ask.request]);
    const outcome = settleOne({ ...world, observed }, ask);
    // What was asked of a mended world is shown as it is without.
    answers.push(observed === world.observed ? outcome.answer : settleOne(world, ask).answer);
    observed = outcome.observed;
    if (!outcome.finding || told.has(outcome.finding.message)) continue;
    told.add(outcome.finding.message);
    findings.push(outcome.finding);
  }
  return { findings, answers };
}

const MOST_FIXES = 8;

interface Outcome {
  /** As the world is. */
  answer: Answer;
  finding?: Finding;
  /** The world in which it is allowed. */
  observed: Observed;
}

/** Decide one request, and mend until it is allowed. */
function settleOne(world: RuleWorld, ask: Ask): Outcome {
  const { purpose, request } = ask;
  const of = { purpose, action: request.action, resource: request.resource };
  const fixes: Fix[] = [];
  let { observed } = world;
  let denial: string | undefined;
  let permission = '';
  while (fixes.length <= MOST_FIXES) {
    const verdict = decided(observed, world.role, ask);
    if ('unknown' in verdict) {
      const message = `whether S3 may ${purpose} ${verdict.unknown}`;
      const answer: Answer = { ...of, result: 'unknown', reason: verdict.unknown };
      return { observed, answer, finding: about(finding(verdict.code, message), ask) };
    }
    if (verdict.decision.allowed) {
      permission = verdict.decision.reason;
      break;
    }
    denial ??= verdict.decision.reason;
    const fix = mend({ ...world, observed }, ask, verdict.decision, verdict.places);
    if (!fix) break;
    fixes.push(fix);
    observed = mended(observed, fix);
  }
  if (denial === undefined) return { observed, answer: { ...of, result: 'allowed', reason: permission } };
  const answer: Answer = { ...of, result: 'denied', reason: denial };
  const denied = about(finding(ask.code, `S3 may not ${purpose}: ${denial}`, fixes), ask);
  // What only a request's own header makes so is no reason to refuse a whole rule.
  const severity = ask.usual ? denied.severity : 'warning';
  return { observed, answer, finding: { ...denied, severity } };
}

type Decided =
  | { decision: Decision; places: Map<string, PolicyPlace> }
  | { unknown: string; code: 'RK1901' | 'RK1902' };

/** The request as it is, or another that does as well, where that one alone is allowed. */
function chosen(observed: Observed, role: string, ask: Ask): Ask {
  const isAllowed = (one: Ask): boolean => {
    const verdict = decided(observed, role, one);
    return 'decision' in verdict && verdict.decision.allowed;
  };
  if (ask.orElse === undefined || isAllowed(ask)) return ask;
  const other = { ...ask, request: { ...ask.request, action: ask.orElse } };
  return isAllowed(other) ? other : ask;
}

function decided(observed: Observed, role: string, ask: Ask): Decided {
  const found = policiesFor(observed, role, ask);
  if ('unread' in found) return { unknown: `is not known: ${found.unread}`, code: 'RK1901' };
  const verdict = decide(ask.request, found.policies);
  if (!('undecided' in verdict)) return { decision: verdict, places: found.places };
  const keys = verdict.undecided.join(', ');
  return { unknown: `depends on ${keys}, which cannot be known before`, code: 'RK1902' };
}

const about = (one: Finding, { request }: Ask): Finding => ({
  ...one,
  request: { action: request.action, resource: request.resource, context: request.context ?? {} },
});
