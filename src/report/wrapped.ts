import { stripVTControlCharacters } from 'node:util';

/**
 * A text on lines of some columns at most: the first after its margin, the others below where its words begin, or
 * further in. A word that is longer stands alone, unbroken, so that it can be copied; where that would not even make it
 * begin further left, it stays where it is.
 */
export function wrapped(
  margin: string,
  text: string,
  width: number,
  { paint = (line) => line, hang = 0 }: { paint?: (line: string) => string; hang?: number } = {},
): string[] {
  const indent = columns(margin) + hang;
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    const from = lines.length > 1 ? indent : indent - hang;
    const at = from + columns(last ?? '') + 1;
    const stays = at + columns(word) <= width || at <= indent;
    if (last !== undefined && stays) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.map((line, index) => `${index === 0 ? margin : ' '.repeat(indent)}${paint(line)}`);
}

const columns = (text: string): number => stripVTControlCharacters(text).length;
