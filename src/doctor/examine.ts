import { describeError } from '../aws/describe-error.ts';
import { known, type Observed } from '../core/observed.ts';
import type { Aws } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import { accountOf } from '../iam/context.ts';
import { type ObjectProof, proveObject } from '../proof/objects.ts';
import { prove } from '../proof/prove.ts';
import type { RuleProof } from '../proof/types.ts';
import { bucketOf, prefixOf, type RuleWorld, worldOf } from '../proof/world.ts';
import type { Atlas } from './atlas.ts';
import { type ObjectsReport, reportObjects, unreadObjects } from './objects.ts';
import { readKeys, readReplications } from './read.ts';
import { lookAt, type SampledObject, sampleObjects } from './sample.ts';

/** What a doctor finds: the proof of each rule that exists, and how the objects fare. */
export interface Examination {
  proofs: RuleProof[];
  objects: ObjectsReport[];
}

export interface ExamineOptions {
  atlas: Atlas;
  /** How many objects of each bucket to look at; 0: none. */
  sample: number;
  now: Date;
}

/** Examine the replication of some source buckets, with the most recent objects of each. */
export async function examine(
  aws: Aws,
  buckets: readonly string[],
  { atlas, sample, now }: ExamineOptions,
): Promise<Examination> {
  const first = await readReplications(aws, buckets, atlas);
  const samples = await Promise.all(
    buckets.map(async (bucket) => ({ bucket, ...(await sampled(aws, first, bucket, atlas, sample)) })),
  );
  const keys = samples.flatMap(({ objects }) => objects.flatMap(keyOf));
  const observed = await readKeys(aws, first, keys, atlas);
  return {
    // Replicas of other buckets are not replicated on, so that their keys are of no concern.
    proofs: samples.flatMap(({ bucket, objects }) =>
      prove(
        observed,
        bucket,
        objects.filter(({ status }) => status !== 'REPLICA'),
      ),
    ),
    objects: samples.flatMap(({ bucket, objects, why }) => {
      if (why !== undefined) return [unreadObjects(bucket, why)];
      return objects.length > 0 ? [reportObjects(bucket, objects, now)] : [];
    }),
  };
}

/** The newest objects that the rules are about; nothing where there are no rules. */
async function sampled(
  aws: Aws,
  observed: Observed,
  bucket: string,
  atlas: Atlas,
  count: number,
): Promise<{ objects: SampledObject[]; why?: string }> {
  if (count === 0) return { objects: [] };
  const prefixes = worldsOf(observed, bucket).map(({ rule }) => prefixOf(rule));
  const at = placeOf(observed, bucket, atlas);
  try {
    return { objects: await sampleObjects(aws, at, bucket, prefixes, count) };
  } catch (error) {
    if (error instanceof UserError) throw error;
    return { objects: [], why: describeError(error, 's3:ListObjectVersions, s3:HeadObject', at) };
  }
}

/**
 * Explain one object of a bucket.
 *
 * @throws an error of AWS where it cannot be read.
 */
export async function examineObject(
  aws: Aws,
  bucket: string,
  key: string,
  atlas: Atlas,
): Promise<ObjectProof> {
  const first = await readReplications(aws, [bucket], atlas);
  const object = await lookAt(aws, placeOf(first, bucket, atlas), bucket, key);
  const observed = await readKeys(aws, first, keyOf(object), atlas);
  return proveObject(worldsOf(observed, bucket), bucket, object);
}

const keyOf = ({ encryption }: SampledObject): string[] =>
  encryption.algorithm === 'AES256' ? [] : [encryption.keyArn];

function worldsOf(observed: Observed, bucket: string): RuleWorld[] {
  const configuration = known(known(observed.buckets[bucket])?.replication);
  const source = configuration && bucketOf(observed, bucket, accountOf(configuration.Role));
  if (!configuration || !source) return [];
  return configuration.Rules.map((rule) => worldOf(observed, source, configuration, rule));
}

function placeOf(observed: Observed, bucket: string, atlas: Atlas) {
  const { region } = known(observed.buckets[bucket]) ?? atlas;
  return { ...atlas.buckets.get(bucket), region };
}
