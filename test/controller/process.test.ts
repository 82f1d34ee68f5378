import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CreateBucketCommand, DeleteBucketReplicationCommand } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { runCli } from '../support/cli.ts';
import {
  type ControllerProcess,
  fetchText,
  isLeader,
  pairStatusOf,
  startController,
  untilReady,
} from '../support/controller-process.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

let folder: string;
const running: ControllerProcess[] = [];
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-loop-'));
  await writeFile(path.join(folder, 'spec.yaml'), TAX_SPEC);
});
afterEach(async () => {
  for (const one of running.splice(0)) one.child.kill('SIGKILL');
  await rm(folder, { recursive: true });
});

/** `reconcile specs/`, in a process of its own. */
async function start(env: TestEnv, ...args: string[]): Promise<ControllerProcess> {
  const options = { endpoint: env.sandbox.endpoint };
  const one = await startController([folder, '--interval', '3600', ...args], options);
  running.push(one);
  return one;
}

const writes = ({ sandbox }: TestEnv) => sandbox.log.entries.filter(({ write }) => write).length;

describe('reconcile specs/, as a process', () => {
  test('converges, answers, heeds a changed file, and ends well when it is told to', async () => {
    await using env = await testEnv();
    const one = await start(env);
    await untilReady(one);
    expect((await fetchText(one, '/healthz')).status).toBe(200);
    expect((await pairStatusOf(one)).conditions.Ready).toMatchObject({ status: 'True', reason: 'Converged' });
    const { text } = await fetchText(one, '/metrics');
    expect(text).toContain('replikey_condition{pair="tax",type="Ready"} 1');
    expect(text).toMatch(/^replikey_aws_requests_total\{operation="s3:PutBucketReplication"\} 1$/m);
    expect(text).toContain('leader_election_master_status{name="replikey"} 1');

    const changed = TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      metrics: false');
    await writeFile(path.join(folder, 'spec.new'), changed);
    await rename(path.join(folder, 'spec.new'), path.join(folder, 'spec.yaml'));
    await vi.waitFor(
      async () =>
        expect((await pairStatusOf(one)).changes[0]).toMatchObject({ cause: 'spec', result: 'applied' }),
      15_000,
    );

    const before = writes(env);
    one.child.kill('SIGTERM');
    const { code, stderr } = await one.exited;
    expect({ code, writes: writes(env) }).toEqual({ code: 0, writes: before });
    const said = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).msg);
    expect(said).toContain('SIGTERM: finishing what is in flight; a second one ends it at once');
    expect(stderr).not.toContain('test-secret');
  });

  test('reads its specs again at once on SIGHUP, and keeps the last good ones', async () => {
    await using env = await testEnv();
    const one = await start(env);
    await untilReady(one);
    await writeFile(path.join(folder, 'spec.yaml'), 'kind: [');
    one.child.kill('SIGHUP');
    await vi.waitFor(
      async () => expect(JSON.parse((await fetchText(one, '/status')).text).problems).toHaveLength(1),
      10_000,
    );
    expect(await pairStatusOf(one)).toBeDefined();
    expect((await fetchText(one, '/metrics')).text).toContain('replikey_config_last_reload_successful 0');
    expect((await fetchText(one, '/')).text).toContain('Specs that are not right');
  });

  test('says so where no spec was ever right', async () => {
    await using env = await testEnv();
    await writeFile(path.join(folder, 'spec.yaml'), 'kind: [');
    const ran = await runCli([folder], { endpoint: env.sandbox.endpoint });
    expect(ran).toMatchObject({
      code: 65,
      stderr: expect.stringMatching(
        /"msg":"\S+spec\.yaml:1:7 {2}[^\n]*"\}\nthere is no spec that is right to begin with\n$/,
      ),
    });
  });

  test.each([
    [['--prune'], '--prune is for a single pass: add --once, or --dry-run'],
    [['-o', 'json'], '--output is for a single pass'],
    [['-l', 'team in'], '"team in" selects nothing'],
    [['--shard', '1/3'], '--shard needs a lease'],
    [['--shard', '4/3'], 'a part, from 1, and of how many'],
    [['--leader-elect', 's3'], '--leader-elect s3 needs --lock s3://bucket/key'],
    [['--listen', 'nowhere'], 'a port, or an address and a port'],
    [
      ['--listen', '192.0.2.1:80'],
      'cannot listen: address not available 192.0.2.1:80; --listen takes another',
    ],
  ])('refuses what it cannot do: %j', async (args, why) => {
    await using env = await testEnv();
    const ran = await runCli([folder, ...args], { endpoint: env.sandbox.endpoint });
    expect(ran.code).toBe(64);
    expect(ran.stderr).toContain(why);
  });

  test.each([
    [['--listen', '192.0.2.1:80'], 'cannot listen: '],
    [['--shard', '1/3'], '--shard needs a lease'],
  ])('ends where it cannot begin, also with a sandbox of its own: %j', async (args, why) => {
    const ran = await runCli([folder, `--sandbox=${path.join(folder, 'state')}`, ...args]);
    expect(ran).toMatchObject({ code: 64, stderr: expect.stringContaining(why) });
  });

  test('looks after the selected ones alone', async () => {
    await using env = await testEnv();
    const other = TAX_SPEC.replaceAll('tax', 'books').replace(
      'name: books',
      'name: books, labels: { team: library }',
    );
    await writeFile(path.join(folder, 'other.yaml'), other);
    const one = await start(env, '-l', 'team=library');
    await untilReady(one);
    expect(JSON.parse((await fetchText(one, '/status')).text).pairs).toMatchObject([{ name: 'books' }]);
    expect(env.sandbox.log.entries.some(({ operation }) => operation === 'CreateBucket')).toBe(true);
    expect(one.log()).not.toContain('acme-tax');
  });

  test('a signal in the middle of an apply: what is in flight is finished, nothing else is begun, and the next run converges', async () => {
    await using env = await testEnv();
    env.sandbox.faultSettings.latencyMs = 300;
    const one = await start(env);
    await vi.waitFor(() => expect(writes(env)).toBeGreaterThan(1), 10_000);
    one.child.kill('SIGTERM');
    expect((await one.exited).code).toBe(0);
    const begun = writes(env);
    expect(begun).toBeLessThan(15);
    env.sandbox.faultSettings.latencyMs = 0;
    const { remaining: left } = await env.reconcile();
    expect(left?.waves).toEqual([]);
  });

  test.each([
    [['--grace', '1'], 1, 1],
    [[], 2, 143],
  ] as const)(
    'a call that takes longer than there is to finish it is cut off, by a second signal at once: %j, %i times',
    async (args, times, code) => {
      await using env = await testEnv();
      env.sandbox.faultSettings.latencyMs = 20_000;
      const one = await start(env, ...args);
      await vi.waitFor(() => expect(one.log()).toContain('looking after'), 10_000);
      const since = performance.now();
      one.child.kill('SIGTERM');
      await vi.waitFor(() => expect(one.log()).toContain('a second one ends it at once'), 10_000);
      if (times === 2) one.child.kill('SIGTERM');
      const { code: is, stderr } = await one.exited;
      expect(is).toBe(code);
      expect(performance.now() - since).toBeLessThan(10_000);
      if (times === 1) expect(stderr).toContain('what was in flight did not end within 1 s');
    },
  );

  test('who only plans changes nothing, whatever is declared', async () => {
    await using env = await testEnv();
    const one = await start(env, '--plan-only');
    await untilReady(one);
    expect((await pairStatusOf(one)).conditions.Ready).toMatchObject({ reason: 'ChangesPending' });
    expect(writes(env)).toBe(0);
  });

  test('who only plans takes no lock from who would write', async () => {
    await using env = await testEnv();
    await env.door.send({ region: 'us-east-1' }, new CreateBucketCommand({ Bucket: 'locks' }));
    const lock = ['--lock', 's3://locks/replikey', '--lease-duration', '600'];
    const looking = await start(env, ...lock, '--plan-only');
    await untilReady(looking);
    const writing = await start(env, ...lock);
    await vi.waitFor(async () => expect(await isLeader(writing)).toBe(true), 10_000);
    expect(await isLeader(looking)).toBe(false);
    expect(looking.log()).not.toContain('lease');
  });

  test('of two with a lock in S3 one writes; when it is killed the other leads within the time of the lease', async () => {
    await using env = await testEnv();
    await env.door.send({ region: 'us-east-1' }, new CreateBucketCommand({ Bucket: 'locks' }));
    const lock = ['--lock', 's3://locks/replikey', '--lease-duration', '3', '--interval', '2'];
    const [a, b] = await Promise.all([start(env, ...lock), start(env, ...lock)]);
    await Promise.all([untilReady(a), untilReady(b)]);
    await vi.waitFor(
      async () => expect([await isLeader(a), await isLeader(b)].filter(Boolean)).toHaveLength(1),
      10_000,
    );
    const [leader, other] = (await isLeader(a)) ? [a, b] : [b, a];
    await vi.waitFor(
      async () =>
        expect((await pairStatusOf(leader as ControllerProcess)).conditions.Ready.status).toBe('True'),
      10_000,
    );
    leader?.child.kill('SIGKILL');
    await vi.waitFor(async () => expect(await isLeader(other as ControllerProcess)).toBe(true), 10_000);
    await env.door.send({ region: 'us-east-1' }, new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' }));
    await vi.waitFor(
      async () =>
        expect((await pairStatusOf(other as ControllerProcess)).conditions.Drifted.reason).toBe('Healed'),
      15_000,
    );
    // Told to stop it gives the lock back, so that a third need not wait.
    other?.child.kill('SIGTERM');
    expect((await other?.exited)?.code).toBe(0);
    const third = await start(env, ...lock.map((word) => (word === '3' ? '600' : word)));
    await vi.waitFor(async () => expect(await isLeader(third)).toBe(true), 10_000);
  });
});

describe('several processes, each for a part of the pairs', () => {
  test('divide them, and take over those of one that is killed; no pair is written by two', async () => {
    await using env = await testEnv();
    await env.door.send({ region: 'us-east-1' }, new CreateBucketCommand({ Bucket: 'locks' }));
    const names = Array.from({ length: 9 }, (_, index) => `tax-${index}`);
    await writeFile(
      path.join(folder, 'spec.yaml'),
      names.map((name) => TAX_SPEC.replaceAll('tax', name)).join('---\n'),
    );
    const lock = ['--lock', 's3://locks/replikey', '--lease-duration', '3', '--interval', '2'];
    const parts = await Promise.all([1, 2, 3].map((index) => start(env, ...lock, '--shard', `${index}/3`)));
    const writersOf = (name: string) =>
      parts.filter((one) => one.log().includes(`"created s3.replication/acme-${name}"`));
    await vi.waitFor(() => expect(names.flatMap(writersOf)).toHaveLength(names.length), 30_000);
    for (const name of names) expect(writersOf(name), name).toHaveLength(1);
    expect(new Set(names.flatMap(writersOf)).size).toBeGreaterThan(1);

    const [orphan = ''] = names;
    const [victim] = writersOf(orphan);
    victim?.child.kill('SIGKILL');
    await env.door.send(
      { region: 'us-east-1' },
      new DeleteBucketReplicationCommand({ Bucket: `acme-${orphan}` }),
    );
    const others = parts.filter((one) => one !== victim);
    await vi.waitFor(
      () =>
        expect(
          others.filter((one) => one.log().includes(`"created s3.replication/acme-${orphan}"`)),
        ).toHaveLength(1),
      25_000,
    );
  }, 90_000);
});

describe('what can be looked at', () => {
  test('changes nothing, shows no secrets, and is sent with strict policies', async () => {
    await using env = await testEnv();
    const one = await start(env);
    await untilReady(one);
    for (const at of ['/', '/status', '/metrics', '/healthz', '/readyz', '/version']) {
      const { status, text, headers } = await fetchText(one, at);
      expect(status, at).toBe(200);
      expect(text, at).not.toContain('test-secret');
      expect(headers.get('content-security-policy'), at).toMatch(/^default-src 'none';/);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])
        expect((await fetch(one.url + at, { method })).status, `${method} ${at}`).toBe(405);
    }
    for (const at of ['/nothing', '/%2e%2e/etc/passwd', '//status', '/status/', '/__proto__', '/constructor'])
      expect((await fetchText(one, at)).status, at).toBe(404);
    expect((await fetch(`${one.url}/status`, { method: 'HEAD' })).status).toBe(200);
  });

  test('survives whoever sends long headers, nonsense, or nothing', async () => {
    await using env = await testEnv();
    const one = await start(env);
    const { port } = new URL(one.url);
    const status = await new Promise((resolve) => {
      request(`${one.url}/healthz`, { headers: { 'x-long': 'a'.repeat(20_000) } }, (answer) =>
        resolve(answer.statusCode),
      ).end();
    });
    expect(status).toBe(431);
    const closed = await new Promise((resolve) => {
      const socket = connect(Number(port), '127.0.0.1', () => socket.write('\0\0\0 nonsense\r\n\r\n'));
      socket.on('data', () => {});
      socket.on('close', () => resolve(true));
    });
    expect(closed).toBe(true);
    const slow = Array.from({ length: 50 }, () =>
      connect(Number(port), '127.0.0.1', function begin(this: unknown) {}),
    );
    for (const socket of slow) socket.write('GET /healthz HTTP/1.1\r\n');
    await untilReady(one);
    for (const socket of slow) socket.destroy();
  });
});
