import { CreateKeyCommand } from '@aws-sdk/client-kms';
import { DeleteObjectCommand, PutObjectCommand, type ReplicationRule } from '@aws-sdk/client-s3';
import { factValue } from '../../src/core/facts.ts';
import { diagnose } from '../../src/doctor/diagnose.ts';
import { readSampledObject } from '../../src/facts/object-sample.ts';
import { accountOfArn } from '../../src/iam/context.ts';
import type { Finding } from '../../src/proof/findings.ts';
import { explainObject } from '../../src/proof/prove.ts';
import { ruleBucketOf, ruleContextOf } from '../../src/proof/rule-context.ts';
import type { SourceObject } from '../../src/proof/rule-match.ts';
import type { VersionState } from '../../src/sandbox/state.ts';
import { PAIRS } from '../proof/breakages.ts';
import { type Pair, workingPair } from '../proof/breaking.ts';
import type { MutationCase } from './mutations.ts';

/** The comparison of one case. */
export interface Comparison {
  /** Contradictions between doctor and sandbox, as sentences. */
  disagreements: string[];
  /** Number of verdicts about objects, by the verdict of the doctor and the result of the sandbox. */
  verdicts: Record<string, number>;
  /** The sandbox refused a mutation, as AWS does: there is nothing to compare. */
  refused?: string;
}

/** The objects that are written in every case, and that differ in encryption, tags and key. */
const OBJECTS: { key: string; input: Partial<PutObjectCommand['input']>; isMarker?: true }[] = [
  { key: 'Tax/default', input: {} },
  { key: 'Tax/bucket-key', input: { ServerSideEncryption: 'aws:kms', BucketKeyEnabled: true } },
  { key: 'Tax/2025/no-bucket-key', input: { ServerSideEncryption: 'aws:kms', BucketKeyEnabled: false } },
  { key: 'Tax/sse-s3', input: { ServerSideEncryption: 'AES256' } },
  { key: 'Tax/dsse', input: { ServerSideEncryption: 'aws:kms:dsse' } },
  { key: 'Tax/tags', input: { Tagging: 'team=tax' } },
  { key: 'Tax/private/tags', input: { Tagging: 'team=audit&year=2026', ServerSideEncryption: 'AES256' } },
  { key: 'Tax/marker', input: {}, isMarker: true },
  { key: 'Other/default', input: {} },
];
const ENCRYPTIONS: Partial<PutObjectCommand['input']>[] = [
  {},
  { ServerSideEncryption: 'AES256' },
  { ServerSideEncryption: 'aws:kms', BucketKeyEnabled: true },
  { ServerSideEncryption: 'aws:kms', BucketKeyEnabled: false },
];
const underKey = (SSEKMSKeyId: string): Partial<PutObjectCommand['input']>[] =>
  [true, false].map((BucketKeyEnabled) => ({
    ServerSideEncryption: 'aws:kms',
    SSEKMSKeyId,
    BucketKeyEnabled,
  }));
/** An object under a key that no configuration names. */
const OTHER_KEY_OBJECT = 'Tax/other-key';
/** Enough for all objects. */
const SAMPLE_SIZE = 60;

const pairs = new Map<string, Promise<Pair & { otherKey: string }>>();

/** Returns a pair that is created once and restored before each case. */
async function pairFor(name: keyof typeof PAIRS): Promise<Pair & { otherKey: string }> {
  const promise = pairs.get(name) ?? createPair(name);
  pairs.set(name, promise);
  const pair = await promise;
  pair.restore();
  pair.meanwhile = undefined;
  return pair;
}

async function createPair(name: keyof typeof PAIRS): Promise<Pair & { otherKey: string }> {
  const { yaml, prepare }: { yaml: string; prepare?: (pair: Pair) => unknown } = PAIRS[name];
  let otherKey = '';
  const pair = await workingPair(yaml, async (created) => {
    await prepare?.(created);
    const { KeyMetadata } = await created.world.client.send(created.source.at, new CreateKeyCommand({}));
    otherKey = KeyMetadata?.Arn ?? '';
  });
  return Object.assign(pair, { otherKey });
}

/** Stops the sandboxes of all pairs. */
export async function closePairs(): Promise<void> {
  for (const pair of pairs.values()) await (await pair).world[Symbol.asyncDispose]();
  pairs.clear();
}

/**
 * Applies the mutations of a case, writes objects, and compares what the doctor says with what the sandbox does. The
 * doctor decides about the rule before and after the objects are written, and about each object.
 *
 * @param number selects whether an object under another key is written
 */
export async function compareCase(
  { pair: name, mutations }: MutationCase,
  number: number,
): Promise<Comparison> {
  const pair = await pairFor(name);
  for (const { label, apply } of mutations) {
    try {
      await apply(pair);
    } catch (error) {
      return { disagreements: [], verdicts: {}, refused: `${label}: ${(error as Error).message}` };
    }
  }
  const before = await rulesOf(pair, 0);
  const versions = await writeObjects(pair, before, number);
  const after = await rulesOf(pair, SAMPLE_SIZE);
  const verdicts: Record<string, number> = {};
  const disagreements: string[] = [];
  for (const version of versions) await compareObject(pair, after, version, verdicts, disagreements);
  disagreements.push(...compareRules(before, versions, 'before any object'));
  disagreements.push(...compareRules(after, versions, 'with the objects'));
  return { disagreements, verdicts };
}

type Diagnosis = Awaited<ReturnType<typeof rulesOf>>;

/** Returns the diagnosis of the source bucket, and its rules. */
async function rulesOf({ world: env, locations, source }: Pair, sampleSize: number) {
  const diagnosis = await diagnose(env.client, [source.bucket], { locations, sampleSize, now: Date.now });
  const configuration = factValue(factValue(diagnosis.facts.buckets[source.bucket])?.replication);
  return { ...diagnosis, rules: configuration?.Rules ?? [], configuration };
}

/** Writes the objects, and some with the keys that the findings name. Returns their newest versions. */
async function writeObjects(
  pair: Pair & { otherKey: string },
  { proofs, rules }: Diagnosis,
  number: number,
): Promise<VersionState[]> {
  const { world: env, source, otherKey } = pair;
  const Bucket = source.bucket;
  const named = [...new Set(proofs.flatMap(({ findings }) => findings.flatMap(keysNamed)))].slice(0, 4);
  // The doctor also considers keys that only the policies of the role name.
  const sourceKeys = [
    ...new Set(proofs.flatMap(({ findings }) => findings.map(({ request }) => request?.resource ?? ''))),
  ].filter((arn) => arn.startsWith(`arn:aws:kms:${source.at.region}:`));
  // A rule with a tag filter selects no other objects.
  const Tagging = rules
    .flatMap(({ Filter }) => Filter?.And?.Tags ?? Filter?.Tag ?? [])
    .map(({ Key, Value }) => `${Key}=${Value}`)
    .slice(0, 1)
    .join('&');
  // A denial for tags concerns only objects that have some.
  const taggings = [...new Set([Tagging, Tagging || 'team=tax'])];
  const objects: typeof OBJECTS = [
    ...OBJECTS,
    ...(number % 4 === 0
      ? [
          {
            key: OTHER_KEY_OBJECT,
            input: { ServerSideEncryption: 'aws:kms' as const, SSEKMSKeyId: otherKey },
          },
        ]
      : []),
    // Each encryption as a version of its own.
    ...named.flatMap((key) => [
      ...taggings.flatMap((tagging) =>
        [...ENCRYPTIONS, ...sourceKeys.flatMap(underKey)].map((input) => ({
          key,
          input: { ...input, Tagging: tagging },
        })),
      ),
      { key: `${key}.marker`, input: {}, isMarker: true as const },
    ]),
  ];
  for (const { key: Key, input, isMarker } of objects) {
    // A key that is disabled refuses a write, so that there is nothing to replicate.
    await env.client.send(source.at, new PutObjectCommand({ Bucket, Key, Body: 'numbers', ...input })).then(
      () =>
        isMarker &&
        // A policy may deny the marker to every caller, so that the object stays the newest version.
        env.client.send(source.at, new DeleteObjectCommand({ Bucket, Key })).catch(() => {}),
      () => {},
    );
  }
  await env.sandbox.waitForReplication();
  const state = env.sandbox.store.bucket(Bucket);
  return [...new Set(objects.map(({ key }) => key))].flatMap((key) => state?.objects.get(key) ?? []);
}

/** Returns the keys of the objects that a finding is about. */
const keysNamed = ({ request }: Finding): string[] => {
  const contexts = request?.context['kms:EncryptionContext:aws:s3:arn'] ?? [];
  return [request?.resource ?? '', ...[contexts].flat()].flatMap(
    (arn) => /^arn:aws:s3:::[^/]+\/(.+)$/.exec(arn)?.[1] ?? [],
  );
};

/** Reads a version like the doctor. Returns undefined if a policy denies it to every caller. */
const readVersion = async (
  { world: env, source }: Pair,
  { key, versionId, deleteMarker }: VersionState,
): Promise<SourceObject | undefined> =>
  deleteMarker
    ? { key, tags: [], deleteMarker: true, encryption: { algorithm: 'AES256' } }
    : readSampledObject(env.client, source.at, source.bucket, key, versionId).catch(() => undefined);

/** Compares the diagnosis of one object with its replication, rule by rule. */
async function compareObject(
  pair: Pair,
  { facts, rules, configuration }: Diagnosis,
  version: VersionState,
  verdicts: Record<string, number>,
  disagreements: string[],
): Promise<void> {
  const { source } = pair;
  const bucket = configuration && ruleBucketOf(facts, source.bucket, accountOfArn(configuration.Role));
  if (!configuration || !bucket) return;
  const object = await readVersion(pair, version);
  if (!object) {
    verdicts.unreadable = (verdicts.unreadable ?? 0) + 1;
    return;
  }
  const contexts = rules.map((rule) => ruleContextOf(facts, bucket, configuration, rule));
  const { taken } = explainObject(contexts, source.bucket, object);
  const attempts = new Map((version.replication?.attempts ?? []).map((attempt) => [attempt.ruleId, attempt]));
  for (const rule of rules) {
    const proof = taken.find((candidate) => candidate.rule === rule.ID);
    const attempt = attempts.get(rule.ID ?? '');
    const verdict = proof?.verdict ?? 'not selected';
    const status = attempt?.status ?? 'not selected';
    verdicts[`${verdict}, ${status}`] = (verdicts[`${verdict}, ${status}`] ?? 0) + 1;
    if (verdict === 'unknown') {
      // The doctor does not decide, but still knows whether the rule selects the object.
      if (attempt === undefined)
        disagreements.push(`${version.key}: selected by the doctor, and not by the sandbox`);
      continue;
    }
    const isDecided = proof?.findings.every(({ severity }) => severity !== 'unknown');
    const [cause] = (proof?.findings ?? []).filter(({ severity }) => severity === 'error');
    const expected = verdict === 'proven' ? 'COMPLETED' : verdict === 'broken' ? 'FAILED' : 'not selected';
    if (expected !== status)
      disagreements.push(
        `${version.key}: the doctor says ${verdict} (${cause?.message ?? 'no error'}), and the sandbox ${status} (${attempt?.reason ?? ''} ${attempt?.detail ?? ''})`,
      );
    // S3 documents no reason of its own for some causes. A request that the doctor leaves open may fail before the cause.
    else if (isDecided && cause?.failureReason !== undefined && cause.failureReason !== attempt?.reason)
      disagreements.push(
        `${version.key}: the doctor names ${cause.failureReason} (${cause.code}: ${cause.message}), and the sandbox ${attempt?.reason} (${attempt?.detail})`,
      );
  }
}

/**
 * Compares the verdicts of rules with all objects. A proven configuration replicates every object that its enabled rules
 * match. A rule that is broken fails or skips at least one of the objects it matches.
 */
function compareRules(
  { proofs, rules }: Diagnosis,
  versions: readonly VersionState[],
  when: string,
): string[] {
  const enabled = rules.filter(({ Status }) => Status === 'Enabled');
  const isReplicated = (version: VersionState) => version.replication?.status === 'COMPLETED';
  const covered = (rule: ReplicationRule) =>
    versions.filter(
      (version) =>
        matches(rule, version) &&
        (!version.deleteMarker || replicatesMarkers(rule)) &&
        !enabled.some((other) => overrides(other, rule) && matches(other, version)),
    );
  const verdictOf = (rule: ReplicationRule) => proofs.find((proof) => proof.rule === rule.ID)?.verdict;
  const disagreements: string[] = [];
  if (
    when !== 'before any object' &&
    enabled.length > 0 &&
    enabled.every((rule) => verdictOf(rule) === 'proven')
  ) {
    const lost = enabled.flatMap(covered).find((version) => !isReplicated(version));
    if (lost)
      disagreements.push(
        `${when}: all rules are proven, and ${lost.key} is ${lost.replication?.status ?? 'skipped'} (${lost.replication?.attempts[0]?.detail ?? ''})`,
      );
  }
  for (const rule of enabled.filter((candidate) => verdictOf(candidate) === 'broken')) {
    const objects = covered(rule);
    const cause = proofs.find((proof) => proof.rule === rule.ID)?.findings[0];
    // A policy may deny every caller to write the objects that the finding names, or all objects under a key.
    const deniedKey = cause?.request?.resource;
    const isWritten =
      !cause ||
      (keysNamed(cause).every((key) => versions.some((version) => version.key === key)) &&
        (cause.code !== 'RK1307' ||
          versions.some(
            ({ encryption }) => encryption.algorithm !== 'AES256' && encryption.keyArn === deniedKey,
          )));
    if (objects.length === 0 || !isWritten || objects.some((version) => !isReplicated(version))) continue;
    disagreements.push(
      `${when}: ${rule.ID} is broken (${cause?.code}: ${cause?.message}), and all ${objects.length} objects are replicated`,
    );
  }
  return disagreements;
}

/** For each destination, the rule with the higher priority decides (S3 User Guide, "Replication configuration"). */
const overrides = (other: ReplicationRule, rule: ReplicationRule): boolean =>
  other.Destination?.Bucket === rule.Destination?.Bucket && (other.Priority ?? 0) > (rule.Priority ?? 0);

/** A rule of configuration version V1, which has no Filter, replicates delete markers. */
const replicatesMarkers = ({ Filter, DeleteMarkerReplication }: ReplicationRule): boolean =>
  Filter === undefined || DeleteMarkerReplication?.Status === 'Enabled';

/** Returns whether a rule's filter matches a version (S3 User Guide, "Replication configuration file elements"). */
function matches({ Filter, Prefix }: ReplicationRule, { key, tags, deleteMarker }: VersionState): boolean {
  const prefix = Filter?.And?.Prefix ?? Filter?.Prefix ?? Prefix ?? '';
  const required = Filter?.And?.Tags ?? (Filter?.Tag ? [Filter.Tag] : []);
  if (deleteMarker && required.length > 0) return false;
  return key.startsWith(prefix) && required.every(({ Key = '', Value }) => tags.get(Key) === Value);
}
