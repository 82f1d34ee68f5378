import { DeleteBucketReplicationCommand } from '@aws-sdk/client-s3';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type Cluster, watchCluster } from '../../src/kubernetes/cluster.ts';
import {
  collectionPathOf,
  type ResourceCondition,
  type ResourceKind,
} from '../../src/kubernetes/resources.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { RESYNC_INTERVAL_MS, testController } from '../support/test-controller.ts';
import { NAMESPACE } from './api-server.ts';
import { type FakeApiServer, startFakeApiServer } from './fake-api-server.ts';

const EVENTS = `/apis/events.k8s.io/v1/namespaces/${NAMESPACE}/events`;

const pair = (name: string, overrides: object = {}) => ({
  source: { bucket: `acme-${name}`, region: 'us-east-1', key: `alias/acme-${name}` },
  destination: {
    bucket: `acme-${name}-replica`,
    region: 'us-west-2',
    key: { alias: `alias/acme-${name}-replica` },
  },
  rules: [{ prefix: 'Tax/' }],
  ...overrides,
});
const pairWithDestinationRegion = (name: string, region: string) =>
  pair(name, { destination: { ...pair(name).destination, region } });

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

/** Starts a controller that reads from a cluster and writes status and events back. */
async function startClusterController(
  env: TestEnv,
  server: FakeApiServer,
  { isLeaderForBucket = () => true }: { isLeaderForBucket?: (bucket: string) => boolean } = {},
) {
  let cluster: Cluster | undefined;
  const { controller, clock, lines, log, idle } = testController(env, {
    isLeaderFor: ({ pairs }) => isLeaderForBucket(pairs[0]?.source.bucket ?? ''),
    onStatusUpdate: (after, before) => cluster?.report(after, before),
  });
  const stop = new AbortController();
  stops.push(async () => {
    stop.abort();
    await controller.drain();
    await cluster?.drain();
  });
  const api = server.admin;
  cluster = await watchCluster({
    api,
    clock,
    random: () => 0.5,
    log,
    instance: 'replikey-0',
    controller,
    isLeaderForBucket,
    signal: stop.signal,
  });
  return {
    cluster,
    controller,
    clock,
    lines,
    idle,
    /** Advances the clock in small steps until a check passes. */
    until: (check: () => Promise<void> | void) =>
      vi.waitFor(
        async () => {
          await clock.advance(200);
          await check();
        },
        { timeout: 20_000, interval: 20 },
      ),
    round: async () => {
      await clock.advance(RESYNC_INTERVAL_MS * 1.2);
      await idle();
    },
  };
}

const create = async (
  { admin }: FakeApiServer,
  name: string,
  spec: object,
  kind: ResourceKind = 'BucketReplication',
) => {
  const response = await admin.request('POST', collectionPathOf(kind, NAMESPACE), {
    apiVersion: 'replikey.dev/v1',
    kind,
    metadata: { name },
    spec,
  });
  expect(response.status).toBe(201);
};
const get = async ({ admin }: FakeApiServer, name: string, kind: ResourceKind = 'BucketReplication') =>
  (await admin.request('GET', `${collectionPathOf(kind, NAMESPACE)}/${name}`)).body;
const change = ({ admin }: FakeApiServer, name: string, spec: object) =>
  admin.request(
    'PATCH',
    `${collectionPathOf('BucketReplication', NAMESPACE)}/${name}`,
    { spec },
    { contentType: 'application/merge-patch+json' },
  );
const readyCondition = async (
  server: FakeApiServer,
  name: string,
  kind?: ResourceKind,
): Promise<ResourceCondition | undefined> =>
  (await get(server, name, kind)).status?.conditions?.find(({ type }: ResourceCondition) => type === 'Ready');
const patches = ({ log }: FakeApiServer) => log.filter((line) => /^PATCH .*\/status$/.test(line)).length;
const events = async ({ admin }: FakeApiServer): Promise<{ reason: string; note: string; type: string }[]> =>
  (await admin.request('GET', EVENTS)).body.items;
const writes = ({ sandbox }: TestEnv) => sandbox.log.entries.filter(({ write }) => write).length;

describe('cluster', () => {
  test('a new resource: converges it, writes status and event, and then writes nothing more', async () => {
    await using env = await testEnv();
    await using server = await startFakeApiServer();
    await create(server, 'tax', pair('tax'));
    const { until, round } = await startClusterController(env, server);
    await until(async () => expect(await readyCondition(server, 'tax')).toMatchObject({ status: 'True' }));
    expect((await get(server, 'tax')).status).toEqual({
      observedGeneration: 1,
      lastSuccess: expect.stringMatching(/^2026-01-01T00:\d\d:\d\dZ$/),
      conditions: [
        expect.objectContaining({ type: 'Ready', reason: 'Converged', observedGeneration: 1 }),
        expect.objectContaining({ type: 'Proven', status: 'True', reason: 'AllRequestsAllowed' }),
        expect.objectContaining({ type: 'Verified', status: 'Unknown', reason: 'NotEnabled' }),
        expect.objectContaining({ type: 'Replicating', status: 'Unknown', reason: 'NotEnabled' }),
        expect.objectContaining({ type: 'Drifted', status: 'False', reason: 'AsDeclared' }),
      ],
    });
    await until(async () =>
      expect(await events(server)).toEqual([
        expect.objectContaining({
          type: 'Normal',
          reason: 'Applied',
          note: expect.stringMatching(/^13 changes: .* and 8 more$/),
          regarding: expect.objectContaining({ kind: 'BucketReplication', name: 'tax' }),
          reportingController: 'replikey.dev/reconcile',
          eventTime: expect.stringMatching(/^2026-01-01T00:\d\d:\d\d\.\d{6}Z$/),
        }),
      ]),
    );

    const before = { patches: patches(server), writes: writes(env), events: (await events(server)).length };
    for (let count = 0; count < 5; count++) await round();
    expect({
      patches: patches(server),
      writes: writes(env),
      events: (await events(server)).length,
    }).toEqual(before);
    // lastSuccess is updated every hour.
    for (let count = 0; count < 10; count++) await round();
    await vi.waitFor(() => expect(patches(server)).toBe(before.patches + 1));
  });

  test('a changed resource: converges it, and the status names its generation', async () => {
    await using env = await testEnv();
    await using server = await startFakeApiServer();
    await create(server, 'tax', pair('tax'));
    const { until, controller } = await startClusterController(env, server);
    await until(async () => expect(await readyCondition(server, 'tax')).toMatchObject({ status: 'True' }));
    await change(server, 'tax', { rules: [{ prefix: 'Tax/', metrics: false }] });
    await until(async () => expect((await get(server, 'tax')).status.observedGeneration).toBe(2));
    expect(controller.status().pairs[0]?.changes[0]).toMatchObject({ cause: 'spec', result: 'applied' });
    // An equivalent spec is a new generation without changes in AWS.
    const before = writes(env);
    await change(server, 'tax', { rules: [{ prefix: 'Tax/', metrics: false, enabled: true }] });
    await until(async () => expect((await get(server, 'tax')).status.observedGeneration).toBe(3));
    expect(writes(env)).toBe(before);
  });

  test('an invalid resource: Ready is False with the problem, other resources continue, and a fix takes effect', async () => {
    await using env = await testEnv();
    await using server = await startFakeApiServer();
    await create(server, 'tax', pairWithDestinationRegion('tax', 'mars'));
    await create(server, 'books', pair('books'));
    const { until } = await startClusterController(env, server);
    await until(async () => expect(await readyCondition(server, 'books')).toMatchObject({ status: 'True' }));
    await until(async () =>
      expect(await readyCondition(server, 'tax')).toMatchObject({
        status: 'False',
        reason: 'Invalid',
        message: 'spec.destination.region: invalid Region "mars": use a Region name such as us-east-1',
      }),
    );
    expect((await get(server, 'tax')).status.conditions).toHaveLength(1);
    await until(async () =>
      expect(await events(server)).toContainEqual(
        expect.objectContaining({
          type: 'Warning',
          reason: 'Invalid',
          note: expect.stringContaining('Region'),
        }),
      ),
    );
    await change(server, 'tax', pair('tax'));
    await until(async () => expect(await readyCondition(server, 'tax')).toMatchObject({ status: 'True' }));
  });

  test('a resource becomes invalid: its last valid version stays in effect, and the status reports both', async () => {
    await using env = await testEnv();
    await using server = await startFakeApiServer();
    await create(server, 'tax', pair('tax'));
    const { until, round } = await startClusterController(env, server);
    await until(async () => expect(await readyCondition(server, 'tax')).toMatchObject({ status: 'True' }));
    await change(server, 'tax', pairWithDestinationRegion('tax', 'mars'));
    await until(async () =>
      expect(await readyCondition(server, 'tax')).toMatchObject({
        status: 'False',
        reason: 'Invalid',
        observedGeneration: 2,
        message: expect.stringMatching(/such as us-east-1\nthe last valid version stays in effect$/),
      }),
    );
    await env.client.send(
      { region: 'us-east-1' },
      new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' }),
    );
    await round();
    expect((await env.reconcileWith(TAX_SPEC, { dryRun: true })).plan.waves).toEqual([]);
    expect(await readyCondition(server, 'tax')).toMatchObject({ reason: 'Invalid' });
  });

  test('the last resource is deleted: AWS stays unchanged, and no problem is reported', async () => {
    await using env = await testEnv();
    await using server = await startFakeApiServer();
    await create(server, 'tax', pair('tax'));
    const { until, round, controller } = await startClusterController(env, server);
    await until(async () => expect(await readyCondition(server, 'tax')).toMatchObject({ status: 'True' }));
    const before = writes(env);
    await server.admin.request('DELETE', `${collectionPathOf('BucketReplication', NAMESPACE)}/tax`);
    await until(() => expect(controller.status().pairs).toEqual([]));
    await round();
    expect(writes(env)).toBe(before);
    expect(controller.status()).toMatchObject({ problems: [], isSynced: true });
    // replikey no longer reverts drift of the pair.
    await env.client.send(
      { region: 'us-east-1' },
      new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' }),
    );
    await round();
    expect(writes(env)).toBe(before + 1);
  });

  test('no resources yet: reports no problem, and handles the first resource', async () => {
    await using env = await testEnv();
    await using server = await startFakeApiServer();
    const { controller, lines, until } = await startClusterController(env, server);
    expect(controller.status()).toMatchObject({ isSynced: true, problems: [], pairs: [] });
    await create(server, 'tax', pair('tax'));
    await until(async () => expect(await readyCondition(server, 'tax')).toMatchObject({ status: 'True' }));
    expect(lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('Account, Defaults and Guardrails: take effect, and Ready is True with reason Accepted', async () => {
    await using env = await testEnv();
    await using server = await startFakeApiServer();
    await create(server, 'house', { destination: { region: 'us-west-2' } }, 'Defaults');
    await create(server, 'here', { regions: ['us-east-1', 'us-west-2'] }, 'Guardrails');
    await create(server, 'main', { id: '111122223333' }, 'Account');
    const { region: _, ...destination } = pair('tax').destination;
    const withAccount = (side: object) => ({ ...side, account: 'main' });
    await create(server, 'tax', {
      ...pair('tax'),
      defaults: 'house',
      source: withAccount(pair('tax').source),
      destination: withAccount(destination),
    });
    await create(server, 'far', pairWithDestinationRegion('far', 'eu-west-1'));
    const { until } = await startClusterController(env, server);
    await until(async () => {
      expect(await readyCondition(server, 'far')).toMatchObject({ reason: 'Invalid' });
      for (const [name, kind] of [
        ['house', 'Defaults'],
        ['here', 'Guardrails'],
        ['main', 'Account'],
      ] as const)
        expect(await readyCondition(server, name, kind), kind).toMatchObject({
          status: 'True',
          reason: 'Accepted',
        });
    });
    expect((await readyCondition(server, 'far'))?.message).toContain('eu-west-1');
  });

  test('Guardrails were never valid: manages no pair, because their restrictions are unknown', async () => {
    await using env = await testEnv();
    await using server = await startFakeApiServer();
    await create(server, 'tax', pair('tax'));
    await create(server, 'here', { regions: ['mars'] }, 'Guardrails');
    const { until, controller } = await startClusterController(env, server);
    await until(async () =>
      expect(await readyCondition(server, 'here', 'Guardrails')).toMatchObject({ reason: 'Invalid' }),
    );
    expect(controller.status().pairs).toEqual([]);
    expect(writes(env)).toBe(0);
  });

  test('one kind cannot be listed: manages no pair', async () => {
    await using env = await testEnv();
    await using server = await startFakeApiServer();
    await create(server, 'tax', pair('tax'));
    server.faults.push({ match: /GET .*guardrails/, times: 1e6, effect: 403 });
    void startClusterController(env, server);
    await vi.waitFor(() => expect(server.log.some((line) => line.includes('guardrails'))).toBe(true));
    await vi.waitFor(() => expect(server.watches).toBe(3));
    expect(env.sandbox.log.entries).toEqual([]);
  });
});

describe('cluster status', () => {
  test('a standby: writes no status and no event until it leads', async () => {
    await using env = await testEnv();
    await using server = await startFakeApiServer();
    await create(server, 'tax', pair('tax'));
    await create(server, 'wrong', pairWithDestinationRegion('wrong', 'mars'));
    let isLeader = false;
    const { until, idle, cluster, controller } = await startClusterController(env, server, {
      isLeaderForBucket: () => isLeader,
    });
    await idle();
    await until(() => expect(controller.status().isSynced).toBe(true));
    expect(patches(server)).toBe(0);
    expect(await events(server)).toEqual([]);
    isLeader = true;
    controller.resync();
    cluster.reportAll();
    await until(async () => expect(await readyCondition(server, 'tax')).toMatchObject({ status: 'True' }));
    await until(async () => expect(await readyCondition(server, 'wrong')).toMatchObject({ status: 'False' }));
  });

  test('another writer adds conditions or deletes the status: keeps foreign conditions and transition times, and restores the status', async () => {
    await using env = await testEnv();
    await using server = await startFakeApiServer();
    await create(server, 'tax', pair('tax'));
    const at = `${collectionPathOf('BucketReplication', NAMESPACE)}/tax/status`;
    const apply = (status: unknown) =>
      server.admin.request('PATCH', at, { status }, { contentType: 'application/apply-patch+yaml' });
    const since = '2020-02-02T02:02:02Z';
    await apply({
      conditions: [
        { type: 'Paid', status: 'True', reason: 'X', message: '', lastTransitionTime: since },
        { type: 'Ready', status: 'True', reason: 'Old', message: '', lastTransitionTime: since },
        { type: 'Verified', status: 'True', reason: 'Replicated', message: 'all', lastTransitionTime: since },
      ],
    });
    const { until } = await startClusterController(env, server);
    await until(async () =>
      expect(await readyCondition(server, 'tax')).toMatchObject({ reason: 'Converged' }),
    );
    const { conditions } = (await get(server, 'tax')).status;
    const conditionOf = (type: string) =>
      conditions.find((condition: ResourceCondition) => condition.type === type);
    expect(conditionOf('Paid')).toBeDefined();
    expect(conditionOf('Ready').lastTransitionTime).toBe(since);
    // A condition without a result of this process keeps the value of another process.
    expect(conditionOf('Verified')).toMatchObject({
      status: 'True',
      message: 'all',
      lastTransitionTime: since,
    });
    await apply(null);
    await until(async () =>
      expect(await readyCondition(server, 'tax')).toMatchObject({ reason: 'Converged' }),
    );
  });

  test('a write fails: retries it and logs one warning', async () => {
    await using env = await testEnv();
    await using server = await startFakeApiServer();
    await create(server, 'tax', pair('tax'));
    server.faults.push({ match: /PATCH .*status/, times: 3, effect: 500 });
    server.faults.push({ match: /PATCH .*status/, times: 1, effect: 'lost' });
    const { until, lines } = await startClusterController(env, server);
    await until(async () => expect(await readyCondition(server, 'tax')).toMatchObject({ status: 'True' }));
    expect(lines.filter(({ msg }) => msg.includes('cannot write the status')).length).toBe(1);
  });

  test('the resource is deleted and re-created during a write: does not write the old status to it', async () => {
    await using env = await testEnv();
    await using server = await startFakeApiServer();
    await create(server, 'tax', pair('tax'));
    server.faults.push({ match: /PATCH .*status/, times: 1, effect: 'held' });
    const { until } = await startClusterController(env, server);
    await until(() => expect(server.faults[0]?.times).toBe(0));
    await server.admin.request('DELETE', `${collectionPathOf('BucketReplication', NAMESPACE)}/tax`);
    await create(server, 'tax', pairWithDestinationRegion('tax', 'mars'));
    server.release();
    await vi.waitFor(() => expect(server.holding).toBe(0));
    expect((await get(server, 'tax')).status).toBeUndefined();
    await until(async () => expect(await readyCondition(server, 'tax')).toMatchObject({ reason: 'Invalid' }));
  });

  test('drift: records a Drifted event', async () => {
    await using env = await testEnv();
    await using server = await startFakeApiServer();
    await create(server, 'tax', pair('tax'));
    const { until, round } = await startClusterController(env, server);
    await until(async () => expect(await readyCondition(server, 'tax')).toMatchObject({ status: 'True' }));
    await env.client.send(
      { region: 'us-east-1' },
      new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' }),
    );
    await round();
    await until(async () =>
      expect(await events(server)).toContainEqual(
        expect.objectContaining({
          type: 'Warning',
          reason: 'Drifted',
          note: expect.stringContaining('changed outside replikey'),
        }),
      ),
    );
  });
});
