import { readSync } from 'node:fs';
import fs, { type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { crc32 } from 'node:zlib';

/** The functions of `node:fs/promises` that write to the disk. Tests pass functions that fail. */
export type FileSystem = Pick<typeof fs, 'open' | 'rename' | 'rm'>;

export const defaultFileSystem: FileSystem = fs;

/** A change of an entry: its key, and its new value as JSON text; undefined removes the entry. */
export type JournalChange = [key: string, value: string | undefined];

/** Entries (JSON values by key) in an append-only file. A commit is durable and atomic. */
export interface Journal {
  keys(): Iterable<string>;
  has(key: string): boolean;
  /**
   * Returns the committed value of an entry as JSON text.
   *
   * @throws Error when the disk returns other bytes than the journal wrote.
   */
  read(key: string): string | undefined;
  /** Writes changes as one commit, with one fsync. Run one commit at a time. After an error no change is in effect. */
  commit(changes: readonly JournalChange[]): Promise<void>;
  /** Rewrites the file without obsolete lines, if they are more than half of it. Never runs beside a commit. */
  compactIfNeeded(): Promise<void>;
  close(): Promise<void>;
}

export interface JournalOptions {
  fileSystem: FileSystem;
  /** Throws when another process has taken over the folder: this one must not write any more. */
  assertLocked(): void;
  /** Bytes of obsolete lines from which the journal is compacted; default: 4 MiB. */
  minObsoleteBytes?: number;
}

/**
 * Format of the journal: JSON Lines. The first line contains the format version. Each line is an array:
 *
 *     ["CRC-32 of the rest of the line", commit number, remaining lines of the commit, key, value]
 *
 * The value `null` removes the entry. The last line of a key is its current value.
 */
const JOURNAL_FORMAT = 2;

const FORMAT_KEY = 'format';

/** Length of the checksum with its bracket, quotes and comma. */
const CHECKSUM_LENGTH = '["01234567",'.length;

/** Bytes of obsolete lines below which the journal is not compacted. */
const MIN_OBSOLETE_BYTES = 4 * 1024 * 1024;

const COPY_CHUNK_BYTES = 1024 * 1024;

/** Position of a line in the file, in bytes. */
interface LinePosition {
  offset: number;
  length: number;
}

interface Line {
  commit: number;
  remaining: number;
  key: string;
  /** JSON text; undefined if the line removes the entry. */
  value: string | undefined;
}

interface Contents {
  positions: Map<string, LinePosition>;
  /** Bytes up to the end of the last complete commit. */
  size: number;
  lastCommit: number;
}

/**
 * Opens the journal of a folder, or creates it. An incomplete commit at the end was never acknowledged, and is
 * removed.
 *
 * @throws Error when a line before the last commit is damaged, or when another version wrote the file.
 */
export async function openJournal(folder: string, options: JournalOptions): Promise<Journal> {
  const { fileSystem, assertLocked, minObsoleteBytes = MIN_OBSOLETE_BYTES } = options;
  const file = path.join(folder, 'journal.jsonl');
  const compactedFile = `${file}.new`;
  await fileSystem.rm(compactedFile, { force: true });
  let handle = await openIfExists(file, fileSystem);
  let contents: Contents = { positions: new Map(), size: 0, lastCommit: 0 };
  let liveBytes = 0;
  /** Size of the file from which a compaction is worth another attempt. */
  let minCompactionSize = 0;
  /** Bytes of a failed commit can exist after `contents.size`. */
  let isTailDirty = false;
  /** The rename of the current file can be lost in a crash. */
  let isRenameDurable = true;

  const readLine = (position: LinePosition): Line => {
    if (!handle) throw new Error(`${file} is closed`);
    const bytes = Buffer.alloc(position.length);
    const bytesRead = readSync(handle.fd, bytes, 0, position.length, position.offset);
    const line = decodeLine(bytes.subarray(0, bytesRead));
    if (!line) throw damageError(file, position.offset);
    return line;
  };

  function setPosition(key: string, position: LinePosition | undefined): void {
    liveBytes += (position?.length ?? 0) - (contents.positions.get(key)?.length ?? 0);
    if (position) contents.positions.set(key, position);
    else contents.positions.delete(key);
  }

  /** Writes all entries to a new file, and replaces the journal with it. */
  async function rewrite(): Promise<void> {
    const compacted: Contents = { positions: new Map(), size: 0, lastCommit: 0 };
    const newHandle = await fileSystem.open(compactedFile, 'w+', 0o600);
    try {
      let chunk: Buffer[] = [];
      let chunkBytes = 0;
      const writeChunk = async () => {
        await writeFully(newHandle, Buffer.concat(chunk), compacted.size - chunkBytes);
        chunk = [];
        chunkBytes = 0;
      };
      const add = async (key: string, value: string) => {
        const bytes = encodeLine({ commit: ++compacted.lastCommit, remaining: 0, key, value });
        compacted.positions.set(key, { offset: compacted.size, length: bytes.length });
        compacted.size += bytes.length;
        chunk.push(bytes);
        chunkBytes += bytes.length;
        if (chunkBytes >= COPY_CHUNK_BYTES) await writeChunk();
      };
      await add(FORMAT_KEY, String(JOURNAL_FORMAT));
      for (const [key, position] of contents.positions) {
        const { value } = key === FORMAT_KEY ? { value: undefined } : readLine(position);
        if (value !== undefined) await add(key, value);
      }
      await writeChunk();
      await newHandle.sync();
      assertLocked();
      await fileSystem.rename(compactedFile, file);
    } catch (error) {
      await newHandle.close().catch(() => {});
      await fileSystem.rm(compactedFile, { force: true }).catch(() => {});
      throw error;
    }
    // From here on the new file is the journal. No commit is acknowledged before the rename is durable.
    const oldHandle = handle;
    handle = newHandle;
    contents = compacted;
    liveBytes = compacted.size;
    isTailDirty = false;
    isRenameDurable = false;
    await oldHandle?.close().catch(() => {});
    await makeRenameDurable();
  }

  async function makeRenameDurable(): Promise<void> {
    if (isRenameDurable) return;
    await syncFolder(folder, fileSystem);
    isRenameDurable = true;
  }

  async function removeTail(): Promise<void> {
    if (!isTailDirty) return;
    await handle?.truncate(contents.size);
    isTailDirty = false;
  }

  try {
    if (handle) {
      contents = readContents(handle.fd, file);
      const { size } = await handle.stat();
      if (size > contents.size) await handle.truncate(contents.size);
    } else await rewrite();
    liveBytes = [...contents.positions.values()].reduce((total, { length }) => total + length, 0);
  } catch (error) {
    await handle?.close().catch(() => {});
    throw error;
  }

  return {
    *keys() {
      for (const key of contents.positions.keys()) if (key !== FORMAT_KEY) yield key;
    },
    has: (key) => contents.positions.has(key),
    read(key) {
      const position = contents.positions.get(key);
      return position && readLine(position).value;
    },
    async commit(changes) {
      if (!handle) throw new Error(`${file} is closed`);
      if (changes.length === 0) return;
      const commit = contents.lastCommit + 1;
      const lines = changes.map(([key, value], index) =>
        encodeLine({ commit, remaining: changes.length - 1 - index, key, value }),
      );
      assertLocked();
      await makeRenameDurable();
      await removeTail();
      try {
        await writeFully(handle, Buffer.concat(lines), contents.size);
        await handle.datasync();
      } catch (error) {
        isTailDirty = true;
        await removeTail().catch(() => {});
        throw error;
      }
      for (const [index, bytes] of lines.entries()) {
        const [key, value] = changes[index] ?? [''];
        setPosition(key, value === undefined ? undefined : { offset: contents.size, length: bytes.length });
        contents.size += bytes.length;
      }
      contents.lastCommit = commit;
    },
    async compactIfNeeded() {
      const obsoleteBytes = contents.size - liveBytes;
      if (obsoleteBytes <= Math.max(minObsoleteBytes, liveBytes) || contents.size < minCompactionSize) return;
      try {
        await rewrite();
      } catch {
        // The journal is still complete. A full disk makes commits fail, and they report it.
        minCompactionSize = contents.size + minObsoleteBytes;
      }
    },
    async close() {
      // Without another write: another process may have taken over the folder.
      const closing = handle;
      handle = undefined;
      await closing?.close();
    },
  };
}

const damageError = (file: string, offset: number): Error =>
  new Error(`${file} is damaged at byte ${offset}: restore the folder from a backup, or use another folder`);

/** Checks the first line of a journal. A new journal gets its name when this line is durable. */
function checkFormat(file: string, line: Line | undefined): void {
  if (line?.key !== FORMAT_KEY) throw damageError(file, 0);
  if (line.value !== String(JOURNAL_FORMAT))
    throw new Error(
      `${file} was written by another version of the sandbox (format ${line.value}): use another folder`,
    );
}

function encodeLine({ commit, remaining, key, value }: Line): Buffer {
  const text = `["00000000",${commit},${remaining},${JSON.stringify(key)},${value ?? 'null'}]\n`;
  const bytes = Buffer.from(text);
  bytes.write(checksumOf(bytes), 2, 'latin1');
  return bytes;
}

/** Returns the CRC-32 of a line after its checksum and without its line feed, as 8 hexadecimal digits. */
const checksumOf = (line: Buffer): string =>
  crc32(line.subarray(CHECKSUM_LENGTH, -1)).toString(16).padStart(8, '0');

/** Decodes a line with its line feed; undefined if it is incomplete, or if its checksum differs. */
function decodeLine(bytes: Buffer): Line | undefined {
  if (bytes.at(-1) !== 0x0a || bytes.toString('latin1', 2, 10) !== checksumOf(bytes)) return undefined;
  const [, commit, remaining, key = '""', value] =
    /^(\d+),(\d+),("(?:[^"\\]|\\.)*"),(.*)\]\n$/s.exec(bytes.toString('utf8', CHECKSUM_LENGTH)) ?? [];
  if (value === undefined) return undefined;
  return {
    commit: Number(commit),
    remaining: Number(remaining),
    key: JSON.parse(key) as string,
    value: value === 'null' ? undefined : value,
  };
}

/**
 * Reads a journal. A crash can leave only the last commit incomplete, because the journal syncs each commit before it
 * writes the next one. Anything else is damage.
 */
function readContents(fd: number, file: string): Contents {
  const contents: Contents = { positions: new Map(), size: 0, lastCommit: 0 };
  let commitLines: { line: Line; position: LinePosition }[] = [];
  let damagedOffset: number | undefined;
  for (const { bytes, offset } of linesOf(fd)) {
    const line = decodeLine(bytes);
    const commit = contents.lastCommit + 1;
    const previousRemaining = commitLines.at(-1)?.line.remaining;
    if (offset === 0) checkFormat(file, line);
    const isNext =
      line?.commit === commit &&
      (previousRemaining === undefined || line.remaining === previousRemaining - 1) &&
      damagedOffset === undefined;
    if (!line || !isNext) {
      damagedOffset ??= offset;
      if (line && line.commit > commit) throw damageError(file, damagedOffset);
      continue;
    }
    commitLines.push({ line, position: { offset, length: bytes.length } });
    if (line.remaining > 0) continue;
    for (const { line: committed, position } of commitLines) {
      if (committed.value === undefined) contents.positions.delete(committed.key);
      else contents.positions.set(committed.key, position);
    }
    contents.size = offset + bytes.length;
    contents.lastCommit = commit;
    commitLines = [];
  }
  return contents;
}

/** Reads the lines of a file, each with its line feed. The last line can be without one; an empty file has one line. */
function* linesOf(fd: number): Generator<{ bytes: Buffer; offset: number }> {
  let rest: Buffer[] = [];
  let offset = 0;
  const chunk = Buffer.alloc(COPY_CHUNK_BYTES);
  for (let position = 0; ; ) {
    const length = readSync(fd, chunk, 0, chunk.length, position);
    if (length === 0) break;
    position += length;
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0 && end < length; end = chunk.indexOf(0x0a, start)) {
      const bytes = Buffer.concat([...rest, chunk.subarray(start, end + 1)]);
      yield { bytes, offset };
      offset += bytes.length;
      rest = [];
      start = end + 1;
    }
    if (start < length) rest.push(Buffer.from(chunk.subarray(start, length)));
  }
  if (rest.length > 0 || offset === 0) yield { bytes: Buffer.concat(rest), offset };
}

async function openIfExists(file: string, fileSystem: FileSystem): Promise<FileHandle | undefined> {
  try {
    return await fileSystem.open(file, 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Writes all bytes. A full disk can accept only a part, and then rejects the rest. */
async function writeFully(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}

/** Creates a file that does not exist, and syncs it. Removes it after an error. */
export async function writeNewFileDurably(
  file: string,
  bytes: Buffer,
  fileSystem: FileSystem,
): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await fileSystem.open(file, 'wx', 0o600);
    await writeFully(handle, bytes, 0);
    await handle.sync();
    await handle.close();
  } catch (error) {
    await handle?.close().catch(() => {});
    await fileSystem.rm(file, { force: true }).catch(() => {});
    throw error;
  }
}

/** Makes the creation, rename and removal of files in a folder durable. */
export async function syncFolder(folder: string, fileSystem: FileSystem): Promise<void> {
  const handle = await fileSystem.open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
