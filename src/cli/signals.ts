import { EXIT, UserError } from '../errors.ts';
import type { Io } from './command-model.ts';

const SIGNAL_EXIT_CODES = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated };

/**
 * Run a command so that the first SIGINT or SIGTERM asks it to stop: it starts nothing new, finishes the call in flight
 * and says where things stand. A second one ends the process at once. As PID 1 of a container a process without these
 * handlers would ignore both. `untilStopped`: a signal is how it ends, and no interruption; it tells of it in its log.
 */
export async function runInterruptible(
  io: Io,
  body: (signal: AbortSignal) => Promise<number>,
  { untilStopped = false } = {},
): Promise<number> {
  const controller = new AbortController();
  let code: number | undefined;
  const handlers = (['SIGINT', 'SIGTERM'] as const).map((name) => {
    const handler = () => {
      if (code !== undefined) io.exit(SIGNAL_EXIT_CODES[name]);
      code = SIGNAL_EXIT_CODES[name];
      const reason = new InterruptedError(name);
      if (!untilStopped) io.stderr.write(`${reason.notice}.\n`);
      controller.abort(reason);
    };
    io.on(name, handler);
    return [name, handler] as const;
  });
  try {
    const result = await body(controller.signal);
    return untilStopped ? result : (code ?? result);
  } catch (error) {
    // What fails because it was interrupted is not worth a message of its own; what cannot be kept at the end is.
    const isUnrelated = error instanceof UserError && !(error.cause instanceof InterruptedError);
    if (code === undefined || isUnrelated) throw error;
    throw new UserError(code, 'Interrupted: nothing is in flight any more; run it again to go on.', {
      cause: error,
    });
  } finally {
    for (const [name, handler] of handlers) io.off(name, handler);
  }
}

export class InterruptedError extends Error {
  /** What is said when the signal comes. */
  readonly notice: string;

  constructor(signal: string) {
    super(`interrupted by ${signal}`);
    this.name = 'Interrupted';
    this.notice = `${signal}: finishing what is in flight; a second one ends it at once`;
  }
}
