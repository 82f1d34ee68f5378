import { once } from 'node:events';
import type { SandboxOptions } from '../cli.ts';
import { EXIT, UserError } from '../errors.ts';
import { startSandbox } from '../sandbox/server.ts';
import type { Io } from './io.ts';

/** `reconcile sandbox`: serve until a signal stops it. */
export async function sandbox(options: SandboxOptions, io: Io, signal: AbortSignal): Promise<number> {
  const server = await startSandbox(options).catch((error: Error) => {
    throw new UserError(EXIT.failed, `the sandbox cannot start: ${error.message}`, { cause: error });
  });
  io.stdout.write(
    `Sandbox listens on ${server.endpoint}  (AWS_ENDPOINT_URL=${server.endpoint}, any credentials; a 12-digit access key is the account)\n`,
  );
  if (!signal.aborted) await once(signal, 'abort');
  await server.close();
  return EXIT.ok;
}
