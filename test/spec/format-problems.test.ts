import { expect, test } from 'vitest';
import { codeFrame, quoteValue } from '../../src/spec/format-problems.ts';
import { createSourceFile, positionAt } from '../../src/spec/source-file.ts';
import { escapeUnprintable } from '../../src/util/escape.ts';

const at = (column: number, line = 7) => ({ line, column });

test.each([
  ['a column', 'prefix: Tax/', 9, ['  7 | prefix: Tax/', '    |         ^']],
  ['the end of a line', 'prefix:', 8, ['  7 | prefix:', '    |        ^']],
  ['a column after tabs', '\t\tprefix: x', 3, ['  7 | →→prefix: x', '    |   ^']],
  ['a column after wide characters', '日本: x', 5, ['  7 | 日本: x', '    |       ^']],
  ['a column after an emoji', '🙂: x', 5, ['  7 | 🙂: x', '    |     ^']],
  ['a column after combining marks', 'e\u0301: x', 5, ['  7 | e\u0301: x', '    |    ^']],
  ['a column after an escaped character', 'a\u202Eb: x', 6, ['  7 | a\\u202eb: x', '    |           ^']],
])('codeFrame: puts the caret under %s', (_, line, column, expected) => {
  expect(codeFrame(line, at(column)).split('\n')).toEqual(expected);
});

test('codeFrame: trims a long line on both sides of the caret, at character boundaries', () => {
  const line = `${'🙂'.repeat(500)}key: x${'🙂'.repeat(500)}`;
  const [excerpt = '', caret = ''] = codeFrame(line, at(1001, 12)).split('\n');
  expect(excerpt).toMatch(/^ {2}12 \| …🙂+key: x🙂+…$/u);
  expect([...excerpt].length).toBeLessThan(90);
  expect(excerpt).not.toMatch(/\p{Cs}/u);
  const before = excerpt.slice(0, excerpt.indexOf('key'));
  expect(caret.indexOf('^')).toBe(
    [...before].reduce((sum, character) => sum + (character === '🙂' ? 2 : 1), 0),
  );
});

test('escapeUnprintable: escapes invisible characters, and keeps the letters of all scripts', () => {
  expect(escapeUnprintable('a\u001b[1mb\u200bc\u{e0041}\ud800 naïve 日本 🙂')).toBe(
    'a\\u001b[1mb\\u200bc\\u{e0041}\\ud800 naïve 日本 🙂',
  );
});

test('quoteValue: shortens a long value', () => {
  expect(quoteValue('x'.repeat(500))).toBe(`"${'x'.repeat(60)}…"`);
});

test('positionAt: counts lines and columns as editors do', () => {
  const source = createSourceFile('x.yaml', 'a: 🙂\nb: c\n\nd');
  expect([0, 5, 6, 10, 11, 12, 13, 99, -1].map((offset) => positionAt(source, offset))).toEqual(
    [
      [1, 1],
      [1, 6],
      [2, 1],
      [2, 5],
      [3, 1],
      [4, 1],
      [4, 2],
      [4, 2],
      [1, 1],
    ].map(([line, column]) => ({ file: 'x.yaml', line, column })),
  );
});
