/** In characters: what AWS says is shorter, and what is longer is no use to anybody. */
const MOST = 2_000;

/**
 * An error of AWS without what it repeats of the request, and no longer than anybody reads. Where a signature does not match,
 * IAM, STS and KMS tell behind an empty line what they would have signed, and with it the header that holds the session token.
 */
export function withoutEcho(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { message, name, stack } = error;
  const [paragraph = ''] = message.split(/\r?\n\s*\n/, 1);
  const said = cut(paragraph);
  if (name.length > MOST) error.name = cut(name);
  if (said === message) return error;
  error.message = said;
  if (stack !== undefined) error.stack = stack.replace(message, () => said);
  return error;
}

const cut = (text: string): string => (text.length <= MOST ? text : `${text.slice(0, MOST)}…`);
