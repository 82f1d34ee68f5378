import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { EXIT, systemErrorReason, UserError } from '../errors.ts';

/**
 * Write a file so that nobody ever sees a part of it, for its owner alone: what is said of an account is not everybody's.
 *
 * @throws UserError where it cannot be written; what was there before is then still there.
 */
export async function writeFileAtomic(file: string, text: string): Promise<void> {
  const temporaryFile = `${file}.${process.pid}.tmp`;
  try {
    await writeFile(temporaryFile, text, { mode: 0o600, flag: 'wx' });
    await rename(temporaryFile, file);
  } catch (error) {
    await rm(temporaryFile, { force: true }).catch(() => undefined);
    throw new UserError(EXIT.usage, `${file} cannot be written: ${systemErrorReason(error as Error)}`, {
      cause: error,
    });
  }
}

/**
 * Write a file that does not exist yet, with the folders above it, so that nobody ever sees a part of it. What is there is
 * never written over, also where it appears meanwhile: a link is not made in the place of another file.
 *
 * @returns whether it was written: not where there is one already.
 * @throws UserError where it cannot be written.
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
    throw new UserError(EXIT.usage, `${file} cannot be written: ${systemErrorReason(error as Error)}`, {
      cause: error,
    });
  } finally {
    await rm(temporaryFile, { force: true }).catch(() => undefined);
  }
}

/** @throws UserError where the file cannot be read, or is not JSON. */
export async function readJson(file: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new UserError(EXIT.usage, `${file} cannot be read: ${systemErrorReason(error as Error)}`, {
      cause: error,
    });
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError(EXIT.usage, `${file} is not JSON: ${(error as Error).message}`, { cause: error });
  }
}
