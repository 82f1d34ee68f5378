import * as z from 'zod';
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

const examinationSchema = namedObject('Examination', 'What the doctor finds on what exists.', {
  format: formatField,
  rules: listField(provenRuleSchema, 'Each rule that exists, and each that is declared and does not exist.'),
  objects: listField(
    namedObject('Objects', 'How the objects of a bucket fare.', {
      bucket: stringField('The source bucket.'),
      lookedAt: countField('How many of the most recent objects were looked at.'),
      byStatus: z
        .record(z.string(), z.int())
        .describe(
          'How many have each replication status: `COMPLETED`, `PENDING`, `FAILED`, `REPLICA`, or `none` where no rule took them.',
        ),
      oldest: listField(
        namedObject('Straggler', 'An object that has not arrived.', {
          status: z.enum(['PENDING', 'FAILED']).describe('Its replication status.'),
          key: stringField('Key of the object.'),
          since: z.iso.datetime().describe('When it was written.'),
        }),
        'Some of those that have failed or wait, oldest first.',
      ),
      findings: listField(findingSchema, 'What is wrong with them.'),
    }),
    'How the objects fare that were looked at, for each bucket.',
  ),
  declared: namedObject('Declared', 'What specs declare and is not made yet.', {
    changes: countField('How many resources the plan changes.'),
    rules: listField(provenRuleSchema, 'How each declared rule will fare once they are changed.'),
  })
    .describe('Where specs were given: what they declare.')
    .optional(),
});

const encryptionSchema = z
  .union([
    z.object({ algorithm: z.literal('AES256').describe('By S3 alone.') }),
    z.object({
      algorithm: z.enum(['aws:kms', 'aws:kms:dsse']).describe('Once or twice under a key of KMS.'),
      keyArn: stringField('ARN of its key.'),
      bucketKey: z.boolean().describe('Whether under an S3 Bucket Key.'),
    }),
  ])
  .meta({ id: 'Encryption', description: 'How an object is encrypted.' });

const explainedObjectSchema = namedObject('ExplainedObject', 'What becomes of one object, and why.', {
  format: formatField,
  bucket: stringField('The source bucket.'),
  object: namedObject('LookedAt', 'An object as it lies in a source bucket.', {
    key: stringField('Key of the object.'),
    versionId: stringField('Version that was looked at.').optional(),
    lastModified: z.iso.datetime().describe('When it was written.'),
    status: stringField('Replication status; absent where no rule took it.').optional(),
    tags: stringListField('As `key=value`.'),
    deleteMarker: z.boolean().describe('Whether it is a delete marker.'),
    encryption: encryptionSchema.describe('How it is encrypted.'),
  }).describe('The object.'),
  taken: listField(provenRuleSchema, 'The rules that take it, proven for objects like this one.'),
  passed: listField(
    namedObject('PassedOver', 'A rule that does not take an object.', {
      rule: stringField('ID of the rule.'),
      why: stringField('Why not.'),
    }),
    'The rules that do not.',
  ),
  findings: listField(findingSchema, 'What is wrong with it.'),
});

const verificationSchema = namedObject('Verification', 'What canaries found.', {
  format: formatField,
  canaries: listField(
    namedObject('Canary', 'One object, written under one rule to see it arrive.', {
      pair: stringField('Name of the spec.'),
      rule: stringField('Name of the rule.'),
      bucketKey: z.boolean().describe('Whether it was written under an S3 Bucket Key.'),
      sseAlgorithm: z
        .enum(['aws:kms', 'AES256'])
        .describe('`AES256` under a rule that does not select encrypted objects.'),
      key: stringField('Its key; empty where none was written.'),
      result: z
        .enum(['replicated', 'failed', 'timeout', 'skipped'])
        .describe('`skipped`: none was written; `timeout`: no replica was seen in time.'),
      latencyMs: z
        .number()
        .describe('From the answered write to the replica that was found, in milliseconds.')
        .optional(),
      why: stringField('For everything but a success: what is wrong, and what to do.').optional(),
      left: stringListField('Versions that could not be removed again.').optional(),
    }),
    'One for each rule and sort of object.',
  ),
});

const validationSchema = namedObject('Validation', 'What is wrong with specs.', {
  format: formatField,
  valid: z.boolean().describe('Whether nothing is.'),
  documents: countField('How many documents were read.'),
  variables: listField(variableSchema, 'The variables that the specs use; none where something is wrong.'),
  problems: listField(
    namedObject('Problem', 'What is wrong, and what to write instead.', {
      position: positionSchema.describe('Where.'),
      path: stringField('`spec.rules[0].prefix`; absent where the YAML itself cannot be read.').optional(),
      message: stringField('What was found.'),
      hint: stringField('What would have been right, or what to do.').optional(),
      excerpt: stringField('The line, and a caret under the place.').optional(),
      takenBy: namedObject('TakenBy', 'A spec that takes Defaults.', {
        name: stringField('Its name.'),
        position: positionSchema.describe('Where that stands.'),
      })
        .describe('The spec that takes the value, where the place is in Defaults.')
        .optional(),
    }),
    'Everything that is wrong.',
  ),
});

const observationSchema = namedObject(
  'Observation',
  'What exists, so that a plan can be made from it without credentials.',
  {
    format: formatField,
    observedAt: z.iso.datetime().describe('When the last answer came.'),
    answers: listField(
      namedObject('ObservedAnswer', 'What AWS answered to a read: either `output` or `error`.', {
        call: stringField('`s3:GetBucketVersioning`.'),
        account: stringField('Name of an Account document; absent: the ambient credentials.').optional(),
        region: stringField('Region that was asked.'),
        input: unknownField('What was asked, as AWS takes it.'),
        output: unknownField('What came back, as AWS gives it.').optional(),
        error: namedObject('Refused', 'An answer that is an error.', {
          name: stringField('As AWS names it: `NoSuchBucketPolicy`.'),
          message: stringField('What AWS says.'),
          status: z.int().describe('HTTP status.').optional(),
          bucketRegion: stringField('Region of the bucket, where S3 named it.').optional(),
        })
          .describe('Why nothing came back.')
          .optional(),
      }),
      'Each answer, nothing of how it was signed.',
    ),
  },
);

const errorSchema = namedObject('Ended', 'A run that ended before it had a result.', {
  format: formatField,
  error: failureSchema,
});

/** All values that a command prints as JSON, or as a line of NDJSON. */
const outputValueSchema = z.union([
  planDocumentSchema,
  passSchema,
  ...eventSchemas,
  examinationSchema,
  explainedObjectSchema,
  verificationSchema,
  validationSchema,
  observationSchema,
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
    description: 'What replikey prints with -o json, and each line of -o ndjson.',
    ...schema,
  };
}
