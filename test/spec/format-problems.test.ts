import { expect, test } from 'vitest';
import { codeFrame, quoteValue } from '../../src/spec/format-problems.ts';
import { createSourceFile, positionAt } from '../../src/spec/source-file.ts';
import { escapeUnprintable } from '../../src/util/escape.ts';

const at = (column: number, line = 7) => ({ line, column });

test.each([
  ['the place', 'prefix: Tax/', 9, ['  7 | prefix: Tax/', '    |         ^']],
  ['the end of a line', 'prefix:', 8, ['  7 | prefix:', '    |        ^']],
  ['a place behind tabs', '\t\tprefix: x', 3, ['  7 | →→prefix: x', '    |   ^']],
  ['a place behind wide characters', '日本: x', 5, ['  7 | 日本: x', '    |       ^']],
  ['a place behind an emoji', '🙂: x', 5, ['  7 | 🙂: x', '    |     ^']],
  ['a place behind marks without width', 'e\u0301: x', 5, ['  7 | e\u0301: x', '    |    ^']],
  ['a place behind what cannot be seen', 'a\u202Eb: x', 6, ['  7 | a\\u202eb: x', '    |           ^']],
])('the caret stands under %s', (_, line, column, expected) => {
  expect(codeFrame(line, at(column)).split('\n')).toEqual(expected);
});

test('a long line is cut on both sides of the caret, and never through a character', () => {
  const line = `${'🙂'.repeat(500)}key: x${'🙂'.repeat(500)}`;
  const [shown = '', caret = ''] = codeFrame(line, at(1001, 12)).split('\n');
  expect(shown).toMatch(/^ {2}12 \| …🙂+key: x🙂+…$/u);
  expect([...shown].length).toBeLessThan(90);
  expect(shown).not.toMatch(/\p{Cs}/u);
  const before = shown.slice(0, shown.indexOf('key'));
  expect(caret.indexOf('^')).toBe([...before].reduce((sum, one) => sum + (one === '🙂' ? 2 : 1), 0));
});

test('escapes show what cannot be seen, and leave letters of all scripts alone', () => {
  expect(escapeUnprintable('a\u001b[1mb\u200bc\u{e0041}\ud800 naïve 日本 🙂')).toBe(
    'a\\u001b[1mb\\u200bc\\u{e0041}\\ud800 naïve 日本 🙂',
  );
});

test('a long value is cut in a sentence', () => {
  expect(quoteValue('x'.repeat(500))).toBe(`"${'x'.repeat(60)}…"`);
});

test('lines and columns are counted as editors count them', () => {
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
