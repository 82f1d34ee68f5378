import * as z from 'zod';
import { kinds } from '../kinds/index.ts';
import { kmsKey } from '../kinds/kms-key.ts';
import { s3Versioning } from '../kinds/s3-versioning.ts';

/**
 * The JSON output. This is the only source of the published JSON Schema and of the tables in docs/reference/output.md: the
 * descriptions are the documentation. Fields may be added under the same format, so a reader must ignore unknown
 * fields.
 */

export const stringField = (description: string) => z.string().describe(description);
export const stringListField = (description: string) => z.array(z.string()).describe(description);
export const countField = (description: string) => z.int().min(0).describe(description);
export const unknownField = (description: string) => z.unknown().meta({ description });
export const namedObject = <T extends z.ZodRawShape>(id: string, description: string, fields: T) =>
  z.object(fields).meta({ id, description });
export const listField = <T extends z.ZodType>(item: T, description: string) =>
  z.array(item).describe(description);

/** `` `a`, `b` or `c` `` */
function quotedNames(names: readonly string[], conjunction: 'and' | 'or'): string {
  const quoted = names.map((name) => `\`${name}\``);
  return `${quoted.slice(0, -1).join(', ')} ${conjunction} ${quoted.at(-1)}`;
}

/** Returns the names of all kinds: S3 first, then KMS, then IAM. */
function kindsByService(): string[] {
  const service = (name: string) => ['s3', 'kms', 'iam'].indexOf(name.split('.')[0] ?? '');
  return [...kinds.keys()].sort((a, b) => service(a) - service(b));
}

/** Returns the names of the kinds that replikey can remove, in the order of removal. */
const removableKinds = (): string[] =>
  [...kinds.values()].flatMap(({ name, remove }) => (remove ? name : [])).reverse();

export const formatField = z.literal(1).describe('Raised when a field changes its meaning or goes away.');
const planFormatField = z
  .literal(2, 'this version of replikey reads plans of format 2')
  .describe('Raised when a field changes its meaning or goes away.');
const resourceIdField = stringField(
  `The resource: \`${s3Versioning.name}/acme-tax\`. Keys are named by alias and Region.`,
);
const pairsField = stringListField('Names of the specs that want it, or of which it is left.');
const actionField = z
  .enum(['create', 'update', 'delete'])
  .describe(`\`delete\` only with \`--prune\`, and of nothing but ${quotedNames(removableKinds(), 'and')}.`);

export const positionSchema = namedObject('Position', 'A place in the YAML.', {
  file: stringField('Path as it was given; empty for what no spec wants.'),
  line: countField('From 1.'),
  column: countField('From 1.'),
});

const placeSchema = namedObject('Place', 'Where a resource lives.', {
  account: stringField('Name of its Account document; absent: the ambient credentials.').optional(),
  region: stringField('Region of AWS.'),
});

const pathField = stringField(
  'JSON Pointer of the field, or of an element of a set; statements of policies are keyed by Sid, rules by id, elements of sets by their text.',
);

const operationSchema = z
  .union([
    z.object({
      op: z.enum(['add', 'replace']).describe('What to do at the path.'),
      path: pathField,
      value: unknownField(
        `A value that is known only after an earlier step is \`{ "$ref": "${kmsKey.name}/alias/acme-tax@us-east-1", "attr": "arn" }\`.`,
      ),
    }),
    z.object({ op: z.literal('remove').describe('What to do at the path.'), path: pathField }),
  ])
  .meta({
    id: 'Operation',
    description:
      'An operation of JSON Patch (RFC 6902). A set, such as the actions of a statement, is an object that holds each element under its text: one more action is one `add`. The text of a reference is its `$ref`, `#` and its `attr`.',
  });

const riskSchema = namedObject('Risk', 'What could go wrong with a step.', {
  id: stringField('What a person allows with `--allow`: docs/reference/specs.md has them all.'),
  message: stringField('What it is about here.'),
});

const stepSchema = namedObject('Step', 'One resource to create, to update, or to take away.', {
  id: resourceIdField,
  kind: stringField(`${quotedNames(kindsByService(), 'or')}.`),
  action: actionField,
  at: placeSchema.describe('Where it lives.'),
  patch: listField(
    operationSchema,
    'From what was observed to what is declared, sorted by path; for a create, an `add` of each field.',
  ),
  before: z
    .record(z.string(), z.unknown())
    .describe(
      'Current values at the paths of the patch, by path, in the same form; values that do not exist yet are left out.',
    ),
  desired: unknownField(
    'The managed part of the document that the step leaves. A value that is known only after an earlier step is a reference, as in the patch.',
  ),
  why: stringListField('Reasons, in words.'),
  calls: stringListField('The API operations that make the change: `s3:PutBucketVersioning`.'),
  needs: stringListField('Ids of the steps that must succeed before this one.'),
  risks: listField(riskSchema, 'A plan with a risk is applied only with `--allow ID`.'),
  pairs: pairsField,
  from: positionSchema.describe('Where it was asked for.'),
});

const blockedSchema = namedObject('Blocked', 'What cannot be done before a person acts.', {
  id: resourceIdField,
  why: stringField('What is in the way, and what to do.'),
  pairs: pairsField,
  from: positionSchema.describe('Where it was asked for.'),
});

const noteSchema = namedObject('Note', 'A remark that asks for attention, and changes nothing.', {
  id: resourceIdField,
  message: stringField('For a person.'),
  pairs: pairsField,
});

const handoverSchema = namedObject(
  'Handover',
  'What the owner of an account without credentials has to do.',
  {
    id: resourceIdField,
    account: stringField('Twelve digits.'),
    what: stringField('In words: `enable versioning on acme-tax-replica`.'),
    document: unknownField('A policy, its statements, or a configuration, as AWS takes it.').optional(),
    command: stringField(
      "The AWS CLI's command; `file://…` is the document, or a policy to which its statements were added.",
    ),
    pairs: pairsField,
  },
);

const planInputsSchema = namedObject(
  'Made',
  'How a plan was made: enough for `reconcile apply` to make it again.',
  {
    version: stringField('Of replikey.'),
    paths: stringListField('Paths of specs, as they were given.'),
    only: stringListField('What `--only` named.'),
    selector: stringField('What `--selector` said.').optional(),
    variables: stringListField('What `--var` said.').optional(),
    prune: z.boolean().describe('Whether `--prune` was given.'),
  },
);

const policyPlaceSchema = namedObject('PolicyPlace', 'A policy that has a say.', {
  kind: z.enum(['trust', 'role', 'boundary', 'bucket', 'key']).describe('Whose it is, and what for.'),
  of: stringField('ARN of the role or the key, or name of the bucket.'),
  policy: stringField('Name of a policy of a role.').optional(),
});

const statementSchema = z
  .record(z.string(), z.unknown())
  .meta({ id: 'Statement', description: 'A statement of a policy, as AWS takes it.' });

const fixTextField = stringField('What it does, in words.');
const policyField = policyPlaceSchema.describe('The policy to change.');
const indexField = (description: string) => countField(`${description}, by its index from 0.`);

const fixSchema = z
  .union([
    z.object({
      what: fixTextField,
      policy: policyField,
      add: statementSchema.describe('The statement to add.'),
    }),
    z.object({
      what: fixTextField,
      policy: policyField,
      replace: indexField('The statement to replace'),
      by: statementSchema.describe('What stands in its place.'),
    }),
    z.object({ what: fixTextField, policy: policyField, remove: indexField('The statement to take away') }),
    z.object({
      what: fixTextField,
      call: namedObject('Call', 'A call of AWS.', {
        service: z.enum(['s3', 'kms']).describe('Of which service.'),
        operation: stringField('As AWS names it: `PutBucketVersioning`.'),
        region: stringField('Region to call.'),
        input: z.record(z.string(), z.unknown()).describe('As AWS takes it.'),
      }).describe('The call to make.'),
    }),
  ])
  .meta({
    id: 'Fix',
    description: 'What mends a finding: a statement to `add`, to `replace` or to `remove`, or a `call`.',
  });

export const findingSchema = namedObject(
  'Finding',
  'Something about a rule or its objects that is wrong, or worth knowing.',
  {
    code: z
      .string()
      .regex(/^RK\d{4}$/)
      .describe('Its page is `docs/reference/findings/CODE.md`.'),
    severity: z
      .enum(['error', 'warning', 'unknown', 'info'])
      .describe(
        '`error`: objects fail, or are passed over; `warning`: some may, or nobody would notice; `unknown`: it could not be decided.',
      ),
    title: stringField('What findings of this code are about.'),
    message: stringField('What was found here.'),
    failureReason: stringField('What S3 calls it in its events of failed replication.').optional(),
    fixes: listField(fixSchema, 'In order; each is needed.'),
    at: positionSchema.describe('Where in the YAML, for a rule that a spec declares.').optional(),
    request: namedObject('Request', 'A request that S3 makes as the role.', {
      action: stringField('`kms:Decrypt`.'),
      resource: stringField('ARN of what it is about.'),
      context: z
        .record(z.string(), z.union([z.string(), z.array(z.string())]))
        .describe('Condition keys and their values.'),
    })
      .describe('The request that is denied, or undecided.')
      .optional(),
  },
);

const answerSchema = namedObject('Answer', 'One request that S3 makes as the role, and what becomes of it.', {
  purpose: stringField('In words: `decrypt the source object`.'),
  action: stringField('`kms:Decrypt`.'),
  resource: stringField('ARN of what it is about.'),
  result: z.enum(['allowed', 'denied', 'unknown']).describe('`unknown`: it depends on what cannot be read.'),
  reason: stringField('By which statements, or for the lack of which.'),
});

const ruleFields = {
  bucket: stringField('The source bucket.'),
  rule: stringField('ID of the rule: `replikey/<spec>/<rule>` for ours; empty where there is none.'),
  destination: stringField('The destination bucket.'),
  spec: stringField('The spec that declares it, if one does.').optional(),
  verdict: z
    .enum(['proven', 'broken', 'unknown', 'off'])
    .describe(
      '`proven`: every request is allowed; `broken`: objects fail; `unknown`: something could not be decided; `off`: the rule is disabled.',
    ),
  findings: listField(findingSchema, 'What is wrong, or worth knowing.'),
};

const foretoldRuleSchema = namedObject(
  'ForetoldRule',
  'How a declared rule will fare once the plan is applied.',
  {
    ...ruleFields,
    requests: countField('How many requests of S3 were decided.'),
  },
);

export const provenRuleSchema = namedObject('ProvenRule', 'How a rule fares.', {
  ...ruleFields,
  answers: listField(answerSchema, 'Every request that was decided.'),
});

export const variableSchema = namedObject('Variable', 'A variable that specs use.', {
  name: stringField('As it stands in the specs.'),
  value: z.union([z.string(), z.number(), z.boolean()]).describe('Its value.'),
  from: stringField('Where that came from: `--var`, `environment NAME` or `default`.'),
});

const refusalSchema = namedObject('Refusal', 'A reason to apply nothing.', {
  id: stringField(
    'A risk that nobody allowed; or `max-changes`, `max-removals`, `unproven` (a rule would not replicate) or `stale-plan` (it is not what was approved).',
  ),
  message: stringField('What is refused, and what lifts it.'),
  step: stringField('Id of the step that it is about.').optional(),
});

/** A plan in its printed and saved form. The schema ignores unknown fields, so that replikey can read a newer plan. */
export const planDocumentSchema = namedObject('Plan', 'What would change, in order.', {
  format: planFormatField,
  waves: listField(
    z.array(stepSchema),
    'Steps in the order in which they are printed; a step of a wave needs nothing of a later one.',
  ),
  blocked: listField(blockedSchema, 'What cannot be done before a person acts.'),
  notes: listField(noteSchema, 'Remarks that change nothing.'),
  handover: listField(handoverSchema, 'What owners of accounts without credentials have to do.'),
  unchanged: countField('How many resources are as declared.'),
  accounts: z
    .record(z.string(), z.string())
    .describe(
      'Account ids by the names of their Account documents; the empty name stands for the ambient credentials.',
    ),
  digest: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .describe(
      'SHA-256 over everything that a person approves: what `--plan CHECKSUM` takes, from its first 16 digits on.',
    ),
  made: planInputsSchema.describe('How it was made; absent for what is left after a pass.').optional(),
  observedAt: z.iso
    .datetime()
    .describe('When AWS was observed, for a plan that was made from an observation.')
    .optional(),
  variables: listField(
    variableSchema,
    'The variables that the specs use; absent where they use none.',
  ).optional(),
  refused: listField(
    refusalSchema,
    'What would keep it from being applied as it is; absent for what is left after a pass, and where it was not only planned.',
  ).optional(),
  proof: listField(foretoldRuleSchema, 'How each declared rule will fare.'),
  summary: namedObject('Summary', 'A plan in numbers.', {
    create: countField('Resources to create.'),
    update: countField('Resources to update.'),
    delete: countField('Resources to take away.'),
    blocked: countField('What cannot be done.'),
    unchanged: countField('Resources that are as declared.'),
  }).describe('The plan in numbers.'),
});

const outcomeFieldSchemas = {
  refused: listField(refusalSchema, 'Why nothing was applied; empty where nothing stood in the way.'),
  results: listField(
    namedObject('Result', 'What became of one step.', {
      id: resourceIdField,
      action: actionField,
      result: z
        .enum(['applied', 'failed', 'skipped'])
        .describe('`skipped`: what it needs was not applied, or the run was interrupted.'),
      why: stringField('For what failed or was skipped: why, and what to do.').optional(),
    }),
    'What became of each step.',
  ),
  left: planDocumentSchema
    .describe(
      'A second plan, from a second reading after the last write; no steps in it means converged. Absent where nothing was written, or the run was interrupted.',
    )
    .optional(),
  calls: namedObject('Calls', 'Calls of AWS, every attempt counted.', {
    reads: countField('Those that only read.'),
    writes: countField('Those that write.'),
  }).describe('How often AWS was called.'),
};

export const passSchema = namedObject('Pass', 'One pass: the plan, and what became of it.', {
  format: formatField,
  plan: planDocumentSchema.describe('The plan, before anything was applied.'),
  ...outcomeFieldSchemas,
});

const timeField = z.iso.datetime().describe('When it happened.');
const messageField = stringField('The same in words.');
export const failureSchema = namedObject('Failure', 'What ended a run before it had a result.', {
  exitCode: z.int().describe('The exit code of the command.'),
  message: stringField('What standard error says, too.'),
}).describe('What ended the run.');

const eventSchema = <T extends z.ZodRawShape>(
  name: string,
  description: string,
  types: string[],
  fields: T,
) =>
  namedObject(name, description, {
    format: formatField,
    type: z.enum(types).describe('What the line tells.'),
    time: timeField,
    message: messageField,
    ...fields,
  });

export const eventSchemas = [
  eventSchema('PlanEvent', 'The plan, before anything is applied.', ['plan'], {
    plan: planDocumentSchema.describe('The plan.'),
  }),
  eventSchema('WaitingEvent', 'AWS takes its time with what was written.', ['waiting'], {
    id: resourceIdField,
    waitsFor: stringField('In words: `S3 to see the new role`.'),
    untilMs: z.number().min(0).describe('How long at most, in milliseconds.'),
  }),
  eventSchema('StepEvent', 'What became of a step.', ['applied', 'failed', 'skipped'], {
    id: resourceIdField,
    action: actionField,
    why: stringField('For what failed or was skipped: why, and what to do.').optional(),
  }),
  eventSchema('OutcomeEvent', 'The last line: how the pass ended.', ['outcome'], outcomeFieldSchemas),
  eventSchema('ErrorEvent', 'The last line of a run that ended before it had a result.', ['error'], {
    error: failureSchema,
  }),
] as const;
