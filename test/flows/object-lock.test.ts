import {
  CreateBucketCommand,
  GetObjectLockConfigurationCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectLockConfigurationCommand,
} from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import type { Outcome } from '../../src/reconcile/pass.ts';
import { versionOf } from '../sandbox/support.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

/**
 * Object Lock that specs declare. Facts: S3 User Guide, "Locking objects with Object Lock" and "Object Lock
 * considerations": Object Lock can be enabled on an existing bucket with versioning, it cannot be disabled, and versioning
 * can never be suspended afterwards. "Requirements for live replication": from a bucket with Object Lock, S3 replicates
 * only to a bucket with Object Lock.
 */

const EAST = { region: 'us-east-1' };
const WEST = { region: 'us-west-2' };
const DAYS_30 = '{ mode: Governance, days: 30 }';

/** Returns the spec with Object Lock on its sides. */
const lockedSpec = ({ source, destination }: { source?: string; destination?: string }, yaml = TAX_SPEC) =>
  yaml
    .replace('alias/acme-tax }', source ? `alias/acme-tax, objectLock: ${source} }` : 'alias/acme-tax }')
    .replace(
      'alias/acme-tax-replica }',
      destination ? `alias/acme-tax-replica, objectLock: ${destination} }` : 'alias/acme-tax-replica }',
    );

const lockOf = async ({ client }: TestEnv, bucket: string) =>
  (
    await client.send(
      bucket === 'acme-tax' ? EAST : WEST,
      new GetObjectLockConfigurationCommand({ Bucket: bucket }),
    )
  ).ObjectLockConfiguration;

const failuresOf = ({ results }: Outcome) => results.filter(({ result }) => result !== 'applied');
const writes = ({ sandbox }: TestEnv) =>
  sandbox.log.entries.filter(({ write }) => write).map(({ operation }) => operation);

const setRetention = ({ client }: TestEnv, Mode: 'GOVERNANCE' | 'COMPLIANCE', Days: number) =>
  client.send(
    WEST,
    new PutObjectLockConfigurationCommand({
      Bucket: 'acme-tax-replica',
      ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled', Rule: { DefaultRetention: { Mode, Days } } },
    }),
  );

describe('new buckets', () => {
  test('a locked destination: is created with Object Lock, and its replicas take the default retention', async () => {
    await using env = await testEnv(lockedSpec({ destination: DAYS_30 }));
    const outcome = await env.reconcile();
    expect([outcome.refusals, failuresOf(outcome), outcome.remaining?.waves]).toEqual([[], [], []]);
    expect(await lockOf(env, 'acme-tax-replica')).toEqual({
      ObjectLockEnabled: 'Enabled',
      Rule: { DefaultRetention: { Mode: 'GOVERNANCE', Days: 30 } },
    });
    await env.client.send(EAST, new PutObjectCommand({ Bucket: 'acme-tax', Key: 'Tax/a', Body: 'x' }));
    await env.sandbox.waitForReplication();
    expect(versionOf(env.sandbox, 'acme-tax', 'Tax/a')?.replication?.status).toBe('COMPLETED');
    expect(versionOf(env.sandbox, 'acme-tax-replica', 'Tax/a')?.retention?.mode).toBe('GOVERNANCE');
    expect((await env.reconcile()).plan.waves).toEqual([]);
  });

  test('locked on both sides: replicates objects with their own retention', async () => {
    await using env = await testEnv(lockedSpec({ source: '{}', destination: '{}' }));
    expect(failuresOf(await env.reconcile())).toEqual([]);
    expect(await lockOf(env, 'acme-tax')).toEqual({ ObjectLockEnabled: 'Enabled' });
    await env.client.send(
      EAST,
      new PutObjectCommand({
        Bucket: 'acme-tax',
        Key: 'Tax/a',
        Body: 'x',
        ObjectLockMode: 'GOVERNANCE',
        ObjectLockRetainUntilDate: new Date('2099-01-01'),
      }),
    );
    await env.sandbox.waitForReplication();
    expect(versionOf(env.sandbox, 'acme-tax-replica', 'Tax/a')?.retention).toEqual({
      mode: 'GOVERNANCE',
      until: Date.UTC(2099, 0, 1),
    });
    expect((await env.reconcile()).plan.waves).toEqual([]);
  });

  test('Compliance: is the risk lock-compliance, also for a new bucket', async () => {
    const yaml = lockedSpec({ destination: '{ mode: Compliance, years: 1 }' });
    await using env = await testEnv(yaml);
    const refused = await env.reconcile();
    expect(refused.refusals).toMatchObject([
      { id: 'lock-compliance', step: 's3.object-lock/acme-tax-replica' },
    ]);
    expect(writes(env)).toEqual([]);
    const allowed = await env.reconcile({ allowedRisks: ['lock-compliance'] });
    expect([allowed.refusals, failuresOf(allowed), allowed.remaining?.waves]).toEqual([[], [], []]);
    expect((await env.reconcile()).plan.waves).toEqual([]);
  });

  test('two-way pair: locks both sides', async () => {
    const yaml = lockedSpec({ source: '{}', destination: '{}' }).replace('spec:', 'spec:\n  direction: both');
    await using env = await testEnv(yaml);
    const outcome = await env.reconcile();
    expect([outcome.refusals, failuresOf(outcome), outcome.remaining?.waves]).toEqual([[], [], []]);
    for (const [location, bucket, replica] of [
      [EAST, 'acme-tax', 'acme-tax-replica'],
      [WEST, 'acme-tax-replica', 'acme-tax'],
    ] as const) {
      await env.client.send(
        location,
        new PutObjectCommand({ Bucket: bucket, Key: `Tax/${bucket}`, Body: 'x' }),
      );
      await env.sandbox.waitForReplication();
      expect(versionOf(env.sandbox, replica, `Tax/${bucket}`)?.replication?.status).toBe('REPLICA');
    }
  });

  test('killed after CreateBucket: the next run sets the default retention without a risk', async () => {
    const env: TestEnv = await testEnv(lockedSpec({ destination: DAYS_30 }));
    await using _ = env;
    env.sandbox.faultSettings.faults = [
      {
        match: 'PutObjectLockConfiguration',
        nth: 1,
        times: 100,
        what: { status: 403, code: 'AccessDenied' },
      },
    ];
    await env.reconcile();
    env.sandbox.faultSettings.faults = [];
    expect(await lockOf(env, 'acme-tax-replica')).toEqual({ ObjectLockEnabled: 'Enabled' });
    const outcome = await env.reconcile();
    expect([outcome.refusals, failuresOf(outcome), outcome.remaining?.waves]).toEqual([[], [], []]);
    expect((await lockOf(env, 'acme-tax-replica'))?.Rule?.DefaultRetention).toEqual({
      Mode: 'GOVERNANCE',
      Days: 30,
    });
  });
});

describe('existing buckets', () => {
  test('enabling Object Lock: is the risk lock-bucket, and loses no object', async () => {
    const statuses: (string | undefined)[] = [];
    const env: TestEnv = await testEnv(TAX_SPEC, {
      async onCall({ operation, n }, phase) {
        if (operation !== 'PutObjectLockConfiguration') return;
        const Key = `Tax/${n}-${phase}`;
        await env.client.send(EAST, new PutObjectCommand({ Bucket: 'acme-tax', Key, Body: 'x' }));
        await env.sandbox.waitForReplication();
        statuses.push(versionOf(env.sandbox, 'acme-tax', Key)?.replication?.status);
      },
    });
    await using _ = env;
    await env.reconcile();
    const yaml = lockedSpec({ source: '{}', destination: DAYS_30 });
    const refused = await env.reconcileWith(yaml);
    expect(refused.refusals.map(({ id, step }) => [id, step])).toEqual([
      ['lock-bucket', 's3.object-lock/acme-tax-replica'],
      ['lock-bucket', 's3.object-lock/acme-tax'],
    ]);
    env.sandbox.log.reset();
    const outcome = await env.reconcileWith(yaml, { allowedRisks: ['lock-bucket'] });
    expect([outcome.refusals, failuresOf(outcome), outcome.remaining?.waves]).toEqual([[], [], []]);
    expect(
      env.sandbox.log.entries
        .filter(({ operation }) => operation === 'PutObjectLockConfiguration')
        .map(({ region }) => region),
    ).toEqual(['us-west-2', 'us-east-1']);
    expect(new Set(statuses)).toEqual(new Set(['COMPLETED']));
    await expect(
      env.client.send(
        WEST,
        new PutBucketVersioningCommand({
          Bucket: 'acme-tax-replica',
          VersioningConfiguration: { Status: 'Suspended' },
        }),
      ),
    ).rejects.toThrow('An Object Lock configuration is present on this bucket');
  });

  test('a two-way pair that replicates: objects between the two writes are a risk', async () => {
    const yaml = TAX_SPEC.replace('spec:', 'spec:\n  direction: both');
    await using env = await testEnv(yaml);
    await env.reconcile();
    const { refusals } = await env.reconcileWith(lockedSpec({ source: '{}', destination: '{}' }, yaml), {
      allowedRisks: ['lock-bucket'],
    });
    expect(refusals).toMatchObject([{ id: 'lose-in-flight', message: expect.stringContaining('RK1106') }]);
  });

  test.each([
    ['Compliance', 'COMPLIANCE for 1 day, which no one can shorten'],
    ['Governance', 'GOVERNANCE for 1 day; allow it with --allow canary-retained'],
  ])('canary first with a declared default retention in %s mode: is refused', async (mode, reason) => {
    await using env = await testEnv();
    await env.reconcile();
    const yaml = lockedSpec({ destination: `{ mode: ${mode}, days: 1 }` })
      .replace('  rules:', '  rollout: canary\n  rules:')
      .replace('Tax/', 'Taxes/');
    const outcome = await env.reconcileWith(yaml, { allowedRisks: ['lock-bucket', 'lock-compliance'] });
    expect(outcome.refusals).toEqual([]);
    expect(failuresOf(outcome).map(({ id }) => id)).toEqual(['s3.replication/acme-tax']);
    expect(JSON.stringify(failuresOf(outcome))).toContain(
      `acme-tax-replica retains each new version: ${reason}`,
    );
  });

  test('a locked source and a destination without Object Lock: the plan is unproven', async () => {
    await using env = await testEnv();
    await env.reconcile();
    env.sandbox.log.reset();
    const { refusals, plan } = await env.reconcileWith(lockedSpec({ source: '{}' }), {
      allowedRisks: ['lock-bucket'],
    });
    expect(refusals.map(({ message }) => message).join()).toContain('RK1106');
    expect(plan.waves.flat()).toHaveLength(1);
    expect(writes(env)).toEqual([]);
  });

  test('a foreign rule to a destination without Object Lock: locking the source is a risk for it', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await env.client.send(
      WEST,
      new CreateBucketCommand({
        Bucket: 'acme-other',
        CreateBucketConfiguration: { LocationConstraint: 'us-west-2' },
      }),
    );
    await env.client.send(
      WEST,
      new PutBucketVersioningCommand({
        Bucket: 'acme-other',
        VersioningConfiguration: { Status: 'Enabled' },
      }),
    );
    const source = env.sandbox.store.bucket('acme-tax');
    const [rule] = source?.replication?.Rules ?? [];
    source?.replication?.Rules?.push({
      ...rule,
      ID: 'foreign',
      Priority: 7,
      Status: 'Enabled',
      Filter: { Prefix: 'Other/' },
      Destination: { ...rule?.Destination, Bucket: 'arn:aws:s3:::acme-other' },
    } as never);
    const role = env.sandbox.store.account('111122223333').roles.get('replikey-acme-tax');
    role?.inline.set(
      'foreign',
      JSON.stringify({
        Version: '2012-10-17',
        Statement: {
          Effect: 'Allow',
          Action: ['s3:*', 'kms:*'],
          Resource: '*',
        },
      }),
    );
    const { refusals } = await env.reconcileWith(lockedSpec({ source: '{}', destination: '{}' }), {
      allowedRisks: ['lock-bucket'],
    });

    expect(refusals).toMatchObject([
      { id: 'stop-foreign-rules', subject: 'acme-tax/foreign', step: 's3.object-lock/acme-tax' },
    ]);
  });
});

describe('drift of the default retention', () => {
  test.each([
    ['a shorter period', 'GOVERNANCE', 10, ['/days']],
    ['a period that is one day shorter', 'GOVERNANCE', 29, ['/days']],
  ] as const)('%s: is reported and corrected', async (_, mode, days, paths) => {
    await using env = await testEnv(lockedSpec({ destination: DAYS_30 }));
    await env.reconcile();
    await setRetention(env, mode, days);
    const outcome = await env.reconcile();
    expect(outcome.plan.waves.flat().map(({ id, patch }) => [id, patch.map(({ path }) => path)])).toEqual([
      ['s3.object-lock/acme-tax-replica', paths],
    ]);
    expect(outcome.refusals).toEqual([]);
    expect((await lockOf(env, 'acme-tax-replica'))?.Rule?.DefaultRetention?.Days).toBe(30);
  });

  test.each([
    [
      DAYS_30,
      'GOVERNANCE',
      31,
      'Governance mode for 31 days, and the spec declares Governance mode for 30 days',
    ],
    [
      DAYS_30,
      'COMPLIANCE',
      1,
      'Compliance mode for 1 day, and the spec declares Governance mode for 30 days',
    ],
    [
      '{ mode: Compliance, days: 1 }',
      'GOVERNANCE',
      2,
      'Governance mode for 2 days, and the spec declares Compliance mode for 1 day',
    ],
    ['{}', 'GOVERNANCE', 1, 'Governance mode for 1 day, and the spec declares no default retention'],
  ] as const)(
    '%s declared, %s for %i days in S3: blocked, and nothing is written',
    async (declared, mode, days, reason) => {
      await using env = await testEnv(lockedSpec({ destination: '{}' }));
      await env.reconcile();
      await setRetention(env, mode, days);
      env.sandbox.log.reset();
      const { plan } = await env.reconcileWith(lockedSpec({ destination: declared }), {
        allowedRisks: ['lock-compliance'],
      });
      const name = mode === 'GOVERNANCE' ? 'Governance' : 'Compliance';
      expect(plan.blocked).toMatchObject([
        {
          id: 's3.object-lock/acme-tax-replica',
          why: `acme-tax-replica has a default retention of ${reason}; replikey never weakens a retention: declare objectLock: { mode: ${name}, days: ${days} }, or change the retention in S3`,
        },
      ]);
      expect(writes(env)).toEqual([]);
    },
  );

  test.each([
    ['{ mode: Governance, years: 1 }', 365, undefined],
    ['{ mode: Governance, years: 1 }', 366, 'blocked'],
    ['{ mode: Governance, days: 366 }', 365, undefined],
  ] as const)(
    '%s declared, %i days in S3: compares the shortest with the longest year',
    async (declared, days, blocked) => {
      await using env = await testEnv(lockedSpec({ destination: '{}' }));
      await env.reconcile();
      await setRetention(env, 'GOVERNANCE', days);
      const { plan } = await env.reconcileWith(lockedSpec({ destination: declared }), { dryRun: true });
      expect(plan.blocked.length > 0 ? 'blocked' : undefined).toBe(blocked);
    },
  );

  test('no objectLock declared: leaves the Object Lock of a bucket unchanged', async () => {
    await using env = await testEnv(lockedSpec({ destination: DAYS_30 }));
    await env.reconcile();
    expect((await env.reconcileWith(TAX_SPEC)).plan.waves).toEqual([]);
  });
});

describe('another caller writes between the plan and the write', () => {
  // S3 API Reference, CreateBucket: 409 BucketAlreadyOwnedByYou for a bucket that the caller owns.
  test('a run with older specs creates the bucket: it is not locked without --allow lock-bucket', async () => {
    const state: { env?: TestEnv } = {};
    await using env = await testEnv(TAX_SPEC, {
      async onCall({ operation, region }, phase) {
        const { env: olderRun } = state;
        if (!olderRun || phase !== 'before' || operation !== 'CreateBucket' || region !== 'us-west-2') return;
        delete state.env;
        await olderRun.reconcile();
      },
    });
    state.env = env;
    const yaml = lockedSpec({ destination: DAYS_30 });
    expect(failuresOf(await env.reconcileWith(yaml))).toMatchObject([
      {
        id: 's3.object-lock/acme-tax-replica',
        result: 'failed',
        why: expect.stringMatching(
          /another caller changed it since it was read: enables Object Lock on the existing bucket acme-tax-replica.*review the plan/,
        ),
      },
      { id: 's3.replication/acme-tax', result: 'skipped' },
    ]);
    await expect(lockOf(env, 'acme-tax-replica')).rejects.toThrow('does not exist for this bucket');
    const { refusals } = await env.reconcileWith(yaml);
    expect(refusals).toMatchObject([{ id: 'lock-bucket', step: 's3.object-lock/acme-tax-replica' }]);
  });

  // S3 User Guide, "Amazon S3 data consistency model": bucket configurations have an eventual consistency model.
  test('a read that does not show the Object Lock of a new bucket yet: is repeated', async () => {
    const env: TestEnv = await testEnv(lockedSpec({ destination: DAYS_30 }));
    await using _ = env;
    const what = { status: 404, code: 'ObjectLockConfigurationNotFoundError' };
    env.sandbox.faultSettings.faults = [{ match: 'GetObjectLockConfiguration', nth: 2, times: 1, what }];
    expect(failuresOf(await env.reconcile())).toEqual([]);
    expect((await lockOf(env, 'acme-tax-replica'))?.Rule?.DefaultRetention?.Days).toBe(30);
  });

  // S3 API Reference, PutObjectLockConfiguration: the write replaces the default retention, and S3 accepts a shorter one.
  test.each([
    ['longer', 'failed', { Mode: 'COMPLIANCE', Days: 365 }],
    ['as declared', undefined, { Mode: 'GOVERNANCE', Days: 30 }],
  ] as const)(
    'a default retention becomes %s: replikey does not replace it',
    async (_, result, retention) => {
      await using env = await testEnv(lockedSpec({ destination: '{}' }));
      await env.reconcile();
      env.sandbox.log.reset();
      const outcome = await env.reconcileWith(lockedSpec({ destination: DAYS_30 }), {
        onPlan: () => {
          const bucket = env.sandbox.store.bucket('acme-tax-replica');
          if (bucket) bucket.defaultRetention = retention;
        },
      });
      expect(failuresOf(outcome)[0]?.result).toBe(result);
      expect(writes(env)).toEqual([]);
      expect((await lockOf(env, 'acme-tax-replica'))?.Rule?.DefaultRetention).toEqual(retention);
    },
  );
});
