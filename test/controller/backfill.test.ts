import { expect, test } from 'vitest';
import { createMetrics } from '../../src/controller/metrics.ts';
import type { PairStatus } from '../../src/controller/status.ts';
import { resourceEventsOf } from '../../src/kubernetes/events.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';
import { callS3 } from '../support/raw-aws.ts';
import { RESYNC_INTERVAL_MS, testController } from '../support/test-controller.ts';

const BACKFILL = TAX_SPEC.replace('  rules:', '  backfill: { before: "2026-01-01T00:02:00Z" }\n  rules:');
const files = (text: string) => ({
  files: [{ file: 'specs/tax.yaml', bytes: Buffer.from(text) }],
  problems: [],
});

/** A controller and a sandbox with the same clock, and three objects that are older than the rules. */
async function startWithOldObjects() {
  let now = () => Date.UTC(2026, 0, 1);
  const env = await testEnv(TAX_SPEC, { clock: () => now() });
  await env.reconcileWith(TAX_SPEC.replace('prefix: Tax/', 'prefix: Other/'));
  for (const name of ['a', 'b', 'c'])
    await callS3(env.sandbox.endpoint, 'PUT', `/acme-tax/Tax/${name}`, { body: 'old' });
  const metrics = createMetrics({ version: '1.2.3', name: 'replikey', workers: 4 });
  const allow: string[] = [];
  const events: string[] = [];
  const running = testController(env, {
    allow,
    observer: metrics.observer,
    onStatusUpdate: (after: PairStatus, before: PairStatus) =>
      void events.push(
        ...resourceEventsOf(before, after)
          .filter(({ reason }) => reason.startsWith('Backfill'))
          .map(({ type, reason }) => `${type} ${reason}`),
      ),
  });
  running.clock.adjustWallTime(10_000);
  now = running.clock.now;
  const pair = () => running.controller.status().pairs[0] as PairStatus;
  const round = async () => {
    await running.clock.advance(RESYNC_INTERVAL_MS * 1.2);
    await env.sandbox.waitForJobs();
    await running.idle();
  };
  const samples = async () =>
    (await metrics.render(running.controller))
      .split('\n')
      .filter((line) => /^replikey_backfill_objects\{|^replikey_backfill_jobs\{.* 1$/.test(line));
  return { env, ...running, allow, events, pair, round, samples };
}

test('controller: shows each state of a backfill in conditions, metrics, events and the log, once', async () => {
  const { env, controller, idle, lines, allow, events, pair, round, samples } = await startWithOldObjects();
  await using _ = env;
  env.sandbox.faultSettings.jobStateMs = RESYNC_INTERVAL_MS;
  const backfill = () => pair().conditions.BackfillComplete;
  await controller.update(files(TAX_SPEC));
  await idle();
  expect([backfill(), pair().jobs, await samples()]).toEqual([undefined, undefined, []]);

  await controller.update(files(BACKFILL));
  await idle();
  expect(backfill()).toMatchObject({ status: 'False', reason: 'Preparing' });
  expect(await samples()).toEqual(['replikey_backfill_jobs{pair="tax",state="preparing"} 1']);
  await round();
  await round();
  await round();
  expect(backfill()).toMatchObject({
    reason: 'AwaitingApproval',
    message: expect.stringMatching(
      /^the job \S+ waits for an approval: it starts the job \S+, which replicates 3 objects of acme-tax, for about 0\.25 USD.*; approve with --allow start-backfill=\S+$/,
    ),
  });
  const [job] = pair().jobs ?? [];
  expect(job).toMatchObject({
    state: 'awaitingApproval',
    total: 3,
    approval: `--allow start-backfill=${job?.jobId}`,
    pairs: ['tax'],
  });
  expect(pair().conditions.Ready.status).toBe('True');
  const quiet = lines.length;
  env.sandbox.log.reset();
  await round();
  expect(lines.slice(quiet)).toEqual([]);
  // A job that waits leads to one pass in an interval, and to no write.
  expect(env.sandbox.log.counts()['s3control:ListJobs']).toBe(1);
  expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);

  allow.push(`start-backfill=${job?.jobId}`);
  await round();
  await round();
  await round();
  expect(backfill()).toMatchObject({ reason: 'InProgress' });
  expect(await samples()).toEqual([
    'replikey_backfill_objects{pair="tax",state="succeeded"} 3',
    'replikey_backfill_objects{pair="tax",state="failed"} 0',
    'replikey_backfill_objects{pair="tax",state="remaining"} 0',
    'replikey_backfill_jobs{pair="tax",state="inProgress"} 1',
  ]);
  for (let count = 0; count < 4; count += 1) await round();
  expect(backfill()).toMatchObject({ status: 'True', reason: 'Succeeded' });
  expect(events).toEqual([
    'Normal BackfillPreparing',
    'Normal BackfillAwaitingApproval',
    'Normal BackfillInProgress',
    'Normal BackfillSucceeded',
  ]);
  expect(lines.map(({ msg }) => msg).filter((msg) => msg.startsWith('backfill: '))).toHaveLength(4);

  await controller.update(files(TAX_SPEC));
  await idle();
  expect([backfill(), pair().jobs, await samples()]).toEqual([undefined, undefined, []]);
  await controller.drain();
});
