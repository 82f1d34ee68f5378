import * as z from 'zod';
import type { Location } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import { canonicalJson } from '../util/canonical-json.ts';

/**
 * What AWS answered to reads, as `reconcile observe` writes it down: from it a plan is made later, elsewhere, without
 * credentials. Each answer stands in the shape of the API; nothing of how it was signed, and no request id, is kept.
 */
export interface Snapshot {
  format: 1;
  /** ISO 8601, when the last answer came. */
  observedAt: string;
  answers: SnapshotResponse[];
}

export interface SnapshotResponse {
  /** `s3:GetBucketVersioning` */
  call: string;
  /** Name of an Account document; absent for the ambient credentials. */
  account?: string;
  region: string;
  input: unknown;
  /** Either what came back, or the error. */
  output?: unknown;
  error?: RecordedError;
}

/** An answer that is an error: what is there to be learnt from it. */
export interface RecordedError {
  name: string;
  message: string;
  /** HTTP status. */
  status?: number;
  /** Region of the bucket, where S3 named it. */
  bucketRegion?: string;
}

/** By what an answer is found again: what was asked, of whom and where. IAM and STS answer the same everywhere. */
export const snapshotKey = (call: string, { account = '', region }: Location, input: unknown): string =>
  canonicalJson([call, account, /^(iam|sts):/.test(call) ? '' : region, input]);

const RESPONSE_SCHEMA = z.object({
  call: z.string(),
  account: z.string().optional(),
  region: z.string(),
  input: z.record(z.string(), z.unknown()),
  output: z.record(z.string(), z.unknown()).optional(),
  error: z
    .object({
      name: z.string(),
      message: z.string(),
      status: z.number().optional(),
      bucketRegion: z.string().optional(),
    })
    .optional(),
});

const SNAPSHOT_SCHEMA = z.object({
  format: z.literal(1),
  observedAt: z.iso.datetime(),
  answers: z.array(RESPONSE_SCHEMA),
});

/** Whether a value wants to be a recording, rather than facts as people export them. */
export const isSnapshot = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'answers' in value;

/** @throws UserError where it does not have the form that `reconcile observe` writes. */
export function parseSnapshot(value: unknown, file: string): Snapshot {
  const parsed = SNAPSHOT_SCHEMA.safeParse(value);
  if (parsed.success) return parsed.data as Snapshot;
  const [issue] = parsed.error.issues;
  const path = issue?.path.join('.') || 'the document';
  throw new UserError(
    EXIT.usage,
    `${file} is not what \`reconcile observe\` writes: ${path}: ${issue?.message}`,
  );
}
