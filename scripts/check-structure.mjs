#!/usr/bin/env node
/**
 * Prints figures about the structure of src/ and fails when one is outside its limit: `npm run check:structure`.
 *
 * biome formats the sources, so top-level definitions start in column 0, members of a kind in column 2, and comments at the
 * start of a line. The checks read the text and need no parser. A check that does not find its subject fails.
 */
import path from 'node:path';
import { allLocal, cyclesOf, folderImports, importsByFile, readSources } from './source-graph.mjs';

const isSandbox = (file) => file.startsWith('sandbox/');
const isKindFile = (file) => file.startsWith('kinds/');
const lineCount = (text) => text.split('\n').length - 1;

/** Returns the figures with their limits. `sources`: texts of the files of src by path. */
export function structureChecks(sources) {
  const imports = importsByFile(sources);
  const folders = folderImports(imports);
  const targetsOfFolder = (folder) => [
    ...(folders.get(folder)?.code ?? []),
    ...(folders.get(folder)?.types ?? []),
  ];
  return [
    // Transitions of live rules, with canaries and their doctor, need more files than the first release; so do the
    // guardrails: the snapshot of the specs, the listeners, and the commands that fixes print.
    // The sandbox answers more of AWS: Object Lock, SSE-C, conditions, policies, signatures, states of keys.
    // Observation of objects: metrics, alarms, failure events, status, and their services in the sandbox.
    // Existing objects: batch jobs with re-drives and reports, re-encryption, Object Lock, and their operations in the sandbox.
    { name: 'source files', limit: 470, actual: sources.size },
    listed('files under 15 lines', 8, filesUnder(sources, 15)),
    listed('folders with one file', 0, foldersWithOneFile(sources)),
    listed('names with several top-level definitions', 0, repeatedNames(sources)),
    listed('kind names outside kinds/ and sandbox/', 0, literalKindNames(sources)),
    listed('read commands built in several files', 0, repeatedReads(sources)),
    { name: 'members of Kind', limit: 18, actual: kindMembers(sources).length || Number.POSITIVE_INFINITY },
    listed('members of Kind that at most one kind implements', 0, membersOfOneKind(sources)),
    listed('casts of foreign entries', 0, castsOfForeign(sources)),
    listed(
      'import cycles of files (types included)',
      0,
      cyclesOf(sources.keys(), (file) =>
        allLocal(imports.get(file) ?? { local: [], types: [], dynamic: [] }),
      ).map((files) => files.join(' ')),
    ),
    listed(
      'import cycles of folders (types included)',
      0,
      cyclesOf(folders.keys(), targetsOfFolder).map((names) => names.join(' ')),
    ),
    { name: 'lines of reconcile()', limit: 40, actual: linesOfReconcile(sources) },
  ];
}

function listed(name, limit, details) {
  return { name, limit, actual: details.length, details };
}

function filesUnder(sources, lines) {
  return [...sources].filter(([, text]) => lineCount(text) < lines).map(([file]) => file);
}

function foldersWithOneFile(sources) {
  const children = new Map();
  for (const file of sources.keys()) {
    const parts = file.split('/');
    for (let depth = 1; depth < parts.length; depth++) {
      const folder = parts.slice(0, depth).join('/');
      children.set(folder, (children.get(folder) ?? new Set()).add(parts[depth]));
    }
  }
  return [...children].filter(([, names]) => names.size === 1).map(([folder]) => folder);
}

/** Returns the names that a file defines at its top level. */
function definitionsIn(text) {
  const pattern =
    /^(?:export )?(?:default )?(?:declare )?(?:abstract )?(?:async )?(?:function\*?|const|let|class|interface|type|enum) (?:(?<name>[\w$]+)|\{(?<object>[^}]*)\} =|\[(?<list>[^\]]*)\] =)/gm;
  return new Set(
    [...text.matchAll(pattern)].flatMap(({ groups: { name, object, list } }) =>
      name === undefined
        ? (object ?? list).split(',').flatMap(
            (item) =>
              item
                .split(/:|=/)
                .at(item.includes(':') ? 1 : 0)
                .match(/[\w$]+/) ?? [],
          )
        : [name],
    ),
  );
}

function repeatedNames(sources) {
  const filesByName = new Map();
  for (const [file, text] of sources)
    for (const name of definitionsIn(text)) filesByName.set(name, [...(filesByName.get(name) ?? []), file]);
  return [...filesByName]
    .filter(([, files]) => files.length > 1)
    .map(([name, files]) => `${name}: ${files.join(', ')}`);
}

/** Returns the text of each object that is declared as a Kind, by the name of the kind. */
function kindObjects(sources) {
  const objects = [...sources]
    .filter(([file]) => isKindFile(file))
    .flatMap(([, text]) => [...text.matchAll(/^export const \w+: Kind<[^=]*= \{\n([\s\S]*?)^\};/gm)])
    .map(([, body]) => [body.match(/^ {2}name: '([^']+)'/m)?.[1], body]);
  if (objects.length === 0 || objects.some(([name]) => name === undefined))
    throw new Error(
      'a kind was not found: declare it as `export const x: Kind<…> = {` with a literal `name`',
    );
  return new Map(objects);
}

function literalKindNames(sources) {
  const names = [...kindObjects(sources).keys()].map((name) => name.replaceAll('.', '\\.'));
  const prefixes = new Set(names.map((name) => `${name.split('.')[0]}.`));
  const pattern = new RegExp(`['"\`/](?:${names.join('|')})['"\`/]|'(?:${[...prefixes].join('|')})'`);
  return [...sources].flatMap(([file, text]) =>
    isKindFile(file) || isSandbox(file)
      ? []
      : codeLines(text).flatMap((line) => (pattern.test(line) ? [`${file}: ${line.trim()}`] : [])),
  );
}

/** Returns the lines that are not comments. */
function codeLines(text) {
  let isInComment = false;
  return text.split('\n').filter((line) => {
    const start = line.trimStart();
    const isComment = isInComment || start.startsWith('/*');
    if (isComment) isInComment = !line.includes('*/');
    return !isComment && !start.startsWith('//');
  });
}

/** Commands that read objects, the caller, or all roles of an account, instead of one document of a kind. */
const OTHER_READS =
  /^(?:(?:Get|Head)Object(?:Tagging)?|GetCallerIdentity|GetAccountAuthorizationDetails)Command$/;

/** Returns the Get, Describe and Head commands of documents that several files outside the sandbox build. */
export function repeatedReads(sources) {
  const filesByCommand = new Map();
  for (const [file, text] of sources) {
    if (isSandbox(file)) continue;
    for (const [, command] of text.matchAll(/\bnew ((?:Get|Describe|Head)\w+Command)\b/g))
      if (!OTHER_READS.test(command))
        filesByCommand.set(command, (filesByCommand.get(command) ?? new Set()).add(file));
  }
  return [...filesByCommand]
    .filter(([, files]) => files.size > 1)
    .map(([command, files]) => `${command}: ${[...files].join(', ')}`);
}

/** Returns the members of an interface, including inherited ones. */
function kindMembers(sources, name = 'Kind') {
  const start = new RegExp(`^export interface ${name}\\b(?:<[^{]*>)?(?: extends ([^{]+))? \\{$`, 'm');
  for (const text of sources.values()) {
    const match = start.exec(text);
    if (!match) continue;
    const body = text.slice(match.index).split('\n}')[0];
    const own = codeLines(body).flatMap((line) => line.match(/^ {2}(?:readonly )?(\w+)\??[:(<]/)?.[1] ?? []);
    const parents = (match[1] ?? '').match(/\b[A-Z]\w+(?=[<,\s]|$)/g) ?? [];
    return [...new Set([...own, ...parents.flatMap((parent) => kindMembers(sources, parent))])];
  }
  return [];
}

function membersOfOneKind(sources) {
  const objects = [...kindObjects(sources).values()];
  return kindMembers(sources).filter((member) => {
    const pattern = new RegExp(`^ {2}(?:async )?${member}\\b`, 'm');
    return objects.filter((body) => pattern.test(body)).length <= 1;
  });
}

function castsOfForeign(sources) {
  return [...sources].flatMap(([file, text]) =>
    codeLines(text).flatMap((line) =>
      /\bforeign\b[^,;]*? as (?:[A-Z[{(]|unknown|never|any|readonly )/.test(line)
        ? [`${file}: ${line.trim()}`]
        : [],
    ),
  );
}

function linesOfReconcile(sources) {
  const text = sources.get('reconcile/reconcile.ts') ?? '';
  const [body = ''] = text.match(/^export async function reconcile\([\s\S]*?^\}/m) ?? [];
  return body === '' ? Number.POSITIVE_INFINITY : body.split('\n').length;
}

if (process.argv[1] === import.meta.filename) {
  const checks = structureChecks(readSources(path.join(import.meta.dirname, '..', 'src')));
  for (const { name, limit, actual, details = [] } of checks) {
    const failed = actual > limit;
    console.log(`${failed ? 'FAIL' : 'ok  '} ${String(actual).padStart(4)} ${name} (at most ${limit})`);
    if (failed) for (const detail of details) console.log(`       ${detail}`);
  }
  if (checks.some(({ actual, limit }) => actual > limit)) process.exitCode = 1;
}
