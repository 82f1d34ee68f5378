import { accountOfArn, toList } from '../iam/context.ts';
import { evaluate } from '../iam/evaluate.ts';
import { findGrant, type Grant, withGrant } from '../iam/grants.ts';
import { ACCOUNT_ROOT_ARN, isPublicPolicy } from '../iam/statement.ts';
import type { AccessRequest, Decision, NamedPolicy, Policies } from '../iam/types.ts';
import { partitionOfArn } from '../util/arn.ts';
import { controlPoliciesOf, organizationContextOf } from './organizations/control-policies.ts';
import type {
  AccountState,
  BucketState,
  KeyState,
  QueueState,
  RoleState,
  SessionState,
  TopicState,
} from './state.ts';
import type { Store } from './store.ts';
import {
  findRole,
  managedPolicyDocumentOf,
  parseDocument,
  policyInUse,
  readablePolicyOf,
  toReadablePrincipal,
} from './stored-policies.ts';

/**
 * Evaluates a request against the policies of the principal and the policy of the resource. A grant of a key allows what
 * no policy denies. Session policies and a permissions boundary limit what the others allow.
 */
export function authorize(
  store: Store,
  request: AccessRequest & {
    resourcePolicy?: NamedPolicy;
    grants?: readonly Grant[];
    session?: SessionState;
  },
  now: number,
): Decision {
  const { resourcePolicy, grants = [], session: callerSession, ...accessRequest } = request;
  const role = roleOfPrincipal(store, request.principal, now);
  const session = callerSession ?? findSession(store, request.principal, now);
  const policies: Policies = {
    identity: role ? identityPoliciesOf(store, role, now) : identityPoliciesOfUser(request.principal),
    ...boundaryOf(store, role),
    ...enforcedControlPolicies(store, request),
    ...(resourcePolicy === undefined ? {} : { resource: resourcePolicy }),
  };
  // Every request carries these condition keys. aws:PrincipalArn is the ARN of the role, because the ARN of a session
  // omits the path of its role.
  const context = {
    'aws:CurrentTime': new Date(now).toISOString(),
    'aws:EpochTime': String(Math.floor(now / 1000)),
    'aws:PrincipalIsAWSService': 'false',
    'aws:ResourceAccount': accessRequest.resourceAccount,
    'aws:ViaAWSService': 'false',
    ...(role ? roleContextOf(role, request.principal, session) : userContextOf(request.principal)),
    ...organizationContextFor(store, request),
    ...accessRequest.context,
  };
  const fullRequest = { ...accessRequest, context };
  const decision = evaluateWithGrants(fullRequest, policies, grants);
  if (!decision.allowed || session?.policies === undefined) return decision;
  // Session policies limit the permissions of a session as a permissions boundary limits those of a role.
  const boundary = session.policies.map(({ name, document }) => ({
    name,
    policy: parseDocument(document),
  }));
  const limitedDecision = evaluateWithGrants(fullRequest, { ...policies, boundary }, grants);
  return limitedDecision.missingAllow === 'boundary'
    ? { ...limitedDecision, reason: `no session policy allows the ${request.action} action` }
    : limitedDecision;
}

/** Returns the control policies of a request. RCPs do not limit AWS managed keys (KMS Developer Guide, "RCPs in AWS KMS"). */
function enforcedControlPolicies(
  store: Store,
  { principal, resource, resourceAccount }: AccessRequest,
): Pick<Policies, 'scps' | 'rcps'> {
  const { scps, rcps } = controlPoliciesOf(store, {
    principalAccount: accountOfArn(principal),
    resourceAccount,
  });
  const [, region, keyId] = /^arn:[^:]+:kms:([^:]+):\d{12}:key\/(.+)$/.exec(resource) ?? [];
  const isManagedKey =
    keyId !== undefined && store.account(resourceAccount).keys.get(`${region}/${keyId}`)?.manager === 'AWS';
  return { ...(scps && { scps }), ...(rcps && !isManagedKey ? { rcps } : {}) };
}

const organizationContextFor = (
  store: Store,
  { principal, resourceAccount, context = {} }: AccessRequest,
): Record<string, string | string[]> =>
  organizationContextOf(store, {
    Principal: accountOfArn(principal),
    Resource: resourceAccount,
    Source: toList(context['aws:SourceAccount'])[0],
  });

function evaluateWithGrants(request: AccessRequest, policies: Policies, grants: readonly Grant[]): Decision {
  const decision = evaluate(request, policies);
  if (decision.kind !== 'implicitDeny') return decision;
  const grant = findGrant(grants, request);
  return grant ? evaluate(request, withGrant(policies, grant, request)) : decision;
}

/** Returns the condition keys of a session of a role. A session tag replaces the role's tag of the same key. */
const roleContextOf = (
  role: RoleState,
  principal: string,
  session: SessionState | undefined,
): Record<string, string> => ({
  'aws:PrincipalArn': role.arn,
  'aws:PrincipalType': 'AssumedRole',
  'aws:userId': `${role.id}:${principal.slice(principal.lastIndexOf('/') + 1)}`,
  ...(session?.sourceIdentity === undefined ? {} : { 'aws:SourceIdentity': session.sourceIdentity }),
  ...Object.fromEntries(
    [...role.tags, ...Object.entries(session?.tags ?? {})].map(([key, value]) => [
      `aws:PrincipalTag/${key.toLowerCase()}`,
      value,
    ]),
  ),
});

/** Returns the condition keys of a root user, or of the user `admin` (IAM User Guide, "aws:PrincipalType", "aws:userid"). */
function userContextOf(principal: string): Record<string, string> {
  if (ACCOUNT_ROOT_ARN.test(principal))
    return { 'aws:PrincipalType': 'Account', 'aws:userId': accountOfArn(principal) };
  return isAdminUser(principal)
    ? {
        'aws:PrincipalType': 'User',
        'aws:userId': adminUserIdOf(accountOfArn(principal)),
        'aws:username': ADMIN_USER_NAME,
      }
    : {};
}

/**
 * Returns the session of an ARN. A service that acts for a caller, as S3 does when it calls KMS, knows only the ARN. Of
 * several sessions of one name it is the newest.
 */
function findSession(store: Store, principal: string, now: number): SessionState | undefined {
  const [, account, role, name] =
    /^arn:[^:]+:sts::(\d{12}):assumed-role\/([^/]+)\/(.+)$/.exec(principal) ?? [];
  if (account === undefined) return undefined;
  return [...store.account(account).sessions.values()].findLast(
    ({ roleName, sessionName, expires }) => roleName === role && sessionName === name && expires >= now,
  );
}

/** The user of each account, who has the policy AdministratorAccess. */
export const ADMIN_USER_NAME = 'admin';

const ADMINISTRATOR_ACCESS: NamedPolicy = {
  name: 'managed policy "AdministratorAccess"',
  policy: { Version: '2012-10-17', Statement: { Effect: 'Allow', Action: '*', Resource: '*' } },
};

const isAdminUser = (principal: string): boolean => principal.endsWith(`:user/${ADMIN_USER_NAME}`);

const identityPoliciesOfUser = (principal: string): NamedPolicy[] =>
  isAdminUser(principal) ? [ADMINISTRATOR_ACCESS] : [];

/** Returns the unique id of the user `admin` of an account. */
export const adminUserIdOf = (account: string): string => `AIDA${account}ADMIN`;

/** Evaluates whether a service may assume a role, and returns the ARN of the resulting session. */
export function assumeRole(
  store: Store,
  roleArn: string,
  service: string,
  now: number,
  context: Record<string, string> = {},
  sessionName = 's3-replication',
): { decision: Decision; principal?: string } {
  const role = findRole(store, roleArn, now);
  if (!role) {
    return {
      decision: {
        allowed: false,
        kind: 'implicitDeny',
        statements: [],
        reason: `the role ${roleArn} does not exist`,
      },
    };
  }
  const account = roleArn.split(':')[4] ?? '';
  const request = {
    principal: service,
    action: 'sts:AssumeRole',
    resource: roleArn,
    resourceAccount: account,
  };
  const serviceContext = {
    'aws:PrincipalIsAWSService': 'true',
    'aws:PrincipalServiceName': service,
    'aws:ResourceAccount': account,
    'aws:SecureTransport': 'true',
    ...organizationContextFor(store, { ...request, context }),
    ...context,
  };
  const decision = evaluate(
    { ...request, context: serviceContext },
    {
      resource: toNamedPolicy(store, `trust policy of ${role.name}`, role.trust),
      ...enforcedControlPolicies(store, request),
    },
  );
  if (!decision.allowed) return { decision };
  return {
    decision,
    principal: `arn:${partitionOfArn(roleArn)}:sts::${account}:assumed-role/${role.name}/${sessionName}`,
  };
}

/** Parses a stored policy, and adds the name that explanations of decisions show. */
export const toNamedPolicy = (store: Store, name: string, text: string): NamedPolicy => ({
  name,
  policy: readablePolicyOf(store, text),
});

/** Returns the policy of a bucket as the resource policy of a request; empty for a bucket without a policy. */
export const bucketPolicyOf = (
  store: Store,
  { name, policy: storedPolicy, superseded }: BucketState,
  now: number,
): { resourcePolicy?: NamedPolicy } => {
  const policy = policyInUse(storedPolicy, superseded, now);
  return policy === undefined
    ? {}
    : { resourcePolicy: toNamedPolicy(store, `bucket policy of ${name}`, policy) };
};

/** Returns the policy of a queue as the resource policy of a request; empty for a queue without a policy. */
export const queuePolicyOf = (
  store: Store,
  { name, policy: storedPolicy, superseded }: QueueState,
  now: number,
): { resourcePolicy?: NamedPolicy } => {
  const policy = policyInUse(storedPolicy, superseded, now);
  return policy === undefined
    ? {}
    : { resourcePolicy: toNamedPolicy(store, `queue policy of ${name}`, policy) };
};

export const topicPolicyOf = (
  store: Store,
  { name, policy, superseded }: TopicState,
  now: number,
): NamedPolicy => toNamedPolicy(store, `topic policy of ${name}`, policyInUse(policy, superseded, now));

/** A service that sends on behalf of a resource: S3 for a bucket, SNS for a topic, CloudWatch for an alarm. */
export interface ServiceSender {
  /** `s3.amazonaws.com` */
  service: string;
  /** ARN of the resource on whose behalf the service sends. */
  sourceArn: string;
  /** Account that owns this resource. */
  sourceAccount: string;
}

/** Returns the condition keys of a request that a service makes (IAM User Guide, "Cross-service confused deputy prevention"). */
export const serviceConditionKeysOf = ({
  service,
  sourceArn,
  sourceAccount,
}: ServiceSender): Record<string, string> => ({
  'aws:PrincipalIsAWSService': 'true',
  'aws:PrincipalServiceName': service,
  'aws:SecureTransport': 'true',
  'aws:SourceAccount': sourceAccount,
  'aws:SourceArn': sourceArn,
});

/**
 * Returns whether S3 denies an account everything: the policy of the bucket is public, RestrictPublicBuckets is on, and
 * the account does not own the bucket. Statements that name the account do not count either (S3 API Reference,
 * PublicAccessBlockConfiguration).
 */
export const isRestrictedFor = (
  { publicAccessBlock, policy, owner }: BucketState,
  account: string,
): boolean =>
  account !== owner &&
  publicAccessBlock?.RestrictPublicBuckets === true &&
  policy !== undefined &&
  isPublicPolicy(parseDocument(policy));

export const keyPolicyOf = (store: Store, { arn, policy, superseded }: KeyState, now: number): NamedPolicy =>
  toNamedPolicy(store, `key policy of ${arn}`, policyInUse(policy, superseded, now));

/** Returns the grants of a key, as ListGrants lists them. */
export const grantsOf = (store: Store, { grants = [] }: KeyState): Grant[] =>
  grants.map(({ id, grantee, operations, constraints }) => ({
    GrantId: id,
    GranteePrincipal: toReadablePrincipal(store, grantee),
    Operations: operations,
    ...(constraints && { Constraints: constraints }),
  }));

/** Returns a resource policy that delegates the decision to the identity policies of an account. */
export const accountPolicyOf = (account: string): NamedPolicy => ({
  name: ACCOUNT_POLICY_NAME,
  policy: { Statement: { Effect: 'Allow', Principal: { AWS: account }, Action: '*', Resource: '*' } },
});

export const ACCOUNT_POLICY_NAME = 'the account';

/** Formats the message that IAM, KMS and STS return for a request that policies do not allow. */
export function formatAccessDenied(
  principal: string,
  action: string,
  resource: string,
  reason?: string,
): string {
  const reasonClause = reason === undefined ? '' : ` because ${reason}`;
  return `User: ${principal} is not authorized to perform: ${action} on resource: ${resource}${reasonClause}`;
}

function roleOfPrincipal(store: Store, principal: string, now: number): RoleState | undefined {
  const [, account, name] = /^arn:[^:]+:sts::(\d{12}):assumed-role\/([^/]+)\//.exec(principal) ?? [];
  if (account === undefined || name === undefined) return findRole(store, principal, now);
  return store.account(account).roles.get(name.toLowerCase());
}

function identityPoliciesOf(store: Store, role: RoleState, now: number): NamedPolicy[] {
  const account = store.account(role.arn.split(':')[4] ?? '');
  return [
    ...[...policyInUse(role.inline, role.superseded, now)].map(([name, text]) => ({
      name: `role policy "${name}"`,
      policy: parseDocument(text),
    })),
    ...role.attached.flatMap((arn) =>
      loadManagedPolicy(account, arn, `managed policy "${arn.slice(arn.lastIndexOf('/') + 1)}"`),
    ),
  ];
}

function boundaryOf(store: Store, role: RoleState | undefined): Pick<Policies, 'boundary'> {
  if (role?.permissionsBoundary === undefined) return {};
  const account = store.account(role.arn.split(':')[4] ?? '');
  return { boundary: loadManagedPolicy(account, role.permissionsBoundary, 'permissions boundary') };
}

/** Returns an empty list, which allows nothing, for a policy that is deleted or unknown to the sandbox. */
function loadManagedPolicy(account: AccountState, arn: string, name: string): NamedPolicy[] {
  const document = managedPolicyDocumentOf(account, arn);
  return document === undefined ? [] : [{ name, policy: parseDocument(document) }];
}
