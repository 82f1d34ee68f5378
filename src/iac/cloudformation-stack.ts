import type { ReplicationRule } from '@aws-sdk/client-s3';
import { type BucketFacts, type Fact, isUnread, type RoleFacts, upperBoundOf } from '../core/facts.ts';
import { PolicyError, toPolicy } from '../iam/parse.ts';
import type { Policy, Statement } from '../iam/types.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import {
  type CloudFormationTemplate,
  firstUnknown,
  type TemplateResource,
} from './cloudformation-template.ts';
import { documentKey, emptyStack, placeholderOf, rolePolicyKey, type Stack } from './stack.ts';
import { initialKeyPolicy } from './terraform-keys.ts';
import { isRecord, isUnknown, listOf, textOf, Unknown } from './unknown.ts';

/** Returns the facts of the resources of a template. Pure. `unknownAccount`: the digits for an account that is not known. */
export function cloudFormationStack(template: CloudFormationTemplate, unknownAccount: string): Stack {
  const stack = emptyStack();
  if (template.account === unknownAccount) stack.unknownAccounts.set(unknownAccount, '{AWS::AccountId}');
  for (const resource of ofType(template, 'AWS::KMS::Key', 'AWS::KMS::ReplicaKey'))
    addKey(template, stack, resource);
  for (const resource of ofType(template, 'AWS::KMS::Alias')) addAlias(template, stack, resource);
  for (const resource of ofType(template, 'AWS::IAM::Role')) addRole(template, stack, resource);
  for (const resource of ofType(template, 'AWS::S3::Bucket')) addBucket(template, stack, resource);
  return stack;
}

const ofType = ({ resources }: CloudFormationTemplate, ...types: string[]): TemplateResource[] =>
  resources.filter(({ type }) => types.includes(type));

/** Returns a value of the properties as a fact; unread if a part of it is not known. */
function factAt<T>(
  { logicalId, properties, uncertain }: TemplateResource,
  property: string,
  map: (value: unknown) => T | null,
): Fact<T> {
  const unknown = firstUnknown(properties[property]);
  if (uncertain !== undefined) return { unread: `${logicalId}: ${uncertain}` };
  if (unknown) return { unread: `${logicalId}.${property}: ${unknown.reason}` };
  return map(properties[property]);
}

/** Returns a policy; unread if a part of it is not known, with what it allows at most. */
function policyFactAt(
  logicalId: string,
  property: string,
  value: unknown,
  uncertain: string | undefined,
): Fact<Policy> {
  const name = `${logicalId}.${property}`;
  const unknown = firstUnknown(value);
  if (uncertain !== undefined) return { unread: `${name}: ${uncertain}` };
  try {
    if (!unknown) return toPolicy(withTexts(value));
    return { unread: `${name}: ${unknown.reason}`, atMost: toPolicy(upperBound(value)) };
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    return { unread: `${name} is not a valid policy: ${error.message}` };
  }
}

/** YAML reads dates and numbers where a policy has text. */
const withTexts = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withTexts);
  if (value instanceof Date) return value.toISOString().slice(0, 10);
  if (!isRecord(value)) return typeof value === 'number' ? String(value) : value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, withTexts(part)]));
};

/** Returns a policy that allows at least what a policy with unknown parts allows. */
function upperBound(value: unknown): unknown {
  const document = isRecord(value) ? value : {};
  const statements = [document.Statement].flat().flatMap((statement) => {
    if (!firstUnknown(statement)) return [withTexts(statement) as Statement];
    if (!isRecord(statement) || statement.Effect === 'Deny') return [];
    const entries = Object.entries(statement).flatMap(([element, part]): [string, unknown][] => {
      if (!firstUnknown(part)) return [[element, withTexts(part)]];
      if (element === 'Condition' || element === 'Sid') return [];
      return [[element.replace(/^Not/, ''), '*']];
    });
    return [Object.fromEntries(entries) as unknown as Statement];
  });
  return { Version: '2012-10-17', Statement: statements };
}

function addKey(template: CloudFormationTemplate, stack: Stack, resource: TemplateResource): void {
  const { logicalId, properties, uncertain } = resource;
  const arn = template.attribute(logicalId, 'Arn');
  if (typeof arn !== 'string') return;
  const [, partition, , , account] = arn.split(':');
  stack.facts.keys[arn] = {
    arn,
    state: properties.Enabled === false || properties.Enabled === 'false' ? 'Disabled' : 'Enabled',
    usage: textOf(properties.KeyUsage) ?? 'ENCRYPT_DECRYPT',
    keySpec: textOf(properties.KeySpec) ?? 'SYMMETRIC_DEFAULT',
    policy:
      properties.KeyPolicy === undefined
        ? initialKeyPolicy(`arn:${partition}:iam::${account}:root`)
        : policyFactAt(logicalId, 'KeyPolicy', properties.KeyPolicy, uncertain),
  };
  for (const part of ['self', 'policy'] as const)
    stack.addresses.set(documentKey('key', arn, part), logicalId);
}

function addAlias(
  template: CloudFormationTemplate,
  stack: Stack,
  { logicalId, properties }: TemplateResource,
): void {
  const { region, account } = template;
  const [name, target] = [textOf(properties.AliasName), properties.TargetKeyId];
  if (name === undefined || isUnknown(region)) return;
  const anyKey = Object.keys(stack.facts.keys).find(
    (arn) => arn === target || arn.endsWith(`key/${String(target)}`),
  );
  const partition = anyKey?.split(':')[1] ?? 'aws';
  const arn = `arn:${partition}:kms:${region}:${account}:${name}`;
  stack.facts.keys[arn] = (anyKey === undefined ? undefined : stack.facts.keys[anyKey]) ?? {
    unread: isUnknown(target) ? target.reason : `its key ${String(target)} is not in the file`,
  };
  stack.addresses.set(documentKey('key', arn, 'self'), logicalId);
}

function addRole(template: CloudFormationTemplate, stack: Stack, resource: TemplateResource): void {
  const { logicalId, properties, uncertain } = resource;
  const arn = template.attribute(logicalId, 'Arn');
  if (typeof arn !== 'string') return;
  for (const part of ['self', 'trust', 'boundary'] as const)
    stack.addresses.set(documentKey('role', arn, part), logicalId);
  const policies = rolePoliciesOf(template, resource, arn);
  const upperBounds: Record<string, Policy> = {};
  const unread: string[] = [];
  for (const { name, address, fact } of policies) {
    stack.addresses.set(rolePolicyKey(arn, name), address);
    if (fact === null) continue;
    if (isUnread(fact)) unread.push(fact.unread);
    upperBounds[name] = upperBoundOf(fact) ?? {
      Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }],
    };
  }
  const boundaryArn = properties.PermissionsBoundary;
  const boundary =
    boundaryArn === undefined ? null : managedPolicyFact(template, boundaryArn, logicalId).fact;
  const role: RoleFacts = {
    trust: policyFactAt(
      logicalId,
      'AssumeRolePolicyDocument',
      properties.AssumeRolePolicyDocument,
      uncertain,
    ),
    policies: unread.length === 0 ? upperBounds : { unread: unread.join(', '), atMost: upperBounds },
    boundary,
  };
  stack.facts.roles[arn] = role;
}

interface TemplateRolePolicy {
  name: string;
  address: string;
  fact: Fact<Policy>;
}

function rolePoliciesOf(
  template: CloudFormationTemplate,
  { logicalId, properties }: TemplateResource,
  arn: string,
): TemplateRolePolicy[] {
  const roleName = template.attribute(logicalId, 'Ref');
  /** Why it is not known whether a policy belongs to the role; an empty list if it does; undefined if it does not. */
  const linkOf = ({ properties: { Roles, RoleName }, uncertain }: TemplateResource): string[] | undefined => {
    const names = [Roles ?? RoleName].flat();
    if (names.some((name) => name === roleName || name === arn))
      return uncertain === undefined ? [] : [uncertain];
    const unknown = names.find(isUnknown);
    return unknown && [unknown.reason];
  };
  const inline = listOf(properties.Policies).flatMap((policy, index): TemplateRolePolicy[] => {
    const document = isRecord(policy) ? policy : {};
    const name = textOf(document.PolicyName) ?? placeholderOf(`${logicalId}.Policies[${index}]`);
    const property = `Policies[${index}].PolicyDocument`;
    return [
      {
        name,
        address: logicalId,
        fact: policyFactAt(logicalId, property, document.PolicyDocument, undefined),
      },
    ];
  });
  const separate = ofType(template, 'AWS::IAM::Policy', 'AWS::IAM::RolePolicy').flatMap((policy) => {
    const link = linkOf(policy);
    if (!link) return [];
    const { logicalId: address, properties: values } = policy;
    const name = textOf(values.PolicyName) ?? placeholderOf(address);
    return [{ name, address, fact: policyFactAt(address, 'PolicyDocument', values.PolicyDocument, link[0]) }];
  });
  const managed = ofType(template, 'AWS::IAM::ManagedPolicy').flatMap((policy) => {
    const link = linkOf(policy);
    if (!link) return [];
    const policyArn = template.attribute(policy.logicalId, 'Ref');
    return [link[0] === undefined ? policyArn : new Unknown(link[0])];
  });
  const attached = [...managed, ...listOf(properties.ManagedPolicyArns)];
  return [
    ...inline,
    ...separate,
    ...attached.map((policyArn) => managedPolicyFact(template, policyArn, logicalId)),
  ];
}

/** Returns a managed policy by its ARN. `attachedBy`: the logical id of the role. */
function managedPolicyFact(
  template: CloudFormationTemplate,
  arn: unknown,
  attachedBy: string,
): TemplateRolePolicy {
  if (typeof arn !== 'string') {
    const reason = isUnknown(arn) ? arn.reason : 'a managed policy is not a text';
    return {
      name: placeholderOf(attachedBy),
      address: attachedBy,
      fact: { unread: `${attachedBy}: ${reason}` },
    };
  }
  const policy = ofType(template, 'AWS::IAM::ManagedPolicy').find(
    ({ logicalId }) => template.attribute(logicalId, 'Ref') === arn,
  );
  if (!policy)
    return {
      name: arn,
      address: attachedBy,
      fact: { unread: `the policy ${arn} (attached by ${attachedBy}) is not in the file` },
    };
  const { logicalId, properties, uncertain } = policy;
  return {
    name: arn,
    address: logicalId,
    fact: policyFactAt(logicalId, 'PolicyDocument', properties.PolicyDocument, uncertain),
  };
}

function addBucket(template: CloudFormationTemplate, stack: Stack, resource: TemplateResource): void {
  const { logicalId, properties } = resource;
  const { region, account } = template;
  const ref = template.attribute(logicalId, 'Ref');
  const name = typeof ref === 'string' ? ref : placeholderOf(logicalId);
  stack.addresses.set(documentKey('bucket', name, 'self'), logicalId);
  const unknown = [ref, region].find(isUnknown);
  if (unknown || isUnknown(region)) {
    stack.facts.buckets[name] = { unread: unknown?.reason ?? '' };
  } else {
    const policy = ofType(template, 'AWS::S3::BucketPolicy').find(
      ({ properties: { Bucket } }) => Bucket === name || isUnknown(Bucket),
    );
    if (policy) stack.addresses.set(documentKey('bucket', name, 'policy'), policy.logicalId);
    stack.facts.buckets[name] = {
      region,
      account,
      versioning: factAt(resource, 'VersioningConfiguration', (value) => ({
        Status: isRecord(value) ? textOf(value.Status) : undefined,
      })),
      encryption: factAt(resource, 'BucketEncryption', encryptionOfProperty),
      ownership: factAt(resource, 'OwnershipControls', (value) =>
        isRecord(value)
          ? ({ Rules: listOf(value.Rules) } as { Rules: { ObjectOwnership: string }[] })
          : { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
      ),
      // New buckets block public access since April 2023 (S3 User Guide, "Default settings for new S3 buckets FAQ").
      publicAccessBlock: factAt(resource, 'PublicAccessBlockConfiguration', (value) => ({
        RestrictPublicBuckets: isRecord(value) ? String(value.RestrictPublicBuckets) === 'true' : true,
      })),
      objectLock: factAt(resource, 'ObjectLockEnabled', (value) =>
        String(value) === 'true' ? { ObjectLockEnabled: 'Enabled' } : null,
      ),
      policy: policy
        ? policyFactAt(
            policy.logicalId,
            'PolicyDocument',
            policy.properties.PolicyDocument,
            policy.uncertain ??
              (isUnknown(policy.properties.Bucket) ? policy.properties.Bucket.reason : undefined),
          )
        : null,
    };
  }
  if (properties.ReplicationConfiguration !== undefined) addReplicationOfBucket(stack, resource, name);
}

function encryptionOfProperty(value: unknown): (BucketFacts['encryption'] & object) | null {
  if (!isRecord(value)) return null;
  return {
    Rules: listOf(value.ServerSideEncryptionConfiguration).map((rule) => {
      const { ServerSideEncryptionByDefault, BucketKeyEnabled } = isRecord(rule) ? rule : {};
      return {
        ...(isRecord(ServerSideEncryptionByDefault) && {
          ApplyServerSideEncryptionByDefault: ServerSideEncryptionByDefault,
        }),
        BucketKeyEnabled: String(BucketKeyEnabled) === 'true',
      };
    }),
  };
}

/** Adds the replication configuration in the properties of a bucket. */
function addReplicationOfBucket(
  stack: Stack,
  { logicalId, properties, uncertain }: TemplateResource,
  bucket: string,
): void {
  const configuration = properties.ReplicationConfiguration;
  const { Role: role, Rules } = isRecord(configuration) ? configuration : { Role: configuration, Rules: [] };
  const rules = listOf(Rules).filter(isRecord);
  const unknownOfRules = rules.map((rule) => {
    const unknown = firstUnknown({
      ...rule,
      Destination: { ...(isRecord(rule.Destination) ? rule.Destination : {}), Bucket: '' },
    });
    return [
      ...(uncertain === undefined ? [] : [`${logicalId}: ${uncertain}`]),
      ...(unknown ? [`${logicalId}.ReplicationConfiguration: ${unknown.reason}`] : []),
    ];
  });
  stack.sources.push({ bucket, address: logicalId, unknownOfRules });
  stack.addresses.set(documentKey('bucket', bucket, 'replication'), logicalId);
  const facts = stack.facts.buckets[bucket];
  if (!facts || isUnread(facts)) return;
  const roleArn =
    textOf(role) ??
    `arn:aws:iam::${facts.account}:role/${placeholderOf(`${logicalId}.ReplicationConfiguration.Role`)}`;
  if (typeof role !== 'string') {
    const reason = isUnknown(role) ? role.reason : 'it is not set';
    stack.facts.roles[roleArn] = { unread: `${logicalId}.ReplicationConfiguration.Role: ${reason}` };
  }
  facts.replication = {
    Role: roleArn,
    Rules: rules.map((rule, index) => {
      const { Destination: destination } = rule;
      const target = isRecord(destination) ? destination.Bucket : undefined;
      const placeholder = placeholderOf(`${logicalId}.ReplicationConfiguration.Rules[${index}].Destination`);
      if (typeof target !== 'string') {
        const reason = isUnknown(target) ? target.reason : 'it is not set';
        stack.facts.buckets[placeholder] = { unread: reason };
      }
      return toReplicationRule(
        rule,
        typeof target === 'string' ? target : `arn:aws:s3:::${placeholder}`,
        index,
      );
    }),
  };
}

/** Returns a rule in the form of S3: CloudFormation names the id `Id` and the tags `TagFilter` and `TagFilters`. */
function toReplicationRule(
  rule: Record<string, unknown>,
  destination: string,
  index: number,
): ReplicationRule {
  const { Id, Filter, Status, Priority, Destination, ...fields } = known(rule) as Record<string, unknown>;
  const { And, TagFilter, ...filter } = isRecord(Filter) ? Filter : {};
  const { TagFilters, ...and } = isRecord(And) ? And : {};
  return omitUndefined({
    ...fields,
    ID: textOf(Id) ?? `rule ${index + 1}`,
    Status: textOf(Status) ?? 'Enabled',
    Priority: Priority === undefined ? undefined : Number(Priority),
    Filter: isRecord(Filter)
      ? omitUndefined({
          ...filter,
          Tag: TagFilter,
          And: isRecord(And) ? omitUndefined({ ...and, Tags: TagFilters }) : undefined,
        })
      : undefined,
    Destination: { ...(isRecord(Destination) ? Destination : {}), Bucket: destination },
  }) as unknown as ReplicationRule;
}

/** Returns a value without the parts that are not known. */
function known(value: unknown): unknown {
  if (Array.isArray(value)) return value.filter((item) => !isUnknown(item)).map(known);
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, part]) => (part instanceof Unknown ? [] : [[key, known(part)]])),
  );
}
