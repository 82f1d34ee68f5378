import { AwsError } from '../aws-error.ts';
import { type Handlers, pageOf } from '../call.ts';
import { isAwsManagedPolicy } from '../stored-policies.ts';
import {
  checkIamName,
  getMutableRole,
  getRoleByName,
  iamAccountOf,
  limitExceededError,
  markIamChanged,
  noSuchEntityError,
} from './access.ts';
import { checkIdentityPolicy, encodeRfc3986, policySizeOf } from './policy-documents.ts';

/** The policies of a role: inline, attached, and its boundary. */
export const rolePolicyHandlers: Handlers = {
  PutRolePolicy(call, input) {
    const role = getMutableRole(call, input.RoleName);
    checkIamName(input.PolicyName, 'policyName', 128);
    checkIdentityPolicy(input.PolicyDocument);
    const otherDocuments = [...role.inline]
      .filter(([name]) => name !== input.PolicyName)
      .map(([, text]) => text);
    if (policySizeOf([...otherDocuments, input.PolicyDocument].join('')) > 10_240)
      throw limitExceededError(`Maximum policy size of 10240 bytes exceeded for role ${role.name}`);
    role.inline.set(input.PolicyName, input.PolicyDocument);
    return markIamChanged(call, {});
  },

  GetRolePolicy(call, input) {
    const role = getRoleByName(call, input.RoleName);
    const text = role.inline.get(input.PolicyName);
    if (text === undefined)
      throw noSuchEntityError(`The role policy with name ${input.PolicyName} cannot be found.`);
    return { RoleName: role.name, PolicyName: input.PolicyName, PolicyDocument: encodeRfc3986(text) };
  },

  DeleteRolePolicy(call, input) {
    if (!getMutableRole(call, input.RoleName).inline.delete(input.PolicyName))
      throw noSuchEntityError(`The role policy with name ${input.PolicyName} cannot be found.`);
    return markIamChanged(call, {});
  },

  ListRolePolicies(call, input) {
    const names = [...getRoleByName(call, input.RoleName).inline.keys()];
    const { items, next } = pageOf(names, input.MaxItems ?? 100, input.Marker);
    return { PolicyNames: items, IsTruncated: next !== undefined, Marker: next };
  },

  AttachRolePolicy(call, input) {
    const role = getMutableRole(call, input.RoleName);
    const arn: string = input.PolicyArn;
    if (!arn.startsWith('arn:'))
      throw new AwsError(400, 'ValidationError', 'Invalid ARN:  Could not be parsed!');
    if (!isAwsManagedPolicy(arn) && !iamAccountOf(call).policies.has(arn))
      throw noSuchEntityError(`Policy ${arn} does not exist or is not attachable.`);
    if (role.attached.includes(arn)) return {};
    if (role.attached.length >= 10) throw limitExceededError('Cannot exceed quota for PoliciesPerRole: 10');
    role.attached.push(arn);
    return markIamChanged(call, {});
  },

  DetachRolePolicy(call, input) {
    const role = getMutableRole(call, input.RoleName);
    if (!role.attached.includes(input.PolicyArn))
      throw noSuchEntityError(`Policy ${input.PolicyArn} was not found.`);
    role.attached = role.attached.filter((arn) => arn !== input.PolicyArn);
    return markIamChanged(call, {});
  },

  ListAttachedRolePolicies(call, input) {
    const attachedPolicies = getRoleByName(call, input.RoleName).attached.map(toAttachedPolicy);
    const { items, next } = pageOf(attachedPolicies, input.MaxItems ?? 100, input.Marker);
    return { AttachedPolicies: items, IsTruncated: next !== undefined, Marker: next };
  },

  PutRolePermissionsBoundary(call, input) {
    const role = getMutableRole(call, input.RoleName);
    const arn: string = input.PermissionsBoundary;
    if (!isAwsManagedPolicy(arn) && !iamAccountOf(call).policies.has(arn))
      throw noSuchEntityError(`Scope ARN: ${arn} does not exist or is not attachable.`);
    role.permissionsBoundary = arn;
    return markIamChanged(call, {});
  },

  DeleteRolePermissionsBoundary(call, input) {
    delete getMutableRole(call, input.RoleName).permissionsBoundary;
    return markIamChanged(call, {});
  },
};

export const toAttachedPolicy = (arn: string) => ({
  PolicyArn: arn,
  PolicyName: arn.slice(arn.lastIndexOf('/') + 1),
});
