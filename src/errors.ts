/** Exit codes, as the command line documents them. */
export const EXIT = {
  ok: 0,
  failed: 1,
  changes: 2,
  refused: 3,
  credentials: 4,
  usage: 64,
  specs: 65,
  hungUp: 129,
  interrupted: 130,
  terminated: 143,
} as const;

/**
 * An error whose message is shown to the user unchanged, with the exit code of the run. Any other exception is a fault
 * of replikey.
 */
export class UserError extends Error {
  readonly exitCode: number;

  constructor(exitCode: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UserError';
    this.exitCode = exitCode;
  }
}

/** Returns the operating system's reason for an error, without the code and the call that Node adds. */
export const systemErrorReason = ({ message }: Error): string =>
  /^(?:\w+ )?E[A-Z0-9]+: (.+?)(?:, \w+(?: '.*)?)?$/s.exec(message)?.[1] ?? message;
