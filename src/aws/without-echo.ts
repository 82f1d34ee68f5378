/** In characters: what AWS says is shorter, and what is longer is no use to anybody. */
const MAX_MESSAGE_LENGTH = 2_000;

/**
 * An error of AWS without what it repeats of the request, and no longer than anybody reads. Where a signature does not match,
 * IAM, STS and KMS tell behind an empty line what they would have signed, and with it the header that holds the session token.
 */
export function redactError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { message, name, stack } = error;
  const [paragraph = ''] = message.split(/\r?\n\s*\n/, 1);
  const redacted = truncateMessage(paragraph);
  if (name.length > MAX_MESSAGE_LENGTH) error.name = truncateMessage(name);
  if (redacted === message) return error;
  error.message = redacted;
  if (stack !== undefined) error.stack = stack.replace(message, () => redacted);
  return error;
}

const truncateMessage = (text: string): string =>
  text.length <= MAX_MESSAGE_LENGTH ? text : `${text.slice(0, MAX_MESSAGE_LENGTH)}…`;
