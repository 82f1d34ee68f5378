import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { parse } from 'csv-parse';
import * as z from 'zod';
import { requireField } from '../aws/response.ts';
import type { Aws, Location } from '../core/resource.ts';
import type { FailureCause, JobReport } from '../proof/job-findings.ts';
import { decodeObjectKey } from '../util/escape.ts';

/** Keys of failed tasks that are kept as examples of each cause. */
const MAX_EXAMPLES = 3;

/** The part of `manifest.json` that lists the files of a report. */
const manifestSchema = z.object({
  Results: z.array(z.object({ TaskExecutionStatus: z.string(), Key: z.string() })),
});

/**
 * Reads the report of an ended job; undefined if S3 has written none. It has a row for each failed task, so it is read as a
 * stream. S3 User Guide, "Examples: S3 Batch Operations completion reports": `manifest.json` lists the files of the report.
 *
 * @throws the error of AWS, or of a report in another format
 */
export async function readJobReport(
  aws: Aws,
  location: Location,
  { bucket, prefix }: { bucket: string; prefix: string },
  jobId: string,
): Promise<JobReport | undefined> {
  const folder = [prefix.replace(/\/$/, ''), `job-${jobId}`].filter(Boolean).join('/');
  const manifest = await openObject(aws, location, bucket, `${folder}/manifest.json`).catch(
    (error: Error) => {
      if (error.name === 'NoSuchKey') return undefined;
      throw error;
    },
  );
  if (manifest === undefined) return undefined;
  const { Results } = manifestSchema.parse(JSON.parse(Buffer.concat(await manifest.toArray()).toString()));
  const causes = new Map<string, FailureCause>();
  for (const { TaskExecutionStatus, Key } of Results)
    if (TaskExecutionStatus === 'failed')
      await readReportRows(await openObject(aws, location, bucket, Key), (row) => addRow(causes, row));
  return { causes: [...causes.values()].sort((a, b) => b.count - a.count) };
}

async function openObject(aws: Aws, location: Location, Bucket: string, Key: string): Promise<Readable> {
  const ExpectedBucketOwner = await aws.accountId(location.account);
  const response = await aws.send(location, new GetObjectCommand({ Bucket, Key, ExpectedBucketOwner }));
  return Readable.from(requireField(response, 'Body') as AsyncIterable<Uint8Array>);
}

/** A failed task, as a row of a report has it. */
interface ReportRow {
  key: string;
  errorCode: string;
  message: string;
}

/**
 * Calls `onRow` with each failed task in a file of a report. The `ReportSchema` of AWS has the error code before the HTTP
 * status; the examples on the same page have them in the other order, so the number distinguishes them.
 */
export async function readReportRows(file: Readable, onRow: (row: ReportRow) => void): Promise<void> {
  const parser = parse({ relax_column_count: true, skip_empty_lines: true });
  await pipeline(file, parser, async (rows: AsyncIterable<string[]>) => {
    for await (const [, key = '', , , first = '', second = '', message = ''] of rows)
      onRow({ key: decodeObjectKey(key), errorCode: /^\d*$/.test(first) ? second : first, message });
  });
}

function addRow(causes: Map<string, FailureCause>, { key, errorCode, message }: ReportRow): void {
  const cause = causes.get(errorCode) ?? { errorCode, message, count: 0, keys: [] };
  cause.count += 1;
  if (cause.keys.length < MAX_EXAMPLES) cause.keys.push(key);
  causes.set(errorCode, cause);
}
