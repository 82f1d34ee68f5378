import { type Fact, type KeyFacts, known, type Observed, unreadOf } from '../core/observed.ts';
import type { NamedPolicy, Policies, Policy } from '../iam/types.ts';
import type { Ask } from './requests.ts';
import type { PolicyPlace } from './types.ts';

const NO_POLICY: Policy = { Statement: [] };

/** Every policy that has a say in a request, or what of it could not be read. */
export function policiesFor(
  observed: Observed,
  role: string,
  { resourcePolicy, request }: Ask,
): { policies: Policies; places: Map<string, PolicyPlace> } | { unread: string } {
  const places = new Map<string, PolicyPlace>();
  const named = (place: PolicyPlace, policy: Policy): NamedPolicy => {
    const name = nameOf(place);
    places.set(name, place);
    return { name, policy };
  };
  const fact = policyAt(observed, resourcePolicy);
  const missing = unreadOf(fact);
  if (missing !== undefined) return { unread: `${nameOf(resourcePolicy)}: ${missing}` };
  const found = known(fact);
  // Where there is no policy the name is there all the same: a denial for the lack of one speaks of it.
  const resource = named(resourcePolicy, found ?? NO_POLICY);
  if (!request.principal.startsWith('arn:')) return { policies: { resource }, places };

  const facts = known(observed.roles[role]);
  const unread = unreadOf(facts?.policies) ?? unreadOf(facts?.boundary);
  if (!facts || unread !== undefined)
    return { unread: `policies of ${role}: ${unread ?? unreadOf(observed.roles[role])}` };
  const boundary = known(facts.boundary);
  const identity = Object.entries(known(facts.policies) ?? {}).map(([policy, document]) =>
    named({ kind: 'role', of: role, policy }, document),
  );
  return {
    places,
    policies: {
      identity,
      ...(boundary && { boundary: [named({ kind: 'boundary', of: role }, boundary)] }),
      resource,
    },
  };
}

/** The name by which a reader knows a policy. */
export function nameOf({ kind, of, policy }: PolicyPlace): string {
  const short = of.slice(of.lastIndexOf('/') + 1);
  if (kind === 'trust') return `trust policy of ${short}`;
  if (kind === 'boundary') return `permissions boundary of ${short}`;
  if (kind === 'role') return `policy ${policy?.slice(policy.lastIndexOf('/') + 1)} of the role ${short}`;
  return kind === 'bucket' ? `bucket policy of ${of}` : `key policy of ${of}`;
}

export function policyAt(observed: Observed, { kind, of, policy }: PolicyPlace): Fact<Policy> | undefined {
  if (kind === 'bucket')
    return known(observed.buckets[of])?.policy ?? nothing(observed.buckets[of], 'policy');
  if (kind === 'key') return known(keyAt(observed, of))?.policy ?? nothing(keyAt(observed, of), 'policy');
  const role = known(observed.roles[of]);
  if (kind === 'trust') return role?.trust ?? nothing(observed.roles[of], 'trust');
  if (kind === 'boundary') return role?.boundary;
  return known(role?.policies)?.[policy ?? ''] ?? null;
}

/** A key by its ARN, though it may be known by that of an alias. */
function keyAt({ keys }: Observed, arn: string): Fact<KeyFacts> | undefined {
  return arn in keys ? keys[arn] : Object.values(keys).find((fact) => known(fact)?.arn === arn);
}

/** What is not there of a thing that was read: `null` where it surely is not, else why nobody knows. */
function nothing(fact: Fact<object> | undefined, part: string): Fact<Policy> | undefined {
  const found = known(fact);
  if (found) return (found as Record<string, Fact<Policy> | undefined>)[part];
  return fact as null | undefined | { unread: string };
}

/** The same world with another policy in one place. */
export function withPolicy(observed: Observed, place: PolicyPlace, policy: Policy): Observed {
  const { kind, of } = place;
  if (kind === 'bucket')
    return { ...observed, buckets: { ...observed.buckets, [of]: { ...must(observed.buckets[of]), policy } } };
  if (kind === 'key')
    return { ...observed, keys: { ...observed.keys, [of]: { ...must(keyAt(observed, of)), policy } } };
  const role = must(observed.roles[of]);
  const changed =
    kind === 'trust'
      ? { ...role, trust: policy }
      : kind === 'boundary'
        ? { ...role, boundary: policy }
        : { ...role, policies: { ...known(role.policies), [place.policy ?? '']: policy } };
  return { ...observed, roles: { ...observed.roles, [of]: changed } };
}

function must<T>(fact: Fact<T> | undefined): T {
  const found = known(fact);
  if (found === undefined) throw new Error('a policy is changed of something that was not read');
  return found;
}
