import { evaluate } from '../iam/evaluate.ts';
import type { AccessRequest, Decision, NamedPolicy, Policies, Statement } from '../iam/types.ts';

/** A decision, or why there is none: it depends on condition keys whose values nobody can know before. */
export type Verdict = Decision | { undecided: string[] };

/** A request of which it is not known whether S3 sends some condition keys with it. */
export interface UncertainRequest extends AccessRequest {
  /** The keys, with the values that they have if they are sent. */
  perhaps?: Record<string, string>;
}

/** Decide a request with what is perhaps sent, and without: it is decided where both come to the same. */
export function decide({ perhaps = {}, ...request }: UncertainRequest, policies: Policies): Verdict {
  const without = decideOne(request, policies);
  if (Object.keys(perhaps).length === 0 || 'undecided' in without) return without;
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
function openKeys({ identity = [], boundary = [], resource }: Policies, request: AccessRequest): Set<string> {
  const carried = new Set(
    ['aws:principalarn', 'aws:principalaccount', ...Object.keys(request.context ?? {})].map((key) =>
      key.toLowerCase(),
    ),
  );
  const open = new Set<string>();
  for (const { policy } of [...identity, ...boundary, ...(resource ? [resource] : [])]) {
    for (const { Condition = {} } of [policy.Statement].flat()) {
      for (const key of Object.values(Condition).flatMap(Object.keys))
        if (isOpen(key, carried) && isOf(key, request.action)) open.add(key);
    }
  }
  return open;
}

// Whoever writes an encryption context writes it all: what is not in it is not sent.
const isOpen = (key: string, carried: ReadonlySet<string>): boolean =>
  !carried.has(key.toLowerCase()) && !NEVER.test(key.toLowerCase()) && !/^kms:EncryptionContext/i.test(key);

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
