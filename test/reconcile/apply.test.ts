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

/** An AWS of things in memory, of which a test says how it misbehaves. */
function anAws(behaviour: { write?: (name: string, spec: Thing) => Thing | Promise<Thing> } = {}) {
  const there = new Map<string, Thing>();
  const written: string[] = [];
  const kind: Kind<Thing, Thing> = {
    name: 'x.thing',
    scope: { type: 'bucket', stage: 'permissions', ownerId: (id) => id, arn: () => '', policyArns: () => [] },
    permissions: { read: [], write: [] },
    desired: () => [],
    fetch: async (_, __, name) => there.get(`x.thing/${name}`),
    parse: (doc, { id }) => ({ spec: doc, attrs: { arn: `arn:${id}` } }),
    normalize: (spec) => spec,
    render: ({ spec }) => spec,
    operations: () => [{ call: 'x:Write' }],
    async send(_, { resource: { id, spec } }) {
      written.push(id);
      there.set(id, behaviour.write ? await behaviour.write(id, spec) : spec);
    },
    response: {},
    transientErrors: [{ code: 'NotYet', waitsFor: 'the world to catch up' }],
    auditEvents: { eventNamesByPath: {}, matches: () => false },
  };
  return { there, written, kind, kinds: new Map([['x.thing', kind as unknown as Kind]]) };
}

const aThing = (name: string, value: unknown, after: string[] = []): Resource => ({
  id: `x.thing/${name}`,
  kind: 'x.thing',
  name,
  location: { region: 'us-east-1' },
  spec: { value },
  after: after.map((one): Id => `x.thing/${one}`),
  declaredBy: ['tax'],
  position: { file: 'tax.yaml', line: 1, column: 1 },
});

async function applied(
  { kinds, there }: Pick<ReturnType<typeof anAws>, 'kinds' | 'there'>,
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
      const spec = there.get(id);
      const observation: Observation | undefined = spec && { state: 'present', current: { spec, attrs: {} } };
      return observation ? [[id, observation] as const] : [];
    }),
  );
  const results = await apply(joinDrafts([planChanges(resources, actual, kinds)]), {
    resources,
    actual,
    kinds,
    aws: {} as AwsClient,
    propagationTimeoutMs: options.propagationTimeoutMs ?? 300,
    ...options,
  });
  return Object.fromEntries(
    results.map(({ id, result, why }) => [id.slice('x.thing/'.length), why ?? result]),
  );
}

const failure = (name: string) => Object.assign(new Error('it does not work'), { name });

describe('applying a plan', () => {
  test('carries out each step after those that it needs, with the values that they brought', async () => {
    const aws = anAws();
    const resources = [aThing('role', 1, ['key']), aThing('policy', ref('x.thing/role')), aThing('key', 2)];
    expect(await applied(aws, resources)).toEqual({ key: 'applied', role: 'applied', policy: 'applied' });
    expect(aws.written).toEqual(['x.thing/key', 'x.thing/role', 'x.thing/policy']);
    expect(aws.there.get('x.thing/policy')).toEqual({ value: 'arn:x.thing/role' });
  });

  test('goes on with what does not depend on a failure, and skips what does, with the reason', async () => {
    const aws = anAws({
      write(id, spec) {
        if (id === 'x.thing/a') throw failure('AccessDenied');
        return spec;
      },
    });
    const resources = [aThing('a', 1), aThing('b', 1, ['a']), aThing('c', 1, ['b']), aThing('d', 1)];
    expect(await applied(aws, resources)).toEqual({
      a: expect.stringMatching(/AccessDenied: it does not work/),
      b: 'x.thing/a was not applied',
      c: expect.stringMatching(/^x\.thing\/[ab] was not applied$/),
      d: 'applied',
    });
    expect(aws.written).toEqual(['x.thing/a', 'x.thing/d']);
  });

  test('says so when a setting did not take, and does not try for ever', async () => {
    const aws = anAws({ write: () => ({ value: 'something else' }) });
    expect(await applied(aws, [aThing('a', 'wanted')])).toEqual({
      a: 'AWS accepted the write, but these settings do not have the written values: value; either the endpoint drops them, or another caller changes them',
    });
    expect(aws.written).toEqual(['x.thing/a']);
  });

  test('takes away what is gone, waits until AWS shows it no more, and says so where it stays', async () => {
    for (const shown of [2, 1_000]) {
      const aws = anAws();
      aws.there.set('x.thing/a', { value: 1 });
      let reads = shown;
      const removing: Kind<Thing, Thing> = {
        ...aws.kind,
        render: () => undefined,
        remove: async (_, { id }) => void aws.written.push(`no ${id}`),
        fetch: async (...request) => (reads-- > 0 ? aws.kind.fetch(...request) : undefined),
      };
      const kinds = new Map([['x.thing', removing as unknown as Kind]]);
      const gone = { ...aThing('a', 1), orphaned: true as const };
      expect(
        await applied({ ...aws, kinds }, [gone], { propagationTimeoutMs: shown > 10 ? 300 : 5_000 }),
      ).toEqual({
        a: shown > 10 ? 'AWS accepted the deletion, but after 0.3 s x.thing/a still exists' : 'applied',
      });
      expect(aws.written).toEqual(['no x.thing/a']);
    }
  });

  test('waits for a refusal that passes, says for what, and then goes on', async () => {
    let refusals = 2;
    const aws = anAws({
      write(_, spec) {
        if (refusals-- > 0) throw failure('NotYet');
        return spec;
      },
    });
    const events: string[] = [];
    const onEvent = (event: ApplyEvent) =>
      events.push(event.type === 'waiting' ? `waiting for ${event.waitsFor}` : event.type);
    expect(await applied(aws, [aThing('a', 1)], { onEvent, propagationTimeoutMs: 5_000 })).toEqual({
      a: 'applied',
    });
    expect(events).toEqual(['waiting for the world to catch up', 'applied']);
  });

  test('sends the call again that was refused, and none before it: a second key would be paid for', async () => {
    const sent: string[] = [];
    let refusals = 2;
    const door = {
      send: async (_: unknown, command: object) => {
        sent.push(command.constructor.name);
        if (command instanceof CreateAliasCommand && refusals-- > 0) throw failure('NotYet');
      },
    } as unknown as AwsClient;
    const aws = anAws();
    aws.kind.send = async (named, { resource: { location: at, id, spec } }) => {
      await named.send(at, new CreateKeyCommand({}));
      await named.send(at, new CreateAliasCommand({ AliasName: 'alias/a', TargetKeyId: '1' }));
      aws.there.set(id, spec);
    };
    expect(await applied(aws, [aThing('a', 1)], { aws: door, propagationTimeoutMs: 5_000 })).toEqual({
      a: 'applied',
    });
    expect(sent).toEqual(['CreateKeyCommand', ...Array(3).fill('CreateAliasCommand')]);
  });

  test('does not start over once something was written', async () => {
    let keys = 0;
    const door = { send: async () => void keys++ } as unknown as AwsClient;
    const aws = anAws();
    aws.kind.send = async (named, { resource: { location: at } }) => {
      await named.send(at, new CreateKeyCommand({}));
      throw failure('NotYet');
    };
    expect(await applied(aws, [aThing('a', 1)], { aws: door })).toEqual({
      a: expect.stringMatching(/NotYet/),
    });
    expect(keys).toBe(1);
  });

  test('gives up waiting in the end, and says what for', async () => {
    const aws = anAws({
      write() {
        throw failure('NotYet');
      },
    });
    expect(await applied(aws, [aThing('a', 1)], { propagationTimeoutMs: 250 })).toEqual({
      a: expect.stringMatching(/NotYet: it does not work.* \(waited for the world to catch up\)$/),
    });
  });

  test('waits while a read is stale: it shows what was there before', async () => {
    const aws = anAws();
    aws.there.set('x.thing/a', { value: 'old' });
    const { fetch } = aws.kind;
    let stale = 2;
    aws.kind.fetch = async (...request) => (stale-- > 0 ? { value: 'old' } : fetch(...request));
    expect(await applied(aws, [aThing('a', 'new')], { propagationTimeoutMs: 5_000 })).toEqual({
      a: 'applied',
    });
    expect(aws.written).toEqual(['x.thing/a']);
  });

  test('waits while what it wrote may not be read yet, and says for what', async () => {
    const aws = anAws();
    const { fetch } = aws.kind;
    let refusals = 2;
    aws.kind.fetch = async (...request) => {
      if (refusals-- > 0) throw failure('NotYet');
      return fetch(...request);
    };
    const events: string[] = [];
    const onEvent = (event: ApplyEvent) =>
      events.push(event.type === 'waiting' ? `waiting for ${event.waitsFor}` : event.type);
    expect(await applied(aws, [aThing('a', 1)], { onEvent, propagationTimeoutMs: 5_000 })).toEqual({
      a: 'applied',
    });
    expect(events).toEqual(['waiting for the world to catch up', 'applied']);
    expect(aws.written).toEqual(['x.thing/a']);
  });

  test('says so when what it wrote cannot be read, for another reason', async () => {
    const aws = anAws();
    aws.kind.fetch = async () => {
      throw failure('AccessDenied');
    };
    expect(await applied(aws, [aThing('a', 1)])).toEqual({
      a: expect.stringMatching(/cannot be read: .*AccessDenied: it does not work/),
    });
  });

  test('starts nothing after an interruption, and finishes what is in flight', async () => {
    const controller = new AbortController();
    const aws = anAws({
      write(_, spec) {
        controller.abort();
        return spec;
      },
    });
    const resources = [aThing('a', 1), aThing('b', 1, ['a'])];
    expect(await applied(aws, resources, { signal: controller.signal })).toEqual({
      a: 'applied',
      b: 'interrupted before it started',
    });
  });

  test('writes one thing of a bucket at a time, since S3 refuses the others', async () => {
    const most = await mostAtOnce([
      aThing('a', 1),
      { ...aThing('a', 1), id: 'y.thing/a' },
      { ...aThing('a', 1), id: 'z.thing/a' },
    ]);
    expect(most).toBe(1);
  });

  test('runs beside each other what does not need each other', async () => {
    expect(await mostAtOnce([aThing('a', 1), aThing('b', 1), aThing('c', 1)])).toBe(3);
  });
});

async function mostAtOnce(resources: Resource[]): Promise<number> {
  let open = 0;
  let most = 0;
  const aws = anAws({
    async write(_, spec) {
      open += 1;
      most = Math.max(most, open);
      await new Promise((resolve) => setImmediate(resolve));
      open -= 1;
      return spec;
    },
  });
  await applied(aws, resources);
  return most;
}
