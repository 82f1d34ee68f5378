import * as z from 'zod';
import type { Location } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import { canonicalJson } from '../util/canonical-json.ts';

/**
 * Responses of AWS to reads, as `reconcile observe` writes them. A plan can be made from them later, elsewhere,
 * without credentials. Each response has the shape of the API; the snapshot contains no signatures and no request ids.
 */
export interface Snapshot {
  format: 1;
  /** ISO 8601: the time of the last response. */
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
  /** Either the output or the error is present. */
  output?: unknown;
  error?: RecordedError;
}

/** An error response, with the fields that replikey uses. */
export interface RecordedError {
  name: string;
  message: string;
  /** HTTP status. */
  status?: number;
  /** Region of the bucket, if S3 returned it. */
  bucketRegion?: string;
}

/**
 * Returns the key of a response: call, account, Region and input. IAM and STS return the same response in every
 * Region, so their keys omit it.
 */
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

/** Returns true if a value has the form of a snapshot, as opposed to exported facts. */
export const isSnapshot = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'answers' in value;

/**
 * Validates a snapshot.
 *
 * @throws UserError if the value does not have the form that `reconcile observe` writes.
 */
export function parseSnapshot(value: unknown, file: string): Snapshot {
  const parsed = SNAPSHOT_SCHEMA.safeParse(value);
  if (parsed.success) return parsed.data as Snapshot;
  const [issue] = parsed.error.issues;
  const path = issue?.path.join('.') || 'the document';
  throw new UserError(
    EXIT.usage,
    `${file} is not a snapshot of \`reconcile observe\`: ${path}: ${issue?.message}`,
  );
}
