import { createHash } from 'node:crypto';
import { DEFAULT_CHECKSUM_ALGORITHM } from '../protocol/checksums.ts';
import { encryptObject } from '../s3/encryption.ts';
import { computeChecksum, computeEtag } from '../s3/store-object.ts';
import { addVersion, nextVersionId } from '../s3/versions.ts';
import type { BucketState, JobState } from '../state.ts';
import type { TaskTarget } from './manifest.ts';
import {
  assumeJobRole,
  authorizeJobRole,
  sourceBucketNameOf,
  type TaskDeps,
  type TaskResult,
} from './tasks.ts';

/**
 * Returns a row of a report in CSV. The examples of AWS have the HTTP status before the error code, although the
 * `ReportSchema` of the same page names them in the other order (S3 User Guide, "Examples: S3 Batch Operations completion
 * reports").
 */
export function reportRowOf(job: JobState, [key, versionId]: TaskTarget, result: TaskResult): string {
  const fields = [
    sourceBucketNameOf(job),
    // As in a manifest, keys are URL-encoded.
    encodeURIComponent(key).replaceAll('%2F', '/'),
    versionId === 'null' ? '' : versionId,
    result.succeeded ? 'succeeded' : 'failed',
    String(result.httpStatus),
    result.errorCode,
    result.message,
  ];
  return `${fields.map(quoteField).join(',')}\n`;
}

const quoteField = (text: string): string =>
  /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;

/** Returns whether a report contains the row of a result. */
export const isReported = ({ report }: JobState, { succeeded }: TaskResult): boolean =>
  report.Enabled === true && (!succeeded || report.ReportScope === 'AllTasks');

/**
 * Writes the report of a job: a CSV file of the tasks that succeeded, one of those that failed, and `manifest.json`. A job
 * without a task has no report.
 *
 * @returns the reason for which the report cannot be written; undefined after a success
 */
export function writeReport(deps: TaskDeps, job: JobState): string | undefined {
  const { report, rows } = job;
  if (!report.Enabled || job.succeeded + job.failed === 0) return undefined;
  const bucketName = report.Bucket?.split(':::')[1] ?? '';
  const folder = [...(report.Prefix ? [report.Prefix.replace(/\/$/, '')] : []), `job-${job.id}`].join('/');
  const files: { key: string; body: Buffer }[] = [];
  const Results = (['succeeded', 'failed'] as const).flatMap((TaskExecutionStatus) => {
    if (rows[TaskExecutionStatus].length === 0) return [];
    const body = Buffer.concat(rows[TaskExecutionStatus].map((blob) => deps.store.getBlob(blob)));
    const key = `${folder}/results/${createHash('sha1').update(body).digest('hex')}.csv`;
    files.push({ key, body });
    const MD5Checksum = createHash('md5').update(body).digest('hex');
    return [{ TaskExecutionStatus, Bucket: bucketName, MD5Checksum, Key: key }];
  });
  const manifest = {
    Format: report.Format,
    ReportCreationDate: new Date(deps.clock()).toISOString(),
    Results,
    ReportSchema: 'Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage',
  };
  files.push({ key: `${folder}/manifest.json`, body: Buffer.from(JSON.stringify(manifest)) });

  const bucket = deps.store.bucket(bucketName);
  const { principal } = assumeJobRole(deps, job);
  const isWritable =
    bucket !== undefined &&
    principal !== undefined &&
    bucket.region === job.region &&
    bucket.owner === (report.ExpectedBucketOwner ?? bucket.owner) &&
    // S3 User Guide, "Troubleshooting": no report is delivered to a bucket with a default retention.
    !bucket.defaultRetention &&
    files.every(
      ({ key }) =>
        authorizeJobRole(deps, principal, 's3:PutObject', bucket, key, {
          's3:x-amz-server-side-encryption': 'AES256',
        }).allowed,
    );
  if (!isWritable)
    return 'The job report could not be written to your report bucket. Please check your permissions.';
  for (const { key, body } of files) storeReportFile(deps, bucket, key, body, principal);
  return undefined;
}

/** Stores a file of a report. S3 encrypts it with SSE-S3, also if the bucket has another default. */
function storeReportFile(
  { store, keyService, replicator, clock }: TaskDeps,
  bucket: BucketState,
  key: string,
  body: Buffer,
  principal: string,
): void {
  const { blob, encryption } = encryptObject(
    store,
    keyService,
    bucket,
    key,
    body,
    { algorithm: 'AES256', bucketKey: false, context: {} },
    principal,
  );
  const version = {
    key,
    versionId: nextVersionId(bucket),
    deleteMarker: false,
    modified: clock(),
    size: body.length,
    etag: computeEtag(body, encryption),
    blob,
    contentType: key.endsWith('.json') ? 'application/json' : 'text/csv',
    headers: {},
    metadata: {},
    tags: new Map<string, string>(),
    encryption,
    checksum: computeChecksum(body, DEFAULT_CHECKSUM_ALGORITHM),
  };
  addVersion(store, bucket, version);
  replicator.enqueue(bucket, version);
}
