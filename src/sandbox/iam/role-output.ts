import type { Call } from '../call.ts';
import type { RoleState } from '../state.ts';
import { replaceIdsWithRoleArns } from '../stored-policies.ts';
import { encodeRfc3986 } from './policy-documents.ts';
import { toAttachedPolicy } from './role-policies.ts';

/** A role as lists show it. */
export function toRoleOutput(call: Call, role: RoleState) {
  return {
    Path: role.path,
    RoleName: role.name,
    RoleId: role.id,
    Arn: role.arn,
    CreateDate: new Date(role.created),
    AssumeRolePolicyDocument: encodeRfc3986(replaceIdsWithRoleArns(call.store, role.trust)),
    ...(role.description === undefined ? {} : { Description: role.description }),
    MaxSessionDuration: role.maxSessionDuration,
  };
}

/** Tags and boundary are there only when they are set, and never in lists. */
export function toOptionalRoleFields(role: RoleState): object {
  return {
    ...(role.tags.size > 0 ? { Tags: toRoleTags(role) } : {}),
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
export function toRoleDetail(call: Call, role: RoleState): object {
  return {
    ...toRoleOutput(call, role),
    ...toOptionalRoleFields(role),
    Tags: toRoleTags(role),
    InstanceProfileList: [],
    RolePolicyList: [...role.inline].map(([PolicyName, text]) => ({
      PolicyName,
      PolicyDocument: encodeRfc3986(text),
    })),
    AttachedManagedPolicies: role.attached.map(toAttachedPolicy),
  };
}

export const toRoleTags = (role: RoleState): { Key: string; Value: string }[] =>
  [...role.tags].map(([Key, Value]) => ({ Key, Value }));
