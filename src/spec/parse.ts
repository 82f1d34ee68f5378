import { Composer, type CST, type Document, isScalar, Lexer, Parser } from 'yaml';
import type { Parsed } from './document.ts';
import { MAX_DEPTH, MAX_DOCUMENTS, MAX_PROBLEMS_PER_FILE, MAX_SYNTAX_PROBLEMS } from './limits.ts';
import { toPlain } from './plain.ts';
import { problemAt, type Source } from './source.ts';
import { explainSyntax, MISLEADING } from './syntax.ts';
import type { Problem } from './types.ts';
import { followBrackets, type Unclosed } from './unclosed.ts';

/** Read the documents of a file's text. Pure. Every problem is returned, none thrown. */
export function parse(source: Source): { documents: Parsed[]; problems: Problem[] } {
  const { tokens, unclosed, problem } = tokensOf(source);
  if (problem) return { documents: [], problems: [problem] };

  const documents: Parsed[] = [];
  const problems: Problem[] = [];
  for (const yaml of new Composer(OPTIONS).compose(tokens, false, source.text.length)) {
    const errors = syntaxProblems(source, yaml, unclosed);
    problems.push(...errors);
    if (errors.length > 0 && problems.length >= MAX_SYNTAX_PROBLEMS) break;
    if (errors.length > 0 || isNothing(yaml)) continue;
    if (documents.length === MAX_DOCUMENTS) {
      const message = `the file holds more than ${MAX_DOCUMENTS} documents`;
      problems.push(problemAt(source, yaml.range[0], { message, hint: 'split it into several files' }));
      break;
    }
    if (yaml.contents === null) continue;
    const plain = toPlain(source, yaml.contents);
    problems.push(...plain.problems.slice(0, MAX_PROBLEMS_PER_FILE));
    if (plain.problems.length === 0) documents.push(plain.document);
  }
  if (documents.length > 0 || problems.length > 0) return { documents, problems };
  return {
    documents,
    problems: [
      problemAt(source, 0, {
        message: source.text.trim() === '' ? 'the file is empty' : 'the file holds no document',
        hint: 'write a document with apiVersion, kind, metadata and spec, or remove the file',
      }),
    ],
  };
}

/**
 * YAML 1.2, so that `no` and `on` stay words. `uniqueKeys` is off, since its check compares every key with every
 * other; `toPlain` finds keys that are written twice.
 */
const OPTIONS = {
  version: '1.2',
  stringKeys: true,
  uniqueKeys: false,
  prettyErrors: false,
  logLevel: 'silent',
} as const;

/**
 * The concrete syntax, token by token. The composer recurses, and so does the parser when many levels close at once;
 * on Node 20 that can abort the process past all catching. The parser's own stack tells the depth while it is shallow.
 */
function tokensOf(source: Source): { tokens: CST.Token[]; unclosed: Unclosed[]; problem?: Problem } {
  const tokens: CST.Token[] = [];
  const parser = new Parser();
  const brackets = followBrackets();
  const unclosed = brackets.found;
  let errors = 0;
  for (const lexeme of new Lexer().lex(source.text)) {
    brackets.next(lexeme, parser.offset);
    for (const token of parser.next(lexeme)) {
      tokens.push(token);
      if (token.type === 'error') errors += 1;
      const refused = refusedToken(token);
      if (refused) return { tokens, unclosed, problem: problemAt(source, token.offset, refused) };
    }
    if (parser.stack.length > MAX_DEPTH) {
      const message = `more than ${MAX_DEPTH} levels are nested in each other here`;
      const hint = 'a spec needs seven; look for a stray bracket, dash or indentation';
      return { tokens, unclosed, problem: problemAt(source, parser.offset, { message, hint }) };
    }
    if (errors >= MAX_SYNTAX_PROBLEMS) break;
  }
  brackets.end();
  tokens.push(...parser.end());
  return { tokens, unclosed };
}

/** `%YAML 1.1` would change what words mean, and `%TAG` what tags do. */
function refusedToken(token: CST.Token) {
  if (token.type !== 'directive') return undefined;
  return { message: 'directives are not read', hint: 'remove the line: specs are YAML 1.2' };
}

/** Of each line the first error, since the others follow from it; so does everything after what is not closed. */
function syntaxProblems(source: Source, yaml: Document.Parsed, unclosed: readonly Unclosed[]): Problem[] {
  const errors = [...yaml.errors, ...yaml.warnings].map((error) => ({
    offset: error.pos[0],
    finding: explainSyntax(error, source),
  }));
  if (errors.length === 0) return [];
  const [start, , end] = yaml.range;
  const open = unclosed.filter(({ offset }) => offset >= start && offset < end);
  const first = Math.min(...open.map(({ offset }) => offset));
  const told = [...errors.filter(({ offset }) => offset < first), ...open];
  const misleading = told.filter(({ finding }) => MISLEADING.includes(finding));
  const byLine = new Map<number, Problem>();
  for (const { offset, finding } of (misleading.length > 0 ? misleading : told).sort(
    (a, b) => a.offset - b.offset,
  )) {
    const problem = problemAt(source, offset, finding);
    if (!byLine.has(problem.position.line)) byLine.set(problem.position.line, problem);
    if (byLine.size === MAX_SYNTAX_PROBLEMS) break;
  }
  return [...byLine.values()];
}

/** `---` with nothing after it. */
const isNothing = ({ contents }: Document.Parsed): boolean =>
  contents === null || (isScalar(contents) && contents.source === '' && contents.value === null);
