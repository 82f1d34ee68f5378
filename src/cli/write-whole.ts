import { rename, rm, writeFile } from 'node:fs/promises';
import { EXIT, UserError } from '../errors.ts';
import { systemReason } from './system-reason.ts';

/**
 * Write a file so that nobody ever sees a part of it, for its owner alone: what is said of an account is not everybody's.
 *
 * @throws UserError where it cannot be written; what was there before is then still there.
 */
export async function writeWhole(file: string, text: string): Promise<void> {
  const aside = `${file}.${process.pid}.tmp`;
  try {
    await writeFile(aside, text, { mode: 0o600, flag: 'wx' });
    await rename(aside, file);
  } catch (error) {
    await rm(aside, { force: true }).catch(() => undefined);
    throw new UserError(EXIT.usage, `${file} cannot be written: ${systemReason(error as Error)}`, {
      cause: error,
    });
  }
}
