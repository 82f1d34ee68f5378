import { CreateKeyCommand } from '@aws-sdk/client-kms';
import { PutObjectCommand, type PutObjectCommandInput } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { createJob, listJobs, updateJobStatus } from '../../src/aws/batch-jobs.ts';
import { createAwsClient } from '../../src/aws/client.ts';
import type { Plan } from '../../src/core/resource.ts';
import { kinds } from '../../src/kinds/index.ts';
import type { SandboxOptions } from '../../src/sandbox/server.ts';
import type { VersionState } from '../../src/sandbox/state.ts';
import { collectSnapshot } from '../../src/snapshot/collect.ts';
import { createRecordingClients } from '../../src/snapshot/record.ts';
import { createReplayClients } from '../../src/snapshot/replay.ts';
import type { Snapshot } from '../../src/snapshot/snapshot.ts';
import { changeRolePolicy, changeRules, REPLICA, SOURCE, versionOf } from '../sandbox/support.ts';
import { AFTER_ALL_OBJECTS, parseSpecs, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { callS3 } from '../support/raw-aws.ts';

const EAST = { region: 'us-east-1' };
const specWith = (settings: string, spec = TAX_SPEC) =>
  spec.replace('  rules:', `  backfill: { before: "${AFTER_ALL_OBJECTS}"${settings} }\n  rules:`);
const BACKFILL_SPEC = specWith('');
const WITHOUT_RULE = TAX_SPEC.replace('prefix: Tax/', 'prefix: Other/');
const ID = 's3.backfill/acme-tax/tax';
const START = { allowedRisks: ['start-backfill'] };

const notesOf = ({ notes }: Plan) => notes.map(({ id, message }) => `${id}: ${message}`);
const blockedOf = ({ blocked }: Plan) => blocked.map(({ id, why }) => `${id}: ${why}`);
const callsOf = ({ waves }: Plan) =>
  waves.flat().flatMap(({ id, calls }) => calls.map((call) => `${id} ${call}`));
const jobsOf = async (env: TestEnv) => (await listJobs(env.client, EAST)).map(({ Status }) => Status);

const putObject = ({ client }: TestEnv, input: Partial<PutObjectCommandInput> = {}) =>
  client.send(EAST, new PutObjectCommand({ Bucket: SOURCE, Key: 'Tax/old.pdf', Body: 'old', ...input }));

/** Starts a sandbox with one object that is older than the rule. */
async function envWithOldObject(spec = BACKFILL_SPEC, options: SandboxOptions = {}): Promise<TestEnv> {
  const env = await testEnv(spec, options);
  await env.reconcileWith(WITHOUT_RULE);
  await putObject(env);
  return env;
}

/** Copies the newest version of a key, with its replication status, to other keys. */
async function addCopies(
  { sandbox: { store }, sandbox }: TestEnv,
  key: string,
  count: number,
): Promise<void> {
  const bucket = store.bucket(SOURCE);
  const version = versionOf(sandbox, SOURCE, key) as VersionState;
  if (!bucket) return;
  for (let index = 1; index < count; index += 1) {
    const copy = { ...version, key: `${key}-${index}` };
    bucket.objects.set(copy.key, [copy]);
    store.markObjectChanged(bucket, copy.key);
  }
  await store.flush();
}

/** Makes a pass, waits until the job rests, and returns the pass. */
async function passAndWait(env: TestEnv, options = {}) {
  const outcome = await env.reconcile(options);
  await env.sandbox.waitForJobs();
  return outcome;
}

test('backfill: of 1,500 objects, each is a replica under the declared key or listed with its cause', async () => {
  await using env = await testEnv(specWith(', report: { bucket: acme-reports }'));
  await env.reconcileWith(WITHOUT_RULE);
  await callS3(env.sandbox.endpoint, 'PUT', '/acme-reports');
  await putObject(env);
  await addCopies(env, 'Tax/old.pdf', 1_360);
  // The role may not use this key.
  const { KeyMetadata } = await env.client.send(EAST, new CreateKeyCommand({}));
  await putObject(env, {
    Key: 'Tax/other.pdf',
    ServerSideEncryption: 'aws:kms',
    SSEKMSKeyId: KeyMetadata?.Arn,
  });
  await addCopies(env, 'Tax/other.pdf', 40);
  await env.reconcileWith(TAX_SPEC);
  await changeRolePolicy(env.client, (statements) => {
    for (const statement of Object.values(statements)) statement.Effect = 'Deny';
  });
  await putObject(env, { Key: 'Tax/failed.pdf' });
  await env.sandbox.waitForReplication();
  expect(versionOf(env.sandbox, SOURCE, 'Tax/failed.pdf')?.replication?.status).toBe('FAILED');
  await addCopies(env, 'Tax/failed.pdf', 100);
  await changeRolePolicy(env.client, (statements) => {
    for (const statement of Object.values(statements)) statement.Effect = 'Allow';
  });

  const first = await passAndWait(env);
  expect(callsOf(first.plan)).toContain(`${ID} s3:CreateJob`);
  expect(first.results.filter(({ result }) => result !== 'applied')).toEqual([]);
  expect(first.remaining?.waves).toEqual([]);
  expect(await jobsOf(env)).toEqual(['Suspended']);

  const waiting = await env.reconcile();
  expect(callsOf(waiting.plan)).toEqual([]);
  expect(blockedOf(waiting.plan)).toEqual([]);
  const [note = ''] = notesOf(waiting.plan);
  expect(note).toMatch(
    /starts the job (\S+), which replicates 1,500 objects of acme-tax, for about 0\.25 USD, at most [\d,.]+ \w+, the size of acme-tax on [\d-]+; approve with --allow start-backfill=\1$/,
  );
  const other = await env.reconcile({
    allowedRisks: ['start-backfill=00000000-0000-0000-0000-000000000000'],
  });
  expect(callsOf(other.plan)).toEqual([]);

  const approved = await passAndWait(env, { allowedRisks: [note.split('--allow ')[1] ?? ''] });
  expect(callsOf(approved.plan)).toEqual([`${ID} s3:UpdateJobStatus`]);
  expect(await jobsOf(env)).toEqual(['Complete']);
  const reportKeys = [...(env.sandbox.store.bucket('acme-reports')?.objects.keys() ?? [])];
  const bodies = await Promise.all(
    reportKeys
      .filter((key) => key.endsWith('.csv'))
      .map(async (key) => (await callS3(env.sandbox.endpoint, 'GET', `/acme-reports/${key}`)).body),
  );
  const listed = new Set(
    bodies
      .join('')
      .split('\n')
      .flatMap((row) =>
        row.includes(',SrcGetObjectNotPermitted,"AccessDenied')
          ? decodeURIComponent(row.split(',')[1] ?? '')
          : [],
      ),
  );
  const keyId = env.sandbox.store
    .account('111122223333')
    .aliases.get('us-west-2/alias/acme-tax-replica')?.targetKeyId;
  const neither = [...(env.sandbox.store.bucket(SOURCE)?.objects.keys() ?? [])].filter((key) => {
    const replica = versionOf(env.sandbox, REPLICA, key);
    return !listed.has(key) && !replica?.encryption.keyArn?.endsWith(keyId ?? '-');
  });
  expect(neither).toEqual([]);
  expect(listed.size).toBe(40);

  env.sandbox.log.reset();
  const recording = await env.reconcile();
  expect(callsOf(recording.plan)).toEqual([`${ID} iam:TagRole`]);
  expect(env.sandbox.log.entries.filter(({ write }) => write).map(({ operation }) => operation)).toEqual([
    'TagRole',
  ]);
  env.sandbox.log.reset();
  const last = await env.reconcile(START);
  expect(callsOf(last.plan)).toEqual([]);
  expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
  expect(notesOf(last.plan)).toEqual([
    expect.stringContaining('40 of 1,500 objects were not replicated by the job that ended on '),
  ]);
});

describe('backfill: a job is created or started', () => {
  test('only after a person allows the foreign rules that it runs too', async () => {
    await using env = await envWithOldObject();
    await env.reconcileWith(TAX_SPEC);
    await changeRules(env.client, (rules) => [
      ...rules,
      ...rules.map((rule) => ({ ...rule, ID: 'legacy', Priority: 99, Filter: { Prefix: 'Tax/2025/' } })),
    ]);
    const refused = await env.reconcile(START);
    expect(blockedOf(refused.plan)).toEqual([
      `${ID}: runs the foreign rules "legacy" of acme-tax too; approve with --allow backfill-foreign-rules`,
    ]);
    expect(await jobsOf(env)).toEqual([]);
    await passAndWait(env, { allowedRisks: ['backfill-foreign-rules'] });
    expect(await jobsOf(env)).toEqual(['Suspended']);
    const waiting = await env.reconcile({ allowedRisks: ['start-backfill'] });
    expect(blockedOf(waiting.plan)).toHaveLength(1);
    expect(await jobsOf(env)).toEqual(['Suspended']);
  });

  test('never while a foreign rule would not replicate, also with allowances', async () => {
    await using env = await envWithOldObject();
    await env.reconcileWith(TAX_SPEC);
    const account = { accessKeyId: '111122223333', region: 'us-west-2' };
    await callS3(env.sandbox.endpoint, 'PUT', '/acme-legacy', {
      account,
      body: '<CreateBucketConfiguration><LocationConstraint>us-west-2</LocationConstraint></CreateBucketConfiguration>',
    });
    await callS3(env.sandbox.endpoint, 'PUT', '/acme-legacy?versioning', {
      account,
      body: '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>',
    });
    await changeRules(env.client, (rules) => [
      ...rules,
      ...rules.map((rule) => ({
        ...rule,
        ID: 'legacy',
        Priority: 99,
        Filter: { Prefix: 'Tax/2025/' },
        Destination: { ...rule.Destination, Bucket: 'arn:aws:s3:::acme-legacy' },
      })),
    ]);
    const refused = await env.reconcile({
      allowedRisks: ['start-backfill', 'backfill-foreign-rules'],
      allowUnproven: true,
    });
    expect(blockedOf(refused.plan)).toEqual([
      expect.stringMatching(/the foreign rule "legacy" is not proven: RK\d+ .*acme-legacy/),
    ]);
    expect(await jobsOf(env)).toEqual([]);
  });

  test('never while a declared rule would not replicate, and the plan is still refused as unproven', async () => {
    await using env = await envWithOldObject();
    await env.reconcileWith(TAX_SPEC);
    await callS3(env.sandbox.endpoint, 'PUT', `/${REPLICA}?policy`, {
      account: { accessKeyId: '111122223333', region: 'us-west-2' },
      body: JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          {
            Effect: 'Deny',
            Principal: '*',
            Action: 's3:ReplicateObject',
            Resource: `arn:aws:s3:::${REPLICA}/*`,
          },
        ],
      }),
    });
    const refused = await env.reconcile(START);
    expect(blockedOf(refused.plan)).toEqual([expect.stringContaining('is not proven: RK1308')]);
    expect(refused.refusals.map(({ id }) => id)).toEqual(['unproven']);
    await env.reconcile({ ...START, allowUnproven: true });
    expect(await jobsOf(env)).toEqual([]);
  });

  test('without a confirmation if the spec says Automatic and a person allows it before', async () => {
    await using env = await envWithOldObject(specWith(', start: Automatic'));
    const waiting = await env.reconcile();
    expect(notesOf(waiting.plan)).toContainEqual(
      expect.stringMatching(/whose number is not known yet; approve with --allow start-backfill=tax$/),
    );
    expect(await jobsOf(env)).toEqual([]);
    // All other changes were made.
    expect(waiting.results.map(({ id }) => id)).toContain('s3.replication/acme-tax');
    await passAndWait(env, START);
    expect(await jobsOf(env)).toEqual(['Complete']);
    expect(versionOf(env.sandbox, REPLICA, 'Tax/old.pdf')).toBeDefined();
  });
});

describe('backfill: no second job starts', () => {
  test('when AWS has forgotten the job, because a tag of the batch role records it', async () => {
    let now = Date.now();
    await using env = await envWithOldObject(BACKFILL_SPEC, { clock: () => now });
    await passAndWait(env);
    await passAndWait(env, START);
    await env.reconcile();
    now += 91 * 86_400_000;
    expect(await jobsOf(env)).toEqual([]);
    expect(callsOf((await env.reconcile(START)).plan)).toEqual([]);
  });

  test('when the job finds no objects, which needs no approval', async () => {
    await using env = await testEnv(BACKFILL_SPEC);
    await passAndWait(env);
    expect(await jobsOf(env)).toEqual(['Failed']);
    expect(callsOf((await env.reconcile()).plan)).toEqual([`${ID} iam:TagRole`]);
    expect(callsOf((await env.reconcile(START)).plan)).toEqual([]);
  });

  test('when two runs of the same specs create it at the same time', async () => {
    await using env = await envWithOldObject();
    await env.reconcileWith(TAX_SPEC);
    await Promise.all([env.reconcile(), env.reconcile()]);
    expect(await jobsOf(env)).toHaveLength(1);
  });
});

test('backfill: a role without room for the record is named, with what to do', async () => {
  await using env = await envWithOldObject();
  await passAndWait(env);
  await passAndWait(env, START);
  const role = env.sandbox.store.account('111122223333').roles.get('replikey-batch-acme-tax');
  // IAM User Guide, "IAM and AWS STS quotas": 50 tags of a role.
  for (let index = 0; (role?.tags.size ?? 50) < 50; index += 1) role?.tags.set(`team-${index}`, 'books');
  expect((await env.reconcile()).results).toMatchObject([
    {
      result: 'failed',
      why: 'the role replikey-batch-acme-tax has as many tags as IAM allows (50), so that replikey cannot record the job in the tag replikey:backfill:tax; remove tags of the role, or declare another role for the jobs of this spec',
    },
  ]);
  role?.tags.delete('team-0');
  expect((await env.reconcile()).results).toMatchObject([{ result: 'applied' }]);
  expect(callsOf((await env.reconcile()).plan)).toEqual([]);
});

describe('backfill: the spec changes', () => {
  test('while its job waits: the job is cancelled, and a new one follows', async () => {
    await using env = await envWithOldObject();
    await passAndWait(env);
    const edited = specWith(', objects: [existing]');
    const cancelling = await env.reconcileWith(edited);
    expect(callsOf(cancelling.plan)).toEqual([`${ID} s3:UpdateJobStatus`]);
    expect(cancelling.results).toMatchObject([{ result: 'applied' }]);
    await env.sandbox.waitForJobs();
    expect(await jobsOf(env)).toEqual(['Cancelled']);
    await env.reconcileWith(edited);
    await env.sandbox.waitForJobs();
    expect((await jobsOf(env)).sort()).toEqual(['Cancelled', 'Suspended']);
  });

  test('while its job has more objects than allowed: the job is cancelled until the limit is raised', async () => {
    await using env = await envWithOldObject(specWith(', maxObjects: 1'));
    await putObject(env, { Key: 'Tax/second.pdf' });
    await passAndWait(env);
    expect(callsOf((await passAndWait(env, START)).plan)).toEqual([`${ID} s3:UpdateJobStatus`]);
    expect(await jobsOf(env)).toEqual(['Cancelled']);
    const blocked = await env.reconcile(START);
    expect(blockedOf(blocked.plan)).toEqual([
      expect.stringMatching(/had 2 objects, and the limit is 1, so replikey cancelled it; raise maxObjects/),
    ]);
    await env.reconcileWith(specWith(', maxObjects: 2'));
    await env.sandbox.waitForJobs();
    expect((await jobsOf(env)).sort()).toEqual(['Cancelled', 'Suspended']);
  });
});

test('backfill: three jobs that ended too early are enough, and the reason is shown', async () => {
  await using env = await envWithOldObject();
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    await passAndWait(env);
    const suspended = (await listJobs(env.client, EAST)).find(({ Status }) => Status === 'Suspended');
    await updateJobStatus(env.client, EAST, suspended?.JobId ?? '', 'Cancelled', 'not today');
    await env.sandbox.waitForJobs();
  }
  const exhausted = await env.reconcile(START);
  expect(await jobsOf(env)).toEqual(['Cancelled', 'Cancelled', 'Cancelled']);
  expect(blockedOf(exhausted.plan)).toEqual([
    expect.stringMatching(/^s3\.backfill\/acme-tax\/tax: 3 jobs ended before .*with: Cancelled: not today; /),
  ]);
});

test('backfill: specs of one bucket share a job, and a run with one of them changes nothing', async () => {
  const third = BACKFILL_SPEC.replace('name: tax', 'name: tax-third')
    .replace(
      'acme-tax-replica, region: us-west-2, key: alias/acme-tax-replica',
      'acme-third, region: us-west-2, key: alias/acme-third',
    )
    .replace('- prefix: Tax/', '- { name: third, priority: 9, prefix: Tax/ }');
  await using env = await envWithOldObject(`${BACKFILL_SPEC}---\n${third}`);
  await passAndWait(env);
  expect(await jobsOf(env)).toEqual(['Suspended']);
  for (const alone of [BACKFILL_SPEC, third])
    expect(callsOf((await env.reconcileWith(alone)).plan)).toEqual([]);
  await passAndWait(env, START);
  expect(await jobsOf(env)).toEqual(['Complete']);
  expect(
    ['acme-tax-replica', 'acme-third'].map(
      (bucket) => versionOf(env.sandbox, bucket, 'Tax/old.pdf') !== undefined,
    ),
  ).toEqual([true, true]);
  expect(callsOf((await env.reconcile()).plan)).toEqual([
    `${ID} iam:TagRole`,
    's3.backfill/acme-tax/tax-third iam:TagRole',
  ]);
  for (const alone of [BACKFILL_SPEC, third])
    expect(callsOf((await env.reconcileWith(alone)).plan)).toEqual([]);
});

test('backfill: several prefixes have one job at a time', async () => {
  await using env = await envWithOldObject(
    BACKFILL_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n    - prefix: Books/'),
  );
  await putObject(env, { Key: 'Books/old.pdf' });
  const statuses: (string | undefined)[][] = [];
  for (let pass = 0; pass < 7; pass += 1) {
    await passAndWait(env, START);
    statuses.push((await jobsOf(env)).sort());
  }
  expect(statuses.map((jobs) => jobs.filter((status) => status !== 'Complete').length <= 1)).not.toContain(
    false,
  );
  expect(statuses.at(-1)).toEqual(['Complete', 'Complete']);
  expect(
    ['Tax/old.pdf', 'Books/old.pdf'].map((key) => versionOf(env.sandbox, REPLICA, key) !== undefined),
  ).toEqual([true, true]);
  expect(callsOf((await env.reconcile(START)).plan)).toEqual([]);
});

test('backfill: a plan makes the same calls for 1 and for 5,000 objects', async () => {
  const countsOf = async (objects: number, text: string) => {
    await using env = await envWithOldObject();
    await addCopies(env, 'Tax/old.pdf', objects);
    await passAndWait(env);
    env.sandbox.log.reset();
    const { plan } = await env.reconcile({ dryRun: true });
    expect(notesOf(plan)[0]).toContain(`replicates ${text} of acme-tax`);
    return env.sandbox.log.counts();
  };
  expect(await countsOf(5_000, '5,000 objects')).toEqual(await countsOf(1, '1 object'));
});

test('backfill: a reviewed plan approves the job that it shows, and no other', async () => {
  await using env = await envWithOldObject();
  await passAndWait(env);
  const { plan } = await env.reconcile({ ...START, dryRun: true });
  const approvedPlan = { checksum: plan.digest, plan };
  const [waiting] = await listJobs(env.client, EAST);
  await updateJobStatus(env.client, EAST, waiting?.JobId ?? '', 'Cancelled', 'other job');
  await env.sandbox.waitForJobs();
  await passAndWait(env);
  const stale = await env.reconcile({ ...START, approvedPlan });
  expect(stale.refusals.map(({ id }) => id)).toContain('stale-plan');
  expect((await jobsOf(env)).sort()).toEqual(['Cancelled', 'Suspended']);
  const reviewed = (await env.reconcile({ ...START, dryRun: true })).plan;
  const approved = { checksum: reviewed.digest, plan: reviewed };
  // Without the allowance the plan would be empty, and look as if it was applied.
  for (const withoutAllowance of [approved, { checksum: reviewed.digest }])
    expect((await env.reconcile({ approvedPlan: withoutAllowance })).refusals).toMatchObject([
      { id: 'start-backfill', step: ID },
    ]);
  await passAndWait(env, { ...START, approvedPlan: approved });
  expect((await jobsOf(env)).sort()).toEqual(['Cancelled', 'Complete']);
});

test.each([
  ['before the spec declares it', TAX_SPEC, 's3:CreateJob'],
  ['after its job', BACKFILL_SPEC, 'iam:TagRole'],
])('backfill: a plan from a snapshot %s is the plan from AWS', async (_, yaml, call) => {
  await using env = await envWithOldObject();
  for (let pass = 0; pass < 2; pass += 1) {
    await env.reconcileWith(yaml, START);
    await env.sandbox.waitForJobs();
  }
  const recording = createRecordingClients(env.clients);
  await collectSnapshot(
    await parseSpecs(yaml),
    kinds,
    createAwsClient({ clients: recording, accounts: [], ...EAST }),
  );
  // A snapshot is a file.
  const snapshot = JSON.parse(JSON.stringify(recording.snapshot(new Date()))) as Snapshot;
  const replaying = createAwsClient({ clients: createReplayClients(snapshot), accounts: [], ...EAST });
  const replayed = await env.reconcile({ aws: replaying, dryRun: true });
  expect(blockedOf(replayed.plan)).toEqual([]);
  expect(callsOf(replayed.plan)).toContain(`${ID} ${call}`);
  expect(replayed.plan.waves).toEqual((await env.reconcile({ dryRun: true })).plan.waves);
});

test('backfill: a job of another tool is left alone', async () => {
  await using env = await envWithOldObject();
  await passAndWait(env);
  await createJob(env.client, EAST, {
    ConfirmationRequired: true,
    Operation: { S3ReplicateObject: {} },
    Report: { Enabled: false },
    ClientRequestToken: 'nightly',
    Description: 'nightly',
    Priority: 1,
    RoleArn: 'arn:aws:iam::111122223333:role/replikey-batch-acme-tax',
    ManifestGenerator: {
      S3JobManifestGenerator: {
        SourceBucket: 'arn:aws:s3:::acme-tax',
        EnableManifestOutput: false,
        Filter: {},
      },
    },
  });
  await env.sandbox.waitForJobs();
  await passAndWait(env, START);
  expect((await jobsOf(env)).sort()).toEqual(['Complete', 'Suspended']);
});
