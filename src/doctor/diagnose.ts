import type { ReplicationRule } from '@aws-sdk/client-s3';
import { formatAwsError } from '../aws/errors.ts';
import { type Facts, factValue } from '../core/facts.ts';
import type { Aws } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import { addKeyFacts, collectReplicationFacts, proveWithGrants } from '../facts/collect.ts';
import type { Locations } from '../facts/locations.ts';
import { readSampledObject, type SampledObject, sampleObjects } from '../facts/object-sample.ts';
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
import { type ObjectStatusReport, reportObjectStatus, reportUnreadableObjects } from './object-status.ts';
import { addRetainedFindings } from './retained-permissions.ts';

/** The result of a diagnosis: the proof of each existing rule, and the status of the sampled objects. */
export interface Diagnosis {
  proofs: RuleProof[];
  objects: ObjectStatusReport[];
  /** The facts that the proofs are based on. */
  facts: Facts;
}

export interface DiagnoseOptions {
  locations: Locations;
  /** Number of objects to sample in each bucket; 0 disables sampling. */
  sampleSize: number;
  /** Returns the time of AWS, in milliseconds since 1970. Read after the facts, because a response sets the clock. */
  now: () => number;
}

/** Diagnoses the replication of some source buckets, with the newest objects of each bucket. */
export async function diagnose(
  aws: Aws,
  buckets: readonly string[],
  { locations, sampleSize, now }: DiagnoseOptions,
): Promise<Diagnosis> {
  const replicationFacts = await collectReplicationFacts(aws, buckets, locations);
  const samples = await Promise.all(
    buckets.map(async (bucket) => ({
      bucket,
      ...(await sampleForRules(aws, replicationFacts, bucket, locations, sampleSize)),
    })),
  );
  const keys = samples.flatMap(({ bucket, objects }) =>
    keysWithReplicaKeys(replicationFacts, bucket, objects.flatMap(kmsKeyArnsOf)),
  );
  const keyFacts = await addKeyFacts(aws, replicationFacts, keys, locations);
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
    proofs: addRetainedFindings(proofs, facts, new Date(nowMs)),
    objects: samples.flatMap(({ bucket, objects, reason }) => {
      if (reason !== undefined) return [reportUnreadableObjects(bucket, reason)];
      if (objects.length === 0) return [];
      return [reportObjectStatus(bucket, objects, new Date(nowMs), replicationRulesOf(facts, bucket))];
    }),
    facts,
  };
}

/** Returns the newest objects under the prefixes of the rules; none if there are no rules. */
async function sampleForRules(
  aws: Aws,
  facts: Facts,
  bucket: string,
  locations: Locations,
  count: number,
): Promise<{ objects: SampledObject[]; reason?: string }> {
  if (count === 0) return { objects: [] };
  const prefixes = ruleContextsOf(facts, bucket).map(({ rule }) => rulePrefixOf(rule));
  const location = bucketLocationOf(facts, bucket, locations);
  try {
    return { objects: await sampleObjects(aws, location, bucket, prefixes, count) };
  } catch (error) {
    if (error instanceof UserError) throw error;
    return { objects: [], reason: formatAwsError(error) };
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
  { locations, now }: Omit<DiagnoseOptions, 'sampleSize'>,
): Promise<{ proof: ObjectProof; facts: Facts }> {
  const replicationFacts = await collectReplicationFacts(aws, [bucket], locations);
  const object = await readSampledObject(
    aws,
    bucketLocationOf(replicationFacts, bucket, locations),
    bucket,
    key,
  );
  const keyFacts = await addKeyFacts(
    aws,
    replicationFacts,
    keysWithReplicaKeys(replicationFacts, bucket, kmsKeyArnsOf(object)),
    locations,
  );
  const nowMs = now();
  const { result, facts } = await proveWithGrants(aws, keyFacts, locations, (known) => {
    const contexts = ruleContextsOf(known, bucket).map((context) => ({ ...context, nowMs }));
    const proof = explainObject(contexts, bucket, object);
    return { result: proof, proofs: proof.taken };
  });
  return { proof: result, facts };
}

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
