import { type RequestContext, toList } from './context.ts';
import {
  couldMatch,
  isPrefixArnPattern,
  isPrefixPattern,
  matchArn,
  matchWildcard,
  substituteAsText,
  substituteVariables,
} from './pattern.ts';
import type { NearMiss, Statement } from './types.ts';

/** The part of a condition block that does not hold. */
export type FailedCondition = Pick<NearMiss, 'operator' | 'key' | 'expected' | 'actual'>;

/**
 * Returns the first condition that does not hold, or undefined when all hold. Operators and keys are joined by AND. The
 * values of a key are joined by OR, or by NOR for negated operators.
 */
export function findFailedCondition(
  conditions: Statement['Condition'],
  context: RequestContext,
  version: string | undefined,
): FailedCondition | undefined {
  for (const [operator, keys] of Object.entries(conditions ?? {})) {
    const conditionOperator = parseOperator(operator);
    for (const [key, values] of Object.entries(keys)) {
      const expected = toList(values).map(String);
      const actual = context.get(key.toLowerCase()) ?? [];
      if (!conditionOperator || !conditionHolds(conditionOperator, expected, actual, context, version))
        return { operator, key, expected, actual };
    }
  }
  return undefined;
}

interface ConditionOperator {
  quantifier: 'all' | 'any' | undefined;
  ifExists: boolean;
  negated: boolean;
  base: string;
}

/** Returns whether IAM supports a condition operator of this name. */
export const isConditionOperator = (text: string): boolean => parseOperator(text) !== undefined;

/** Cache of parsed operators, by name. It stays small, because there are no more than a few hundred operator names. */
const OPERATORS_BY_TEXT = new Map<string, ConditionOperator>();

function parseOperator(text: string): ConditionOperator | undefined {
  const operator = OPERATORS_BY_TEXT.get(text) ?? parseOperatorText(text);
  if (operator) OPERATORS_BY_TEXT.set(text, operator);
  return operator;
}

function parseOperatorText(text: string): ConditionOperator | undefined {
  const [, prefix, name = '', ifExists] =
    /^(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?$/.exec(text) ?? [];
  const negation = /^(String|Numeric|Date|Arn)Not(Equals|EqualsIgnoreCase|Like)$/.exec(name);
  const base = negation ? `${negation[1]}${negation[2]}` : name === 'NotIpAddress' ? 'IpAddress' : name;
  // `Null` tests whether a key is present, so it cannot be combined with `IfExists`.
  if (base === 'Null' ? ifExists !== undefined : !COMPARISONS.has(base)) return undefined;
  return {
    quantifier: prefix === 'ForAllValues' ? 'all' : prefix === 'ForAnyValue' ? 'any' : undefined,
    ifExists: ifExists !== undefined,
    negated: base !== name,
    base,
  };
}

function conditionHolds(
  { quantifier, ifExists, negated, base }: ConditionOperator,
  expected: string[],
  actual: string[],
  context: RequestContext,
  version: string | undefined,
): boolean {
  if (base === 'Null')
    return expected.some((value) => (value.toLowerCase() === 'true') === (actual.length === 0));
  if (actual.length === 0) {
    // A missing key: IfExists, ForAllValues and negated operators pass. The other operators fail.
    return ifExists || quantifier === 'all' || (negated && quantifier !== 'any');
  }
  const comparison = COMPARISONS.get(base);
  if (!comparison) return false;
  const matches = (value: string) => expected.some((pattern) => comparison(value, pattern, context, version));
  const passes = (value: string) => matches(value) !== negated;
  if (quantifier === 'all') return actual.every(passes);
  if (quantifier === 'any') return actual.some(passes);
  // A multi-valued key without a set operator, which AWS advises against: any value decides.
  return negated ? actual.every(passes) : actual.some(passes);
}

type ValueComparison = (
  value: string,
  pattern: string,
  context: RequestContext,
  version: string | undefined,
) => boolean;

const textOperator =
  (compare: (value: string, expected: string) => boolean): ValueComparison =>
  (value, pattern, context, version) => {
    const expected = substituteAsText(pattern, context, version);
    return expected !== undefined && compare(value, expected);
  };

/** Returns the comparison of an operator whose values cannot contain policy variables. */
const literalOperator =
  (compare: (value: string, expected: string) => boolean): ValueComparison =>
  (value, expected) =>
    compare(value, expected);

const patternOperator =
  (
    match: (tokens: string[], value: string) => boolean,
    isExact: (text: string) => boolean,
  ): ValueComparison =>
  (value, text, context, version) => {
    if (!couldMatch(text, value)) return false;
    if (isExact(text)) return text.length === value.length || text.endsWith('*');
    const tokens = substituteVariables(text, context, version);
    return tokens !== undefined && match(tokens, value);
  };

const numericOperator = (compare: (a: number, b: number) => boolean) =>
  literalOperator(
    (value, expected) =>
      isNumericText(value) && isNumericText(expected) && compare(Number(value), Number(expected)),
  );

const dateOperator = (compare: (a: number, b: number) => boolean) =>
  literalOperator((value, expected) => {
    const [a, b] = [parseTime(value), parseTime(expected)];
    return !Number.isNaN(a) && !Number.isNaN(b) && compare(a, b);
  });

/** Comparisons by operator name, without the negated forms. A negated form inverts the result of its base operator. */
const COMPARISONS: ReadonlyMap<string, ValueComparison> = new Map(
  Object.entries({
    StringEquals: textOperator((value, expected) => value === expected),
    StringEqualsIgnoreCase: textOperator((value, expected) => value.toLowerCase() === expected.toLowerCase()),
    StringLike: patternOperator(matchWildcard, isPrefixPattern),
    // ArnEquals and ArnLike are the same operator: both accept wildcards.
    ArnEquals: patternOperator(matchArn, isPrefixArnPattern),
    ArnLike: patternOperator(matchArn, isPrefixArnPattern),
    NumericEquals: numericOperator((a, b) => a === b),
    NumericLessThan: numericOperator((a, b) => a < b),
    NumericLessThanEquals: numericOperator((a, b) => a <= b),
    NumericGreaterThan: numericOperator((a, b) => a > b),
    NumericGreaterThanEquals: numericOperator((a, b) => a >= b),
    DateEquals: dateOperator((a, b) => a === b),
    DateLessThan: dateOperator((a, b) => a < b),
    DateLessThanEquals: dateOperator((a, b) => a <= b),
    DateGreaterThan: dateOperator((a, b) => a > b),
    DateGreaterThanEquals: dateOperator((a, b) => a >= b),
    Bool: textOperator((value, expected) => value.toLowerCase() === expected.toLowerCase()),
    BinaryEquals: literalOperator((value, expected) => value === expected),
    IpAddress: literalOperator(isInCidrRange),
  }),
);

const isNumericText = (text: string): boolean => text.trim() !== '' && Number.isFinite(Number(text));

const DATE_PATTERN = /^\d{4}-\d\d(?:-\d\d)?$/;
const DATE_TIME_PATTERN = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(Z|[+-]\d\d:\d\d)?$/;

/**
 * Parses seconds since the epoch, or the W3C profile of ISO 8601. A time without a zone is UTC, in every local time
 * zone.
 */
function parseTime(text: string): number {
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  if (DATE_PATTERN.test(text)) return Date.parse(text);
  const [time, zone] = DATE_TIME_PATTERN.exec(text) ?? [];
  return time === undefined ? Number.NaN : Date.parse(zone === undefined ? `${time}Z` : time);
}

/** Returns whether an address is in a CIDR range of IPv4 or IPv6. */
function isInCidrRange(address: string, text: string): boolean {
  const [value, range] = [parseIpAddress(address), parseIpRange(text)];
  if (!value || value.bits !== range?.bits) return address === text;
  const hostBits = BigInt(range.bits - range.prefix);
  return value.number >> hostBits === range.number >> hostBits;
}

/** A range of addresses: the number of its first address, and the length of the prefix in bits. */
export interface IpRange {
  /** 32 bits of IPv4, or 128 bits of IPv6. */
  bits: 32 | 128;
  number: bigint;
  prefix: number;
}

/** Parses an address, or a range like `10.0.0.0/8` and `2001:db8::/32`. Returns undefined for any other text. */
export function parseIpRange(text: string): IpRange | undefined {
  const [, network = '', length] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const address = parseIpAddress(network);
  if (!address) return undefined;
  const prefix = length === undefined ? address.bits : Number(length);
  return prefix <= address.bits ? { ...address, prefix } : undefined;
}

function parseIpAddress(text: string): Omit<IpRange, 'prefix'> | undefined {
  const parts = text.split('.');
  if (parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255))
    return { bits: 32, number: parts.reduce((sum, part) => sum * 256n + BigInt(part), 0n) };
  if (!text.includes(':') || !URL.canParse(`http://[${text}]`)) return undefined;
  // The URL writes an IPv6 address in its canonical form: groups in hexadecimal, and `::` for the longest run of zeros.
  const [head = '', tail] = new URL(`http://[${text}]`).hostname.slice(1, -1).split('::');
  const groupsOf = (groups = '') => (groups === '' ? [] : groups.split(':'));
  const [first, last] = [groupsOf(head), groupsOf(tail)];
  const groups = [...first, ...Array<string>(8 - first.length - last.length).fill('0'), ...last];
  return { bits: 128, number: groups.reduce((sum, group) => sum * 65_536n + BigInt(`0x${group}`), 0n) };
}
