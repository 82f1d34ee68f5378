import { accountOf, type Context, contextOf, list, roleArnOf } from './context.ts';
import { ROOT } from './principal.ts';
import { type Fit, fit, misfit, type StatementKind } from './statement.ts';
import type {
  AccessRequest,
  Decision,
  NamedPolicy,
  NearMiss,
  Policies,
  Statement,
  StatementAt,
} from './types.ts';

/**
 * Decide a request as IAM does, and say why. Pure.
 *
 * An explicit deny anywhere wins. In one account, identity policies or the resource's policy allow; a key policy and a
 * trust policy must allow by themselves, or by leaving it to the account. Across accounts both sides must allow. A
 * permissions boundary limits what identity policies give, and what a resource's policy gives a role. Service principals act by the resource's policy alone.
 * Not evaluated: service and resource control policies of an organisation, session policies.
 */
export function evaluate(request: AccessRequest, policies: Policies): Decision {
  const context = contextOf(request);
  const identity = scan(policies.identity ?? [], request, context, false);
  const boundary = policies.boundary && scan(policies.boundary, request, context, false);
  const ofResource = policies.resource ? [policies.resource] : [];
  const resource = scan(ofResource, request, context, true, boundary !== undefined);

  const denial = resource.denies[0] ?? identity.denies[0] ?? boundary?.denies[0];
  if (denial) {
    return {
      allowed: false,
      kind: 'explicitDeny',
      by: [denial],
      reason: `${denial.policy} denies ${request.action} on ${request.resource} (${sidOf(denial)})`,
    };
  }

  const service = !request.principal.startsWith('arn:');
  const sameAccount = !service && accountOf(request.principal) === request.resourceAccount;
  const strict = /^(kms:|sts:AssumeRole)/i.test(request.action);
  const root = ROOT.test(request.principal);
  // The root of an account may do everything in it; a key policy must know even the root.
  const byIdentity = root ? [ROOT_ACCESS] : identity.direct;
  const bounded = boundary === undefined || boundary.direct.length > 0;
  const anyResource = [...resource.direct, ...resource.account];

  const allow = (by: StatementAt[]): Decision => ({
    allowed: true,
    kind: 'allow',
    by: by.filter((one) => one !== ROOT_ACCESS),
    reason: `allowed by ${by.map((one) => `${one.policy} (${sidOf(one)})`).join(' and ')}`,
  });
  const refuse = (lacking: NonNullable<Decision['lacking']>, near: Near | undefined): Decision => {
    const words = {
      identity: `no identity policy of ${roleArnOf(request.principal)} allows`,
      resource: `${policies.resource?.name ?? `the policy of ${request.resource} (there is none)`} does not allow`,
      boundary: 'the permissions boundary does not allow',
    };
    const nearest = near && {
      ...near.at,
      ...misfit(near.part, near.at.statement, request, context, near.version),
    };
    return {
      allowed: false,
      kind: 'implicitDeny',
      by: [],
      lacking,
      ...(nearest === undefined ? {} : { nearest }),
      reason: `${words[lacking]} ${request.action} on ${request.resource}${explain(nearest)}`,
    };
  };

  if (service) return resource.direct.length > 0 ? allow(resource.direct) : refuse('resource', resource.near);

  if (!sameAccount || (strict && resource.direct.length === 0)) {
    // Both sides must allow: across accounts always; for keys and roles unless their policy names the principal.
    if (anyResource.length === 0) return refuse('resource', resource.near);
    if (byIdentity.length === 0) return refuse('identity', identity.near);
    if (!bounded && !root) return refuse('boundary', boundary?.near);
    return allow([...byIdentity, ...anyResource]);
  }
  if (resource.direct.length > 0) {
    return bounded || resource.direct.some((one) => escapesBoundary(one, request.principal))
      ? allow(resource.direct)
      : refuse('boundary', boundary?.near);
  }
  if (byIdentity.length === 0) return refuse('identity', identity.near ?? resource.near);
  if (!bounded && !root) return refuse('boundary', boundary?.near);
  return allow(byIdentity);
}

interface Scan {
  denies: StatementAt[];
  /** Statements that allow and name the principal, or belong to it. */
  direct: StatementAt[];
  /** Statements that allow the account as a whole. */
  account: StatementAt[];
  /** The statement that would allow, of which the most parts fit. */
  near: Near | undefined;
}

interface Near {
  at: StatementAt;
  part: NearMiss['part'];
  version: string | undefined;
}

function scan(
  policies: readonly NamedPolicy[],
  request: AccessRequest,
  context: Context,
  withPrincipal: boolean,
  bounded = false,
): Scan {
  const withResource = !(withPrincipal && /^sts:AssumeRole/i.test(request.action));
  const result: Scan = { denies: [], direct: [], account: [], near: undefined };
  for (const { name, policy } of policies) {
    const version = policy.Version;
    const kind: StatementKind = { withPrincipal, withResource, version, bounded };
    const statements = list(policy.Statement);
    for (let index = 0; index < statements.length; index++) {
      const statement = statements[index] as Statement;
      const found = fit(statement, request, context, kind);
      const isNear = !applies(found);
      if (isNear && (statement.Effect !== 'Allow' || !isNearer(found, result.near))) continue;
      const at: StatementAt = { policy: name, index, statement };
      if (isNear) result.near = { at, part: found, version };
      else result[statement.Effect === 'Deny' ? 'denies' : found].push(at);
    }
  }
  return result;
}

const applies = (found: Fit): found is 'direct' | 'account' => found === 'direct' || found === 'account';

const isNearer = (part: NearMiss['part'], than: Near | undefined): boolean =>
  than === undefined || PARTS.indexOf(part) > PARTS.indexOf(than.part);

/** The parts of a statement, in the order in which they are looked at. */
const PARTS: NearMiss['part'][] = ['action', 'principal', 'resource', 'condition'];

const ROOT_ACCESS: StatementAt = {
  policy: 'the root of the account',
  index: 0,
  statement: { Effect: 'Allow' },
};

/**
 * A boundary limits what a resource's policy grants a role, but not what it grants a user or a session by its own ARN.
 */
const escapesBoundary = ({ statement }: StatementAt, principal: string): boolean =>
  !principal.includes(':role/') &&
  typeof statement.Principal === 'object' &&
  list(statement.Principal.AWS).includes(principal);

const sidOf = ({ statement, index }: StatementAt): string => statement.Sid ?? `statement ${index + 1}`;

function explain(near: NearMiss | undefined): string {
  if (!near || near.part === 'action') return '';
  const subject = near.part === 'condition' ? `${near.operator} ${near.key}` : `the ${near.part}`;
  const expects = excludes(near) ? 'expects anything but' : 'expects';
  const given = near.actual.length > 0 ? near.actual.join(', ') : 'nothing';
  return `: in ${near.policy} (${sidOf(near)}) ${subject} ${expects} ${near.expected.join(' or ')}, but the request has ${given}`;
}

/** Whether what a statement names is what it leaves out: NotResource, NotPrincipal, StringNotEquals. */
const excludes = ({ part, operator = '', statement }: NearMiss): boolean =>
  part === 'condition'
    ? /Not[A-Z]/.test(operator)
    : (part === 'resource' ? statement.NotResource : statement.NotPrincipal) !== undefined;
