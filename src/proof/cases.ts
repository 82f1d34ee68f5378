import { known } from '../core/observed.ts';
import type { Policy } from '../iam/types.ts';
import { matchWildcard, tokenize } from '../iam/wildcard.ts';
import type { KmsEncryption, ObjectCase } from './types.ts';
import { keyArnOf, prefixOf, type RuleWorld, replicatesDeletes, selectsEncrypted, tagsOf } from './world.ts';

/** Objects that were seen in a source bucket, or are declared to lie there. */
export interface SeenObject {
  encryption: { algorithm: 'AES256' } | KmsEncryption;
}

/**
 * Every kind of object that a rule covers: unencrypted by KMS, and under each key with an S3 Bucket Key and without,
 * since a header of the request overrides the bucket's default; and delete markers. Usual ones come first.
 */
export function casesOf(world: RuleWorld, seen: readonly SeenObject[]): ObjectCase[] {
  const { rule } = world;
  const keys = objectKeys(world);
  const encryptions = [
    { algorithm: 'AES256' as const, usual: plainIsUsual(world, seen) },
    ...(selectsEncrypted(rule) ? kmsCases(world, seen) : []),
  ].sort((one, other) => Number(other.usual) - Number(one.usual));
  return [
    ...encryptions.flatMap(({ usual, ...encryption }) =>
      keys.map((key): ObjectCase => ({ what: 'object', key, encryption, usual })),
    ),
    // A rule with a filter by tags cannot replicate delete markers, which have none.
    ...(replicatesDeletes(rule) && tagsOf(rule).length === 0
      ? keys.map((key): ObjectCase => ({ what: 'delete marker', key }))
      : []),
  ];
}

const plainIsUsual = (world: RuleWorld, seen: readonly SeenObject[]): boolean =>
  !isKms(byDefault(world).algorithm) || seen.some(({ encryption }) => !isKms(encryption.algorithm));

/** How new objects of the source are encrypted where a request does not say. */
export function byDefault({ source }: RuleWorld): { algorithm: string; keyArn: string; bucketKey: boolean } {
  const [rule] = known(source.encryption)?.Rules ?? [];
  const { SSEAlgorithm = 'AES256', KMSMasterKeyID } = rule?.ApplyServerSideEncryptionByDefault ?? {};
  return {
    algorithm: SSEAlgorithm,
    keyArn: keyArnOf(KMSMasterKeyID, source),
    bucketKey: SSEAlgorithm === 'aws:kms' && (rule?.BucketKeyEnabled ?? false),
  };
}

export const isKms = (algorithm: string): algorithm is KmsEncryption['algorithm'] =>
  algorithm.startsWith('aws:kms');

function kmsCases(world: RuleWorld, seen: readonly SeenObject[]): (KmsEncryption & { usual: boolean })[] {
  const standard = byDefault(world);
  const cases = new Map<string, KmsEncryption & { usual: boolean }>();
  const add = (one: KmsEncryption, usual: boolean) => {
    const id = `${one.keyArn} ${one.bucketKey}`;
    if (!cases.has(id)) cases.set(id, { ...one, usual });
  };
  const { algorithm } = standard;
  if (isKms(algorithm)) add({ ...standard, algorithm }, true);
  for (const { encryption } of seen) if (isKms(encryption.algorithm)) add(encryption as KmsEncryption, true);
  // Without a default or an object that says so, the keys that the role was meant to decrypt with.
  if (cases.size === 0)
    for (const keyArn of keysOf(world)) add({ algorithm: 'aws:kms', keyArn, bucketKey: false }, true);
  for (const one of [...cases.values()]) {
    if (one.algorithm === 'aws:kms') add({ ...one, bucketKey: !one.bucketKey }, false);
  }
  return [...cases.values()];
}

/** The keys of the source's Region that the role's policies name. */
export function keysOf({ observed, role, source }: RuleWorld): string[] {
  const policies = Object.values(known(known(observed.roles[role])?.policies) ?? {});
  const named = policies
    .flatMap(patternsOf)
    .filter((text) => /^arn:[^:]+:kms:[^:*?]+:[^:*?]+:key\/[^*?]+$/.test(text));
  return [...new Set(named)].filter((arn) => arn.split(':')[3] === source.region);
}

const MOST_KEYS = 20;

/**
 * Names of objects to ask about: any under the rule's prefix, and one for each pattern of a policy that singles some of
 * them out, so that a denial of `Tax/private/*` is met though `Tax/` as a whole is allowed.
 */
function objectKeys(world: RuleWorld): string[] {
  const { observed, role, source, destination, rule } = world;
  const prefix = prefixOf(rule);
  const { policies, boundary } = known(observed.roles[role]) ?? {};
  const all = [
    ...Object.values(known(policies) ?? {}),
    ...[known(boundary), known(source.policy), known(destination?.policy)].flatMap((one) => one ?? []),
  ];
  const buckets = [source.arn, ...(destination ? [destination.arn] : [])];
  const special = all
    .flatMap(patternsOf)
    .flatMap((pattern) => witness(pattern, prefix, buckets) ?? [])
    .filter((key) => key !== prefix);
  return [...new Set([`${prefix}any object`, ...special])].slice(0, MOST_KEYS);
}

function patternsOf({ Statement }: Policy): string[] {
  return [Statement].flat().flatMap(({ Resource = [], NotResource = [] }) => [Resource, NotResource].flat());
}

/** A key under the prefix that a pattern of object ARNs matches, if there is one to be found. */
function witness(pattern: string, prefix: string, buckets: readonly string[]): string | undefined {
  const bucket = buckets.find((arn) => pattern.startsWith(`${arn}/`));
  if (bucket === undefined) return undefined;
  const rest = pattern.slice(bucket.length + 1);
  if (/^[^*?$]*\*?$/.test(rest) && prefix.startsWith(rest.replace('*', ''))) return undefined;
  const tail = rest.slice(rest.lastIndexOf('*') + 1);
  const tokens = tokenize(rest);
  return [plain(rest), `${prefix}x${plain(tail)}`].find(
    (key) => key.startsWith(prefix) && matchWildcard(tokens, key),
  );
}

const plain = (pattern: string): string => pattern.replace(/[*?]/g, 'x');
