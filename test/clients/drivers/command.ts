import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/**
 * Runs a command-line client, and returns its standard output.
 *
 * @throws Error with the output of the client when its exit code is not 0.
 */
export async function runCommand(
  program: string,
  args: string[],
  { folder, env = {} }: { folder: string; env?: Record<string, string> },
): Promise<Buffer> {
  const { stdout } = await promisify(execFile)(program, args, {
    cwd: folder,
    env: { PATH: process.env.PATH ?? '', HOME: folder, LC_ALL: 'C.UTF-8', ...env },
    encoding: 'buffer',
    maxBuffer: 64 * 1024 * 1024,
  }).catch((error: Error & { stdout?: Buffer; stderr?: Buffer }) => {
    const output = [error.stderr, error.stdout].map((bytes) => String(bytes ?? '').trim()).filter(Boolean);
    throw new Error(`${program} ${args.join(' ')}: ${output.join(' ') || error.message}`);
  });
  return stdout;
}
