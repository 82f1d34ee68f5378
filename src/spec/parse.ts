import {
  Composer,
  type CST,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  type Node,
  type Pair,
  Parser,
} from 'yaml';
import { formatPath, type ParsedDocument, type Path, type Span } from './document.ts';
import {
  CASCADING_ERRORS,
  explainSyntaxError,
  trackBrackets,
  UNKNOWN_TAG,
  type UnclosedBracket,
} from './explain-syntax.ts';
import { quoteValue } from './format-problems.ts';
import {
  MAX_ALIASES,
  MAX_DOCUMENTS,
  MAX_FILE_TOKENS,
  MAX_PROBLEMS_PER_FILE,
  MAX_SYNTAX_PROBLEMS,
  MAX_YAML_DEPTH,
} from './limits.ts';
import { type ProblemDetails, positionAt, problemAtOffset, type SourceFile } from './source-file.ts';
import type { Problem } from './types.ts';

/** The documents of a file, its problems, and the number of its YAML tokens. */
export interface ParsedFile {
  documents: ParsedDocument[];
  problems: Problem[];
  tokens: number;
}

/** Reads the documents of a file's text. It returns every problem and throws none. Pure. */
export function parseDocuments(source: SourceFile): ParsedFile {
  const { tokens, count, unclosed, problem } = tokenizeYaml(source);
  if (problem) return { documents: [], problems: [problem], tokens: count };
  return { ...composeDocuments(source, tokens, unclosed), tokens: count };
}

function composeDocuments(
  source: SourceFile,
  tokens: CST.Token[],
  unclosed: readonly UnclosedBracket[],
): Omit<ParsedFile, 'tokens'> {
  const documents: ParsedDocument[] = [];
  const problems: Problem[] = [];
  const composer = new Composer(YAML_OPTIONS).compose(tokens, false, source.text.length);
  for (const yamlDocument of withoutStackTraces(composer)) {
    const errors = syntaxProblems(source, yamlDocument, unclosed);
    problems.push(...errors);
    if (errors.length > 0 && problems.length >= MAX_SYNTAX_PROBLEMS) break;
    if (errors.length > 0 || isEmptyDocument(yamlDocument)) continue;
    if (documents.length === MAX_DOCUMENTS) {
      const message = `the file has more than ${MAX_DOCUMENTS} documents`;
      problems.push(
        problemAtOffset(source, yamlDocument.range[0], { message, hint: 'split it into several files' }),
      );
      break;
    }
    if (yamlDocument.contents === null) continue;
    if (!isSpec(yamlDocument.contents)) {
      problems.push(problemAtOffset(source, yamlDocument.contents.range?.[0] ?? 0, NOT_A_SPEC));
      if (problems.length >= MAX_PROBLEMS_PER_FILE) break;
      continue;
    }
    const plain = toPlain(source, yamlDocument.contents);
    problems.push(...plain.problems);
    if (plain.problems.length === 0) documents.push(plain.document);
  }
  if (documents.length > 0 || problems.length > 0) return { documents, problems };
  return {
    documents,
    problems: [
      problemAtOffset(source, 0, {
        message: source.text.trim() === '' ? 'the file is empty' : 'the file has no document',
        hint: 'add a document with apiVersion, kind, metadata and spec, or remove the file',
      }),
    ],
  };
}

/**
 * YAML 1.2 parses `no` and `on` as text. `uniqueKeys` is off, because its check compares every key with every other
 * key. `toPlain` finds duplicate keys instead.
 */
const YAML_OPTIONS = {
  version: '1.2',
  stringKeys: true,
  uniqueKeys: false,
  prettyErrors: false,
  logLevel: 'silent',
} as const;

/**
 * Yields the values of a generator that creates its errors without stack traces. A file can have hundreds of thousands
 * of syntax errors, and each stack trace takes a kilobyte.
 */
function* withoutStackTraces<T>(values: Generator<T>): Generator<T> {
  for (;;) {
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    let next: IteratorResult<T>;
    try {
      next = values.next();
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
    if (next.done) return;
    yield next.value;
  }
}

/**
 * Tokenizes the concrete syntax, up to a maximum number of tokens and a maximum depth. The composer recurses, and so does the parser when many levels
 * close together. On Node 20 deep recursion can abort the process without a catchable error. The length of the parser's
 * stack gives the depth before it becomes dangerous.
 */
function tokenizeYaml(source: SourceFile): {
  tokens: CST.Token[];
  /** The number of lexical tokens. Each of them takes memory in the tree of `tokens`. */
  count: number;
  unclosed: UnclosedBracket[];
  problem?: Problem;
} {
  const tokens: CST.Token[] = [];
  let count = 0;
  const parser = new Parser();
  const brackets = trackBrackets();
  const unclosed = brackets.unclosed;
  let errors = 0;
  const reject = (offset: number, details: ProblemDetails) => ({
    tokens: [],
    count,
    unclosed,
    problem: problemAtOffset(source, offset, details),
  });
  for (const lexeme of new Lexer().lex(source.text)) {
    count += 1;
    if (count > MAX_FILE_TOKENS) return reject(parser.offset, TOO_MANY_TOKENS);
    brackets.next(lexeme, parser.offset);
    for (const token of parser.next(lexeme)) {
      tokens.push(token);
      if (token.type === 'error') errors += 1;
      const rejection = rejectDirective(token);
      if (rejection) return reject(token.offset, rejection);
    }
    if (parser.stack.length > MAX_YAML_DEPTH) return reject(parser.offset, TOO_DEEP);
    if (errors >= MAX_SYNTAX_PROBLEMS) break;
  }
  brackets.end();
  tokens.push(...parser.end());
  return { tokens, count, unclosed };
}

const TOO_MANY_TOKENS: ProblemDetails = {
  message: `the file has more than ${MAX_FILE_TOKENS} YAML tokens`,
  hint: 'check for repeated characters, or split it into several files; a spec has about 200 tokens',
};

const TOO_DEEP: ProblemDetails = {
  message: `more than ${MAX_YAML_DEPTH} levels of nesting`,
  hint: 'check for a stray bracket, dash or indentation; a spec needs seven levels',
};

/** Rejects directives: `%YAML 1.1` would change the meaning of words, and `%TAG` the meaning of tags. */
function rejectDirective(token: CST.Token) {
  if (token.type !== 'directive') return undefined;
  return { message: 'YAML directives are not supported', hint: 'remove the line; specs use YAML 1.2' };
}

/**
 * Returns the first error of each line, because the others follow from it. Errors after an unclosed bracket or quote
 * are dropped for the same reason.
 */
function syntaxProblems(
  source: SourceFile,
  yamlDocument: Document.Parsed,
  unclosed: readonly UnclosedBracket[],
): Problem[] {
  const errors = [...yamlDocument.errors, ...yamlDocument.warnings].map((error) => ({
    offset: error.pos[0],
    details: explainSyntaxError(error, source),
  }));
  if (errors.length === 0) return [];
  const [start, , end] = yamlDocument.range;
  const unclosedHere = unclosed.filter(({ offset }) => offset >= start && offset < end);
  const firstUnclosed = unclosedHere.reduce((first, { offset }) => Math.min(first, offset), Infinity);
  const relevantErrors = [...errors.filter(({ offset }) => offset < firstUnclosed), ...unclosedHere];
  const cascadingErrors = relevantErrors.filter(({ details }) => CASCADING_ERRORS.includes(details));
  const byLine = new Map<number, Problem>();
  for (const { offset, details } of (cascadingErrors.length > 0 ? cascadingErrors : relevantErrors).sort(
    (a, b) => a.offset - b.offset,
  )) {
    const { line } = positionAt(source, offset);
    if (!byLine.has(line)) byLine.set(line, problemAtOffset(source, offset, details));
    if (byLine.size === MAX_SYNTAX_PROBLEMS) break;
  }
  return [...byLine.values()];
}

/** Returns whether a document is `---` without content. */
const isEmptyDocument = ({ contents }: Document.Parsed): boolean =>
  contents === null || (isScalar(contents) && contents.source === '' && contents.value === null);

/**
 * Returns whether a document is meant as a spec. Problems of any other document must not contain parts of it: it may be
 * a file of credentials or a Secret that is in the folder by mistake.
 */
const isSpec = (contents: Node): boolean =>
  isMap(contents) &&
  contents.items.some(({ key, value }) => {
    if (!isScalar(key) || !isScalar(value) || typeof value.value !== 'string') return false;
    if (key.value === 'apiVersion') return value.value.startsWith('replikey.dev/');
    return key.value === 'kind' && value.value === 'BucketReplication';
  });

const NOT_A_SPEC: ProblemDetails = {
  message: 'not a replikey spec: it has no top-level field apiVersion: replikey.dev/v1',
  hint: 'add the field, or move the file to another folder; messages do not show its content',
};

/**
 * Converts nodes to plain data with the span of each value. Duplicate keys, merge keys and too many aliases are
 * problems. A document with problems must not be used.
 */
function toPlain(source: SourceFile, root: Node): { document: ParsedDocument; problems: Problem[] } {
  const spans = new Map<string, Span>();
  const problems: Problem[] = [];
  const anchors = new Map<string, Node>();
  let aliasCount = 0;

  const addProblem = (offset: number, details: ProblemDetails) => {
    if (problems.length < MAX_PROBLEMS_PER_FILE) problems.push(problemAtOffset(source, offset, details));
  };

  /**
   * Reads a node. `aliasOffset` is the offset of the alias through which the node is read; the node itself is
   * elsewhere.
   */
  function readNode(
    node: Node | null,
    path: Path,
    keyOffset: number | undefined,
    aliasOffset: number | undefined,
  ): unknown {
    const valueOffset = aliasOffset ?? node?.range?.[0] ?? keyOffset ?? 0;
    spans.set(formatPath(path), spanOfNode(node, valueOffset, keyOffset, aliasOffset !== undefined));
    if (path.length > MAX_YAML_DEPTH) {
      addProblem(valueOffset, { message: 'the aliases are nested too deeply', hint: 'write the value out' });
      return null;
    }
    if (node?.tag !== undefined && !PLAIN_TAGS.test(node.tag)) addProblem(valueOffset, UNKNOWN_TAG);
    if (isAlias(node)) return readAlias(node.source, path, keyOffset, valueOffset);
    const result = isMap(node)
      ? readMap(node.items as Pair<Node, Node | null>[], path, aliasOffset)
      : isSeq(node)
        ? node.items.map((item, index) =>
            readNode(item as Node | null, [...path, index], undefined, aliasOffset),
          )
        : isScalar(node)
          ? node.value
          : null;
    // The anchor is registered after its node, because it is not valid inside the node.
    if (node?.anchor) anchors.set(node.anchor, node);
    return result;
  }

  function readMap(
    items: readonly Pair<Node, Node | null>[],
    path: Path,
    aliasOffset: number | undefined,
  ): object {
    const map: Record<string, unknown> = {};
    const firstOffsets = new Map<string, number>();
    for (const { key, value } of items) {
      const name = isScalar(key) ? String(key.value) : '';
      const keyOffset = aliasOffset ?? key.range?.[0] ?? 0;
      const firstOffset = firstOffsets.get(name);
      const details =
        firstOffset === undefined ? FORBIDDEN_KEYS.get(name) : duplicateKeyDetails(name, firstOffset);
      if (details) {
        addProblem(keyOffset, { path: formatPath([...path, name]), ...details });
        continue;
      }
      firstOffsets.set(name, keyOffset);
      map[name] = readNode(value, [...path, name], keyOffset, aliasOffset);
    }
    return map;
  }

  function duplicateKeyDetails(name: string, firstOffset: number): ProblemDetails {
    const { line, column } = positionAt(source, firstOffset);
    return {
      message: `duplicate key ${quoteValue(name)}, first used at ${source.file}:${line}:${column}`,
      hint: 'keep one of the two',
    };
  }

  function readAlias(name: string, path: Path, keyOffset: number | undefined, aliasOffset: number): unknown {
    const node = anchors.get(name);
    if (!node) {
      addProblem(aliasOffset, {
        message: `no anchor &${name} precedes this alias`,
        hint: `write the value out, or quote a string that starts with *: "*${name}"`,
      });
      return null;
    }
    aliasCount += 1;
    if (aliasCount === MAX_ALIASES + 1) {
      addProblem(aliasOffset, {
        message: `the aliases expand to more than ${MAX_ALIASES} values`,
        hint: 'write the values out instead of aliases',
      });
    }
    return aliasCount > MAX_ALIASES ? null : readNode(node, path, keyOffset, aliasOffset);
  }

  const value = readNode(root, [], undefined, undefined);
  return { document: { source, value, spans, invalidPaths: [] }, problems };
}

function spanOfNode(
  node: Node | null,
  valueOffset: number,
  keyOffset: number | undefined,
  isAliased: boolean,
): Span {
  return {
    valueOffset,
    ...(keyOffset === undefined ? {} : { keyOffset }),
    isBlock: !isAliased && (isMap(node) || isSeq(node)) && node.flow !== true,
    ...(isScalar(node) && node.type === 'PLAIN' && node.source !== undefined ? { rawText: node.source } : {}),
  };
}

/** The tags of plain data. `!!binary` and `!!set` represent types that no spec field has. */
const PLAIN_TAGS = /^tag:yaml\.org,2002:(str|int|float|bool|null|map|seq)$/;

const FORBIDDEN_KEYS: ReadonlyMap<string, ProblemDetails> = new Map([
  [
    '<<',
    {
      message: 'merge keys (<<) are not part of YAML 1.2, and are not supported',
      hint: 'write the fields out; an alias can replace a whole value only',
    },
  ],
  ['__proto__', { message: '__proto__ cannot be a key', hint: 'remove it' }],
]);
