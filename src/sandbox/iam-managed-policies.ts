import { AwsError } from './aws-error.ts';
import type { Call, Handlers } from './call.ts';
import { accountOf, changed, checkName, limitExceeded, noSuch } from './iam-access.ts';
import { checkDocument, encoded, significant } from './iam-documents.ts';
import { documentOf } from './managed-documents.ts';
import { page } from './page.ts';
import type { ManagedPolicyState, RoleState } from './state.ts';

/** Managed policies: the customer's, with up to five versions each, and those of AWS by name. */
export const managedPolicyHandlers: Handlers = {
  CreatePolicy(call, input) {
    const { id, policies } = accountOf(call);
    checkName(input.PolicyName, 'policyName', 128);
    checkDocument(input.PolicyDocument);
    if (significant(input.PolicyDocument) > 6144)
      throw limitExceeded('Cannot exceed quota for PolicySize: 6144');
    const arn = `arn:aws:iam::${id}:policy${input.Path ?? '/'}${input.PolicyName}`;
    if (policies.has(arn)) {
      throw new AwsError(
        409,
        'EntityAlreadyExists',
        `A policy called ${input.PolicyName} already exists. Duplicate names are not allowed.`,
      );
    }
    policies.set(arn, { arn, name: input.PolicyName, document: input.PolicyDocument });
    return changed(call, { Policy: policyShown(call, arn) });
  },

  GetPolicy(call, input) {
    if (documentOf(accountOf(call), input.PolicyArn) === undefined)
      throw noSuch(`Policy ${input.PolicyArn} was not found.`);
    return { Policy: policyShown(call, input.PolicyArn) };
  },

  CreatePolicyVersion(call, input) {
    const policy = accountOf(call).policies.get(input.PolicyArn);
    if (!policy) throw noSuch(`Policy ${input.PolicyArn} was not found.`);
    checkDocument(input.PolicyDocument);
    if (significant(input.PolicyDocument) > 6144)
      throw limitExceeded('Cannot exceed quota for PolicySize: 6144');
    const before = versionsOf(policy);
    if (before.length >= 5)
      throw limitExceeded(
        'A managed policy can have up to 5 versions. Before you create a new version, delete one.',
      );
    const id = `v${Math.max(...before.map((version) => Number(version.id.slice(1)))) + 1}`;
    const isDefault = input.SetAsDefault ?? false;
    policy.versions = [
      ...before.map((version) => ({ ...version, isDefault: version.isDefault && !isDefault })),
      { id, document: input.PolicyDocument, isDefault },
    ];
    if (isDefault) policy.document = input.PolicyDocument;
    return changed(call, { PolicyVersion: { VersionId: id, IsDefaultVersion: isDefault } });
  },

  GetPolicyVersion(call, input) {
    const version = versionsIn(call, input.PolicyArn).find(({ id }) => id === input.VersionId);
    if (!version)
      throw noSuch(
        `Policy ${input.PolicyArn} version ${input.VersionId} does not exist or is not attachable.`,
      );
    const { id, document, isDefault } = version;
    return { PolicyVersion: { Document: encoded(document), VersionId: id, IsDefaultVersion: isDefault } };
  },

  ListPolicyVersions(call, input) {
    const versions = versionsIn(call, input.PolicyArn);
    if (versions.length === 0) throw noSuch(`Policy ${input.PolicyArn} was not found.`);
    return {
      Versions: versions.map(({ id, isDefault }) => ({ VersionId: id, IsDefaultVersion: isDefault })),
      IsTruncated: false,
    };
  },

  ListPolicies(call, input) {
    const policies = [...accountOf(call).policies.keys()].map((arn) => policyShown(call, arn));
    const { items, next } = page(policies, input.MaxItems ?? 100, input.Marker);
    return { Policies: items, IsTruncated: next !== undefined, Marker: next };
  },

  DeletePolicy(call, input) {
    const { policies } = accountOf(call);
    if (!policies.has(input.PolicyArn)) throw noSuch(`Policy ${input.PolicyArn} was not found.`);
    if (attachments(call, input.PolicyArn).length > 0)
      throw new AwsError(409, 'DeleteConflict', 'Cannot delete a policy attached to entities.');
    policies.delete(input.PolicyArn);
    return changed(call, {});
  },
};

export const policyShown = (call: Call, arn: string) => ({
  PolicyName: arn.slice(arn.lastIndexOf('/') + 1),
  Arn: arn,
  Path: arn.slice(arn.indexOf(':policy/') + 7, arn.lastIndexOf('/') + 1),
  DefaultVersionId: versionsIn(call, arn).find(({ isDefault }) => isDefault)?.id ?? 'v1',
  AttachmentCount: attachments(call, arn).length,
  IsAttachable: true,
});

/** Every version of a policy; none where there is no such policy. */
function versionsIn(call: Call, arn: string) {
  const account = accountOf(call);
  const policy = account.policies.get(arn);
  const document = documentOf(account, arn);
  if (policy) return versionsOf(policy);
  return document === undefined ? [] : [{ id: 'v1', document, isDefault: true }];
}

const versionsOf = ({ versions, document }: ManagedPolicyState) =>
  versions ?? [{ id: 'v1', document, isDefault: true }];

const attachments = (call: Call, arn: string): RoleState[] =>
  [...accountOf(call).roles.values()].filter(
    ({ attached, permissionsBoundary }) => attached.includes(arn) || permissionsBoundary === arn,
  );
