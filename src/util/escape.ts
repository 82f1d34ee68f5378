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
