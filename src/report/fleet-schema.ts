import * as z from 'zod';
import { FLEET_CATEGORIES, type FleetCategory } from '../fleet/types.ts';
import { countField, formatField, listField, namedObject, stringField } from './plan-schema.ts';
import { instantField } from './status-schema.ts';

const accountIdField = stringField('Account id, 12 digits.');

const categoryField = z
  .enum(Object.keys(FLEET_CATEGORIES) as [FleetCategory, ...FleetCategory[]])
  .describe('The category. docs/how-to/survey-all-accounts.md lists them, the most severe first.');
const ruleVerdictField = z
  .enum(['proven', 'broken', 'unknown', 'off'])
  .describe('`unknown`: replikey could not read or decide something; `off`: the rule is disabled.');

const bucketTotals = {
  total: countField('Number of buckets.'),
  replicating: countField('Number of buckets with a replication configuration.'),
  withoutReplication: countField('Number of buckets without one, also those that only receive replicas.'),
  unknown: countField('Number of buckets that could not be read.'),
};

const controlPoliciesField = namedObject(
  'ControlPolicyTotals',
  'Requests of S3, and those that depend on control policies.',
  {
    requests: countField('Number of requests that S3 makes.'),
    dependent: countField('Number of these whose result depends on control policies that were not read.'),
    unread: listField(
      z.string(),
      'Why they were not read, by account; absent: replikey did not try to read them.',
    ).optional(),
  },
);

const findingFields = {
  category: categoryField,
  severity: z.enum(['error', 'warning', 'unknown', 'info']).describe('The severity, as in `Finding`.'),
  code: z
    .string()
    .regex(/^RK\d{4}$/)
    .describe('The finding code. Its page is `docs/reference/findings/CODE.md`.'),
  title: stringField('The title of the finding code.'),
  message: stringField('The cause.'),
  rule: stringField('ID of the rule; absent: the finding concerns the bucket.').optional(),
  destination: stringField('Name of the destination bucket.').optional(),
  since: instantField(
    'The start of the first saved run with the finding, which no later run has found resolved.',
  ),
};

const locatedFindingFields = {
  ...findingFields,
  account: accountIdField,
  bucket: stringField('Name of the bucket.'),
};
const locatedFindingSchema = namedObject(
  'FleetDiffFinding',
  'A finding with its bucket.',
  locatedFindingFields,
);

const fleetBucketSchema = namedObject(
  'FleetBucket',
  'A bucket with a replication configuration, or one that could not be read.',
  {
    name: stringField('Name of the bucket.'),
    account: accountIdField,
    region: stringField('AWS Region; absent: not known.').optional(),
    verdict: ruleVerdictField.describe('The worst verdict of its rules; `broken` also if operations failed.'),
    specs: listField(z.string(), 'Names of the specs that declare its rules; absent: none.').optional(),
    manager: stringField(
      'The tool that manages the bucket, from its tags; absent: none is known.',
    ).optional(),
    rules: listField(
      namedObject('FleetRule', 'A rule.', {
        id: stringField('ID of the rule; empty: it has none.'),
        destination: stringField('Name of the destination bucket.'),
        destinationAccount: stringField('Account id of its owner; absent: not known.').optional(),
        verdict: ruleVerdictField,
        controlPolicies: controlPoliciesField
          .describe('The requests of the rule; absent: the rule was not proven.')
          .optional(),
      }),
      'The rules; empty: the configuration could not be read.',
    ),
    findings: listField(
      namedObject('FleetFinding', 'A finding about a bucket or one of its rules.', findingFields),
      'The findings, the most severe first.',
    ),
  },
);

/** The schema of the report on all accounts, as `-o json` prints and `--save` saves it. */
export const fleetReportSchema = namedObject('FleetReport', 'The survey of all buckets of some accounts.', {
  format: formatField,
  startedAt: instantField('The start of the survey; of a continued one, that of the interrupted run.'),
  endedAt: instantField('The end of the survey.'),
  regions: listField(z.string(), 'The only Regions that were surveyed; absent: all.').optional(),
  accounts: listField(
    namedObject('FleetAccount', 'A surveyed account.', {
      id: accountIdField,
      name: stringField('Name in the specs, in the file or in the organization.').optional(),
      access: stringField('The credentials: `ambient credentials`, a profile or a role.'),
      error: stringField('Why the account could not be read, or not completely.').optional(),
      totals: namedObject('BucketTotals', 'Numbers of buckets.', bucketTotals).describe('Its buckets.'),
    }),
    'The accounts, by id.',
  ),
  buckets: listField(fleetBucketSchema, 'The buckets, the one with the most severe finding first.'),
  totals: namedObject('FleetTotals', 'Numbers of all accounts.', {
    ...bucketTotals,
    accounts: countField('Number of accounts.'),
    unreadableAccounts: countField('Number of accounts that could not be read completely.'),
    rules: countField('Number of rules.'),
    byVerdict: z
      .record(z.enum(['proven', 'broken', 'unknown', 'off']), z.int())
      .describe('Number of rules by verdict.'),
    byCategory: z
      .record(categoryField, z.int())
      .describe('Number of buckets with a finding of the category.'),
    unknownReasons: z
      .record(z.string(), z.int())
      .describe('Number of unreadable buckets and accounts by reason, for example `AccessDenied`.'),
    controlPolicies: controlPoliciesField.describe('The requests of all rules.').optional(),
  }).describe('The totals.'),
  diff: namedObject('FleetDiff', 'The comparison with the last complete run.', {
    since: instantField('The start of that run.'),
    added: listField(locatedFindingSchema, 'New findings.'),
    resolved: listField(
      locatedFindingSchema,
      'Findings that no longer exist. What is unknown now is not resolved.',
    ),
    changed: listField(
      namedObject('FleetChange', 'A finding whose severity or message is different.', {
        before: locatedFindingSchema.describe('The earlier finding.'),
        after: locatedFindingSchema.describe('The finding now.'),
      }),
      'Changed findings.',
    ),
  })
    .describe('The comparison with the last complete run; present only with `--save` and an earlier report.')
    .optional(),
  unverified: listField(
    namedObject('UnverifiedFinding', 'A finding of an earlier run that this run could not check.', {
      ...locatedFindingFields,
      region: stringField('AWS Region of the bucket; absent: not known.').optional(),
    }),
    'Findings of earlier runs that this run could not check, because something was unknown or not surveyed. They keep their `since`.',
  ).optional(),
});
