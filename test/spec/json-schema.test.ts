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

test('the JSON Schema in the repository is the one that the code generates', async () => {
  const text = `${JSON.stringify(buildJsonSchema(), null, 2)}\n`;
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
  look(buildJsonSchema(), '');
});

/** Specs that are right, and that are wrong in a way that can be seen in one document alone. */
const JUDGED: Record<'right' | 'wrong', Record<string, string[]>> = {
  right: {
    'the smallest spec': [TAX],
    'a long form': [tax(['alias/acme-tax\n', '{ alias: alias/acme-tax, rotation: true }\n'])],
    'a pair that takes defaults': [SHORT, HOUSE],
    'variables where no text could stand': [
      tax(
        ['name: tax', `name: tax-${referring('stage')}`],
        ['Tax/', `Tax/\n      enabled: ${referring('paused')}\n      priority: ${referring('first')}`],
      ),
      VARIABLES,
    ],
    'variables in defaults': [
      SHORT,
      changed(HOUSE, ['rotation: true', `rotation: "${referring('paused')}"`]),
      VARIABLES,
    ],
  },
  wrong: {
    'a misspelt key': [tax(['region: us-east-1', 'regoin: us-east-1'])],
    'a misspelt kind': [tax(['kind: BucketReplication', 'kind: Bucket'])],
    'a word for a boolean': [tax(['Tax/', 'Tax/\n      enabled: yes'])],
    'a priority below nothing': [tax(['Tax/', 'Tax/\n      priority: -1'])],
    'no rules': [tax(['    - prefix: Tax/\n', '    []\n'])],
    'an unknown storage class': [tax(['us-west-2', 'us-west-2\n    storageClass: COLD'])],
    'an account id without quotes': [MAIN.replace('"111122223333"', '012345678901')],
    'no Region': [tax(['    region: us-east-1\n', ''])],
    'no rules at all': [tax(['  rules:\n    - prefix: Tax/\n', ''])],
    'a key that is none': [tax(['alias/acme-tax\n', '{ rotation: true }\n'])],
    'a key that is two': [
      tax(['alias/acme-tax\n', '{ alias: alias/a, arn: 1234abcd-12ab-34cd-56ef-1234567890ab }\n']),
    ],
    'a rule that says nothing': [tax(['prefix: Tax/', 'enabled: true'])],
    'a rule that says nothing, beside defaults': [`${SHORT}  rules: [{ enabled: true }]\n`, HOUSE],
    'a misspelt key, beside defaults': [changed(SHORT, ['bucket', 'buckt']), HOUSE],
    'defaults that take defaults': [changed(HOUSE, ['spec:', 'spec:\n  defaults: other']), SHORT],
    'a misspelt key in defaults': [changed(HOUSE, ['rotation', 'rotate']), SHORT],
    'a variable without a type': [changed(VARIABLES, ['type: boolean, ', '']), TAX],
    'a variable of an unknown type': [changed(VARIABLES, ['type: boolean', 'type: flag']), TAX],
    'a variable that reads any environment': [
      changed(VARIABLES, ['REPLIKEY_FIRST', 'AWS_SECRET_ACCESS_KEY']),
      TAX,
    ],
    'a variable as a kind': [tax(['kind: BucketReplication', `kind: ${referring('stage')}`]), VARIABLES],
  },
};

const judge = new Ajv({ strict: false, allErrors: true }).compile(buildJsonSchema());

describe('the JSON Schema and the validation judge alike', () => {
  const isRight = (document: string) => judge(parse(document));

  test.each(Object.entries(JUDGED.right))('%s is right', async (_, documents) => {
    for (const one of documents) expect(isRight(one), one).toBe(true);
    expect(await problemsOf(together(...documents))).toEqual([]);
  });

  test.each(Object.entries(JUDGED.wrong))('%s is wrong', async (_, documents) => {
    expect(documents.every(isRight)).toBe(false);
    expect(await problemsOf(together(...documents))).not.toEqual([]);
  });
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
