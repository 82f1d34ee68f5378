import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { planJson } from '../../src/report/json.ts';
import { planMarkdown } from '../../src/report/markdown.ts';
import { planText } from '../../src/report/plan-text.ts';
import { parseSpecs, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { steady } from './steady.ts';

const BOOKS = TAX_SPEC.replaceAll('tax', 'books').replace('Tax/', 'Books/');

let env: TestEnv;
beforeAll(async () => {
  env = await testEnv(`${TAX_SPEC}---\n${BOOKS}`);
  const { remaining } = await env.reconcile();
  if (remaining?.waves.length !== 0) throw new Error('the first apply did not converge');
});
afterAll(() => env[Symbol.asyncDispose]());

const SPARE = 'arn:aws:kms:us-east-1:111122223333:key/99999999-2222-3333-4444-555555555555';

/** A changed field of one spec, and the kinds of resources that the plan changes. */
const FIELDS: [field: string, value: unknown, expected: string[]][] = [
  ['metadata.labels', { team: 'tax' }, []],
  ['spec.policy.deletion', 'Remove', ['iam.role']],
  ['spec.policy.foreignRules', 'Refuse', []],
  ['spec.role.permissionsBoundary', 'arn:aws:iam::111122223333:policy/limits', ['iam.role']],
  ['spec.role.tags', { team: 'tax' }, ['iam.role']],
  // A key that does not exist blocks the spec.
  ['spec.sourceKeys', [SPARE], []],
  ['spec.source.blockPublicAccess', false, ['s3.public-access']],
  ['spec.source.objectOwnership', 'BucketOwnerPreferred', ['s3.ownership']],
  ['spec.source.defaultEncryption', 'SSE-S3', ['s3.encryption']],
  ['spec.source.key', { alias: 'alias/acme-tax', rotation: true }, ['kms.key']],
  ['spec.source.key', { alias: 'alias/acme-tax', bucketKey: false }, ['s3.encryption']],
  ['spec.destination.storageClass', 'STANDARD_IA', ['s3.replication']],
  ['spec.rules.0.deleteMarkerReplication', true, ['iam.role-policy', 's3.replication']],
  ['spec.rules.0.enabled', false, ['s3.replication']],
  ['spec.rules.0.metrics', false, ['s3.replication']],
  ['spec.rules.0.priority', 7, ['s3.replication']],
  ['spec.rules.0.replicationTimeControl', true, ['s3.replication']],
];

test.each(FIELDS)('plan of %s: %j changes only the expected resources', async (field, value, expected) => {
  const spec = parse(TAX_SPEC);
  const names = field.split('.');
  const last = names.pop() ?? '';
  const parent = names.reduce((node, name) => {
    node[name] ??= {};
    return node[name];
  }, spec);
  parent[last] = value;
  const yaml = `${stringify(spec)}---\n${BOOKS}`;
  const outcome = await env.reconcileWith(yaml, { dryRun: true });
  const { plan, proof } = outcome;
  const { pairs } = await parseSpecs(yaml);
  const text = steady(planText(plan, pairs, proof));
  const steps = plan.waves.flat();
  expect(steps.map(({ kind }) => kind).sort()).toEqual(expected);
  const name = `${field} ${JSON.stringify(value)}`.match(/\w+/g)?.join('-').slice(0, 60);
  await expect(`${text}\n`).toMatchFileSnapshot(`golden/fields/${name}.txt`);

  // All output forms show the same changes, and none of the other spec.
  const markdown = planMarkdown({ ...outcome, pairs, command: '' });
  const json = planJson(plan, proof) as { waves: { id: string; pairs: string[] }[][] };
  const jsonSteps = json.waves.flat();
  expect(jsonSteps.flatMap((step) => step.pairs)).toEqual(steps.map(() => 'tax'));
  for (const { id } of jsonSteps) {
    expect(text).toContain(`  ~ ${id}`);
    expect(markdown).toContain(`!   ${id}`);
  }
  expect(markdown).not.toContain('books');
  expect(text.split('\n').filter((line) => line.includes('books'))).toEqual(
    steps.length + plan.blocked.length > 0 ? ['Pairs without changes: books.'] : [],
  );
});
