import { factValue } from '../core/facts.ts';
import { matchWildcard, tokenize } from '../iam/pattern.ts';
import type { Policy } from '../iam/types.ts';
import { exclusionOfS3Rule, isUnderAny } from '../spec/rule-fields.ts';
import { regionOfArn } from '../util/arn.ts';
import {
  type RuleContext,
  replicaKeyArns,
  replicatesDeleteMarkers,
  resolveKeyArn,
  rulePrefixOf,
  ruleTagsOf,
  selectsKmsObjects,
} from './rule-context.ts';
import { mismatchReason, type SourceObject } from './rule-match.ts';
import type { KmsEncryption, ObjectCase } from './types.ts';

/** An object that was sampled from a source bucket, or that a spec declares for it. */
export interface ObservedObject extends Partial<Omit<SourceObject, 'encryption'>> {
  encryption: SourceObject['encryption'];
}

/** Returns the objects that were sampled. A spec declares only the encryption of objects. */
export const sampledObjects = (objects: readonly ObservedObject[]): SourceObject[] =>
  objects.flatMap(({ key, tags = [], hasUnreadTags, deleteMarker = false, encryption }) =>
    key === undefined ? [] : { key, tags, hasUnreadTags, deleteMarker, encryption },
  );

/**
 * Returns every kind of object that a rule covers, typical ones first: objects without KMS encryption, objects under
 * each key with and without an S3 Bucket Key, and delete markers. Both Bucket Key settings occur, because a request
 * header overrides the bucket's default.
 */
export function objectCasesOf(context: RuleContext, sample: readonly ObservedObject[]): ObjectCase[] {
  const { rule } = context;
  const objectKeys = objectKeysOf(context);
  const selected = sample.filter((object) => isSelected(context, object));
  const encryptions = [
    { algorithm: 'AES256' as const, isTypical: isUnencryptedTypical(context, selected) },
    ...(selectsKmsObjects(rule) ? kmsEncryptionsOf(context, selected) : []),
  ].sort((a, b) => Number(b.isTypical) - Number(a.isTypical));
  return [
    ...encryptions.flatMap(({ isTypical, ...encryption }) =>
      objectKeys.map((key): ObjectCase => ({ type: 'object', key, encryption, isTypical })),
    ),
    // A rule with a tag filter cannot replicate delete markers, because these have no tags.
    ...(replicatesDeleteMarkers(rule) && ruleTagsOf(rule).length === 0
      ? objectKeys.map((key): ObjectCase => ({ type: 'delete marker', key }))
      : []),
  ];
}

/** Returns whether a rule selects an observed object. Objects that a spec declares have no key, and concern every rule. */
const isSelected = ({ rule, rules }: RuleContext, object: ObservedObject): boolean =>
  sampledObjects([object]).every((sampled) => mismatchReason(rule, sampled, rules) === undefined);

const isUnencryptedTypical = (context: RuleContext, sample: readonly ObservedObject[]): boolean =>
  !isKmsAlgorithm(defaultEncryptionOf(context).algorithm) ||
  sample.some(({ encryption }) => !isKmsAlgorithm(encryption.algorithm));

/** Returns the default encryption of new objects in the source bucket. */
export function defaultEncryptionOf({ source }: RuleContext): {
  algorithm: string;
  keyArn: string;
  bucketKey: boolean;
} {
  const [rule] = factValue(source.encryption)?.Rules ?? [];
  const { SSEAlgorithm = 'AES256', KMSMasterKeyID } = rule?.ApplyServerSideEncryptionByDefault ?? {};
  return {
    algorithm: SSEAlgorithm,
    keyArn: resolveKeyArn(KMSMasterKeyID, source),
    bucketKey: SSEAlgorithm === 'aws:kms' && (rule?.BucketKeyEnabled ?? false),
  };
}

export const isKmsAlgorithm = (algorithm: string): algorithm is KmsEncryption['algorithm'] =>
  algorithm.startsWith('aws:kms');

function kmsEncryptionsOf(
  context: RuleContext,
  sample: readonly ObservedObject[],
): (KmsEncryption & { isTypical: boolean })[] {
  const defaultEncryption = defaultEncryptionOf(context);
  const encryptions = new Map<string, KmsEncryption & { isTypical: boolean }>();
  const addEncryption = (encryption: KmsEncryption, isTypical: boolean) => {
    const id = `${encryption.keyArn} ${encryption.bucketKey}`;
    if (!encryptions.has(id)) encryptions.set(id, { ...encryption, isTypical });
  };
  const { algorithm } = defaultEncryption;
  if (isKmsAlgorithm(algorithm)) addEncryption({ ...defaultEncryption, algorithm }, true);
  for (const { encryption } of sample)
    if (isKmsAlgorithm(encryption.algorithm)) addEncryption(encryption as KmsEncryption, true);
  // Without a KMS default and without a sampled object, assume the keys that the role's policies name.
  if (encryptions.size === 0)
    for (const keyArn of keyArnsInPolicies(context))
      addEncryption({ algorithm: 'aws:kms', keyArn, bucketKey: false }, true);
  for (const encryption of [...encryptions.values()]) {
    if (encryption.algorithm === 'aws:kms')
      addEncryption({ ...encryption, bucketKey: !encryption.bucketKey }, false);
  }
  return [...encryptions.values()];
}

/** Returns the keys in the source's Region that the role's policies name. */
export function keyArnsInPolicies({ facts, role, source }: RuleContext): string[] {
  const policies = Object.values(factValue(factValue(facts.roles[role])?.policies) ?? {});
  const keyArns = policies
    .flatMap(resourcePatternsOf)
    .filter((text) => /^arn:[^:]+:kms:[^:*?]+:[^:*?]+:key\/[^*?]+$/.test(text));
  return [...new Set(keyArns)].filter((arn) => regionOfArn(arn) === source.region);
}

/** Returns the keys that S3 may use for the objects of a rule. */
export const keyArnsOfRule = (context: RuleContext): string[] => {
  const { algorithm, keyArn } = defaultEncryptionOf(context);
  const objectKeys = [...(isKmsAlgorithm(algorithm) ? [keyArn] : []), ...keyArnsInPolicies(context)];
  return [...objectKeys, ...replicaKeyArns(context, objectKeys)];
};

const MAX_OBJECT_KEYS = 20;

/** Names for a generic key. A rule that excludes one of them hardly excludes all. */
const GENERIC_NAMES = ['any object', 'object', 'x', 'Z', '0', '_', '~'];

/**
 * Returns object keys to evaluate: a generic key under the rule's prefix, and a key for each policy pattern that
 * singles out some objects. A denial of `Tax/private/*` is thus found although `Tax/` as a whole is allowed.
 */
function objectKeysOf(context: RuleContext): string[] {
  const { facts, role, source, destination, rule } = context;
  const prefix = rulePrefixOf(rule);
  const { policies, boundary } = factValue(facts.roles[role]) ?? {};
  const policyDocuments = [
    ...Object.values(factValue(policies) ?? {}),
    ...[factValue(boundary), factValue(source.policy), factValue(destination?.policy)].flatMap(
      (policy) => policy ?? [],
    ),
  ];
  const buckets = [source.arn, ...(destination ? [destination.arn] : [])];
  const specialKeys = policyDocuments
    .flatMap(resourcePatternsOf)
    .flatMap((pattern) => exampleKeyFor(pattern, prefix, buckets) ?? [])
    .filter((key) => key !== prefix);
  const isExcluded = (key: string) => isUnderAny(key, exclusionOfS3Rule(rule)?.prefixes);
  const genericKey = GENERIC_NAMES.map((name) => `${prefix}${name}`).find((key) => !isExcluded(key));
  return [
    ...new Set([genericKey ?? `${prefix}any object`, ...specialKeys.filter((key) => !isExcluded(key))]),
  ].slice(0, MAX_OBJECT_KEYS);
}

function resourcePatternsOf({ Statement }: Policy): string[] {
  return [Statement].flat().flatMap(({ Resource = [], NotResource = [] }) => [Resource, NotResource].flat());
}

/** Returns a key under the prefix that matches a pattern of object ARNs, or undefined if none is found. */
function exampleKeyFor(pattern: string, prefix: string, buckets: readonly string[]): string | undefined {
  const bucket = buckets.find((arn) => pattern.startsWith(`${arn}/`));
  if (bucket === undefined) return undefined;
  const keyPattern = pattern.slice(bucket.length + 1);
  if (/^[^*?$]*\*?$/.test(keyPattern) && prefix.startsWith(keyPattern.replace('*', ''))) return undefined;
  const keySuffix = keyPattern.slice(keyPattern.lastIndexOf('*') + 1);
  const tokens = tokenize(keyPattern);
  return [fillWildcards(keyPattern), `${prefix}x${fillWildcards(keySuffix)}`].find(
    (key) => key.startsWith(prefix) && matchWildcard(tokens, key),
  );
}

const fillWildcards = (pattern: string): string => pattern.replace(/[*?]/g, 'x');
