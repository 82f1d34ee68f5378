import { PutBucketReplicationCommand, PutObjectCommand, type ReplicationRule } from '@aws-sdk/client-s3';
import { expect, test, vi } from 'vitest';
import type { PassOptions } from '../../src/reconcile/pass.ts';
import { versionOf } from '../sandbox/support.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

const CANARY = `${TAX_SPEC}  rollout: canary\n`;
const MOVED = CANARY.replace('bucket: acme-tax-replica', 'bucket: acme-tax-moved');
const OTHER_KEY = CANARY.replace('key: alias/acme-tax-replica', 'key: alias/acme-tax-moved');
const TWO_RULES = `${CANARY.replace('  rollout: canary\n', '')}    - prefix: Audit/\n  rollout: canary\n`;
const REGION = { region: 'us-east-1' };
const FAST: Partial<PassOptions> = { propagationTimeoutMs: 400 };
const CANARY_ID = /^replikey\/tax\/[a-z-]+\/canary-\d{12}-[0-9a-f]{6}$/;

/** Records the rules of acme-tax after each write of its replication configuration. */
async function envWithHistory(yaml = CANARY, clock = () => Date.now()) {
  const history: ReplicationRule[][] = [];
  const hooks: { beforeRules?: () => void } = {};
  const env: TestEnv = await testEnv(yaml, {
    clock,
    onCall({ operation }, moment) {
      if (moment === 'before' && operation === 'PutBucketReplication') hooks.beforeRules?.();
      if (moment === 'after' && operation === 'PutBucketReplication')
        history.push(structuredClone(rulesOf(env)));
    },
  });
  await env.reconcile();
  history.length = 0;
  return { env, history, hooks };
}

const rulesOf = ({ sandbox }: TestEnv): ReplicationRule[] =>
  sandbox.store.bucket('acme-tax')?.replication?.Rules ?? [];
const destinations = (rules: ReplicationRule[]) =>
  rules.map(({ Destination }) => Destination?.Bucket?.split(':::')[1]);
const isTemporary = ({ ID = '' }: ReplicationRule) => CANARY_ID.test(ID);

/** The versions of canaries that any bucket still contains. */
const canariesIn = ({ sandbox }: TestEnv): string[] =>
  [...sandbox.store.buckets()].flatMap(({ name, objects }) =>
    [...objects].flatMap(([key, versions]) =>
      key.includes('.replikey-canary/') && versions.length > 0 ? [`${name}/${key}`] : [],
    ),
  );
const failuresOf = ({ results }: Awaited<ReturnType<TestEnv['reconcile']>>) =>
  results.filter(({ result }) => result !== 'applied').map(({ why = '' }) => why);

test.each([
  ['another destination', MOVED, 'acme-tax-moved'],
  ['another replica key', OTHER_KEY, 'acme-tax-replica'],
])('canary first: %s is tested under a temporary rule before the rule changes', async (_, yaml, bucket) => {
  const { env, history } = await envWithHistory();
  await using _env = env;
  const before = rulesOf(env)[0];
  const outcome = await env.reconcileWith(yaml);
  expect([failuresOf(outcome), outcome.remaining?.waves]).toEqual([[], []]);
  expect(history).toHaveLength(2);
  const [[existing, temporary] = [], after = []] = history;
  expect(existing).toEqual(before);
  expect(temporary).toMatchObject({
    ID: expect.stringMatching(CANARY_ID),
    Priority: 2_147_483_647,
    Filter: { Prefix: expect.stringMatching(/^Tax\/\.replikey-canary\/[0-9a-f]{6}-$/) },
  });
  expect(temporary?.Destination).toEqual(after[0]?.Destination);
  expect([after.map(isTemporary), destinations(after)]).toEqual([[false], [bucket]]);
  expect(after[0]?.Priority).toBe(before?.Priority);
  expect(canariesIn(env)).toEqual([]);
});

test('canary first: writes a canary with and one without a Bucket Key, and then no other object fails', async () => {
  const { env } = await envWithHistory();
  await using _ = env;
  const puts = () => env.sandbox.log.counts()['s3:PutObject'] ?? 0;
  await env.reconcileWith(MOVED);
  expect(puts()).toBe(2);
  await env.client.send(REGION, new PutObjectCommand({ Bucket: 'acme-tax', Key: 'Tax/1', Body: 'x' }));
  await env.sandbox.waitForReplication();
  const replica = env.sandbox.store.bucket('acme-tax-moved')?.objects.get('Tax/1');
  expect(replica?.[0]?.replication?.status).toBe('REPLICA');
});

// AWS, PutBucketVersioning: 404 NoSuchKey for up to 15 minutes after versioning was first enabled.
test('canary first: a 404 of the written canary counts as pending, and no other canary is written', async () => {
  const { env } = await envWithHistory();
  await using _ = env;
  env.sandbox.log.reset();
  env.sandbox.faultSettings.faults = [
    { match: 'HeadObject', nth: 1, times: 4, what: { status: 404, code: 'NoSuchKey' } },
  ];
  expect(failuresOf(await env.reconcileWith(MOVED))).toEqual([]);
  expect(env.sandbox.log.counts()['s3:PutObject']).toBe(2);
  expect(canariesIn(env)).toEqual([]);
});

test('canary first: a new rule is tested, and the other rule is not', async () => {
  const { env, history } = await envWithHistory();
  await using _ = env;
  const outcome = await env.reconcileWith(TWO_RULES);
  expect(failuresOf(outcome)).toEqual([]);
  expect(
    history.map((rules) => rules.filter(isTemporary).map(({ Filter }) => Filter?.Prefix?.slice(0, 6))),
  ).toEqual([['Audit/'], []]);
  expect(rulesOf(env)).toHaveLength(2);
});

test('canary first: a rule without a name is tested when its prefix changes, and keeps its id', async () => {
  const { env, history } = await envWithHistory();
  await using _ = env;
  const outcome = await env.reconcileWith(CANARY.replace('prefix: Tax/', 'prefix: Audit/'));
  expect(failuresOf(outcome)).toEqual([]);
  expect(history.map((rules) => rules.map(({ Filter }) => Filter?.Prefix?.slice(0, 24)))).toEqual([
    ['Tax/', 'Audit/.replikey-canary/'].map((prefix) => expect.stringContaining(prefix)),
    ['Audit/'],
  ]);
  expect(rulesOf(env).map(({ ID }) => ID)).toEqual(['replikey/tax/tax']);
});

test('canary first: without the setting no temporary rule is written, and --canary-first writes one', async () => {
  const { env, history } = await envWithHistory(TAX_SPEC);
  await using _ = env;
  const moved = MOVED.replace('  rollout: canary\n', '');
  await env.reconcileWith(moved);
  expect(history.map((rules) => rules.length)).toEqual([1]);
  await env.reconcileWith(TAX_SPEC, { canaryFirst: true });
  expect(history.map((rules) => rules.length)).toEqual([1, 2, 1]);
});

test('canary first: a changed metric is not tested', async () => {
  const { env, history } = await envWithHistory();
  await using _ = env;
  await env.reconcileWith(CANARY.replace('- prefix: Tax/\n', '- prefix: Tax/\n      metrics: false\n'));
  expect(history.map((rules) => rules.length)).toEqual([1]);
});

test('canary first: a failed canary leaves the rule unchanged, and the doctor names the cause', async () => {
  const { env, history, hooks } = await envWithHistory();
  await using _ = env;
  const before = rulesOf(env);
  // A person denies the role at the new destination after the proof.
  const deny = {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Deny',
        Principal: '*',
        Action: 's3:ReplicateObject',
        Resource: 'arn:aws:s3:::acme-tax-moved/*',
      },
    ],
  };
  hooks.beforeRules = () => {
    const bucket = env.sandbox.store.bucket('acme-tax-moved');
    if (bucket) bucket.policy = JSON.stringify(deny);
  };
  const outcome = await env.reconcileWith(MOVED, FAST);
  expect(failuresOf(outcome).join()).toMatch(
    /the canary failed, so no rule was changed: replikey\/tax\/tax: S3 failed to replicate the canary \(FAILED\); RK\d{4} /,
  );
  expect(rulesOf(env)).toEqual(before);
  expect(history.map((rules) => rules.some(isTemporary))).toEqual([true, false]);
  expect(canariesIn(env)).toEqual([]);
});

test('canary first: a first rule that fails leaves no replication configuration', async () => {
  const { env, hooks } = await envWithHistory();
  await using _ = env;
  delete env.sandbox.store.bucket('acme-tax')?.replication;
  const key = [...env.sandbox.store.account('111122223333').keys.values()].find(
    ({ region }) => region === 'us-west-2',
  );
  hooks.beforeRules = () => {
    if (key) key.state = 'Disabled';
  };
  const outcome = await env.reconcile(FAST);
  expect(failuresOf(outcome).join()).toContain('the canary failed');
  expect(env.sandbox.store.bucket('acme-tax')?.replication).toBeUndefined();
});

test('canary first: canaries fail until S3 uses the changed policy, and no other object does', async () => {
  const time = { nowMs: Date.UTC(2026, 10, 30, 10, 0, 10) };
  const { env, history } = await envWithHistory(CANARY, () => time.nowMs);
  await using _ = env;
  env.sandbox.faultSettings.policyPropagationMs = 40_000;
  const puts = () => env.sandbox.log.counts()['s3:PutObject'] ?? 0;
  const run = env.reconcileWith(MOVED);
  await vi.waitFor(() => expect(puts()).toBeGreaterThan(4), { timeout: 20_000 });
  expect(history.map((rules) => rules.some(isTemporary))).toEqual([true]);
  await env.client.send(REGION, new PutObjectCommand({ Bucket: 'acme-tax', Key: 'Tax/during', Body: 'x' }));
  time.nowMs += 40_000;
  expect(failuresOf(await run)).toEqual([]);
  await env.client.send(REGION, new PutObjectCommand({ Bucket: 'acme-tax', Key: 'Tax/after', Body: 'x' }));
  await env.sandbox.waitForReplication();
  for (const key of ['Tax/during', 'Tax/after'])
    expect(versionOf(env.sandbox, 'acme-tax', key)?.replication?.status).toBe('COMPLETED');
  expect(canariesIn(env)).toEqual([]);
});

test('canary first: a denied switch removes the temporary rule and keeps the old rule', async () => {
  const { env } = await envWithHistory();
  await using _ = env;
  const before = rulesOf(env);
  const denied = { status: 403, code: 'AccessDenied', message: 'Access Denied' };
  env.sandbox.faultSettings.faults = [{ match: 'PutBucketReplication', nth: 2, times: 1, what: denied }];
  const outcome = await env.reconcileWith(MOVED);
  expect(failuresOf(outcome).join()).toContain('AccessDenied');
  expect(rulesOf(env)).toEqual(before);
});

test('canary first: the temporary rule of a killed run stays until its expiry, and a later run removes it', async () => {
  const time = { nowMs: Date.UTC(2026, 10, 30, 10, 0, 10) };
  const { env } = await envWithHistory(CANARY, () => time.nowMs);
  await using _ = env;
  const bucket = env.sandbox.store.bucket('acme-tax');
  const [rule] = rulesOf(env);
  const left = {
    ...rule,
    ID: 'replikey/tax/tax/canary-202611301020-3fa9c1',
    Priority: 2_147_483_647,
    Filter: { Prefix: 'Tax/.replikey-canary/3fa9c1-' },
  };
  const replication = { Role: bucket?.replication?.Role ?? '', Rules: [...rulesOf(env), left] };
  await env.client.send(
    REGION,
    new PutBucketReplicationCommand({ Bucket: 'acme-tax', ReplicationConfiguration: replication as never }),
  );
  const during = await env.reconcile();
  expect([during.plan.waves, during.plan.housekeeping, rulesOf(env).length]).toEqual([[], [], 2]);
  const edited = await env.reconcileWith(MOVED);
  expect(failuresOf(edited)).toEqual([]);
  expect(rulesOf(env).map(({ ID }) => ID)).toEqual(['replikey/tax/tax', left.ID]);
  time.nowMs += 21 * 60_000;
  const after = await env.reconcileWith(MOVED);
  expect([after.plan.waves, after.plan.housekeeping.map(({ action }) => action)]).toEqual([
    [],
    expect.arrayContaining(['expire']),
  ]);
  expect(rulesOf(env).map(({ ID }) => ID)).toEqual(['replikey/tax/tax']);
});

test('canary first: a changed role is not tested, because all rules use it', async () => {
  const { env, history } = await envWithHistory();
  await using _ = env;
  const outcome = await env.reconcileWith(`${CANARY}  role: { name: replikey-other }\n`);
  expect([outcome.refusals, failuresOf(outcome)]).toEqual([[], []]);
  expect(history.map((rules) => rules.some(isTemporary))).toEqual([false]);
});

test('canary first: a bucket with Compliance retention is refused with the reason, and the rule stays', async () => {
  const { env, history } = await envWithHistory();
  await using _ = env;
  const source = env.sandbox.store.bucket('acme-tax');
  const replica = env.sandbox.store.bucket('acme-tax-replica');
  if (!source || !replica) throw new Error('no buckets');
  source.objectLock = replica.objectLock = true;
  replica.defaultRetention = { Mode: 'COMPLIANCE', Days: 1 };
  const outcome = await env.reconcileWith(OTHER_KEY, {
    allowUnproven: true,
    allowedRisks: ['canary-retained'],
  });
  expect(failuresOf(outcome).join()).toContain(
    'canary first is not possible: acme-tax-replica retains each new version: COMPLIANCE for 1 day, which no one can shorten; or set rollout: wait',
  );
  expect(history).toEqual([]);
});

test('canary first: refused when a foreign rule replicates canaries to a bucket of another account', async () => {
  const { env, history } = await envWithHistory();
  await using _ = env;
  const bucket = env.sandbox.store.bucket('acme-tax');
  const foreign = {
    ...rulesOf(env)[0],
    ID: 'foreign',
    Priority: 7,
    Destination: { Bucket: 'arn:aws:s3:::acme-tax-elsewhere' },
    SourceSelectionCriteria: undefined,
  };
  const other = env.sandbox.store.bucket('acme-tax-replica');
  if (!bucket?.replication || !other) throw new Error('no configuration');
  env.sandbox.store.addBucket({
    ...other,
    name: 'acme-tax-elsewhere',
    owner: '999988887777',
    objects: new Map(),
  });
  bucket.replication.Rules?.push(foreign as never);
  const outcome = await env.reconcileWith(OTHER_KEY);
  expect(failuresOf(outcome).join()).toContain(
    'an existing rule replicates canaries to acme-tax-elsewhere, from where replikey cannot remove them; if one of the accounts owns it, grant s3:ListBucket, s3:ListBucketVersions and s3:GetBucketObjectLockConfiguration on arn:aws:s3:::acme-tax-elsewhere, and s3:GetObjectVersion and s3:DeleteObjectVersion on arn:aws:s3:::acme-tax-elsewhere/Tax/.replikey-canary/*; or allow it with --allow canary-retained; or set rollout: wait',
  );
  expect(history).toEqual([]);
});

test('canary first: refused when a rule has the highest priority that S3 allows', async () => {
  const highest = CANARY.replace('- prefix: Tax/\n', '- prefix: Tax/\n      priority: 2147483647\n');
  const { env, history } = await envWithHistory(highest);
  await using _ = env;
  const outcome = await env.reconcileWith(
    highest.replace('key: alias/acme-tax-replica', 'key: alias/acme-tax-moved'),
  );
  expect(failuresOf(outcome).join()).toContain(
    'canary first is not possible: a rule of acme-tax has the highest priority that S3 allows; set rollout: wait',
  );
  expect(history).toEqual([]);
});

test('canary first: an interruption removes the temporary rule and the canaries', async () => {
  const { env } = await envWithHistory();
  await using _ = env;
  const before = rulesOf(env);
  env.sandbox.faultSettings.replicationDelayMs = 100;
  const abort = new AbortController();
  const outcome = await env.reconcileWith(MOVED, {
    signal: abort.signal,
    onEvent(event) {
      if (event.type === 'waiting' && event.waitsFor === 'a canary to be replicated')
        setImmediate(() => abort.abort(new Error('stopped')));
    },
  });
  expect(failuresOf(outcome)).toHaveLength(1);
  await env.sandbox.waitForReplication();
  expect([rulesOf(env), canariesIn(env)]).toEqual([before, []]);
});
