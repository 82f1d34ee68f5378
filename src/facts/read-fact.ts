import { formatAwsError } from '../aws/errors.ts';
import type { Fact } from '../core/facts.ts';
import { UserError } from '../errors.ts';

/** What was read; null where the answer says that there is none; the reason where it cannot be read. */
export async function readFact<T>(
  response: Promise<T>,
  operation: string,
  location: { region: string },
  ...absentErrors: string[]
): Promise<Fact<T>> {
  try {
    return await response;
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (error instanceof Error && absentErrors.includes(error.name)) return null;
    return { unread: formatAwsError(error, operation, location) };
  }
}
