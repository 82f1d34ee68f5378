/** Why the system refused, in its own words, without the code and the call that Node puts around them. */
export const systemErrorReason = ({ message }: Error): string =>
  /^(?:\w+ )?E[A-Z0-9]+: (.+?)(?:, \w+(?: '.*)?)?$/s.exec(message)?.[1] ?? message;
