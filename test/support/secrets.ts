/** What tests sign with: nothing that is printed, served or written may hold it. */
export const TEST_SECRET = 'test-secret-that-must-never-be-printed';

/** Variables that hold a credential. */
const SECRET_VARIABLES = /SECRET|TOKEN$|PASSWORD/;

/** @throws Error where a text holds what must never be shown: the secret of all tests, or one of an environment. */
export function assertNoSecrets(text: string, env: Record<string, string | undefined> = {}): string {
  const given = Object.entries(env).flatMap(([name, value]) => (SECRET_VARIABLES.test(name) && value) || []);
  for (const secret of [TEST_SECRET, ...given]) {
    const at = text.indexOf(secret);
    if (at >= 0) throw new Error(`a secret is shown: …${text.slice(Math.max(0, at - 200), at)}<secret>…`);
  }
  return text;
}
