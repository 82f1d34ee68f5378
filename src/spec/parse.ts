import { type Document, isMap, isPair, isScalar, LineCounter, Parser, parseAllDocuments, visit } from 'yaml';
import { excerpt } from './excerpt.ts';
import type { Position, Problem } from './types.ts';

/** One YAML document, and where each of its paths stands. */
export interface Parsed {
  value: unknown;
  file: string;
  /** Position of a path, or of the nearest one around it; with `key`, of the key rather than the value. */
  positionOf(path: readonly (string | number)[], key?: boolean): Position;
  excerptAt(position: Position): string;
  /** The text of a scalar as it was written, for numbers that should have been strings. */
  sourceOf(path: readonly (string | number)[]): string | undefined;
}

const MAX_BYTES = 1024 * 1024;
const MAX_DEPTH = 64;

/** Read the documents of a file's text. Pure. Every problem is returned, none thrown. */
export function parse(text: string, file: string): { documents: Parsed[]; problems: Problem[] } {
  const problemAt = (line: number, column: number, message: string, hint?: string): Problem => ({
    position: { file, line, column },
    message,
    ...(hint === undefined ? {} : { hint }),
    excerpt: excerpt(text, line, column),
  });
  const only = (problem: Problem) => ({ documents: [], problems: [problem] });

  if (Buffer.byteLength(text) > MAX_BYTES) {
    return only({
      position: { file, line: 1, column: 1 },
      message: 'the file is larger than 1 MiB',
      hint: 'split it into several files',
    });
  }
  const lines = new LineCounter();
  const where = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const nul = text.indexOf('\0');
  if (nul >= 0) {
    const line = text.slice(0, nul).split('\n').length;
    const column = nul - text.lastIndexOf('\n', nul);
    return only(
      problemAt(line, column, 'the file holds a NUL byte', 'specs are text: save the file as UTF-8'),
    );
  }
  // The composer recurses, and on Node 20 deep nesting aborts the whole process: depth is checked first, on tokens.
  const deep = tooDeep(text);
  if (deep !== undefined) {
    const before = text.slice(0, deep);
    const line = before.split('\n').length;
    return only(
      problemAt(
        line,
        deep - before.lastIndexOf('\n'),
        `nested more than ${MAX_DEPTH} levels deep`,
        'a spec needs six levels',
      ),
    );
  }

  const parsed = parseAllDocuments(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: true,
    version: '1.2',
  });
  const list: Document.Parsed[] = Array.isArray(parsed) ? (parsed as Document.Parsed[]) : [];
  const documents: Parsed[] = [];
  const problems: Problem[] = [];
  for (const document of list) {
    const found = [...document.errors, ...document.warnings].map((error) => {
      const { line, column } = where(error.pos[0]);
      return problemAt(line, column, sentence(error.message), hintFor(error.code, error.message));
    });
    found.push(
      ...refused(document, (offset, message, hint) => {
        const { line, column } = where(offset);
        return problemAt(line, column, message, hint);
      }),
    );
    problems.push(...found);
    if (found.length > 0 || document.contents === null) continue;
    const value = plainValue(document);
    if (value === TOO_MANY_ALIASES) {
      const { line, column } = where(document.range[0]);
      problems.push(
        problemAt(line, column, 'aliases expand to too much', 'write the values out instead of aliases'),
      );
    } else {
      documents.push(withPositions(document, value, file, text, where));
    }
  }
  return { documents, problems };
}

/** Offset of the first token that lies too deep: on the parser's tokens, which it makes and we walk without recursion. */
function tooDeep(text: string): number | undefined {
  const stack: { node: unknown; depth: number }[] = [];
  for (const token of new Parser().parse(text)) {
    stack.push({ node: token, depth: 0 });
    while (stack.length > 0) {
      const { node, depth } = stack.pop() ?? { node: undefined, depth: 0 };
      if (typeof node !== 'object' || node === null) continue;
      const { offset, items, value, key } = node as Record<string, unknown>;
      if (depth > MAX_DEPTH && typeof offset === 'number') return offset;
      for (const item of Array.isArray(items) ? items : []) stack.push({ node: item, depth: depth + 1 });
      stack.push({ node: value, depth }, { node: key, depth });
    }
  }
  return undefined;
}

const TOO_MANY_ALIASES = Symbol('too many aliases');

/** The document as plain data; the library throws a ReferenceError when aliases multiply like rabbits. */
function plainValue(document: Document): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    if (error instanceof ReferenceError) return TOO_MANY_ALIASES;
    throw error;
  }
}

/** YAML that means something else than it seems: merge keys arrive as a literal key `<<`. */
function refused(
  document: Document,
  problem: (offset: number, message: string, hint: string) => Problem,
): Problem[] {
  const problems: Problem[] = [];
  visit(document, {
    Pair(_, pair) {
      const key = isPair(pair) && isScalar(pair.key) ? pair.key : undefined;
      const offset = key?.range?.[0] ?? 0;
      if (key?.value === '<<') {
        problems.push(
          problem(offset, 'merge keys (<<) are not YAML 1.2 and are not supported', 'write the fields out'),
        );
      }
      if (key?.value === '__proto__')
        problems.push(problem(offset, '__proto__ cannot be a key', 'remove it'));
    },
  });
  return problems;
}

function withPositions(
  document: Document.Parsed,
  value: unknown,
  file: string,
  text: string,
  where: (offset: number) => { line: number; column: number },
): Parsed {
  const start = { file, ...where(firstOffset(document)) };
  const positionOf = (path: readonly (string | number)[], key = false): Position => {
    for (let length = path.length; length > 0; length--) {
      const around = path.slice(0, length);
      const range = key && length === path.length ? keyRange(document, around) : valueRange(document, around);
      if (range !== undefined) return { file, ...where(range) };
    }
    return start;
  };
  return {
    value,
    file,
    positionOf,
    excerptAt: ({ line, column }) => excerpt(text, line, column),
    sourceOf(path) {
      const node = document.getIn(path, true);
      return isScalar(node) ? node.source : undefined;
    },
  };
}

const firstOffset = (document: Document.Parsed): number =>
  (document.contents as { range?: [number, number, number] } | null)?.range?.[0] ?? document.range[0];

function valueRange(document: Document, path: readonly (string | number)[]): number | undefined {
  const node = document.getIn(path, true) as { range?: [number, number, number] } | undefined;
  return node?.range?.[0];
}

function keyRange(document: Document, path: readonly (string | number)[]): number | undefined {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  if (!isMap(parent)) return undefined;
  const pair = parent.items.find((item) => isScalar(item.key) && item.key.value === path.at(-1));
  return (pair?.key as { range?: [number, number, number] } | undefined)?.range?.[0];
}

const sentence = (message: string): string => message.replace(/ at line \d+.*$/s, '').replace(/\.$/, '');

function hintFor(code: string, message: string): string | undefined {
  if (code === 'DUPLICATE_KEY') return 'keep one of the two';
  if (code === 'TAB_AS_INDENT') return 'indent with spaces';
  if (code === 'TAG_RESOLVE_FAILED') return 'remove the tag: specs are plain data';
  if (/alias/i.test(message)) return 'write the value out';
  return undefined;
}
