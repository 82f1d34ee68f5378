import { evaluate } from '../iam/evaluate.ts';
import type { AccessRequest, Decision, NamedPolicy, Policies, Policy, Statement } from '../iam/types.ts';

/** A decision, or why there is none: it depends on condition keys whose values nobody can know before. */
export type UncertainDecision = Decision | { undecided: string[] };

/** A request of which it is not known whether S3 sends some condition keys with it. */
export interface UncertainRequest extends AccessRequest {
  /** The keys, with the values that they have if they are sent. */
  optionalContext?: Record<string, string>;
}

/** Decide a request with what is perhaps sent, and without: it is decided where both come to the same. */
export function decide(request: UncertainRequest, policies: Policies): UncertainDecision {
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
 * Decide a request where some condition keys cannot be known. What depends on them is taken once for met where that
 * allows and not where that denies, and once the other way round: where both come to the same, it is decided.
 */
function decideWithUncertainKeys(request: AccessRequest, policies: Policies): UncertainDecision {
  const decision = evaluate(request, policies);
  const uncertainKeys = uncertainKeysOf(policies, request);
  if (uncertainKeys.size === 0) return decision;
  const best = evaluate(request, assumeEffect(policies, uncertainKeys, 'Allow'));
  const worst = evaluate(request, assumeEffect(policies, uncertainKeys, 'Deny'));
  if (best.allowed !== worst.allowed) return { undecided: [...uncertainKeys].sort() };
  return decision;
}

/**
 * Keys that a request of S3 as a role surely does not carry: it comes through no endpoint and from no user's address,
 * and what encrypts a replica is said where it is written.
 */
const NEVER_SENT_KEYS =
  /^(aws:(sourcevpc|sourcevpce|vpcsourceip|sourceip|multifactorauth(present|age)|username|federatedprovider|referer|useragent)|kms:grantisforawsresource|sts:.*|s3:x-amz-server-side-encryption(-aws-kms-key-id)?)$/;

/** The condition keys of the policies that the request neither carries nor surely lacks. */
function uncertainKeysOf(policies: Policies, request: AccessRequest): Set<string> {
  const candidates = policyDocumentsOf(policies)
    .flatMap((policy) => conditionKeysOf(policy).uncertain)
    .filter((key) => isKeyOfService(key, request.action));
  if (candidates.length === 0) return new Set();
  const requestKeys = new Set(
    ['aws:principalarn', 'aws:principalaccount', ...Object.keys(request.context ?? {})].map((key) =>
      key.toLowerCase(),
    ),
  );
  return new Set(candidates.filter((key) => !requestKeys.has(key.toLowerCase())));
}

/** Whether policies say anything of some condition keys, so that their values may matter. */
const mentionsKeys = (keys: readonly string[], policies: Policies): boolean =>
  keys.length > 0 &&
  policyDocumentsOf(policies).some((policy) => {
    const { keys: policyKeys, hasVariables } = conditionKeysOf(policy);
    return hasVariables || keys.some((key) => policyKeys.has(key.toLowerCase()));
  });

const policyDocumentsOf = ({ identity = [], boundary = [], resource }: Policies): Policy[] =>
  [...identity, ...boundary, ...(resource ? [resource] : [])].map(({ policy }) => policy);

/** What a policy says of condition keys. */
interface ConditionKeys {
  /** In lower case. */
  keys: ReadonlySet<string>;
  /** Those that no request surely lacks. */
  uncertain: readonly string[];
  /** Whether values of keys may stand anywhere else. */
  hasVariables: boolean;
}

/** Looked up once for each policy, which is asked about many times. */
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

// Whoever writes an encryption context writes it all: what is not in it is not sent.
const isUncertainKey = (key: string): boolean =>
  !NEVER_SENT_KEYS.test(key.toLowerCase()) && !/^kms:EncryptionContext/i.test(key);

/** A service sends condition keys of its own, and those of all services. */
const isKeyOfService = (key: string, action: string): boolean =>
  ['aws', action.split(':')[0]].includes(key.toLowerCase().split(':')[0]);

/** The policies, with open conditions met in statements of one effect, and not met in those of the other. */
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
  return {
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
  // A key that is asked for and is not there: no value meets this, so that the statement does not apply.
  if (statement.Effect !== effectWhereMet)
    return { ...statement, Condition: { StringEquals: { 'aws:username': '' } } };
  return { ...statement, Condition: Object.fromEntries(entries) };
}
