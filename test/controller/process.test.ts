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
  for (const { child } of running.splice(0)) child.kill('SIGKILL');
  await rm(folder, { recursive: true });
});

/** Starts `reconcile specs/` as a separate process. */
async function start(env: TestEnv, ...args: string[]): Promise<ControllerProcess> {
  const options = { endpoint: env.sandbox.endpoint };
  const controller = await startController([folder, '--interval', '3600', ...args], options);
  running.push(controller);
  return controller;
}

const writes = ({ sandbox }: TestEnv) => sandbox.log.entries.filter(({ write }) => write).length;

describe('controller process', () => {
  test('converges, serves its endpoints, applies a changed file, and exits with 0 on SIGTERM', async () => {
    await using env = await testEnv();
    const controller = await start(env);
    await untilReady(controller);
    expect((await fetchText(controller, '/healthz')).status).toBe(200);
    expect((await pairStatusOf(controller)).conditions.Ready).toMatchObject({
      status: 'True',
      reason: 'Converged',
    });
    const { text } = await fetchText(controller, '/metrics');
    expect(text).toContain('replikey_condition{pair="tax",type="Ready"} 1');
    expect(text).toMatch(/^replikey_aws_requests_total\{operation="s3:PutBucketReplication"\} 1$/m);
    expect(text).toContain('leader_election_master_status{name="replikey"} 1');

    const changed = TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      metrics: false');
    await writeFile(path.join(folder, 'spec.new'), changed);
    await rename(path.join(folder, 'spec.new'), path.join(folder, 'spec.yaml'));
    await vi.waitFor(
      async () =>
        expect((await pairStatusOf(controller)).changes[0]).toMatchObject({
          cause: 'spec',
          result: 'applied',
        }),
      15_000,
    );

    const before = writes(env);
    controller.child.kill('SIGTERM');
    const { code, stderr } = await controller.exited;
    expect({ code, writes: writes(env) }).toEqual({ code: 0, writes: before });
    const messages = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).msg);
    expect(messages).toContain('SIGTERM: finishing calls in flight; a second signal exits immediately');
    expect(stderr).not.toContain('test-secret');
  });

  test.each([
    ['as soon as it listens', /http:/],
    ['while it cannot receive', /cannot receive change events/],
  ])('a missing queue of --changes, and SIGTERM %s: exits within the grace', async (_, output) => {
    await using env = await testEnv();
    const queue = 'arn:aws:sqs:us-east-1:111122223333:missing';
    const controller = await start(env, '--changes', queue, '--grace', '5');
    await vi.waitFor(() => expect(controller.output() + controller.log()).toMatch(output), 10_000);
    const stoppedAt = performance.now();
    controller.child.kill('SIGTERM');
    expect((await controller.exited).code).toBe(0);
    expect(performance.now() - stoppedAt).toBeLessThan(10_000);
  });

  test('SIGHUP: reloads the specs, and keeps the last valid version of an invalid spec', async () => {
    await using env = await testEnv();
    const controller = await start(env);
    await untilReady(controller);
    await writeFile(path.join(folder, 'spec.yaml'), 'kind: [');
    controller.child.kill('SIGHUP');
    await vi.waitFor(
      async () => expect(JSON.parse((await fetchText(controller, '/status')).text).problems).toHaveLength(1),
      10_000,
    );
    expect(await pairStatusOf(controller)).toBeDefined();
    expect((await fetchText(controller, '/metrics')).text).toContain(
      'replikey_config_last_reload_successful 0',
    );
    expect((await fetchText(controller, '/')).text).toContain('Invalid specs');
  });

  test('standard error: only log lines while many leases wait for their next renewal', async () => {
    await using env = await testEnv();
    await env.client.send({ region: 'us-east-1' }, new CreateBucketCommand({ Bucket: 'acme-locks' }));
    const controller = await start(env, '--lock', 's3://acme-locks/replikey', '--shard', '1/12');
    const leaseReads = () => env.sandbox.log.entries.filter(({ operation }) => operation === 'GetObject');
    await vi.waitFor(() => expect(leaseReads().length).toBeGreaterThanOrEqual(13), 10_000);
    controller.child.kill('SIGTERM');
    const { stderr } = await controller.exited;
    expect(stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'))).toEqual([]);
  });

  test('--only names no spec at startup: exits with 64, like a single pass', async () => {
    const args = ['spec.yaml', '--only', 'tax', '--only', 'taxes'];
    const [single, loop] = await Promise.all(
      [['--dry-run', ...args], args].map((words) => runCli(words, { cwd: folder })),
    );
    expect(single).toMatchObject({ code: 64, stderr: 'no spec is named taxes (did you mean tax?)\n' });
    expect(loop).toMatchObject({ code: 64, stderr: expect.stringContaining(single?.stderr ?? '') });
  });

  test('no valid spec at startup: reports the problems and exits with 65', async () => {
    await using env = await testEnv();
    await writeFile(path.join(folder, 'spec.yaml'), 'kind: [');
    const result = await runCli([folder], { endpoint: env.sandbox.endpoint });
    expect(result).toMatchObject({
      code: 65,
      stderr: expect.stringMatching(
        /"msg":"\S+spec\.yaml:1:7 {2}[^\n]*"\}\nno valid spec found at startup\n$/,
      ),
    });
  });

  test.each([
    [['--prune'], '--prune requires a single pass: add --once or --dry-run'],
    [['-o', 'json'], '--output requires a single pass'],
    [['-l', 'team in'], 'invalid selector "team in": use key=value'],
    [['--shard', '1/3'], '--shard requires leader election'],
    [['--shard', '4/3'], 'a shard (from 1) and the number of shards'],
    [['--leader-elect', 's3'], '--leader-elect s3 requires --lock s3://bucket/key'],
    [['--listen', 'nowhere'], 'a port, or an address and a port'],
    [['--health-listen', '192.0.2.1:80'], 'choose another address with --health-listen'],
    [
      ['--listen', '192.0.2.1:80'],
      'cannot listen: address not available 192.0.2.1:80; choose another address',
    ],
  ])('unusable arguments: exits with 64 for %j', async (args, reason) => {
    await using env = await testEnv();
    const { code, stderr } = await runCli([folder, ...args], { endpoint: env.sandbox.endpoint });
    expect(code).toBe(64);
    expect(stderr).toContain(reason);
  });

  test.each([
    [['--listen', '192.0.2.1:80'], 'cannot listen: '],
    [['--shard', '1/3'], '--shard requires leader election'],
  ])('unusable arguments with its own sandbox: exits with 64 for %j', async (args, reason) => {
    const result = await runCli([folder, `--sandbox=${path.join(folder, 'state')}`, ...args]);
    expect(result).toMatchObject({ code: 64, stderr: expect.stringContaining(reason) });
  });

  test('with a selector: reconciles only the selected pairs', async () => {
    await using env = await testEnv();
    const labelledSpec = TAX_SPEC.replaceAll('tax', 'books').replace(
      'name: books',
      'name: books, labels: { team: library }',
    );
    await writeFile(path.join(folder, 'other.yaml'), labelledSpec);
    const controller = await start(env, '-l', 'team=library');
    await untilReady(controller);
    expect(JSON.parse((await fetchText(controller, '/status')).text).pairs).toMatchObject([
      { name: 'books' },
    ]);
    expect(env.sandbox.log.entries.some(({ operation }) => operation === 'CreateBucket')).toBe(true);
    expect(controller.log()).not.toContain('acme-tax');
  });

  test('SIGTERM during an apply: finishes calls in flight, starts no others, and the next run converges', async () => {
    await using env = await testEnv();
    env.sandbox.faultSettings.latencyMs = 300;
    const controller = await start(env);
    await vi.waitFor(() => expect(writes(env)).toBeGreaterThan(1), 10_000);
    controller.child.kill('SIGTERM');
    expect((await controller.exited).code).toBe(0);
    expect(writes(env)).toBeLessThan(15);
    env.sandbox.faultSettings.latencyMs = 0;
    const { remaining } = await env.reconcile();
    expect(remaining?.waves).toEqual([]);
  });

  test.each([
    [['--grace', '1'], 1, 1],
    [[], 2, 143],
  ] as const)(
    'a call outlasts the grace period, or a second signal arrives: aborts the call (%j, %i signals)',
    async (args, signals, code) => {
      await using env = await testEnv();
      // Longer than the timeout of the test: the process ends only if it abandons the call.
      env.sandbox.faultSettings.latencyMs = 600_000;
      const controller = await start(env, ...args);
      await vi.waitFor(() => expect(controller.log()).toContain('reconciling 1 pair every '), 10_000);
      controller.child.kill('SIGTERM');
      await vi.waitFor(() => expect(controller.log()).toContain('a second signal exits immediately'), 10_000);
      if (signals === 2) controller.child.kill('SIGTERM');
      const { code: exitCode, stderr } = await controller.exited;
      expect(exitCode).toBe(code);
      if (signals === 1) expect(stderr).toContain('calls in flight did not finish within 1 s');
    },
  );

  test('--plan-only: writes nothing', async () => {
    await using env = await testEnv();
    const controller = await start(env, '--plan-only');
    await untilReady(controller);
    expect((await pairStatusOf(controller)).conditions.Ready).toMatchObject({ reason: 'ChangesPending' });
    expect(writes(env)).toBe(0);
  });

  test('--plan-only with a lock: does not compete for the lock', async () => {
    await using env = await testEnv();
    await env.client.send({ region: 'us-east-1' }, new CreateBucketCommand({ Bucket: 'locks' }));
    const lock = ['--lock', 's3://locks/replikey', '--lease-duration', '600'];
    const planning = await start(env, ...lock, '--plan-only');
    await untilReady(planning);
    const applying = await start(env, ...lock);
    await vi.waitFor(async () => expect(await isLeader(applying)).toBe(true), 10_000);
    expect(await isLeader(planning)).toBe(false);
    expect(planning.log()).not.toContain('lease');
  });

  test('two processes with an S3 lock: one writes, and the standby leads after the leader is killed', async () => {
    await using env = await testEnv();
    await env.client.send({ region: 'us-east-1' }, new CreateBucketCommand({ Bucket: 'locks' }));
    const lock = ['--lock', 's3://locks/replikey', '--lease-duration', '3', '--interval', '2'];
    const [a, b] = await Promise.all([start(env, ...lock), start(env, ...lock)]);
    await Promise.all([untilReady(a), untilReady(b)]);
    await vi.waitFor(
      async () => expect([await isLeader(a), await isLeader(b)].filter(Boolean)).toHaveLength(1),
      10_000,
    );
    const [leader, standby] = (await isLeader(a)) ? [a, b] : [b, a];
    await vi.waitFor(
      async () =>
        expect((await pairStatusOf(leader as ControllerProcess)).conditions.Ready.status).toBe('True'),
      10_000,
    );
    leader?.child.kill('SIGKILL');
    await vi.waitFor(async () => expect(await isLeader(standby as ControllerProcess)).toBe(true), 10_000);
    await env.client.send(
      { region: 'us-east-1' },
      new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' }),
    );
    await vi.waitFor(
      async () =>
        expect((await pairStatusOf(standby as ControllerProcess)).conditions.Drifted.reason).toBe('Healed'),
      15_000,
    );
    // A stopping process releases the lock, so that a third process leads immediately.
    standby?.child.kill('SIGTERM');
    expect((await standby?.exited)?.code).toBe(0);
    const third = await start(env, ...lock.map((word) => (word === '3' ? '600' : word)));
    await vi.waitFor(async () => expect(await isLeader(third)).toBe(true), 10_000);
  });
});

describe('sharded controller processes', () => {
  test('a process is killed: another takes over its pairs, and no two processes write one pair', async () => {
    await using env = await testEnv();
    await env.client.send({ region: 'us-east-1' }, new CreateBucketCommand({ Bucket: 'locks' }));
    const names = Array.from({ length: 9 }, (_, index) => `tax-${index}`);
    await writeFile(
      path.join(folder, 'spec.yaml'),
      names.map((name) => TAX_SPEC.replaceAll('tax', name)).join('---\n'),
    );
    const lock = ['--lock', 's3://locks/replikey', '--lease-duration', '3', '--interval', '2'];
    const shards = await Promise.all([1, 2, 3].map((index) => start(env, ...lock, '--shard', `${index}/3`)));
    const writersOf = (name: string) =>
      shards.filter((shard) => shard.log().includes(`"created s3.replication/acme-${name}"`));
    await vi.waitFor(() => expect(names.flatMap(writersOf)).toHaveLength(names.length), 30_000);
    for (const name of names) expect(writersOf(name), name).toHaveLength(1);
    expect(new Set(names.flatMap(writersOf)).size).toBeGreaterThan(1);

    const [name = ''] = names;
    const [victim] = writersOf(name);
    victim?.child.kill('SIGKILL');
    await env.client.send(
      { region: 'us-east-1' },
      new DeleteBucketReplicationCommand({ Bucket: `acme-${name}` }),
    );
    const survivors = shards.filter((shard) => shard !== victim);
    await vi.waitFor(
      () =>
        expect(
          survivors.filter((shard) => shard.log().includes(`"created s3.replication/acme-${name}"`)),
        ).toHaveLength(1),
      25_000,
    );
  }, 90_000);
});

describe('endpoints', () => {
  test('--health-listen: serves the health checks, and nothing else', async () => {
    await using env = await testEnv();
    const controller = await start(env, '--health-listen', '0');
    await untilReady(controller);
    const url = await vi.waitFor(() => {
      const [, match] = /^health checks listen on (\S+)$/m.exec(controller.output()) ?? [];
      if (match === undefined) throw new Error(controller.output());
      return match;
    });
    const statuses = Object.fromEntries(
      await Promise.all(
        ['/healthz', '/readyz', '/', '/status', '/metrics', '/version'].map(async (at) => [
          at,
          (await fetch(url + at)).status,
        ]),
      ),
    );
    expect(statuses).toEqual({
      '/healthz': 200,
      '/readyz': 200,
      '/': 404,
      '/status': 404,
      '/metrics': 404,
      '/version': 404,
    });
  });

  test('are read-only, contain no secrets, and have a strict content security policy', async () => {
    await using env = await testEnv();
    const controller = await start(env);
    await untilReady(controller);
    for (const at of ['/', '/status', '/metrics', '/healthz', '/readyz', '/version']) {
      const { status, text, headers } = await fetchText(controller, at);
      expect(status, at).toBe(200);
      expect(text, at).not.toContain('test-secret');
      expect(headers.get('content-security-policy'), at).toMatch(/^default-src 'none';/);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])
        expect((await fetch(controller.url + at, { method })).status, `${method} ${at}`).toBe(405);
    }
    for (const at of ['/nothing', '/%2e%2e/etc/passwd', '//status', '/status/', '/__proto__', '/constructor'])
      expect((await fetchText(controller, at)).status, at).toBe(404);
    expect((await fetch(`${controller.url}/status`, { method: 'HEAD' })).status).toBe(200);
  });

  test('long headers, invalid requests and idle clients: the server keeps running', async () => {
    await using env = await testEnv();
    const controller = await start(env);
    const { port } = new URL(controller.url);
    const status = await new Promise((resolve) => {
      request(`${controller.url}/healthz`, { headers: { 'x-long': 'a'.repeat(20_000) } }, (response) =>
        resolve(response.statusCode),
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
    await untilReady(controller);
    for (const socket of slow) socket.destroy();
  });
});
