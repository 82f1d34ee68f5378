import { stripVTControlCharacters } from 'node:util';
import picocolors from 'picocolors';

export const { createColors } = picocolors;

export type Paint = ReturnType<typeof picocolors.createColors>;

/** Returns the colours for one stream: NO_COLOR wins, then FORCE_COLOR, then whether the stream is a terminal. */
export function createPaint(stream: { isTTY?: boolean }, env: Record<string, string | undefined>): Paint {
  return picocolors.createColors(isColourEnabled(stream, env));
}

export function isColourEnabled(
  stream: { isTTY?: boolean },
  env: Record<string, string | undefined>,
): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false';
  return (stream.isTTY ?? false) && env.TERM !== 'dumb';
}

/** The presentation of a plan. */
export interface PlanStyle {
  paint: Paint;
  /** Columns after which lines break; longer names get their own lines. */
  width: number;
  /** Whether to name the API calls of each change. */
  explain: boolean;
}

/** Without colours, for files and comments. */
export const PLAIN_STYLE: PlanStyle = { paint: createColors(false), width: 80, explain: false };

/**
 * Wraps a text. The first line begins after its margin; the other lines begin where its words begin, or further right.
 * A longer word gets its own line, unbroken, so that the user can copy it. If a new line would not let the word begin
 * further left, the word stays on its line.
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
