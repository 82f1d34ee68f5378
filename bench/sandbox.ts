/**
 * Measures the puts per second that a sandbox with `--state` acknowledges: with one writer, for which each put has an
 * fsync of its own, and with many, whose puts share commits. Compares both with appends to a file with an fsync each. Also
 * measures reads, with and without a large bucket policy.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ACCOUNT, pairYaml } from './support/pairs.ts';
import { saveResults } from './support/results.ts';
import { median, runNode } from './support/run.ts';

const ROUNDS = Number(process.env.ROUNDS ?? 5);
const ROUND_MS = Number(process.env.ROUND_MS ?? 3_000);
const BODY = Buffer.alloc(1_024, 'x');

const folder = await mkdtemp(path.join(tmpdir(), 'replikey-bench-sandbox-'));
const sandbox = spawn(
  process.execPath,
  ['dist/main.js', 'sandbox', '--port', '0', '--state', path.join(folder, 'state')],
  { stdio: ['ignore', 'pipe', 'inherit'] },
);
const [line] = (await once(sandbox.stdout.setEncoding('utf8'), 'data')) as [string];
const endpoint = new URL(/http:\S+/.exec(line)?.[0] ?? '');
const agent = new Agent({ keepAlive: true, maxSockets: 256 });

/** Sends a request as the root of the account, without the SDK, whose CPU time would be part of the result. */
async function send(resource: string, body: Buffer = Buffer.alloc(0), method = 'PUT'): Promise<void> {
  const sent = request({
    host: endpoint.hostname,
    port: endpoint.port,
    method,
    path: resource,
    agent,
    headers: {
      authorization: `AWS4-HMAC-SHA256 Credential=${ACCOUNT}/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=none`,
      'content-length': body.length,
    },
  });
  sent.end(body);
  const [response] = await once(sent, 'response');
  response.resume();
  await once(response, 'end');
  const { statusCode = 0 } = response;
  if (statusCode < 200 || statusCode > 299) throw new Error(`${method} ${resource} returned ${statusCode}`);
}

let putCount = 0;

/** Returns the acknowledged puts per second of concurrent writers. */
async function measurePuts(bucket: string, writers: number): Promise<number> {
  const startedAt = performance.now();
  let count = 0;
  const write = async () => {
    while (performance.now() - startedAt < ROUND_MS) {
      await send(`/${bucket}/Data/${putCount++}`, BODY);
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: writers }, write));
  return (count * 1_000) / (performance.now() - startedAt);
}

/** Returns the HEAD requests per second of concurrent readers of one object. */
async function measureReads(bucket: string, readers: number): Promise<number> {
  const startedAt = performance.now();
  let count = 0;
  const read = async () => {
    while (performance.now() - startedAt < ROUND_MS) {
      await send(`/${bucket}/object`, undefined, 'HEAD');
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: readers }, read));
  return (count * 1_000) / (performance.now() - startedAt);
}

/** Returns the appends per second to one file, each with an fsync: the limit of one fsync per put. */
async function measureSyncs(): Promise<number> {
  const handle = await open(path.join(folder, 'appends'), 'a');
  const startedAt = performance.now();
  let count = 0;
  while (performance.now() - startedAt < ROUND_MS) {
    await handle.write(BODY);
    await handle.datasync();
    count += 1;
  }
  await handle.close();
  return (count * 1_000) / (performance.now() - startedAt);
}

const spec = path.join(folder, 'pair.yaml');
await writeFile(spec, pairYaml(0));
const { code, stderr } = await runNode(['dist/main.js', '--once', spec], {
  AWS_ENDPOINT_URL: endpoint.href,
  AWS_ACCESS_KEY_ID: ACCOUNT,
  AWS_SECRET_ACCESS_KEY: 'bench',
  AWS_REGION: 'us-east-1',
});
if (code !== 0) throw new Error(stderr);
const source = /source:[^}]*?bucket: ([a-z0-9-]+)/.exec(pairYaml(0))?.[1] ?? '';
await send('/bench-plain');
await send('/bench-plain/object', BODY);
await send('/bench-policy');
await send('/bench-policy/object', BODY);
const statements = Array.from({ length: 80 }, (_, index) => ({
  Sid: `Statement${index}`,
  Effect: 'Allow',
  Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` },
  Action: ['s3:GetObject', 's3:PutObject', 's3:DeleteObject'],
  Resource: `arn:aws:s3:::bench-policy/prefix-${index}/*`,
}));
await send(
  '/bench-policy?policy',
  Buffer.from(JSON.stringify({ Version: '2012-10-17', Statement: statements })),
);

const SERIES = [
  { name: 'append to a file, one fsync each', measure: measureSyncs },
  { name: '1 writer', measure: () => measurePuts('bench-plain', 1) },
  { name: '64 writers', measure: () => measurePuts('bench-plain', 64) },
  { name: '64 writers, each object replicated', measure: () => measurePuts(source, 64) },
  { name: '64 readers', measure: () => measureReads('bench-plain', 64) },
  { name: '64 readers, bucket policy of 17 KB', measure: () => measureReads('bench-policy', 64) },
];
// The series take turns, so that other load on the machine affects all of them equally.
const rates = SERIES.map((): number[] => []);
for (let round = 0; round < ROUNDS; round++)
  for (const [index, { measure }] of SERIES.entries()) rates[index]?.push(await measure());
const base = median(rates[1] ?? []);
const rows = SERIES.map(({ name }, index) => {
  const perSecond = median(rates[index] ?? []);
  return { name, perSecond: Math.round(perSecond), ratio: Number((perSecond / base).toFixed(1)) };
});
console.log('| writes | per second | of one writer |');
console.log('| --- | ---: | ---: |');
for (const { name, perSecond, ratio } of rows) console.log(`| ${name} | ${perSecond} | ${ratio} × |`);
await saveResults('sandbox', rows);
agent.destroy();
const exited = once(sandbox, 'close');
sandbox.kill('SIGTERM');
await exited;
await rm(folder, { recursive: true });
