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
const written = (...texts: string[]) => ({
  files: texts.map((text, index) => file(text, `specs/${index}.yaml`)),
  problems: [],
});

/** A controller of a world, and how a pair fares in it. */
function watching(env: TestEnv, more: Partial<ControllerOptions> = {}) {
  const loop = testController(env, more);
  const of = (name: string) => {
    const found = loop.controller.status().pairs.find((one) => one.name === name);
    if (!found) throw new Error(`there is no ${name}`);
    return found;
  };
  return { ...loop, of };
}

/** Let the next resync come. */
async function round({ clock, idle }: { clock: FakeClock; idle: () => Promise<void> }): Promise<void> {
  await clock.advance(RESYNC_INTERVAL_MS * 1.2);
  await idle();
}

const writes = ({ sandbox }: TestEnv) => sandbox.log.entries.filter(({ write }) => write).length;

describe('the controller', () => {
  test('converges what is declared, says so, and then only reads', async () => {
    await using env = await testEnv();
    const running = watching(env);
    running.controller.update(written(TAX_SPEC, BOOKS));
    expect(running.of('tax').conditions.Ready).toMatchObject({ status: 'Unknown', reason: 'Pending' });
    await running.idle();
    expect(running.controller.status().isSynced).toBe(true);
    for (const name of ['tax', 'books']) {
      expect(running.of(name)).toMatchObject({
        failures: 0,
        retry: 'none',
        changes: [{ cause: 'unknown', result: 'applied' }],
      });
      expect(running.of(name).conditions).toMatchObject({
        Ready: { status: 'True', reason: 'Converged' },
        Proven: { status: 'True', reason: 'AllRequestsAllowed' },
        Drifted: { status: 'False', reason: 'AsDeclared' },
        Verified: { status: 'Unknown' },
      });
    }
    const before = writes(env);
    const said = running.lines.length;
    for (let count = 0; count < 5; count++) await round(running);
    expect(writes(env)).toBe(before);
    expect(running.lines.slice(said)).toEqual([]);
    await running.controller.drain();
    expect(running.clock.pending).toBe(0);
  });

  test('what is said of a spec that moves while it is looked at is not forgotten', async () => {
    await using env = await testEnv();
    env.sandbox.faultSettings.latencyMs = 50;
    const running = watching(env);
    running.controller.update({ files: [file(TAX_SPEC, 'specs/old.yaml')], problems: [] });
    await vi.waitFor(() => expect(env.sandbox.log.entries.length).toBeGreaterThan(0));
    running.controller.update({ files: [file(TAX_SPEC, 'specs/new.yaml')], problems: [] });
    await running.idle();
    expect(running.of('tax').from?.file).toBe('specs/new.yaml');
    expect(running.of('tax').lastRun).toBeDefined();
  });

  test('heals drift, tells it from a change of the spec, and remembers what it was', async () => {
    await using env = await testEnv();
    const running = watching(env);
    running.controller.update(written(TAX_SPEC));
    await running.idle();
    await env.door.send({ region: 'us-east-1' }, new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' }));
    await round(running);
    expect(running.of('tax').conditions.Drifted).toMatchObject({
      status: 'False',
      reason: 'Healed',
      message: expect.stringMatching(
        /^s3\.replication\/acme-tax: changed by somebody else, and put back at /,
      ),
    });
    expect(running.of('tax').changes[0]).toMatchObject({
      cause: 'drift',
      result: 'applied',
      steps: [{ id: 's3.replication/acme-tax' }],
    });
    expect(running.lines.some(({ level, msg }) => level === 'warn' && msg.startsWith('drift: '))).toBe(true);

    running.controller.update(
      written(TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      metrics: false')),
    );
    await running.idle();
    expect(running.of('tax').changes[0]).toMatchObject({ cause: 'spec', result: 'applied' });
    expect(running.of('tax').conditions.Ready.status).toBe('True');
  });

  test('tries again what failed, later and later, while the others go on', async () => {
    await using env = await testEnv();
    env.sandbox.faultSettings.faults = [
      { match: 'CreateRole', nth: 1, times: 1, what: { status: 403, code: 'AccessDenied', message: 'no' } },
    ];
    const running = watching(env, { workers: 1 });
    running.controller.update(written(TAX_SPEC, BOOKS));
    await running.idle();
    expect(running.of('tax')).toMatchObject({
      retry: 'recoverable',
      failures: 1,
      conditions: {
        Ready: { status: 'False', reason: 'ApplyFailed', message: expect.stringContaining('AccessDenied') },
      },
    });
    expect(running.of('books').conditions.Ready.status).toBe('True');
    await running.clock.advance(1_500);
    await running.idle();
    expect(running.of('tax')).toMatchObject({ retry: 'none', failures: 0 });
    expect(running.of('tax').conditions.Ready.status).toBe('True');
  });

  test('what only a person can mend waits for the spec or the next resync, and is not tried in a storm', async () => {
    await using env = await testEnv();
    await env.door
      .send(
        { region: 'us-east-1' },
        new PutBucketVersioningCommand({
          Bucket: 'acme-tax',
          VersioningConfiguration: { Status: 'Enabled' },
        }),
      )
      .catch(() => {});
    const running = watching(env);
    const byArn = TAX_SPEC.replace(
      'alias/acme-tax }',
      'arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555 }',
    );
    running.controller.update(written(byArn, BOOKS));
    await running.idle();
    expect(running.of('tax')).toMatchObject({
      retry: 'terminal',
      conditions: { Ready: { status: 'False' } },
    });
    expect(running.of('books').conditions.Ready.status).toBe('True');
    env.sandbox.log.reset();
    await running.clock.advance(RESYNC_INTERVAL_MS * 0.7);
    await running.idle();
    expect(env.sandbox.log.entries).toEqual([]);
    running.controller.update(written(TAX_SPEC, BOOKS));
    await running.idle();
    expect(running.of('tax').conditions.Ready.status).toBe('True');
  });

  test('a spec that becomes invalid is reported, and its last good state kept, while the others go on', async () => {
    await using env = await testEnv();
    const running = watching(env);
    running.controller.update(written(TAX_SPEC, BOOKS));
    await running.idle();
    const other = BOOKS.replace('prefix: Books/', 'prefix: Books/\n      metrics: false');
    running.controller.update({
      files: [file('kind: [', 'specs/0.yaml'), file(other, 'specs/1.yaml')],
      problems: [],
    });
    await running.idle();
    expect(running.controller.status().problems.map(({ position }) => position.file)).toEqual([
      'specs/0.yaml',
    ]);
    const errors = () => running.lines.filter(({ level }) => level === 'error').map(({ msg }) => msg);
    expect(errors()).toEqual([
      'specs that are not right do not count; the last good ones do',
      'specs/0.yaml:1:7  the bracket [ that opens here is not closed → add ]; a text that starts with [ needs quotes',
    ]);
    expect(running.controller.status().pairs.map(({ name }) => name)).toEqual(['tax', 'books']);
    expect(running.of('books').changes[0]).toMatchObject({ cause: 'spec' });
    running.controller.update({
      files: [],
      problems: [{ position: { file: 'specs', line: 1, column: 1 }, message: 'gone' }],
    });
    expect(running.controller.status().pairs).toHaveLength(2);
    expect(errors().slice(2)).toEqual([errors()[0], 'specs:1:1  gone']);
    running.controller.update(written(TAX_SPEC, BOOKS));
    expect(running.lines.at(-1)).toMatchObject({ level: 'info', msg: 'all specs are right again' });
  });

  test('who does not lead changes nothing, and says what waits; who begins to lead does it at once', async () => {
    await using env = await testEnv();
    let leads = false;
    const running = watching(env, { isLeaderFor: () => leads });
    running.controller.update(written(TAX_SPEC));
    await running.idle();
    expect(writes(env)).toBe(0);
    expect(running.of('tax')).toMatchObject({
      changes: [{ result: 'pending' }],
      conditions: {
        Ready: { status: 'False', reason: 'ChangesPending', message: '13 changes wait to be applied' },
        Proven: { status: 'True' },
      },
    });
    leads = true;
    running.controller.resync();
    await running.idle();
    expect(running.of('tax').conditions.Ready.status).toBe('True');
  });

  test('what waits is not said to wait any more once another has done it', async () => {
    await using env = await testEnv();
    const running = watching(env, { isLeaderFor: () => false });
    running.controller.update(written(TAX_SPEC));
    await running.idle();
    expect(running.of('tax').changes).toMatchObject([{ result: 'pending' }]);
    await env.reconcile();
    running.controller.resync();
    await running.idle();
    expect(running.of('tax')).toMatchObject({ changes: [], conditions: { Ready: { status: 'True' } } });
  });

  test('a hundred pairs that fail for one reason are said in two lines', async () => {
    await using env = await testEnv();
    env.sandbox.faultSettings.faults = [
      {
        match: 'GetBucketVersioning',
        nth: 1,
        times: 1e6,
        what: { status: 403, code: 'AccessDenied', message: 'Access Denied' },
      },
    ];
    const many = Array.from({ length: 50 }, (_, index) => TAX_SPEC.replaceAll('tax', `tax-${index}`)).join(
      '---\n',
    );
    const running = watching(env, { workers: 10 });
    running.controller.update(written(many));
    await running.idle();
    await running.controller.drain();
    const warnings = running.lines.filter(({ level }) => level === 'warn');
    expect(warnings.length).toBeLessThan(8);
    expect(warnings.some(({ msg }) => /\(\d+ times\)$/.test(msg))).toBe(true);
  }, 90_000);

  test('pairs that share a source, a role and a key are written one after the other, and lose nothing', async () => {
    await using env = await testEnv();
    const shared = Array.from({ length: 6 }, (_, index) =>
      TAX_SPEC.replace('name: tax', `name: tax-${index}`)
        .replace('acme-tax-replica', `acme-tax-replica-${index}`)
        .replace('prefix: Tax/', `prefix: Tax/${index}/`),
    ).join('---\n');
    const running = watching(env, { workers: 8 });
    running.controller.update(written(shared));
    await running.idle();
    for (let index = 0; index < 6; index++)
      expect(
        running.of(`tax-${index}`).conditions.Ready,
        JSON.stringify(running.of(`tax-${index}`).conditions.Ready),
      ).toMatchObject({ status: 'True' });
    const { plan } = await env.reconcileWith(shared, { dryRun: true });
    expect(plan.waves).toEqual([]);
  });

  test('canaries are written every so often, by who leads, where replication is thought to work', async () => {
    await using env = await testEnv();
    const running = watching(env, { verifyIntervalMs: 600_000 });
    running.controller.update(written(TAX_SPEC));
    await running.idle();
    await env.door.send(
      { region: 'us-east-1' },
      new PutObjectCommand({ Bucket: 'acme-tax', Key: 'Tax/2026.pdf', Body: 'x' }),
    );
    await running.clock.advance(300_001);
    await vi.waitFor(() =>
      expect(running.of('tax').conditions.Verified).toMatchObject({ status: 'True', reason: 'Replicated' }),
    );
    expect(running.of('tax').objects).toEqual({ byStatus: { COMPLETED: 1 } });
    await running.controller.drain();
  });

  test('what canaries found is said, though the newest objects may not be listed', async () => {
    await using env = await testEnv();
    const running = watching(env, { verifyIntervalMs: 600_000 });
    running.controller.update(written(TAX_SPEC));
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
      expect(running.of('tax').conditions.Verified).toMatchObject({ status: 'True', reason: 'Replicated' }),
    );
    await running.controller.drain();
    expect(running.lines.some(({ msg }) => msg.startsWith('newest objects: '))).toBe(true);
  });

  test('who ceases to lead before a canary is written writes none, and says nothing of it', async () => {
    await using env = await testEnv();
    let asked: number | undefined;
    const verified: string[] = [];
    const running = watching(env, {
      verifyIntervalMs: 600_000,
      isLeaderFor: () => asked === undefined || asked++ === 0,
      observer: { onVerify: ({ key }) => verified.push(key) },
    });
    running.controller.update(written(TAX_SPEC));
    await running.idle();
    asked = 0;
    await running.clock.advance(300_001);
    await vi.waitFor(() => expect(asked).toBeGreaterThan(3));
    await running.controller.drain();
    expect(env.sandbox.log.entries.filter(({ operation }) => operation === 'PutObject')).toEqual([]);
    expect(running.of('tax').conditions.Verified).toMatchObject({ status: 'Unknown', reason: 'Pending' });
    expect(verified).toEqual([]);
  });

  test('a canary that was not written since the lease was lost is no failure, though the lease came back', async () => {
    await using env = await testEnv();
    let asked: number | undefined;
    const running = watching(env, {
      verifyIntervalMs: 600_000,
      isLeaderFor: () => asked === undefined || ++asked !== 2,
    });
    running.controller.update(written(TAX_SPEC));
    await running.idle();
    asked = 0;
    await running.clock.advance(300_001);
    await vi.waitFor(() => expect(asked).toBeGreaterThan(3));
    await running.controller.drain();
    expect(running.of('tax').conditions.Verified).toMatchObject({ status: 'Unknown', reason: 'Pending' });
    expect(running.lines.filter(({ msg }) => msg.startsWith('canary'))).toEqual([]);
  });

  test('a canary that is cut short by a stop is no failure, and leaves nothing behind', async () => {
    const stop = new AbortController();
    await using env = await testEnv();
    const running = watching(env, { verifyIntervalMs: 600_000, signal: stop.signal });
    running.controller.update(written(TAX_SPEC));
    await running.idle();
    env.sandbox.faultSettings.replicationDelayMs = 3_600_000;
    await running.clock.advance(300_001);
    const seen = (operation: string) => env.sandbox.log.entries.filter((one) => one.operation === operation);
    await vi.waitFor(() => expect(seen('HeadObject').length).toBeGreaterThan(0));
    stop.abort();
    await running.controller.drain();
    expect(running.of('tax').conditions.Verified).toMatchObject({ status: 'Unknown', reason: 'Pending' });
    const left = await env.door.send(
      { region: 'us-east-1' },
      new ListObjectVersionsCommand({ Bucket: 'acme-tax' }),
    );
    expect(left.Versions ?? []).toEqual([]);
  });

  test('who has looked at every pair once stays ready when another is declared', async () => {
    await using env = await testEnv();
    const running = watching(env);
    const isSynced = () => running.controller.status().isSynced;
    expect(isSynced()).toBe(false);
    running.controller.update(written(TAX_SPEC));
    expect(isSynced()).toBe(false);
    await running.idle();
    expect(isSynced()).toBe(true);
    running.controller.update(written(TAX_SPEC, BOOKS));
    expect(isSynced()).toBe(true);
    await running.idle();
  });
});
