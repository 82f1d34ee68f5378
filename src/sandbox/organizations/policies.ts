import type {
  AttachPolicyRequest,
  CreatePolicyRequest,
  EnablePolicyTypeRequest,
  ListPoliciesForTargetRequest,
  PolicySummary,
  UpdatePolicyRequest,
} from '@aws-sdk/client-organizations';
import { toList } from '../../iam/context.ts';
import { type AwsError, missingFeatureError } from '../aws-error.ts';
import type { Call, Handlers } from '../call.ts';
import type { ControlPolicyKind, OrganizationPolicyState, OrganizationState } from '../state.ts';
import { parsePolicyInput } from '../stored-policies.ts';
import {
  constraintViolationError,
  getAuthorizedOrganization,
  organizationsError,
  organizationsPageOf,
  requireTarget,
} from './access.ts';
import {
  MANAGED_POLICIES,
  markOrganizationChanged,
  policyArnOf,
  randomIdText,
  targetIdsOf,
  toRoot,
} from './organization.ts';

/** Organizations User Guide, "Quotas for AWS Organizations". */
const MAX_POLICY_SIZE = 5120;
const MAX_POLICIES_PER_TARGET = 5;

/** Handlers of service control policies and resource control policies. */
export const controlPolicyHandlers: Handlers = {
  EnablePolicyType(call, input: EnablePolicyTypeRequest) {
    const organization = getAuthorizedOrganization(call);
    const type = requireRootAndType(organization, input);
    if (organization.policyTypes.includes(type))
      throw organizationsError(
        'PolicyTypeAlreadyEnabledException',
        'The specified policy type is already enabled.',
      );
    organization.policyTypes.push(type);
    requirePolicy(organization, MANAGED_POLICIES[type].id).targets = targetIdsOf(organization);
    return toRootOutput(call, organization);
  },

  DisablePolicyType(call, input: EnablePolicyTypeRequest) {
    const organization = getAuthorizedOrganization(call);
    const type = requireRootAndType(organization, input);
    requireEnabled(organization, type);
    organization.policyTypes = organization.policyTypes.filter((enabled) => enabled !== type);
    // Policies of the type are detached from all targets, and stay.
    for (const policy of organization.policies.values()) if (policy.type === type) policy.targets = [];
    return toRootOutput(call, organization);
  },

  CreatePolicy(call, { Content = '', Description = '', Name = '', Type }: CreatePolicyRequest) {
    const organization = getAuthorizedOrganization(call);
    const type = toControlPolicyKind(Type);
    checkPolicyContent(type, Content);
    checkUniqueName(organization, type, Name);
    const id = `p-${randomIdText(8)}`;
    const policy: OrganizationPolicyState = {
      id,
      name: Name,
      description: Description,
      type,
      isAwsManaged: false,
      content: Content,
      targets: [],
    };
    organization.policies.set(id, policy);
    return toControlPolicyOutput(call, organization, policy);
  },

  UpdatePolicy(call, { PolicyId = '', Name, Description, Content }: UpdatePolicyRequest) {
    const organization = getAuthorizedOrganization(call);
    const policy = requirePolicy(organization, PolicyId);
    if (policy.isAwsManaged)
      throw organizationsError(
        'InvalidInputException',
        'You cannot update an AWS managed policy.',
        'IMMUTABLE_POLICY',
      );
    if (Content !== undefined) checkPolicyContent(policy.type, Content);
    if (Name !== undefined && Name !== policy.name) checkUniqueName(organization, policy.type, Name);
    if (Name !== undefined) policy.name = Name;
    if (Description !== undefined) policy.description = Description;
    if (Content !== undefined) policy.content = Content;
    return toControlPolicyOutput(call, organization, policy);
  },

  DescribePolicy(call, { PolicyId }) {
    const organization = getAuthorizedOrganization(call);
    const policy = requirePolicy(organization, PolicyId);
    return {
      Policy: { PolicySummary: toPolicySummary(organization, policy), Content: policy.content },
    };
  },

  AttachPolicy(call, { PolicyId = '', TargetId = '' }: AttachPolicyRequest) {
    const organization = getAuthorizedOrganization(call);
    const { id, type, targets } = requirePolicy(organization, PolicyId);
    requireTarget(organization, TargetId, 'TargetNotFoundException', 'a target');
    requireEnabled(organization, type);
    if (targets.includes(TargetId))
      throw organizationsError(
        'DuplicatePolicyAttachmentException',
        'The selected policy is already attached to the specified target.',
      );
    if (policiesOfTarget(organization, TargetId, type).length >= MAX_POLICIES_PER_TARGET)
      throw constraintViolationError(
        'MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED',
        'You have attached the maximum number of policies of this type to the target.',
      );
    organization.policies.get(id)?.targets.push(TargetId);
    markOrganizationChanged(call.store, organization);
    return {};
  },

  DetachPolicy(call, { PolicyId = '', TargetId = '' }: AttachPolicyRequest) {
    const organization = getAuthorizedOrganization(call);
    const policy = requirePolicy(organization, PolicyId);
    requireTarget(organization, TargetId, 'TargetNotFoundException', 'a target');
    if (!policy.targets.includes(TargetId))
      throw organizationsError(
        'PolicyNotAttachedException',
        "The policy isn't attached to the specified target in the specified root.",
      );
    // RCPFullAWSAccess cannot be detached (Organizations User Guide, "RCP examples").
    if (
      policy.id === MANAGED_POLICIES.RESOURCE_CONTROL_POLICY.id ||
      policiesOfTarget(organization, TargetId, policy.type).length === 1
    )
      throw constraintViolationError(
        'MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED',
        'You cannot detach the last policy of this type from the target.',
      );
    policy.targets = policy.targets.filter((target) => target !== TargetId);
    markOrganizationChanged(call.store, organization);
    return {};
  },

  ListPoliciesForTarget(call, input: ListPoliciesForTargetRequest) {
    const organization = getAuthorizedOrganization(call);
    const type = toControlPolicyKind(input.Filter);
    const target = requireTarget(organization, input.TargetId ?? '', 'TargetNotFoundException', 'a target');
    const policies = policiesOfTarget(organization, target, type).map((policy) =>
      toPolicySummary(organization, policy),
    );
    return organizationsPageOf('Policies', policies, input);
  },
};

const policiesOfTarget = (
  { policies }: OrganizationState,
  target: string,
  type: ControlPolicyKind,
): OrganizationPolicyState[] =>
  [...policies.values()].filter((policy) => policy.type === type && policy.targets.includes(target));

function requirePolicy({ policies }: OrganizationState, id: string): OrganizationPolicyState {
  const policy = policies.get(id);
  if (policy) return policy;
  throw organizationsError('PolicyNotFoundException', "You specified a policy that doesn't exist.");
}

function requireRootAndType(
  organization: OrganizationState,
  { RootId, PolicyType }: EnablePolicyTypeRequest,
): ControlPolicyKind {
  const type = toControlPolicyKind(PolicyType);
  if (RootId === organization.rootId) return type;
  throw organizationsError('RootNotFoundException', "You specified a root that doesn't exist.");
}

/** @throws AwsError 501 for the types that do not limit permissions, such as tag policies. */
function toControlPolicyKind(type: string | undefined): ControlPolicyKind {
  if (type === 'SERVICE_CONTROL_POLICY' || type === 'RESOURCE_CONTROL_POLICY') return type;
  throw missingFeatureError(`organization policies of the type ${type}`);
}

function requireEnabled({ policyTypes }: OrganizationState, type: ControlPolicyKind): void {
  if (policyTypes.includes(type)) return;
  throw organizationsError(
    'PolicyTypeNotEnabledException',
    'This operation can be performed only for enabled policy types.',
  );
}

function checkUniqueName({ policies }: OrganizationState, type: ControlPolicyKind, name: string): void {
  if ([...policies.values()].some((policy) => policy.type === type && policy.name === name))
    throw organizationsError('DuplicatePolicyException', 'A policy with the same name already exists.');
}

const malformedControlPolicyError = (message: string): AwsError =>
  organizationsError('MalformedPolicyDocumentException', message);

/** Checks the syntax of a policy (Organizations User Guide, "SCP syntax", "RCP syntax"). */
function checkPolicyContent(type: ControlPolicyKind, content: string): void {
  if (content.length > MAX_POLICY_SIZE)
    throw constraintViolationError(
      'POLICY_CONTENT_LIMIT_EXCEEDED',
      'You have exceeded the maximum size of a policy.',
    );
  const { Statement } = parsePolicyInput(content, () =>
    malformedControlPolicyError(
      'The provided policy document does not meet the requirements of the specified policy type.',
    ),
  );
  const isValid = toList(Statement).every((statement) =>
    type === 'SERVICE_CONTROL_POLICY'
      ? statement.Principal === undefined && statement.NotPrincipal === undefined
      : statement.Effect === 'Deny' &&
        statement.Principal === '*' &&
        statement.Action !== undefined &&
        // An RCP names services: a wildcard alone is not valid in Action.
        !toList(statement.Action).includes('*'),
  );
  if (!isValid)
    throw malformedControlPolicyError(
      'The provided policy document does not meet the requirements of the specified policy type.',
    );
}

function toRootOutput(call: Call, organization: OrganizationState): object {
  markOrganizationChanged(call.store, organization);
  return { Root: toRoot(organization) };
}

function toControlPolicyOutput(
  call: Call,
  organization: OrganizationState,
  policy: OrganizationPolicyState,
): object {
  markOrganizationChanged(call.store, organization);
  return { Policy: { PolicySummary: toPolicySummary(organization, policy), Content: policy.content } };
}

const toPolicySummary = (
  organization: OrganizationState,
  policy: OrganizationPolicyState,
): PolicySummary => ({
  Id: policy.id,
  Arn: policyArnOf(organization, policy),
  Name: policy.name,
  Description: policy.description,
  Type: policy.type,
  AwsManaged: policy.isAwsManaged,
});
