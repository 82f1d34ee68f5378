import { escapeUnprintable } from '../util/escape.ts';
import { codeFrame } from './format-problems.ts';
import type { Position, Problem } from './types.ts';

/** The text of a file, with the offsets of its lines. */
export interface SourceFile {
  file: string;
  text: string;
  lineStarts: readonly number[];
  /** The parts of the text that messages may show, in ascending order. */
  quotableRanges: readonly TextRange[];
}

interface TextRange {
  start: number;
  end: number;
}

/**
 * Creates the source of a spec file. Messages may show the text of documents that look like specs. Any other document
 * may be a file of credentials or a Secret that is in the folder by mistake.
 */
export const createSourceFile = (file: string, text: string): SourceFile => ({
  ...createInputSource(file, text),
  quotableRanges: documentRanges(text).filter(({ start, end }) => looksLikeSpec(text.slice(start, end))),
});

/** Creates the source of input that the user wrote on the command line. Messages may show all of it. */
export function createInputSource(file: string, text: string): SourceFile {
  const lineStarts = [0];
  for (let index = text.indexOf('\n'); index !== -1; index = text.indexOf('\n', index + 1))
    lineStarts.push(index + 1);
  return { file, text, lineStarts, quotableRanges: [{ start: 0, end: text.length + 1 }] };
}

/** Splits a text at the document markers of YAML, without parsing it. */
function documentRanges(text: string): TextRange[] {
  const ranges: TextRange[] = [];
  let start = 0;
  for (const { index } of text.matchAll(/^(?:---|\.\.\.)(?=\s)/gm)) {
    if (index > start) ranges.push({ start, end: index });
    start = index;
  }
  return [...ranges, { start, end: text.length + 1 }];
}

/** Returns whether the text of a document, which can be invalid YAML, has a top-level field that marks a spec. */
const looksLikeSpec = (text: string): boolean => BLOCK_SPEC.test(text) || FLOW_SPEC.test(text);

const SPEC_FIELD = /(["']?)(?:apiVersion\1\s*:\s*["']?replikey\.dev\/|kind\1\s*:\s*["']?BucketReplication\b)/
  .source;
const BLOCK_SPEC = new RegExp(`^${SPEC_FIELD}`, 'm');
/** A mapping in braces, as in JSON, which begins with the field. */
const FLOW_SPEC = new RegExp(`^(?:---|\\.{3}|\\s|#.*\\n)*\\{\\s*${SPEC_FIELD}`);

/** Returns whether a message may show the text at an offset. */
function isQuotable({ quotableRanges }: SourceFile, offset: number): boolean {
  return quotableRanges.some(({ start, end }) => offset >= start && offset < end);
}

/** Returns line and column of an offset. Columns count UTF-16 units, as editors and language servers do. */
export function positionAt({ file, text, lineStarts }: SourceFile, offset: number): Position {
  const clampedOffset = Math.max(0, Math.min(offset, text.length));
  let low = 0;
  let high = lineStarts.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((lineStarts[middle] ?? 0) <= clampedOffset) low = middle;
    else high = middle - 1;
  }
  return { file, line: low + 1, column: clampedOffset - (lineStarts[low] ?? 0) + 1 };
}

/** Formats a position for a message. */
export const formatPosition = ({ file, line, column }: Position): string => `${file}:${line}:${column}`;

/** Returns a problem at an offset of a text, with a code frame if a message may show the text. */
export function problemAtOffset(source: SourceFile, offset: number, details: ProblemDetails): Problem {
  const position = positionAt(source, offset);
  if (!isQuotable(source, offset)) return fileProblem(position, details);
  return {
    ...fileProblem(position, details),
    excerpt: codeFrame(lineTextOf(source, position.line), position),
  };
}

/** Returns a problem of a file or folder as a whole, without a code frame. */
export function fileProblem(
  fileOrPosition: string | Position,
  { path, message, hint }: ProblemDetails,
): Problem {
  const position =
    typeof fileOrPosition === 'string' ? { file: fileOrPosition, line: 1, column: 1 } : fileOrPosition;
  return {
    position,
    ...(path ? { path: escapeUnprintable(path) } : {}),
    message: escapeUnprintable(message),
    ...(hint === undefined ? {} : { hint: escapeUnprintable(hint) }),
  };
}

/** A problem without its position. */
export interface ProblemDetails {
  path?: string;
  message: string;
  hint?: string | undefined;
}

function lineTextOf({ text, lineStarts }: SourceFile, line: number): string {
  const end = lineStarts[line] ?? text.length + 1;
  return text.slice(lineStarts[line - 1] ?? 0, end - 1);
}

/** Decodes a file. The text must be UTF-8 with line feeds, as git and the tools of AWS write it. */
export function decodeFile(file: string, bytes: Uint8Array): { source: SourceFile } | { problem: Problem } {
  if (startsWithBytes(bytes, 0xff, 0xfe) || startsWithBytes(bytes, 0xfe, 0xff)) {
    return {
      problem: fileProblem(file, {
        message: 'the file is encoded in UTF-16',
        hint: 'save it as UTF-8, without a byte order mark',
      }),
    };
  }
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  const source = createSourceFile(file, text);
  for (const { pattern, message, hint } of FORBIDDEN_CHARACTERS) {
    const offset = text.search(pattern);
    if (offset !== -1)
      return { problem: problemAtOffset(source, offset, { message: message(text.charAt(offset)), hint }) };
  }
  const offset = firstInvalidOffset(text, bytes);
  if (offset === undefined) return { source };
  return {
    problem: problemAtOffset(source, offset, {
      message: 'the bytes are not UTF-8',
      hint: 'save the file as UTF-8; its encoding may be Latin-1 or Windows-1252',
    }),
  };
}

/** Characters that YAML forbids, or that make a spec read differently on another machine. */
const FORBIDDEN_CHARACTERS: { pattern: RegExp; message: (character: string) => string; hint: string }[] = [
  {
    pattern: /\0/,
    message: () => 'the file contains a NUL byte: it is binary or damaged',
    hint: 'remove the byte, or exclude the file; a spec is a UTF-8 text file',
  },
  {
    pattern: /\uFEFF/,
    message: () => 'the file contains a byte order mark (BOM)',
    hint: 'save the file as UTF-8 without a byte order mark',
  },
  {
    pattern: /\r/,
    message: () => 'the line ends with a carriage return (CR or CRLF)',
    hint: 'save the file with LF line endings; in git, `*.yaml text eol=lf` in .gitattributes keeps them',
  },
  {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is searched for
    pattern: /[\x01-\x08\x0B\x0C\x0E-\x1F\x7F]/,
    message: (character) => `YAML does not allow the control character ${formatCodePoint(character)}`,
    hint: 'remove it',
  },
];

/**
 * Returns the offset of the first invalid UTF-8 bytes. A replacement character that the file itself contains is valid.
 */
function firstInvalidOffset(text: string, bytes: Uint8Array): number | undefined {
  let scannedTo = 0;
  let byteOffset = 0;
  for (let index = text.indexOf('\uFFFD'); index !== -1; index = text.indexOf('\uFFFD', index + 1)) {
    byteOffset += Buffer.byteLength(text.slice(scannedTo, index));
    if (!startsWithBytes(bytes.subarray(byteOffset, byteOffset + 3), 0xef, 0xbf, 0xbd)) return index;
    byteOffset += 3;
    scannedTo = index + 1;
  }
  return undefined;
}

const startsWithBytes = (bytes: Uint8Array, ...prefix: number[]): boolean =>
  prefix.every((byte, index) => bytes[index] === byte);

const formatCodePoint = (character: string): string =>
  `U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
