import { open, readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { byCodeUnit } from '../core/canonical.ts';
import type { Problem } from './types.ts';

const MAX_BYTES = 1024 * 1024;
const MAX_FILES = 5_000;
const YAML = /\.ya?ml$/;

/** A file's text, or why there is none. */
export type Source = { file: string; text: string } | { problem: Problem };

/**
 * The texts behind the paths that were given: files, folders (every *.yaml and *.yml below, but what begins with a
 * dot), globs, and `-` for standard input. Sorted, each file once, however links lead to it.
 */
export async function readSources(paths: readonly string[], stdin: () => Promise<string>): Promise<Source[]> {
  const sources: Source[] = [];
  const seen = new Set<string>();
  for (const given of paths) {
    if (given === '-') {
      sources.push({ file: '<stdin>', text: await stdin() });
      continue;
    }
    const { files, problems } = await expand(given);
    sources.push(...problems.map((one) => ({ problem: one })));
    for (const file of files) {
      const real = await realpath(file).catch(() => file);
      if (seen.has(real)) continue;
      seen.add(real);
      if (seen.size > MAX_FILES) {
        sources.push({ problem: about(given, `more than ${MAX_FILES} files`, 'name a smaller folder') });
        return sources;
      }
      sources.push(await readSource(file));
    }
  }
  return sources;
}

async function expand(given: string): Promise<{ files: string[]; problems: Problem[] }> {
  const info = await stat(given).catch((error: NodeJS.ErrnoException) => error);
  if (!(info instanceof Error)) {
    if (!info.isDirectory()) return { files: [given], problems: [] };
    const { files, problems } = await walk(given);
    const none = files.length === 0 && problems.length === 0;
    return {
      files,
      problems: none
        ? [about(given, 'the folder holds no *.yaml or *.yml file', 'name the folder of your specs')]
        : problems,
    };
  }
  if (/[*?[]/.test(given)) {
    const base = given.slice(0, given.search(/[*?[]/));
    const root = base.includes('/') ? base.slice(0, base.lastIndexOf('/')) || '/' : '.';
    const { files, problems } = await walk(root);
    const matching = files.filter((file) => glob(path.normalize(given)).test(path.normalize(file)));
    if (matching.length > 0) return { files: matching, problems };
    return { files: [], problems: [about(given, 'no file matches', 'check the pattern')] };
  }
  const reason =
    info.code === 'ENOENT'
      ? 'there is no such file or folder'
      : `it cannot be read (${info.code ?? info.message})`;
  return { files: [], problems: [about(given, reason, 'check the path')] };
}

/** All spec files below a folder; a link that leads back to a folder above is not followed twice. */
async function walk(root: string): Promise<{ files: string[]; problems: Problem[] }> {
  const files: string[] = [];
  const problems: Problem[] = [];
  const visited = new Set<string>();
  const visit = async (folder: string): Promise<void> => {
    const real = await realpath(folder).catch(() => undefined);
    if (real === undefined || visited.has(real) || files.length > MAX_FILES) return;
    visited.add(real);
    const entries = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
      problems.push(
        about(folder, `the folder cannot be read (${error.code ?? error.message})`, 'check its permissions'),
      );
      return [];
    });
    for (const name of entries.sort(byCodeUnit)) {
      if (name.startsWith('.')) continue;
      const entry = path.join(folder, name);
      const info = await stat(entry).catch((error: NodeJS.ErrnoException) => error);
      if (info instanceof Error) {
        // A link that loops or dangles is of no concern unless it is named like a spec.
        if (YAML.test(name))
          problems.push(
            about(entry, `cannot be read (${info.code ?? info.message})`, 'check where the link leads'),
          );
      } else if (info.isDirectory()) await visit(entry);
      else if (YAML.test(name)) files.push(entry);
    }
  };
  await visit(root);
  return { files, problems };
}

async function readSource(file: string): Promise<Source> {
  const info = await stat(file).catch((error: NodeJS.ErrnoException) => error);
  if (info instanceof Error)
    return { problem: about(file, `cannot be read (${info.code ?? info.message})`, 'check its permissions') };
  if (!info.isFile())
    return { problem: about(file, 'it is not a regular file', 'specs are files; for a pipe, name -') };
  if (info.size > MAX_BYTES)
    return { problem: about(file, 'the file is larger than 1 MiB', 'split it into several files') };
  try {
    const handle = await open(file);
    const bytes = await handle.readFile().finally(() => handle.close());
    return decode(file, bytes);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return { problem: about(file, `cannot be read (${code ?? message})`, 'check its permissions') };
  }
}

function decode(file: string, bytes: Buffer): Source {
  try {
    // The decoder takes a byte order mark away.
    return { file, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    return { problem: about(file, 'the file is not valid UTF-8', 'save it as UTF-8') };
  }
}

/** `*` within a name, `**` across folders, `?` for one character. */
function glob(pattern: string): RegExp {
  const source = pattern.replace(/\*\*\/|\*\*|[*?]|[^*?]+/g, (part) => {
    if (part === '**/') return '(?:.*/)?';
    if (part === '**') return '.*';
    if (part === '*') return '[^/]*';
    if (part === '?') return '[^/]';
    return part.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  });
  return new RegExp(`^${source}$`);
}

const about = (file: string, message: string, hint: string): Problem => ({
  position: { file, line: 1, column: 1 },
  message,
  hint,
});
