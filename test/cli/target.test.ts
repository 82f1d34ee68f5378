import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { canonicalJson } from '../../src/util/canonical-json.ts';
import { runCli } from '../support/cli.ts';
import { ACCOUNT_SPECS, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { stateOf } from '../support/state.ts';

const OTHER_ACCOUNT = { AWS_ACCESS_KEY_ID: '999988887777' };
/** A spec that sets `deletion: Remove`, as the owner of another account deploys it there. */
const THEIRS = `${TAX_SPEC.replaceAll('tax', 'books')}  policy: { deletion: Remove }\n`;

let folder: string;
let env: TestEnv;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-target-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** Runs the program in the folder, against a sandbox that plays AWS. */
const run = (args: string[], overrides: Record<string, string> = {}) =>
  runCli(args, { endpoint: env.sandbox.endpoint, cwd: folder, env: overrides });

const readPlan = async () => JSON.parse(await readFile(path.join(folder, 'plan.json'), 'utf8'));
const writesOf = ({ sandbox }: TestEnv) => sandbox.log.entries.filter(({ write }) => write);

/** Changes a saved plan as an attacker does, who also computes the checksum of the file again. */
async function editPlan(edit: (plan: Record<string, unknown>) => object): Promise<void> {
  const { integrity: _, ...content } = await readPlan();
  const edited = edit(content);
  const integrity = createHash('sha256').update(canonicalJson(edited)).digest('hex');
  await writeFile(path.join(folder, 'plan.json'), JSON.stringify({ ...edited, integrity }));
}

describe('saved plan', () => {
  beforeEach(async () => {
    env = await testEnv();
    await writeFile(path.join(folder, 'tax.yaml'), TAX_SPEC);
    return () => env[Symbol.asyncDispose]();
  });

  it('is bound to the account, the partition and the endpoint', async () => {
    await run(['plan', 'tax.yaml', '--out', 'plan.json']);
    expect((await readPlan()).target).toEqual({
      accounts: { '': '111122223333' },
      partitions: ['aws'],
      endpoint: env.sandbox.endpoint,
    });
    const otherAccount = await run(['apply', 'plan.json'], OTHER_ACCOUNT);
    expect(otherAccount).toMatchObject({
      code: 4,
      stdout: '',
      stderr:
        'wrong account: the ambient credentials belong to 999988887777, but the plan was made in 111122223333; nothing was read or changed there\n',
    });
    const sandbox = await run(['apply', 'plan.json', '--sandbox=state']);
    expect(sandbox).toMatchObject({
      code: 3,
      stderr: `refused: plan.json was made for ${env.sandbox.endpoint}, not for the sandbox (--sandbox); nothing was read or changed; apply it there, or plan again\n`,
    });
    expect(writesOf(env)).toEqual([]);
    expect((await run(['apply', 'plan.json'])).code).toBe(0);
  });

  it('of a sandbox: applies to every embedded sandbox, but to no other endpoint', async () => {
    const { stdout } = await run(['plan', 'tax.yaml', '--sandbox=first', '--out', 'plan.json']);
    const [, checksum = ''] = /Checksum ([0-9a-f]{16})/.exec(stdout) ?? [];
    const account = { AWS_ACCESS_KEY_ID: '000000000000' };
    expect(await run(['apply', 'plan.json'], account)).toMatchObject({
      code: 3,
      stderr: expect.stringContaining(
        `plan.json was made for the sandbox (--sandbox), not for ${env.sandbox.endpoint};`,
      ),
    });
    const byChecksum = await run(['--once', 'tax.yaml', '--plan', checksum], account);
    expect(byChecksum).toMatchObject({
      code: 3,
      stdout: expect.stringContaining('because the specs, the target or the state in AWS changed since'),
    });
    expect(writesOf(env)).toEqual([]);
    expect((await run(['apply', 'plan.json', '--sandbox=second'])).code).toBe(0);
  });

  it('has another checksum in another account and at another endpoint, also when it creates everything', async () => {
    await using other = await testEnv();
    const checksumOf = async (args: string[], overrides = {}) =>
      JSON.parse((await run(['plan', 'tax.yaml', '-o', 'json', ...args], overrides)).stdout).digest;
    const checksums = [
      await checksumOf([]),
      await checksumOf([], OTHER_ACCOUNT),
      await checksumOf([], { AWS_ENDPOINT_URL: other.sandbox.endpoint }),
      await checksumOf(['--sandbox=first']),
    ];
    expect(new Set(checksums).size).toBe(checksums.length);
    expect(await checksumOf([])).toBe(checksums[0]);
  });

  it.each([
    ['fewer steps', (plan: object) => ({ ...plan, waves: [] })],
    [
      'another account',
      (plan: object) => ({ ...plan, target: { ...targetOf(plan), accounts: { '': '999988887777' } } }),
    ],
    ['another endpoint', (plan: object) => ({ ...plan, target: { ...targetOf(plan), endpoint: 'aws' } })],
    ['no guardrails', (plan: object) => withSpecs(plan, { limits: { maxChanges: 1_000 } })],
    ['no specs', (plan: object) => withSpecs(plan, { pairs: [] })],
  ] as const)('is rejected with %s, even if the checksum of the file is right', async (_, edit) => {
    await run(['plan', 'tax.yaml', '--out', 'plan.json']);
    await editPlan(edit);
    expect(await run(['apply', 'plan.json'])).toMatchObject({
      code: 64,
      stdout: '',
      stderr: 'plan.json was changed after it was saved; create a plan with reconcile plan --out\n',
    });
    expect(writesOf(env)).toEqual([]);
  });

  it.each([1, 2, 4])('is rejected with format %i', async (format) => {
    await run(['plan', 'tax.yaml', '--out', 'plan.json']);
    await editPlan((plan) => ({ ...plan, format }));
    expect(await run(['apply', 'plan.json'])).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('format: this version of replikey reads plans of format 3;'),
    });
  });

  it('is rejected with inputs of another form', async () => {
    await run(['plan', 'tax.yaml', '--out', 'plan.json']);
    await editPlan((plan) => ({ ...plan, inputs: { specs: 'none', isPrune: false } }));
    expect(await run(['apply', 'plan.json'])).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('is not a saved plan: it does not contain the specs'),
    });
  });

  it('of a snapshot: cannot be applied, by its file or by its checksum', async () => {
    await run(['observe', 'tax.yaml', '--out', 'observed.json']);
    const planned = await run(['plan', 'tax.yaml', '--observed', 'observed.json', '--out', 'plan.json']);
    expect(planned.stdout).toContain(
      '\nSaved in plan.json. It cannot be applied, because a snapshot does not verify the account.\n',
    );
    expect(await run(['apply', 'plan.json'])).toMatchObject({
      code: 3,
      stdout: '',
      stderr:
        'refused: plan.json was made from a snapshot (--observed), which does not verify its accounts; plan again with credentials: reconcile plan --out\n',
    });
    const { digest } = await readPlan();
    expect((await run(['--once', 'tax.yaml', '--plan', digest])).code).toBe(3);
    const markdown = await run(['plan', 'tax.yaml', '--observed', 'observed.json', '-o', 'markdown']);
    expect(markdown.stdout).not.toContain('reconcile --once');
    expect(writesOf(env)).toEqual([]);
  });

  it('without an account id: cannot be applied', async () => {
    env.sandbox.faultSettings.faults = [
      { match: 'GetCallerIdentity', nth: 1, times: 1_000, what: { status: 403, code: 'AccessDenied' } },
    ];
    await run(['plan', 'tax.yaml', '--out', 'plan.json']);
    env.sandbox.faultSettings.faults = [];
    expect(await run(['apply', 'plan.json'])).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('plan.json was made without the id of the account'),
    });
  });

  it('without changes: has nothing to apply, and calls nothing', async () => {
    await env.reconcile();
    await run(['plan', 'tax.yaml', '--out', 'plan.json']);
    env.sandbox.log.reset();
    expect(await run(['apply', 'plan.json'])).toEqual({
      code: 0,
      signal: null,
      stdout: 'Nothing to apply: the saved plan contains no changes.\n',
      stderr: '',
    });
    const json = JSON.parse((await run(['apply', 'plan.json', '-o', 'json'])).stdout);
    expect(json).toMatchObject({ format: 1, refused: [], results: [], calls: { reads: 0, writes: 0 } });
    expect(env.sandbox.log.entries).toEqual([]);
  });

  it('with orphans alone: is bound to the account', async () => {
    await env.reconcileWith(`${TAX_SPEC}---\n${THEIRS}`);
    await run(['plan', 'tax.yaml', '--prune', '--account', '111122223333', '--out', 'plan.json']);
    const { target, waves } = await readPlan();
    expect(waves.length).toBeGreaterThan(0);
    expect(target.accounts).toEqual({ '': '111122223333' });
    expect((await run(['apply', 'plan.json'], OTHER_ACCOUNT)).code).toBe(4);
  });
});

describe('wrong account', () => {
  // The tests share the sandbox, because none of them changes the replication of tax.
  beforeAll(async () => {
    env = await testEnv();
    await env.reconcile();
    // The other account has replication of its own, from the same tool.
    await writeFile(path.join(folder, 'theirs.yaml'), THEIRS);
    await writeFile(path.join(folder, 'tax.yaml'), TAX_SPEC);
    expect((await run(['--once', 'theirs.yaml'], OTHER_ACCOUNT)).code).toBe(0);
    return () => env[Symbol.asyncDispose]();
  });

  it.each([['--once'], ['--once', '--prune', '--account', '999988887777'], ['--dry-run'], ['plan']])(
    '%j: changes nothing, and exits with 4 and the account of the caller',
    async (...args) => {
      const state = stateOf(env.sandbox);
      const { code, stdout } = await run([...args, 'tax.yaml'], OTHER_ACCOUNT);
      expect(code).toBe(4);
      expect(stdout).toMatch(
        /nothing was changed\.( reconcile --once would be refused:)?\n {2}! wrong account: every bucket that the specs name denies access to the credentials of account 999988887777; use credentials/,
      );
      expect(stateOf(env.sandbox)).toEqual(state);
    },
  );

  it('-o json: reports the refusal', async () => {
    const { code, stdout } = await run(['--once', 'tax.yaml', '-o', 'json'], OTHER_ACCOUNT);
    expect(code).toBe(4);
    expect(JSON.parse(stdout)).toMatchObject({ refused: [{ id: 'wrong-account' }], results: [] });
  });

  it('plan --out: prints no command that applies the plan', async () => {
    const { code, stdout } = await run(['plan', 'tax.yaml', '--out', 'refused.json'], OTHER_ACCOUNT);
    expect(code).toBe(4);
    expect(stdout).toMatch(/\nSaved in refused\.json\. It cannot be applied, for the reason above\.\n$/);
  });

  it('with one accessible bucket: blocks the other spec alone', async () => {
    await writeFile(path.join(folder, 'both.yaml'), `${TAX_SPEC}---\n${THEIRS.replace('Tax/', 'New/')}`);
    const { code, stdout } = await run(['--once', 'both.yaml'], OTHER_ACCOUNT);
    expect(code).toBe(1);
    expect(stdout).not.toContain('wrong account');
    expect(stdout).toContain('✓ updated s3.replication/acme-books');
  });

  it('--account: ends the run before it changes anything, with the account of the caller', async () => {
    const state = stateOf(env.sandbox);
    for (const args of [['--once'], ['--once', '--prune'], ['plan']])
      expect(await run([...args, 'tax.yaml', '--account', '111122223333'], OTHER_ACCOUNT)).toMatchObject({
        code: 4,
        stdout: '',
        stderr:
          'wrong account: the ambient credentials belong to 999988887777, but --account requires 111122223333; nothing was read or changed there\n',
      });
    expect(stateOf(env.sandbox)).toEqual(state);
    expect((await run(['--once', 'tax.yaml', '--account', '111122223333'])).code).toBe(0);
  });

  it('--account: is part of the command that applies a plan', async () => {
    await writeFile(path.join(folder, 'changed.yaml'), TAX_SPEC.replace('Tax/', 'New/'));
    const { stdout } = await run(['plan', 'changed.yaml', '-o', 'markdown', '--account', '111122223333']);
    expect(stdout).toMatch(/\nreconcile --once changed\.yaml --plan [0-9a-f]{16} --account 111122223333\n/);
  });

  it('--prune: requires the account', async () => {
    for (const args of [['--once'], ['--dry-run'], ['plan']])
      expect(await run([...args, '--prune', 'tax.yaml'])).toMatchObject({
        code: 64,
        stdout: '',
        stderr:
          '--prune requires the account of tax, because it removes what no spec declares in that account; add --account with its id, or name an Account document in the specs\n',
      });
    const declared = ACCOUNT_SPECS + TAX_SPEC.replaceAll('region:', 'account: main, region:');
    await writeFile(path.join(folder, 'declared.yaml'), declared);
    const main = { AWS_ACCESS_KEY_ID: '111122223333' };
    expect((await run(['plan', '--prune', 'declared.yaml'], main)).stderr).not.toContain('--prune requires');
  });

  it('--account: is rejected for specs with Account documents, and for other text than an id', async () => {
    const declared = ACCOUNT_SPECS + TAX_SPEC.replaceAll('region:', 'account: main, region:');
    await writeFile(path.join(folder, 'declared.yaml'), declared);
    expect(await run(['plan', 'declared.yaml', '--account', '111122223333'])).toMatchObject({
      code: 64,
      stderr:
        '--account is for the ambient credentials, but every spec names an Account document; remove it\n',
    });
    expect(await run(['plan', 'tax.yaml', '--account', 'main'])).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('Expected an account id: 12 digits.'),
    });
  });
});

const targetOf = (plan: object): object => (plan as { target: object }).target;

function withSpecs(plan: object, fields: object): object {
  const { inputs } = plan as { inputs: { specs: object } };
  return { ...plan, inputs: { ...inputs, specs: { ...inputs.specs, ...fields } } };
}
