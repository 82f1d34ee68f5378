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

test('docs/reference/specs.md: its specs are valid', async () => {
  const specs = blocks('yaml').filter((text) => text.includes('kind: BucketReplication'));
  expect(specs).toHaveLength(4);
  const variableInput = { assignments: ['first=10'] };
  for (const yaml of specs)
    expect(await problemsOf(yaml, yaml.includes('kind: Variables') ? variableInput : {})).toEqual([]);
});

test('docs/reference/specs.md: its messages are those of the validation', async () => {
  const golden = await readFile('test/spec/golden/invalid-specs.txt', 'utf8');
  const messages = blocks('text');
  expect(messages.length).toBeGreaterThan(8);
  for (const text of messages) expect(golden).toContain(text.replaceAll('specs/tax.yaml', '<stdin>'));
});

test('docs/reference/spec-fields.md: lists every field of the schema, with its description', async () => {
  await expect(reference()).toMatchFileSnapshot('../../docs/reference/spec-fields.md');
});

test('docs/reference/specs.md: lists every risk, with its meaning', () => {
  for (const [id, meaning] of Object.entries(RISKS)) expect(docs).toContain(`| \`${id}\` | ${meaning} |`);
});
