import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  couldMatch,
  isPrefixArnPattern,
  isPrefixPattern,
  matchArn,
  matchWildcard,
  tokenize,
} from '../../src/iam/pattern.ts';

/** Texts of few characters, so that many match. Includes surrogate pairs and an unpaired surrogate. */
const text = fc
  .array(fc.constantFrom('a', 'b', ':', '/', '\u{1f600}', '\ud83d'), { maxLength: 12 })
  .map((parts) => parts.join(''));
const pattern = fc
  .array(fc.constantFrom('a', 'b', ':', '/', '*', '?', '$', '\u{1f600}', '\ud83d'), { maxLength: 12 })
  .map((parts) => parts.join(''));
/** A pattern, and a text that often has the same prefix. */
const patternAndText = fc
  .tuple(
    fc.oneof(
      pattern,
      text.map((start) => `${start}*`),
    ),
    text,
    fc.boolean(),
  )
  .map(([wildcard, suffix, hasPrefix]): [string, string] => [
    wildcard,
    hasPrefix ? wildcard.replace(/[*?$].*/s, '') + suffix : suffix,
  ]);

describe('pattern checks without matching', () => {
  it('couldMatch: is false only for texts that do not match', () => {
    fc.assert(
      fc.property(patternAndText, ([wildcard, value]) => {
        if (!couldMatch(wildcard, value)) expect(matchWildcard(wildcard, value)).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ['any text', '', isPrefixPattern, (wildcard: string, value: string) => matchWildcard(wildcard, value)],
    [
      'an ARN',
      'a::b:',
      isPrefixArnPattern,
      (wildcard: string, value: string) => matchArn(tokenize(wildcard), value),
    ],
  ])('prefix pattern for %s: couldMatch and the length decide', (_, start, isPrefix, match) => {
    let checked = 0;
    fc.assert(
      fc.property(patternAndText, fc.constantFrom('', start, `${start}::`), ([pattern, text], prefix) => {
        const [wildcard, value] = [prefix + pattern, prefix + text];
        if (!isPrefix(wildcard) || !couldMatch(wildcard, value)) return;
        checked += 1;
        expect(match(wildcard, value)).toBe(value.length === wildcard.length || wildcard.endsWith('*'));
      }),
      { numRuns: 20_000 },
    );
    expect(checked).toBeGreaterThan(50);
  });
});
