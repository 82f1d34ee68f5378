import { createSourceFile, fileProblem, problemAtOffset, type SourceFile } from './source-file.ts';
import type { Problem } from './types.ts';

/** The text of a file, if it is text: UTF-8 with line feeds, as git and AWS's own tools write it. */
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
      message: 'the bytes here are not UTF-8',
      hint: 'save the file as UTF-8; it may have been written in Latin-1 or Windows-1252',
    }),
  };
}

/** Characters that YAML forbids, or that make a spec read otherwise on another machine. */
const FORBIDDEN_CHARACTERS: { pattern: RegExp; message: (character: string) => string; hint: string }[] = [
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
    message: (character) => `the control character ${formatCodePoint(character)} cannot stand in YAML`,
    hint: 'remove it',
  },
];

/** Where the first bytes stand that a decoder had to replace; a replacement character that was written is none. */
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
