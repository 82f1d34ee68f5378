import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { LeaseRecord } from '../../src/controller/leader-election.ts';
import { startFakeApiServer } from '../kubernetes/fake-api-server.ts';
import { type CliResult, runCli } from '../support/cli.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

const AT = { region: 'us-east-1' };
const OBJECT = { Bucket: 'acme-locks', Key: 'replikey' };
const LOCK = ['--lock', 's3://acme-locks/replikey'];

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-lock-'));
  await writeFile(path.join(folder, 'tax.yaml'), TAX_SPEC);
});
afterEach(() => rm(folder, { recursive: true }));

async function envWithLockBucket(options: Parameters<typeof testEnv>[1] = {}): Promise<TestEnv> {
  const env = await testEnv(TAX_SPEC, options);
  await env.client.send(AT, new CreateBucketCommand({ Bucket: 'acme-locks' }));
  return env;
}

const run = ({ sandbox }: TestEnv, args: string[], onStart?: (child: ChildProcess) => void) =>
  runCli(args, { endpoint: sandbox.endpoint, cwd: folder, ...(onStart && { onStart }) });

const writeLock = ({ client }: TestEnv, record: Partial<LeaseRecord>) => {
  const now = new Date().toISOString();
  const defaults = { holder: 'build-7', durationSeconds: 30, acquired: now, renewed: now, transitions: 1 };
  const Body = JSON.stringify({ ...defaults, ...record });
  return client.send(AT, new PutObjectCommand({ ...OBJECT, Body }));
};

async function readLock({ client }: TestEnv): Promise<LeaseRecord> {
  const { Body } = await client.send(AT, new GetObjectCommand(OBJECT));
  return JSON.parse((await Body?.transformToString()) ?? '');
}

/** Returns the operations that wrote, except those of the lock itself. */
const writesOf = ({ sandbox }: TestEnv): string[] =>
  sandbox.log.entries
    .filter(({ write, operation }) => write && operation !== 'PutObject')
    .map(({ operation }) => operation);

it('--once --lock: holds the lock for the run, and releases it', async () => {
  let holder: string | undefined;
  await using env = await envWithLockBucket({
    onCall: async ({ operation }, phase) => {
      if (operation === 'PutRolePolicy' && phase === 'before') holder = (await readLock(env)).holder;
    },
  });
  expect(await run(env, ['--once', 'tax.yaml', ...LOCK])).toMatchObject({ code: 0, stderr: '' });
  expect(holder).toMatch(/_[0-9a-f-]{36}$/);
  expect((await readLock(env)).holder).toBe('');
  expect((await run(env, ['--once', 'tax.yaml', ...LOCK])).code).toBe(0);
});

it('--lock: another process holds the lock: --once and apply exit with 3 and its name, and call nothing else', async () => {
  await using env = await envWithLockBucket();
  expect((await run(env, ['plan', 'tax.yaml', '--out', 'plan.json'])).code).toBe(0);
  await writeLock(env, { holder: 'build-7_\u001b[2Jabc' });
  const commands = [
    ['--once', 'tax.yaml', ...LOCK],
    ['apply', 'plan.json', ...LOCK],
    ['--once', 'tax.yaml', ...LOCK, '-o', 'json'],
  ];
  for (const args of commands) {
    env.sandbox.log.reset();
    const { code, stdout, stderr } = await run(env, args);
    expect(code, args.join(' ')).toBe(3);
    expect(stderr).toMatch(
      /^cannot acquire s3:\/\/acme-locks\/replikey: build-7_\\u001b\[2Jabc holds it since \S+, and renewed it at \S+; nothing was changed; run the command again when that process has ended\n$/,
    );
    if (args.includes('json')) expect(JSON.parse(stdout)).toMatchObject({ error: { exitCode: 3 } });
    const operations = env.sandbox.log.entries.map(({ operation }) => operation);
    // The label of the target looks up the account meanwhile.
    expect(operations.filter((operation) => operation !== 'GetCallerIdentity')).toEqual(['GetObject']);
  }
});

it('--once --lock: of two simultaneous runs one applies, the other exits with 3, and each Region gets one key', async () => {
  await using env = await envWithLockBucket();
  const results = await Promise.all([1, 2].map(() => run(env, ['--once', 'tax.yaml', ...LOCK])));
  const codes = results.map(({ code }) => code).sort();
  // The second run may also start after the first has ended.
  expect([
    [0, 0],
    [0, 3],
  ]).toContainEqual(codes);
  expect(writesOf(env).filter((operation) => operation === 'CreateKey')).toHaveLength(2);
});

it('--once --lock: a holder that ended without a release loses the lock after its lease', async () => {
  await using env = await envWithLockBucket();
  const longAgo = '2020-01-01T00:00:00.000Z';
  await writeLock(env, { holder: 'build-7', durationSeconds: 1, acquired: longAgo, renewed: longAgo });
  const { code, stderr } = await run(env, ['--once', 'tax.yaml', ...LOCK, '--lease-duration', '5']);
  expect(code).toBe(0);
  expect(JSON.parse(stderr.split('\n')[0] ?? '')).toMatchObject({
    level: 'info',
    msg: 'waiting at most 5 s for build-7, which may have ended without a release of s3://acme-locks/replikey',
  });
  expect(await readLock(env)).toMatchObject({ holder: '', transitions: 2 });
});

it.each([
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)('%s: releases the lock after the calls in flight', async (signal, code) => {
  let child: ChildProcess | undefined;
  let stderr = '';
  await using env = await envWithLockBucket({
    onCall: async ({ operation }, phase) => {
      if (operation !== 'PutRolePolicy' || phase !== 'before') return;
      child?.kill(signal);
      await vi.waitFor(() => expect(stderr).toContain(signal), { timeout: 10_000 });
      expect((await readLock(env)).holder).not.toBe('');
    },
  });
  const result = await run(env, ['--once', 'tax.yaml', ...LOCK], (started) => {
    child = started;
    started.stderr?.on('data', (text) => {
      stderr += text;
    });
  });
  expect(result.code).toBe(code);
  expect(result.stdout).toContain('Interrupted: ');
  expect((await readLock(env)).holder).toBe('');
});

it('a lock that another process takes during a run: the run makes no further changes, and exits with 1', async () => {
  let stderr = '';
  await using env = await envWithLockBucket({
    onCall: async ({ operation }, phase) => {
      if (operation !== 'PutRolePolicy' || phase !== 'before') return;
      await writeLock(env, { holder: 'build-8', durationSeconds: 600 });
      await vi.waitFor(() => expect(stderr).toContain('lost s3://acme-locks/replikey'), { timeout: 10_000 });
    },
  });
  const result = await run(env, ['--once', 'tax.yaml', ...LOCK, '--lease-duration', '3'], (started) => {
    started.stderr?.on('data', (text) => {
      stderr += text;
    });
  });
  expect(result.code).toBe(1);
  expect(result.stdout).toContain(
    'lost s3://acme-locks/replikey: this run made no further changes; run the command again',
  );
  expect(writesOf(env)).not.toContain('PutBucketReplication');
  expect((await readLock(env)).holder).toBe('build-8');
});

it.each([
  ['no bucket', 1, /^cannot acquire s3:\/\/acme-locks\/replikey: cannot read lock .*NoSuchBucket/],
  ['another object', 1, /^cannot acquire s3:\/\/acme-locks\/replikey: cannot read lock /],
] as const)('--lock: %s at the URL: changes nothing, and names the lock', async (name, code, message) => {
  await using env = name === 'no bucket' ? await testEnv() : await envWithLockBucket();
  if (name === 'another object')
    await env.client.send(AT, new PutObjectCommand({ ...OBJECT, Body: 'x'.repeat(10_000) }));
  env.sandbox.log.reset();
  const result = await run(env, ['--once', 'tax.yaml', ...LOCK]);
  expect(result.code).toBe(code);
  expect(result.stderr).toMatch(message);
  expect(writesOf(env)).toEqual([]);
});

it('--sandbox --lock: reads the lock in the sandbox, and not in AWS', async () => {
  const result = await runCli(['--once', 'tax.yaml', ...LOCK, '--sandbox=state'], { cwd: folder });
  expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining('NoSuchBucket') });
});

it('--once --leader-elect lease: holds the Lease of the controllers, or exits with 3', async () => {
  await using env = await testEnv();
  await using server = await startFakeApiServer({ tls: true });
  const options = { endpoint: env.sandbox.endpoint, cwd: folder, env: server.env };
  const args = ['--once', 'tax.yaml', '--leader-elect', 'lease'];
  expect(await runCli(args, options)).toMatchObject({ code: 0, stderr: '' });
  const lease = `/apis/coordination.k8s.io/v1/namespaces/${server.admin.namespace}/leases/replikey`;
  const { body } = await server.admin.request('GET', lease);
  expect(body.spec).toMatchObject({ holderIdentity: '' });
  const renewTime = new Date().toISOString().replace(/Z$/, '000Z');
  const spec = { ...body.spec, holderIdentity: 'replikey-0_abc', leaseDurationSeconds: 30, renewTime };
  expect((await server.admin.request('PUT', lease, { ...body, spec })).status).toBe(200);
  expect(await runCli(args, options)).toMatchObject({
    code: 3,
    stderr: expect.stringMatching(/^cannot acquire lease replikey in namespace \S+: replikey-0_abc holds it/),
  });
});

const ineffective: [string[], string][] = [
  [['--once', '--plan-only'], '--plan-only has no effect with --once, which runs a single pass: remove it'],
  [['--once', '--shard', '1/3'], '--shard has no effect with --once, which runs a single pass: remove it'],
  [
    ['--dry-run', '--listen', '0'],
    '--listen has no effect with --dry-run, which runs a single pass: remove it',
  ],
  [['--dry-run', ...LOCK], '--lock has no effect with --dry-run, which changes nothing: remove it'],
  [
    ['--once', ...LOCK, '--leader-elect', 'none'],
    '--leader-elect none does not use --lock: remove one of them',
  ],
  [['--once', '--leader-elect', 's3'], '--leader-elect s3 requires --lock s3://bucket/key'],
  [
    ['--once', '--failures', 'arn:aws:sqs:us-east-1:111122223333:q'],
    '--failures has no effect with --once, which runs a single pass: remove it',
  ],
  [
    ['--plan-only', '--failures', 'arn:aws:sqs:us-east-1:111122223333:q'],
    '--failures deletes the messages that it received, but --plan-only never writes: remove one of them',
  ],
  [['--failures', 'arn:aws:sns:us-east-1:111122223333:t'], 'Expected the ARN of an SQS queue'],
  [['--once', ...LOCK, '--lease-duration', '0'], 'Expected a duration, 1s to 24h.'],
];

it.each(ineffective)('64: an option without an effect: %j', async (args, message) => {
  const { code, stderr }: CliResult = await runCli([...args, 'tax.yaml'], { cwd: folder });
  expect(code).toBe(64);
  expect(stderr).toContain(message);
});
