import { CreateRoleCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { expect, test } from 'vitest';
import { describeJob, listJobs } from '../../src/aws/batch-jobs.ts';
import type { Plan } from '../../src/core/resource.ts';
import type { SandboxOptions } from '../../src/sandbox/server.ts';
import { REPLICA, SOURCE, versionOf } from '../sandbox/support.ts';
import { AFTER_ALL_OBJECTS, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { callS3 } from '../support/raw-aws.ts';

/** Forms of specs, roles and jobs that a backfill meets. */

const EAST = { region: 'us-east-1' };
const WEST = { region: 'us-west-2' };
const ACCOUNT = '111122223333';
const ID = 's3.backfill/acme-tax/tax';
const START = { allowedRisks: ['start-backfill'] };
const withBackfill = (fields = '', spec = TAX_SPEC) =>
  spec.replace('  rules:', `  backfill: { before: "${AFTER_ALL_OBJECTS}"${fields} }\n  rules:`);
const withoutRule = (yaml: string) =>
  yaml.replace('prefix: Tax/', 'prefix: Other/').replace(/ {2}backfill: .*\n/, '');

const callsOf = ({ waves }: Plan) =>
  waves.flat().flatMap(({ id, calls }) => calls.map((call) => `${id} ${call}`));
const notesOf = ({ notes }: Plan) => notes.map(({ message }) => message);
const jobsOf = async ({ client }: TestEnv, at = EAST) =>
  (await listJobs(client, at)).map(({ Status }) => Status);

/** Starts a sandbox with an object that is older than the rule, and with the rule. */
async function envWithOldObject(yaml: string, options: SandboxOptions = {}): Promise<TestEnv> {
  const env = await testEnv(yaml, options);
  await env.reconcileWith(withoutRule(yaml));
  await callS3(env.sandbox.endpoint, 'PUT', `/${SOURCE}/Tax/old.pdf`, { body: 'old' });
  return env;
}

/** Makes a pass, and waits until the jobs rest. */
async function passAndWait(env: TestEnv, options = {}, yaml?: string) {
  const outcome = await (yaml ? env.reconcileWith(yaml, options) : env.reconcile(options));
  await env.sandbox.waitForJobs();
  return outcome;
}

test('backfill: buckets that replicate to each other have a job each, in its own Region', async () => {
  await using env = await envWithOldObject(
    withBackfill('', TAX_SPEC.replace('  rules:', '  direction: both\n  rules:')),
  );
  await callS3(env.sandbox.endpoint, 'PUT', `/${REPLICA}/Tax/back.pdf`, {
    body: 'old',
    account: { accessKeyId: ACCOUNT, ...WEST },
  });
  for (let pass = 0; pass < 3; pass += 1) await passAndWait(env, START);
  expect([await jobsOf(env), await jobsOf(env, WEST)]).toEqual([['Complete'], ['Complete']]);
  expect(versionOf(env.sandbox, REPLICA, 'Tax/old.pdf')).toBeDefined();
  expect(versionOf(env.sandbox, SOURCE, 'Tax/back.pdf')).toBeDefined();
  expect(callsOf((await env.reconcile(START)).plan)).toEqual([]);
});

test('backfill: without a record, the job that follows when S3 has forgotten the first one finds nothing', async () => {
  let now = Date.now();
  await using env = await envWithOldObject(
    withBackfill(`, role: { arn: "arn:aws:iam::${ACCOUNT}:role/batch" }`),
    { clock: () => now },
  );
  const statement = { Effect: 'Allow', Action: 's3:*', Resource: '*' };
  const trust = {
    Effect: 'Allow',
    Principal: { Service: 'batchoperations.s3.amazonaws.com' },
    Action: 'sts:AssumeRole',
  };
  const document = (item: object) => JSON.stringify({ Version: '2012-10-17', Statement: [item] });
  await env.client.send(
    EAST,
    new CreateRoleCommand({ RoleName: 'batch', AssumeRolePolicyDocument: document(trust) }),
  );
  await env.client.send(
    EAST,
    new PutRolePolicyCommand({ RoleName: 'batch', PolicyName: 'jobs', PolicyDocument: document(statement) }),
  );
  await passAndWait(env);
  await passAndWait(env, START);
  const { plan } = await env.reconcile();
  expect([callsOf(plan), notesOf(plan)]).toEqual([
    [],
    [expect.stringMatching(/is given by ARN, so nothing records the job when S3 forgets it, 90 days/)],
  ]);
  // ListJobs returns the jobs of the last 90 days (S3 User Guide, "Listing jobs").
  now += 91 * 86_400_000;
  expect(await jobsOf(env)).toEqual([]);
  await passAndWait(env, START);
  expect(await jobsOf(env)).toEqual(['Failed']);
  expect(callsOf((await env.reconcile(START)).plan)).toEqual([]);
});

// AWS does not document whether a job that waits has its number of tasks.
test('backfill: a job of unknown size is approved without a limit of objects, and never with one', async () => {
  const guardrails = (limit: number) =>
    `---\napiVersion: replikey.dev/v1\nkind: Guardrails\nmetadata: { name: limits }\nspec: { maxBackfillObjects: ${limit} }\n`;
  await using env = await envWithOldObject(withBackfill(), { faultSettings: { suspendedJobTotal: false } });
  const limited = `${withBackfill()}${guardrails(5)}`;
  await passAndWait(env, {}, limited);
  const blocked = await passAndWait(env, START, limited);
  expect(blocked.plan.blocked.map(({ why }) => why)).toEqual([
    expect.stringMatching(
      /S3 reports no number of objects for the job \S+, so the limit of 5 cannot be checked/,
    ),
  ]);
  expect(await jobsOf(env)).toEqual(['Suspended']);
  const waiting = await env.reconcile();
  expect(notesOf(waiting.plan)).toEqual([
    expect.stringContaining('replicates an unknown number of objects of acme-tax'),
  ]);
  await passAndWait(env, START);
  expect(await jobsOf(env)).toEqual(['Complete']);
});

test('backfill: the guardrail cancels a job above its limit, and a raised limit leads to another job', async () => {
  const limitedTo = (count: number) =>
    `${withBackfill()}---\napiVersion: replikey.dev/v1\nkind: Guardrails\nmetadata: { name: limits }\nspec: { maxBackfillObjects: ${count} }\n`;
  await using env = await envWithOldObject(withBackfill());
  await callS3(env.sandbox.endpoint, 'PUT', `/${SOURCE}/Tax/older.pdf`, { body: 'old' });
  await passAndWait(env, {}, limitedTo(1));
  expect(callsOf((await passAndWait(env, START, limitedTo(1))).plan)).toEqual([`${ID} s3:UpdateJobStatus`]);
  expect((await env.reconcileWith(limitedTo(1), START)).plan.blocked.map(({ why }) => why)).toEqual([
    expect.stringMatching(/had 2 objects, and the limit is 1, .* raise maxObjects .* and maxBackfillObjects/),
  ]);
  await passAndWait(env, {}, limitedTo(2));
  expect((await jobsOf(env)).sort()).toEqual(['Cancelled', 'Suspended']);
});

test('backfill: a spec that changes while its job runs gets another job, when the first one is cancelled', async () => {
  let ahead = 0;
  await using env = await envWithOldObject(withBackfill(), { clock: () => Date.now() + ahead });
  await passAndWait(env);
  env.sandbox.faultSettings.jobStateMs = 60_000;
  await env.reconcile(START);
  const edited = withBackfill(', objects: [existing]');
  const { plan } = await env.reconcileWith(edited, START);
  expect(callsOf(plan)).toEqual([`${ID} s3:UpdateJobStatus`]);
  // The job is not cancelled yet.
  expect(callsOf((await env.reconcileWith(edited, START)).plan)).toEqual([]);
  ahead += 120_000;
  const [first] = await listJobs(env.client, EAST);
  expect(await describeJob(env.client, EAST, first?.JobId ?? '')).toMatchObject({
    Status: 'Cancelled',
    StatusUpdateReason: 'replikey: the spec has changed',
  });
  expect(callsOf((await env.reconcileWith(edited, START)).plan)).toEqual([`${ID} s3:CreateJob`]);
});

test('backfill: other changes of the spec are applied while its job waits', async () => {
  await using env = await envWithOldObject(withBackfill());
  await passAndWait(env);
  const { results, refusals } = await env.reconcileWith(`${withBackfill()}      metrics: false\n`);
  expect(refusals).toEqual([]);
  expect(results).toMatchObject([{ id: 's3.replication/acme-tax', result: 'applied' }]);
  expect(await jobsOf(env)).toEqual(['Suspended']);
});
