import type { ReplicationRule } from '@aws-sdk/client-s3';
import { Document, visit, type YAMLMap } from 'yaml';
import { destinationBucketOf, unknownElementsOf } from '../proof/rule-context.ts';
import { RELATED_KEY } from '../spec/patterns.ts';
import { declarationFromS3, isExclusionDeclarable, isV1Rule, usesRelatedKey } from '../spec/rule-fields.ts';
import { escapeReferences } from '../spec/variables.ts';
import { relatedKeyArn } from '../util/arn.ts';
import { canonicalJson } from '../util/canonical-json.ts';
import type { DiscoveredBucket, DiscoveredReplication } from './discover.ts';

/** The specs of existing replication. */
export interface ImportedSpecs {
  /** Account and BucketReplication documents. */
  documents: Document[];
  /** Facts that the user should know, settings that a reconcile would change, and settings that specs cannot express. */
  warnings: { spec: string; message: string }[];
}

/** Returns specs as YAML, with the warnings as comments. */
export const toYaml = ({ documents }: ImportedSpecs): string => documents.map(String).join('---\n');

/** Returns specs in the form of `-o json`. */
export const toJsonResult = ({ documents, warnings }: ImportedSpecs) => ({
  format: 1,
  documents: documents.map((document) => document.toJS() as Record<string, unknown>),
  warnings,
});

/**
 * Returns specs for existing replication. A plan for these specs is empty if specs can express all settings; a warning
 * names each setting that they cannot express. Names keys and the role by ARN, so that replikey leaves them unchanged.
 * Pure.
 */
export function importSpecs(replications: readonly DiscoveredReplication[]): ImportedSpecs {
  const bucketsOfRole = bucketsByRole(replications);
  const usedNames = new Set<string>();
  const pairs = replications.flatMap((replication) => {
    const groups = groupRulesBySpec(replication.rules);
    return groups.map((rules) => renderDocument(replication, rules, bucketsOfRole, usedNames));
  });
  return {
    documents: [...renderAccounts(replications), ...pairs.map(({ document }) => document)],
    warnings: pairs.flatMap(({ name, warnings }) => warnings.map((message) => ({ spec: name, message }))),
  };
}

/** Groups rules by spec: the rules of one spec share the destination and all settings that a spec declares once. */
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
): { document: Document; name: string; warnings: string[] } {
  const { source, roleArn } = replication;
  const [firstRule] = rules;
  const bucket = destinationBucketOf(firstRule);
  const destination = replication.destinations.get(bucket);
  const isRelated = firstRule !== undefined && usesRelatedKey(firstRule);
  const replicaKey =
    (isRelated && destination && relatedKeyArn(source.encryption.keyArn ?? '', destination.region)) ||
    firstRule?.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID;
  const destinationAccountId = foreignAccountIdOf(firstRule, source);
  const warnings = warningsOf(replication, rules, destination, replicaKey, bucketsOfRole);

  const name = uniqueName(toSlug(`${source.name}-${bucket}`), usedNames);

  const document = new Document({
    apiVersion: 'replikey.dev/v1',
    kind: 'BucketReplication',
    metadata: { name },
    spec: {
      source: {
        ...renderSide(source, source.encryption.keyArn ?? replicaKeyInRegion(source, replicaKey)),
        ...(destinationAccountId === undefined ? {} : { account: accountNameFor(source.account ?? '') }),
      },
      destination: {
        ...(destination
          ? renderSide(destination, isRelated ? RELATED_KEY : (replicaKey ?? destination.encryption.keyArn))
          : { bucket, region: regionOfKey(replicaKey) ?? source.region, key: replicaKey }),
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
  // Existing values contain no references to variables, even if a prefix looks like one.
  visit(document, {
    Scalar(_, node) {
      if (typeof node.value === 'string') node.value = escapeReferences(node.value);
    },
  });
  document.commentBefore = [
    ` ${source.name} to ${bucket}, imported from AWS`,
    ...warnings.map((warning) => ` ! ${warning}`),
  ].join('\n');
  addAliasComment(document, ['spec', 'source', 'key'], replication.aliases);
  addAliasComment(document, ['spec', 'destination', 'key'], replication.aliases);
  return { document, name, warnings };
}

/** Adds the alias of a key as a comment beside its ARN. */
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

/**
 * Returns warnings: facts that the user should know, settings that a reconcile would change, and settings that specs
 * cannot express.
 */
function warningsOf(
  { source, roleArn, rules: allRules }: DiscoveredReplication,
  rules: readonly ReplicationRule[],
  destination: DiscoveredBucket | undefined,
  replicaKey: string | undefined,
  bucketsOfRole: ReadonlyMap<string, string[]>,
): string[] {
  const [firstRule] = rules;
  const name = destinationBucketOf(firstRule);
  const isForeign = foreignAccountIdOf(firstRule, source) !== undefined;
  const otherBuckets = (bucketsOfRole.get(roleArn) ?? []).filter((bucketName) => bucketName !== source.name);
  const keys = new Set(
    allRules
      .filter((rule) => destinationBucketOf(rule) === name)
      .map((rule) => rule.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID),
  );
  const unknownElements = [...new Set(rules.flatMap(unknownElementsOf))];
  const warnings: [boolean, string][] = [
    [
      destination === undefined && !isForeign,
      `bucket ${name} does not exist, so that every object fails, or cannot be read; its Region below is a guess`,
    ],
    [
      destination?.versioningEnabled === false,
      `versioning of ${name} is not enabled: objects fail to replicate until it is`,
    ],
    [!source.versioningEnabled, `versioning of ${source.name} is not enabled`],
    [
      rules.some(isV1Rule),
      'V1 rules, shown below as V2; reconcile rewrites them, and they keep replicating delete markers',
    ],
    [otherBuckets.length > 0, `the role is shared with ${otherBuckets.join(', ')}`],
    [
      rules.some((rule) => !isExclusionDeclarable(rule)),
      `rules to ${name} exclude several values of one tag, of which specs can declare only one; reconcile would remove the others`,
    ],
    [
      rules.some(
        (rule) =>
          usesRelatedKey(rule) && rule.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID !== undefined,
      ),
      `rules to ${name} use related multi-Region keys and also name a replica key, which specs cannot express; reconcile would remove the replica key`,
    ],
    [
      unknownElements.length > 0,
      `rules to ${name} have elements that this version does not know (${unknownElements.join(', ')}); reconcile refuses to change the configuration`,
    ],
    [
      keys.size > 1,
      `rules to ${name} have different replica keys, which specs cannot express; reconcile would not keep both`,
    ],
    [
      source.encryption.keyArn === undefined,
      `${source.name} has no default key with an ARN: set source.key to the key of its objects, and sourceKeys to any other keys`,
    ],
    [
      replicaKey === undefined && destination?.encryption.keyArn === undefined,
      'no destination key found: set destination.key before using this spec',
    ],
    [
      replicaKey !== undefined &&
        destination?.encryption.keyArn !== undefined &&
        replicaKey !== destination.encryption.keyArn,
      `the default key of ${name} is ${destination?.encryption.keyArn}, not the replica key; reconcile would change it`,
    ],
  ];
  return warnings.filter(([applies]) => applies).map(([, text]) => text);
}

/** Returns the replica key if it is in the source's Region. It serves as the source key if no better key is known. */
const replicaKeyInRegion = ({ region }: DiscoveredBucket, key: string | undefined): string | undefined =>
  regionOfKey(key) === region ? key : undefined;

const regionOfKey = (arn: string | undefined): string | undefined => arn?.split(':')[3];

/** Returns the account id of the destination if it differs from the source's account. */
function foreignAccountIdOf(
  rule: ReplicationRule | undefined,
  { account }: DiscoveredBucket,
): string | undefined {
  const id =
    rule?.Destination?.Account ?? rule?.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID?.split(':')[4];
  return id === account ? undefined : id;
}

const accountNameFor = (id: string): string => `account-${id}`;

/**
 * Returns Account documents if the replications involve more than one account. The import has no credentials for the
 * foreign accounts.
 */
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
      document.commentBefore =
        ' Set profile or assumeRole instead of managed, or leave this side to its owner.';
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
