/**
 * Text without anything that could steer a terminal, a log or the direction of reading: it is shown as \uXXXX. Pipelines
 * of GitHub take `::` at the beginning of a line for a command, wherever text is wrapped, and `##[` anywhere.
 */
export function visible(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    const code = (character.codePointAt(0) ?? 0).toString(16);
    return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, '0')}`;
  });
}

const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]|(?<=^|\s):(?=:)|#(?=#\[)/gu;
