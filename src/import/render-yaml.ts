import type { ReplicationRule } from '@aws-sdk/client-s3';
import { Document, visit, type YAMLMap } from 'yaml';
import { factValue, isUnread } from '../core/facts.ts';
import {
  DELETION_TAG_PREFIX,
  isReplikeyRule,
  parseDeletionTag,
  specNameOfRule,
  toRuleId,
} from '../core/ids.ts';
import { accountOfArn, toList } from '../iam/context.ts';
import { matchWildcard } from '../iam/pattern.ts';
import type { Statement } from '../iam/types.ts';
import type { ObjectLockDoc } from '../kinds/s3-object-lock.ts';
import { parseSid, toSidName } from '../policy/statements.ts';
import { destinationBucketOf, unknownElementsOf } from '../proof/rule-context.ts';
import { RELATED_KEY } from '../spec/patterns.ts';
import { declarationFromS3, isExclusionDeclarable, isV1Rule, usesRelatedKey } from '../spec/rule-fields.ts';
import { escapeReferences } from '../spec/variables.ts';
import { bucketArn, nameInArn, relatedKeyArn } from '../util/arn.ts';
import { canonicalJson, omitUndefined, toSortedSet } from '../util/canonical-json.ts';
import { escapeUnprintable } from '../util/escape.ts';
import type { DiscoveredBucket, DiscoveredReplication, UnreadBucket } from './discover.ts';

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

export interface KeyNaming {
  /** Names keys and roles by ARN, so that replikey leaves them unchanged. */
  byArn?: boolean;
}

/**
 * Returns specs for existing replication. A plan for these specs is empty if specs can express all settings; a warning
 * names each setting that they cannot express. Names the keys and the role of the account by alias and name, so that
 * replikey reverts drift of their policies. Pure.
 */
export function importSpecs(
  replications: readonly DiscoveredReplication[],
  { byArn = false }: KeyNaming = {},
): ImportedSpecs {
  const bucketsOfRole = bucketsByRole(replications);
  const usedNames = new Set<string>();
  const accounts = renderAccounts(replications);
  const namesAccounts = accounts.length > 0;
  const keysOfReplicas = new Map(
    replications.flatMap(({ rules }) =>
      rules.flatMap((rule): [string, string][] => {
        const key = replicaKeyOf(rule);
        return key === undefined ? [] : [[destinationBucketOf(rule), key]];
      }),
    ),
  );
  const pairs = replications.flatMap((replication) =>
    groupRulesBySpec(replication).map((group) =>
      renderDocument({ replication, group, byArn, namesAccounts, keysOfReplicas, bucketsOfRole, usedNames }),
    ),
  );
  return {
    documents: [...accounts, ...pairs.map(({ document }) => document)],
    warnings: pairs.flatMap(({ name, warnings }) => warnings.map((message) => ({ spec: name, message }))),
  };
}

/** Rules that one spec declares: they share the destination and all settings that a spec declares once. */
interface RuleGroup {
  rules: [ReplicationRule, ...ReplicationRule[]];
  bucket: string;
  destination: DiscoveredBucket | UnreadBucket;
  /** ARN of the replica key, or its name as the rules write it. */
  replicaKey?: string;
  /** Id of the account of the destination, if it is not that of the source. */
  foreignAccountId?: string;
  /** Whether S3 encrypts replicas under the related multi-Region keys of the source keys. */
  usesRelatedKey: boolean;
  /** Whether S3 changes the owner of the replicas. */
  overridesOwner: boolean;
  /** The spec that the ids of the rules name, if replikey wrote them. */
  specName?: string;
}

function groupRulesBySpec({ source, rules, destinations }: DiscoveredReplication): RuleGroup[] {
  const groups = new Map<string, RuleGroup>();
  for (const rule of rules) {
    const settings = sharedSettingsOf(rule);
    // A rule that selects no encrypted objects names no key, and fits into a spec with any.
    const sameSettings = rules.filter((other) => sharedSettingsOf(other) === settings);
    const namedKey = replicaKeyOf(rule) ?? sameSettings.flatMap((other) => replicaKeyOf(other) ?? [])[0];
    const usesRelated =
      usesRelatedKey(rule) || (namedKey === undefined && sameSettings.some((other) => usesRelatedKey(other)));
    const key = canonicalJson([settings, usesRelated, usesRelated ? null : (namedKey ?? null)]);
    const group = groups.get(key);
    if (group) {
      group.rules.push(rule);
      continue;
    }
    const bucket = destinationBucketOf(rule);
    const destination = destinations.get(bucket) ?? { unread: 'it was not read', isMissing: false };
    const relatedKey =
      usesRelated && destination.region !== undefined
        ? relatedKeyArn(source.encryption.keyArn ?? '', destination.region)
        : undefined;
    const replicaKey = relatedKey || namedKey;
    groups.set(
      key,
      omitUndefined({
        rules: [rule],
        bucket,
        destination,
        replicaKey,
        foreignAccountId: 'unread' in destination ? foreignAccountIdOf(rule, replicaKey, source) : undefined,
        usesRelatedKey: usesRelated,
        overridesOwner: rule.Destination?.AccessControlTranslation !== undefined,
        specName: specNameIn(rule),
      }) as RuleGroup,
    );
  }
  return [...groups.values()];
}

/** Returns the settings that rules of one spec share, apart from the replica key, as text. */
function sharedSettingsOf(rule: ReplicationRule): string {
  const { Bucket, StorageClass, AccessControlTranslation } = rule.Destination ?? {};
  return canonicalJson([Bucket, StorageClass, AccessControlTranslation, specNameIn(rule)]);
}

const specNameIn = ({ ID = '' }: ReplicationRule): string | undefined =>
  isReplikeyRule(ID) ? specNameOfRule(ID) : undefined;

const replicaKeyOf = (rule: ReplicationRule): string | undefined =>
  rule.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID;

interface RenderContext {
  replication: DiscoveredReplication;
  group: RuleGroup;
  byArn: boolean;
  /** Whether all sides name their accounts: specs that share a bucket or a role must agree. */
  namesAccounts: boolean;
  /** Keys of the replicas in a bucket, by its name. */
  keysOfReplicas: ReadonlyMap<string, string>;
  bucketsOfRole: ReadonlyMap<string, string[]>;
  usedNames: Set<string>;
}

function renderDocument(context: RenderContext): { document: Document; name: string; warnings: string[] } {
  const { replication, group, usedNames } = context;
  const { source } = replication;
  const { bucket, rules, specName } = group;
  const name = uniqueName(specName ?? toSlug(`${source.name}-${bucket}`), usedNames);
  const warnings = warningsOf(context);
  const document = new Document({
    apiVersion: 'replikey.dev/v1',
    kind: 'BucketReplication',
    metadata: { name },
    spec: specOf(context, name),
  });
  // Existing values contain no references to variables, even if a prefix looks like one.
  visit(document, {
    Scalar(_, node) {
      if (typeof node.value === 'string') node.value = escapeReferences(node.value);
    },
  });
  document.commentBefore = [
    ` ${source.name} to ${bucket}, imported from AWS`,
    ...warnings.map((warning) => ` ! ${escapeUnprintable(warning)}`),
  ].join('\n');
  const keyPaths = [
    ['spec', 'source', 'key'],
    ['spec', 'destination', 'key'],
    ...rules.map((_, index) => ['spec', 'sourceKeys', index]),
  ];
  for (const path of keyPaths) addAliasComment(document, path, replication.aliases);
  return { document, name, warnings };
}

function specOf(context: RenderContext, name: string): object {
  const { replication, group, byArn, namesAccounts } = context;
  const { source, aliases, roleArn, role } = replication;
  const { destination, replicaKey, foreignAccountId, overridesOwner, rules, bucket } = group;
  const [sourceKey, ...sourceKeys] = sourceKeysOf(context);
  const nameOf = (arn: string | undefined) =>
    byArn || group.usesRelatedKey ? arn : (aliasOf(arn, source.account, aliases) ?? arn);
  const accountOf = (id = source.account) => (namesAccounts ? accountNameFor(id) : undefined);
  const facts = factValue(role);
  const sidName = toSidName(name);
  const replacedKeys = keysInStatements(facts?.statements ?? [], sidName, 'ReplacedKey');
  const replaces = replacedKeys.length > 0 ? replacedKeys.map((arn) => nameOf(arn) ?? arn) : undefined;
  return omitUndefined({
    source: omitUndefined({
      ...renderSide(source, nameOf(sourceKey), accountOf()),
    }),
    destination: omitUndefined({
      ...('unread' in destination
        ? {
            bucket,
            region: destination.region ?? regionOfKey(replicaKey) ?? source.region,
            account: accountOf(foreignAccountId),
            key: keyDeclaration(nameOf(replicaKey), { replaces }),
          }
        : renderSide(
            destination,
            group.usesRelatedKey ? RELATED_KEY : nameOf(replicaKey ?? destination.encryption.keyArn),
            accountOf(),
            replaces,
          )),
      storageClass: rules[0].Destination?.StorageClass,
      // Across accounts, the spec declares the exception; within one account, the override.
      objectOwner:
        foreignAccountId !== undefined && !overridesOwner
          ? 'source'
          : foreignAccountId === undefined && overridesOwner
            ? 'destination'
            : undefined,
    }),
    sourceKeys: sourceKeys.length > 0 ? sourceKeys.map(nameOf) : undefined,
    role: {
      ...(byArn || accountOfArn(roleArn) !== source.account ? { arn: roleArn } : roleByName(roleArn)),
      ...(!byArn &&
      facts?.statements.some((statement) => {
        const sid = parseSid(statement);
        return sid?.name === sidName && sid.subject.startsWith('Foreign');
      })
        ? { also: 'foreignRules' }
        : {}),
    },
    rules: rules.map((rule) => ruleOf(rule, name)),
    policy:
      parseDeletionTag(facts?.tags[DELETION_TAG_PREFIX + name])?.isRemoved && !byArn
        ? { deletion: 'Remove' }
        : undefined,
  });
}

/** Returns the declaration of a rule: under its name if replikey gave it its id, and otherwise under this id. */
function ruleOf(rule: ReplicationRule, spec: string): object {
  const { id, ...declaration } = declarationFromS3(rule);
  const name = rule.ID?.slice(toRuleId(spec, '').length) ?? '';
  return rule.ID === toRuleId(spec, name) && /^[a-z0-9-]+$/.test(name)
    ? { name, ...declaration }
    : { id, ...declaration };
}

function roleByName(arn: string) {
  const path = arn.slice(arn.indexOf('/'), arn.lastIndexOf('/') + 1);
  return { name: nameInArn(arn), ...(path === '/' ? {} : { path }) };
}

/** Returns the alias of a key of the account; undefined for a key of another account, and for one that AWS manages. */
function aliasOf(
  arn: string | undefined,
  account: string,
  aliases: ReadonlyMap<string, string>,
): string | undefined {
  const alias = aliases.get(arn ?? '');
  return alias?.startsWith('alias/aws/') || accountOfArn(arn ?? '') !== account ? undefined : alias;
}

/**
 * Returns the ARNs of the keys of source objects: the key of the bucket first, then the other keys with which the role may
 * decrypt its objects. Without a default key, the key of the bucket is that of the replicas in it, or the first of them.
 */
function sourceKeysOf({ replication, group, keysOfReplicas }: RenderContext): string[] {
  const { source, rules } = replication;
  const decryptable = decryptableKeysOf(replication, group.specName, group.replicaKey);
  const ofAllSpecs = toSortedSet(
    rules.flatMap((rule) => decryptableKeysOf(replication, specNameIn(rule), replicaKeyOf(rule))),
  );
  const inRegion = regionOfKey(group.replicaKey) === source.region ? group.replicaKey : undefined;
  const key = source.encryption.keyArn ?? keysOfReplicas.get(source.name) ?? ofAllSpecs[0] ?? inRegion;
  return key === undefined ? [] : [key, ...decryptable.filter((arn) => arn !== key)];
}

/** Returns the ARNs of the keys in the statements of a spec with a subject. */
const keysInStatements = (statements: readonly Statement[], sidName: string, subject: string): string[] =>
  toSortedSet(
    statements
      .filter((statement) => {
        const sid = parseSid(statement);
        return sid?.name === sidName && sid.subject === subject;
      })
      .flatMap(({ Resource }) => toList(Resource ?? []).filter((arn) => KEY_ARN.test(arn))),
  );

/** Returns the ARNs of the keys with which the role may decrypt objects of the source, for the rules of a spec. */
function decryptableKeysOf(
  { source, role }: DiscoveredReplication,
  specName: string | undefined,
  replicaKey: string | undefined,
): string[] {
  const sidName = specName === undefined ? undefined : toSidName(specName);
  const statements = factValue(role)?.statements ?? [];
  return toSortedSet(
    statements.flatMap((statement) => {
      const sid = parseSid(statement);
      if (sid ? sid.name !== sidName || sid.subject !== 'SourceKey' : !mayDecrypt(statement, source))
        return [];
      // A foreign statement may also serve the replicas of a destination in the same Region.
      return toList(statement.Resource).filter(
        (arn) =>
          KEY_ARN.test(arn) &&
          regionOfKey(arn) === source.region &&
          (sid !== undefined || arn !== replicaKey),
      );
    }),
  );
}

const KEY_ARN = /^arn:[^:]+:kms:[^:]+:\d{12}:key\/[\w-]+$/;

/** Returns whether a statement allows a role to decrypt objects of a bucket. */
function mayDecrypt(
  { Effect, Action, Condition = {} }: Statement,
  { name, region }: DiscoveredBucket,
): boolean {
  if (
    Effect !== 'Allow' ||
    !toList(Action).some((action) => matchWildcard(action.toLowerCase(), 'kms:decrypt'))
  )
    return false;
  const arn = bucketArn(name, region);
  const contexts = Object.values(Condition).flatMap((keys) =>
    Object.entries(keys).flatMap(([key, values]) =>
      key.toLowerCase() === 'kms:encryptioncontext:aws:s3:arn' ? toList(values).map(String) : [],
    ),
  );
  return (
    contexts.length === 0 ||
    contexts.some(
      (pattern) =>
        pattern.startsWith(`${arn}/`) || matchWildcard(pattern, arn) || matchWildcard(pattern, `${arn}/`),
    )
  );
}

/** Adds the alias of a key as a comment beside its ARN. */
function addAliasComment(
  document: Document,
  path: readonly (string | number)[],
  aliases: ReadonlyMap<string, string>,
): void {
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

function renderSide(
  { name, region, encryption, publicAccess, objectOwnership, objectLock }: DiscoveredBucket,
  key: string | undefined,
  account: string | undefined,
  replaces?: readonly string[],
) {
  const { algorithm, bucketKey } = encryption;
  const isDefault = algorithm === 'aws:kms';
  const settings = factValue(publicAccess);
  return omitUndefined({
    bucket: name,
    region,
    account,
    key: keyDeclaration(key, { bucketKey: bucketKey === isDefault ? undefined : bucketKey, replaces }),
    ...(isDefault ? {} : { defaultEncryption: DEFAULT_ENCRYPTION_NAMES[algorithm] }),
    blockPublicAccess: settings && new Set(settings).size === 1 ? settings[0] : undefined,
    objectOwnership: factValue(objectOwnership),
    objectLock: toLockDeclaration(factValue(objectLock)),
  });
}

/** Returns the declaration of a key, in its short form if it has no settings. */
function keyDeclaration(
  key: string | undefined,
  settings: { bucketKey?: boolean | undefined; replaces?: readonly string[] | undefined },
): string | object | undefined {
  const declared = omitUndefined(settings);
  if (key === undefined || Object.keys(declared).length === 0) return key;
  return { [key.startsWith('alias/') ? 'alias' : 'arn']: key, ...declared };
}

const LOCK_MODE_NAMES = { GOVERNANCE: 'Governance', COMPLIANCE: 'Compliance' } as const;

/** Returns the declaration of the Object Lock of a bucket; undefined if it has none. */
function toLockDeclaration(doc: ObjectLockDoc | undefined) {
  if (!doc) return undefined;
  const { Mode, Days, Years } = doc.Rule?.DefaultRetention ?? {};
  return omitUndefined({ mode: Mode && LOCK_MODE_NAMES[Mode], days: Days, years: Years });
}

/** Returns warnings: facts that the user should know, and settings that specs cannot express. */
function warningsOf(context: RenderContext): string[] {
  const { replication, group, byArn, bucketsOfRole } = context;
  const { source, roleArn, role } = replication;
  const { bucket, destination, rules, replicaKey, foreignAccountId } = group;
  const otherBuckets = (bucketsOfRole.get(roleArn) ?? []).filter((name) => name !== source.name);
  const unread = 'unread' in destination ? destination : undefined;
  const readSides = 'unread' in destination ? [source] : [source, destination];
  const roleName = nameInArn(roleArn);
  const unknownElements = [...new Set(rules.flatMap(unknownElementsOf))];
  const warnings: [boolean, string][] = [
    [unread?.isMissing === true, `bucket ${bucket} does not exist, so that every object fails`],
    [
      unread?.isMissing === false && foreignAccountId === undefined,
      `bucket ${bucket} cannot be read: ${unread?.unread}; if it belongs to another account, declare both accounts`,
    ],
    [
      unread !== undefined && unread.region === undefined,
      `S3 did not report the Region of ${bucket}; the Region below is ${regionOfKey(replicaKey) === undefined ? 'a guess' : 'that of the replica key'}`,
    ],
    ...readSides.map(({ name, versioningEnabled }): [boolean, string] => [
      !versioningEnabled,
      `versioning of ${name} is not enabled: objects fail to replicate until it is`,
    ]),
    ...readSides.map(({ name, publicAccess }): [boolean, string] => [
      new Set(factValue(publicAccess) ?? []).size > 1,
      `${name} has only some of the four settings of Block Public Access, which specs cannot express; they stay as they are`,
    ]),
    ...readSides.flatMap(({ name, publicAccess, objectOwnership, objectLock }): [boolean, string][] =>
      Object.entries({
        'public access block': publicAccess,
        'object ownership': objectOwnership,
        'Object Lock': objectLock,
      }).map(([setting, fact]) => [
        isUnread(fact),
        `the ${setting} of ${name} cannot be read, so the spec does not declare it${isUnread(fact) ? `: ${fact.unread}` : ''}`,
      ]),
    ),
    [
      rules.some(isV1Rule),
      'V1 rules, shown below as V2; reconcile rewrites them, and they keep replicating delete markers',
    ],
    [otherBuckets.length > 0, `the role is shared with ${otherBuckets.join(', ')}`],
    [
      rules.some((rule) => !isExclusionDeclarable(rule)),
      `rules to ${bucket} exclude several values of one tag, of which specs can declare only one; reconcile would remove the others`,
    ],
    [
      rules.some(
        (rule) =>
          usesRelatedKey(rule) && rule.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID !== undefined,
      ),
      `rules to ${bucket} use related multi-Region keys and also name a replica key, which specs cannot express; reconcile would remove the replica key`,
    ],
    [
      unknownElements.length > 0,
      `rules to ${bucket} have elements that this version does not know (${unknownElements.join(', ')}); reconcile refuses to change the configuration`,
    ],
    [role === null, `the role ${roleArn} does not exist, so that every object fails`],
    [
      isUnread(role),
      `the role ${roleName} cannot be read, so keys that only its policies name are missing in sourceKeys${isUnread(role) ? `: ${role.unread}` : ''}`,
    ],
    [
      sourceKeysOf(context).length === 0,
      `${source.name} has no default key with an ARN: set source.key to the key of its objects, and sourceKeys to any other keys`,
    ],
    [
      replicaKey === undefined && (unread !== undefined || !keyArnOf(destination)),
      'no destination key found: set destination.key before using this spec',
    ],
    [
      !byArn && accountOfArn(roleArn) !== source.account,
      `the role ${roleName} belongs to another account, so replikey leaves it unchanged`,
    ],
  ];
  return warnings.filter(([applies]) => applies).map(([, text]) => text);
}

const keyArnOf = (bucket: DiscoveredBucket | UnreadBucket): string | undefined =>
  'unread' in bucket ? undefined : bucket.encryption.keyArn;

const regionOfKey = (arn: string | undefined): string | undefined => arn?.split(':')[3];

/** Returns the account id of a destination that cannot be read, if it differs from the source's account. */
function foreignAccountIdOf(
  { Destination }: ReplicationRule,
  replicaKey: string | undefined,
  { account }: DiscoveredBucket,
): string | undefined {
  const keyAccount = replicaKey?.startsWith('arn:') ? accountOfArn(replicaKey) : undefined;
  const id = Destination?.Account ?? keyAccount;
  return id === account ? undefined : id;
}

const accountNameFor = (id: string): string => `account-${id}`;

/**
 * Returns Account documents if the replications involve more than one account, or if rules name their own account. The
 * import has no credentials for the foreign accounts.
 */
function renderAccounts(replications: readonly DiscoveredReplication[]): Document[] {
  const ownIds = new Set<string>();
  const foreignIds = new Set<string>();
  for (const replication of replications) {
    for (const { foreignAccountId, overridesOwner } of groupRulesBySpec(replication)) {
      if (foreignAccountId === undefined && !overridesOwner) continue;
      ownIds.add(replication.source.account);
      if (foreignAccountId !== undefined) foreignIds.add(foreignAccountId);
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
