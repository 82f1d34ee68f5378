import { evaluate } from '../iam/evaluate.ts';
import type { AccessRequest, Decision, NamedPolicy, Policies, Policy, Statement } from '../iam/types.ts';

/** A decision, or why there is none: it depends on condition keys whose values nobody can know before. */
export type Verdict = Decision | { undecided: string[] };

/** A request of which it is not known whether S3 sends some condition keys with it. */
export interface UncertainRequest extends AccessRequest {
  /** The keys, with the values that they have if they are sent. */
  perhaps?: Record<string, string>;
}

/** Decide a request with what is perhaps sent, and without: it is decided where both come to the same. */
export function decide(request: UncertainRequest, policies: Policies): Verdict {
  const { perhaps = {} } = request;
  const without = decideOne(request, policies);
  if ('undecided' in without || !isSaid(Object.keys(perhaps), policies)) return without;
  const context = { ...request.context, ...perhaps };
  const sent = decideOne({ ...request, context }, policies);
  if ('undecided' in sent) return sent;
  return sent.allowed === without.allowed ? without : { undecided: Object.keys(perhaps).sort() };
}

/**
 * Decide a request where some condition keys cannot be known. What depends on them is taken once for met where that
 * allows and not where that denies, and once the other way round: where both come to the same, it is decided.
 */
function decideOne(request: AccessRequest, policies: Policies): Verdict {
  const decision = evaluate(request, policies);
  const open = openKeys(policies, request);
  if (open.size === 0) return decision;
  const best = evaluate(request, supposing(policies, open, 'Allow'));
  const worst = evaluate(request, supposing(policies, open, 'Deny'));
  if (best.allowed !== worst.allowed) return { undecided: [...open].sort() };
  return decision;
}

/**
 * Keys that a request of S3 as a role surely does not carry: it comes through no endpoint and from no user's address,
 * and what encrypts a replica is said where it is written.
 */
const NEVER =
  /^(aws:(sourcevpc|sourcevpce|vpcsourceip|sourceip|multifactorauth(present|age)|username|federatedprovider|referer|useragent)|kms:grantisforawsresource|sts:.*|s3:x-amz-server-side-encryption(-aws-kms-key-id)?)$/;

/** The condition keys of the policies that the request neither carries nor surely lacks. */
function openKeys(policies: Policies, request: AccessRequest): Set<string> {
  const asked = allOf(policies)
    .flatMap((policy) => wordsOf(policy).open)
    .filter((key) => isOf(key, request.action));
  if (asked.length === 0) return new Set();
  const carried = new Set(
    ['aws:principalarn', 'aws:principalaccount', ...Object.keys(request.context ?? {})].map((key) =>
      key.toLowerCase(),
    ),
  );
  return new Set(asked.filter((key) => !carried.has(key.toLowerCase())));
}

/** Whether policies say anything of some condition keys, so that their values may matter. */
const isSaid = (keys: readonly string[], policies: Policies): boolean =>
  keys.length > 0 &&
  allOf(policies).some((policy) => {
    const { keys: said, hasVariables } = wordsOf(policy);
    return hasVariables || keys.some((key) => said.has(key.toLowerCase()));
  });

const allOf = ({ identity = [], boundary = [], resource }: Policies): Policy[] =>
  [...identity, ...boundary, ...(resource ? [resource] : [])].map(({ policy }) => policy);

/** What a policy says of condition keys. */
interface Words {
  /** In lower case. */
  keys: ReadonlySet<string>;
  /** Those that no request surely lacks. */
  open: readonly string[];
  /** Whether values of keys may stand anywhere else. */
  hasVariables: boolean;
}

/** Looked up once for each policy, which is asked about many times. */
const known = new WeakMap<Policy, Words>();

function wordsOf(policy: Policy): Words {
  const before = known.get(policy);
  if (before) return before;
  const keys = [policy.Statement]
    .flat()
    .flatMap(({ Condition = {} }) => Object.values(Condition).flatMap(Object.keys));
  const words = {
    keys: new Set(keys.map((key) => key.toLowerCase())),
    open: [...new Set(keys.filter(isOpen))],
    hasVariables: JSON.stringify(policy.Statement).includes('$'),
  };
  known.set(policy, words);
  return words;
}

// Whoever writes an encryption context writes it all: what is not in it is not sent.
const isOpen = (key: string): boolean =>
  !NEVER.test(key.toLowerCase()) && !/^kms:EncryptionContext/i.test(key);

/** A service sends condition keys of its own, and those of all services. */
const isOf = (key: string, action: string): boolean =>
  ['aws', action.split(':')[0]].includes(key.toLowerCase().split(':')[0]);

/** The policies, with open conditions met in statements of one effect, and not met in those of the other. */
function supposing(policies: Policies, open: ReadonlySet<string>, met: Statement['Effect']): Policies {
  const change = ({ name, policy }: NamedPolicy): NamedPolicy => ({
    name,
    policy: {
      ...policy,
      Statement: [policy.Statement].flat().map((statement) => suppose(statement, open, met)),
    },
  });
  return {
    ...(policies.identity && { identity: policies.identity.map(change) }),
    ...(policies.boundary && { boundary: policies.boundary.map(change) }),
    ...(policies.resource && { resource: change(policies.resource) }),
  };
}

function suppose(statement: Statement, open: ReadonlySet<string>, met: Statement['Effect']): Statement {
  const { Condition } = statement;
  if (!Condition) return statement;
  const entries = Object.entries(Condition).map(
    ([operator, keys]) =>
      [operator, Object.fromEntries(Object.entries(keys).filter(([key]) => !open.has(key)))] as const,
  );
  const same = entries.every(
    ([operator, keys]) => Object.keys(keys).length === Object.keys(Condition[operator] ?? {}).length,
  );
  if (same) return statement;
  // A key that is asked for and is not there: no value meets this, so that the statement does not apply.
  if (statement.Effect !== met) return { ...statement, Condition: { StringEquals: { 'aws:username': '' } } };
  return { ...statement, Condition: Object.fromEntries(entries) };
}
