import { PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { measureReplicationLag } from '../../src/facts/object-sample.ts';
import type { Sandbox } from '../../src/sandbox/server.ts';
import type { VersionState } from '../../src/sandbox/state.ts';
import { changeRolePolicy } from '../sandbox/support.ts';
import { runCli } from '../support/cli.ts';
import { type TestEnv, testEnv } from '../support/env.ts';

/**
 * S3 API Reference, "ListObjectVersions": a response contains up to 1,000 versions, by key in UTF-8 binary order, never by
 * time, and no replication status. So the newest objects may be on any page, and only HEAD returns their status.
 */

const GOOD = 1_010;
const FAILED = 100;
const HOUR_MS = 3_600_000;

let env: TestEnv;
let firstFailureMs = 0;

beforeAll(async () => {
  env = await testEnv();
  await env.reconcile();
  await putObjects('Tax/a', GOOD);
  for (const version of versionsOf(env.sandbox)) version.modified -= HOUR_MS;
  await changeRolePolicy(env.client, (statements) => {
    delete statements.ReplikeyDestinationObjectsTax;
  });
  firstFailureMs = Date.now();
  await putObjects('Tax/b', FAILED);
  // The rule is proven again. S3 does not retry failed objects.
  await env.reconcile();
}, 120_000);
afterAll(() => env[Symbol.asyncDispose]());
beforeEach(() => env.sandbox.log.reset());

async function putObjects(prefix: string, count: number): Promise<void> {
  const keys = Array.from({ length: count }, (_, index) => `${prefix}${String(index).padStart(5, '0')}`);
  for (let start = 0; start < count; start += 50)
    await Promise.all(
      keys
        .slice(start, start + 50)
        .map((Key) =>
          env.client.send(
            { region: 'us-east-1' },
            new PutObjectCommand({ Bucket: 'acme-tax', Key, Body: '1' }),
          ),
        ),
    );
  await env.sandbox.waitForReplication();
}

const versionsOf = ({ store }: Sandbox): VersionState[] =>
  [...(store.bucket('acme-tax')?.objects.values() ?? [])].flat();

async function doctor(...args: string[]) {
  const options = { endpoint: env.sandbox.endpoint };
  const [text, json] = await Promise.all([
    runCli(['doctor', '--bucket', 'acme-tax', ...args], options),
    runCli(['doctor', '--bucket', 'acme-tax', '-o', 'json', ...args], options),
  ]);
  expect(json.code).toBe(text.code);
  const { objects, metrics } = JSON.parse(json.stdout);
  return { code: text.code, stdout: text.stdout, report: objects[0], metrics };
}

test('doctor: finds 100 failed objects after 1,010 replicated ones, and exits with 1', async () => {
  const { code, stdout, report } = await doctor('--sample', '1000');
  expect(code).toBe(1);
  expect(report).toMatchObject({
    verdict: 'broken',
    lookedAt: 1_000,
    coverage: { listed: GOOD + FAILED, complete: true },
    byStatus: { COMPLETED: 900, FAILED },
    recent: { failed: FAILED, passedOver: 0 },
  });
  expect(stdout).toMatch(
    /^✗ acme-tax {2}1000 objects checked: 100 FAILED, 900 COMPLETED; the newest of 1110 versions$/m,
  );
  expect(stdout).toMatch(
    /100 of 1000 sampled objects, 100 of them written within 24 hours; the oldest is Tax\/b/,
  );
  expect(stdout).toContain(
    '1 of 1 rules proven. Operations failed under 1 rule. Objects failed or were passed over in 1 bucket.',
  );
});

// S3 User Guide, "Amazon S3 metrics and dimensions": Sum of OperationsFailedReplication is the number of failed operations,
// SampleCount that of all operations. Its metric period is a minute.
test('doctor: counts all failed operations without a sample, with the minute of the first, and exits with 1', async () => {
  const { code, stdout, metrics } = await doctor('--sample', '0');
  expect(code).toBe(1);
  const [{ failedSince }] = metrics;
  expect(Math.abs(Date.parse(failedSince) - firstFailureMs), 'within one metric period').toBeLessThan(60_000);
  const counts = { operations: GOOD + FAILED, failed: FAILED, failedSince };
  expect(metrics).toEqual([
    expect.objectContaining({
      rule: 'replikey/tax/tax',
      verdict: 'broken',
      state: 'available',
      days: 14,
      ...counts,
      recent: counts,
    }),
  ]);
  const since = failedSince.slice(0, 16);
  expect(stdout).toContain(`100 of 1,110 operations within 24 hours failed, the first at ${since}Z\n`);
  expect(stdout).toContain('1 of 1 rules proven. Operations failed under 1 rule.');
});

test('doctor: shows operations that failed before --failed-since, which do not decide', async () => {
  const { code, stdout, metrics } = await doctor('--sample', '0', '--failed-since', '0s');
  expect(code).toBe(0);
  expect(metrics).toMatchObject([{ verdict: 'healthy', failed: FAILED, recent: {} }]);
  expect(stdout).toMatch(
    /RK1405.*\n.*100 of 1,110 operations within 14 days failed, the first at .*; none of them within 0 hours/,
  );
});

test('doctor: metrics that it may not read are a finding, and change no exit code', async () => {
  env.sandbox.faultSettings.faults = [
    {
      match: 'GetMetricData',
      nth: 1,
      times: 100,
      what: { status: 403, code: 'AccessDenied', message: 'no' },
    },
  ];
  const { code, stdout, metrics } = await doctor('--sample', '0');
  env.sandbox.faultSettings.faults = [];
  expect(code).toBe(0);
  expect(metrics).toMatchObject([{ verdict: 'unknown', state: 'unreadable', recent: {} }]);
  expect(stdout).toMatch(
    /RK1901.*\n.*cannot read the metrics of the rule replikey\/tax\/tax: .*cloudwatch:GetMetricData/,
  );
  expect(stdout).not.toContain('operations failed');
});

test('doctor: finds failed objects with the default sample', async () => {
  const { code, report } = await doctor();
  expect(code).toBe(1);
  expect(report).toMatchObject({ lookedAt: 20, byStatus: { FAILED: 20 } });
});

test('doctor: reports that the bucket has more versions than --sample-pages covers, with one call for each page', async () => {
  const { code, stdout, report } = await doctor('--sample-pages', '1');
  // The metrics cover the whole bucket.
  expect(code).toBe(1);
  expect(report).toMatchObject({
    verdict: 'healthy',
    coverage: { listed: 1_000, complete: false },
    byStatus: { COMPLETED: 20 },
  });
  expect(stdout).toContain(
    '20 objects checked: 20 COMPLETED; the newest of the first 1000 versions; the bucket has more (--sample-pages)\n',
  );
  // Text and JSON are two runs.
  expect(env.sandbox.log.counts()).toMatchObject({ 's3:ListObjectVersions': 2 });
});

test('doctor: reports objects that failed before --failed-since, and exits with 0', async () => {
  const { code, stdout, report } = await doctor('--failed-since', '0s');
  expect(code).toBe(0);
  expect(report).toMatchObject({ verdict: 'healthy', byStatus: { FAILED: 20 }, recent: { failed: 0 } });
  expect(stdout).toContain('RK1401');
  expect(stdout).toMatch(/20 of 20 sampled objects, none of them written within 0 hours; the oldest is/);
});

test('doctor: exits with 1 for one failed object, and with 0 if it failed before --failed-since', async () => {
  const args = ['doctor', '--bucket', 'acme-tax', '--object', 'Tax/b00001'];
  const options = { endpoint: env.sandbox.endpoint };
  expect(await runCli(args, options)).toMatchObject({ code: 1, stdout: expect.stringContaining('RK1401') });
  expect((await runCli([...args, '--failed-since', '0s'], options)).code).toBe(0);
});

test.each(['0', '10001'])('doctor: rejects --sample-pages %s', async (pages) => {
  const result = await runCli(['doctor', '--bucket', 'acme-tax', '--sample-pages', pages]);
  expect(result).toMatchObject({ code: 64, stderr: expect.stringContaining('1 to 10000') });
});

test('measureReplicationLag: lists one page unless more are requested, and returns the coverage', async () => {
  const { client, specs, sandbox } = env;
  expect(await measureReplicationLag(client, specs.pairs)).toEqual({
    byStatus: { COMPLETED: 50 },
    coverage: { listed: 1_000, complete: false },
  });
  expect(sandbox.log.counts()).toMatchObject({ 's3:ListObjectVersions': 1 });
  expect(await measureReplicationLag(client, specs.pairs, 10)).toEqual({
    byStatus: { FAILED: 50 },
    coverage: { listed: GOOD + FAILED, complete: true },
  });
  expect(sandbox.log.counts()).toMatchObject({ 's3:ListObjectVersions': 3 });
});

test('measureReplicationLag: counts the objects of a source once, if several pairs share it', async () => {
  const { client, specs, sandbox } = env;
  const { byStatus, coverage } = await measureReplicationLag(client, [...specs.pairs, ...specs.pairs], 10);
  expect(byStatus).toEqual({ FAILED: 50 });
  expect(coverage.listed).toBe(GOOD + FAILED);
  expect(sandbox.log.counts()).toMatchObject({ 's3:ListObjectVersions': 2 });
});
