import { randomUUID } from 'node:crypto';
import { DescribeKeyCommand } from '@aws-sdk/client-kms';
import type { HeadObjectCommandOutput } from '@aws-sdk/client-s3';
import { describeError } from '../aws/describe-error.ts';
import type { Door } from '../aws/door.ts';
import { patiently } from '../aws/patiently.ts';
import { place } from '../core/names.ts';
import { EXIT, UserError } from '../errors.ts';
import type { BucketReplication, Rule, Side } from '../spec/types.ts';
import { headCanary, putCanary, removeCanary, type Sort, UNVERSIONED, Unsure } from './canary-object.ts';

/** What a canary found: one object, written under one rule. */
export interface CanaryResult extends Sort {
  pair: string;
  rule: string;
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
  /** All pairs: what is written into a source arrives in the destinations of others that share it, too. */
  pairs: readonly BucketReplication[];
  /** How long to wait for the replica, in milliseconds. */
  timeoutMs: number;
  signal?: AbortSignal;
  onResult?: (result: CanaryResult) => void;
}

/** Write canaries under every rule of a pair, watch them arrive, and remove every version again, whatever happens. */
export async function canaries(pair: BucketReplication, options: CanaryOptions): Promise<CanaryResult[]> {
  const results = isManaged(pair)
    ? await probes(pair, options)
    : pair.rules.map((rule) => skipped(pair, rule, 'there are no credentials for one of its accounts'));
  for (const result of results) options.onResult?.(result);
  return results;
}

const isManaged = ({ source, destination }: BucketReplication): boolean =>
  source.managed && destination.managed;

async function probes(pair: BucketReplication, options: CanaryOptions): Promise<CanaryResult[]> {
  const keys = {
    source: await arnOf(pair.source, options.door),
    destination: await arnOf(pair.destination, options.door),
  };
  const all = pair.rules.flatMap((rule) =>
    rule.enabled
      ? sortsOf(rule).map((sort) => canary(pair, rule, sort, keys, options))
      : [Promise.resolve(skipped(pair, rule, 'the rule is disabled'))],
  );
  return Promise.all(all);
}

/** An object's encryption context depends on its Bucket Key, so that one sort says nothing of the other. */
const sortsOf = (rule: Rule): Sort[] =>
  rule.sseKmsEncryptedObjects
    ? [
        { sseAlgorithm: 'aws:kms', bucketKey: true },
        { sseAlgorithm: 'aws:kms', bucketKey: false },
      ]
    : [{ sseAlgorithm: 'AES256', bucketKey: false }];

const skipped = (pair: BucketReplication, rule: Rule, why: string): CanaryResult => ({
  pair: pair.name,
  rule: rule.name,
  bucketKey: false,
  sseAlgorithm: 'aws:kms',
  key: '',
  result: 'skipped',
  why,
});

async function canary(
  pair: BucketReplication,
  rule: Rule,
  sort: Sort,
  keys: { source: string; destination: string },
  options: CanaryOptions,
): Promise<CanaryResult> {
  const { door } = options;
  const key = `${rule.prefix}.replikey-canary/${randomUUID()}`;
  const about = { pair: pair.name, rule: rule.name, ...sort, key };
  const left: string[] = [];
  let version: string | undefined;
  let outcome: CanaryResult;
  try {
    version = await putCanary(pair.source, key, sort, keys.source, rule.tags, door);
    const written = performance.now();
    if (version === UNVERSIONED) {
      throw new Error(`${pair.source.bucket} gave the canary no version id: versioning is not enabled`);
    }
    const replica = await arrival(pair, key, version, options);
    const wrong = misplaced(replica, sort.sseAlgorithm === 'AES256' ? undefined : keys.destination);
    outcome = wrong
      ? { ...about, result: 'failed', why: wrong }
      : { ...about, result: 'replicated', latencyMs: Math.round(performance.now() - written) };
  } catch (error) {
    if (error instanceof Unsure) left.push(error.what);
    outcome = {
      ...about,
      result: error instanceof StillPending ? 'timeout' : 'failed',
      why: error instanceof Error ? error.message : String(error),
    };
  }
  if (version !== undefined) {
    left.push(...(await removeCanary(sidesOf(pair, options.pairs), key, version, door.finishing())));
  }
  return left.length === 0 ? outcome : { ...outcome, left };
}

/** The replica, once both sides say that it has arrived. */
async function arrival(
  pair: BucketReplication,
  key: string,
  version: string,
  { door, timeoutMs, signal }: CanaryOptions,
): Promise<HeadObjectCommandOutput> {
  const look = async (): Promise<HeadObjectCommandOutput> => {
    const source = await headCanary(pair.source, key, version, door);
    const status = source?.ReplicationStatus;
    if (status === 'FAILED') {
      throw new Error(
        'S3 gave up on it (FAILED), and will not try it again: reconcile doctor looks for the cause',
      );
    }
    if (status === undefined) {
      throw new Error('no rule took it: the object has no replication status');
    }
    // COMPLETE is another spelling of the same in the API.
    if (status !== 'COMPLETED' && status !== 'COMPLETE')
      throw new StillPending(`still ${status} after ${timeoutMs / 1000} s`);
    const replica = await headCanary(pair.destination, key, version, door);
    if (!replica) throw new StillPending('COMPLETED at the source, but the replica is not to be seen');
    return replica;
  };
  const again = (error: Error) => error instanceof StillPending;
  return patiently(look, { forMs: timeoutMs, longestMs: 5_000, signal, again });
}

class StillPending extends Error {}

/** Why a replica is not what was declared, if so. */
function misplaced(replica: HeadObjectCommandOutput, keyArn: string | undefined): string | undefined {
  if (replica.ReplicationStatus !== 'REPLICA') {
    return `the object at the destination is no replica (its status is ${replica.ReplicationStatus ?? 'absent'})`;
  }
  if (replica.SSEKMSKeyId !== keyArn) {
    return `the replica is encrypted under ${replica.SSEKMSKeyId ?? 'no KMS key'}, not under ${keyArn ?? 'none'}`;
  }
  return undefined;
}

/** Every bucket that a canary of a pair arrives in. */
function sidesOf(pair: BucketReplication, pairs: readonly BucketReplication[]): Side[] {
  const sharing = pairs.filter((other) => other.source.bucket === pair.source.bucket && isManaged(other));
  const sides = [pair.source, pair.destination, ...sharing.map((other) => other.destination)];
  return [...new Map(sides.map((side) => [side.bucket, side])).values()];
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
