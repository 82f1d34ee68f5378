import { fileProblem, makeSource, problemAt, type Source } from './source.ts';
import type { Problem } from './types.ts';

/** The text of a file, if it is text: UTF-8 with line feeds, as git and AWS's own tools write it. */
export function decode(file: string, bytes: Uint8Array): { source: Source } | { problem: Problem } {
  if (startsWith(bytes, 0xff, 0xfe) || startsWith(bytes, 0xfe, 0xff)) {
    return {
      problem: fileProblem(file, {
        message: 'the file is encoded in UTF-16',
        hint: 'save it as UTF-8, without a byte order mark',
      }),
    };
  }
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  const source = makeSource(file, text);
  for (const { pattern, message, hint } of UNREADABLE) {
    const at = text.search(pattern);
    if (at !== -1) return { problem: problemAt(source, at, { message: message(text.charAt(at)), hint }) };
  }
  const at = invalidAt(text, bytes);
  if (at === undefined) return { source };
  return {
    problem: problemAt(source, at, {
      message: 'the bytes here are not UTF-8',
      hint: 'save the file as UTF-8; it may have been written in Latin-1 or Windows-1252',
    }),
  };
}

/** Characters that YAML forbids, or that make a spec read otherwise on another machine. */
const UNREADABLE: { pattern: RegExp; message: (found: string) => string; hint: string }[] = [
  {
    pattern: /\0/,
    message: () => 'the file has a NUL byte: it is binary, or damaged',
    hint: 'a spec is a text file in UTF-8; remove the byte, or do not name this file',
  },
  {
    pattern: /\uFEFF/,
    message: () => 'there is a byte order mark (BOM) here',
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
    message: (found) => `the control character ${codePoint(found)} cannot stand in YAML`,
    hint: 'remove it',
  },
];

/** Where the first bytes stand that a decoder had to replace; a replacement character that was written is none. */
function invalidAt(text: string, bytes: Uint8Array): number | undefined {
  let seen = 0;
  let offset = 0;
  for (let at = text.indexOf('\uFFFD'); at !== -1; at = text.indexOf('\uFFFD', at + 1)) {
    offset += Buffer.byteLength(text.slice(seen, at));
    if (!startsWith(bytes.subarray(offset, offset + 3), 0xef, 0xbf, 0xbd)) return at;
    offset += 3;
    seen = at + 1;
  }
  return undefined;
}

const startsWith = (bytes: Uint8Array, ...start: number[]): boolean =>
  start.every((byte, index) => bytes[index] === byte);

const codePoint = (character: string): string =>
  `U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
