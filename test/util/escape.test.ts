import fc from 'fast-check';
import { expect, test } from 'vitest';
import { escapeUnprintable } from '../../src/util/escape.ts';

const rows: [string, string, string][] = [
  ['letters of any script', 'Straße 日本 😀', 'Straße 日本 😀'],
  ['an escape sequence', '\u001b[31mred', '\\u001b[31mred'],
  ['a line that would fake another', 'a\nPlan: 0 to create', 'a\\u000aPlan: 0 to create'],
  ['the other direction of reading', 'tax\u202egpj.exe', 'tax\\u202egpj.exe'],
  ['what has no width', 'ac\u200bme', 'ac\\u200bme'],
  ['the C1 form of an escape', '\u009b2J', '\\u009b2J'],
];

test.each(rows)('%s', (_, text, shown) => {
  expect(escapeUnprintable(text)).toBe(shown);
});

test('whatever comes in, nothing comes out that steers a terminal, and plain text stays as it is', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const shown = escapeUnprintable(text);
      expect(shown).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      if (/^[ -~]*$/.test(text)) expect(shown).toBe(text);
    }),
  );
});
