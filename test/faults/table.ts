import type { CaseOutcome } from './assertions.ts';
import { FAULTS } from './faults.ts';

/** Returns a Markdown table with the number of outcomes by fault. */
export function tableOf(results: readonly { fault: string; verdict: CaseOutcome | 'wrong' }[]): string {
  const count = (fault: string | undefined, verdict: CaseOutcome | 'wrong') =>
    results.filter((result) => (fault === undefined || result.fault === fault) && result.verdict === verdict)
      .length;
  const row = (title: string, fault: string | undefined) => [
    title,
    ...(['recovered', 'reported', 'wrong'] as const).map((verdict) => String(count(fault, verdict))),
  ];
  const rows = [
    ['fault', 'recovered within the run', 'reported, fixed by the next run', 'wrong'],
    ...FAULTS.map(({ name }) => row(name, name)),
    row('all', undefined),
  ];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((cells) => (cells[column] ?? '').length)));
  const line = (cells: string[]) =>
    `| ${cells.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join(' | ')} |`;
  const [head = [], ...body] = rows;
  const rule = widths.map((width, at) => (at === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(head), line(rule), ...body.map(line)].join('\n');
}
