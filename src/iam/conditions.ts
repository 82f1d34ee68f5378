import { type Context, list } from './context.ts';
import type { NearMiss, Statement } from './types.ts';
import { substitute, substitutePlain } from './variables.ts';
import { couldMatch, isPlain, isPlainArn, matchArn, matchWildcard } from './wildcard.ts';

/** The part of a condition block that did not hold. */
export type FailedCondition = Pick<NearMiss, 'operator' | 'key' | 'expected' | 'actual'>;

/**
 * The first condition that does not hold, or undefined when all do. Operators and keys are joined by AND, the values
 * of a key by OR (by NOR for negated operators).
 */
export function failedCondition(
  conditions: Statement['Condition'],
  context: Context,
  version: string | undefined,
): FailedCondition | undefined {
  for (const [operator, keys] of Object.entries(conditions ?? {})) {
    const test = parseOperator(operator);
    for (const [key, wanted] of Object.entries(keys)) {
      const expected = list(wanted).map(String);
      const actual = context.get(key.toLowerCase()) ?? [];
      if (!test || !holds(test, expected, actual, context, version))
        return { operator, key, expected, actual };
    }
  }
  return undefined;
}

interface Test {
  set: 'all' | 'any' | undefined;
  ifExists: boolean;
  negated: boolean;
  base: string;
}

/** Whether IAM knows a condition operator by that name. */
export const isOperator = (text: string): boolean => parseOperator(text) !== undefined;

/** Operators as they were taken apart: there are no more than some hundred. */
const TESTS = new Map<string, Test>();

function parseOperator(text: string): Test | undefined {
  const test = TESTS.get(text) ?? takenApart(text);
  if (test) TESTS.set(text, test);
  return test;
}

function takenApart(text: string): Test | undefined {
  const [, prefix, name = '', ifExists] =
    /^(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?$/.exec(text) ?? [];
  const negation = /^(String|Numeric|Date|Arn)Not(Equals|EqualsIgnoreCase|Like)$/.exec(name);
  const base = negation ? `${negation[1]}${negation[2]}` : name === 'NotIpAddress' ? 'IpAddress' : name;
  // A key that is there or not cannot be so if it exists.
  if (base === 'Null' ? ifExists !== undefined : !OPERATORS.has(base)) return undefined;
  return {
    set: prefix === 'ForAllValues' ? 'all' : prefix === 'ForAnyValue' ? 'any' : undefined,
    ifExists: ifExists !== undefined,
    negated: base !== name,
    base,
  };
}

function holds(
  { set, ifExists, negated, base }: Test,
  expected: string[],
  actual: string[],
  context: Context,
  version: string | undefined,
): boolean {
  if (base === 'Null')
    return expected.some((value) => (value.toLowerCase() === 'true') === (actual.length === 0));
  if (actual.length === 0) {
    // A missing key: IfExists and ForAllValues pass, so do negated operators; the others do not.
    return ifExists || set === 'all' || (negated && set !== 'any');
  }
  const operator = OPERATORS.get(base);
  if (!operator) return false;
  const matches = (value: string) => expected.some((pattern) => operator(value, pattern, context, version));
  const one = (value: string) => matches(value) !== negated;
  if (set === 'all') return actual.every(one);
  if (set === 'any') return actual.some(one);
  // A multi-valued key without a set operator: AWS advises against it; any value decides.
  return negated ? actual.every(one) : actual.some(one);
}

type Operator = (value: string, pattern: string, context: Context, version: string | undefined) => boolean;

const plain =
  (compare: (value: string, wanted: string) => boolean): Operator =>
  (value, pattern, context, version) => {
    const wanted = substitutePlain(pattern, context, version);
    return wanted !== undefined && compare(value, wanted);
  };

/** For the operators whose values AWS allows no variables in. */
const literal =
  (compare: (value: string, wanted: string) => boolean): Operator =>
  (value, wanted) =>
    compare(value, wanted);

const pattern =
  (match: (tokens: string[], value: string) => boolean, isSimple: (text: string) => boolean): Operator =>
  (value, text, context, version) => {
    if (!couldMatch(text, value)) return false;
    if (isSimple(text)) return text.length === value.length || text.endsWith('*');
    const tokens = substitute(text, context, version);
    return tokens !== undefined && match(tokens, value);
  };

const numeric = (compare: (a: number, b: number) => boolean) =>
  literal((value, wanted) => isNumber(value) && isNumber(wanted) && compare(Number(value), Number(wanted)));

const date = (compare: (a: number, b: number) => boolean) =>
  literal((value, wanted) => {
    const [a, b] = [timeOf(value), timeOf(wanted)];
    return !Number.isNaN(a) && !Number.isNaN(b) && compare(a, b);
  });

/** Without the negated forms, which are these turned round. */
const OPERATORS: ReadonlyMap<string, Operator> = new Map(
  Object.entries({
    StringEquals: plain((value, wanted) => value === wanted),
    StringEqualsIgnoreCase: plain((value, wanted) => value.toLowerCase() === wanted.toLowerCase()),
    StringLike: pattern(matchWildcard, isPlain),
    // ArnEquals and ArnLike are one: both know wildcards.
    ArnEquals: pattern(matchArn, isPlainArn),
    ArnLike: pattern(matchArn, isPlainArn),
    NumericEquals: numeric((a, b) => a === b),
    NumericLessThan: numeric((a, b) => a < b),
    NumericLessThanEquals: numeric((a, b) => a <= b),
    NumericGreaterThan: numeric((a, b) => a > b),
    NumericGreaterThanEquals: numeric((a, b) => a >= b),
    DateEquals: date((a, b) => a === b),
    DateLessThan: date((a, b) => a < b),
    DateLessThanEquals: date((a, b) => a <= b),
    DateGreaterThan: date((a, b) => a > b),
    DateGreaterThanEquals: date((a, b) => a >= b),
    Bool: plain((value, wanted) => value.toLowerCase() === wanted.toLowerCase()),
    BinaryEquals: literal((value, wanted) => value === wanted),
    IpAddress: literal(inRange),
  }),
);

const isNumber = (text: string): boolean => text.trim() !== '' && Number.isFinite(Number(text));

const DATE = /^\d{4}-\d\d(?:-\d\d)?$/;
const DATE_AND_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(Z|[+-]\d\d:\d\d)?$/;

/** Seconds since the epoch, or the W3C's profile of ISO 8601; what names no zone is UTC, wherever this runs. */
function timeOf(text: string): number {
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  if (DATE.test(text)) return Date.parse(text);
  const [time, zone] = DATE_AND_TIME.exec(text) ?? [];
  return time === undefined ? Number.NaN : Date.parse(zone === undefined ? `${time}Z` : time);
}

/** Whether an IPv4 address lies in a CIDR range. */
function inRange(address: string, range: string): boolean {
  const [, network = '', bits = '32'] = /^([\d.]+)(?:\/(\d{1,2}))?$/.exec(range) ?? [];
  const [a, b] = [ipv4(address), ipv4(network)];
  const length = Number(bits);
  if (a === undefined || b === undefined || length > 32) return address === range;
  const size = 2 ** (32 - length);
  return Math.floor(a / size) === Math.floor(b / size);
}

function ipv4(text: string): number | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255))
    return undefined;
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0);
}
