import { randomUUID } from 'node:crypto';
import type { HeadObjectCommandOutput, ReplicationStatus } from '@aws-sdk/client-s3';
import type { AwsClient } from '../aws/client.ts';
import { formatAwsError } from '../aws/errors.ts';
import { retry } from '../aws/retry.ts';
import { locationOfSide } from '../core/ids.ts';
import { EXIT, UserError } from '../errors.ts';
import { requireKey } from '../kinds/kms-key.ts';
import { fromS3Rule } from '../kinds/replication-rule.ts';
import type { BucketReplication, Rule, Side, Specs } from '../spec/types.ts';
import {
  type CanaryEncryption,
  type CanaryRoute,
  canaryExclusionReason,
  canaryPrefixOf,
  headCanary,
  LATE_REPLICA_MS,
  mayReplicaArrive,
  NULL_VERSION_ID,
  putCanary,
  removeCanary,
  removeOrphanedCanaries,
  retainedVersions,
  UncertainWriteError,
} from './canary-object.ts';
import { CanaryRefusal, fetchRules, findRoute, notAppliedReason } from './canary-route.ts';

/** The result of a canary: one object that replikey wrote under one rule. */
export interface CanaryResult extends CanaryEncryption {
  pair: string;
  rule: string;
  key: string;
  /** `refused`: no canary was written, because replikey could not remove it. */
  result: 'replicated' | 'failed' | 'timeout' | 'skipped' | 'refused';
  /** Time from the response to the put until the replica was visible, in milliseconds. */
  latencyMs?: number;
  /** The cause and the remedy, for every result but a success. */
  why?: string;
  /** Versions that could not be removed. */
  left?: string[];
  /** Versions that stay because `--allow canary-retained` permits it, with the reason. */
  retained?: string[];
}

export interface CanaryOptions {
  aws: AwsClient;
  /** All specs: an object in a shared source also reaches the destinations of the other pairs. */
  specs: Specs;
  /** Values of `--allow`. */
  allowedRisks: readonly string[];
  /** Time limit for the replica, in milliseconds. */
  timeoutMs: number;
  /** Time for which late replicas are removed, in milliseconds; default: 60 s. */
  lateReplicaMs?: number;
  signal?: AbortSignal;
  /** Arguments of `reconcile` that name the specs, for the commands in messages: `specs/ --only tax`. */
  specArguments?: string;
  /**
   * Called every 30 s while a replica is pending, with a line that describes the wait, and with a line about each canary
   * of an earlier run.
   */
  onNotice?: (line: string) => void;
  onResult?: (result: CanaryResult) => void;
}

/**
 * Writes canaries under every rule of a pair, waits for their replicas, and removes every version, also after an error.
 */
export async function runCanaries(pair: BucketReplication, options: CanaryOptions): Promise<CanaryResult[]> {
  const results = isManagedPair(pair)
    ? await runPairCanaries(pair, options)
    : pair.rules.map((rule) =>
        unwrittenCanary(pair, rule, 'skipped', 'no credentials for one of its accounts'),
      );
  for (const result of results) options.onResult?.(result);
  return results;
}

const isManagedPair = ({ source, destination }: BucketReplication): boolean =>
  source.managed && destination.managed;

async function runPairCanaries(pair: BucketReplication, options: CanaryOptions): Promise<CanaryResult[]> {
  const runs = await planRuns(pair, options);
  if (runs.every((run) => 'result' in run)) return runs;
  const { aws, onNotice } = options;
  const keyArns = {
    source: await fetchKeyArn(pair.source, aws),
    destination: await fetchKeyArn(pair.destination, aws),
  };
  const routesByPrefix = new Map(
    runs.flatMap((run) => ('result' in run ? [] : [[canaryPrefixOf(run.rule), run.route] as const])),
  );
  await Promise.all(
    [...routesByPrefix].map(([keyPrefix, route]) => removeOrphanedCanaries(route, keyPrefix, aws, onNotice)),
  );
  const results = runs.map(async (run) =>
    'result' in run
      ? [run]
      : Promise.all(
          canaryEncryptionsOf(run.rule).map((encryption) =>
            runCanary(pair, run.rule, encryption, keyArns, run.route, options),
          ),
        ),
  );
  return (await Promise.all(results)).flat();
}

/** Returns the route of the canaries of each rule, or the result of a rule for which no canary can be written. */
async function planRuns(
  pair: BucketReplication,
  options: CanaryOptions,
): Promise<(CanaryResult | { rule: Rule; route: CanaryRoute })[]> {
  if (!pair.rules.some(({ enabled }) => enabled))
    return pair.rules.map((rule) => unwrittenCanary(pair, rule, 'skipped', 'the rule is disabled'));
  const doc = await fetchRules(pair.source, options.aws);
  const existingRules = (doc?.Rules ?? []).map(fromS3Rule);
  return Promise.all(
    pair.rules.map(async (rule) => {
      const skipReason = rule.enabled ? canaryExclusionReason(rule) : 'the rule is disabled';
      if (skipReason !== undefined) return unwrittenCanary(pair, rule, 'skipped', skipReason);
      const notApplied = notAppliedReason(pair, rule, doc, options.specs);
      if (notApplied !== undefined) {
        const why = `the spec is not applied: ${notApplied}; ${applyAdvice(options)}`;
        return unwrittenCanary(pair, rule, 'failed', why);
      }
      try {
        return { rule, route: await findRoute(pair, rule, canaryPrefixOf(rule), existingRules, options) };
      } catch (error) {
        if (!(error instanceof CanaryRefusal)) throw error;
        return unwrittenCanary(pair, rule, 'refused', `no canary was written: ${error.message}`);
      }
    }),
  );
}

const applyAdvice = ({ specArguments }: CanaryOptions): string =>
  specArguments === undefined ? 'apply it first' : `apply it first: reconcile --once ${specArguments}`;

/** Returns the command that explains a failure. */
const doctorCommandOf = ({ source }: BucketReplication, { specArguments }: CanaryOptions): string =>
  `reconcile doctor ${specArguments ?? `--bucket ${source.bucket}`}`;

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

const unwrittenCanary = (
  pair: BucketReplication,
  rule: Rule,
  result: 'skipped' | 'failed' | 'refused',
  reason: string,
): CanaryResult => ({
  pair: pair.name,
  rule: rule.name,
  bucketKey: false,
  sseAlgorithm: 'aws:kms',
  key: '',
  result,
  why: reason,
});

async function runCanary(
  pair: BucketReplication,
  rule: Rule,
  encryption: CanaryEncryption,
  keyArns: { source: string; destination: string },
  route: CanaryRoute,
  options: CanaryOptions,
): Promise<CanaryResult> {
  const { aws, timeoutMs, lateReplicaMs = LATE_REPLICA_MS, signal, onNotice } = options;
  const key = `${canaryPrefixOf(rule)}${randomUUID()}`;
  const identity = { pair: pair.name, rule: rule.name, ...encryption, key };
  const leftVersions: string[] = [];
  // Until S3 reports a status, it may be replicating the canary.
  const observed: { status: ReplicationStatus | undefined } = { status: 'PENDING' };
  let version: string | undefined;
  let outcome: CanaryResult;
  try {
    const expiresAt = aws.now() + timeoutMs + lateReplicaMs + CANARY_EXPIRY_MARGIN_MS;
    const canary = { key, encryption, keyArn: keyArns.source, tags: rule.tags, expiresAt };
    version = await putCanary(pair.source, canary, aws);
    const writtenAt = performance.now();
    if (version === NULL_VERSION_ID) {
      observed.status = undefined;
      throw new Error(
        `${pair.source.bucket} returned no version id for the canary: versioning is not enabled`,
      );
    }
    const replica = await waitForReplica(pair, identity, version, observed, options);
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
  if (version === undefined) return leftVersions.length === 0 ? outcome : { ...outcome, left: leftVersions };
  const canary = { key, version };
  const failures = await removeCanary(route, canary, {
    aws,
    mayStillArrive: mayReplicaArrive(observed.status, route),
    lateReplicaMs,
    signal,
    onWatch: () =>
      onNotice?.(
        `${canaryLabel(identity)}: removed at ${pair.source.bucket}; removes replicas that arrive within ${seconds(lateReplicaMs)} s`,
      ),
  });
  leftVersions.push(...failures);
  const retained = retainedVersions(route, canary);
  return {
    ...outcome,
    ...(leftVersions.length > 0 && { left: leftVersions }),
    ...(retained.length > 0 && { retained }),
  };
}

/** Time after the end of a run for which other runs leave its canaries, in milliseconds: calls take time as well. */
const CANARY_EXPIRY_MARGIN_MS = 5 * 60_000;

const canaryLabel = ({ pair, rule, bucketKey }: CanaryResult | Omit<CanaryResult, 'result'>): string =>
  `canary of ${pair}/${rule}, ${bucketKey ? 'with' : 'without'} a Bucket Key`;

/** Time between two lines about a pending replica, in milliseconds. */
const WAIT_REPORT_MS = 30_000;

/**
 * Waits until both buckets report the replica, and returns its metadata. A 404 and a missing status count as pending:
 * S3 documents NoSuchKey for up to 15 minutes after versioning was first enabled (PutBucketVersioning).
 *
 * @param observed receives the status of the source version with each read
 */
async function waitForReplica(
  pair: BucketReplication,
  identity: Omit<CanaryResult, 'result'>,
  version: string,
  observed: { status: ReplicationStatus | undefined },
  options: CanaryOptions,
): Promise<HeadObjectCommandOutput> {
  const { aws, timeoutMs, signal, onNotice } = options;
  const { key } = identity;
  const startedAt = performance.now();
  let reportedAt = startedAt;
  const readReplica = async (): Promise<HeadObjectCommandOutput> => {
    const source = await headCanary(pair.source, key, version, aws);
    observed.status = source ? source.ReplicationStatus : 'PENDING';
    if (!source)
      throw new ReplicaPendingError(
        `${pair.source.bucket} does not return the written object (404), as S3 may do for 15 minutes after versioning was first enabled`,
      );
    const status = source.ReplicationStatus;
    if (status === 'FAILED')
      throw new Error(
        `S3 failed to replicate it (FAILED), and does not retry; to find the cause: ${doctorCommandOf(pair, options)}`,
      );
    if (status === undefined)
      throw new ReplicaPendingError('the object has no replication status: no rule selected it so far');
    // The API spells the same status also as COMPLETE.
    if (status !== 'COMPLETED' && status !== 'COMPLETE') throw new ReplicaPendingError(`still ${status}`);
    const replica = await headCanary(pair.destination, key, version, aws);
    if (!replica)
      throw new ReplicaPendingError(`COMPLETED at the source, but ${pair.destination.bucket} returns 404`);
    return replica;
  };
  const onRetry = ({ message }: Error): void => {
    const now = performance.now();
    if (now < reportedAt + WAIT_REPORT_MS) return;
    reportedAt = now;
    onNotice?.(
      `${canaryLabel(identity)}: waiting for its replica for ${seconds(now - startedAt)} s of at most ${timeoutMs / 1000} s: ${message}`,
    );
  };
  const shouldRetry = (error: Error) => error instanceof ReplicaPendingError;
  try {
    return await retry(readReplica, { timeoutMs, maxDelayMs: 5_000, signal, shouldRetry, onRetry });
  } catch (error) {
    if (!(error instanceof ReplicaPendingError)) throw error;
    throw new ReplicaPendingError(`${error.message}, after ${timeoutMs / 1000} s`, { cause: error });
  }
}

const seconds = (ms: number): number => Math.round(ms / 1000);

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

export async function fetchKeyArn(side: Side, aws: AwsClient): Promise<string> {
  if ('arn' in side.key) return side.key.arn;
  const location = locationOfSide(side);
  try {
    return (await requireKey(aws, location, side.key.alias)).Arn ?? '';
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(EXIT.failed, `${formatAwsError(error)}; apply the spec first`, {
      cause: error,
    });
  }
}
