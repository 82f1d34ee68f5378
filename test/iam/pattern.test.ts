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

/** Texts of few characters, so that many are alike; some characters take two code units, or are half of one. */
const text = fc
  .array(fc.constantFrom('a', 'b', ':', '/', '\u{1f600}', '\ud83d'), { maxLength: 12 })
  .map((parts) => parts.join(''));
const pattern = fc
  .array(fc.constantFrom('a', 'b', ':', '/', '*', '?', '$', '\u{1f600}', '\ud83d'), { maxLength: 12 })
  .map((parts) => parts.join(''));
/** A pattern, and a text that often begins as it does. */
const both = fc
  .tuple(
    fc.oneof(
      pattern,
      text.map((start) => `${start}*`),
    ),
    text,
    fc.boolean(),
  )
  .map(([wanted, given, alike]): [string, string] => [
    wanted,
    alike ? wanted.replace(/[*?$].*/s, '') + given : given,
  ]);

describe('what is told of a pattern without looking at each character', () => {
  it('is that it matches nothing it could not match', () => {
    fc.assert(
      fc.property(both, ([wanted, given]) => {
        if (!couldMatch(wanted, given)) expect(matchWildcard(wanted, given)).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ['any text', '', isPrefixPattern, (wanted: string, given: string) => matchWildcard(wanted, given)],
    [
      'an ARN',
      'a::b:',
      isPrefixArnPattern,
      (wanted: string, given: string) => matchArn(tokenize(wanted), given),
    ],
  ])('is whether a plain one matches %s', (_, start, isSimple, match) => {
    let told = 0;
    fc.assert(
      fc.property(both, fc.constantFrom('', start, `${start}::`), ([one, other], before) => {
        const [wanted, given] = [before + one, before + other];
        if (!isSimple(wanted) || !couldMatch(wanted, given)) return;
        told += 1;
        expect(match(wanted, given)).toBe(given.length === wanted.length || wanted.endsWith('*'));
      }),
      { numRuns: 20_000 },
    );
    expect(told).toBeGreaterThan(50);
  });
});
