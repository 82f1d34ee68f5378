import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { UpdateAssumeRolePolicyCommand } from '@aws-sdk/client-iam';
import { DisableKeyCommand } from '@aws-sdk/client-kms';
import {
  CreateBucketCommand,
  PutBucketEncryptionCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { Ajv, type ValidateFunction } from 'ajv';
import { beforeAll, describe, expect, test } from 'vitest';
import { outputSchema } from '../../src/report/schema.ts';
import { changeRolePolicy, EAST, keyOf, REPLICA, ROLE, WEST } from '../sandbox/support.ts';
import { runCli } from '../support/cli.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { nameOf, type Schema } from './output-tables.ts';

/** One run of the program, and what it prints. */
interface Run {
  /** The part of the schema; for lines, that of each. */
  as: string | string[];
  args: string[];
  code?: number;
  yaml?: string;
  before?: (env: TestEnv) => Promise<unknown>;
}

const TWO = `${TAX_SPEC}---\n${TAX_SPEC.replaceAll('tax', 'books').replaceAll('Tax/', 'Books/')}`;

/** A destination for whose account there are no credentials. */
const PARTNER = `apiVersion: replikey.dev/v1
kind: Account
metadata: { name: main }
spec: { id: "111122223333" }
---
apiVersion: replikey.dev/v1
kind: Account
metadata: { name: partner }
spec: { id: "999988887777", managed: false }
---
${TAX_SPEC.replace('acme-tax,', 'acme-tax, account: main,').replace(
  'key: alias/acme-tax-replica',
  'account: partner, key: "arn:aws:kms:us-west-2:999988887777:key/1234abcd-12ab-34cd-56ef-1234567890ab"',
)}`;

const referring = (name: string): string => `\${var.${name}}`;

const VARIABLES = `apiVersion: replikey.dev/v1
kind: Variables
metadata: { name: stage }
spec:
  variables:
    stage: { type: string, default: dev }
    paused: { type: boolean, default: false }
---
${TAX_SPEC.replace('Tax/', `"Tax/${referring('stage')}/"\n      enabled: ${referring('paused')}`)}`;

/** What is wrong stands in Defaults, and shows in the pair that takes them. */
const DEFAULTS = `apiVersion: replikey.dev/v1
kind: Defaults
metadata: { name: house }
spec: { source: { account: nobody }, destination: { account: nobody } }
---
${TAX_SPEC.replace('spec:', 'spec:\n  defaults: house')}`;

const SELECTED = TAX_SPEC.replace('{ name: tax }', '{ name: tax, labels: { team: tax } }');

const object = async ({ door, sandbox }: TestEnv, Key: string) => {
  await door.send(EAST, new PutObjectCommand({ Bucket: 'acme-tax', Key, Body: 'numbers' }));
  await sandbox.waitForReplication();
};

/** The role may not write replicas any more. */
const breakIt = async (env: TestEnv) => {
  await env.reconcile();
  await changeRolePolicy(env.door, (statements) => {
    delete statements.ReplikeyDestinationObjectsTax;
  });
  await object(env, 'Tax/2026.pdf');
};

/** Statements that deny, and a key that is off. */
const denyIt = async (env: TestEnv) => {
  await env.reconcile();
  const { door } = env;
  const Principal = { Service: 's3.amazonaws.com' };
  const trust = [
    { Effect: 'Allow', Principal, Action: 'sts:AssumeRole' },
    { Effect: 'Deny', Principal, Action: 'sts:AssumeRole' },
  ];
  const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: trust });
  await door.send(EAST, new UpdateAssumeRolePolicyCommand({ RoleName: ROLE, PolicyDocument }));
  const deny = {
    Effect: 'Deny',
    Principal: '*',
    Action: 's3:ReplicateObject',
    Resource: `arn:aws:s3:::${REPLICA}/*`,
  };
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [deny] });
  await door.send(WEST, new PutBucketPolicyCommand({ Bucket: REPLICA, Policy }));
  await door.send(WEST, new DisableKeyCommand({ KeyId: await keyOf(door, WEST) }));
};

const fault = (match: string, status = 403, code = 'AccessDenied') => ({
  match,
  nth: 1,
  times: 1_000,
  what: { status, code, message: 'not today' },
});

const RUNS: Record<string, Run> = {
  'a plan for what is new': { as: 'Plan', args: ['--dry-run', '-'] },
  'a plan where there is nothing to do': {
    as: 'Plan',
    args: ['plan', '-'],
    before: (env) => env.reconcile(),
  },
  'a plan of some specs': {
    as: 'Plan',
    yaml: SELECTED,
    args: ['plan', '-', '-l', 'team=tax', '--only', 'tax'],
  },
  'a plan with variables': {
    as: 'Plan',
    yaml: VARIABLES,
    args: ['plan', '-', '--var', 'stage=prod', '--var', 'paused=true'],
  },
  'a plan with work for somebody else': { as: 'Plan', yaml: PARTNER, args: ['plan', '-'] },
  'a plan that is blocked': {
    as: 'Plan',
    code: 1,
    args: ['plan', '-'],
    before: async ({ sandbox }) => sandbox.faultSettings.faults.push(fault('ListAliases')),
  },
  'a plan to prune': {
    as: 'Plan',
    args: ['plan', '-', '--prune'],
    before: (env) =>
      env.reconcileWith(TWO.replaceAll('  rules:', '  policy: { deletion: Remove }\n  rules:')),
  },
  'a plan from what was observed': { as: 'Plan', args: ['plan', '-', '--observed', 'observed.json'] },
  'a pass': { as: 'Pass', args: ['--once', '-'] },
  'a pass that is refused': {
    as: 'Pass',
    code: 3,
    args: ['--once', '-'],
    before: async ({ door }) => {
      await door.send(EAST, new CreateBucketCommand({ Bucket: 'acme-tax' }));
      await door.send(
        EAST,
        new PutBucketVersioningCommand({
          Bucket: 'acme-tax',
          VersioningConfiguration: { Status: 'Enabled' },
        }),
      );
      const KMSMasterKeyID = 'arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555';
      const ApplyServerSideEncryptionByDefault = { SSEAlgorithm: 'aws:kms' as const, KMSMasterKeyID };
      const ServerSideEncryptionConfiguration = { Rules: [{ ApplyServerSideEncryptionByDefault }] };
      await door.send(
        EAST,
        new PutBucketEncryptionCommand({ Bucket: 'acme-tax', ServerSideEncryptionConfiguration }),
      );
    },
  },
  'a pass that fails': {
    as: 'Pass',
    code: 1,
    args: ['--once', '-'],
    before: async ({ sandbox }) => sandbox.faultSettings.faults.push(fault('PutBucketVersioning')),
  },
  'a pass in lines': {
    as: ['PlanEvent', 'WaitingEvent', 'StepEvent', 'OutcomeEvent'],
    args: ['--once', '-', '-o', 'ndjson'],
    before: async ({ sandbox }) => Object.assign(sandbox.faultSettings, { rolePropagationMs: 300 }),
  },
  'a pass in lines that fails': {
    as: ['PlanEvent', 'StepEvent', 'OutcomeEvent'],
    code: 1,
    args: ['--once', '-', '-o', 'ndjson'],
    before: async ({ sandbox }) => sandbox.faultSettings.faults.push(fault('CreateRole')),
  },
  'a pass in lines that cannot begin': {
    as: ['ErrorEvent'],
    code: 65,
    yaml: 'kind: Nothing',
    args: ['--once', '-', '-o', 'ndjson'],
  },
  'a doctor who finds nothing wrong': {
    as: 'Examination',
    args: ['doctor', '-'],
    before: async (env) => {
      await env.reconcile();
      await object(env, 'Tax/2026.pdf');
    },
  },
  'a doctor who finds what is wrong': { as: 'Examination', code: 1, args: ['doctor', '-'], before: breakIt },
  'a doctor of what nobody declared': {
    as: 'Examination',
    code: 1,
    args: ['doctor', '--bucket', 'acme-tax'],
    before: breakIt,
  },
  'a doctor who finds what is denied, and what is off': {
    as: 'Examination',
    code: 1,
    args: ['doctor', '-'],
    before: denyIt,
  },
  'a doctor of one object': {
    as: 'ExplainedObject',
    code: 1,
    args: ['doctor', '--bucket', 'acme-tax', '--object', 'Tax/2026.pdf'],
    before: breakIt,
  },
  'a doctor of an object that no rule takes': {
    as: 'ExplainedObject',
    code: 1,
    args: ['doctor', '--bucket', 'acme-tax', '--object', 'Notes/1'],
    before: async (env) => {
      await env.reconcile();
      await object(env, 'Notes/1');
    },
  },
  'canaries that arrive': { as: 'Verification', args: ['verify', '-'], before: (env) => env.reconcile() },
  'canaries of a rule that is off': {
    as: 'Verification',
    yaml: TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      enabled: false'),
    args: ['verify', '-'],
    before: (env) => env.reconcile(),
  },
  'canaries that cannot be removed': {
    as: 'Verification',
    code: 1,
    args: ['verify', '-'],
    before: async (env) => {
      await env.reconcile();
      env.sandbox.faultSettings.faults.push(fault('DeleteObject'));
    },
  },
  'specs that are right': { as: 'Validation', args: ['validate', '-'] },
  'specs with variables': { as: 'Validation', yaml: VARIABLES, args: ['validate', '-'] },
  'defaults that are wrong': { as: 'Validation', code: 65, yaml: DEFAULTS, args: ['validate', '-'] },
  'specs that are wrong': {
    as: 'Validation',
    code: 65,
    yaml: TAX_SPEC.replace('region:', 'regoin:'),
    args: ['validate', '-'],
  },
  'what exists': { as: 'Observation', args: ['observe', '-'] },
  'what exists in accounts that have names': { as: 'Observation', yaml: PARTNER, args: ['observe', '-'] },
  'what exists in another Region': {
    as: 'Observation',
    args: ['observe', '-'],
    before: ({ door }) =>
      door.send(
        WEST,
        new CreateBucketCommand({
          Bucket: 'acme-tax',
          CreateBucketConfiguration: { LocationConstraint: 'us-west-2' },
        }),
      ),
  },
  'unusable arguments': { as: 'Ended', code: 64, args: ['plan', '-', '--wait', 'long'] },
  'a bucket that is not there': { as: 'Ended', code: 1, args: ['import', '--bucket', 'nowhere'] },
};

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const AJV = { formats: { 'date-time': TIME }, allowUnionTypes: true };

const published = JSON.parse(await readFile('schema/replikey.output.schema.json', 'utf8')) as Schema;
const strictly = outputSchema({ strict: true }) as Schema;
const judgeOf = (schema: Schema) => {
  const ajv = new Ajv({ ...AJV, allErrors: true }).addSchema(schema, 'output');
  return (part: string): ValidateFunction => {
    const judge = ajv.getSchema(`output#/definitions/${part}`);
    if (!judge) throw new Error(`the schema has no part ${part}`);
    return judge;
  };
};
const publishedJudge = judgeOf(published);
const strictJudge = judgeOf(strictly);
const anyPart = new Ajv(AJV).compile(published);

type Value = Record<string, unknown>;
const printed = new Map<string, { value: Value; part: string }[]>();

/** What one run prints: a value, or one a line. */
async function valuesOf(
  { as, args, code = 0, yaml = TAX_SPEC, before }: Run,
  folder: string,
): Promise<Value[]> {
  await using env = await testEnv();
  await before?.(env);
  const json = args.includes('-o') || args[0] === 'observe' ? [] : ['-o', 'json'];
  const input = args.includes('-') ? { input: yaml } : {};
  const { endpoint } = env.sandbox;
  const ran = await runCli([...args, ...json], { endpoint, cwd: folder, ...input });
  expect(ran.code, ran.stderr + ran.stdout).toBe(code);
  return typeof as === 'string'
    ? [JSON.parse(ran.stdout)]
    : ran.stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
}

const EVENTS: Record<string, string> = {
  plan: 'PlanEvent',
  waiting: 'WaitingEvent',
  outcome: 'OutcomeEvent',
  error: 'ErrorEvent',
};

beforeAll(async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-printed-'));
  try {
    const [observed] = await valuesOf({ as: 'Observation', args: ['observe', '-'] }, folder);
    await writeFile(path.join(folder, 'observed.json'), JSON.stringify(observed));
    for (const [name, run] of Object.entries(RUNS)) {
      const values = await valuesOf(run, folder);
      const partOf = ({ type }: Value) =>
        typeof run.as === 'string' ? run.as : (EVENTS[String(type)] ?? 'StepEvent');
      printed.set(
        name,
        values.map((value) => ({ value, part: partOf(value) })),
      );
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  // Thirty runs of the program, one after the other, also where the machine has much else to do.
}, 240_000);

describe.each(Object.entries(RUNS))('%s', (name, { as }) => {
  test('is printed as the published schema says, with no field beside', () => {
    const values = printed.get(name) ?? [];
    expect(new Set(values.map(({ part }) => part))).toEqual(new Set([as].flat()));
    for (const { value, part } of values) {
      for (const judge of [publishedJudge(part), strictJudge(part), anyPart]) {
        expect(judge(value) ? [] : judge.errors, part).toEqual([]);
      }
    }
  });

  test('is not what the schema says if a field is missing, and is if a later version adds one', () => {
    for (const { value, part } of printed.get(name) ?? []) {
      for (const key of published.definitions?.[part]?.required ?? []) {
        const { [key]: _, ...rest } = value;
        expect(publishedJudge(part)(rest), `without ${key}`).toBe(false);
      }
      const newer = { ...value, invented: 1 };
      expect(publishedJudge(part)(newer)).toBe(true);
      expect(strictJudge(part)(newer)).toBe(false);
    }
  });
});

test.each<[string, (text: string) => string]>([
  ['an action that there is none of', (text) => text.replace('"action":"create"', '"action":"destroy"')],
  ['a line that is a text', (text) => text.replace(/"line":(\d+)/, '"line":"$1"')],
  ['a patch of no known operation', (text) => text.replace('"op":"add"', '"op":"move"')],
  ['a digest that is cut off', (text) => text.replace(/"digest":"\w\w/, '"digest":"')],
  ['a verdict that nobody gives', (text) => text.replace('"verdict":"proven"', '"verdict":"fine"')],
  ['a list that is none', (text) => text.replace(/"why":\[[^\]]*\]/, '"why":"because"')],
  ['another format', (text) => text.replace('"format":2', '"format":1')],
])('a plan with %s is no plan', (_, change) => {
  const [plan] = printed.get('a plan for what is new') ?? [];
  const text = JSON.stringify(plan?.value);
  const changed = change(text);
  expect(changed).not.toBe(text);
  expect(publishedJudge('Plan')(JSON.parse(changed))).toBe(false);
  expect(anyPart(JSON.parse(changed))).toBe(false);
});

test('no field is documented that is never printed', () => {
  const met = new Set<string>();
  const meet = (schema: Schema, value: unknown, at: string): void => {
    const name = nameOf(schema);
    if (name !== '') {
      meet(published.definitions?.[name] ?? {}, value, name);
      return;
    }
    if (Array.isArray(value)) for (const item of value) meet(schema.items ?? {}, item, at);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
    for (const form of schema.anyOf ?? [schema]) {
      for (const [key, field] of Object.entries(form.properties ?? {})) {
        if (!(key in value)) continue;
        met.add(`${at}.${key}`);
        meet(field, (value as Value)[key], `${at}.${key}`);
      }
    }
  };
  for (const { part, value } of [...printed.values()].flat()) {
    meet({ $ref: `#/definitions/${part}` }, value, part);
  }
  const documented = Object.entries(published.definitions ?? {}).flatMap(([name, part]) =>
    (part.anyOf ?? [part]).flatMap(({ properties = {} }) =>
      Object.keys(properties).map((key) => `${name}.${key}`),
    ),
  );
  expect([...new Set(documented)].filter((field) => !met.has(field))).toEqual([]);
});
