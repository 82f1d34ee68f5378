/**
 * Escapes characters that could control a terminal, a log or the direction of text, as \uXXXX. GitHub pipelines read
 * `::` at the start of a line as a command, and line wrapping may move any word there. They read `##[` as a command
 * anywhere.
 */
export function escapeUnprintable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    const hex = (character.codePointAt(0) ?? 0).toString(16);
    return hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, '0')}`;
  });
}

const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]|(?<=^|\s):(?=:)|#(?=#\[)/gu;

/**
 * Returns JSON that cannot control a terminal. JSON.stringify does not escape C1 controls, direction marks and
 * characters of no width, and GitHub pipelines read `##[` as a command. The result parses to the same value.
 */
export const safeJson = (value: unknown, indent?: number): string =>
  JSON.stringify(value, null, indent).replace(UNSAFE_CHARACTERS, (match) =>
    [...Array(match.length).keys()]
      .map((index) => `\\u${match.charCodeAt(index).toString(16).padStart(4, '0')}`)
      .join(''),
  );

const UNSAFE_CHARACTERS = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]|#(?=#\[)/gu;

/** Escapes text for HTML, and characters that could control a terminal. */
export const escapeHtml = (text: string): string =>
  escapeUnprintable(text.replaceAll('\n', ' '))
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');

/** Quotes a word so that a shell reads it literally. */
export const shellQuote = (word: string): string =>
  /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

/** Decodes the key of an object as S3 writes it in events and reports: URL-encoded, with `+` for a space. */
export function decodeObjectKey(key: string): string {
  try {
    return decodeURIComponent(key.replaceAll('+', ' '));
  } catch {
    return key;
  }
}
