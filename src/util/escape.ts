/**
 * Text without anything that could steer a terminal, a log or the direction of reading: it is shown as \uXXXX. Pipelines
 * of GitHub take `::` at the beginning of a line for a command, wherever text is wrapped, and `##[` anywhere.
 */
export function escapeUnprintable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    const hex = (character.codePointAt(0) ?? 0).toString(16);
    return hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, '0')}`;
  });
}

const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]|(?<=^|\s):(?=:)|#(?=#\[)/gu;

/**
 * A value as JSON that steers no terminal either: JSON itself lets through what C1, marks of direction and what has no
 * width do there, and `##[` is a command to pipelines of GitHub. The same JSON, written otherwise.
 */
export const safeJson = (value: unknown, indent?: number): string =>
  JSON.stringify(value, null, indent).replace(UNSAFE_CHARACTERS, (match) =>
    [...Array(match.length).keys()]
      .map((index) => `\\u${match.charCodeAt(index).toString(16).padStart(4, '0')}`)
      .join(''),
  );

const UNSAFE_CHARACTERS = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]|#(?=#\[)/gu;

/** Text that is nobody's markup, and steers nothing. */
export const escapeHtml = (text: string): string =>
  escapeUnprintable(text.replaceAll('\n', ' '))
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');

/** A word as a shell has to read it, to mean just that. */
export const shellQuote = (word: string): string =>
  /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
