import type { CreateJobRequest } from '@aws-sdk/client-s3-control';
import { createJob, listJobs } from '../aws/batch-jobs.ts';
import {
  type BackfillChoices,
  backfillRecordsIn,
  backfillState,
  backfillStatus,
  backfillsOfNewJob,
  backfillTagKey,
  type DeclaredBackfill,
  declaredBackfills,
  jobReport,
  manifestFilter,
  nextDecision,
  type ObservedBackfill,
  observeBackfill,
  waitingJobsOf,
} from '../core/backfill.ts';
import {
  type BatchJobState,
  backfillDescription,
  currentDecision,
  endReasonsOf,
  isJobOf,
  type JobAction,
  type JobDecision,
  jobToken,
  MAX_ATTEMPTS,
  type ObservedJob,
  ORPHANED_REASON,
  ownerOfJob,
  SUPERSEDED_REASON,
  TOO_MANY_OBJECTS_REASON,
} from '../core/batch-job.ts';
import {
  batchRoleId,
  bucketResourceId,
  isRedrive,
  locationOfSide,
  positionOfPath,
  roleResourceId,
  SPEC_TAG,
} from '../core/ids.ts';
import { countObjects, groupDigits, jobStatusText } from '../core/job-status.ts';
import type { Change, Check, Kind } from '../core/kind.ts';
import { orphanResource } from '../core/orphan.ts';
import { ref } from '../core/ref.ts';
import type { Aws, Id, Location, Ref } from '../core/resource.ts';
import type { Backfill, BucketReplication } from '../spec/types.ts';
import { bucketArn } from '../util/arn.ts';
import { omitUndefined, toSortedSet } from '../util/canonical-json.ts';
import { jobPriceText } from '../util/prices.ts';
import {
  approveJob,
  cancelJob,
  endJob,
  jobOperations,
  jobsOfBucket,
  jobTransientErrors,
  needsDetails,
  recordInRole,
  toObservedJob,
  unknownSizeReason,
  withDetails,
} from './batch-job.ts';
import { jobAuditEvents } from './cloudtrail-events.ts';
import { ignoreErrors } from './helpers.ts';
import { fetchRole } from './iam-role.ts';
import { jobScope } from './scopes.ts';

/** The replication of existing objects under one prefix, by a batch job. */
export interface S3Backfill {
  bucket: string;
  /** Identifies the backfill. */
  digest: string;
  /** What callers have decided about its job; absent in a declaration, which `render` completes. */
  decision?: JobDecision;
  /** Ids of jobs that wait or run for an earlier form of the spec. */
  supersededJobs: string[];
}

/** Jobs and records, as AWS has them or as a write leaves them. */
export interface BackfillDoc {
  /** The jobs of replikey that have not ended, or that ended within the last 90 days. */
  jobs: ObservedJob[];
  /** Tags of the batch role. */
  tags: Record<string, string>;
  /** In a rendered document, what a write leaves. */
  written?: Pick<S3Backfill, 'decision' | 'supersededJobs'>;
}

/** More input for `render`, `check` and `send`. */
interface BackfillContext extends BackfillChoices {
  backfill: Backfill;
  roleArn: string | Ref;
  /** Absent: the role is given by ARN. */
  roleName?: string;
}

interface CurrentBackfill extends S3Backfill {
  doc: BackfillDoc;
}

type BackfillChange = Change<S3Backfill, BackfillDoc, never>;

export const s3Backfill: Kind<S3Backfill, BackfillDoc, never> = {
  name: 's3.backfill',
  scope: jobScope,
  permissions: {
    read: ['s3:ListJobs', 's3:DescribeJob', 'iam:GetRole'],
    write: ['s3:CreateJob', 's3:UpdateJobStatus', 's3:PutJobTagging', 'iam:TagRole', 'iam:PassRole'],
    passesRoleTo: 'batchoperations.s3.amazonaws.com',
  },

  desired({ pair, relatedPairs }) {
    const { backfill, source } = pair;
    if (!backfill) return [];
    const pairsOfBucket = relatedPairs.filter((other) => other.source.bucket === source.bucket);
    const ofBucket = declaredBackfills(pairsOfBucket);
    return ofBucket
      .filter(({ specName }) => specName === pair.name)
      .map((declared) => ({
        id: backfillId(source.bucket, declared),
        kind: 's3.backfill',
        name: source.bucket,
        details: backfillDetails(
          'name' in backfill.role ? backfill.role.name : undefined,
          ofBucket.map(({ digest }) => digest),
        ),
        location: locationOfSide(source),
        spec: { bucket: source.bucket, digest: declared.digest, supersededJobs: [] },
        context: backfillContext(pair, backfill, declared, ofBucket),
        after: [
          bucketResourceId('s3.replication', source.bucket),
          ...pairsOfBucket.flatMap((other) =>
            'arn' in other.role ? [] : [roleResourceId('iam.role-policy', other)],
          ),
          batchRoleId('arn' in backfill.role ? 'iam.role' : 'iam.role-policy', {
            role: backfill.role,
            side: source,
          }),
        ],
        declaredBy: [pair.name],
        position: positionOfPath(pair, 'spec.backfill'),
      }));
  },

  // A job that waits never starts without a caller. A job that runs ends by itself, and prune keeps its role until then.
  orphans: (orphan) =>
    (orphan.waitingJobs ?? []).map(({ bucket, location }) =>
      orphanResource(orphan, {
        id: `s3.backfill/${bucket}/${orphan.specName}`,
        kind: 's3.backfill',
        name: bucket,
        location,
        details: backfillDetails(undefined, [ORPHANED, orphan.specName]),
        spec: { bucket, digest: '', supersededJobs: [] },
        after: [],
      }),
    ),

  async fetch(aws, location, name, details) {
    const [mark, specName = ''] = fromDetails(details).digests;
    if (mark !== ORPHANED) return fetchBackfillDoc(aws, location, name, details);
    const jobs = waitingJobsOf(specName, name, (await listJobs(aws, location)).map(toObservedJob));
    return jobs.length === 0 ? undefined : { jobs, tags: {} };
  },

  parse(doc, { name, context, orphaned, spec: { digest } }) {
    if (orphaned) {
      const spec: CurrentBackfill = {
        bucket: name,
        digest,
        supersededJobs: doc.jobs.map(({ id }) => id),
        doc,
      };
      return { spec, attrs: {} };
    }
    const choices = context as BackfillContext;
    const observed = observedIn(doc, choices);
    return {
      spec: {
        bucket: name,
        digest,
        decision: currentDecision(observed, choices.start),
        supersededJobs: observed.superseded,
        ...doc.written,
        doc,
      } satisfies CurrentBackfill,
      attrs: {},
    };
  },

  normalize: ({ bucket, digest, decision, supersededJobs }) =>
    omitUndefined({ bucket, digest, decision, supersededJobs: toSortedSet(supersededJobs) }),

  render({ context, orphaned }, current) {
    if (orphaned) return undefined;
    const choices = context as BackfillContext;
    const doc = docOf(current);
    const { decision } = decisionOn(doc, choices);
    return { ...doc, written: { decision, supersededJobs: [] } };
  },

  operations(change) {
    if (!change.doc) return docOf(change.current).jobs.map(() => ({ call: 's3:UpdateJobStatus' }));
    const { superseded, action } = plannedWrites(change);
    return jobOperations(superseded, action);
  },

  async send(aws, change) {
    const { superseded, action, observed } = plannedWrites(change);
    const { location } = change.resource;
    const { state } = observed;
    for (const id of superseded) await endJob(aws, location, id, SUPERSEDED_REASON);
    if (action === 'create') await sendCreateJob(aws, change);
    if (action === 'record') await sendRecord(aws, change, state);
    if (!('job' in state)) return;
    if (action === 'cancel') await cancelJob(aws, location, state.job.id, TOO_MANY_OBJECTS_REASON);
    if (action === 'approve') await approveJob(aws, location, state.job.id);
  },

  async remove(aws, { name, location, declaredBy }) {
    const jobs = (await listJobs(aws, location)).map(toObservedJob);
    for (const { id } of declaredBy.flatMap((specName) => waitingJobsOf(specName, name, jobs)))
      await endJob(aws, location, id, ORPHANED_REASON);
  },

  response: { replacesWholeDocument: true },

  check(change) {
    if (change.resource.orphaned) return {};
    const { action, observed } = plannedWrites(change);
    const { context } = change.resource;
    const choices = context as BackfillContext;
    const { report } = choices.backfill;
    const job = {
      ...backfillStatus(observed, choices, docOf(change.current).jobs),
      ...(report && { report: `s3://${report.bucket}/${report.prefix}` }),
    };
    return {
      blocked: blockedReason(observed.state, choices, action),
      risks: startRisks(change, action, observed.state),
      notes: progressNotes(observed, choices, action, job),
      job,
    };
  },

  explain(path, { decision = '' }) {
    if (path.startsWith('/supersededJobs')) return 'the spec has changed since the job was created';
    if (decision === 'recorded') return 'the job has ended; a tag of the batch role records its result';
    if (decision.endsWith('cancelled')) return 'the job has more objects than the spec allows';
    return decision.endsWith('approved')
      ? 'the job waits for an approval'
      : 'a batch job replicates the objects that exist already; S3 counts them first';
  },

  transientErrors: jobTransientErrors,

  auditEvents: jobAuditEvents,
};

/** Begins the details of a read of jobs that no spec declares. */
const ORPHANED = 'orphaned';

/** Returns the id of a backfill. Only a spec with several prefixes has several backfills. */
const backfillId = (bucket: string, { specName, prefix, isOnly }: DeclaredBackfill): Id =>
  `s3.backfill/${bucket}/${specName}${isOnly ? '' : `/${prefix}`}`;

function backfillContext(
  { name, source }: BucketReplication,
  backfill: Backfill,
  declared: DeclaredBackfill,
  ofBucket: readonly DeclaredBackfill[],
): BackfillContext {
  const { role, start, maxObjects } = backfill;
  return omitUndefined({
    backfill,
    bucket: source.bucket,
    declared,
    ofBucket,
    start,
    maxObjects,
    isRecorded: 'name' in role && !isRedrive(name),
    roleName: 'name' in role ? role.name : undefined,
    roleArn: 'arn' in role ? role.arn : ref(batchRoleId('iam.role', { role, side: source })),
  });
}

/** Returns the details of a read: the role whose tags record jobs, and the digests of backfills of the bucket. */
export const backfillDetails = (roleName: string | undefined, digests: readonly string[]): string[] => [
  roleName ?? '',
  ...digests,
];

const fromDetails = ([roleName = '', ...digests]: readonly string[] = []) => ({
  digests,
  roleName: roleName === '' ? undefined : roleName,
});

/** Reads the jobs of a bucket, and the tags of the role of its backfill. */
async function fetchBackfillDoc(
  aws: Aws,
  location: Location,
  bucket: string,
  details?: readonly string[],
): Promise<BackfillDoc> {
  const { digests, roleName } = fromDetails(details);
  const [descriptors, role] = await Promise.all([
    listJobs(aws, location),
    roleName === undefined
      ? undefined
      : ignoreErrors(fetchRole(aws, location, roleName), 'NoSuchEntityException'),
  ]);
  const jobs = jobsOfBucket(descriptors, bucket);
  const recorded = new Set(backfillRecordsIn(role?.tags ?? {}).map(({ digest }) => digest));
  const open = digests.filter((digest) => !recorded.has(digest));
  const isDetailed = (job: ObservedJob) => needsDetails(job) && open.some((digest) => isJobOf(job, digest));
  return {
    jobs: await Promise.all(jobs.map((job) => (isDetailed(job) ? withDetails(aws, location, job) : job))),
    tags: role?.tags ?? {},
  };
}

const docOf = (current: { spec: S3Backfill } | undefined): BackfillDoc => {
  const doc = current && 'doc' in current.spec ? (current.spec as CurrentBackfill).doc : undefined;
  return { jobs: doc?.jobs ?? [], tags: doc?.tags ?? {} };
};

const observedIn = ({ tags, jobs }: BackfillDoc, choices: BackfillChoices): ObservedBackfill =>
  observeBackfill(choices, backfillRecordsIn(tags), jobs);

const decisionOn = ({ tags, jobs }: BackfillDoc, choices: BackfillChoices) =>
  nextDecision(observedIn({ tags, jobs }, choices), choices, (digest) =>
    backfillState(digest, backfillRecordsIn(tags), jobs, choices.maxObjects),
  );

/** Returns what a change writes. */
function plannedWrites({ current, resource }: BackfillChange): {
  observed: ObservedBackfill;
  superseded: readonly string[];
  action?: JobAction | undefined;
} {
  const doc = docOf(current);
  const choices = resource.context as BackfillContext;
  const observed = observedIn(doc, choices);
  return { observed, superseded: observed.superseded, action: decisionOn(doc, choices).action };
}

/**
 * Creates a job. Two runs create one job: their requests have the same token. AWS does not document for how long it
 * remembers a token, and the plan may be old, so the jobs are read again before.
 *
 * @throws Error when another caller changed the jobs of the bucket, other than by creating this one
 */
async function sendCreateJob(aws: Aws, { current, resource }: BackfillChange): Promise<void> {
  const { location, name } = resource;
  const choices = resource.context as BackfillContext & { roleArn: string };
  const { backfill, declared, roleArn } = choices;
  const planned = decisionOn(docOf(current), choices).decision;
  const doc = await fetchBackfillDoc(aws, location, name, resource.details);
  const observed = observedIn(doc, choices);
  if (currentDecision(observed, backfill.start) === planned) return;
  const { decision, action } = decisionOn(doc, choices);
  if (action !== 'create' || decision !== planned)
    throw new Error(
      `another caller changed the batch jobs of ${name} since they were read; no job was created: run again`,
    );
  const covered = backfillsOfNewJob(choices, backfillRecordsIn(doc.tags), doc.jobs);
  const digests = covered.map(({ digest }) => digest);
  const request: Omit<CreateJobRequest, 'AccountId'> = {
    ConfirmationRequired: backfill.start === 'Confirmed',
    Operation: { S3ReplicateObject: {} },
    Report: jobReport(backfill, location.region),
    ClientRequestToken: jobToken(digests, observed.attempts + 1),
    Priority: backfill.priority,
    RoleArn: roleArn,
    Description: backfillDescription(declared.specName, digests, name),
    Tags: [
      { Key: SPEC_TAG, Value: declared.specName },
      { Key: 'replikey:backfill', Value: declared.digest },
    ],
    ManifestGenerator: {
      S3JobManifestGenerator: {
        ExpectedBucketOwner: await aws.accountId(location.account),
        SourceBucket: bucketArn(name, location.region),
        EnableManifestOutput: false,
        Filter: manifestFilter(backfill, declared.prefix),
      },
    },
  };
  // Another request had the token, so the job exists.
  await ignoreErrors(createJob(aws, location, request), 'IdempotencyException');
}

async function sendRecord(aws: Aws, { resource }: BackfillChange, state: BatchJobState): Promise<void> {
  const { declared, roleName } = resource.context as BackfillContext;
  if (state.state !== 'complete' || roleName === undefined) return;
  await recordInRole(aws, resource.location, roleName, backfillTagKey(declared), state.record);
}

/** Returns why only a person can bring a backfill forward. */
function blockedReason(
  state: BatchJobState,
  { maxObjects }: BackfillContext,
  action: JobAction | undefined,
): string | undefined {
  if (state.state === 'exhausted')
    return `${MAX_ATTEMPTS} jobs ended before they replicated all objects, the last one (${state.lastJob.id}) with: ${endReasonsOf(state.lastJob)}; remove the cause, then declare a later before`;
  if (state.state === 'tooLarge')
    return `the job ${state.lastJob.id} had ${groupDigits(state.lastJob.total)} objects, and the limit is ${groupDigits(maxObjects)}, so replikey cancelled it; raise maxObjects of the backfill and maxBackfillObjects of the guardrails, or declare a shorter period`;
  if (action === 'approve' && state.state === 'suspended') return unknownSizeReason(state.job, maxObjects);
  return undefined;
}

/** Returns the risk of an action that starts a job. */
function startRisks(
  { resource: { name, context } }: BackfillChange,
  action: JobAction | undefined,
  state: BatchJobState,
): NonNullable<Check['risks']> {
  const { start, backfill, declared } = context as BackfillContext;
  if (action === 'approve' && 'job' in state)
    return [
      {
        id: 'start-backfill',
        // The number of objects of a prepared job never changes.
        subject: state.job.id,
        message: `starts the job ${state.job.id}, which replicates ${countObjects(state.job.total)} of ${name}${jobPrice(state.job)}`,
      },
    ];
  if (action === 'create' && start === 'Automatic')
    return [
      {
        id: 'start-backfill',
        subject: declared.specName,
        message: `replicates the ${backfill.objects.join(' and ')} objects of ${name} from before ${backfill.before}, whose number is not known yet`,
      },
    ];
  return [];
}

/** Returns how far the job is. */
function progressNotes(
  { state, otherJob }: ObservedBackfill,
  { isRecorded, declared }: BackfillContext,
  action: JobAction | undefined,
  job: NonNullable<Check['job']>,
): string[] {
  if (state.state === 'running' && !action) return [jobStatusText(job)];
  if (state.state === 'suspended' && !action)
    return [`the job ${state.job.id} of ${ownerOfJob(state.job)} waits for its approval`];
  if (state.state === 'absent' && !action)
    return [
      otherJob ? jobStatusText(job) : 'a job follows when that of another spec of the bucket has ended',
    ];
  const isEnded = state.state === 'done' || state.state === 'complete';
  return [
    ...(job.state === 'tasksFailed' ? [jobStatusText(job)] : []),
    ...(isEnded && !isRecorded && !isRedrive(declared.specName)
      ? [
          `the role of the spec ${declared.specName} is given by ARN, so nothing records the job when S3 forgets it, 90 days after its end; remove backfill before`,
        ]
      : []),
  ];
}

const jobPrice = ({ total }: ObservedJob): string =>
  total === undefined ? '' : `, for ${jobPriceText(total)}`;
