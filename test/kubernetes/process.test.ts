import { spawnSync } from 'node:child_process';
import { DeleteBucketReplicationCommand } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { KubernetesApi } from '../../src/kubernetes/api.ts';
import { LIST_LIMITS } from '../../src/kubernetes/reflector.ts';
import { collectionPathOf, type ResourceCondition } from '../../src/kubernetes/resources.ts';
import { runCli } from '../support/cli.ts';
import {
  type ControllerProcess,
  isLeader,
  pairStatusOf,
  startController,
  untilReady,
} from '../support/controller-process.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { type ApiServer, NAMESPACE } from './api-server.ts';
import { startFakeApiServer } from './fake-api-server.ts';
import { realServerSkipReason, startRealServer } from './real-server.ts';

const PAIRS = collectionPathOf('BucketReplication', NAMESPACE);
const SPEC = {
  source: { bucket: 'acme-tax', region: 'us-east-1', key: 'alias/acme-tax' },
  destination: { bucket: 'acme-tax-replica', region: 'us-west-2', key: 'alias/acme-tax-replica' },
  rules: [{ prefix: 'Tax/' }],
};

const create = async (api: KubernetesApi, name: string, spec: object) => {
  const document = { apiVersion: 'replikey.dev/v1', kind: 'BucketReplication', metadata: { name }, spec };
  const { status, body } = await api.request('POST', PAIRS, document);
  expect(status, body.message).toBe(201);
};
const readyOf = async (api: KubernetesApi, name: string): Promise<ResourceCondition> => {
  const { body } = await api.request('GET', `${PAIRS}/${name}`);
  return body.status?.conditions?.find(({ type }: ResourceCondition) => type === 'Ready');
};
const leaseSpecOf = async (api: KubernetesApi) =>
  (await api.request('GET', `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases/replikey`)).body
    .spec;

const running: ControllerProcess[] = [];
afterEach(() => {
  for (const { child } of running.splice(0)) child.kill('SIGKILL');
});

async function start(
  testEnvironment: TestEnv,
  { env }: ApiServer,
  ...args: string[]
): Promise<ControllerProcess> {
  const controller = await startController(
    ['--source', 'kubernetes', '--lease-duration', '3', '--interval', '2', ...args],
    { endpoint: testEnvironment.sandbox.endpoint, env },
  );
  running.push(controller);
  return controller;
}

const SERVERS: [name: string, start: () => Promise<ApiServer>, skip: string | undefined][] = [
  [
    'a fake API server',
    () => startFakeApiServer({ tls: true }),
    spawnSync('openssl', ['version']).status === 0 ? undefined : 'openssl is not installed',
  ],
  ['a real API server', startRealServer, realServerSkipReason()],
];

describe.each(SERVERS)('reconcile --source kubernetes, with %s', (_, startServer, skip) => {
  const suffix = skip ? ` (skipped: ${skip})` : '';
  let server: ApiServer;
  beforeEach(async () => {
    if (!skip) server = await startServer();
  }, 90_000);
  afterEach(async () => server?.[Symbol.asyncDispose]());

  test.skipIf(skip)(
    `two processes with the deployed role: one writes, and the standby takes over after the leader is killed${suffix}`,
    async () => {
      await using testEnvironment = await testEnv();
      await create(server.admin, 'tax', SPEC);
      const processes = await Promise.all([start(testEnvironment, server), start(testEnvironment, server)]);
      await Promise.all(processes.map(untilReady));
      await vi.waitFor(
        async () => expect(await readyOf(server.admin, 'tax')).toMatchObject({ reason: 'Converged' }),
        15_000,
      );
      const isLeading = await Promise.all(processes.map(isLeader));
      expect(isLeading.filter(Boolean)).toHaveLength(1);
      const [leader, standby] = isLeading[0] ? processes : processes.toReversed();
      expect(standby?.log()).not.toMatch(/created /);
      const before = await leaseSpecOf(server.admin);

      leader?.child.kill('SIGKILL');
      await testEnvironment.client.send(
        { region: 'us-east-1' },
        new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' }),
      );
      await vi.waitFor(async () => expect(await isLeader(standby as ControllerProcess)).toBe(true), {
        timeout: 10_000,
        interval: 50,
      });
      await vi.waitFor(
        async () =>
          expect((await pairStatusOf(standby as ControllerProcess)).conditions.Ready.status).toBe('True'),
        15_000,
      );
      expect((await testEnvironment.reconcileWith(TAX_SPEC, { dryRun: true })).plan.waves).toEqual([]);
      expect(await leaseSpecOf(server.admin)).toMatchObject({
        leaseTransitions: before.leaseTransitions + 1,
      });

      // A stopping process releases the lease.
      standby?.child.kill('SIGTERM');
      const { code, stderr } = (await standby?.exited) ?? { code: 1, stderr: '' };
      expect(code, stderr).toBe(0);
      expect((await leaseSpecOf(server.admin)).holderIdentity).toBe('');
      expect(stderr).not.toMatch(/HTTP 403|a-token-that/);
    },
    60_000,
  );

  test.skipIf(skip)(
    `an invalid resource reports its problem, a deleted resource stays in AWS, and events are recorded${suffix}`,
    async () => {
      await using testEnvironment = await testEnv();
      const controller = await start(testEnvironment, server, '--leader-elect', 'none');
      await untilReady(controller);
      await create(server.admin, 'tax', SPEC);
      await create(server.admin, 'wrong', {
        ...SPEC,
        source: { ...SPEC.source, bucket: 'acme-wrong', region: 'mars' },
      });
      await vi.waitFor(
        async () => expect(await readyOf(server.admin, 'tax')).toMatchObject({ reason: 'Converged' }),
        15_000,
      );
      expect(await readyOf(server.admin, 'wrong')).toMatchObject({
        status: 'False',
        reason: 'Invalid',
        message: 'spec.source.region: invalid Region "mars": use a Region name such as us-east-1',
      });
      // The controller records events beside the status, so they may follow it.
      await vi.waitFor(async () => {
        const { body } = await server.admin.request(
          'GET',
          `/apis/events.k8s.io/v1/namespaces/${NAMESPACE}/events`,
        );
        const reasons = body.items.map(
          ({ reason, regarding }: { reason: string; regarding: { name: string } }) => [
            regarding.name,
            reason,
          ],
        );
        expect(reasons).toEqual(
          expect.arrayContaining([
            ['tax', 'Applied'],
            ['wrong', 'Invalid'],
          ]),
        );
      }, 10_000);

      const writes = () => testEnvironment.sandbox.log.entries.filter(({ write }) => write).length;
      const before = writes();
      await server.admin.request('DELETE', `${PAIRS}/tax`);
      await vi.waitFor(async () => expect(await pairStatusOf(controller)).toBeUndefined(), 10_000);
      controller.child.kill('SIGTERM');
      expect((await controller.exited).code).toBe(0);
      expect(writes()).toBe(before);
      expect((await testEnvironment.reconcileWith(TAX_SPEC, { dryRun: true })).plan.waves).toEqual([]);
    },
    60_000,
  );
});

test.skipIf(spawnSync('openssl', ['version']).status !== 0)(
  'an API server that ends no list, watch or response: reports each, and manages the pairs when it recovers',
  async () => {
    await using server = await startFakeApiServer({ tls: true });
    await using testEnvironment = await testEnv();
    await create(server.admin, 'tax', SPEC);
    server.faults.push(
      { match: /GET .*\/bucketreplications$/, times: LIST_LIMITS.pages, effect: 'endless' },
      { match: /GET .*\/guardrails$/, times: 1, effect: 'trickled' },
      { match: /GET .*\/leases\/replikey$/, times: 1, effect: 'trickled' },
    );
    const controller = await start(testEnvironment, server);
    await vi.waitFor(
      () => {
        expect(controller.log()).toContain('the list does not end within 1000 pages');
        expect(controller.log()).toMatch(/GET \S+\/leases\/replikey: no complete response within 5 s/);
      },
      { timeout: 60_000, interval: 100 },
    );
    await vi.waitFor(
      async () => expect(await readyOf(server.admin, 'tax')).toMatchObject({ reason: 'Converged' }),
      { timeout: 90_000, interval: 200 },
    );
    // A watch whose event never ends.
    server.faults.push({ match: /GET .*\/bucketreplications$/, times: 1, effect: 'endless' });
    server.cutWatches();
    await vi.waitFor(() => expect(controller.log()).toContain('an event exceeds 4 MiB'), {
      timeout: 30_000,
      interval: 100,
    });
    await server.admin.request('DELETE', `${PAIRS}/tax`);
    await vi.waitFor(async () => expect(await pairStatusOf(controller)).toBeUndefined(), 30_000);
  },
  240_000,
);

test.each([
  [['specs/'], {}, '--source kubernetes does not read files: remove the paths'],
  [['--once'], {}, '--source kubernetes runs until stopped'],
  [['--dry-run'], {}, '--source kubernetes runs until stopped'],
  [[], {}, '--source kubernetes requires a pod with a service account'],
  [
    [],
    { KUBERNETES_SERVICE_HOST: '127.0.0.1', REPLIKEY_SERVICE_ACCOUNT: '/nonexistent' },
    '--source kubernetes cannot use the service account: ENOENT',
  ],
])(
  'reconcile --source kubernetes: unusable arguments or environment: exits with 64 for %j %j',
  async (args, env, reason) => {
    const result = await runCli(['--source', 'kubernetes', ...args], { env });
    expect(result).toMatchObject({ code: 64, stderr: expect.stringContaining(reason) });
  },
);
