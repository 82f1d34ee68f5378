import * as z from 'zod';
import { countField, formatField, jobSchema, listField, namedObject, stringField } from './plan-schema.ts';

export const instantField = (description: string) => z.iso.datetime().describe(description);
const noData = 'absent: no datapoint, which is not 0';

const bucketSchema = namedObject('StatusBucket', 'A bucket of a pair.', {
  bucket: stringField('Name of the bucket.'),
  region: stringField('Its Region.'),
  account: stringField('Name of the Account document; absent for the ambient credentials.').optional(),
});

export const sidesSchema = listField(
  namedObject('StatusDirection', 'One direction of replication.', {
    source: bucketSchema.describe('The source.'),
    destination: bucketSchema.describe('The destination.'),
  }),
  'The directions of replication: one, or two.',
);

export const labelsSchema = z.record(z.string(), z.string()).describe('The labels of the spec.');

const conditionFields = {
  status: z.enum(['True', 'False', 'Unknown']).describe('The status.'),
  reason: stringField('One word, for machines.'),
  message: stringField('A message for people.'),
  since: instantField('The time of the last change of the status that the reader observed.'),
};

export const conditionSchema = z.object(conditionFields);

export const replicationSchema = namedObject(
  'PairReplication',
  'The replication of the rules of a pair, as CloudWatch measured it.',
  {
    at: instantField('The time of the read.'),
    state: z
      .enum(['available', 'noData', 'notEnabled', 'unreadable'])
      .describe(
        '`noData`: no rule has a datapoint; `notEnabled`: no rule has metrics; `unreadable`: AWS refused a read.',
      ),
    reason: stringField('Why the metrics are unreadable.').optional(),
    rulesWithoutMetrics: countField('Number of rules without metrics; absent: none.').optional(),
    operations: countField(`Number of operations in the last 24 hours; ${noData}.`).optional(),
    failed: countField(`Number of failed operations in the last 24 hours; ${noData}.`).optional(),
    failedSince: instantField(
      'The start of the first metric period with a failure in these 24 hours.',
    ).optional(),
    failedUntil: instantField(
      'The end of the last metric period with a failure in these 24 hours.',
    ).optional(),
    replicatedUntil: instantField(
      'The end of the last metric period in which an operation succeeded, in these 24 hours.',
    ).optional(),
    unrecovered: z
      .literal(true)
      .describe('Whether no operation of a rule succeeded after its last failure.')
      .optional(),
    latencySeconds: z
      .number()
      .min(0)
      .describe(`Largest latency of the last 15 minutes, in seconds; ${noData}.`)
      .optional(),
    pendingOperations: z
      .number()
      .min(0)
      .describe(`Largest number of pending operations of the last 15 minutes; ${noData}.`)
      .optional(),
    pendingBytes: z
      .number()
      .min(0)
      .describe(`Largest number of pending bytes of the last 15 minutes; ${noData}.`)
      .optional(),
  },
);

export const canaryStatusSchema = namedObject('LastCanary', 'The last run of canaries of a pair.', {
  at: instantField('The end of the run.'),
  result: z
    .enum(['replicated', 'failed', 'timeout', 'skipped', 'refused'])
    .describe("The worst result of the pair's rules; `skipped`: no rule was tested."),
  latencyMs: z
    .number()
    .min(0)
    .describe('Milliseconds until the slowest replica arrived; absent: none arrived.')
    .optional(),
});

export const statusReportSchema = namedObject('StatusReport', 'The status of pairs.', {
  format: formatField,
  source: z
    .enum(['aws', 'sandbox', 'server'])
    .describe('What was read: AWS, a sandbox, or a running controller (`--server`).'),
  server: stringField('URL of the controller.').optional(),
  at: instantField('The time of the read.'),
  pairs: listField(
    namedObject('PairReport', 'The status of one pair.', {
      name: stringField('Name of the spec.'),
      state: z
        .enum(['failing', 'drifted', 'pending', 'ready'])
        .describe('The worst state of its conditions, as on the status page.'),
      message: stringField('The reason of the state.').optional(),
      labels: labelsSchema,
      sides: sidesSchema,
      conditions: listField(
        namedObject('PairCondition', 'A condition of a pair.', {
          type: stringField(
            '`Ready`, `Proven`, `Verified`, `Replicating`, `Drifted`, `BackfillComplete` or `Events`.',
          ),
          ...conditionFields,
        }),
        'Its conditions. A read of AWS knows no canaries, and reports drift only with `--watch`.',
      ),
      replication: replicationSchema.describe('The metrics of CloudWatch; absent: not read.').optional(),
      canary: canaryStatusSchema
        .describe('The last run of canaries; only of a controller with `--verify-interval`.')
        .optional(),
      jobs: listField(
        jobSchema,
        'The batch jobs that the spec declares; absent if it declares none.',
      ).optional(),
    }),
    'The pairs, worst state first.',
  ),
});
