import { partitionOfRegion, relatedKeyArn } from '../util/arn.ts';
import { omitUndefined, toSortedSet } from '../util/canonical-json.ts';
import { positionsByPath } from './document.ts';
import { keyUsesOf } from './key-uses.ts';
import {
  defaultBatchRoleName,
  defaultRoleName,
  KEY_ID_FORMAT,
  parseDuration,
  parseTargetArn,
  RELATED_KEY,
} from './patterns.ts';
import { prefixOfDeclaration, type RuleDeclaration, resolveRule } from './rule-fields.ts';
import type { KeyDeclaration, ReplicationDocument } from './schema.ts';
import type {
  Account,
  BackfillObjects,
  BucketReplication,
  FailureEventName,
  KeyChoice,
  KeySettings,
  RoleChoice,
  Side,
  Specs,
} from './types.ts';
import type { CheckedAccount, CheckedDocument, CheckedReplication } from './validate.ts';

/** Resolves checked documents into specs: expands short forms and fills in every default. */
export function resolveSpecs(checkedDocuments: readonly CheckedDocument[]): Omit<Specs, 'variables'> {
  const accounts = checkedDocuments.flatMap((document) =>
    document.kind === 'Account' ? [resolveAccount(document)] : [],
  );
  const accountsByName: ResolvedAccounts = new Map(accounts.map((account) => [account.name, account]));
  const pairs = checkedDocuments.flatMap((document) =>
    document.kind === 'BucketReplication' ? resolveReplication(document, accountsByName) : [],
  );
  const guardrails = checkedDocuments.flatMap((document) =>
    document.kind === 'Guardrails' ? [document.content.spec] : [],
  );
  const limits = omitUndefined({
    maxChanges: strictest(guardrails.map(({ maxChanges }) => maxChanges)),
    maxRemovals: strictest(guardrails.map(({ maxRemovals }) => maxRemovals)),
    maxBackfillObjects: strictest(guardrails.map(({ maxBackfillObjects }) => maxBackfillObjects)),
  });
  return {
    pairs: mergeSharedSettings(pairs).map((pair) => withJobLimit(pair, limits.maxBackfillObjects)),
    accounts,
    limits,
  };
}

function strictest(values: readonly (number | undefined)[]): number | undefined {
  const declaredLimits = values.filter((value) => value !== undefined);
  return declaredLimits.length > 0 ? Math.min(...declaredLimits) : undefined;
}

/** Applies the guardrail to the jobs of a pair. */
function withJobLimit(pair: BucketReplication, maxBackfillObjects: number | undefined): BucketReplication {
  const { backfill, reencrypt } = pair;
  const withLimit = <T extends { maxObjects?: number }>(job: T): T => {
    const maxObjects = strictest([job.maxObjects, maxBackfillObjects]);
    return maxObjects === undefined ? job : { ...job, maxObjects };
  };
  return {
    ...pair,
    ...(backfill && { backfill: withLimit(backfill) }),
    ...(reencrypt && { reencrypt: withLimit(reencrypt) }),
  };
}

type ResolvedAccounts = ReadonlyMap<string, Account>;

/** Returns one pair, or two for buckets that replicate to each other. */
function resolveReplication(
  { content, parsed }: CheckedReplication,
  accounts: ResolvedAccounts,
): BucketReplication[] {
  const { metadata, spec } = content;
  const names = ruleNamesOf(spec.rules);
  const source = resolveSide(spec.source, accounts);
  const sourceKeys = spec.sourceKeys.map((key) => resolveKey({ ...spec.source, key }, accounts));
  const relatedKeysOf = (keys: readonly KeyChoice[]) =>
    keys.map((key) => relatedKeyOf(key, destination.region));
  const isRelated = toLongForm(spec.destination.key).arn === RELATED_KEY;
  const destination = resolveSide(spec.destination, accounts);
  const pair: BucketReplication = {
    name: metadata.name,
    labels: metadata.labels,
    source,
    destination: omitUndefined({
      ...destination,
      ...(isRelated
        ? {
            key: relatedKeyOf(source.key, destination.region),
            relatedKeys: relatedKeysOf([...sourceKeys, ...source.replacedKeys]),
          }
        : {}),
      storageClass: spec.destination.storageClass,
      objectOwner:
        spec.destination.objectOwner ??
        (source.accountId === destination.accountId ? 'source' : 'destination'),
    }),
    sourceKeys,
    role: resolveRole(spec),
    rules: spec.rules.map((rule, index) => resolveRule(rule, names[index] ?? `rule-${index + 1}`)),
    rollout: spec.rollout,
    policy: resolvePolicy(spec.policy),
    ...resolveFailures(spec, 'to', source, accounts),
    ...(spec.alarms && { alarms: omitUndefined({ ...spec.alarms, failed: spec.alarms.failed ?? false }) }),
    ...resolveBackfill(spec),
    ...resolveReencrypt(spec),
    positions: positionsByPath(parsed),
  };
  if (spec.direction !== 'both') return [pair];
  return expandBidirectional(pair, resolveFailures(spec, 'reverseTo', destination, accounts));
}

/** Returns the events of the bucket on one side. The ambient credentials belong to the account of the queue or topic. */
function resolveFailures(
  { failures }: ReplicationDocument['spec'],
  field: 'to' | 'reverseTo',
  side: Side,
  accounts: ResolvedAccounts,
): Pick<BucketReplication, 'failures'> {
  if (!failures) return {};
  const declaredField = failures[field] === undefined ? 'to' : field;
  const to = failures[declaredField] ?? '';
  const accountId = parseTargetArn(to).account;
  const owner =
    side.accountId === undefined || side.accountId === accountId
      ? side
      : [...accounts.values()].find(({ id }) => id === accountId);
  return {
    failures: omitUndefined({
      to,
      path: `spec.failures.${declaredField}`,
      account: owner && 'name' in owner ? owner.name : owner?.account,
      accountId,
      managed: owner?.managed ?? false,
      events: toSortedSet(failures.events) as FailureEventName[],
    }),
  };
}

/** Instants become UTC, so that two spellings of one instant are one backfill. */
function resolveBackfill({
  backfill,
  rules,
  source,
}: ReplicationDocument['spec']): Pick<BucketReplication, 'backfill'> {
  if (!backfill) return {};
  const { objects, before, after, role } = backfill;
  return {
    backfill: omitUndefined({
      ...backfill,
      objects: toSortedSet(objects) as BackfillObjects[],
      before: toUtc(before),
      after: after && toUtc(after),
      role:
        role?.arn === undefined
          ? { name: role?.name ?? defaultBatchRoleName(source.bucket) }
          : { arn: role.arn },
      prefixes: jobPrefixesOf(rules),
    }),
  };
}

function resolveReencrypt({ reencrypt }: ReplicationDocument['spec']): Pick<BucketReplication, 'reencrypt'> {
  if (!reencrypt) return {};
  const { countedAfter } = reencrypt;
  return { reencrypt: omitUndefined({ ...reencrypt, countedAfter: countedAfter && toUtc(countedAfter) }) };
}

/** Returns the prefixes of the jobs of a spec. A job takes one prefix, and covers all longer ones. */
export function jobPrefixesOf(rules: readonly RuleDeclaration[]): string[] {
  const prefixes = toSortedSet(rules.filter(({ enabled }) => enabled).map(prefixOfDeclaration));
  return prefixes.filter((prefix) => !prefixes.some((other) => other !== prefix && prefix.startsWith(other)));
}

const toUtc = (instant: string): string => new Date(instant).toISOString().replace('.000Z', 'Z');

function resolvePolicy({
  drain,
  ...policy
}: ReplicationDocument['spec']['policy']): BucketReplication['policy'] {
  return { ...policy, drainMs: parseDuration(drain) };
}

function resolveAccount({ content: { metadata, spec }, parsed }: CheckedAccount): Account {
  const { id, managed, profile, assumeRole } = spec;
  return omitUndefined({
    name: metadata.name,
    id,
    managed,
    profile,
    assumeRole: assumeRole && omitUndefined(assumeRole),
    positions: positionsByPath(parsed),
  });
}

function resolveRole({ role, source }: ReplicationDocument['spec']): RoleChoice {
  if (role?.arn !== undefined) return { arn: role.arn };
  const { path, permissionsBoundary, tags, also } = role ?? {};
  return omitUndefined({
    name: role?.name ?? defaultRoleName(source.bucket),
    path,
    permissionsBoundary,
    tags,
    also,
  });
}

type SideDeclaration = ReplicationDocument['spec']['source'];

function resolveSide(declaration: SideDeclaration, accounts: ResolvedAccounts): Side {
  const { bucket, region, account, defaultEncryption, blockPublicAccess, objectOwnership, objectLock } =
    declaration;
  const ownerAccount = accounts.get(account ?? '');
  return omitUndefined({
    bucket,
    region,
    account,
    accountId: ownerAccount?.id,
    managed: ownerAccount?.managed ?? true,
    key: resolveKey(declaration, accounts),
    replacedKeys: (toLongForm(declaration.key).replaces ?? []).map((key) =>
      resolveKey({ ...declaration, key }, accounts),
    ),
    bucketKey: toLongForm(declaration.key).bucketKey ?? defaultEncryption === 'SSE-KMS',
    defaultEncryption,
    blockPublicAccess,
    objectOwnership,
    objectLock: objectLock && omitUndefined(objectLock),
  });
}

function resolveKey({ key, region, account }: SideDeclaration, accounts: ResolvedAccounts): KeyChoice {
  const { alias, arn, bucketKey: _, replaces: _replaces, ...settings } = toLongForm(key);
  if (alias !== undefined) return { alias, ...settings };
  const id = arn ?? '';
  // A bare key id belongs to the account and Region of the side.
  return KEY_ID_FORMAT.test(id)
    ? {
        arn: `arn:${partitionOfRegion(region)}:kms:${region}:${accounts.get(account ?? '')?.id ?? ''}:key/${id}`,
      }
    : { arn: id };
}

/** Returns the key in another Region that is related to a multi-Region key. `checkRelatedKey` ensures that there is one. */
const relatedKeyOf = (key: KeyChoice, region: string): { arn: string } => ({
  arn: ('arn' in key ? relatedKeyArn(key.arn, region) : undefined) ?? '',
});

/** Converts both forms of a key to the long form. */
export function toLongForm(
  key: KeyDeclaration,
): { alias?: string; arn?: string; bucketKey?: boolean; replaces?: string[] } & KeySettings {
  if (typeof key === 'string') return key.startsWith('alias/') ? { alias: key } : { arn: key };
  return omitUndefined(key);
}

/**
 * Returns the names of rules. A rule without a name is named after its prefix: `Tax/2026/` gives `tax-2026`, no prefix
 * gives `all`.
 */
export function ruleNamesOf(rules: readonly RuleDeclaration[]): string[] {
  const usedNames = new Set(rules.flatMap((rule) => rule.name ?? []));
  return rules.map((rule) => {
    if (rule.name !== undefined) return rule.name;
    const prefix = prefixOfDeclaration(rule);
    const slug = prefix
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '')
      .slice(0, 50)
      .replace(/-$/, '');
    const base = slug || (prefix === '' ? 'all' : 'prefix');
    let name = base;
    for (let suffix = 2; usedNames.has(name); suffix++) name = `${base}-${suffix}`;
    usedNames.add(name);
    return name;
  });
}

/** Returns the name of the reverse direction of a two-way spec, for rule ids and tags. */
export const reverseNameOf = (name: string): string => `${name}-reverse`;

/**
 * Returns a pair and its reverse. Replica modifications are synced in both directions. S3 requires a rule for that on
 * each side. The reverse pair has its own role, named after its own source, unless the spec gives the role by ARN.
 */
function expandBidirectional(
  { failures, ...pair }: BucketReplication,
  reverseFailures: Pick<BucketReplication, 'failures'>,
): BucketReplication[] {
  const rules = pair.rules.map((rule) => ({ ...rule, replicaModifications: true }));
  const { storageClass: _, objectOwner, relatedKeys, ...reverseSource } = pair.destination;
  const forward = { ...pair, rules };
  return [
    { ...forward, ...(failures && { failures }) },
    {
      ...forward,
      name: reverseNameOf(pair.name),
      source: reverseSource,
      destination: {
        ...pair.source,
        objectOwner,
        ...(relatedKeys && {
          relatedKeys: reverseSource.replacedKeys.map((key) => relatedKeyOf(key, pair.source.region)),
        }),
      },
      sourceKeys: [],
      role: 'arn' in pair.role ? pair.role : { ...pair.role, name: defaultRoleName(reverseSource.bucket) },
      ...reverseFailures,
      ...(pair.backfill && {
        backfill: {
          ...pair.backfill,
          role:
            'arn' in pair.backfill.role
              ? pair.backfill.role
              : { name: defaultBatchRoleName(reverseSource.bucket) },
        },
      }),
      positions: swapSides(pair.positions),
    },
  ];
}

function swapSides(positions: BucketReplication['positions']): BucketReplication['positions'] {
  const opposite: Record<string, string> = { source: 'destination', destination: 'source' };
  return Object.fromEntries(
    Object.entries(positions).map(([path, position]) => [
      path.replace(/^spec\.(source|destination)(?![A-Za-z])/, (_, side: string) => `spec.${opposite[side]}`),
      position,
    ]),
  );
}

/**
 * Merges the settings of shared keys, roles and buckets. A setting that one spec declares applies to all specs that
 * share the resource and omit the setting. `checkAgreement` ensures that no two specs contradict each other. Each
 * resource is therefore equal in all of its specs.
 */
function mergeSharedSettings(pairs: readonly BucketReplication[]): BucketReplication[] {
  const settingsByResource = new Map<string, object>();
  const addSettings = (resourceKey: string, settings: object) =>
    void settingsByResource.set(resourceKey, { ...settingsByResource.get(resourceKey), ...settings });
  for (const pair of pairs) {
    for (const [resourceKey, settings] of keySettingsOf(pair)) addSettings(resourceKey, settings);
    for (const side of [pair.source, pair.destination])
      addSettings(bucketResourceKey(side), bucketSettingsOf(side));
    if ('name' in pair.role) addSettings(roleResourceKey(pair), pair.role);
  }

  const mergeKey = <T extends KeyChoice>(side: Side, choice: T): T =>
    'alias' in choice ? { ...choice, ...settingsByResource.get(keyResourceKey(side, choice.alias)) } : choice;
  const mergeSide = <T extends Side>(side: T): T => {
    const merged = { ...side, ...settingsByResource.get(bucketResourceKey(side)) };
    return {
      ...merged,
      key: mergeKey(side, side.key),
      replacedKeys: merged.replacedKeys.map((choice) => mergeKey(side, choice)),
    };
  };
  return pairs.map((pair) => ({
    ...pair,
    source: mergeSide(pair.source),
    destination: mergeSide(pair.destination),
    sourceKeys: pair.sourceKeys.map((choice) => mergeKey(pair.source, choice)),
    role:
      'name' in pair.role
        ? ({ ...pair.role, ...settingsByResource.get(roleResourceKey(pair)) } as RoleChoice)
        : pair.role,
  }));
}

const keySettingsOf = (pair: BucketReplication): [string, object][] =>
  keyUsesOf(pair).flatMap(({ side }): [string, object][] =>
    'alias' in side.key ? [[keyResourceKey(side, side.key.alias), side.key]] : [],
  );

const keyResourceKey = (side: Side, alias: string): string =>
  ['key', alias, side.account, side.region].join(' ');
const bucketResourceKey = (side: Side): string => `bucket ${side.bucket}`;
const roleResourceKey = ({ role, source }: BucketReplication): string =>
  ['role', 'name' in role ? role.name : '', source.account].join(' ');

/** Returns the optional settings of a bucket that are set. */
function bucketSettingsOf({
  blockPublicAccess,
  objectOwnership,
  objectLock,
  replacedKeys,
}: Side): Partial<Side> {
  return {
    ...(replacedKeys.length > 0 && { replacedKeys }),
    ...(blockPublicAccess === undefined ? {} : { blockPublicAccess }),
    ...(objectOwnership === undefined ? {} : { objectOwnership }),
    ...(objectLock === undefined ? {} : { objectLock }),
  };
}
