/**
 * The controller over time: two processes, one of which leads by a lock in S3, look after many pairs, while faults,
 * throttles, changed files, drift, killed and stopped processes come at random. Run with `npm run soak`; MINUTES, PAIRS
 * and SEED say how long, how many, and which. Ends with 1 where something was missed, written by two at a time, or kept.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CreateBucketCommand, DeleteBucketReplicationCommand, S3Client } from '@aws-sdk/client-s3';
import { startSandbox } from '../src/sandbox/server.ts';

const MINUTES = Number(process.env.MINUTES ?? 20);
const PAIRS = Number(process.env.PAIRS ?? 500);
const LEASE_SECONDS = 6;
let seed = Number(process.env.SEED ?? 1);

const chance = (): number => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
  return seed / 2 ** 32;
};
const someOf = <T>(list: readonly T[]): T => list[Math.floor(chance() * list.length)] as T;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const sandbox = await startSandbox();
const folder = await mkdtemp(path.join(tmpdir(), 'replikey-soak-'));
const credentials = { accessKeyId: '111122223333', secretAccessKey: 'soak' };
const s3 = new S3Client({
  endpoint: sandbox.endpoint,
  region: 'us-east-1',
  forcePathStyle: true,
  credentials,
});
await s3.send(new CreateBucketCommand({ Bucket: 'locks' }));

const names = Array.from({ length: PAIRS }, (_, index) => `soak-${index}`);
const metrics = new Map(names.map((name) => [name, true]));
const spec = (name: string) => `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: ${name} }
spec:
  source: { bucket: ${name}-source, region: us-east-1, key: alias/${name}-east }
  destination: { bucket: ${name}-replica, region: us-west-2, key: alias/${name}-west }
  role: { name: replikey-${name} }
  rules: [{ prefix: Data/, metrics: ${metrics.get(name)} }]
`;

/** Files are swapped as a release swaps them. */
async function write(name: string, text: string): Promise<void> {
  await writeFile(path.join(folder, `${name}.new`), text);
  await rename(path.join(folder, `${name}.new`), path.join(folder, `${name}.yaml`));
}
for (const name of names) await write(name, spec(name));

/** Writes as they are under way at AWS, by the process that they come from. */
const flights: { by: number; from: number; to: number; what: string }[] = [];
const isRead = (what: string) => /^(GET|HEAD)|(?:\.|Action=)(Get|List|Describe)/.test(what);

/** A way to the sandbox that sees what one process sends. */
async function wayOf(by: number): Promise<string> {
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const body = Buffer.concat(chunks);
      const target = incoming.headers['x-amz-target'];
      const action = /Action=\w+/.exec(body.subarray(0, 2_000).toString())?.[0];
      const what = `${target ?? action ?? `${incoming.method} ${incoming.url}`}`;
      const isLock = incoming.url?.startsWith('/locks') ?? false;
      const flight = { by, from: performance.now(), to: Number.POSITIVE_INFINITY, what };
      if (!isRead(what) && !isLock) flights.push(flight);
      const { port } = new URL(sandbox.endpoint);
      const on = request(
        { port, host: '127.0.0.1', method: incoming.method, path: incoming.url, headers: incoming.headers },
        (answer) => {
          outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
          answer.pipe(outgoing);
          answer.on('close', () => {
            flight.to = performance.now();
          });
        },
      );
      on.on('error', () => {
        flight.to = performance.now();
        incoming.socket.destroy();
      });
      on.end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface Process {
  child: ChildProcess;
  url?: string;
}
let count = 0;
async function start(): Promise<Process> {
  const by = count++;
  const args = ['dist/main.js', folder, '--listen', '0', '--interval', '120', '--workers', '10'];
  const lock = [
    '--lock',
    's3://locks/soak',
    '--lease-duration',
    String(LEASE_SECONDS),
    '--log-level',
    'error',
  ];
  const child = spawn(process.execPath, ['--expose-gc', ...args, ...lock], {
    env: {
      PATH: process.env.PATH,
      HOME: '/nonexistent',
      AWS_ENDPOINT_URL: await wayOf(by),
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_REGION: 'us-east-1',
    },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const one: Process = { child };
  child.stdout?.on('data', (text: Buffer) => {
    const [url] = /http:\/\/\S+/.exec(text.toString()) ?? [];
    if (url !== undefined) one.url = url;
  });
  return one;
}

const get = async ({ url }: Process, at: string): Promise<string> =>
  url === undefined
    ? ''
    : ((await fetch(url + at, { signal: AbortSignal.timeout(10_000) }).catch(() => undefined))?.text() ?? '');
const leads = async (one: Process) =>
  (await get(one, '/metrics')).includes('leader_election_master_status{name="replikey"} 1');
const heapOf = async (one: Process) =>
  Number(/^nodejs_heap_size_used_bytes (\d+)/m.exec(await get(one, '/metrics'))?.[1] ?? Number.NaN);

interface Pair {
  name: string;
  conditions: Record<string, { status: string; reason: string; message: string }>;
}
async function unready(one: Process): Promise<Pair[]> {
  const text = await get(one, '/status');
  if (text === '') return [{ name: 'no answer', conditions: {} }];
  const { pairs } = JSON.parse(text) as { pairs: Pair[] };
  if (pairs.length !== PAIRS) return [{ name: `${pairs.length} pairs`, conditions: {} }];
  return pairs.filter(({ conditions }) => conditions.Ready?.status !== 'True');
}

async function until(what: string, isSo: () => Promise<boolean>, seconds: number): Promise<boolean> {
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    if (await isSo()) return true;
    await pause(1_000);
  }
  console.log(`!! not within ${seconds} s: ${what}`);
  return false;
}

let processes = [await start(), await start()];
const leader = async (): Promise<Process | undefined> => {
  for (const one of processes) if (await leads(one)) return one;
  return undefined;
};
const converged = async () => {
  const one = await leader();
  return one !== undefined && (await unready(one)).length === 0;
};
const began = performance.now();
let isGood = await until(`${PAIRS} pairs are made`, converged, 900);
console.log(
  `${PAIRS} pairs made in ${Math.round((performance.now() - began) / 1000)} s, ${flights.length} writes\n`,
);

/** Lowest heap of each minute, of a process that lives throughout: what is left after its collections. */
const [steady] = processes as [Process];
const heaps: number[] = [];
const done: Record<string, number> = {};
const troubles: Record<string, () => Promise<void>> = {
  async 'file changed'() {
    const name = someOf(names);
    metrics.set(name, !metrics.get(name));
    await write(name, spec(name));
  },
  async 'file broken, and mended'() {
    const name = someOf(names);
    await write(name, 'kind: [');
    await pause(2_000);
    await write(name, spec(name));
  },
  async 'changed by hand'() {
    await s3.send(new DeleteBucketReplicationCommand({ Bucket: `${someOf(names)}-source` }));
  },
  async throttled() {
    sandbox.knobs.faults = [
      { match: someOf(['s3', 'iam', 'kms', '*']), nth: 1, times: 200, what: 'throttle' },
    ];
  },
  async faults() {
    const what = someOf([
      'reset-before',
      'reset-after',
      { status: 500, code: 'InternalError', message: 'fault' },
    ] as const);
    sandbox.knobs.faults = [{ match: '*', nth: 1 + Math.floor(chance() * 50), times: 20, what }];
  },
  async 'leader killed'() {
    const one = await leader();
    if (!one || one === steady) return;
    one.child.kill('SIGKILL');
    processes = [...processes.filter((other) => other !== one), await start()];
  },
  async 'leader stopped for longer than its lease'() {
    const one = await leader();
    one?.child.kill('SIGSTOP');
    await pause(LEASE_SECONDS * 2_000);
    one?.child.kill('SIGCONT');
  },
};

const end = performance.now() + MINUTES * 60_000;
let minute: number[] = [];
let lastMinute = performance.now();
while (performance.now() < end) {
  const [what, make] = someOf(Object.entries(troubles));
  await make();
  done[what] = (done[what] ?? 0) + 1;
  await pause(2_000 + chance() * 4_000);
  minute.push(await heapOf(steady));
  if (performance.now() - lastMinute > 60_000) {
    heaps.push(Math.min(...minute.filter((bytes) => !Number.isNaN(bytes))));
    minute = [];
    lastMinute = performance.now();
    console.log(
      `minute ${heaps.length}: heap ${((heaps.at(-1) ?? 0) / 1e6).toFixed(1)} MB, ${flights.length} writes`,
    );
  }
}

sandbox.knobs.faults = [];
isGood = (await until('everything is as declared again', converged, 400)) && isGood;
const last = await leader();
for (const { name, conditions } of last ? (await unready(last)).slice(0, 5) : [])
  console.log(`   ${name}: ${JSON.stringify(conditions.Ready)}`);

// What AWS holds, against what is declared: nothing was missed.
const plan = spawn(process.execPath, ['dist/main.js', 'plan', folder, '-o', 'json', '--log-level', 'error'], {
  env: {
    PATH: process.env.PATH,
    AWS_ENDPOINT_URL: sandbox.endpoint,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: 'soak',
    AWS_REGION: 'us-east-1',
  },
});
let printed = '';
plan.stdout.on('data', (text: Buffer) => {
  printed += text;
});
await new Promise((resolve) => plan.on('close', resolve));
const { summary } = JSON.parse(printed) as { summary: Record<string, number> };
const overlaps = flights.filter((one, index) =>
  flights
    .slice(index + 1, index + 200)
    .some((other) => other.by !== one.by && other.from < one.to && one.from < other.to),
);
const third = Math.max(1, Math.floor(heaps.length / 3));
const median = (list: number[]) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] ?? Number.NaN;
const growth = median(heaps.slice(-third)) / median(heaps.slice(0, third)) - 1;

console.log(`
| what came | how often |
| --- | ---: |
${Object.entries(done)
  .sort()
  .map(([what, times]) => `| ${what} | ${times} |`)
  .join('\n')}

| what was asked for | what was seen |
| --- | --- |
| every pair ready at the end | ${isGood ? 'yes' : 'NO'} |
| changes that a plan still finds | ${summary.create} to create, ${summary.update} to update, ${summary.blocked} blocked |
| writes | ${flights.length} |
| writes of two processes at a time | ${overlaps.length} |
| growth of the heap, last third against first | ${(growth * 100).toFixed(1)} % |
`);
for (const one of processes) one.child.kill('SIGKILL');
await sandbox.close();
s3.destroy();
await rm(folder, { recursive: true });
process.exitCode =
  isGood && summary.create === 0 && summary.update === 0 && overlaps.length === 0 && !(growth > 0.05) ? 0 : 1;
setTimeout(() => process.exit(), 1_000).unref();
