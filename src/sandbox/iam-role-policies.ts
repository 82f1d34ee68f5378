import { AwsError } from './aws-error.ts';
import type { Handlers } from './call.ts';
import { accountOf, changed, checkName, limitExceeded, noSuch, ownRole, roleOf } from './iam-access.ts';
import { checkDocument, encoded, significant } from './iam-documents.ts';
import { isAwsManaged } from './managed-documents.ts';
import { page } from './page.ts';

/** The policies of a role: inline, attached, and its boundary. */
export const rolePolicyHandlers: Handlers = {
  PutRolePolicy(call, input) {
    const role = ownRole(call, input.RoleName);
    checkName(input.PolicyName, 'policyName', 128);
    checkDocument(input.PolicyDocument);
    const others = [...role.inline].filter(([name]) => name !== input.PolicyName).map(([, text]) => text);
    if (significant([...others, input.PolicyDocument].join('')) > 10_240)
      throw limitExceeded(`Maximum policy size of 10240 bytes exceeded for role ${role.name}`);
    role.inline.set(input.PolicyName, input.PolicyDocument);
    return changed(call, {});
  },

  GetRolePolicy(call, input) {
    const role = roleOf(call, input.RoleName);
    const text = role.inline.get(input.PolicyName);
    if (text === undefined) throw noSuch(`The role policy with name ${input.PolicyName} cannot be found.`);
    return { RoleName: role.name, PolicyName: input.PolicyName, PolicyDocument: encoded(text) };
  },

  DeleteRolePolicy(call, input) {
    if (!ownRole(call, input.RoleName).inline.delete(input.PolicyName))
      throw noSuch(`The role policy with name ${input.PolicyName} cannot be found.`);
    return changed(call, {});
  },

  ListRolePolicies(call, input) {
    const names = [...roleOf(call, input.RoleName).inline.keys()];
    const { items, next } = page(names, input.MaxItems ?? 100, input.Marker);
    return { PolicyNames: items, IsTruncated: next !== undefined, Marker: next };
  },

  AttachRolePolicy(call, input) {
    const role = ownRole(call, input.RoleName);
    const arn: string = input.PolicyArn;
    if (!arn.startsWith('arn:'))
      throw new AwsError(400, 'ValidationError', 'Invalid ARN:  Could not be parsed!');
    if (!isAwsManaged(arn) && !accountOf(call).policies.has(arn))
      throw noSuch(`Policy ${arn} does not exist or is not attachable.`);
    if (role.attached.includes(arn)) return {};
    if (role.attached.length >= 10) throw limitExceeded('Cannot exceed quota for PoliciesPerRole: 10');
    role.attached.push(arn);
    return changed(call, {});
  },

  DetachRolePolicy(call, input) {
    const role = ownRole(call, input.RoleName);
    if (!role.attached.includes(input.PolicyArn)) throw noSuch(`Policy ${input.PolicyArn} was not found.`);
    role.attached = role.attached.filter((arn) => arn !== input.PolicyArn);
    return changed(call, {});
  },

  ListAttachedRolePolicies(call, input) {
    const attached = roleOf(call, input.RoleName).attached.map(attachedShown);
    const { items, next } = page(attached, input.MaxItems ?? 100, input.Marker);
    return { AttachedPolicies: items, IsTruncated: next !== undefined, Marker: next };
  },

  PutRolePermissionsBoundary(call, input) {
    const role = ownRole(call, input.RoleName);
    const arn: string = input.PermissionsBoundary;
    if (!isAwsManaged(arn) && !accountOf(call).policies.has(arn))
      throw noSuch(`Scope ARN: ${arn} does not exist or is not attachable.`);
    role.permissionsBoundary = arn;
    return changed(call, {});
  },

  DeleteRolePermissionsBoundary(call, input) {
    delete ownRole(call, input.RoleName).permissionsBoundary;
    return changed(call, {});
  },
};

export const attachedShown = (arn: string) => ({
  PolicyArn: arn,
  PolicyName: arn.slice(arn.lastIndexOf('/') + 1),
});
