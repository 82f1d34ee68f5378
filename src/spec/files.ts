import { type BigIntStats, constants, type Dirent } from 'node:fs';
import { open, readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { type Clock, sleep, systemClock } from '../util/clock.ts';
import { MAX_FILE_BYTES, MAX_FILES, MAX_FOLDERS } from './limits.ts';
import { fileProblem } from './source-file.ts';
import type { Problem } from './types.ts';

/** The bytes of a file, and the name under which the user knows the file. */
export interface SpecFile {
  file: string;
  bytes: Uint8Array;
}

export interface ReadOptions {
  /** Reads standard input, for the path `-`. Called once. */
  stdin?: () => Promise<string | Uint8Array>;
  /**
   * Whether a missing spec has consequences, as with --prune. A dangling link and a subfolder without specs are then
   * problems: an incomplete checkout or a volume that is not mounted looks like that.
   */
  requireComplete?: boolean;
  clock?: Clock;
  /** Stops the read. The thrown error is the reason of the signal. */
  signal?: AbortSignal | undefined;
}

/** The maximum number of reads until one of them sees unchanged files, and the wait between two, in milliseconds. */
const MAX_READS = 10;
const REREAD_DELAY_MS = 50;

/**
 * Reads the files of the given paths as one consistent snapshot: files, folders, globs, and `-` for standard input. A
 * folder includes every *.yaml and *.yml file below it, except names that begin with a dot. The files of a folder are
 * sorted. A file that several links lead to is read once.
 *
 * The real paths are resolved once, and everything is read below them: git-sync and the kubelet publish a new version by
 * a swap of a link. The files are listed again after the read. If anything changed, all files are read again.
 */
export async function readSpecFiles(
  paths: readonly string[],
  { stdin = async () => '', requireComplete = false, clock = systemClock, signal }: ReadOptions = {},
): Promise<{ files: SpecFile[]; problems: Problem[] }> {
  const inputFile = paths.includes('-') ? await readStdinFile(stdin) : undefined;
  let listing = await listSpecFiles(paths, requireComplete, signal);
  for (let reads = 1; ; reads++) {
    const result = await readListedFiles(listing, inputFile, signal);
    const nextListing = await listSpecFiles(paths, requireComplete, signal);
    if (nextListing.version === listing.version) return result;
    if (reads === MAX_READS) {
      const message = `the files changed during each of ${MAX_READS} reads`;
      const hint = 'run again when the files are complete';
      return { files: [], problems: [fileProblem(paths[0] ?? '.', { message, hint })] };
    }
    listing = nextListing;
    await sleep(clock, REREAD_DELAY_MS * reads, signal);
    signal?.throwIfAborted();
  }
}

/** A spec file in a listing. */
interface ListedFile {
  /** The name under which the user knows the file. */
  name: string;
  /** The path without symbolic links, by which the file is read. */
  realPath: string;
  isRegular: boolean;
}

interface FileListing {
  files: (ListedFile | typeof STDIN)[];
  problems: Problem[];
  /** Differs from the version of another listing if a file, its content or a link on the way to it has changed. */
  version: string;
}

const STDIN = '-';

async function readListedFiles(
  listing: FileListing,
  inputFile: SpecFile | Problem | undefined,
  signal: AbortSignal | undefined,
): Promise<{ files: SpecFile[]; problems: Problem[] }> {
  const files: SpecFile[] = [];
  const problems = [...listing.problems];
  for (const listed of listing.files) {
    signal?.throwIfAborted();
    const file = listed === STDIN ? inputFile : await readListedFile(listed);
    if (file && 'bytes' in file) files.push(file);
    else if (file) problems.push(file);
  }
  return { files, problems };
}

/** Lists the spec files of all paths, without a file that another path contains already. */
async function listSpecFiles(
  paths: readonly string[],
  requireComplete: boolean,
  signal: AbortSignal | undefined,
): Promise<FileListing> {
  const roots = await Promise.all([...new Set(paths)].map(resolveRoot));
  const realRoots = roots.flatMap((root) => root.realPath ?? []);
  const files: FileListing['files'] = [];
  const problems: Problem[] = [];
  const versions: string[] = [];
  const realPaths = new Set<string>();
  for (const root of roots) {
    const expansion = await expandRoot(root, { realRoots, requireComplete, signal });
    problems.push(...expansion.problems);
    versions.push(root.realPath ?? '', ...expansion.versions);
    for (const file of expansion.files) {
      const realPath = file === STDIN ? STDIN : file.realPath;
      if (realPaths.has(realPath)) continue;
      realPaths.add(realPath);
      if (realPaths.size > MAX_FILES) {
        const message = `the paths contain more than ${MAX_FILES} spec files`;
        problems.push(fileProblem(root.path, { message, hint: 'use a smaller folder' }));
        return { files: [], problems, version: JSON.stringify([versions, problems]) };
      }
      files.push(file);
    }
  }
  return { files, problems, version: JSON.stringify([versions, problems]) };
}

/** A path of the command line, with the real path of the file, of the folder, or of the folder of a glob. */
interface Root {
  path: string;
  realPath?: string;
  info?: BigIntStats | NodeJS.ErrnoException;
  isGlob?: true;
}

async function resolveRoot(inputPath: string): Promise<Root> {
  if (inputPath === STDIN) return { path: inputPath };
  const info = await statOrError(inputPath);
  if (info instanceof Error && isGlob(inputPath))
    return { path: inputPath, realPath: await realPathOf(globRoot(inputPath)), isGlob: true };
  return { path: inputPath, realPath: await realPathOf(inputPath), info };
}

/** Returns the real path. An open file descriptor, `/dev/fd/3`, has none. */
const realPathOf = (name: string): Promise<string> => realpath(name).catch(() => path.resolve(name));

interface ExpandedRoot {
  files: FileListing['files'];
  problems: Problem[];
  versions: string[];
}

interface WalkOptions {
  /** The real paths of all roots. Links that lead out of them are not followed. */
  realRoots: readonly string[];
  requireComplete: boolean;
  signal: AbortSignal | undefined;
}

async function expandRoot(root: Root, options: WalkOptions): Promise<ExpandedRoot> {
  const { path: inputPath, realPath = '', info } = root;
  if (inputPath === STDIN) return { files: [STDIN], problems: [], versions: [] };
  if (root.isGlob) {
    const pattern = globToRegExp(path.normalize(inputPath));
    const folder = { name: path.normalize(globRoot(inputPath)), realPath };
    // The pattern may exclude the specs of a subfolder.
    const walked = await walkFolder(folder, { ...options, requireComplete: false });
    const files = walked.files.filter((file) => file !== STDIN && pattern.test(file.name));
    return orNoFilesProblem(
      { ...walked, files },
      inputPath,
      'no *.yaml or *.yml file matches',
      'check the pattern',
    );
  }
  if (!info || info instanceof Error)
    return {
      files: [],
      problems: info ? [unreadableProblem(inputPath, info)] : [],
      versions: [],
    };
  if (info.isDirectory())
    return orNoFilesProblem(
      await walkFolder({ name: inputPath, realPath }, options),
      inputPath,
      'the folder contains no *.yaml or *.yml file',
      'use the folder of your specs',
    );
  return {
    files: [{ name: inputPath, realPath, isRegular: info.isFile() }],
    problems: [],
    versions: [versionOf(info)],
  };
}

const orNoFilesProblem = (
  expansion: ExpandedRoot,
  inputPath: string,
  message: string,
  hint: string,
): ExpandedRoot =>
  expansion.files.length > 0 || expansion.problems.length > 0
    ? expansion
    : { ...expansion, problems: [fileProblem(inputPath, { message, hint })] };

/** A folder under the name that the user knows, and under its real path. */
interface Folder {
  name: string;
  realPath: string;
}

/** Lists all spec files below a folder, sorted by the bytes of their names. */
async function walkFolder(root: Folder, options: WalkOptions): Promise<ExpandedRoot> {
  const { realRoots, requireComplete, signal } = options;
  const files: ListedFile[] = [];
  const problems: Problem[] = [];
  const versions: string[] = [];
  const visitedFolders = new Set<string>();

  /**
   * Visits a folder and returns whether it contains specs. `ancestors` are the folders above it, which distinguish a
   * link loop from a folder with several links.
   */
  const visit = async (folder: Folder, ancestors: readonly string[]): Promise<boolean> => {
    signal?.throwIfAborted();
    if (ancestors.includes(folder.realPath)) {
      const message = 'the symbolic link points to one of its parent folders';
      problems.push(fileProblem(folder.name, { message, hint: 'remove the link' }));
      return true;
    }
    if (visitedFolders.has(folder.realPath) || files.length > MAX_FILES) return true;
    if (visitedFolders.size >= MAX_FOLDERS) {
      const message = `the paths contain more than ${MAX_FOLDERS} folders`;
      if (visitedFolders.size === MAX_FOLDERS)
        problems.push(fileProblem(folder.name, { message, hint: 'use a smaller folder' }));
      visitedFolders.add(folder.realPath);
      return true;
    }
    visitedFolders.add(folder.realPath);
    const entries = await readdir(folder.realPath, { withFileTypes: true }).catch(
      (error: NodeJS.ErrnoException) => {
        problems.push(unreadableProblem(folder.name, error));
        return undefined;
      },
    );
    const filesBefore = files.length;
    const subfolders: { name: string; hasSpecs: boolean }[] = [];
    for (const entry of entries ?? []) {
      if (entry.name.startsWith('.')) continue;
      const name = path.join(folder.name, entry.name);
      const resolved = await resolveEntry(entry, name, path.join(folder.realPath, entry.name));
      if (!resolved) continue;
      const { realPath, info } = resolved;
      if (info.isDirectory()) {
        const hasSpecs = await visit({ name, realPath }, [...ancestors, folder.realPath]);
        subfolders.push({ name, hasSpecs });
        versions.push(name, realPath);
      } else if (YAML_EXTENSION.test(entry.name)) {
        files.push({ name, realPath, isRegular: info.isFile() });
        versions.push(name, realPath, versionOf(info));
      }
    }
    const hasSpecs =
      !entries || files.length > filesBefore || subfolders.some((subfolder) => subfolder.hasSpecs);
    if (requireComplete && hasSpecs)
      for (const subfolder of subfolders)
        if (!subfolder.hasSpecs) problems.push(fileProblem(subfolder.name, EMPTY_SUBFOLDER));
    return hasSpecs;
  };

  /** Returns the target of a file, folder or link. Returns undefined for what cannot contain specs. */
  const resolveEntry = async (
    entry: Dirent,
    name: string,
    entryPath: string,
  ): Promise<{ realPath: string; info: BigIntStats } | undefined> => {
    const isYaml = YAML_EXTENSION.test(entry.name);
    if (!isYaml && !entry.isDirectory() && !entry.isSymbolicLink()) return undefined;
    const realPath = entry.isSymbolicLink() ? await realpath(entryPath).catch(toError) : entryPath;
    const info = realPath instanceof Error ? realPath : await statOrError(realPath);
    if (realPath instanceof Error || info instanceof Error) {
      const error = info as NodeJS.ErrnoException;
      // A dangling link matters if its name is that of a spec, or if each missing spec has consequences.
      if (isYaml || requireComplete || error.code === 'ELOOP') problems.push(unreadableProblem(name, error));
      return undefined;
    }
    if (!isYaml && !info.isDirectory()) return undefined;
    if (realRoots.some((realRoot) => isWithin(realRoot, realPath))) return { realPath, info };
    problems.push(fileProblem(name, LINK_LEAVES_ROOT));
    return undefined;
  };

  await visit(root, []);
  const byName = (a: ListedFile, b: ListedFile) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name));
  return { files: files.sort(byName), problems, versions };
}

const EMPTY_SUBFOLDER = {
  message: 'the folder contains no *.yaml or *.yml file, and --prune would remove what its specs declared',
  hint: 'mount or check out its files, or remove the folder',
};

const LINK_LEAVES_ROOT = {
  message: 'the symbolic link leads out of the folder, and is not followed',
  hint: 'add its target to the paths, or replace the link by a copy',
};

const isWithin = (folder: string, name: string): boolean =>
  name === folder || name.startsWith(folder.endsWith(path.sep) ? folder : folder + path.sep);

/** Returns a text that differs after each change of a file. */
const versionOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  [dev, ino, size, mtimeNs, ctimeNs].join(':');

const toError = (error: NodeJS.ErrnoException) => error;

const YAML_EXTENSION = /\.ya?ml$/;

async function readStdinFile(stdin: () => Promise<string | Uint8Array>): Promise<SpecFile | Problem> {
  const content = await stdin();
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  return bytes.length > MAX_FILE_BYTES ? tooLargeProblem('<stdin>') : { file: '<stdin>', bytes };
}

async function readListedFile({ name, realPath, isRegular }: ListedFile): Promise<SpecFile | Problem> {
  if (!isRegular) return notRegularProblem(name);
  try {
    // The file may have been replaced since it was listed. Opening a FIFO would wait for a writer, and reading a device
    // never ends: `O_NONBLOCK` prevents the wait, and only regular files are read. `O_NOFOLLOW` opens no link.
    const handle = await open(realPath, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    try {
      const info = await handle.stat();
      if (!info.isFile()) return notRegularProblem(name);
      const buffer = Buffer.alloc(Math.min(info.size, MAX_FILE_BYTES) + 1);
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
      return bytesRead > MAX_FILE_BYTES
        ? tooLargeProblem(name)
        : { file: name, bytes: buffer.subarray(0, bytesRead) };
    } finally {
      await handle.close();
    }
  } catch (error) {
    return unreadableProblem(name, error as NodeJS.ErrnoException);
  }
}

const notRegularProblem = (file: string): Problem =>
  fileProblem(file, {
    message: 'not a regular file',
    hint: 'use a regular file, or - with redirected standard input',
  });

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

const statOrError = (name: string) => stat(name, { bigint: true }).catch(toError);

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
