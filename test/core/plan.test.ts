import fc from 'fast-check';
import jsonPatch from 'fast-json-patch';
import { describe, expect, test } from 'vitest';
import { desiredResources } from '../../src/core/desired.ts';
import { guard } from '../../src/core/guard.ts';
import type { Kind } from '../../src/core/kind.ts';
import { joinDrafts, planChanges, renderChange } from '../../src/core/plan.ts';
import { collectRefs, ref } from '../../src/core/ref.ts';
import type { Id, Observation, Resource } from '../../src/core/resource.ts';
import { seal } from '../../src/core/seal.ts';
import { toWaves } from '../../src/core/waves.ts';
import { canonicalJson, sortKeys } from '../../src/util/canonical-json.ts';
import { testPair } from '../support/pair.ts';

type Fields = Record<string, unknown>;

/** A kind of documents with arbitrary fields. AWS returns an ARN for each document. */
const thing = (members: Partial<Kind<Fields, Fields>> = {}): ReadonlyMap<string, Kind> => {
  const kind: Kind<Fields, Fields> = {
    name: 'x.thing',
    scope: { type: 'bucket', stage: 'permissions', ownerId: (id) => id, arn: () => '', policyArns: () => [] },
    permissions: { read: [], write: [] },
    desired: () => [],
    fetch: async () => undefined,
    parse: (doc) => ({ spec: doc, attrs: {} }),
    normalize: (spec) => spec,
    render: ({ spec }) => spec,
    operations: () => [{ call: 'x:Write' }],
    send: async () => {},
    response: {},
    auditEvents: {
      source: 'x.amazonaws.com',
      eventNamesByPath: {},
      namesIn: () => [],
      normalizeName: (name: string) => name,
    },
    ...members,
  };
  return new Map([['x.thing', kind as unknown as Kind]]);
};
const kinds = thing();

const NO_TARGET = { accounts: {}, partitions: [], endpoint: 'aws' };
const createPlan = (...content: Parameters<typeof planChanges>) =>
  seal(joinDrafts([planChanges(...content)]), {
    target: NO_TARGET,
    approved: { target: NO_TARGET, guardrails: {}, verdicts: [] },
  });

const aResource = (name: string, spec: Record<string, unknown> = {}, after: string[] = []): Resource => ({
  id: `x.thing/${name}`,
  kind: 'x.thing',
  name,
  location: { region: 'us-east-1' },
  spec,
  after: after.map((dependency): Id => `x.thing/${dependency}`),
  declaredBy: ['tax'],
  position: { file: 'tax.yaml', line: 1, column: 1 },
});
const present = (name: string, spec: unknown): [Id, Observation] => [
  `x.thing/${name}`,
  { state: 'present', current: { spec, attrs: { arn: `arn:${name}` } } },
];
const stepsOf = (...content: Parameters<typeof createPlan>) =>
  createPlan(...content).waves.map((wave) => wave.map(({ id }) => id));

describe('plan', () => {
  test('empty when the actual state matches, in any order of fields', () => {
    const plan = createPlan([aResource('a', { x: 1, y: 2 })], new Map([present('a', { y: 2, x: 1 })]), kinds);
    expect(plan).toMatchObject({ waves: [], blocked: [], unchanged: 1 });
  });

  test('creates an absent resource, and updates each field that differs of a present one', () => {
    const plan = createPlan(
      [aResource('a', { x: 1 }), aResource('b', { x: 1, y: 'new', z: true })],
      new Map([present('b', { x: 1, y: 'old', gone: 0 })]),
      kinds,
    );
    expect(plan.waves.flat().map(({ id, action }) => [id, action])).toEqual([
      ['x.thing/a', 'create'],
      ['x.thing/b', 'update'],
    ]);
    expect(plan.waves.flat()[1]).toMatchObject({
      patch: expect.arrayContaining([
        { op: 'replace', path: '/y', value: 'new' },
        { op: 'add', path: '/z', value: true },
        { op: 'remove', path: '/gone' },
      ]),
      before: { '/y': 'old', '/gone': 0 },
    });
  });

  test('treats an unreadable resource as unknown: neither absent nor equal', () => {
    const plan = createPlan(
      [aResource('a', {}), aResource('b', { of: ref('x.thing/a') })],
      new Map([['x.thing/a', { state: 'unknown', reason: 'AccessDenied' }]]),
      kinds,
    );
    expect(plan.blocked).toMatchObject([{ id: 'x.thing/a', why: 'AccessDenied' }]);
    expect(plan.waves.flat()).toMatchObject([{ id: 'x.thing/b', needs: ['x.thing/a'] }]);
  });

  test('keeps a value that is known only after apply as a reference, and orders the steps by it', () => {
    const resources = [aResource('b', { of: ref('x.thing/a') }), aResource('a', {})];
    const plan = createPlan(resources, new Map(), kinds);
    expect(stepsOf(resources, new Map(), kinds)).toEqual([['x.thing/a'], ['x.thing/b']]);
    expect(plan.waves[1]?.[0]?.patch).toEqual([{ op: 'add', path: '/of', value: ref('x.thing/a') }]);
    expect(plan.waves[1]?.[0]?.needs).toEqual(['x.thing/a']);
  });

  test('resolves a reference to the value of a present resource', () => {
    const resources = [aResource('b', { of: ref('x.thing/a') }), aResource('a', {})];
    const actual = new Map([present('a', {}), present('b', { of: 'arn:a' })]);
    expect(stepsOf(resources, actual, kinds)).toEqual([]);
  });

  test('a step waits for a step that it needs through unchanged resources', () => {
    const resources = [aResource('a', {}), aResource('b', {}, ['a']), aResource('c', {}, ['b'])];
    const plan = createPlan(resources, new Map([present('b', {})]), kinds);
    expect(plan.waves.flat().map(({ id, needs }) => [id, needs])).toEqual([
      ['x.thing/a', []],
      ['x.thing/c', ['x.thing/a']],
    ]);
  });

  test('digest: equal for equal data in another order, different for other data', () => {
    const plan = createPlan([aResource('a', { x: 1 }), aResource('b')], new Map(), kinds);
    const same = createPlan([aResource('b'), aResource('a', { x: 1 })], new Map(), kinds);
    const other = createPlan([aResource('a', { x: 2 }), aResource('b')], new Map(), kinds);
    expect(same.digest).toBe(plan.digest);
    expect(other.digest).not.toBe(plan.digest);
  });

  test('contains only JSON values', () => {
    const plan = createPlan(
      [aResource('a', { x: 1, of: ref('x.thing/b') }), aResource('b')],
      new Map(),
      kinds,
    );
    expect(JSON.parse(JSON.stringify(plan))).toEqual(plan);
  });
});

describe('plan: for random desired and actual states', () => {
  const spec = fc.dictionary(
    fc.constantFrom('a', 'b', 'c~/d'),
    fc.oneof(fc.integer(), fc.string(), fc.dictionary(fc.constantFrom('x', 'y'), fc.boolean())),
  );

  test('the patch turns the actual state into the desired one, and is not empty', () => {
    fc.assert(
      fc.property(spec, spec, (declared, currentSpec) => {
        const resource = aResource('a', declared);
        const actual = new Map([present('a', currentSpec)]);
        const [step] = createPlan([resource], actual, kinds).waves.flat();
        const desired = renderChange(resource, actual, thing().get('x.thing') as Kind).desired;
        if (!step) {
          expect(canonicalJson(currentSpec)).toBe(canonicalJson(desired));
          return;
        }
        expect(step.patch.length).toBeGreaterThan(0);
        const patched = jsonPatch.applyPatch(
          structuredClone(sortKeys(currentSpec)),
          structuredClone(step.patch),
        );
        expect(canonicalJson(patched.newDocument)).toBe(canonicalJson(desired));
      }),
    );
  });

  test('a step is in a later wave than every step that it needs', () => {
    // Each resource may need only earlier ones, so the graph has no cycle.
    const graph = fc
      .array(fc.array(fc.nat(9), { maxLength: 3 }), { minLength: 1, maxLength: 10 })
      .map((needs) =>
        needs.map((candidates, index) =>
          aResource(String(index), {}, candidates.filter((need) => need < index).map(String)),
        ),
      );
    fc.assert(
      fc.property(graph, fc.infiniteStream(fc.boolean()), (resources, presence) => {
        const observed = resources.filter(() => presence.next().value);
        const actual = new Map(observed.map(({ id }) => present(id.slice('x.thing/'.length), {})));
        const order = createPlan(resources, actual, kinds).waves;
        const wave = new Map(order.flatMap((steps, index) => steps.map(({ id }) => [id, index] as const)));
        for (const step of order.flat()) {
          for (const need of step.needs) expect(wave.get(need)).toBeLessThan(wave.get(step.id) ?? -1);
        }
        expect(order.flat().length + observed.length).toBe(resources.length);
      }),
    );
  });
});

describe('toWaves', () => {
  test('reports a circular dependency with its path', () => {
    expect(() => toWaves([aResource('a', {}, ['b']), aResource('b', {}, ['a'])])).toThrow(
      'circular dependency: x.thing/a -> x.thing/b -> x.thing/a',
    );
  });
  test('reports a dependency that no spec declares', () => {
    expect(() => toWaves([aResource('a', { of: ref('x.thing/b') })])).toThrow(
      'x.thing/a needs x.thing/b, which no spec declares',
    );
  });
  test('collectRefs: finds references at any depth', () => {
    expect(collectRefs({ a: [{ b: ref('x.thing/1') }], c: ref('x.thing/2') })).toEqual([
      'x.thing/1',
      'x.thing/2',
    ]);
  });
});

describe('desiredResources', () => {
  const kindsDeclaring = (desired: Kind['desired']) => [...thing({ desired: desired as never }).values()];
  const shared = ({ pair }: { pair: { name: string } }) => [
    { ...aResource('a', { x: 1 }), declaredBy: [pair.name] },
  ];

  test('merges a resource that several specs declare, with all their names', () => {
    const [resource, ...more] = desiredResources(
      [testPair({ name: 'one' }), testPair({ name: 'two' })],
      kindsDeclaring(shared),
    );
    expect(resource?.declaredBy).toEqual(['one', 'two']);
    expect(more).toEqual([]);
  });
  test('rejects a resource that two specs declare differently', () => {
    const differing: Kind['desired'] = ({ pair }) => [
      { ...aResource('a', { of: pair.name }), declaredBy: [pair.name] },
    ];
    expect(() =>
      desiredResources([testPair({ name: 'one' }), testPair({ name: 'two' })], kindsDeclaring(differing)),
    ).toThrow('x.thing/a is declared differently by one and two');
  });
});

describe('guard', () => {
  const risky = thing({ check: () => ({ risks: [{ id: 'change-role', message: 'x would change' }] }) });
  const riskyPlan = createPlan([aResource('a', { x: 1 })], new Map([present('a', { x: 2 })]), risky);

  test('refuses a risk whose id is not allowed, and passes it with the id', () => {
    expect(guard(riskyPlan, [], { maxRemovals: 0 })).toEqual([
      { id: 'change-role', message: 'x would change', step: 'x.thing/a' },
    ]);
    expect(guard(riskyPlan, ['adopt'], { maxRemovals: 0 })).toHaveLength(1);
    expect(guard(riskyPlan, ['change-role'], { maxRemovals: 0 })).toEqual([]);
  });
  test('refuses a plan with more changes than the limit, with the numbers and the flag that raises it', () => {
    const many = createPlan(
      ['a', 'b', 'c', 'd'].map((name) => aResource(name, { x: 1 })),
      new Map([present('d', { x: 1 })]),
      kinds,
    );
    const message = 'the plan changes 3 of 4 resources, and the limit is 2; raise it with --max-changes 3';
    expect(guard(many, [], { maxRemovals: 0, maxChanges: { count: 2 } })).toEqual([
      { id: 'max-changes', message },
    ]);
    expect(guard(many, [], { maxRemovals: 0, maxChanges: { percent: 50 } })).toEqual([
      { id: 'max-changes', message },
    ]);
    expect(guard(many, [], { maxRemovals: 0, maxChanges: { count: 3 } })).toEqual([]);
    expect(guard(many, [], { maxRemovals: 0, maxChanges: { percent: 75 } })).toEqual([]);
  });
  test('counts only removed rules and statements', () => {
    const before = {
      rules: { a: {}, b: {} },
      statements: { c: {}, d: { Action: ['x', 'y'] } },
      other: { e: 1 },
    };
    const after = { rules: {}, statements: { d: { Action: ['x'] } }, other: {} };
    const plan = createPlan([aResource('a', after)], new Map([present('a', before)]), kinds);
    expect(guard(plan, [], { maxRemovals: 2 }).map(({ message }) => message)).toEqual([
      'the plan removes 3 rules, statements and roles, and the limit is 2; raise it with --max-removals 3',
    ]);
    expect(guard(plan, [], { maxRemovals: 3 })).toEqual([]);
  });
  test('passes a plan that only creates resources', () => {
    expect(guard(createPlan([aResource('a', { x: 1 })], new Map(), risky), [], { maxRemovals: 0 })).toEqual(
      [],
    );
  });
});

test('plan: contains the notes and the blocked reasons of a kind, with the specs of their resources', () => {
  const kind = thing({
    check: ({ current }) => (current ? { notes: ['kept as it is'] } : { blocked: 'does not exist' }),
  });
  const plan = createPlan([aResource('a'), aResource('b')], new Map([present('a', {})]), kind);
  expect(plan.notes).toEqual([{ id: 'x.thing/a', message: 'kept as it is', pairs: ['tax'] }]);
  expect(plan.blocked).toMatchObject([{ id: 'x.thing/b', why: 'does not exist', pairs: ['tax'] }]);
});

test('joinDrafts: reports a blocked resource once when its errors differ in the request id only', () => {
  const draftOf = (pair: string, requestId: string) =>
    planChanges(
      [{ ...aResource('a'), declaredBy: [pair] }],
      new Map([['x.thing/a', { state: 'unknown', reason: `AccessDenied, request ${requestId}` }]]),
      kinds,
    );
  const { blocked } = joinDrafts([draftOf('tax', '1A2B'), draftOf('books', '3C4D')]);
  expect(blocked).toMatchObject([{ id: 'x.thing/a', pairs: ['tax', 'books'] }]);
});

test('joinDrafts: contains a step that several drafts share once, after the steps that it needs in each', () => {
  const draftOf = (pair: string, own: Id) =>
    planChanges(
      [
        { ...aResource('shared', { value: 1 }), declaredBy: [pair], after: [own] },
        { ...aResource(own.slice('x.thing/'.length), { value: 1 }), declaredBy: [pair] },
      ],
      new Map(),
      kinds,
    );
  const { waves } = joinDrafts([draftOf('tax', 'x.thing/a'), draftOf('books', 'x.thing/b')]);
  expect(waves.map((wave) => wave.map(({ id, needs, pairs }) => [id, needs, pairs]))).toEqual([
    [
      ['x.thing/a', [], ['tax']],
      ['x.thing/b', [], ['books']],
    ],
    [['x.thing/shared', ['x.thing/a', 'x.thing/b'], ['tax', 'books']]],
  ]);
});
