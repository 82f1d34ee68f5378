import { type BucketFacts, emptyFacts, type Fact, factValue, isUnread } from '../core/facts.ts';
import { accountOfArn } from '../iam/context.ts';
import { bucketArn, nameInArn, partitionOfRegion } from '../util/arn.ts';
import { transferPriceText } from '../util/prices.ts';
import { decide } from './decide.ts';
import { policyLabel } from './policies.ts';
import { roleSessionRequest } from './requests.ts';

/** What a plan reads about a job before it is created or started. */
export interface JobFacts {
  /** Absent: not known, or the job does not wait for its approval. */
  size?: BucketSize;
  /** The lifecycle rules of the buckets of the job. */
  lifecycles: BucketLifecycle[];
  /** Absent for a job without a report, and for one that exists already. */
  report?: ReportFacts;
}

/** The size of the source bucket of a job, as CloudWatch reported it. */
export interface BucketSize {
  bucket: string;
  region: string;
  bytes: number;
  /** `2026-11-29` */
  day: string;
  /** Regions of the declared destinations. */
  destinationRegions: string[];
}

export interface BucketLifecycle {
  bucket: string;
  /** The rules; null: there are none. */
  rules: Fact<LifecycleRule[]>;
}

/** What matters of a rule of a lifecycle configuration. */
export interface LifecycleRule {
  ID?: string | undefined;
  Status: string | undefined;
  Expiration?: { ExpiredObjectDeleteMarker?: boolean | undefined } | undefined;
  NoncurrentVersionExpiration?: object | undefined;
}

/** What the check of a report bucket needs. */
export interface ReportFacts {
  bucket: string;
  prefix: string;
  /** Region and account (12 digits) of the job. */
  region: string;
  account: string;
  /** ARN of the role of the job. */
  role: string;
  facts: Fact<BucketFacts>;
  /** Whether a spec declares the bucket, so that replikey creates it. */
  isDeclared: boolean;
}

/** Returns an upper bound of the bytes that a job replicates. A job selects objects of the bucket, noncurrent versions included. */
export function sizeText({ size }: JobFacts): string | undefined {
  if (!size) return undefined;
  const { bucket, region, bytes, day, destinationRegions } = size;
  const transfers = destinationRegions.flatMap((to) => {
    const price = transferPriceText(bytes, region, to);
    return price === undefined ? [] : [`${price} for the transfer to ${to}`];
  });
  const price = transfers.length === 0 ? '' : `, at most ${transfers.join(' and ')}`;
  return `at most ${bytesText(bytes)}, the size of ${bucket} on ${day}${price}`;
}

const BYTE_UNITS = ['bytes', 'KB', 'MB', 'GB', 'TB', 'PB'] as const;

/** Formats a number of bytes with up to three digits, rounded up: `310 GB`. */
export function bytesText(bytes: number): string {
  const exponent = Math.min(
    BYTE_UNITS.length - 1,
    Math.max(0, Math.floor(Math.log10(Math.max(bytes, 1)) / 3)),
  );
  const value = bytes / 1000 ** exponent;
  const step = value < 10 && exponent > 0 ? 10 : 1;
  return `${Math.ceil(value * step) / step} ${BYTE_UNITS[exponent]}`;
}

/**
 * Returns notes on lifecycle rules that delete what a job replicates. AWS advises to disable lifecycle rules while a job is
 * active: a replicated delete marker may be deleted before the versions of its object arrive (S3 User Guide, "Replicating
 * existing objects with Batch Replication").
 */
export const lifecycleNotes = ({ lifecycles }: JobFacts): string[] =>
  lifecycles.flatMap(({ bucket, rules }) => {
    if (isUnread(rules)) return [`replikey cannot check the lifecycle rules of ${bucket}: ${rules.unread}`];
    const deleting = (rules ?? []).filter(isDeleting).map(({ ID = '' }) => `"${ID}"`);
    return deleting.length === 0
      ? []
      : [
          `the lifecycle rule${deleting.length === 1 ? '' : 's'} ${deleting.join(', ')} of ${bucket} may delete versions or delete markers before the job has replicated all of an object; disable ${deleting.length === 1 ? 'it' : 'them'} until the job has ended`,
        ];
  });

const isDeleting = ({ Status, Expiration, NoncurrentVersionExpiration }: LifecycleRule): boolean =>
  Status === 'Enabled' &&
  (Expiration?.ExpiredObjectDeleteMarker === true || NoncurrentVersionExpiration !== undefined);

/** Returns why S3 could not write the report of a job, with what to do. */
export function reportProblem({ report }: JobFacts): string | undefined {
  if (!report) return undefined;
  const { bucket, region, account, facts, isDeclared } = report;
  const subject = `S3 cannot write the report of the job to ${bucket}`;
  if (facts === null)
    return isDeclared
      ? undefined
      : `${subject}: the bucket does not exist; create it in ${region}, or remove report`;
  if (isUnread(facts))
    return `replikey cannot check whether S3 can write the report of the job to ${bucket}: ${facts.unread}; use a bucket of the account ${account} that replikey can read, or remove report`;
  const other = `use a bucket in ${region} of the account ${account}, or remove report`;
  if (facts.region !== region)
    return `${subject}: the bucket is in ${facts.region}, and the job runs in ${region}; ${other}`;
  if (facts.account !== undefined && facts.account !== account)
    return `${subject}: the bucket belongs to the account ${facts.account}; ${other}`;
  const unread = [facts.policy, facts.objectLock].find(isUnread);
  if (unread)
    return `replikey cannot check whether S3 can write the report of the job to ${bucket}: ${unread.unread}; allow these reads, or remove report`;
  // S3 User Guide, "Troubleshooting Batch Operations": a report bucket must not have a default retention.
  if (factValue(facts.objectLock)?.Rule?.DefaultRetention)
    return `${subject}: S3 writes no report to a bucket with a default retention; remove the retention, use another bucket, or remove report`;
  return deniedReason(report, facts, subject);
}

/**
 * Returns why the bucket policy denies S3 to write the report as the role of the job. S3 encrypts all reports with SSE-S3
 * (S3 User Guide, "Examples: S3 Batch Operations completion reports"). AWS does not document whether the request has the
 * header for it, so a policy that decides by the header alone blocks nothing.
 */
function deniedReason(
  { bucket, prefix, region, account, role }: ReportFacts,
  facts: BucketFacts,
  subject: string,
): string | undefined {
  const policy = factValue(facts.policy);
  if (!policy) return undefined;
  const partition = partitionOfRegion(region);
  const name = policyLabel({ kind: 'bucket', of: bucket });
  const request = roleSessionRequest(
    {
      role,
      session: {
        // AWS does not document the name of the session.
        principal: `arn:${partition}:sts::${accountOfArn(role)}:assumed-role/${nameInArn(role)}/${SESSION_NAME_OF_JOBS}`,
        account: accountOfArn(role),
        name: SESSION_NAME_OF_JOBS,
      },
      facts: emptyFacts(),
    },
    's3:PutObject',
    `${bucketArn(bucket, region)}/${prefix}job-00000000-0000-0000-0000-000000000000/manifest.json`,
    { account, region },
    { 's3:ResourceAccount': account },
  );
  const decision = decide(
    { ...request, optionalContext: { 's3:x-amz-server-side-encryption': 'AES256' } },
    { identity: [{ name: 'policy of the role', policy: ALLOW_EVERYTHING }], resource: { name, policy } },
  );
  if ('undecided' in decision || decision.allowed) return undefined;
  return `${subject}: ${decision.reason}; S3 encrypts reports with SSE-S3: allow the role ${nameInArn(role)} to write under ${prefix === '' ? 'the bucket' : prefix}, use another bucket, or remove report`;
}

const SESSION_NAME_OF_JOBS = 's3-batch-operations';

const ALLOW_EVERYTHING = {
  Statement: { Effect: 'Allow' as const, Action: '*', Resource: '*' },
};
