import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CreateGrantCommand } from '@aws-sdk/client-kms';
import {
  GetBucketReplicationCommand,
  PutBucketPolicyCommand,
  PutBucketReplicationCommand,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { changeKeyPolicy, changeRolePolicy, EAST, keyOf, ROLE } from '../../sandbox/support.ts';
import { type RunOptions, runCli } from '../../support/cli.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../../support/env.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-observe-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** A second pair with different buckets and keys, in the same Regions. */
const BOOKS = TAX_SPEC.replaceAll('tax', 'books').replaceAll('Tax/', 'Books/');

/** Returns what a plan changes and proves, without its target: a snapshot is no target. */
function contentOf(stdout: string): object {
  const { digest: _, target: __, observedAt: ___, made: ____, ...content } = JSON.parse(stdout);
  return content;
}

/** Saves a snapshot, and returns functions that run the CLI with AWS and with the snapshot. */
async function takeSnapshot(env: TestEnv, yaml = TAX_SPEC) {
  await writeFile(path.join(folder, 'spec.yaml'), yaml);
  const live = { endpoint: env.sandbox.endpoint, cwd: folder };
  const observed = await runCli(
    ['observe', 'spec.yaml', '--out', 'observed.json', '--log-level', 'error'],
    live,
  );
  expect(observed).toMatchObject({ code: 0, stdout: '', stderr: '' });
  const offline = (args: string[], options: RunOptions = {}) =>
    runCli([...args, '--observed', 'observed.json'], { cwd: folder, ...options });
  return { live, offline };
}

describe('doctor --observed', () => {
  it('counts the grants of the snapshot', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const KeyId = await keyOf(env.client, EAST);
    const GranteePrincipal = `arn:aws:iam::111122223333:role/${ROLE}`;
    await env.client.send(EAST, new CreateGrantCommand({ KeyId, GranteePrincipal, Operations: ['Decrypt'] }));
    await changeRolePolicy(env.client, (statements) => {
      delete statements.ReplikeySourceKeyTax;
    });
    await changeKeyPolicy(env.client, EAST, (statements) => {
      delete statements.ReplikeySourceKeyTax;
    });
    const { offline } = await takeSnapshot(env);
    const { code, stdout } = await offline(['doctor', 'spec.yaml', '-v']);
    expect(stdout).toContain('allowed by the grant');
    expect(code).toBe(0);
  });
});

describe('plan --observed', () => {
  it('makes the same plan as with AWS, for new and for existing resources', async () => {
    await using env = await testEnv();
    const before = await takeSnapshot(env);
    const livePlan = await runCli(['plan', 'spec.yaml', '-o', 'json'], before.live);
    const offlinePlan = await before.offline(['plan', 'spec.yaml', '-o', 'json']);
    expect(offlinePlan.stderr).toBe('');
    expect(JSON.parse(offlinePlan.stdout).summary.create).toBe(13);
    expect(contentOf(offlinePlan.stdout)).toEqual(contentOf(livePlan.stdout));

    await env.reconcile();
    const after = await takeSnapshot(env);
    expect((await after.offline(['plan', 'spec.yaml'])).stdout).toContain('Nothing to do: 13 resources');
    // A change of the specs has the same plan as with credentials.
    const changed = TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/2026/');
    const [live, offline] = await Promise.all([
      runCli(['plan', '-', '-o', 'json'], { ...after.live, input: changed }),
      after.offline(['plan', '-', '-o', 'json'], { input: changed }),
    ]);
    expect(JSON.parse(live.stdout).summary.update).toBeGreaterThan(0);
    expect(contentOf(offline.stdout)).toEqual(contentOf(live.stdout));
  });

  it('creates resources that no listing contains, and prints the age of the snapshot', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const { live, offline } = await takeSnapshot(env);
    const both = `${TAX_SPEC}---\n${BOOKS}`;
    const livePlan = await runCli(['plan', '-', '-o', 'json'], { ...live, input: both });
    const offlinePlan = await offline(['plan', '-', '-o', 'json'], { input: both });
    expect(JSON.parse(offlinePlan.stdout).summary).toMatchObject({ create: 13, blocked: 0, unchanged: 13 });
    expect(contentOf(offlinePlan.stdout)).toEqual(contentOf(livePlan.stdout));
    const { observedAt } = JSON.parse(await readFile(path.join(folder, 'observed.json'), 'utf8'));
    expect(JSON.parse(offlinePlan.stdout).observedAt).toBe(observedAt);
    const text = await offline(['plan', '-'], { input: both });
    expect(text.stdout).toMatch(/^Snapshot taken (less than a minute|\d min) ago \(2\d{3}-\S+Z\), not AWS$/m);
  });

  it.each([
    [0, 'less than a minute'],
    [90_000, '1 min'],
    [3 * 3_600_000, '3 h'],
    [3 * 86_400_000, '3 days'],
  ])('prints the age of a snapshot taken %i ms ago as %s', async (ms, age) => {
    await using env = await testEnv();
    const { offline } = await takeSnapshot(env);
    const file = path.join(folder, 'observed.json');
    const observed = JSON.parse(await readFile(file, 'utf8'));
    await writeFile(file, JSON.stringify({ ...observed, observedAt: new Date(Date.now() - ms) }));
    const { stdout } = await offline(['plan', '-', '-o', 'markdown'], { input: TAX_SPEC });
    expect(stdout).toContain(`\n\nSnapshot taken ${age} ago (20`);
  });

  it('blocks resources that the snapshot does not cover', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${BOOKS}`);
    await env.reconcile();
    const { offline } = await takeSnapshot(env, TAX_SPEC);
    // The listings contain the buckets, the role and the aliases of the other pair, but their settings were not read.
    const { code, stdout } = await offline(['plan', '-', '-o', 'json'], { input: BOOKS });
    expect(code).toBe(1);
    const { summary, blocked } = JSON.parse(stdout);
    expect(summary).toMatchObject({ create: 0, update: 0 });
    expect(blocked.map(({ why }: { why: string }) => why)).toContain(
      'cannot be read: s3:GetBucketVersioning in us-east-1: not in the snapshot; run reconcile observe again with these specs',
    );
    // The snapshot has no listing of another Region.
    const otherRegion = BOOKS.replace('us-west-2', 'eu-west-3').replace(
      'alias/books-replica',
      'alias/other-region',
    );
    expect((await offline(['plan', '-'], { input: otherRegion })).stdout).toMatch(
      /kms\.key\/\S+eu-west-3\n.*not in the snapshot/,
    );
  });

  it('records denied reads, but no credentials, request ids or transient errors', async () => {
    await using env = await testEnv();
    await env.reconcile();
    env.sandbox.faultSettings.faults = [
      {
        match: 'GetBucketPolicy',
        nth: 1,
        times: 1_000,
        what: { status: 403, code: 'AccessDenied', message: 'Access Denied' },
      },
      {
        match: 'GetBucketEncryption',
        nth: 1,
        times: 1,
        what: { status: 503, code: 'SlowDown', message: 'slow' },
      },
    ];
    const { offline } = await takeSnapshot(env);
    const text = await readFile(path.join(folder, 'observed.json'), 'utf8');
    expect(text).not.toMatch(/test-secret|SlowDown|requestId|metadata|Signature/);
    expect(text).toContain('"AccessDenied"');
    expect((await offline(['plan', 'spec.yaml'])).stdout).toContain('Nothing to do: 13 resources');
    const doctor = await offline(['doctor', 'spec.yaml']);
    expect(doctor.stdout).toContain('AccessDenied');
  });

  it('is rejected with --once, and supported by doctor', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const { live, offline } = await takeSnapshot(env);
    const refused = await runCli(['--once', 'spec.yaml', '--observed', 'observed.json'], live);
    expect(refused).toMatchObject({
      code: 64,
      stderr: '--observed cannot apply changes: add --dry-run\n',
    });
    const doctor = await offline(['doctor', 'spec.yaml']);
    expect(doctor).toMatchObject({ code: 0, stdout: expect.stringContaining('1 of 1 rules proven.') });
    expect(doctor.stdout).not.toContain('looked at');
  });

  it('rejects a file that is not a snapshot, with the reason', async () => {
    for (const [text, message] of [
      ['{', /invalid JSON in \S*observed\.json: /],
      ['{}', /observed\.json is not a snapshot of `reconcile observe`: format: /],
      ['{"format":1,"observedAt":"2026-01-01T00:00:00.000Z","answers":[{"region":1}]}', /answers\.0\.call: /],
    ] as const) {
      await writeFile(path.join(folder, 'observed.json'), text);
      const result = await runCli(['plan', '-', '--observed', 'observed.json'], {
        cwd: folder,
        input: TAX_SPEC,
      });
      expect(result).toMatchObject({ code: 64, stdout: '', stderr: expect.stringMatching(message) });
    }
  });
});

describe('a saved plan', () => {
  it('applies without its specs, and a second time with nothing to do', async () => {
    await using env = await testEnv();
    const options = { endpoint: env.sandbox.endpoint, cwd: folder };
    await writeFile(path.join(folder, 'spec.yaml'), TAX_SPEC);
    expect(await runCli(['plan', 'spec.yaml', '--out', 'plan.json'], options)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(
        /\n\nSaved in plan\.json\. Apply exactly this plan with\n {2}reconcile apply plan\.json\n$/,
      ),
    });
    await rm(path.join(folder, 'spec.yaml'));
    const applied = await runCli(['apply', 'plan.json'], options);
    expect(applied).toMatchObject({ code: 0, stdout: expect.stringContaining('Converged: 13 applied') });
    const again = await runCli(['apply', 'plan.json'], options);
    expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining('Nothing to do') });
  });

  it('is refused with the differences if other specs changed AWS since', async () => {
    await using env = await testEnv();
    const options = { endpoint: env.sandbox.endpoint, cwd: folder };
    const writeSpec = (rule: string) =>
      writeFile(
        path.join(folder, 'spec.yaml'),
        TAX_SPEC.replace('prefix: Tax/', `prefix: Tax/\n      ${rule}`),
      );
    await writeSpec('metrics: true');
    expect(await runCli(['--once', 'spec.yaml'], options)).toMatchObject({ code: 0 });
    await writeSpec('metrics: false');
    await runCli(['plan', 'spec.yaml', '--out', 'plan.json'], options);
    await writeSpec('deleteMarkerReplication: true');
    expect(await runCli(['--once', 'spec.yaml'], options)).toMatchObject({ code: 0 });

    env.sandbox.log.reset();
    const refused = await runCli(['apply', 'plan.json'], options);
    expect(refused.code).toBe(3);
    expect(refused.stdout).toContain('the plan differs from the approved plan');
    expect(refused.stdout).toContain('the state in AWS changed since');
    expect(refused.stdout).toMatch(
      /! s3\.replication\/acme-tax: the changes of rules\["replikey\/tax\/tax"\]\.deleteMarkerReplication differ/,
    );
    expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
  });

  it('is refused if a foreign statement changes the verdict of the proof', async () => {
    await using env = await testEnv();
    const options = { endpoint: env.sandbox.endpoint, cwd: folder };
    await writeFile(path.join(folder, 'spec.yaml'), TAX_SPEC);
    expect(await runCli(['--once', 'spec.yaml'], options)).toMatchObject({ code: 0 });
    await writeFile(
      path.join(folder, 'spec.yaml'),
      TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      metrics: false'),
    );
    await runCli(['plan', 'spec.yaml', '--out', 'plan.json'], options);
    await env.client.send(
      { region: 'us-west-2' },
      new PutBucketPolicyCommand({
        Bucket: 'acme-tax-replica',
        Policy: JSON.stringify({
          Version: '2012-10-17',
          Statement: [
            {
              Effect: 'Deny',
              Principal: '*',
              Action: 's3:ReplicateObject',
              Resource: 'arn:aws:s3:::acme-tax-replica/*',
            },
          ],
        }),
      }),
    );
    const refused = await runCli(['apply', 'plan.json', '--allow-unproven'], options);
    expect(refused.code).toBe(3);
    expect(refused.stdout).toContain('the plan differs from the approved plan');
  });

  it('is refused if a foreign rule needs the orphaned permissions since', async () => {
    const books = `${BOOKS}  policy: { deletion: Remove }\n`;
    await using env = await testEnv(`${TAX_SPEC}---\n${books}`);
    await env.reconcile();
    const options = { endpoint: env.sandbox.endpoint, cwd: folder };
    await writeFile(path.join(folder, 'spec.yaml'), TAX_SPEC);
    await runCli(
      ['plan', 'spec.yaml', '--prune', '--account', '111122223333', '--out', 'plan.json'],
      options,
    );
    const location = { region: 'us-east-1' };
    const bucket = { Bucket: 'acme-books' };
    const { ReplicationConfiguration: configuration } = await env.client.send(
      location,
      new GetBucketReplicationCommand(bucket),
    );
    const [rule] = configuration?.Rules ?? [];
    await env.client.send(
      location,
      new PutBucketReplicationCommand({
        ...bucket,
        ReplicationConfiguration: {
          Role: configuration?.Role,
          Rules: [rule, { ...rule, ID: 'foreign', Priority: 99, Filter: { Prefix: 'Foreign/' } }] as never,
        },
      }),
    );

    env.sandbox.log.reset();
    const refused = await runCli(['apply', 'plan.json'], options);
    expect(refused.code).toBe(3);
    expect(refused.stdout).toContain('the plan differs from the approved plan');
    expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
  });

  it('is rejected if the file was changed after it was saved', async () => {
    await using env = await testEnv();
    const options = { endpoint: env.sandbox.endpoint, cwd: folder };
    await writeFile(path.join(folder, 'spec.yaml'), TAX_SPEC);
    await runCli(['plan', 'spec.yaml', '--out', 'plan.json'], options);
    const saved = await readFile(path.join(folder, 'plan.json'), 'utf8');
    await writeFile(path.join(folder, 'plan.json'), saved.replaceAll('acme-tax-replica', 'acme-other'));
    expect(await runCli(['apply', 'plan.json'], options)).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('plan.json was changed after it was saved'),
    });
  });

  it('contains its inputs: the selection, and --prune', async () => {
    await using env = await testEnv();
    const options = { endpoint: env.sandbox.endpoint, cwd: folder };
    await writeFile(path.join(folder, 'spec.yaml'), `${TAX_SPEC}---\n${BOOKS}`);
    await runCli(['plan', 'spec.yaml', '--only', 'books', '--out', 'plan.json'], options);
    const { made } = JSON.parse(await readFile(path.join(folder, 'plan.json'), 'utf8'));
    expect(made).toEqual({
      version: expect.any(String),
      paths: ['spec.yaml'],
      only: ['books'],
      prune: false,
    });
    const applied = await runCli(['apply', 'plan.json', '-o', 'json'], options);
    expect(JSON.parse(applied.stdout).results).toHaveLength(13);
    expect(JSON.stringify(JSON.parse(applied.stdout).results)).not.toContain('tax');
  });

  it('is rejected if the file is not a plan, or is missing', async () => {
    await writeFile(path.join(folder, 'plan.json'), '{"format":3,"waves":[]}');
    expect(await runCli(['apply', 'plan.json'], { cwd: folder })).toMatchObject({
      code: 64,
      stderr: expect.stringMatching(
        /plan\.json is not a saved plan: blocked: .*; create a plan with reconcile plan --out/,
      ),
    });
    await writeFile(path.join(folder, 'old.json'), '{"format":1,"waves":[]}');
    expect((await runCli(['apply', 'old.json'], { cwd: folder })).stderr).toContain(
      'old.json is not a saved plan: format: this version of replikey reads plans of format 3',
    );
    expect(await runCli(['apply', 'none.json'], { cwd: folder })).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('cannot read none.json'),
    });
  });
});

describe('-o ndjson', () => {
  const linesOf = (stdout: string) =>
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));

  it('prints a line for the plan, for each change when it happens, and for the outcome', async () => {
    await using env = await testEnv();
    const options = { endpoint: env.sandbox.endpoint, input: TAX_SPEC };
    const { code, stdout } = await runCli(['--once', '-', '-o', 'ndjson'], options);
    expect(code).toBe(0);
    const lines = linesOf(stdout);
    expect(lines.every(({ format, time, message }) => format === 1 && Date.parse(time) > 0 && message)).toBe(
      true,
    );
    expect(lines[0]).toMatchObject({ type: 'plan', plan: { summary: { create: 13 } } });
    const applied = lines.filter(({ type }) => type === 'applied');
    expect(applied.map(({ id }) => id)).toContain('s3.replication/acme-tax');
    expect(applied).toHaveLength(13);
    expect(lines.at(-1)).toMatchObject({ type: 'outcome', left: { waves: [] }, calls: { writes: 15 } });
  });

  it('prints an error line if the specs are invalid', async () => {
    const { code, stdout } = await runCli(['--once', '-', '-o', 'ndjson'], { input: '{}' });
    expect(code).toBe(65);
    expect(linesOf(stdout)).toMatchObject([{ type: 'error', error: { exitCode: 65 } }]);
  });
});
