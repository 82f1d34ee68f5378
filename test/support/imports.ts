import { readFileSync } from 'node:fs';
import path from 'node:path';
import { importsByFile, readSources, topFolderOf } from '../../scripts/source-graph.mjs';

const sources = readSources('src');

/** Every file of src, by its path below src. */
export const files: readonly string[] = [...sources.keys()];

/** What each file imports. */
export const imports = importsByFile(sources);

export function sourceTextOf(file: string): string {
  return sources.get(file) ?? readFileSync(path.join('src', file), 'utf8');
}

/** Local files that a file loads while it runs. */
export const dynamicImportsOf = (file: string): string[] => imports.get(file)?.dynamic ?? [];

/** The folder directly below src that a file belongs to, or the file itself when it is in none. */
export const folderOf = topFolderOf;
