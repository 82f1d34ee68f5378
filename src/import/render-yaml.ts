import type { ReplicationRule } from '@aws-sdk/client-s3';
import { Document, visit, type YAMLMap } from 'yaml';
import { declarationFromS3, isV1Rule } from '../spec/rule-fields.ts';
import { escapeReferences } from '../spec/variables.ts';
import { canonicalJson } from '../util/canonical-json.ts';
import { type DiscoveredBucket, type DiscoveredReplication, destinationBucketName } from './discover.ts';

/**
 * Specs for what exists, as YAML that plans to nothing where everything can be said, with a comment beside what cannot.
 * Keys and the role are given by ARN, so that they stay as they are. Pure.
 */
export function renderSpecs(replications: readonly DiscoveredReplication[]): string {
  const bucketsOfRole = bucketsByRole(replications);
  const usedNames = new Set<string>();
  const documents = replications.flatMap((replication) => {
    const groups = groupRulesBySpec(replication.rules);
    return groups.map((rules) => renderDocument(replication, rules, bucketsOfRole, usedNames));
  });
  const accounts = renderAccounts(replications);
  return [...accounts, ...documents].map(String).join('---\n');
}

/** Rules that one spec can hold: of one destination, and alike in what a spec says once. */
function groupRulesBySpec(rules: readonly ReplicationRule[]): ReplicationRule[][] {
  const groups = new Map<string, ReplicationRule[]>();
  for (const rule of rules) {
    const { Bucket, StorageClass, EncryptionConfiguration, AccessControlTranslation } =
      rule.Destination ?? {};
    const key = canonicalJson([Bucket, StorageClass, EncryptionConfiguration, AccessControlTranslation]);
    groups.set(key, [...(groups.get(key) ?? []), rule]);
  }
  return [...groups.values()];
}

function renderDocument(
  replication: DiscoveredReplication,
  rules: readonly ReplicationRule[],
  bucketsOfRole: ReadonlyMap<string, string[]>,
  usedNames: Set<string>,
): Document {
  const { source, roleArn } = replication;
  const [firstRule] = rules;
  const name = destinationBucketName(firstRule);
  const destination = replication.destinations.get(name);
  const replicaKey = firstRule?.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID;
  const destinationAccountId = foreignAccountIdOf(firstRule, source);
  const warnings = warningsOf(replication, rules, destination, replicaKey, bucketsOfRole);

  const document = new Document({
    apiVersion: 'replikey.dev/v1',
    kind: 'BucketReplication',
    metadata: { name: uniqueName(toSlug(`${source.name}-${name}`), usedNames) },
    spec: {
      source: {
        ...renderSide(source, source.encryption.keyArn ?? replicaKeyInRegion(source, replicaKey)),
        ...(destinationAccountId === undefined ? {} : { account: accountNameFor(source.account ?? '') }),
      },
      destination: {
        ...(destination
          ? renderSide(destination, replicaKey ?? destination.encryption.keyArn)
          : { bucket: name, region: regionOfKey(replicaKey) ?? source.region, key: replicaKey }),
        ...(destinationAccountId === undefined ? {} : { account: accountNameFor(destinationAccountId) }),
        ...(firstRule?.Destination?.StorageClass === undefined
          ? {}
          : { storageClass: firstRule.Destination.StorageClass }),
        ...(destinationAccountId !== undefined &&
        firstRule?.Destination?.AccessControlTranslation === undefined
          ? { objectOwner: 'source' }
          : {}),
      },
      role: { arn: roleArn },
      rules: rules.map(declarationFromS3),
    },
  });
  // What exists refers to no variables, whatever its prefixes look like.
  visit(document, {
    Scalar(_, node) {
      if (typeof node.value === 'string') node.value = escapeReferences(node.value);
    },
  });
  document.commentBefore = [
    ` ${source.name} to ${name}, as found`,
    ...warnings.map((warning) => ` ! ${warning}`),
  ].join('\n');
  addAliasComment(document, ['spec', 'source', 'key'], replication.aliases);
  addAliasComment(document, ['spec', 'destination', 'key'], replication.aliases);
  return document;
}

/** Beside the ARN of a key, the name that a reader knows it by. */
function addAliasComment(document: Document, path: string[], aliases: ReadonlyMap<string, string>): void {
  const node = document.getIn(path, true) as { value?: unknown; comment?: string } | YAMLMap | undefined;
  if (!node || !('value' in node)) return;
  const alias = aliases.get(String(node.value));
  if (alias !== undefined) node.comment = ` ${alias}`;
}

const DEFAULT_ENCRYPTION_NAMES = {
  AES256: 'SSE-S3',
  'aws:kms': 'SSE-KMS',
  'aws:kms:dsse': 'DSSE-KMS',
} as const;

function renderSide({ name, region, encryption }: DiscoveredBucket, arn: string | undefined) {
  const { algorithm, bucketKey } = encryption;
  const isDefault = algorithm === 'aws:kms';
  return {
    bucket: name,
    region,
    key: bucketKey === isDefault ? arn : { arn, bucketKey },
    ...(isDefault ? {} : { defaultEncryption: DEFAULT_ENCRYPTION_NAMES[algorithm] }),
  };
}

/** What a reader should know, and what a reconcile would change, or cannot express. */
function warningsOf(
  { source, roleArn, rules: allRules }: DiscoveredReplication,
  rules: readonly ReplicationRule[],
  destination: DiscoveredBucket | undefined,
  replicaKey: string | undefined,
  bucketsOfRole: ReadonlyMap<string, string[]>,
): string[] {
  const [firstRule] = rules;
  const name = destinationBucketName(firstRule);
  const isForeign = foreignAccountIdOf(firstRule, source) !== undefined;
  const otherBuckets = (bucketsOfRole.get(roleArn) ?? []).filter((bucketName) => bucketName !== source.name);
  const keys = new Set(
    allRules
      .filter((rule) => destinationBucketName(rule) === name)
      .map((rule) => rule.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID),
  );
  const warnings: [boolean, string][] = [
    [
      destination === undefined && !isForeign,
      `the bucket ${name} does not exist, or cannot be read: every object fails; its region below is a guess`,
    ],
    [
      destination?.versioningEnabled === false,
      `versioning of ${name} is not enabled: every object fails until it is`,
    ],
    [!source.versioningEnabled, `versioning of ${source.name} is not enabled`],
    [
      rules.some(isV1Rule),
      'rules of the old form (V1), written here in the new one; a reconcile rewrites them, and they go on replicating delete markers',
    ],
    [otherBuckets.length > 0, `the role serves ${otherBuckets.join(', ')} too`],
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
  return warnings.filter(([applies]) => applies).map(([, text]) => text);
}

/** The replica key serves as the source's where both lie in one Region and nothing better is known. */
const replicaKeyInRegion = ({ region }: DiscoveredBucket, key: string | undefined): string | undefined =>
  regionOfKey(key) === region ? key : undefined;

const regionOfKey = (arn: string | undefined): string | undefined => arn?.split(':')[3];

/** The account of the destination, where it is another. */
function foreignAccountIdOf(
  rule: ReplicationRule | undefined,
  { account }: DiscoveredBucket,
): string | undefined {
  const id =
    rule?.Destination?.Account ?? rule?.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID?.split(':')[4];
  return id === account ? undefined : id;
}

const accountNameFor = (id: string): string => `account-${id}`;

/** Documents for accounts, where more than one is named; nobody here knows how to come by credentials for the others. */
function renderAccounts(replications: readonly DiscoveredReplication[]): Document[] {
  const ownIds = new Set<string>();
  const foreignIds = new Set<string>();
  for (const { source, rules } of replications) {
    for (const rule of rules) {
      const id = foreignAccountIdOf(rule, source);
      if (id === undefined) continue;
      ownIds.add(source.account ?? '');
      foreignIds.add(id);
    }
  }
  return [...ownIds, ...foreignIds].map((id) => {
    const document = new Document({
      apiVersion: 'replikey.dev/v1',
      kind: 'Account',
      metadata: { name: accountNameFor(id) },
      spec: { id, ...(ownIds.has(id) ? {} : { managed: false }) },
    });
    if (!ownIds.has(id))
      document.commentBefore = ' Say here how to come by credentials, or leave its half to its owner.';
    return document;
  });
}

function bucketsByRole(replications: readonly DiscoveredReplication[]): Map<string, string[]> {
  const bucketsOfRole = new Map<string, string[]>();
  for (const { roleArn, source } of replications)
    bucketsOfRole.set(roleArn, [...(bucketsOfRole.get(roleArn) ?? []), source.name]);
  return bucketsOfRole;
}

const toSlug = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 58)
    .replace(/^-+|-+$/g, '');

function uniqueName(name: string, usedNames: Set<string>): string {
  let candidate = name;
  for (let suffix = 2; usedNames.has(candidate); suffix++) candidate = `${name}-${suffix}`;
  usedNames.add(candidate);
  return candidate;
}
