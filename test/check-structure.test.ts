import { expect, test } from 'vitest';
import { repeatedReads, structureChecks } from '../scripts/check-structure.mjs';
import { readSources } from '../scripts/source-graph.mjs';

const sources = readSources('src');

/** Returns the sources with these texts for some files. */
function withFiles(texts: Record<string, string>): Map<string, string> {
  return new Map([...sources, ...Object.entries(texts)]);
}

const appendTo = (file: string, text: string): Record<string, string> => ({
  [file]: `${sources.get(file)}\n${text}\n`,
});

function replaceIn(file: string, pattern: RegExp, replacement: string): Record<string, string> {
  const text = sources.get(file) ?? '';
  expect(text).toMatch(pattern);
  return { [file]: text.replace(pattern, replacement) };
}

const figure = (name: string, texts: ReadonlyMap<string, string>): number =>
  structureChecks(texts).find((check) => check.name === name)?.actual ?? Number.NaN;

const LONG_FILE = '// line\n'.repeat(15);
const kindFile = [...sources].find(([, text]) => /^export interface Kind</m.test(text))?.[0] ?? '';

test.each<[name: string, fault: string, plant: () => Record<string, string>]>([
  ['source files', 'one more file', () => ({ 'core/added.ts': LONG_FILE })],
  ['files under 15 lines', 'a short file', () => ({ 'core/added.ts': 'export const added = 1;\n' })],
  ['folders with one file', 'a new folder', () => ({ 'added/file.ts': LONG_FILE })],
  ['folders with one file', 'a new folder in another', () => ({ 'core/added/file.ts': LONG_FILE })],
  ...['function sleep() {}', 'export const { systemClock } = {};', 'type Clock = number;'].map(
    (definition): [string, string, () => Record<string, string>] => [
      'names with several top-level definitions',
      definition,
      () => appendTo('errors.ts', definition),
    ],
  ),
  ...["const a = 's3.bucket';", 'const a = `iam.role/x`;', "const a = id.startsWith('kms.');"].map(
    (line): [string, string, () => Record<string, string>] => [
      'kind names outside kinds/ and sandbox/',
      line,
      () => appendTo('errors.ts', line),
    ],
  ),
  [
    'kind names outside kinds/ and sandbox/',
    'a name after a text that looks like a comment',
    () => appendTo('errors.ts', "const glob = 'specs/**';\nconst a = 's3.bucket';"),
  ],
  [
    'read commands built in several files',
    'a command in two files outside kinds/',
    () => ({
      'core/first.ts': `${LONG_FILE}new GetAddedCommand({});\n`,
      'core/second.ts': `${LONG_FILE}new GetAddedCommand({});\n`,
    }),
  ],
  [
    'members of Kind',
    'one more member',
    () => replaceIn(kindFile, /^(export interface Kind<[^{]*\{)$/m, '$1\n  added?: true;'),
  ],
  [
    'members of Kind',
    'one more member of an interface that Kind extends',
    () => ({
      ...replaceIn(kindFile, /^(export interface Kind<[^{]*)\{$/m, '$1extends Added {'),
      'core/added.ts': 'export interface Added {\n  added(): void;\n}\n',
    }),
  ],
  [
    'members of Kind that at most one kind implements',
    'a member that no kind implements',
    () => replaceIn(kindFile, /^(export interface Kind<[^{]*\{)$/m, '$1\n  added?: true;'),
  ],
  [
    'members of Kind that at most one kind implements',
    'a member that one kind implements',
    () => ({
      ...replaceIn(kindFile, /^(export interface Kind<[^{]*\{)$/m, '$1\n  added?: true;'),
      ...replaceIn('kinds/s3-bucket.ts', /^( {2}name: '.*)$/m, '$1\n  added: true,'),
    }),
  ],
  [
    'casts of foreign entries',
    'a cast',
    () => appendTo('errors.ts', 'const statements = (current?.foreign as Statement[] | undefined) ?? [];'),
  ],
  [
    'import cycles of files (types included)',
    'a cycle of types',
    () => ({
      'core/first.ts': "import type { B } from './second.ts';\n",
      'core/second.ts': "import type { A } from './first.ts';\n",
    }),
  ],
  [
    'import cycles of files (types included)',
    'a cycle through a file that is loaded later',
    () => ({
      'core/first.ts': "const load = () => import('./second.ts');\n",
      'core/second.ts': "export * from './first.ts';\n",
    }),
  ],
  [
    'import cycles of folders (types included)',
    'two folders that import each other, in different files',
    () => ({
      'added/first.ts': "import type { B } from '../other/second.ts';\n",
      'added/second.ts': 'export type A = 1;\n',
      'other/first.ts': "import { A } from '../added/second.ts';\n",
      'other/second.ts': 'export type B = 1;\n',
    }),
  ],
  [
    'lines of reconcile()',
    'one more line',
    () => replaceIn('reconcile/reconcile.ts', /^(export async function reconcile\()/m, '$1\n'),
  ],
])('check-structure: %s rises with %s', (name, _, plant) => {
  expect(figure(name, withFiles(plant()))).toBeGreaterThan(figure(name, sources));
});

test('check-structure: fails when it finds no Kind, no kinds or no reconcile()', () => {
  const without = (isExcluded: (file: string) => boolean) =>
    new Map([...sources].filter(([file]) => !isExcluded(file)));
  expect(
    figure(
      'members of Kind',
      without((file) => file === kindFile),
    ),
  ).toBe(Number.POSITIVE_INFINITY);
  expect(() => structureChecks(without((file) => file.startsWith('kinds/')))).toThrow('a kind was not found');
  expect(
    figure(
      'lines of reconcile()',
      without((file) => file.startsWith('reconcile/')),
    ),
  ).toBe(Number.POSITIVE_INFINITY);
});

test('check-structure: a comment is not code', () => {
  const commented = withFiles(appendTo('errors.ts', "/** The kind 's3.bucket'. */\n// 's3.bucket'"));
  const name = 'kind names outside kinds/ and sandbox/';
  expect(figure(name, commented)).toBe(figure(name, sources));
});

test('check-structure: each Get, Describe and Head command of a document is built in one file outside the sandbox', () => {
  expect(repeatedReads(sources)).toEqual([]);
});

test('check-structure: every figure is within its limit', () => {
  expect(structureChecks(sources).filter(({ limit, actual }) => actual > limit)).toEqual([]);
});
