import {
  type Fact,
  type Facts,
  factValue,
  isUnread,
  type KeyFacts,
  unreadReasonOf,
  upperBoundOf,
} from '../core/facts.ts';
import type { NamedPolicy, Policies, Policy, Statement } from '../iam/types.ts';
import { cutOffTimeOf, hasUntilSid, parseRetained } from '../policy/transitions.ts';
import type { PolicyRef } from './findings.ts';
import type { AccessCheck } from './requests.ts';

const POLICY_WITHOUT_STATEMENTS: Policy = { Statement: [] };

/** Replaces a policy that could not be read. A request that the other policies deny is denied nevertheless. */
const ALLOW_ALL: Statement = { Effect: 'Allow', Action: '*', Resource: '*' };

/** Every policy of the principal and the resource that applies to a request. */
export interface ApplicablePolicies {
  policies: Policies;
  /** By the names of the policies. */
  policyRefs: Map<string, PolicyRef>;
  /** Policies that could not be read, with the reason. They are assumed to allow everything. */
  unread?: string;
}

/**
 * Returns every policy of the principal and the resource that applies to a request.
 *
 * @param nowMs see `withoutCutOffs`
 */
export function policiesFor(
  facts: Facts,
  role: string,
  { resourcePolicy, request }: AccessCheck,
  nowMs?: number,
): ApplicablePolicies {
  const policyRefs = new Map<string, PolicyRef>();
  const namePolicy = (policyRef: PolicyRef, policy: Policy): NamedPolicy => {
    const name = policyLabel(policyRef);
    policyRefs.set(name, policyRef);
    return { name, policy: withoutCutOffs(policy, nowMs) };
  };
  const resourceFact = policyFactOf(facts, resourcePolicy);
  const resourceUnread = unreadReasonOf(resourceFact);
  const assumedAllow: Policy = {
    Statement: {
      ...ALLOW_ALL,
      Principal: request.principal.startsWith('arn:')
        ? { AWS: request.principal }
        : { Service: request.principal },
    },
  };
  // An absent policy also needs a label, because a denial for a missing Allow refers to it.
  const resource = namePolicy(
    resourcePolicy,
    upperBoundOf(resourceFact) ?? (resourceUnread === undefined ? POLICY_WITHOUT_STATEMENTS : assumedAllow),
  );
  const unreadResource =
    resourceUnread === undefined ? [] : [`${policyLabel(resourcePolicy)}: ${resourceUnread}`];
  if (!request.principal.startsWith('arn:'))
    return { policies: { resource }, policyRefs, ...unreadPart(unreadResource) };

  const roleFacts = factValue(facts.roles[role]);
  const unreadRole =
    unreadReasonOf(roleFacts?.policies) ??
    unreadReasonOf(roleFacts?.boundary) ??
    (roleFacts ? undefined : unreadReasonOf(facts.roles[role]));
  const identity = Object.entries(
    upperBoundOf(roleFacts?.policies) ?? { '': { Statement: ALLOW_ALL } as Policy },
  ).map(([policy, document]) => namePolicy({ kind: 'role', of: role, policy }, document));
  const boundary = factValue(roleFacts?.boundary);
  return {
    policyRefs,
    policies: {
      identity,
      ...(boundary && { boundary: [namePolicy({ kind: 'boundary', of: role }, boundary)] }),
      resource,
    },
    ...unreadPart([
      ...unreadResource,
      ...(unreadRole === undefined ? [] : [`policies of ${role}: ${unreadRole}`]),
    ]),
  };
}

const unreadPart = (unread: readonly string[]): Pick<ApplicablePolicies, 'unread'> =>
  unread.length === 0 ? {} : { unread: unread.join('; and the ') };

/**
 * Returns a policy without the time limits of retained permissions. The proof decides about each state before they end;
 * another state of the proof has no retained permissions at all.
 *
 * @param nowMs the time of AWS, for the proof of the present state: a permission that AWS has cut off grants nothing
 */
export function withoutCutOffs(policy: Policy, nowMs?: number): Policy {
  const statements = [policy.Statement].flat();
  if (!statements.some(hasUntilSid)) return policy;
  return {
    ...policy,
    Statement: statements.map((statement) => {
      const retained = parseRetained(statement);
      if (!retained) return statement;
      // The statement keeps its position, because findings name statements by it.
      return nowMs !== undefined && cutOffTimeOf(retained) <= nowMs
        ? { Sid: retained.id, Effect: 'Deny', Action: [] }
        : { Sid: retained.id, ...retained.original };
    }),
  };
}

/** Returns the label of a policy in messages. */
export function policyLabel({ kind, of, policy }: PolicyRef): string {
  if (kind === 'trust') return `trust policy of the role ${of}`;
  if (kind === 'boundary') return `permissions boundary of the role ${of}`;
  if (kind === 'role') return `policy ${policy} of the role ${of}`;
  return kind === 'bucket' ? `bucket policy of ${of}` : `key policy of ${of}`;
}

export function policyFactOf(facts: Facts, { kind, of, policy }: PolicyRef): Fact<Policy> | undefined {
  if (kind === 'bucket')
    return factValue(facts.buckets[of])?.policy ?? policyPartOf(facts.buckets[of], 'policy');
  if (kind === 'key')
    return factValue(keyFactOf(facts, of))?.policy ?? policyPartOf(keyFactOf(facts, of), 'policy');
  const role = factValue(facts.roles[of]);
  if (kind === 'trust') return role?.trust ?? policyPartOf(facts.roles[of], 'trust');
  if (kind === 'boundary') return role?.boundary;
  return upperBoundOf(role?.policies)?.[policy ?? ''] ?? null;
}

/** Returns the facts of a key by its ARN. The facts may be stored under the ARN of an alias. */
export function keyFactOf({ keys }: Facts, arn: string): Fact<KeyFacts> | undefined {
  return arn in keys ? keys[arn] : Object.values(keys).find((fact) => factValue(fact)?.arn === arn);
}

/**
 * Returns the policy of a bucket, key or role that was read. Otherwise returns the fact itself: `null` if the resource
 * does not exist, or the reason why it is unknown.
 */
function policyPartOf(fact: Fact<object> | undefined, part: string): Fact<Policy> | undefined {
  const value = factValue(fact);
  if (value) return (value as Record<string, Fact<Policy> | undefined>)[part];
  return fact as null | undefined | { unread: string };
}

/** Returns the facts with one policy replaced. An unread policy stays unread, and allows at most what replaces it. */
export function withPolicy(facts: Facts, policyRef: PolicyRef, newPolicy: Policy): Facts {
  const { kind, of } = policyRef;
  const current = policyFactOf(facts, policyRef);
  const policy = isUnread(current) ? { ...current, atMost: newPolicy } : newPolicy;
  if (kind === 'bucket')
    return { ...facts, buckets: { ...facts.buckets, [of]: { ...requireFact(facts.buckets[of]), policy } } };
  if (kind === 'key')
    return { ...facts, keys: { ...facts.keys, [of]: { ...requireFact(keyFactOf(facts, of)), policy } } };
  const role = requireFact(facts.roles[of]);
  const updatedRole =
    kind === 'trust'
      ? { ...role, trust: policy }
      : kind === 'boundary'
        ? { ...role, boundary: policy }
        : { ...role, policies: withRolePolicy(role.policies, policyRef.policy ?? '', newPolicy) };
  return { ...facts, roles: { ...facts.roles, [of]: updatedRole } };
}

function withRolePolicy(
  policies: Fact<Record<string, Policy>> | undefined,
  name: string,
  policy: Policy,
): Fact<Record<string, Policy>> {
  const updated = { ...upperBoundOf(policies), [name]: policy };
  return isUnread(policies) ? { ...policies, atMost: updated } : updated;
}

function requireFact<T>(fact: Fact<T> | undefined): T {
  const value = factValue(fact);
  if (value === undefined) throw new Error('cannot change the policy of a resource that was not read');
  return value;
}
