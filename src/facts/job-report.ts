import { GetObjectCommand } from '@aws-sdk/client-s3';
import { requireField } from '../aws/response.ts';
import type { Aws, Location } from '../core/resource.ts';
import { decodeObjectKey } from '../util/escape.ts';

/** The report of a batch job: its failed tasks by their cause. */
export interface JobReport {
  /** The most frequent cause first. */
  causes: FailureCause[];
  /** Whether all failed tasks are counted; false for a report that is larger than replikey reads. */
  isComplete: boolean;
}

/** Failed tasks with one error code. */
export interface FailureCause {
  /** `DstObjectHardDeleted` */
  errorCode: string;
  /** The message of the first of them. */
  message: string;
  count: number;
  /** Keys of the first of them. */
  keys: string[];
}

/** Maximum number of bytes that replikey reads of a file, about 40,000 tasks. */
const MAX_BYTES = 8 * 1024 * 1024;
const MAX_EXAMPLES = 3;

/**
 * Reads the report of an ended job; undefined if S3 has written none. S3 User Guide, "Examples: S3 Batch Operations completion
 * reports": `manifest.json` lists the files of the report.
 *
 * @throws the error of AWS
 */
export async function readJobReport(
  aws: Aws,
  location: Location,
  { bucket, prefix }: { bucket: string; prefix: string },
  jobId: string,
): Promise<JobReport | undefined> {
  const folder = [prefix.replace(/\/$/, ''), `job-${jobId}`].filter(Boolean).join('/');
  const manifest = await readText(aws, location, bucket, `${folder}/manifest.json`).catch((error: Error) => {
    if (error.name === 'NoSuchKey') return undefined;
    throw error;
  });
  if (manifest === undefined) return undefined;
  const { Results = [] } = JSON.parse(manifest.text) as {
    Results?: { TaskExecutionStatus?: string; Key?: string }[];
  };
  const files = await Promise.all(
    Results.filter(({ TaskExecutionStatus }) => TaskExecutionStatus === 'failed').map(({ Key = '' }) =>
      readText(aws, location, bucket, Key),
    ),
  );
  return {
    causes: causesIn(files.flatMap(({ text }) => parseReportRows(text))),
    isComplete: files.every(({ isComplete }) => isComplete),
  };
}

/** Reads an object, up to the last full line within the limit. */
async function readText(
  aws: Aws,
  location: Location,
  Bucket: string,
  Key: string,
): Promise<{ text: string; isComplete: boolean }> {
  const ExpectedBucketOwner = await aws.accountId(location.account);
  const Range = `bytes=0-${MAX_BYTES - 1}`;
  const response = await aws.send(
    location,
    new GetObjectCommand({ Bucket, Key, ExpectedBucketOwner, Range }),
  );
  const chunks: Uint8Array[] = [];
  for await (const chunk of requireField(response, 'Body') as AsyncIterable<Uint8Array>) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString('utf8');
  const size = Number(response.ContentRange?.split('/')[1] ?? 0);
  return size > MAX_BYTES
    ? { text: text.slice(0, text.lastIndexOf('\n') + 1), isComplete: false }
    : { text, isComplete: true };
}

/** A failed task, as a row of a report has it. */
interface ReportRow {
  key: string;
  errorCode: string;
  message: string;
}

/**
 * Returns the failed tasks in a file of a report. The `ReportSchema` of AWS has the error code before the HTTP status; the
 * examples on the same page have them in the other order, so the number distinguishes them.
 */
export const parseReportRows = (text: string): ReportRow[] =>
  parseCsv(text).map(([, key = '', , , first = '', second = '', message = '']) => ({
    key: decodeObjectKey(key),
    errorCode: /^\d*$/.test(first) ? second : first,
    message,
  }));

/** Returns the fields of each line. A field in quotes may contain commas, line feeds and doubled quotes (RFC 4180). */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  for (const [, quoted, plain = '', end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    row.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === ',') continue;
    if (row.length > 1) rows.push(row);
    row = [];
  }
  return rows;
}

function causesIn(rows: readonly ReportRow[]): FailureCause[] {
  const causes = new Map<string, FailureCause>();
  for (const { key, errorCode, message } of rows) {
    const cause = causes.get(errorCode) ?? { errorCode, message, count: 0, keys: [] };
    cause.count += 1;
    if (cause.keys.length < MAX_EXAMPLES) cause.keys.push(key);
    causes.set(errorCode, cause);
  }
  return [...causes.values()].sort((a, b) => b.count - a.count);
}
