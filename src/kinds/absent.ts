/** The outcome of a read, or undefined where AWS answers with an error that means "there is none". */
export async function orAbsent<T>(read: Promise<T>, ...codes: string[]): Promise<T | undefined> {
  try {
    return await read;
  } catch (error) {
    if (error instanceof Error && codes.includes(error.name)) return undefined;
    throw error;
  }
}
