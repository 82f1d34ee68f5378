import * as z from 'zod';
import * as patterns from './patterns.ts';
import { ruleShape } from './rule-fields.ts';
import { integerSchema, nameSchema, textMapSchema, textSchema } from './schema-builders.ts';
import { partialShape } from './schema-keys.ts';

/**
 * Schemas of spec documents as users write them. They are the single source of the types, the validation and the JSON
 * Schema. `resolve.ts` converts the result into the types that the other modules use.
 */

const keyReferenceSchema = textSchema(
  patterns.checkKeyReference,
  'An alias (looked up, and created when absent), or an ARN or key id.',
  {
    examples: ['alias/acme-tax'],
  },
);

const keySettingsShape = {
  alias: textSchema(patterns.checkKeyAlias, 'An alias: looked up, and created with its key when absent.', {
    pattern: '^alias/(?!aws/)[a-zA-Z0-9:/_-]+$',
    examples: ['alias/acme-tax'],
  }).optional(),
  arn: textSchema(patterns.checkKeyArn, 'ARN of a key that exists and is never altered.').optional(),
  description: textSchema(
    patterns.checkDescription,
    'Description of the key; absent: left as it is.',
  ).optional(),
  rotation: z.boolean().describe('Automatic rotation; absent: left as it is.').optional(),
  rotationPeriodInDays: integerSchema(
    90,
    2_560,
    'Days between rotations; absent: left as it is, 365 for a key that begins to rotate.',
  ).optional(),
};

const longKeyMetadata = {
  description: 'The long form: an alias or an ARN, with settings.',
  ...exactlyOneOf('alias', 'arn'),
};

/** A KMS key that encrypts source objects. */
const sourceKeySchema = z
  .union([keyReferenceSchema, z.strictObject(keySettingsShape).meta(longKeyMetadata)])
  .meta({
    description: 'A KMS key: an alias, an ARN, or the long form.',
    examples: ['alias/acme-old'],
  });

/** The key of a side, with which its bucket encrypts new objects. */
const keySchema = z
  .union([
    keyReferenceSchema,
    z
      .strictObject({
        ...keySettingsShape,
        bucketKey: z
          .boolean()
          .describe(
            'S3 Bucket Key for new objects of the bucket; it decides their encryption context. Absent: true under SSE-KMS, and false otherwise.',
          )
          .optional(),
      })
      .meta(longKeyMetadata),
  ])
  .meta({ description: 'The KMS key: an alias, an ARN, or the long form.', examples: ['alias/acme-tax'] });

const sideShape = {
  bucket: textSchema(patterns.checkBucketNameFormat, 'Name of the bucket; created when absent.', {
    minLength: 3,
    maxLength: 63,
    examples: ['acme-tax'],
  }),
  region: textSchema(patterns.checkRegion, 'Region of the bucket.', {
    examples: ['us-east-1', 'eu-central-1'],
  }),
  account: z.string().describe('Name of an Account document; absent: the ambient credentials.').optional(),
  key: keySchema,
  defaultEncryption: z
    .enum(['SSE-KMS', 'DSSE-KMS', 'SSE-S3'])
    .describe(
      'How new objects of the bucket are encrypted where a request does not say: under the key (once or twice), or by S3 alone.',
    )
    .default('SSE-KMS'),
  blockPublicAccess: z
    .boolean()
    .describe('All four settings of the block of public access; absent: left as they are.')
    .optional(),
  objectOwnership: z
    .enum(['BucketOwnerEnforced', 'BucketOwnerPreferred', 'ObjectWriter'])
    .describe('Who owns new objects, and whether ACLs count; absent: left as it is.')
    .optional(),
};

const storageClassSchema = z
  .enum([
    'STANDARD',
    'STANDARD_IA',
    'ONEZONE_IA',
    'INTELLIGENT_TIERING',
    'GLACIER_IR',
    'GLACIER',
    'DEEP_ARCHIVE',
    'REDUCED_REDUNDANCY',
  ])
  .describe('Storage class of the replicas; absent: that of the source.');

const ruleSchema = z
  .strictObject(ruleShape)
  .meta({ description: 'Which objects are replicated, and how.', ...exactlyOneOf('prefix', 'filter') });

const apiVersionSchema = z
  .literal('replikey.dev/v1')
  .meta({ description: 'Version of this format.', examples: ['replikey.dev/v1'] });

/** Returns the schema of a document: the envelope shared by all kinds, with the metadata and spec of one kind. */
const documentSchema = <Kind extends string, Metadata extends z.ZodRawShape, Spec extends z.ZodType>(
  kind: Kind,
  description: string,
  metadata: Metadata,
  spec: Spec,
) =>
  z.strictObject({
    apiVersion: apiVersionSchema,
    kind: z.literal(kind).describe(description),
    metadata: z.strictObject(metadata),
    spec,
  });

const defaultsNameSchema = nameSchema(
  'Name of a Defaults document, for what is left out here; absent: none.',
).optional();

/** The fields of a pair. Defaults can supply any of them. */
const pairShape = {
  direction: z
    .enum(['oneWay', 'both'])
    .describe('both: the destination replicates back, and changes of replicas are synced in both directions.')
    .default('oneWay'),
  source: z.strictObject(sideShape).describe('The bucket whose new objects are replicated.'),
  destination: z
    .strictObject({
      ...sideShape,
      storageClass: storageClassSchema.optional(),
      objectOwner: z
        .enum(['source', 'destination'])
        .describe(
          'Whose the replicas are where the accounts differ; absent: the destination, since its account could not read them otherwise.',
        )
        .optional(),
    })
    .describe('The bucket that receives the replicas.'),
  sourceKeys: z
    .array(sourceKeySchema)
    .max(100)
    .describe('Further keys under which objects of the source lie: the role may decrypt under them too.')
    .default([]),
  role: z
    .strictObject({
      name: textSchema(patterns.checkRoleName, 'Created when absent.', {
        maxLength: 64,
        pattern: '^[\\w+=,.@-]+$',
      }).optional(),
      arn: textSchema(
        patterns.checkRoleArnFormat,
        'ARN of a role that exists and is never altered.',
      ).optional(),
      path: textSchema(patterns.checkIamPath, 'Path of a new role; it cannot be changed later.', {
        examples: ['/service-role/'],
      }).optional(),
      permissionsBoundary: textSchema(
        patterns.checkPolicyArn,
        'ARN of a managed policy that limits the role; absent: left as it is.',
      ).optional(),
      tags: textMapSchema(
        patterns.checkTagKey,
        patterns.checkTagValue,
        'Tags of the role, beside those that it has.',
      ).optional(),
    })
    .meta({
      description:
        'The role that S3 assumes; absent: replikey- and the name of the source bucket, within 64 characters.',
      // `role` may omit both name and arn, because the role then has its derived name.
      not: { required: ['name', 'arn'] },
    })
    .optional(),
  rules: z.array(ruleSchema).min(1).max(1000).describe('What is replicated; nothing else ever is.'),
  policy: z
    .strictObject({
      deletion: z
        .enum(['Retain', 'Remove'])
        .describe(
          'What --prune may take away once it is not declared any more: nothing, or rules, permissions and role.',
        )
        .default('Retain'),
      foreignRules: z
        .enum(['Preserve', 'Replace', 'Refuse'])
        .describe('What becomes of rules in the same configuration that are not ours.')
        .default('Preserve'),
      adopt: z
        .enum(['IfCompatible', 'Always', 'Never'])
        .describe('Whether to take over what already exists and replikey did not create.')
        .default('IfCompatible'),
    })
    .describe('How careful to be with what is already there.')
    .prefault({}),
};

const bucketReplicationSchema = documentSchema(
  'BucketReplication',
  'A pair of buckets.',
  {
    name: nameSchema('Unique; appears in rule ids, tags, logs and metrics.'),
    labels: textMapSchema(
      patterns.checkLabelKey,
      patterns.checkLabelValue,
      'Labels to select specs by.',
    ).default({}),
  },
  z.strictObject({ defaults: defaultsNameSchema, ...pairShape }),
).describe('A pair of buckets and what is replicated between them.');

const accountSchema = documentSchema(
  'Account',
  'An AWS account.',
  { name: nameSchema('Unique; what `account:` in a pair refers to.') },
  z.strictObject({
    id: textSchema(
      patterns.checkAccountId,
      "Twelve digits, in quotes; checked against the caller's identity before anything else.",
      {
        pattern: '^\\d{12}$',
        examples: ['111122223333'],
      },
    ),
    managed: z
      .boolean()
      .describe('Whether there are credentials for it; false: what it needs is printed for its owner.')
      .default(true),
    profile: textSchema(patterns.checkNotEmpty, 'Profile of the shared AWS configuration.').optional(),
    assumeRole: z
      .strictObject({
        arn: textSchema(patterns.checkRoleArnFormat, 'Role to assume.', {
          examples: ['arn:aws:iam::111122223333:role/replikey'],
        }),
        externalId: textSchema(patterns.checkNotEmpty, 'External id that the role asks for.').optional(),
        sessionName: textSchema(patterns.checkNotEmpty, 'Name of the session, for CloudTrail.').optional(),
      })
      .describe('A role to assume with the ambient credentials.')
      .optional(),
  }),
).describe('An AWS account and how to come by credentials for it.');

const guardrailsSchema = documentSchema(
  'Guardrails',
  'What no spec may go beyond.',
  { name: nameSchema('Unique among guardrails.') },
  z.strictObject({
    accounts: z
      .array(textSchema(patterns.checkAccountId))
      .describe('Ids of the only accounts that specs may name; absent: any.')
      .optional(),
    regions: z
      .array(textSchema(patterns.checkRegion))
      .describe('The only Regions in which buckets may lie; absent: any.')
      .optional(),
    keys: z
      .array(textSchema(patterns.checkKeyReference))
      .describe('The only keys, by alias or ARN, under which specs may encrypt or decrypt; absent: any.')
      .optional(),
    maxChanges: integerSchema(
      0,
      1_000_000,
      'How many resources one run may create or update; absent: any number.',
    ).optional(),
    maxRemovals: integerSchema(
      0,
      1_000_000,
      'How many rules, statements and roles one run may take away; absent: 10.',
    ).optional(),
  }),
).describe('Limits for every spec of a run, kept beside them by those who answer for them.');

const defaultsSchema = documentSchema(
  'Defaults',
  'What many pairs share.',
  {
    name: nameSchema('Unique among defaults; what `defaults:` in a pair refers to.'),
  },
  z
    .strictObject(partialShape(pairShape))
    .describe('Any part of the spec of a BucketReplication, except defaults; lists are taken as a whole.'),
).describe('Any part of what a pair declares, for the pairs that name it: what they write themselves wins.');

const variableDeclarationSchema = z
  .strictObject({
    type: z
      .enum(['string', 'number', 'boolean'])
      .meta({ description: 'What a value must be.', examples: ['string'] }),
    enum: z
      .array(z.union([z.string(), z.number()]))
      .min(1)
      .describe('The only values; absent: any of the type.')
      .optional(),
    default: z
      .union([z.string(), z.number(), z.boolean()])
      .meta({
        description: 'The value where none is given; absent: one must be given where the variable is used.',
        examples: ['dev'],
      })
      .optional(),
    env: textSchema(
      patterns.checkEnvironmentName,
      'Variable of the environment that gives the value where --var does not; absent: the environment is not asked.',
      { pattern: '^REPLIKEY_[A-Z0-9_]+$', examples: ['REPLIKEY_STAGE'] },
    ).optional(),
    description: textSchema(patterns.checkDescription, 'What it is for.').optional(),
  })
  .meta({ description: `A variable, by the name that stands in \${var.name}.` });

const variablesSchema = documentSchema(
  'Variables',
  'What differs from run to run.',
  { name: nameSchema('Unique among documents of variables.') },
  z.strictObject({
    variables: z
      .record(textSchema(patterns.checkVariableName), variableDeclarationSchema)
      .describe('The variables, by name; no two documents declare the same.'),
  }),
).describe(`Declares variables, which other documents use as \${var.name} in their values.`);

/** Returns JSON Schema for "exactly one of these fields". `checks` reports the same error to users. */
function exactlyOneOf(...keys: string[]) {
  return { oneOf: keys.map((required) => ({ required: [required] })) };
}

/** The schema of a document of an unknown kind, which checks only the envelope. */
export const envelopeSchema = z.strictObject({
  apiVersion: apiVersionSchema,
  kind: z.enum(['BucketReplication', 'Account', 'Guardrails', 'Defaults', 'Variables']),
  metadata: z.unknown().optional(),
  spec: z.unknown().optional(),
});

/** The schema of a pair whose Defaults are unknown, so that some of its values are unknown. */
export const partialReplicationSchema = bucketReplicationSchema.extend({
  spec: z.strictObject({ defaults: defaultsNameSchema, ...partialShape(pairShape) }),
});

export const documentSchemas = {
  BucketReplication: bucketReplicationSchema,
  Account: accountSchema,
  Guardrails: guardrailsSchema,
  Defaults: defaultsSchema,
  Variables: variablesSchema,
};

export type ReplicationDocument = z.output<typeof bucketReplicationSchema>;
export type AccountDocument = z.output<typeof accountSchema>;
export type GuardrailsDocument = z.output<typeof guardrailsSchema>;
export type DefaultsDocument = z.output<typeof defaultsSchema>;
export type VariablesDocument = z.output<typeof variablesSchema>;
export type VariableDeclaration = z.output<typeof variableDeclarationSchema>;
export type KeyDeclaration = z.output<typeof keySchema> | z.output<typeof sourceKeySchema>;
