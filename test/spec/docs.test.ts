import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { RISKS } from '../../src/core/resource.ts';
import { reference } from './reference.ts';
import { problemsOf } from './support.ts';

const docs = await readFile('docs/reference/specs.md', 'utf8');
const blocks = (language: string) =>
  [...docs.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, text = '']) => text,
  );

test('the specs in the documentation are right', async () => {
  const specs = blocks('yaml').filter((text) => text.includes('kind: BucketReplication'));
  expect(specs).toHaveLength(4);
  const given = { assignments: ['first=10'] };
  for (const yaml of specs)
    expect(await problemsOf(yaml, yaml.includes('kind: Variables') ? given : {})).toEqual([]);
});

test('the messages in the documentation are those that are told', async () => {
  const golden = await readFile('test/spec/golden/broken-specs.txt', 'utf8');
  const shown = blocks('text');
  expect(shown.length).toBeGreaterThan(8);
  for (const text of shown) expect(golden).toContain(text.replaceAll('specs/tax.yaml', '<stdin>'));
});

test('every field that can be written stands in the reference, with what the schema says of it', async () => {
  await expect(reference()).toMatchFileSnapshot('../../docs/reference/spec-fields.md');
});

test('every risk that can be allowed stands in the documentation, with what it means', () => {
  for (const [id, meaning] of Object.entries(RISKS)) expect(docs).toContain(`| \`${id}\` | ${meaning} |`);
});
