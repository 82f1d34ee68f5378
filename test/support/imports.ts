import { readFileSync } from 'node:fs';
import path from 'node:path';
import { importsByFile, readSources, topFolderOf } from '../../scripts/source-graph.mjs';

const sources = readSources('src');

/** Paths of all files of src, relative to src. */
export const files: readonly string[] = [...sources.keys()];

/** Imports by file. */
export const imports = importsByFile(sources);

export function sourceTextOf(file: string): string {
  return sources.get(file) ?? readFileSync(path.join('src', file), 'utf8');
}

/** Returns the local files that a file imports dynamically. */
export const dynamicImportsOf = (file: string): string[] => imports.get(file)?.dynamic ?? [];

/** Returns the folder of a file directly below src; the file itself if it is in no folder. */
export const folderOf = topFolderOf;
