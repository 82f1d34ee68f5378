import { evaluate } from '../iam/evaluate.ts';
import type {
  AccessRequest,
  ControlPolicyLevel,
  Decision,
  NamedPolicy,
  Policies,
  Policy,
  Statement,
} from '../iam/types.ts';

/** A decision, or the condition keys that prevent a decision because their values are unknown before the request. */
export type UncertainDecision = Decision | { undecided: string[] };

/** A request for which replikey does not know whether S3 sends some of the condition keys. */
export interface UncertainRequest extends AccessRequest {
  /** The optional keys, with the values that S3 sends if it sends them. */
  optionalContext?: Record<string, string | string[]>;
  /** Condition keys that the request does not carry. */
  absentKeys?: readonly string[];
  /**
   * Organizations of which the accounts of the request are no members, by the prefix of the condition keys: `Principal`,
   * `Resource`, `Source`. Such an account is in another organization, or in none.
   */
  outsideOrganizations?: Record<string, string>;
  /** Whether the context contains all tags of the role. */
  hasAllPrincipalTags?: boolean;
}

/** What is known about the condition keys of organizations. */
export interface OrganizationKeys {
  context: Record<string, string | string[]>;
  absent: string[];
  /** See `outsideOrganizations`. */
  outside: Record<string, string>;
}

/**
 * Decides a request for every organization in which an account outside the known one may be: none, each organization
 * that the policies name, and one that they do not name. The request is decided if all decisions are the same.
 */
export function decide(request: UncertainRequest, policies: Policies): UncertainDecision {
  const { outsideOrganizations = {}, ...knownRequest } = request;
  const subjects = Object.entries(outsideOrganizations).filter(([subject]) =>
    mentionsKeys(organizationKeyNames(subject), policies),
  );
  const absentKeys = [
    ...(request.absentKeys ?? []),
    ...Object.keys(outsideOrganizations).flatMap(organizationKeyNames),
  ];
  const first = decideWithOptionalKeys({ ...knownRequest, absentKeys }, policies);
  if (subjects.length === 0 || 'undecided' in first) return first;
  let contexts: AccessRequest['context'][] = [{}];
  for (const [subject, known] of subjects) {
    const alternatives = otherOrganizations(subject, known, policies);
    contexts = contexts.flatMap((context) => [
      context,
      ...alternatives.map((alternative) => ({ ...context, ...alternative })),
    ]);
  }
  for (const organizationContext of contexts) {
    const context = { ...request.context, ...organizationContext };
    const decision = decideWithOptionalKeys({ ...knownRequest, absentKeys, context }, policies);
    if ('undecided' in decision) return decision;
    if (decision.allowed !== first.allowed)
      return { undecided: subjects.flatMap(([subject]) => organizationKeyNames(subject)).sort() };
  }
  return first;
}

const organizationKeyNames = (subject: string): string[] => [`aws:${subject}OrgID`, `aws:${subject}OrgPaths`];

/** An organization that no policy names. */
const UNNAMED_ORGANIZATION = 'o-otherorganization';

/** Returns the condition keys of an account in each organization that the policies name, except the known one. */
function otherOrganizations(
  subject: string,
  known: string,
  policies: Policies,
): Record<string, string | string[]>[] {
  const [idKey = '', pathsKey = ''] = organizationKeyNames(subject);
  const paths = [idKey, pathsKey]
    .flatMap((key) => policyDocumentsOf(policies).flatMap((policy) => conditionValuesOf(policy, key)))
    .map((value) => value.replaceAll('*', 'x').replaceAll('?', 'x'))
    .filter((value) => value !== known && !value.startsWith(`${known}/`));
  return [...new Set([UNNAMED_ORGANIZATION, ...paths])].map((path) => {
    const [id = ''] = path.split('/');
    return { [idKey]: id, [pathsKey]: [path.includes('/') ? path : `${id}/r-root/`] };
  });
}

/** Returns the values with which the conditions of a policy compare a key. */
const conditionValuesOf = ({ Statement }: Policy, key: string): string[] =>
  [Statement]
    .flat()
    .flatMap(({ Condition = {} }) =>
      Object.values(Condition).flatMap((keys) =>
        Object.entries(keys).flatMap(([name, values]) =>
          name.toLowerCase() === key.toLowerCase() ? [values].flat().map(String) : [],
        ),
      ),
    );

/**
 * Decides a request with and without the optional condition keys. The request is decided if both decisions are the
 * same.
 */
function decideWithOptionalKeys(request: UncertainRequest, policies: Policies): UncertainDecision {
  const { optionalContext = {} } = request;
  const decisionWithout = decideWithUncertainKeys(request, policies);
  if ('undecided' in decisionWithout || !mentionsKeys(Object.keys(optionalContext), policies))
    return decisionWithout;
  const context = { ...request.context, ...optionalContext };
  const decisionWith = decideWithUncertainKeys({ ...request, context }, policies);
  if ('undecided' in decisionWith) return decisionWith;
  return decisionWith.allowed === decisionWithout.allowed
    ? decisionWithout
    : { undecided: Object.keys(optionalContext).sort() };
}

/**
 * Decides a request in which some condition keys are unknown (three-valued evaluation). Evaluates the policies twice:
 * once with the unknown conditions met in Allow and unmet in Deny statements, and once the other way round. The
 * request is decided if both evaluations allow it, or both deny it.
 */
function decideWithUncertainKeys(request: UncertainRequest, policies: Policies): UncertainDecision {
  const decision = evaluate(request, policies);
  const uncertainKeys = uncertainKeysOf(policies, request);
  if (uncertainKeys.size === 0) return decision;
  const best = evaluate(request, assumeEffect(policies, uncertainKeys, 'Allow'));
  const worst = evaluate(request, assumeEffect(policies, uncertainKeys, 'Deny'));
  if (best.allowed !== worst.allowed) return { undecided: [...uncertainKeys].sort() };
  return decision;
}

/**
 * Condition keys that a request of S3 as the role never carries. The request comes through no VPC endpoint and from no
 * user's address. The request that writes a replica carries the replica's encryption headers explicitly.
 */
const NEVER_SENT_KEYS =
  /^(aws:(calledvia(first|last)?|sourcevpc|sourcevpce|vpcsourceip|sourceip|multifactorauth(present|age)|username|federatedprovider|referer|useragent)|kms:grantisforawsresource|sts:.*|s3:x-amz-server-side-encryption(-aws-kms-key-id)?)$/;

/** Returns the condition keys of the policies that the request does not carry, but may carry. */
function uncertainKeysOf(policies: Policies, request: UncertainRequest): Set<string> {
  const candidates = policyDocumentsOf(policies)
    .flatMap((policy) => conditionKeysOf(policy).uncertain)
    .filter((key) => isKeyOfService(key, request.action));
  if (candidates.length === 0) return new Set();
  const requestKeys = new Set(
    ['aws:principalarn', 'aws:principalaccount', ...Object.keys(request.context ?? {})].map((key) =>
      key.toLowerCase(),
    ),
  );
  // The decision is made with and without the optional keys, so each of the two knows whether it has them.
  const optionalKeys = new Set(Object.keys(request.optionalContext ?? {}).map((key) => key.toLowerCase()));
  const absentKeys = new Set((request.absentKeys ?? []).map((key) => key.toLowerCase()));
  const isKnown = (key: string) =>
    requestKeys.has(key) ||
    absentKeys.has(key) ||
    optionalKeys.has(key) ||
    (request.hasAllPrincipalTags === true && key.startsWith('aws:principaltag/'));
  return new Set(candidates.filter((key) => !isKnown(key.toLowerCase())));
}

/** Returns true if the values of some condition keys may matter to the policies. */
const mentionsKeys = (keys: readonly string[], policies: Policies): boolean =>
  keys.length > 0 &&
  policyDocumentsOf(policies).some((policy) => {
    const { keys: policyKeys, hasVariables } = conditionKeysOf(policy);
    return hasVariables || keys.some((key) => policyKeys.has(key.toLowerCase()));
  });

const policyDocumentsOf = ({
  identity = [],
  boundary = [],
  resource,
  scps = [],
  rcps = [],
}: Policies): Policy[] =>
  [
    ...identity,
    ...boundary,
    ...(resource ? [resource] : []),
    ...[...scps, ...rcps].flatMap(({ policies }) => policies),
  ].map(({ policy }) => policy);

/** The condition keys that a policy uses. */
interface ConditionKeys {
  /** In lower case. */
  keys: ReadonlySet<string>;
  /** Keys that a request may carry: all keys except those that no request carries. */
  uncertain: readonly string[];
  /** Whether the policy contains variables: these can use the value of a key outside a condition. */
  hasVariables: boolean;
}

/** Condition keys by policy. The proof evaluates each policy many times, and this cache parses it once. */
const conditionKeysByPolicy = new WeakMap<Policy, ConditionKeys>();

function conditionKeysOf(policy: Policy): ConditionKeys {
  const cached = conditionKeysByPolicy.get(policy);
  if (cached) return cached;
  const keys = [policy.Statement]
    .flat()
    .flatMap(({ Condition = {} }) => Object.values(Condition).flatMap(Object.keys));
  const conditionKeys = {
    keys: new Set(keys.map((key) => key.toLowerCase())),
    uncertain: [...new Set(keys.filter(isUncertainKey))],
    hasVariables: JSON.stringify(policy.Statement).includes('$'),
  };
  conditionKeysByPolicy.set(policy, conditionKeys);
  return conditionKeys;
}

// S3 sends a complete encryption context: a key outside it is never sent.
const isUncertainKey = (key: string): boolean =>
  !NEVER_SENT_KEYS.test(key.toLowerCase()) && !/^kms:EncryptionContext/i.test(key);

/** Returns true for the global condition keys and for those of the action's service. A service sends no others. */
const isKeyOfService = (key: string, action: string): boolean =>
  ['aws', action.split(':')[0]].includes(key.toLowerCase().split(':')[0]);

/**
 * Returns the policies with the unknown conditions met in statements of one effect, and unmet in those of the other.
 */
function assumeEffect(
  policies: Policies,
  uncertainKeys: ReadonlySet<string>,
  effectWhereMet: Statement['Effect'],
): Policies {
  const assumeInPolicy = ({ name, policy }: NamedPolicy): NamedPolicy => ({
    name,
    policy: {
      ...policy,
      Statement: [policy.Statement]
        .flat()
        .map((statement) => assumeInStatement(statement, uncertainKeys, effectWhereMet)),
    },
  });
  const assumeInLevel = ({ name, policies }: ControlPolicyLevel): ControlPolicyLevel => ({
    name,
    policies: policies.map(assumeInPolicy),
  });
  return {
    ...(policies.scps && { scps: policies.scps.map(assumeInLevel) }),
    ...(policies.rcps && { rcps: policies.rcps.map(assumeInLevel) }),
    ...(policies.identity && { identity: policies.identity.map(assumeInPolicy) }),
    ...(policies.boundary && { boundary: policies.boundary.map(assumeInPolicy) }),
    ...(policies.resource && { resource: assumeInPolicy(policies.resource) }),
  };
}

function assumeInStatement(
  statement: Statement,
  uncertainKeys: ReadonlySet<string>,
  effectWhereMet: Statement['Effect'],
): Statement {
  const { Condition } = statement;
  if (!Condition) return statement;
  const entries = Object.entries(Condition).map(
    ([operator, keys]) =>
      [
        operator,
        Object.fromEntries(Object.entries(keys).filter(([key]) => !uncertainKeys.has(key))),
      ] as const,
  );
  const isUnchanged = entries.every(
    ([operator, keys]) => Object.keys(keys).length === Object.keys(Condition[operator] ?? {}).length,
  );
  if (isUnchanged) return statement;
  // The condition requires a key that the request lacks. No value satisfies it, so the statement does not apply.
  if (statement.Effect !== effectWhereMet)
    return { ...statement, Condition: { StringEquals: { 'aws:username': '' } } };
  return { ...statement, Condition: Object.fromEntries(entries) };
}
