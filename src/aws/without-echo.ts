/**
 * An error of AWS without what it repeats of the request. Where a signature does not match, IAM, STS and KMS tell behind an
 * empty line what they would have signed, and with it the header that holds the session token.
 */
export function withoutEcho(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { message } = error;
  const [said = ''] = message.split(/\r?\n\s*\n/);
  if (said === message) return error;
  const { stack } = error;
  error.message = said;
  if (stack !== undefined) error.stack = stack.replace(message, () => said);
  return error;
}
