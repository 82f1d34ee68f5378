import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { PutBucketVersioningCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Io } from '../../../src/cli/command-model.ts';
import { runCommandLine } from '../../../src/cli/program.ts';
import { createPrinter, type StatusPrinter, watchStatus } from '../../../src/cli/status.ts';
import { createStatusReader, toStatusRows } from '../../../src/controller/read-status.ts';
import { createRoutes } from '../../../src/controller/routes.ts';
import { startControllerServer } from '../../../src/controller/server.ts';
import { kinds } from '../../../src/kinds/index.ts';
import type { StatusRow } from '../../../src/report/status-text.ts';
import { runCli } from '../../support/cli.ts';
import { controllerStatus, pairStatus } from '../../support/controller-status.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../../support/env.ts';
import { fakeClock, flushPromises } from '../../support/fake-clock.ts';

const rowsOf = (stdout: string) =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.split(/ {3,}/));

/** Runs a command in this process. */
async function runInProcess(
  args: string[],
  onOutput: (stdout: PassThrough) => void = () => {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const output = { stdout: '', stderr: '' };
  const capture = (name: keyof typeof output) =>
    new PassThrough().on('data', (chunk) => {
      output[name] += chunk;
    });
  const io = Object.assign(new EventEmitter(), {
    stdin: new PassThrough(),
    stdout: capture('stdout'),
    stderr: capture('stderr'),
    env: {},
    exit: () => {},
  });
  io.stdout.once('data', () => onOutput(io.stdout));
  const code = await runCommandLine(args, io as unknown as Io);
  return { code, ...output };
}

describe('status of specs', () => {
  let env: TestEnv;
  beforeAll(async () => {
    env = await testEnv();
    await env.reconcile();
  });
  afterAll(() => env[Symbol.asyncDispose]());
  const status = (...args: string[]) =>
    runCli(['status', '-', ...args], { endpoint: env.sandbox.endpoint, input: TAX_SPEC });

  test('a pair as declared: prints its row, exits with 0 and writes nothing', async () => {
    env.sandbox.log.reset();
    const { code, stdout, stderr } = await status('--detailed-exitcode');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(rowsOf(stdout)).toEqual([
      ['NAME', 'READY', 'PROVEN', 'PENDING', 'LAG', 'FAILED', 'CANARY', 'DRIFT'],
      ['tax', 'True', 'True', '-', '-', '-', '-', 'False'],
    ]);
    expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
  });

  test('a pair with pending changes: shows the reason, and exits with 0, or 2 with --detailed-exitcode', async () => {
    const yaml = `${TAX_SPEC}---\n${TAX_SPEC.replaceAll('tax', 'books')}`;
    const run = (...args: string[]) =>
      runCli(['status', '-', ...args], { endpoint: env.sandbox.endpoint, input: yaml });
    const { code, stdout } = await run('-o', 'wide');
    expect(code).toBe(0);
    const [, books, tax] = rowsOf(stdout);
    expect([books?.[0], books?.[1], books?.at(-1)]).toEqual(['books', 'False', '13 changes are pending']);
    expect(tax?.slice(0, 2)).toEqual(['tax', 'True']);
    expect((await run('--detailed-exitcode', '--only', 'tax')).code).toBe(0);
    expect((await run('--detailed-exitcode')).code).toBe(2);
  });
});

test('metrics that cannot be read: are -, with the reason on standard error', async () => {
  await using env = await testEnv();
  await env.reconcile();
  env.sandbox.faultSettings.faults = [
    {
      match: 'GetMetricData',
      nth: 1,
      times: 100,
      what: { status: 403, code: 'AccessDenied', message: 'no' },
    },
  ];
  const { endpoint } = env.sandbox;
  const { code, stdout, stderr } = await runCli(['status', '-'], { endpoint, input: TAX_SPEC });
  expect(code).toBe(0);
  expect(rowsOf(stdout)[1]?.slice(3, 6)).toEqual(['-', '-', '-']);
  expect(JSON.parse(stderr)).toMatchObject({
    level: 'warn',
    msg: expect.stringMatching(/^cannot read metrics of 1 of 1 pairs: .*GetMetricData.*AccessDenied/),
  });
});

test('status reader: a second read reports a change outside replikey as drift, and the first does not', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const suspend = (Status: 'Enabled' | 'Suspended') => {
    const bucket = env.sandbox.store.bucket('acme-tax-replica');
    if (bucket) bucket.versioning = { Status };
  };
  const drifted = async (reader: ReturnType<typeof createStatusReader>) =>
    (await reader.read()).map(({ conditions }) => conditions.Drifted.status);
  const { specs, client: aws } = env;
  const createReader = () => createStatusReader({ specs, kinds, aws, clock: fakeClock() });
  const reader = createReader();
  expect(await drifted(reader)).toEqual(['False']);
  suspend('Suspended');
  expect(await drifted(reader)).toEqual(['True']);
  expect(await drifted(createReader())).toEqual(['Unknown']);
  await env.client.send(
    { region: 'us-west-2' },
    new PutBucketVersioningCommand({
      Bucket: 'acme-tax-replica',
      VersioningConfiguration: { Status: 'Enabled' },
    }),
  );
  expect(await drifted(reader)).toEqual(['False']);
});

test('status reader: reads the roles of many pairs from one listing, and all metrics of a Region in one call', async () => {
  const yaml = ['tax', 'books', 'mail', 'shop'].map((name) => TAX_SPEC.replaceAll('tax', name)).join('---\n');
  await using env = await testEnv(yaml);
  await env.reconcile();
  env.sandbox.log.reset();
  const reader = createStatusReader({ specs: env.specs, kinds, aws: env.client, clock: fakeClock() });
  const pairs = await reader.read();
  expect(pairs.map(({ conditions }) => conditions.Ready.status)).toEqual(['True', 'True', 'True', 'True']);
  const counts = env.sandbox.log.counts();
  expect(counts['iam:GetAccountAuthorizationDetails']).toBe(1);
  expect(counts['iam:GetRole']).toBeUndefined();
  // The Regions of the sources and of the destinations.
  expect(counts['cloudwatch:GetMetricData']).toBe(2);
  await reader.read();
  expect(env.sandbox.log.counts()['cloudwatch:GetMetricData'], 'metrics are up to 5 minutes old').toBe(2);
});

describe('status --server', () => {
  const failing = pairStatus({
    name: 'tax',
    labels: { team: 'finance' },
    replication: {
      at: '2026-01-01T00:00:00.000Z',
      state: 'available',
      failed: 100,
      failedSince: '2025-12-31T23:40:00.000Z',
      pendingOperations: 7,
      pendingBytes: 7_000,
      latencySeconds: 65,
      history: { failed: [], latencySeconds: [] },
    },
    canary: { at: '2026-01-01T00:00:00.000Z', result: 'failed' },
  });
  failing.conditions.Replicating = {
    ...failing.conditions.Replicating,
    status: 'False',
    reason: 'OperationsFailed',
    message: '100 operations failed',
  };
  let folder: string;
  let server: Awaited<ReturnType<typeof startControllerServer>>;

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'replikey-status-'));
    await writeFile(path.join(folder, 'tax.yaml'), `${TAX_SPEC}---\n${TAX_SPEC.replaceAll('tax', 'new')}`);
    const controller = { status: () => controllerStatus([pairStatus({ name: 'books' }), failing]) };
    const options = { controller, settings: { clock: fakeClock(), intervalMs: 1_000 } };
    server = await startControllerServer(createRoutes(options as never), { host: '127.0.0.1', port: 0 });
  });
  afterAll(async () => {
    await server.close();
    await rm(folder, { recursive: true });
  });
  const status = (...args: string[]) => runCli(['status', '--server', server.url, ...args], { cwd: folder });

  test('without paths: shows all pairs, failing pairs first', async () => {
    const { code, stdout, stderr } = await status();
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [, tax, books] = rowsOf(stdout);
    expect(tax?.slice(0, 6)).toEqual(['tax', 'True', 'True', '7', '1m5s', '100 (since 2025-12-31T23:40Z)']);
    expect(tax?.[6]).toMatch(/^failed \(\d+d\d*h? ago\)$/);
    expect(books?.slice(3)).toEqual(['-', '-', '-', '-', 'False']);
  });

  test('-o json: contains the values of the controller', async () => {
    const document = JSON.parse((await status('-o', 'json', '--only', 'tax')).stdout);
    expect(document).toMatchObject({ format: 1, source: 'server', server: `${server.url}/` });
    const { history: _, ...replication } = failing.replication ?? {};
    expect(document.pairs).toEqual([
      {
        name: 'tax',
        state: 'failing',
        message: '100 operations failed',
        labels: { team: 'finance' },
        sides: failing.sides,
        conditions: Object.entries(failing.conditions).map(([type, condition]) => ({ type, ...condition })),
        replication,
        canary: failing.canary,
      },
    ]);
  });

  test('with paths: shows their pairs, and a pair that the controller does not have without data', async () => {
    const { stdout } = await status(path.join(folder, 'tax.yaml'), '-o', 'wide');
    const [, tax, added] = rowsOf(stdout);
    expect(tax?.[0]).toBe('tax');
    expect(added?.slice(0, 8)).toEqual(['new', 'Unknown', '-', '-', '-', '-', '-', '-']);
    expect(added?.at(-1)).toContain('has no such pair');
  });

  test.each([
    ['--selector', 'team=finance', 0, /^NAME.*\ntax .*\n$/],
    ['--selector', 'team=x', 64, /the selection matches none of 2 pairs/],
    ['--only', 'none', 64, /has no pair named none/],
    ['--sandbox=x', '--watch', 64, /--server reads a controller and not a sandbox: remove --sandbox/],
    ['--interval', '5', 64, /--interval has no effect without --watch: add --watch/],
  ])('%s %s: exits with %i', async (option, value, code, output) => {
    const result = await status(option, value);
    expect(result.code).toBe(code);
    expect(result.stdout + result.stderr).toMatch(output);
  });

  test('--watch: ends when its output is closed', async () => {
    const closed = Object.assign(new Error('write EPIPE'), { code: 'EPIPE' });
    const args = ['status', '--server', server.url, '--watch'];
    expect((await runInProcess(args, (stdout) => stdout.emit('error', closed))).code).toBe(0);
  });

  test('--watch in a pipe: prints all rows, and ends with 0 at a signal', async () => {
    let stop = () => {};
    const result = await runCli(['status', '--server', server.url, '--watch'], {
      onStart: (child) => {
        stop = () => child.kill('SIGINT');
        once(child.stdout ?? child, 'data').then(stop, () => {});
      },
    });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(rowsOf(result.stdout)).toHaveLength(3);
  });
});

test('without specs and server: exits with 64 and the usage', async () => {
  expect(await runInProcess(['status'])).toMatchObject({
    code: 64,
    stderr: 'no specs given: use reconcile status specs/, or --server http://127.0.0.1:8080\n',
  });
});

describe('watch', () => {
  const row = (name: string, fields: Partial<StatusRow> = {}): StatusRow =>
    ({ ...toStatusRows([pairStatus({ name })])[0], ...fields }) as StatusRow;

  /** Returns a printer, and what it has written. */
  function printerOf(
    output: 'text' | 'json',
    terminal: { isTTY?: boolean; columns?: number; rows?: number } = {},
  ) {
    let written = '';
    const write = (text: string): void => {
      written += text;
    };
    const stdout = { ...terminal, write };
    const printer = createPrinter('aws', { output }, { stdout: stdout as never, env: {} });
    return {
      printer,
      take: () => {
        const text = written;
        written = '';
        return text;
      },
    };
  }

  test('in a pipe: prints all rows, then changed and removed rows', () => {
    const { printer, take } = printerOf('text');
    const [tax, books] = [row('tax'), row('books')];
    const replication = { at: '2026-01-01T00:00:00.000Z', state: 'available' as const, failed: 0 };
    printer.update([{ ...tax, replication }, books], 0);
    expect(rowsOf(take()).map(([name]) => name)).toEqual(['NAME', 'tax', 'books']);
    printer.update([{ ...tax, replication: { ...replication, at: '2026-01-01T00:05:00.000Z' } }, books], 1);
    expect(take()).toBe('');
    printer.update([{ ...tax, replication: { ...replication, failed: 3 } }, books], 2);
    expect(rowsOf(take()).map((cells) => [cells[0], cells[5]])).toEqual([['tax', '3']]);
    printer.update([tax], 3);
    expect(take()).toMatch(/^tax .*\nbooks removed\n$/);
  });

  test('-o json: prints one document in a line for each change', () => {
    const { printer, take } = printerOf('json');
    printer.update([row('tax')], 0);
    printer.update([row('tax')], 60_000);
    printer.update([], 120_000);
    const documents = take().trimEnd().split('\n');
    expect(documents.map((line) => JSON.parse(line).pairs.length)).toEqual([1, 0]);
  });

  test('on a terminal: redraws the screen', () => {
    const { printer, take } = printerOf('text', { isTTY: true, columns: 120, rows: 10 });
    printer.update([row('tax')], 0);
    expect(take().startsWith('\x1b[2J\x1b[H1 pair of AWS at 1970-01-01T00:00:00.000Z')).toBe(true);
    printer.update([row('tax')], 60_000);
    const screen = take();
    expect(screen.startsWith('\x1b[H')).toBe(true);
    expect(stripVTControlCharacters(screen)).toContain('1970-01-01T00:01:00.000Z\n\nNAME');
  });

  /** Watches reads that a test provides, on a fake clock. */
  function startWatch(read: () => Promise<StatusRow[]>) {
    const clock = fakeClock();
    const stop = new AbortController();
    const update = vi.fn<StatusPrinter['update']>();
    const warnings: unknown[] = [];
    const log = { warn: (message: unknown) => warnings.push(message) };
    const printer = { print: () => {}, update };
    const ended = watchStatus({
      read,
      printer,
      log: log as never,
      clock,
      intervalMs: 10_000,
      signal: stop.signal,
    });
    return { clock, stop, update, warnings, ended };
  }

  test('a read that fails is logged, and the next read follows after the interval', async () => {
    let count = 0;
    const { clock, stop, update, warnings, ended } = startWatch(async () => {
      count += 1;
      if (count === 2) throw new Error('connect ECONNREFUSED');
      return [row(`read-${count}`)];
    });
    await flushPromises();
    await clock.advance(9_999);
    expect(count).toBe(1);
    await clock.advance(10_001);
    expect(update.mock.calls.map(([[first]]) => first?.name)).toEqual(['read-1', 'read-3']);
    expect(warnings).toEqual(['connect ECONNREFUSED']);
    stop.abort();
    await ended;
    expect(clock.pending).toBe(0);
  });

  test('the first read fails: ends with its error', async () => {
    const { ended } = startWatch(() => Promise.reject(new Error('no credentials')));
    await expect(ended).rejects.toThrow('no credentials');
  });
});
