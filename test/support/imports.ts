import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** What a file of src imports: code of others, by paths below src; their types alone; and code of packages. */
interface Imports {
  local: string[];
  types: string[];
  packages: string[];
}

/** Every file of src, by paths below it. */
export const files: readonly string[] = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.replaceAll(path.sep, '/'))
  .sort();

/** What is imported before a file runs; `import type` is for the compiler alone, and counts for neither order nor weight. */
export const imports: ReadonlyMap<string, Imports> = new Map(files.map((file) => [file, importsOf(file)]));

export function sourceTextOf(file: string): string {
  return readFileSync(path.join('src', file), 'utf8');
}

/** What is imported while a file runs, when it is asked for. */
export const dynamicImportsOf = (file: string): string[] =>
  [...sourceTextOf(file).matchAll(/\bimport\(\s*'([^']+)'/g)].map(([, name = '']) =>
    resolveImport(file, name),
  );

function importsOf(file: string): Imports {
  const found = [
    ...sourceTextOf(file).matchAll(
      /^(?:import|export) (type )?[^;]*?from '([^']+)'[^;]*;$|^import '([^']+)';$/gms,
    ),
  ].map(([, type, name = '', bare = '']) => ({ isType: type !== undefined, name: name || bare }));
  const local = found.filter(({ name }) => name.startsWith('.') && name.endsWith('.ts'));
  return {
    local: local.filter(({ isType }) => !isType).map(({ name }) => resolveImport(file, name)),
    types: local.filter(({ isType }) => isType).map(({ name }) => resolveImport(file, name)),
    packages: found.filter(({ name, isType }) => !name.startsWith('.') && !isType).map(({ name }) => name),
  };
}

function resolveImport(file: string, name: string): string {
  return path.posix.join(path.posix.dirname(file), name);
}

/** The folder that a file lies in, or the file itself where it lies in none. */
export const folderOf = (file: string): string => file.split('/')[0] ?? '';
