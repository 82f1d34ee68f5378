import type { ReplicationRule } from '@aws-sdk/client-s3';
import { formatAwsError } from '../aws/errors.ts';
import { type Facts, factValue } from '../core/facts.ts';
import type { Aws } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import { addKeyFacts, collectReplicationFacts, proveWithGrants } from '../facts/collect.ts';
import type { Locations } from '../facts/locations.ts';
import {
  type ObjectSample,
  readSampledObject,
  type SampledObject,
  type SampleSize,
  sampleObjects,
} from '../facts/object-sample.ts';
import { addAccountFacts, type OrganizationReader } from '../facts/organization.ts';
import { accountOfArn } from '../iam/context.ts';
import { explainObject, type ObjectProof, proveRules } from '../proof/prove.ts';
import {
  type RuleContext,
  replicaKeyArns,
  ruleBucketOf,
  ruleContextOf,
  rulePrefixOf,
} from '../proof/rule-context.ts';
import type { RuleProof } from '../proof/types.ts';
import { addAlarmFindings } from './alarms.ts';
import {
  DEFAULT_FAILED_SINCE_MS,
  type ObjectStatusReport,
  reportObjectStatus,
  reportUnreadableObjects,
} from './object-status.ts';
import { addRetainedFindings } from './retained-permissions.ts';
import { diagnoseRuleMetrics, type RuleMetricsReport } from './rule-metrics.ts';

/** The result of a diagnosis: the proof of each existing rule, and the status of the sampled objects. */
export interface Diagnosis {
  proofs: RuleProof[];
  objects: ObjectStatusReport[];
  /** The facts that the proofs are based on. */
  facts: Facts;
}

export interface DiagnoseOptions {
  locations: Locations;
  /** Reads the control policies; default: they are not read. */
  organization?: OrganizationReader | undefined;
  /** Number of objects to sample in each bucket; 0 disables sampling. */
  sampleSize: number;
  /** Number of pages of 1,000 versions to list under each prefix; default: 1. */
  samplePages?: number;
  /** Failures of objects written this long ago decide the verdict, in milliseconds; default: 24 hours. */
  failedSinceMs?: number;
  /** Returns the time of AWS, in milliseconds since 1970. Read after the facts, because a response sets the clock. */
  now: () => number;
}

/** Diagnoses the replication of some source buckets, with the newest objects of each bucket. */
export async function diagnose(
  aws: Aws,
  buckets: readonly string[],
  options: DiagnoseOptions,
): Promise<Diagnosis> {
  const { locations, sampleSize, samplePages = 1, failedSinceMs = DEFAULT_FAILED_SINCE_MS } = options;
  const { organization, now } = options;
  const replicationFacts = await collectReplicationFacts(aws, buckets, locations);
  const samples = await Promise.all(
    buckets.map(async (bucket) => ({
      bucket,
      ...(await sampleForRules(aws, replicationFacts, bucket, locations, {
        count: sampleSize,
        pages: samplePages,
      })),
    })),
  );
  const keys = samples.flatMap(({ bucket, objects }) =>
    keysWithReplicaKeys(replicationFacts, bucket, objects.flatMap(kmsKeyArnsOf)),
  );
  const keyFacts = await addAccountFacts(
    organization,
    await addKeyFacts(aws, replicationFacts, keys, locations),
  );
  const nowMs = now();
  const proveSamples = (facts: Facts) => {
    const proofs = samples.flatMap(({ bucket, objects }) =>
      proveRules(
        facts,
        bucket,
        // S3 does not replicate replicas again, so their keys are irrelevant.
        objects.filter(({ status }) => status !== 'REPLICA'),
        nowMs,
      ),
    );
    return { result: proofs, proofs };
  };
  const { result: proofs, facts } = await proveWithGrants(aws, keyFacts, locations, proveSamples);
  return {
    proofs: await addAlarmFindings(
      aws,
      addRetainedFindings(proofs, facts, new Date(nowMs)),
      facts,
      buckets,
      locations,
    ),
    objects: samples.flatMap(({ bucket, reason, ...sample }) => {
      if (reason !== undefined) return [reportUnreadableObjects(bucket, reason)];
      if (sampleSize === 0 || (sample.objects.length === 0 && sample.coverage.complete)) return [];
      const window = { now: new Date(nowMs), failedSinceMs };
      return [reportObjectStatus(bucket, sample, window, replicationRulesOf(facts, bucket))];
    }),
    facts,
  };
}

/**
 * Diagnoses the rules of some source buckets with the metrics of CloudWatch.
 *
 * @param facts the facts of a diagnosis of these buckets
 */
export function diagnoseMetrics(
  aws: Aws,
  buckets: readonly string[],
  facts: Facts,
  { locations, failedSinceMs = DEFAULT_FAILED_SINCE_MS, now }: DiagnoseOptions,
): Promise<RuleMetricsReport[]> {
  return diagnoseRuleMetrics(
    aws,
    buckets.flatMap((bucket) => ruleContextsOf(facts, bucket)),
    {
      nowMs: now(),
      failedSinceMs,
      locationOf: (bucket) => bucketLocationOf(facts, bucket, locations),
      regionOf: (bucket) => locations.buckets.get(bucket)?.region,
    },
  );
}

/** Returns the newest objects under the prefixes of the rules; none if there are no rules. */
async function sampleForRules(
  aws: Aws,
  facts: Facts,
  bucket: string,
  locations: Locations,
  size: SampleSize,
): Promise<ObjectSample & { reason?: string }> {
  const prefixes = ruleContextsOf(facts, bucket).map(({ rule }) => rulePrefixOf(rule));
  const location = bucketLocationOf(facts, bucket, locations);
  try {
    return await sampleObjects(aws, location, bucket, prefixes, size);
  } catch (error) {
    if (error instanceof UserError) throw error;
    return { objects: [], coverage: { listed: 0, complete: false }, reason: formatAwsError(error) };
  }
}

/**
 * Explains one object of a bucket. Returns the facts that the explanation is based on with it.
 *
 * @throws an AWS error if the object cannot be read.
 */
export async function diagnoseObject(
  aws: Aws,
  bucket: string,
  key: string,
  { locations, organization, now }: Pick<DiagnoseOptions, 'locations' | 'organization' | 'now'>,
): Promise<{ proof: ObjectProof; facts: Facts; object: SampledObject }> {
  const replicationFacts = await collectReplicationFacts(aws, [bucket], locations);
  const object = await readSampledObject(
    aws,
    bucketLocationOf(replicationFacts, bucket, locations),
    bucket,
    key,
  );
  const keys = keysWithReplicaKeys(replicationFacts, bucket, kmsKeyArnsOf(object));
  const keyFacts = await addAccountFacts(
    organization,
    await addKeyFacts(aws, replicationFacts, keys, locations),
  );
  const nowMs = now();
  const { result, facts } = await proveWithGrants(aws, keyFacts, locations, (known) => {
    const contexts = ruleContextsOf(known, bucket).map((context) => ({ ...context, nowMs }));
    const proof = explainObject(contexts, bucket, object);
    return { result: proof, proofs: proof.taken };
  });
  return { proof: result, facts, object };
}

/** A failed replication that S3 reported. */
export interface FailedReplication {
  bucket: string;
  key: string;
  versionId?: string;
  /** Whether S3 could not replicate a delete marker. */
  isDeletion: boolean;
}

/**
 * Proves the rules that select a failed object, as they are now. If the object cannot be read any more, proves all rules
 * of the bucket. Reads no object for a delete marker, which has no properties.
 */
export async function diagnoseFailure(
  aws: Aws,
  { bucket, key, versionId, isDeletion }: FailedReplication,
  { locations, organization, now }: Pick<DiagnoseOptions, 'locations' | 'organization' | 'now'>,
): Promise<{ proofs: RuleProof[]; facts: Facts }> {
  const replicationFacts = await collectReplicationFacts(aws, [bucket], locations);
  const location = bucketLocationOf(replicationFacts, bucket, locations);
  const readObject = () =>
    readSampledObject(aws, location, bucket, key, versionId, { mayLackTags: true }).catch(
      (error: unknown) => {
        if (error instanceof UserError) throw error;
        return undefined;
      },
    );
  const object = isDeletion ? deleteMarkerOf(key) : await readObject();
  const keys = keysWithReplicaKeys(replicationFacts, bucket, object ? kmsKeyArnsOf(object) : []);
  const keyFacts = await addAccountFacts(
    organization,
    await addKeyFacts(aws, replicationFacts, keys, locations),
  );
  const nowMs = now();
  const { result, facts } = await proveWithGrants(aws, keyFacts, locations, (known) => {
    const contexts = ruleContextsOf(known, bucket).map((context) => ({ ...context, nowMs }));
    const proofs = object ? explainObject(contexts, bucket, object).taken : [];
    const result = proofs.length > 0 ? proofs : proveRules(known, bucket, [], nowMs);
    return { result, proofs: result };
  });
  return { proofs: result, facts };
}

const deleteMarkerOf = (key: string): SampledObject => ({
  key,
  deleteMarker: true,
  tags: [],
  encryption: { algorithm: 'AES256' },
  lastModified: new Date(0),
});

/** Returns the keys of objects, and those of their replicas. */
const keysWithReplicaKeys = (facts: Facts, bucket: string, keys: string[]): string[] => [
  ...keys,
  ...ruleContextsOf(facts, bucket).flatMap((context) => replicaKeyArns(context, keys)),
];

const kmsKeyArnsOf = ({ encryption }: SampledObject): string[] =>
  encryption.algorithm === 'AES256' ? [] : [encryption.keyArn];

function ruleContextsOf(facts: Facts, bucket: string): RuleContext[] {
  const configuration = factValue(factValue(facts.buckets[bucket])?.replication);
  const source = configuration && ruleBucketOf(facts, bucket, accountOfArn(configuration.Role));
  if (!configuration || !source) return [];
  return configuration.Rules.map((rule) => ruleContextOf(facts, source, configuration, rule));
}

const replicationRulesOf = (facts: Facts, bucket: string): ReplicationRule[] =>
  ruleContextsOf(facts, bucket).map(({ rule }) => rule);

function bucketLocationOf(facts: Facts, bucket: string, locations: Locations) {
  const { region } = factValue(facts.buckets[bucket]) ?? locations;
  return { ...locations.buckets.get(bucket), region };
}
