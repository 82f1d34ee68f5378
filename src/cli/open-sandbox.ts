import { EXIT, UserError } from '../errors.ts';
import { type Sandbox, type SandboxOptions, startSandbox } from '../sandbox/server.ts';

/**
 * Start a sandbox for a user.
 *
 * @throws UserError when its port or its folder cannot be used.
 */
export async function openSandbox(options: SandboxOptions): Promise<Sandbox> {
  try {
    return await startSandbox(options);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why =
      code === 'EADDRINUSE'
        ? `port ${options.port} of ${options.host} is in use; choose another with --port (0 takes any free one)`
        : message;
    throw new UserError(EXIT.failed, `the sandbox cannot start: ${why}`, { cause: error });
  }
}
