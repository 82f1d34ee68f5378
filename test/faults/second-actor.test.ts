import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../src/errors.ts';
import type { Store } from '../../src/sandbox/store.ts';
import { ACCOUNT_SPECS, CROSS_ACCOUNT_SPEC, testEnv } from '../support/env.ts';
import { STACK_TRACE_LINE } from './assertions.ts';
import { createHarness, type FaultHarness } from './harness.ts';
import { SAMPLING, shuffle } from './matrix.ts';
import type { Call, RunResult } from './run-pass.ts';
import { CHANGE, foreignStatement } from './scenarios.ts';
import { readState } from './state.ts';

/** Somebody else at work on the same things. */
interface Move {
  name: string;
  act(store: Store): void;
  /** For what others put into a document that we write as a whole: how it is read and written, and whether it is there. */
  beside?: { read: string; write: string; of: RegExp; isThere(text: string): boolean };
}

const roleIn = (store: Store) => {
  const role = store.account('111122223333').roles.get('replikey-acme-tax');
  if (!role) throw new Error('there is no role');
  return role;
};

const bucketIn = (store: Store, name: string) => {
  const bucket = store.bucket(name);
  if (!bucket) throw new Error('there is no bucket');
  return bucket;
};

const THEIR_RULE = {
  ID: 'theirs-too',
  Priority: 99,
  Status: 'Enabled' as const,
  Filter: { Prefix: 'TheirsToo/' },
  DeleteMarkerReplication: { Status: 'Disabled' as const },
  Destination: { Bucket: 'arn:aws:s3:::theirs' },
};

const MOVES: readonly Move[] = [
  {
    name: 'adds a replication rule',
    act: (store) => void bucketIn(store, 'acme-tax').replication?.Rules?.push(THEIR_RULE),
    beside: {
      read: 'GetBucketReplication',
      write: 'PutBucketReplication',
      of: /^acme-tax$/,
      isThere: (text) => text.includes('theirs-too'),
    },
  },
  {
    name: 'adds a statement to the policy of a key',
    act(store) {
      for (const key of store.account('111122223333').keys.values()) {
        if (key.region !== 'us-east-1') continue;
        const policy = JSON.parse(key.policy) as { Statement: object[] };
        policy.Statement.push({ ...foreignStatement('*', 'kms:DescribeKey'), Sid: 'TheirsToo' });
        key.policy = JSON.stringify(policy);
      }
    },
    beside: {
      read: 'GetKeyPolicy',
      write: 'PutKeyPolicy',
      of: /us-east-1/,
      isThere: (text) => text.includes('TheirsToo'),
    },
  },
  {
    name: 'adds a tag and a policy to the role',
    act(store) {
      roleIn(store).tags.set('theirs-too', 'yes');
      roleIn(store).inline.set('theirs-too', '{"Version":"2012-10-17","Statement":[]}');
    },
  },
  {
    name: 'suspends versioning',
    act(store) {
      bucketIn(store, 'acme-tax-replica').versioning = { Status: 'Suspended' };
    },
  },
  { name: 'deletes the policy of the role', act: (store) => void roleIn(store).inline.delete('replikey') },
  {
    name: 'deletes the replication configuration',
    act: (store) => void delete bucketIn(store, 'acme-tax').replication,
  },
];

/**
 * What others add to a document may be lost where no reading comes between that and our write of it: AWS takes the whole,
 * on no condition. A write that was sent before may be carried out after.
 */
const mayBeLost = (
  { read, write, of }: NonNullable<Move['beside']>,
  { calls }: RunResult,
  at: number,
): boolean => {
  const isOf = (call: Call, operation: string) => call.operation === operation && of.test(call.resource);
  const written = calls.findLastIndex((call) => isOf(call, write));
  const between = calls.slice(Math.min(at, written), Math.max(at, written));
  return written >= 0 && !between.some((call) => isOf(call, read));
};

describe('a second actor who acts when the plan is made', () => {
  const besides = MOVES.filter(({ beside }) => beside);

  test.each(besides)('$name, and does not lose it', async ({ act, beside }) => {
    await using harness = await createHarness(CHANGE);
    harness.reset();
    const ran = await harness.runOnce({ pass: { onPlan: () => act(harness.sandbox.store) } });
    expect(beside?.isThere(JSON.stringify(readState(harness.sandbox)))).toBe(true);
    expect(ran.exitCode).toBe(EXIT.failed);
    expect(ran.output).toMatch(/another caller changed it since it was read; nothing was written/);
    const { recovery: next, afterRecovery: healed, dryRun: last } = await harness.recover();
    expect(next.exitCode).toBe(EXIT.ok);
    expect(beside?.isThere(JSON.stringify(healed))).toBe(true);
    expect(last.outcome?.plan.waves).toEqual([]);
  });
});

describe('a second actor who makes, when the plan is made, what was not there', () => {
  test('a replication configuration, and does not lose it', async () => {
    await using harness = await createHarness(CHANGE);
    harness.reset();
    const bucket = bucketIn(harness.sandbox.store, 'acme-tax');
    const role = bucket.replication?.Role ?? '';
    delete bucket.replication;
    const onPlan = () => Object.assign(bucket, { replication: { Role: role, Rules: [THEIR_RULE] } });
    const ran = await harness.runOnce({ pass: { onPlan } });
    expect(ran.exitCode).toBe(EXIT.failed);
    expect(ran.output).toMatch(/failed s3\.replication\/acme-tax another caller changed it/);
    expect(bucket.replication).toEqual({ Role: role, Rules: [THEIR_RULE] });
    const { recovery: next, afterRecovery: healed, dryRun: last } = await harness.recover();
    expect(next.exitCode, next.output).toBe(EXIT.ok);
    expect(JSON.stringify(healed)).toContain('theirs-too');
    expect(last.outcome?.plan.waves).toEqual([]);
  });

  test('a policy of a bucket in another account, and does not lose it', async () => {
    await using env = await testEnv(ACCOUNT_SPECS + CROSS_ACCOUNT_SPEC);
    const { store } = env.sandbox;
    await env.reconcile();
    const bucket = bucketIn(store, 'acme-tax-replica');
    delete bucket.policy;
    const theirs = JSON.stringify({
      Version: '2012-10-17',
      Statement: [foreignStatement('arn:aws:s3:::acme-tax-replica/*', 's3:GetObject')],
    });
    const { results } = await env.reconcile({
      onPlan: () => void Object.assign(bucket, { policy: theirs }),
    });
    expect(results).toContainEqual(
      expect.objectContaining({ id: 's3.bucket-policy/acme-tax-replica', result: 'failed' }),
    );
    expect(bucket.policy).toBe(theirs);
    await env.reconcile();
    expect(bucket.policy).toContain('"Sid":"Theirs"');
    expect((await env.reconcile()).plan.waves).toEqual([]);
  });
});

describe('a second actor between the calls of a run', () => {
  let harness: FaultHarness;
  beforeAll(async () => {
    harness = await createHarness(CHANGE);
  });
  afterAll(() => harness[Symbol.asyncDispose]());

  test.each(MOVES)('$name, and the run after it converges', { timeout: 600_000 }, async ({ act, beside }) => {
    const every = harness.calls.map((_, at) => at);
    const some = SAMPLING.isAll ? every : shuffle(every, SAMPLING.seed).slice(0, 2);
    const wrong: string[] = [];
    for (const at of some) {
      harness.reset();
      let n = 0;
      const ran = await harness.runOnce({ onCall: () => n++ === at && act(harness.sandbox.store) });
      const state = JSON.stringify(readState(harness.sandbox));
      const { recovery: next, dryRun: last } = await harness.recover();
      const call = ran.calls[at];
      const name = `before call ${at + 1}, ${call?.operation} of ${call?.resource}`;
      if (ran.error !== undefined || STACK_TRACE_LINE.test(ran.output))
        wrong.push(`${name}: it crashed: ${ran.output}`);
      if (beside && !beside.isThere(state) && !mayBeLost(beside, ran, at)) wrong.push(`${name}: it is lost`);
      if (next.exitCode !== 0) wrong.push(`${name}: the next run failed: ${next.output}`);
      if (last.outcome?.plan.waves.length !== 0) wrong.push(`${name}: a run after that plans something`);
    }
    expect(wrong, `FAULTS_SEED=${SAMPLING.seed}`).toEqual([]);
  });
});
