import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { EXIT, systemErrorReason, UserError } from '../errors.ts';

/**
 * Writes a file atomically, readable by its owner only, because it contains data of an account.
 *
 * @throws UserError when it cannot be written; the previous file then stays.
 */
export async function writeFileAtomic(file: string, text: string): Promise<void> {
  const temporaryFile = `${file}.${process.pid}.tmp`;
  try {
    await writeFile(temporaryFile, text, { mode: 0o600, flag: 'wx' });
    await rename(temporaryFile, file);
  } catch (error) {
    await rm(temporaryFile, { force: true }).catch(() => undefined);
    throw new UserError(EXIT.usage, `cannot write ${file}: ${systemErrorReason(error as Error)}`, {
      cause: error,
    });
  }
}

/**
 * Creates a file atomically, with its parent folders. It never overwrites an existing file, even if that appears
 * meanwhile: link() fails when the target exists.
 *
 * @returns false when the file already exists.
 *
 * @throws UserError when it cannot be written.
 */
export async function writeNewFile(file: string, text: string): Promise<boolean> {
  const temporaryFile = `${file}.${process.pid}.tmp`;
  try {
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(temporaryFile, text, { flag: 'wx' });
    await link(temporaryFile, file);
    return true;
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && syscall === 'link') return false;
    throw new UserError(EXIT.usage, `cannot write ${file}: ${systemErrorReason(error as Error)}`, {
      cause: error,
    });
  } finally {
    await rm(temporaryFile, { force: true }).catch(() => undefined);
  }
}

/**
 * Reads and parses a JSON file.
 *
 * @throws UserError when the file cannot be read, or is not JSON.
 */
export async function readJson(file: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new UserError(EXIT.usage, `cannot read ${file}: ${systemErrorReason(error as Error)}`, {
      cause: error,
    });
  }
  return parseJson(text, file);
}

/** Reads and parses a JSON file, like `readJson`. Returns undefined for a file that does not exist. */
export async function readJsonIfExists(file: string): Promise<unknown> {
  return readJson(file).catch((error: Error) => {
    if ((error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return undefined;
    throw error;
  });
}

/**
 * Parses the JSON of a file.
 *
 * @throws UserError when it is not JSON. The message shows none of the text, which may be a file of credentials.
 */
export function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const [, offset] = /at position (\d+)/.exec((error as Error).message) ?? [];
    const position = offset === undefined ? '' : ` at character ${Number(offset) + 1}`;
    throw new UserError(
      EXIT.usage,
      `invalid JSON in ${file}: syntax error${position}; check that it is the right file`,
    );
  }
}
