import { expect, test } from 'vitest';
import { countTable, findInFiles, findWords, updateAllowed, wordProblems } from '../scripts/check-words.mjs';
import words from '../scripts/words.json' with { type: 'json' };

const found = (text: string): string[] =>
  findWords(text, words).map(({ word, line, column }) => `${word} ${line}:${column}`);

test.each<[name: string, text: string, uses: string[]]>([
  ['a plain word', 'asked by nobody', ['nobody 1:10']],
  ['another form, in capitals', 'It MENDED that', ['mend 1:4']],
  ['a phrase', 'the rules of others', ['of others 1:11']],
  ['a phrase across a line break', 'the rules of\nothers', ['of others 1:11']],
  ['a phrase across lines of a comment', '/**\n * is looked\n * after\n */', ['look after 2:7']],
  ['a phrase across concatenated strings', "'will ' +\n  'do'", ['will do 1:2']],
  ['a word after an escape', String.raw`'done\nanew'`, ['anew 1:8']],
  ['a word in an identifier', 'const ruleOfSomebodyElse = 1;', ['somebody 1:13']],
  ['a word in a constant', 'RULE_OF_OTHERS', ['of others 1:6']],
  ['a pronoun as a name', 'for (const one of rules) {}', ['pronoun or participle as a name 1:6']],
])('findWords: finds %s', (_, text, uses) => {
  expect(found(text)).toEqual(uses);
});

test.each([
  'recommended amendments',
  'a list of, others',
  'the end of\n\nothers begin',
  'tell the rest; a lie; goods',
  'const oneRule = 1;',
])('findWords: accepts %j', (text) => {
  expect(found(text)).toEqual([]);
});

const file = (text: string, name = 'src/a.ts') => findInFiles(new Map([[name, text]]), words);

test('findInFiles: reports words of the path, and skips excluded files', () => {
  expect(file('', 'test/golden/a-rule-of-somebody-else/plan.txt')).toMatchObject([
    { word: 'somebody', line: 0 },
  ]);
  expect(file('nobody', 'package-lock.json')).toEqual([]);
});

test('wordProblems: reports place, word and replacement, and ignores the allow file for the list "never"', () => {
  expect(wordProblems(file('\n  by nobody'), { 'src/a.ts': { nobody: { count: 1, reason: 'x' } } })).toEqual([
    'src/a.ts:2:6  nobody  → no caller, no user, none; or name the actor',
    'src/a.ts: 0 uses of "nobody", 1 allowed: update scripts/words-allowed.json with --update',
  ]);
});

const allow = (count: number, reason = 'quotes AWS') => ({ 'src/a.ts': { told: { count, reason } } });

test('wordProblems: accepts exactly the allowed number of uses', () => {
  const uses = file('told, told');
  expect(wordProblems(uses, allow(2))).toEqual([]);
  expect(wordProblems(uses, {})).toEqual([
    'src/a.ts:1:1  told  → reported, printed, known',
    'src/a.ts:1:7  told  → reported, printed, known',
  ]);
  expect(wordProblems(uses, allow(1))).toContain(
    'src/a.ts: 2 uses of "told", 1 allowed: rewrite, or update scripts/words-allowed.json with --update',
  );
  expect(wordProblems(uses, allow(3))).toEqual([
    'src/a.ts: 2 uses of "told", 3 allowed: update scripts/words-allowed.json with --update',
  ]);
  expect(wordProblems(uses, allow(2, ''))).toEqual([
    'src/a.ts: "told" is allowed without a reason: add it to scripts/words-allowed.json',
  ]);
});

test('updateAllowed: writes the present numbers, keeps reasons and drops entries without a use', () => {
  const before = { ...allow(5), 'src/b.ts': { told: { count: 1, reason: 'gone' } } };
  const uses = file('told once; said once; nobody');
  const after = updateAllowed(uses, before);
  expect(after).toEqual({
    'src/a.ts': { said: { count: 1, reason: '' }, told: { count: 1, reason: 'quotes AWS' } },
  });
  expect(wordProblems(file('told once; said once'), after)).toEqual([
    'src/a.ts: "said" is allowed without a reason: add it to scripts/words-allowed.json',
  ]);
});

test('countTable: counts per word and area', () => {
  const uses = [...file('nobody'), ...file('told told', 'docs/a.md'), ...file('told', 'test/a/golden/a.txt')];
  const rows = countTable(uses, words)
    .split('\n')
    .map((row) => row.split(/ {2,}/));
  expect(rows.map((row) => `${row[0]} ${row.at(-1)}`)).toEqual([
    'word all',
    'nobody 1',
    'told 3',
    'never 1',
    'avoid 3',
  ]);
});
