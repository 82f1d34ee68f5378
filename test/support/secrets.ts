/** The secret key of all tests. No output, response or file may contain it. */
export const TEST_SECRET = 'test-secret-that-must-never-be-printed';

/** Names of variables with credentials. */
const SECRET_VARIABLES = /SECRET|TOKEN$|PASSWORD/;

/** @throws Error if a text contains the secret of the tests or of an environment. */
export function assertNoSecrets(text: string, env: Record<string, string | undefined> = {}): string {
  const environmentSecrets = Object.entries(env).flatMap(
    ([name, value]) => (SECRET_VARIABLES.test(name) && value) || [],
  );
  for (const secret of [TEST_SECRET, ...environmentSecrets]) {
    const at = text.indexOf(secret);
    if (at >= 0) throw new Error(`a secret is shown: …${text.slice(Math.max(0, at - 200), at)}<secret>…`);
  }
  return text;
}
