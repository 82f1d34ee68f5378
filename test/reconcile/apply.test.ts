import { CreateAliasCommand, CreateKeyCommand } from '@aws-sdk/client-kms';
import { describe, expect, test } from 'vitest';
import type { AwsClient } from '../../src/aws/client.ts';
import type { Kind } from '../../src/core/kind.ts';
import { joinDrafts, planChanges } from '../../src/core/plan.ts';
import { ref } from '../../src/core/ref.ts';
import type { Id, Observation, Resource } from '../../src/core/resource.ts';
import { type ApplyEvent, apply } from '../../src/reconcile/apply.ts';

interface Thing {
  value: unknown;
}

/** A kind whose documents are in memory, with writes that a test can replace. */
function fakeKind(behaviour: { write?: (name: string, spec: Thing) => Thing | Promise<Thing> } = {}) {
  const documents = new Map<string, Thing>();
  const written: string[] = [];
  const kind: Kind<Thing, Thing> = {
    name: 'x.thing',
    scope: { type: 'bucket', stage: 'permissions', ownerId: (id) => id, arn: () => '', policyArns: () => [] },
    permissions: { read: [], write: [] },
    desired: () => [],
    fetch: async (_, __, name) => documents.get(`x.thing/${name}`),
    parse: (doc, { id }) => ({ spec: doc, attrs: { arn: `arn:${id}` } }),
    normalize: (spec) => spec,
    render: ({ spec }) => spec,
    operations: () => [{ call: 'x:Write' }],
    async send(_, { resource: { id, spec } }) {
      written.push(id);
      documents.set(id, behaviour.write ? await behaviour.write(id, spec) : spec);
    },
    response: {},
    transientErrors: [{ code: 'NotYet', waitsFor: 'the new resource' }],
    auditEvents: {
      source: 'x.amazonaws.com',
      eventNamesByPath: {},
      namesIn: () => [],
      normalizeName: (name: string) => name,
    },
  };
  return { documents, written, kind, kinds: new Map([['x.thing', kind as unknown as Kind]]) };
}

const aThing = (name: string, value: unknown, after: string[] = []): Resource => ({
  id: `x.thing/${name}`,
  kind: 'x.thing',
  name,
  location: { region: 'us-east-1' },
  spec: { value },
  after: after.map((dependency): Id => `x.thing/${dependency}`),
  declaredBy: ['tax'],
  position: { file: 'tax.yaml', line: 1, column: 1 },
});

async function applied(
  { kinds, documents }: Pick<ReturnType<typeof fakeKind>, 'kinds' | 'documents'>,
  resources: Resource[],
  options: {
    signal?: AbortSignal;
    onEvent?: (event: ApplyEvent) => void;
    propagationTimeoutMs?: number;
    aws?: AwsClient;
  } = {},
) {
  const actual = new Map(
    resources.flatMap(({ id }) => {
      const spec = documents.get(id);
      const observation: Observation | undefined = spec && { state: 'present', current: { spec, attrs: {} } };
      return observation ? [[id, observation] as const] : [];
    }),
  );
  const results = await apply(joinDrafts([planChanges(resources, actual, kinds)]), {
    resources,
    actual,
    kinds,
    aws: { now: () => 0 } as AwsClient,
    propagationTimeoutMs: options.propagationTimeoutMs ?? 300,
    ...options,
  });
  return Object.fromEntries(
    results.map(({ id, result, why }) => [id.slice('x.thing/'.length), why ?? result]),
  );
}

const failure = (name: string) => Object.assign(new Error('it does not work'), { name });

describe('apply', () => {
  test('runs each step after the steps that it needs, with their attributes', async () => {
    const fake = fakeKind();
    const resources = [aThing('role', 1, ['key']), aThing('policy', ref('x.thing/role')), aThing('key', 2)];
    expect(await applied(fake, resources)).toEqual({ key: 'applied', role: 'applied', policy: 'applied' });
    expect(fake.written).toEqual(['x.thing/key', 'x.thing/role', 'x.thing/policy']);
    expect(fake.documents.get('x.thing/policy')).toEqual({ value: 'arn:x.thing/role' });
  });

  test('skips the steps that depend on a failed step, with the reason, and runs all others', async () => {
    const fake = fakeKind({
      write(id, spec) {
        if (id === 'x.thing/a') throw failure('AccessDenied');
        return spec;
      },
    });
    const resources = [aThing('a', 1), aThing('b', 1, ['a']), aThing('c', 1, ['b']), aThing('d', 1)];
    expect(await applied(fake, resources)).toEqual({
      a: expect.stringMatching(/AccessDenied: it does not work/),
      b: 'x.thing/a was not applied',
      c: expect.stringMatching(/^x\.thing\/[ab] was not applied$/),
      d: 'applied',
    });
    expect(fake.written).toEqual(['x.thing/a', 'x.thing/d']);
  });

  test('reports a setting that the endpoint dropped, without another write', async () => {
    const fake = fakeKind({ write: () => ({ value: 'something else' }) });
    expect(await applied(fake, [aThing('a', 'desired')])).toEqual({
      a: 'AWS accepted the write, but these settings do not have the written values: value; either the endpoint drops them, or another caller changes them',
    });
    expect(fake.written).toEqual(['x.thing/a']);
  });

  test('deletes an orphan, waits until AWS no longer shows it, and fails if it remains', async () => {
    for (const staleReads of [2, 1_000]) {
      const fake = fakeKind();
      fake.documents.set('x.thing/a', { value: 1 });
      let reads = staleReads;
      const removableKind: Kind<Thing, Thing> = {
        ...fake.kind,
        render: () => undefined,
        remove: async (_, { id }) => void fake.written.push(`deleted ${id}`),
        fetch: async (...request) => (reads-- > 0 ? fake.kind.fetch(...request) : undefined),
      };
      const kinds = new Map([['x.thing', removableKind as unknown as Kind]]);
      const orphan = { ...aThing('a', 1), orphaned: true as const };
      expect(
        await applied({ ...fake, kinds }, [orphan], { propagationTimeoutMs: staleReads > 10 ? 300 : 5_000 }),
      ).toEqual({
        a: staleReads > 10 ? 'AWS accepted the deletion, but after 0.3 s x.thing/a still exists' : 'applied',
      });
      expect(fake.written).toEqual(['deleted x.thing/a']);
    }
  });

  test('retries a transient error of a write, and reports the reason', async () => {
    let refusals = 2;
    const fake = fakeKind({
      write(_, spec) {
        if (refusals-- > 0) throw failure('NotYet');
        return spec;
      },
    });
    const events: string[] = [];
    const onEvent = (event: ApplyEvent) =>
      events.push(event.type === 'waiting' ? `waiting for ${event.waitsFor}` : event.type);
    expect(await applied(fake, [aThing('a', 1)], { onEvent, propagationTimeoutMs: 5_000 })).toEqual({
      a: 'applied',
    });
    expect(events).toEqual(['waiting for the new resource', 'applied']);
  });

  test('retries only the failed call, and not the CreateKey before it', async () => {
    const sentCommands: string[] = [];
    let refusals = 2;
    const client = {
      now: () => 0,
      send: async (_: unknown, command: object) => {
        sentCommands.push(command.constructor.name);
        if (command instanceof CreateAliasCommand && refusals-- > 0) throw failure('NotYet');
      },
    } as unknown as AwsClient;
    const fake = fakeKind();
    fake.kind.send = async (aws, { resource: { location, id, spec } }) => {
      await aws.send(location, new CreateKeyCommand({}));
      await aws.send(location, new CreateAliasCommand({ AliasName: 'alias/a', TargetKeyId: '1' }));
      fake.documents.set(id, spec);
    };
    expect(await applied(fake, [aThing('a', 1)], { aws: client, propagationTimeoutMs: 5_000 })).toEqual({
      a: 'applied',
    });
    expect(sentCommands).toEqual(['CreateKeyCommand', ...Array(3).fill('CreateAliasCommand')]);
  });

  test('does not repeat the whole step after its first write', async () => {
    let keys = 0;
    const client = { now: () => 0, send: async () => void keys++ } as unknown as AwsClient;
    const fake = fakeKind();
    fake.kind.send = async (aws, { resource: { location } }) => {
      await aws.send(location, new CreateKeyCommand({}));
      throw failure('NotYet');
    };
    expect(await applied(fake, [aThing('a', 1)], { aws: client })).toEqual({
      a: expect.stringMatching(/NotYet/),
    });
    expect(keys).toBe(1);
  });

  test('fails after the timeout, with the reason of the wait', async () => {
    const fake = fakeKind({
      write() {
        throw failure('NotYet');
      },
    });
    expect(await applied(fake, [aThing('a', 1)], { propagationTimeoutMs: 250 })).toEqual({
      a: expect.stringMatching(/NotYet: it does not work.* \(waited for the new resource\)$/),
    });
  });

  test('reads again while a read is stale', async () => {
    const fake = fakeKind();
    fake.documents.set('x.thing/a', { value: 'old' });
    const { fetch } = fake.kind;
    let stale = 2;
    fake.kind.fetch = async (...request) => (stale-- > 0 ? { value: 'old' } : fetch(...request));
    expect(await applied(fake, [aThing('a', 'new')], { propagationTimeoutMs: 5_000 })).toEqual({
      a: 'applied',
    });
    expect(fake.written).toEqual(['x.thing/a']);
  });

  test('retries a transient error of the read-back, and reports the reason', async () => {
    const fake = fakeKind();
    const { fetch } = fake.kind;
    let refusals = 2;
    fake.kind.fetch = async (...request) => {
      if (refusals-- > 0) throw failure('NotYet');
      return fetch(...request);
    };
    const events: string[] = [];
    const onEvent = (event: ApplyEvent) =>
      events.push(event.type === 'waiting' ? `waiting for ${event.waitsFor}` : event.type);
    expect(await applied(fake, [aThing('a', 1)], { onEvent, propagationTimeoutMs: 5_000 })).toEqual({
      a: 'applied',
    });
    expect(events).toEqual(['waiting for the new resource', 'applied']);
    expect(fake.written).toEqual(['x.thing/a']);
  });

  test('fails when the read-back fails with an error that is not transient', async () => {
    const fake = fakeKind();
    fake.kind.fetch = async () => {
      throw failure('AccessDenied');
    };
    expect(await applied(fake, [aThing('a', 1)])).toEqual({
      a: expect.stringMatching(/cannot be read: .*AccessDenied: it does not work/),
    });
  });

  test('starts no step after an interruption, and finishes those in flight', async () => {
    const controller = new AbortController();
    const fake = fakeKind({
      write(_, spec) {
        controller.abort();
        return spec;
      },
    });
    const resources = [aThing('a', 1), aThing('b', 1, ['a'])];
    expect(await applied(fake, resources, { signal: controller.signal })).toEqual({
      a: 'applied',
      b: 'interrupted before it started',
    });
  });

  test('sends one write per bucket at a time, because S3 refuses concurrent ones', async () => {
    const maximum = await maxConcurrentWrites([
      aThing('a', 1),
      { ...aThing('a', 1), id: 'y.thing/a' },
      { ...aThing('a', 1), id: 'z.thing/a' },
    ]);
    expect(maximum).toBe(1);
  });

  test('runs independent steps concurrently', async () => {
    expect(await maxConcurrentWrites([aThing('a', 1), aThing('b', 1), aThing('c', 1)])).toBe(3);
  });
});

async function maxConcurrentWrites(resources: Resource[]): Promise<number> {
  let open = 0;
  let maximum = 0;
  const fake = fakeKind({
    async write(_, spec) {
      open += 1;
      maximum = Math.max(maximum, open);
      await new Promise((resolve) => setImmediate(resolve));
      open -= 1;
      return spec;
    },
  });
  await applied(fake, resources);
  return maximum;
}
