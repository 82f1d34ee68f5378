const WIDTH = 100;

/** A line of a file with a caret under the place, ready to print; long lines are cut around the caret. */
export function excerpt(text: string, line: number, column: number): string {
  const source = text.split(/\r\n|\r|\n/)[line - 1] ?? '';
  const at = Math.min(column - 1, source.length);
  const from = Math.max(0, at - WIDTH / 2);
  const shown = source.slice(from, from + WIDTH);
  const before = from > 0 ? '…' : '';
  const after = from + WIDTH < source.length ? '…' : '';
  const indent = before + visible(shown.slice(0, at - from));
  const number = String(line);
  return [
    `  ${number} | ${before}${visible(shown)}${after}`,
    `  ${' '.repeat(number.length)} | ${' '.repeat([...indent].length)}^`,
  ].join('\n');
}

/** Text without anything that could steer a terminal or turn its reading direction. */
export function visible(text: string): string {
  return text.replace(/\t/g, '  ').replace(UNPRINTABLE, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
