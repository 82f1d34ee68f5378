/**
 * Measures the start of the program: commands without AWS until they exit, compared with `node -e 0`, and commands with
 * AWS until their first request.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ACCOUNT, pairYaml } from './support/pairs.ts';
import { saveResults } from './support/results.ts';
import { median } from './support/run.ts';

const RUNS = Number(process.env.RUNS ?? 21);
const folder = await mkdtemp(path.join(tmpdir(), 'replikey-start-'));
const spec = path.join(folder, 'pair.yaml');
await writeFile(spec, pairYaml(0));

let onRequest = (): void => {};
const server = createServer((_, response) => {
  onRequest();
  response.destroy();
}).listen(0, '127.0.0.1');
await once(server, 'listening');
const env = {
  ...process.env,
  AWS_ENDPOINT_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  AWS_ACCESS_KEY_ID: ACCOUNT,
  AWS_SECRET_ACCESS_KEY: 'bench',
  AWS_REGION: 'us-east-1',
};

/** Returns the milliseconds until the process has exited. */
async function timeToExit(args: string[]): Promise<number> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, args, { env, stdio: 'ignore' });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${args.join(' ')} exited with ${code}`);
  return performance.now() - startedAt;
}

/** Returns the milliseconds until the first request to AWS arrives. */
async function timeToFirstRequest(args: string[]): Promise<number> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, args, { env, stdio: 'ignore' });
  const ms = await new Promise<number>((resolve) => {
    onRequest = () => resolve(performance.now() - startedAt);
  });
  // A regular exit, so that Node writes its compile cache.
  child.kill('SIGTERM');
  await once(child, 'close');
  return ms;
}

/** Commands, and their targets as a multiple of `node -e 0` or in milliseconds. */
const STARTS = [
  { name: 'node -e 0', args: ['-e', '0'], time: timeToExit, target: '' },
  { name: 'reconcile --version', args: ['dist/main.js', '--version'], time: timeToExit, target: '1.5 ×' },
  { name: 'reconcile --help', args: ['dist/main.js', '--help'], time: timeToExit, target: '1.5 ×' },
  {
    name: 'reconcile validate, one file',
    args: ['dist/main.js', 'validate', spec],
    time: timeToExit,
    target: '2 ×',
  },
  {
    name: 'reconcile plan, to the first call',
    args: ['dist/main.js', 'plan', spec],
    time: timeToFirstRequest,
    target: Number(process.versions.node.split('.')[0]) >= 24 ? '120 ms' : '200 ms',
  },
];

// The commands take turns, so that other load on the machine affects all of them equally.
const times = STARTS.map((): number[] => []);
for (let run = 0; run <= RUNS; run++) {
  for (const [index, { args, time }] of STARTS.entries()) {
    const ms = await time(args);
    // The first round fills the caches.
    if (run > 0) times[index]?.push(ms);
  }
}
const base = median(times[0] ?? []);
const rows = STARTS.map(({ name, target }, index) => {
  const ms = median(times[index] ?? []);
  return { name, ms: Math.round(ms), ratio: Number((ms / base).toFixed(2)), target };
});
console.log('| command | median | against `node -e 0` | target |');
console.log('| --- | ---: | ---: | ---: |');
for (const { name, ms, ratio, target } of rows)
  console.log(`| ${name} | ${ms} ms | ${ratio.toFixed(2)} | ${target} |`);
await saveResults('start', rows);
server.close();
await rm(folder, { recursive: true });
