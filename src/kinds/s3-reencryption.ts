import type { CreateJobRequest } from '@aws-sdk/client-s3-control';
import { createJob, listJobs } from '../aws/batch-jobs.ts';
import {
  currentDecision,
  endReasonsOf,
  type JobAction,
  type JobDecision,
  jobToken,
  MAX_ATTEMPTS,
  type ObservedJob,
  parseReencryptionDescription,
  recordsIn,
  reencryptionDescription,
  SUPERSEDED_REASON,
  TOO_MANY_OBJECTS_REASON,
  toInstant,
  UNSUPPORTED_OBJECTS_REASON,
} from '../core/batch-job.ts';
import {
  batchRoleId,
  bucketResourceId,
  keyResourceId,
  locationOfSide,
  positionOfPath,
  roleResourceId,
} from '../core/ids.ts';
import { countObjects, groupDigits } from '../core/job-status.ts';
import type { Change, Check, Kind } from '../core/kind.ts';
import {
  nextReencryption,
  type ObservedReencryption,
  observeReencryption,
  REENCRYPTION_TAG_PREFIX,
  type Reencryption,
  type ReencryptionChoices,
  reencryptionDigest,
  reencryptionFilter,
  reencryptionTagKey,
} from '../core/reencryption.ts';
import { ref } from '../core/ref.ts';
import {
  type Aws,
  DEFAULT_DRAIN_MS,
  type Id,
  type Location,
  type Ref,
  type Resource,
} from '../core/resource.ts';
import { type ReencryptedSide, reencryptedSidesOf } from '../spec/key-uses.ts';
import type { BucketReplication, KeyChoice } from '../spec/types.ts';
import { bucketArn } from '../util/arn.ts';
import { omitUndefined, toSortedSet } from '../util/canonical-json.ts';
import { reencryptionPriceText } from '../util/prices.ts';
import {
  approveJob,
  cancelJob,
  endJob,
  jobOperations,
  jobsOfBucket,
  jobTransientErrors,
  needsDetails,
  recordInRole,
  unknownSizeReason,
  withDetails,
} from './batch-job.ts';
import { jobAuditEvents } from './cloudtrail-events.ts';
import { ignoreErrors } from './helpers.ts';
import { fetchRole } from './iam-role.ts';
import { describeKey } from './kms-key.ts';
import { type EncryptionDoc, s3Encryption, toKeyArn } from './s3-encryption.ts';
import { jobScope } from './scopes.ts';

/** The re-encryption of the objects of a bucket under one replaced key, by batch jobs. */
export interface S3Reencryption {
  bucket: string;
  /** What callers have decided about its job; absent in a declaration, which `render` completes. */
  decision?: JobDecision;
  /** Ids of jobs that wait or run for an earlier form of the spec. */
  supersededJobs: string[];
}

/** Jobs and records, as AWS has them or as a write leaves them. */
export interface ReencryptionDoc {
  /** The jobs of replikey for the bucket, and all backfills of the account, of the last 90 days. */
  jobs: ObservedJob[];
  /** Tags of the batch role. */
  tags: Record<string, string>;
  /** ARNs of the keys by alias, as far as they exist. */
  keyArns: Record<string, string>;
  /** ARN of the key that encrypts new objects by default; absent: none. */
  defaultKey?: string;
  /** The time of AWS, in milliseconds since 1970. */
  nowMs: number;
  /** In a rendered document, what a write leaves. */
  written?: Pick<S3Reencryption, 'decision' | 'supersededJobs'>;
}

/** More input for `render`, `check` and `send`. Keys are aliases or ARNs. */
interface ReencryptionContext extends Omit<ReencryptionChoices, 'reencryption' | 'ofBucket'> {
  key: string;
  replacedKey: string;
  /** All replaced keys of the bucket. */
  replacedKeys: string[];
  countedAfter?: string;
  bucketKey: boolean;
  priority: number;
  roleArn: Ref;
  roleName: string;
}

interface CurrentReencryption extends S3Reencryption {
  doc: ReencryptionDoc;
}

type ReencryptionChange = Change<S3Reencryption, ReencryptionDoc, never>;

export const s3Reencryption: Kind<S3Reencryption, ReencryptionDoc, never> = {
  name: 's3.reencryption',
  scope: { ...jobScope, runsRules: false },
  permissions: {
    read: ['s3:ListJobs', 's3:DescribeJob', 'iam:GetRole'],
    write: ['s3:CreateJob', 's3:UpdateJobStatus', 'iam:TagRole', 'iam:PassRole'],
    passesRoleTo: 'batchoperations.s3.amazonaws.com',
  },

  desired: ({ pair, relatedPairs }) =>
    reencryptedSidesOf(pair).flatMap((reencrypted) =>
      reencrypted.side.replacedKeys.map((replaced) => {
        const { side, name } = reencrypted;
        return {
          id: reencryptionId(side.bucket, replaced),
          kind: 's3.reencryption',
          name: side.bucket,
          details: [reencrypted.role.name, ...[side.key, ...side.replacedKeys].map(nameOfKey)],
          location: locationOfSide(side),
          spec: { bucket: side.bucket, supersededJobs: [] },
          context: reencryptionContext(reencrypted, replaced),
          after: dependenciesOf(reencrypted, replaced, relatedPairs),
          declaredBy: [pair.name],
          position: positionOfPath(pair, `spec.${name}.key.replaces`),
        };
      }),
    ),

  fetch: fetchReencryptionDoc,

  parse(doc, resource) {
    const { name } = resource;
    const context = resolvedContext(resource);
    const { start } = context;
    const observed = observedReencryption(doc, name, context);
    return {
      spec: {
        bucket: name,
        decision: currentDecision(observed, start),
        supersededJobs: observed.superseded,
        ...doc.written,
        doc,
      } satisfies CurrentReencryption,
      attrs: {},
    };
  },

  normalize: ({ bucket, decision, supersededJobs }) =>
    omitUndefined({ bucket, decision, supersededJobs: toSortedSet(supersededJobs) }),

  render(resource, current) {
    const doc = currentReencryptionDoc(current);
    const { decision } = reencryptionDecision(doc, resource.name, resolvedContext(resource));
    return { ...doc, written: { decision, supersededJobs: [] } };
  },

  operations(change) {
    const { superseded, action } = plannedReencryption(change);
    return jobOperations(superseded, action);
  },

  async send(aws, change) {
    const { superseded, action, observed } = plannedReencryption(change);
    const { location } = change.resource;
    const { state, encryption } = observed;
    for (const id of superseded) await endJob(aws, location, id, SUPERSEDED_REASON);
    if (action === 'create') await createReencryptionJob(aws, change);
    if (action === 'record' && state.state === 'complete') {
      const { roleName } = resolvedContext(change.resource);
      await recordInRole(aws, location, roleName, reencryptionTagKey(reencryptionOf(change)), state.record);
    }
    if (!('job' in state)) return;
    if (action === 'cancel')
      await cancelJob(
        aws,
        location,
        state.job.id,
        encryption === 'DSSE-KMS' ? UNSUPPORTED_OBJECTS_REASON : TOO_MANY_OBJECTS_REASON,
      );
    if (action === 'approve') await approveJob(aws, location, state.job.id);
  },

  response: { replacesWholeDocument: true },

  check(change) {
    const { action, observed } = plannedReencryption(change);
    return {
      blocked: reencryptionProblem(change, observed, action),
      risks: reencryptionRisks(change, observed, action),
      notes: reencryptionNotes(change, observed, action),
    };
  },

  explain: (path) =>
    path.startsWith('/supersededJobs')
      ? 'the spec has changed since the job was created'
      : 'objects are to be encrypted under the key that replaces their key',

  transientErrors: jobTransientErrors,

  auditEvents: jobAuditEvents,
};

async function fetchReencryptionDoc(
  aws: Aws,
  location: Location,
  name: string,
  [roleName, ...keyNames]: readonly string[] = [],
): Promise<ReencryptionDoc> {
  const aliases = keyNames.filter((key) => key.startsWith('alias/'));
  // The client shares the reads of the keys with those of the keys themselves.
  const [descriptors, role, encryption, ...keys] = await Promise.all([
    listJobs(aws, location),
    roleName === undefined
      ? undefined
      : ignoreErrors(fetchRole(aws, location, roleName), 'NoSuchEntityException'),
    s3Encryption.fetch(aws, location, name),
    ...aliases.map((alias) => describeKey(aws, location, alias)),
  ]);
  const isOfBucket = ({ description }: ObservedJob) =>
    parseReencryptionDescription(description)?.bucket === name;
  const jobs = jobsOfBucket(descriptors, name);
  const isDetailed = (job: ObservedJob) => isOfBucket(job) && needsDetails(job);
  return {
    jobs: await Promise.all(jobs.map((job) => (isDetailed(job) ? withDetails(aws, location, job) : job))),
    tags: role?.tags ?? {},
    keyArns: Object.fromEntries(
      aliases.flatMap((alias, index) => {
        const arn = keys[index]?.Arn;
        return arn === undefined ? [] : [[alias, arn]];
      }),
    ),
    ...defaultKeyIn(encryption, location),
    nowMs: aws.now(),
  };
}

function defaultKeyIn(
  { Rules: [rule], owner = '' }: EncryptionDoc = { Rules: [] },
  location: Location,
): Pick<ReencryptionDoc, 'defaultKey'> {
  const key = rule?.ApplyServerSideEncryptionByDefault?.KMSMasterKeyID;
  return key === undefined ? {} : { defaultKey: toKeyArn(key, location, owner) };
}

const reencryptionId = (bucket: string, replaced: KeyChoice): Id =>
  `s3.reencryption/${bucket}/${nameOfKey(replaced)}`;

const nameOfKey = (key: KeyChoice): string => ('arn' in key ? key.arn : key.alias);

/** Returns the context of a resource. Uploads may use the replaced key for as long as objects are in flight. */
const resolvedContext = ({
  context,
  drainMs = DEFAULT_DRAIN_MS,
}: Resource<S3Reencryption>): ReencryptionContext => ({
  ...(context as Omit<ReencryptionContext, 'drainMs'>),
  drainMs,
});

function reencryptionContext(
  { pair, side, role }: ReencryptedSide,
  replaced: KeyChoice,
): Omit<ReencryptionContext, 'drainMs'> {
  const { start, maxObjects, priority, countedAfter } = pair.reencrypt ?? { start: 'Confirmed', priority: 0 };
  return omitUndefined({
    key: nameOfKey(side.key),
    replacedKey: nameOfKey(replaced),
    replacedKeys: side.replacedKeys.map(nameOfKey),
    countedAfter,
    bucketKey: side.bucketKey,
    start,
    maxObjects,
    priority,
    roleName: role.name,
    roleArn: ref(batchRoleId('iam.role', { role, side })),
  });
}

/** Returns what must be in place before a job: the new key for new objects, and the permissions of both roles for it. */
const dependenciesOf = (
  { side, role }: ReencryptedSide,
  replaced: KeyChoice,
  relatedPairs: readonly BucketReplication[],
): Id[] => [
  bucketResourceId('s3.versioning', side.bucket),
  bucketResourceId('s3.encryption', side.bucket),
  batchRoleId('iam.role-policy', { role, side }),
  ...[side.key, replaced].map((key) =>
    keyResourceId('arn' in key ? 'kms.key' : 'kms.key-policy', { ...side, key }),
  ),
  ...relatedPairs
    .filter(({ source, destination }) => [source.bucket, destination.bucket].includes(side.bucket))
    .flatMap((pair) => [
      ...(pair.source.managed ? [bucketResourceId('s3.replication', pair.source.bucket)] : []),
      ...('arn' in pair.role || !pair.source.managed ? [] : [roleResourceId('iam.role-policy', pair)]),
    ]),
];

/** Returns the re-encryption of a replaced key. A key that does not exist yet has its alias for an ARN. */
function toReencryption(
  bucket: string,
  { key, countedAfter }: ReencryptionContext,
  replacedKey: string,
  { keyArns }: ReencryptionDoc,
): Reencryption {
  const arnOf = (name: string) => keyArns[name] ?? name;
  return omitUndefined({ bucket, replacedKey: arnOf(replacedKey), key: arnOf(key), countedAfter });
}

/** Returns the re-encryption that a change concerns. */
const reencryptionOf = ({ current, resource }: ReencryptionChange): Reencryption =>
  toReencryption(
    resource.name,
    resolvedContext(resource),
    resolvedContext(resource).replacedKey,
    currentReencryptionDoc(current),
  );

const reencryptionChoices = (
  doc: ReencryptionDoc,
  bucket: string,
  context: ReencryptionContext,
  replacedKey: string,
): ReencryptionChoices => ({
  ...context,
  reencryption: toReencryption(bucket, context, replacedKey, doc),
  ofBucket: context.replacedKeys.map((key) => toReencryption(bucket, context, key, doc)),
});

const currentReencryptionDoc = (current: { spec: S3Reencryption } | undefined): ReencryptionDoc => {
  const doc = current && 'doc' in current.spec ? (current.spec as CurrentReencryption).doc : undefined;
  return {
    jobs: doc?.jobs ?? [],
    tags: doc?.tags ?? {},
    keyArns: doc?.keyArns ?? {},
    ...(doc?.defaultKey !== undefined && { defaultKey: doc.defaultKey }),
    nowMs: doc?.nowMs ?? 0,
  };
};

/** Returns what the document shows. */
function observedReencryption(
  doc: ReencryptionDoc,
  bucket: string,
  context: ReencryptionContext,
  replacedKey = context.replacedKey,
): ObservedReencryption {
  const records = recordsIn(doc.tags, REENCRYPTION_TAG_PREFIX);
  const choices = reencryptionChoices(doc, bucket, context, replacedKey);
  return observeReencryption(choices, { ...doc, records });
}

function reencryptionDecision(doc: ReencryptionDoc, bucket: string, context: ReencryptionContext) {
  const choices = reencryptionChoices(doc, bucket, context, context.replacedKey);
  return nextReencryption(observedReencryption(doc, bucket, context), choices, ({ replacedKey }) => {
    const index = choices.ofBucket.findIndex((other) => other.replacedKey === replacedKey);
    return observedReencryption(doc, bucket, context, context.replacedKeys[index]).state;
  });
}

/** Returns what a change writes. */
function plannedReencryption({ current, resource }: ReencryptionChange): {
  observed: ObservedReencryption;
  superseded: readonly string[];
  action?: JobAction | undefined;
} {
  const doc = currentReencryptionDoc(current);
  const observed = observedReencryption(doc, resource.name, resolvedContext(resource));
  const { action } = reencryptionDecision(doc, resource.name, resolvedContext(resource));
  return { observed, superseded: observed.superseded, action };
}

/**
 * Creates a job. Two runs create one job, because their requests have the same token. The keys may be new, and the plan may be
 * old, so the bucket, its jobs and its keys are read again before.
 *
 * @throws Error when another caller changed the bucket or its jobs, other than by creating this one
 */
async function createReencryptionJob(aws: Aws, { current, resource }: ReencryptionChange): Promise<void> {
  const { name, location } = resource;
  const context = resolvedContext(resource);
  const { start, priority, bucketKey, roleArn } = context;
  const planned = reencryptionDecision(currentReencryptionDoc(current), name, context).decision;
  const doc = await fetchReencryptionDoc(aws, location, name, resource.details);
  const observed = observedReencryption(doc, name, context);
  if (currentDecision(observed, start) === planned) return;
  const { decision, action } = reencryptionDecision(doc, name, context);
  if (action !== 'create' || decision !== planned)
    throw new Error(
      `another caller changed ${name} or its batch jobs since they were read; no job was created: run again`,
    );
  const { attempts, encryption } = observed;
  const reencryption = toReencryption(name, context, context.replacedKey, doc);
  const digest = reencryptionDigest(reencryption, encryption);
  const request: Omit<CreateJobRequest, 'AccountId'> = {
    // The objects with DSSE-KMS are only counted.
    ConfirmationRequired: start === 'Confirmed' || encryption === 'DSSE-KMS',
    Operation: {
      S3UpdateObjectEncryption: {
        ObjectEncryption: { SSEKMS: { KMSKeyArn: reencryption.key, BucketKeyEnabled: bucketKey } },
      },
    },
    Report: { Enabled: false },
    ClientRequestToken: jobToken([digest], attempts + 1),
    Priority: priority,
    RoleArn: String(roleArn),
    Description: reencryptionDescription(name, digest),
    ManifestGenerator: {
      S3JobManifestGenerator: {
        ExpectedBucketOwner: await aws.accountId(location.account),
        SourceBucket: bucketArn(name, location.region),
        EnableManifestOutput: false,
        Filter: reencryptionFilter(reencryption, encryption),
      },
    },
  };
  // Another request had the token, so the job exists.
  await ignoreErrors(createJob(aws, location, request), 'IdempotencyException');
}

/** Returns why only a person can bring a re-encryption forward. */
function reencryptionProblem(
  change: ReencryptionChange,
  { state }: ObservedReencryption,
  action: JobAction | undefined,
): string | undefined {
  const { name } = change.resource;
  const { maxObjects } = resolvedContext(change.resource);
  const { key, replacedKey } = reencryptionOf(change);
  if (key === replacedKey)
    return `a key cannot replace itself: its alias names ${key}, too; remove it from replaces`;
  if (state.state === 'exhausted')
    return `${MAX_ATTEMPTS} jobs left objects of ${name} under ${replacedKey}, the last one (${state.lastJob.id}): ${outcomeOf(state.lastJob)}. S3 re-encrypts no object with a retention or a legal hold of Object Lock; remove the cause, then declare a later countedAfter`;
  if (state.state === 'tooLarge')
    return `the job ${state.lastJob.id} had ${countObjects(state.lastJob.total)}, and the limit is ${groupDigits(maxObjects)}, so replikey cancelled it; raise maxObjects of reencrypt and maxBackfillObjects of the guardrails`;
  if (state.state === 'unsupported')
    return `${countObjects(state.lastJob.total)} of ${name} are encrypted under ${replacedKey} with DSSE-KMS, which S3 cannot re-encrypt (job ${state.lastJob.id}); copy them in place, then declare a later countedAfter`;
  if (action === 'approve' && state.state === 'suspended') return unknownSizeReason(state.job, maxObjects);
  return undefined;
}

const outcomeOf = (job: ObservedJob): string =>
  job.status === 'Complete'
    ? `${groupDigits(job.failed)} of ${groupDigits(job.succeeded + job.failed)} objects failed`
    : endReasonsOf(job);

/** Returns the risk of an action that starts a job. */
function reencryptionRisks(
  change: ReencryptionChange,
  { state, encryption }: ObservedReencryption,
  action: JobAction | undefined,
): NonNullable<Check['risks']> {
  const { name } = change.resource;
  const { start } = resolvedContext(change.resource);
  const { key, replacedKey } = reencryptionOf(change);
  const what = `of ${name} from ${replacedKey} to ${key}`;
  if (action === 'approve' && 'job' in state) {
    const { id, total } = state.job;
    const price = total === undefined ? '' : `, for ${reencryptionPriceText(total)}`;
    return [
      {
        id: 'start-reencryption',
        // The number of objects of a prepared job never changes.
        subject: id,
        message: `starts the job ${id}, which re-encrypts ${countObjects(state.job.total)} ${what}${price}`,
      },
    ];
  }
  if (action === 'create' && start === 'Automatic' && encryption === 'SSE-KMS')
    return [
      {
        id: 'start-reencryption',
        subject: name,
        message: `re-encrypts the objects ${what}, whose number is not known yet`,
      },
    ];
  return [];
}

/** Returns how far the re-encryption is. */
function reencryptionNotes(
  change: ReencryptionChange,
  { state, otherJob, isDefault }: ObservedReencryption,
  action: JobAction | undefined,
): string[] {
  const { name } = change.resource;
  const { replacedKey } = reencryptionOf(change);
  if (state.state === 'running' && !action) {
    const { id, status, total, succeeded, failed } = state.job;
    return total === undefined || total === 0
      ? [`S3 counts the objects of ${name} under ${replacedKey} (job ${id}, ${status})`]
      : [
          `the job ${id} is ${status}: ${groupDigits(succeeded + failed)} of ${countObjects(state.job.total)} re-encrypted, ${groupDigits(failed)} failed`,
        ];
  }
  if (state.state === 'early')
    return [
      `the job ${state.lastJob.id} has ended; the objects of ${name} under ${replacedKey} are counted after ${toInstant(state.untilMs)}, when no earlier upload uses the key any more`,
    ];
  if (state.state === 'absent' && isDefault)
    return [`a job follows when ${name} encrypts new objects under the new key`];
  if (state.state === 'absent' && !action)
    return [
      `a job follows when ${otherJob ? `the job ${otherJob.id}` : 'that of another replaced key'} of ${name} has ended`,
    ];
  if (state.state === 'done')
    return [
      `no object of ${name} was encrypted under ${replacedKey} on ${state.record.completedAt}; remove the key from replaces, unless writers still name it in their requests`,
    ];
  return [];
}
