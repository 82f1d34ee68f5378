import { type Fact, isUnread, type RoleFacts, upperBoundOf } from '../core/facts.ts';
import type { Policy } from '../iam/types.ts';
import { nameInArn } from '../util/arn.ts';
import { documentKey, placeholderOf, rolePolicyKey, stackArn } from './stack.ts';
import { knownText, type TerraformContext } from './terraform-context.ts';
import {
  type AttributePath,
  readValue,
  readWholeValue,
  type TerraformResource,
} from './terraform-document.ts';
import { policyAt, toPolicyFact } from './terraform-policies.ts';
import { isRecord, isUnknown, listOf, textOf, Unknown } from './unknown.ts';

const ROLE_REFERENCE_TYPES = ['aws_iam_role', 'data.aws_iam_role'];

/** Returns the ARN of a role or a customer managed policy, which follows from account, path and name. */
function arnOfRoleOrPolicy(
  context: TerraformContext,
  resource: TerraformResource,
  kind: 'role' | 'policy',
): string | Unknown {
  const arn = knownText(resource, 'arn');
  if (arn !== undefined) return arn;
  const location = context.locationOf(resource);
  if (isUnknown(location)) return location;
  const value = readValue(resource, ['name']);
  // The provider appends a random suffix to a prefix, or to its own prefix if neither is set.
  const name =
    textOf(value) ?? `${knownText(resource, 'name_prefix') ?? ''}${placeholderOf(resource.address)}`;
  return stackArn('iam', location, `${kind}${knownText(resource, 'path') ?? '/'}${name}`);
}

/** Returns the ARN of the role at an attribute that contains an ARN; `Unknown` if it is not known. */
export function roleArnAt(
  context: TerraformContext,
  resource: TerraformResource,
  path: AttributePath,
): string | Unknown {
  const value = readValue(resource, path);
  if (!isUnknown(value)) return textOf(value) ?? new Unknown(`${resource.address} names no role`);
  const target = context.referenceAt(resource, path, ROLE_REFERENCE_TYPES);
  return isUnknown(target) ? target : arnOfRoleOrPolicy(context, target.resource, 'role');
}

/** Adds every role of a document, with its policies, to the facts of its stack. */
export function addRoles(context: TerraformContext): void {
  const { stack } = context;
  for (const resource of context.data('aws_iam_role')) {
    const arn = knownText(resource, 'arn');
    if (arn === undefined) continue;
    stack.facts.roles[arn] = {
      trust: toPolicyFact(
        readValue(resource, ['assume_role_policy']),
        `${resource.address}.assume_role_policy`,
      ),
      policies: { unread: `${resource.address} does not contain the policies of the role` },
    };
    addRoleAddresses(context, resource, arn);
  }
  const policies = indexPolicies(context);
  const attachments = indexAttachments(context);
  for (const resource of context.managed('aws_iam_role')) {
    const arn = arnOfRoleOrPolicy(context, resource, 'role');
    if (isUnknown(arn)) continue;
    addRoleAddresses(context, resource, arn);
    stack.facts.roles[arn] = roleFactsOf(context, resource, arn, policies, attachments);
  }
}

function addRoleAddresses({ stack }: TerraformContext, { address }: TerraformResource, arn: string): void {
  for (const part of ['self', 'trust', 'boundary'] as const)
    stack.addresses.set(documentKey('role', arn, part), address);
}

/** Customer managed policies, and policies that a data source reads, by ARN. */
type PoliciesByArn = Map<string, TerraformResource>;

function indexPolicies(context: TerraformContext): PoliciesByArn {
  const resources = [...context.data('aws_iam_policy'), ...context.managed('aws_iam_policy')];
  return new Map(
    resources.flatMap((resource) => {
      const arn = arnOfRoleOrPolicy(context, resource, 'policy');
      return isUnknown(arn) ? [] : [[arn, resource] as const];
    }),
  );
}

/** Resources that give policies to roles. */
interface Attachments {
  /** Returns the resources of some types that name a role, and those whose roles are not known, in their order. */
  of(role: TerraformResource, types: readonly string[]): TerraformResource[];
}

const rolePathOf = ({ type }: TerraformResource): AttributePath =>
  type === 'aws_iam_policy_attachment' ? ['roles'] : ['role'];

/** Indexes the resources by the name of their role, so that thousands of roles are not compared with each. */
function indexAttachments(context: TerraformContext): Attachments {
  const byName = new Map<string | undefined, TerraformResource[]>();
  const add = (name: string | undefined, resource: TerraformResource) => {
    const group = byName.get(name);
    if (group) group.push(resource);
    else byName.set(name, [resource]);
  };
  const resources = context.managed(
    'aws_iam_role_policy',
    'aws_iam_role_policy_attachment',
    'aws_iam_policy_attachment',
  );
  const positions = new Map(resources.map((resource, index) => [resource, index]));
  for (const resource of resources) {
    const value = readValue(resource, rolePathOf(resource));
    if (isUnknown(value)) add(undefined, resource);
    else for (const name of new Set([value].flat())) if (typeof name === 'string') add(name, resource);
  }
  return {
    of(role, types) {
      const name = knownText(role, 'name');
      const named = name === undefined ? [] : (byName.get(name) ?? []);
      return [...named, ...(byName.get(undefined) ?? [])]
        .filter(({ type }) => types.includes(type))
        .sort((a, b) => (positions.get(a) ?? 0) - (positions.get(b) ?? 0));
    },
  };
}

/** A policy of a role, before it is known whether all of them can be read. */
interface RolePolicy {
  fact: Fact<Policy>;
  address: string;
}

function roleFactsOf(
  context: TerraformContext,
  resource: TerraformResource,
  arn: string,
  policiesByArn: PoliciesByArn,
  attachments: Attachments,
): RoleFacts {
  const { stack } = context;
  const policies = new Map([
    ...inlinePoliciesOf(context, resource, attachments),
    ...attachedPoliciesOf(context, resource, policiesByArn, attachments),
  ]);
  const upperBounds: Record<string, Policy> = {};
  const unread: string[] = [];
  for (const [name, { fact, address }] of policies) {
    stack.addresses.set(rolePolicyKey(arn, name), address);
    if (fact === null) continue;
    if (isUnread(fact)) unread.push(fact.unread);
    upperBounds[name] = upperBoundOf(fact) ?? UNBOUNDED_POLICY;
  }
  const id = knownText(resource, 'unique_id');
  const tags = readWholeValue(resource, ['tags_all']);
  const boundary = boundaryOfRole(context, resource, policiesByArn);
  return {
    ...(id !== undefined && { id }),
    ...(isRecord(tags) && {
      tags: Object.fromEntries(Object.entries(tags).map(([key, tag]) => [key, String(tag)])),
    }),
    trust: policyAt(context, resource, ['assume_role_policy']),
    policies: unread.length === 0 ? upperBounds : { unread: unread.join(', '), atMost: upperBounds },
    ...boundary,
  };
}

/** Replaces a policy that is not known at all. */
const UNBOUNDED_POLICY: Policy = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }],
};

/**
 * Returns whether an attribute of a resource names a role, by its name or by a reference; `Unknown` if it may name this
 * role or another one.
 */
function belongsToRole(
  context: TerraformContext,
  resource: TerraformResource,
  path: AttributePath,
  role: TerraformResource,
): boolean | Unknown {
  const value = readValue(resource, path);
  const roleName = knownText(role, 'name');
  if (!isUnknown(value))
    return (
      [value].flat().includes(roleName) && roleName !== undefined && sameProvider(context, resource, role)
    );
  const targets = context.referencesAt(resource, path, ROLE_REFERENCE_TYPES);
  const addresses = new Set(targets.map((target) => target.resource.address));
  if (addresses.size === 0) return value;
  if (!addresses.has(role.address)) return false;
  // A list may name several roles, and an expression for one role chooses one of them.
  return addresses.size === 1 || path[0] === 'roles' ? true : value;
}

/** Two accounts may have roles of one name. */
function sameProvider(context: TerraformContext, a: TerraformResource, b: TerraformResource): boolean {
  if ([a, b].some((resource) => context.references.providerOf(resource) === undefined)) return true;
  const [first, second] = [context.locationOf(a), context.locationOf(b)];
  return isUnknown(first) || isUnknown(second) || first.account === second.account;
}

/**
 * Returns whether a value is not known, because of the configuration. The provider computes attributes of a new role
 * that the configuration does not set.
 */
const isUnknownSetting = (
  { references }: TerraformContext,
  resource: TerraformResource,
  attribute: string,
  value: unknown,
): value is Unknown => isUnknown(value) && !(resource.isNew && !references.isSet(resource, attribute));

/** Returns the inline policies of a role by name: those that the provider read, changed by resources of the plan. */
function inlinePoliciesOf(
  context: TerraformContext,
  role: TerraformResource,
  attachments: Attachments,
): Map<string, RolePolicy> {
  const policies = new Map<string, RolePolicy>();
  const blocks = readValue(role, ['inline_policy']);
  if (isUnknownSetting(context, role, 'inline_policy', blocks))
    policies.set(placeholderOf(`${role.address}.inline_policy`), {
      fact: { unread: blocks.reason },
      address: role.address,
    });
  listOf(blocks).forEach((block, index) => {
    const name = isRecord(block) ? textOf(block.name) : undefined;
    // One block without a name and a policy means that the role has no inline policies.
    if (name === undefined && !isUnknown(readValue(role, ['inline_policy', index, 'policy']))) return;
    policies.set(name ?? placeholderOf(`${role.address}.inline_policy[${index}]`), {
      fact: policyAt(context, role, ['inline_policy', index, 'policy']),
      address: role.address,
    });
  });
  const roleName = knownText(role, 'name');
  for (const { values } of context.previous('aws_iam_role_policy'))
    if (values.role === roleName && typeof values.name === 'string') policies.delete(values.name);
  for (const resource of attachments.of(role, ['aws_iam_role_policy'])) {
    const isAttached = belongsToRole(context, resource, rolePathOf(resource), role);
    if (isAttached === false) continue;
    const name = knownText(resource, 'name') ?? placeholderOf(resource.address);
    const fact = isUnknown(isAttached)
      ? { unread: isAttached.reason }
      : policyAt(context, resource, ['policy']);
    policies.set(name, { fact, address: resource.address });
  }
  return policies;
}

/** Returns the managed policies of a role by ARN. */
function attachedPoliciesOf(
  context: TerraformContext,
  role: TerraformResource,
  policiesByArn: PoliciesByArn,
  attachments: Attachments,
): Map<string, RolePolicy> {
  const policies = new Map<string, RolePolicy>();
  const attach = (arn: string | Unknown, address: string) => {
    if (isUnknown(arn)) policies.set(placeholderOf(address), { fact: { unread: arn.reason }, address });
    else policies.set(arn, managedPolicyOf(context, arn, address, policiesByArn));
  };
  const arns = readValue(role, ['managed_policy_arns']);
  if (isUnknownSetting(context, role, 'managed_policy_arns', arns)) attach(arns, role.address);
  listOf(arns).forEach((_, index) => {
    attach(policyArnAt(context, role, ['managed_policy_arns', index]), role.address);
  });
  const roleName = knownText(role, 'name');
  for (const { values } of context.previous('aws_iam_role_policy_attachment'))
    if (values.role === roleName) policies.delete(String(values.policy_arn));
  for (const { values } of context.previous('aws_iam_policy_attachment'))
    if (listOf(values.roles).includes(roleName)) policies.delete(String(values.policy_arn));
  for (const resource of attachments.of(role, [
    'aws_iam_role_policy_attachment',
    'aws_iam_policy_attachment',
  ])) {
    const isAttached = belongsToRole(context, resource, rolePathOf(resource), role);
    if (isAttached !== false)
      attach(
        isUnknown(isAttached) ? isAttached : policyArnAt(context, resource, ['policy_arn']),
        resource.address,
      );
  }
  return policies;
}

function policyArnAt(
  context: TerraformContext,
  resource: TerraformResource,
  path: AttributePath,
): string | Unknown {
  const value = readValue(resource, path);
  if (!isUnknown(value)) return textOf(value) ?? new Unknown(`${resource.address} names no policy`);
  const target = context.referenceAt(resource, path, ['aws_iam_policy', 'data.aws_iam_policy']);
  return isUnknown(target) ? target : arnOfRoleOrPolicy(context, target.resource, 'policy');
}

/** Returns a managed policy. `address`: the resource that attaches it. */
function managedPolicyOf(
  context: TerraformContext,
  arn: string,
  address: string,
  policiesByArn: PoliciesByArn,
): RolePolicy {
  const resource = policiesByArn.get(arn);
  if (!resource)
    return { fact: { unread: `the policy ${arn} (attached by ${address}) is not in the file` }, address };
  return { fact: policyAt(context, resource, ['policy']), address: resource.address };
}

function boundaryOfRole(
  context: TerraformContext,
  role: TerraformResource,
  policiesByArn: PoliciesByArn,
): Pick<RoleFacts, 'boundary' | 'boundaryArn'> {
  const value = readValue(role, ['permissions_boundary']);
  if (!isUnknown(value) && textOf(value) === undefined) return { boundary: null };
  const arn = policyArnAt(context, role, ['permissions_boundary']);
  if (isUnknown(arn)) return { boundary: { unread: arn.reason } };
  const { fact, address } = managedPolicyOf(context, arn, role.address, policiesByArn);
  context.stack.addresses.set(
    documentKey('role', String(arnOfRoleOrPolicy(context, role, 'role')), 'boundary'),
    address,
  );
  return { boundary: fact ?? { unread: `${nameInArn(arn)} is empty` }, boundaryArn: arn };
}
