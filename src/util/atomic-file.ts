import { rename, rm, writeFile } from 'node:fs/promises';
import { EXIT, UserError } from '../errors.ts';
import { systemErrorReason } from './system-error.ts';

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
