/** What to write in place of a field that users know from S3, Terraform, CloudFormation or Kubernetes. */
export interface FieldHint {
  advice: string;
  /** YAML that is valid in `place`. */
  example?: string;
  place?: 'spec' | 'spec.rules[]' | 'spec.source' | 'spec.destination';
}

const DESTINATION_EXAMPLE = {
  example: 'destination: { bucket: acme-tax-replica, region: us-west-2, key: alias/acme-tax-replica }',
  place: 'spec',
} as const;
const KEY_EXAMPLE = { example: 'key: alias/acme-tax', place: 'spec.source' } as const;
const REPLICA_KEY_EXAMPLE = { example: 'key: alias/acme-tax-replica', place: 'spec.destination' } as const;

const KEY_ADVICE: FieldHint = { advice: 'name the key beside its bucket', ...KEY_EXAMPLE };
const REPLICA_KEY_ADVICE: FieldHint = {
  advice: 'name the key of the replicas beside their bucket',
  ...REPLICA_KEY_EXAMPLE,
};
const REPLICATES_KMS: FieldHint = {
  advice: 'remove it: rules replicate KMS-encrypted objects by default, and a rule can skip them',
  example: 'sseKmsEncryptedObjects: false',
  place: 'spec.rules[]',
};
const RULES_ADVICE: FieldHint = {
  advice: 'list the rules of the pair',
  example: 'rules: [{ prefix: Tax/ }]',
  place: 'spec',
};
const CREDENTIALS_ADVICE: FieldHint = {
  advice:
    'credentials do not belong in the spec of a pair: declare an Account document, and name it with account, or use the ambient credentials',
};
const OWNER_ADVICE: FieldHint = {
  advice:
    'remove it: across accounts, the destination account owns the replicas unless objectOwner: source says otherwise',
};
const EXISTING_OBJECTS: FieldHint = {
  advice:
    'remove it; S3 rejects this element (MalformedXML). Live replication covers new objects only; existing objects need an S3 Batch Replication job',
  example: 'backfill: { before: "2026-01-01T00:00:00Z" }',
  place: 'spec',
};

/** Hints by the name of the field, without case, `_` and `-`. */
const FIELD_HINTS: ReadonlyMap<string, FieldHint> = new Map(
  Object.entries({
    destinations: {
      advice: 'write one spec for each destination; they may share the source bucket',
      ...DESTINATION_EXAMPLE,
    },
    destinationbucket: { advice: 'describe the bucket of the replicas', ...DESTINATION_EXAMPLE },
    targetbucket: { advice: 'describe the bucket of the replicas', ...DESTINATION_EXAMPLE },
    sourcebucket: {
      advice: 'describe the source bucket',
      example: 'source: { bucket: acme-tax, region: us-east-1, key: alias/acme-tax }',
      place: 'spec',
    },
    kmskey: KEY_ADVICE,
    kmskeyid: KEY_ADVICE,
    kmskeyarn: KEY_ADVICE,
    kmsmasterkeyid: KEY_ADVICE,
    sourcekmskeyarns: {
      advice: 'name further keys of source objects',
      example: 'sourceKeys: [alias/acme-old]',
      place: 'spec',
    },
    replicakmskeyid: REPLICA_KEY_ADVICE,
    encryptionconfiguration: REPLICA_KEY_ADVICE,
    serversideencryption: KEY_ADVICE,
    sourceselectioncriteria: REPLICATES_KMS,
    existingobjectreplication: EXISTING_OBJECTS,
    existingobjects: EXISTING_OBJECTS,
    replicationconfiguration: RULES_ADVICE,
    rule: RULES_ADVICE,
    rolearn: {
      advice: 'name an existing role',
      example: 'role: { arn: "arn:aws:iam::111122223333:role/replication" }',
      place: 'spec',
    },
    accesscontroltranslation: OWNER_ADVICE,
    owneroverride: OWNER_ADVICE,
    replicationtime: {
      advice: 'enable S3 Replication Time Control for the rule',
      example: 'replicationTimeControl: true',
      place: 'spec.rules[]',
    },
    rtc: {
      advice: 'enable S3 Replication Time Control for the rule',
      example: 'replicationTimeControl: true',
      place: 'spec.rules[]',
    },
    storageclass: {
      advice: 'name the storage class of the replicas',
      example: 'storageClass: STANDARD_IA',
      place: 'spec.destination',
    },
    replicamodificationsync: {
      advice: 'sync changes of tags and ACLs of replicas back, in a pair with direction: both',
    },
    and: {
      advice: 'remove the level: all conditions of a filter apply together',
      example: 'filter: { prefix: Tax/, tags: { class: audit } }',
      place: 'spec.rules[]',
    },
    versioning: {
      advice: 'remove it; replikey enables versioning, which replication requires, and never suspends it',
    },
    provider: CREDENTIALS_ADVICE,
    profile: CREDENTIALS_ADVICE,
    accountid: CREDENTIALS_ADVICE,
    namespace: { advice: 'remove it; specs have no namespace' },
    status: {
      advice:
        'remove it; replikey reports the status, and specs do not declare it. To pause a rule, write enabled: false',
    },
  } satisfies Record<string, FieldHint>),
);

/** All hints, for tests. */
export const fieldHints = (): [name: string, hint: FieldHint][] => [...FIELD_HINTS];

/** Returns a name as it is compared: `kms_key_id` and `KmsKeyId` are one name. */
export const normalizeFieldName = (name: string): string => name.toLowerCase().replace(/[_-]/g, '');

/**
 * Returns what to write in place of an unknown field, if users know it from other tools.
 *
 * @param parent path of the mapping that contains it
 */
export function hintForField(name: string, parent: readonly PropertyKey[] = []): string | undefined {
  const generalHint = FIELD_HINTS.get(normalizeFieldName(name));
  // Below the destination, a key is that of the replicas.
  const hint = generalHint === KEY_ADVICE && parent[1] === 'destination' ? REPLICA_KEY_ADVICE : generalHint;
  if (hint === undefined) return undefined;
  return hint.example === undefined ? hint.advice : `${hint.advice}, in ${hint.place}: ${hint.example}`;
}
