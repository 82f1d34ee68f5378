import * as z from 'zod';
import { fleetReportSchema } from './fleet-schema.ts';
import {
  countField,
  eventSchemas,
  failureSchema,
  findingSchema,
  formatField,
  listField,
  namedObject,
  passSchema,
  planDocumentSchema,
  positionSchema,
  provenRuleSchema,
  stringField,
  stringListField,
  unknownField,
  variableSchema,
} from './plan-schema.ts';
import { statusReportSchema } from './status-schema.ts';

const commandsField = listField(
  namedObject('FixCommand', 'A command that applies fixes to one document.', {
    what: stringField('The document, and the changes.'),
    command: stringField('For a POSIX shell with the AWS CLI. It contains the complete document.'),
  }),
  'Commands that apply the fixes of all errors, one for each document. With `-v` and for one object, those of all findings.',
);

const coverageSchema = namedObject(
  'SampleCoverage',
  'The part of a bucket that was searched for new objects.',
  {
    listed: countField(
      'Number of versions and delete markers that S3 listed under the prefixes of the rules.',
    ),
    complete: z.boolean().describe('Whether S3 listed all of them; otherwise raise `--sample-pages`.'),
  },
).describe('The part of the bucket that was searched; absent if objects could not be read.');

/** The counts of operations, for the whole history and for its recent part. */
const failureCountFields = {
  operations: countField('Number of operations; absent: CloudWatch has no datapoint.').optional(),
  failed: countField('Number of failed operations; absent: CloudWatch has no datapoint.').optional(),
  failedSince: z.iso
    .datetime()
    .describe('Start of the first metric period with a failure, to the minute within 15 days.')
    .optional(),
};

const ruleMetricsSchema = namedObject('RuleMetrics', 'The replication of a rule, as CloudWatch counted it.', {
  bucket: stringField('The source bucket.'),
  destination: stringField('The destination bucket.'),
  rule: stringField('ID of the rule.'),
  verdict: z
    .enum(['healthy', 'broken', 'unknown'])
    .describe(
      '`broken`: an operation failed within `--failed-since`; `unknown`: no operation, or its result cannot be read.',
    ),
  state: z
    .enum(['available', 'noData', 'notEnabled', 'unreadable'])
    .describe('Whether CloudWatch has metrics of the rule, and replikey can read all of them.'),
  days: countField('Length of the history in days; 0 without metrics.'),
  ...failureCountFields,
  recent: namedObject('RecentOperations', 'Operations within `--failed-since`.', failureCountFields).describe(
    'The operations that decide the verdict.',
  ),
  latencySeconds: z.number().describe('Largest latency of the last 15 minutes, in seconds.').optional(),
  pendingOperations: z
    .number()
    .describe('Largest number of pending operations in the last 15 minutes.')
    .optional(),
  pendingBytes: z.number().describe('Largest number of pending bytes in the last 15 minutes.').optional(),
  findings: listField(findingSchema, 'The findings about the operations.'),
});

const diagnosisSchema = namedObject('Diagnosis', 'The findings of the doctor on the existing resources.', {
  format: formatField,
  rules: listField(provenRuleSchema, 'Each existing rule, and each declared rule that does not exist.'),
  objects: listField(
    namedObject('Objects', 'The replication status of the objects of a bucket.', {
      bucket: stringField('The source bucket.'),
      verdict: z
        .enum(['healthy', 'broken', 'unknown'])
        .describe(
          '`broken`: an object that was written within `--failed-since` failed or was passed over; `unknown`: no object could be read.',
        ),
      lookedAt: countField('Number of objects that were checked, newest first.'),
      coverage: coverageSchema.optional(),
      byStatus: z
        .record(z.string(), z.int())
        .describe(
          'Number of objects by replication status: `COMPLETED`, `PENDING`, `FAILED`, `REPLICA`, or `none` if no rule selected the object.',
        ),
      oldest: listField(
        namedObject('UnreplicatedObject', 'An object without a replica.', {
          status: z.enum(['PENDING', 'FAILED']).describe('Replication status.'),
          key: stringField('Key of the object.'),
          since: z.iso.datetime().describe('The time of the write.'),
        }),
        'Some of the failed or pending objects, oldest first.',
      ),
      recent: namedObject('RecentFailures', 'Objects that were written within `--failed-since`.', {
        failed: countField('Number of objects with the status `FAILED`.'),
        passedOver: countField(
          'Number of objects without a status although a rule selects them, at least 15 minutes old.',
        ),
      }).describe('The recent objects that decide the verdict.'),
      findings: listField(findingSchema, 'The findings about the objects.'),
    }),
    'The replication status of the checked objects, by bucket.',
  ),
  metrics: listField(
    ruleMetricsSchema,
    'The metrics of each existing rule; empty for files and snapshots, which contain none.',
  ),
  declared: namedObject('Declared', 'The declared changes that are not applied yet.', {
    changes: countField('Number of resources that the plan changes.'),
    rules: listField(provenRuleSchema, 'The proof of each declared rule after the changes.'),
  })
    .describe('The declared changes; present only if specs are given.')
    .optional(),
  commands: commandsField,
  input: namedObject('StackInput', 'The file of another tool that contains the rules.', {
    type: z.enum(['terraform-plan', 'terraform-state', 'cloudformation']).describe('What the file contains.'),
    file: stringField('Path of the file; `-` for standard input.'),
    version: stringField('Version of the tool that wrote the file.').optional(),
  })
    .describe('The file of `--terraform` or `--cloudformation`.')
    .optional(),
  unknownValues: stringListField(
    'With `--terraform` or `--cloudformation`: the values that undecided requests depend on, and that the file does not contain.',
  ).optional(),
});

const encryptionSchema = z
  .union([
    z.object({ algorithm: z.literal('AES256').describe('SSE-S3, without a KMS key.') }),
    z.object({
      algorithm: z.enum(['aws:kms', 'aws:kms:dsse']).describe('SSE-KMS or DSSE-KMS.'),
      keyArn: stringField('ARN of the KMS key.'),
      bucketKey: z.boolean().describe('Whether the object uses an S3 Bucket Key.'),
    }),
  ])
  .meta({ id: 'Encryption', description: 'The encryption of an object.' });

const explainedObjectSchema = namedObject(
  'ExplainedObject',
  'The replication of one object, with the causes.',
  {
    format: formatField,
    bucket: stringField('The source bucket.'),
    object: namedObject('InspectedObject', 'An object in a source bucket.', {
      key: stringField('Key of the object.'),
      versionId: stringField('Version id of the object.').optional(),
      lastModified: z.iso.datetime().describe('The time of the write.'),
      status: stringField('Replication status; absent if no rule selected the object.').optional(),
      tags: stringListField('Tags as `key=value`.'),
      deleteMarker: z.boolean().describe('Whether the object is a delete marker.'),
      encryption: encryptionSchema.describe('The encryption of the object.'),
    }).describe('The object.'),
    taken: listField(
      provenRuleSchema,
      'The rules that select the object, with a proof for objects with the same properties.',
    ),
    passed: listField(
      namedObject('UnmatchedRule', 'A rule that does not select the object.', {
        rule: stringField('ID of the rule.'),
        why: stringField('The reason why the rule does not select the object.'),
      }),
      'The rules that do not select the object.',
    ),
    findings: listField(findingSchema, 'The findings about the object.'),
    commands: commandsField,
  },
);

const verificationSchema = namedObject('Verification', 'The results of the canaries.', {
  format: formatField,
  canaries: listField(
    namedObject('Canary', 'A test object that replikey writes to observe the replication of one rule.', {
      pair: stringField('Name of the spec.'),
      rule: stringField('Name of the rule.'),
      bucketKey: z.boolean().describe('Whether the canary uses an S3 Bucket Key.'),
      sseAlgorithm: z
        .enum(['aws:kms', 'AES256'])
        .describe(
          'Encryption of the canary: `AES256` for a rule that does not select KMS-encrypted objects.',
        ),
      key: stringField('Object key of the canary; empty if none was written.'),
      result: z
        .enum(['replicated', 'failed', 'timeout', 'skipped', 'refused'])
        .describe(
          '`skipped`: no canary was written; `refused`: no canary was written, because replikey could not remove it; `timeout`: no replica appeared in time.',
        ),
      latencyMs: z
        .number()
        .describe('Time from the response to the write until the replica appeared, in milliseconds.')
        .optional(),
      why: stringField('Unless replicated: the cause, and the required action.').optional(),
      left: stringListField('Versions that replikey could not remove.').optional(),
      retained: stringListField(
        'Versions that stay because `--allow canary-retained` permits it, with the reason.',
      ).optional(),
    }),
    'One canary for each rule and kind of object.',
  ),
});

const redriveSchema = namedObject('Redrive', 'A re-drive: the plan, and the batch jobs.', {
  format: formatField,
  plan: planDocumentSchema.describe('The plan that creates the jobs.'),
  jobs: listField(
    namedObject('RedriveJob', 'The batch job of a bucket.', {
      bucket: stringField('The source bucket.'),
      objects: z
        .array(z.enum(['existing', 'failed', 'elsewhere', 'replicas']))
        .describe('The objects that the job replicates, by their status.'),
      before: stringField('Objects written before this instant are replicated: `2026-12-01T00:00:00Z`.'),
      continued: z.boolean().describe('Whether an earlier run created the job.'),
      id: stringField('Id of the job; absent while S3 does not show it.').optional(),
      status: stringField(
        'Status of the job in S3: `Suspended` while it waits for an approval, `Complete` when all objects were tried.',
      ).optional(),
      total: countField('Number of objects; absent while S3 does not report it.').optional(),
      succeeded: countField('Number of replicated objects.').optional(),
      failed: countField('Number of objects that could not be replicated.').optional(),
      reasons: stringListField('Reasons for the status, as S3 reports them.').optional(),
      causes: listField(
        namedObject('FailureCause', 'Failed objects with one cause.', {
          errorCode: stringField('Failure reason of S3: `DstObjectHardDeleted`.'),
          message: stringField('Message of S3 about the first of them.'),
          count: countField('Number of objects.'),
          keys: stringListField('Keys of up to three of them.'),
        }),
        'The failed objects by cause, from the report; absent without `--report`.',
      ).optional(),
    }),
    'The job of each bucket; empty if the plan was not applied.',
  ),
});

const validationSchema = namedObject('Validation', 'The problems of the specs.', {
  format: formatField,
  valid: z.boolean().describe('Whether the specs are valid.'),
  documents: countField('Number of documents that were read.'),
  variables: listField(variableSchema, 'The variables that the specs use; empty if a spec is invalid.'),
  problems: listField(
    namedObject('Problem', 'A problem and its correction.', {
      position: positionSchema.describe('The position of the problem.'),
      path: stringField(
        'Path of the field: `spec.rules[0].prefix`; absent if the YAML itself is invalid.',
      ).optional(),
      message: stringField('The problem as text.'),
      hint: stringField('The correct value, or the required action.').optional(),
      excerpt: stringField('The line, with a caret under the position.').optional(),
      takenBy: namedObject('TakenBy', 'A spec that uses a Defaults document.', {
        name: stringField('Name of the spec.'),
        position: positionSchema.describe('The position of the spec.'),
      })
        .describe('The spec that uses the value, if the position is in a Defaults document.')
        .optional(),
    }),
    'All problems.',
  ),
});

const importSchema = namedObject('Import', 'Specs for existing replication.', {
  format: formatField,
  documents: listField(
    z.record(z.string(), z.unknown()).meta({
      id: 'SpecDocument',
      description: 'A document of a spec file: Account or BucketReplication.',
    }),
    'The documents.',
  ),
  warnings: listField(
    namedObject('ImportWarning', 'A setting that a reconcile would change, or that specs cannot express.', {
      spec: stringField('Name of the spec.'),
      message: stringField('The warning as text.'),
    }),
    'The warnings, which the YAML contains as comments.',
  ),
});

const snapshotSchema = namedObject(
  'Snapshot',
  'The recorded responses of AWS, from which replikey can plan without credentials.',
  {
    format: formatField,
    observedAt: z.iso.datetime().describe('The time of the last response.'),
    answers: listField(
      namedObject('RecordedResponse', 'The response of AWS to a read: either `output` or `error`.', {
        call: stringField('The API operation: `s3:GetBucketVersioning`.'),
        account: stringField('Name of the Account document; absent for the ambient credentials.').optional(),
        region: stringField('Region of the call.'),
        input: unknownField('Input of the call, in the form of the AWS API.'),
        output: unknownField('Output of the call, in the form of the AWS API.').optional(),
        error: namedObject('ResponseError', 'An error response of AWS.', {
          name: stringField('Name of the error: `NoSuchBucketPolicy`.'),
          message: stringField('Message of the error.'),
          status: z.int().describe('HTTP status.').optional(),
          bucketRegion: stringField('Region of the bucket, if S3 returned it.').optional(),
        })
          .describe('The error that AWS returned.')
          .optional(),
      }),
      'All responses, without request signatures.',
    ),
  },
);

const errorSchema = namedObject('ErrorResult', 'A run that ended before it had a result.', {
  format: formatField,
  error: failureSchema,
});

const versionSchema = namedObject('Version', 'The versions of the program and of what it runs on.', {
  format: formatField,
  version: stringField('Version of replikey.'),
  node: stringField('Version of Node.'),
  platform: stringField('Operating system and processor: `linux-x64`.'),
  awsSdk: z
    .record(z.string(), z.string())
    .describe('Version of each client of the AWS SDK that the program contains, by service.'),
});

/** All values that a command prints as JSON, or as a line of NDJSON. */
const outputValueSchema = z.union([
  planDocumentSchema,
  passSchema,
  ...eventSchemas,
  diagnosisSchema,
  explainedObjectSchema,
  fleetReportSchema,
  verificationSchema,
  redriveSchema,
  validationSchema,
  importSchema,
  snapshotSchema,
  statusReportSchema,
  versionSchema,
  errorSchema,
]);

/**
 * Returns the JSON Schema (draft 7, as for specs) of all JSON output.
 *
 * @param strict whether unknown fields are invalid; the published schema accepts fields of later versions.
 */
export function outputSchema({ strict = false } = {}): object {
  const schema = z.toJSONSchema(outputValueSchema, {
    target: 'draft-7',
    io: strict ? 'output' : 'input',
    override: ({ jsonSchema }) => {
      // Removes constraints that zod adds by default, and that would confuse a reader.
      if (jsonSchema.format === 'date-time') delete jsonSchema.pattern;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
    },
  });
  return {
    $schema: schema.$schema,
    $id: 'urn:replikey:output:1',
    title: 'replikey output',
    description: 'The output of replikey with -o json, and each line of -o ndjson.',
    ...schema,
  };
}
