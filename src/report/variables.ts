import type { Variable } from '../spec/types.ts';
import { visible } from '../visible.ts';

/** Each variable that the specs use, with its value and where that came from, in columns. */
export function variableLines(variables: readonly Variable[]): string[] {
  const rows = variables.map(({ name, value, from }) => ({ name, value: visible(String(value)), from }));
  const widest = (column: 'name' | 'value') => Math.max(0, ...rows.map((row) => row[column].length));
  const [names, values] = [widest('name'), Math.min(40, widest('value'))];
  return rows.map(({ name, value, from }) => `  ${name.padEnd(names)} = ${value.padEnd(values)}  (${from})`);
}
