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

/** Runs the built program in a shell. `ulimit -f` simulates a full disk: it limits the size of files. */
const spawnWith = (before: string) => (args: string[], endpoint?: string) =>
  spawn('sh', ['-c', `${before} exec "$@"`, 'sh', process.execPath, MAIN, ...args], {
    env: childEnvironment(endpoint),
    cwd: folder,
  });

async function finish(child: ChildProcess): Promise<{ code: number | null; output: string }> {
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  child.stdin?.end(TAX_SPEC);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

/** File sizes in blocks of 512 bytes. The journal of a pair exceeds them: each ends the run at another change. */
const BLOCKS = SAMPLING.isAll ? Array.from({ length: 14 }, (_, at) => 4 * at + 2) : [4, 20];

describe('full disk', () => {
  test.each(BLOCKS)(
    'after %i blocks: applied changes are kept, and the next run converges',
    async (blocks) => {
      simulateTime();
      const state = path.join(folder, 'state');
      const specs = await parseSpecs(TAX_SPEC);
      const serving = spawnWith(`ulimit -f ${blocks};`)(['sandbox', '--port', '0', '--state', state]);
      const [line] = (await once(serving.stdout.setEncoding('utf8'), 'data')) as [string];
      const endpoint = /http:\S+/.exec(line)?.[0] ?? '';
      const limitedProxy = await startFaultProxy(endpoint);
      const limitedRun = await runPass({
        sandbox: endpoint,
        proxy: limitedProxy,
        specs,
        pass: { propagationTimeoutMs: 5_000 },
      });
      await limitedProxy.close();
      const stopped = finish(serving);
      serving.kill('SIGTERM');
      const { output } = await stopped;

      expect(`${limitedRun.output}${output}`).not.toMatch(STACK_TRACE_LINE);
      expect(output).not.toMatch(/bug in replikey/);
      if (limitedRun.exitCode !== EXIT.ok) expect(limitedRun.output).toMatch(/EFBIG: file too large/);

      const sandbox = await startSandbox({ state });
      const proxy = await startFaultProxy(sandbox.endpoint);
      const unlimited = { sandbox: sandbox.endpoint, proxy, specs };
      const next = await runPass(unlimited);
      const last = await runPass({ ...unlimited, pass: { dryRun: true } });
      await proxy.close();
      await sandbox.close();
      const missingIds: string[] = next.outcome?.plan.waves.flat().map(({ id }) => id) ?? [];
      expect(limitedRun.applied.filter((id) => missingIds.includes(id))).toEqual([]);
      expect(limitedRun.exitCode).toBe(missingIds.length > 0 ? EXIT.failed : EXIT.ok);
      expect(next.exitCode, next.output).toBe(EXIT.ok);
      expect(last.outcome?.plan.waves).toEqual([]);
    },
  );

  test('from the start: the sandbox reports why it does not start', async () => {
    const { code, output } = await finish(spawnWith('ulimit -f 0;')(['--once', '--sandbox=state', '-']));
    expect(output).toMatch(/^cannot start the sandbox: file too large$/m);
    expect(output).not.toMatch(STACK_TRACE_LINE);
    expect(code).toBe(EXIT.failed);
  });

  test('plan --out: keeps the previous plan and leaves no partial file', async () => {
    await using testEnvironment = await testEnv();
    await writeFile(path.join(folder, 'plan.json'), 'the previous plan');
    const { code, output } = await finish(
      spawnWith('ulimit -f 0;')(['plan', '--out', 'plan.json', '-'], testEnvironment.sandbox.endpoint),
    );
    expect(output).toMatch(/^cannot write plan\.json: file too large$/m);
    expect(code).toBe(EXIT.usage);
    expect(await readdir(folder)).toEqual(['plan.json']);
    expect(await readFile(path.join(folder, 'plan.json'), 'utf8')).toBe('the previous plan');
  });
});

/** Read-only folders. Root ignores file modes, so the tests do not use them. */
const READ_ONLY: [name: string, before: string, isSupported: boolean][] = [
  ['folder below a file', 'touch disk;', true],
  [
    'disk that is mounted read-only',
    'mount --bind disk disk && mount -o remount,ro,bind disk || exit 99;',
    spawnSync('unshare', ['-rm', 'sh', '-c', 'mount --bind /tmp /tmp && mount -o remount,ro,bind /tmp'])
      .status === 0,
  ],
];

describe.each(READ_ONLY)('%s', (_, before, isSupported) => {
  const isMount = before.startsWith('mount');
  const run = (args: string[], endpoint?: string) =>
    finish(
      isMount
        ? spawn(
            'unshare',
            ['-rm', 'sh', '-c', `${before} exec "$@"`, 'sh', process.execPath, MAIN, ...args],
            {
              env: childEnvironment(endpoint),
              cwd: folder,
            },
          )
        : spawnWith(before)(args, endpoint),
    );
  beforeEach(async () => {
    if (isMount) await mkdir(path.join(folder, 'disk'));
  });

  test.runIf(isSupported)('sandbox --state: reports why it does not start', async () => {
    const { code, output } = await run(['--once', '--sandbox=disk/state', '-']);
    expect(output).toMatch(
      /^cannot start the sandbox: disk\/state.*: (not a directory|read-only file system|no such file or directory)$/m,
    );
    expect(output).not.toMatch(STACK_TRACE_LINE);
    expect(code).toBe(EXIT.failed);
  });

  test.runIf(isSupported)('plan --out: reports the write error and prints the plan', async () => {
    await using testEnvironment = await testEnv();
    const { code, output } = await run(
      ['plan', '--out', 'disk/plan.json', '-'],
      testEnvironment.sandbox.endpoint,
    );
    expect(output).toMatch(/^Plan: 13 to create/m);
    expect(output).toMatch(/^cannot write disk\/plan\.json: (not a directory|read-only file system)$/m);
    expect(output).not.toMatch(STACK_TRACE_LINE);
    expect(code).toBe(EXIT.usage);
  });
});
