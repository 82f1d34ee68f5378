import * as z from 'zod';
import {
  ALARM_PRICE_TEXT,
  JOB_PRICE_TEXT,
  QUERY_ALARM_PRICE_TEXT,
  REENCRYPTION_PRICE_TEXT,
  RULE_METRICS_PRICE_TEXT,
} from '../util/prices.ts';
import * as patterns from './patterns.ts';
import { ruleShape } from './rule-fields.ts';
import { integerSchema, nameSchema, textMapSchema, textSchema } from './schema-builders.ts';
import { partialShape } from './schema-keys.ts';

/** Maximum number of actions of an alarm in CloudWatch (API reference, PutMetricAlarm). */
export const MAX_ALARM_TOPICS = 5;

/** Maximum number of objects of a batch job (S3 User Guide, "Creating a Batch Operations job"). */
export const MAX_JOB_OBJECTS = 20_000_000_000;

/** The period of replication metrics, in minutes. */
export const METRIC_PERIOD_MINUTES = 5;

/**
 * Schemas of spec documents as users write them. They are the single source of the types, the validation and the JSON
 * Schema. `resolve.ts` converts the result into the types that the other modules use.
 */

const keyReferenceSchema = textSchema(
  patterns.checkKeyReference,
  'An alias, with which replikey finds or creates the key, or the ARN or id of an existing key.',
  {
    examples: ['alias/acme-tax'],
  },
);

const keySettingsShape = {
  alias: textSchema(patterns.checkKeyAlias, 'Alias of the key; replikey creates alias and key when absent.', {
    pattern: '^alias/(?!aws/)[a-zA-Z0-9:/_-]+$',
    examples: ['alias/acme-tax'],
  }).optional(),
  arn: textSchema(
    patterns.checkKeyArn,
    'ARN or id of an existing key, which replikey never changes.',
  ).optional(),
  description: textSchema(patterns.checkDescription, 'Description of the key; absent: unchanged.').optional(),
  rotation: z.boolean().describe('Automatic key rotation; absent: unchanged.').optional(),
  rotationPeriodInDays: integerSchema(
    90,
    2_560,
    'Days between rotations; absent: unchanged, or 365 if replikey enables rotation.',
  ).optional(),
};

const longKeyMetadata = {
  description: 'The long form: an alias or an ARN, and settings.',
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
const keySchema = sideKeySchema(keyReferenceSchema, keySettingsShape.arn);
const destinationKeySchema = sideKeySchema(
  textSchema(
    patterns.checkDestinationKeyReference,
    'An alias, with which replikey finds or creates the key, the ARN or id of an existing key, or related: the multi-Region key that is related to the source key.',
    { examples: ['alias/acme-tax', 'related'] },
  ),
  textSchema(
    patterns.checkDestinationKeyArn,
    'ARN or id of an existing key, which replikey never changes, or related.',
  ).optional(),
);

function sideKeySchema<Reference extends z.ZodType<string>, Arn extends z.ZodType<string | undefined>>(
  reference: Reference,
  arn: Arn,
) {
  return z
    .union([
      reference,
      z
        .strictObject({
          ...keySettingsShape,
          arn,
          bucketKey: z
            .boolean()
            .describe(
              'S3 Bucket Key for new objects of the bucket, which determines their encryption context; absent: true for SSE-KMS, false otherwise.',
            )
            .optional(),
          replaces: z
            .array(keyReferenceSchema)
            .min(1)
            .max(100)
            .describe(
              'Keys that encrypted objects of the bucket before this one, by alias, ARN or id; replikey keeps the role permitted to decrypt with them; absent: none.',
            )
            .optional(),
        })
        .meta(longKeyMetadata),
    ])
    .meta({ description: 'The KMS key: an alias, an ARN, or the long form.', examples: ['alias/acme-tax'] });
}

const objectLockSchema = z
  .strictObject({
    mode: z
      .enum(['Governance', 'Compliance'])
      .describe(
        'Mode of the default retention: with a permission, callers can end it earlier (Governance), or no one can (Compliance); absent: no default retention.',
      )
      .optional(),
    days: integerSchema(1, 36_500, 'Days of the default retention; absent: as years says.').optional(),
    years: integerSchema(1, 100, 'Years of the default retention; absent: as days says.').optional(),
  })
  .meta({
    description:
      'S3 Object Lock, which no one can disable again: {} enables it without a default retention; absent: unchanged.',
    oneOf: [
      { required: ['mode', 'days'] },
      { required: ['mode', 'years'] },
      { not: { anyOf: ['mode', 'days', 'years'].map((name) => ({ required: [name] })) } },
    ],
  });

const sideShape = {
  bucket: textSchema(patterns.checkBucketNameFormat, 'Name of the bucket; replikey creates it when absent.', {
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
      'Default encryption of new objects: with the KMS key (SSE-KMS), twice with the KMS key (DSSE-KMS), or with keys of S3 (SSE-S3).',
    )
    .default('SSE-KMS'),
  blockPublicAccess: z
    .boolean()
    .describe('All four settings of S3 Block Public Access; absent: unchanged.')
    .optional(),
  objectOwnership: z
    .enum(['BucketOwnerEnforced', 'BucketOwnerPreferred', 'ObjectWriter'])
    .describe(
      'S3 Object Ownership of the bucket, which determines the owner of new objects and the use of ACLs; absent: unchanged.',
    )
    .optional(),
  objectLock: objectLockSchema.optional(),
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
  .describe('Storage class of the replicas; absent: the class of the source object.');

const ruleSchema = z.strictObject(ruleShape).meta({
  description: 'Selects objects, and configures their replication.',
  ...exactlyOneOf('prefix', 'filter'),
});

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
  'Name of a Defaults document that supplies the fields omitted in this spec; absent: none.',
).optional();

const jobStartSchema = z
  .enum(['Confirmed', 'Automatic'])
  .describe(
    'Whether the prepared job waits, with its number of objects, until a person approves it (Confirmed), or starts (Automatic).',
  )
  .default('Confirmed');

const maxJobObjectsSchema = integerSchema(
  1,
  MAX_JOB_OBJECTS,
  'Maximum number of objects of a job; replikey cancels a job with more; absent: no limit.',
);

const jobPrioritySchema = integerSchema(
  0,
  2_147_483_647,
  'Priority of the job among the batch jobs of the account in the Region; S3 prefers higher numbers.',
).default(10);

const batchRoleNameSchema = textSchema(
  patterns.checkRoleName,
  'Name of the role; replikey creates the role when absent.',
  { maxLength: 64, pattern: '^[\\w+=,.@-]+$' },
);

/** The fields of a pair. Defaults can supply any of them. */
const pairShape = {
  direction: z
    .enum(['oneWay', 'both'])
    .describe(
      'Direction of replication; both: the destination also replicates to the source, with replica modification sync in both directions.',
    )
    .default('oneWay'),
  source: z.strictObject(sideShape).describe('The bucket that S3 replicates from.'),
  destination: z
    .strictObject({
      ...sideShape,
      key: destinationKeySchema,
      storageClass: storageClassSchema.optional(),
      objectOwner: z
        .enum(['source', 'destination'])
        .describe(
          'Account that owns the replicas; absent: destination if the accounts differ, because that account could not read them otherwise, and source within one account.',
        )
        .optional(),
    })
    .describe('The bucket that receives the replicas.'),
  sourceKeys: z
    .array(sourceKeySchema)
    .max(100)
    .describe(
      'Additional KMS keys that encrypt source objects; replikey permits the role to decrypt with them.',
    )
    .default([]),
  role: z
    .strictObject({
      name: textSchema(patterns.checkRoleName, 'Name of the role; replikey creates the role when absent.', {
        maxLength: 64,
        pattern: '^[\\w+=,.@-]+$',
      }).optional(),
      arn: textSchema(
        patterns.checkRoleArnFormat,
        'ARN of an existing role, which replikey never changes.',
      ).optional(),
      path: textSchema(patterns.checkIamPath, 'IAM path of a new role; IAM cannot change it later.', {
        examples: ['/service-role/'],
      }).optional(),
      permissionsBoundary: textSchema(
        patterns.checkPolicyArn,
        'ARN of the permissions boundary, a managed policy; absent: unchanged.',
      ).optional(),
      tags: textMapSchema(
        patterns.checkTagKey,
        patterns.checkTagValue,
        'Tags to add to the role; other tags stay unchanged.',
        { maxProperties: patterns.MAX_ROLE_TAGS },
      ).optional(),
      also: z
        .enum(['foreignRules'])
        .describe(
          'Grant the role what the other rules of the source bucket need, too, which replicate as the same role; absent: only what the declared rules need.',
        )
        .optional(),
    })
    .meta({
      description:
        'The role that S3 assumes; absent: a role named replikey- and the source bucket, cut to 64 characters.',
      // `role` may omit both name and arn, because the role then has its derived name.
      not: { required: ['name', 'arn'] },
    })
    .optional(),
  rules: z
    .array(ruleSchema)
    .min(1)
    .max(1000)
    .describe('Replication rules; S3 replicates only objects that a rule selects.'),
  rollout: z
    .enum(['wait', 'canary'])
    .describe(
      'How changed rules of an existing bucket take effect: after the permissions that they need have propagated (wait), or after a canary object has been replicated under a temporary rule with the same settings (canary).',
    )
    .default('wait'),
  failures: z
    .strictObject({
      to: textSchema(
        patterns.checkFailureTarget,
        'ARN of an existing standard SQS queue or SNS topic in the Region of the source bucket; replikey allows S3 to send to it.',
        { examples: ['arn:aws:sqs:us-east-1:111122223333:replication-failures'] },
      ),
      reverseTo: textSchema(
        patterns.checkFailureTarget,
        'ARN of an existing queue or topic in the Region of the destination bucket, for the reverse direction of direction: both; absent: to.',
        { examples: ['arn:aws:sqs:us-west-2:111122223333:replication-failures'] },
      ).optional(),
      events: z
        .array(
          z
            .enum(['failed', 'missedThreshold', 'replicatedLate', 'notTracked'])
            .describe('An event of an object, of any rule of the source bucket.'),
        )
        .min(1)
        .max(4)
        .describe(
          'Events to send: an object failed (failed), was not replicated within 15 minutes (missedThreshold), was replicated later than that (replicatedLate), or is no longer tracked by metrics (notTracked); missedThreshold and replicatedLate require a rule with replicationTimeControl.',
        )
        .default(['failed']),
    })
    .describe('Events of S3 about objects that are not replicated, sent to a queue or topic; absent: none.')
    .optional(),
  policy: z
    .strictObject({
      deletion: z
        .enum(['Retain', 'Remove'])
        .describe(
          'What --prune removes after its declaration is gone: nothing (Retain), or rules, permissions and role (Remove).',
        )
        .default('Retain'),
      foreignRules: z
        .enum(['Preserve', 'Replace', 'Refuse'])
        .describe(
          'Treatment of foreign rules in the replication configuration of the source bucket: keep them, replace them, or refuse to change the configuration.',
        )
        .default('Preserve'),
      adopt: z
        .enum(['IfCompatible', 'Always', 'Never'])
        .describe(
          'Whether to change existing resources that replikey did not create; IfCompatible: only if no other tool manages them.',
        )
        .default('IfCompatible'),
      drain: textSchema(
        patterns.checkDuration,
        'How long replaced permissions stay for objects in flight; 0s removes them in the same run, which is the risk lose-in-flight.',
        { pattern: patterns.DURATION_PATTERN.source, examples: ['15m', '2h'] },
      ).default('15m'),
    })
    .describe('Treatment of existing resources.')
    .prefault({}),
  alarms: z
    .strictObject({
      failed: z
        .boolean()
        .describe(
          'Alarm when an operation of a rule failed within 5 minutes, in the Region of the source; absent: false.',
        )
        .optional(),
      lateAfterMinutes: integerSchema(
        5,
        10_080,
        'Alarm when the latency of a rule exceeds this many minutes for 15 minutes, in the Region of the destination: a multiple of 5; absent: no such alarm.',
      ).optional(),
      notify: z
        .array(textSchema(patterns.checkTopicArn))
        .max(MAX_ALARM_TOPICS * 2)
        .describe(
          'ARNs of the SNS topics that the alarms notify. CloudWatch notifies only topics of the Region of an alarm, so each alarm uses those of its Region.',
        )
        .default([]),
      scope: z
        .enum(['rule', 'account'])
        .describe(
          'What an alarm covers: one rule (rule), or all rules of the account in the Region, also new and foreign ones (account).',
        )
        .default('rule'),
    })
    .describe(
      `CloudWatch alarms on replication metrics; absent: none. An alarm costs ${ALARM_PRICE_TEXT}, with scope: account ${QUERY_ALARM_PRICE_TEXT}, beside ${RULE_METRICS_PRICE_TEXT}.`,
    )
    .optional(),
  backfill: z
    .strictObject({
      objects: z
        .array(
          z
            .enum(['existing', 'failed', 'elsewhere', 'replicas'])
            .describe('Objects of one replication status.'),
        )
        .min(1)
        .max(4)
        .describe(
          'Objects to replicate: without a replication status, because they are older than the rules (existing), failed (failed), already replicated to another destination (elsewhere), or replicas themselves (replicas).',
        )
        .default(['existing', 'failed']),
      before: textSchema(
        patterns.checkInstant,
        'Objects written before this instant are replicated; a later instant starts the backfill again.',
        { pattern: patterns.INSTANT_PATTERN.source, examples: ['2026-12-01T00:00:00Z'] },
      ),
      after: textSchema(
        patterns.checkInstant,
        'Only objects written after this instant are replicated; absent: of any age.',
        { pattern: patterns.INSTANT_PATTERN.source, examples: ['2025-01-01T00:00:00Z'] },
      ).optional(),
      start: jobStartSchema,
      maxObjects: maxJobObjectsSchema.optional(),
      priority: jobPrioritySchema,
      report: z
        .strictObject({
          bucket: textSchema(
            patterns.checkBucketNameFormat,
            'Existing bucket in the Region and account of the source bucket.',
            { minLength: 3, maxLength: 63, examples: ['acme-reports'] },
          ),
          prefix: textSchema(patterns.checkReportPrefix, 'Prefix of the keys of reports.', {
            examples: ['replikey/'],
          }).default('replikey/'),
        })
        .describe(
          'Where S3 writes a list of the objects that the job could not replicate, encrypted with keys of S3; absent: no list.',
        )
        .optional(),
      role: z
        .strictObject({
          name: batchRoleNameSchema.optional(),
          arn: textSchema(
            patterns.checkRoleArnFormat,
            'ARN of an existing role, which replikey never changes.',
          ).optional(),
        })
        .meta({
          description:
            'The role that S3 Batch Operations assumes; absent: a role named replikey-batch- and the source bucket, cut to 64 characters.',
          not: { required: ['name', 'arn'] },
        })
        .optional(),
    })
    .describe(
      `A batch job of S3 that replicates existing objects under the rules; absent: none. A job costs ${JOB_PRICE_TEXT}, beside the requests and the transfer of replication.`,
    )
    .optional(),
  reencrypt: z
    .strictObject({
      start: jobStartSchema,
      maxObjects: maxJobObjectsSchema.optional(),
      priority: jobPrioritySchema,
      countedAfter: textSchema(
        patterns.checkInstant,
        'Objects are counted again after this instant; absent: once.',
        { pattern: patterns.INSTANT_PATTERN.source, examples: ['2026-12-01T00:00:00Z'] },
      ).optional(),
      role: z
        .strictObject({ name: batchRoleNameSchema })
        .describe(
          'The role that S3 Batch Operations assumes; absent: a role for each bucket, named replikey-batch- and the bucket, cut to 64 characters.',
        )
        .optional(),
    })
    .describe(
      `Batch jobs of S3 that encrypt the objects under replaced keys again, in place, until none is left; absent: none. A job costs ${JOB_PRICE_TEXT}, beside ${REENCRYPTION_PRICE_TEXT}.`,
    )
    .optional(),
};

const bucketReplicationSchema = documentSchema(
  'BucketReplication',
  'A pair of buckets.',
  {
    name: nameSchema('Unique name; part of rule ids, tags, logs and metrics.'),
    labels: textMapSchema(
      patterns.checkLabelKey,
      patterns.checkLabelValue,
      'Labels for the selection of specs.',
    ).default({}),
  },
  z.strictObject({ defaults: defaultsNameSchema, ...pairShape }),
).describe('A pair of buckets, and the replication between them.');

const accountSchema = documentSchema(
  'Account',
  'An AWS account.',
  { name: nameSchema('Unique name; `account:` in a pair refers to it.') },
  z.strictObject({
    id: textSchema(
      patterns.checkAccountId,
      "Account id: 12 digits in quotes; replikey first verifies the caller's account against it.",
      {
        pattern: '^\\d{12}$',
        examples: ['111122223333'],
      },
    ),
    managed: z
      .boolean()
      .describe(
        'Whether replikey has credentials for the account; false: the plan lists manual steps for its owner.',
      )
      .default(true),
    profile: textSchema(patterns.checkNotEmpty, 'Profile in the shared AWS configuration.').optional(),
    assumeRole: z
      .strictObject({
        arn: textSchema(patterns.checkRoleArnFormat, 'Role to assume.', {
          examples: ['arn:aws:iam::111122223333:role/replikey'],
        }),
        externalId: textSchema(
          patterns.checkNotEmpty,
          'External id that the trust policy of the role requires.',
        ).optional(),
        sessionName: textSchema(patterns.checkNotEmpty, 'Session name, which CloudTrail records.').optional(),
      })
      .describe('A role to assume with the ambient credentials.')
      .optional(),
  }),
).describe('An AWS account, and the source of its credentials.');

const guardrailsSchema = documentSchema(
  'Guardrails',
  'Limits for all specs.',
  { name: nameSchema('Unique name among Guardrails.') },
  z.strictObject({
    accounts: z
      .array(textSchema(patterns.checkAccountId))
      .max(10_000)
      .describe('Ids of the accounts that specs can use; absent: any.')
      .optional(),
    regions: z
      .array(textSchema(patterns.checkRegion))
      .max(1_000)
      .describe('Regions that specs can use; absent: any.')
      .optional(),
    keys: z
      .array(textSchema(patterns.checkKeyReference))
      .max(1_000)
      .describe('KMS keys that specs can use, by alias or ARN as in the specs; absent: any.')
      .optional(),
    maxChanges: integerSchema(
      0,
      1_000_000,
      'Maximum number of resources that a run creates or updates; absent: unlimited.',
    ).optional(),
    maxRemovals: integerSchema(
      0,
      1_000_000,
      'Maximum number of rules, statements and roles that a run removes; absent: 10.',
    ).optional(),
    maxBackfillObjects: integerSchema(
      0,
      MAX_JOB_OBJECTS,
      'Maximum number of objects of a batch job; absent: unlimited.',
    ).optional(),
  }),
).describe('Limits for all specs of a run.');

const defaultsSchema = documentSchema(
  'Defaults',
  'Values shared by several pairs.',
  {
    name: nameSchema('Unique name among Defaults; `defaults:` in a pair refers to it.'),
  },
  z
    .strictObject(partialShape(pairShape))
    .describe(
      'Any fields of the spec of a BucketReplication, except defaults; pairs inherit lists as a whole.',
    ),
).describe('Fields for the pairs that name this document; the fields of a pair take precedence.');

const variableDeclarationSchema = z
  .strictObject({
    type: z
      .enum(['string', 'number', 'boolean'])
      .meta({ description: 'Type of the value.', examples: ['string'] }),
    enum: z
      .array(z.union([z.string(), z.number()]))
      .min(1)
      .describe('Allowed values; absent: any value of the type.')
      .optional(),
    default: z
      .union([z.string(), z.number(), z.boolean()])
      .meta({
        description: 'Default value; absent: a document that uses the variable requires a value.',
        examples: ['dev'],
      })
      .optional(),
    env: textSchema(
      patterns.checkEnvironmentName,
      'Environment variable that supplies the value if --var does not; absent: none.',
      { pattern: '^REPLIKEY_[A-Z0-9_]+$', examples: ['REPLIKEY_STAGE'] },
    ).optional(),
    description: textSchema(patterns.checkDescription, 'Purpose of the variable.').optional(),
  })
  .meta({ description: `A variable, referenced as \${var.name}.` });

const variablesSchema = documentSchema(
  'Variables',
  'Values that differ between runs.',
  { name: nameSchema('Unique name among Variables documents.') },
  z.strictObject({
    variables: z
      .record(textSchema(patterns.checkVariableName), variableDeclarationSchema)
      .describe('Variables by name; each variable is declared once.'),
  }),
).describe(`Variables, which other documents reference as \${var.name} in their values.`);

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
