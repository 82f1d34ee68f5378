/** Reads source files and their imports. biome formats the sources, so regular expressions suffice. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const STATIC_IMPORT =
  /^(?:import|export) (type )?(?:\*(?: as \w+)?|\{[^}]*\}|\w+(?:, \{[^}]*\})?) from '([^']+)'|^import '([^']+)'/gm;
const DYNAMIC_IMPORT = /\b(typeof )?import\(\s*'([^']+)'/g;

/** Returns the texts of all TypeScript files below a folder, by relative path, sorted. */
export function readSources(root) {
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.replaceAll(path.sep, '/'))
    .sort();
  return new Map(files.map((file) => [file, readFileSync(path.join(root, file), 'utf8')]));
}

/**
 * Returns the imports of a file: `local` files with static imports, `types` for local files of which it imports only types,
 * `dynamic` for local files with dynamic imports, and `packages` whose code it imports.
 */
export function importsOf(file, text) {
  const imports = { local: [], types: [], dynamic: [], packages: [] };
  const add = (specifier, kind) => {
    if (!specifier.startsWith('.')) {
      if (kind === 'local') imports.packages.push(specifier);
    } else if (/\.m?ts$|\.mjs$/.test(specifier))
      imports[kind].push(path.posix.join(path.posix.dirname(file), specifier));
  };
  for (const [, isType, named, bare] of text.matchAll(STATIC_IMPORT))
    add(named ?? bare, isType ? 'types' : 'local');
  for (const [, isType, specifier] of text.matchAll(DYNAMIC_IMPORT))
    add(specifier, isType ? 'types' : 'dynamic');
  return imports;
}

/** Returns the imports of every file, by path. */
export const importsByFile = (sources) =>
  new Map([...sources].map(([file, text]) => [file, importsOf(file, text)]));

/** Returns all local files that a file imports, types included. */
export const allLocal = ({ local, types, dynamic }) => [...new Set([...local, ...types, ...dynamic])];

/** Returns the folder of a file directly below src; the file itself if it is in no folder. */
export const topFolderOf = (file) => file.split('/')[0];

/** Returns the folders that each folder imports, sorted: with code, and with types only. */
export function folderImports(imports) {
  const byFolder = new Map();
  for (const [file, { local, types, dynamic }] of imports) {
    const folder = topFolderOf(file);
    const targets = byFolder.get(folder) ?? { code: new Set(), types: new Set() };
    byFolder.set(folder, targets);
    for (const target of [...local, ...dynamic].map(topFolderOf))
      if (target !== folder) targets.code.add(target);
    for (const target of types.map(topFolderOf)) if (target !== folder) targets.types.add(target);
  }
  return new Map(
    [...byFolder]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([folder, { code, types }]) => [
        folder,
        { code: [...code].sort(), types: [...types].filter((target) => !code.has(target)).sort() },
      ]),
  );
}

/** Returns the import cycles: groups of nodes that all reach each other (strongly connected components, Tarjan). */
export function cyclesOf(nodes, targetsOf) {
  const index = new Map();
  const low = new Map();
  const stack = [];
  const cycles = [];
  const visit = (node) => {
    index.set(node, index.size);
    low.set(node, index.get(node));
    stack.push(node);
    for (const next of targetsOf(node)) {
      if (!index.has(next)) {
        visit(next);
        low.set(node, Math.min(low.get(node), low.get(next)));
      } else if (stack.includes(next)) low.set(node, Math.min(low.get(node), index.get(next)));
    }
    if (low.get(node) !== index.get(node)) return;
    const component = stack.splice(stack.indexOf(node));
    if (component.length > 1 || targetsOf(node).includes(node)) cycles.push(component.sort());
  };
  for (const node of nodes) if (!index.has(node)) visit(node);
  return cycles;
}
