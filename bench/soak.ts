/**
 * Tests the controller over time: two processes with leader election by a lock in S3 reconcile many pairs, during random
 * faults, throttling, changed and partial files, drift, greedy clients, and killed or stopped processes. Run with `npm run soak`; MINUTES, PAIRS and
 * SEED set the duration, the number of pairs and the random seed. Exits with 1 if the controller missed a change, two
 * processes wrote concurrently, a condition is wrong at the end, or the heap after a collection grew by 5 % or more.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  CreateBucketCommand,
  DeleteBucketReplicationCommand,
  GetBucketReplicationCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { startSandbox } from '../src/sandbox/server.ts';
import { median } from './support/run.ts';

const MINUTES = Number(process.env.MINUTES ?? 21);
const PAIRS = Number(process.env.PAIRS ?? 500);
const LEASE_SECONDS = 6;
const INTERVAL_SECONDS = 120;
const VERIFY_SECONDS = 240;
const MAX_GROWTH = 0.05;
let seed = Number(process.env.SEED ?? 1);

const random = (): number => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
  return seed / 2 ** 32;
};
const pickRandom = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const sandbox = await startSandbox();
const folder = await mkdtemp(path.join(tmpdir(), 'replikey-soak-'));
const credentials = { accessKeyId: '111122223333', secretAccessKey: 'soak' };
const s3 = new S3Client({
  endpoint: sandbox.endpoint,
  region: 'us-east-1',
  forcePathStyle: true,
  credentials,
  // The injected faults affect this client, too.
  maxAttempts: 50,
});
await s3.send(new CreateBucketCommand({ Bucket: 'locks' }));

const names = Array.from({ length: PAIRS }, (_, index) => `soak-${index}`);
const metricsByPair = new Map(names.map((name) => [name, true]));
const specYaml = (name: string) => `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: ${name} }
spec:
  source: { bucket: ${name}-source, region: us-east-1, key: alias/${name}-east }
  destination: { bucket: ${name}-replica, region: us-west-2, key: alias/${name}-west }
  role: { name: replikey-${name} }
  rules: [{ prefix: Data/, metrics: ${metricsByPair.get(name)} }]
`;

/** Replaces a file atomically, as a release does. */
async function writeSpec(name: string, text: string): Promise<void> {
  await writeFile(path.join(folder, `${name}.new`), text);
  await rename(path.join(folder, `${name}.new`), path.join(folder, `${name}.yaml`));
}
for (const name of names) await writeSpec(name, specYaml(name));

/** Writes with their process and the time that they were in flight. */
const writes: { by: number; from: number; to: number; what: string }[] = [];
const isRead = (what: string) => /^(GET|HEAD)|(?:\.|Action=)(Get|List|Describe)/.test(what);
/** A process removes its own canaries also after it lost leadership. No other process uses them. */
const isCanaryCleanup = (what: string) => /^DELETE \S*\.replikey-canary/.test(what);

/** Starts a proxy to the sandbox that records the writes of one process. */
async function startProxy(processIndex: number): Promise<string> {
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const body = Buffer.concat(chunks);
      const target = incoming.headers['x-amz-target'];
      const action = /Action=\w+/.exec(body.subarray(0, 2_000).toString())?.[0];
      const operation = `${target ?? action ?? `${incoming.method} ${incoming.url}`}`;
      const isLock = incoming.url?.startsWith('/locks') ?? false;
      const write = {
        by: processIndex,
        from: performance.now(),
        to: Number.POSITIVE_INFINITY,
        what: operation,
      };
      if (!isRead(operation) && !isCanaryCleanup(operation) && !isLock) writes.push(write);
      const { port } = new URL(sandbox.endpoint);
      const upstream = request(
        { port, host: '127.0.0.1', method: incoming.method, path: incoming.url, headers: incoming.headers },
        (response) => {
          // AWS has executed the write by now, even if the process was killed.
          write.to = performance.now();
          outgoing.writeHead(response.statusCode ?? 500, response.headers);
          response.pipe(outgoing);
        },
      );
      upstream.on('error', () => {
        write.to = performance.now();
        incoming.socket.destroy();
      });
      upstream.end(body);
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
let processCount = 0;
async function startProcess(): Promise<Process> {
  const processIndex = processCount++;
  const args = [
    ['--expose-gc', '--import', new URL('./processes/heap-after-gc.mjs', import.meta.url).href],
    ['dist/main.js', folder, '--listen', '0', '--health-listen', '0', '--log-level', 'error'],
    ['--account', credentials.accessKeyId],
    ['--interval', `${INTERVAL_SECONDS}`, '--verify-interval', `${VERIFY_SECONDS}`],
    ['--lock', 's3://locks/soak', '--lease-duration', `${LEASE_SECONDS}`],
  ];
  const child = spawn(process.execPath, args.flat(), {
    env: {
      PATH: process.env.PATH,
      HOME: '/nonexistent',
      AWS_ENDPOINT_URL: await startProxy(processIndex),
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_REGION: 'us-east-1',
    },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const started: Process = { child };
  child.stdout?.on('data', (text: Buffer) => {
    const [, url] = /^(?!health checks).*?(http:\/\/\S+)/m.exec(text.toString()) ?? [];
    if (url !== undefined) started.url = url;
  });
  let stderrTail = '';
  child.stderr?.on('data', (text: Buffer) => {
    stderrTail = (stderrTail + text).slice(-2_000);
  });
  child.once('exit', (code, signal) => {
    if (signal === 'SIGKILL') return;
    process.exitCode = 1;
    console.log(`!! process ${processIndex} exited unexpectedly (${code ?? signal}): ${stderrTail}`);
  });
  return started;
}

/** Returns an empty text if there is no response. */
const get = ({ url }: Process, path: string): Promise<string> =>
  fetch(url + path, { signal: AbortSignal.timeout(10_000) })
    .then(
      (response) => response.text(),
      () => '',
    )
    .catch(() => '');
const isLeader = async (instance: Process) =>
  (await get(instance, '/metrics')).includes('leader_election_master_status{name="replikey"} 1');
/** Returns the heap of a process after a collection, in bytes. */
const heapOf = ({ child }: Process): Promise<number> =>
  new Promise((resolve) => {
    child.once('message', resolve);
    child.send('collect');
  });

interface Condition {
  status: string;
  reason: string;
  message: string;
}
interface Pair {
  name: string;
  generation: string;
  declaredGeneration: string;
  conditions: Record<string, Condition>;
}
/** Returns the status of all pairs, page by page. */
async function readPairs(instance: Process): Promise<Pair[]> {
  const all: Pair[] = [];
  let next: string | undefined = '';
  while (next !== undefined) {
    const text = await get(instance, `/status?continue=${next}`);
    if (text === '') return [];
    const page: { pairs: Pair[]; continue?: string } = JSON.parse(text);
    all.push(...page.pairs);
    next = page.continue;
  }
  return all;
}

/** Returns the wrong conditions in the status of a process. Only the leader writes canaries and sets Verified. */
async function findWrongConditions(instance: Process, isVerified: boolean): Promise<string[]> {
  const pairs = await readPairs(instance);
  if (pairs.length !== PAIRS) return [`${pairs.length} pairs`];
  const expected = {
    Ready: 'True',
    Proven: 'True',
    Drifted: 'False',
    ...(isVerified && { Verified: 'True' }),
  };
  return pairs.flatMap(({ name, generation, declaredGeneration, conditions }) => [
    ...(generation === declaredGeneration ? [] : [`${name}: its spec was not reconciled`]),
    ...Object.entries(expected)
      .filter(([type, status]) => conditions[type]?.status !== status)
      .map(([type]) => `${name}: ${type} ${JSON.stringify(conditions[type])}`),
  ]);
}

async function waitUntil(
  description: string,
  condition: () => Promise<boolean>,
  seconds: number,
): Promise<boolean> {
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    if (await condition()) return true;
    await pause(1_000);
  }
  console.log(`!! not within ${seconds} s: ${description}`);
  return false;
}

let processes = [await startProcess(), await startProcess()];
const killAll = () => {
  for (const { child } of processes) child.kill('SIGKILL');
};
process.on('exit', killAll);
const findLeader = async (): Promise<Process | undefined> => {
  for (const candidate of processes) if (await isLeader(candidate)) return candidate;
  return undefined;
};
const isConverged = async () => {
  const leader = await findLeader();
  return leader !== undefined && (await findWrongConditions(leader, false)).length === 0;
};
const findAllWrongConditions = async () => {
  const leader = await findLeader();
  if (!leader) return ['no leader'];
  return (
    await Promise.all(processes.map((instance) => findWrongConditions(instance, instance === leader)))
  ).flat();
};
const startedAt = performance.now();
if (!(await waitUntil(`${PAIRS} pairs are ready`, isConverged, 900))) process.exitCode = 1;
console.log(
  `${PAIRS} pairs ready in ${Math.round((performance.now() - startedAt) / 1000)} s, ${writes.length} writes\n`,
);

/** The process that runs throughout; its heap is measured every minute. */
const [steadyProcess] = processes as [Process];
const heaps: number[] = [];
const disturbanceCounts: Record<string, number> = {};
const greedyClients: Socket[] = [];
const MAX_GREEDY_CLIENTS = 20;
/** Disturbances. They return false if they do not apply. */
const disturbances: Record<string, () => Promise<unknown>> = {
  async 'file changed'() {
    const name = pickRandom(names);
    metricsByPair.set(name, !metricsByPair.get(name));
    await writeSpec(name, specYaml(name));
  },
  async 'file made invalid, then fixed'() {
    const name = pickRandom(names);
    await writeSpec(name, 'kind: [');
    await pause(2_000);
    await writeSpec(name, specYaml(name));
  },
  async 'file written in two parts'() {
    const name = pickRandom(names);
    const text = specYaml(name);
    await writeSpec(name, text.slice(0, text.indexOf('  role:')));
    await pause(1_000);
    await writeSpec(name, text);
  },
  async 'client that sends 200 requests and reads nothing'() {
    const { url } = pickRandom(processes);
    if (url === undefined) return false;
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname).pause();
    socket.on('error', () => {});
    socket.write('GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(200));
    greedyClients.push(socket);
    if (greedyClients.length > MAX_GREEDY_CLIENTS) greedyClients.shift()?.destroy();
  },
  async 'changed manually'() {
    await s3.send(new DeleteBucketReplicationCommand({ Bucket: `${pickRandom(names)}-source` }));
  },
  async throttled() {
    sandbox.faultSettings.faults = [
      { match: pickRandom(['s3', 'iam', 'kms', '*']), nth: 1, times: 200, what: 'throttle' },
    ];
  },
  async faults() {
    const what = pickRandom([
      'reset-before',
      'reset-after',
      { status: 500, code: 'InternalError', message: 'fault' },
    ] as const);
    sandbox.faultSettings.faults = [{ match: '*', nth: 1 + Math.floor(random() * 50), times: 20, what }];
  },
  async 'leader killed'() {
    const leader = await findLeader();
    if (!leader || leader === steadyProcess) return false;
    leader.child.kill('SIGKILL');
    processes = [...processes.filter((instance) => instance !== leader), await startProcess()];
  },
  async 'leader stopped for longer than its lease'() {
    const leader = await findLeader();
    if (!leader) return false;
    leader.child.kill('SIGSTOP');
    await pause(LEASE_SECONDS * 2_000);
    return leader.child.kill('SIGCONT');
  },
};

const soakStartedAt = performance.now();
while (performance.now() < soakStartedAt + MINUTES * 60_000) {
  const [name, disturb] = pickRandom(Object.entries(disturbances));
  if ((await disturb()) !== false) disturbanceCounts[name] = (disturbanceCounts[name] ?? 0) + 1;
  await pause(2_000 + random() * 4_000);
  if (performance.now() < soakStartedAt + (heaps.length + 1) * 60_000) continue;
  heaps.push(await heapOf(steadyProcess));
  console.log(
    `minute ${heaps.length}: heap ${((heaps.at(-1) ?? 0) / 1e6).toFixed(1)} MB, ${writes.length} writes`,
  );
}

for (const socket of greedyClients) socket.destroy();
sandbox.faultSettings.faults = [];
const isRecovered = await waitUntil(
  'all pairs are as declared, and their conditions are right',
  async () => (await findAllWrongConditions()).length === 0,
  3 * VERIFY_SECONDS + 180,
);
const remainingProblems = await findAllWrongConditions();
for (const problem of remainingProblems.slice(0, 10)) console.log(`   ${problem}`);

// Compares AWS with the spec files, to find missed changes.
let missedChanges = 0;
for (const name of names) {
  const { ReplicationConfiguration } = await s3
    .send(new GetBucketReplicationCommand({ Bucket: `${name}-source` }))
    .catch(() => ({ ReplicationConfiguration: undefined }));
  const metered = ReplicationConfiguration?.Rules?.map(
    ({ Destination }) => Destination?.Metrics?.Status === 'Enabled',
  );
  if (metered?.length !== 1 || metered[0] !== metricsByPair.get(name)) missedChanges += 1;
}
const plan = spawn(process.execPath, ['dist/main.js', 'plan', folder, '-o', 'json', '--log-level', 'error'], {
  env: {
    PATH: process.env.PATH,
    AWS_ENDPOINT_URL: sandbox.endpoint,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: 'soak',
    AWS_REGION: 'us-east-1',
  },
});
let planOutput = '';
plan.stdout.on('data', (text: Buffer) => {
  planOutput += text;
});
await new Promise((resolve) => plan.on('close', resolve));
const { summary } = JSON.parse(planOutput) as { summary: Record<string, number> };
const overlaps = writes.filter((write, index) =>
  writes
    .slice(index + 1, index + 200)
    .some((later) => later.by !== write.by && later.from < write.to && write.from < later.to),
);
// The first third is a warm-up, in which V8 compiles frequently called code. Medians of several minutes smooth out the
// work that is in flight.
const third = Math.ceil(heaps.length / 3);
const [early, late] = [median(heaps.slice(third, 2 * third)), median(heaps.slice(-third))];
const growth = late / early - 1;

console.log(`
| disturbance | count |
| --- | ---: |
${Object.entries(disturbanceCounts)
  .sort()
  .map(([what, times]) => `| ${what} | ${times} |`)
  .join('\n')}

| check | result |
| --- | --- |
| wrong conditions at the end, of ${PAIRS} pairs in ${processes.length} processes | ${remainingProblems.length} |
| missed changes | ${missedChanges} |
| changes in a final plan | ${summary.create} to create, ${summary.update} to update, ${summary.blocked} blocked |
| writes | ${writes.length} |
| concurrent writes of two processes | ${overlaps.length} |
| heap after a collection, minutes ${third + 1} to ${2 * third} | ${(early / 1e6).toFixed(1)} MB |
| heap after a collection, the last ${third} minutes | ${(late / 1e6).toFixed(1)} MB |
| growth | ${(growth * 100).toFixed(1)} % |
`);
killAll();
await sandbox.close();
s3.destroy();
await rm(folder, { recursive: true });
const isUnchanged = ['create', 'update', 'blocked'].every((what) => summary[what] === 0);
if (!isRecovered || missedChanges > 0 || !isUnchanged || overlaps.length > 0 || !(growth < MAX_GROWTH))
  process.exitCode = 1;
setTimeout(() => process.exit(), 1_000).unref();
