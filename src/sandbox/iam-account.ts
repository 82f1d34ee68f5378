import { authorize } from './authorize.ts';
import type { Handlers } from './call.ts';
import { accountOf, noSuch } from './iam-access.ts';
import { encoded } from './iam-documents.ts';
import { policyShown } from './iam-managed-policies.ts';
import { roleDetail } from './iam-role-shown.ts';
import { page } from './page.ts';
import { findRole } from './principals.ts';
import type { AccountState } from './state.ts';

/** What IAM tells of a whole account, and what would be allowed in it. */
export const accountHandlers: Handlers = {
  GetAccountAuthorizationDetails(call, input) {
    const account = accountOf(call);
    const wanted: string[] = input.Filter ?? ['Role', 'LocalManagedPolicy'];
    const details = [
      ...(wanted.includes('Role') ? [...account.roles.values()] : [])
        .filter(({ visibleFrom }) => visibleFrom <= call.now)
        .map((role) => ({ role: roleDetail(call, role) })),
      ...(wanted.includes('LocalManagedPolicy') ? [...account.policies.values()] : []).map(
        ({ arn, document }) => ({
          policy: {
            ...policyShown(call, arn),
            PolicyVersionList: [{ Document: encoded(document), VersionId: 'v1', IsDefaultVersion: true }],
          },
        }),
      ),
    ];
    const { items, next } = page(details, input.MaxItems ?? 100, input.Marker);
    return {
      RoleDetailList: items.flatMap((item) => ('role' in item ? [item.role] : [])),
      Policies: items.flatMap((item) => ('policy' in item ? [item.policy] : [])),
      IsTruncated: next !== undefined,
      Marker: next,
    };
  },

  GetAccountSummary: (call) => ({
    SummaryMap: {
      Roles: accountOf(call).roles.size,
      RolesQuota: 1000,
      RolePolicySizeQuota: 10_240,
      AssumeRolePolicySizeQuota: 2048,
      AttachedPoliciesPerRoleQuota: 10,
      PolicySizeQuota: 6144,
    },
  }),

  /** Identity policies and boundary of a role alone: resource policies have no say here. */
  SimulatePrincipalPolicy(call, input) {
    const role = findRole(call.store, input.PolicySourceArn, call.now);
    if (!role) throw noSuch('Unable to retrieve specified IAM entity.');
    const resources: string[] = input.ResourceArns ?? ['*'];
    const given: { ContextKeyName: string; ContextKeyValues?: string[] }[] = input.ContextEntries ?? [];
    const context = Object.fromEntries(
      given.map(({ ContextKeyName, ContextKeyValues = [] }) => [ContextKeyName, ContextKeyValues]),
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
            resourcePolicy: leftToTheAccount(accountOf(call)),
          },
          call.now,
        );
        return {
          EvalActionName: action,
          EvalResourceName: resource,
          EvalDecision: decision.allowed ? 'allowed' : decision.kind,
          MatchedStatements: decision.by
            .filter(({ policy }) => policy !== THE_ACCOUNT)
            .map(({ policy }) => ({ SourcePolicyId: policy, SourcePolicyType: 'IAM Policy' })),
        };
      }),
    );
    return { EvaluationResults: results, IsTruncated: false };
  },
};

const THE_ACCOUNT = 'the account';

/** Key policies must leave a decision to the account before identity policies count: here they do. */
const leftToTheAccount = ({ id }: AccountState) => ({
  name: THE_ACCOUNT,
  policy: {
    Statement: { Effect: 'Allow' as const, Principal: { AWS: id }, Action: '*', Resource: '*' },
  },
});
