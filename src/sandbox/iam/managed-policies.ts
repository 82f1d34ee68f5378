import { AwsError } from '../aws-error.ts';
import { type Call, type Handlers, pageOf } from '../call.ts';
import type { ManagedPolicyState, RoleState } from '../state.ts';
import { managedPolicyDocumentOf } from '../stored-policies.ts';
import {
  checkIamName,
  iamAccountOf,
  limitExceededError,
  markIamChanged,
  noSuchEntityError,
} from './access.ts';
import { checkIdentityPolicy, encodeRfc3986, policySizeOf } from './policy-documents.ts';

/** Managed policies: the customer's, with up to five versions each, and those of AWS by name. */
export const managedPolicyHandlers: Handlers = {
  CreatePolicy(call, input) {
    const { id, policies } = iamAccountOf(call);
    checkIamName(input.PolicyName, 'policyName', 128);
    checkIdentityPolicy(input.PolicyDocument);
    if (policySizeOf(input.PolicyDocument) > 6144)
      throw limitExceededError('Cannot exceed quota for PolicySize: 6144');
    const arn = `arn:aws:iam::${id}:policy${input.Path ?? '/'}${input.PolicyName}`;
    if (policies.has(arn)) {
      throw new AwsError(
        409,
        'EntityAlreadyExists',
        `A policy called ${input.PolicyName} already exists. Duplicate names are not allowed.`,
      );
    }
    policies.set(arn, { arn, name: input.PolicyName, document: input.PolicyDocument });
    return markIamChanged(call, { Policy: toPolicyOutput(call, arn) });
  },

  GetPolicy(call, input) {
    if (managedPolicyDocumentOf(iamAccountOf(call), input.PolicyArn) === undefined)
      throw noSuchEntityError(`Policy ${input.PolicyArn} was not found.`);
    return { Policy: toPolicyOutput(call, input.PolicyArn) };
  },

  CreatePolicyVersion(call, input) {
    const policy = iamAccountOf(call).policies.get(input.PolicyArn);
    if (!policy) throw noSuchEntityError(`Policy ${input.PolicyArn} was not found.`);
    checkIdentityPolicy(input.PolicyDocument);
    if (policySizeOf(input.PolicyDocument) > 6144)
      throw limitExceededError('Cannot exceed quota for PolicySize: 6144');
    const previousVersions = storedVersionsOf(policy);
    if (previousVersions.length >= 5)
      throw limitExceededError(
        'A managed policy can have up to 5 versions. Before you create a new version, delete one.',
      );
    const id = `v${Math.max(...previousVersions.map((version) => Number(version.id.slice(1)))) + 1}`;
    const isDefault = input.SetAsDefault ?? false;
    policy.versions = [
      ...previousVersions.map((version) => ({ ...version, isDefault: version.isDefault && !isDefault })),
      { id, document: input.PolicyDocument, isDefault },
    ];
    if (isDefault) policy.document = input.PolicyDocument;
    return markIamChanged(call, { PolicyVersion: { VersionId: id, IsDefaultVersion: isDefault } });
  },

  GetPolicyVersion(call, input) {
    const version = policyVersionsOf(call, input.PolicyArn).find(({ id }) => id === input.VersionId);
    if (!version)
      throw noSuchEntityError(
        `Policy ${input.PolicyArn} version ${input.VersionId} does not exist or is not attachable.`,
      );
    const { id, document, isDefault } = version;
    return {
      PolicyVersion: { Document: encodeRfc3986(document), VersionId: id, IsDefaultVersion: isDefault },
    };
  },

  ListPolicyVersions(call, input) {
    const versions = policyVersionsOf(call, input.PolicyArn);
    if (versions.length === 0) throw noSuchEntityError(`Policy ${input.PolicyArn} was not found.`);
    return {
      Versions: versions.map(({ id, isDefault }) => ({ VersionId: id, IsDefaultVersion: isDefault })),
      IsTruncated: false,
    };
  },

  ListPolicies(call, input) {
    const policies = [...iamAccountOf(call).policies.keys()].map((arn) => toPolicyOutput(call, arn));
    const { items, next } = pageOf(policies, input.MaxItems ?? 100, input.Marker);
    return { Policies: items, IsTruncated: next !== undefined, Marker: next };
  },

  DeletePolicy(call, input) {
    const { policies } = iamAccountOf(call);
    if (!policies.has(input.PolicyArn)) throw noSuchEntityError(`Policy ${input.PolicyArn} was not found.`);
    if (attachedRolesOf(call, input.PolicyArn).length > 0)
      throw new AwsError(409, 'DeleteConflict', 'Cannot delete a policy attached to entities.');
    policies.delete(input.PolicyArn);
    return markIamChanged(call, {});
  },
};

export const toPolicyOutput = (call: Call, arn: string) => ({
  PolicyName: arn.slice(arn.lastIndexOf('/') + 1),
  Arn: arn,
  Path: arn.slice(arn.indexOf(':policy/') + 7, arn.lastIndexOf('/') + 1),
  DefaultVersionId: policyVersionsOf(call, arn).find(({ isDefault }) => isDefault)?.id ?? 'v1',
  AttachmentCount: attachedRolesOf(call, arn).length,
  IsAttachable: true,
});

/** Every version of a policy; none where there is no such policy. */
function policyVersionsOf(call: Call, arn: string) {
  const account = iamAccountOf(call);
  const policy = account.policies.get(arn);
  const document = managedPolicyDocumentOf(account, arn);
  if (policy) return storedVersionsOf(policy);
  return document === undefined ? [] : [{ id: 'v1', document, isDefault: true }];
}

const storedVersionsOf = ({ versions, document }: ManagedPolicyState) =>
  versions ?? [{ id: 'v1', document, isDefault: true }];

const attachedRolesOf = (call: Call, arn: string): RoleState[] =>
  [...iamAccountOf(call).roles.values()].filter(
    ({ attached, permissionsBoundary }) => attached.includes(arn) || permissionsBoundary === arn,
  );
