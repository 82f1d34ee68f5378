import { randomBytes } from 'node:crypto';
import { AwsError } from '../aws-error.ts';
import { type Call, type Handlers, pageOf } from '../call.ts';
import type { RoleState } from '../state.ts';
import { isAwsManagedPolicy } from '../stored-policies.ts';
import {
  checkIamName,
  checkMaxLength,
  getMutableRole,
  getRoleByName,
  iamAccountOf,
  iamValidationError,
  limitExceededError,
  markIamChanged,
  noSuchEntityError,
  SERVICE_ROLE_PATH,
  withIamAuthorization,
} from './access.ts';
import { iamAccountHandlers } from './account.ts';
import { managedPolicyHandlers } from './managed-policies.ts';
import { toStoredTrustPolicy } from './policy-documents.ts';
import { toOptionalRoleFields, toRoleOutput, toRoleTags } from './role-output.ts';
import { rolePolicyHandlers } from './role-policies.ts';

type IamTag = { Key: string; Value: string };

/** The operations on roles themselves. */
const roleHandlers: Handlers = {
  CreateRole(call, input) {
    const account = iamAccountOf(call);
    const name: string = input.RoleName;
    const path: string = input.Path ?? '/';
    checkIamName(name, 'roleName', 64);
    checkRolePathInput(path);
    checkRoleSettings(input);
    if (account.roles.has(name.toLowerCase()))
      throw new AwsError(409, 'EntityAlreadyExists', `Role with name ${name} already exists.`);
    const tags: IamTag[] = input.Tags ?? [];
    if (tags.length > 50)
      throw new AwsError(400, 'InvalidInput', 'The number of tags has exceeded the maximum limit.');
    checkIamTags(tags);
    const boundary: string | undefined = input.PermissionsBoundary;
    if (boundary !== undefined && !isAwsManagedPolicy(boundary) && !account.policies.has(boundary))
      throw noSuchEntityError(`Scope ARN: ${boundary} does not exist or is not attachable.`);
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
    return markIamChanged(call, { Role: { ...roleOutput, ...toOptionalRoleFields(role) } });
  },

  CreateServiceLinkedRole(call, input) {
    const service: string = input.AWSServiceName;
    const label = service.split('.')[0] ?? '';
    const name = `AWSServiceRoleFor${label.slice(0, 1).toUpperCase()}${label.slice(1)}`;
    if (iamAccountOf(call).roles.has(name.toLowerCase())) {
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
    });
    return markIamChanged(call, { Role: toRoleOutput(call, role) });
  },

  GetRole(call, input) {
    const role = getRoleByName(call, input.RoleName);
    return { Role: { ...toRoleOutput(call, role), ...toOptionalRoleFields(role), RoleLastUsed: {} } };
  },

  ListRoles(call, input) {
    const roles = [...iamAccountOf(call).roles.values()]
      .filter((role) => role.visibleFrom <= call.now && role.path.startsWith(input.PathPrefix ?? '/'))
      .map((role) => toRoleOutput(call, role));
    const { items, next } = pageOf(roles, input.MaxItems ?? 100, input.Marker);
    return { Roles: items, IsTruncated: next !== undefined, Marker: next };
  },

  DeleteRole(call, input) {
    const role = getMutableRole(call, input.RoleName);
    if (role.inline.size > 0)
      throw new AwsError(409, 'DeleteConflict', 'Cannot delete entity, must delete policies first.');
    if (role.attached.length > 0)
      throw new AwsError(409, 'DeleteConflict', 'Cannot delete entity, must detach all policies first.');
    iamAccountOf(call).roles.delete(role.name.toLowerCase());
    return markIamChanged(call, {});
  },

  UpdateAssumeRolePolicy(call, input) {
    getMutableRole(call, input.RoleName).trust = toStoredTrustPolicy(call, input.PolicyDocument);
    return markIamChanged(call, {});
  },

  UpdateRole(call, input) {
    const role = getMutableRole(call, input.RoleName);
    checkRoleSettings(input);
    if (input.Description !== undefined) role.description = input.Description;
    if (input.MaxSessionDuration !== undefined) role.maxSessionDuration = input.MaxSessionDuration;
    return markIamChanged(call, {});
  },

  UpdateRoleDescription(call, input) {
    const role = getMutableRole(call, input.RoleName);
    checkRoleSettings(input);
    role.description = input.Description;
    return markIamChanged(call, { Role: toRoleOutput(call, role) });
  },

  TagRole(call, input) {
    const role = getMutableRole(call, input.RoleName);
    const tags: IamTag[] = input.Tags;
    checkIamTags(tags);
    const mergedTags = new Map([...role.tags, ...tags.map(({ Key, Value }) => [Key, Value] as const)]);
    if (mergedTags.size > 50) throw limitExceededError('The number of tags has reached the maximum limit.');
    role.tags = mergedTags;
    return markIamChanged(call, {});
  },

  UntagRole(call, input) {
    const role = getMutableRole(call, input.RoleName);
    for (const key of input.TagKeys as string[]) role.tags.delete(key);
    return markIamChanged(call, {});
  },

  ListRoleTags(call, input) {
    const { items, next } = pageOf(
      toRoleTags(getRoleByName(call, input.RoleName)),
      input.MaxItems ?? 100,
      input.Marker,
    );
    return { Tags: items, IsTruncated: next !== undefined, Marker: next };
  },

  /** There are no instance profiles here; Terraform asks before it deletes a role. */
  ListInstanceProfilesForRole(call, input) {
    getRoleByName(call, input.RoleName);
    return { InstanceProfiles: [], IsTruncated: false };
  },
};

/** The API of IAM (Query). Documents come back URL-encoded (RFC 3986), as IAM's do. */
export const iamHandlers: Handlers = withIamAuthorization({
  ...roleHandlers,
  ...rolePolicyHandlers,
  ...managedPolicyHandlers,
  ...iamAccountHandlers,
});

function createRole(
  call: Call,
  fields: Pick<RoleState, 'name' | 'path' | 'trust'> & Partial<RoleState>,
): RoleState {
  const account = iamAccountOf(call);
  const role: RoleState = {
    id: `AROA${randomBase32(17)}`,
    arn: `arn:aws:iam::${account.id}:role${fields.path}${fields.name}`,
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

function checkIamTags(tags: IamTag[]): void {
  for (const [index, { Key, Value }] of tags.entries()) {
    checkMaxLength(Key, `tags.${index + 1}.member.key`, 128);
    checkMaxLength(Value, `tags.${index + 1}.member.value`, 256);
  }
  if (new Set(tags.map(({ Key }) => Key.toLowerCase())).size === tags.length) return;
  throw new AwsError(
    400,
    'InvalidInput',
    'Duplicate tag keys found. Please note that Tag keys are case insensitive.',
  );
}

function randomBase32(length: number): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  return [...randomBytes(length)].map((byte) => alphabet[byte % 32]).join('');
}
