import type { ReplicationRule } from '@aws-sdk/client-s3';
import { type Fact, type Facts, factValue, isUnread, type RoleFacts, unreadReasonOf } from '../core/facts.ts';
import { accountOfArn } from '../iam/context.ts';
import { findGrant, withGrant } from '../iam/grants.ts';
import type { Decision } from '../iam/types.ts';
import { isJsonEqual } from '../util/canonical-json.ts';
import { applicableControlPolicies, unreadReasonsOf } from './control-policies.ts';
import { decide, type UncertainDecision, type UncertainRequest } from './decide.ts';
import { createFinding, type Finding, type Fix, type PolicyRef, summarizeFindings } from './findings.ts';
import { applyFix, proposeFixes } from './fix.ts';
import { type ObservedObject, objectCasesOf, sampledObjects } from './object-cases.ts';
import { type ApplicablePolicies, keyFactOf, policiesFor } from './policies.ts';
import {
  checkReplicaKey,
  destinationFindings,
  modificationFindings,
  ownershipFindings,
  publicAccessFindings,
  relatedKeyFindings,
  selectionFindings,
  sourceFindings,
  sourceKeyFindings,
} from './preconditions.ts';
import { type AccessCheck, assumeRoleCheck, bucketChecks, readChecks, writeChecks } from './requests.ts';
import { type RuleContext, replicaKeyArns, ruleBucketOf, ruleContextOf, ruleTagsOf } from './rule-context.ts';
import { mismatchReason, ruleFindings, type SourceObject } from './rule-match.ts';
import type { AccessResult, ObjectCase, ProofBasis, RuleProof } from './types.ts';

/**
 * Proves the rules of a bucket. Evaluates every request that S3 makes as the role, for every kind of object that a
 * rule covers, against all applicable policies. Also checks the state of every bucket, key and role that S3 uses.
 * Pure.
 *
 * Findings are sorted: errors first, and otherwise in the order in which S3 encounters them. The first finding is the
 * reason why an object fails.
 *
 * @param nowMs see `RuleContext`
 */
export function proveRules(
  facts: Facts,
  bucket: string,
  sample: readonly ObservedObject[] = [],
  nowMs?: number,
): RuleProof[] {
  const fact = facts.buckets[bucket];
  const source = ruleBucketOf(facts, bucket, '');
  if (!source) {
    const unread = unreadReasonOf(fact);
    const bucketFinding =
      unread === undefined
        ? createFinding('RK1101', `the bucket ${bucket} does not exist`)
        : createFinding('RK1901', `the bucket ${bucket} cannot be read: ${unread}`);
    return [proofWithoutRule(bucket, bucketFinding)];
  }
  const configuration = factValue(source.replication);
  if (!configuration) {
    const unread = unreadReasonOf(source.replication);
    const configurationFinding =
      unread === undefined
        ? createFinding('RK1001', `${bucket} has no replication configuration`)
        : createFinding('RK1901', `the replication configuration of ${bucket} cannot be read: ${unread}`);
    return [proofWithoutRule(bucket, configurationFinding)];
  }
  const account = source.account === '' ? (configuration.Role.split(':')[4] ?? '') : source.account;
  return configuration.Rules.map((rule) =>
    proveRule(
      {
        ...ruleContextOf(facts, { ...source, account }, configuration, rule),
        ...(nowMs !== undefined && { nowMs }),
      },
      (context) => objectCasesOf(context, sample),
      sampledObjects(sample),
    ),
  );
}

/**
 * Proves one rule for some kinds of objects.
 *
 * @param sample objects of the source bucket, which show what the rule selects
 * @param selection findings about objects that the rule skips
 */
export function proveRule(
  context: RuleContext,
  casesFor: (context: RuleContext) => ObjectCase[],
  sample: readonly SourceObject[] = [],
  selection: readonly Finding[] = selectionFindings(context, sample),
): RuleProof {
  const { rule, source, destinationName } = context;
  const ruleInfo = { bucket: source.name, rule: rule.ID ?? '', destination: destinationName };
  if (rule.Status !== 'Enabled') {
    return {
      ...ruleInfo,
      verdict: 'off',
      findings: [createFinding('RK1002', 'the rule is disabled')],
      answers: [],
    };
  }
  const objectCases = casesFor(context);
  const narrowContext = narrowToRule(context, objectCases);
  const { findings, answers } = evaluateAll(
    narrowContext,
    proofSteps(narrowContext, objectCases, sample, selection),
  );
  const verdict = summarizeFindings([...findings, ...ruleFindings(context, sample)]);
  const basis = { ...basisOf(narrowContext), controlPolicies: controlPolicyBasisOf(narrowContext, answers) };
  return { ...ruleInfo, ...verdict, basis, answers };
}

/** Returns the documents that decide about a rule, from facts that contain no others. */
function basisOf({ facts, source, role, destinationName }: RuleContext): Omit<ProofBasis, 'controlPolicies'> {
  const unreadParts = (name: string, fact: Fact<object> | undefined, parts: readonly string[]) => {
    if (isUnread(fact) || fact === undefined) return [name];
    const fields = (factValue(fact) ?? {}) as Record<string, Fact<object> | undefined>;
    return parts.filter((part) => isUnread(fields[part])).map((part) => `${part} of ${name}`);
  };
  const buckets = [...new Set([source.name, destinationName])];
  const keys = Object.keys(facts.keys);
  const policies = managedPoliciesOf(factValue(facts.roles[role]));
  return {
    buckets,
    roles: [role],
    keys,
    ...(policies.length > 0 && { policies }),
    unread: [
      ...buckets.flatMap((name) =>
        unreadParts(`bucket ${name}`, facts.buckets[name], ['policy', 'encryption']),
      ),
      ...unreadParts(`role ${role}`, facts.roles[role], ['trust', 'policies', 'boundary']),
      ...keys.flatMap((arn) => unreadParts(`key ${arn}`, facts.keys[arn], ['policy'])),
    ],
  };
}

/** Counts the requests whose result depends on control policies that were not read, with the reasons. */
function controlPolicyBasisOf(
  { facts, role, source, destinationName }: RuleContext,
  answers: readonly AccessResult[],
): ProofBasis['controlPolicies'] {
  const dependent = answers.filter(({ unreadControlPolicies = [] }) => unreadControlPolicies.length > 0);
  const undecided = dependent.filter(({ result }) => result === 'unknown').length;
  const accounts = [role, ...Object.keys(facts.keys)].map(accountOfArn);
  const bucketAccounts = [source.name, destinationName].map(
    (name) => factValue(facts.buckets[name])?.account ?? '',
  );
  return {
    requests: answers.length,
    dependent: dependent.length,
    ...(undecided > 0 && { undecided }),
    unread: dependent.length === 0 ? [] : unreadReasonsOf(facts, [...accounts, ...bucketAccounts]),
  };
}

/** Returns the ARNs of the managed policies of a role, its boundary among them. Inline policies have names without colons. */
const managedPoliciesOf = ({ policies, boundaryArn }: RoleFacts = {}): string[] => [
  ...Object.keys(factValue(policies) ?? {}).filter((name) => name.startsWith('arn:')),
  ...(boundaryArn === undefined ? [] : [boundaryArn]),
];

/** Returns the ARNs of the keys under which objects are encrypted. */
const kmsKeysOf = (objectCases: readonly ObjectCase[]): string[] => [
  ...new Set(
    objectCases.flatMap((objectCase) =>
      objectCase.type === 'object' && objectCase.encryption.algorithm !== 'AES256'
        ? [objectCase.encryption.keyArn]
        : [],
    ),
  ),
];

/** Removes all facts that the rule does not use. Applying a fix then costs the same with thousands of resources. */
function narrowToRule(context: RuleContext, objectCases: readonly ObjectCase[]): RuleContext {
  const { facts, role, source, destinationName } = context;
  const keys = kmsKeysOf(objectCases);
  const pick = <T>(entries: Record<string, T>, names: readonly string[]): Record<string, T> =>
    Object.fromEntries(names.flatMap((name) => (name in entries ? [[name, entries[name] as T]] : [])));
  return {
    ...context,
    facts: {
      buckets: pick(facts.buckets, [source.name, destinationName]),
      roles: pick(facts.roles, [role]),
      keys: pick(facts.keys, [...keys, ...replicaKeyArns(context, keys)]),
      ...(facts.accounts && { accounts: facts.accounts }),
    },
  };
}

const proofWithoutRule = (bucket: string, finding: Finding): RuleProof => ({
  bucket,
  rule: '',
  destination: '',
  ...summarizeFindings([finding]),
  answers: [],
});

/** Yields the preconditions and access checks in the order of S3. */
function* proofSteps(
  context: RuleContext,
  objectCases: readonly ObjectCase[],
  sample: readonly SourceObject[],
  selection: readonly Finding[],
): Generator<Finding | AccessCheck> {
  const { facts, role } = context;
  const roleFact = facts.roles[role];
  if (roleFact === null) {
    yield createFinding('RK1302', `the role ${role} does not exist`);
    return;
  }
  yield assumeRoleCheck(context);
  yield* sourceFindings(context);
  yield* destinationFindings(context);
  yield* selection;
  yield* bucketChecks(context);
  const objectKeys = kmsKeysOf(objectCases);
  const replicaKeys = new Map(objectKeys.map((arn) => [arn, checkReplicaKey(context, arn)]));
  const replicaKeyOf = (objectCase: ObjectCase) => {
    const [arn] = kmsKeysOf([objectCase]);
    return (arn === undefined ? undefined : replicaKeys.get(arn)) ?? { stateFindings: [] };
  };
  for (const objectCase of objectCases) {
    yield* readChecks(context, objectCase);
    if (objectCase.type === 'object' && objectCase.encryption.algorithm !== 'AES256')
      yield* sourceKeyFindings(context, objectCase.encryption.keyArn);
  }
  yield* relatedKeyFindings(context, objectKeys);
  for (const { missingFindings } of replicaKeys.values()) yield* missingFindings;
  yield* publicAccessFindings(context, objectCases);
  const hasTags =
    ruleTagsOf(context.rule).length > 0 ||
    sample.some(
      (object) =>
        (object.tags.length > 0 || object.hasUnreadTags) &&
        mismatchReason(context.rule, object, context.rules) === undefined,
    );
  for (const objectCase of objectCases)
    yield* writeChecks(context, objectCase, replicaKeyOf(objectCase), hasTags);
  yield* ownershipFindings(context);
  yield* modificationFindings(context);
}

/**
 * Decides every request. Applies the fix of each denial to a copy of the facts, which tests the fix exactly as it is
 * printed. Evaluates later requests with that fix in place, so that each cause is reported once.
 */
function evaluateAll(
  context: RuleContext,
  steps: Iterable<Finding | AccessCheck>,
): { findings: Finding[]; answers: AccessResult[] } {
  const findings: Finding[] = [];
  const answers: AccessResult[] = [];
  const requestsByTarget = new Map<string, UncertainRequest[]>();
  const reportedMessages = new Set<string>();
  let { facts } = context;
  for (const step of steps) {
    if (!('request' in step && 'purpose' in step)) {
      if (!reportedMessages.has(step.message)) findings.push(step);
      reportedMessages.add(step.message);
      continue;
    }
    const check = chooseCheck({ ...context, facts }, step);
    const target = `${check.request.action} ${check.request.resource}`;
    const earlierRequests = requestsByTarget.get(target) ?? [];
    if (earlierRequests.some((earlier) => isJsonEqual(earlier, check.request))) continue;
    requestsByTarget.set(target, [...earlierRequests, check.request]);
    const evaluation = evaluateCheck({ ...context, facts }, check);
    // The results show the decision on the unmodified facts, without the fixes of earlier checks.
    answers.push(facts === context.facts ? evaluation.result : evaluateCheck(context, check).result);
    facts = evaluation.facts;
    if (!evaluation.finding || reportedMessages.has(evaluation.finding.message)) continue;
    reportedMessages.add(evaluation.finding.message);
    findings.push(evaluation.finding);
  }
  return { findings, answers };
}

const MAX_FIXES = 8;

interface CheckEvaluation {
  /** The decision on the unmodified facts. */
  result: AccessResult;
  finding?: Finding;
  /** The facts with the fixes that allow the request. */
  facts: Facts;
}

/** Decides one request, and adds fixes until the policies allow it. */
function evaluateCheck(context: RuleContext, check: AccessCheck): CheckEvaluation {
  const { purpose, request } = check;
  const requestInfo = { purpose, action: request.action, resource: request.resource };
  const fixes: Fix[] = [];
  let { facts } = context;
  let denialReason: string | undefined;
  let controlPolicyReason = '';
  let allowReason = '';
  let unreadControlPolicies: string[] = [];
  while (fixes.length <= MAX_FIXES) {
    const verdict = decideCheck({ ...context, facts }, check);
    // Beyond a fix of the side that could be read, the other side decides.
    if ('unknown' in verdict && denialReason !== undefined) break;
    if ('unknown' in verdict) {
      const message = `cannot decide whether S3 is allowed to ${purpose}: ${verdict.unknown}`;
      const result: AccessResult = { ...requestInfo, result: 'unknown', reason: verdict.unknown };
      return { facts, result, finding: withRequest(createFinding(verdict.code, message), check) };
    }
    if (verdict.decision.allowed && verdict.controlPolicyFailure !== undefined) {
      // Beyond a fix, the control policies decide.
      if (denialReason !== undefined) break;
      const { unreadControlPolicies, controlPolicyFailure: reason } = verdict;
      const result: AccessResult = { ...requestInfo, result: 'unknown', reason, unreadControlPolicies };
      const message = `cannot decide whether S3 is allowed to replicate: ${reason}`;
      return { facts, result, finding: withRequest(createFinding('RK1901', message), check) };
    }
    if (verdict.decision.allowed) {
      allowReason = verdict.decision.reason;
      unreadControlPolicies = verdict.unreadControlPolicies;
      break;
    }
    if (verdict.decision.controlPolicy) {
      controlPolicyReason = controlPolicyDenial(verdict.decision, denialReason);
      denialReason ??= verdict.decision.reason;
      break;
    }
    denialReason ??= verdict.decision.reason;
    const proposed = proposeFixes({ ...context, facts }, check, verdict.decision, verdict.policyRefs);
    if (proposed.length === 0) break;
    fixes.push(...proposed);
    facts = proposed.reduce(applyFix, facts);
  }
  if (denialReason === undefined)
    return {
      facts,
      result: {
        ...requestInfo,
        result: 'allowed',
        reason: allowReason,
        ...(unreadControlPolicies.length > 0 && { unreadControlPolicies }),
      },
    };
  const result: AccessResult = { ...requestInfo, result: 'denied', reason: denialReason };
  const subject = check.isTypical || check.concerns === undefined ? '' : `${check.concerns}: `;
  const denialFinding = withRequest(
    createFinding(
      check.code,
      `${subject}S3 is not allowed to ${purpose}: ${denialReason}${controlPolicyReason}`,
      fixes,
    ),
    check,
  );
  // A case that only a request header creates is not a reason to refuse the whole rule.
  const severity = check.isTypical ? denialFinding.severity : 'warning';
  return { facts, result, finding: { ...denialFinding, severity } };
}

/**
 * Returns what to do about a denial by a control policy, which no change in the accounts of the rule corrects.
 *
 * @param earlierReason the reason of another denial, which has a fix
 */
function controlPolicyDenial({ reason, controlPolicy = 'scp' }: Decision, earlierReason?: string): string {
  const also = earlierReason === undefined ? '' : `; with the fix, ${reason}`;
  return `${also}; ask the administrator of the organization to change this ${controlPolicy.toUpperCase()}`;
}

type CheckDecision =
  | {
      decision: Decision;
      policyRefs: Map<string, PolicyRef>;
      /** Control policies that were not read, and that may deny the request. */
      unreadControlPolicies: string[];
      /** Why a read of these failed. Absent: none failed. */
      controlPolicyFailure?: string | undefined;
    }
  | { unknown: string; code: 'RK1901' | 'RK1902' };

/** Returns the check, or its equivalent alternative if the policies allow only the alternative. */
function chooseCheck(context: RuleContext, check: AccessCheck): AccessCheck {
  const { alternative } = check;
  if (!alternative) return check;
  const first = decideCheck(context, check);
  const isDenied = 'decision' in first && first.decision.kind === 'explicitDeny';
  if (isAllowed(first) || (isDenied && !alternative.overridesDeny)) return check;
  const other = { ...check, request: { ...check.request, action: alternative.action } };
  return isAllowed(decideCheck(context, other)) ? other : check;
}

const isAllowed = (decision: CheckDecision): boolean => 'decision' in decision && decision.decision.allowed;

/** The policies that apply to a request. */
interface PolicySet extends ApplicablePolicies {
  /** Control policies that limit the request, and that were not read. */
  unreadControlPolicies: string[];
  controlPolicyFailure: string | undefined;
}

/** Decides a request by the policies, and a use of a key that they do not allow by the grants of the key. */
function decideCheck(context: RuleContext, check: AccessCheck): CheckDecision {
  const { facts, role, nowMs } = context;
  const controlPolicies = applicableControlPolicies(facts, check.request);
  const applicable = policiesFor(facts, role, check, nowMs);
  const policySet: PolicySet = {
    ...applicable,
    policies: { ...applicable.policies, ...controlPolicies.policies },
    unreadControlPolicies: controlPolicies.unread,
    controlPolicyFailure: controlPolicies.failure,
  };
  const verdict = decide(check.request, policySet.policies);
  const byPolicies = toCheckDecision(verdict, policySet);
  const isOpen = 'undecided' in verdict || verdict.kind === 'implicitDeny';
  return isOpen && check.resourcePolicy.kind === 'key'
    ? decideByGrants(facts, check, policySet, byPolicies)
    : byPolicies;
}

/**
 * Decides the use of a key that the policies do not allow. A grant to the role allows it without any policy, also
 * across accounts, and an explicit Deny wins (AWS KMS Developer Guide, "Grants in AWS KMS"). AWS does not document
 * whether a permissions boundary limits grants.
 */
function decideByGrants(
  facts: Facts,
  check: AccessCheck,
  policySet: PolicySet,
  byPolicies: CheckDecision,
): CheckDecision {
  const { resource: keyArn } = check.request;
  const key = factValue(keyFactOf(facts, keyArn));
  if (!key) return byPolicies;
  const { grants } = key;
  if (isUnread(grants))
    return { unknown: `the grants of ${keyArn} cannot be read: ${grants.unread}`, code: 'RK1901' };
  if (grants === undefined) return withNote(byPolicies, 'the grants of the key were not read');
  const grant = findGrant(grants ?? [], check.request);
  if (!grant) return byPolicies;
  const verdict = decide(check.request, withGrant(policySet.policies, grant, check.request));
  if ('allowed' in verdict && verdict.missingAllow === 'boundary')
    return {
      unknown: `AWS does not document whether the permissions boundary limits the grant ${grant.GrantId} of ${keyArn}`,
      code: 'RK1902',
    };
  const byGrant = toCheckDecision(verdict, policySet);
  if (!isAllowed(byGrant) || !('decision' in byGrant)) return byGrant;
  const reason = `allowed by the grant ${grant.GrantId} of ${keyArn}`;
  return { ...byGrant, decision: { ...byGrant.decision, reason } };
}

const withNote = (result: CheckDecision, note: string): CheckDecision =>
  'decision' in result
    ? { ...result, decision: { ...result.decision, reason: `${result.decision.reason}; ${note}` } }
    : result;

function toCheckDecision(verdict: UncertainDecision, policySet: PolicySet): CheckDecision {
  // Both sides must allow, so that the policies that could be read may decide alone.
  const isDenied = 'allowed' in verdict && !verdict.allowed;
  if (policySet.unread !== undefined && !isDenied)
    return { unknown: `cannot read the ${policySet.unread}`, code: 'RK1901' };
  const { policyRefs, unreadControlPolicies, controlPolicyFailure } = policySet;
  // What is denied already, no further policy can allow.
  if (!('undecided' in verdict))
    return {
      decision: verdict,
      policyRefs,
      unreadControlPolicies: verdict.allowed ? unreadControlPolicies : [],
      controlPolicyFailure,
    };
  const keys = verdict.undecided.join(', ');
  return {
    unknown: `the result depends on ${keys}, whose value is unknown before the request`,
    code: 'RK1902',
  };
}

/**
 * Returns the ARNs of the keys that the policies do not allow S3 to use, so that their grants decide. Pure.
 */
export function keysDecidedByGrants(proofs: readonly RuleProof[]): string[] {
  const arns = proofs.flatMap(({ answers, findings }) => [
    ...answers.filter(({ result }) => result === 'denied'),
    ...findings.flatMap(({ code, request }) => (code === 'RK1902' && request ? [request] : [])),
  ]);
  return [...new Set(arns.filter(({ action }) => action.startsWith('kms:')).map(({ resource }) => resource))];
}

const withRequest = (finding: Finding, { request }: AccessCheck): Finding => ({
  ...finding,
  request: { action: request.action, resource: request.resource, context: request.context ?? {} },
});

/** The replication result of one object, its causes and the required changes. */
export interface ObjectProof {
  bucket: string;
  object: SourceObject & { status?: string };
  /** Proofs of the rules that select the object, for objects with the same properties. */
  taken: RuleProof[];
  /** Rules that do not select the object, with the reason. */
  passed: { rule: string; why: string }[];
  findings: Finding[];
}

/**
 * Explains one object: which rules select it, and which requests and states S3 encounters when it replicates the
 * object. Pure.
 */
export function explainObject(
  contexts: readonly RuleContext[],
  bucket: string,
  object: SourceObject & { status?: string },
): ObjectProof {
  const rules: ReplicationRule[] = contexts.map(({ rule }) => rule);
  const matches = contexts.map((context) => ({
    context,
    reason: mismatchReason(context.rule, object, rules),
  }));
  const { key, encryption } = object;
  const proofs = matches
    .filter(({ reason }) => reason === undefined)
    .map(({ context }) =>
      proveRule(
        context,
        () => [
          object.deleteMarker
            ? { type: 'delete marker', key }
            : { type: 'object', key, encryption, isTypical: true },
        ],
        [object],
        // The rule selects this object, also if it skips others.
        [],
      ),
    );
  const skippedRules = matches.flatMap(({ context, reason }) =>
    reason === undefined ? [] : [{ rule: context.rule.ID ?? '', why: reason }],
  );
  return { bucket, object, taken: proofs, passed: skippedRules, findings: objectFindings(object, proofs) };
}

function objectFindings(
  { key, status }: SourceObject & { status?: string },
  proofs: readonly RuleProof[],
): Finding[] {
  if (status === 'REPLICA') return [];
  if (proofs.length === 0) return [createFinding('RK1403', `no rule selects ${key}`)];
  if (status === undefined)
    return [
      createFinding(
        'RK1404',
        `${key} is older than the rule or its last change: live replication covers new objects only`,
      ),
    ];
  if (status !== 'FAILED') return [];
  return [
    createFinding(
      'RK1401',
      `replication of ${key} FAILED, and S3 does not retry it: fix the cause, then write the object again or run S3 Batch Replication`,
    ),
  ];
}
