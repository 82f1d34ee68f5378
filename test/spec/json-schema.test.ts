import { readdir, readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { jsonSchema } from '../../src/spec/json-schema.ts';
import { MAIN, problemsOf, TAX, tax } from './support.ts';

type Schema = {
  type?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  anyOf?: Schema[];
  description?: string;
  default?: unknown;
  additionalProperties?: unknown;
};

test('the JSON Schema in the repository is the one that the code generates', async () => {
  const text = `${JSON.stringify(jsonSchema(), null, 2)}\n`;
  await expect(text).toMatchFileSnapshot('../../schema/replikey.schema.json');
});

test('every field has a description, and no mapping takes unknown fields', () => {
  const look = (schema: Schema, path: string): void => {
    for (const [name, field] of Object.entries(schema.properties ?? {})) {
      const isEnvelope = ['metadata', 'spec'].includes(name) && path === '';
      if (!isEnvelope) expect(field.description, `${path}.${name}`).toBeTruthy();
      look(field, `${path}.${name}`);
    }
    if (schema.properties) expect(schema.additionalProperties, path).toBe(false);
    for (const inner of [...(schema.anyOf ?? []), ...(schema.items ? [schema.items] : [])]) look(inner, path);
  };
  look(jsonSchema(), '');
});

test('the JSON Schema and the validation judge alike', async () => {
  // zod reads `required` only beside `properties`, so it cannot judge "exactly one of"; broken-specs.test.ts does.
  const text = JSON.stringify(jsonSchema(), (name, value) => (name === 'oneOf' ? undefined : value));
  const judge = z.fromJSONSchema(JSON.parse(text));
  const specs = {
    right: [TAX, tax(['alias/acme-tax\n', '{ alias: alias/acme-tax, rotation: true }\n'])],
    wrong: [
      tax(['region: us-east-1', 'regoin: us-east-1']),
      tax(['kind: BucketReplication', 'kind: Bucket']),
      tax(['Tax/', 'Tax/\n      enabled: yes']),
      tax(['Tax/', 'Tax/\n      priority: -1']),
      tax(['    - prefix: Tax/\n', '    []\n']),
      tax(['us-west-2', 'us-west-2\n    storageClass: COLD']),
      MAIN.replace('"111122223333"', '012345678901'),
    ],
  };
  const verdict = (yaml: string) => {
    const [document] = parseAllDocuments(yaml) as { toJS(): unknown }[];
    return judge.safeParse(document?.toJS()).success;
  };
  for (const yaml of specs.right) {
    expect(verdict(yaml), yaml).toBe(true);
    expect(await problemsOf(yaml)).toEqual([]);
  }
  for (const yaml of specs.wrong) {
    expect(verdict(yaml), yaml).toBe(false);
    expect(await problemsOf(yaml)).not.toEqual([]);
  }
});

test('every example tells editors where the schema is, and is right', async () => {
  const folder = new URL('../../specs/', import.meta.url);
  for (const name of (await readdir(folder)).filter((file) => /\.ya?ml$/.test(file))) {
    const text = await readFile(new URL(name, folder), 'utf8');
    const [, schema] = /^# yaml-language-server: \$schema=(\S+)/.exec(text) ?? [];
    expect(schema, name).toBeDefined();
    expect(new URL(schema ?? '', new URL(name, folder)).pathname).toMatch(
      /\/schema\/replikey\.schema\.json$/,
    );
    expect(await problemsOf(text), name).toEqual([]);
  }
});
