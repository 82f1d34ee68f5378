import { DeleteObjectCommand, PutObjectCommand, type ReplicationRule } from '@aws-sdk/client-s3';
import type { AwsClient } from '../../src/aws/client.ts';
import type { Sandbox } from '../../src/sandbox/server.ts';
import type { BucketState, VersionState } from '../../src/sandbox/state.ts';
import type { BucketReplication, Specs } from '../../src/spec/types.ts';
import { bucketArn } from '../../src/util/arn.ts';

/** A write of an object, or of a delete marker. */
interface WriteRequest {
  key: string;
  tags: Record<string, string>;
  isDeleteMarker: boolean;
  /** Encryption that the request names; absent: the default of the bucket applies. */
  encryption?: 'AES256';
}

/** A version that a writer wrote. */
interface Written {
  request: WriteRequest;
  versionId: string;
  /**
   * When it was written: before the first change of the replication configuration, until the last run ended, or after
   * it.
   */
  phase: 'before' | 'during' | 'after';
}

/** Objects by what became of them. */
export interface Counts {
  written: number;
  failed: number;
  /** Objects that S3 did not replicate to a destination to which the old or the new spec replicates them. */
  passedOver: number;
  pending: number;
}

/** A sandbox that contains the source, and clients for its accounts. */
export interface WriterEnv {
  sandbox: Sandbox;
  client(specs: Specs): Pick<AwsClient, 'send'>;
}

/** Writes one object after another to a source bucket. */
export interface Writer {
  bucket: string;
  /** Writes the next object. */
  writeNext(): Promise<void>;
  start(): void;
  /** Stops after the write in progress. */
  stop(): Promise<void>;
  /** Marks the end of the last run: from now on, only the new spec counts. */
  endOfChange(): void;
  count(): Counts;
  /** Describes the objects that are counted as FAILED or passed over, for messages. */
  losses(): string[];
}

export function createWriter(env: WriterEnv, bucket: string, before: Specs, after: Specs): Writer {
  const { sandbox } = env;
  const state = bucketOf(sandbox, bucket);
  const configuration = state.replication;
  const pairs = [...before.pairs, ...after.pairs].filter(({ source }) => source.bucket === bucket);
  const foreignRules = (configuration?.Rules ?? []).filter(({ ID = '' }) => ID.startsWith('foreign'));
  const requests = requestsOf(pairs, foreignRules);
  const oldDefault = defaultAlgorithmOf(state);
  const client = env.client({ ...after, accounts: [...before.accounts, ...after.accounts] });
  const location = { region: state.region, ...accountOf(pairs, before) };
  const written: Written[] = [];
  const rejected: string[] = [];
  let sent = 0;
  let isRunning = false;
  let isChanged = false;
  let done = Promise.resolve();

  const oldDestinations = (request: WriteRequest) =>
    new Set([
      ...destinationsOf(before.pairs, bucket, request),
      ...foreignDestinationsOf(foreignRules, oldDefault, request),
    ]);
  const newDestinations = (request: WriteRequest) =>
    new Set([
      ...destinationsOf(after.pairs, bucket, request),
      ...foreignDestinationsOf(foreignRules, oldDefault, request),
    ]);

  async function write(request: WriteRequest): Promise<void> {
    const object = { Bucket: bucket, Key: request.key };
    const tagging = new URLSearchParams(request.tags).toString();
    const isAfter = isChanged;
    const command = request.isDeleteMarker
      ? new DeleteObjectCommand(object)
      : new PutObjectCommand({
          ...object,
          Body: 'x',
          ...(tagging === '' ? {} : { Tagging: tagging }),
          ...(request.encryption === undefined ? {} : { ServerSideEncryption: request.encryption }),
        });
    const { VersionId = '' } = (await client.send(location, command)) as { VersionId?: string };
    const isBefore = bucketOf(sandbox, bucket).replication === configuration;
    written.push({
      request,
      versionId: VersionId,
      phase: isAfter ? 'after' : isBefore ? 'before' : 'during',
    });
  }

  async function writeNext(): Promise<void> {
    const index = sent;
    sent += 1;
    const request = requests[index % requests.length];
    if (!request) return;
    await write({ ...request, key: `${request.key}${String(index).padStart(5, '0')}` }).catch(
      (error: Error) =>
        void rejected.push(`the write of ${bucket}/${request.key} was rejected: ${error.message}`),
    );
  }

  async function run(): Promise<void> {
    while (isRunning && requests.length > 0) await writeNext();
  }

  const isPassedOver = ({ request, phase }: Written, version: VersionState): boolean => {
    const reached = new Set(version.replication?.attempts.map(({ destination }) => destination));
    const reaches = (destinations: Iterable<string>) => [...destinations].every((arn) => reached.has(arn));
    const [old, current] = [oldDestinations(request), newDestinations(request)];
    if (phase === 'after') return !reaches(current);
    // An object in flight may be processed by the new rules.
    if (phase === 'before' && sandbox.faultSettings.inFlight === 'atWrite') return !reaches(old);
    // While the selection changes, each object reaches every destination of both selections, or one of either.
    if (!reaches([...old].filter((arn) => current.has(arn)))) return true;
    return old.size > 0 && (current.size > 0 || phase === 'before') && reached.size === 0;
  };

  const versions = () =>
    written.map((item) => {
      const version = bucketOf(sandbox, bucket)
        .objects.get(item.request.key)
        ?.find(({ versionId }) => versionId === item.versionId);
      if (!version) throw new Error(`${bucket}/${item.request.key} was written, but does not exist`);
      return { item, version };
    });

  return {
    bucket,
    writeNext,
    start() {
      isRunning = true;
      done = run();
    },
    stop() {
      isRunning = false;
      return done;
    },
    endOfChange() {
      isChanged = true;
    },
    count() {
      const counts = { written: written.length, failed: 0, passedOver: 0, pending: 0 };
      for (const { item, version } of versions()) {
        const status = version.replication?.status;
        if (status === 'FAILED') counts.failed += 1;
        else if (status === 'PENDING') counts.pending += 1;
        else if (isPassedOver(item, version)) counts.passedOver += 1;
      }
      return counts;
    },
    losses: () => [
      ...rejected,
      ...versions().flatMap(({ item, version }) => {
        const { status, attempts = [] } = version.replication ?? {};
        if (status === 'FAILED') {
          const reasons = attempts.map(({ ruleId, reason, detail }) => `${ruleId}: ${reason} ${detail}`);
          return [`${bucket}/${item.request.key} (${item.phase}) FAILED: ${reasons.join('; ')}`];
        }
        return status !== 'PENDING' && isPassedOver(item, version)
          ? [`${bucket}/${item.request.key} (${item.phase}, ${version.encryption.algorithm}) passed over`]
          : [];
      }),
    ],
  };
}

function bucketOf({ store }: Sandbox, name: string): BucketState {
  const bucket = store.bucket(name);
  if (!bucket) throw new Error(`the bucket ${name} does not exist`);
  return bucket;
}

const accountOf = (pairs: BucketReplication[], { pairs: allPairs }: Specs): { account?: string } => {
  const account = (pairs[0] ?? allPairs[0])?.source.account;
  return account === undefined ? {} : { account };
};

/** Returns a request of each kind for each rule: with the default encryption, with SSE-S3, and a delete marker. */
function requestsOf(
  pairs: readonly BucketReplication[],
  foreignRules: readonly ReplicationRule[],
): WriteRequest[] {
  const filters = new Map<string, { prefix: string; tags: Record<string, string> }>();
  const add = (prefix: string, tags: Record<string, string>) =>
    filters.set(JSON.stringify([prefix, tags]), { prefix, tags });
  for (const { rules } of pairs) for (const { prefix, tags } of rules) add(prefix, tags);
  for (const { Filter } of foreignRules) add(Filter?.Prefix ?? Filter?.And?.Prefix ?? '', {});
  return [...filters.values()].flatMap(({ prefix: key, tags }): WriteRequest[] => [
    { key, tags, isDeleteMarker: false },
    { key, tags, isDeleteMarker: false, encryption: 'AES256' },
    { key, tags, isDeleteMarker: false },
    { key, tags: {}, isDeleteMarker: true },
  ]);
}

interface Selection {
  prefix: string;
  tags: Record<string, string>;
  enabled: boolean;
  deleteMarkerReplication: boolean;
  sseKmsEncryptedObjects: boolean;
}

/** Returns the destinations to which specs that are in effect replicate a new object. */
export function destinationsOf(
  pairs: readonly BucketReplication[],
  bucket: string,
  request: WriteRequest,
): Set<string> {
  const matching = new Map<string, boolean[]>();
  for (const { source, destination, rules } of pairs) {
    if (source.bucket !== bucket) continue;
    const arn = bucketArn(destination.bucket, destination.region);
    const isKms = request.encryption === undefined && source.defaultEncryption !== 'SSE-S3';
    for (const rule of rules)
      if (matches(rule, request))
        matching.set(arn, [...(matching.get(arn) ?? []), replicates(rule, request, isKms)]);
  }
  // Between rules of one destination the priority decides, so all of them have to agree.
  return new Set([...matching].filter(([, verdicts]) => verdicts.every(Boolean)).map(([arn]) => arn));
}

const matches = ({ enabled, prefix, tags }: Selection, request: WriteRequest): boolean =>
  enabled &&
  request.key.startsWith(prefix) &&
  Object.entries(tags).every(([key, value]) => request.tags[key] === value);

const replicates = (rule: Selection, { isDeleteMarker }: WriteRequest, isKms: boolean): boolean =>
  isDeleteMarker ? rule.deleteMarkerReplication : !isKms || rule.sseKmsEncryptedObjects;

/** Returns the destinations to which the foreign rules replicated a new object before the change. */
const foreignDestinationsOf = (
  rules: readonly ReplicationRule[],
  oldDefault: string,
  request: WriteRequest,
): string[] =>
  rules.flatMap((rule) => {
    const selection: Selection = {
      prefix: rule.Filter?.Prefix ?? rule.Filter?.And?.Prefix ?? '',
      tags: {},
      enabled: rule.Status === 'Enabled',
      deleteMarkerReplication: rule.DeleteMarkerReplication?.Status === 'Enabled',
      sseKmsEncryptedObjects: rule.SourceSelectionCriteria?.SseKmsEncryptedObjects?.Status === 'Enabled',
    };
    const isKms = (request.encryption ?? oldDefault) !== 'AES256';
    return matches(selection, request) && replicates(selection, request, isKms)
      ? [rule.Destination?.Bucket ?? '']
      : [];
  });

const defaultAlgorithmOf = ({ encryption }: BucketState): string =>
  encryption?.Rules?.[0]?.ApplyServerSideEncryptionByDefault?.SSEAlgorithm ?? 'AES256';
