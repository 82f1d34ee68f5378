import { quoted } from './excerpt.ts';
import { MAX_VARIABLE } from './limits.ts';
import { isReferring } from './references.ts';
import type { WrittenVariable } from './schema.ts';
import { type Finding, makeSource, problemAt } from './source.ts';
import { suggest } from './suggest.ts';
import type { Problem, VariableValue } from './types.ts';

/** What a run is given from outside. */
export interface Given {
  /** `name=value`, as --var has it. */
  variables: readonly string[];
  /** Of this, only what a declaration names is read. */
  environment: Readonly<Record<string, string | undefined>>;
}

export const NOTHING_GIVEN: Given = { variables: [], environment: {} };

/** A value from the command line, and how to say what is wrong with it. */
export interface Said {
  text: string;
  problem: (finding: Finding) => Problem;
}

/** What --var says, by name. Its place in a problem is `--var:2:7`: the second of them, at the seventh character. */
export function said(
  variables: readonly string[],
  known: readonly string[],
): { texts: ReadonlyMap<string, Said>; problems: Problem[] } {
  const source = makeSource('--var', variables.map((one) => one.replaceAll('\n', ' ')).join('\n'));
  const texts = new Map<string, Said>();
  const problems: Problem[] = [];
  for (const [index, one] of variables.entries()) {
    const start = source.lineStarts[index] ?? 0;
    const equals = one.indexOf('=');
    const name = equals === -1 ? one : one.slice(0, equals);
    const finding = equals === -1 ? NO_VALUE : whyNot(name, known, texts);
    if (finding) problems.push(problemAt(source, start, finding));
    else {
      const problem = (about: Finding) => problemAt(source, start + equals + 1, about);
      texts.set(name, { text: one.slice(equals + 1), problem });
    }
  }
  return { texts, problems };
}

const NO_VALUE: Finding = { message: 'there is no value', hint: 'write --var name=value' };

function whyNot(
  name: string,
  known: readonly string[],
  before: ReadonlyMap<string, unknown>,
): Finding | undefined {
  if (before.has(name)) return { message: `${name} is given twice`, hint: 'keep one of the two' };
  if (known.includes(name)) return undefined;
  const meant = suggest(name, known);
  const hint =
    meant === undefined
      ? known.length === 0
        ? 'no document of kind: Variables was read: name its file too'
        : `declared: ${known.slice(0, 20).join(', ')}`
      : `did you mean ${meant}?`;
  return { message: `no document declares a variable ${quoted(name)}`, hint };
}

/** The value that a text from outside stands for, or what is wrong with it. */
export function asValue(
  text: string,
  { type, enum: values }: WrittenVariable,
): { value: VariableValue } | { wrong: string } {
  const value = READ[type](text);
  if (value === undefined) return { wrong: `expected ${IN_WORDS[type]}, found ${quoted(text)}` };
  const wrong = misfit(value, values);
  return wrong === undefined ? { value } : { wrong };
}

/** Why a value of the right type is not allowed. */
export function misfit(value: VariableValue, values: WrittenVariable['enum']): string | undefined {
  if (String(value).length > MAX_VARIABLE) return `a variable has at most ${MAX_VARIABLE} characters`;
  if (typeof value === 'string' && isReferring(value)) return 'a variable is not made of others';
  if (values === undefined || values.some((one) => one === value)) return undefined;
  return `expected ${values.join(' or ')}, found ${typeof value === 'string' ? quoted(value) : value}`;
}

export const IN_WORDS = { string: 'a text', number: 'a number', boolean: 'true or false' } as const;

const READ: Record<WrittenVariable['type'], (text: string) => VariableValue | undefined> = {
  string: (text) => text,
  // Only what is written back the same: an account id would lose its zeros in front.
  number: (text) =>
    Number.isFinite(Number(text)) && String(Number(text)) === text ? Number(text) : undefined,
  boolean: (text) => ({ true: true, false: false })[text],
};
