/** The outcome of a read, or undefined where AWS answers with an error that means "there is none". */
export async function ignoreErrors<T>(promise: Promise<T>, ...errorNames: string[]): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof Error && errorNames.includes(error.name)) return undefined;
    throw error;
  }
}
