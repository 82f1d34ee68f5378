import type { Variable } from '../spec/types.ts';
import { escapeUnprintable } from '../util/escape.ts';

/** Each variable that the specs use, with its value and where that came from, in columns. */
export function variableLines(variables: readonly Variable[]): string[] {
  const rows = variables.map(({ name, value, from }) => ({
    name,
    value: escapeUnprintable(String(value)),
    from,
  }));
  const widest = (column: 'name' | 'value') => Math.max(0, ...rows.map((row) => row[column].length));
  const [nameWidth, valueWidth] = [widest('name'), Math.min(40, widest('value'))];
  return rows.map(
    ({ name, value, from }) => `  ${name.padEnd(nameWidth)} = ${value.padEnd(valueWidth)}  (${from})`,
  );
}
