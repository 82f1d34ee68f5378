import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { showProgress } from '../../src/cli/progress.ts';
import type { Plan } from '../../src/core/resource.ts';
import { createLog } from '../../src/log.ts';
import type { ApplyEvent } from '../../src/reconcile/apply.ts';
import { childEnvironment, MAIN } from '../support/cli.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';
import { fakeClock } from '../support/fake-clock.ts';

/** Returns the lines on a terminal after this output. It supports only line feeds, `up` and `erase below`. */
function screen(written: string): string[] {
  const lines = [''];
  let row = 0;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they control the terminal
  for (const [, up, down, text] of written.matchAll(/\x1b\[(?:(\d+)A|(J))|([^\x1b]+)/g)) {
    if (up !== undefined) row -= Number(up);
    else if (down !== undefined) lines.splice(row, lines.length, '');
    else
      for (const part of (text ?? '').split(/(\n)/)) {
        if (part === '\n') row += 1;
        else lines[row] = (lines[row] ?? '') + part;
        lines[row] ??= '';
      }
  }
  return lines.slice(0, -1);
}

function terminal({ isTTY }: { isTTY: boolean }) {
  const stream = Object.assign(new PassThrough({ decodeStrings: false, encoding: 'utf8' }), {
    isTTY,
    columns: 60,
    rows: 24,
  });
  let written = '';
  let writes = 0;
  stream.on('data', (chunk: string) => {
    written += chunk;
    writes += 1;
  });
  return {
    stream: stream as never,
    get writes() {
      return writes;
    },
    get screen() {
      return screen(written);
    },
  };
}

const step = { id: 's3.bucket/acme-tax', action: 'create', pairs: ['tax'] };
const PLAN = { waves: [[step]] } as unknown as Plan;
const WAITING = {
  type: 'waiting',
  step,
  waitsFor: 'S3 to see the new role',
  untilMs: 60_000,
} as unknown as ApplyEvent;
const APPLIED = { type: 'applied', step } as unknown as ApplyEvent;

function startProgress(isTTY: boolean, env: Record<string, string> = {}, level = 'info') {
  const out = terminal({ isTTY });
  const clock = fakeClock();
  const calls = { reads: 0, writes: 0 };
  const io = { stdout: out.stream, stderr: out.stream, env: { NO_COLOR: '1', ...env } };
  const log = createLog(out.stream, { level, colour: false });
  return {
    out,
    clock,
    calls,
    log,
    stream: out.stream as NodeJS.WriteStream,
    progress: showProgress({ io, log, clock, calls }),
  };
}

test('progress: on a terminal, shows lines below all other output, and clears them at the end', async () => {
  const { out, clock, calls, log, stream, progress } = startProgress(true);
  await clock.advance(200);
  expect(out.screen, 'a short pass shows no progress').toEqual([]);
  calls.reads = 41;
  await clock.advance(900);
  expect(out.screen).toEqual(['41 reads, 0 writes, 1 s']);
  stream.write('the plan\n');
  expect(out.screen).toEqual(['the plan']);
  progress.plan(PLAN);
  progress.event(WAITING);
  await clock.advance(5_000);
  expect(out.screen).toEqual([
    'the plan',
    'tax  0 of 1 applied, waiting up to 55 s for S3 to see the …',
    '0 of 1 applied: 41 reads, 0 writes, 6 s',
  ]);
  log.warn('tried again');
  progress.event(APPLIED);
  stream.write('created\n');
  await clock.advance(100);
  expect(out.screen).toEqual([
    'the plan',
    'WARN: tried again',
    'created',
    '1 of 1 applied: 41 reads, 0 writes, 6 s',
  ]);
  progress.end();
  expect(out.screen).toEqual(['the plan', 'WARN: tried again', 'created']);
  expect(clock.pending).toBe(0);
  stream.write('converged\n');
  expect(out.screen.at(-1)).toBe('converged');
});

test('progress: draws nothing while a person answers a question', async () => {
  const { out, clock, calls, stream, progress } = startProgress(true);
  calls.reads = 41;
  await clock.advance(2_000);
  progress.pause();
  stream.write('Apply? ');
  calls.reads = 42;
  const { writes } = out;
  await clock.advance(60_000);
  expect(out.writes).toBe(writes);
  stream.write('y\n');
  progress.resume();
  await clock.advance(1_000);
  expect(out.screen).toEqual(['Apply? y', '42 reads, 0 writes, 63 s']);
  progress.end();
  expect(clock.pending).toBe(0);
});

test('progress: redraws at most ten times a second, and only after a change', async () => {
  const { out, clock, calls, progress } = startProgress(true);
  for (let ms = 0; ms < 10_000; ms += 10) {
    calls.reads += 1;
    await clock.advance(10);
  }
  expect(out.writes).toBeGreaterThan(50);
  expect(out.writes).toBeLessThanOrEqual(100);
  const before = out.writes;
  await clock.advance(400);
  expect(out.writes - before).toBeLessThanOrEqual(2);
  progress.end();
});

test.each([
  ['without a terminal', false, {}],
  ['on a dumb terminal', true, { TERM: 'dumb' }],
])('progress: %s, logs a line every 30 seconds until the pass ends', async (_, isTTY, env) => {
  const { out, clock, calls, progress } = startProgress(isTTY, env);
  await clock.advance(29_000);
  expect(out.screen).toEqual([]);
  progress.plan(PLAN);
  progress.event(WAITING);
  calls.reads = 41;
  await clock.advance(31_000);
  expect(out.screen).toEqual([
    expect.stringContaining(
      'in progress: 0 of 1 applied, waiting up to 59 s for S3 to see the new role, 41 reads, 0 writes, 30 s',
    ),
    expect.stringContaining('waiting up to 29 s for S3 to see the new role, 41 reads, 0 writes, 60 s'),
  ]);
  progress.end();
  await clock.advance(100_000);
  expect(out.screen).toHaveLength(2);
});

test('progress: prints nothing at log level silent', async () => {
  for (const isTTY of [true, false]) {
    const { out, clock, progress } = startProgress(isTTY, {}, 'silent');
    await clock.advance(100_000);
    expect(out.screen).toEqual([]);
    progress.end();
  }
});

// `script` of util-linux runs a command in a pseudo-terminal.
const hasScript =
  spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux') ?? false;

test.skipIf(!hasScript)('progress: in a real terminal, no progress lines remain after the run', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-terminal-'));
  const file = path.join(folder, 'spec.yaml');
  await writeFile(file, TAX_SPEC);
  try {
    await using testEnvironment = await testEnv(TAX_SPEC, { faultSettings: { rolePropagationMs: 1_500 } });
    const command = `stty cols 100 rows 30; ${process.execPath} ${MAIN} --once --yes ${file}`;
    const env = childEnvironment(testEnvironment.sandbox.endpoint, { NO_COLOR: '1', TERM: 'xterm' });
    const { stdout } = await promisify(execFile)('script', ['-qec', command, '/dev/null'], { env });
    const lines = screen(stdout.replaceAll('\r', ''));
    expect(stdout).toMatch(/tax {2}\d+ of 13 applied, waiting up to \d+ s for /);
    expect(lines.join('\n')).not.toMatch(/waiting up to|reads, /);
    expect(lines.filter((line) => line.startsWith('✓'))).toHaveLength(13);
    expect(lines.at(-1)).toBe('Converged: 13 applied, and a second read finds no differences.');
  } finally {
    await rm(folder, { recursive: true });
  }
});
