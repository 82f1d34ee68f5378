/**
 * What a run can end with, besides success. Everything else that is thrown is a fault of replikey itself.
 */

/** Exit codes, as the command line promises them. */
export const EXIT = {
  ok: 0,
  failed: 1,
  changes: 2,
  refused: 3,
  credentials: 4,
  usage: 64,
  specs: 65,
  interrupted: 130,
  terminated: 143,
} as const;

/** An error that is told to the user as it stands, and the exit code that goes with it. */
export class UserError extends Error {
  readonly exitCode: number;

  constructor(exitCode: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UserError';
    this.exitCode = exitCode;
  }
}

/** Why the system refused, in its own words, without the code and the call that Node puts around them. */
export const systemErrorReason = ({ message }: Error): string =>
  /^(?:\w+ )?E[A-Z0-9]+: (.+?)(?:, \w+(?: '.*)?)?$/s.exec(message)?.[1] ?? message;
