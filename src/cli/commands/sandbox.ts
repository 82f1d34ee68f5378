import { once } from 'node:events';
import { EXIT } from '../../errors.ts';
import type { Io } from '../io.ts';
import { openSandbox } from '../open-sandbox.ts';
import type { SandboxCommandOptions } from '../options.ts';

/** `reconcile sandbox`: serve until a signal stops it. */
export async function runSandbox(
  options: SandboxCommandOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  const server = await openSandbox(options);
  io.stdout.write(
    `Sandbox listens on ${server.endpoint}  (AWS_ENDPOINT_URL=${server.endpoint}, any credentials; a 12-digit access key is the account)\n`,
  );
  if (!signal.aborted) await once(signal, 'abort');
  await server.close();
  return EXIT.ok;
}
