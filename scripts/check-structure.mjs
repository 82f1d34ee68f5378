#!/usr/bin/env node
/**
 * Prints figures about the structure of src/ and fails when one is outside its limit: `npm run check:structure`.
 *
 * biome formats the sources, so top-level definitions start in column 0 and members of a kind in column 2. The checks
 * read the text and need no parser.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.join(import.meta.dirname, '..', 'src');

const files = readdirSync(ROOT, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll(path.sep, '/'))
  .filter((file) => file.endsWith('.ts'))
  .sort();
const texts = new Map(files.map((file) => [file, readFileSync(path.join(ROOT, file), 'utf8')]));
const lineCount = (text) => text.split('\n').length - 1;
const withoutComments = (text) => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1');
const isSandbox = (file) => file.startsWith('sandbox/');
const folderOf = (file) => path.posix.dirname(file);

const checks = [
  { name: 'source files', limit: 250, actual: files.length },
  {
    name: 'files under 15 lines',
    limit: 8,
    ...listed(files.filter((file) => lineCount(texts.get(file)) < 15)),
  },
  { name: 'folders with one file', limit: 0, ...listed(foldersWithOneFile()) },
  { name: 'names with several top-level definitions', limit: 0, ...listed(repeatedNames()) },
  { name: 'kind names outside kinds/ and sandbox/', limit: 0, ...listed(literalKindNames()) },
  { name: 'read commands of a kind built in several files', limit: 0, ...listed(repeatedReads()) },
  { name: 'members of Kind', limit: 18, actual: kindMembers().length },
  { name: 'members of Kind that one kind implements', limit: 0, ...listed(membersOfOneKind()) },
  { name: 'casts of foreign entries', limit: 0, ...listed(castsOfForeign()) },
  { name: 'files in an import cycle (types included)', limit: 0, ...listed(cycle()) },
  { name: 'lines of reconcile()', limit: 40, actual: linesOfReconcile() },
];

for (const { name, limit, actual, details = [] } of checks) {
  const failed = actual > limit;
  console.log(`${failed ? 'FAIL' : 'ok  '} ${String(actual).padStart(4)} ${name} (at most ${limit})`);
  if (failed) for (const detail of details) console.log(`       ${detail}`);
}
if (checks.some(({ actual, limit }) => actual > limit)) process.exitCode = 1;

function listed(details) {
  return { actual: details.length, details };
}

function foldersWithOneFile() {
  const children = new Map();
  for (const file of files) {
    const parts = file.split('/');
    for (let depth = 1; depth < parts.length; depth++) {
      const folder = parts.slice(0, depth).join('/');
      children.set(folder, (children.get(folder) ?? new Set()).add(parts[depth]));
    }
  }
  return [...children].filter(([, names]) => names.size === 1).map(([folder]) => folder);
}

function definitionsIn(text) {
  const pattern =
    /^(?:export )?(?:default )?(?:declare )?(?:abstract )?(?:async )?(?:function\*?|const|let|class|interface|type|enum) ([\w$]+)/gm;
  return new Set([...text.matchAll(pattern)].map(([, name]) => name));
}

function repeatedNames() {
  const filesByName = new Map();
  for (const [file, text] of texts) {
    for (const name of definitionsIn(text)) filesByName.set(name, [...(filesByName.get(name) ?? []), file]);
  }
  return [...filesByName]
    .filter(([, places]) => places.length > 1)
    .map(([name, places]) => `${name}: ${places.join(', ')}`);
}

/** Names of all kinds, read from the objects that the files of kinds/ export. */
function kindNames() {
  return [...texts]
    .filter(([file]) => file.startsWith('kinds/'))
    .flatMap(([, text]) => [...text.matchAll(/^ {2}name: '([^']+)'/gm)].map(([, name]) => name));
}

function literalKindNames() {
  const pattern = new RegExp(
    `['"\`/](${kindNames()
      .map((name) => name.replace('.', '\\.'))
      .join('|')})['"\`/]`,
  );
  return [...texts].flatMap(([file, text]) =>
    file.startsWith('kinds/') || isSandbox(file)
      ? []
      : withoutComments(text)
          .split('\n')
          .flatMap((line) => (pattern.test(line) ? [`${file}: ${line.trim()}`] : [])),
  );
}

/** Get, Describe and Head commands that a file of kinds/ builds and that another file builds as well. */
function repeatedReads() {
  const filesByCommand = new Map();
  for (const [file, text] of texts) {
    if (isSandbox(file)) continue;
    for (const [, command] of text.matchAll(/\bnew ((?:Get|Describe|Head)\w+Command)\b/g)) {
      filesByCommand.set(command, (filesByCommand.get(command) ?? new Set()).add(file));
    }
  }
  return [...filesByCommand]
    .filter(([, places]) => places.size > 1 && [...places].some((file) => file.startsWith('kinds/')))
    .map(([command, places]) => `${command}: ${[...places].join(', ')}`);
}

function kindMembers() {
  const text = [...texts.values()].find((candidate) => /^export interface Kind</m.test(candidate)) ?? '';
  const body = text.slice(text.search(/^export interface Kind</m)).split('\n}')[0];
  return [...withoutComments(body).matchAll(/^ {2}(?:readonly )?(\w+)\??[:(<]/gm)].map(([, name]) => name);
}

/** The text of each object that is declared as a Kind. */
function kindObjects() {
  return [...texts]
    .filter(([file]) => file.startsWith('kinds/'))
    .flatMap(([, text]) =>
      [...text.matchAll(/^export const \w+: Kind<[^=]*= \{\n([\s\S]*?)^\};/gm)].map(([, body]) => body),
    );
}

function membersOfOneKind() {
  const objects = kindObjects();
  return kindMembers().filter((member) => {
    const implemented = objects.filter((body) => new RegExp(`^ {2}(?:async )?${member}\\b`, 'm').test(body));
    return implemented.length === 1;
  });
}

function castsOfForeign() {
  return [...texts].flatMap(([file, text]) =>
    text
      .split('\n')
      .flatMap((line) => (/\bforeign\b[^,;]* as (?!const)/.test(line) ? [`${file}: ${line.trim()}`] : [])),
  );
}

function importsOf(file) {
  const specifiers = [...texts.get(file).matchAll(/(?:from|import)\s*\(?\s*'(\.{1,2}\/[^']+\.ts)'/g)];
  return specifiers
    .map(([, specifier]) => path.posix.join(folderOf(file), specifier))
    .filter((target) => texts.has(target));
}

/** Files that import themselves by way of others (strongly connected components of more than one file). */
function cycle() {
  const index = new Map();
  const low = new Map();
  const stack = [];
  const inCycle = [];
  const visit = (file) => {
    index.set(file, index.size);
    low.set(file, index.get(file));
    stack.push(file);
    for (const next of importsOf(file)) {
      if (!index.has(next)) {
        visit(next);
        low.set(file, Math.min(low.get(file), low.get(next)));
      } else if (stack.includes(next)) low.set(file, Math.min(low.get(file), index.get(next)));
    }
    if (low.get(file) !== index.get(file)) return;
    const component = stack.splice(stack.indexOf(file));
    if (component.length > 1) inCycle.push(component.sort().join(' '));
  };
  for (const file of files) if (!index.has(file)) visit(file);
  return inCycle;
}

function linesOfReconcile() {
  const text = texts.get('reconcile/reconcile.ts') ?? '';
  const [body = ''] = text.match(/^export async function reconcile\([\s\S]*?^\}/m) ?? [];
  return body === '' ? Number.POSITIVE_INFINITY : body.split('\n').length;
}
