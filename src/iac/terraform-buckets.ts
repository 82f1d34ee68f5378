import type { ReplicationRule } from '@aws-sdk/client-s3';
import type { BucketFacts, EncryptionRule, Fact } from '../core/facts.ts';
import { factValue, isUnread } from '../core/facts.ts';
import { accountOfArn } from '../iam/context.ts';
import { type DocumentPart, documentKey, placeholderOf, type StackSource, stackArn } from './stack.ts';
import { knownText, type TerraformContext } from './terraform-context.ts';
import {
  type AttributePath,
  attributeOf,
  blockCount,
  readValue,
  readWholeValue,
  type TerraformResource,
} from './terraform-document.ts';
import { keyNameAt } from './terraform-keys.ts';
import { policyAt } from './terraform-policies.ts';
import { roleArnAt } from './terraform-roles.ts';
import { type RuleReader, ruleOfBlock, ruleOfResource } from './terraform-rules.ts';
import { isUnknown, listOf, textOf, toFact, Unknown, unreadBecause } from './unknown.ts';

type BucketPart = keyof BucketFacts & DocumentPart;

const BUCKET_REFERENCE_TYPES = ['aws_s3_bucket', 'data.aws_s3_bucket'];

/** How a resource for one setting of a bucket contains it. */
interface PartReader {
  type: string;
  part: BucketPart;
  fact(context: TerraformContext, resource: TerraformResource): Fact<unknown>;
  /** What S3 has after the resource is deleted. */
  afterDelete: Fact<unknown>;
}

/** The status after the provider deletes a versioning resource. replikey itself never suspends versioning. */
const SUSPENDED = 'Suspended';

const PART_READERS: PartReader[] = [
  {
    type: 'aws_s3_bucket_versioning',
    part: 'versioning',
    fact: (_, resource) =>
      mapFact(readValue(resource, ['versioning_configuration', 0, 'status']), (status) => ({
        Status: textOf(status) === 'Disabled' ? undefined : textOf(status),
      })),
    // The provider suspends versioning, because S3 cannot disable it.
    afterDelete: { Status: SUSPENDED },
  },
  {
    type: 'aws_s3_bucket_server_side_encryption_configuration',
    part: 'encryption',
    fact: (context, resource) => encryptionOf(context, resource, ['rule']),
    afterDelete: null,
  },
  {
    type: 'aws_s3_bucket_policy',
    part: 'policy',
    fact: (context, resource) => policyAt(context, resource, ['policy']),
    afterDelete: null,
  },
  {
    type: 'aws_s3_bucket_ownership_controls',
    part: 'ownership',
    fact: (_, resource) => ownershipFact(readValue(resource, ['rule', 0, 'object_ownership'])),
    afterDelete: null,
  },
  {
    type: 'aws_s3_bucket_public_access_block',
    part: 'publicAccessBlock',
    fact: (_, resource) =>
      mapFact(readValue(resource, ['restrict_public_buckets']), (value) => ({
        RestrictPublicBuckets: value === true,
      })),
    afterDelete: null,
  },
  {
    type: 'aws_s3_bucket_object_lock_configuration',
    part: 'objectLock',
    fact: () => ({ ObjectLockEnabled: 'Enabled' }),
    afterDelete: { ObjectLockEnabled: 'Enabled' },
  },
];

const mapFact = <T>(value: unknown, map: (known: unknown) => T): Fact<T> =>
  isUnknown(value) ? { unread: value.reason } : map(value);

const ownershipFact = (value: unknown): Fact<{ Rules: { ObjectOwnership: string }[] }> =>
  mapFact(value, (ownership) => ({ Rules: [{ ObjectOwnership: textOf(ownership) ?? 'ObjectWriter' }] }));

/** Returns the default encryption in the blocks at a path. */
function encryptionOf(
  context: TerraformContext,
  resource: TerraformResource,
  path: AttributePath,
): Fact<{ Rules: EncryptionRule[] }> {
  const byDefault = [...path, 0, 'apply_server_side_encryption_by_default', 0];
  const algorithm = readValue(resource, [...byDefault, 'sse_algorithm']);
  if (isUnknown(algorithm)) return { unread: algorithm.reason };
  const key = keyNameAt(context, resource, [...byDefault, 'kms_master_key_id']);
  if (isUnknown(key)) return { unread: key.reason };
  const bucketKey = readValue(resource, [...path, 0, 'bucket_key_enabled']);
  const defaults = {
    ...(textOf(algorithm) !== undefined && { SSEAlgorithm: textOf(algorithm) }),
    ...(key !== undefined && { KMSMasterKeyID: key }),
  };
  // A Bucket Key decides only whether objects with or without one are typical.
  return {
    Rules: [
      {
        ...(textOf(algorithm) !== undefined && { ApplyServerSideEncryptionByDefault: defaults }),
        BucketKeyEnabled: bucketKey === true,
      },
    ],
  };
}

/** A bucket of the document: a resource, a data source, or a name that other resources configure. */
interface BucketEntry {
  /** Absent for a bucket that only other resources name. */
  resource?: TerraformResource;
  /** Absent for a resource that decides Region and account. */
  location: TerraformResource;
  /** `isDeleted`: the plan deletes or replaces the resource. */
  parts: Map<BucketPart, { fact: Fact<unknown>; address: string; isDeleted?: true }>;
}

/** Adds every bucket of a document, with its settings and rules, to the facts of its stack. */
export function addBuckets(context: TerraformContext): void {
  const { stack } = context;
  const buckets = new Map<string, BucketEntry>();
  for (const resource of [...context.data('aws_s3_bucket'), ...context.managed('aws_s3_bucket')]) {
    const name = nameOfBucket(resource);
    buckets.set(name, { resource, location: resource, parts: buckets.get(name)?.parts ?? new Map() });
  }
  const unlinked = new Map<BucketPart, string[]>();
  for (const { type, part, fact, afterDelete } of PART_READERS) {
    for (const { values, address } of context.previous(type)) {
      const entry = buckets.get(String(values.bucket));
      entry?.parts.set(part, { fact: afterDelete, address, isDeleted: true });
    }
    for (const resource of context.managed(type)) {
      const name = bucketAt(context, resource);
      if (isUnknown(name)) unlinked.set(part, [...(unlinked.get(part) ?? []), name.reason]);
      else
        entryOf(buckets, name, resource).parts.set(part, {
          fact: fact(context, resource),
          address: resource.address,
        });
    }
  }
  const sources = replicationsOf(context, buckets);
  const hints = accountHints(context, sources);
  for (const [name, account] of hints) {
    const resource = buckets.get(name)?.resource;
    if (resource) context.setAccount(resource, account);
  }
  for (const [name, entry] of buckets) {
    const location = context.locationOf(entry.location, { account: hints.get(name) });
    const address = entry.resource?.address ?? entry.location.address;
    stack.addresses.set(documentKey('bucket', name, 'self'), address);
    if (isUnknown(location)) {
      stack.facts.buckets[name] = { unread: location.reason };
      continue;
    }
    const parts: Partial<Record<BucketPart, Fact<unknown>>> = partsOfBucket(context, entry, unlinked);
    for (const [part, { fact, address: partAddress, isDeleted }] of entry.parts) {
      const reasons = isDeleted && unlinked.get(part);
      // The replacement of the deleted resource may configure this bucket.
      parts[part] = reasons ? { unread: reasons.join(', ') } : fact;
      stack.addresses.set(documentKey('bucket', name, part), partAddress);
    }
    stack.facts.buckets[name] = {
      region: location.region,
      account: location.account,
      ...parts,
    } as BucketFacts;
  }
  for (const source of sources) addReplication(context, source);
  // A bucket whose name is not known may have any name, also one that a wildcard in a policy matches.
  for (const [name, { resource }] of buckets) {
    const bucketName = resource && readValue(resource, ['bucket']);
    if (
      resource &&
      isUnknown(bucketName) &&
      knownText(resource, 'bucket_prefix') === undefined &&
      resource.mode === 'managed'
    )
      if (context.references.isSet(resource, 'bucket'))
        stack.facts.buckets[name] = { unread: bucketName.reason };
  }
}

function entryOf(buckets: Map<string, BucketEntry>, name: string, location: TerraformResource): BucketEntry {
  const entry = buckets.get(name) ?? { location, parts: new Map() };
  buckets.set(name, entry);
  return entry;
}

/** Returns the name of a bucket, with a placeholder for the part that is generated. */
const nameOfBucket = (resource: TerraformResource): string =>
  knownText(resource, 'bucket') ??
  `${knownText(resource, 'bucket_prefix') ?? ''}${placeholderOf(resource.address)}`;

/** Returns the name of the bucket that a resource configures. */
function bucketAt(context: TerraformContext, resource: TerraformResource): string | Unknown {
  const value = readValue(resource, ['bucket']);
  if (!isUnknown(value)) return textOf(value) ?? new Unknown(`${resource.address} names no bucket`);
  const target = context.referenceAt(resource, ['bucket'], BUCKET_REFERENCE_TYPES);
  return isUnknown(target) ? target : nameOfBucket(target.resource);
}

/** Returns the settings that a bucket resource contains itself, or that S3 gives a new bucket. */
function partsOfBucket(
  context: TerraformContext,
  { resource, location }: BucketEntry,
  unlinked: ReadonlyMap<BucketPart, readonly string[]>,
): Partial<Record<BucketPart, Fact<unknown>>> {
  const parts: Partial<Record<BucketPart, Fact<unknown>>> = {};
  if (!resource || resource.mode === 'data') {
    const owner = resource
      ? `${resource.address} does not contain it`
      : `${location.address} does not contain it`;
    for (const part of ['versioning', 'encryption', 'policy'] as const) parts[part] = { unread: owner };
    return parts;
  }
  parts.versioning = inlinePart(context, resource, 'versioning', {}, () =>
    mapFact(readValue(resource, ['versioning', 0, 'enabled']), (enabled) =>
      enabled === true ? { Status: 'Enabled' } : {},
    ),
  );
  parts.encryption = inlinePart(context, resource, 'server_side_encryption_configuration', null, () =>
    encryptionOf(context, resource, ['server_side_encryption_configuration', 0, 'rule']),
  );
  parts.policy = inlinePart(context, resource, 'policy', null, () => policyAt(context, resource, ['policy']));
  parts.objectLock = objectLockOf(context, resource);
  if (resource.isNew) {
    // The settings of new buckets since April 2023 (S3 User Guide, "Default settings for new S3 buckets FAQ").
    parts.ownership = { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] };
    parts.publicAccessBlock = { RestrictPublicBuckets: true };
  }
  for (const [part, reasons] of unlinked) parts[part] = { unread: reasons.join(', ') };
  return parts;
}

/** Returns a setting that `aws_s3_bucket` contains. `whenNotSet`: what S3 gives a new bucket. */
function inlinePart(
  context: TerraformContext,
  resource: TerraformResource,
  attribute: string,
  whenNotSet: Fact<unknown>,
  read: () => Fact<unknown>,
): Fact<unknown> {
  const value = readValue(resource, [attribute]);
  if (isUnknown(value))
    return resource.isNew && !context.references.isSet(resource, attribute) ? whenNotSet : read();
  if (value === undefined || value === '' || (Array.isArray(value) && value.length === 0)) return whenNotSet;
  return read();
}

/** Returns whether a bucket has Object Lock, by its argument or by the block of old releases. */
function objectLockOf(
  context: TerraformContext,
  resource: TerraformResource,
): Fact<{ ObjectLockEnabled: 'Enabled' }> {
  const values = ['object_lock_enabled', 'object_lock_configuration'].map((attribute) => {
    const value = readValue(resource, [attribute]);
    const isComputed = isUnknown(value) && resource.isNew && !context.references.isSet(resource, attribute);
    return isComputed ? undefined : value;
  });
  if (values.some((value) => value === true || listOf(value).length > 0))
    return { ObjectLockEnabled: 'Enabled' };
  return unreadBecause(values.filter(isUnknown)) ?? null;
}

/** A replication configuration, before the accounts of the buckets are known. */
interface Replication {
  bucket: string;
  resource: TerraformResource;
  role: string | Unknown;
  /** Path of the list of rules. */
  rules: AttributePath;
  /** Path of the role. */
  rolePath: AttributePath;
}

/** Finds the replication configurations: resources first, and the blocks of buckets that have none. */
function replicationsOf(context: TerraformContext, buckets: Map<string, BucketEntry>): Replication[] {
  const replications = new Map<string, Replication>();
  const deleted = new Set(
    context.previous('aws_s3_bucket_replication_configuration').map(({ values }) => String(values.bucket)),
  );
  for (const resource of context.managed('aws_s3_bucket_replication_configuration')) {
    const name = bucketAt(context, resource);
    const bucket = isUnknown(name) ? placeholderOf(resource.address) : name;
    if (isUnknown(name)) context.stack.facts.buckets[bucket] = { unread: name.reason };
    else entryOf(buckets, bucket, resource);
    const role = roleArnAt(context, resource, ['role']);
    replications.set(bucket, { bucket, resource, role, rules: ['rule'], rolePath: ['role'] });
  }
  for (const [bucket, { resource }] of buckets) {
    if (!resource || replications.has(bucket) || deleted.has(bucket)) continue;
    const count = blockCount(resource, ['replication_configuration']);
    if (count === 0) continue;
    // The attribute is computed: the provider reads it after it creates a bucket.
    if (
      isUnknown(count) &&
      resource.isNew &&
      !context.references.isSet(resource, 'replication_configuration')
    )
      continue;
    const block = ['replication_configuration', 0];
    const rolePath = [...block, 'role'];
    const role = roleArnAt(context, resource, rolePath);
    replications.set(bucket, { bucket, resource, role, rules: [...block, 'rules'], rolePath });
  }
  return [...replications.values()];
}

/**
 * Returns the accounts of buckets that their replication configurations imply: the source is in the account of the
 * role, and a rule can name the account of its destination.
 */
function accountHints(context: TerraformContext, replications: readonly Replication[]): Map<string, string> {
  const hints = new Map<string, string>();
  for (const { bucket, resource, role, rules } of replications) {
    if (!isUnknown(role) && accountOfArn(role) !== '') hints.set(bucket, accountOfArn(role));
    const count = blockCount(resource, rules);
    for (let index = 0; !isUnknown(count) && index < count; index++) {
      const destination = [...rules, index, 'destination', 0];
      const account =
        knownText(resource, ...destination, 'account') ?? knownText(resource, ...destination, 'account_id');
      const arn = destinationAt(context, resource, [...destination, 'bucket']);
      if (account !== undefined && !isUnknown(arn)) hints.set(arn.split(':::')[1] ?? '', account);
    }
  }
  return hints;
}

/** Returns the ARN of a destination. */
function destinationAt(
  context: TerraformContext,
  resource: TerraformResource,
  path: AttributePath,
): string | Unknown {
  const value = readValue(resource, path);
  if (!isUnknown(value))
    return textOf(value) ?? new Unknown(`${attributeOf(resource.address, path)} is not set`);
  const targets = context
    .referencesAt(resource, path, BUCKET_REFERENCE_TYPES)
    .filter(({ attribute }) => attribute === 'arn');
  const names = [...new Set(targets.map((target) => nameOfBucket(target.resource)))];
  const location = context.locationOf(resource);
  if (names.length !== 1 || isUnknown(location)) return value;
  return `arn:${location.partition}:s3:::${names[0]}`;
}

/** Adds a replication configuration to the facts of its bucket. */
function addReplication(context: TerraformContext, { bucket, resource, role, rules }: Replication): void {
  const { stack } = context;
  const unknownOfRules: string[][] = [];
  const mapRule = rules[0] === 'rule' ? ruleOfResource : ruleOfBlock;
  const count = blockCount(resource, rules);
  if (isUnknown(count)) unknownOfRules.push([count.reason]);
  const mapped = Array.from({ length: isUnknown(count) ? 0 : count }, (_, index) => {
    const unknowns = new Set<string>();
    const base = [...rules, index];
    const reader: RuleReader = {
      read: (path) => readValue(resource, [...base, ...path]),
      readWhole: (path) => readWholeValue(resource, [...base, ...path]),
      destination: (path) => {
        const arn = destinationAt(context, resource, [...base, ...path]);
        if (!isUnknown(arn)) return arn;
        const name = placeholderOf(`${attributeOf(resource.address, base)}.destination`);
        stack.facts.buckets[name] = { unread: arn.reason };
        return `arn:aws:s3:::${name}`;
      },
      key: (path) => keyNameAt(context, resource, [...base, ...path]),
      onUnknown: (reason) => unknowns.add(reason),
    };
    const rule = mapRule(reader, `rule ${index + 1}`);
    unknownOfRules.push([...unknowns]);
    return rule;
  });
  const source: StackSource = { bucket, address: resource.address, unknownOfRules };
  stack.sources.push(source);
  stack.addresses.set(documentKey('bucket', bucket, 'replication'), resource.address);
  const fact = stack.facts.buckets[bucket];
  const bucketFacts = factValue(fact);
  if (!bucketFacts || isUnread(fact)) return;
  const roleArn = isUnknown(role)
    ? stackArn(
        'iam',
        { partition: 'aws', region: '', account: bucketFacts.account ?? '' },
        `role/${placeholderOf(resource.address)}`,
      )
    : role;
  if (isUnknown(role)) stack.facts.roles[roleArn] = toFact(role) as { unread: string };
  bucketFacts.replication = {
    Role: roleArn,
    Rules: isUnknown(count) ? [unknownRule(context, resource, count)] : mapped,
  };
}

/** Returns a rule in place of a list of rules that is not known, whose destination is not known either. */
function unknownRule(
  { stack }: TerraformContext,
  { address }: TerraformResource,
  { reason }: Unknown,
): ReplicationRule {
  const destination = placeholderOf(`${address}.destination`);
  stack.facts.buckets[destination] = { unread: reason };
  return {
    ID: 'unknown rules',
    Status: 'Enabled',
    Prefix: '',
    Destination: { Bucket: `arn:aws:s3:::${destination}` },
  };
}
