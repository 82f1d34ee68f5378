import { randomUUID } from 'node:crypto';
import { DescribeKeyCommand } from '@aws-sdk/client-kms';
import {
  DeleteObjectCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { describeError } from '../aws/describe-error.ts';
import type { Door } from '../aws/door.ts';
import { patiently } from '../aws/patiently.ts';
import { place } from '../core/names.ts';
import { EXIT, UserError } from '../errors.ts';
import type { BucketReplication, Rule, Side } from '../spec/types.ts';

/** What a canary found: one object, written under one rule, with an S3 Bucket Key or without. */
export interface CanaryResult {
  pair: string;
  rule: string;
  bucketKey: boolean;
  key: string;
  result: 'replicated' | 'failed' | 'timeout' | 'skipped';
  /** From the answer to the put until the replica was seen, in milliseconds. */
  latencyMs?: number;
  /** For everything but a success: what is wrong, and what to do. */
  why?: string;
  /** Versions that could not be removed again. */
  left?: string[];
}

export interface CanaryOptions {
  door: Door;
  /** How long to wait for the replica, in milliseconds. */
  timeoutMs: number;
  signal?: AbortSignal;
  onResult?: (result: CanaryResult) => void;
}

/** Write canaries under every rule of a pair, watch them arrive, and remove every version again, whatever happens. */
export async function canaries(pair: BucketReplication, options: CanaryOptions): Promise<CanaryResult[]> {
  const keys = {
    source: await arnOf(pair.source, options.door),
    destination: await arnOf(pair.destination, options.door),
  };
  const probes = pair.rules.flatMap((rule) =>
    rule.enabled
      ? // An object's encryption context depends on its Bucket Key, so that one sort says nothing of the other.
        [true, false].map((bucketKey) => canary(pair, rule, bucketKey, keys, options))
      : [Promise.resolve(skipped(pair, rule))],
  );
  const results = await Promise.all(probes);
  for (const result of results) options.onResult?.(result);
  return results;
}

const skipped = (pair: BucketReplication, rule: Rule): CanaryResult => ({
  pair: pair.name,
  rule: rule.name,
  bucketKey: true,
  key: '',
  result: 'skipped',
  why: 'the rule is disabled',
});

async function canary(
  pair: BucketReplication,
  rule: Rule,
  bucketKey: boolean,
  keys: { source: string; destination: string },
  { door, timeoutMs, signal }: CanaryOptions,
): Promise<CanaryResult> {
  const key = `${rule.prefix}.replikey-canary/${randomUUID()}`;
  const about = { pair: pair.name, rule: rule.name, bucketKey, key };
  const started = performance.now();
  let version: string | undefined;
  let outcome: CanaryResult;
  try {
    version = await put(pair, rule, bucketKey, key, keys.source, door);
    const replica = await arrival(pair, key, version, { door, timeoutMs, ...(signal ? { signal } : {}) });
    const wrong = misplaced(replica, keys.destination);
    outcome = wrong
      ? { ...about, result: 'failed', why: wrong }
      : { ...about, result: 'replicated', latencyMs: Math.round(performance.now() - started) };
  } catch (error) {
    outcome = {
      ...about,
      result: error instanceof StillPending ? 'timeout' : 'failed',
      why: error instanceof Error ? error.message : String(error),
    };
  }
  const left = version === undefined ? [] : await remove(pair, key, version, door.finishing());
  return left.length === 0 ? outcome : { ...outcome, left };
}

async function put(
  pair: BucketReplication,
  rule: Rule,
  bucketKey: boolean,
  key: string,
  keyArn: string,
  door: Door,
): Promise<string> {
  const at = place(pair.source);
  const command = new PutObjectCommand({
    Bucket: pair.source.bucket,
    Key: key,
    Body: 'replikey canary\n',
    ExpectedBucketOwner: await door.accountId(at.account),
    ServerSideEncryption: 'aws:kms',
    SSEKMSKeyId: keyArn,
    BucketKeyEnabled: bucketKey,
    Tagging: new URLSearchParams({ 'replikey:canary': 'true', ...rule.tags }).toString(),
  });
  try {
    const { VersionId } = await door.send(at, command);
    if (VersionId !== undefined) return VersionId;
  } catch (error) {
    throw new Error(describeError(error, 's3:PutObject', at), { cause: error });
  }
  throw new Error(`${pair.source.bucket} gave the canary no version id: versioning is not enabled`);
}

/** The replica, once both sides say that it has arrived. */
async function arrival(
  pair: BucketReplication,
  key: string,
  version: string,
  { door, timeoutMs, signal }: CanaryOptions,
): Promise<HeadObjectCommandOutput> {
  const look = async (): Promise<HeadObjectCommandOutput> => {
    const source = await head(pair.source, key, version, door);
    const status = source?.ReplicationStatus;
    if (status === 'FAILED') {
      throw new Error(
        `S3 gave up on it (FAILED), and will not try it again: the role lacks a permission, or a key cannot be used; S3 tells the reason only in its replication events`,
      );
    }
    if (status === undefined) {
      throw new Error('no rule took it: the object has no replication status');
    }
    // COMPLETE is another spelling of the same in the API.
    if (status !== 'COMPLETED' && status !== 'COMPLETE')
      throw new StillPending(`still ${status} after ${timeoutMs / 1000} s`);
    const replica = await head(pair.destination, key, version, door);
    if (!replica) throw new StillPending('COMPLETED at the source, but the replica is not to be seen');
    return replica;
  };
  const again = (error: Error) => error instanceof StillPending;
  return patiently(look, { forMs: timeoutMs, longestMs: 5_000, signal, again });
}

class StillPending extends Error {}

async function head(
  side: Side,
  key: string,
  version: string,
  door: Door,
): Promise<HeadObjectCommandOutput | undefined> {
  const at = place(side);
  try {
    return await door.send(
      at,
      new HeadObjectCommand({
        Bucket: side.bucket,
        Key: key,
        VersionId: version,
        ExpectedBucketOwner: await door.accountId(at.account),
      }),
    );
  } catch (error) {
    if ((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode === 404)
      return undefined;
    throw new Error(describeError(error, 's3:HeadObject', at), { cause: error });
  }
}

/** Why a replica is not what was declared, if so. */
function misplaced(replica: HeadObjectCommandOutput, keyArn: string): string | undefined {
  if (replica.ReplicationStatus !== 'REPLICA') {
    return `the object at the destination is no replica (its status is ${replica.ReplicationStatus ?? 'absent'})`;
  }
  if (replica.SSEKMSKeyId !== keyArn) {
    return `the replica is encrypted under ${replica.SSEKMSKeyId ?? 'no KMS key'}, not under ${keyArn}`;
  }
  return undefined;
}

/** Remove both versions; deleting a version is never replicated, so each side by itself. What is left is told. */
async function remove(pair: BucketReplication, key: string, version: string, door: Door): Promise<string[]> {
  const removed = await Promise.all(
    [pair.source, pair.destination].map(async (side) => {
      const at = place(side);
      try {
        await door.send(
          at,
          new DeleteObjectCommand({
            Bucket: side.bucket,
            Key: key,
            VersionId: version,
            ExpectedBucketOwner: await door.accountId(at.account),
          }),
        );
        return undefined;
      } catch (error) {
        return `${side.bucket}/${key} version ${version}: ${describeError(error, 's3:DeleteObject', at)}`;
      }
    }),
  );
  return removed.filter((one) => one !== undefined);
}

async function arnOf(side: Side, door: Door): Promise<string> {
  if ('arn' in side.key) return side.key.arn;
  const at = place(side);
  try {
    const { KeyMetadata } = await door.send(at, new DescribeKeyCommand({ KeyId: side.key.alias }));
    return KeyMetadata?.Arn ?? '';
  } catch (error) {
    if (error instanceof UserError) throw error;
    const why = describeError(error, 'kms:DescribeKey', at);
    throw new UserError(EXIT.failed, `${why}; converge first: reconcile --once`, { cause: error });
  }
}
