/**
 * Text without anything that could steer a terminal, a log or the direction of reading: it is shown as \uXXXX. Pipelines
 * of GitHub take `::` at the beginning of a line for a command, wherever text is wrapped, and `##[` anywhere.
 */
export function visible(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|(?<=^|\s):(?=:)|#(?=#\[)/gu;
