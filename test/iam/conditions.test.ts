// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of policy variables
import { describe, expect, test } from 'vitest';
import { findFailedCondition } from '../../src/iam/conditions.ts';
import { matchArn, matchWildcard, tokenize } from '../../src/iam/pattern.ts';

type Condition = Parameters<typeof findFailedCondition>[0];

const holds = (condition: Condition, context: Record<string, string[]>, version = '2012-10-17'): boolean =>
  findFailedCondition(
    condition,
    new Map(Object.entries(context).map(([key, values]) => [key.toLowerCase(), values])),
    version,
  ) === undefined;

/** An operator, its value, the request's value (undefined if the key is absent), and whether the condition holds. */
const rows: [operator: string, expected: string | string[], actual: string[] | undefined, holds: boolean][] =
  [
    ['StringEquals', 'a', ['a'], true],
    ['StringEquals', 'a', ['A'], false],
    ['StringEquals', ['a', 'b'], ['b'], true],
    ['StringEquals', 'a*', ['abc'], false],
    ['StringEquals', 'a', undefined, false],
    ['StringEqualsIfExists', 'a', undefined, true],
    ['StringEqualsIfExists', 'a', ['b'], false],
    ['StringNotEquals', 'a', ['b'], true],
    ['StringNotEquals', ['a', 'b'], ['b'], false],
    ['StringNotEquals', 'a', undefined, true],
    ['StringEqualsIgnoreCase', 'AWS:kms', ['aws:KMS'], true],
    ['StringNotEqualsIgnoreCase', 'AWS:kms', ['aws:KMS'], false],
    ['StringLike', 'arn:aws:s3:::a/*', ['arn:aws:s3:::a/b/c'], true],
    ['StringLike', 'arn:aws:s3:::a/*', ['arn:aws:s3:::a'], false],
    ['StringLike', 'a?c', ['abc'], true],
    ['StringLike', 'a?c', ['ac'], false],
    ['StringNotLike', 'a*', ['abc'], false],
    ['StringNotLikeIfExists', 'a*', undefined, true],
    ['ArnEquals', 'arn:aws:iam::*:role/x', ['arn:aws:iam::1:role/x'], true],
    ['ArnLike', 'arn:aws:s3:::a*', ['arn:aws:s3:::a/b'], true],
    ['ArnLike', 'arn:aws:s3:*:a', ['arn:aws:s3:::a'], false],
    ['ArnNotEquals', 'arn:aws:iam::*:role/x', ['arn:aws:iam::1:role/y'], true],
    ['Bool', 'true', ['TRUE'], true],
    ['Bool', 'false', ['true'], false],
    ['Bool', 'true', undefined, false],
    ['BoolIfExists', 'false', undefined, true],
    ['Null', 'true', undefined, true],
    ['Null', 'true', ['x'], false],
    ['Null', 'false', ['x'], true],
    ['Null', 'false', undefined, false],
    ['NumericEquals', '10', ['10.0'], true],
    ['NumericNotEquals', '10', ['11'], true],
    ['NumericLessThan', '10', ['9'], true],
    ['NumericLessThanEquals', '10', ['10'], true],
    ['NumericGreaterThan', '10', ['10'], false],
    ['NumericGreaterThanEquals', '10', ['10'], true],
    ['NumericEquals', 'ten', ['ten'], false],
    ['DateLessThan', '2026-01-01T00:00:00Z', ['2025-12-31T23:59:59Z'], true],
    ['DateGreaterThan', '2026-01-01', ['1767225601'], true],
    ['DateEquals', '2026-01-01T00:00:00Z', ['2026-01-01'], true],
    ['DateNotEquals', '2026-01-01', ['2026-01-02'], true],
    ['DateLessThanEquals', 'soon', ['2026-01-01'], false],
    ['IpAddress', '10.0.0.0/8', ['10.200.3.4'], true],
    ['IpAddress', '10.0.0.0/8', ['11.0.0.1'], false],
    ['IpAddress', '10.0.0.1', ['10.0.0.1'], true],
    ['NotIpAddress', '10.0.0.0/8', ['11.0.0.1'], true],
    ['IpAddress', '0.0.0.0/0', ['11.0.0.1'], true],
    ['IpAddress', '10.0.0.0/', ['10.0.0.0'], false],
    ['IpAddress', '10.0.0.0/33', ['10.0.0.0'], false],
    ['IpAddress', '10.0.0.0/8/8', ['10.0.0.0'], false],
    ['IpAddress', '10..0.1', ['10.0.0.1'], false],
    ['IpAddress', '10.0.0.0/8', ['not an address'], false],
    ['NotIpAddress', '10.0.0.0/8', ['10.0.0.1'], false],
    // IAM User Guide, "IP address condition operators": ranges of IPv4 and IPv6.
    ['IpAddress', '2001:db8::/32', ['2001:DB8:1::7'], true],
    ['IpAddress', '2001:db8::/32', ['2001:db9::7'], false],
    ['IpAddress', '2001:db8:0:0:0:0:0:1', ['2001:db8::1'], true],
    ['IpAddress', '::/0', ['10.0.0.1'], false],
    ['IpAddress', '2001:db8::/129', ['2001:db8::'], false],
    ['DateGreaterThan', 'any day 1', ['2026-01-01'], false],
    ['DateEquals', '2026-01-01T00:00:00', ['2026-01-01T00:00:00Z'], true],
    ['DateEquals', '2026-01-01T01:00+01:00', ['2026-01-01T00:00:00.000Z'], true],
    ['DateGreaterThanEquals', '2026-01-01', ['2026-01-01'], true],
    ['NumericNotEquals', '10', undefined, true],
    ['NumericLessThanIfExists', '10', undefined, true],
    ['StringEqualsIgnoreCaseIfExists', 'A', ['a'], true],
    ['ArnLikeIfExists', 'arn:aws:s3:::a', undefined, true],
    ['ArnNotLike', 'arn:aws:s3:::a*', ['arn:aws:s3:::a/b'], false],
    ['ArnLike', 'arn:aws:s3:*', ['arn:aws:s3:::a'], false],
    ['BinaryEquals', 'QmluYXJ5', ['QmluYXJ5'], true],
    ['ForAllValues:StringEquals', ['a', 'b'], ['a', 'b'], true],
    ['ForAllValues:StringEquals', ['a', 'b'], ['a', 'c'], false],
    ['ForAllValues:StringEquals', ['a'], undefined, true],
    ['ForAnyValue:StringEquals', ['a', 'b'], ['c', 'b'], true],
    ['ForAnyValue:StringEquals', ['a'], undefined, false],
    ['ForAnyValue:StringLike', ['x*'], ['a', 'xy'], true],
    ['ForAnyValue:StringNotEquals', ['a'], ['a', 'b'], true],
    ['ForAllValues:StringNotEquals', ['a'], ['a', 'b'], false],
    ['ForAllValues:StringLike', ['a*'], ['ab', 'ac'], true],
    ['ForAnyValue:StringEqualsIfExists', ['a'], undefined, true],
    ['ForAnyValue:StringNotEquals', ['a'], undefined, false],
    ['ForAnyValue:ArnLike', ['arn:aws:s3:::a*'], ['arn:aws:s3:::b', 'arn:aws:s3:::ab'], true],
    ['NullIfExists', 'true', undefined, false],
    ['StringSounds', 'a', ['a'], false],
    ['constructor', 'a', ['a'], false],
    ['toString', 'a', ['a'], false],
    ['valueOf', 'a', ['a'], false],
    ['hasOwnProperty', 'a', ['a'], false],
    ['ForSomeValues:StringEquals', 'a', ['a'], false],
  ];

describe('findFailedCondition', () => {
  test.each(rows)('%s %j with %j holds: %s', (operator, expected, actual, verdict) => {
    expect(holds({ [operator]: { 'test:Key': expected } }, actual ? { 'test:key': actual } : {})).toBe(
      verdict,
    );
  });

  test('joins operators and keys with AND', () => {
    const both = { StringEquals: { 'test:a': 'x', 'test:b': 'y' }, Bool: { 'test:c': 'true' } };
    expect(holds(both, { 'test:a': ['x'], 'test:b': ['y'], 'test:c': ['true'] })).toBe(true);
    expect(holds(both, { 'test:a': ['x'], 'test:b': ['y'], 'test:c': ['false'] })).toBe(false);
    expect(holds(both, { 'test:a': ['x'], 'test:b': ['z'], 'test:c': ['true'] })).toBe(false);
  });
});

describe('policy variable', () => {
  const like = (value: string) => ({ StringLike: { 'test:Key': value } });
  const context = { 'test:key': ['home/ana/x'], 'aws:username': ['ana'], 'aws:many': ['a', 'b'] };
  const variables: [string, Condition, Record<string, string[]>, string, boolean][] = [
    ['is substituted', like('home/${aws:username}/*'), context, '2012-10-17', true],
    ['is substituted regardless of case', like('home/${AWS:UserName}/*'), context, '2012-10-17', true],
    [
      'is plain text in policies of version 2008-10-17',
      like('home/${aws:username}/*'),
      context,
      '2008-10-17',
      false,
    ],
    ['without a value matches nothing', like('home/${aws:missing}*'), context, '2012-10-17', false],
    ['with a default', like("home/${aws:missing, 'ana'}/*"), context, '2012-10-17', true],
    ['with a default that is not needed', like("home/${aws:username, 'bob'}/*"), context, '2012-10-17', true],
    ['that is unclosed is plain text', like('home/${aws:username*'), context, '2012-10-17', false],
    [
      'that is unclosed is plain text, which can match',
      like('home/${aws:*'),
      { 'test:key': ['home/${aws:x'] },
      '2012-10-17',
      true,
    ],
    [
      'is not substituted in numbers',
      { NumericEquals: { 'test:Key': '${aws:n}' } },
      { 'test:key': ['1'], 'aws:n': ['1'] },
      '2012-10-17',
      false,
    ],
    [
      'is substituted in booleans',
      { Bool: { 'test:Key': '${aws:n}' } },
      { 'test:key': ['true'], 'aws:n': ['true'] },
      '2012-10-17',
      true,
    ],
    ['with several values matches nothing', like('${aws:many}*'), context, '2012-10-17', false],
    [
      'has no wildcards in its value',
      like('${aws:username}'),
      { 'test:key': ['bob'], 'aws:username': ['*'] },
      '2012-10-17',
      false,
    ],
    ['can be a literal star', like('a${*}c'), { 'test:key': ['a*c'] }, '2012-10-17', true],
    [
      'as a literal star matches no other character',
      like('a${*}c'),
      { 'test:key': ['abc'] },
      '2012-10-17',
      false,
    ],
    ['can be a literal question mark', like('a${?}c'), { 'test:key': ['abc'] }, '2012-10-17', false],
    ['can be a literal dollar', like('a${$}{x}'), { 'test:key': ['a${x}'] }, '2012-10-17', true],
  ];
  test.each(variables)('%s', (_, condition, values, version, verdict) => {
    expect(holds(condition, values, version)).toBe(verdict);
  });
});

describe('matchWildcard and matchArn', () => {
  const cases: [pattern: string, text: string, matches: boolean][] = [
    ['*', '', true],
    ['', '', true],
    ['', 'a', false],
    ['a*b*c', 'a--b--b--c', true],
    ['a*b*c', 'a--c--b', false],
    ['??', '😀é', true],
    ['*.pdf', 'Tax/2026.pdf', true],
    ['(a+)+$', '(a+)+$', true],
  ];
  test.each(cases)('%j on %j: %s', (pattern, text, matches) => {
    expect(matchWildcard(pattern, text)).toBe(matches);
  });

  test('a wildcard does not match the colons of an ARN, except in its resource', () => {
    expect(matchArn(tokenize('arn:aws:*:key/1'), 'arn:aws:kms:us-east-1:1:key/1')).toBe(false);
    expect(matchArn(tokenize('arn:aws:kms:*:*:key/*'), 'arn:aws:kms:us-east-1:1:key/1')).toBe(true);
    expect(matchArn(tokenize('arn:aws:s3:::a/*'), 'arn:aws:s3:::a/b:c')).toBe(true);
  });

  test('patterns that cause exponential backtracking finish in time', () => {
    // An exponential algorithm would exceed the timeout of the test.
    expect(matchWildcard(`${'a*'.repeat(200)}c`, `${'a'.repeat(2_000)}b`)).toBe(false);
    expect(matchWildcard(`${'*a'.repeat(10_000)}*b`, 'a'.repeat(20_000))).toBe(false);
    const unclosed = { StringLike: { 'test:Key': '${'.repeat(500_000) } };
    expect(holds(unclosed, { 'test:key': ['a'] })).toBe(false);
  });

  test('substitutes values of any length', () => {
    const long = 'a'.repeat(300_000);
    const both = { StringLike: { 'test:Key': `\${aws:long}${long}` } };
    expect(holds(both, { 'test:key': [long + long], 'aws:long': [long] })).toBe(true);
  });
});
