import { GetBucketLifecycleConfigurationCommand } from '@aws-sdk/client-s3';
import { readMetricData } from '../aws/metric-data.ts';
import { createsJob, startsJob } from '../core/batch-job.ts';
import { locationOfSide } from '../core/ids.ts';
import type { Kind } from '../core/kind.ts';
import type { PlanDraft } from '../core/plan.ts';
import type { Aws, Id, Location, Step } from '../core/resource.ts';
import type { BucketLifecycle, BucketSize, JobFacts, ReportFacts } from '../proof/job-notes.ts';
import type { BucketReplication, Specs } from '../spec/types.ts';
import { type Locations, locationsOf } from './locations.ts';
import { readBucketFacts, readFact } from './read.ts';

/** The jobs of a plan. */
export interface JobSubject {
  plan: Pick<PlanDraft, 'waves'>;
  specs: Specs;
  kinds: ReadonlyMap<string, Kind>;
  nowMs: number;
  /** Returns the ARN of the role of a job, by the id of the job's resource. */
  roleArnOf(id: Id): string;
}

/**
 * Reads what a plan shows and checks about the jobs that it creates or starts, by the ids of their resources. A pass without
 * such a step makes no calls.
 */
export async function readJobFacts(aws: Aws, subject: JobSubject): Promise<Map<Id, JobFacts>> {
  const { plan, specs, kinds } = subject;
  const isOfRules = ({ kind }: Step): boolean => {
    const scope = kinds.get(kind)?.scope;
    return scope?.stage === 'jobs' && scope.runsRules !== false;
  };
  const steps = plan.waves.flat().filter((step) => isOfRules(step) && startsJob(step));
  const facts = steps.map(async (step): Promise<[Id, JobFacts][]> => {
    const pair = specs.pairs.find(({ name }) => step.pairs.includes(name));
    return pair?.backfill ? [[step.id, await readFactsOfJob(aws, step, pair, subject)]] : [];
  });
  return new Map((await Promise.all(facts)).flat());
}

async function readFactsOfJob(
  aws: Aws,
  step: Step,
  pair: BucketReplication,
  { specs, nowMs, roleArnOf }: JobSubject,
): Promise<JobFacts> {
  const { source } = pair;
  const destinations = specs.pairs
    .filter((other) => other.source.bucket === source.bucket)
    .map(({ destination }) => destination);
  const sides = [source, ...destinations.filter(({ managed }) => managed)];
  const isNew = createsJob(step);
  const [size, report, ...lifecycles] = await Promise.all([
    isNew ? undefined : readBucketSize(aws, source.bucket, locationOfSide(source), nowMs),
    isNew ? readReportFacts(aws, pair, specs, roleArnOf(step.id)) : undefined,
    ...new Map(
      sides.map((side) => [side.bucket, readLifecycle(aws, side.bucket, locationOfSide(side))]),
    ).values(),
  ]);
  const regions = destinations.map(({ region }) => region);
  return {
    lifecycles,
    ...(size && { size: { ...size, destinationRegions: [...new Set(regions)] } }),
    ...(report && { report }),
  };
}

async function readLifecycle(aws: Aws, bucket: string, location: Location): Promise<BucketLifecycle> {
  const ExpectedBucketOwner = await aws.accountId(location.account);
  const command = new GetBucketLifecycleConfigurationCommand({ Bucket: bucket, ExpectedBucketOwner });
  const rules = aws.send(location, command).then(({ Rules = [] }) =>
    Rules.map(({ ID, Status, Expiration, NoncurrentVersionExpiration }) => ({
      ID,
      Status,
      Expiration,
      NoncurrentVersionExpiration,
    })),
  );
  return { bucket, rules: await readFact(rules, 'NoSuchLifecycleConfiguration', 'NoSuchBucket') };
}

/** Reads the report bucket of a spec, which may be declared as a bucket of a spec. */
async function readReportFacts(
  aws: Aws,
  { source, backfill }: BucketReplication,
  specs: Specs,
  role: string,
): Promise<ReportFacts | undefined> {
  const { report } = backfill ?? {};
  if (!report) return undefined;
  const location = locationOfSide(source);
  const declared = locationsOf(specs, source.region);
  const locations: Locations = { ...declared, sharedWith: new Map([[report.bucket, location]]) };
  return {
    ...report,
    region: source.region,
    account: await aws.accountId(source.account),
    role,
    facts: await readBucketFacts(aws, report.bucket, 'report', locations),
    isDeclared: declared.buckets.has(report.bucket),
  };
}

/**
 * The storage types of objects that a job can replicate (S3 User Guide, "Metrics and dimensions"). A job replicates no
 * objects in GLACIER and DEEP_ARCHIVE. The others are the overhead of storage classes.
 */
const REPLICATED_STORAGE_TYPES = [
  'StandardStorage',
  'IntelligentTieringFAStorage',
  'IntelligentTieringIAStorage',
  'IntelligentTieringAIAStorage',
  'IntelligentTieringAAStorage',
  'IntelligentTieringDAAStorage',
  'StandardIAStorage',
  'OneZoneIAStorage',
  'ReducedRedundancyStorage',
  'GlacierInstantRetrievalStorage',
];

const SIZE_PERIOD_MS = 86_400_000;

/** S3 publishes the size of a bucket once a day, some time after the day. */
const MAX_AGE_DAYS = 4;

/**
 * Reads the size of a bucket with one call: the sum of its storage types on the latest day with a datapoint. Undefined
 * without datapoints, or if CloudWatch cannot be read: an unknown size is not zero.
 */
async function readBucketSize(
  aws: Aws,
  bucket: string,
  location: Location,
  nowMs: number,
): Promise<Omit<BucketSize, 'destinationRegions'> | undefined> {
  const endMs = (Math.floor(nowMs / SIZE_PERIOD_MS) + 1) * SIZE_PERIOD_MS;
  const metrics = REPLICATED_STORAGE_TYPES.map((type) => ({
    Metric: {
      Namespace: 'AWS/S3',
      MetricName: 'BucketSizeBytes',
      Dimensions: [
        { Name: 'BucketName', Value: bucket },
        { Name: 'StorageType', Value: type },
      ],
    },
    Period: SIZE_PERIOD_MS / 1000,
    Stat: 'Average',
  }));
  const series = await readFact(
    readMetricData(aws, location, metrics, { startMs: endMs - (MAX_AGE_DAYS + 1) * SIZE_PERIOD_MS, endMs }),
  );
  if (series === null || 'unread' in series) return undefined;
  const datapoints = series.map((one) => ('unread' in one ? undefined : one.datapoints));
  if (datapoints.includes(undefined)) return undefined;
  const latestMs = Math.max(...datapoints.flatMap((points = []) => points.map(({ atMs }) => atMs)));
  if (latestMs === Number.NEGATIVE_INFINITY) return undefined;
  const bytes = datapoints
    .flatMap((points = []) => points.filter(({ atMs }) => atMs === latestMs))
    .reduce((sum, { value }) => sum + value, 0);
  return { bucket, region: location.region, bytes, day: new Date(latestMs).toISOString().slice(0, 10) };
}
