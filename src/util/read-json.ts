import { readFile } from 'node:fs/promises';
import { EXIT, UserError } from '../errors.ts';
import { systemErrorReason } from './system-error.ts';

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
