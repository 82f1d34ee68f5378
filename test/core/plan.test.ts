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

/** A kind whose documents have any fields, and which AWS knows under an ARN. */
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
    auditEvents: { eventNamesByPath: {}, matches: () => false },
    ...members,
  };
  return new Map([['x.thing', kind as unknown as Kind]]);
};
const kinds = thing();

const createPlan = (...content: Parameters<typeof planChanges>) =>
  seal(joinDrafts([planChanges(...content)]), { accounts: {}, guardrails: {}, verdicts: [] });

const aResource = (name: string, spec: Record<string, unknown> = {}, after: string[] = []): Resource => ({
  id: `x.thing/${name}`,
  kind: 'x.thing',
  name,
  location: { region: 'us-east-1' },
  spec,
  after: after.map((one): Id => `x.thing/${one}`),
  declaredBy: ['tax'],
  position: { file: 'tax.yaml', line: 1, column: 1 },
});
const present = (name: string, spec: unknown): [Id, Observation] => [
  `x.thing/${name}`,
  { state: 'present', current: { spec, attrs: { arn: `arn:${name}` } } },
];
const stepsOf = (...given: Parameters<typeof createPlan>) =>
  createPlan(...given).waves.map((wave) => wave.map(({ id }) => id));

describe('a plan', () => {
  test('is empty when AWS is as declared, in whatever order its fields come', () => {
    const made = createPlan([aResource('a', { x: 1, y: 2 })], new Map([present('a', { y: 2, x: 1 })]), kinds);
    expect(made).toMatchObject({ waves: [], blocked: [], unchanged: 1 });
  });

  test('creates what is absent, and names each field that differs of what is there', () => {
    const made = createPlan(
      [aResource('a', { x: 1 }), aResource('b', { x: 1, y: 'new', z: true })],
      new Map([present('b', { x: 1, y: 'old', gone: 0 })]),
      kinds,
    );
    expect(made.waves.flat().map(({ id, action }) => [id, action])).toEqual([
      ['x.thing/a', 'create'],
      ['x.thing/b', 'update'],
    ]);
    expect(made.waves.flat()[1]).toMatchObject({
      patch: expect.arrayContaining([
        { op: 'replace', path: '/y', value: 'new' },
        { op: 'add', path: '/z', value: true },
        { op: 'remove', path: '/gone' },
      ]),
      before: { '/y': 'old', '/gone': 0 },
    });
  });

  test('takes what cannot be read for unknown: neither absent nor equal', () => {
    const made = createPlan(
      [aResource('a', {}), aResource('b', { of: ref('x.thing/a') })],
      new Map([['x.thing/a', { state: 'unknown', reason: 'AccessDenied' }]]),
      kinds,
    );
    expect(made.blocked).toMatchObject([{ id: 'x.thing/a', why: 'AccessDenied' }]);
    expect(made.waves.flat()).toMatchObject([{ id: 'x.thing/b', needs: ['x.thing/a'] }]);
  });

  test('keeps a value that is known only after apply as a reference, and its order', () => {
    const resources = [aResource('b', { of: ref('x.thing/a') }), aResource('a', {})];
    const made = createPlan(resources, new Map(), kinds);
    expect(stepsOf(resources, new Map(), kinds)).toEqual([['x.thing/a'], ['x.thing/b']]);
    expect(made.waves[1]?.[0]?.patch).toEqual([{ op: 'add', path: '/of', value: ref('x.thing/a') }]);
    expect(made.waves[1]?.[0]?.needs).toEqual(['x.thing/a']);
  });

  test('puts the value of a reference in that is known already', () => {
    const resources = [aResource('b', { of: ref('x.thing/a') }), aResource('a', {})];
    const actual = new Map([present('a', {}), present('b', { of: 'arn:a' })]);
    expect(stepsOf(resources, actual, kinds)).toEqual([]);
  });

  test('lets a step wait for one that it needs by way of others that need no change', () => {
    const resources = [aResource('a', {}), aResource('b', {}, ['a']), aResource('c', {}, ['b'])];
    const made = createPlan(resources, new Map([present('b', {})]), kinds);
    expect(made.waves.flat().map(({ id, needs }) => [id, needs])).toEqual([
      ['x.thing/a', []],
      ['x.thing/c', ['x.thing/a']],
    ]);
  });

  test('has the same digest for the same data, and another for other data', () => {
    const one = createPlan([aResource('a', { x: 1 }), aResource('b')], new Map(), kinds);
    const same = createPlan([aResource('b'), aResource('a', { x: 1 })], new Map(), kinds);
    const other = createPlan([aResource('a', { x: 2 }), aResource('b')], new Map(), kinds);
    expect(same.digest).toBe(one.digest);
    expect(other.digest).not.toBe(one.digest);
  });

  test('is JSON and nothing else', () => {
    const made = createPlan(
      [aResource('a', { x: 1, of: ref('x.thing/b') }), aResource('b')],
      new Map(),
      kinds,
    );
    expect(JSON.parse(JSON.stringify(made))).toEqual(made);
  });
});

describe('whatever is declared and observed', () => {
  const spec = fc.dictionary(
    fc.constantFrom('a', 'b', 'c~/d'),
    fc.oneof(fc.integer(), fc.string(), fc.dictionary(fc.constantFrom('x', 'y'), fc.boolean())),
  );

  test('the patch leads from what is there to what is declared, and names a field', () => {
    fc.assert(
      fc.property(spec, spec, (declared, found) => {
        const resource = aResource('a', declared);
        const actual = new Map([present('a', found)]);
        const [step] = createPlan([resource], actual, kinds).waves.flat();
        const wanted = renderChange(resource, actual, thing().get('x.thing') as Kind).desired;
        if (!step) {
          expect(canonicalJson(found)).toBe(canonicalJson(wanted));
          return;
        }
        expect(step.patch.length).toBeGreaterThan(0);
        const patched = jsonPatch.applyPatch(structuredClone(sortKeys(found)), structuredClone(step.patch));
        expect(canonicalJson(patched.newDocument)).toBe(canonicalJson(wanted));
      }),
    );
  });

  test('a step comes after every step that it needs', () => {
    // Each resource may need those before it, so that there is no circle.
    const graph = fc
      .array(fc.array(fc.nat(9), { maxLength: 3 }), { minLength: 1, maxLength: 10 })
      .map((needs) =>
        needs.map((wanted, index) =>
          aResource(String(index), {}, wanted.filter((need) => need < index).map(String)),
        ),
      );
    fc.assert(
      fc.property(graph, fc.infiniteStream(fc.boolean()), (resources, there) => {
        const observed = resources.filter(() => there.next().value);
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

describe('the order of resources', () => {
  test('a circle is told with its path', () => {
    expect(() => toWaves([aResource('a', {}, ['b']), aResource('b', {}, ['a'])])).toThrow(
      'circular dependency: x.thing/a -> x.thing/b -> x.thing/a',
    );
  });
  test('a need that nobody wants is told', () => {
    expect(() => toWaves([aResource('a', { of: ref('x.thing/b') })])).toThrow(
      'x.thing/a needs x.thing/b, which no spec declares',
    );
  });
  test('references are found however deep they lie', () => {
    expect(collectRefs({ a: [{ b: ref('x.thing/1') }], c: ref('x.thing/2') })).toEqual([
      'x.thing/1',
      'x.thing/2',
    ]);
  });
});

describe('what several specs want', () => {
  const wanting = (want: Kind['desired']) => [...thing({ desired: want as never }).values()];
  const shared = ({ pair }: { pair: { name: string } }) => [
    { ...aResource('a', { x: 1 }), declaredBy: [pair.name] },
  ];

  test('is one resource, of them all', () => {
    const [resource, ...more] = desiredResources(
      [testPair({ name: 'one' }), testPair({ name: 'two' })],
      wanting(shared),
    );
    expect(resource?.declaredBy).toEqual(['one', 'two']);
    expect(more).toEqual([]);
  });
  test('differently is a fault', () => {
    const differing: Kind['desired'] = ({ pair }) => [
      { ...aResource('a', { of: pair.name }), declaredBy: [pair.name] },
    ];
    expect(() =>
      desiredResources([testPair({ name: 'one' }), testPair({ name: 'two' })], wanting(differing)),
    ).toThrow('x.thing/a is declared differently by one and two');
  });
});

describe('the guard', () => {
  const risky = thing({ check: () => ({ risks: [{ id: 'change-role', message: 'x would change' }] }) });
  const made = createPlan([aResource('a', { x: 1 })], new Map([present('a', { x: 2 })]), risky);

  test('refuses a risk that nobody allowed, by the id that allows it', () => {
    expect(guard(made, [], { maxRemovals: 0 })).toEqual([
      { id: 'change-role', message: 'x would change', step: 'x.thing/a' },
    ]);
    expect(guard(made, ['adopt'], { maxRemovals: 0 })).toHaveLength(1);
    expect(guard(made, ['change-role'], { maxRemovals: 0 })).toEqual([]);
  });
  test('refuses a plan that changes more than it may, with the numbers and the flag that lifts it', () => {
    const many = createPlan(
      ['a', 'b', 'c', 'd'].map((name) => aResource(name, { x: 1 })),
      new Map([present('d', { x: 1 })]),
      kinds,
    );
    const words = 'the plan changes 3 of 4 resources, and the limit is 2; raise it with --max-changes 3';
    expect(guard(many, [], { maxRemovals: 0, maxChanges: { count: 2 } })).toEqual([
      { id: 'max-changes', message: words },
    ]);
    expect(guard(many, [], { maxRemovals: 0, maxChanges: { percent: 50 } })).toEqual([
      { id: 'max-changes', message: words },
    ]);
    expect(guard(many, [], { maxRemovals: 0, maxChanges: { count: 3 } })).toEqual([]);
    expect(guard(many, [], { maxRemovals: 0, maxChanges: { percent: 75 } })).toEqual([]);
  });
  test('counts rules and statements that are taken away, and nothing else', () => {
    const before = {
      rules: { a: {}, b: {} },
      statements: { c: {}, d: { Action: ['x', 'y'] } },
      other: { e: 1 },
    };
    const after = { rules: {}, statements: { d: { Action: ['x'] } }, other: {} };
    const made = createPlan([aResource('a', after)], new Map([present('a', before)]), kinds);
    expect(guard(made, [], { maxRemovals: 2 }).map(({ message }) => message)).toEqual([
      'the plan removes 3 rules, statements and roles, and the limit is 2; raise it with --max-removals 3',
    ]);
    expect(guard(made, [], { maxRemovals: 3 })).toEqual([]);
  });
  test('has nothing to say of what is only created', () => {
    expect(guard(createPlan([aResource('a', { x: 1 })], new Map(), risky), [], { maxRemovals: 0 })).toEqual(
      [],
    );
  });
});

test('remarks and obstacles of a kind reach the plan, with the specs that they concern', () => {
  const kind = thing({
    check: ({ current }) => (current ? { notes: ['left as it is'] } : { blocked: 'must exist before' }),
  });
  const made = createPlan([aResource('a'), aResource('b')], new Map([present('a', {})]), kind);
  expect(made.notes).toEqual([{ id: 'x.thing/a', message: 'left as it is', pairs: ['tax'] }]);
  expect(made.blocked).toMatchObject([{ id: 'x.thing/b', why: 'must exist before', pairs: ['tax'] }]);
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
