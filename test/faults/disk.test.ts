import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EXIT } from '../../src/errors.ts';
import { startSandbox } from '../../src/sandbox/server.ts';
import { childEnvironment, MAIN } from '../support/cli.ts';
import { parseSpecs, TAX_SPEC, testEnv } from '../support/env.ts';
import { STACK_TRACE_LINE } from './assertions.ts';
import { startFaultProxy } from './fault-proxy.ts';
import { SAMPLING } from './matrix.ts';
import { runPass } from './run-pass.ts';
import { simulateTime } from './simulated-time.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-disk-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A shell's way to run the program that ships: `ulimit -f` is a disk on which files find no more room than that. */
const onDisk = (before: string) => (args: string[], endpoint?: string) =>
  spawn('sh', ['-c', `${before} exec "$@"`, 'sh', process.execPath, MAIN, ...args], {
    env: childEnvironment(endpoint),
    cwd: folder,
  });

async function ended(child: ChildProcess): Promise<{ code: number | null; said: string }> {
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  child.stdin?.end(TAX_SPEC);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, said };
}

/** Blocks of 512 bytes: the documents of a pair grow to some more than these. */
const BLOCKS = SAMPLING.isAll ? Array.from({ length: 14 }, (_, at) => at + 1) : [4, 10];

describe('a disk that is full', () => {
  test.each(BLOCKS)(
    'after %i blocks: what was said to be applied is kept, and the next run goes on',
    async (blocks) => {
      simulateTime();
      const state = path.join(folder, 'state');
      const specs = await parseSpecs(TAX_SPEC);
      const serving = onDisk(`ulimit -f ${blocks};`)(['sandbox', '--port', '0', '--state', state]);
      const [line] = (await once(serving.stdout.setEncoding('utf8'), 'data')) as [string];
      const endpoint = /http:\S+/.exec(line)?.[0] ?? '';
      const full = await startFaultProxy(endpoint);
      const ran = await runPass({
        sandbox: endpoint,
        proxy: full,
        specs,
        pass: { propagationTimeoutMs: 5_000 },
      });
      await full.close();
      const over = ended(serving);
      serving.kill('SIGTERM');
      const { said } = await over;

      expect(`${ran.output}${said}`).not.toMatch(STACK_TRACE_LINE);
      expect(said).not.toMatch(/fault of replikey/);
      if (ran.exitCode !== EXIT.ok)
        expect(said).toMatch(/^the sandbox's state cannot be kept: file too large$/m);

      const sandbox = await startSandbox({ state });
      const proxy = await startFaultProxy(sandbox.endpoint);
      const again = { sandbox: sandbox.endpoint, proxy, specs };
      const next = await runPass(again);
      const last = await runPass({ ...again, pass: { dryRun: true } });
      await proxy.close();
      await sandbox.close();
      const lacking: string[] = next.outcome?.plan.waves.flat().map(({ id }) => id) ?? [];
      expect(ran.applied.filter((id) => lacking.includes(id))).toEqual([]);
      expect(ran.exitCode).toBe(lacking.length > 0 ? EXIT.failed : EXIT.ok);
      expect(next.exitCode, next.output).toBe(EXIT.ok);
      expect(last.outcome?.plan.waves).toEqual([]);
    },
  );

  test('from the start: the sandbox says why it does not start', async () => {
    const { code, said } = await ended(onDisk('ulimit -f 0;')(['--once', '--sandbox=state', '-']));
    expect(said).toMatch(/^the sandbox cannot start: file too large$/m);
    expect(said).not.toMatch(STACK_TRACE_LINE);
    expect(code).toBe(EXIT.failed);
  });

  test('keeps the plan that was saved before, and leaves no part of the new one', async () => {
    await using testEnvironment = await testEnv();
    await writeFile(path.join(folder, 'plan.json'), 'the plan before');
    const { code, said } = await ended(
      onDisk('ulimit -f 0;')(['plan', '--out', 'plan.json', '-'], testEnvironment.sandbox.endpoint),
    );
    expect(said).toMatch(/^plan\.json cannot be written: file too large$/m);
    expect(code).toBe(EXIT.usage);
    expect(await readdir(folder)).toEqual(['plan.json']);
    expect(await readFile(path.join(folder, 'plan.json'), 'utf8')).toBe('the plan before');
  });
});

/** Folders that cannot be written to; a file mode would not stop root. */
const READ_ONLY: [name: string, before: string, isThere: boolean][] = [
  ['a folder below a file', 'touch disk;', true],
  [
    'a disk that is mounted read-only',
    'mount --bind disk disk && mount -o remount,ro,bind disk || exit 99;',
    spawnSync('unshare', ['-rm', 'sh', '-c', 'mount --bind /tmp /tmp && mount -o remount,ro,bind /tmp'])
      .status === 0,
  ],
];

describe.each(READ_ONLY)('%s', (_, before, isThere) => {
  const isMount = before.startsWith('mount');
  const run = (args: string[], endpoint?: string) =>
    ended(
      isMount
        ? spawn(
            'unshare',
            ['-rm', 'sh', '-c', `${before} exec "$@"`, 'sh', process.execPath, MAIN, ...args],
            {
              env: childEnvironment(endpoint),
              cwd: folder,
            },
          )
        : onDisk(before)(args, endpoint),
    );
  beforeEach(async () => {
    if (isMount) await mkdir(path.join(folder, 'disk'));
  });

  test.runIf(isThere)('is told where a sandbox is to keep its state there', async () => {
    const { code, said } = await run(['--once', '--sandbox=disk/state', '-']);
    expect(said).toMatch(
      /^the sandbox cannot start: disk\/state.*: (not a directory|read-only file system|no such file or directory)$/m,
    );
    expect(said).not.toMatch(STACK_TRACE_LINE);
    expect(code).toBe(EXIT.failed);
  });

  test.runIf(isThere)(
    'is told where a plan is to be saved there, and the plan is shown all the same',
    async () => {
      await using testEnvironment = await testEnv();
      const { code, said } = await run(
        ['plan', '--out', 'disk/plan.json', '-'],
        testEnvironment.sandbox.endpoint,
      );
      expect(said).toMatch(/^Plan: 13 to create/m);
      expect(said).toMatch(/^disk\/plan\.json cannot be written: (not a directory|read-only file system)$/m);
      expect(said).not.toMatch(STACK_TRACE_LINE);
      expect(code).toBe(EXIT.usage);
    },
  );
});
