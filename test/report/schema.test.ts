import { readFile } from 'node:fs/promises';
import { Ajv } from 'ajv';
import { expect, test } from 'vitest';
import { kinds } from '../../src/kinds/index.ts';
import { outputSchema } from '../../src/report/schema.ts';
import { runCli } from '../support/cli.ts';
import { nameOf, type Schema, withTables } from './output-tables.ts';

const schema = outputSchema() as Schema;

test('the JSON Schema in the repository is the one that the code generates, and that is printed', async () => {
  const text = `${JSON.stringify(schema, null, 2)}\n`;
  await expect(text).toMatchFileSnapshot('../../schema/replikey.output.schema.json');
  expect((await runCli(['schema', 'output'])).stdout).toBe(text);
});

test('it is a JSON Schema of draft 7, by the rules of draft 7', () => {
  expect(new Ajv().validateSchema(schema)).toBe(true);
});

test('every field and every part has a description', () => {
  const look = (part: Schema, path: string): void => {
    for (const [name, field] of Object.entries(part.properties ?? {})) {
      expect(field.description ?? field.$ref, `${path}.${name}`).toBeTruthy();
      look(field, `${path}.${name}`);
    }
    for (const one of [...(part.anyOf ?? []), ...(part.items ? [part.items] : [])]) look(one, `${path}[]`);
  };
  const parts = Object.entries(schema.definitions ?? {});
  expect(parts.length).toBeGreaterThan(30);
  for (const [name, part] of parts) {
    expect(part.description, name).toBeTruthy();
    look(part, name);
  }
});

test('every kind of resource is named', () => {
  const { description = '' } = schema.definitions?.Step?.properties?.kind ?? {};
  for (const kind of kinds.keys()) expect(description).toContain(`\`${kind}\``);
});

test('docs/reference/output.md has every field of every value that is printed, as the schema has it', async () => {
  const file = 'docs/reference/output.md';
  const text = await readFile(file, 'utf8');
  for (const value of schema.anyOf ?? []) expect(text).toContain(`<a id="${nameOf(value)}"></a>`);
  await expect(withTables(text, schema)).toMatchFileSnapshot(`../../${file}`);
});
