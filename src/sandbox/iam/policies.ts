import { AwsError } from '../aws-error.ts';
import { type Call, callerAccountOf, type Handlers, markAccountChanged } from '../call.ts';
import type { ManagedPolicyState, RoleState } from '../state.ts';
import { managedPolicyDocumentOf, supersedePolicy } from '../stored-policies.ts';
import {
  checkIamName,
  checkIamTagKeys,
  checkIamTags,
  checkMaxLength,
  getMutableRole,
  getRoleByName,
  type IamTag,
  iamArnOf,
  iamPageOf,
  iamValidationError,
  limitExceededError,
  noSuchEntityError,
  requireManagedPolicy,
} from './access.ts';
import { checkIdentityPolicy, encodeRfc3986, policySizeOf } from './policy-documents.ts';

/** Handlers of the policies of a role: inline policies, attached policies and the boundary. */
export const rolePolicyHandlers: Handlers = {
  PutRolePolicy(call, input) {
    const role = getMutableRole(call, input.RoleName);
    checkIamName(input.PolicyName, 'policyName', 128);
    checkIdentityPolicy(input.PolicyDocument, call.region);
    const otherDocuments = [...role.inline]
      .filter(([name]) => name !== input.PolicyName)
      .map(([, text]) => text);
    if (policySizeOf([...otherDocuments, input.PolicyDocument].join('')) > 10_240)
      throw limitExceededError(`Maximum policy size of 10240 bytes exceeded for role ${role.name}`);
    supersedePolicy(role, new Map(role.inline), call.now, call.faultSettings.policyPropagationMs);
    role.inline.set(input.PolicyName, input.PolicyDocument);
    return markAccountChanged(call, {});
  },

  GetRolePolicy(call, input) {
    const role = getRoleByName(call, input.RoleName);
    const text = role.inline.get(input.PolicyName);
    if (text === undefined)
      throw noSuchEntityError(`The role policy with name ${input.PolicyName} cannot be found.`);
    return { RoleName: role.name, PolicyName: input.PolicyName, PolicyDocument: encodeRfc3986(text) };
  },

  DeleteRolePolicy(call, input) {
    const role = getMutableRole(call, input.RoleName);
    supersedePolicy(role, new Map(role.inline), call.now, call.faultSettings.policyPropagationMs);
    if (!role.inline.delete(input.PolicyName))
      throw noSuchEntityError(`The role policy with name ${input.PolicyName} cannot be found.`);
    return markAccountChanged(call, {});
  },

  ListRolePolicies(call, input) {
    const names = [...getRoleByName(call, input.RoleName).inline.keys()];
    const { items, ...page } = iamPageOf(names, input);
    return { PolicyNames: items, ...page };
  },

  AttachRolePolicy(call, input) {
    const role = getMutableRole(call, input.RoleName);
    const arn: string = input.PolicyArn;
    if (!arn.startsWith('arn:'))
      throw new AwsError(400, 'ValidationError', 'Invalid ARN:  Could not be parsed!');
    requireManagedPolicy(call, arn, 'Policy');
    if (role.attached.includes(arn)) return {};
    if (role.attached.length >= 10) throw limitExceededError('Cannot exceed quota for PoliciesPerRole: 10');
    role.attached.push(arn);
    return markAccountChanged(call, {});
  },

  DetachRolePolicy(call, input) {
    const role = getMutableRole(call, input.RoleName);
    if (!role.attached.includes(input.PolicyArn))
      throw noSuchEntityError(`Policy ${input.PolicyArn} was not found.`);
    role.attached = role.attached.filter((arn) => arn !== input.PolicyArn);
    return markAccountChanged(call, {});
  },

  ListAttachedRolePolicies(call, input) {
    const attachedPolicies = getRoleByName(call, input.RoleName)
      .attached.filter((arn) => pathOfPolicy(arn).startsWith(input.PathPrefix ?? '/'))
      .map(toAttachedPolicy);
    const { items, ...page } = iamPageOf(attachedPolicies, input);
    return { AttachedPolicies: items, ...page };
  },

  PutRolePermissionsBoundary(call, input) {
    const role = getMutableRole(call, input.RoleName);
    const arn: string = input.PermissionsBoundary;
    requireManagedPolicy(call, arn, 'Scope ARN:');
    role.permissionsBoundary = arn;
    return markAccountChanged(call, {});
  },

  DeleteRolePermissionsBoundary(call, input) {
    delete getMutableRole(call, input.RoleName).permissionsBoundary;
    return markAccountChanged(call, {});
  },
};

export const toAttachedPolicy = (arn: string) => ({
  PolicyArn: arn,
  PolicyName: arn.slice(arn.lastIndexOf('/') + 1),
});

/** Handlers of managed policies: customer managed with up to five versions each, and AWS managed by name. */
export const managedPolicyHandlers: Handlers = {
  CreatePolicy(call, input) {
    const { policies } = callerAccountOf(call);
    checkIamName(input.PolicyName, 'policyName', 128);
    checkIdentityPolicy(input.PolicyDocument, call.region);
    if (policySizeOf(input.PolicyDocument) > 6144)
      throw limitExceededError('Cannot exceed quota for PolicySize: 6144');
    const arn = iamArnOf(call, `policy${input.Path ?? '/'}${input.PolicyName}`);
    if (policies.has(arn)) {
      throw new AwsError(
        409,
        'EntityAlreadyExists',
        `A policy called ${input.PolicyName} already exists. Duplicate names are not allowed.`,
      );
    }
    const tags: IamTag[] = input.Tags ?? [];
    checkIamTags(tags);
    checkMaxLength(input.Description, 'description', 1000);
    policies.set(arn, {
      arn,
      name: input.PolicyName,
      document: input.PolicyDocument,
      ...(input.Description === undefined ? {} : { description: input.Description }),
      ...(tags.length === 0 ? {} : { tags: Object.fromEntries(tags.map(({ Key, Value }) => [Key, Value])) }),
    });
    // Without tags in the request, the response has none; GetPolicy returns an empty list (moto's
    // test_iam_response_attributes.py, verified against AWS).
    const { Description: _, Tags, ...output } = toPolicyDetail(call, arn);
    return markAccountChanged(call, { Policy: { ...output, ...(tags.length > 0 && { Tags }) } });
  },

  TagPolicy(call, input) {
    const policy = getCustomerPolicy(call, input.PolicyArn);
    const tags: IamTag[] = input.Tags;
    checkIamTags(tags);
    const mergedTags = {
      ...policy.tags,
      ...Object.fromEntries(tags.map(({ Key, Value }) => [Key, Value])),
    };
    if (Object.keys(mergedTags).length > 50)
      throw limitExceededError('The number of tags has reached the maximum limit.');
    policy.tags = mergedTags;
    return markAccountChanged(call, {});
  },

  UntagPolicy(call, input) {
    const policy = getCustomerPolicy(call, input.PolicyArn);
    const keys: string[] = input.TagKeys;
    checkIamTagKeys(keys);
    policy.tags = Object.fromEntries(
      Object.entries(policy.tags ?? {}).filter(([key]) => !keys.includes(key)),
    );
    return markAccountChanged(call, {});
  },

  ListPolicyTags(call, input) {
    const { tags = {} } = getCustomerPolicy(call, input.PolicyArn);
    const { items, ...page } = iamPageOf(
      Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
      input,
    );
    return { Tags: items, ...page };
  },

  GetPolicy(call, input) {
    if (managedPolicyDocumentOf(callerAccountOf(call), input.PolicyArn) === undefined)
      throw noSuchEntityError(`Policy ${input.PolicyArn} was not found.`);
    return { Policy: toPolicyDetail(call, input.PolicyArn) };
  },

  CreatePolicyVersion(call, input) {
    const policy = callerAccountOf(call).policies.get(input.PolicyArn);
    if (!policy) throw noSuchEntityError(`Policy ${input.PolicyArn} was not found.`);
    checkIdentityPolicy(input.PolicyDocument, call.region);
    if (policySizeOf(input.PolicyDocument) > 6144)
      throw limitExceededError('Cannot exceed quota for PolicySize: 6144');
    const previousVersions = storedVersionsOf(policy);
    if (previousVersions.length >= 5)
      throw limitExceededError(
        'A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.',
      );
    const id = `v${Math.max(...previousVersions.map((version) => Number(version.id.slice(1)))) + 1}`;
    const isDefault = input.SetAsDefault ?? false;
    policy.versions = [
      ...previousVersions.map((version) => ({ ...version, isDefault: version.isDefault && !isDefault })),
      { id, document: input.PolicyDocument, isDefault },
    ];
    if (isDefault) policy.document = input.PolicyDocument;
    return markAccountChanged(call, { PolicyVersion: { VersionId: id, IsDefaultVersion: isDefault } });
  },

  GetPolicyVersion(call, input) {
    const { id, document, isDefault } = requirePolicyVersion(call, input);
    return {
      PolicyVersion: { Document: encodeRfc3986(document), VersionId: id, IsDefaultVersion: isDefault },
    };
  },

  SetDefaultPolicyVersion(call, input) {
    const { id, document } = requirePolicyVersion(call, input);
    const policy = getCustomerPolicy(call, input.PolicyArn);
    policy.versions = storedVersionsOf(policy).map((version) => ({
      ...version,
      isDefault: version.id === id,
    }));
    policy.document = document;
    return markAccountChanged(call, {});
  },

  DeletePolicyVersion(call, input) {
    const { id, isDefault } = requirePolicyVersion(call, input);
    if (isDefault)
      throw new AwsError(409, 'DeleteConflict', 'Cannot delete the default version of a policy.');
    const policy = getCustomerPolicy(call, input.PolicyArn);
    policy.versions = storedVersionsOf(policy).filter((version) => version.id !== id);
    return markAccountChanged(call, {});
  },

  ListPolicyVersions(call, input) {
    const versions = policyVersionsOf(call, input.PolicyArn);
    if (versions.length === 0) throw noSuchEntityError(`Policy ${input.PolicyArn} was not found.`);
    const entries = versions
      .toReversed()
      .map(({ id, isDefault }) => ({ VersionId: id, IsDefaultVersion: isDefault }));
    const { items, ...page } = iamPageOf(entries, input);
    return { Versions: items, ...page };
  },

  /** Lists no AWS managed policies: the sandbox has a few documents of them, not their list. */
  ListPolicies(call, input) {
    if (input.Scope === undefined || input.Scope === 'All' || input.Scope === 'Local') {
      const usage: string | undefined = input.PolicyUsageFilter;
      const policies = [...callerAccountOf(call).policies.keys()]
        .map((arn) => toPolicyOutput(call, arn))
        .filter(
          ({ Path, AttachmentCount, PermissionsBoundaryUsageCount }) =>
            Path.startsWith(input.PathPrefix ?? '/') &&
            (input.OnlyAttached !== true || AttachmentCount > 0) &&
            (usage !== 'PermissionsBoundary' || PermissionsBoundaryUsageCount > 0) &&
            (usage !== 'PermissionsPolicy' || AttachmentCount > 0),
        );
      const { items, ...page } = iamPageOf(policies, input);
      return { Policies: items, ...page };
    }
    if (input.Scope === 'AWS') return { Policies: [], IsTruncated: false };
    throw iamValidationError(input.Scope, 'scope', 'Member must satisfy enum value set: [All, AWS, Local]');
  },

  DeletePolicy(call, input) {
    const { policies } = callerAccountOf(call);
    if (!policies.has(input.PolicyArn)) throw noSuchEntityError(`Policy ${input.PolicyArn} was not found.`);
    if (attachedRolesOf(call, input.PolicyArn).length > 0)
      throw new AwsError(409, 'DeleteConflict', 'Cannot delete a policy attached to entities.');
    if (policyVersionsOf(call, input.PolicyArn).length > 1)
      throw new AwsError(
        409,
        'DeleteConflict',
        "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.",
      );
    policies.delete(input.PolicyArn);
    return markAccountChanged(call, {});
  },
};

const pathOfPolicy = (arn: string): string =>
  arn.slice(arn.indexOf(':policy/') + 7, arn.lastIndexOf('/') + 1);

export const toPolicyOutput = (call: Call, arn: string) => ({
  PolicyName: arn.slice(arn.lastIndexOf('/') + 1),
  Arn: arn,
  Path: pathOfPolicy(arn),
  DefaultVersionId: policyVersionsOf(call, arn).find(({ isDefault }) => isDefault)?.id ?? 'v1',
  AttachmentCount: attachedRolesOf(call, arn).filter(({ attached }) => attached.includes(arn)).length,
  PermissionsBoundaryUsageCount: attachedRolesOf(call, arn).filter(
    ({ permissionsBoundary }) => permissionsBoundary === arn,
  ).length,
  IsAttachable: true,
});

/** Returns a policy with its description and tags, which lists omit. */
function toPolicyDetail(call: Call, arn: string) {
  const { description, tags = {} } = callerAccountOf(call).policies.get(arn) ?? {};
  return {
    ...toPolicyOutput(call, arn),
    ...(description === undefined ? {} : { Description: description }),
    Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
  };
}

function getCustomerPolicy(call: Call, arn: string): ManagedPolicyState {
  const policy = callerAccountOf(call).policies.get(arn);
  if (policy) return policy;
  throw noSuchEntityError(`Policy ${arn} was not found.`);
}

function requirePolicyVersion(
  call: Call,
  { PolicyArn, VersionId }: { PolicyArn: string; VersionId: string },
) {
  const version = policyVersionsOf(call, PolicyArn).find(({ id }) => id === VersionId);
  if (version) return version;
  throw noSuchEntityError(`Policy ${PolicyArn} version ${VersionId} does not exist or is not attachable.`);
}

/** Returns all versions of a policy; empty for a policy that does not exist. */
function policyVersionsOf(call: Call, arn: string) {
  const account = callerAccountOf(call);
  const policy = account.policies.get(arn);
  const document = managedPolicyDocumentOf(account, arn);
  if (policy) return storedVersionsOf(policy);
  return document === undefined ? [] : [{ id: 'v1', document, isDefault: true }];
}

const storedVersionsOf = ({ versions, document }: ManagedPolicyState) =>
  versions ?? [{ id: 'v1', document, isDefault: true }];

const attachedRolesOf = (call: Call, arn: string): RoleState[] =>
  [...callerAccountOf(call).roles.values()].filter(
    ({ attached, permissionsBoundary }) => attached.includes(arn) || permissionsBoundary === arn,
  );
