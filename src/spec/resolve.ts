import { createHash } from 'node:crypto';
import { defined } from '../core/canonical.ts';
import { positions } from './document.ts';
import { KEY_ID, partition } from './names.ts';
import type { WrittenKey, WrittenReplication, WrittenRule } from './schema.ts';
import type { Account, BucketReplication, KeyChoice, Rule, Side, Specs } from './types.ts';
import type { CheckedAccount, CheckedReplication, Valid } from './validate.ts';

/** From what was written to what the program uses: shorthand undone, every default filled in. */
export function resolve(valid: readonly Valid[]): Specs {
  const accounts = valid.flatMap((one) => (one.kind === 'Account' ? [resolveAccount(one)] : []));
  const ids = new Map(accounts.map(({ name, id }) => [name, id]));
  const pairs = valid.flatMap((one) =>
    one.kind === 'BucketReplication' ? [resolveReplication(one, ids)] : [],
  );
  return { pairs: withSharedRotation(pairs), accounts };
}

function resolveReplication(
  { written, parsed }: CheckedReplication,
  accountIds: ReadonlyMap<string, string>,
): BucketReplication {
  const { metadata, spec } = written;
  const names = ruleNames(spec.rules);
  return {
    name: metadata.name,
    labels: metadata.labels,
    source: side(spec.source, accountIds),
    destination: {
      ...side(spec.destination, accountIds),
      ...(spec.destination.storageClass === undefined ? {} : { storageClass: spec.destination.storageClass }),
    },
    role:
      spec.role?.arn === undefined
        ? { name: spec.role?.name ?? derivedRoleName(spec.source.bucket) }
        : { arn: spec.role.arn },
    rules: spec.rules.map((rule, index) => resolveRule(rule, names[index] ?? `rule-${index + 1}`)),
    policy: spec.policy,
    positions: positions(parsed),
  };
}

function resolveAccount({ written: { metadata, spec }, parsed }: CheckedAccount): Account {
  const { id, profile, assumeRole } = spec;
  return defined({
    name: metadata.name,
    id,
    profile,
    assumeRole: assumeRole && defined(assumeRole),
    positions: positions(parsed),
  });
}

/** A key that several specs share is rotated when one of them says so; `checks.ts` sees to it that none contradicts. */
function withSharedRotation(pairs: readonly BucketReplication[]): BucketReplication[] {
  const identity = (side: Side, alias: string) => [alias, side.account, side.region].join(' ');
  const declared = new Map<string, boolean>();
  for (const side of pairs.flatMap(({ source, destination }) => [source, destination])) {
    if (!('alias' in side.key) || side.key.rotation === undefined) continue;
    declared.set(identity(side, side.key.alias), side.key.rotation);
  }
  const shared = <T extends Side>(side: T): T => {
    const rotation = 'alias' in side.key ? declared.get(identity(side, side.key.alias)) : undefined;
    return rotation === undefined ? side : { ...side, key: { ...side.key, rotation } };
  };
  return pairs.map((pair) => ({
    ...pair,
    source: shared(pair.source),
    destination: shared(pair.destination),
  }));
}

/** `replikey-` and the source bucket; what is too long for IAM is cut, and a hash keeps it unique. */
export function derivedRoleName(bucket: string): string {
  const name = `replikey-${bucket}`;
  if (name.length <= 64) return name;
  return `${name.slice(0, 55)}-${createHash('sha256').update(bucket).digest('hex').slice(0, 8)}`;
}

type WrittenSide = WrittenReplication['spec']['source'];

function side(written: WrittenSide, accountIds: ReadonlyMap<string, string>): Side {
  return {
    bucket: written.bucket,
    region: written.region,
    ...(written.account === undefined ? {} : { account: written.account }),
    key: keyChoice(written, accountIds),
    bucketKey: typeof written.key === 'string' ? true : written.key.bucketKey,
  };
}

function keyChoice(
  { key, region, account }: WrittenSide,
  accountIds: ReadonlyMap<string, string>,
): KeyChoice {
  const { alias, arn, rotation } = longForm(key);
  if (alias !== undefined) return rotation === undefined ? { alias } : { alias, rotation };
  const id = arn ?? '';
  // A bare key id is a key of the account and Region that the side names.
  return KEY_ID.test(id)
    ? { arn: `arn:${partition(region)}:kms:${region}:${accountIds.get(account ?? '') ?? ''}:key/${id}` }
    : { arn: id };
}

/** Both spellings of a key as one. */
export function longForm(key: WrittenKey): { alias?: string; arn?: string; rotation?: boolean } {
  if (typeof key === 'string') return key.startsWith('alias/') ? { alias: key } : { arn: key };
  const { alias, arn, rotation } = key;
  return defined({ alias, arn, rotation });
}

function resolveRule(written: WrittenRule, name: string): Rule {
  return {
    name,
    enabled: written.enabled,
    prefix: written.prefix ?? written.filter?.prefix ?? '',
    tags: written.filter?.tags ?? {},
    ...(written.priority === undefined ? {} : { priority: written.priority }),
    deleteMarkerReplication: written.deleteMarkerReplication,
    replicationTimeControl: written.replicationTimeControl,
    metrics: written.metrics,
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
