import type { Call } from './call.ts';
import { encoded } from './iam-documents.ts';
import { attachedShown } from './iam-role-policies.ts';
import { showPrincipals } from './principals.ts';
import type { RoleState } from './state.ts';

/** A role as lists show it. */
export function roleShown(call: Call, role: RoleState) {
  return {
    Path: role.path,
    RoleName: role.name,
    RoleId: role.id,
    Arn: role.arn,
    CreateDate: new Date(role.created),
    AssumeRolePolicyDocument: encoded(showPrincipals(call.store, role.trust)),
    ...(role.description === undefined ? {} : { Description: role.description }),
    MaxSessionDuration: role.maxSessionDuration,
  };
}

/** Tags and boundary are there only when they are set, and never in lists. */
export function roleExtras(role: RoleState): object {
  return {
    ...(role.tags.size > 0 ? { Tags: tagsOf(role) } : {}),
    ...(role.permissionsBoundary === undefined
      ? {}
      : {
          PermissionsBoundary: {
            PermissionsBoundaryType: 'Policy',
            PermissionsBoundaryArn: role.permissionsBoundary,
          },
        }),
  };
}

/** A role with everything that belongs to it, as GetAccountAuthorizationDetails shows it. */
export function roleDetail(call: Call, role: RoleState): object {
  return {
    ...roleShown(call, role),
    ...roleExtras(role),
    Tags: tagsOf(role),
    InstanceProfileList: [],
    RolePolicyList: [...role.inline].map(([PolicyName, text]) => ({
      PolicyName,
      PolicyDocument: encoded(text),
    })),
    AttachedManagedPolicies: role.attached.map(attachedShown),
  };
}

export const tagsOf = (role: RoleState): { Key: string; Value: string }[] =>
  [...role.tags].map(([Key, Value]) => ({ Key, Value }));
