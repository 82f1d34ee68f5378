import { ACCOUNT_POLICY_NAME, accountPolicyOf, authorize } from '../authorize.ts';
import { callerAccountOf, type Handlers } from '../call.ts';
import { findRole } from '../stored-policies.ts';
import { iamPageOf, noSuchEntityError } from './access.ts';
import { toPolicyOutput } from './policies.ts';
import { encodeRfc3986 } from './policy-documents.ts';
import { toRoleDetail } from './roles.ts';

/** Handlers of the account-wide operations and of the policy simulator. */
export const iamAccountHandlers: Handlers = {
  GetAccountAuthorizationDetails(call, input) {
    const account = callerAccountOf(call);
    const filter: string[] = input.Filter ?? ['Role', 'LocalManagedPolicy'];
    const details = [
      ...(filter.includes('Role') ? [...account.roles.values()] : [])
        .filter(({ visibleFrom }) => visibleFrom <= call.now)
        .map((role) => ({ role: toRoleDetail(call, role) })),
      ...(filter.includes('LocalManagedPolicy') ? [...account.policies.values()] : []).map(
        ({ arn, document }) => ({
          policy: {
            ...toPolicyOutput(call, arn),
            PolicyVersionList: [
              { Document: encodeRfc3986(document), VersionId: 'v1', IsDefaultVersion: true },
            ],
          },
        }),
      ),
    ];
    const { items, ...page } = iamPageOf(details, input);
    return {
      RoleDetailList: items.flatMap((item) => ('role' in item ? [item.role] : [])),
      Policies: items.flatMap((item) => ('policy' in item ? [item.policy] : [])),
      ...page,
    };
  },

  GetAccountSummary: (call) => ({
    SummaryMap: {
      Roles: callerAccountOf(call).roles.size,
      RolesQuota: 1000,
      RolePolicySizeQuota: 10_240,
      AssumeRolePolicySizeQuota: 2048,
      AttachedPoliciesPerRoleQuota: 10,
      PolicySizeQuota: 6144,
    },
  }),

  /** Evaluates only the identity policies and the boundary of a role, without resource policies. */
  SimulatePrincipalPolicy(call, input) {
    const role = findRole(call.store, input.PolicySourceArn, call.now);
    if (!role) throw noSuchEntityError('Unable to retrieve specified IAM entity.');
    const resources: string[] = input.ResourceArns ?? ['*'];
    const contextEntries: { ContextKeyName: string; ContextKeyValues?: string[] }[] =
      input.ContextEntries ?? [];
    const context = Object.fromEntries(
      contextEntries.map(({ ContextKeyName, ContextKeyValues = [] }) => [ContextKeyName, ContextKeyValues]),
    );
    const results = (input.ActionNames as string[]).flatMap((action) =>
      resources.map((resource) => {
        const decision = authorize(
          call.store,
          {
            principal: role.arn,
            action,
            resource,
            resourceAccount: call.caller.account,
            context,
            // KMS evaluates identity policies only if the key policy delegates to the account. This policy delegates.
            resourcePolicy: accountPolicyOf(call.caller.account),
          },
          call.now,
        );
        return {
          EvalActionName: action,
          EvalResourceName: resource,
          EvalDecision: decision.allowed ? 'allowed' : decision.kind,
          MatchedStatements: decision.statements
            .filter(({ policy }) => policy !== ACCOUNT_POLICY_NAME)
            .map(({ policy }) => ({ SourcePolicyId: policy, SourcePolicyType: 'IAM Policy' })),
        };
      }),
    );
    return { EvaluationResults: results, IsTruncated: false };
  },
};
