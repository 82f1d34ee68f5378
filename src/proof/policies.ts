import { type Fact, type Facts, factValue, type KeyFacts, unreadReasonOf } from '../core/facts.ts';
import type { NamedPolicy, Policies, Policy } from '../iam/types.ts';
import { hasUntilSid, parseRetained } from '../policy/transitions.ts';
import type { PolicyRef } from './findings.ts';
import type { AccessCheck } from './requests.ts';

const POLICY_WITHOUT_STATEMENTS: Policy = { Statement: [] };

/** Returns every policy that applies to a request, or the reason why a policy could not be read. */
export function policiesFor(
  facts: Facts,
  role: string,
  { resourcePolicy, request }: AccessCheck,
): { policies: Policies; policyRefs: Map<string, PolicyRef> } | { unread: string } {
  const policyRefs = new Map<string, PolicyRef>();
  const namePolicy = (policyRef: PolicyRef, policy: Policy): NamedPolicy => {
    const name = policyLabel(policyRef);
    policyRefs.set(name, policyRef);
    return { name, policy: withoutCutOffs(policy) };
  };
  const resourceFact = policyFactOf(facts, resourcePolicy);
  const unreadReason = unreadReasonOf(resourceFact);
  if (unreadReason !== undefined) return { unread: `${policyLabel(resourcePolicy)}: ${unreadReason}` };
  const resourceDocument = factValue(resourceFact);
  // An absent policy also needs a label, because a denial for a missing Allow refers to it.
  const resource = namePolicy(resourcePolicy, resourceDocument ?? POLICY_WITHOUT_STATEMENTS);
  if (!request.principal.startsWith('arn:')) return { policies: { resource }, policyRefs };

  const roleFacts = factValue(facts.roles[role]);
  const unread = unreadReasonOf(roleFacts?.policies) ?? unreadReasonOf(roleFacts?.boundary);
  if (!roleFacts || unread !== undefined)
    return { unread: `policies of ${role}: ${unread ?? unreadReasonOf(facts.roles[role])}` };
  const boundary = factValue(roleFacts.boundary);
  const identity = Object.entries(factValue(roleFacts.policies) ?? {}).map(([policy, document]) =>
    namePolicy({ kind: 'role', of: role, policy }, document),
  );
  return {
    policyRefs,
    policies: {
      identity,
      ...(boundary && { boundary: [namePolicy({ kind: 'boundary', of: role }, boundary)] }),
      resource,
    },
  };
}

/**
 * Returns a policy without the time limits of retained permissions. The proof decides about each state before they end;
 * another state of the proof has no retained permissions at all.
 */
export function withoutCutOffs(policy: Policy): Policy {
  const statements = [policy.Statement].flat();
  if (!statements.some(hasUntilSid)) return policy;
  return {
    ...policy,
    Statement: statements.map((statement) => {
      const retained = parseRetained(statement);
      return retained ? { Sid: retained.id, ...retained.original } : statement;
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
  return factValue(role?.policies)?.[policy ?? ''] ?? null;
}

/** Returns the facts of a key by its ARN. The facts may be stored under the ARN of an alias. */
function keyFactOf({ keys }: Facts, arn: string): Fact<KeyFacts> | undefined {
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

/** Returns the facts with one policy replaced. */
export function withPolicy(facts: Facts, policyRef: PolicyRef, policy: Policy): Facts {
  const { kind, of } = policyRef;
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
        : { ...role, policies: { ...factValue(role.policies), [policyRef.policy ?? '']: policy } };
  return { ...facts, roles: { ...facts.roles, [of]: updatedRole } };
}

function requireFact<T>(fact: Fact<T> | undefined): T {
  const value = factValue(fact);
  if (value === undefined) throw new Error('cannot change the policy of a resource that was not read');
  return value;
}
