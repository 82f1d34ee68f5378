import { type Fact, isUnread, type KeyFacts, type UnreadFact } from '../core/facts.ts';
import type { Grant } from '../iam/grants.ts';
import type { Policy } from '../iam/types.ts';
import { documentKey, placeholderOf, stackArn } from './stack.ts';
import { knownText, type TerraformContext } from './terraform-context.ts';
import { type AttributePath, readValue, type TerraformResource } from './terraform-document.ts';
import { policyAt } from './terraform-policies.ts';
import { isUnknown, listOf, textOf, type Unknown, unreadBecause } from './unknown.ts';

const KEY_TYPES = [
  'aws_kms_key',
  'aws_kms_replica_key',
  'aws_kms_external_key',
  'aws_kms_replica_external_key',
];

/** Types of resources that an attribute for a key can refer to. */
const KEY_REFERENCE_TYPES = [...KEY_TYPES, 'aws_kms_alias', 'data.aws_kms_key', 'data.aws_kms_alias'];

/** Returns the ARN of a key, with a placeholder for the id of a key that the plan creates. */
function arnOfKey(context: TerraformContext, resource: TerraformResource): string | Unknown {
  const arn = knownText(resource, 'arn') ?? knownText(resource, 'target_key_arn');
  if (arn !== undefined && !arn.includes(':alias/')) return arn;
  const location = context.locationOf(resource);
  if (isUnknown(location)) return location;
  // An id that KMS generates is in no document that exists before the key.
  const id = knownText(resource, 'key_id') ?? placeholderOf(resource.address);
  const isMultiRegion = resource.type.includes('replica') || readValue(resource, ['multi_region']) === true;
  return stackArn('kms', location, `key/${isMultiRegion && !id.startsWith('mrk-') ? 'mrk-' : ''}${id}`);
}

/** Returns the ARN of the key to which an alias points. */
function targetOfAlias(context: TerraformContext, alias: TerraformResource): string | Unknown {
  const arn = knownText(alias, 'target_key_arn');
  if (arn !== undefined) return arn;
  const id = knownText(alias, 'target_key_id');
  const location = context.locationOf(alias);
  if (id !== undefined)
    return id.startsWith('arn:') || isUnknown(location) ? id : stackArn('kms', location, `key/${id}`);
  const target = context.referenceAt(alias, ['target_key_id'], KEY_REFERENCE_TYPES);
  return isUnknown(target) ? target : arnOfKey(context, target.resource);
}

/** Returns the ARN of an alias; undefined if its name is not known. */
function arnOfAlias(context: TerraformContext, alias: TerraformResource): string | undefined {
  const arn = knownText(alias, 'arn');
  const name = knownText(alias, 'name');
  const location = context.locationOf(alias);
  return arn ?? (name === undefined || isUnknown(location) ? undefined : stackArn('kms', location, name));
}

/** Returns the name of a key at an attribute: an ARN, an id or an alias; undefined if it names none. */
export function keyNameAt(
  context: TerraformContext,
  resource: TerraformResource,
  path: AttributePath,
): string | Unknown | undefined {
  const value = readValue(resource, path);
  if (!isUnknown(value)) return textOf(value);
  const targets = context.referencesAt(resource, path, KEY_REFERENCE_TYPES);
  const [target] = targets;
  if (!target) return value;
  if (targets.length === 1 && target.resource.type.endsWith('alias')) {
    if (target.attribute.startsWith('target_key')) return targetOfAlias(context, target.resource);
    const name = target.attribute === 'name' ? knownText(target.resource, 'name') : undefined;
    return name ?? arnOfAlias(context, target.resource) ?? value;
  }
  // A conditional expression may refer to a key and to its alias.
  const arns = targets.map(({ resource: key }) =>
    key.type.endsWith('alias') ? targetOfAlias(context, key) : arnOfKey(context, key),
  );
  const [arn] = arns;
  return arn !== undefined && !isUnknown(arn) && arns.every((other) => other === arn) ? arn : value;
}

/** Adds every key and alias of a document to the facts of its stack. */
export function addKeys(context: TerraformContext): void {
  const { stack } = context;
  const policies = new Map<string, TerraformResource>();
  /** Policies of keys that are not known. */
  const unlinked: string[] = [];
  for (const resource of context.managed('aws_kms_key_policy')) {
    const arn = keyOf(context, resource);
    if (isUnknown(arn)) unlinked.push(arn.reason);
    else policies.set(arn, resource);
  }
  const reset = keysWithResetPolicy(context);
  for (const resource of [...context.data('aws_kms_key'), ...context.managed(...KEY_TYPES)]) {
    const arn = arnOfKey(context, resource);
    if (isUnknown(arn)) continue;
    const policyResource = policies.get(arn) ?? resource;
    const key = keyFactsOf(context, resource, arn, policyResource);
    if (!isUnread(key) && !policies.has(arn)) {
      if (reset.has(arn)) key.policy = initialKeyPolicyOf(arn);
      if (unlinked.length > 0) key.policy = { unread: unlinked.join(', ') };
    }
    stack.facts.keys[arn] = key;
    stack.addresses.set(documentKey('key', arn, 'self'), resource.address);
    stack.addresses.set(documentKey('key', arn, 'policy'), policyResource.address);
  }
  for (const alias of [...context.data('aws_kms_alias'), ...context.managed('aws_kms_alias')]) {
    const [arn, target] = [arnOfAlias(context, alias), targetOfAlias(context, alias)];
    if (arn === undefined) continue;
    stack.facts.keys[arn] = isUnknown(target)
      ? { unread: target.reason }
      : (stack.facts.keys[target] ?? { unread: `its key ${target} is not in the file` });
    stack.addresses.set(documentKey('key', arn, 'self'), alias.address);
  }
}

/**
 * Returns the ARNs of the keys whose policy the plan deletes. The provider then sets the default policy, unless the
 * resource bypasses the lockout check: then the policy stays (provider documentation, `aws_kms_key_policy`).
 */
const keysWithResetPolicy = (context: TerraformContext): Set<string> =>
  new Set(
    context.previous('aws_kms_key_policy').flatMap((resource) => {
      const arn = keyOf(context, resource);
      const staysInKms = readValue(resource, ['bypass_policy_lockout_safety_check']) === true;
      return isUnknown(arn) || staysInKms ? [] : [arn];
    }),
  );

/** Returns the ARN of the key of a policy or grant. */
function keyOf(context: TerraformContext, resource: TerraformResource): string | Unknown {
  const name = readValue(resource, ['key_id']);
  if (typeof name === 'string' && name.startsWith('arn:')) return name;
  if (typeof name === 'string') {
    const key = context.managed(...KEY_TYPES).find((candidate) => knownText(candidate, 'key_id') === name);
    const location = context.locationOf(resource);
    if (key) return arnOfKey(context, key);
    return isUnknown(location) ? location : stackArn('kms', location, `key/${name}`);
  }
  const target = context.referenceAt(resource, ['key_id'], KEY_REFERENCE_TYPES);
  return isUnknown(target) ? target : arnOfKey(context, target.resource);
}

function keyFactsOf(
  context: TerraformContext,
  resource: TerraformResource,
  arn: string,
  policyResource: TerraformResource,
): KeyFacts | UnreadFact {
  const isData = resource.mode === 'data';
  const keyState = readValue(resource, ['key_state']);
  const isEnabled = readValue(resource, [
    isData || resource.type !== 'aws_kms_key' ? 'enabled' : 'is_enabled',
  ]);
  const unread = unreadBecause([keyState, isEnabled].filter(isUnknown));
  if (unread) return unread;
  const state = textOf(keyState) ?? (isEnabled === false ? 'Disabled' : 'Enabled');
  const usage = knownText(resource, 'key_usage');
  const keySpec = knownText(resource, 'customer_master_key_spec') ?? knownText(resource, 'key_spec');
  const manager = knownText(resource, 'key_manager');
  const grants = grantsOfKey(context, arn);
  return {
    arn,
    state,
    ...(usage !== undefined && { usage }),
    ...(keySpec !== undefined && { keySpec }),
    ...(manager !== undefined && { manager }),
    policy: isData
      ? { unread: `${resource.address} does not contain the policy of the key` }
      : policyOfKey(context, policyResource, arn),
    ...(grants.length > 0 && { grants }),
  };
}

function policyOfKey(context: TerraformContext, resource: TerraformResource, arn: string): Fact<Policy> {
  const isKey = resource.type !== 'aws_kms_key_policy';
  const value = readValue(resource, ['policy']);
  const isDefault =
    isKey &&
    (isUnknown(value)
      ? resource.isNew && !context.references.isSet(resource, 'policy')
      : textOf(value) === undefined);
  if (!isDefault) return policyAt(context, resource, ['policy']);
  return initialKeyPolicyOf(arn);
}

function initialKeyPolicyOf(keyArn: string): Policy {
  const [, partition, , , account] = keyArn.split(':');
  return initialKeyPolicy(`arn:${partition}:iam::${account}:root`);
}

/** The policy of a key that is created without one (KMS Developer Guide, "Default key policy"). */
export const initialKeyPolicy = (rootArn: string): Policy => ({
  Version: '2012-10-17',
  Statement: [
    {
      Sid: 'Enable IAM User Permissions',
      Effect: 'Allow',
      Principal: { AWS: rootArn },
      Action: 'kms:*',
      Resource: '*',
    },
  ],
});

/** Returns the grants of a key, as KMS lists them. */
function grantsOfKey(context: TerraformContext, keyArn: string): Grant[] {
  return context.managed('aws_kms_grant').flatMap((resource) => {
    if (keyOf(context, resource) !== keyArn) return [];
    const grantee = knownText(resource, 'grantee_principal');
    const operations = readValue(resource, ['operations']);
    // A grant with unknown parts or constraints is not assumed to allow anything.
    const constraints = readValue(resource, ['constraints']);
    if (grantee === undefined || isUnknown(constraints) || listOf(constraints).length > 0) return [];
    return [
      {
        GrantId: knownText(resource, 'grant_id') ?? resource.address,
        GranteePrincipal: grantee,
        Operations: listOf(operations).filter((operation) => typeof operation === 'string'),
      },
    ];
  });
}
