#!/usr/bin/env node
/**
 * Finds words that replikey's texts must not use (words.json) in every tracked file, or in those whose path starts with one of
 * the arguments: `npm run check:words -- test/core docs/`.
 *
 * A use of a word in the list `never` fails. A use of a word in the list `avoid` fails unless words-allowed.json contains the
 * file, the word, the number of uses and the reason.
 *
 *   --update        writes the present numbers to words-allowed.json; keeps the reasons and fails where one is missing
 *   --counts        prints the uses per word and area only
 *   --commits BASE  checks the subjects of the commits since BASE as well
 *   --root DIR      checks another checkout
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

/** Words inside identifiers count: someBody, SOME_BODY, some-body. */
const WORD = /\p{Lu}?\p{Ll}+|\p{Lu}+(?!\p{Ll})/gu;
/** What may separate two words of a phrase: white space, the start of a comment line, quotes of a concatenation. */
const SOFT_GAP = /^(?!\s*\n\s*\n)[\s*/#>'"`+_-]*$/;
const ESCAPE = /\\[nrtbdswDSW]/g;
const ALLOWED_FILE = 'scripts/words-allowed.json';

/** The uses of the listed words in a text, in order. A rule with `code` is matched against the text itself. */
export function findWords(text, words) {
  const { line: wordLine, offsets } = wordsOf(text);
  const rules = [
    ...words.never.map((rule) => ({ ...rule, never: true })),
    ...words.avoid.map((rule) => ({ ...rule, never: false })),
  ];
  const uses = rules.flatMap(({ word, pattern = word, code, use, never }) =>
    matches(
      code
        ? text.matchAll(new RegExp(code, 'g'))
        : wordLine.matchAll(new RegExp(`\\b(?:${pattern})\\b`, 'gi')),
    ).map(({ found, index }) => ({ word, use, never, found, offset: code ? index : offsets[index] })),
  );
  return uses
    .sort((a, b) => a.offset - b.offset)
    .map(({ offset, ...use }) => {
      const before = text.slice(0, offset);
      const lineStart = before.lastIndexOf('\n') + 1;
      return { ...use, line: before.split('\n').length, column: offset - lineStart + 1 };
    });
}

function matches(iterator) {
  return [...iterator].map((match) => ({ found: match[0], index: match.index }));
}

/** All words of a text on one line, and the offset in the text for each character of that line. */
function wordsOf(text) {
  const source = text.replace(ESCAPE, '  ');
  const parts = [];
  const offsets = [];
  let end = 0;
  for (const match of source.matchAll(WORD)) {
    const gap = SOFT_GAP.test(source.slice(end, match.index)) ? ' ' : ' . ';
    parts.push(gap, match[0]);
    for (let i = 0; i < gap.length; i++) offsets.push(end);
    for (let i = 0; i < match[0].length; i++) offsets.push(match.index + i);
    end = match.index + match[0].length;
  }
  return { line: parts.join(''), offsets };
}

/** The uses in a set of files, those in their paths included (line 0). */
export function findInFiles(files, words) {
  const isExcluded = (file) => words.excluded.some((entry) => file === entry.path);
  return [...files]
    .filter(([file]) => !isExcluded(file))
    .flatMap(([file, text]) => [
      ...findWords(file, words).map((use) => ({ ...use, file, line: 0 })),
      ...findWords(text, words).map((use) => ({ ...use, file })),
    ]);
}

/** What is wrong: uses of words of the list `never`, and of the list `avoid` in another number than allowed. */
export function wordProblems(uses, allowed) {
  const location = ({ file, line, column }) => `${file}:${line}:${column}`;
  const problems = uses
    .filter(({ never }) => never)
    .map((use) => `${location(use)}  ${use.found}  → ${use.use}`);
  for (const [file, word, here] of grouped(uses)) {
    const entry = allowed[file]?.[word];
    if (entry !== undefined && entry.count === here.length) continue;
    if (here.length > (entry?.count ?? 0)) {
      problems.push(...here.map((use) => `${location(use)}  ${use.found}  → ${use.use}`));
      if (entry !== undefined)
        problems.push(
          `${file}: ${here.length} uses of "${word}", ${entry.count} allowed: rewrite, or update ${ALLOWED_FILE} with --update`,
        );
    }
  }
  const actual = new Map(grouped(uses).map(([file, word, here]) => [`${file} ${word}`, here.length]));
  for (const [file, entries] of Object.entries(allowed))
    for (const [word, { count, reason }] of Object.entries(entries)) {
      const now = actual.get(`${file} ${word}`) ?? 0;
      if (now < count)
        problems.push(
          `${file}: ${now} uses of "${word}", ${count} allowed: update ${ALLOWED_FILE} with --update`,
        );
      if (!reason) problems.push(`${file}: "${word}" is allowed without a reason: add it to ${ALLOWED_FILE}`);
    }
  return problems;
}

/** The allowed words with the present numbers. New entries have an empty reason. */
export function updateAllowed(uses, allowed) {
  const updated = {};
  for (const [file, word, here] of grouped(uses).sort(([a, x], [b, y]) => compare(a, b) || compare(x, y))) {
    updated[file] ??= {};
    updated[file][word] = { count: here.length, reason: allowed[file]?.[word]?.reason ?? '' };
  }
  return updated;
}

const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/** The uses of words of the list `avoid`, by file and word. */
function grouped(uses) {
  const groups = new Map();
  for (const use of uses.filter(({ never }) => !never)) {
    const key = JSON.stringify([use.file, use.word]);
    groups.set(key, [...(groups.get(key) ?? []), use]);
  }
  return [...groups].map(([key, here]) => [...JSON.parse(key), here]);
}

const AREAS = [
  ['src', /^src\//],
  ['goldens', /\/golden\//],
  ['tests', /^test\//],
  ['docs', /^docs\/|^[A-Z]+\.md$/],
  ['man, schema', /^(?:man|schema)\//],
  ['deploy', /^(?:deploy|specs)\/|^action\.yml$|^Dockerfile$/],
  ['commits', /^commit /],
  ['tooling', /./],
];

const areaOf = (file) => AREAS.find(([, pattern]) => pattern.test(file))[0];

/** A table of the uses per word and area. */
export function countTable(uses, words) {
  const areas = AREAS.map(([area]) => area).filter(
    (area) => area !== 'commits' || uses.some(({ file }) => areaOf(file) === area),
  );
  const row = (title, selected) => [
    title,
    ...areas.map((area) => selected.filter(({ file }) => areaOf(file) === area).length),
    selected.length,
  ];
  const rows = [
    ['word', ...areas, 'all'],
    ...[...words.never, ...words.avoid]
      .map(({ word }) =>
        row(
          word,
          uses.filter((use) => use.word === word),
        ),
      )
      .filter((cells) => cells.at(-1) > 0),
    row(
      'never',
      uses.filter(({ never }) => never),
    ),
    row(
      'avoid',
      uses.filter(({ never }) => !never),
    ),
  ];
  const widths = rows[0].map((_, column) => Math.max(...rows.map((cells) => String(cells[column]).length)));
  return rows
    .map((cells) =>
      cells
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[0]) : String(cell).padStart(widths[column]),
        )
        .join('  '),
    )
    .join('\n');
}

async function trackedFiles(root) {
  const listing = await git(root, ['ls-files', '-z', '--cached', '--others', '--exclude-standard']);
  const names = listing.split('\0');
  const files = new Map();
  for (const name of names.filter((file) => file !== '' && existsSync(path.join(root, file)))) {
    const text = readFileSync(path.join(root, name), 'utf8');
    if (!text.includes('\0')) files.set(name, text);
  }
  return files;
}

async function commitSubjects(root, base) {
  const lines = (await git(root, ['log', '--format=%h %s', `${base}..HEAD`])).split('\n');
  return lines.filter(Boolean).map((line) => {
    const [hash, ...subject] = line.split(' ');
    return [`commit ${hash}`, subject.join(' ')];
  });
}

async function git(root, args) {
  // Loaded here so that the unit tests of this file count as fast (fast-tests.mjs).
  const { execFileSync } = await import('node:child_process');
  return execFileSync('git', args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 });
}

const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'));

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      update: { type: 'boolean', default: false },
      counts: { type: 'boolean', default: false },
      commits: { type: 'string' },
      root: { type: 'string', default: path.join(import.meta.dirname, '..') },
    },
  });
  const isSelected = ({ file }) =>
    positionals.length === 0 || positionals.some((prefix) => file.startsWith(prefix));
  const words = readJson(path.join(import.meta.dirname, 'words.json'));
  const allowedFile = path.join(values.root, ALLOWED_FILE);
  const allAllowed = existsSync(allowedFile) ? readJson(allowedFile) : {};
  const allowed = Object.fromEntries(Object.entries(allAllowed).filter(([file]) => isSelected({ file })));
  const files = await trackedFiles(values.root);
  if (values.commits)
    for (const [name, subject] of await commitSubjects(values.root, values.commits)) files.set(name, subject);
  const uses = findInFiles(files, words).filter(isSelected);
  if (values.counts) {
    console.log(countTable(uses, words));
    return;
  }
  let current = allowed;
  if (values.update) {
    current = updateAllowed(
      uses.filter(({ file }) => !file.startsWith('commit ')),
      allowed,
    );
    writeFileSync(allowedFile, `${JSON.stringify(current, null, 2)}\n`);
  }
  const problems = wordProblems(uses, current);
  for (const problem of problems) console.log(problem);
  console.log(`${problems.length > 0 ? '\n' : ''}${countTable(uses, words)}`);
  if (problems.length > 0) {
    console.log(`\ncheck:words failed: ${problems.length} problems`);
    process.exitCode = 1;
  }
}

if (process.argv[1] === import.meta.filename) await main();
