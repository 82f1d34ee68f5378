import { CreateBucketCommand, GetBucketEncryptionCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import type { Outcome } from '../../src/reconcile/pass.ts';
import { versionOf } from '../sandbox/support.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

const EAST = { region: 'us-east-1' };
const ALLOWED = ['change-default-encryption', 'change-default-key'];

/** Returns a spec with this default encryption of the source, whose rules select KMS-encrypted objects or not. */
const specOf = (encryption: 'SSE-S3' | 'SSE-KMS', selectsKms: Record<string, boolean> = { 'Tax/': true }) =>
  TAX_SPEC.replace(
    'key: alias/acme-tax }',
    `key: alias/acme-tax, defaultEncryption: ${encryption} }`,
  ).replace(
    '    - prefix: Tax/\n',
    Object.entries(selectsKms)
      .map(([prefix, isOn]) => `    - { prefix: ${prefix}, sseKmsEncryptedObjects: ${isOn} }\n`)
      .join(''),
  );

interface Write {
  /** The call that the object precedes. */
  before: string;
  key: string;
  status: string | undefined;
}

/** Starts a sandbox that puts an object under each prefix before each change of rules and of default encryption. */
async function envWithWriter(yaml: string, prefixes = ['Tax/']) {
  const writes: Write[] = [];
  const state = { isWriting: false };
  const env: TestEnv = await testEnv(yaml, {
    async onCall({ operation, region, n }, phase) {
      const isChange = operation === 'PutBucketReplication' || operation === 'PutBucketEncryption';
      if (!state.isWriting || !isChange || region !== 'us-east-1' || phase !== 'before') return;
      for (const prefix of prefixes) writes.push({ before: operation, ...(await put(env, `${prefix}${n}`)) });
    },
  });
  return { env, writes, state };
}

/** Puts an object with the default encryption, and returns its replication status. */
async function put(
  { client, sandbox }: TestEnv,
  key: string,
): Promise<{ key: string; status: string | undefined }> {
  await client.send(EAST, new PutObjectCommand({ Bucket: 'acme-tax', Key: key, Body: 'x' }));
  await sandbox.waitForReplication();
  return { key, status: versionOf(sandbox, 'acme-tax', key)?.replication?.status };
}

/** Applies a change while objects are written, and expects that all of them were replicated. */
async function changeWhileWriting(before: string, after: string, prefixes = ['Tax/']) {
  const { env, writes, state } = await envWithWriter(before, prefixes);
  await using _ = env;
  await env.reconcile();
  state.isWriting = true;
  const outcome = await env.reconcileWith(after, { allowedRisks: ALLOWED });
  state.isWriting = false;
  expect(outcome.remaining?.waves).toEqual([]);
  expect(writes).toHaveLength(2 * prefixes.length);
  expect(writes.map(({ status }) => status)).toEqual(writes.map(() => 'COMPLETED'));
  expect((await env.reconcileWith(after)).plan.waves).toEqual([]);
  return [...new Set(writes.map((write) => write.before))];
}

describe('default encryption: no object is passed over or fails', () => {
  const RULES_FIRST = ['PutBucketReplication', 'PutBucketEncryption'];
  const ENCRYPTION_FIRST = ['PutBucketEncryption', 'PutBucketReplication'];

  test('when a rule starts to select KMS-encrypted objects and the bucket starts to use KMS', async () => {
    const calls = await changeWhileWriting(
      specOf('SSE-S3', { 'Tax/': false }),
      specOf('SSE-KMS', { 'Tax/': true }),
    );
    expect(calls).toEqual(RULES_FIRST);
  });

  test('when a rule no longer selects KMS-encrypted objects and the bucket stops to use KMS', async () => {
    const calls = await changeWhileWriting(
      specOf('SSE-KMS', { 'Tax/': true }),
      specOf('SSE-S3', { 'Tax/': false }),
    );
    expect(calls).toEqual(ENCRYPTION_FIRST);
  });

  test('when one rule starts and another one stops to select them, in both directions', async () => {
    const prefixes = ['Tax/', 'Audit/'];
    const before = { 'Tax/': false, 'Audit/': true };
    const after = { 'Tax/': true, 'Audit/': false };
    expect(await changeWhileWriting(specOf('SSE-S3', before), specOf('SSE-KMS', after), prefixes)).toEqual(
      RULES_FIRST,
    );
    expect(
      await changeWhileWriting(
        specOf('SSE-KMS', { 'Tax/': true, 'Audit/': true }),
        specOf('SSE-S3', after),
        prefixes,
      ),
    ).toEqual(ENCRYPTION_FIRST);
  });

  test('when the key and the rules change', async () => {
    const other = TAX_SPEC.replace('alias/acme-tax }', 'alias/acme-vault }').replace(
      '  rules:\n    - prefix: Tax/',
      '  sourceKeys: [alias/acme-tax]\n  rules:\n    - { prefix: Tax/, deleteMarkerReplication: true }',
    );
    expect(await changeWhileWriting(TAX_SPEC, other)).toEqual(RULES_FIRST);
  });
});

const denied = (operation: string) => ({
  match: operation,
  nth: 1,
  times: 1_000,
  what: { status: 403, code: 'AccessDenied', message: 'Access Denied' },
});

describe('default encryption: a denied call leaves rules that select the objects', () => {
  const resultsOf = ({ results }: Outcome) =>
    results.flatMap(({ id, result }) => (result === 'applied' ? [] : [`${result} ${id}`]));
  const GAINED = [specOf('SSE-S3', { 'Tax/': false }), specOf('SSE-KMS', { 'Tax/': true })] as const;

  test.each([
    ['PutBucketReplication', ...GAINED, 2],
    ['PutBucketEncryption', ...GAINED, 1],
    ['PutBucketReplication', GAINED[1], GAINED[0], 1],
    ['PutBucketEncryption', GAINED[1], GAINED[0], 2],
  ] as const)('%s', async (operation, before, after, unapplied) => {
    await using env = await testEnv(before);
    await env.reconcile();
    env.sandbox.faultSettings.faults = [denied(operation)];
    const outcome = await env.reconcileWith(after, { allowedRisks: ALLOWED });
    expect(resultsOf(outcome)).toHaveLength(unapplied);
    expect(await put(env, 'Tax/denied')).toMatchObject({ status: 'COMPLETED' });
    env.sandbox.faultSettings.faults = [];
    const second = await env.reconcileWith(after, { allowedRisks: ALLOWED });
    expect(second.remaining?.waves).toEqual([]);
    expect(await put(env, 'Tax/end')).toMatchObject({ status: 'COMPLETED' });
  });
});

/** Ids of the steps of the source bucket, in the order of their waves. */
const orderOf = ({ plan }: Outcome): string[] =>
  plan.waves
    .flat()
    .map(({ id }) => id)
    .filter((id) => id === 's3.replication/acme-tax' || id === 's3.encryption/acme-tax');

describe('default encryption: order of the plan', () => {
  test('a new bucket gets its encryption first, and no risk', async () => {
    await using env = await testEnv();
    const outcome = await env.reconcile({ dryRun: true });
    expect(outcome.refusals).toEqual([]);
    expect(orderOf(outcome)).toEqual(['s3.encryption/acme-tax', 's3.replication/acme-tax']);
  });

  test('an existing bucket without rules gets its encryption before its first rule', async () => {
    await using env = await testEnv();
    await env.client.send(EAST, new CreateBucketCommand({ Bucket: 'acme-tax' }));
    const outcome = await env.reconcile({ allowedRisks: ALLOWED });
    expect(orderOf(outcome)).toEqual(['s3.encryption/acme-tax', 's3.replication/acme-tax']);
    expect(outcome.remaining?.waves).toEqual([]);
  });

  test('a bucket with a foreign rule gets a new rule before another encryption', async () => {
    await using env = await testEnv(specOf('SSE-S3'));
    await env.reconcile();
    const [rule] = env.sandbox.store.bucket('acme-tax')?.replication?.Rules ?? [];
    if (rule) Object.assign(rule, { ID: 'foreign', Filter: { Prefix: 'Foreign/' } });
    const outcome = await env.reconcileWith(specOf('SSE-KMS'), { allowedRisks: ALLOWED });
    expect(orderOf(outcome)).toEqual(['s3.replication/acme-tax', 's3.encryption/acme-tax']);
    expect(outcome.remaining?.waves).toEqual([]);
  });

  test('two buckets that replicate to each other change without a circle', async () => {
    const both = (encryption: string) =>
      `${TAX_SPEC.replaceAll(/key: (alias\/[\w-]+) }/g, `key: $1, defaultEncryption: ${encryption} }`)}  direction: both\n`;
    await using env = await testEnv(both('SSE-S3'));
    expect((await env.reconcile()).remaining?.waves).toEqual([]);
    for (const encryption of ['SSE-KMS', 'SSE-S3']) {
      const outcome = await env.reconcileWith(both(encryption), { allowedRisks: ALLOWED });
      expect(outcome.refusals).toEqual([]);
      expect(outcome.remaining?.waves).toEqual([]);
    }
  });
});

describe('default encryption: the risk of another algorithm', () => {
  test('is reported for a bucket that existed, and names who is affected', async () => {
    await using env = await testEnv();
    await env.client.send(EAST, new CreateBucketCommand({ Bucket: 'acme-tax' }));
    const { refusals } = await env.reconcile();
    expect(refusals).toEqual([
      {
        id: 'change-default-encryption',
        step: 's3.encryption/acme-tax',
        message:
          'new objects in acme-tax would be encrypted with SSE-KMS under a new key instead of SSE-S3, so that writers without kms:GenerateDataKey and readers without kms:Decrypt for this key fail, for example in other accounts',
      },
    ]);
    const { ServerSideEncryptionConfiguration } = await env.client.send(
      EAST,
      new GetBucketEncryptionCommand({ Bucket: 'acme-tax' }),
    );
    expect(
      ServerSideEncryptionConfiguration?.Rules?.[0]?.ApplyServerSideEncryptionByDefault?.SSEAlgorithm,
    ).toBe('AES256');
  });

  test('is no risk for a bucket that an interrupted run of the same spec has created', async () => {
    await using env = await testEnv();
    env.sandbox.faultSettings.faults = [denied('PutBucketEncryption')];
    for (let run = 0; run < 3; run++) {
      const { refusals, results } = await env.reconcile();
      expect(refusals).toEqual([]);
      expect(results.some(({ result }) => result === 'failed')).toBe(true);
    }
    env.sandbox.faultSettings.faults = [];
    const last = await env.reconcile();
    expect(last.refusals).toEqual([]);
    expect(last.remaining?.waves).toEqual([]);
  });

  test('is a risk for a bucket that replikey created with SSE-S3 as declared', async () => {
    await using env = await testEnv(specOf('SSE-S3'));
    await env.reconcile();
    const { refusals } = await env.reconcileWith(specOf('SSE-KMS'));
    expect(refusals.map(({ id }) => id)).toEqual(['change-default-encryption']);
  });

  test('is a risk for a bucket that replikey created for another spec', async () => {
    await using env = await testEnv();
    env.sandbox.faultSettings.faults = [denied('PutBucketEncryption')];
    await env.reconcile();
    env.sandbox.faultSettings.faults = [];
    const { refusals } = await env.reconcileWith(TAX_SPEC.replace('name: tax', 'name: vat'));
    expect([...new Set(refusals.map(({ id }) => id))]).toEqual(['change-default-encryption']);
  });
});
