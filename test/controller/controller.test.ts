import {
  DeleteBucketReplicationCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { describe, expect, test, vi } from 'vitest';
import type { ControllerOptions } from '../../src/controller/controller.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import type { FakeClock } from '../support/fake-clock.ts';
import { RESYNC_INTERVAL_MS, testController } from '../support/test-controller.ts';

const BOOKS = TAX_SPEC.replaceAll('tax', 'books').replace('Tax/', 'Books/');
const file = (text: string, name = 'specs/a.yaml') => ({ file: name, bytes: Buffer.from(text) });
const specFiles = (...texts: string[]) => ({
  files: texts.map((text, index) => file(text, `specs/${index}.yaml`)),
  problems: [],
});

/** Starts a controller; `pairOf` returns the status of a pair. */
function startTestController(env: TestEnv, options: Partial<ControllerOptions> = {}) {
  const loop = testController(env, options);
  const pairOf = (name: string) => {
    const status = loop.controller.status().pairs.find((pair) => pair.name === name);
    if (!status) throw new Error(`no pair ${name}`);
    return status;
  };
  return { ...loop, pairOf };
}

/** Advances the clock to the next resync. */
async function round({ clock, idle }: { clock: FakeClock; idle: () => Promise<void> }): Promise<void> {
  await clock.advance(RESYNC_INTERVAL_MS * 1.2);
  await idle();
}

const writes = ({ sandbox }: TestEnv) => sandbox.log.entries.filter(({ write }) => write).length;

describe('controller', () => {
  test('new specs: converges them, sets the conditions, and then only reads', async () => {
    await using env = await testEnv();
    const running = startTestController(env);
    await running.controller.update(specFiles(TAX_SPEC, BOOKS));
    expect(running.pairOf('tax').conditions.Ready).toMatchObject({ status: 'Unknown', reason: 'Pending' });
    await running.idle();
    expect(running.controller.status().isSynced).toBe(true);
    for (const name of ['tax', 'books']) {
      expect(running.pairOf(name)).toMatchObject({
        failures: 0,
        retry: 'none',
        changes: [{ cause: 'unknown', result: 'applied' }],
      });
      expect(running.pairOf(name).conditions).toMatchObject({
        Ready: { status: 'True', reason: 'Converged' },
        Proven: { status: 'True', reason: 'AllRequestsAllowed' },
        Drifted: { status: 'False', reason: 'AsDeclared' },
        Verified: { status: 'Unknown' },
      });
    }
    const before = writes(env);
    const lineCount = running.lines.length;
    for (let count = 0; count < 5; count++) await round(running);
    expect(writes(env)).toBe(before);
    expect(running.lines.slice(lineCount)).toEqual([]);
    await running.controller.drain();
    expect(running.clock.pending).toBe(0);
  });

  test('status: contains labels, and the accounts and the endpoint that a pass has verified', async () => {
    await using env = await testEnv();
    const running = startTestController(env);
    await running.controller.update(
      specFiles(TAX_SPEC.replace('name: tax', 'name: tax, labels: { team: finance }')),
    );
    const { startedAt } = running.controller.status().process;
    expect(running.controller.status().process).toEqual({
      startedAt: expect.stringMatching(/^2026-/),
      accounts: {},
      role: 'single',
      leases: {},
    });
    expect(running.pairOf('tax').labels).toEqual({ team: 'finance' });
    await running.idle();
    await round(running);
    expect(running.controller.status().process).toEqual({
      startedAt,
      endpoint: env.sandbox.endpoint,
      accounts: { '': '111122223333' },
      role: 'single',
      leases: {},
    });
    // A removed label disappears from the status.
    await running.controller.update(specFiles(TAX_SPEC));
    expect(running.pairOf('tax').labels).toEqual({});
    await running.controller.drain();
  });

  test('a selected spec is removed while the controller runs: reports it until the spec returns', async () => {
    await using env = await testEnv();
    const running = startTestController(env, {
      selection: { only: ['tax'] },
      isAssigned: ({ key }) => key === 'tax',
    });
    const messages = () => running.controller.status().problems.map(({ message }) => message);
    await running.controller.update(specFiles(TAX_SPEC, BOOKS));
    expect(messages()).toEqual([]);
    await running.controller.update(specFiles(BOOKS));
    expect(messages()).toEqual(['no spec is named tax']);
    expect(running.controller.status().pairs).toEqual([]);
    expect(running.lines.filter(({ level }) => level === 'error').map(({ msg }) => msg)).toEqual([
      '--only:1:1  no spec is named tax → correct the option, or declare the spec',
    ]);
    await running.controller.update(specFiles(TAX_SPEC, BOOKS));
    expect(messages()).toEqual([]);
    await running.idle();
  });

  test('a spec moves to another file during its pass: the status keeps the result and the new file', async () => {
    await using env = await testEnv();
    env.sandbox.faultSettings.latencyMs = 50;
    const running = startTestController(env);
    await running.controller.update({ files: [file(TAX_SPEC, 'specs/old.yaml')], problems: [] });
    await vi.waitFor(() => expect(env.sandbox.log.entries.length).toBeGreaterThan(0));
    await running.controller.update({ files: [file(TAX_SPEC, 'specs/new.yaml')], problems: [] });
    await running.idle();
    expect(running.pairOf('tax').from?.file).toBe('specs/new.yaml');
    expect(running.pairOf('tax').lastRun).toBeDefined();
  });

  test('drift: reverts it, distinguishes it from a changed spec, and keeps both changes', async () => {
    await using env = await testEnv();
    const running = startTestController(env);
    await running.controller.update(specFiles(TAX_SPEC));
    await running.idle();
    await env.client.send(
      { region: 'us-east-1' },
      new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' }),
    );
    await round(running);
    expect(running.pairOf('tax').conditions.Drifted).toMatchObject({
      status: 'False',
      reason: 'Healed',
      message: expect.stringMatching(
        /^s3\.replication\/acme-tax: changed outside replikey, and reverted at /,
      ),
    });
    expect(running.pairOf('tax').changes[0]).toMatchObject({
      cause: 'drift',
      result: 'applied',
      steps: [{ id: 's3.replication/acme-tax' }],
    });
    expect(running.lines.some(({ level, msg }) => level === 'warn' && msg.startsWith('drift: '))).toBe(true);

    await running.controller.update(
      specFiles(TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      metrics: false')),
    );
    await running.idle();
    expect(running.pairOf('tax').changes[0]).toMatchObject({ cause: 'spec', result: 'applied' });
    expect(running.pairOf('tax').conditions.Ready.status).toBe('True');
  });

  test('a pass fails: retries it with backoff while other pairs continue', async () => {
    await using env = await testEnv();
    env.sandbox.faultSettings.faults = [
      { match: 'CreateRole', nth: 1, times: 1, what: { status: 403, code: 'AccessDenied', message: 'no' } },
    ];
    const running = startTestController(env, { workers: 1 });
    await running.controller.update(specFiles(TAX_SPEC, BOOKS));
    await running.idle();
    expect(running.pairOf('tax')).toMatchObject({
      retry: 'recoverable',
      failures: 1,
      conditions: {
        Ready: { status: 'False', reason: 'ApplyFailed', message: expect.stringContaining('AccessDenied') },
      },
    });
    expect(running.pairOf('books').conditions.Ready.status).toBe('True');
    await running.clock.advance(1_500);
    await running.idle();
    expect(running.pairOf('tax')).toMatchObject({ retry: 'none', failures: 0 });
    expect(running.pairOf('tax').conditions.Ready.status).toBe('True');
  });

  test('a terminal error: waits for a changed spec or the next resync instead of retrying', async () => {
    await using env = await testEnv();
    await env.client
      .send(
        { region: 'us-east-1' },
        new PutBucketVersioningCommand({
          Bucket: 'acme-tax',
          VersioningConfiguration: { Status: 'Enabled' },
        }),
      )
      .catch(() => {});
    const running = startTestController(env);
    const byArn = TAX_SPEC.replace(
      'alias/acme-tax }',
      'arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555 }',
    );
    await running.controller.update(specFiles(byArn, BOOKS));
    await running.idle();
    expect(running.pairOf('tax')).toMatchObject({
      retry: 'terminal',
      conditions: { Ready: { status: 'False' } },
    });
    expect(running.pairOf('books').conditions.Ready.status).toBe('True');
    env.sandbox.log.reset();
    await running.clock.advance(RESYNC_INTERVAL_MS * 0.7);
    await running.idle();
    expect(env.sandbox.log.entries).toEqual([]);
    await running.controller.update(specFiles(TAX_SPEC, BOOKS));
    await running.idle();
    expect(running.pairOf('tax').conditions.Ready.status).toBe('True');
  });

  test('a spec becomes invalid: reports it, keeps its last valid version, and other pairs continue', async () => {
    await using env = await testEnv();
    const running = startTestController(env);
    await running.controller.update(specFiles(TAX_SPEC, BOOKS));
    await running.idle();
    const changedBooks = BOOKS.replace('prefix: Books/', 'prefix: Books/\n      metrics: false');
    await running.controller.update({
      files: [file('kind: [', 'specs/0.yaml'), file(changedBooks, 'specs/1.yaml')],
      problems: [],
    });
    await running.idle();
    expect(running.controller.status().problems.map(({ position }) => position.file)).toEqual([
      'specs/0.yaml',
    ]);
    const errors = () => running.lines.filter(({ level }) => level === 'error').map(({ msg }) => msg);
    expect(errors()).toEqual([
      'invalid specs: the last valid version stays in effect',
      'specs/0.yaml:1:7  the bracket [ is not closed → add ], or quote a string that starts with [',
    ]);
    expect(running.controller.status().pairs.map(({ name }) => name)).toEqual(['tax', 'books']);
    expect(running.pairOf('books').changes[0]).toMatchObject({ cause: 'spec' });
    await running.controller.update({
      files: [],
      problems: [{ position: { file: 'specs', line: 1, column: 1 }, message: 'gone' }],
    });
    expect(running.controller.status().pairs).toHaveLength(2);
    expect(errors().slice(2)).toEqual([errors()[0], 'specs:1:1  gone']);
    await running.controller.update(specFiles(TAX_SPEC, BOOKS));
    expect(running.lines.at(-1)).toMatchObject({ level: 'info', msg: 'all specs are valid again' });
  });

  test('a standby: reports pending changes, and applies them when it becomes the leader', async () => {
    await using env = await testEnv();
    let isLeader = false;
    const running = startTestController(env, { isLeaderFor: () => isLeader });
    await running.controller.update(specFiles(TAX_SPEC));
    await running.idle();
    expect(writes(env)).toBe(0);
    expect(running.pairOf('tax')).toMatchObject({
      changes: [{ result: 'pending' }],
      conditions: {
        Ready: { status: 'False', reason: 'ChangesPending', message: '13 changes are pending' },
        Proven: { status: 'True' },
      },
    });
    isLeader = true;
    running.controller.resync();
    await running.idle();
    expect(running.pairOf('tax').conditions.Ready.status).toBe('True');
  });

  test('another process applies pending changes: the status lists them no longer', async () => {
    await using env = await testEnv();
    const running = startTestController(env, { isLeaderFor: () => false });
    await running.controller.update(specFiles(TAX_SPEC));
    await running.idle();
    expect(running.pairOf('tax').changes).toMatchObject([{ result: 'pending' }]);
    await env.reconcile();
    running.controller.resync();
    await running.idle();
    expect(running.pairOf('tax')).toMatchObject({ changes: [], conditions: { Ready: { status: 'True' } } });
  });

  test('50 pairs fail for the same reason: logs fewer than eight warnings, with counts', async () => {
    await using env = await testEnv();
    env.sandbox.faultSettings.faults = [
      {
        match: 'GetBucketVersioning',
        nth: 1,
        times: 1e6,
        what: { status: 403, code: 'AccessDenied', message: 'Access Denied' },
      },
    ];
    const specs = Array.from({ length: 50 }, (_, index) => TAX_SPEC.replaceAll('tax', `tax-${index}`)).join(
      '---\n',
    );
    const running = startTestController(env, { workers: 10 });
    await running.controller.update(specFiles(specs));
    await running.idle();
    await running.controller.drain();
    const warnings = running.lines.filter(({ level }) => level === 'warn');
    expect(warnings.length).toBeLessThan(8);
    expect(warnings.some(({ msg }) => /\(\d+ times\)$/.test(msg))).toBe(true);
  }, 90_000);

  test('pairs share a source, a role and a key: writes them one after the other and loses no write', async () => {
    await using env = await testEnv();
    const shared = Array.from({ length: 6 }, (_, index) =>
      TAX_SPEC.replace('name: tax', `name: tax-${index}`)
        .replace('acme-tax-replica', `acme-tax-replica-${index}`)
        .replace('prefix: Tax/', `prefix: Tax/${index}/`),
    ).join('---\n');
    const running = startTestController(env, { workers: 8 });
    await running.controller.update(specFiles(shared));
    await running.idle();
    for (let index = 0; index < 6; index++)
      expect(
        running.pairOf(`tax-${index}`).conditions.Ready,
        JSON.stringify(running.pairOf(`tax-${index}`).conditions.Ready),
      ).toMatchObject({ status: 'True' });
    const { plan } = await env.reconcileWith(shared, { dryRun: true });
    expect(plan.waves).toEqual([]);
  });

  test('verify interval elapses on the leader: writes canaries for a ready pair and samples its objects', async () => {
    await using env = await testEnv();
    const running = startTestController(env, { verifyIntervalMs: 600_000 });
    await running.controller.update(specFiles(TAX_SPEC));
    await running.idle();
    await env.client.send(
      { region: 'us-east-1' },
      new PutObjectCommand({ Bucket: 'acme-tax', Key: 'Tax/2026.pdf', Body: 'x' }),
    );
    await running.clock.advance(300_001);
    await vi.waitFor(() =>
      expect(running.pairOf('tax').conditions.Verified).toMatchObject({
        status: 'True',
        reason: 'Replicated',
      }),
    );
    expect(running.pairOf('tax').objects).toMatchObject({
      byStatus: { COMPLETED: 1 },
      coverage: { complete: true },
    });
    expect(running.pairOf('tax').canary).toEqual({
      at: new Date(running.clock.now()).toISOString(),
      result: 'replicated',
      latencyMs: expect.any(Number),
    });
    await running.controller.drain();
  });

  test('the newest objects cannot be listed: the canary result still sets Verified', async () => {
    await using env = await testEnv();
    const running = startTestController(env, { verifyIntervalMs: 600_000 });
    await running.controller.update(specFiles(TAX_SPEC));
    await running.idle();
    env.sandbox.faultSettings.faults = [
      {
        match: 'ListObjectVersions',
        nth: 1,
        times: 100,
        what: { status: 403, code: 'AccessDenied', message: 'no' },
      },
    ];
    await running.clock.advance(300_001);
    await vi.waitFor(() =>
      expect(running.pairOf('tax').conditions.Verified).toMatchObject({
        status: 'True',
        reason: 'Replicated',
      }),
    );
    await running.controller.drain();
    expect(running.lines.some(({ msg }) => msg.startsWith('sample of newest objects: '))).toBe(true);
  });

  test('the lease is lost before a canary is written: writes no canary and reports no result', async () => {
    await using env = await testEnv();
    let leaderChecks: number | undefined;
    const verifiedPairs: string[] = [];
    const running = startTestController(env, {
      verifyIntervalMs: 600_000,
      isLeaderFor: () => leaderChecks === undefined || leaderChecks++ === 0,
      observer: { onVerify: ({ key }) => verifiedPairs.push(key) },
    });
    await running.controller.update(specFiles(TAX_SPEC));
    await running.idle();
    leaderChecks = 0;
    await running.clock.advance(300_001);
    await vi.waitFor(() => expect(leaderChecks).toBeGreaterThan(3));
    await running.controller.drain();
    expect(env.sandbox.log.entries.filter(({ operation }) => operation === 'PutObject')).toEqual([]);
    expect(running.pairOf('tax').conditions.Verified).toMatchObject({ status: 'Unknown', reason: 'Pending' });
    expect(verifiedPairs).toEqual([]);
  });

  test('the lease is lost for one canary write and regained: Verified stays Unknown and logs no failure', async () => {
    await using env = await testEnv();
    let leaderChecks: number | undefined;
    const running = startTestController(env, {
      verifyIntervalMs: 600_000,
      isLeaderFor: () => leaderChecks === undefined || ++leaderChecks !== 2,
    });
    await running.controller.update(specFiles(TAX_SPEC));
    await running.idle();
    leaderChecks = 0;
    await running.clock.advance(300_001);
    await vi.waitFor(() => expect(leaderChecks).toBeGreaterThan(3));
    await running.controller.drain();
    expect(running.pairOf('tax').conditions.Verified).toMatchObject({ status: 'Unknown', reason: 'Pending' });
    expect(running.lines.filter(({ msg }) => msg.startsWith('canary'))).toEqual([]);
  });

  test('a stop signal interrupts a canary: Verified stays Unknown and no object remains', async () => {
    const stop = new AbortController();
    await using env = await testEnv();
    const running = startTestController(env, { verifyIntervalMs: 600_000, signal: stop.signal });
    await running.controller.update(specFiles(TAX_SPEC));
    await running.idle();
    env.sandbox.faultSettings.replicationDelayMs = 3_600_000;
    await running.clock.advance(300_001);
    const callsOf = (operation: string) =>
      env.sandbox.log.entries.filter((entry) => entry.operation === operation);
    await vi.waitFor(() => expect(callsOf('HeadObject').length).toBeGreaterThan(0));
    stop.abort();
    await running.controller.drain();
    expect(running.pairOf('tax').conditions.Verified).toMatchObject({ status: 'Unknown', reason: 'Pending' });
    const remaining = await env.client.send(
      { region: 'us-east-1' },
      new ListObjectVersionsCommand({ Bucket: 'acme-tax' }),
    );
    expect(remaining.Versions ?? []).toEqual([]);
  });

  test('a pair is added after the first check of all pairs: isSynced stays true', async () => {
    await using env = await testEnv();
    const running = startTestController(env);
    const isSynced = () => running.controller.status().isSynced;
    expect(isSynced()).toBe(false);
    await running.controller.update(specFiles(TAX_SPEC));
    expect(isSynced()).toBe(false);
    await running.idle();
    expect(isSynced()).toBe(true);
    await running.controller.update(specFiles(TAX_SPEC, BOOKS));
    expect(isSynced()).toBe(true);
    await running.idle();
  });
});
