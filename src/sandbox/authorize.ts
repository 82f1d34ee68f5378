import { evaluate } from '../iam/evaluate.ts';
import type { AccessRequest, Decision, NamedPolicy, Policies, Policy } from '../iam/types.ts';
import type { AccountState, BucketState, KeyState, RoleState } from './state.ts';
import type { Store } from './store.ts';
import { findRole, managedPolicyDocumentOf, replaceIdsWithRoleArns } from './stored-policies.ts';

/** Decide a request with all policies that have a say: those of the role behind the principal, and the resource's. */
export function authorize(
  store: Store,
  request: AccessRequest & { resourcePolicy?: NamedPolicy },
  now: number,
): Decision {
  const { resourcePolicy, ...accessRequest } = request;
  const role = roleOfPrincipal(store, request.principal, now);
  const policies: Policies = {
    identity: role ? identityPoliciesOf(store, role) : [],
    ...boundaryOf(store, role),
    ...(resourcePolicy === undefined ? {} : { resource: resourcePolicy }),
  };
  // Condition keys that every request carries. The ARN of a session leaves the path of its role out; aws:PrincipalArn
  // is the role's own.
  const context = {
    'aws:PrincipalIsAWSService': 'false',
    'aws:ResourceAccount': accessRequest.resourceAccount,
    ...(role && { 'aws:PrincipalArn': role.arn, 'aws:PrincipalType': 'AssumedRole' }),
    ...accessRequest.context,
  };
  return evaluate({ ...accessRequest, context }, policies);
}

/** May a service assume that role, and as which session does it act then? */
export function assumeRole(
  store: Store,
  roleArn: string,
  service: string,
  now: number,
  context: Record<string, string> = {},
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
  const decision = evaluate(
    { principal: service, action: 'sts:AssumeRole', resource: roleArn, resourceAccount: account, context },
    { resource: toNamedPolicy(store, `trust policy of ${role.name}`, role.trust) },
  );
  if (!decision.allowed) return { decision };
  return { decision, principal: `arn:aws:sts::${account}:assumed-role/${role.name}/s3-replication` };
}

/** A stored policy, by the name under which an explanation speaks of it. */
export const toNamedPolicy = (store: Store, name: string, text: string): NamedPolicy => ({
  name,
  policy: JSON.parse(replaceIdsWithRoleArns(store, text)) as Policy,
});

/** The policy of a bucket as the resource policy of a request; nothing where it has none. */
export const bucketPolicyOf = (
  store: Store,
  { name, policy }: BucketState,
): { resourcePolicy?: NamedPolicy } =>
  policy === undefined ? {} : { resourcePolicy: toNamedPolicy(store, `bucket policy of ${name}`, policy) };

export const keyPolicyOf = (store: Store, { arn, policy }: KeyState): NamedPolicy =>
  toNamedPolicy(store, `key policy of ${arn}`, policy);

/** A resource policy that leaves the decision to the identity policies of an account. */
export const accountPolicyOf = (account: string): NamedPolicy => ({
  name: ACCOUNT_POLICY_NAME,
  policy: { Statement: { Effect: 'Allow', Principal: { AWS: account }, Action: '*', Resource: '*' } },
});

export const ACCOUNT_POLICY_NAME = 'the account';

/** The message of IAM, KMS and STS for a request that policies do not allow. */
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

function identityPoliciesOf(store: Store, role: RoleState): NamedPolicy[] {
  const account = store.account(role.arn.split(':')[4] ?? '');
  return [
    ...[...role.inline].map(([name, text]) => ({
      name: `role policy "${name}"`,
      policy: JSON.parse(text) as Policy,
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

/** None when it is gone or not known here: then it allows nothing. */
function loadManagedPolicy(account: AccountState, arn: string, name: string): NamedPolicy[] {
  const document = managedPolicyDocumentOf(account, arn);
  return document === undefined ? [] : [{ name, policy: JSON.parse(document) as Policy }];
}
