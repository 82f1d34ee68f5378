import { z } from 'zod';
import * as names from './names.ts';

/**
 * What a person may write. The one source of the types, of validation and of the JSON Schema; `resolve.ts` turns it
 * into what the program uses.
 */

const named = (check: (text: string) => string | undefined) =>
  z.string().superRefine((text, context) => {
    const reason = check(text);
    if (reason) context.addIssue({ code: 'custom', message: reason });
  });

const bucket = named(names.bucketName).describe('Name of the bucket; created when absent.');
const region = named(names.region).describe('Region of the bucket.');
const account = z
  .string()
  .describe('Name of an Account document; absent: the ambient credentials.')
  .optional();

const key = z
  .union([
    z.string(),
    z.strictObject({
      alias: named(names.aliasName)
        .describe('An alias: looked up, and created with its key when absent.')
        .optional(),
      arn: z.string().describe('ARN of a key that exists and is never altered.').optional(),
      rotation: z.boolean().describe('Automatic rotation; absent: left as it is.').optional(),
      bucketKey: z
        .boolean()
        .describe('S3 Bucket Key for new objects of the bucket; it decides their encryption context.')
        .default(true),
    }),
  ])
  .describe('The KMS key: an alias, an ARN, or the long form.');

const side = { bucket, region, account, key };

const storageClass = z.enum([
  'STANDARD',
  'STANDARD_IA',
  'ONEZONE_IA',
  'INTELLIGENT_TIERING',
  'GLACIER_IR',
  'GLACIER',
  'DEEP_ARCHIVE',
  'REDUCED_REDUNDANCY',
]);

const prefix = named(names.keyPrefix).describe('Only objects whose key begins with this, literally.');

const rule = z.strictObject({
  name: named(names.dnsLabel)
    .describe('Name of the rule in its id; absent: made from the prefix.')
    .optional(),
  enabled: z.boolean().describe('Whether the rule replicates; false is the way to pause it.').default(true),
  prefix: prefix.optional(),
  filter: z
    .strictObject({
      prefix: prefix.optional(),
      tags: z
        .record(z.string().min(1).max(128), z.string().max(256))
        .describe('Tags that an object must all have.')
        .optional(),
    })
    .optional(),
  priority: z
    .int()
    .min(0)
    .max(2_147_483_647)
    .describe('The higher number wins among rules to the same destination; absent: allotted, and then kept.')
    .optional(),
  deleteMarkerReplication: z.boolean().describe('Whether delete markers are replicated.').default(false),
  replicationTimeControl: z
    .boolean()
    .describe('S3 Replication Time Control: 15 minutes, at a price.')
    .default(false),
  metrics: z
    .boolean()
    .describe('Replication metrics and failure events: without them a failure is silent.')
    .default(true),
});

const apiVersion = z.literal('replikey.dev/v1');

const bucketReplication = z
  .strictObject({
    apiVersion,
    kind: z.literal('BucketReplication'),
    metadata: z.strictObject({
      name: named(names.dnsLabel).describe('Unique; appears in rule ids, tags, logs and metrics.'),
      labels: z.record(z.string(), z.string()).describe('Labels to select by.').default({}),
    }),
    spec: z.strictObject({
      source: z.strictObject(side),
      destination: z.strictObject({
        ...side,
        storageClass: storageClass
          .describe('Storage class of the replicas; absent: that of the source.')
          .optional(),
      }),
      role: z
        .strictObject({
          name: named(names.roleName)
            .describe('Created when absent; absent here: made from the source bucket.')
            .optional(),
          arn: z.string().describe('ARN of a role that exists and is never altered.').optional(),
        })
        .optional(),
      rules: z.array(rule).min(1).describe('What is replicated; nothing else ever is.'),
      policy: z
        .strictObject({
          deletion: z.enum(['Retain', 'Remove']).default('Retain'),
          foreignRules: z.enum(['Preserve', 'Replace', 'Refuse']).default('Preserve'),
          adopt: z.enum(['IfCompatible', 'Always', 'Never']).default('IfCompatible'),
        })
        .prefault({}),
    }),
  })
  .describe('A pair of buckets and what is replicated between them.');

const accountDocument = z
  .strictObject({
    apiVersion,
    kind: z.literal('Account'),
    metadata: z.strictObject({ name: named(names.dnsLabel) }),
    spec: z.strictObject({
      id: named(names.accountId).describe("Checked against the caller's identity before anything else."),
      profile: z.string().min(1).describe('Profile of the shared AWS configuration.').optional(),
      assumeRole: z
        .strictObject({
          arn: z.string().regex(names.ROLE_ARN).describe('Role to assume.'),
          externalId: z.string().optional(),
          sessionName: z.string().optional(),
        })
        .optional(),
    }),
  })
  .describe('An AWS account and how to come by credentials for it.');

export const documents = { BucketReplication: bucketReplication, Account: accountDocument };

export type WrittenReplication = z.output<typeof bucketReplication>;
export type WrittenAccount = z.output<typeof accountDocument>;
export type WrittenRule = z.output<typeof rule>;
export type WrittenKey = z.output<typeof key>;
