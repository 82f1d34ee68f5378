import { randomBytes } from 'node:crypto';
import { AwsError } from './aws-error.ts';
import type { Call, Handlers } from './call.ts';
import { simulatePrincipalPolicy } from './iam-simulate.ts';
import { page } from './page.ts';
import { parseStored } from './policy-input.ts';
import { showPrincipals, storePrincipals, unknownPrincipal } from './principals.ts';
import type { AccountState, RoleState } from './state.ts';

type Tag = { Key: string; Value: string };

/** The API of IAM (Query). Documents come back URL-encoded (RFC 3986), as IAM's do. */
export const iamHandlers: Handlers = {
  CreateRole(call, input) {
    const account = accountOf(call);
    const name: string = input.RoleName;
    checkName(name, 'roleName', 64);
    const path: string = input.Path ?? '/';
    if (!/^\/(.*\/)?$/.test(path))
      throw invalid(
        path,
        'path',
        'Member must satisfy regular expression pattern: (\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)',
      );
    if (account.roles.has(name.toLowerCase())) {
      throw new AwsError(409, 'EntityAlreadyExists', `Role with name ${name} already exists.`);
    }
    const trust = checkTrust(call, input.AssumeRolePolicyDocument);
    const tags: Tag[] = input.Tags ?? [];
    if (tags.length > 50)
      throw new AwsError(400, 'InvalidInput', 'The number of tags has exceeded the maximum limit.');
    const role = newRole(call, {
      name,
      path,
      trust,
      maxSessionDuration: input.MaxSessionDuration ?? 3600,
      tags: new Map(tags.map(({ Key, Value }) => [Key, Value])),
      ...(input.Description === undefined ? {} : { description: input.Description }),
      ...(input.PermissionsBoundary === undefined ? {} : { permissionsBoundary: input.PermissionsBoundary }),
    });
    account.roles.set(name.toLowerCase(), role);
    call.store.changed(account);
    const { MaxSessionDuration: _, ...created } = shown(call, role);
    return { Role: { ...created, ...extras(role) } };
  },

  /** AWS makes some of these roles in every account by itself; here they are made when somebody asks for them. */
  CreateServiceLinkedRole(call, input) {
    const account = accountOf(call);
    const service: string = input.AWSServiceName;
    const [label = ''] = service.split('.');
    const name = `AWSServiceRoleFor${label.charAt(0).toUpperCase()}${label.slice(1)}${input.CustomSuffix ? `_${input.CustomSuffix}` : ''}`;
    if (account.roles.has(name.toLowerCase())) {
      throw new AwsError(
        400,
        'InvalidInput',
        `Service role name ${name} has been taken in this account, please try a different suffix.`,
      );
    }
    const role = newRole(call, {
      name,
      path: `/aws-service-role/${service}/`,
      trust: JSON.stringify({
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Principal: { Service: service }, Action: 'sts:AssumeRole' }],
      }),
      ...(input.Description === undefined ? {} : { description: input.Description }),
    });
    account.roles.set(name.toLowerCase(), role);
    return changed(call, { Role: shown(call, role) });
  },

  GetRole(call, input) {
    const role = roleOf(call, input.RoleName);
    return { Role: { ...shown(call, role), ...extras(role), RoleLastUsed: {} } };
  },

  ListRoles(call, input) {
    const roles = [...accountOf(call).roles.values()].filter((role) =>
      role.path.startsWith(input.PathPrefix ?? '/'),
    );
    const { items, next } = page(
      roles.map((role) => shown(call, role)),
      input.MaxItems ?? 100,
      input.Marker,
    );
    return { Roles: items, IsTruncated: next !== undefined, Marker: next };
  },

  DeleteRole(call, input) {
    const role = roleOf(call, input.RoleName);
    if (role.path.startsWith('/aws-service-role/')) {
      throw new AwsError(
        400,
        'UnmodifiableEntity',
        `Cannot perform the operation on the protected role '${role.name}' - this role is only modifiable by AWS`,
      );
    }
    if (role.inline.size > 0)
      throw new AwsError(409, 'DeleteConflict', 'Cannot delete entity, must delete policies first.');
    if (role.attached.length > 0)
      throw new AwsError(409, 'DeleteConflict', 'Cannot delete entity, must detach all policies first.');
    accountOf(call).roles.delete(role.name.toLowerCase());
    return changed(call, {});
  },

  UpdateAssumeRolePolicy(call, input) {
    roleOf(call, input.RoleName).trust = checkTrust(call, input.PolicyDocument);
    return changed(call, {});
  },

  UpdateRole(call, input) {
    const role = roleOf(call, input.RoleName);
    if (input.Description !== undefined) role.description = input.Description;
    if (input.MaxSessionDuration !== undefined) role.maxSessionDuration = input.MaxSessionDuration;
    return changed(call, {});
  },

  PutRolePolicy(call, input) {
    const role = roleOf(call, input.RoleName);
    checkName(input.PolicyName, 'policyName', 128);
    checkDocument(input.PolicyDocument);
    const others = [...role.inline].filter(([name]) => name !== input.PolicyName).map(([, text]) => text);
    const size = [...others, input.PolicyDocument].join('').replace(/\s/g, '').length;
    if (size > 10_240) {
      throw new AwsError(
        409,
        'LimitExceeded',
        `Maximum policy size of 10240 bytes exceeded for role ${role.name}`,
      );
    }
    role.inline.set(input.PolicyName, input.PolicyDocument);
    return changed(call, {});
  },

  GetRolePolicy(call, input) {
    const role = roleOf(call, input.RoleName);
    const text = role.inline.get(input.PolicyName);
    if (text === undefined) throw noSuch(`The role policy with name ${input.PolicyName} cannot be found.`);
    return { RoleName: role.name, PolicyName: input.PolicyName, PolicyDocument: encode(text) };
  },

  DeleteRolePolicy(call, input) {
    const role = roleOf(call, input.RoleName);
    if (!role.inline.delete(input.PolicyName))
      throw noSuch(`The role policy with name ${input.PolicyName} cannot be found.`);
    return changed(call, {});
  },

  ListRolePolicies(call, input) {
    const { items, next } = page(
      [...roleOf(call, input.RoleName).inline.keys()],
      input.MaxItems ?? 100,
      input.Marker,
    );
    return { PolicyNames: items, IsTruncated: next !== undefined, Marker: next };
  },

  CreatePolicy(call, input) {
    const account = accountOf(call);
    checkName(input.PolicyName, 'policyName', 128);
    checkDocument(input.PolicyDocument);
    const arn = `arn:aws:iam::${account.id}:policy${input.Path ?? '/'}${input.PolicyName}`;
    if (account.policies.has(arn)) {
      throw new AwsError(
        409,
        'EntityAlreadyExists',
        `A policy called ${input.PolicyName} already exists. Duplicate names are not allowed.`,
      );
    }
    account.policies.set(arn, { arn, name: input.PolicyName, document: input.PolicyDocument });
    return changed(call, { Policy: policyShown(arn, input.PolicyName) });
  },

  GetPolicy(call, input) {
    const policy = accountOf(call).policies.get(input.PolicyArn);
    if (!policy) throw noSuch(`Policy ${input.PolicyArn} was not found.`);
    return { Policy: policyShown(policy.arn, policy.name) };
  },

  GetPolicyVersion(call, input) {
    const policy = accountOf(call).policies.get(input.PolicyArn);
    if (!policy || input.VersionId !== 'v1')
      throw noSuch(
        `Policy ${input.PolicyArn} version ${input.VersionId} does not exist or is not attachable.`,
      );
    return { PolicyVersion: { Document: encode(policy.document), VersionId: 'v1', IsDefaultVersion: true } };
  },

  DeletePolicy(call, input) {
    if (!accountOf(call).policies.delete(input.PolicyArn))
      throw noSuch(`Policy ${input.PolicyArn} was not found.`);
    return changed(call, {});
  },

  AttachRolePolicy(call, input) {
    const role = roleOf(call, input.RoleName);
    const arn: string = input.PolicyArn;
    if (!arn.startsWith('arn:'))
      throw new AwsError(400, 'ValidationError', 'Invalid ARN:  Could not be parsed!');
    if (!arn.startsWith('arn:aws:iam::aws:') && !accountOf(call).policies.has(arn)) {
      throw noSuch(`Policy ${arn} does not exist or is not attachable.`);
    }
    if (!role.attached.includes(arn)) role.attached.push(arn);
    return changed(call, {});
  },

  DetachRolePolicy(call, input) {
    const role = roleOf(call, input.RoleName);
    if (!role.attached.includes(input.PolicyArn)) throw noSuch(`Policy ${input.PolicyArn} was not found.`);
    role.attached = role.attached.filter((arn) => arn !== input.PolicyArn);
    return changed(call, {});
  },

  ListAttachedRolePolicies(call, input) {
    const attached = roleOf(call, input.RoleName).attached.map((arn) => ({
      PolicyArn: arn,
      PolicyName: arn.slice(arn.lastIndexOf('/') + 1),
    }));
    const { items, next } = page(attached, input.MaxItems ?? 100, input.Marker);
    return { AttachedPolicies: items, IsTruncated: next !== undefined, Marker: next };
  },

  TagRole(call, input) {
    const role = roleOf(call, input.RoleName);
    for (const { Key, Value } of input.Tags as Tag[]) role.tags.set(Key, Value);
    return changed(call, {});
  },

  UntagRole(call, input) {
    const role = roleOf(call, input.RoleName);
    for (const key of input.TagKeys as string[]) role.tags.delete(key);
    return changed(call, {});
  },

  ListRoleTags(call, input) {
    const { items, next } = page(tagsOf(roleOf(call, input.RoleName)), input.MaxItems ?? 100, input.Marker);
    return { Tags: items, IsTruncated: next !== undefined, Marker: next };
  },

  PutRolePermissionsBoundary(call, input) {
    roleOf(call, input.RoleName).permissionsBoundary = input.PermissionsBoundary;
    return changed(call, {});
  },

  DeleteRolePermissionsBoundary(call, input) {
    delete roleOf(call, input.RoleName).permissionsBoundary;
    return changed(call, {});
  },

  GetAccountAuthorizationDetails(call, input) {
    const account = accountOf(call);
    const wanted: string[] = input.Filter ?? ['Role', 'LocalManagedPolicy'];
    const roles = wanted.includes('Role')
      ? [...account.roles.values()].map((role) => detail(call, role))
      : [];
    const { items, next } = page(roles, input.MaxItems ?? 100, input.Marker);
    const policies =
      wanted.includes('LocalManagedPolicy') && input.Marker === undefined
        ? [...account.policies.values()]
        : [];
    return {
      RoleDetailList: items,
      Policies: policies.map(({ arn, name, document }) => ({
        ...policyShown(arn, name),
        PolicyVersionList: [{ Document: encode(document), VersionId: 'v1', IsDefaultVersion: true }],
      })),
      IsTruncated: next !== undefined,
      Marker: next,
    };
  },

  SimulatePrincipalPolicy: simulatePrincipalPolicy,

  GetAccountSummary: () => ({
    SummaryMap: { RolesQuota: 1000, RolePolicySizeQuota: 10_240, AssumeRolePolicySizeQuota: 2048 },
  }),
};

const accountOf = (call: Call): AccountState => call.store.account(call.caller.account);

function roleOf(call: Call, name: string): RoleState {
  const role = accountOf(call).roles.get(name.toLowerCase());
  if (role && role.visibleFrom <= call.now) return role;
  throw noSuch(`The role with name ${name} cannot be found.`);
}

function newRole(
  call: Call,
  given: Pick<RoleState, 'name' | 'path' | 'trust'> & Partial<RoleState>,
): RoleState {
  return {
    id: `AROA${base32(17)}`,
    arn: `arn:aws:iam::${call.caller.account}:role${given.path}${given.name}`,
    created: call.now,
    maxSessionDuration: 3600,
    tags: new Map(),
    inline: new Map(),
    attached: [],
    visibleFrom: call.now + call.knobs.rolePropagationMs,
    ...given,
  };
}

function changed<T>(call: Call, answer: T): T {
  call.store.changed(accountOf(call));
  return answer;
}

const noSuch = (message: string): AwsError => new AwsError(404, 'NoSuchEntity', message);

const invalid = (value: string, member: string, constraint: string): AwsError =>
  new AwsError(
    400,
    'ValidationError',
    `1 validation error detected: Value '${value}' at '${member}' failed to satisfy constraint: ${constraint}`,
  );

function checkName(name: string, member: string, limit: number): void {
  if (name.length > limit)
    throw invalid(name, member, `Member must have length less than or equal to ${limit}`);
  if (!/^[\w+=,.@-]+$/.test(name)) {
    throw new AwsError(
      400,
      'ValidationError',
      `The specified value for ${member} is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-`,
    );
  }
}

const malformed = (message: string): AwsError => new AwsError(400, 'MalformedPolicyDocument', message);

function checkDocument(text: string): void {
  checkCharacters(text);
  parseStored(text, () => malformed('Syntax errors in policy.'));
}

function checkTrust(call: Call, text: string): string {
  checkCharacters(text);
  const policy = parseStored(text, () => malformed('This policy contains invalid Json'));
  const unknown = unknownPrincipal(call.store, policy, call.now);
  if (unknown !== undefined) throw malformed(`Invalid principal in policy: "AWS":"${unknown}"`);
  if (text.replace(/\s/g, '').length > 2048)
    throw new AwsError(409, 'LimitExceeded', 'Cannot exceed quota for ACLSizePerRole: 2048');
  return storePrincipals(call.store, text, call.now);
}

/** TAB, LF, CR and U+0020 to U+00FF are all that IAM takes. */
function checkCharacters(text: string): void {
  if (!/^[\t\n\r\u0020-\u00ff]*$/.test(text)) {
    throw invalid(
      text.slice(0, 40),
      'policyDocument',
      'Member must satisfy regular expression pattern: [\\u0009\\u000A\\u000D\\u0020-\\u00FF]+',
    );
  }
}

function shown(call: Call, role: RoleState) {
  return {
    Path: role.path,
    RoleName: role.name,
    RoleId: role.id,
    Arn: role.arn,
    CreateDate: new Date(role.created),
    AssumeRolePolicyDocument: encode(showPrincipals(call.store, role.trust)),
    ...(role.description === undefined ? {} : { Description: role.description }),
    MaxSessionDuration: role.maxSessionDuration,
  };
}

/** Tags and boundary are there only when they are set, and never in lists. */
function extras(role: RoleState): object {
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

function detail(call: Call, role: RoleState): object {
  return {
    ...shown(call, role),
    ...extras(role),
    Tags: tagsOf(role),
    RolePolicyList: [...role.inline].map(([PolicyName, text]) => ({
      PolicyName,
      PolicyDocument: encode(text),
    })),
    AttachedManagedPolicies: role.attached.map((arn) => ({
      PolicyArn: arn,
      PolicyName: arn.slice(arn.lastIndexOf('/') + 1),
    })),
  };
}

const policyShown = (arn: string, name: string) => ({
  PolicyName: name,
  Arn: arn,
  DefaultVersionId: 'v1',
  IsAttachable: true,
});

const tagsOf = (role: RoleState): Tag[] => [...role.tags].map(([Key, Value]) => ({ Key, Value }));

/** RFC 3986: also what encodeURIComponent leaves alone. */
const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

function base32(length: number): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  return [...randomBytes(length)].map((byte) => letters[byte % 32]).join('');
}
