import { createHash } from 'node:crypto';
import { KEY_ARN, KEY_ID } from './names.ts';
import type { WrittenAccount, WrittenKey, WrittenReplication, WrittenRule } from './schema.ts';
import type { Account, BucketReplication, KeyChoice, Position, Rule, Side } from './types.ts';
import type { Valid } from './validate.ts';

/** From what was written to what the program uses: shorthand undone, every default filled in. */
export function resolveReplication(
  { written, parsed }: Valid & { written: WrittenReplication },
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
    positions: positions(parsed, [
      'metadata.name',
      'spec.source',
      'spec.source.bucket',
      'spec.source.region',
      'spec.source.account',
      'spec.source.key',
      'spec.destination',
      'spec.destination.bucket',
      'spec.destination.region',
      'spec.destination.account',
      'spec.destination.key',
      'spec.role',
      'spec.rules',
      'spec.policy',
      ...spec.rules.flatMap((_, index) => [`spec.rules[${index}]`, `spec.rules[${index}].priority`]),
    ]),
  };
}

export function resolveAccount({ written, parsed }: Valid & { written: WrittenAccount }): Account {
  const { metadata, spec } = written;
  const { arn, externalId, sessionName } = spec.assumeRole ?? {};
  return {
    name: metadata.name,
    id: spec.id,
    ...(spec.profile === undefined ? {} : { profile: spec.profile }),
    ...(arn === undefined
      ? {}
      : {
          assumeRole: {
            arn,
            ...(externalId === undefined ? {} : { externalId }),
            ...(sessionName === undefined ? {} : { sessionName }),
          },
        }),
    positions: positions(parsed, ['metadata.name', 'spec.id']),
  };
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
    ? { arn: `arn:aws:kms:${region}:${accountIds.get(account ?? '') ?? ''}:key/${id}` }
    : { arn: id };
}

/** Both spellings of a key as one. */
export function longForm(key: WrittenKey): { alias?: string; arn?: string; rotation?: boolean } {
  if (typeof key === 'string') return key.startsWith('alias/') ? { alias: key } : { arn: key };
  const { alias, arn, rotation } = key;
  return {
    ...(alias === undefined ? {} : { alias }),
    ...(arn === undefined ? {} : { arn }),
    ...(rotation === undefined ? {} : { rotation }),
  };
}

export const isKeyReference = (text: string): boolean => KEY_ARN.test(text) || KEY_ID.test(text);

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
      .slice(0, 50);
    const base = slug || (prefix === '' ? 'all' : 'prefix');
    let name = base;
    for (let suffix = 2; taken.has(name); suffix++) name = `${base}-${suffix}`;
    taken.add(name);
    return name;
  });
}

function positions(parsed: Valid['parsed'], paths: readonly string[]): Record<string, Position> {
  const entries = paths.map((path) => [path, parsed.positionOf(pathOf(path))] as const);
  return { '': parsed.positionOf([]), ...Object.fromEntries(entries) };
}

const pathOf = (text: string): (string | number)[] =>
  text.split(/\.|(?=\[)/).map((part) => (part.startsWith('[') ? Number(part.slice(1, -1)) : part));
