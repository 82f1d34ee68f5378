import { randomBytes } from 'node:crypto';
import { AwsError } from './aws-error.ts';
import type { Call, Handlers } from './call.ts';
import {
  accountOf,
  atMost,
  changed,
  checkName,
  guarded,
  limitExceeded,
  noSuch,
  ownRole,
  roleOf,
  SERVICE_PATH,
  violation,
} from './iam-access.ts';
import { accountHandlers } from './iam-account.ts';
import { acceptedTrust } from './iam-documents.ts';
import { managedPolicyHandlers } from './iam-managed-policies.ts';
import { rolePolicyHandlers } from './iam-role-policies.ts';
import { roleExtras, roleShown, tagsOf } from './iam-role-shown.ts';
import { isAwsManaged } from './managed-documents.ts';
import { page } from './page.ts';
import type { RoleState } from './state.ts';

type Tag = { Key: string; Value: string };

/** The operations on roles themselves. */
const roleHandlers: Handlers = {
  CreateRole(call, input) {
    const account = accountOf(call);
    const name: string = input.RoleName;
    const path: string = input.Path ?? '/';
    checkName(name, 'roleName', 64);
    checkPath(path);
    checkSettings(input);
    if (account.roles.has(name.toLowerCase()))
      throw new AwsError(409, 'EntityAlreadyExists', `Role with name ${name} already exists.`);
    const tags: Tag[] = input.Tags ?? [];
    if (tags.length > 50)
      throw new AwsError(400, 'InvalidInput', 'The number of tags has exceeded the maximum limit.');
    checkTags(tags);
    const boundary: string | undefined = input.PermissionsBoundary;
    if (boundary !== undefined && !isAwsManaged(boundary) && !account.policies.has(boundary))
      throw noSuch(`Scope ARN: ${boundary} does not exist or is not attachable.`);
    const role = newRole(call, {
      name,
      path,
      trust: acceptedTrust(call, input.AssumeRolePolicyDocument),
      tags: new Map(tags.map(({ Key, Value }) => [Key, Value])),
      visibleFrom: call.now + call.knobs.rolePropagationMs,
      ...(input.MaxSessionDuration === undefined ? {} : { maxSessionDuration: input.MaxSessionDuration }),
      ...(input.Description === undefined ? {} : { description: input.Description }),
      ...(boundary === undefined ? {} : { permissionsBoundary: boundary }),
    });
    const { MaxSessionDuration: _, ...created } = roleShown(call, role);
    return changed(call, { Role: { ...created, ...roleExtras(role) } });
  },

  CreateServiceLinkedRole(call, input) {
    const service: string = input.AWSServiceName;
    const label = service.split('.')[0] ?? '';
    const name = `AWSServiceRoleFor${label.slice(0, 1).toUpperCase()}${label.slice(1)}`;
    if (accountOf(call).roles.has(name.toLowerCase())) {
      throw new AwsError(
        400,
        'InvalidInput',
        `Service role name ${name} has been taken in this account, please try a different suffix.`,
      );
    }
    const role = newRole(call, {
      name,
      path: `${SERVICE_PATH}${service}/`,
      trust: JSON.stringify({
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Principal: { Service: service }, Action: 'sts:AssumeRole' }],
      }),
    });
    return changed(call, { Role: roleShown(call, role) });
  },

  GetRole(call, input) {
    const role = roleOf(call, input.RoleName);
    return { Role: { ...roleShown(call, role), ...roleExtras(role), RoleLastUsed: {} } };
  },

  ListRoles(call, input) {
    const roles = [...accountOf(call).roles.values()]
      .filter((role) => role.visibleFrom <= call.now && role.path.startsWith(input.PathPrefix ?? '/'))
      .map((role) => roleShown(call, role));
    const { items, next } = page(roles, input.MaxItems ?? 100, input.Marker);
    return { Roles: items, IsTruncated: next !== undefined, Marker: next };
  },

  DeleteRole(call, input) {
    const role = ownRole(call, input.RoleName);
    if (role.inline.size > 0)
      throw new AwsError(409, 'DeleteConflict', 'Cannot delete entity, must delete policies first.');
    if (role.attached.length > 0)
      throw new AwsError(409, 'DeleteConflict', 'Cannot delete entity, must detach all policies first.');
    accountOf(call).roles.delete(role.name.toLowerCase());
    return changed(call, {});
  },

  UpdateAssumeRolePolicy(call, input) {
    ownRole(call, input.RoleName).trust = acceptedTrust(call, input.PolicyDocument);
    return changed(call, {});
  },

  UpdateRole(call, input) {
    const role = ownRole(call, input.RoleName);
    checkSettings(input);
    if (input.Description !== undefined) role.description = input.Description;
    if (input.MaxSessionDuration !== undefined) role.maxSessionDuration = input.MaxSessionDuration;
    return changed(call, {});
  },

  UpdateRoleDescription(call, input) {
    const role = ownRole(call, input.RoleName);
    checkSettings(input);
    role.description = input.Description;
    return changed(call, { Role: roleShown(call, role) });
  },

  TagRole(call, input) {
    const role = ownRole(call, input.RoleName);
    const tags: Tag[] = input.Tags;
    checkTags(tags);
    const after = new Map([...role.tags, ...tags.map(({ Key, Value }) => [Key, Value] as const)]);
    if (after.size > 50) throw limitExceeded('The number of tags has reached the maximum limit.');
    role.tags = after;
    return changed(call, {});
  },

  UntagRole(call, input) {
    const role = ownRole(call, input.RoleName);
    for (const key of input.TagKeys as string[]) role.tags.delete(key);
    return changed(call, {});
  },

  ListRoleTags(call, input) {
    const { items, next } = page(tagsOf(roleOf(call, input.RoleName)), input.MaxItems ?? 100, input.Marker);
    return { Tags: items, IsTruncated: next !== undefined, Marker: next };
  },

  /** There are no instance profiles here; Terraform asks before it deletes a role. */
  ListInstanceProfilesForRole(call, input) {
    roleOf(call, input.RoleName);
    return { InstanceProfiles: [], IsTruncated: false };
  },
};

/** The API of IAM (Query). Documents come back URL-encoded (RFC 3986), as IAM's do. */
export const iamHandlers: Handlers = guarded({
  ...roleHandlers,
  ...rolePolicyHandlers,
  ...managedPolicyHandlers,
  ...accountHandlers,
});

function newRole(
  call: Call,
  given: Pick<RoleState, 'name' | 'path' | 'trust'> & Partial<RoleState>,
): RoleState {
  const account = accountOf(call);
  const role: RoleState = {
    id: `AROA${base32(17)}`,
    arn: `arn:aws:iam::${account.id}:role${given.path}${given.name}`,
    created: call.now,
    maxSessionDuration: 3600,
    tags: new Map(),
    inline: new Map(),
    attached: [],
    visibleFrom: call.now,
    ...given,
  };
  account.roles.set(role.name.toLowerCase(), role);
  return role;
}

function checkPath(path: string): void {
  if (path.length <= 512 && /^\/(?:[\u0021-\u007e]+\/)?$/.test(path)) return;
  throw violation(
    path,
    'path',
    'Member must satisfy regular expression pattern: (\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)',
  );
}

function checkSettings({
  Description,
  MaxSessionDuration: duration,
}: {
  Description?: string;
  MaxSessionDuration?: number;
}): void {
  atMost(Description, 'description', 1000);
  if (duration === undefined) return;
  const member = 'maxSessionDuration';
  if (duration < 3600)
    throw violation(String(duration), member, 'Member must have value greater than or equal to 3600');
  if (duration > 43_200)
    throw violation(String(duration), member, 'Member must have value less than or equal to 43200');
}

function checkTags(tags: Tag[]): void {
  for (const [index, { Key, Value }] of tags.entries()) {
    atMost(Key, `tags.${index + 1}.member.key`, 128);
    atMost(Value, `tags.${index + 1}.member.value`, 256);
  }
  if (new Set(tags.map(({ Key }) => Key.toLowerCase())).size === tags.length) return;
  throw new AwsError(
    400,
    'InvalidInput',
    'Duplicate tag keys found. Please note that Tag keys are case insensitive.',
  );
}

function base32(length: number): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  return [...randomBytes(length)].map((byte) => letters[byte % 32]).join('');
}
