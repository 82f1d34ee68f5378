import { EXIT, UserError } from '../errors.ts';
import { createAbortController } from '../util/clock.ts';
import type { Io } from './command-model.ts';

const SIGNAL_EXIT_CODES = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated, SIGHUP: EXIT.hungUp };

/**
 * Runs a command that the first SIGINT, SIGTERM or SIGHUP asks to stop. The command then starts no new work, finishes
 * the call in flight and reports its state. A second signal other than SIGHUP ends the process immediately. As PID 1 of a container, a
 * process without these handlers would ignore SIGINT and SIGTERM. With `untilStopped`, a signal is the regular end, not
 * an interruption: the command reports it in its log. SIGHUP does not end such a command, which reads its input again.
 */
export async function runInterruptible(
  io: Io,
  body: (signal: AbortSignal) => Promise<number>,
  { untilStopped = false } = {},
): Promise<number> {
  const controller = createAbortController();
  let code: number | undefined;
  const handlers = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map((name) => {
    const handler = () => {
      // A closed terminal causes two SIGHUP: the kernel and the shell send one each.
      if (name === 'SIGHUP' && (untilStopped || code !== undefined)) return;
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
    // An error caused by the interruption needs no message. A failure to save state at the end does.
    const isUnrelated = error instanceof UserError && !(error.cause instanceof InterruptedError);
    if (code === undefined || isUnrelated) throw error;
    throw new UserError(code, 'Interrupted: no call is in flight; run the command again to continue.', {
      cause: error,
    });
  } finally {
    for (const [name, handler] of handlers) io.off(name, handler);
  }
}

export class InterruptedError extends Error {
  /** The message to show when the signal arrives. */
  readonly notice: string;

  constructor(signal: string) {
    super(`interrupted by ${signal}`);
    this.name = 'Interrupted';
    this.notice = `${signal}: finishing calls in flight; ${signal === 'SIGHUP' ? 'SIGTERM' : 'a second signal'} exits immediately`;
  }
}
