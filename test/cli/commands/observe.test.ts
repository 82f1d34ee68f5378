import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  GetBucketReplicationCommand,
  PutBucketPolicyCommand,
  PutBucketReplicationCommand,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type RunOptions, runCli } from '../../support/cli.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../../support/env.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-observe-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** A second pair beside the first, with other buckets and keys, in the same Regions. */
const BOOKS = TAX_SPEC.replaceAll('tax', 'books').replaceAll('Tax/', 'Books/');

const digestOf = (stdout: string): string => JSON.parse(stdout).digest;

/** What exists, written down; and a way to plan from it where there is no AWS to ask. */
async function observing(env: TestEnv, yaml = TAX_SPEC) {
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

describe('a plan from what was observed', () => {
  it('is the plan that AWS itself would have given, for what is new and for what is there', async () => {
    await using env = await testEnv();
    const fresh = await observing(env);
    const asked = await runCli(['plan', 'spec.yaml', '-o', 'json'], fresh.live);
    const told = await fresh.offline(['plan', 'spec.yaml', '-o', 'json']);
    expect(told.stderr).toBe('');
    expect(JSON.parse(told.stdout).summary.create).toBe(13);
    expect(digestOf(told.stdout)).toBe(digestOf(asked.stdout));

    await env.reconcile();
    const settled = await observing(env);
    expect((await settled.offline(['plan', 'spec.yaml'])).stdout).toContain('Nothing to do: 13 resources');
    // What somebody changes in the specs is planned as it would be with credentials.
    const changed = TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/2026/');
    const [one, other] = await Promise.all([
      runCli(['plan', '-', '-o', 'json'], { ...settled.live, input: changed }),
      settled.offline(['plan', '-', '-o', 'json'], { input: changed }),
    ]);
    expect(JSON.parse(one.stdout).summary.update).toBeGreaterThan(0);
    expect(digestOf(other.stdout)).toBe(digestOf(one.stdout));
  });

  it('knows that what is listed nowhere is new, and says how old it is', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const { live, offline } = await observing(env);
    const both = `${TAX_SPEC}---\n${BOOKS}`;
    const asked = await runCli(['plan', '-', '-o', 'json'], { ...live, input: both });
    const told = await offline(['plan', '-', '-o', 'json'], { input: both });
    expect(JSON.parse(told.stdout).summary).toMatchObject({ create: 13, blocked: 0, unchanged: 13 });
    expect(digestOf(told.stdout)).toBe(digestOf(asked.stdout));
    const { observedAt } = JSON.parse(await readFile(path.join(folder, 'observed.json'), 'utf8'));
    expect(JSON.parse(told.stdout).observedAt).toBe(observedAt);
    const text = await offline(['plan', '-'], { input: both });
    expect(text.stdout).toMatch(
      /^As observed (less than a minute|\d min) ago \(2\d{3}-\S+Z\); AWS is not asked$/m,
    );
  });

  it.each([
    [0, 'less than a minute'],
    [90_000, '1 min'],
    [3 * 3_600_000, '3 h'],
    [3 * 86_400_000, '3 days'],
  ])('says that what was observed %i ms ago is %s old', async (ms, age) => {
    await using env = await testEnv();
    const { offline } = await observing(env);
    const file = path.join(folder, 'observed.json');
    const observed = JSON.parse(await readFile(file, 'utf8'));
    await writeFile(file, JSON.stringify({ ...observed, observedAt: new Date(Date.now() - ms) }));
    const { stdout } = await offline(['plan', '-', '-o', 'markdown'], { input: TAX_SPEC });
    expect(stdout).toContain(`\n\nAs observed ${age} ago (20`);
  });

  it('takes nothing for absent that nobody looked at', async () => {
    await using env = await testEnv(`${TAX_SPEC}---\n${BOOKS}`);
    await env.reconcile();
    const { offline } = await observing(env, TAX_SPEC);
    // The buckets, the role and the aliases of the other pair are listed, but nobody read them.
    const { code, stdout } = await offline(['plan', '-', '-o', 'json'], { input: BOOKS });
    expect(code).toBe(1);
    const { summary, blocked } = JSON.parse(stdout);
    expect(summary).toMatchObject({ create: 0, update: 0 });
    expect(blocked.map(({ why }: { why: string }) => why)).toContain(
      'cannot be read: s3:GetBucketVersioning in us-east-1: it was not observed; observe again, with these specs',
    );
    // Another Region was not listed at all.
    const far = BOOKS.replace('us-west-2', 'eu-west-3').replace('alias/books-replica', 'alias/far');
    expect((await offline(['plan', '-'], { input: far })).stdout).toMatch(
      /kms\.key\/\S+eu-west-3\n.*not observed/,
    );
  });

  it('holds what was refused, too, and nothing of who asked', async () => {
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
    const { offline } = await observing(env);
    const text = await readFile(path.join(folder, 'observed.json'), 'utf8');
    expect(text).not.toMatch(/test-secret|SlowDown|requestId|metadata|Signature/);
    expect(text).toContain('"AccessDenied"');
    expect((await offline(['plan', 'spec.yaml'])).stdout).toContain('Nothing to do: 13 resources');
    const doctor = await offline(['doctor', 'spec.yaml']);
    expect(doctor.stdout).toContain('AccessDenied');
  });

  it('is looked at, never applied; a doctor looks at it as well', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const { live, offline } = await observing(env);
    const refused = await runCli(['--once', 'spec.yaml', '--observed', 'observed.json'], live);
    expect(refused).toMatchObject({
      code: 64,
      stderr: 'an observation can be planned from, not changed: add --dry-run\n',
    });
    const doctor = await offline(['doctor', 'spec.yaml']);
    expect(doctor).toMatchObject({ code: 0, stdout: expect.stringContaining('1 of 1 rules proven.') });
    expect(doctor.stdout).not.toContain('looked at');
  });

  it('says what is wrong with a file that is no observation', async () => {
    for (const [text, why] of [
      ['{', /invalid JSON in \S*observed\.json: /],
      ['{}', /observed\.json is not what `reconcile observe` writes: format: /],
      ['{"format":1,"observedAt":"2026-01-01T00:00:00.000Z","answers":[{"region":1}]}', /answers\.0\.call: /],
    ] as const) {
      await writeFile(path.join(folder, 'observed.json'), text);
      const ran = await runCli(['plan', '-', '--observed', 'observed.json'], {
        cwd: folder,
        input: TAX_SPEC,
      });
      expect(ran).toMatchObject({ code: 64, stdout: '', stderr: expect.stringMatching(why) });
    }
  });
});

describe('a plan that was saved', () => {
  it('is applied without its specs, and again without harm', async () => {
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

  it('is refused with the differences when AWS has changed since, by other specs or by hand', async () => {
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

  it('is refused when a foreign statement changes the verdict of the proof', async () => {
    await using env = await testEnv();
    const options = { endpoint: env.sandbox.endpoint, cwd: folder };
    await writeFile(path.join(folder, 'spec.yaml'), TAX_SPEC);
    expect(await runCli(['--once', 'spec.yaml'], options)).toMatchObject({ code: 0 });
    await writeFile(
      path.join(folder, 'spec.yaml'),
      TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      metrics: false'),
    );
    await runCli(['plan', 'spec.yaml', '--out', 'plan.json'], options);
    await env.door.send(
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

  it('keeps permissions that a foreign rule has needed since the plan was saved', async () => {
    const books = `${BOOKS}  policy: { deletion: Remove }\n`;
    await using env = await testEnv(`${TAX_SPEC}---\n${books}`);
    await env.reconcile();
    const options = { endpoint: env.sandbox.endpoint, cwd: folder };
    await writeFile(path.join(folder, 'spec.yaml'), TAX_SPEC);
    await runCli(['plan', 'spec.yaml', '--prune', '--out', 'plan.json'], options);
    const location = { region: 'us-east-1' };
    const bucket = { Bucket: 'acme-books' };
    const { ReplicationConfiguration: configuration } = await env.door.send(
      location,
      new GetBucketReplicationCommand(bucket),
    );
    const [rule] = configuration?.Rules ?? [];
    await env.door.send(
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

  it('is refused when the file was changed after it was saved', async () => {
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

  it('keeps what it was made with: the selection, and what is pruned', async () => {
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

  it('is nothing else than a plan', async () => {
    await writeFile(path.join(folder, 'plan.json'), '{"format":2,"waves":[]}');
    expect(await runCli(['apply', 'plan.json'], { cwd: folder })).toMatchObject({
      code: 64,
      stderr: expect.stringMatching(
        /plan\.json is no saved plan: blocked: .*; reconcile plan --out writes one/,
      ),
    });
    await writeFile(path.join(folder, 'old.json'), '{"format":1,"waves":[]}');
    expect((await runCli(['apply', 'old.json'], { cwd: folder })).stderr).toContain(
      'old.json is no saved plan: format: this version of replikey reads plans of format 2',
    );
    expect(await runCli(['apply', 'none.json'], { cwd: folder })).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('none.json cannot be read'),
    });
  });
});

describe('-o ndjson', () => {
  const linesOf = (stdout: string) =>
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));

  it('tells the plan, each change when it happens, and how it ended, a line each', async () => {
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

  it('ends with a line that says why it could not begin', async () => {
    const { code, stdout } = await runCli(['--once', '-', '-o', 'ndjson'], { input: '{}' });
    expect(code).toBe(65);
    expect(linesOf(stdout)).toMatchObject([{ type: 'error', error: { exitCode: 65 } }]);
  });
});
