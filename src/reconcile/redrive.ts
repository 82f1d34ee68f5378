import type { JobDescriptor } from '@aws-sdk/client-s3-control';
import { describeJob, listJobs } from '../aws/batch-jobs.ts';
import { retry } from '../aws/retry.ts';
import { backfillState, declaredBackfills, STATUS_BY_OBJECTS } from '../core/backfill.ts';
import { hasStopped, type ObservedJob, parseBackfillDescription, toInstant } from '../core/batch-job.ts';
import { locationOfSide, redriveName, toRuleId } from '../core/ids.ts';
import type { Aws, Location } from '../core/resource.ts';
import { backfillDetails, s3Backfill } from '../kinds/s3-backfill.ts';
import { defaultBatchRoleName } from '../spec/patterns.ts';
import type { Backfill, BackfillObjects, BucketReplication } from '../spec/types.ts';
import { nameInArn } from '../util/arn.ts';
import { canonicalJson, omitUndefined, toSortedSet } from '../util/canonical-json.ts';

/**
 * The re-drive of a bucket: one batch job that replicates objects under all enabled rules of the bucket, after a repair. A
 * pair that no spec declares represents it, so that a pass plans, proves and creates the job as that of a spec.
 */
export interface Redrive {
  bucket: string;
  location: Location;
  pair: BucketReplication;
  /** Identifies the job. */
  digest: string;
  /** Id of the unfinished job that it continues. */
  jobId?: string;
}

export interface RedriveOptions {
  /** Absent: those of the unfinished job, or failed objects. */
  objects?: readonly BackfillObjects[];
  /** Absent: that of a spec of the bucket. */
  report?: Backfill['report'];
  /** Absent: no limit. */
  maxObjects?: number;
  /** The time of AWS, in milliseconds since 1970. */
  nowMs: number;
  signal?: AbortSignal;
}

/** The reason why a bucket cannot be re-driven now. */
export class RedriveError extends Error {}

/**
 * Returns the re-drive of each source bucket of some pairs. Continues an unfinished re-drive: the instant before which its
 * objects were written, and so its digest, are those of its job.
 *
 * @throws RedriveError while another job of the bucket is unfinished; the error of AWS
 */
export async function planRedrives(
  pairs: readonly BucketReplication[],
  aws: Aws,
  options: RedriveOptions,
): Promise<Redrive[]> {
  const jobsByLocation = new Map<string, Promise<UnfinishedJob[]>>();
  return Promise.all(
    toSortedSet(pairs.map(({ source }) => source.bucket)).map(async (bucket) => {
      const ofBucket = pairs.filter(({ source }) => source.bucket === bucket);
      const [first] = ofBucket;
      if (!first) throw new Error(`${bucket} has no pair`);
      const location = locationOfSide(first.source);
      const key = canonicalJson(location);
      const jobs = jobsByLocation.get(key) ?? unfinishedJobs(aws, location, options.signal);
      jobsByLocation.set(key, jobs);
      const job = continuedJob(
        bucket,
        (await jobs).filter((candidate) => candidate.bucket === bucket),
      );
      return toRedrive(first, ofBucket, location, job, options);
    }),
  );
}

/** A job that replicates objects and has not ended. */
interface UnfinishedJob {
  id: string;
  status: string;
  description?: string;
  bucket?: string;
  /** ISO 8601 in UTC, with seconds. */
  before?: string;
  objects: BackfillObjects[];
  report?: NonNullable<Backfill['report']>;
  roleArn: string;
}

/** Time in milliseconds for which S3 may not find a job that it lists. */
const JOB_PROPAGATION_MS = 30_000;

/** Returns the unfinished jobs of a location that replicate objects, by any creator. A list has no buckets. */
async function unfinishedJobs(
  aws: Aws,
  location: Location,
  signal: AbortSignal | undefined,
): Promise<UnfinishedJob[]> {
  const listed = (await listJobs(aws, location)).filter(
    ({ Operation, Status = '' }) => Operation === 'S3ReplicateObject' && !hasStopped({ status: Status }),
  );
  return Promise.all(
    listed.map(async ({ JobId = '' }) =>
      toUnfinishedJob(
        await retry(() => describeJob(aws, location, JobId), {
          timeoutMs: JOB_PROPAGATION_MS,
          maxDelayMs: 2_000,
          signal,
          // Troubleshooting S3 Batch Operations: S3 may not find a job right after it was created.
          shouldRetry: ({ name }) => name === 'NoSuchJobException' || name === 'NotFoundException',
        }),
      ),
    ),
  );
}

function toUnfinishedJob(descriptor: JobDescriptor): UnfinishedJob {
  const { JobId, Status, Description, ManifestGenerator, Report, RoleArn } = descriptor;
  const { SourceBucket, Filter } = ManifestGenerator?.S3JobManifestGenerator ?? {};
  const statuses: readonly string[] = Filter?.ObjectReplicationStatuses ?? [];
  return omitUndefined({
    id: JobId ?? '',
    status: Status ?? '',
    description: Description,
    bucket: SourceBucket && nameInBucketArn(SourceBucket),
    before: Filter?.CreatedBefore && toInstant(Filter.CreatedBefore.getTime()),
    objects: (Object.keys(STATUS_BY_OBJECTS) as BackfillObjects[]).filter((name) =>
      statuses.includes(STATUS_BY_OBJECTS[name]),
    ),
    report: Report?.Enabled
      ? { bucket: nameInBucketArn(Report.Bucket), prefix: Report.Prefix ? `${Report.Prefix}/` : '' }
      : undefined,
    roleArn: RoleArn ?? '',
  });
}

const nameInBucketArn = (arn = ''): string => arn.split(':::')[1] ?? '';

/** Returns the unfinished re-drive among the unfinished jobs of a bucket. */
function continuedJob(bucket: string, jobs: readonly UnfinishedJob[]): UnfinishedJob | undefined {
  const isOwn = ({ description }: UnfinishedJob) =>
    parseBackfillDescription(description)?.specName === redriveName(bucket);
  const [own, ...duplicates] = jobs.filter(isOwn);
  const other = duplicates[0] ?? jobs.find((job) => !isOwn(job));
  if (!other) return own;
  const { id, status, description } = other;
  const { specName } = parseBackfillDescription(description) ?? {};
  const owner = isOwn(other)
    ? 'another re-drive'
    : specName === undefined
      ? `"${description ?? 'no description'}"`
      : `the spec ${specName}`;
  const next =
    status === 'Suspended' && specName !== undefined && !isOwn(other)
      ? 'approve it with reconcile --once and --allow start-backfill, or cancel it'
      : 'wait for its end, or cancel it';
  throw new RedriveError(
    `${bucket} has the unfinished batch job ${id} of ${owner} (${status}), and a bucket has one job at a time; ${next}`,
  );
}

function toRedrive(
  base: BucketReplication,
  pairs: readonly BucketReplication[],
  location: Location,
  job: UnfinishedJob | undefined,
  options: RedriveOptions,
): Redrive {
  const { bucket } = base.source;
  const requested = options.objects && toSortedSet(options.objects);
  if (job && requested && canonicalJson(requested) !== canonicalJson(toSortedSet(job.objects)))
    throw new RedriveError(
      `${bucket} has the unfinished batch job ${job.id} for ${job.objects.join(' and ')} objects; continue it without --objects, or cancel it`,
    );
  const declared = base.backfill ?? pairs.find(({ backfill }) => backfill)?.backfill;
  const role = declared?.role ?? { name: defaultBatchRoleName(bucket) };
  const pair = redrivePair(
    base,
    pairs,
    omitUndefined({
      objects: toSortedSet(job?.objects ?? requested ?? ['failed']) as BackfillObjects[],
      before: job?.before ?? instantAfter(options.nowMs),
      report: job ? job.report : (options.report ?? declared?.report),
      maxObjects: options.maxObjects,
      start: 'Confirmed' as const,
      priority: declared?.priority ?? DEFAULT_PRIORITY,
      // An unfinished job keeps its role, which another spec may have declared.
      role: job && !('name' in role && role.name === nameInArn(job.roleArn)) ? { arn: job.roleArn } : role,
      // One job for the whole bucket: S3 selects the objects of the enabled rules.
      prefixes: [''],
    }),
  );
  const digest = declaredBackfills([pair])[0]?.digest ?? '';
  return { bucket, location, pair, digest, ...(job && { jobId: job.id }) };
}

/** Returns the pair of a re-drive, with the rules of all specs of the bucket under the ids that they have in S3. */
function redrivePair(
  base: BucketReplication,
  pairs: readonly BucketReplication[],
  backfill: Backfill,
): BucketReplication {
  // Without the optional parts of the spec: they are no part of a re-drive.
  const { source, destination, sourceKeys, role, rollout, policy, positions } = base;
  return {
    name: redriveName(source.bucket),
    labels: {},
    source,
    destination,
    sourceKeys,
    role,
    rollout,
    policy,
    positions,
    rules: pairs.flatMap(({ name, rules }) =>
      rules.map((rule) => ({ ...rule, id: rule.id ?? toRuleId(name, rule.name) })),
    ),
    backfill,
  };
}

/** Priority of a job of a spec that declares none. */
const DEFAULT_PRIORITY = 10;

/** Returns the next full second: S3 compares it with the time of a write, which has whole seconds. */
const instantAfter = (ms: number): string => toInstant((Math.floor(ms / 1_000) + 1) * 1_000);

/** How far the job of a re-drive is. */
export type RedriveState =
  | { state: 'preparing' | 'suspended' | 'running' | 'complete' | 'failed'; job: ObservedJob }
  /** S3 shows no job. */
  | { state: 'absent' };

/** Statuses of a job before its approval is possible. */
const UNPREPARED: ReadonlySet<string> = new Set(['New', 'Preparing']);

/** Reads how far the job of a re-drive is. */
export async function readRedriveState(
  aws: Aws,
  { bucket, location, digest }: Redrive,
): Promise<RedriveState> {
  // No tag records a re-drive.
  const doc = await s3Backfill.fetch(aws, location, bucket, backfillDetails(undefined, [digest]));
  const result = backfillState(digest, [], doc?.jobs ?? []);
  switch (result.state) {
    case 'running':
      return { state: UNPREPARED.has(result.job.status) ? 'preparing' : 'running', job: result.job };
    case 'suspended':
    case 'complete':
      return { state: result.state, job: result.job };
    case 'exhausted':
    case 'tooLarge':
      return { state: 'failed', job: result.lastJob };
    case 'absent':
      return result.lastJob ? { state: 'failed', job: result.lastJob } : { state: 'absent' };
    case 'done':
      throw new Error('a re-drive is not recorded');
  }
}
