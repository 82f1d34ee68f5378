import { known, type Observed, unreadOf } from '../core/observed.ts';
import { casesOf, isKms, type SeenObject } from './cases.ts';
import { decide } from './decide.ts';
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
import type { Answer, Finding, Fix, ObjectCase, RuleProof } from './types.ts';
import { bucketOf, type RuleWorld, worldOf } from './world.ts';

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
  const { findings, answers } = settle(world, steps(world, cases(world)));
  return { ...about, ...judged([...findings, ...ruleFindings(world)]), answers };
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
  const keys = new Set<string>();
  for (const one of cases) {
    yield* reading(world, one);
    if (one.what === 'object' && one.encryption.algorithm !== 'AES256') keys.add(one.encryption.keyArn);
  }
  for (const keyArn of keys) yield* sourceKeyState(world, keyArn);
  if (encrypted) yield* replica.missing;
  for (const one of cases) yield* writing(world, one, replica.arn);
  if (encrypted) yield* replica.state;
  yield* ownership(world);
}

/**
 * Decide every request. Each denial is mended in a copy of the world, so that the fix is tried as it is printed, and
 * what comes after is asked where the fix is in place: no cause is told twice.
 */
function settle(world: RuleWorld, all: Iterable<Finding | Ask>): { findings: Finding[]; answers: Answer[] } {
  const findings: Finding[] = [];
  const answers: Answer[] = [];
  const asked = new Set<string>();
  const told = new Set<string>();
  let { observed } = world;
  for (const step of all) {
    if (!('request' in step && 'purpose' in step)) {
      if (!told.has(step.message)) findings.push(step);
      told.add(step.message);
      continue;
    }
    const id = JSON.stringify(step.request);
    if (asked.has(id)) continue;
    asked.add(id);
    answers.push(answer(step, world.observed, world.role));
    const outcome = settleOne({ ...world, observed }, step);
    observed = outcome.observed;
    if (!outcome.finding || told.has(outcome.finding.message)) continue;
    told.add(outcome.finding.message);
    findings.push(outcome.finding);
  }
  return { findings, answers };
}

function answer(ask: Ask, observed: Observed, role: string): Answer {
  const { purpose, request } = ask;
  const about = { purpose, action: request.action, resource: request.resource };
  const found = policiesFor(observed, role, ask);
  if ('unread' in found) return { ...about, result: 'unknown', reason: found.unread };
  const verdict = decide(request, found.policies);
  if ('undecided' in verdict)
    return { ...about, result: 'unknown', reason: `it depends on ${verdict.undecided.join(', ')}` };
  return { ...about, result: verdict.allowed ? 'allowed' : 'denied', reason: verdict.reason };
}

const MOST_FIXES = 8;

/** Decide one request, and mend until it is allowed. */
function settleOne(world: RuleWorld, ask: Ask): { observed: Observed; finding?: Finding } {
  const fixes: Fix[] = [];
  let { observed } = world;
  let first: string | undefined;
  while (fixes.length <= MOST_FIXES) {
    const found = policiesFor(observed, world.role, ask);
    if ('unread' in found)
      return {
        observed,
        finding: finding('RK1901', `whether S3 may ${ask.purpose} is not known: ${found.unread}`),
      };
    const verdict = decide(ask.request, found.policies);
    if ('undecided' in verdict) {
      const message = `whether S3 may ${ask.purpose} depends on ${verdict.undecided.join(', ')}, which cannot be known before`;
      return { observed, finding: about(finding('RK1902', message), ask) };
    }
    if (verdict.allowed) break;
    first ??= verdict.reason;
    const fix = mend({ ...world, observed }, ask, verdict, found.places);
    if (!fix) break;
    fixes.push(fix);
    observed = mended(observed, fix);
  }
  if (first === undefined) return { observed };
  const denied = about(finding(ask.code, `S3 may not ${ask.purpose}: ${first}`, fixes), ask);
  // What only a request's own header makes so is no reason to refuse a whole rule.
  if (ask.usual || denied.severity !== 'error') return { observed, finding: denied };
  return { observed, finding: { ...denied, severity: 'warning' } };
}

const about = (one: Finding, { request }: Ask): Finding => ({
  ...one,
  request: { action: request.action, resource: request.resource, context: request.context ?? {} },
});
