import { defined } from '../canonical.ts';
import { positions } from './document.ts';
import { derivedRoleName, KEY_ID, partition } from './names.ts';
import type { WrittenKey, WrittenReplication, WrittenRule } from './schema.ts';
import { shareSettings } from './share.ts';
import { bothWays } from './two-way.ts';
import type {
  Account,
  BucketReplication,
  KeyChoice,
  KeySettings,
  RoleChoice,
  Rule,
  Side,
  Specs,
} from './types.ts';
import type { CheckedAccount, CheckedReplication, Valid } from './validate.ts';

/** From what was written to what the program uses: shorthand undone, every default filled in. */
export function resolve(valid: readonly Valid[]): Omit<Specs, 'variables'> {
  const accounts = valid.flatMap((one) => (one.kind === 'Account' ? [resolveAccount(one)] : []));
  const byName: Accounts = new Map(accounts.map((account) => [account.name, account]));
  const pairs = valid.flatMap((one) =>
    one.kind === 'BucketReplication' ? resolveReplication(one, byName) : [],
  );
  const guardrails = valid.flatMap((one) => (one.kind === 'Guardrails' ? [one.written.spec] : []));
  const strictest = (values: (number | undefined)[]) => {
    const said = values.filter((value) => value !== undefined);
    return said.length > 0 ? Math.min(...said) : undefined;
  };
  const limits = defined({
    maxChanges: strictest(guardrails.map(({ maxChanges }) => maxChanges)),
    maxRemovals: strictest(guardrails.map(({ maxRemovals }) => maxRemovals)),
  });
  return { pairs: shareSettings(pairs), accounts, limits };
}

type Accounts = ReadonlyMap<string, Account>;

/** One pair, or two where the buckets replicate to each other. */
function resolveReplication(
  { written, parsed }: CheckedReplication,
  accounts: Accounts,
): BucketReplication[] {
  const { metadata, spec } = written;
  const names = ruleNames(spec.rules);
  const pair: BucketReplication = {
    name: metadata.name,
    labels: metadata.labels,
    source: side(spec.source, accounts),
    destination: defined({
      ...side(spec.destination, accounts),
      storageClass: spec.destination.storageClass,
      objectOwner: spec.destination.objectOwner ?? 'destination',
    }),
    sourceKeys: spec.sourceKeys.map((key) => keyChoice({ ...spec.source, key }, accounts)),
    role: roleChoice(spec),
    rules: spec.rules.map((rule, index) => resolveRule(rule, names[index] ?? `rule-${index + 1}`)),
    policy: spec.policy,
    positions: positions(parsed),
  };
  return spec.direction === 'both' ? bothWays(pair) : [pair];
}

function resolveAccount({ written: { metadata, spec }, parsed }: CheckedAccount): Account {
  const { id, managed, profile, assumeRole } = spec;
  return defined({
    name: metadata.name,
    id,
    managed,
    profile,
    assumeRole: assumeRole && defined(assumeRole),
    positions: positions(parsed),
  });
}

function roleChoice({ role, source }: WrittenReplication['spec']): RoleChoice {
  if (role?.arn !== undefined) return { arn: role.arn };
  const { path, permissionsBoundary, tags } = role ?? {};
  return defined({
    name: role?.name ?? derivedRoleName(source.bucket),
    path,
    permissionsBoundary,
    tags,
  });
}

type WrittenSide = WrittenReplication['spec']['source'];

function side(written: WrittenSide, accounts: Accounts): Side {
  const { bucket, region, account, defaultEncryption, blockPublicAccess, objectOwnership } = written;
  const owner = accounts.get(account ?? '');
  return defined({
    bucket,
    region,
    account,
    accountId: owner?.id,
    managed: owner?.managed ?? true,
    key: keyChoice(written, accounts),
    bucketKey: longForm(written.key).bucketKey ?? defaultEncryption === 'SSE-KMS',
    defaultEncryption,
    blockPublicAccess,
    objectOwnership,
  });
}

function keyChoice({ key, region, account }: WrittenSide, accounts: Accounts): KeyChoice {
  const { alias, arn, bucketKey: _, ...settings } = longForm(key);
  if (alias !== undefined) return { alias, ...settings };
  const id = arn ?? '';
  // A bare key id is a key of the account and Region that the side names.
  return KEY_ID.test(id)
    ? { arn: `arn:${partition(region)}:kms:${region}:${accounts.get(account ?? '')?.id ?? ''}:key/${id}` }
    : { arn: id };
}

/** Both spellings of a key as one. */
export function longForm(
  key: WrittenKey,
): { alias?: string; arn?: string; bucketKey?: boolean } & KeySettings {
  if (typeof key === 'string') return key.startsWith('alias/') ? { alias: key } : { arn: key };
  return defined(key);
}

function resolveRule(written: WrittenRule, name: string): Rule {
  return {
    name,
    enabled: written.enabled,
    prefix: written.prefix ?? written.filter?.prefix ?? '',
    tags: written.filter?.tags ?? {},
    ...(written.id === undefined ? {} : { id: written.id }),
    ...(written.priority === undefined ? {} : { priority: written.priority }),
    deleteMarkerReplication: written.deleteMarkerReplication,
    replicationTimeControl: written.replicationTimeControl,
    metrics: written.metrics,
    sseKmsEncryptedObjects: written.sseKmsEncryptedObjects,
    replicaModifications: written.replicaModifications,
  };
}

/** A rule without a name is called after its prefix: `Tax/2026/` is `tax-2026`, no prefix is `all`. */
export function ruleNames(rules: readonly WrittenRule[]): string[] {
  const taken = new Set(rules.flatMap((rule) => rule.name ?? []));
  return rules.map((rule) => {
    if (rule.name !== undefined) return rule.name;
    const prefix = rule.prefix ?? rule.filter?.prefix ?? '';
    const slug = prefix
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '')
      .slice(0, 50)
      .replace(/-$/, '');
    const base = slug || (prefix === '' ? 'all' : 'prefix');
    let name = base;
    for (let suffix = 2; taken.has(name); suffix++) name = `${base}-${suffix}`;
    taken.add(name);
    return name;
  });
}
