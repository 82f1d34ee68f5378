import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addForeignRule, denyReplicaWrites } from '../report/plans.ts';
import { runCli } from '../support/cli.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';

/** A checkout with specs in a folder whose name needs an escape in a URI. */
let checkout: string;
const INFRA = 'infra team';
const SPEC = 'specs/tax é.yaml';
beforeAll(async () => {
  checkout = await realpath(await mkdtemp(path.join(tmpdir(), 'replikey-sarif-')));
  await mkdir(path.join(checkout, '.git'));
  await mkdir(path.join(checkout, INFRA, 'specs'), { recursive: true });
  await writeFile(path.join(checkout, INFRA, SPEC), TAX_SPEC);
});
afterAll(() => rm(checkout, { recursive: true }));

const text = { type: 'object', required: ['text'], properties: { text: { type: 'string', minLength: 1 } } };
const level = { enum: ['none', 'note', 'warning', 'error'] };
const objectSchema = (properties: Record<string, object>, optional: string[] = []) => ({
  type: 'object',
  additionalProperties: false,
  properties,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
});
const positive = { type: 'integer', minimum: 1 };

/** Validates the subset of SARIF 2.1.0 that replikey prints, and the location of every result, which GitHub requires. */
const isValidSarif = new Ajv().compile(
  objectSchema({
    $schema: { type: 'string' },
    version: { const: '2.1.0' },
    runs: {
      type: 'array',
      minItems: 1,
      items: objectSchema({
        tool: objectSchema({
          driver: objectSchema({
            name: { const: 'replikey' },
            version: { type: 'string' },
            rules: {
              type: 'array',
              uniqueItems: true,
              items: objectSchema({
                id: { type: 'string', pattern: '^RK\\d{4}$' },
                shortDescription: text,
                fullDescription: text,
                help: text,
                defaultConfiguration: objectSchema({ level }),
              }),
            },
          }),
        }),
        columnKind: { enum: ['utf16CodeUnits', 'unicodeCodePoints'] },
        results: {
          type: 'array',
          items: objectSchema({
            ruleId: { type: 'string' },
            level,
            message: text,
            locations: {
              type: 'array',
              minItems: 1,
              items: objectSchema({
                physicalLocation: objectSchema({
                  // Without a scheme, it is relative to the root of the repository.
                  artifactLocation: objectSchema({ uri: { type: 'string', pattern: "^[\\w.~!*'()%/:-]+$" } }),
                  region: objectSchema({ startLine: positive, startColumn: positive }),
                }),
              }),
            },
            partialFingerprints: { type: 'object', additionalProperties: { type: 'string' } },
          }),
        },
      }),
    },
  }),
);

interface Result {
  ruleId: string;
  message: { text: string };
  locations: { physicalLocation: { artifactLocation: { uri: string }; region: object } }[];
}

function resultsIn(sarif: string): Result[] {
  const value = JSON.parse(sarif);
  expect(isValidSarif(value), JSON.stringify(isValidSarif.errors)).toBe(true);
  const [{ tool, results }] = value.runs;
  const rules = tool.driver.rules.map(({ id }: { id: string }) => id);
  expect([...new Set(results.map(({ ruleId }: Result) => ruleId))].sort()).toEqual(rules);
  return results;
}

const filesOf = (results: readonly Result[]) =>
  new Set(results.map(({ locations }) => locations[0]?.physicalLocation.artifactLocation.uri));

test('plan --sarif: saves the findings with positions in the specs, relative to the root of the checkout', async () => {
  await using env = await testEnv();
  await env.reconcile();
  await denyReplicaWrites(env);
  const cwd = path.join(checkout, INFRA);
  const result = await runCli(['plan', 'specs', '--sarif', 'plan.sarif'], {
    endpoint: env.sandbox.endpoint,
    cwd,
  });
  expect(result).toMatchObject({ code: 0, stderr: '' });
  const [first, ...more] = resultsIn(await readFile(path.join(cwd, 'plan.sarif'), 'utf8'));
  expect(first).toMatchObject({
    ruleId: 'RK1308',
    level: 'error',
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: 'infra%20team/specs/tax%20%C3%A9.yaml' },
          region: { startLine: 6, startColumn: 26 },
        },
      },
    ],
  });
  expect(more).toEqual([]);
});

test('plan --sarif: saves no results if every rule is proven', async () => {
  await using env = await testEnv();
  const cwd = path.join(checkout, INFRA);
  await runCli(['plan', SPEC, '--sarif', 'plan.sarif'], { endpoint: env.sandbox.endpoint, cwd });
  expect(resultsIn(await readFile(path.join(cwd, 'plan.sarif'), 'utf8'))).toEqual([]);
});

test('doctor -o sarif: reports a foreign rule at its bucket, because GitHub requires a location for every result', async () => {
  await using env = await testEnv();
  await env.reconcile();
  await addForeignRule(env);
  const options = { endpoint: env.sandbox.endpoint, cwd: checkout };
  const { code, stdout } = await runCli(['doctor', INFRA, '-o', 'sarif'], options);
  expect(code).toBe(1);
  const results = resultsIn(stdout).filter(({ message }) => message.text.startsWith('foreign ('));
  expect(results.length).toBeGreaterThan(0);
  for (const { locations } of results)
    expect(locations[0]?.physicalLocation.region).toEqual({ startLine: 5, startColumn: 21 });
});

test('doctor -o sarif: names a spec outside of the checkout by its file URL', async () => {
  await using env = await testEnv();
  const file = path.join(checkout, INFRA, SPEC);
  const options = { endpoint: env.sandbox.endpoint, cwd: tmpdir() };
  const inside = await runCli(['doctor', file, '-o', 'sarif'], { ...options, cwd: checkout });
  expect(filesOf(resultsIn(inside.stdout))).toEqual(new Set(['infra%20team/specs/tax%20%C3%A9.yaml']));
  const elsewhere = await mkdtemp(path.join(tmpdir(), 'replikey-elsewhere-'));
  try {
    const outside = await runCli(['doctor', file, '-o', 'sarif'], { ...options, cwd: elsewhere });
    expect(filesOf(resultsIn(outside.stdout))).toEqual(new Set([pathToFileURL(file).href]));
  } finally {
    await rm(elsewhere, { recursive: true });
  }
});

test('--once: rejects --sarif', async () => {
  const args = ['--once', SPEC, '--sarif', 'plan.sarif'];
  expect(await runCli(args, { cwd: path.join(checkout, INFRA) })).toMatchObject({
    code: 64,
    stderr: expect.stringContaining('--sarif saves the findings of a plan: add --dry-run'),
  });
});
