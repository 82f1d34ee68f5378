import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { parse } from 'yaml';
import { childEnvironment, MAIN, runCli } from '../../support/cli.ts';
import { TAX_SPEC, testEnv } from '../../support/env.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-apply-'));
  await mkdir(path.join(folder, 'specs'));
  await writeFile(path.join(folder, 'specs', 'tax.yaml'), TAX_SPEC);
  await writeFile(path.join(folder, 'tax.json'), JSON.stringify(parse(TAX_SPEC)));
  await symlink('specs', path.join(folder, 'link'));
});
afterEach(() => rm(folder, { recursive: true }));

it.each(['specs/', 'specs/*.yaml', 'specs/tax.yaml', 'tax.json', 'link', '-'])(
  'apply %s: applies specs as --once does',
  async (argument) => {
    await using env = await testEnv();
    const options = { endpoint: env.sandbox.endpoint, cwd: folder, input: TAX_SPEC };
    const applied = await runCli(['apply', argument], options);
    expect(applied).toMatchObject({ code: 0, stdout: expect.stringContaining('Converged: 13 applied') });
    expect((await runCli(['--once', argument], options)).stdout).toContain('Nothing to do');
  },
);

it('apply: finds a saved plan by its content, under any name', async () => {
  await using env = await testEnv();
  const options = { endpoint: env.sandbox.endpoint, cwd: folder };
  await runCli(['plan', 'specs/', '--out', 'plan.json'], options);
  await rename(path.join(folder, 'plan.json'), path.join(folder, 'reviewed'));
  expect(await runCli(['apply', 'specs/', 'reviewed'], options)).toMatchObject({
    code: 64,
    stderr: 'reviewed is a saved plan, which contains its specs: apply it alone\n',
  });
  expect((await runCli(['apply', 'reviewed'], options)).stdout).toContain('Converged: 13 applied');
});

it('apply: finds a saved plan behind a link, and in a pipe that can be read once', async () => {
  await using env = await testEnv();
  const options = { endpoint: env.sandbox.endpoint, cwd: folder };
  await runCli(['plan', 'specs/', '--out', 'plan.json'], options);
  await symlink('plan.json', path.join(folder, 'reviewed'));
  expect((await runCli(['apply', 'reviewed'], options)).stdout).toContain('Converged: 13 applied');
  // A pipe of a shell: the standard input of runCli is a socket, which has no path.
  const pipe = ['-c', 'cat plan.json | "$0" "$1" apply /dev/stdin', process.execPath, MAIN];
  const again = promisify(execFile)('sh', pipe, { cwd: folder, env: childEnvironment(env.sandbox.endpoint) });
  expect((await again).stdout).toContain('Nothing to do: 13 resources are as declared.');
});

it.each([['--prune'], ['--only', 'tax'], ['--var', 'a=b'], ['--account', '111122223333'], ['--explain']])(
  'apply: refuses %s with a saved plan, which contains its specs',
  async (...option) => {
    await using env = await testEnv();
    const options = { endpoint: env.sandbox.endpoint, cwd: folder };
    await runCli(['plan', 'specs/', '--out', 'plan.json'], options);
    env.sandbox.log.reset();
    expect(await runCli(['apply', 'plan.json', ...option], options)).toMatchObject({
      code: 64,
      stderr: expect.stringContaining(`${option[0]} has no effect on a saved plan`),
    });
    expect(env.sandbox.log.entries).toEqual([]);
  },
);

it('apply --plan: applies specs only if their plan has this checksum', async () => {
  await using env = await testEnv();
  const options = { endpoint: env.sandbox.endpoint, cwd: folder };
  expect((await runCli(['apply', 'specs/', '--plan', '0'.repeat(64)], options)).code).toBe(3);
  const { stdout } = await runCli(['plan', 'specs/', '-o', 'json'], options);
  const { digest } = JSON.parse(stdout);
  expect((await runCli(['apply', 'specs/', '--plan', digest], options)).code).toBe(0);
});

it('diff: prints what plan prints', async () => {
  await using env = await testEnv();
  const options = { endpoint: env.sandbox.endpoint, cwd: folder };
  const [plan, diff] = [await runCli(['plan', 'specs/'], options), await runCli(['diff', 'specs/'], options)];
  const withoutTimes = (text: string) => text.replace(/in \d.*s/, '');
  expect(withoutTimes(diff.stdout)).toBe(withoutTimes(plan.stdout));
});

it('plan --max-changes: shows that the plan would be refused', async () => {
  await using env = await testEnv();
  const options = { endpoint: env.sandbox.endpoint, cwd: folder };
  const { stdout } = await runCli(['plan', 'specs/', '--max-changes', '0'], options);
  expect(stdout).toContain('--max-changes');
});

it.each(['30', '30s', '5m', '1h', '0.5'])('durations: --wait accepts %s', async (duration) => {
  await using env = await testEnv();
  const options = { endpoint: env.sandbox.endpoint, cwd: folder };
  expect((await runCli(['apply', 'specs/', '--wait', duration], options)).code).toBe(0);
});
