import { EXIT, systemErrorReason, UserError } from '../errors.ts';
import { type Sandbox, type SandboxOptions, startSandbox } from '../sandbox/server.ts';

/**
 * Start a sandbox for a user.
 *
 * @throws UserError when its port or its folder cannot be used; closing it throws one when its state cannot be kept.
 */
export async function openSandbox(options: SandboxOptions): Promise<Sandbox> {
  try {
    const sandbox = await startSandbox(options);
    return { ...sandbox, close: () => sandbox.close().catch(throwStateNotSaved) };
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException;
    const reason =
      code === 'EADDRINUSE'
        ? `port ${options.port} of ${options.host} is in use; choose another with --port (0 takes any free one)`
        : `${path === undefined ? '' : `${path}: `}${systemErrorReason(error as Error)}`;
    throw new UserError(EXIT.failed, `the sandbox cannot start: ${reason}`, { cause: error });
  }
}

function throwStateNotSaved(error: Error): never {
  throw new UserError(EXIT.failed, `the sandbox's state cannot be kept: ${systemErrorReason(error)}`, {
    cause: error,
  });
}
