import fc from 'fast-check';
import { expect, test } from 'vitest';
import { escapeUnprintable } from '../../src/util/escape.ts';

const rows: [string, string, string][] = [
  ['letters of any script', 'Straße 日本 😀', 'Straße 日本 😀'],
  ['an escape sequence', '\u001b[31mred', '\\u001b[31mred'],
  ['a line break that would fake a line', 'a\nPlan: 0 to create', 'a\\u000aPlan: 0 to create'],
  ['a bidirectional mark', 'tax\u202egpj.exe', 'tax\\u202egpj.exe'],
  ['a zero-width character', 'ac\u200bme', 'ac\\u200bme'],
  ['a C1 escape character', '\u009b2J', '\\u009b2J'],
];

test.each(rows)('escapeUnprintable: %s', (_, text, expected) => {
  expect(escapeUnprintable(text)).toBe(expected);
});

test('escapeUnprintable: returns no control characters for any string, and printable ASCII unchanged', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const escaped = escapeUnprintable(text);
      expect(escaped).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      if (/^[ -~]*$/.test(text)) expect(escaped).toBe(text);
    }),
  );
});
