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
import { type StandIn, startStandIn } from './stand-in.ts';

const EVENTS = `/apis/events.k8s.io/v1/namespaces/${NAMESPACE}/events`;

const pair = (name: string, more: object = {}) => ({
  source: { bucket: `acme-${name}`, region: 'us-east-1', key: `alias/acme-${name}` },
  destination: {
    bucket: `acme-${name}-replica`,
    region: 'us-west-2',
    key: { alias: `alias/acme-${name}-replica` },
  },
  rules: [{ prefix: 'Tax/' }],
  ...more,
});
const elsewhere = (name: string, region: string) =>
  pair(name, { destination: { ...pair(name).destination, region } });

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

/** A controller that reads from a cluster and tells it how pairs fare. */
async function following(env: TestEnv, server: StandIn, more: { leads?: (bucket: string) => boolean } = {}) {
  const leads = more.leads ?? (() => true);
  let cluster: Cluster | undefined;
  const { controller, clock, lines, log, idle } = testController(env, {
    isLeaderFor: ({ pairs }) => leads(pairs[0]?.source.bucket ?? ''),
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
    isLeaderForBucket: leads,
    signal: stop.signal,
  });
  return {
    cluster,
    controller,
    clock,
    lines,
    idle,
    /** Until something holds, while time goes on by little. */
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
  { admin }: StandIn,
  name: string,
  spec: object,
  kind: ResourceKind = 'BucketReplication',
) => {
  const answer = await admin.request('POST', collectionPathOf(kind, NAMESPACE), {
    apiVersion: 'replikey.dev/v1',
    kind,
    metadata: { name },
    spec,
  });
  expect(answer.status).toBe(201);
};
const get = async ({ admin }: StandIn, name: string, kind: ResourceKind = 'BucketReplication') =>
  (await admin.request('GET', `${collectionPathOf(kind, NAMESPACE)}/${name}`)).body;
const change = ({ admin }: StandIn, name: string, spec: object) =>
  admin.request(
    'PATCH',
    `${collectionPathOf('BucketReplication', NAMESPACE)}/${name}`,
    { spec },
    'application/merge-patch+json',
  );
const ready = async (
  server: StandIn,
  name: string,
  kind?: ResourceKind,
): Promise<ResourceCondition | undefined> =>
  (await get(server, name, kind)).status?.conditions?.find(({ type }: ResourceCondition) => type === 'Ready');
const patches = ({ log }: StandIn) => log.filter((line) => /^PATCH .*\/status$/.test(line)).length;
const events = async ({ admin }: StandIn): Promise<{ reason: string; note: string; type: string }[]> =>
  (await admin.request('GET', EVENTS)).body.items;
const writes = ({ sandbox }: TestEnv) => sandbox.log.entries.filter(({ write }) => write).length;

describe('what is declared in a cluster', () => {
  test('is brought about; its status says so, with an event; and then nothing is written any more', async () => {
    await using env = await testEnv();
    await using server = await startStandIn();
    await create(server, 'tax', pair('tax'));
    const { until, round } = await following(env, server);
    await until(async () => expect(await ready(server, 'tax')).toMatchObject({ status: 'True' }));
    expect((await get(server, 'tax')).status).toEqual({
      observedGeneration: 1,
      lastSuccess: expect.stringMatching(/^2026-01-01T00:\d\d:\d\dZ$/),
      conditions: [
        expect.objectContaining({ type: 'Ready', reason: 'Converged', observedGeneration: 1 }),
        expect.objectContaining({ type: 'Proven', status: 'True', reason: 'AllRequestsAllowed' }),
        expect.objectContaining({ type: 'Verified', status: 'Unknown', reason: 'Pending' }),
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
    // That all is well still is told every hour.
    for (let count = 0; count < 10; count++) await round();
    await vi.waitFor(() => expect(patches(server)).toBe(before.patches + 1));
  });

  test('is followed as it changes, and the status is about the generation that it names', async () => {
    await using env = await testEnv();
    await using server = await startStandIn();
    await create(server, 'tax', pair('tax'));
    const { until, controller } = await following(env, server);
    await until(async () => expect(await ready(server, 'tax')).toMatchObject({ status: 'True' }));
    await change(server, 'tax', { rules: [{ prefix: 'Tax/', metrics: false }] });
    await until(async () => expect((await get(server, 'tax')).status.observedGeneration).toBe(2));
    expect(controller.status().pairs[0]?.changes[0]).toMatchObject({ cause: 'spec', result: 'applied' });
    // What means the same in other words is another generation, and nothing to do.
    const before = writes(env);
    await change(server, 'tax', { rules: [{ prefix: 'Tax/', metrics: false, enabled: true }] });
    await until(async () => expect((await get(server, 'tax')).status.observedGeneration).toBe(3));
    expect(writes(env)).toBe(before);
  });

  test('what is not right is not Ready, in the words of a file, while the others go on; mended, it counts', async () => {
    await using env = await testEnv();
    await using server = await startStandIn();
    await create(server, 'tax', elsewhere('tax', 'mars'));
    await create(server, 'books', pair('books'));
    const { until } = await following(env, server);
    await until(async () => expect(await ready(server, 'books')).toMatchObject({ status: 'True' }));
    await until(async () =>
      expect(await ready(server, 'tax')).toMatchObject({
        status: 'False',
        reason: 'Invalid',
        message: 'spec.destination.region: "mars" will not do: a Region looks like us-east-1',
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
    await until(async () => expect(await ready(server, 'tax')).toMatchObject({ status: 'True' }));
  });

  test('what becomes wrong counts as it last was right, and says both', async () => {
    await using env = await testEnv();
    await using server = await startStandIn();
    await create(server, 'tax', pair('tax'));
    const { until, round } = await following(env, server);
    await until(async () => expect(await ready(server, 'tax')).toMatchObject({ status: 'True' }));
    await change(server, 'tax', elsewhere('tax', 'mars'));
    await until(async () =>
      expect(await ready(server, 'tax')).toMatchObject({
        status: 'False',
        reason: 'Invalid',
        observedGeneration: 2,
        message: expect.stringMatching(/looks like us-east-1\nthe last valid version stays in effect$/),
      }),
    );
    await env.door.send({ region: 'us-east-1' }, new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' }));
    await round();
    expect((await env.reconcileWith(TAX_SPEC, { dryRun: true })).plan.waves).toEqual([]);
    expect(await ready(server, 'tax')).toMatchObject({ reason: 'Invalid' });
  });

  test('what is deleted is left in AWS as it is; that nothing is declared any more is no mistake', async () => {
    await using env = await testEnv();
    await using server = await startStandIn();
    await create(server, 'tax', pair('tax'));
    const { until, round, controller } = await following(env, server);
    await until(async () => expect(await ready(server, 'tax')).toMatchObject({ status: 'True' }));
    const before = writes(env);
    await server.admin.request('DELETE', `${collectionPathOf('BucketReplication', NAMESPACE)}/tax`);
    await until(() => expect(controller.status().pairs).toEqual([]));
    await round();
    expect(writes(env)).toBe(before);
    expect(controller.status()).toMatchObject({ problems: [], isSynced: true });
    // And then nobody heals it.
    await env.door.send({ region: 'us-east-1' }, new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' }));
    await round();
    expect(writes(env)).toBe(before + 1);
  });

  test('a cluster in which nothing is declared yet is no mistake, either', async () => {
    await using env = await testEnv();
    await using server = await startStandIn();
    const { controller, lines, until } = await following(env, server);
    expect(controller.status()).toMatchObject({ isSynced: true, problems: [], pairs: [] });
    await create(server, 'tax', pair('tax'));
    await until(async () => expect(await ready(server, 'tax')).toMatchObject({ status: 'True' }));
    expect(lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('Accounts, Defaults and Guardrails are resources, too, and say whether they count', async () => {
    await using env = await testEnv();
    await using server = await startStandIn();
    await create(server, 'house', { destination: { region: 'us-west-2' } }, 'Defaults');
    await create(server, 'here', { regions: ['us-east-1', 'us-west-2'] }, 'Guardrails');
    await create(server, 'main', { id: '111122223333' }, 'Account');
    const { region: _, ...destination } = pair('tax').destination;
    const named = (side: object) => ({ ...side, account: 'main' });
    await create(server, 'tax', {
      ...pair('tax'),
      defaults: 'house',
      source: named(pair('tax').source),
      destination: named(destination),
    });
    await create(server, 'far', elsewhere('far', 'eu-west-1'));
    const { until } = await following(env, server);
    await until(async () => {
      expect(await ready(server, 'far')).toMatchObject({ reason: 'Invalid' });
      for (const [name, kind] of [
        ['house', 'Defaults'],
        ['here', 'Guardrails'],
        ['main', 'Account'],
      ] as const)
        expect(await ready(server, name, kind), kind).toMatchObject({ status: 'True', reason: 'Accepted' });
    });
    expect((await ready(server, 'far'))?.message).toContain('eu-west-1');
  });

  test('where Guardrails were never right nothing counts: what they would forbid is not known', async () => {
    await using env = await testEnv();
    await using server = await startStandIn();
    await create(server, 'tax', pair('tax'));
    await create(server, 'here', { regions: ['mars'] }, 'Guardrails');
    const { until, controller } = await following(env, server);
    await until(async () =>
      expect(await ready(server, 'here', 'Guardrails')).toMatchObject({ reason: 'Invalid' }),
    );
    expect(controller.status().pairs).toEqual([]);
    expect(writes(env)).toBe(0);
  });

  test('what is declared is known only when all kinds were listed', async () => {
    await using env = await testEnv();
    await using server = await startStandIn();
    await create(server, 'tax', pair('tax'));
    server.faults.push({ match: /GET .*guardrails/, times: 1e6, what: 403 });
    void following(env, server);
    await vi.waitFor(() => expect(server.log.some((line) => line.includes('guardrails'))).toBe(true));
    await vi.waitFor(() => expect(server.watches).toBe(3));
    expect(env.sandbox.log.entries).toEqual([]);
  });
});

describe('the status', () => {
  test('is written by who leads alone', async () => {
    await using env = await testEnv();
    await using server = await startStandIn();
    await create(server, 'tax', pair('tax'));
    await create(server, 'wrong', elsewhere('wrong', 'mars'));
    let leads = false;
    const { until, idle, cluster, controller } = await following(env, server, { leads: () => leads });
    await idle();
    await until(() => expect(controller.status().isSynced).toBe(true));
    expect(patches(server)).toBe(0);
    expect(await events(server)).toEqual([]);
    leads = true;
    controller.resync();
    cluster.reportAll();
    await until(async () => expect(await ready(server, 'tax')).toMatchObject({ status: 'True' }));
    await until(async () => expect(await ready(server, 'wrong')).toMatchObject({ status: 'False' }));
  });

  test('keeps conditions of others, is put back where somebody took it away, and says since when, whoever writes it', async () => {
    await using env = await testEnv();
    await using server = await startStandIn();
    await create(server, 'tax', pair('tax'));
    const at = `${collectionPathOf('BucketReplication', NAMESPACE)}/tax/status`;
    const apply = (status: unknown) =>
      server.admin.request('PATCH', at, { status }, 'application/apply-patch+yaml');
    const since = '2020-02-02T02:02:02Z';
    await apply({
      conditions: [
        { type: 'Paid', status: 'True', reason: 'X', message: '', lastTransitionTime: since },
        { type: 'Ready', status: 'True', reason: 'Old', message: '', lastTransitionTime: since },
        { type: 'Verified', status: 'True', reason: 'Replicated', message: 'all', lastTransitionTime: since },
      ],
    });
    const { until } = await following(env, server);
    await until(async () => expect(await ready(server, 'tax')).toMatchObject({ reason: 'Converged' }));
    const { conditions } = (await get(server, 'tax')).status;
    const of = (type: string) => conditions.find((one: ResourceCondition) => one.type === type);
    expect(of('Paid')).toBeDefined();
    expect(of('Ready').lastTransitionTime).toBe(since);
    // What this process did not look at is as another left it.
    expect(of('Verified')).toMatchObject({ status: 'True', message: 'all', lastTransitionTime: since });
    await apply(null);
    await until(async () => expect(await ready(server, 'tax')).toMatchObject({ reason: 'Converged' }));
  });

  test('is tried again where it could not be written', async () => {
    await using env = await testEnv();
    await using server = await startStandIn();
    await create(server, 'tax', pair('tax'));
    server.faults.push({ match: /PATCH .*status/, times: 3, what: 500 });
    server.faults.push({ match: /PATCH .*status/, times: 1, what: 'lost' });
    const { until, lines } = await following(env, server);
    await until(async () => expect(await ready(server, 'tax')).toMatchObject({ status: 'True' }));
    expect(lines.filter(({ msg }) => msg.includes('status cannot be written')).length).toBe(1);
  });

  test('is never written to another resource of the same name', async () => {
    await using env = await testEnv();
    await using server = await startStandIn();
    await create(server, 'tax', pair('tax'));
    server.faults.push({ match: /PATCH .*status/, times: 1, what: 'held' });
    const { until } = await following(env, server);
    await until(() => expect(server.faults[0]?.times).toBe(0));
    await server.admin.request('DELETE', `${collectionPathOf('BucketReplication', NAMESPACE)}/tax`);
    await create(server, 'tax', elsewhere('tax', 'mars'));
    server.release();
    await vi.waitFor(() => expect(server.holding).toBe(0));
    expect((await get(server, 'tax')).status).toBeUndefined();
    await until(async () => expect(await ready(server, 'tax')).toMatchObject({ reason: 'Invalid' }));
  });

  test('drift is an event, too', async () => {
    await using env = await testEnv();
    await using server = await startStandIn();
    await create(server, 'tax', pair('tax'));
    const { until, round } = await following(env, server);
    await until(async () => expect(await ready(server, 'tax')).toMatchObject({ status: 'True' }));
    await env.door.send({ region: 'us-east-1' }, new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' }));
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
