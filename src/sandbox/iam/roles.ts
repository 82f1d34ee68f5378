import { randomBytes } from 'node:crypto';
import { partitionOfRegion } from '../../util/arn.ts';
import { AwsError } from '../aws-error.ts';
import { type Call, callerAccountOf, type Handlers, markAccountChanged } from '../call.ts';
import type { RoleState } from '../state.ts';
import { replaceIdsWithRoleArns } from '../stored-policies.ts';
import {
  checkIamName,
  checkIamTagKeys,
  checkIamTags,
  checkMaxLength,
  getMutableRole,
  getRoleByName,
  type IamTag,
  iamPageOf,
  iamValidationError,
  limitExceededError,
  requireManagedPolicy,
  SERVICE_ROLE_PATH,
} from './access.ts';
import { toAttachedPolicy } from './policies.ts';
import { encodeRfc3986, toStoredTrustPolicy } from './policy-documents.ts';

/** Handlers of the operations on roles. */
export const roleHandlers: Handlers = {
  CreateRole(call, input) {
    const account = callerAccountOf(call);
    const name: string = input.RoleName;
    const path: string = input.Path ?? '/';
    checkIamName(name, 'roleName', 64);
    checkRolePathInput(path);
    checkRoleSettings(input);
    if (account.roles.has(name.toLowerCase()))
      throw new AwsError(409, 'EntityAlreadyExists', `Role with name ${name} already exists.`);
    const tags: IamTag[] = input.Tags ?? [];
    checkIamTags(tags);
    const boundary: string | undefined = input.PermissionsBoundary;
    if (boundary !== undefined) requireManagedPolicy(call, boundary, 'Scope ARN:');
    const role = createRole(call, {
      name,
      path,
      trust: toStoredTrustPolicy(call, input.AssumeRolePolicyDocument),
      tags: new Map(tags.map(({ Key, Value }) => [Key, Value])),
      visibleFrom: call.now + call.faultSettings.rolePropagationMs,
      ...(input.MaxSessionDuration === undefined ? {} : { maxSessionDuration: input.MaxSessionDuration }),
      ...(input.Description === undefined ? {} : { description: input.Description }),
      ...(boundary === undefined ? {} : { permissionsBoundary: boundary }),
    });
    const { MaxSessionDuration: _, ...roleOutput } = toRoleOutput(call, role);
    return markAccountChanged(call, { Role: { ...roleOutput, ...toOptionalRoleFields(role) } });
  },

  CreateServiceLinkedRole(call, input) {
    const service: string = input.AWSServiceName;
    const label = service.split('.')[0] ?? '';
    checkMaxLength(input.Description, 'description', 1000);
    const suffix = input.CustomSuffix === undefined ? '' : `_${input.CustomSuffix}`;
    const name = `AWSServiceRoleFor${label.slice(0, 1).toUpperCase()}${label.slice(1)}${suffix}`;
    if (callerAccountOf(call).roles.has(name.toLowerCase())) {
      throw new AwsError(
        400,
        'InvalidInput',
        `Service role name ${name} has been taken in this account, please try a different suffix.`,
      );
    }
    const role = createRole(call, {
      name,
      path: `${SERVICE_ROLE_PATH}${service}/`,
      trust: JSON.stringify({
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Principal: { Service: service }, Action: 'sts:AssumeRole' }],
      }),
      ...(input.Description === undefined ? {} : { description: input.Description }),
    });
    return markAccountChanged(call, { Role: toRoleOutput(call, role) });
  },

  GetRole(call, input) {
    const role = getRoleByName(call, input.RoleName);
    return { Role: { ...toRoleOutput(call, role), ...toOptionalRoleFields(role), RoleLastUsed: {} } };
  },

  ListRoles(call, input) {
    const roles = [...callerAccountOf(call).roles.values()]
      .filter((role) => role.visibleFrom <= call.now && role.path.startsWith(input.PathPrefix ?? '/'))
      .map((role) => toRoleOutput(call, role));
    const { items, ...page } = iamPageOf(roles, input);
    return { Roles: items, ...page };
  },

  DeleteRole(call, input) {
    const role = getMutableRole(call, input.RoleName);
    if (role.inline.size > 0)
      throw new AwsError(409, 'DeleteConflict', 'Cannot delete entity, must delete policies first.');
    if (role.attached.length > 0)
      throw new AwsError(409, 'DeleteConflict', 'Cannot delete entity, must detach all policies first.');
    callerAccountOf(call).roles.delete(role.name.toLowerCase());
    return markAccountChanged(call, {});
  },

  UpdateAssumeRolePolicy(call, input) {
    getMutableRole(call, input.RoleName).trust = toStoredTrustPolicy(call, input.PolicyDocument);
    return markAccountChanged(call, {});
  },

  UpdateRole(call, input) {
    const role = getMutableRole(call, input.RoleName);
    checkRoleSettings(input);
    if (input.Description !== undefined) role.description = input.Description;
    if (input.MaxSessionDuration !== undefined) role.maxSessionDuration = input.MaxSessionDuration;
    return markAccountChanged(call, {});
  },

  UpdateRoleDescription(call, input) {
    const role = getMutableRole(call, input.RoleName);
    checkRoleSettings(input);
    role.description = input.Description;
    return markAccountChanged(call, { Role: toRoleOutput(call, role) });
  },

  TagRole(call, input) {
    const role = getMutableRole(call, input.RoleName);
    const tags: IamTag[] = input.Tags;
    checkIamTags(tags);
    const mergedTags = new Map([...role.tags, ...tags.map(({ Key, Value }) => [Key, Value] as const)]);
    if (mergedTags.size > 50) throw limitExceededError('The number of tags has reached the maximum limit.');
    role.tags = mergedTags;
    return markAccountChanged(call, {});
  },

  UntagRole(call, input) {
    const role = getMutableRole(call, input.RoleName);
    checkIamTagKeys(input.TagKeys);
    for (const key of input.TagKeys as string[]) role.tags.delete(key);
    return markAccountChanged(call, {});
  },

  ListRoleTags(call, input) {
    const { items, ...page } = iamPageOf(toRoleTags(getRoleByName(call, input.RoleName)), input);
    return { Tags: items, ...page };
  },

  /** Returns an empty list: the sandbox has no instance profiles. Terraform calls it before it deletes a role. */
  ListInstanceProfilesForRole(call, input) {
    getRoleByName(call, input.RoleName);
    const { items, ...page } = iamPageOf<never>([], input);
    return { InstanceProfiles: items, ...page };
  },
};

/** Creates a role in an account; default: that of the caller. */
export function createRole(
  call: Call,
  fields: Pick<RoleState, 'name' | 'path' | 'trust'> & Partial<RoleState>,
  account = callerAccountOf(call),
): RoleState {
  const role: RoleState = {
    id: `AROA${randomBase32(17)}`,
    arn: `arn:${partitionOfRegion(call.region)}:iam::${account.id}:role${fields.path}${fields.name}`,
    created: call.now,
    maxSessionDuration: 3600,
    tags: new Map(),
    inline: new Map(),
    attached: [],
    visibleFrom: call.now,
    ...fields,
  };
  account.roles.set(role.name.toLowerCase(), role);
  return role;
}

function checkRolePathInput(path: string): void {
  if (path.length <= 512 && /^\/(?:[\u0021-\u007e]+\/)?$/.test(path)) return;
  throw iamValidationError(
    path,
    'path',
    'Member must satisfy regular expression pattern: (\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)',
  );
}

function checkRoleSettings({
  Description,
  MaxSessionDuration: duration,
}: {
  Description?: string;
  MaxSessionDuration?: number;
}): void {
  checkMaxLength(Description, 'description', 1000);
  if (duration === undefined) return;
  const member = 'maxSessionDuration';
  if (duration < 3600)
    throw iamValidationError(
      String(duration),
      member,
      'Member must have value greater than or equal to 3600',
    );
  if (duration > 43_200)
    throw iamValidationError(String(duration), member, 'Member must have value less than or equal to 43200');
}

/** Returns random text in the alphabet of the ids and access keys of IAM. */
export function randomBase32(length: number): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  return [...randomBytes(length)].map((byte) => alphabet[byte % 32]).join('');
}

/** Returns a role in the form of lists. */
function toRoleOutput(call: Call, role: RoleState) {
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

/** Returns tags and boundary if they are set. Lists never contain them. */
function toOptionalRoleFields(role: RoleState): object {
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

/** Returns a role with its tags and policies, in the form of GetAccountAuthorizationDetails. */
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

const toRoleTags = (role: RoleState): { Key: string; Value: string }[] =>
  [...role.tags].map(([Key, Value]) => ({ Key, Value }));
