import * as z from 'zod';
import { JOB_STATES, PLAN_FORMAT } from '../core/resource.ts';
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

export const formatField = z.literal(1).describe('Increases when a field changes its meaning or is removed.');
const planFormatField = z
  .literal(PLAN_FORMAT, `this version of replikey reads plans of format ${PLAN_FORMAT}`)
  .describe('Increases when a field changes its meaning or is removed.');
const resourceIdField = stringField(
  `The resource: \`${s3Versioning.name}/acme-tax\`. Keys are named by alias and Region.`,
);
const pairsField = stringListField(
  'Names of the specs that declare the resource, or of the removed spec that it belonged to.',
);
const actionField = z
  .enum(['create', 'update', 'delete'])
  .describe(`\`delete\` occurs only with \`--prune\`, and only for ${quotedNames(removableKinds(), 'and')}.`);

export const positionSchema = namedObject('Position', 'A position in the YAML.', {
  file: stringField('Path as given on the command line; empty if no current spec declares the resource.'),
  line: countField('Line, from 1.'),
  column: countField('Column, from 1.'),
});

const locationSchema = namedObject('Location', 'The account and Region of a resource.', {
  account: stringField('Name of the Account document; absent for the ambient credentials.').optional(),
  region: stringField('AWS Region.'),
});

const pathField = stringField(
  'JSON Pointer of a field, or of an element of a set. Policy statements are keyed by Sid, rules by id, and elements of sets by their text.',
);

const operationSchema = z
  .union([
    z.object({
      op: z.enum(['add', 'replace']).describe('The operation at the path.'),
      path: pathField,
      value: unknownField(
        `A value that is known only after an earlier step is \`{ "$ref": "${kmsKey.name}/alias/acme-tax@us-east-1", "attr": "arn" }\`.`,
      ),
    }),
    z.object({ op: z.literal('remove').describe('The operation at the path.'), path: pathField }),
  ])
  .meta({
    id: 'Operation',
    description:
      'A JSON Patch operation (RFC 6902). A set, for example the actions of a statement, is an object with the text of each element as the key: an additional action is one `add`. The text of a reference is its `$ref`, `#` and its `attr`.',
  });

const riskSchema = namedObject('Risk', 'A risk of a step.', {
  id: stringField('The id that `--allow` accepts. docs/reference/specs.md lists all ids.'),
  message: stringField('The effect of this step.'),
  subject: stringField(
    'The rule as `BUCKET/RULE`, or the name of the spec: `--allow ID=SUBJECT` allows the risk for it alone.',
  ).optional(),
});

const retainedBySchema = namedObject('RetainedBy', 'Permissions that a step replaces.', {
  drainSeconds: z
    .number()
    .min(0)
    .describe('Time from the write until replikey removes them, in seconds: for objects in flight.'),
  statements: z
    .record(z.string(), z.record(z.string(), z.unknown()))
    .describe('The lost parts of the replaced statements, by Sid.'),
});

const housekeepingSchema = namedObject(
  'Housekeeping',
  'A write that changes only retained permissions. It counts neither for the checksum nor for the limits.',
  {
    id: resourceIdField,
    action: z
      .enum(['renew', 'retain', 'expire'])
      .describe(
        '`renew`: rules still change, so the permissions stay longer; `retain`: permissions of a former role stay for one more drain; `expire`: they are removed.',
      ),
    at: locationSchema.describe('The account and the Region of the resource.'),
    sids: stringListField('Sids of the statements.'),
    needs: stringListField('Ids of the writes of the plan that come first.'),
    pairs: pairsField,
    from: positionSchema.describe('The declaration of the resource.'),
  },
);

const retainedSchema = namedObject('Retained', 'A replaced permission that has not expired.', {
  id: resourceIdField,
  sid: stringField('Sid of the retained statement.'),
  expiresAt: z.iso.datetime().describe('Time in UTC at which it expires; a later run removes it.'),
  statement: z.record(z.string(), z.unknown()).describe('The permission.'),
  pairs: pairsField,
});

const stepSchema = namedObject('Step', 'One resource to create, update or delete.', {
  id: resourceIdField,
  kind: stringField(`${quotedNames(kindsByService(), 'or')}.`),
  action: actionField,
  at: locationSchema.describe('The account and Region of the resource.'),
  patch: listField(
    operationSchema,
    'The changes from the actual to the desired state, sorted by path; for a create, an `add` of each field.',
  ),
  before: z
    .record(z.string(), z.unknown())
    .describe(
      'Current values at the paths of the patch, by path, in the same form. Values that do not exist yet are absent.',
    ),
  desired: unknownField(
    'The managed part of the document after the step. A value that is known only after an earlier step is a reference, as in the patch.',
  ),
  why: stringListField('Reasons for the change, as text.'),
  calls: stringListField('The API operations of the change: `s3:PutBucketVersioning`.'),
  needs: stringListField('Ids of the steps that must succeed before this one.'),
  risks: listField(
    riskSchema,
    'Risks of the step. replikey applies a plan with a risk only with `--allow ID`.',
  ),
  retains: retainedBySchema
    .describe('Permissions that the step replaces, and that stay for objects in flight.')
    .optional(),
  pairs: pairsField,
  from: positionSchema.describe('The position of the declaration.'),
});

const blockedSchema = namedObject('Blocked', 'A resource that replikey cannot change until a person acts.', {
  id: resourceIdField,
  why: stringField('The cause, and the required action.'),
  pairs: pairsField,
  from: positionSchema.describe('The position of the declaration.'),
});

const withheldSchema = namedObject(
  'Withheld',
  'A change that replikey does not make, because another resource of all its pairs is blocked.',
  {
    id: resourceIdField,
    action: actionField,
    because: stringListField('Ids of the blocked resources.'),
    pairs: pairsField,
  },
);

const noteSchema = namedObject('Note', 'A note about a resource, without a change.', {
  id: resourceIdField,
  message: stringField('The note as text.'),
  pairs: pairsField,
});

export const jobSchema = namedObject(
  'Job',
  'The state of a batch job that a spec declares. No checksum covers it, because a job proceeds by itself.',
  {
    id: resourceIdField,
    state: z
      .enum(JOB_STATES)
      .describe(
        '`notStarted`: no job exists yet; `preparing`: S3 lists the objects; `awaitingApproval`; `inProgress`; `succeeded`: the job has ended, and none of its objects failed; `tasksFailed`: S3 tried all objects, and some failed; `failed`: the last job ended too early; another one follows, but none after the third; `blocked`: a person must remove the cause.',
      ),
    jobId: stringField(
      'Id of the job; absent while there is none, or when S3 has forgotten it 90 days after its end.',
    ).optional(),
    total: countField('Number of objects; absent while it is not known.').optional(),
    succeeded: countField('Number of objects that the job has replicated.'),
    failed: countField('Number of objects that S3 could not replicate.'),
    since: z.iso
      .datetime()
      .describe('Time in UTC of the creation of the job, or of its end; absent without a job.')
      .optional(),
    approval: stringField(
      'The options that approve the job: `--allow start-backfill=JOB`; absent if it needs no approval.',
    ).optional(),
    reason: stringField('Why the job does not proceed.').optional(),
    report: stringField(
      'Where S3 writes the list of failed objects; absent without `backfill.report`.',
    ).optional(),
    pairs: pairsField,
  },
);

const handoverSchema = namedObject(
  'Handover',
  'A manual step for the owner of an account without credentials.',
  {
    id: resourceIdField,
    account: stringField('Account id (12 digits).'),
    what: stringField('The step as text: `enable versioning on acme-tax-replica`.'),
    document: unknownField(
      'A policy, its statements, or a configuration, in the form of the AWS API.',
    ).optional(),
    command: stringField(
      'Commands for a POSIX shell with the AWS CLI and jq. They keep what the document contains beside the entries. Absent while a value is known only after apply.',
    ).optional(),
    pairs: pairsField,
  },
);

const planInputsSchema = namedObject(
  'PlanInputs',
  'The inputs of a plan, sufficient for `reconcile apply` to make it again.',
  {
    version: stringField('Version of replikey.'),
    paths: stringListField('Paths of the specs, as given on the command line.'),
    only: stringListField('Values of `--only`.'),
    selector: stringField('Value of `--selector`.').optional(),
    variables: stringListField('Values of `--var`.').optional(),
    prune: z.boolean().describe('Whether `--prune` is set.'),
  },
);

const planTargetSchema = namedObject('PlanTarget', 'Where a plan applies.', {
  accounts: z
    .record(z.string(), z.string())
    .describe(
      'Account ids (12 digits) by name of the Account document; the empty name means the ambient credentials.',
    ),
  partitions: stringListField(
    'AWS partitions of the Regions, such as `aws`, `aws-cn`, `aws-us-gov` and `aws-eusc`.',
  ),
  endpoint: stringField(
    '`aws`; `sandbox`: the sandbox of `--sandbox`; `snapshot`: `--observed`; or the URL of another endpoint. If services differ: `iam=aws, s3=http://127.0.0.1:4566`.',
  ),
});

const policyRefSchema = namedObject('PolicyRef', 'A policy that applies to a request.', {
  kind: z
    .enum(['trust', 'role', 'boundary', 'bucket', 'key'])
    .describe('The type of the policy: of the role (`trust`, `role`, `boundary`), the bucket or the key.'),
  of: stringField('ARN of the role or the key, or name of the bucket.'),
  policy: stringField('Name of a policy of a role.').optional(),
});

const statementSchema = z
  .record(z.string(), z.unknown())
  .meta({ id: 'Statement', description: 'A policy statement, in the form of the AWS API.' });

const fixTextField = stringField('The fix as text.');
const policyField = policyRefSchema.describe('The policy to change.');

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
      replace: statementSchema.describe('The statement to replace, as it is in the policy.'),
      by: statementSchema.describe('The statement that replaces it.'),
    }),
    z.object({
      what: fixTextField,
      policy: policyField,
      remove: statementSchema.describe('The statement to remove, as it is in the policy.'),
    }),
    z.object({
      what: fixTextField,
      call: namedObject('Call', 'A call of the AWS API.', {
        service: z.enum(['s3', 'kms']).describe('The service.'),
        operation: stringField('Name of the API operation: `PutBucketVersioning`.'),
        region: stringField('Region of the call.'),
        input: z.record(z.string(), z.unknown()).describe('Input of the call, in the form of the AWS API.'),
      }).describe('The call to make.'),
    }),
  ])
  .meta({
    id: 'Fix',
    description:
      'The change that corrects a finding: a statement to `add`, to `replace` or to `remove`, or a `call`.',
  });

export const findingSchema = namedObject(
  'Finding',
  'A problem of a rule or its objects, or a fact worth knowing.',
  {
    code: z
      .string()
      .regex(/^RK\d{4}$/)
      .describe('The finding code. Its page is `docs/reference/findings/CODE.md`.'),
    severity: z
      .enum(['error', 'warning', 'unknown', 'info'])
      .describe(
        '`error`: objects fail, or S3 skips them; `warning`: some objects may fail, or a failure goes unnoticed; `unknown`: replikey could not decide; `info`: worth knowing.',
      ),
    title: stringField('The title of the finding code.'),
    message: stringField('The cause.'),
    failureReason: stringField('The failure reason in S3 events of failed replication.').optional(),
    fixes: listField(fixSchema, 'The fixes in order; each fix is required.'),
    at: positionSchema.describe('The position in the YAML, for a rule that a spec declares.').optional(),
    resources: listField(
      z.string(),
      'Addresses of the resources in a plan or template to change, the most specific first.',
    ).optional(),
    request: namedObject('Request', 'A request that S3 makes as the role.', {
      action: stringField('The action: `kms:Decrypt`.'),
      resource: stringField('ARN of the resource.'),
      context: z
        .record(z.string(), z.union([z.string(), z.array(z.string())]))
        .describe('Condition keys and their values.'),
    })
      .describe('The request that is denied or undecided.')
      .optional(),
  },
);

const answerSchema = namedObject('Answer', 'One request that S3 makes as the role, with its result.', {
  purpose: stringField('The purpose as text: `decrypt the object`.'),
  action: stringField('The action: `kms:Decrypt`.'),
  resource: stringField('ARN of the resource.'),
  result: z
    .enum(['allowed', 'denied', 'unknown'])
    .describe('`unknown`: replikey could not decide, for example because a policy is unreadable.'),
  reason: stringField('The statements that decide, or the missing Allow.'),
  unreadControlPolicies: listField(
    z.string(),
    'Control policies that may deny the request, and that replikey did not read: `SCPs of account 111122223333`. Absent if there are none.',
  ).optional(),
});

const ruleFields = {
  bucket: stringField('The source bucket.'),
  rule: stringField(
    'ID of the rule: `replikey/<spec>/<rule>` for a rule that replikey manages; empty if there is no rule.',
  ),
  destination: stringField('The destination bucket.'),
  spec: stringField('The spec that declares the rule, if any.').optional(),
  verdict: z
    .enum(['proven', 'broken', 'unknown', 'off', 'blocked'])
    .describe(
      '`proven`: every request is allowed; `broken`: objects fail; `unknown`: replikey could not decide; `off`: the rule is disabled; `blocked`: the plan leaves its pair as it is.',
    ),
  findings: listField(findingSchema, 'The findings about the rule.'),
  basis: namedObject('ProofBasis', 'The documents that decide about a rule.', {
    buckets: listField(z.string(), 'Names of the buckets, source first: their policies and settings.'),
    roles: listField(z.string(), 'ARNs of roles: their policies, trust policies and boundaries.'),
    keys: listField(z.string(), 'ARNs of keys: their policies and states.'),
    policies: listField(
      z.string(),
      'ARNs of the managed policies and boundaries of the roles; absent: none.',
    ).optional(),
    unread: listField(
      z.string(),
      'Documents that replikey could not read. It never reads endpoint policies.',
    ),
    controlPolicies: namedObject(
      'ControlPolicyBasis',
      'The part of the proof that depends on control policies.',
      {
        requests: countField('Number of S3 requests that were evaluated.'),
        dependent: countField(
          'Number of these requests that are allowed unless a service or resource control policy denies them that replikey did not read.',
        ),
        undecided: countField(
          'Number of these requests that are undecided, because `--organization-account` could not read the control policies; absent: none.',
        ).optional(),
        unread: listField(
          z.string(),
          'Reasons by account: `account 111122223333: REASON`. Empty without `--organization-account`.',
        ),
      },
    ),
  })
    .describe('What the verdict is based on; absent if there is no rule to prove.')
    .optional(),
};

const plannedRuleSchema = namedObject(
  'PlannedRule',
  'The proof of a declared rule as it is after the plan is applied.',
  {
    ...ruleFields,
    requests: countField('Number of S3 requests that were evaluated.'),
  },
);

export const provenRuleSchema = namedObject('ProvenRule', 'The proof of a rule.', {
  ...ruleFields,
  address: stringField('Address of the resource in a plan or template that contains the rule.').optional(),
  answers: listField(answerSchema, 'Every request that was evaluated.'),
});

export const variableSchema = namedObject('Variable', 'A variable that the specs use.', {
  name: stringField('Name of the variable.'),
  value: z.union([z.string(), z.number(), z.boolean()]).describe('Its value.'),
  from: stringField('The origin of the value: `--var`, `environment NAME` or `default`.'),
});

const refusalSchema = namedObject('Refusal', 'A reason why replikey applies nothing.', {
  id: stringField(
    'The id of a risk that is not allowed; or `max-changes`, `max-removals`, `unproven` (a rule would not replicate), `stale-plan` (the plan differs from the approved plan), `wrong-account` (every bucket denies access) or `not-confirmed` (a person declined the plan on the terminal).',
  ),
  message: stringField('The reason, and the option that overrides it.'),
  step: stringField('Id of the step, if the refusal is about one step.').optional(),
  subject: stringField(
    'The rule as `BUCKET/RULE`, or the name of the spec, if `--allow ID=SUBJECT` allows it alone.',
  ).optional(),
});

/** A plan in its printed and saved form. The schema ignores unknown fields, so that replikey can read a newer plan. */
export const planDocumentSchema = namedObject('Plan', 'The changes, in order.', {
  format: planFormatField,
  waves: listField(z.array(stepSchema), 'Steps in the printed order. No step depends on a later wave.'),
  blocked: listField(blockedSchema, 'Resources that replikey cannot change until a person acts.'),
  withheld: listField(withheldSchema, 'Changes of blocked pairs, which replikey does not make.'),
  notes: listField(noteSchema, 'Notes without a change.'),
  handover: listField(handoverSchema, 'Manual steps for the owners of accounts without credentials.'),
  housekeeping: listField(housekeepingSchema, 'Writes that renew or remove retained permissions.'),
  retained: listField(retainedSchema, 'Replaced permissions that stay for objects in flight.'),
  jobs: listField(jobSchema, 'The batch jobs that specs declare; absent if they declare none.').optional(),
  unchanged: countField('Number of resources that are as declared.'),
  target: planTargetSchema.describe('The only place where the plan applies.'),
  digest: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .describe(
      'SHA-256 over the format, the target and everything that a person approves. `--plan CHECKSUM` accepts its first 16 digits or more.',
    ),
  made: planInputsSchema
    .describe('The inputs of the plan; absent for the remaining plan after a pass.')
    .optional(),
  observedAt: z.iso
    .datetime()
    .describe('The time of the snapshot, for a plan that was made from a snapshot.')
    .optional(),
  variables: listField(
    variableSchema,
    'The variables that the specs use; absent if they use none.',
  ).optional(),
  refused: listField(
    refusalSchema,
    'Reasons why apply would refuse the plan; present only for a plan without apply.',
  ).optional(),
  proof: listField(plannedRuleSchema, 'The proof of each declared rule.'),
  summary: namedObject('Summary', 'The number of resources by change.', {
    create: countField('Resources to create.'),
    update: countField('Resources to update.'),
    delete: countField('Resources to delete.'),
    blocked: countField('Blocked resources.'),
    unchanged: countField('Resources that are as declared.'),
  }).describe('The summary of the plan.'),
});

const outcomeFieldSchemas = {
  refused: listField(refusalSchema, 'Reasons why replikey applied nothing; empty if it applied the plan.'),
  results: listField(
    namedObject('Result', 'The result of one step.', {
      id: resourceIdField,
      action: actionField,
      result: z
        .enum(['applied', 'failed', 'skipped'])
        .describe('`skipped`: a step that this step needs was not applied, or the run was interrupted.'),
      why: stringField('For a failed or skipped step: the cause, and the required action.').optional(),
      leftBehind: listField(
        namedObject('LeftBehind', 'A resource that a step created and that nothing uses.', {
          what: stringField('The resource, and the cause.'),
          command: stringField('The AWS CLI command that deletes it.'),
        }),
        'Resources that the step created and that nothing uses. replikey does not delete them.',
      ).optional(),
    }),
    'The result of each step.',
  ),
  left: planDocumentSchema
    .describe(
      'The remaining plan, from a second read after the last write; a plan without steps means converged. Absent if nothing was written, or if the run was interrupted.',
    )
    .optional(),
  calls: namedObject('Calls', 'The number of AWS calls, including every retry.', {
    reads: countField('Calls that only read.'),
    writes: countField('Calls that write.'),
  }).describe('The AWS calls of the run.'),
};

export const passSchema = namedObject('Pass', 'One pass: the plan and its result.', {
  format: formatField,
  plan: planDocumentSchema.describe('The plan before apply.'),
  ...outcomeFieldSchemas,
});

const timeField = z.iso.datetime().describe('The time of the event.');
const messageField = stringField('The event as text.');
export const failureSchema = namedObject('Failure', 'The error that ended a run before it had a result.', {
  exitCode: z.int().describe('The exit code of the command.'),
  message: stringField('The error message, as on standard error.'),
}).describe('The error that ended the run.');

const eventSchema = <T extends z.ZodRawShape>(
  name: string,
  description: string,
  types: string[],
  fields: T,
) =>
  namedObject(name, description, {
    format: formatField,
    type: z.enum(types).describe('The type of the event.'),
    time: timeField,
    message: messageField,
    ...fields,
  });

export const eventSchemas = [
  eventSchema('PlanEvent', 'The plan before apply.', ['plan'], {
    plan: planDocumentSchema.describe('The plan.'),
  }),
  eventSchema('WaitingEvent', 'A wait until AWS shows a write.', ['waiting'], {
    id: resourceIdField,
    waitsFor: stringField('The condition as text: `S3 to see the new role`.'),
    untilMs: z.number().min(0).describe('The maximum wait in milliseconds.'),
  }),
  eventSchema('StepEvent', 'The result of a step.', ['applied', 'failed', 'skipped'], {
    id: resourceIdField,
    action: actionField,
    why: stringField('For a failed or skipped step: the cause, and the required action.').optional(),
  }),
  eventSchema('OutcomeEvent', 'The last line: the result of the pass.', ['outcome'], outcomeFieldSchemas),
  eventSchema('ErrorEvent', 'The last line of a run that ended before it had a result.', ['error'], {
    error: failureSchema,
  }),
] as const;
