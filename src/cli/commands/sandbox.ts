import { once } from 'node:events';
import { EXIT, systemErrorReason, UserError } from '../../errors.ts';
import type { Sandbox, SandboxOptions } from '../../sandbox/server.ts';
import type { CommandDefinition } from '../command-model.ts';
import { parsePort } from '../options.ts';

interface SandboxCommandOptions {
  host: string;
  port: number;
  state?: string;
}

/** Serves an emulated AWS until a signal stops it. */
export const sandboxCommand: CommandDefinition = {
  name: 'sandbox',
  summary: 'serve an AWS emulator on this machine',
  description: 'serve an AWS emulator on this machine until stopped',
  examples: [
    ['reconcile sandbox', 'keep the state in memory'],
    ['reconcile sandbox --state .replikey/sandbox', 'keep the state between runs'],
  ],
  configure: (command) =>
    command
      .option('--host <host>', 'address to listen on', '127.0.0.1')
      .option('--port <port>', 'port to listen on; 0 for any free port', parsePort, 4566)
      .option('--state <dir>', 'folder for the state (default: in memory)'),
  async run({ io, signal }, options: SandboxCommandOptions) {
    const server = await openSandbox({ ...options, onError: (message) => io.stderr.write(`${message}\n`) });
    io.stdout.write(
      `Sandbox listens on ${server.endpoint}  (AWS_ENDPOINT_URL=${server.endpoint}, any credentials; a 12-digit access key id sets the account)\n`,
    );
    if (!signal.aborted) await once(signal, 'abort');
    await server.close();
    return EXIT.ok;
  },
};

/**
 * Starts a sandbox for a user.
 *
 * @throws UserError when its port or its folder cannot be used. `close` throws one when the sandbox cannot save its
 * state.
 */
export async function openSandbox(options: SandboxOptions): Promise<Sandbox> {
  const { startSandbox } = await import('../../sandbox/server.ts');
  try {
    const sandbox = await startSandbox(options);
    return { ...sandbox, close: () => sandbox.close().catch(throwStateNotSaved) };
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException;
    const reason =
      code === 'EADDRINUSE'
        ? `port ${options.port} of ${options.host} is in use; choose another with --port (0 for any free port)`
        : `${path === undefined ? '' : `${path}: `}${systemErrorReason(error as Error)}`;
    throw new UserError(EXIT.failed, `cannot start the sandbox: ${reason}`, { cause: error });
  }
}

function throwStateNotSaved(error: Error): never {
  throw new UserError(EXIT.failed, `cannot save the sandbox state: ${systemErrorReason(error)}`, {
    cause: error,
  });
}
