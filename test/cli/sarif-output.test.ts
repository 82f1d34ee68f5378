import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { denied, foreignRule } from '../report/plans.ts';
import { runCli } from '../support/cli.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';

/** A checkout, with specs in a folder whose name needs an escape in a URI. */
let checkout: string;
const INFRA = 'infra team';
const SPEC = 'specs/tax é.yaml';
beforeAll(async () => {
  checkout = await realpath(await mkdtemp(path.join(tmpdir(), 'replikey-findings-')));
  await mkdir(path.join(checkout, '.git'));
  await mkdir(path.join(checkout, INFRA, 'specs'), { recursive: true });
  await writeFile(path.join(checkout, INFRA, SPEC), TAX_SPEC);
});
afterAll(() => rm(checkout, { recursive: true }));

const text = { type: 'object', required: ['text'], properties: { text: { type: 'string', minLength: 1 } } };
const level = { enum: ['none', 'note', 'warning', 'error'] };
const part = (properties: Record<string, object>, optional: string[] = []) => ({
  type: 'object',
  additionalProperties: false,
  properties,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
});
const positive = { type: 'integer', minimum: 1 };

/** What SARIF 2.1.0 allows of what is printed, and beside it what GitHub asks for: a place for every result. */
const isAccepted = new Ajv().compile(
  part({
    $schema: { type: 'string' },
    version: { const: '2.1.0' },
    runs: {
      type: 'array',
      minItems: 1,
      items: part({
        tool: part({
          driver: part({
            name: { const: 'replikey' },
            version: { type: 'string' },
            rules: {
              type: 'array',
              uniqueItems: true,
              items: part({
                id: { type: 'string', pattern: '^RK\\d{4}$' },
                shortDescription: text,
                fullDescription: text,
                help: text,
                defaultConfiguration: part({ level }),
              }),
            },
          }),
        }),
        columnKind: { enum: ['utf16CodeUnits', 'unicodeCodePoints'] },
        results: {
          type: 'array',
          items: part({
            ruleId: { type: 'string' },
            level,
            message: text,
            locations: {
              type: 'array',
              minItems: 1,
              items: part({
                physicalLocation: part({
                  // Without a scheme, it is relative to the root of the repository.
                  artifactLocation: part({ uri: { type: 'string', pattern: "^[\\w.~!*'()%/:-]+$" } }),
                  region: part({ startLine: positive, startColumn: positive }),
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
  expect(isAccepted(value), JSON.stringify(isAccepted.errors)).toBe(true);
  const [{ tool, results }] = value.runs;
  const rules = tool.driver.rules.map(({ id }: { id: string }) => id);
  expect([...new Set(results.map(({ ruleId }: Result) => ruleId))].sort()).toEqual(rules);
  return results;
}

const placesOf = (results: readonly Result[]) =>
  new Set(results.map(({ locations }) => locations[0]?.physicalLocation.artifactLocation.uri));

test('a plan saves what its proof finds, on the lines of the specs, below the root of the checkout', async () => {
  await using env = await testEnv();
  await env.reconcile();
  await denied(env);
  const cwd = path.join(checkout, INFRA);
  const ran = await runCli(['plan', 'specs', '--sarif', 'plan.sarif'], {
    endpoint: env.sandbox.endpoint,
    cwd,
  });
  expect(ran).toMatchObject({ code: 0, stderr: '' });
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

test('a plan in which all is proven saves that nothing is found', async () => {
  await using env = await testEnv();
  const cwd = path.join(checkout, INFRA);
  await runCli(['plan', SPEC, '--sarif', 'plan.sarif'], { endpoint: env.sandbox.endpoint, cwd });
  expect(resultsIn(await readFile(path.join(cwd, 'plan.sarif'), 'utf8'))).toEqual([]);
});

test('a rule of somebody else is told where its bucket is declared: GitHub takes no file with a result that lies nowhere', async () => {
  await using env = await testEnv();
  await env.reconcile();
  await foreignRule(env);
  const on = { endpoint: env.sandbox.endpoint, cwd: checkout };
  const { code, stdout } = await runCli(['doctor', INFRA, '-o', 'sarif'], on);
  expect(code).toBe(1);
  const results = resultsIn(stdout).filter(({ message }) => message.text.startsWith('theirs ('));
  expect(results.length).toBeGreaterThan(0);
  for (const { locations } of results)
    expect(locations[0]?.physicalLocation.region).toEqual({ startLine: 5, startColumn: 21 });
});

test('a spec outside of the checkout is named as a whole', async () => {
  await using env = await testEnv();
  const file = path.join(checkout, INFRA, SPEC);
  const on = { endpoint: env.sandbox.endpoint, cwd: tmpdir() };
  const inside = await runCli(['doctor', file, '-o', 'sarif'], { ...on, cwd: checkout });
  expect(placesOf(resultsIn(inside.stdout))).toEqual(new Set(['infra%20team/specs/tax%20%C3%A9.yaml']));
  const elsewhere = await mkdtemp(path.join(tmpdir(), 'replikey-elsewhere-'));
  try {
    const outside = await runCli(['doctor', file, '-o', 'sarif'], { ...on, cwd: elsewhere });
    expect(placesOf(resultsIn(outside.stdout))).toEqual(new Set([pathToFileURL(file).href]));
  } finally {
    await rm(elsewhere, { recursive: true });
  }
});

test('only a plan saves findings', async () => {
  const args = ['--once', SPEC, '--sarif', 'plan.sarif'];
  expect(await runCli(args, { cwd: path.join(checkout, INFRA) })).toMatchObject({
    code: 64,
    stderr: expect.stringContaining('--sarif saves the findings of a plan: add --dry-run'),
  });
});
