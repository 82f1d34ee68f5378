import { readdir, readFile } from 'node:fs/promises';
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { buildJsonSchema } from '../../src/spec/json-schema.ts';
import {
  changed,
  HOUSE,
  MAIN,
  problemsOf,
  referring,
  SHORT,
  TAX,
  tax,
  together,
  VARIABLES,
} from './support.ts';

type Schema = {
  type?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  anyOf?: Schema[];
  description?: string;
  default?: unknown;
  additionalProperties?: unknown;
};

test('buildJsonSchema: generates the schema in the repository', async () => {
  const text = `${JSON.stringify(buildJsonSchema(), null, 2)}\n`;
  await expect(text).toMatchFileSnapshot('../../schema/replikey.schema.json');
});

test('buildJsonSchema: describes every field, and rejects unknown fields', () => {
  const checkFields = (schema: Schema, path: string): void => {
    for (const [name, field] of Object.entries(schema.properties ?? {})) {
      const isEnvelope = ['metadata', 'spec'].includes(name) && path === '';
      if (!isEnvelope) expect(field.description, `${path}.${name}`).toBeTruthy();
      checkFields(field, `${path}.${name}`);
    }
    if (schema.properties) expect(schema.additionalProperties, path).toBe(false);
    for (const inner of [...(schema.anyOf ?? []), ...(schema.items ? [schema.items] : [])])
      checkFields(inner, path);
  };
  checkFields(buildJsonSchema(), '');
});

/** Valid specs, and specs that are invalid in a single document. */
const SPECS: Record<'valid' | 'invalid', Record<string, string[]>> = {
  valid: {
    'the smallest spec': [TAX],
    'a long form': [tax(['alias/acme-tax\n', '{ alias: alias/acme-tax, rotation: true }\n'])],
    'a pair that uses Defaults': [SHORT, HOUSE],
    'variables for values that are not strings': [
      tax(
        ['name: tax', `name: tax-${referring('stage')}`],
        ['Tax/', `Tax/\n      enabled: ${referring('paused')}\n      priority: ${referring('first')}`],
      ),
      VARIABLES,
    ],
    'variables in Defaults': [
      SHORT,
      changed(HOUSE, ['rotation: true', `rotation: "${referring('paused')}"`]),
      VARIABLES,
    ],
  },
  invalid: {
    'a misspelt key': [tax(['region: us-east-1', 'regoin: us-east-1'])],
    'a misspelt kind': [tax(['kind: BucketReplication', 'kind: Bucket'])],
    'a string instead of a boolean': [tax(['Tax/', 'Tax/\n      enabled: yes'])],
    'a negative priority': [tax(['Tax/', 'Tax/\n      priority: -1'])],
    'an empty list of rules': [tax(['    - prefix: Tax/\n', '    []\n'])],
    'an unknown storage class': [tax(['us-west-2', 'us-west-2\n    storageClass: COLD'])],
    'an account id without quotes': [MAIN.replace('"111122223333"', '012345678901')],
    'no Region': [tax(['    region: us-east-1\n', ''])],
    'no rules': [tax(['  rules:\n    - prefix: Tax/\n', ''])],
    'a key without alias and ARN': [tax(['alias/acme-tax\n', '{ rotation: true }\n'])],
    'a key with alias and ARN': [
      tax(['alias/acme-tax\n', '{ alias: alias/a, arn: 1234abcd-12ab-34cd-56ef-1234567890ab }\n']),
    ],
    'a rule without prefix and filter': [tax(['prefix: Tax/', 'enabled: true'])],
    'a rule without prefix and filter, with Defaults': [`${SHORT}  rules: [{ enabled: true }]\n`, HOUSE],
    'a misspelt key, with Defaults': [changed(SHORT, ['bucket', 'buckt']), HOUSE],
    'Defaults that use Defaults': [changed(HOUSE, ['spec:', 'spec:\n  defaults: other']), SHORT],
    'a misspelt key in Defaults': [changed(HOUSE, ['rotation', 'rotate']), SHORT],
    'a variable without a type': [changed(VARIABLES, ['type: boolean, ', '']), TAX],
    'a variable of an unknown type': [changed(VARIABLES, ['type: boolean', 'type: flag']), TAX],
    'a variable that reads another environment variable': [
      changed(VARIABLES, ['REPLIKEY_FIRST', 'AWS_SECRET_ACCESS_KEY']),
      TAX,
    ],
    'a variable as a kind': [tax(['kind: BucketReplication', `kind: ${referring('stage')}`]), VARIABLES],
  },
};

const validate = new Ajv({ strict: false, allErrors: true }).compile(buildJsonSchema());

describe('JSON Schema and validation', () => {
  const isValid = (document: string) => validate(parse(document));

  test.each(Object.entries(SPECS.valid))('accept %s', async (_, documents) => {
    for (const document of documents) expect(isValid(document), document).toBe(true);
    expect(await problemsOf(together(...documents))).toEqual([]);
  });

  test.each(Object.entries(SPECS.invalid))('reject %s', async (_, documents) => {
    expect(documents.every(isValid)).toBe(false);
    expect(await problemsOf(together(...documents))).not.toEqual([]);
  });
});

test('specs/: every example is valid, and gives editors the path of the schema', async () => {
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
