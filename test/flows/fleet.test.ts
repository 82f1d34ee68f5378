import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parse } from 'csv-parse/sync';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FleetReport } from '../../src/fleet/types.ts';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { type CliResult, runCli } from '../support/cli.ts';
import { buildFleet, FLEET_ACCOUNTS, FLEET_SPECS, PLANTED_FAULTS, repairFleet } from '../support/fleet.ts';

describe('doctor --all: three accounts with planted faults', () => {
  let sandbox: Sandbox;
  let folder: string;
  let buckets: number;
  let result: CliResult;
  let report: FleetReport;
  /** Numbers of calls that the sandbox received from the program. */
  let calls: Record<string, number>;
  const doctorAll = (...args: string[]) =>
    runCli(['doctor', '--all', '--accounts', 'accounts.yaml', ...args], {
      endpoint: sandbox.endpoint,
      cwd: folder,
      // A user: the root user of an account cannot assume a role.
      env: { AWS_ACCESS_KEY_ID: `AKIA${FLEET_ACCOUNTS.finance}` },
    });

  beforeAll(async () => {
    sandbox = await startSandbox();
    folder = await mkdtemp(path.join(tmpdir(), 'replikey-fleet-'));
    await writeFile(path.join(folder, 'accounts.yaml'), FLEET_SPECS);
    ({ buckets } = await buildFleet(sandbox.endpoint, () => sandbox.waitForReplication()));
    sandbox.log.reset();
    result = await doctorAll('-o', 'json', '--save', 'fleet.json');
    calls = sandbox.log.counts();
    report = JSON.parse(result.stdout) as FleetReport;
  });
  afterAll(async () => {
    await sandbox.close();
    await rm(folder, { recursive: true });
  });

  const findings = () =>
    report.buckets.flatMap(({ account, name, findings: all }) =>
      all.map(({ category, code }) => ({ account, bucket: name, category, code })),
    );

  test('the fleet has at least 12 faults of different kinds in at least 40 buckets of several Regions', () => {
    const kinds = new Set(PLANTED_FAULTS.map(({ category, code = '' }) => `${category} ${code}`));
    expect(kinds.size).toBeGreaterThanOrEqual(12);
    expect(kinds.size).toBe(PLANTED_FAULTS.length - 1);
    expect(buckets).toBeGreaterThanOrEqual(40);
    expect(new Set(report.buckets.map(({ region }) => region)).size).toBeGreaterThanOrEqual(3);
  });

  test.each(PLANTED_FAULTS)('finds: $fault', ({ account, bucket, category, code }) => {
    if (bucket === undefined) {
      expect(report.accounts.find(({ id }) => id === account)?.error).toContain('AccessDenied');
      return;
    }
    expect(findings()).toContainEqual({
      account,
      bucket,
      category,
      code: code ?? expect.any(String),
    });
  });

  test('reports nothing else: neither about healthy buckets nor about other properties of the faulty ones', () => {
    const expected = new Set(
      PLANTED_FAULTS.flatMap(({ bucket, category, consequences = [] }) =>
        [category, ...consequences].map((each) => `${bucket} ${each}`),
      ),
    );
    const unexpected = report.buckets.flatMap(({ name, findings: all }) =>
      all.filter(({ category }) => !expected.has(`${name} ${category}`)).map((finding) => [name, finding]),
    );
    expect(unexpected).toEqual([]);
  });

  test('counts all buckets of the readable accounts, and the account that is not readable', () => {
    expect(report.totals).toMatchObject({ total: buckets, accounts: 4, unreadableAccounts: 1, unknown: 1 });
    expect(result.code).toBe(1);
  });

  test('makes no call that writes, and calls no service that it does not need', () => {
    const writes = Object.keys(calls).filter(
      (operation) => !/:(Get|List|Head|Describe)/.test(operation) && operation !== 'sts:AssumeRole',
    );
    expect(writes).toEqual([]);
    expect(calls['s3:GetBucketReplication']).toBeGreaterThanOrEqual(buckets);
    // Nothing about the role is read for a bucket without replication.
    expect(calls['s3:GetBucketPolicy']).toBeLessThan(buckets);
  });

  test('--save and -o csv: the next run names what is new and what is resolved, with a row for each finding', async () => {
    await repairFleet(sandbox.endpoint);
    const { stdout } = await doctorAll('-o', 'csv', '--save', 'fleet.json');
    const next = JSON.parse(await readFile(path.join(folder, 'fleet.json'), 'utf8')) as FleetReport;
    const { diff } = next;
    const changes = (list: { bucket: string; category: string }[] = []) =>
      list.map(({ bucket, category }) => `${bucket} ${category}`);
    expect(changes(diff?.resolved)).toEqual(['fin-claims not-proven']);
    expect(changes(diff?.added)).toEqual(['fin-tax no-alarm']);
    // The ids of requests in messages differ between runs, and are no change.
    expect(diff?.changed).toEqual([]);
    expect(diff?.since).toBe(report.startedAt);
    const rows = parse(stdout, { columns: true }) as Record<string, string>[];
    const rowKeys = rows.filter(({ bucket }) => bucket !== '').map(({ bucket, code }) => `${bucket} ${code}`);
    expect(rowKeys).toEqual(
      next.buckets.flatMap(({ name, findings: all }) => all.map(({ code }) => `${name} ${code}`)),
    );
    const [accountRow] = rows.filter(({ bucket }) => bucket === '');
    expect(accountRow).toMatchObject({ account: FLEET_ACCOUNTS.locked, category: 'unknown' });
  });
});
