import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** The part of docs/reference/conformance.md that one suite contributes: what it ran, and its results. */
export interface Section {
  title: string;
  /** Paragraphs in Markdown: what the suite runs, against what, and the number of passed and failed checks. */
  text: string[];
  tables: Table[];
}

export interface Table {
  /** A heading above the table. */
  title?: string;
  columns: string[];
  /** Cells in Markdown, one for each column. A failure has its reason in the last cell. */
  rows: string[][];
}

/**
 * Files of the other suites, in the order of the page. Each suite compares its results with its file:
 * `await expect(sectionJson(section)).toMatchFileSnapshot('section.json')`. The page can so be generated where a suite is
 * skipped, because a program is missing.
 */
const FILES = ['moto-tests/section.json', '../clients/section.json'];

/** Returns the text of a section's file. */
export function sectionJson(section: Section): string {
  return `${JSON.stringify(section, null, 2)}\n`;
}

/** Returns the sections of the suites that have a file. */
export function readSections(): Section[] {
  return FILES.map((file) => path.join(import.meta.dirname, file))
    .filter((file) => existsSync(file))
    .map((file) => JSON.parse(readFileSync(file, 'utf8')) as Section);
}

/** Returns a section as Markdown. */
export function renderSection({ title, text, tables }: Section): string {
  return [`## ${title}`, ...text, ...tables.flatMap(renderTable)].join('\n\n');
}

/** Returns a table in the form of the formatter: all cells of a column have the same width. */
function renderTable({ title, columns, rows }: Table): string[] {
  const escaped = rows.map((cells) => cells.map((cell) => cell.replaceAll('|', '\\|')));
  const widths = columns.map((_, column) =>
    Math.max(...[columns, ...escaped].map((cells) => cells[column]?.length ?? 0)),
  );
  const line = (cells: string[]) => `| ${cells.map((cell, n) => cell.padEnd(widths[n] ?? 0)).join(' | ')} |`;
  const lines = [line(columns), line(widths.map((width) => '-'.repeat(width))), ...escaped.map(line)];
  return [...(title === undefined ? [] : [`### ${title}`]), lines.join('\n')];
}
