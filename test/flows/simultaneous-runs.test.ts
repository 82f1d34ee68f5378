import { CreateRoleCommand, GetRolePolicyCommand } from '@aws-sdk/client-iam';
import { CreateAliasCommand, CreateKeyCommand, ScheduleKeyDeletionCommand } from '@aws-sdk/client-kms';
import { GetBucketReplicationCommand } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import type { ManualStep } from '../../src/core/resource.ts';
import { EXIT } from '../../src/errors.ts';
import type { Outcome } from '../../src/reconcile/pass.ts';
import type { StepResult } from '../../src/reconcile/step-result.ts';
import type { RequestEntry } from '../../src/sandbox/admin-api.ts';
import { runCli } from '../support/cli.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

const ACCOUNT = '111122223333';
const EAST = { region: 'us-east-1' };
const ROTATING = TAX_SPEC.replace(
  'key: alias/acme-tax }',
  'key: { alias: alias/acme-tax, rotation: true } }',
);

const keysOf = ({ sandbox }: TestEnv) => [...sandbox.store.account(ACCOUNT).keys.values()];
const aliasedKeyIds = ({ sandbox }: TestEnv) =>
  [...sandbox.store.account(ACCOUNT).aliases.values()]
    .filter(({ name }) => !name.startsWith('alias/aws/'))
    .map(({ targetKeyId }) => targetKeyId);

/** Holds the first calls of an operation until a number of them has arrived, so that all runs have planned before. */
function barrier(operation: string, count: number) {
  const held: (() => void)[] = [];
  return async (entry: RequestEntry, phase: 'before' | 'after') => {
    if (phase !== 'before' || entry.operation !== operation || held.length >= count) return;
    await new Promise<void>((resolve) => {
      held.push(resolve);
      if (held.length === count) for (const release of held) release();
    });
  };
}

interface RunOutput {
  results: StepResult[];
  plan: { proof: { verdict: string }[] };
}

/** Runs the whole program twice at the same time. Returns the resources that the runs report as left behind. */
async function runTwice(env: TestEnv, yaml: string) {
  const runOnce = () =>
    runCli(['--once', '-o', 'json', '-'], { endpoint: env.sandbox.endpoint, input: yaml });
  const run = async () => {
    const first = await runOnce();
    // A run that reads the bucket after the other run created its key, and the alias before, sees a default key that no
    // spec declares. It refuses, and changes nothing.
    const isRefused = first.code === EXIT.refused && first.stdout.includes('"change-default-key"');
    const result = isRefused ? await runOnce() : first;
    expect(result.code, result.stdout + result.stderr).toBe(EXIT.ok);
    const { results, plan } = JSON.parse(result.stdout) as RunOutput;
    expect(plan.proof.map(({ verdict }) => verdict)).toEqual(['proven']);
    return results.flatMap(({ leftBehind = [] }) => leftBehind);
  };
  return (await Promise.all([run(), run()])).flat();
}

/** Asserts that each key is named by an alias or reported, and that replication uses the named keys. */
async function expectConverged(env: TestEnv, yaml: string, reported: readonly ManualStep[]) {
  const used = aliasedKeyIds(env);
  expect(new Set(used).size).toBe(2);
  const unused = keysOf(env).filter(({ id }) => !used.includes(id));
  expect(reported.map(({ command }) => command).sort()).toEqual(
    unused
      .map(
        ({ arn, region }) =>
          `aws kms schedule-key-deletion --region ${region} --key-id ${arn} --pending-window-in-days 30`,
      )
      .sort(),
  );
  const { ReplicationConfiguration } = await env.client.send(
    EAST,
    new GetBucketReplicationCommand({ Bucket: 'acme-tax' }),
  );
  const { PolicyDocument } = await env.client.send(
    EAST,
    new GetRolePolicyCommand({ RoleName: 'replikey-acme-tax', PolicyName: 'replikey' }),
  );
  const documents = JSON.stringify([ReplicationConfiguration, decodeURIComponent(PolicyDocument ?? '')]);
  for (const { id } of unused) expect(documents).not.toContain(id);
  for (const id of used) expect(documents).toContain(id);
  const { plan } = await env.reconcileWith(yaml);
  expect([plan.waves, plan.blocked]).toEqual([[], []]);
  expect((await env.canaries()).map(({ result }) => result)).toEqual(['replicated', 'replicated']);
  return unused;
}

describe('two simultaneous first runs of the same specs', { timeout: 120_000 }, () => {
  test('use the keys that the aliases name, and report each unused key with the command that deletes it', async () => {
    await using env = await testEnv(ROTATING, { onCall: barrier('CreateKey', 4) });
    const reported = await runTwice(env, ROTATING);
    const unused = await expectConverged(env, ROTATING, reported);
    expect(unused.map(({ region }) => region).sort()).toEqual(['us-east-1', 'us-west-2']);
    expect(
      keysOf(env).find(({ id, region }) => aliasedKeyIds(env).includes(id) && region === 'us-east-1'),
    ).toMatchObject({ rotation: { enabled: true } });
  });

  test.each(['CreateRole', 'CreateBucket', 'PutRolePolicy', 'PutBucketReplication'])(
    'converge when both reach %s before either continues',
    async (operation) => {
      const count = operation === 'CreateBucket' ? 4 : 2;
      await using env = await testEnv(TAX_SPEC, { onCall: barrier(operation, count) });
      await expectConverged(env, TAX_SPEC, await runTwice(env, TAX_SPEC));
    },
  );

  test('converge in any order of their calls, and report each unused key', async () => {
    for (let round = 1; round <= 3; round++) {
      await using env = await testEnv(ROTATING);
      await expectConverged(env, ROTATING, await runTwice(env, ROTATING));
    }
  });
});

describe('another caller creates a resource between the plan and the creation', () => {
  /** Runs an action once, before the first call of an operation in us-east-1. */
  const before = (operation: string, act: (env: TestEnv) => Promise<unknown>) => {
    const state: { env?: TestEnv; isDone?: boolean } = {};
    const onCall = async (entry: RequestEntry, phase: 'before' | 'after') => {
      const isCall = entry.operation === operation && entry.region === EAST.region;
      if (phase !== 'before' || !isCall || state.isDone || !state.env) return;
      state.isDone = true;
      await act(state.env);
    };
    return { state, onCall };
  };

  /** Creates a key in us-east-1 with the alias of the spec. */
  const createAliasedKey = async ({ client }: TestEnv, tags: Record<string, string> = {}) => {
    const Tags = Object.entries(tags).map(([TagKey, TagValue]) => ({ TagKey, TagValue }));
    const { KeyMetadata } = await client.send(EAST, new CreateKeyCommand({ Tags }));
    const KeyId = KeyMetadata?.KeyId;
    await client.send(EAST, new CreateAliasCommand({ AliasName: 'alias/acme-tax', TargetKeyId: KeyId }));
    return KeyId;
  };
  const resultOf = ({ results }: Outcome, id: string) => results.find((step) => step.id === id);
  const KEY = 'kms.key/alias/acme-tax@us-east-1';
  const TRUST = {
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Service: 'ec2.amazonaws.com' } }],
  };

  test('alias of a key without tags of replikey: the step fails, the key stays as it is, the unused key is reported', async () => {
    const { state, onCall } = before('CreateAlias', (env) => createAliasedKey(env));
    await using env = await testEnv(ROTATING, { onCall });
    state.env = env;
    const outcome = await env.reconcile();
    const [foreign, own] = ['false', 'true'].map((isOwn) =>
      keysOf(env).find(
        ({ region, tags }) => region === 'us-east-1' && String(tags.has('replikey:alias')) === isOwn,
      ),
    );
    expect(resultOf(outcome, KEY)).toMatchObject({
      result: 'failed',
      why: expect.stringContaining('another caller created it since it was read; it was not changed'),
      leftBehind: [{ command: expect.stringContaining(own?.arn ?? '') }],
    });
    expect(own?.tags.get('replikey:alias')).toBe('unused');
    expect([foreign?.rotation.enabled, foreign?.policy.includes('Replikey')]).toEqual([false, false]);
    expect(resultOf(outcome, 's3.replication/acme-tax')?.result).toBe('skipped');
    // The next run plans with the existing key, and shows that.
    const next = await env.reconcile();
    expect(next.plan.notes.map(({ id, message }) => `${id}: ${message}`).join('\n')).toContain(
      `${KEY}: already exists`,
    );
    expect(next.remaining?.waves).toEqual([]);
  });

  test('alias of a key that is pending deletion: the step fails with the state', async () => {
    const { state, onCall } = before('CreateAlias', async (env) => {
      const KeyId = await createAliasedKey(env, { 'replikey:managed-by': 'replikey' });
      await env.client.send(EAST, new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }));
    });
    await using env = await testEnv(TAX_SPEC, { onCall });
    state.env = env;
    expect(resultOf(await env.reconcile(), KEY)).toMatchObject({
      result: 'failed',
      why: expect.stringContaining('is PendingDeletion; enable it'),
      leftBehind: [expect.anything()],
    });
  });

  test('role without tags of replikey: the step fails, and the role stays as it is', async () => {
    const { state, onCall } = before('CreateRole', ({ client }) =>
      client.send(
        EAST,
        new CreateRoleCommand({
          RoleName: 'replikey-acme-tax',
          AssumeRolePolicyDocument: JSON.stringify(TRUST),
        }),
      ),
    );
    await using env = await testEnv(TAX_SPEC, { onCall });
    state.env = env;
    const outcome = await env.reconcile();
    expect(resultOf(outcome, 'iam.role/replikey-acme-tax')?.result).toBe('failed');
    const role = env.sandbox.store.account(ACCOUNT).roles.get('replikey-acme-tax');
    expect([JSON.parse(role?.trust ?? ''), role?.inline.size]).toEqual([TRUST, 0]);
  });

  test('CreateAlias whose response is lost: the run continues, and reports no key', async () => {
    await using env = await testEnv(ROTATING);
    env.sandbox.faultSettings.faults = [{ match: 'CreateAlias', nth: 1, times: 1, what: 'reset-after' }];
    const { results, remaining } = await env.reconcile();
    expect([remaining?.waves, results.flatMap(({ leftBehind = [] }) => leftBehind)]).toEqual([[], []]);
    expect(keysOf(env)).toHaveLength(2);
  });
});
