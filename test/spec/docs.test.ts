import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { jsonSchema } from '../../src/spec/json-schema.ts';
import { problemsOf } from './support.ts';

const docs = await readFile('docs/specs.md', 'utf8');
const blocks = (language: string) =>
  [...docs.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, text = '']) => text,
  );

test('the specs in the documentation are right', async () => {
  const specs = blocks('yaml').filter((text) => text.includes('apiVersion'));
  expect(specs).toHaveLength(2);
  for (const yaml of specs) expect(await problemsOf(yaml)).toEqual([]);
});

test('the messages in the documentation are those that are told', async () => {
  const golden = await readFile('test/spec/golden/broken-specs.txt', 'utf8');
  const shown = blocks('text');
  expect(shown.length).toBeGreaterThan(8);
  for (const text of shown) expect(golden).toContain(text.replaceAll('specs/tax.yaml', '<stdin>'));
});

test('every field that can be written is documented', () => {
  const names = new Set<string>();
  JSON.stringify(jsonSchema(), (key, value) => {
    if (key === 'properties') for (const name of Object.keys(value)) names.add(name);
    return value;
  });
  expect(names.size).toBeGreaterThan(30);
  for (const name of names) expect(docs, name).toMatch(new RegExp(`\\b${name}\\b`));
});
