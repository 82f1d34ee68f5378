import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { childEnvironment, isInstalled, MAIN, runCli } from '../support/cli.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

const QUESTION = 'Apply 13 changes in account 111122223333? [y/N] ';

/** Runs a command on a pseudo-terminal, and forwards its input and output. */
const ON_TERMINAL = 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-confirm-'));
  await writeFile(path.join(folder, 'tax.yaml'), TAX_SPEC);
});
afterEach(() => rm(folder, { recursive: true }));

/**
 * Runs the program on a terminal. Types the input at the start, and the answer when the program asks.
 *
 * @param answer `\u0004` ends the input, `\u0003` is Ctrl-C
 */
async function runOnTerminal(
  { sandbox }: TestEnv,
  args: string[],
  answer: string,
  { beforeAnswer = async () => {}, input = '' }: { beforeAnswer?: () => Promise<void>; input?: string } = {},
): Promise<{ code: number | null; output: string }> {
  const child = spawn('python3', ['-c', ON_TERMINAL, process.execPath, MAIN, ...args], {
    env: childEnvironment(sandbox.endpoint, { TERM: 'dumb', NO_COLOR: '1' }),
    cwd: folder,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.write(input);
  let output = '';
  let hasAnswered = false;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text.replaceAll('\r\n', '\n');
    if (hasAnswered || !output.endsWith('[y/N] ')) return;
    hasAnswered = true;
    void beforeAnswer().then(() => child.stdin.write(answer));
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

const writesOf = ({ sandbox }: TestEnv): string[] =>
  sandbox.log.entries.filter(({ write }) => write).map(({ operation }) => operation);

describe.skipIf(!isInstalled('python3'))('on a terminal', () => {
  it.each(['y\n', ' YES \n'])('--once: asks after the plan, and %j applies it', async (answer) => {
    await using env = await testEnv();
    const { code, output } = await runOnTerminal(env, ['--once', 'tax.yaml'], answer);
    expect(output).toMatch(
      /\nPlan: 13 to create[\s\S]*\n\nApply 13 changes in account 111122223333\? \[y\/N\] /,
    );
    expect(output).toContain('Converged: 13 applied');
    expect(code).toBe(0);
  });

  it('apply specs: asks as --once does', async () => {
    await using env = await testEnv();
    const { code, output } = await runOnTerminal(env, ['apply', 'tax.yaml'], 'n\n');
    expect(output).toContain(QUESTION);
    expect({ code, writes: writesOf(env) }).toEqual({ code: 3, writes: [] });
  });

  it.each(['n\n', '\n', 'yep\n', 'no y\n', '\u0004'])(
    '--once: %j declines, with exit code 3',
    async (answer) => {
      await using env = await testEnv();
      const { code, output } = await runOnTerminal(env, ['--once', 'tax.yaml'], answer);
      expect(output).toContain(QUESTION);
      expect(output).toMatch(
        /\n\nRefused: nothing was changed\.\n {2}! the plan was not confirmed: answer y to apply it, or use --yes\n$/,
      );
      expect({ code, writes: writesOf(env) }).toEqual({ code: 3, writes: [] });
    },
  );

  it('--once -: specs that were typed end the input, and so decline the plan', async () => {
    await using env = await testEnv();
    const input = `${TAX_SPEC}\u0004`;
    const { code, output } = await runOnTerminal(env, ['--once', '-'], '', { input });
    expect(output).toContain(QUESTION);
    expect(output).toContain('the plan was not confirmed: answer y to apply it, or use --yes');
    expect({ code, writes: writesOf(env) }).toEqual({ code: 3, writes: [] });
  });

  it('--once: Ctrl-C at the question exits with 130', async () => {
    await using env = await testEnv();
    const { code, output } = await runOnTerminal(env, ['--once', 'tax.yaml'], '\u0003');
    expect(output).toContain('Interrupted: no call is in flight; run the command again to continue.');
    expect({ code, writes: writesOf(env) }).toEqual({ code: 130, writes: [] });
  });

  it('apply: asks, applies exactly the saved plan, and does not ask when nothing is left to do', async () => {
    await using env = await testEnv();
    const endpoint = env.sandbox.endpoint;
    expect((await runCli(['plan', 'tax.yaml', '--out', 'plan.json'], { endpoint, cwd: folder })).code).toBe(
      0,
    );
    const declined = await runOnTerminal(env, ['apply', 'plan.json'], 'n\n');
    expect(declined.code).toBe(3);
    expect(declined.output).toContain(QUESTION);
    expect((await runOnTerminal(env, ['apply', 'plan.json'], 'y\n')).code).toBe(0);
    const again = await runOnTerminal(env, ['apply', 'plan.json'], 'n\n');
    expect(again.code).toBe(0);
    expect(again.output).not.toContain('[y/N]');
  });

  it('--once: AWS changes before the answer: refuses the plan, and lists the difference', async () => {
    await using env = await testEnv();
    const createBucket = async () => {
      await env.client.send({ region: 'us-east-1' }, new CreateBucketCommand({ Bucket: 'acme-tax' }));
      env.sandbox.log.reset();
    };
    const { code, output } = await runOnTerminal(env, ['--once', 'tax.yaml'], 'y\n', {
      beforeAnswer: createBucket,
    });
    expect(output).toContain('the plan differs from the approved plan');
    expect(output).toContain('s3.bucket/acme-tax: the plan no longer changes it');
    expect({ code, writes: writesOf(env) }).toEqual({ code: 3, writes: [] });
  });

  it('--once -o json: shows the plan beside the question, and declines in the result', async () => {
    await using env = await testEnv();
    const { code, output } = await runOnTerminal(env, ['--once', 'tax.yaml', '-o', 'json'], 'n\n');
    expect(code).toBe(3);
    expect(output).toMatch(/\nPlan: 13 to create[\s\S]*\[y\/N\] /);
    const result = JSON.parse(output.slice(output.indexOf('\n{\n')));
    expect(result.refused).toMatchObject([{ id: 'not-confirmed' }]);
  });

  it.each([
    ['--yes', ['--once', '--yes', 'tax.yaml']],
    ['a dry run', ['--dry-run', 'tax.yaml']],
  ])('%s: does not ask', async (_, args) => {
    await using env = await testEnv();
    const { code, output } = await runOnTerminal(env, args, 'n\n');
    expect(code).toBe(0);
    expect(output).not.toContain('[y/N]');
  });

  it('--once: a converged pass does not ask, and makes the same calls as without a terminal', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const callsOf = async (run: () => Promise<{ code: number | null }>) => {
      env.sandbox.log.reset();
      expect((await run()).code).toBe(0);
      return env.sandbox.log.entries.map(({ operation }) => operation).sort();
    };
    const { endpoint } = env.sandbox;
    const onTerminal = await callsOf(() => runOnTerminal(env, ['--once', 'tax.yaml'], 'n\n'));
    expect(onTerminal).toEqual(
      await callsOf(() => runCli(['--once', 'tax.yaml'], { endpoint, cwd: folder })),
    );
  });
});

it.each([
  [['--dry-run', '--yes'], '--yes has no effect with --dry-run, which changes nothing: remove it'],
  [['--yes'], '--yes requires a single pass: add --once or --dry-run'],
])('64: --yes without an apply: %j', async (args, message) => {
  const { code, stderr } = await runCli([...args, 'tax.yaml'], { cwd: folder });
  expect(code).toBe(64);
  expect(stderr).toContain(message);
});
