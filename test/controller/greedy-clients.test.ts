import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type ControllerProcess, fetchText, startController } from '../support/controller-process.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

/** Enough pairs, each with a history, for a page of the maximum size. */
const PAIR_COUNT = 25;

/** The limit of memory growth. Without back-pressure, one connection makes it grow by gigabytes. */
const MAX_GROWTH_MB = 20;

const requests = (at: string, count: number) => `GET ${at} HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(count);

/** Requests a URL on a connection of its own, as a probe does, and returns the status. */
const probe = (url: string) =>
  new Promise<number | undefined>((resolve, reject) => {
    get(url, { agent: false }, (response) => resolve(response.resume().statusCode)).on('error', reject);
  });

/** Calls a function repeatedly until the socket closes. */
function repeatedly(socket: Socket, ms: number, call: () => void): void {
  const timer = setInterval(call, ms);
  socket.once('close', () => clearInterval(timer));
}

const CLIENTS: [name: string, count: number, start: (socket: Socket, index: number) => unknown][] = [
  ['one that pipelines 200 requests', 1, (socket) => socket.write(requests('/status', 200))],
  ['300 that pipeline 200 requests each', 300, (socket) => socket.write(requests('/status', 200))],
  ['300 that pipeline more than a packet', 300, (socket) => socket.write(requests('/', 5_000))],
  [
    '300 that request different pages',
    300,
    (socket, index) => socket.write(requests(`/status?limit=${index + 1}`, 100)),
  ],
  ['500 that send nothing', 500, () => {}],
  [
    '300 that read one byte a second',
    300,
    (socket) => {
      socket.write(requests('/metrics', 1) + requests('/status', 10));
      repeatedly(socket, 1_000, () => socket.read(1));
    },
  ],
  [
    '300 that send headers without end',
    300,
    (socket) => {
      socket.write('GET /status HTTP/1.1\r\n');
      repeatedly(socket, 50, () => socket.write(`X-A: ${'b'.repeat(50)}\r\n`));
    },
  ],
  [
    '300 that send one header of 1 MB',
    300,
    (socket) => socket.write(`GET / HTTP/1.1\r\nX-A: ${'b'.repeat(1e6)}`),
  ],
  [
    '300 that send a body of 1 MB',
    300,
    (socket) =>
      socket.write(`POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n${'b'.repeat(1e6)}`),
  ],
];

describe.skipIf(!existsSync('/proc/self/status'))(
  'memory of the controller, with clients that do not read',
  () => {
    let folder: string;
    let env: TestEnv;
    let controller: ControllerProcess;
    let healthUrl: string;
    let baselineMb: number;

    const readMemoryMb = async (): Promise<number> => {
      const status = await readFile(`/proc/${controller.child.pid}/status`, 'utf8');
      return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
    };

    beforeAll(async () => {
      folder = await mkdtemp(path.join(tmpdir(), 'replikey-greedy-'));
      const names = Array.from({ length: PAIR_COUNT }, (_, index) => `tax-${index}`);
      const specs = names.map((name) => TAX_SPEC.replaceAll('tax', name));
      await writeFile(path.join(folder, 'spec.yaml'), specs.join('---\n'));
      env = await testEnv();
      controller = await startController([folder, '--interval', '3600', '--health-listen', '0'], {
        endpoint: env.sandbox.endpoint,
      });
      await vi.waitFor(
        async () => {
          const { text } = await fetchText(controller, '/metrics');
          expect(text.match(/^replikey_condition\{pair="[^"]+",type="Ready"\} 1$/gm)).toHaveLength(
            PAIR_COUNT,
          );
        },
        { timeout: 150_000, interval: 500 },
      );
      healthUrl = /^health checks listen on (\S+)$/m.exec(controller.output())?.[1] ?? '';
      // Responses to an ordinary client let the heap grow to its usual size.
      for (let limit = 500; limit > 300; limit--) await fetchText(controller, `/status?limit=${limit}`);
      for (const at of ['/', '/metrics']) await fetchText(controller, at);
      expect((await fetchText(controller, '/status')).text.length).toBeGreaterThan(100_000);
      baselineMb = await readMemoryMb();
    }, 180_000);
    afterAll(async () => {
      controller?.child.kill('SIGKILL');
      await env?.[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    });

    test.each(CLIENTS)(
      `%s: grows by less than ${MAX_GROWTH_MB} MB`,
      { timeout: 60_000 },
      async (_, count, start) => {
        const { port } = new URL(controller.url);
        const sockets = Array.from({ length: count }, (__, index) => {
          const socket = connect(Number(port), '127.0.0.1');
          socket.on('error', () => {});
          socket.pause();
          start(socket, index);
          return socket;
        });
        let maxMb = 0;
        // Probes get their responses meanwhile.
        for (let poll = 0; poll < 200; poll++) {
          expect(await probe(`${healthUrl}/healthz`)).toBe(200);
          maxMb = Math.max(maxMb, await readMemoryMb());
        }
        for (const socket of sockets) socket.destroy();
        expect(maxMb - baselineMb).toBeLessThan(MAX_GROWTH_MB);
        await vi.waitFor(
          async () => expect((await fetchText(controller, '/status')).status).toBe(200),
          15_000,
        );
      },
    );
  },
);
