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

/** A change by another caller to the same resources. */
interface ForeignChange {
  name: string;
  act(store: Store): void;
  /** For an addition to a document that replikey writes as a whole: its operations, and a check of the state. */
  addition?: { read: string; write: string; of: RegExp; isPresent(state: string): boolean };
}

const roleIn = (store: Store) => {
  const role = store.account('111122223333').roles.get('replikey-acme-tax');
  if (!role) throw new Error('the role does not exist');
  return role;
};

const bucketIn = (store: Store, name: string) => {
  const bucket = store.bucket(name);
  if (!bucket) throw new Error('the bucket does not exist');
  return bucket;
};

const FOREIGN_RULE = {
  ID: 'foreign-addition',
  Priority: 99,
  Status: 'Enabled' as const,
  Filter: { Prefix: 'ForeignAddition/' },
  DeleteMarkerReplication: { Status: 'Disabled' as const },
  Destination: { Bucket: 'arn:aws:s3:::foreign' },
};

const FOREIGN_CHANGES: readonly ForeignChange[] = [
  {
    name: 'adds a replication rule',
    act: (store) => void bucketIn(store, 'acme-tax').replication?.Rules?.push(FOREIGN_RULE),
    addition: {
      read: 'GetBucketReplication',
      write: 'PutBucketReplication',
      of: /^acme-tax$/,
      isPresent: (state) => state.includes('foreign-addition'),
    },
  },
  {
    name: 'adds a statement to the policy of a key',
    act(store) {
      for (const key of store.account('111122223333').keys.values()) {
        if (key.region !== 'us-east-1') continue;
        const policy = JSON.parse(key.policy) as { Statement: object[] };
        policy.Statement.push({ ...foreignStatement('*', 'kms:DescribeKey'), Sid: 'ForeignAddition' });
        key.policy = JSON.stringify(policy);
      }
    },
    addition: {
      read: 'GetKeyPolicy',
      write: 'PutKeyPolicy',
      of: /us-east-1/,
      isPresent: (state) => state.includes('ForeignAddition'),
    },
  },
  {
    name: 'adds a tag and a policy to the role',
    act(store) {
      roleIn(store).tags.set('foreign-addition', 'yes');
      roleIn(store).inline.set('foreign-addition', '{"Version":"2012-10-17","Statement":[]}');
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
 * Whether an addition may be lost: replikey did not read the document between the addition and its own write. AWS
 * replaces the whole document without a condition, and may execute a write later than it was sent.
 */
const mayBeLost = (
  { read, write, of }: NonNullable<ForeignChange['addition']>,
  { calls }: RunResult,
  at: number,
): boolean => {
  const isOf = (call: Call, operation: string) => call.operation === operation && of.test(call.resource);
  const lastWrite = calls.findLastIndex((call) => isOf(call, write));
  const between = calls.slice(Math.min(at, lastWrite), Math.max(at, lastWrite));
  return lastWrite >= 0 && !between.some((call) => isOf(call, read));
};

describe('another caller changes a document after the plan', () => {
  const additions = FOREIGN_CHANGES.filter(({ addition }) => addition);

  test.each(additions)('$name: the addition is kept', async ({ act, addition }) => {
    await using harness = await createHarness(CHANGE);
    harness.reset();
    const disturbedRun = await harness.runOnce({ pass: { onPlan: () => act(harness.sandbox.store) } });
    expect(addition?.isPresent(JSON.stringify(readState(harness.sandbox)))).toBe(true);
    expect(disturbedRun.exitCode).toBe(EXIT.failed);
    expect(disturbedRun.output).toMatch(/another caller changed it since it was read; nothing was written/);
    const { recovery: next, afterRecovery, dryRun: last } = await harness.recover();
    expect(next.exitCode).toBe(EXIT.ok);
    expect(addition?.isPresent(JSON.stringify(afterRecovery))).toBe(true);
    expect(last.outcome?.plan.waves).toEqual([]);
  });
});

describe('another caller creates a document after the plan', () => {
  test('replication configuration: it is kept', async () => {
    await using harness = await createHarness(CHANGE);
    harness.reset();
    const bucket = bucketIn(harness.sandbox.store, 'acme-tax');
    const role = bucket.replication?.Role ?? '';
    delete bucket.replication;
    const onPlan = () => Object.assign(bucket, { replication: { Role: role, Rules: [FOREIGN_RULE] } });
    const disturbedRun = await harness.runOnce({ pass: { onPlan } });
    expect(disturbedRun.exitCode).toBe(EXIT.failed);
    expect(disturbedRun.output).toMatch(/failed s3\.replication\/acme-tax another caller changed it/);
    expect(bucket.replication).toEqual({ Role: role, Rules: [FOREIGN_RULE] });
    const { recovery: next, afterRecovery, dryRun: last } = await harness.recover();
    expect(next.exitCode, next.output).toBe(EXIT.ok);
    expect(JSON.stringify(afterRecovery)).toContain('foreign-addition');
    expect(last.outcome?.plan.waves).toEqual([]);
  });

  test('bucket policy in another account: it is kept', async () => {
    await using env = await testEnv(ACCOUNT_SPECS + CROSS_ACCOUNT_SPEC);
    const { store } = env.sandbox;
    await env.reconcile();
    const bucket = bucketIn(store, 'acme-tax-replica');
    delete bucket.policy;
    const foreignPolicy = JSON.stringify({
      Version: '2012-10-17',
      Statement: [foreignStatement('arn:aws:s3:::acme-tax-replica/*', 's3:GetObject')],
    });
    const { results } = await env.reconcile({
      onPlan: () => void Object.assign(bucket, { policy: foreignPolicy }),
    });
    expect(results).toContainEqual(
      expect.objectContaining({ id: 's3.bucket-policy/acme-tax-replica', result: 'failed' }),
    );
    expect(bucket.policy).toBe(foreignPolicy);
    await env.reconcile();
    expect(bucket.policy).toContain('"Sid":"Foreign"');
    expect((await env.reconcile()).plan.waves).toEqual([]);
  });
});

describe('another caller acts between two calls of a run', () => {
  let harness: FaultHarness;
  beforeAll(async () => {
    harness = await createHarness(CHANGE);
  });
  afterAll(() => harness[Symbol.asyncDispose]());

  test.each(FOREIGN_CHANGES)(
    '$name: the next run converges',
    { timeout: 600_000 },
    async ({ act, addition }) => {
      const allCalls = harness.calls.map((_, at) => at);
      const sample = SAMPLING.isAll ? allCalls : shuffle(allCalls, SAMPLING.seed).slice(0, 2);
      const violations: string[] = [];
      for (const at of sample) {
        harness.reset();
        let n = 0;
        const disturbedRun = await harness.runOnce({
          onCall: () => n++ === at && act(harness.sandbox.store),
        });
        const state = JSON.stringify(readState(harness.sandbox));
        const { recovery: next, dryRun: last } = await harness.recover();
        const call = disturbedRun.calls[at];
        const name = `before call ${at + 1}, ${call?.operation} of ${call?.resource}`;
        if (disturbedRun.error !== undefined || STACK_TRACE_LINE.test(disturbedRun.output))
          violations.push(`${name}: the run crashed: ${disturbedRun.output}`);
        if (addition && !addition.isPresent(state) && !mayBeLost(addition, disturbedRun, at))
          violations.push(`${name}: the addition is lost`);
        if (next.exitCode !== 0) violations.push(`${name}: the next run failed: ${next.output}`);
        if (last.outcome?.plan.waves.length !== 0)
          violations.push(`${name}: the dry run after the recovery plans changes`);
      }
      expect(violations, `FAULTS_SEED=${SAMPLING.seed}`).toEqual([]);
    },
  );
});
