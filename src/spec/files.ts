import { constants } from 'node:fs';
import { open, readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { MAX_FILE_BYTES, MAX_FILES } from './limits.ts';
import { fileProblem } from './source-file.ts';
import type { Problem } from './types.ts';

/** The bytes of a file, and the name under which the user knows the file. */
export interface SpecFile {
  file: string;
  bytes: Uint8Array;
}

/**
 * Reads the files of the given paths: files, folders, globs, and `-` for standard input. A folder includes every *.yaml
 * and *.yml file below it, except names that begin with a dot. The files of a folder are sorted. A file that several
 * links lead to is read once.
 */
export async function readSpecFiles(
  paths: readonly string[],
  stdin: () => Promise<string | Uint8Array>,
): Promise<{ files: SpecFile[]; problems: Problem[] }> {
  const files: SpecFile[] = [];
  const problems: Problem[] = [];
  const realPaths = new Set<string>();
  for (const inputPath of new Set(paths)) {
    const expansion = inputPath === '-' ? { names: ['-'], problems: [] } : await expandPath(inputPath);
    problems.push(...expansion.problems);
    for (const name of expansion.names) {
      const realPath = name === '-' ? name : await realpath(name).catch(() => name);
      if (realPaths.has(realPath)) continue;
      realPaths.add(realPath);
      if (realPaths.size > MAX_FILES) {
        const message = `the paths contain more than ${MAX_FILES} spec files`;
        problems.push(fileProblem(inputPath, { message, hint: 'use a smaller folder' }));
        return { files, problems };
      }
      const file = await (name === '-' ? readStdinFile(stdin) : readSpecFile(name));
      if ('bytes' in file) files.push(file);
      else problems.push(file);
    }
  }
  return { files, problems };
}

type ExpandedPath = { names: string[]; problems: Problem[] };

async function expandPath(inputPath: string): Promise<ExpandedPath> {
  const info = await statOrError(inputPath);
  if (!(info instanceof Error)) {
    if (!info.isDirectory()) return { names: [inputPath], problems: [] };
    return orNoFilesProblem(
      await walkFolder(inputPath),
      inputPath,
      'the folder contains no *.yaml or *.yml file',
      'use the folder of your specs',
    );
  }
  if (!isGlob(inputPath)) return { names: [], problems: [unreadableProblem(inputPath, info)] };
  const pattern = globToRegExp(path.normalize(inputPath));
  const { names, problems } = await walkFolder(path.normalize(globRoot(inputPath)));
  const matches = { names: names.filter((name) => pattern.test(name)), problems };
  return orNoFilesProblem(matches, inputPath, 'no *.yaml or *.yml file matches', 'check the pattern');
}

const orNoFilesProblem = (
  expansion: ExpandedPath,
  inputPath: string,
  message: string,
  hint: string,
): ExpandedPath =>
  expansion.names.length > 0 || expansion.problems.length > 0
    ? expansion
    : { names: [], problems: [fileProblem(inputPath, { message, hint })] };

/** Returns all spec files below a folder, sorted by the bytes of their names. */
async function walkFolder(root: string): Promise<ExpandedPath> {
  const names: string[] = [];
  const problems: Problem[] = [];
  const visitedFolders = new Set<string>();

  /**
   * Visits a folder. `ancestors` are the folders above it, which distinguish a link loop from a folder with several
   * links.
   */
  const visit = async (folder: string, ancestors: readonly string[]): Promise<void> => {
    const realFolder = await realpath(folder).catch(() => folder);
    if (ancestors.includes(realFolder)) {
      const message = 'the symbolic link points to one of its parent folders';
      problems.push(fileProblem(folder, { message, hint: 'remove the link' }));
      return;
    }
    if (visitedFolders.has(realFolder) || visitedFolders.size > MAX_FILES || names.length > MAX_FILES) return;
    visitedFolders.add(realFolder);
    const entries = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
      problems.push(unreadableProblem(folder, error));
      return [];
    });
    for (const name of entries) {
      if (name.startsWith('.')) continue;
      const entry = path.join(folder, name);
      const info = await statOrError(entry);
      if (info instanceof Error) {
        // A dangling link matters only if its name is that of a spec.
        if (YAML_EXTENSION.test(name) || info.code === 'ELOOP') problems.push(unreadableProblem(entry, info));
      } else if (info.isDirectory()) await visit(entry, [...ancestors, realFolder]);
      else if (YAML_EXTENSION.test(name)) names.push(entry);
    }
  };
  await visit(root, []);
  return { names: names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))), problems };
}

const YAML_EXTENSION = /\.ya?ml$/;

async function readStdinFile(stdin: () => Promise<string | Uint8Array>): Promise<SpecFile | Problem> {
  const content = await stdin();
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  return bytes.length > MAX_FILE_BYTES ? tooLargeProblem('<stdin>') : { file: '<stdin>', bytes };
}

async function readSpecFile(file: string): Promise<SpecFile | Problem> {
  try {
    // Opening a FIFO would wait for a writer, and reading a device never ends. `O_NONBLOCK` prevents the wait, and only
    // regular files are read.
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const info = await handle.stat();
      if (!info.isFile()) {
        const message = 'not a regular file';
        return fileProblem(file, {
          message,
          hint: 'use a regular file, or - with redirected standard input',
        });
      }
      const buffer = Buffer.alloc(Math.min(info.size, MAX_FILE_BYTES) + 1);
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
      return bytesRead > MAX_FILE_BYTES
        ? tooLargeProblem(file)
        : { file, bytes: buffer.subarray(0, bytesRead) };
    } finally {
      await handle.close();
    }
  } catch (error) {
    return unreadableProblem(file, error as NodeJS.ErrnoException);
  }
}

const tooLargeProblem = (file: string): Problem =>
  fileProblem(file, { message: 'the file is larger than 1 MiB', hint: 'split it into several files' });

function unreadableProblem(file: string, { code, message }: NodeJS.ErrnoException): Problem {
  const [reason, hint] = READ_ERROR_TEXTS.get(code ?? '') ?? [
    `cannot be read: ${code ?? message}`,
    'check the path',
  ];
  return fileProblem(file, { message: reason, hint });
}

const READ_ERROR_TEXTS: ReadonlyMap<string, [reason: string, hint: string]> = new Map([
  ['ENOENT', ['no such file or folder', 'check the path, or the target of the link']],
  ['EACCES', ['cannot be read: permission denied', 'check its permissions and owner']],
  ['EPERM', ['cannot be read: operation not permitted', 'check its permissions and owner']],
  ['ELOOP', ['the symbolic links form a loop', 'remove the link']],
  ['ENOTDIR', ['a part of the path is a file, not a folder', 'check the path']],
  ['ENAMETOOLONG', ['the path is too long', 'check the path']],
  ['ENXIO', ['not a regular file', 'use a regular file, or - with redirected standard input']],
]);

const statOrError = (name: string) => stat(name).catch((error: NodeJS.ErrnoException) => error);

/** Converts a glob to a regular expression: `*` within a name, `**` across folders, `?` for one character. */
function globToRegExp(pattern: string): RegExp {
  const source = pattern.replace(/\*\*\/|\*+|[?]|[^*?]+/g, (part) => {
    if (part === '**/') return '(?:.*/)?';
    if (part === '*') return '[^/]*';
    if (part.startsWith('*')) return '.*';
    if (part === '?') return '[^/]';
    return part.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  });
  return new RegExp(`^${source}$`, 'u');
}

const isGlob = (text: string): boolean => /[*?]/.test(text);

/** Returns the deepest folder that contains all possible matches of a pattern. */
function globRoot(pattern: string): string {
  const literalPart = pattern.slice(0, pattern.search(/[*?]/));
  return literalPart.includes('/') ? literalPart.slice(0, literalPart.lastIndexOf('/')) || '/' : '.';
}
