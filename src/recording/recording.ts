import * as z from 'zod';
import { stableJson } from '../canonical.ts';
import type { Place } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';

/**
 * What AWS answered to reads, as `reconcile observe` writes it down: from it a plan is made later, elsewhere, without
 * credentials. Each answer stands in the shape of the API; nothing of how it was signed, and no request id, is kept.
 */
export interface Recording {
  format: 1;
  /** ISO 8601, when the last answer came. */
  observedAt: string;
  answers: Answer[];
}

export interface Answer {
  /** `s3:GetBucketVersioning` */
  call: string;
  /** Name of an Account document; absent for the ambient credentials. */
  account?: string;
  region: string;
  input: unknown;
  /** Either what came back, or the error. */
  output?: unknown;
  error?: Refused;
}

/** An answer that is an error: what is there to be learnt from it. */
export interface Refused {
  name: string;
  message: string;
  /** HTTP status. */
  status?: number;
  /** Region of the bucket, where S3 named it. */
  bucketRegion?: string;
}

/** By what an answer is found again: what was asked, of whom and where. IAM and STS answer the same everywhere. */
export const keyOf = (call: string, { account = '', region }: Place, input: unknown): string =>
  stableJson([call, account, /^(iam|sts):/.test(call) ? '' : region, input]);

const ANSWER = z.object({
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

const RECORDING = z.object({
  format: z.literal(1),
  observedAt: z.iso.datetime(),
  answers: z.array(ANSWER),
});

/** Whether a value wants to be a recording, rather than facts as people export them. */
export const isRecording = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'answers' in value;

/** @throws UserError where it does not have the form that `reconcile observe` writes. */
export function recordingOf(value: unknown, file: string): Recording {
  const parsed = RECORDING.safeParse(value);
  if (parsed.success) return parsed.data as Recording;
  const [issue] = parsed.error.issues;
  const where = issue?.path.join('.') || 'the document';
  throw new UserError(
    EXIT.usage,
    `${file} is not what \`reconcile observe\` writes: ${where}: ${issue?.message}`,
  );
}
