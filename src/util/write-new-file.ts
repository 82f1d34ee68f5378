import { link, mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { EXIT, UserError } from '../errors.ts';
import { systemErrorReason } from './system-error.ts';

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
