import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { COMMANDS } from '../../src/cli/commands/index.ts';
import { EXIT } from '../../src/errors.ts';

const page = await readFile('docs/reference/command-line.md', 'utf8');

test('docs/reference/command-line.md: lists each command', () => {
  for (const { name } of COMMANDS) expect(page).toMatch(new RegExp(`^\\| .*\`reconcile ${name}\\b`, 'm'));
});

test('docs/reference/command-line.md: lists each exit code', () => {
  const codes = [...page.matchAll(/^\| (\d+(?:, \d+)*) \|/gm)].flatMap(([, cell = '']) =>
    cell.split(', ').map(Number),
  );
  expect(codes).toEqual(Object.values(EXIT));
});
