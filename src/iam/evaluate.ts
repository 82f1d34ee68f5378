import { accountOfArn, contextOf, type RequestContext, roleArnOf, toList } from './context.ts';
import { isLimitedByRcps, isLimitedByScps } from './control-policies.ts';
import {
  ACCOUNT_ROOT_ARN,
  type MatchOptions,
  matchPrincipal,
  matchStatement,
  mismatchOf,
  type StatementMatch,
} from './statement.ts';
import type {
  AccessRequest,
  ControlPolicyLevel,
  ControlPolicyType,
  Decision,
  NamedPolicy,
  NearMiss,
  Policies,
  Statement,
  StatementRef,
} from './types.ts';

/**
 * Decides a request as IAM does, and gives the reason. Pure.
 *
 * An explicit deny in any policy wins. In one account, identity policies or the resource's policy allow. A key policy
 * or trust policy must allow by itself, or delegate to the account. Across accounts both sides must allow. A
 * permissions boundary limits what identity policies grant, and what a resource's policy grants a role. For a service
 * principal only the resource's policy counts. Every level of an organization must allow: SCPs limit the principals of
 * an account, RCPs its resources.
 * Not evaluated: session policies.
 */
export function evaluate(request: AccessRequest, policies: Policies): Decision {
  const context = contextOf(request);
  const identityScan = scanPolicies(policies.identity ?? [], request, context, IDENTITY_POLICY);
  const boundaryScan =
    policies.boundary && scanPolicies(policies.boundary, request, context, IDENTITY_POLICY);
  const resourcePolicies = policies.resource ? [policies.resource] : [];
  const resourceScan = scanPolicies(resourcePolicies, request, context, {
    hasPrincipal: true,
    hasResource: !TRUST_ACTION.test(request.action),
    hasBoundary: boundaryScan !== undefined,
  });
  const controlScans = scanControlPolicies(policies, request, context);

  const ownDenial = resourceScan.denies[0] ?? identityScan.denies[0] ?? boundaryScan?.denies[0];
  const denyingScan = controlScans.find(({ denies }) => denies.length > 0);
  const denial = ownDenial ?? denyingScan?.denies[0];
  if (denial) {
    return {
      allowed: false,
      kind: 'explicitDeny',
      statements: [denial],
      ...(ownDenial || !denyingScan ? {} : { controlPolicy: denyingScan.type }),
      reason: `${denial.policy} denies ${request.action} on ${request.resource} (${statementLabel(denial)})${explainNotPrincipal(denial, request.principal)}`,
    };
  }

  const isService = !request.principal.startsWith('arn:');
  const isSameAccount = !isService && accountOfArn(request.principal) === request.resourceAccount;
  const requiresResourceAllow = /^kms:/i.test(request.action) || TRUST_ACTION.test(request.action);
  const isRoot = ACCOUNT_ROOT_ARN.test(request.principal);
  // The root of an account may do everything in it. A key policy must allow even the root.
  const identityAllows = isRoot ? [ROOT_ALLOW] : identityScan.direct;
  const boundaryAllows = boundaryScan === undefined || boundaryScan.direct.length > 0;
  const resourceAllows = [...resourceScan.direct, ...resourceScan.account];

  const allowDecision = (statements: StatementRef[]): Decision => ({
    allowed: true,
    kind: 'allow',
    statements: statements.filter((statement) => statement !== ROOT_ALLOW),
    reason: `allowed by ${statements.map((statement) => `${statement.policy} (${statementLabel(statement)})`).join(' and ')}`,
  });
  const implicitDeny = (
    missingAllow: 'identity' | 'resource' | 'boundary',
    nearest: NearestStatement | undefined,
  ): Decision => {
    const subjects = {
      identity: `no identity policy of ${roleArnOf(request.principal)} allows`,
      resource: `${policies.resource?.name ?? `the policy of ${request.resource} (no policy exists)`} does not allow`,
      boundary: 'the permissions boundary does not allow',
    };
    const nearMiss = nearest && {
      ...nearest.ref,
      ...mismatchOf(nearest.part, nearest.ref.statement, request, context, nearest.version),
    };
    return {
      allowed: false,
      kind: 'implicitDeny',
      statements: [],
      missingAllow,
      ...(nearMiss === undefined ? {} : { nearMiss }),
      reason: `${subjects[missingAllow]} ${request.action} on ${request.resource}${explainNearMiss(nearMiss)}`,
    };
  };

  // IAM evaluates the control policies before the policies of principal and resource. No other policy can allow what a
  // level of them does not.
  const limitingScan = controlScans.find(({ direct }) => direct.length === 0);
  if (limitingScan) {
    const { type, level } = limitingScan;
    return {
      allowed: false,
      kind: 'implicitDeny',
      statements: [],
      missingAllow: type,
      controlPolicy: type,
      reason: `no ${type.toUpperCase()} attached to ${level} allows ${request.action} on ${request.resource}`,
    };
  }

  if (isService)
    return resourceScan.direct.length > 0
      ? allowDecision(resourceScan.direct)
      : implicitDeny('resource', resourceScan.nearest);

  if (!isSameAccount || (requiresResourceAllow && resourceScan.direct.length === 0)) {
    // Both sides must allow: across accounts always; for keys and roles unless their policy names the principal.
    if (resourceAllows.length === 0) return implicitDeny('resource', resourceScan.nearest);
    if (identityAllows.length === 0) return implicitDeny('identity', identityScan.nearest);
    if (!boundaryAllows && !isRoot) return implicitDeny('boundary', boundaryScan?.nearest);
    return allowDecision([...identityAllows, ...resourceAllows]);
  }
  if (resourceScan.direct.length > 0) {
    return boundaryAllows ||
      resourceScan.direct.some((statement) => escapesBoundary(statement, request.principal))
      ? allowDecision(resourceScan.direct)
      : implicitDeny('boundary', boundaryScan?.nearest);
  }
  if (identityAllows.length === 0)
    return implicitDeny('identity', identityScan.nearest ?? resourceScan.nearest);
  if (!boundaryAllows && !isRoot) return implicitDeny('boundary', boundaryScan?.nearest);
  return allowDecision(identityAllows);
}

/** Actions that a trust policy allows. Its statements have no Resource. */
const TRUST_ACTION = /^sts:(AssumeRole|TagSession|SetSourceIdentity)/i;

interface PolicyScan {
  denies: StatementRef[];
  /** Statements that allow and name the principal, or are in a policy of the principal. */
  direct: StatementRef[];
  /** Statements that allow the account as a whole. */
  account: StatementRef[];
  /** The Allow statement that matches the most parts of the request without matching all of them. */
  nearest: NearestStatement | undefined;
}

interface NearestStatement {
  ref: StatementRef;
  part: NearMiss['part'];
  version: string | undefined;
}

type PolicyForm = Omit<MatchOptions, 'version'>;

/** The form of identity policies, permissions boundaries and SCPs. */
const IDENTITY_POLICY: PolicyForm = { hasPrincipal: false, hasResource: true, hasBoundary: false };

/** The form of RCPs. They have Resource elements for every action, also for those of a trust policy. */
const RESOURCE_CONTROL_POLICY: PolicyForm = { hasPrincipal: true, hasResource: true, hasBoundary: false };

/** Scans each level of the control policies that limit a request. */
function scanControlPolicies(
  { scps = [], rcps = [] }: Policies,
  request: AccessRequest,
  context: RequestContext,
): (PolicyScan & { type: ControlPolicyType; level: string })[] {
  const scan = (type: ControlPolicyType, levels: ControlPolicyLevel[], form: PolicyForm) =>
    levels.map(({ name, policies }) => ({
      type,
      level: name,
      ...scanPolicies(policies, request, context, form),
    }));
  return [
    ...(isLimitedByScps(request.principal, context) ? scan('scp', scps, IDENTITY_POLICY) : []),
    ...(isLimitedByRcps(request.action, request.principal, context)
      ? scan('rcp', rcps, RESOURCE_CONTROL_POLICY)
      : []),
  ];
}

function scanPolicies(
  policies: readonly NamedPolicy[],
  request: AccessRequest,
  context: RequestContext,
  form: PolicyForm,
): PolicyScan {
  const result: PolicyScan = { denies: [], direct: [], account: [], nearest: undefined };
  for (const { name, policy } of policies) {
    const version = policy.Version;
    const options: MatchOptions = { ...form, version };
    const statements = toList(policy.Statement);
    for (let index = 0; index < statements.length; index++) {
      const statement = statements[index] as Statement;
      const match = matchStatement(statement, request, context, options);
      const isNearMiss = !isMatch(match);
      if (isNearMiss && (statement.Effect !== 'Allow' || !isNearerThan(match, result.nearest))) continue;
      const statementRef: StatementRef = { policy: name, index, statement };
      if (isNearMiss) result.nearest = { ref: statementRef, part: match, version };
      else result[statement.Effect === 'Deny' ? 'denies' : match].push(statementRef);
    }
  }
  return result;
}

const isMatch = (match: StatementMatch): match is 'direct' | 'account' =>
  match === 'direct' || match === 'account';

const isNearerThan = (part: NearMiss['part'], nearest: NearestStatement | undefined): boolean =>
  nearest === undefined || EVALUATION_ORDER.indexOf(part) > EVALUATION_ORDER.indexOf(nearest.part);

/** The parts of a statement, in evaluation order. */
const EVALUATION_ORDER: NearMiss['part'][] = ['action', 'principal', 'resource', 'condition'];

const ROOT_ALLOW: StatementRef = {
  policy: 'the root of the account',
  index: 0,
  statement: { Effect: 'Allow' },
};

/**
 * Returns whether a grant applies in spite of a permissions boundary. A boundary limits what a resource's policy grants
 * a role. It does not limit what the policy grants a user or a session by its own ARN.
 */
const escapesBoundary = ({ statement }: StatementRef, principal: string): boolean =>
  !principal.includes(':role/') &&
  typeof statement.Principal === 'object' &&
  toList(statement.Principal.AWS).includes(principal);

/** Explains a Deny that was meant to exempt the principal. */
const explainNotPrincipal = ({ statement: { NotPrincipal } }: StatementRef, principal: string): string =>
  NotPrincipal !== undefined && matchPrincipal(NotPrincipal, principal) === 'direct'
    ? ': NotPrincipal exempts a role only if it names the role, its session and its account, and never one with a permissions boundary'
    : '';

const statementLabel = ({ statement, index }: StatementRef): string =>
  statement.Sid ?? `statement ${index + 1}`;

function explainNearMiss(nearMiss: NearMiss | undefined): string {
  if (!nearMiss || nearMiss.part === 'action') return '';
  const subject =
    nearMiss.part === 'condition' ? `${nearMiss.operator} ${nearMiss.key}` : `the ${nearMiss.part}`;
  const expects = isNegated(nearMiss) ? 'expects any value except' : 'expects';
  const actual = nearMiss.actual.length > 0 ? nearMiss.actual.join(', ') : 'nothing';
  return `: in ${nearMiss.policy} (${statementLabel(nearMiss)}) ${subject} ${expects} ${nearMiss.expected.join(' or ')}, but the request has ${actual}`;
}

/** Returns whether the element lists exclusions: NotResource, NotPrincipal, StringNotEquals. */
const isNegated = ({ part, operator = '', statement }: NearMiss): boolean =>
  part === 'condition'
    ? /Not[A-Z]/.test(operator)
    : (part === 'resource' ? statement.NotResource : statement.NotPrincipal) !== undefined;
