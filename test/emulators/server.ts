import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { vi } from 'vitest';

export interface Emulator extends AsyncDisposable {
  endpoint: string;
}

export interface EmulatorCommand {
  program: string;
  args(port: number): string[];
  env?(port: number): Record<string, string>;
  /** Path that returns 200 as soon as the emulator is ready. */
  health: string;
}

/** Starts an emulator in its own folder and process group, and waits until it is ready. */
export async function startEmulator({ program, args, env, health }: EmulatorCommand): Promise<Emulator> {
  const port = await freePort();
  const home = await mkdtemp(path.join(tmpdir(), 'replikey-emulator-'));
  const child = spawn(program, args(port), {
    cwd: home,
    env: { PATH: process.env.PATH ?? '', HOME: home, TMPDIR: home, ...env?.(port) },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-4000);
    });
  }
  const kill = () => {
    // Kills the process group, which includes the children of the emulator.
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, 'SIGKILL');
  };
  process.once('exit', kill);
  const emulator = {
    endpoint: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      process.off('exit', kill);
      const exited = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined;
      kill();
      await exited;
      await rm(home, { recursive: true, force: true });
    },
  };
  try {
    await vi.waitFor(
      async () => {
        const response = await fetch(emulator.endpoint + health).catch(() => undefined);
        if (response?.status !== 200 && child.exitCode === null) throw new Error('the emulator is not ready');
      },
      { timeout: 90_000, interval: 100 },
    );
    if (child.exitCode !== null) throw new Error(`the emulator exited with ${child.exitCode}`);
    return emulator;
  } catch (error) {
    await emulator[Symbol.asyncDispose]();
    throw new Error(`${program} is not ready:\n${output}`, { cause: error });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
