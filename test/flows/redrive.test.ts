import { PutRolePolicyCommand, GetRolePolicyCommand } from '@aws-sdk/client-iam';
import { afterEach, expect, test } from 'vitest';
import { listJobs } from '../../src/aws/batch-jobs.ts';
import { kinds } from '../../src/kinds/index.ts';
import type { PassOptions } from '../../src/reconcile/pass.ts';
import { reconcile } from '../../src/reconcile/reconcile.ts';
import { planRedrives, readRedriveState, type RedriveOptions } from '../../src/reconcile/redrive.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { callS3 } from '../support/raw-aws.ts';

const EAST = { region: 'us-east-1' };

async function run(env: TestEnv, passOptions: Partial<PassOptions> = {}, options: Partial<RedriveOptions> = {}) {
  const redrives = await planRedrives(env.specs.pairs, env.client, { nowMs: env.client.now(), ...options });
  const outcome = await reconcile(
    { ...env.specs, pairs: redrives.map(({ pair }) => pair) },
    { kinds, aws: env.client, allowedRisks: [], dryRun: false, propagationTimeoutMs: 5_000, jobsOnly: true, ...passOptions },
  );
  return { outcome, redrives };
}

test('redrive: x', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const { outcome, redrives } = await run(env);
  console.log(JSON.stringify(outcome, null, 1));
  await env.sandbox.waitForJobs();
  console.log(await readRedriveState(env.client, redrives[0]!));
});
