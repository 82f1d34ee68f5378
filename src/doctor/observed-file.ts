import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import {
  GetBucketEncryptionCommand,
  GetBucketOwnershipControlsCommand,
  GetBucketReplicationCommand,
  GetObjectLockConfigurationCommand,
  GetPublicAccessBlockCommand,
} from '@aws-sdk/client-s3';
import * as z from 'zod';
import { misfitOf } from '../aws/answer-form.ts';
import { layOver, nothingObserved, type Observed } from '../core/observed.ts';
import { EXIT, UserError } from '../errors.ts';
import { asPolicy } from '../iam/parse.ts';
import type { Policy } from '../iam/types.ts';
import { policyOf } from '../kinds/policy-text.ts';

/**
 * Facts from a file, or from all JSON files of a folder: `buckets` by name, `roles` and `keys` by ARN. Each part may
 * stand as the AWS CLI prints it; `null` says that there is none, and what is left out is not known.
 *
 * @throws UserError where a file cannot be read, or does not have this form.
 */
export async function observedFrom(place: string): Promise<Observed> {
  const files = await filesOf(place);
  const result = nothingObserved();
  for (const part of await Promise.all(files.map(readOne))) layOver(result, part);
  return result;
}

async function filesOf(place: string): Promise<string[]> {
  try {
    if (!(await stat(place)).isDirectory()) return [place];
    const names = await readdir(place, { recursive: true });
    const files = names.filter((name) => name.endsWith('.json')).sort();
    if (files.length === 0) throw new UserError(EXIT.usage, `there is no JSON file in ${place}`);
    return files.map((name) => path.join(place, name));
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(EXIT.usage, `${place} cannot be read: ${(error as Error).message}`);
  }
}

async function readOne(file: string): Promise<Observed> {
  const text = await readFile(file, 'utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UserError(EXIT.usage, `${file} is not JSON: ${(error as Error).message}`);
  }
  const parsed = OBSERVED.safeParse(value);
  if (parsed.success) return parsed.data as Observed;
  const { path: where, message } = innermost(parsed.error.issues);
  throw new UserError(
    EXIT.usage,
    `${file}: ${where.join('.') || 'the document'}: ${message}; docs/doctor.md shows the form`,
  );
}

/** What is wrong where several forms would do: the last of them is the one that says most. */
function innermost([issue]: readonly z.core.$ZodIssue[]): { path: PropertyKey[]; message: string } {
  if (issue?.code !== 'invalid_union') return { path: issue?.path ?? [], message: issue?.message ?? '' };
  const inner = innermost(issue.errors.at(-1) ?? []);
  return { ...inner, path: [...issue.path, ...inner.path] };
}

const UNREAD = z.strictObject({ unread: z.string() });

/** A fact, perhaps in the wrapping that the AWS CLI prints around it. */
const fact = <T extends z.ZodType>(form: T, wrapping?: string) =>
  z
    .preprocess(
      (value) => (wrapping !== undefined && isRecord(value) && wrapping in value ? value[wrapping] : value),
      z.union([z.null(), UNREAD, form]),
    )
    .optional();

/** A policy as an object, or as the text that S3 and IAM give. */
const POLICY = z.unknown().transform((value, context): Policy => {
  try {
    return typeof value === 'string' ? policyOf(value) : asPolicy(value);
  } catch (error) {
    context.issues.push({ code: 'custom', message: (error as Error).message, input: value });
    return z.NEVER;
  }
});

/** A part of what S3 answers to a command. */
const answered = <T extends z.ZodType>(command: object, part: string, form: T) =>
  form.superRefine((value, context) => {
    const message = misfitOf(command, { [part]: value });
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  });

const RULES = z.looseObject({ Rules: z.array(z.looseObject({})) });
const ANY = { Bucket: 'any' };

/** Parts of answers about buckets: as which fact they stand, and in which wrapping. */
const partOf = (command: object, part: string, form: z.ZodType = z.looseObject({})) =>
  fact(answered(command, part, form), part);

const BUCKET = z.strictObject({
  region: z.string(),
  account: z.string().optional(),
  versioning: fact(z.looseObject({ Status: z.string().optional() })),
  replication: partOf(
    new GetBucketReplicationCommand(ANY),
    'ReplicationConfiguration',
    RULES.extend({ Role: z.string() }),
  ),
  encryption: partOf(new GetBucketEncryptionCommand(ANY), 'ServerSideEncryptionConfiguration', RULES),
  policy: fact(POLICY, 'Policy'),
  ownership: partOf(new GetBucketOwnershipControlsCommand(ANY), 'OwnershipControls', RULES),
  objectLock: partOf(new GetObjectLockConfigurationCommand(ANY), 'ObjectLockConfiguration'),
  publicAccessBlock: partOf(new GetPublicAccessBlockCommand(ANY), 'PublicAccessBlockConfiguration'),
});

const ROLE = z.strictObject({
  trust: fact(POLICY, 'AssumeRolePolicyDocument'),
  policies: z.union([UNREAD, z.record(z.string(), POLICY)]).optional(),
  boundary: fact(POLICY),
});

/** A key in our words, or as `aws kms describe-key` prints it, with its policy beside. */
const KEY = z.preprocess(
  (value) => {
    if (!isRecord(value) || !isRecord(value.KeyMetadata)) return value;
    const { Arn, KeyState, KeyUsage, KeySpec, KeyManager } = value.KeyMetadata;
    const { KeyMetadata: _, ...rest } = value;
    return { arn: Arn, state: KeyState, usage: KeyUsage, keySpec: KeySpec, manager: KeyManager, ...rest };
  },
  z.strictObject({
    arn: z.string(),
    state: z.string().optional(),
    usage: z.string().optional(),
    keySpec: z.string().optional(),
    manager: z.string().optional(),
    policy: fact(POLICY, 'Policy'),
  }),
);

const named = <T extends z.ZodType>(form: T) =>
  z.record(z.string(), z.union([z.null(), UNREAD, form])).default({});

const OBSERVED = z.strictObject({ buckets: named(BUCKET), roles: named(ROLE), keys: named(KEY) });

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
