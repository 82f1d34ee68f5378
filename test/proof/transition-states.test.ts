import fc from 'fast-check';
import { expect, test } from 'vitest';
import { emptyFacts, type Facts } from '../../src/core/facts.ts';
import { NO_POSITION } from '../../src/core/ids.ts';
import type { Kind } from '../../src/core/kind.ts';
import type { Id, Observation, Resource, Step } from '../../src/core/resource.ts';
import type { Policy } from '../../src/iam/types.ts';
import type { Projection } from '../../src/proof/project.ts';
import {
  createPlanStates,
  failuresOfRules,
  isClosed,
  proveTransitions,
} from '../../src/proof/transition-proof.ts';

const ROLE = 'arn:aws:iam::111122223333:role/legacy';
const SOURCE = 'acme-source';
const DESTINATIONS = ['acme-one', 'acme-two'];

const policyFor = (destinations: readonly string[], withSource = true): Policy => ({
  Version: '2012-10-17',
  Statement: [
    ...(withSource
      ? [{ Effect: 'Allow' as const, Action: ['s3:Get*', 's3:ListBucket'], Resource: '*' }]
      : []),
    ...destinations.map((bucket) => ({
      Effect: 'Allow' as const,
      Action: 's3:Replicate*',
      Resource: `arn:aws:s3:::${bucket}/*`,
    })),
  ],
});
const TRUST: Policy = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { Service: 's3.amazonaws.com' }, Action: 'sts:AssumeRole' }],
};
const replicationTo = (bucket: string) => ({
  Role: ROLE,
  Rules: [
    {
      ID: 'legacy',
      Priority: 1,
      Status: 'Enabled' as const,
      Filter: { Prefix: '' },
      DeleteMarkerReplication: { Status: 'Disabled' as const },
      Destination: { Bucket: `arn:aws:s3:::${bucket}` },
    },
  ],
});
const encryptionWith = (SSEAlgorithm: string) => ({
  Rules: [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm } }],
});

/** Documents of one kind: the projection of a step is its `spec`, as facts. */
const fakeKind = (name: string, type: 'bucket' | 'role', stage: 'rules' | 'permissions'): Kind =>
  ({
    name,
    scope: {
      type,
      stage,
      ownerId: (id: Id) => id,
      arn: () => ROLE,
      policyArns: () => [],
      facts: (doc: object) => doc,
    },
    normalize: (spec: unknown) => spec,
    parse: (doc: unknown) => ({ spec: doc, attrs: {} }),
    render: ({ spec }: Resource) => spec,
  }) as unknown as Kind;

const FAKE_KINDS = new Map([
  ['rules', fakeKind('rules', 'bucket', 'rules')],
  ['source', fakeKind('source', 'bucket', 'permissions')],
  ['target', fakeKind('target', 'bucket', 'permissions')],
  ['role', fakeKind('role', 'role', 'permissions')],
  ['policy', fakeKind('policy', 'role', 'permissions')],
]);

interface Change {
  id: Id;
  name: string;
  before: object;
  after: object;
}

const destination = fc.constantFrom(...DESTINATIONS);
const grants = fc.subarray(DESTINATIONS);
const changesArbitrary: fc.Arbitrary<Change[]> = fc
  .record({
    rules: fc.tuple(destination, destination),
    encryption: fc.tuple(fc.constantFrom('AES256', 'aws:kms'), fc.constantFrom('AES256', 'aws:kms')),
    boundary: fc.tuple(grants, grants),
    policy: fc.tuple(grants, grants, fc.boolean()),
    denial: fc.tuple(fc.boolean(), fc.boolean()),
  })
  .map(({ rules, encryption, boundary, policy: [first, second, keepsOld], denial }) => {
    // Policies are widened, or not: both occur.
    const after = keepsOld ? [...new Set([...first, ...second])] : second;
    const deny = (isDenied: boolean): { policy: Policy | null } => ({
      policy: isDenied
        ? {
            Statement: [
              {
                Effect: 'Deny',
                Principal: '*',
                Action: 's3:*',
                Resource: `arn:aws:s3:::${DESTINATIONS[0]}/*`,
              },
            ],
          }
        : null,
    });
    return [
      {
        id: `rules/${SOURCE}`,
        name: SOURCE,
        before: { replication: replicationTo(rules[0]) },
        after: { replication: replicationTo(rules[1]) },
      },
      {
        id: `source/${SOURCE}`,
        name: SOURCE,
        before: { encryption: encryptionWith(encryption[0]) },
        after: { encryption: encryptionWith(encryption[1]) },
      },
      {
        id: 'role/legacy',
        name: 'legacy',
        before: { boundary: policyFor(boundary[0]) },
        after: { boundary: policyFor(boundary[1]) },
      },
      {
        id: 'policy/legacy',
        name: 'legacy',
        before: { policies: { legacy: policyFor(first) } },
        after: { policies: { legacy: policyFor(after) } },
      },
      {
        id: `target/${DESTINATIONS[0]}`,
        name: DESTINATIONS[0] ?? '',
        before: deny(denial[0]),
        after: deny(denial[1]),
      },
    ];
  });

const planArbitrary = fc.record({
  changes: changesArbitrary,
  order: fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 5 }),
  edges: fc.array(fc.tuple(fc.nat(4), fc.nat(4)), { maxLength: 5 }),
});

function inputsOf(
  changes: readonly Change[],
  order: readonly number[],
  edges: readonly (readonly number[])[],
) {
  const ordered = order.map((index) => changes[index]).filter((change) => change !== undefined);
  const needs = new Map<number, Set<Id>>();
  ordered.forEach((_, position) => {
    const direct = edges.flatMap(([from = 0, to = 0]) => (from < to && to === position ? [from] : []));
    // Needs contain those of the needed steps.
    needs.set(
      position,
      new Set(direct.flatMap((index) => [ordered[index]?.id ?? ('' as Id), ...(needs.get(index) ?? [])])),
    );
  });
  const location = { region: 'us-east-1' };
  const resources = ordered.map(
    ({ id, name, after }): Resource => ({
      id,
      kind: id.split('/')[0] ?? '',
      name,
      location,
      spec: after,
      after: [],
      declaredBy: [],
      position: NO_POSITION,
    }),
  );
  const steps = ordered.map(
    ({ id }, position): Step => ({
      id,
      kind: id.split('/')[0] ?? '',
      action: 'update',
      at: location,
      patch: [],
      before: {},
      desired: {},
      why: [],
      calls: [],
      needs: [...(needs.get(position) ?? [])],
      risks: [],
      pairs: [],
      from: NO_POSITION,
    }),
  );
  const bucket = { region: 'us-east-1', account: '111122223333', versioning: { Status: 'Enabled' } };
  const facts: Facts = {
    ...emptyFacts(),
    buckets: Object.fromEntries(
      [SOURCE, ...DESTINATIONS].map((name) => [name, { ...bucket, policy: null, encryption: null }]),
    ),
    roles: { [ROLE]: { trust: TRUST, policies: {}, boundary: null } },
  };
  const actual = new Map<Id, Observation>(
    ordered.map(({ id, before }) => [
      id,
      { state: 'present', current: { spec: before, attrs: { arn: ROLE } } },
    ]),
  );
  const projection: Projection = {
    actual,
    kinds: FAKE_KINDS,
    accountIdOf: () => '111122223333',
    arnOf: () => ROLE,
    boundaries: {},
  };
  return {
    facts,
    resources,
    projection,
    plan: { waves: steps.map((step) => [step]), blocked: [] },
    declaredRules: new Set<string>(),
    owners: new Set<string>(),
    objectsByBucket: new Map(),
  };
}

/** Whether the rule fails for the object that a writer without headers writes, by every proof error. */
const fails = (facts: Facts): boolean => {
  const unselected = JSON.stringify(facts.buckets[SOURCE]).includes('aws:kms');
  return unselected || failuresOfRules(facts, SOURCE, ['legacy']).length > 0;
};

test('transition proof: a rule is stopped if and only if one of all closed states stops it', () => {
  const verdicts = new Set<boolean>();
  fc.assert(
    fc.property(planArbitrary, ({ changes, order, edges }) => {
      const inputs = inputsOf(changes, order, edges);
      const states = createPlanStates(inputs);
      const subsets = Array.from({ length: 2 ** states.steps.length }, (_, bits) =>
        states.steps.filter((_step, index) => bits & (1 << index)),
      ).filter((set) => isClosed(set, states.steps));
      const isStopped = !fails(states.before) && subsets.some((set) => fails(states.after(set)));
      const { stopped } = proveTransitions(inputs);
      expect(stopped.length > 0).toBe(isStopped);
      verdicts.add(isStopped);
    }),
    { numRuns: 300, seed: 16 },
  );
  expect(verdicts.size).toBe(2);
});
