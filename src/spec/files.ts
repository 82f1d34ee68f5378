import { constants } from 'node:fs';
import { open, readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { globPattern, globRoot, isGlob } from './glob.ts';
import { MAX_BYTES, MAX_FILES } from './limits.ts';
import { fileProblem } from './source.ts';
import type { Problem } from './types.ts';

/** A file as it lies on disk, under the name that the user knows it by. */
export interface File {
  file: string;
  bytes: Uint8Array;
}

/**
 * The files behind the paths that were given: files, folders (every *.yaml and *.yml below, but what begins with a
 * dot), globs, and `-` for standard input. Sorted, each file once, however links lead to it.
 */
export async function readFiles(
  paths: readonly string[],
  stdin: () => Promise<string | Uint8Array>,
): Promise<{ files: File[]; problems: Problem[] }> {
  const files: File[] = [];
  const problems: Problem[] = [];
  const seen = new Set<string>();
  for (const given of new Set(paths)) {
    const expanded = given === '-' ? { names: ['-'], problems: [] } : await expand(given);
    problems.push(...expanded.problems);
    for (const name of expanded.names) {
      const real = name === '-' ? name : await realpath(name).catch(() => name);
      if (seen.has(real)) continue;
      seen.add(real);
      if (seen.size > MAX_FILES) {
        const message = `there are more than ${MAX_FILES} spec files`;
        problems.push(fileProblem(given, { message, hint: 'name a smaller folder' }));
        return { files, problems };
      }
      const read = await (name === '-' ? readStdin(stdin) : readFile(name));
      if ('bytes' in read) files.push(read);
      else problems.push(read);
    }
  }
  return { files, problems };
}

type Names = { names: string[]; problems: Problem[] };

async function expand(given: string): Promise<Names> {
  const info = await statOrError(given);
  if (!(info instanceof Error)) {
    if (!info.isDirectory()) return { names: [given], problems: [] };
    return orNone(
      await walk(given),
      given,
      'the folder holds no *.yaml or *.yml file',
      'name the folder of your specs',
    );
  }
  if (!isGlob(given)) return { names: [], problems: [unreadable(given, info)] };
  const pattern = globPattern(path.normalize(given));
  const { names, problems } = await walk(path.normalize(globRoot(given)));
  const matching = { names: names.filter((name) => pattern.test(name)), problems };
  return orNone(matching, given, 'no *.yaml or *.yml file matches', 'check the pattern');
}

const orNone = (found: Names, given: string, message: string, hint: string): Names =>
  found.names.length > 0 || found.problems.length > 0
    ? found
    : { names: [], problems: [fileProblem(given, { message, hint })] };

/** All spec files below a folder, in the order of their bytes. */
async function walk(root: string): Promise<Names> {
  const names: string[] = [];
  const problems: Problem[] = [];
  const visited = new Set<string>();

  /** `above`: the folders that lead here, by which a link that loops is told from one that shares. */
  const visit = async (folder: string, above: readonly string[]): Promise<void> => {
    const real = await realpath(folder).catch(() => folder);
    if (above.includes(real)) {
      const message = 'this link leads back to a folder above it';
      problems.push(fileProblem(folder, { message, hint: 'remove the link' }));
      return;
    }
    if (visited.has(real) || visited.size > MAX_FILES || names.length > MAX_FILES) return;
    visited.add(real);
    const entries = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
      problems.push(unreadable(folder, error));
      return [];
    });
    for (const name of entries) {
      if (name.startsWith('.')) continue;
      const entry = path.join(folder, name);
      const info = await statOrError(entry);
      if (info instanceof Error) {
        // A link that dangles is of no concern unless it is named like a spec.
        if (YAML.test(name) || info.code === 'ELOOP') problems.push(unreadable(entry, info));
      } else if (info.isDirectory()) await visit(entry, [...above, real]);
      else if (YAML.test(name)) names.push(entry);
    }
  };
  await visit(root, []);
  return { names: names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))), problems };
}

const YAML = /\.ya?ml$/;

async function readStdin(stdin: () => Promise<string | Uint8Array>): Promise<File | Problem> {
  const content = await stdin();
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  return bytes.length > MAX_BYTES ? tooLarge('<stdin>') : { file: '<stdin>', bytes };
}

async function readFile(file: string): Promise<File | Problem> {
  try {
    // Opening a FIFO would wait for a writer, and reading a device never ends: neither waits, and neither is read.
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const info = await handle.stat();
      if (!info.isFile()) {
        const message = 'this is not a regular file';
        return fileProblem(file, { message, hint: 'specs are files; for a pipe, write - and redirect it' });
      }
      const buffer = Buffer.alloc(Math.min(info.size, MAX_BYTES) + 1);
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
      return bytesRead > MAX_BYTES ? tooLarge(file) : { file, bytes: buffer.subarray(0, bytesRead) };
    } finally {
      await handle.close();
    }
  } catch (error) {
    return unreadable(file, error as NodeJS.ErrnoException);
  }
}

const tooLarge = (file: string): Problem =>
  fileProblem(file, { message: 'the file is larger than 1 MiB', hint: 'split it into several files' });

function unreadable(file: string, { code, message }: NodeJS.ErrnoException): Problem {
  const [reason, hint] = REASONS.get(code ?? '') ?? [
    `this cannot be read (${code ?? message})`,
    'check the path',
  ];
  return fileProblem(file, { message: reason, hint });
}

const REASONS: ReadonlyMap<string, [reason: string, hint: string]> = new Map([
  ['ENOENT', ['there is no such file or folder', 'check the path, or where the link leads']],
  ['EACCES', ['this may not be read (permission denied)', 'check its permissions and owner']],
  ['EPERM', ['this may not be read (not permitted)', 'check its permissions and owner']],
  ['ELOOP', ['this link leads round in a circle', 'remove the link']],
  ['ENOTDIR', ['a part of this path is a file, not a folder', 'check the path']],
  ['ENAMETOOLONG', ['this path is too long', 'check the path']],
  ['ENXIO', ['this is not a regular file', 'specs are files; for a pipe, write - and redirect it']],
]);

const statOrError = (name: string) => stat(name).catch((error: NodeJS.ErrnoException) => error);
