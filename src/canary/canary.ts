import { randomUUID } from 'node:crypto';
import type { HeadObjectCommandOutput } from '@aws-sdk/client-s3';
import type { AwsClient } from '../aws/client.ts';
import { formatAwsError } from '../aws/errors.ts';
import { retry } from '../aws/retry.ts';
import { locationOfSide } from '../core/ids.ts';
import { EXIT, UserError } from '../errors.ts';
import { requireKey } from '../kinds/kms-key.ts';
import type { BucketReplication, Rule, Side } from '../spec/types.ts';
import {
  type CanaryEncryption,
  canaryExclusionReason,
  canaryPrefixOf,
  headCanary,
  NULL_VERSION_ID,
  putCanary,
  removeCanary,
  UncertainWriteError,
} from './canary-object.ts';

/** The result of a canary: one object that replikey wrote under one rule. */
export interface CanaryResult extends CanaryEncryption {
  pair: string;
  rule: string;
  key: string;
  result: 'replicated' | 'failed' | 'timeout' | 'skipped';
  /** Time from the response to the put until the replica was visible, in milliseconds. */
  latencyMs?: number;
  /** The cause and the remedy, for every result but a success. */
  why?: string;
  /** Versions that could not be removed. */
  left?: string[];
}

export interface CanaryOptions {
  aws: AwsClient;
  /** All pairs: an object in a shared source also reaches the destinations of the other pairs. */
  pairs: readonly BucketReplication[];
  /** Time limit for the replica, in milliseconds. */
  timeoutMs: number;
  signal?: AbortSignal;
  onResult?: (result: CanaryResult) => void;
}

/**
 * Writes canaries under every rule of a pair, waits for their replicas, and removes every version, also after an error.
 */
export async function runCanaries(pair: BucketReplication, options: CanaryOptions): Promise<CanaryResult[]> {
  const results = isManagedPair(pair)
    ? await runPairCanaries(pair, options)
    : pair.rules.map((rule) => skippedCanary(pair, rule, 'no credentials for one of its accounts'));
  for (const result of results) options.onResult?.(result);
  return results;
}

const isManagedPair = ({ source, destination }: BucketReplication): boolean =>
  source.managed && destination.managed;

async function runPairCanaries(pair: BucketReplication, options: CanaryOptions): Promise<CanaryResult[]> {
  const keyArns = {
    source: await fetchKeyArn(pair.source, options.aws),
    destination: await fetchKeyArn(pair.destination, options.aws),
  };
  const runs = pair.rules.flatMap((rule) => {
    const skipReason = rule.enabled ? canaryExclusionReason(rule) : 'the rule is disabled';
    return skipReason === undefined
      ? canaryEncryptionsOf(rule).map((encryption) => runCanary(pair, rule, encryption, keyArns, options))
      : [Promise.resolve(skippedCanary(pair, rule, skipReason))];
  });
  return Promise.all(runs);
}

/**
 * Returns the encryptions to test. An object's encryption context depends on its Bucket Key, so one result does not
 * cover the other.
 */
export const canaryEncryptionsOf = (rule: Rule): CanaryEncryption[] =>
  rule.sseKmsEncryptedObjects
    ? [
        { sseAlgorithm: 'aws:kms', bucketKey: true },
        { sseAlgorithm: 'aws:kms', bucketKey: false },
      ]
    : [{ sseAlgorithm: 'AES256', bucketKey: false }];

const skippedCanary = (pair: BucketReplication, rule: Rule, reason: string): CanaryResult => ({
  pair: pair.name,
  rule: rule.name,
  bucketKey: false,
  sseAlgorithm: 'aws:kms',
  key: '',
  result: 'skipped',
  why: reason,
});

async function runCanary(
  pair: BucketReplication,
  rule: Rule,
  encryption: CanaryEncryption,
  keyArns: { source: string; destination: string },
  options: CanaryOptions,
): Promise<CanaryResult> {
  const { aws } = options;
  const key = `${canaryPrefixOf(rule)}${randomUUID()}`;
  const identity = { pair: pair.name, rule: rule.name, ...encryption, key };
  const leftVersions: string[] = [];
  let version: string | undefined;
  let outcome: CanaryResult;
  try {
    version = await putCanary(pair.source, key, encryption, keyArns.source, rule.tags, aws);
    const writtenAt = performance.now();
    if (version === NULL_VERSION_ID) {
      throw new Error(
        `${pair.source.bucket} returned no version id for the canary: versioning is not enabled`,
      );
    }
    const replica = await waitForReplica(pair, key, version, options);
    const problem = replicaProblem(
      replica,
      encryption.sseAlgorithm === 'AES256' ? undefined : keyArns.destination,
    );
    outcome = problem
      ? { ...identity, result: 'failed', why: problem }
      : { ...identity, result: 'replicated', latencyMs: Math.round(performance.now() - writtenAt) };
  } catch (error) {
    if (error instanceof UncertainWriteError) leftVersions.push(error.description);
    outcome = {
      ...identity,
      result: error instanceof ReplicaPendingError ? 'timeout' : 'failed',
      why: error instanceof Error ? error.message : String(error),
    };
  }
  if (version !== undefined) {
    // The canary is an object of this run alone, so its removal conflicts with no other process.
    const cleanup = aws.uninterruptible().fenced(() => {});
    leftVersions.push(...(await removeCanary(receivingSides(pair, options.pairs), key, version, cleanup)));
  }
  return leftVersions.length === 0 ? outcome : { ...outcome, left: leftVersions };
}

/** Waits until both buckets report the replica, and returns its metadata. */
async function waitForReplica(
  pair: BucketReplication,
  key: string,
  version: string,
  { aws, timeoutMs, signal }: CanaryOptions,
): Promise<HeadObjectCommandOutput> {
  const readReplica = async (): Promise<HeadObjectCommandOutput> => {
    const source = await headCanary(pair.source, key, version, aws);
    const status = source?.ReplicationStatus;
    if (status === 'FAILED') {
      throw new Error(
        'S3 failed to replicate it (FAILED), and does not retry; run reconcile doctor to find the cause',
      );
    }
    if (status === undefined) {
      throw new Error('no rule selected it: the object has no replication status');
    }
    // The API spells the same status also as COMPLETE.
    if (status !== 'COMPLETED' && status !== 'COMPLETE')
      throw new ReplicaPendingError(`still ${status} after ${timeoutMs / 1000} s`);
    const replica = await headCanary(pair.destination, key, version, aws);
    if (!replica) throw new ReplicaPendingError('COMPLETED at the source, but the replica is not visible');
    return replica;
  };
  const shouldRetry = (error: Error) => error instanceof ReplicaPendingError;
  return retry(readReplica, { timeoutMs: timeoutMs, maxDelayMs: 5_000, signal, shouldRetry });
}

class ReplicaPendingError extends Error {}

/** Describes how a replica differs from the declared one, if it does. */
export function replicaProblem(
  replica: HeadObjectCommandOutput,
  keyArn: string | undefined,
): string | undefined {
  if (replica.ReplicationStatus !== 'REPLICA') {
    return `the object at the destination is not a replica (its status is ${replica.ReplicationStatus ?? 'absent'})`;
  }
  if (replica.SSEKMSKeyId !== keyArn) {
    return `the replica is encrypted under ${replica.SSEKMSKeyId ?? 'no KMS key'}, not under ${keyArn ?? 'none'}`;
  }
  return undefined;
}

/** Returns every bucket that receives a canary of a pair. */
export function receivingSides(pair: BucketReplication, pairs: readonly BucketReplication[]): Side[] {
  const siblings = pairs.filter(
    (sibling) => sibling.source.bucket === pair.source.bucket && isManagedPair(sibling),
  );
  const sides = [pair.source, pair.destination, ...siblings.map((sibling) => sibling.destination)];
  return [...new Map(sides.map((side) => [side.bucket, side])).values()];
}

export async function fetchKeyArn(side: Side, aws: AwsClient): Promise<string> {
  if ('arn' in side.key) return side.key.arn;
  const location = locationOfSide(side);
  try {
    return (await requireKey(aws, location, side.key.alias)).Arn ?? '';
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(EXIT.failed, `${formatAwsError(error)}; apply the spec first: reconcile --once`, {
      cause: error,
    });
  }
}
