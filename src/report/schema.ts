import * as z from 'zod';

/**
 * What is printed as JSON. The one source of the published JSON Schema and of the tables in docs/output.md: the
 * descriptions are the documentation. Fields may be added under the same format, so that a reader passes over those
 * that it does not know.
 */

const text = (description: string) => z.string().describe(description);
const texts = (description: string) => z.array(z.string()).describe(description);
const count = (description: string) => z.int().min(0).describe(description);
const anything = (description: string) => z.unknown().meta({ description });
const named = <T extends z.ZodRawShape>(id: string, description: string, fields: T) =>
  z.object(fields).meta({ id, description });
const list = <T extends z.ZodType>(of: T, description: string) => z.array(of).describe(description);

const format = z.literal(1).describe('Raised when a field changes its meaning or goes away.');
const id = text('The resource: `s3.versioning/acme-tax`. Keys are named by alias and Region.');
const pairs = texts('Names of the specs that want it, or of which it is left.');
const action = z
  .enum(['create', 'update', 'delete'])
  .describe(
    '`delete` only with `--prune`, and of nothing but `s3.replication`, `s3.bucket-policy`, `iam.role-policy` and `iam.role`.',
  );

const position = named('Position', 'A place in the YAML.', {
  file: text('Path as it was given; empty for what no spec wants.'),
  line: count('From 1.'),
  column: count('From 1.'),
});

const place = named('Place', 'Where a resource lives.', {
  account: text('Name of its Account document; absent: the ambient credentials.').optional(),
  region: text('Region of AWS.'),
});

const path = text('JSON Pointer of the field; statements of policies are keyed by Sid, rules by id.');

const operation = z
  .union([
    z.object({
      op: z.enum(['add', 'replace']).describe('What to do at the path.'),
      path,
      value: anything(
        'A value that is known only after an earlier step is `{ "$ref": "kms.key/alias/acme-tax@us-east-1", "attr": "arn" }`.',
      ),
    }),
    z.object({ op: z.literal('remove').describe('What to do at the path.'), path }),
  ])
  .meta({
    id: 'Operation',
    description:
      'An operation of JSON Patch (RFC 6902). A list that differs is replaced as a whole, since its order says nothing.',
  });

const risk = named('Risk', 'What could go wrong with a step.', {
  id: text('What a person allows with `--allow`: docs/specs.md has them all.'),
  message: text('What it is about here.'),
});

const step = named('Step', 'One resource to create, to update, or to take away.', {
  id,
  kind: text(
    '`s3.bucket`, `s3.versioning`, `s3.encryption`, `s3.public-access`, `s3.ownership`, `s3.bucket-policy`, `s3.replication`, `kms.key`, `kms.key-policy`, `iam.role` or `iam.role-policy`.',
  ),
  action,
  at: place.describe('Where it lives.'),
  patch: list(operation, 'From what was observed to what is declared; for a create, one `add` of the whole.'),
  before: z
    .record(z.string(), z.unknown())
    .describe('What the fields of the patch are now, by path; those that are not there yet are left out.'),
  why: texts('Reasons, in words.'),
  calls: texts('The API operations that make the change: `s3:PutBucketVersioning`.'),
  needs: texts('Ids of the steps that must succeed before this one.'),
  risks: list(risk, 'A plan with a risk is applied only with `--allow ID`.'),
  pairs,
  from: position.describe('Where it was asked for.'),
});

const blocked = named('Blocked', 'What cannot be done before a person acts.', {
  id,
  why: text('What is in the way, and what to do.'),
  pairs,
  from: position.describe('Where it was asked for.'),
});

const note = named('Note', 'A remark that asks for attention, and changes nothing.', {
  id,
  message: text('For a person.'),
  pairs,
});

const handover = named('Handover', 'What the owner of an account without credentials has to do.', {
  id,
  account: text('Twelve digits.'),
  what: text('In words: `enable versioning on acme-tax-replica`.'),
  document: anything('A policy, its statements, or a configuration, as AWS takes it.').optional(),
  command: text(
    "The AWS CLI's command; `file://…` is the document, or a policy to which its statements were added.",
  ),
  pairs,
});

const made = named('Made', 'How a plan was made: enough for `reconcile apply` to make it again.', {
  version: text('Of replikey.'),
  paths: texts('Paths of specs, as they were given.'),
  only: texts('What `--only` named.'),
  selector: text('What `--selector` said.').optional(),
  variables: texts('What `--var` said.').optional(),
  prune: z.boolean().describe('Whether `--prune` was given.'),
});

const policyPlace = named('PolicyPlace', 'A policy that has a say.', {
  kind: z.enum(['trust', 'role', 'boundary', 'bucket', 'key']).describe('Whose it is, and what for.'),
  of: text('ARN of the role or the key, or name of the bucket.'),
  policy: text('Name of a policy of a role.').optional(),
});

const statement = z
  .record(z.string(), z.unknown())
  .meta({ id: 'Statement', description: 'A statement of a policy, as AWS takes it.' });

const what = text('What it does, in words.');
const policy = policyPlace.describe('The policy to change.');
const index = (description: string) => count(`${description}, by its index from 0.`);

const fix = z
  .union([
    z.object({ what, policy, add: statement.describe('The statement to add.') }),
    z.object({
      what,
      policy,
      replace: index('The statement to replace'),
      by: statement.describe('What stands in its place.'),
    }),
    z.object({ what, policy, remove: index('The statement to take away') }),
    z.object({
      what,
      call: named('Call', 'A call of AWS.', {
        service: z.enum(['s3', 'kms']).describe('Of which service.'),
        operation: text('As AWS names it: `PutBucketVersioning`.'),
        region: text('Region to call.'),
        input: z.record(z.string(), z.unknown()).describe('As AWS takes it.'),
      }).describe('The call to make.'),
    }),
  ])
  .meta({
    id: 'Fix',
    description: 'What mends a finding: a statement to `add`, to `replace` or to `remove`, or a `call`.',
  });

const finding = named('Finding', 'Something about a rule or its objects that is wrong, or worth knowing.', {
  code: z
    .string()
    .regex(/^RK\d{4}$/)
    .describe('Its page is `docs/findings/CODE.md`.'),
  severity: z
    .enum(['error', 'warning', 'unknown', 'info'])
    .describe(
      '`error`: objects fail, or are passed over; `warning`: some may, or nobody would notice; `unknown`: it could not be decided.',
    ),
  title: text('What findings of this code are about.'),
  message: text('What was found here.'),
  failureReason: text('What S3 calls it in its events of failed replication.').optional(),
  fixes: list(fix, 'In order; each is needed.'),
  at: position.describe('Where in the YAML, for a rule that a spec declares.').optional(),
  request: named('Request', 'A request that S3 makes as the role.', {
    action: text('`kms:Decrypt`.'),
    resource: text('ARN of what it is about.'),
    context: z
      .record(z.string(), z.union([z.string(), z.array(z.string())]))
      .describe('Condition keys and their values.'),
  })
    .describe('The request that is denied, or undecided.')
    .optional(),
});

const answer = named('Answer', 'One request that S3 makes as the role, and what becomes of it.', {
  purpose: text('In words: `decrypt the source object`.'),
  action: text('`kms:Decrypt`.'),
  resource: text('ARN of what it is about.'),
  result: z.enum(['allowed', 'denied', 'unknown']).describe('`unknown`: it depends on what cannot be read.'),
  reason: text('By which statements, or for the lack of which.'),
});

const rule = {
  bucket: text('The source bucket.'),
  rule: text('ID of the rule: `replikey/<spec>/<rule>` for ours; empty where there is none.'),
  destination: text('The destination bucket.'),
  spec: text('The spec that declares it, if one does.').optional(),
  verdict: z
    .enum(['proven', 'broken', 'unknown', 'off'])
    .describe(
      '`proven`: every request is allowed; `broken`: objects fail; `unknown`: something could not be decided; `off`: the rule is disabled.',
    ),
  findings: list(finding, 'What is wrong, or worth knowing.'),
};

const foretold = named('ForetoldRule', 'How a declared rule will fare once the plan is applied.', {
  ...rule,
  requests: count('How many requests of S3 were decided.'),
});

const proven = named('ProvenRule', 'How a rule fares.', {
  ...rule,
  answers: list(answer, 'Every request that was decided.'),
});

const variable = named('Variable', 'A variable that specs use.', {
  name: text('As it stands in the specs.'),
  value: z.union([z.string(), z.number(), z.boolean()]).describe('Its value.'),
  from: text('Where that came from: `--var`, `environment NAME` or `default`.'),
});

const refusal = named('Refusal', 'A reason to apply nothing.', {
  id: text(
    'A risk that nobody allowed; or `max-changes`, `max-removals`, `unproven` (a rule would not replicate) or `stale-plan` (it is not what was approved).',
  ),
  message: text('What is refused, and what lifts it.'),
  step: text('Id of the step that it is about.').optional(),
});

/** A plan, as it is printed and saved. What it does not know it passes over, so that a newer plan can be read. */
export const planDocument = named('Plan', 'What would change, in order.', {
  format,
  waves: list(
    z.array(step),
    'Steps in the order in which they are printed; a step of a wave needs nothing of a later one.',
  ),
  blocked: list(blocked, 'What cannot be done before a person acts.'),
  notes: list(note, 'Remarks that change nothing.'),
  handover: list(handover, 'What owners of accounts without credentials have to do.'),
  unchanged: count('How many resources are as declared.'),
  digest: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .describe(
      'SHA-256 over the data of the plan: what `--plan CHECKSUM` takes, from its first 16 digits on.',
    ),
  made: made.describe('How it was made; absent for what is left after a pass.').optional(),
  observedAt: z.iso
    .datetime()
    .describe('When AWS was observed, for a plan that was made from an observation.')
    .optional(),
  variables: list(variable, 'The variables that the specs use; absent where they use none.').optional(),
  refused: list(
    refusal,
    'What would keep it from being applied as it is; absent for what is left after a pass, and where it was not only planned.',
  ).optional(),
  proof: list(foretold, 'How each declared rule will fare.'),
  summary: named('Summary', 'A plan in numbers.', {
    create: count('Resources to create.'),
    update: count('Resources to update.'),
    delete: count('Resources to take away.'),
    blocked: count('What cannot be done.'),
    unchanged: count('Resources that are as declared.'),
  }).describe('The plan in numbers.'),
});

const ended = {
  refused: list(refusal, 'Why nothing was applied; empty where nothing stood in the way.'),
  results: list(
    named('Result', 'What became of one step.', {
      id,
      action,
      result: z
        .enum(['applied', 'failed', 'skipped'])
        .describe('`skipped`: what it needs was not applied, or the run was interrupted.'),
      why: text('For what failed or was skipped: why, and what to do.').optional(),
    }),
    'What became of each step.',
  ),
  left: planDocument
    .describe(
      'A second plan, from a second reading after the last write; no steps in it means converged. Absent where nothing was written, or the run was interrupted.',
    )
    .optional(),
  calls: named('Calls', 'Calls of AWS, every attempt counted.', {
    reads: count('Those that only read.'),
    writes: count('Those that write.'),
  }).describe('How often AWS was called.'),
};

const pass = named('Pass', 'One pass: the plan, and what became of it.', {
  format,
  plan: planDocument.describe('The plan, before anything was applied.'),
  ...ended,
});

const time = z.iso.datetime().describe('When it happened.');
const message = text('The same in words.');
const failure = named('Failure', 'What ended a run before it had a result.', {
  exitCode: z.int().describe('The exit code of the command.'),
  message: text('What standard error says, too.'),
}).describe('What ended the run.');

const event = <T extends z.ZodRawShape>(name: string, description: string, types: string[], fields: T) =>
  named(name, description, {
    format,
    type: z.enum(types).describe('What the line tells.'),
    time,
    message,
    ...fields,
  });

const events = [
  event('PlanEvent', 'The plan, before anything is applied.', ['plan'], {
    plan: planDocument.describe('The plan.'),
  }),
  event('WaitingEvent', 'AWS takes its time with what was written.', ['waiting'], {
    id,
    waitsFor: text('In words: `S3 to see the new role`.'),
    untilMs: z.number().min(0).describe('How long at most, in milliseconds.'),
  }),
  event('StepEvent', 'What became of a step.', ['applied', 'failed', 'skipped'], {
    id,
    action,
    why: text('For what failed or was skipped: why, and what to do.').optional(),
  }),
  event('OutcomeEvent', 'The last line: how the pass ended.', ['outcome'], ended),
  event('ErrorEvent', 'The last line of a run that ended before it had a result.', ['error'], {
    error: failure,
  }),
] as const;

const doctor = named('Examination', 'What the doctor finds on what exists.', {
  format,
  rules: list(proven, 'Each rule that exists, and each that is declared and does not exist.'),
  objects: list(
    named('Objects', 'How the objects of a bucket fare.', {
      bucket: text('The source bucket.'),
      lookedAt: count('How many of the most recent objects were looked at.'),
      byStatus: z
        .record(z.string(), z.int())
        .describe(
          'How many have each replication status: `COMPLETED`, `PENDING`, `FAILED`, `REPLICA`, or `none` where no rule took them.',
        ),
      oldest: list(
        named('Straggler', 'An object that has not arrived.', {
          status: z.enum(['PENDING', 'FAILED']).describe('Its replication status.'),
          key: text('Key of the object.'),
          since: z.iso.datetime().describe('When it was written.'),
        }),
        'Some of those that have failed or wait, oldest first.',
      ),
      findings: list(finding, 'What is wrong with them.'),
    }),
    'How the objects fare that were looked at, for each bucket.',
  ),
  declared: named('Declared', 'What specs declare and is not made yet.', {
    changes: count('How many resources the plan changes.'),
    rules: list(proven, 'How each declared rule will fare once they are changed.'),
  })
    .describe('Where specs were given: what they declare.')
    .optional(),
});

const encryption = z
  .union([
    z.object({ algorithm: z.literal('AES256').describe('By S3 alone.') }),
    z.object({
      algorithm: z.enum(['aws:kms', 'aws:kms:dsse']).describe('Once or twice under a key of KMS.'),
      keyArn: text('ARN of its key.'),
      bucketKey: z.boolean().describe('Whether under an S3 Bucket Key.'),
    }),
  ])
  .meta({ id: 'Encryption', description: 'How an object is encrypted.' });

const explained = named('ExplainedObject', 'What becomes of one object, and why.', {
  format,
  bucket: text('The source bucket.'),
  object: named('LookedAt', 'An object as it lies in a source bucket.', {
    key: text('Key of the object.'),
    versionId: text('Version that was looked at.').optional(),
    lastModified: z.iso.datetime().describe('When it was written.'),
    status: text('Replication status; absent where no rule took it.').optional(),
    tags: texts('As `key=value`.'),
    deleteMarker: z.boolean().describe('Whether it is a delete marker.'),
    encryption: encryption.describe('How it is encrypted.'),
  }).describe('The object.'),
  taken: list(proven, 'The rules that take it, proven for objects like this one.'),
  passed: list(
    named('PassedOver', 'A rule that does not take an object.', {
      rule: text('ID of the rule.'),
      why: text('Why not.'),
    }),
    'The rules that do not.',
  ),
  findings: list(finding, 'What is wrong with it.'),
});

const verification = named('Verification', 'What canaries found.', {
  format,
  canaries: list(
    named('Canary', 'One object, written under one rule to see it arrive.', {
      pair: text('Name of the spec.'),
      rule: text('Name of the rule.'),
      bucketKey: z.boolean().describe('Whether it was written under an S3 Bucket Key.'),
      sseAlgorithm: z
        .enum(['aws:kms', 'AES256'])
        .describe('`AES256` under a rule that does not select encrypted objects.'),
      key: text('Its key; empty where none was written.'),
      result: z
        .enum(['replicated', 'failed', 'timeout', 'skipped'])
        .describe('`skipped`: none was written; `timeout`: no replica was seen in time.'),
      latencyMs: z
        .number()
        .describe('From the answered write to the replica that was found, in milliseconds.')
        .optional(),
      why: text('For everything but a success: what is wrong, and what to do.').optional(),
      left: texts('Versions that could not be removed again.').optional(),
    }),
    'One for each rule and sort of object.',
  ),
});

const validation = named('Validation', 'What is wrong with specs.', {
  format,
  valid: z.boolean().describe('Whether nothing is.'),
  documents: count('How many documents were read.'),
  variables: list(variable, 'The variables that the specs use; none where something is wrong.'),
  problems: list(
    named('Problem', 'What is wrong, and what to write instead.', {
      position: position.describe('Where.'),
      path: text('`spec.rules[0].prefix`; absent where the YAML itself cannot be read.').optional(),
      message: text('What was found.'),
      hint: text('What would have been right, or what to do.').optional(),
      excerpt: text('The line, and a caret under the place.').optional(),
      takenBy: named('TakenBy', 'A spec that takes Defaults.', {
        name: text('Its name.'),
        position: position.describe('Where that stands.'),
      })
        .describe('The spec that takes the value, where the place is in Defaults.')
        .optional(),
    }),
    'Everything that is wrong.',
  ),
});

const observation = named(
  'Observation',
  'What exists, so that a plan can be made from it without credentials.',
  {
    format,
    observedAt: z.iso.datetime().describe('When the last answer came.'),
    answers: list(
      named('ObservedAnswer', 'What AWS answered to a read: either `output` or `error`.', {
        call: text('`s3:GetBucketVersioning`.'),
        account: text('Name of an Account document; absent: the ambient credentials.').optional(),
        region: text('Region that was asked.'),
        input: anything('What was asked, as AWS takes it.'),
        output: anything('What came back, as AWS gives it.').optional(),
        error: named('Refused', 'An answer that is an error.', {
          name: text('As AWS names it: `NoSuchBucketPolicy`.'),
          message: text('What AWS says.'),
          status: z.int().describe('HTTP status.').optional(),
          bucketRegion: text('Region of the bucket, where S3 named it.').optional(),
        })
          .describe('Why nothing came back.')
          .optional(),
      }),
      'Each answer, nothing of how it was signed.',
    ),
  },
);

const error = named('Ended', 'A run that ended before it had a result.', { format, error: failure });

/** Everything that a command prints as a JSON value, or as a line of one. */
export const printed = z.union([
  planDocument,
  pass,
  ...events,
  doctor,
  explained,
  verification,
  validation,
  observation,
  error,
]);
