import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { MAIN } from '../support/cli.ts';
import { startController } from '../support/controller-process.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-health-'));
  await writeFile(path.join(folder, 'spec.yaml'), TAX_SPEC);
});
afterEach(() => rm(folder, { recursive: true }));

/** Runs the HEALTHCHECK of the image, without any environment variable. */
async function checkHealth(pid: number | undefined): Promise<{ code: number; text: string }> {
  const script = path.join(path.dirname(MAIN), 'healthcheck.js');
  const child = spawn(process.execPath, [script, String(pid)], { env: {} });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  const [code] = await once(child, 'close');
  return { code, text };
}

/** Returns a free port: the command line does not tell which port `--listen 0` took. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return typeof address === 'object' && address ? address.port : 0;
}

describe.skipIf(!existsSync('/proc/self/cmdline'))('health check', () => {
  test('passes while the controller responds, and fails while it hangs and after it exits', async () => {
    await using env = await testEnv();
    const port = await freePort();
    const { child, output } = await startController([folder, '--health-listen', `0.0.0.0:${port}`], {
      endpoint: env.sandbox.endpoint,
    });
    try {
      await vi.waitFor(() => expect(output()).toContain('health checks listen on'));
      expect(await checkHealth(child.pid)).toEqual({
        code: 0,
        text: `http://127.0.0.1:${port}/healthz: HTTP 200 ok\n`,
      });
      child.kill('SIGSTOP');
      const hanging = await checkHealth(child.pid);
      expect(hanging.code).toBe(1);
      expect(hanging.text).toContain('timeout');
    } finally {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    }
    expect((await checkHealth(child.pid)).code).toBe(1);
  });

  test('fails for a process that is not replikey', async () => {
    const { code, text } = await checkHealth(process.pid);
    expect(code).toBe(1);
    expect(text).toContain('process is not replikey');
  });
});
