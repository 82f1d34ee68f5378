import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Editor, type Position, startEditor } from './language-server.ts';

let editor: Editor;
beforeAll(async () => {
  editor = await startEditor();
});
afterAll(() => editor[Symbol.asyncDispose]());

const specs = (await readdir('specs', { recursive: true })).filter((name) =>
  /\.ya?ml(\.example)?$/.test(name),
);
const TAX = await readFile('specs/tax.yaml', 'utf8');
const [MODELINE = ''] = TAX.split('\n');

/** Returns a new file name in the folder of the example. */
let fileCount = 0;
const newFileName = (): string => {
  fileCount += 1;
  return `specs/editor-${fileCount}.yaml`;
};

test('specs: contains a spec for every topology', () => {
  expect(specs.length).toBeGreaterThan(11);
});

test.concurrent.each(specs)(
  'specs/%s: has no diagnostics, and its modeline names the schema',
  async (name) => {
    const file = path.join('specs', name);
    const text = await readFile(file, 'utf8');
    const [, schema = ''] = /^# yaml-language-server: \$schema=(\S+)\n/.exec(text) ?? [];
    expect(path.join(path.dirname(file), schema)).toBe('schema/replikey.schema.json');
    expect(await editor.open(file, text)).toEqual([]);
    // Without the schema, the server would report no diagnostics.
    const broken = text.replace(/^kind: .*/m, 'kind: Nothing');
    expect(await editor.open(file.replace('.yaml', '-broken.yaml'), broken)).not.toEqual([]);
  },
);

type Change = [from: string | RegExp, to: string];
const DOCUMENT = `${MODELINE}\napiVersion: replikey.dev/v1\nkind:`;

describe('diagnostics', () => {
  test.concurrent.each<[string, Change, line: string, message: string]>([
    [
      'a misspelt field',
      ['region: us-east-1', 'regoin: us-east-1'],
      'regoin:',
      'Property regoin is not allowed.',
    ],
    ['a misspelt field of a rule', ['- prefix:', '- prefx:'], 'prefx:', 'Property prefx is not allowed.'],
    [
      'a misspelt field of a key',
      ['key: alias/acme-tax\n', 'key: { alais: alias/acme-tax }\n'],
      'alais:',
      'Property alais is not allowed.',
    ],
    ['a missing field', [/ +region: us-east-1\n/, ''], 'source:', 'Missing property "region".'],
    ['missing rules', [/ +rules:\n.*\n/, ''], 'spec:', 'Missing property "rules".'],
    ['a rule without prefix', [/- prefix: .*/, '- enabled: true'], 'enabled:', 'Missing property "prefix".'],
    [
      'two exclusive fields',
      [/- prefix: .*/, '- prefix: Tax/\n      filter: { tags: { tier: gold } }'],
      'filter:',
      'Set either prefix or filter, not both.',
    ],
    [
      'an invalid value of an enumeration',
      ['  rules:', '  policy: { deletion: Destroy }\n  rules:'],
      'deletion:',
      'Value is not accepted. Valid values: "Retain", "Remove".',
    ],
    [
      'text for a boolean',
      [/- prefix: .*/, '- prefix: Tax/\n      enabled: yes'],
      'enabled:',
      'Expected "boolean"',
    ],
    [
      'a number out of range',
      [/- prefix: .*/, '- prefix: Tax/\n      priority: -1'],
      'priority:',
      'minimum of 0',
    ],
    [
      'a name in capitals',
      ['name: tax', 'name: Tax'],
      'name:',
      'invalid name: use 1 to 63 lower-case letters, digits and hyphens',
    ],
    [
      'an alias without its prefix',
      ['key: alias/acme-tax\n', 'key: { alias: acme-tax }\n'],
      'key:',
      'invalid KMS key alias: use alias/ followed by letters',
    ],
    [
      'a misspelt kind',
      ['kind: BucketReplication', 'kind: BucketReplicaton'],
      'kind:',
      '"BucketReplication"',
    ],
  ])('reports %s at its position', async (_, [from, to], line, expectedMessage) => {
    const text = TAX.replace(from, to);
    expect(text).not.toBe(TAX);
    const diagnostics = (await editor.open(newFileName(), text)).map(({ message, range }) => ({
      line: text.split('\n')[range.start.line],
      message,
    }));
    expect(diagnostics).toContainEqual({
      line: expect.stringContaining(line),
      message: expect.stringContaining(expectedMessage),
    });
  });

  test('reports errors in a later document of a file', async () => {
    const second = TAX.replace('name: tax', 'name: books').replace(
      'bucket: acme-tax\n',
      'buckt: acme-books\n',
    );
    const text = `${TAX}---\n${second}`;
    const lines = (await editor.open(newFileName(), text)).map(({ range }) => range.start.line);
    expect(Math.min(...lines)).toBeGreaterThan(TAX.split('\n').length);
  });

  test.concurrent.each([
    [
      'an account',
      `${DOCUMENT} Account\nmetadata: { name: main }\nspec: { id: 111122223333 }\n`,
      'Expected "string"',
    ],
    [
      'a guardrail',
      `${DOCUMENT} Guardrails\nmetadata: { name: g }\nspec: { region: [us-east-1] }\n`,
      'Property region is not allowed.',
    ],
  ])('reports errors in %s', async (_, text, expectedMessage) => {
    const diagnostics = await editor.open(newFileName(), text);
    expect(diagnostics.map(({ message, range }) => [message, range.start.line])).toContainEqual([
      expect.stringContaining(expectedMessage),
      4,
    ]);
  });
});

/** Returns the position of `|` in a text, and the text without it. */
function splitAtCursor(text: string): { text: string; position: Position } {
  const [before = '', ...after] = text.split('|');
  const lines = before.split('\n');
  return {
    text: before + after.join('|'),
    position: { line: lines.length - 1, character: lines.at(-1)?.length ?? 0 },
  };
}

describe('completion', () => {
  test.concurrent.each<[string, string, string[]]>([
    ['the kinds of documents', `${DOCUMENT} |\n`, ['BucketReplication', 'Account', 'Guardrails']],
    [
      'the fields of a pair',
      `${DOCUMENT} BucketReplication\nspec:\n  |\n`,
      ['source', 'destination', 'rules', 'policy'],
    ],
    [
      'the fields of an account',
      `${DOCUMENT} Account\nspec:\n  |\n`,
      ['id', 'profile', 'assumeRole', 'managed'],
    ],
    ['rules, in a spec without rules', TAX.replace(/ +rules:\n.*\n/, '  |\n'), ['rules', 'role']],
    [
      'the fields of a rule',
      TAX.replace(/- prefix: .*/, '- prefix: Tax/\n      |'),
      ['deleteMarkerReplication', 'replicationTimeControl', 'priority', 'enabled'],
    ],
    [
      'the fields of a destination',
      TAX.replace('us-west-2', 'us-west-2\n    |'),
      ['storageClass', 'objectOwner', 'account'],
    ],
    [
      'storage classes',
      TAX.replace('us-west-2', 'us-west-2\n    storageClass: |'),
      ['STANDARD', 'STANDARD_IA', 'GLACIER_IR', 'DEEP_ARCHIVE'],
    ],
    ['booleans', TAX.replace(/- prefix: .*/, '- prefix: Tax/\n      enabled: |'), ['true', 'false']],
    [
      'deletion policies',
      TAX.replace('  rules:', '  policy:\n    deletion: |\n  rules:'),
      ['Retain', 'Remove'],
    ],
  ])('offers %s', async (_, textWithCursor, expected) => {
    const { text, position } = splitAtCursor(textWithCursor);
    const file = newFileName();
    await editor.open(file, text);
    const labels = (await editor.complete(file, position)).map(({ label }) => label);
    expect(labels).toEqual(expect.arrayContaining(expected));
  });

  test('does not offer existing fields', async () => {
    const { text, position } = splitAtCursor(TAX.replace('us-west-2', 'us-west-2\n    |'));
    const file = newFileName();
    await editor.open(file, text);
    const labels = (await editor.complete(file, position)).map(({ label }) => label);
    expect(labels).not.toContain('bucket');
    expect(labels).not.toContain('rules');
  });
});

describe('hover', () => {
  test.concurrent.each([
    ['kind', 'A pair of buckets.'],
    ['source', 'The bucket that S3 replicates from.'],
    ['bucket', 'Name of the bucket; replikey creates it when absent.'],
    ['key', 'An alias, with which replikey finds or creates the key'],
    ['rules', 'Replication rules; S3 replicates only objects that a rule selects.'],
    ['prefix', 'Selects the objects whose key begins with this text'],
  ])('describes %s', async (field, description) => {
    const { text, position } = splitAtCursor(
      TAX.replace(new RegExp(`^([ -]*)${field}:`, 'm'), `$1|${field}:`),
    );
    const file = newFileName();
    await editor.open(file, text);
    expect(await editor.hover(file, position)).toContain(description);
  });
});
