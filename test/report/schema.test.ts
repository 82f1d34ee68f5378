import { readFile } from 'node:fs/promises';
import { Ajv } from 'ajv';
import { expect, test } from 'vitest';
import { kinds } from '../../src/kinds/index.ts';
import { outputSchema } from '../../src/report/schema.ts';
import { runCli } from '../support/cli.ts';
import { nameOf, type Schema, withTables } from './output-tables.ts';

const schema = outputSchema() as Schema;

test('output schema: the file, the generated schema and the printed schema are equal', async () => {
  const text = `${JSON.stringify(schema, null, 2)}\n`;
  await expect(text).toMatchFileSnapshot('../../schema/replikey.output.schema.json');
  expect((await runCli(['schema', 'output'])).stdout).toBe(text);
});

test('output schema: is a valid draft 7 schema', () => {
  expect(new Ajv().validateSchema(schema)).toBe(true);
});

test('output schema: describes every field and every definition', () => {
  const checkDescriptions = (part: Schema, path: string): void => {
    for (const [name, field] of Object.entries(part.properties ?? {})) {
      expect(field.description ?? field.$ref, `${path}.${name}`).toBeTruthy();
      checkDescriptions(field, `${path}.${name}`);
    }
    for (const inner of [...(part.anyOf ?? []), ...(part.items ? [part.items] : [])])
      checkDescriptions(inner, `${path}[]`);
  };
  const parts = Object.entries(schema.definitions ?? {});
  expect(parts.length).toBeGreaterThan(30);
  for (const [name, part] of parts) {
    expect(part.description, name).toBeTruthy();
    checkDescriptions(part, name);
  }
});

test('output schema: names every kind of resource', () => {
  const { description = '' } = schema.definitions?.Step?.properties?.kind ?? {};
  for (const kind of kinds.keys()) expect(description).toContain(`\`${kind}\``);
});

test('docs/reference/output.md: contains every field of the output schema', async () => {
  const file = 'docs/reference/output.md';
  const text = await readFile(file, 'utf8');
  for (const value of schema.anyOf ?? []) expect(text).toContain(`<a id="${nameOf(value)}"></a>`);
  await expect(withTables(text, schema)).toMatchFileSnapshot(`../../${file}`);
});
