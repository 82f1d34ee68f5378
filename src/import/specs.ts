import type { ReplicationRule } from '@aws-sdk/client-s3';
import { Document, visit, type YAMLMap } from 'yaml';
import { stableJson } from '../canonical.ts';
import { literal } from '../spec/references.ts';
import { destinationOf, type FoundBucket, type FoundReplication } from './found.ts';

/**
 * Specs for what exists, as YAML that plans to nothing where everything can be said, with a comment beside what cannot.
 * Keys and the role are given by ARN, so that they stay as they are. Pure.
 */
export function specsOf(found: readonly FoundReplication[]): string {
  const sharing = rolesShared(found);
  const taken = new Set<string>();
  const documents = found.flatMap((one) => {
    const groups = grouped(one.rules);
    return groups.map((rules) => document(one, rules, sharing, taken));
  });
  const accounts = accountsOf(found);
  return [...accounts, ...documents].map(String).join('---\n');
}

/** Rules that one spec can hold: of one destination, and alike in what a spec says once. */
function grouped(rules: readonly ReplicationRule[]): ReplicationRule[][] {
  const groups = new Map<string, ReplicationRule[]>();
  for (const rule of rules) {
    const { Bucket, StorageClass, EncryptionConfiguration, AccessControlTranslation } =
      rule.Destination ?? {};
    const key = stableJson([Bucket, StorageClass, EncryptionConfiguration, AccessControlTranslation]);
    groups.set(key, [...(groups.get(key) ?? []), rule]);
  }
  return [...groups.values()];
}

function document(
  found: FoundReplication,
  rules: readonly ReplicationRule[],
  sharing: ReadonlyMap<string, string[]>,
  taken: Set<string>,
): Document {
  const { source, roleArn } = found;
  const [first] = rules;
  const name = destinationOf(first);
  const destination = found.destinations.get(name);
  const replicaKey = first?.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID;
  const foreign = accountIdOf(first, source);
  const remarks = remarksOf(found, rules, destination, replicaKey, sharing);

  const document = new Document({
    apiVersion: 'replikey.dev/v1',
    kind: 'BucketReplication',
    metadata: { name: unique(slug(`${source.name}-${name}`), taken) },
    spec: {
      source: {
        ...side(source, source.encryption.keyArn ?? replicaKeyNear(source, replicaKey)),
        ...(foreign === undefined ? {} : { account: accountName(source.account ?? '') }),
      },
      destination: {
        ...(destination
          ? side(destination, replicaKey ?? destination.encryption.keyArn)
          : { bucket: name, region: regionOfKey(replicaKey) ?? source.region, key: replicaKey }),
        ...(foreign === undefined ? {} : { account: accountName(foreign) }),
        ...(first?.Destination?.StorageClass === undefined
          ? {}
          : { storageClass: first.Destination.StorageClass }),
        ...(foreign !== undefined && first?.Destination?.AccessControlTranslation === undefined
          ? { objectOwner: 'source' }
          : {}),
      },
      role: { arn: roleArn },
      rules: rules.map(ruleOf),
    },
  });
  // What exists refers to no variables, whatever its prefixes look like.
  visit(document, {
    Scalar(_, node) {
      if (typeof node.value === 'string') node.value = literal(node.value);
    },
  });
  document.commentBefore = [
    ` ${source.name} to ${name}, as found`,
    ...remarks.map((one) => ` ! ${one}`),
  ].join('\n');
  comment(document, ['spec', 'source', 'key'], found.aliases);
  comment(document, ['spec', 'destination', 'key'], found.aliases);
  return document;
}

/** Beside the ARN of a key, the name that a reader knows it by. */
function comment(document: Document, path: string[], aliases: ReadonlyMap<string, string>): void {
  const node = document.getIn(path, true) as { value?: unknown; comment?: string } | YAMLMap | undefined;
  if (!node || !('value' in node)) return;
  const alias = aliases.get(String(node.value));
  if (alias !== undefined) node.comment = ` ${alias}`;
}

const ALGORITHMS = { AES256: 'SSE-S3', 'aws:kms': 'SSE-KMS', 'aws:kms:dsse': 'DSSE-KMS' } as const;

function side({ name, region, encryption }: FoundBucket, arn: string | undefined) {
  const { algorithm, bucketKey } = encryption;
  const usual = algorithm === 'aws:kms';
  return {
    bucket: name,
    region,
    key: bucketKey === usual ? arn : { arn, bucketKey },
    ...(usual ? {} : { defaultEncryption: ALGORITHMS[algorithm] }),
  };
}

function ruleOf(rule: ReplicationRule) {
  const { Filter: filter, Destination: destination } = rule;
  const prefix = filter?.And?.Prefix ?? filter?.Prefix ?? rule.Prefix ?? '';
  const tags = filter?.And?.Tags ?? (filter?.Tag ? [filter.Tag] : []);
  const isOld = filter === undefined;
  return {
    id: rule.ID,
    ...(tags.length === 0
      ? { prefix }
      : { filter: { prefix, tags: Object.fromEntries(tags.map(({ Key, Value }) => [Key, Value])) } }),
    ...(rule.Status === 'Enabled' ? {} : { enabled: false }),
    ...(rule.Priority === undefined ? {} : { priority: rule.Priority }),
    // The old form replicates delete markers without saying so.
    ...(isOld || rule.DeleteMarkerReplication?.Status === 'Enabled' ? { deleteMarkerReplication: true } : {}),
    ...(destination?.ReplicationTime?.Status === 'Enabled' ? { replicationTimeControl: true } : {}),
    ...(destination?.Metrics?.Status === 'Enabled' ? {} : { metrics: false }),
    ...(rule.SourceSelectionCriteria?.SseKmsEncryptedObjects?.Status === 'Enabled'
      ? {}
      : { sseKmsEncryptedObjects: false }),
    ...(rule.SourceSelectionCriteria?.ReplicaModifications?.Status === 'Enabled'
      ? { replicaModifications: true }
      : {}),
  };
}

/** What a reader should know, and what a reconcile would change, or cannot express. */
function remarksOf(
  { source, roleArn, rules: all }: FoundReplication,
  rules: readonly ReplicationRule[],
  destination: FoundBucket | undefined,
  replicaKey: string | undefined,
  sharing: ReadonlyMap<string, string[]>,
): string[] {
  const [first] = rules;
  const name = destinationOf(first);
  const isForeign = accountIdOf(first, source) !== undefined;
  const others = (sharing.get(roleArn) ?? []).filter((one) => one !== source.name);
  const keys = new Set(
    all
      .filter((rule) => destinationOf(rule) === name)
      .map((rule) => rule.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID),
  );
  const remarks: [boolean, string][] = [
    [
      destination === undefined && !isForeign,
      `the bucket ${name} does not exist, or cannot be read: every object fails; its region below is a guess`,
    ],
    [
      destination?.versioned === false,
      `versioning of ${name} is not enabled: every object fails until it is`,
    ],
    [!source.versioned, `versioning of ${source.name} is not enabled`],
    [
      rules.some((rule) => rule.Filter === undefined),
      'rules of the old form (V1), written here in the new one; a reconcile rewrites them, and they go on replicating delete markers',
    ],
    [others.length > 0, `the role serves ${others.join(', ')} too`],
    [
      keys.size > 1,
      `rules to ${name} name different replica keys, which specs cannot say: a reconcile would not leave both`,
    ],
    [
      source.encryption.keyArn === undefined,
      `${source.name} has no default key of its own: put the key under which its objects lie at source.key, and others at sourceKeys`,
    ],
    [
      replicaKey === undefined && destination?.encryption.keyArn === undefined,
      'no key is named at all: put one at destination.key before this can be used',
    ],
    [
      replicaKey !== undefined &&
        destination?.encryption.keyArn !== undefined &&
        replicaKey !== destination.encryption.keyArn,
      `${name} encrypts by default under ${destination?.encryption.keyArn}, not under the replica key: a reconcile would change that, and asks before`,
    ],
  ];
  return remarks.filter(([applies]) => applies).map(([, text]) => text);
}

/** The replica key serves as the source's where both lie in one Region and nothing better is known. */
const replicaKeyNear = ({ region }: FoundBucket, key: string | undefined): string | undefined =>
  regionOfKey(key) === region ? key : undefined;

const regionOfKey = (arn: string | undefined): string | undefined => arn?.split(':')[3];

/** The account of the destination, where it is another. */
function accountIdOf(rule: ReplicationRule | undefined, { account }: FoundBucket): string | undefined {
  const id =
    rule?.Destination?.Account ?? rule?.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID?.split(':')[4];
  return id === account ? undefined : id;
}

const accountName = (id: string): string => `account-${id}`;

/** Documents for accounts, where more than one is named; nobody here knows how to come by credentials for the others. */
function accountsOf(found: readonly FoundReplication[]): Document[] {
  const own = new Set<string>();
  const others = new Set<string>();
  for (const { source, rules } of found) {
    for (const rule of rules) {
      const id = accountIdOf(rule, source);
      if (id === undefined) continue;
      own.add(source.account ?? '');
      others.add(id);
    }
  }
  return [...own, ...others].map((id) => {
    const document = new Document({
      apiVersion: 'replikey.dev/v1',
      kind: 'Account',
      metadata: { name: accountName(id) },
      spec: { id, ...(own.has(id) ? {} : { managed: false }) },
    });
    if (!own.has(id))
      document.commentBefore = ' Say here how to come by credentials, or leave its half to its owner.';
    return document;
  });
}

function rolesShared(found: readonly FoundReplication[]): Map<string, string[]> {
  const buckets = new Map<string, string[]>();
  for (const { roleArn, source } of found)
    buckets.set(roleArn, [...(buckets.get(roleArn) ?? []), source.name]);
  return buckets;
}

const slug = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 58)
    .replace(/^-+|-+$/g, '');

function unique(name: string, taken: Set<string>): string {
  let free = name;
  for (let suffix = 2; taken.has(free); suffix++) free = `${name}-${suffix}`;
  taken.add(free);
  return free;
}
