import { runSimulation } from '@cloud-copilot/iam-simulate';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { evaluate } from '../../src/iam/evaluate.ts';
import type {
  AccessRequest,
  ControlPolicyLevel,
  NamedPolicy,
  Policies,
  Statement,
} from '../../src/iam/types.ts';

/**
 * Compares the evaluator with an independent one on random policies and requests. `DISAGREEMENTS` lists the known
 * differences.
 */

const HERE = '111122223333';
const THERE = '444455556666';
const ROLE = `arn:aws:iam::${HERE}:role/replikey-acme-tax`;
const ALL_ROLES = `arn:aws:iam::${HERE}:role/*`;
const KEY = 'arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555';

interface Case {
  request: AccessRequest;
  policies: Policies;
}

async function decideIndependently({ request, policies }: Case): Promise<boolean> {
  const { boundary, resource } = policies;
  const result = await runSimulation(
    {
      request: {
        principal: request.principal,
        action: request.action,
        resource: { resource: request.resource, accountId: request.resourceAccount },
        // IAM sets this key itself.
        contextVariables: { 'aws:PrincipalArn': request.principal, ...request.context } as Record<
          string,
          string | string[]
        >,
      },
      identityPolicies: policies.identity ?? [],
      serviceControlPolicies: (policies.scps ?? []).map(({ name, policies }) => ({
        orgIdentifier: name,
        policies,
      })),
      // The independent evaluator adds RCPFullAWSAccess itself.
      resourceControlPolicies: (policies.rcps ?? []).map(({ name, policies }) => ({
        orgIdentifier: name,
        policies: policies.filter((policy) => policy !== RCP_FULL_ACCESS),
      })),
      ...(resource === undefined ? {} : { resourcePolicy: resource.policy }),
      ...(boundary === undefined ? {} : { permissionBoundaryPolicies: boundary }),
    },
    {},
  );
  if (result.resultType === 'error') throw new Error(JSON.stringify(result.errors));
  return result.overallResult === 'Allowed';
}

const oneOf = <T>(...values: T[]) => fc.constantFrom(...values);
const oneOrMany = <T>(values: fc.Arbitrary<T>) =>
  fc.oneof(values, fc.uniqueArray(values, { minLength: 1, maxLength: 3 }));

/** Values of conditions and of requests, by key. */
const VALUES: Record<string, string[]> = {
  'aws:SecureTransport': ['true', 'false'],
  'aws:SourceIp': ['10.1.2.3', '192.168.0.1'],
  'aws:RequestedRegion': ['us-east-1', 'eu-west-1', 'us-*'],
  'aws:PrincipalOrgID': ['o-1', 'o-2'],
  'aws:CurrentTime': ['2026-01-01T00:00:00Z', '2026-06-01T00:00:00Z'],
  'aws:SourceVpce': ['vpce-1', 'vpce-?'],
  'aws:PrincipalArn': [ROLE],
  'kms:ViaService': ['s3.us-east-1.amazonaws.com', 's3.us-west-2.amazonaws.com'],
  'kms:CallerAccount': [HERE, THERE],
  's3:x-amz-server-side-encryption': ['aws:kms', 'AES256'],
};
const OPERATORS: [key: string, operators: string[], expected: string[]][] = [
  ['aws:SecureTransport', ['Bool', 'BoolIfExists', 'Null'], ['true', 'false']],
  ['aws:SourceIp', ['IpAddress', 'NotIpAddress', 'IpAddressIfExists'], ['10.0.0.0/8', '192.168.0.1/32']],
  [
    'aws:RequestedRegion',
    ['StringEquals', 'StringNotEquals', 'StringLike', 'StringNotLike', 'StringEqualsIfExists'],
    ['us-east-1', 'us-*', 'EU-WEST-1', '??-west-1'],
  ],
  [
    'aws:PrincipalOrgID',
    ['StringEquals', 'StringEqualsIgnoreCase', 'StringNotEqualsIgnoreCase', 'Null'],
    ['o-1', 'O-2', 'true'],
  ],
  [
    'aws:CurrentTime',
    ['DateLessThan', 'DateGreaterThanEquals', 'DateNotEquals', 'DateEqualsIfExists'],
    ['2026-01-01T00:00:00Z', '2026-03-01T00:00:00Z'],
  ],
  ['aws:SourceVpce', ['StringLike', 'StringNotLikeIfExists', 'StringEquals'], ['vpce-1', 'vpce-*', '*']],
  [
    'aws:PrincipalArn',
    ['ArnEquals', 'ArnNotEquals', 'ArnLike', 'StringLike'],
    [ROLE, `${ROLE}-2`, ALL_ROLES],
  ],
];
/** Keys that only one service knows. */
const OF_S3: typeof OPERATORS = [
  [
    's3:x-amz-server-side-encryption',
    ['StringEquals', 'StringNotEquals', 'StringLikeIfExists', 'Null'],
    ['aws:kms', 'AES256', 'aws:*', 'true'],
  ],
];
const OF_KMS: typeof OPERATORS = [
  [
    'kms:ViaService',
    ['StringEquals', 'StringLike', 'StringNotEqualsIfExists'],
    ['s3.us-east-1.amazonaws.com', 's3.*.amazonaws.com'],
  ],
  ['kms:CallerAccount', ['StringEquals', 'StringNotEquals'], [HERE, THERE]],
];

const conditionsOn = (keys: typeof OPERATORS) =>
  fc
    .array(
      oneOf(...keys).chain(([key, operators, expected]) =>
        fc.record({
          key: fc.constant(key),
          operator: oneOf(...operators),
          values: oneOrMany(oneOf(...expected)),
        }),
      ),
      { minLength: 1, maxLength: 2 },
    )
    .map((parts) => {
      const block: NonNullable<Statement['Condition']> = {};
      for (const { key, operator, values } of parts) {
        // Null asks whether the key is there: true or false, nothing else.
        const asked = operator === 'Null' ? 'true' : values;
        block[operator] = { ...block[operator], [key]: asked };
      }
      return block;
    });

const s3Actions = [
  's3:GetObject',
  's3:PutObject',
  's3:ReplicateObject',
  's3:Get*',
  's3:*',
  '*',
  'S3:getobject',
];
const kmsActions = ['kms:Decrypt', 'kms:Encrypt', 'kms:*', 'kms:D?crypt', '*', 'kms:GenerateDataKey'];
const s3Resources = [
  '*',
  'arn:aws:s3:::acme-tax/*',
  'arn:aws:s3:::acme-tax/Tax/*',
  'arn:aws:s3:::acme-*/Tax/202?.pdf',
  'arn:aws:s3:::other/*',
];
const kmsResources = ['*', KEY, 'arn:aws:kms:*:111122223333:key/*', 'arn:aws:kms:us-east-1:*:key/other'];
const principals: NonNullable<Statement['Principal']>[] = [
  '*',
  { AWS: '*' },
  { AWS: ROLE },
  { AWS: [ROLE, `${ROLE}-2`] },
  { AWS: `arn:aws:iam::${HERE}:root` },
  { AWS: HERE },
  { AWS: [`arn:aws:iam::${THERE}:root`, `arn:aws:iam::${HERE}:role/another`] },
  { Service: 's3.amazonaws.com' },
];

function statement(
  actions: string[],
  resources: string[],
  withPrincipal: boolean,
  keys: typeof OPERATORS,
): fc.Arbitrary<Statement> {
  return fc
    .record({
      Effect: fc.oneof(
        { weight: 4, arbitrary: fc.constant('Allow') },
        { weight: 1, arbitrary: fc.constant('Deny') },
      ),
      action: oneOrMany(oneOf(...actions)),
      notAction: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
      resource: oneOrMany(oneOf(...resources)),
      notResource: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
      principal: oneOf(...principals),
      Condition: fc.option(conditionsOn(keys), { nil: undefined, freq: 2 }),
    })
    .map(({ Effect, action, notAction, resource, notResource, principal, Condition }) => ({
      Effect: Effect as Statement['Effect'],
      ...(withPrincipal ? { Principal: principal } : {}),
      ...(notAction ? { NotAction: action } : { Action: action }),
      ...(notResource && !withPrincipal ? { NotResource: resource } : { Resource: resource }),
      ...(Condition === undefined ? {} : { Condition }),
    }));
}

const policy = (name: string, statements: fc.Arbitrary<Statement>): fc.Arbitrary<NamedPolicy> =>
  fc.array(statements, { minLength: 1, maxLength: 3 }).map((several) => named(name, ...several));

const named = (name: string, ...statements: Statement[]): NamedPolicy => ({
  name,
  policy: { Version: '2012-10-17', Statement: statements },
});

const context = fc
  .tuple(
    ...Object.entries(VALUES).map(([key, values]) => fc.tuple(fc.constant(key), fc.option(oneOf(...values)))),
  )
  .map((pairs) => Object.fromEntries(pairs.filter((pair): pair is [string, string] => pair[1] !== null)));

const SCP_FULL_ACCESS: NamedPolicy = named('FullAWSAccess', { Effect: 'Allow', Action: '*', Resource: '*' });
const RCP_FULL_ACCESS: NamedPolicy = named('RCPFullAWSAccess', {
  Effect: 'Allow',
  Principal: '*',
  Action: '*',
  Resource: '*',
});

/** Returns one to three levels: the root, a unit and an account. Names of policies are unique in a level. */
const levels = (policies: fc.Arbitrary<NamedPolicy[]>): fc.Arbitrary<ControlPolicyLevel[]> =>
  fc.array(policies, { minLength: 1, maxLength: 3 }).map((several) =>
    several.map((policies, level) => ({
      name: `level ${level}`,
      policies: policies.map((policy, index) =>
        policy === SCP_FULL_ACCESS || policy === RCP_FULL_ACCESS
          ? policy
          : { ...policy, name: `${policy.name} ${index}` },
      ),
    })),
  );

/** SCPs: mostly FullAWSAccess with a random policy, which is how they are used; sometimes a random policy alone. */
const scpLevels = (statements: fc.Arbitrary<Statement>): fc.Arbitrary<ControlPolicyLevel[]> =>
  levels(
    fc.oneof(
      { weight: 2, arbitrary: fc.constant<NamedPolicy[]>([SCP_FULL_ACCESS]) },
      {
        weight: 3,
        arbitrary: policy('scp', statements).map((random) => [SCP_FULL_ACCESS, random]),
      },
      { weight: 2, arbitrary: policy('scp', statements).map((random) => [random]) },
    ),
  );

/** RCPs: RCPFullAWSAccess with random Deny statements, which AWS accepts for every principal only. */
const rcpLevels = (statements: fc.Arbitrary<Statement>): fc.Arbitrary<ControlPolicyLevel[]> =>
  levels(
    fc.oneof(
      fc.constant<NamedPolicy[]>([RCP_FULL_ACCESS]),
      policy('rcp', statements).map((random) => [RCP_FULL_ACCESS, random]),
    ),
  );

/** Returns a statement in the form of an RCP: it names actions of services, and no exclusions of actions. */
function toRcpStatement(action: string) {
  return ({ Action, NotAction, ...statement }: Statement): Statement => {
    const actions = [Action ?? NotAction ?? []].flat().filter((name) => name !== '*');
    return {
      ...statement,
      Effect: 'Deny',
      Principal: '*',
      Action: actions.length === 0 ? action : actions,
    };
  };
}

/** Returns the keys that requests of an action carry. The independent evaluator ignores the others. */
function keysOfAction(action: string, context: Record<string, string>): Record<string, string> {
  const { 's3:x-amz-server-side-encryption': _, ...keys } = context;
  return action === 's3:GetObject' ? keys : context;
}

function cases(
  actions: string[],
  resources: string[],
  requestedActions: string[],
  resource: string,
  own: typeof OPERATORS,
): fc.Arbitrary<Case> {
  const keys = [...OPERATORS, ...own];
  const ownStatement = statement(actions, resources, false, keys);
  const identity = policy('identity', ownStatement);
  const [rcpAction = ''] = requestedActions;
  return fc
    .record({
      action: oneOf(...requestedActions),
      resourceAccount: oneOf(HERE, HERE, THERE),
      context,
      identity: fc.array(identity, { maxLength: 2 }),
      boundary: fc.option(identity, { nil: undefined, freq: 5 }),
      resource: fc.option(policy('resource', statement(actions, resources, true, keys)), {
        nil: undefined,
        freq: 9,
      }),
      scps: fc.option(scpLevels(ownStatement), { nil: undefined, freq: 2 }),
      rcps: fc.option(rcpLevels(ownStatement.map(toRcpStatement(rcpAction))), { nil: undefined, freq: 2 }),
    })
    .map(({ action, resourceAccount, context, identity, boundary, resource: own, scps, rcps }) => ({
      request: { principal: ROLE, action, resource, resourceAccount, context: keysOfAction(action, context) },
      policies: {
        identity: identity.map((policy, index) => ({ ...policy, name: `identity ${index}` })),
        ...(boundary === undefined ? {} : { boundary: [boundary] }),
        ...(own === undefined ? {} : { resource: own }),
        ...(scps && { scps }),
        ...(rcps && { rcps }),
      },
    }));
}

interface Disagreement {
  name: string;
  /** Whether a random case is an instance of this difference. */
  applies(randomCase: Case): boolean;
  /** A case that the two decide differently, and the decision of our evaluator. */
  sample: Case;
  isAllowed: boolean;
}

const statementsOf = (named: NamedPolicy | undefined): Statement[] => [named?.policy.Statement ?? []].flat();
const allowsEveryPrincipal = ({ Principal: principal }: Statement): boolean =>
  principal === '*' || (typeof principal === 'object' && [principal.AWS].flat().includes('*'));

/** docs/explanation/policy-evaluator.md describes these, with the reasons. */
const DISAGREEMENTS: Disagreement[] = [
  {
    name: 'a boundary that does not allow, with a resource policy that allows every principal',
    applies: ({ policies }) =>
      policies.boundary !== undefined && statementsOf(policies.resource).some(allowsEveryPrincipal),
    sample: {
      request: { principal: ROLE, action: 'kms:Decrypt', resource: KEY, resourceAccount: HERE },
      policies: {
        boundary: [named('boundary', { Effect: 'Allow', Action: 's3:*', Resource: '*' })],
        resource: named('resource', { Effect: 'Allow', Principal: '*', Action: 'kms:*', Resource: '*' }),
      },
    },
    isAllowed: false,
  },
  {
    name: 'a condition on the encryption context',
    applies: () => false,
    sample: {
      request: {
        principal: ROLE,
        action: 'kms:Decrypt',
        resource: KEY,
        resourceAccount: HERE,
        context: { 'kms:EncryptionContext:aws:s3:arn': 'arn:aws:s3:::acme-tax' },
      },
      policies: {
        resource: named('resource', {
          Effect: 'Allow',
          Principal: { AWS: ROLE },
          Action: 'kms:Decrypt',
          Resource: '*',
          Condition: { StringEquals: { 'kms:EncryptionContext:aws:s3:arn': 'arn:aws:s3:::acme-tax' } },
        }),
      },
    },
    isAllowed: true,
  },
];

const AREAS: [string, fc.Arbitrary<Case>][] = [
  [
    'objects',
    cases(
      s3Actions,
      s3Resources,
      ['s3:GetObject', 's3:PutObject', 's3:ReplicateObject'],
      'arn:aws:s3:::acme-tax/Tax/2026.pdf',
      OF_S3,
    ),
  ],
  ['keys', cases(kmsActions, kmsResources, ['kms:Decrypt', 'kms:Encrypt'], KEY, OF_KMS)],
];

/** Seeds of every run, before new ones. Add the seed of each failure. */
const SEEDS = [20_261_123, 1_408_115_202, -77_031_993];

describe('evaluate: decides like an independent evaluator', () => {
  test.each(AREAS)(
    '%s: tens of thousands of random policies and requests',
    {
      timeout: 600_000,
    },
    async (_, area) => {
      let allowed = 0;
      let compared = 0;
      const byControlPolicies = { scp: 0, rcp: 0 };
      const property = fc.asyncProperty(area, async (randomCase) => {
        fc.pre(!DISAGREEMENTS.some(({ applies }) => applies(randomCase)));
        const decision = evaluate(randomCase.request, randomCase.policies);
        compared += 1;
        if (decision.allowed) allowed += 1;
        if (decision.controlPolicy) byControlPolicies[decision.controlPolicy] += 1;
        expect(decision.allowed, decision.reason).toBe(await decideIndependently(randomCase));
      });
      for (const seed of SEEDS) await fc.assert(property, { numRuns: 1_000, seed });
      await fc.assert(property, { numRuns: Number(process.env.PROPERTY_RUNS ?? 9_000) });
      // Neither verdict may be rare, or the comparison would prove little.
      expect(allowed / compared).toBeGreaterThan(0.05);
      expect(allowed / compared).toBeLessThan(0.95);
      expect(byControlPolicies.scp / compared).toBeGreaterThan(0.02);
      expect(byControlPolicies.rcp / compared).toBeGreaterThan(0.02);
    },
  );
});

describe('evaluate: differs from the independent evaluator for', () => {
  test.each(DISAGREEMENTS)('$name', async ({ sample, isAllowed }) => {
    expect(evaluate(sample.request, sample.policies).allowed).toBe(isAllowed);
    expect(await decideIndependently(sample)).toBe(!isAllowed);
  });
});
