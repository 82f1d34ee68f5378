import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DeleteRolePolicyCommand } from '@aws-sdk/client-iam';
import { DeleteBucketReplicationCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { listJobs } from '../../../src/aws/batch-jobs.ts';
import { type CliResult, childEnvironment, isInstalled, MAIN, runCli } from '../../support/cli.ts';
import { ACCOUNT_SPECS, CROSS_ACCOUNT_SPEC, TAX_SPEC, type TestEnv, testEnv } from '../../support/env.ts';
import { callS3 } from '../../support/raw-aws.ts';

const EAST = { region: 'us-east-1' };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-redrive-'));
  await writeFile(path.join(folder, 'tax.yaml'), TAX_SPEC);
});
afterAll(() => rm(folder, { recursive: true }));

let env: TestEnv;
afterEach(() => env?.[Symbol.asyncDispose]());

const redrive = (...args: string[]): Promise<CliResult> =>
  runCli(['redrive', ...args], { endpoint: env.sandbox.endpoint, cwd: folder });

/** Starts a sandbox with failed objects and a repaired role. */
async function startWithFailed(count: number): Promise<void> {
  env = await testEnv();
  await env.reconcile();
  await env.client.send(
    EAST,
    new DeleteRolePolicyCommand({ RoleName: 'replikey-acme-tax', PolicyName: 'replikey' }),
  );
  for (let index = 0; index < count; index++)
    await callS3(env.sandbox.endpoint, 'PUT', `/acme-tax/Tax/${index}.txt`, { body: 'numbers' });
  await env.sandbox.waitForReplication();
  await env.reconcile();
}

const jobStatuses = async () => (await listJobs(env.client, EAST)).map(({ Status }) => Status);

/** Replaces what differs from run to run. */
const normalize = (text: string): string =>
  text
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'JOB')
    .replace(/\d{4}-\d\d-\d\dT[\d:]+Z/g, 'NOW')
    .replace(/127\.0\.0\.1:\d+/, 'ENDPOINT')
    .replace(/Checksum \w+/, 'Checksum CHECKSUM');

describe('without a terminal', () => {
  test('redrive: creates nothing, and exits with 3', async () => {
    await startWithFailed(1);
    const { code, stdout } = await redrive('--bucket', 'acme-tax');
    expect(stdout).toMatch(
      /\n\nRefused: nothing was changed\.\n {2}! not a terminal: use --yes to create the job, which then waits for an approval, or --allow start-backfill to run it\n$/,
    );
    expect({ code, jobs: await jobStatuses() }).toEqual({ code: 3, jobs: [] });
  });

  test('redrive --yes: leaves the job waiting with its size, and the printed command starts it', async () => {
    await startWithFailed(3);
    const waiting = await redrive('tax.yaml', '--yes');
    expect(waiting.code).toBe(3);
    expect(await jobStatuses()).toEqual(['Suspended']);
    expect(normalize(waiting.stdout)).toContain(
      `
acme-tax: 3 objects, about 0.25 USD (job JOB)
The job waits for an approval. To start: reconcile redrive tax.yaml --allow start-backfill=JOB
`,
    );
    const [, command = ''] = /To start: reconcile (.*)/.exec(waiting.stdout) ?? [];
    const started = await runCli(command.split(' '), { endpoint: env.sandbox.endpoint, cwd: folder });
    expect(started).toMatchObject({ code: 0 });
    expect(normalize(started.stdout)).toMatch(/; continues the unfinished job JOB\n/);
    expect(normalize(started.stdout)).toMatch(/✓ acme-tax: 3 objects replicated \(job JOB\)\n$/);
  });

  test('redrive --allow start-backfill: runs the job to its end', async () => {
    await startWithFailed(2);
    const { code, stdout } = await redrive('--bucket', 'acme-tax', '--allow', 'start-backfill');
    await expect(normalize(stdout)).toMatchFileSnapshot('../golden/redrive.txt');
    expect(code).toBe(0);
  });

  test('redrive: without an object to replicate, says so', async () => {
    await startWithFailed(0);
    const { code, stdout } = await redrive('tax.yaml', '--allow', 'start-backfill');
    expect(normalize(stdout)).toMatch(
      /✓ acme-tax: nothing to replicate, because the enabled rules select no failed object from before NOW\n$/,
    );
    expect(code).toBe(0);
  });

  test('redrive --report: groups the objects that failed by cause, and exits with 1', async () => {
    env = await testEnv();
    await env.reconcile();
    await callS3(env.sandbox.endpoint, 'PUT', '/acme-reports');
    for (const key of ['1', '2 a', '3'])
      await callS3(env.sandbox.endpoint, 'PUT', `/acme-tax/Tax/${encodeURIComponent(key)}.txt`, {
        body: 'numbers',
      });
    await env.sandbox.waitForReplication();
    // S3 User Guide, "Replicating existing objects": Batch Replication does not replicate an object version again whose replica
    // was deleted with its version id (DstObjectHardDeleted).
    for (const key of ['Tax/1.txt', 'Tax/2 a.txt'])
      env.sandbox.store.bucket('acme-tax-replica')?.objects.delete(key);
    const args = ['--objects', 'elsewhere', '--report', 's3://acme-reports/replikey/'];
    const { code, stdout } = await redrive('tax.yaml', ...args, '--allow', 'start-backfill');
    expect(
      normalize(stdout),
    ).toContain(`✗ acme-tax: 1 of 3 objects replicated, 2 failed (job JOB); s3://acme-reports/replikey/ has the list
    2 × DstObjectHardDeleted, such as Tax/1.txt: `);
    expect(stdout).toMatch(/\n {4}reconcile doctor --bucket acme-tax --object Tax\/1\.txt explains it\n$/);
    expect(code).toBe(1);
  });

  test('redrive: cancels a job with more objects than the guardrails allow', async () => {
    await startWithFailed(2);
    const limited = `${TAX_SPEC}---
apiVersion: replikey.dev/v1
kind: Guardrails
metadata: { name: limits }
spec: { maxBackfillObjects: 1 }
`;
    await writeFile(path.join(folder, 'limited.yaml'), limited);
    const { code, stdout } = await redrive('limited.yaml', '--yes');
    expect(normalize(stdout)).toContain(
      'the job JOB had 2 objects, and the limit is 1, so replikey cancelled it',
    );
    expect({ code, jobs: await jobStatuses() }).toEqual({ code: 1, jobs: ['Cancelled'] });
  });

  test('redrive --dry-run: creates nothing, and exits like a plan', async () => {
    await startWithFailed(1);
    const writes = () => env.sandbox.log.entries.filter(({ write }) => write).length;
    const before = writes();
    const { code, stdout } = await redrive('tax.yaml', '--dry-run', '--detailed-exitcode');
    expect(stdout).toMatch(/\n\nDry run: nothing was changed\.\n$/);
    expect({ code, writes: writes() - before }).toEqual({ code: 2, writes: 0 });
  });

  test('redrive --detach: exits when the job is started', async () => {
    await startWithFailed(1);
    env.sandbox.faultSettings.jobStateMs = 400;
    const { code, stdout } = await redrive('--bucket', 'acme-tax', '--allow', 'start-backfill', '--detach');
    expect(normalize(stdout)).toMatch(
      /- acme-tax: Ready, 0 of 1 objects \(job JOB\)\n.* To follow them, or to approve them: reconcile redrive --bucket acme-tax\n$/,
    );
    expect(code).toBe(0);
  });

  test('redrive: after Ctrl-C, names the command that continues the job', async () => {
    await startWithFailed(1);
    env.sandbox.faultSettings.jobStateMs = 60_000;
    const { code, stderr } = await runCli(['redrive', '--bucket', 'acme-tax', '--yes'], {
      endpoint: env.sandbox.endpoint,
      onStart: (child) => {
        let log = '';
        child.stderr?.on('data', (text: string) => {
          const isWaiting = log.includes('S3 selects the objects');
          log += text;
          if (!isWaiting && log.includes('S3 selects the objects')) child.kill('SIGINT');
        });
      },
    });
    expect(stderr).toContain(
      'The batch jobs do not depend on this command. To follow them, or to approve them: reconcile redrive --bucket acme-tax\n',
    );
    expect({ code, jobs: await jobStatuses() }).toEqual({ code: 130, jobs: ['New'] });
  });
});

describe('redrive: errors', () => {
  test.each([
    [[], 'no bucket and no specs given: use reconcile redrive --bucket acme-tax'],
    [
      ['tax.yaml', '--bucket', 'acme-tax'],
      '--bucket needs no specs: use reconcile redrive --bucket acme-tax, or specs without --bucket',
    ],
  ])('arguments %j: exits with 64', async (args, message) => {
    expect(await runCli(['redrive', ...args], { cwd: folder })).toMatchObject({
      code: 64,
      stderr: `${message}\n`,
    });
  });

  test('a bucket without replication: names the remedy', async () => {
    await startWithFailed(0);
    await env.client.send(EAST, new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' }));
    expect(await redrive('--bucket', 'acme-tax')).toMatchObject({
      code: 1,
      stderr:
        'bucket acme-tax has no replication configuration, so no rule selects its objects; create one with reconcile --once, and repeat the command\n',
    });
    // The declared rules do not exist.
    const { code, stdout } = await redrive('tax.yaml', '--allow', 'start-backfill');
    expect(stdout).toContain('No rule is enabled, so a job would replicate nothing.');
    expect(code).toBe(3);
  });

  test('a source without credentials: exits with 64', async () => {
    const yaml = (ACCOUNT_SPECS + CROSS_ACCOUNT_SPEC)
      .replace('spec: { id: "111122223333" }', 'spec: { id: "111122223333", managed: false }')
      .replace(
        'alias/acme-tax }',
        '"arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab" }',
      );
    expect(await runCli(['redrive', '-'], { input: yaml })).toMatchObject({
      code: 64,
      stderr:
        'cannot re-drive acme-tax: its job runs in account main, for which replikey has no credentials (managed: false); run the command with credentials of that account\n',
    });
  });
});

/** Runs a command on a pseudo-terminal, and forwards its input and output. */
const ON_TERMINAL = 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))';

describe.skipIf(!isInstalled('python3'))('on a terminal', () => {
  test.each([
    { answers: ['n'], code: 3, jobs: [] },
    { answers: ['y', 'n'], code: 3, jobs: ['Suspended'] },
    { answers: ['y', 'y'], code: 0, jobs: ['Complete'] },
  ])('redrive: asks twice; answers $answers', async ({ answers, code, jobs }) => {
    await startWithFailed(1);
    const child = spawn(
      'python3',
      ['-c', ON_TERMINAL, process.execPath, MAIN, 'redrive', '--bucket', 'acme-tax'],
      {
        env: childEnvironment(env.sandbox.endpoint, { TERM: 'dumb', NO_COLOR: '1' }),
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    );
    const questions: string[] = [];
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text.replaceAll('\r\n', '\n');
      if (!output.endsWith('[y/N] ')) return;
      questions.push(output.split('\n').at(-1) ?? '');
      child.stdin.write(`${answers[questions.length - 1]}\n`);
    });
    const [exitCode] = (await once(child, 'close')) as [number | null];
    expect(questions).toEqual(
      [
        'Create a batch job for acme-tax? It starts only after a second question. [y/N] ',
        'Start the job? [y/N] ',
      ].slice(0, answers.length),
    );
    expect({ code: exitCode, jobs: await jobStatuses() }).toEqual({ code, jobs });
  });
});
