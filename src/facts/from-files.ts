import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import {
  GetBucketEncryption$,
  GetBucketOwnershipControls$,
  GetBucketReplication$,
  GetObjectLockConfiguration$,
  GetPublicAccessBlock$,
} from '@aws-sdk/client-s3';
import * as z from 'zod';
import type { OperationSchema } from '../aws/command.ts';
import { schemaViolationOf } from '../aws/response.ts';
import { emptyFacts, type Facts, mergeFacts } from '../core/facts.ts';
import { EXIT, UserError } from '../errors.ts';
import { toPolicy } from '../iam/parse.ts';
import type { ControlPolicyLevel, Policy } from '../iam/types.ts';
import { parsePolicyDocument } from '../kinds/policy-document.ts';
import { parseJson } from '../util/files.ts';

/**
 * Loads facts from a file, or from all JSON files of a folder: `buckets` by name, `roles` and `keys` by ARN, `accounts`
 * by id. Each part may have the form that the AWS CLI prints. `null` means that it does not exist; an omitted part is unknown.
 *
 * @throws UserError if a file cannot be read, or does not have this form.
 */
export async function loadFacts(fileOrFolder: string): Promise<Facts> {
  const files = await listJsonFiles(fileOrFolder);
  const merged = emptyFacts();
  for (const facts of await Promise.all(files.map(readFactsFile))) mergeFacts(merged, facts);
  return merged;
}

async function listJsonFiles(fileOrFolder: string): Promise<string[]> {
  try {
    if (!(await stat(fileOrFolder)).isDirectory()) return [fileOrFolder];
    const names = await readdir(fileOrFolder, { recursive: true });
    const files = names.filter((name) => name.endsWith('.json')).sort();
    if (files.length === 0) throw new UserError(EXIT.usage, `no JSON file found in ${fileOrFolder}`);
    return files.map((name) => path.join(fileOrFolder, name));
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(EXIT.usage, `cannot read ${fileOrFolder}: ${(error as Error).message}`);
  }
}

async function readFactsFile(file: string): Promise<Facts> {
  const text = await readFile(file, 'utf8');
  const parsed = FACTS_SCHEMA.safeParse(parseJson(text, file));
  if (parsed.success) return parsed.data as Facts;
  const { path: location, message } = innermostIssue(parsed.error.issues);
  throw new UserError(
    EXIT.usage,
    `${file}: ${location.join('.') || 'the document'}: ${message}; see docs/how-to/diagnose-replication.md for the format`,
  );
}

/**
 * Returns the innermost issue. If a value matches none of several forms, the last form gives the most specific
 * message.
 */
function innermostIssue([issue]: readonly z.core.$ZodIssue[]): { path: PropertyKey[]; message: string } {
  if (issue?.code !== 'invalid_union') return { path: issue?.path ?? [], message: issue?.message ?? '' };
  const inner = innermostIssue(issue.errors.at(-1) ?? []);
  return { ...inner, path: [...issue.path, ...inner.path] };
}

const UNREAD_SCHEMA = z.strictObject({ unread: z.string() });

/** Returns the schema of a fact, with or without the wrapper object of the AWS CLI. */
const factSchema = <T extends z.ZodType>(schema: T, wrapperField?: string) =>
  z
    .preprocess(
      (value) =>
        wrapperField !== undefined && isJsonRecord(value) && wrapperField in value
          ? value[wrapperField]
          : value,
      z.union([z.null(), UNREAD_SCHEMA, schema]),
    )
    .optional();

/** A policy as an object, or as the JSON text that S3 and IAM return. */
const POLICY_SCHEMA = z.unknown().transform((value, context): Policy => {
  try {
    return typeof value === 'string' ? parsePolicyDocument(value) : toPolicy(value);
  } catch (error) {
    context.issues.push({ code: 'custom', message: (error as Error).message, input: value });
    return z.NEVER;
  }
});

/** Returns the schema of one field of an S3 response. */
const responsePartSchema = <T extends z.ZodType>(operation: OperationSchema, field: string, schema: T) =>
  schema.superRefine((value, context) => {
    const message = schemaViolationOf(operation, { [field]: value });
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  });

const RULES_SCHEMA = z.looseObject({ Rules: z.array(z.looseObject({})) });

/** Returns the schema of a bucket fact, with or without the field that wraps it in the response. */
const bucketFactSchema = (operation: OperationSchema, field: string, schema: z.ZodType = z.looseObject({})) =>
  factSchema(responsePartSchema(operation, field, schema), field);

const BUCKET_SCHEMA = z.strictObject({
  region: z.string(),
  account: z.string().optional(),
  versioning: factSchema(z.looseObject({ Status: z.string().optional() })),
  replication: bucketFactSchema(
    GetBucketReplication$,
    'ReplicationConfiguration',
    RULES_SCHEMA.extend({ Role: z.string() }),
  ),
  encryption: bucketFactSchema(GetBucketEncryption$, 'ServerSideEncryptionConfiguration', RULES_SCHEMA),
  policy: factSchema(POLICY_SCHEMA, 'Policy'),
  ownership: bucketFactSchema(GetBucketOwnershipControls$, 'OwnershipControls', RULES_SCHEMA),
  objectLock: bucketFactSchema(GetObjectLockConfiguration$, 'ObjectLockConfiguration'),
  publicAccessBlock: bucketFactSchema(GetPublicAccessBlock$, 'PublicAccessBlockConfiguration'),
});

const ROLE_SCHEMA = z.strictObject({
  id: z.string().optional(),
  tags: z.record(z.string(), z.string()).optional(),
  trust: factSchema(POLICY_SCHEMA, 'AssumeRolePolicyDocument'),
  policies: z.union([UNREAD_SCHEMA, z.record(z.string(), POLICY_SCHEMA)]).optional(),
  boundary: factSchema(POLICY_SCHEMA),
  boundaryArn: z.string().optional(),
});

const TEXTS_SCHEMA = z.record(z.string(), z.string()).optional();

/** The list that `aws kms list-grants` prints. Its dates have one of two forms, and do not decide. */
const GRANTS_SCHEMA = z.array(
  z.looseObject({
    GrantId: z.string().optional(),
    GranteePrincipal: z.string().optional(),
    Operations: z.array(z.string()).optional(),
    Constraints: z
      .looseObject({
        EncryptionContextSubset: TEXTS_SCHEMA,
        EncryptionContextEquals: TEXTS_SCHEMA,
        SourceArn: z.string().optional(),
      })
      .optional(),
  }),
);

/** A key in the form of replikey's facts, or as `aws kms describe-key` prints it, plus its policy and grants. */
const KEY_SCHEMA = z.preprocess(
  (value) => {
    if (!isJsonRecord(value) || !isJsonRecord(value.KeyMetadata)) return value;
    const { Arn, KeyState, KeyUsage, KeySpec, KeyManager } = value.KeyMetadata;
    const { KeyMetadata: _, ...otherFields } = value;
    return {
      arn: Arn,
      state: KeyState,
      usage: KeyUsage,
      keySpec: KeySpec,
      manager: KeyManager,
      ...otherFields,
    };
  },
  z.strictObject({
    arn: z.string(),
    state: z.string().optional(),
    usage: z.string().optional(),
    keySpec: z.string().optional(),
    manager: z.string().optional(),
    policy: factSchema(POLICY_SCHEMA, 'Policy'),
    grants: factSchema(GRANTS_SCHEMA, 'Grants'),
  }),
);

/** A control policy: a policy document, or a document with its name. */
const CONTROL_POLICY_SCHEMA = z.union([
  z.strictObject({ name: z.string(), policy: POLICY_SCHEMA }),
  POLICY_SCHEMA.transform((policy) => ({ name: '', policy })),
]);

/** Levels of control policies, from the root to the account. Each level is a list of policies, or a named list. */
const levelsSchema = (type: 'SCP' | 'RCP') =>
  factSchema(
    z.array(
      z.union([
        z.strictObject({ name: z.string(), policies: z.array(CONTROL_POLICY_SCHEMA) }),
        z.array(CONTROL_POLICY_SCHEMA).transform((policies) => ({ name: '', policies })),
      ]),
    ),
  ).transform((fact) =>
    Array.isArray(fact) ? fact.map((level, index) => nameLevel(type, level, index)) : fact,
  );

/** Names a level, and its policies, by their positions where the file gives no names. */
function nameLevel(type: 'SCP' | 'RCP', level: ControlPolicyLevel, index: number): ControlPolicyLevel {
  const name = level.name || `level ${index + 1}`;
  return {
    name,
    policies: level.policies.map((policy, position) => ({
      ...policy,
      name: policy.name || `${type} ${position + 1} attached to ${name}`,
    })),
  };
}

const ACCOUNT_SCHEMA = z.strictObject({
  organization: z
    .union([z.null(), UNREAD_SCHEMA, z.strictObject({ id: z.string(), path: z.string() })])
    .optional(),
  outside: z.string().optional(),
  scps: levelsSchema('SCP'),
  rcps: levelsSchema('RCP'),
});

const factsByNameSchema = <T extends z.ZodType>(schema: T) =>
  z.record(z.string(), z.union([z.null(), UNREAD_SCHEMA, schema])).default({});

const FACTS_SCHEMA = z.strictObject({
  buckets: factsByNameSchema(BUCKET_SCHEMA),
  roles: factsByNameSchema(ROLE_SCHEMA),
  keys: factsByNameSchema(KEY_SCHEMA),
  accounts: z.record(z.string(), z.union([z.null(), UNREAD_SCHEMA, ACCOUNT_SCHEMA])).optional(),
});

const isJsonRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
