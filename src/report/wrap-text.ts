import { stripVTControlCharacters } from 'node:util';

/**
 * A text on lines of some columns at most: the first after its margin, the others below where its words begin, or
 * further in. A word that is longer stands alone, unbroken, so that it can be copied; where that would not even make it
 * begin further left, it stays where it is.
 */
export function wrapText(
  margin: string,
  text: string,
  width: number,
  { paint = (line) => line, hang = 0 }: { paint?: (line: string) => string; hang?: number } = {},
): string[] {
  const indent = visibleWidth(margin) + hang;
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const lastLine = lines.at(-1);
    const start = lines.length > 1 ? indent : indent - hang;
    const column = start + visibleWidth(lastLine ?? '') + 1;
    const fits = column + visibleWidth(word) <= width || column <= indent;
    if (lastLine !== undefined && fits) lines[lines.length - 1] = `${lastLine} ${word}`;
    else lines.push(word);
  }
  return lines.map((line, index) => `${index === 0 ? margin : ' '.repeat(indent)}${paint(line)}`);
}

const visibleWidth = (text: string): number => stripVTControlCharacters(text).length;
