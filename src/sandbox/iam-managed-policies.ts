import { AwsError } from './aws-error.ts';
import type { Call, Handlers } from './call.ts';
import { accountOf, changed, checkName, limitExceeded, noSuch } from './iam-access.ts';
import { checkDocument, encoded, significant } from './iam-documents.ts';
import { documentOf } from './managed-documents.ts';
import { page } from './page.ts';
import type { RoleState } from './state.ts';

/** Managed policies: the customer's, with one version each, and those of AWS by name. */
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

  GetPolicyVersion(call, input) {
    const document = documentOf(accountOf(call), input.PolicyArn);
    if (document === undefined || input.VersionId !== 'v1')
      throw noSuch(
        `Policy ${input.PolicyArn} version ${input.VersionId} does not exist or is not attachable.`,
      );
    return { PolicyVersion: { Document: encoded(document), VersionId: 'v1', IsDefaultVersion: true } };
  },

  ListPolicyVersions(call, input) {
    if (documentOf(accountOf(call), input.PolicyArn) === undefined)
      throw noSuch(`Policy ${input.PolicyArn} was not found.`);
    return { Versions: [{ VersionId: 'v1', IsDefaultVersion: true }], IsTruncated: false };
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
  DefaultVersionId: 'v1',
  AttachmentCount: attachments(call, arn).length,
  IsAttachable: true,
});

const attachments = (call: Call, arn: string): RoleState[] =>
  [...accountOf(call).roles.values()].filter(
    ({ attached, permissionsBoundary }) => attached.includes(arn) || permissionsBoundary === arn,
  );
