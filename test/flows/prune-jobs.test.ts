import { GetRoleCommand } from '@aws-sdk/client-iam';
import { expect, test } from 'vitest';
import { listJobs } from '../../src/aws/batch-jobs.ts';
import type { Plan } from '../../src/core/resource.ts';
import type { Outcome, PassOptions } from '../../src/reconcile/pass.ts';
import { AFTER_ALL_OBJECTS, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { callS3 } from '../support/raw-aws.ts';

const EAST = { region: 'us-east-1' };
const BATCH_ROLE = 'replikey-batch-acme-tax';
const REMOVE = '  policy: { deletion: Remove }\n';
const withBackfill = (yaml: string, fields = '') =>
  yaml.replace('  rules:', `  backfill: { before: "${AFTER_ALL_OBJECTS}"${fields} }\n  rules:`);
const TAX = `${TAX_SPEC}${REMOVE}`;
const BOOKS = TAX.replaceAll('acme-tax', 'acme-books')
  .replace('name: tax', 'name: books')
  .replace('Tax/', 'Books/');

const stepsOf = ({ waves }: Plan) => waves.flat().map(({ action, id }) => `${action} ${id}`);
const notesOf = ({ notes }: Plan) => notes.map(({ message }) => message);
const failuresIn = ({ results }: Outcome) => results.filter(({ result }) => result !== 'applied');
const statusesOf = async ({ client }: TestEnv) => (await listJobs(client, EAST)).map(({ Status }) => Status);
const hasRole = ({ client }: TestEnv, RoleName = BATCH_ROLE) =>
  client.send(EAST, new GetRoleCommand({ RoleName })).then(
    () => true,
    () => false,
  );

/** Runs a prune that must apply its whole plan, and after which a second one plans nothing. */
async function prune(env: TestEnv, yaml: string, options: Partial<PassOptions> = {}): Promise<Plan> {
  const all = { prune: true, thresholds: { maxRemovals: 50 }, ...options };
  const outcome = await env.reconcileWith(yaml, all);
  expect([failuresIn(outcome), outcome.plan.blocked]).toEqual([[], []]);
  expect(stepsOf((await env.reconcileWith(yaml, all)).plan)).toEqual([]);
  return outcome.plan;
}

/** Returns an environment in which the job of a spec waits for its approval. */
async function envWithWaitingJob(yaml: string, clock = Date.now): Promise<TestEnv> {
  const env = await testEnv(yaml, { clock });
  await env.reconcileWith(yaml.replaceAll('prefix: Tax/', 'prefix: Other/').replace(/ {2}backfill.*\n/, ''));
  await callS3(env.sandbox.endpoint, 'PUT', '/acme-tax/Tax/old.txt', { body: 'old' });
  await env.reconcile();
  await env.sandbox.waitForJobs();
  expect(await statusesOf(env)).toEqual(['Suspended']);
  return env;
}

test('prune: the batch role of a declared backfill is no orphan', async () => {
  await using env = await envWithWaitingJob(withBackfill(TAX));
  const plan = await prune(env, withBackfill(TAX));
  expect(stepsOf(plan)).toEqual([]);
  expect(notesOf(plan)).toEqual([expect.stringMatching(/^waits for an approval/)]);
  expect([await statusesOf(env), await hasRole(env)]).toEqual([['Suspended'], true]);
});

test('prune: a spec without its backfill loses the job that waits, then the batch role with its policy', async () => {
  await using env = await envWithWaitingJob(withBackfill(TAX));
  const plan = await prune(env, TAX);
  expect(stepsOf(plan)).toEqual(
    [
      's3.backfill/acme-tax/tax',
      'iam.role-policy/replikey-batch-acme-tax',
      'iam.role/replikey-batch-acme-tax',
    ].map((id) => `delete ${id}`),
  );
  expect(plan.waves.flat().flatMap(({ risks }) => risks)).toEqual([]);
  await env.sandbox.waitForJobs();
  expect([await statusesOf(env), await hasRole(env)]).toEqual([['Cancelled'], false]);
  // The cancelled job counts as no attempt.
  const again = await env.reconcile();
  expect(again.plan.waves.flat().flatMap(({ calls }) => calls)).toContain('s3:CreateJob');
});

test('prune: a removed spec loses the batch role, also without a job', async () => {
  await using env = await testEnv(withBackfill(TAX));
  await env.reconcileWith(`${withBackfill(TAX)}---\n${BOOKS}`);
  await env.sandbox.waitForJobs();
  const options = { drainMs: 0, allowedRisks: ['lose-in-flight', 'remove-pair'] };
  const steps = stepsOf(await prune(env, BOOKS, options));
  expect(steps).toEqual(
    expect.arrayContaining([`delete iam.role-policy/${BATCH_ROLE}`, `delete iam.role/${BATCH_ROLE}`]),
  );
  expect([await hasRole(env), await hasRole(env, 'replikey-acme-tax')]).toEqual([false, false]);
});

test('prune: a job that runs keeps its role until it has ended', async () => {
  let ahead = 0;
  await using env = await envWithWaitingJob(withBackfill(TAX), () => Date.now() + ahead);
  env.sandbox.faultSettings.jobStateMs = 60_000;
  expect(failuresIn(await env.reconcile({ allowedRisks: ['start-backfill'] }))).toEqual([]);
  const plan = await prune(env, TAX);
  expect(stepsOf(plan)).toEqual([]);
  expect(notesOf(plan)).toEqual([
    expect.stringMatching(
      /^replikey keeps its permissions for jobs: the job \S+ of acme-tax is \w+; a later --prune removes them$/,
    ),
  ]);
  await expect
    .poll(async () => {
      ahead += 60_000;
      const statuses = await statusesOf(env);
      await env.sandbox.waitForJobs();
      return statuses;
    })
    .toEqual(['Complete']);
  expect(stepsOf(await prune(env, TAX))).toContain(`delete iam.role/${BATCH_ROLE}`);
});

test('prune: without deletion: Remove, batch role and job stay, with the reason', async () => {
  const retained = withBackfill(TAX_SPEC);
  await using env = await envWithWaitingJob(retained);
  const plan = await prune(env, TAX_SPEC);
  expect(stepsOf(plan)).toEqual([]);
  expect(notesOf(plan)).toEqual(['replikey keeps its permissions for jobs: it sets deletion: Retain']);
  expect([await statusesOf(env), await hasRole(env)]).toEqual([['Suspended'], true]);
});

test('prune: a job that the first stage creates waits for its approval, although the second stage finds it prepared', async () => {
  await using env = await testEnv(withBackfill(TAX));
  await env.reconcileWith(TAX.replace('prefix: Tax/', 'prefix: Other/'));
  await callS3(env.sandbox.endpoint, 'PUT', '/acme-tax/Tax/old.txt', { body: 'old' });
  await env.reconcileWith(`${TAX}---\n${BOOKS}`);
  const pruned = await env.reconcile({
    prune: true,
    thresholds: { maxRemovals: 50 },
    allowedRisks: ['lose-in-flight', 'remove-pair'],
  });
  expect(failuresIn(pruned)).toEqual([]);
  const ids = pruned.results.map(({ id }) => id);
  expect(ids.filter((id) => id.startsWith('s3.backfill/'))).toEqual(['s3.backfill/acme-tax/tax']);
  expect(ids).toContain('iam.role-policy/replikey-acme-books');
  await env.sandbox.waitForJobs();
  expect(await statusesOf(env)).toEqual(['Suspended']);
});

test('prune: a shared batch role keeps the statements of the other spec', async () => {
  const shared = ', role: { name: replikey-batch-shared }';
  const yaml = `${withBackfill(TAX, shared)}---\n${withBackfill(BOOKS, shared)}`;
  await using env = await testEnv(yaml);
  await env.reconcile();
  await env.sandbox.waitForJobs();
  // Records the jobs, which found no objects.
  await env.reconcile();
  const options = { drainMs: 0, allowedRisks: ['lose-in-flight'] };
  const plan = await prune(env, `${TAX}---\n${withBackfill(BOOKS, shared)}`, options);
  expect(stepsOf(plan)).toContain('update iam.role-policy/replikey-batch-shared');
  const statements = JSON.stringify([...(roleOf(env)?.inline ?? [])]);
  expect(statements).toContain('arn:aws:s3:::acme-books');
  expect(statements).not.toContain('arn:aws:s3:::acme-tax');
});

const roleOf = ({ sandbox }: TestEnv) =>
  sandbox.store.account('111122223333').roles.get('replikey-batch-shared');
