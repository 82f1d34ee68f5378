import type { ReplicationStatus } from '@aws-sdk/client-s3';
import type { AwsClient } from '../aws/client.ts';
import { retry } from '../aws/retry.ts';
import type { BucketReplication, Rule } from '../spec/types.ts';
import { canaryEncryptionsOf, fetchKeyArn, replicaProblem } from './canary.ts';
import {
  type CanaryEncryption,
  type CanaryVersion,
  headCanary,
  NULL_VERSION_ID,
  putCanary,
  UncertainWriteError,
} from './canary-object.ts';

export interface RuleCanaryOptions {
  aws: AwsClient;
  pair: BucketReplication;
  rule: Rule;
  /** Prefix of the keys, which only the rule to test selects for its destination. */
  keyPrefix: string;
  /** Time limit for the replica of one canary, in milliseconds. */
  timeoutMs: number;
  /** Time for which canaries that fail are repeated, because S3 may not use the rule or its permissions yet. */
  settleMs: number;
  /** Time from which no run uses the canaries, in milliseconds since 1970. */
  expiresAt: number;
  signal?: AbortSignal | undefined;
  /** Called before each check for the replica. */
  onCheck: () => void;
  /** Called with each version that was written. */
  onWritten: (version: CanaryVersion) => void;
}

/**
 * Writes canaries of each kind under one rule until the replica of one of each kind has arrived at the destination,
 * under the declared key.
 *
 * It judges by the replica and not by the status of the source, because other rules can select the canary too: the
 * status of an object is the result of all its rules.
 *
 * @throws Error with the reason, when no replica has arrived
 */
export async function testRule(options: RuleCanaryOptions): Promise<void> {
  const { aws, pair, rule } = options;
  const keyArns = {
    source: await fetchKeyArn(pair.source, aws),
    destination: await fetchKeyArn(pair.destination, aws),
  };
  await Promise.all(
    canaryEncryptionsOf(rule).map((encryption, index) =>
      testKind(`${options.keyPrefix}${index}`, encryption, keyArns, options),
    ),
  );
}

/** The error of a canary that a later canary may not have. */
class RepeatableError extends Error {}

/** The replica can still arrive. */
class PendingError extends Error {}

async function testKind(
  keyPrefix: string,
  encryption: CanaryEncryption,
  keyArns: { source: string; destination: string },
  options: RuleCanaryOptions,
): Promise<void> {
  const { aws, pair, rule, timeoutMs, settleMs, expiresAt, signal, onWritten } = options;
  const written: CanaryVersion[] = [];
  const expectedKey = encryption.sseAlgorithm === 'AES256' ? undefined : keyArns.destination;

  /** Returns whether the replica of any canary of this kind has arrived: an earlier one can arrive late. */
  async function hasArrived(): Promise<boolean> {
    for (const { key, version } of written) {
      const replica = await headCanary(pair.destination, key, version, aws);
      if (!replica) continue;
      const problem = replicaProblem(replica, expectedKey);
      if (problem === undefined) return true;
      throw new RepeatableError(problem);
    }
    return false;
  }

  async function checkReplica({ key, version }: CanaryVersion): Promise<void> {
    options.onCheck();
    // Read before the replica, so that a replica that arrives in between is found.
    const source = await headCanary(pair.source, key, version, aws);
    if (await hasArrived()) return;
    // S3 documents 404 for 15 minutes after versioning was first enabled (PutBucketVersioning).
    if (!source) throw new PendingError(`${pair.source.bucket} does not return the written canary (404)`);
    const status = source.ReplicationStatus;
    // Repeated, because S3 never replicates a canary that it received before the temporary rule took effect.
    if (status === undefined) throw new RepeatableError('no rule selected the canary');
    if (status === 'FAILED') throw new RepeatableError('S3 failed to replicate the canary (FAILED)');
    if (status !== 'COMPLETED' && status !== 'COMPLETE')
      throw new PendingError(`the canary is still ${status} after ${timeoutMs / 1000} s`);
    throw new RepeatableError(`the temporary rule replicated no canary to ${pair.destination.bucket}`);
  }

  async function attempt(): Promise<void> {
    const key = `${keyPrefix}-${written.length}`;
    const version = await putCanary(
      pair.source,
      { key, encryption, keyArn: keyArns.source, tags: rule.tags, expiresAt },
      aws,
    );
    if (version === NULL_VERSION_ID)
      throw new Error(`${pair.source.bucket} returned no version id for the canary: enable versioning`);
    const canary = { key, version };
    written.push(canary);
    onWritten(canary);
    const shouldRetry = (error: Error) => error instanceof PendingError;
    await retry(() => checkReplica(canary), { timeoutMs, maxDelayMs: 5_000, signal, shouldRetry });
  }

  const shouldRetry = (error: Error) => error instanceof RepeatableError;
  try {
    await retry(attempt, { timeoutMs: settleMs, maxDelayMs: 10_000, signal, shouldRetry });
  } catch (error) {
    if (error instanceof UncertainWriteError) throw new Error(error.description, { cause: error });
    throw error;
  }
}

/**
 * Waits until S3 no longer processes a canary, so that no replica appears after its removal. Returns its replication
 * status: PENDING when S3 has not finished in time, undefined when no rule selected the canary. A 404 counts as PENDING:
 * S3 documents it for 15 minutes after versioning was first enabled.
 */
export async function waitUntilProcessed(
  { source }: BucketReplication,
  { key, version }: CanaryVersion,
  client: AwsClient,
  timeoutMs: number,
): Promise<ReplicationStatus | undefined> {
  const aws = client.uninterruptible();
  const check = async (): Promise<ReplicationStatus | undefined> => {
    const head = await headCanary(source, key, version, aws);
    if (!head || head.ReplicationStatus === 'PENDING') throw new PendingError(`${key} is still pending`);
    return head.ReplicationStatus;
  };
  return retry(check, {
    timeoutMs,
    maxDelayMs: 5_000,
    shouldRetry: (error) => error instanceof PendingError,
  }).catch(() => 'PENDING' as const);
}
