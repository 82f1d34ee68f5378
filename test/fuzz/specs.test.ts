import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { desiredResources } from '../../src/core/desired.ts';
import { kinds } from '../../src/kinds/index.ts';
import { formatProblems } from '../../src/spec/format-problems.ts';
import { loadSpecFiles } from '../../src/spec/load.ts';
import { HOUSE, MAIN, referring, SHORT, TAX, tax, together, VARIABLES } from '../spec/support.ts';
import {
  fuzzRuns,
  MANY_CHARACTERS,
  mutatedBytes,
  mutatedJson,
  nestedText,
  pollutedProperties,
} from '../support/mutations.ts';

const EXAMPLES = path.resolve(import.meta.dirname, '../../specs/examples');

const originals = [
  TAX,
  together(MAIN, TAX),
  together(HOUSE, SHORT),
  together(VARIABLES, tax(['Tax/', `${referring('stage')}/${referring('team')}/`])),
  ...readdirSync(EXAMPLES, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => readFileSync(path.join(EXAMPLES, name), 'utf8')),
];

const WORDS = [
  ...['\t', '\r\n', '\r', '\n', '\n\n', ' ', '  ', '"', "'", '`', '{', '}', '[', ']', ',', ':', ': ', '- '],
  ...['? ', '|', '>-', '|9', '&a ', '*a', '&a [*a]', '<<: *a\n', '!!x ', '!<tag:x> ', '!', '---\n', '...\n'],
  ...[
    '%YAML 1.1\n',
    '#',
    '@',
    referring('stage'),
    referring('').slice(0, -1),
    referring('').slice(0, 2),
    '$${',
    '}',
    '\\',
    '\\u0000',
    '\\ud800',
    '\u202e',
  ],
  ...[
    '\ud83d\ude00',
    '\u0000',
    '\u001b[31m',
    '\u0085',
    '\u2028',
    '\ufeff',
    '.inf',
    '0x1F',
    '1e999',
    '~',
    'null',
  ],
  ...['__proto__: ', 'constructor: {prototype: {polluted: true}}\n', '"__proto__": {polluted: true}\n'],
  ...[
    'kind: Variables\n',
    'kind: Defaults\n',
    'defaults: house\n',
    'spec:\n',
    'rules:\n',
    'direction: both\n',
  ],
  [0xff],
  [0xc0, 0x80],
  [0xed, 0xa0, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
  [0xe2, 0x82],
];

/** Checks that a file has desired resources, or problems with positions within it. */
async function checkSpecFile(bytes: Uint8Array): Promise<void> {
  const { specs, problems } = await loadSpecFiles([{ file: 'x.yaml', bytes }], { root: 'x.yaml' });
  const lines = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes).split('\n');
  for (const { position, message } of problems) {
    expect(position.file).toBe('x.yaml');
    expect(position.line).toBeGreaterThanOrEqual(1);
    expect(position.line).toBeLessThanOrEqual(lines.length);
    expect(position.column).toBeGreaterThanOrEqual(1);
    expect(position.column).toBeLessThanOrEqual((lines[position.line - 1] ?? '').length + 1);
    expect(message).not.toBe('');
  }
  expect(formatProblems(problems).replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
  expect(specs === undefined).toBe(problems.length > 0);
  if (specs) for (const { id } of desiredResources(specs.pairs, [...kinds.values()])) expect(id).not.toBe('');
  expect(pollutedProperties()).toEqual([]);
}

const byBytes = fuzzRuns(1_500);

test('specs: mutated bytes give desired resources, or problems with positions', byBytes.test, async () => {
  await fc.assert(fc.asyncProperty(mutatedBytes(originals, WORDS), checkSpecFile), byBytes.property);
});

const byForm = fuzzRuns(600);

test('specs: mutated JSON gives desired resources, or problems with positions', byForm.test, async () => {
  const documents = originals.flatMap((text) => text.split(/^---$/m)).map((text) => parse(text) as unknown);
  const documentSets = fc
    .tuple(mutatedJson(documents), fc.subarray(documents, { maxLength: 3 }))
    .map(([mutated, unchanged]) =>
      [...unchanged.map((value) => JSON.stringify(value)), mutated].join('\n---\n'),
    );
  await fc.assert(
    fc.asyncProperty(documentSets, (text) => checkSpecFile(Buffer.from(text))),
    byForm.property,
  );
});

const full = (piece: string, share = 1): string => piece.repeat((MANY_CHARACTERS * share) / piece.length);
const numbered = (piece: (index: number) => string): string =>
  Array.from({ length: MANY_CHARACTERS / piece(MANY_CHARACTERS).length }, (_, index) => piece(index)).join(
    '',
  );

/** Files of the maximum size. Each would take minutes with quadratic work. */
const HUGE: [name: string, text: string][] = [
  ['one word', `a: ${full('x')}`],
  ['one quoted string', `a: "${full('x')}"`],
  ['an unclosed quote', `a: "${full('x\n  ')}`],
  ['escapes', `a: "${full('\\"')}"`],
  ['backslashes', `a: "${full('\\\\')}`],
  ['a literal block', `a: |\n${full('  x\n')}`],
  ['a folded block', `a: >\n${full('  x\n')}`],
  ['folded lines', `a: x\n${full('  x\n')}`],
  ['empty lines', full('\n')],
  ['spaces', full(' ')],
  ['spaces after a word', `a: x${full(' ')}`],
  ['comments', full('#\n')],
  ['comments between keys', full('a: b\n#\n')],
  ['items', full('- a\n')],
  ['items in brackets', `[${full('a,')}]`],
  ['keys', numbered((index) => `k${index}: v\n`)],
  ['keys in braces', `{${numbered((index) => `k${index}: v, `)}}`],
  ['colons', full(':')],
  ['colons and spaces', full(': ')],
  ['quotes', full('"" ')],
  ['anchors', numbered((index) => `- &a${index} x\n`)],
  ['undefined aliases', full('- *a\n')],
  ['tags', full('- !x a\n')],
  ['closing brackets', full(']')],
  ['commas', `[${full(',')}]`],
  ['references', tax(['Tax/', full(referring('a'))])],
  ['unclosed references', tax(['Tax/', full('${')])],
  ['dollars', tax(['Tax/', full('$')])],
  ['rules', `${TAX}${full('    - prefix: Tax/\n')}`],
  ['different rules', `${TAX}${numbered((index) => `    - prefix: ${index}/\n`)}`],
  ['labels', tax(['name: tax', `name: tax\n  labels: {${numbered((index) => `l${index}: v, `)}}`])],
  ['unknown fields', `${TAX}${numbered((index) => `x${index}: v\n`)}`],
  ['a long name', tax(['name: tax', `name: ${full('a-')}`])],
  ['a long bucket', tax(['acme-tax', full('a.')])],
  ['a long alias', tax(['alias/acme-tax', `alias/${full('a/')}`])],
  ['a long pattern', tax(['Tax/', full('*a')])],
  ['empty documents', full('---\n')],
  ['replacement characters', `a: ${full('\ufffd', 1 / 3)}`],
  ['surrogate pairs', `a: ${full('\ud83d\ude00', 1 / 2)}`],
  ['nested brackets', full(`a: ${nestedText(60)}\n`)],
];

test.each(HUGE)(
  'specs: a file full of %s is accepted or rejected in linear time',
  fuzzRuns(1).test,
  async (_, text) => {
    await checkSpecFile(Buffer.from(text));
  },
);
