import { describeError } from '../aws/describe-error.ts';
import type { Fact } from '../core/observed.ts';
import { UserError } from '../errors.ts';

/** What was read; null where the answer says that there is none; the reason where it cannot be read. */
export async function fact<T>(
  answer: Promise<T>,
  operation: string,
  at: { region: string },
  ...absent: string[]
): Promise<Fact<T>> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (error instanceof Error && absent.includes(error.name)) return null;
    return { unread: describeError(error, operation, at) };
  }
}
