import {
  attemptText,
  type BatchJobState,
  currentDecision,
  decideUnfinishedJob,
  ENDED,
  foundNoObjects,
  hasStopped,
  isOwnCancellation,
  isTooLarge,
  type JobRecord,
  jobDigest,
  MAX_ATTEMPTS,
  type NextDecision,
  type ObservedJob,
  parseReencryptionDescription,
  toInstant,
  UNSUPPORTED_OBJECTS_REASON,
  WAITING_OR_ENDED,
} from './batch-job.ts';

/**
 * Re-encryption of the objects of a bucket under a key that another key replaces, without a state file. Only S3 knows the key
 * of each object, and it counts objects by their key when it prepares a batch job. So a job also is a census: when S3 finds no
 * object for it, no object is encrypted under the replaced key. Jobs follow one another until then.
 */

/** The objects of a bucket under one key. */
export interface Reencryption {
  bucket: string;
  /** ARN of the replaced key. */
  replacedKey: string;
  /** ARN of the key that replaces it. */
  key: string;
  /** Objects are counted after this instant, in UTC, ISO 8601; absent: at any time. */
  countedAfter?: string;
}

/** Encryptions under a KMS key. S3 re-encrypts objects of the first one, and only counts those of the second one. */
export const ENCRYPTIONS = ['SSE-KMS', 'DSSE-KMS'] as const;
export type CountedEncryption = (typeof ENCRYPTIONS)[number];

/** Returns the digest of the jobs for one encryption: 16 hexadecimal digits. */
export const reencryptionDigest = (
  { bucket, replacedKey, key, countedAfter = '' }: Reencryption,
  encryption: CountedEncryption = 'SSE-KMS',
): string => jobDigest({ bucket, replacedKey, key, countedAfter, encryption });

/** Prefix of the tags of the batch role that record a census without objects. */
export const REENCRYPTION_TAG_PREFIX = 'replikey:reencrypt:';

/** Returns the key of the tag that records a census, at most 128 characters: the bucket, and the id of the replaced key. */
export const reencryptionTagKey = ({ bucket, replacedKey }: Pick<Reencryption, 'bucket' | 'replacedKey'>) =>
  `${REENCRYPTION_TAG_PREFIX}${bucket}/${replacedKey.slice(replacedKey.lastIndexOf('/') + 1)}`;

/** What a re-encryption needs next. */
export type ReencryptionState =
  | BatchJobState
  /** Objects may still be written under the replaced key, so it is too early to count them. */
  | { state: 'early'; lastJob: ObservedJob; untilMs: number }
  /** Objects with DSSE-KMS are encrypted under the key, which S3 cannot re-encrypt. */
  | { state: 'unsupported'; lastJob: ObservedJob };

export interface ReencryptionChoices {
  reencryption: Reencryption;
  /** All re-encryptions of the bucket, in the order in which their jobs run. */
  ofBucket: readonly Reencryption[];
  /** Time for which objects may still be written under the replaced key, in milliseconds. */
  drainMs: number;
  start: 'Confirmed' | 'Automatic';
  /** Absent: no limit. */
  maxObjects?: number;
}

/** What AWS shows about a re-encryption. */
export interface ObservedReencryption {
  state: ReencryptionState;
  /** Number of jobs so far. */
  attempts: number;
  /** The encryption that the next job counts. */
  encryption: CountedEncryption;
  /** An unfinished job that must end before. */
  otherJob?: ObservedJob;
  /** New objects are still encrypted under the replaced key by default, so no job counts them. */
  isDefault: boolean;
  /** Ids of jobs that wait or run for an earlier form of the spec. */
  superseded: string[];
}

/** What AWS reports about a bucket. */
export interface ReencryptionFacts {
  records: readonly JobRecord[];
  /** The jobs of the bucket, re-encryptions and others, in any order. */
  jobs: readonly ObservedJob[];
  /** ARN of the key that encrypts new objects by default; absent: none. */
  defaultKey?: string;
  /** The time of AWS, in milliseconds since 1970. */
  nowMs: number;
}

/** Returns what AWS shows about a re-encryption. */
export function observeReencryption(
  choices: ReencryptionChoices,
  { records, jobs, defaultKey, nowMs }: ReencryptionFacts,
): ObservedReencryption {
  const { reencryption, ofBucket } = choices;
  const own = new Set(digestsOf(reencryption));
  const attempts = attemptsOf(own, jobs);
  const declared = new Set(ofBucket.flatMap(digestsOf));
  const isFirst = ofBucket[0]?.replacedKey === reencryption.replacedKey;
  const superseded = jobs.filter(
    (job) => isReencryption(job) && !ENDED.has(job.status) && !declared.has(jobDigestOf(job)),
  );
  const otherJob = jobs.find((job) => !hasStopped(job) && !own.has(jobDigestOf(job)));
  return {
    ...stateOf(choices, records, attempts, nowMs),
    attempts: attempts.length,
    ...(otherJob && { otherJob }),
    isDefault: defaultKey === reencryption.replacedKey,
    superseded: isFirst ? superseded.map(({ id }) => id) : [],
  };
}

const digestsOf = (reencryption: Reencryption): string[] =>
  ENCRYPTIONS.map((encryption) => reencryptionDigest(reencryption, encryption));
const jobDigestOf = ({ description }: ObservedJob): string =>
  parseReencryptionDescription(description)?.digest ?? '';
const isReencryption = (job: ObservedJob): boolean => jobDigestOf(job) !== '';

/** Returns the jobs with these digests, the newest first. */
const attemptsOf = (digests: ReadonlySet<string>, jobs: readonly ObservedJob[]): ObservedJob[] =>
  jobs.filter((job) => digests.has(jobDigestOf(job))).sort((a, b) => b.createdAtMs - a.createdAtMs);

/** Returns the state, and the encryption that the next job counts. */
function stateOf(
  { reencryption, drainMs, maxObjects = Number.POSITIVE_INFINITY }: ReencryptionChoices,
  records: readonly JobRecord[],
  attempts: readonly ObservedJob[],
  nowMs: number,
): Pick<ObservedReencryption, 'state' | 'encryption'> {
  const [digest, dsseDigest] = digestsOf(reencryption) as [string, string];
  const forSse = (state: ReencryptionState) => ({ state, encryption: 'SSE-KMS' as const });
  const record = records.find((candidate) => candidate.digest === digest);
  if (record) return forSse({ state: 'done', record });
  const running = attempts.find(({ status }) => !WAITING_OR_ENDED.has(status));
  if (running) return forSse({ state: 'running', job: running });
  const suspended = attempts.find(({ status }) => status === 'Suspended');
  if (suspended)
    return {
      state: { state: 'suspended', job: suspended },
      encryption: jobDigestOf(suspended) === dsseDigest ? 'DSSE-KMS' : 'SSE-KMS',
    };
  const [lastJob] = attempts;
  const firstJob = attempts.at(-1);
  if (!lastJob || !firstJob) return forSse({ state: 'absent', attempt: 0 });
  if (isTooLarge(lastJob, maxObjects)) return forSse({ state: 'tooLarge', lastJob });
  if (lastJob.statusUpdateReason === UNSUPPORTED_OBJECTS_REASON)
    return forSse({ state: 'unsupported', lastJob });
  const countsFromMs = firstJob.createdAtMs + drainMs;
  const census = attempts.find((job) => jobDigestOf(job) === digest);
  const isCounted = census !== undefined && foundNone(census) && census.createdAtMs >= countsFromMs;
  if (isCounted && jobDigestOf(lastJob) === dsseDigest && foundNone(lastJob))
    return forSse({ state: 'complete', job: lastJob, record: censusRecord(digest, census, attempts) });
  const unsuccessful = attempts.filter(
    (job) => !isOwnCancellation(job) && !foundNone(job) && !(job.status === 'Complete' && job.failed === 0),
  );
  if (unsuccessful.length >= MAX_ATTEMPTS && unsuccessful[0] === lastJob)
    return forSse({ state: 'exhausted', lastJob });
  const absent = { state: 'absent', attempt: attempts.length, lastJob } as const;
  if (isCounted) return { state: absent, encryption: 'DSSE-KMS' };
  const mustWait = (foundNone(lastJob) || lastJob.status === 'Complete') && nowMs < countsFromMs;
  return forSse(mustWait ? { state: 'early', lastJob, untilMs: countsFromMs } : absent);
}

/** Returns whether S3 found no object for a job: it fails such a job, as far as is known. */
const foundNone = (job: ObservedJob): boolean =>
  foundNoObjects(job) || (job.status === 'Complete' && job.succeeded + job.failed === 0);

/** Returns the record of a census. The jobs before it re-encrypted the objects. */
const censusRecord = (digest: string, census: ObservedJob, attempts: readonly ObservedJob[]): JobRecord => ({
  digest,
  // S3 lists the objects later than this.
  completedAt: toInstant(census.createdAtMs),
  succeeded: attempts.reduce((sum, { succeeded }) => sum + succeeded, 0),
  failed: 0,
});

/** Returns the decision that a re-encryption needs next, and the action that makes it, as for a backfill. */
export function nextReencryption(
  observed: ObservedReencryption,
  choices: ReencryptionChoices,
  stateOfOther: (reencryption: Reencryption) => ReencryptionState,
): NextDecision {
  const { reencryption, ofBucket, start } = choices;
  const { state, attempts, otherJob, encryption, isDefault } = observed;
  const stay = { decision: currentDecision(observed, start) };
  if (state.state === 'complete') return { decision: 'recorded', action: 'record' };
  if (state.state === 'absent') {
    const earlier = ofBucket.slice(
      0,
      ofBucket.findIndex(({ replacedKey }) => replacedKey === reencryption.replacedKey),
    );
    const waits = isDefault || otherJob || earlier.some((other) => stateOfOther(other).state === 'absent');
    return waits ? stay : { decision: attemptText(attempts + 1, ''), action: 'create' };
  }
  if (state.state !== 'suspended' && state.state !== 'running') return stay;
  const isUnsupported = state.state === 'suspended' && encryption === 'DSSE-KMS';
  return decideUnfinishedJob({ state, attempts }, choices, isUnsupported);
}

/** Returns the filter of the manifest of a job, in the form of S3 Control. It takes one encryption. */
export const reencryptionFilter = ({ replacedKey }: Reencryption, encryption: CountedEncryption) => ({
  MatchAnyObjectEncryption: [
    encryption === 'SSE-KMS'
      ? { SSEKMS: { KmsKeyArn: replacedKey } }
      : { DSSEKMS: { KmsKeyArn: replacedKey } },
  ],
});
