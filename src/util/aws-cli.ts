import { shellQuote } from './escape.ts';

/** The value of an option: a word, a JSON document, or absent. */
export type CliValue = string | object | undefined;

/** Returns a command of the AWS CLI for a POSIX shell, complete and quoted. An option without a value is left out. */
export const awsCli = (operation: string, options: Readonly<Record<string, CliValue>>): string =>
  [
    `aws ${operation}`,
    ...Object.entries(options).flatMap(([name, value]) =>
      value === undefined
        ? []
        : [`--${name} ${typeof value === 'string' ? shellQuote(value) : quoteJson(value)}`],
    ),
  ].join(' ');

/**
 * Quotes a document for a POSIX shell: compact JSON with one line for each statement or rule. It is ASCII, because IAM
 * refuses characters beyond U+00FF, and contains no single quote, so that no character needs shell syntax. White space
 * before a line does not change it.
 */
export function quoteJson(document: object): string {
  const listText = (items: readonly unknown[]) =>
    items.length === 0 ? '[]' : `[\n${items.map((item) => JSON.stringify(item)).join(',\n')}\n]`;
  const fieldText = ([name, value]: [string, unknown]) =>
    `${JSON.stringify(name)}:${Array.isArray(value) ? listText(value) : JSON.stringify(value)}`;
  const fields = Object.entries(document).filter(([, value]) => value !== undefined);
  const text = Array.isArray(document) ? listText(document) : `{${fields.map(fieldText).join(',')}}`;
  const escaped = text.replace(
    /[^\n\x20-\x7e]|'/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `'${escaped}'`;
}

/** A document that replikey cannot read, and entries to merge into it. */
export interface DocumentMerge {
  /** Command that prints the document as JSON. */
  get: string;
  /** Error code of AWS when there is no document; absent: there is always one. */
  absentError?: string;
  /** Entries to add, which `program` calls `$new`. */
  additions: object;
  /** jq program that adds them to its input: the document, or `null` if there is none. */
  program: string;
  /** Command that writes the document in a file, given as `file://merged.json`. */
  put: string;
}

/**
 * Returns a command that reads a document, merges entries into it, and writes it. It stops at the first failure, so that
 * it never writes over a document that it could not read. It keeps the former document in `current.json`.
 */
export const mergeCommand = ({ get, absentError, additions, program, put }: DocumentMerge): string =>
  [
    absentError === undefined
      ? `${get} > current.json &&`
      : `${get} > current.json 2> error.txt || grep ${absentError} error.txt || { cat error.txt >&2; false; } &&`,
    `jq -nc --argjson new ${quoteJson(additions)} '[inputs][0] | ${program}' current.json > merged.json &&`,
    put,
  ].join('\n');

/** The argument of `mergeCommand` that names the merged document. */
export const MERGED_FILE = 'file://merged.json';

/**
 * Returns a command that adds statements to a policy. It replaces statements with the same Sids, and keeps all others.
 *
 * @param get prints the policy as JSON
 */
export const mergePolicyCommand = (
  merge: Omit<DocumentMerge, 'program' | 'additions'>,
  statements: readonly object[],
): string =>
  mergeCommand({
    ...merge,
    additions: statements,
    program:
      '. // {"Version":"2012-10-17","Statement":[]} | .Statement = ([.Statement] | flatten | map(select(.Sid as $sid | all($new[]; .Sid != $sid))) + $new)',
  });
