import { DeleteRolePolicyCommand, GetRoleCommand } from '@aws-sdk/client-iam';
import { GetBucketReplicationCommand, PutBucketReplicationCommand } from '@aws-sdk/client-s3';
import { afterEach, describe, expect, test } from 'vitest';
import { listJobs } from '../../src/aws/batch-jobs.ts';
import { createAwsClient } from '../../src/aws/client.ts';
import { createSdkClients } from '../../src/aws/sdk-clients.ts';
import { kinds } from '../../src/kinds/index.ts';
import type { Outcome, PassOptions } from '../../src/reconcile/pass.ts';
import { reconcile } from '../../src/reconcile/reconcile.ts';
import {
  planRedrives,
  type Redrive,
  type RedriveOptions,
  type RedriveState,
  readRedriveState,
} from '../../src/reconcile/redrive.ts';
import type { SandboxOptions } from '../../src/sandbox/server.ts';
import type { Specs } from '../../src/spec/types.ts';
import { parseSpecs, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { callS3 } from '../support/raw-aws.ts';

const EAST = { region: 'us-east-1' };
const BUCKET = 'acme-tax';
const ROLE = 'replikey-acme-tax';
const START = ['start-backfill'];

let env: TestEnv;
afterEach(() => env?.[Symbol.asyncDispose]());

async function start(yaml = TAX_SPEC, options: SandboxOptions = {}): Promise<void> {
  env = await testEnv(yaml, options);
  await env.reconcile();
}

/** Puts objects that S3 cannot replicate, and then repairs the role. */
async function putFailed(count: number, prefix = 'Tax/'): Promise<void> {
  await env.client.send(EAST, new DeleteRolePolicyCommand({ RoleName: ROLE, PolicyName: 'replikey' }));
  for (let index = 0; index < count; index++)
    await callS3(env.sandbox.endpoint, 'PUT', `/${BUCKET}/${prefix}${index}.txt`, { body: 'numbers' });
  await env.sandbox.waitForReplication();
  expect(statuses()).toEqual({ FAILED: count });
  await env.reconcile();
}

/** Returns the number of objects of the source by their replication status. */
function statuses(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const versions of env.sandbox.store.bucket(BUCKET)?.objects.values() ?? [])
    for (const { replication } of versions) {
      const status = replication?.status ?? 'NONE';
      counts[status] = (counts[status] ?? 0) + 1;
    }
  return counts;
}

/** Plans a re-drive as a new process does, a second later than the last one. */
let seconds = 0;
const plan = (options: Partial<RedriveOptions> = {}, specs: Specs = env.specs): Promise<Redrive[]> => {
  seconds += 1;
  return planRedrives(specs.pairs, env.client, {
    nowMs: env.client.now() + seconds * 1_000,
    ...options,
  });
};

const pass = (redrives: readonly Redrive[], options: Partial<PassOptions> = {}): Promise<Outcome> =>
  reconcile(
    { ...env.specs, pairs: redrives.map(({ pair }) => pair) },
    {
      kinds,
      aws: env.client,
      allowedRisks: [],
      dryRun: false,
      propagationTimeoutMs: 5_000,
      jobsOnly: true,
      ...options,
    },
  );

/** Runs a re-drive to its end, from the state that an earlier one left. */
async function run(options: Partial<RedriveOptions> = {}): Promise<RedriveState> {
  const redrives = await plan(options);
  await pass(redrives);
  await env.sandbox.waitForJobs();
  await pass(redrives, { allowedRisks: START });
  await env.sandbox.waitForJobs();
  const [redrive] = redrives;
  return redrive ? readRedriveState(env.client, redrive) : { state: 'absent' };
}

const callsOf = ({ plan: { waves } }: Outcome): string[] => waves.flat().flatMap(({ calls }) => calls);
const jobStatuses = async () => (await listJobs(env.client, EAST)).map(({ Status }) => Status);

test('redrive: 100 failed objects become replicas, and nothing of the spec changes', async () => {
  await start();
  await putFailed(100);
  const redrives = await plan();
  const created = await pass(redrives);
  expect(callsOf(created)).toEqual(['iam:CreateRole', 'iam:PutRolePolicy', 's3:CreateJob']);
  await env.sandbox.waitForJobs();
  // S3 User Guide, "Job statuses": a job that requires a confirmation is Suspended until it is confirmed.
  expect(await jobStatuses()).toEqual(['Suspended']);
  expect(statuses()).toEqual({ FAILED: 100 });

  expect(await run()).toMatchObject({ state: 'complete', job: { total: 100, succeeded: 100, failed: 0 } });
  expect(statuses()).toEqual({ COMPLETED: 100 });
  expect(env.sandbox.store.bucket('acme-tax-replica')?.objects.size).toBe(100);
  expect(callsOf(await env.reconcile())).toEqual([]);
  // A re-drive is no declared state, so no tag records it.
  const { Role } = await env.client.send(EAST, new GetRoleCommand({ RoleName: 'replikey-batch-acme-tax' }));
  expect(Role?.Tags?.map(({ Key }) => Key)).toEqual(['replikey:managed-by', 'replikey:spec']);
});

test('redrive: a bucket without failed objects has nothing to replicate', async () => {
  await start();
  // S3 User Guide, "Troubleshooting replication": "Manifest generation found no keys matching the filter criteria."
  expect(await run()).toMatchObject({ state: 'complete', job: { succeeded: 0, failed: 0 } });
});

test('redrive: objects without a status are replicated on request', async () => {
  await start(TAX_SPEC.replace('prefix: Tax/', 'prefix: Other/'));
  await callS3(env.sandbox.endpoint, 'PUT', `/${BUCKET}/Tax/old.txt`, { body: 'old' });
  await env.reconcileWith(TAX_SPEC);
  expect(await run()).toMatchObject({ state: 'complete', job: { succeeded: 0 } });
  expect(await run({ objects: ['existing', 'failed'] })).toMatchObject({ job: { succeeded: 1 } });
});

test('redrive: continues an unfinished job, with the objects and the instant of its request', async () => {
  await start();
  await putFailed(1);
  const [first] = await plan({ objects: ['existing', 'failed'] });
  await pass(first ? [first] : []);
  await env.sandbox.waitForJobs();
  const redrives = await plan();
  expect(redrives).toEqual([{ ...first, jobId: expect.stringMatching(/^[0-9a-f-]{36}$/) }]);
  expect(callsOf(await pass(redrives))).toEqual([]);
  await expect(plan({ objects: ['failed'] })).rejects.toThrow(
    /^acme-tax has the unfinished batch job \S+ for existing and failed objects; continue it without --objects, or cancel it$/,
  );
});

test('redrive: continues a job without a change of its role, also with other options', async () => {
  await start();
  await putFailed(1);
  await callS3(env.sandbox.endpoint, 'PUT', '/acme-reports');
  await pass(await plan({ report: { bucket: 'acme-reports', prefix: 'replikey/' } }));
  await env.sandbox.waitForJobs();
  const redrives = await plan();
  expect(redrives[0]?.pair.backfill?.report).toEqual({ bucket: 'acme-reports', prefix: 'replikey/' });
  expect(callsOf(await pass(redrives))).toEqual([]);
  // The spec of another run declares another role.
  const yaml = BACKFILL_SPEC.replace(
    '"2026-01-01T00:00:00Z"',
    '"2026-01-01T00:00:00Z", role: { name: jobs }',
  );
  expect(callsOf(await pass(await plan({}, await parseSpecs(yaml))))).toEqual([]);
});

test('redrive: what the specs declare beside the rules is no part of it', async () => {
  const yaml = TAX_SPEC.replace(
    'key: alias/acme-tax }',
    'key: { alias: alias/acme-tax, replaces: [alias/old] } }',
  ).replace(
    '  rules:',
    '  reencrypt: {}\n  alarms: { failed: true, notify: ["arn:aws:sns:us-east-1:111122223333:x"] }\n  rules:',
  );
  await start();
  const specs = await parseSpecs(yaml);
  const outcome = await pass(await plan({}, specs), { dryRun: true });
  expect(callsOf(outcome)).toEqual(['iam:CreateRole', 'iam:PutRolePolicy', 's3:CreateJob']);
});

test('redrive: two concurrent ones create one job', async () => {
  await start();
  await putFailed(1);
  const [mine, other] = [await plan(), await plan()];
  await pass(other);
  await env.sandbox.waitForJobs();
  const outcome = await pass(mine);
  expect(callsOf(outcome)).toEqual([]);
  expect(outcome.plan.notes.map(({ message }) => message)).toEqual([
    expect.stringMatching(/^a job follows when the job \S+ of a re-drive has ended$/),
  ]);
  expect(await jobStatuses()).toEqual(['Suspended']);
});

const BACKFILL_SPEC = TAX_SPEC.replace(
  '  rules:',
  '  backfill: { before: "2026-01-01T00:00:00Z" }\n  rules:',
);

describe('redrive: a bucket has one job at a time', () => {
  test('a job of a spec comes first', async () => {
    await start(BACKFILL_SPEC);
    await env.sandbox.waitForJobs();
    // The job found no objects, so it has ended.
    await plan();
    env.sandbox.faultSettings.jobStateMs = 60_000;
    await env.reconcileWith(BACKFILL_SPEC.replace('2026-01', '2026-02'));
    await expect(plan()).rejects.toThrow(
      /^acme-tax has the unfinished batch job \S+ of the spec tax \(New\), and a bucket has one job at a time; wait for its end, or cancel it$/,
    );
  });

  test('the job of a spec waits for a re-drive', async () => {
    await start();
    await putFailed(1);
    await pass(await plan());
    await env.sandbox.waitForJobs();
    const outcome = await env.reconcileWith(BACKFILL_SPEC);
    expect(callsOf(outcome)).not.toContain('s3:CreateJob');
    expect(outcome.plan.notes.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^a job follows when the job \S+ of a re-drive has ended$/),
    ]);
  });

  test('the role policy has the statements of both', async () => {
    await start(BACKFILL_SPEC);
    await run();
    expect(callsOf(await env.reconcile())).not.toContain('iam:PutRolePolicy');
    expect(callsOf(await pass(await plan()))).toEqual(['s3:CreateJob']);
  });
});

test('redrive: a rule that is not proven creates nothing', async () => {
  await start();
  await putFailed(1);
  await env.client.send(EAST, new DeleteRolePolicyCommand({ RoleName: ROLE, PolicyName: 'replikey' }));
  const outcome = await pass(await plan(), { allowedRisks: START });
  expect(outcome.plan.blocked).toMatchObject([
    { why: expect.stringContaining('and the rule "replikey/tax/tax" is not proven: RK') },
  ]);
  expect(await jobStatuses()).toEqual([]);
});

test('redrive: an enabled foreign rule must be allowed, because the job runs it', async () => {
  await start();
  const { ReplicationConfiguration } = await env.client.send(
    EAST,
    new GetBucketReplicationCommand({ Bucket: BUCKET }),
  );
  const [rule] = ReplicationConfiguration?.Rules ?? [];
  const foreign = { ...rule, ID: 'nightly', Priority: 99 };
  await env.client.send(
    EAST,
    new PutBucketReplicationCommand({
      Bucket: BUCKET,
      ReplicationConfiguration: {
        Role: ReplicationConfiguration?.Role,
        Rules: [...(ReplicationConfiguration?.Rules ?? []), foreign] as never,
      },
    }),
  );
  const refused = await pass(await plan());
  expect(refused.plan.blocked).toMatchObject([
    { why: expect.stringContaining('foreign rules "nightly" of acme-tax') },
  ]);
  expect(await jobStatuses()).toEqual([]);
  await pass(await plan(), { allowedRisks: ['backfill-foreign-rules'] });
  expect(await jobStatuses()).toHaveLength(1);
});

test('redrive: specs of one bucket have one job, which runs the rules of all of them', async () => {
  const second = TAX_SPEC.replace('name: tax', 'name: ledgers')
    .replaceAll('acme-tax-replica', 'acme-ledgers-replica')
    .replace('prefix: Tax/', 'prefix: Ledgers/');
  await start(`${TAX_SPEC}---\n${second}`);
  const first = await plan({ nowMs: 0 });
  expect(first).toHaveLength(1);
  // Another run of the same re-drive finds its job, also with other specs.
  const other = await plan({ nowMs: 0 }, { ...env.specs, pairs: env.specs.pairs.slice(1) });
  expect(other.map(({ digest }) => digest)).toEqual(first.map(({ digest }) => digest));
  const { proof, plan: planned } = await pass(first, { dryRun: true });
  expect(proof.map(({ rule, verdict }) => `${rule} ${verdict}`).sort()).toEqual([
    'replikey/ledgers/ledgers proven',
    'replikey/tax/tax proven',
  ]);
  expect(planned.blocked).toEqual([]);
});

test('redrive: prune leaves the role of a re-drive for the next one', async () => {
  await start(TAX_SPEC.replace('  rules:', '  policy: { deletion: Remove }\n  rules:'));
  await putFailed(1);
  await run();
  const outcome = await env.reconcile({ prune: true });
  expect(callsOf(outcome)).toEqual([]);
  expect(outcome.plan.notes).toEqual([]);
});

test('backfill: prune does not take the role of the jobs of a declared spec for an orphan', async () => {
  const yaml = BACKFILL_SPEC.replace('  rules:', '  policy: { deletion: Remove }\n  rules:');
  await start(yaml);
  await env.sandbox.waitForJobs();
  await env.reconcile();
  const outcome = await env.reconcile({ prune: true });
  expect({ calls: callsOf(outcome), notes: outcome.plan.notes }).toEqual({ calls: [], notes: [] });
});

test('redrive: killed at a write, the next one continues, and exactly one job exists', async () => {
  let fault: { operation: string; phase: 'before' | 'after'; isDead: boolean } | undefined;
  await start(TAX_SPEC, {
    onCall({ operation }, phase) {
      if (!fault) return;
      fault.isDead ||= operation === fault.operation && phase === fault.phase;
      // From then on, no call of the process arrives, and no response.
      if (fault.isDead) throw new Error('the process is dead');
    },
  });
  await callS3(env.sandbox.endpoint, 'PUT', `/${BUCKET}/Tax/1.txt`, { body: 'numbers' });
  await env.sandbox.waitForReplication();
  const clients = createSdkClients([], {
    endpoint: env.sandbox.endpoint,
    credentials: { accessKeyId: '111122223333', secretAccessKey: 'test' },
  });
  const aws = createAwsClient({ clients, accounts: [], region: 'us-east-1', retryTimeoutMs: 1 });
  /** Jobs of objects that have a replica always find this object, so that each case has a job. */
  const process = async () => {
    seconds += 1;
    const redrives = await planRedrives(env.specs.pairs, aws, {
      nowMs: env.client.now() + seconds * 1_000,
      objects: ['elsewhere'],
    });
    await pass(redrives, { aws, propagationTimeoutMs: 1 });
    await env.sandbox.waitForJobs();
    await pass(redrives, { aws, propagationTimeoutMs: 1, allowedRisks: START });
    await env.sandbox.waitForJobs();
  };
  let jobCount = 0;
  for (const operation of ['PutRolePolicy', 'CreateJob', 'UpdateJobStatus'])
    for (const phase of ['before', 'after'] as const) {
      fault = { operation, phase, isDead: false };
      await process().catch(() => {});
      expect([operation, phase, fault.isDead]).toEqual([operation, phase, true]);
      fault = undefined;
      // An approved job needs no caller. The next command would be another re-drive.
      const isApproved = operation === 'UpdateJobStatus' && phase === 'after';
      await (isApproved ? env.sandbox.waitForJobs() : process());
      jobCount += 1;
      expect([operation, phase, await jobStatuses()]).toEqual([
        operation,
        phase,
        Array.from({ length: jobCount }, () => 'Complete'),
      ]);
      if (operation === 'PutRolePolicy' && phase === 'before')
        await env.client.send(
          EAST,
          new DeleteRolePolicyCommand({ RoleName: 'replikey-batch-acme-tax', PolicyName: 'replikey' }),
        );
    }
});
