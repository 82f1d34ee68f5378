import { expect, test } from 'vitest';
import { listJobs } from '../../src/aws/batch-jobs.ts';
import { createAwsClient } from '../../src/aws/client.ts';
import type { RequestEntry } from '../../src/sandbox/admin-api.ts';
import type { FaultSettings } from '../../src/sandbox/faults.ts';
import { REPLICA, SOURCE, versionOf } from '../sandbox/support.ts';
import { AFTER_ALL_OBJECTS, TAX_SPEC, testEnv } from '../support/env.ts';
import { callS3 } from '../support/raw-aws.ts';

const EAST = { region: 'us-east-1' };
const BACKFILL_SPEC = TAX_SPEC.replace(
  '  rules:',
  `  backfill: { before: "${AFTER_ALL_OBJECTS}" }\n  rules:`,
);
const START = { allowedRisks: ['start-backfill'] };

/** The calls that read or change the state of a backfill. `flows/crash.test.ts` ends the program at all others. */
const isOfBackfill = ({ operation }: RequestEntry): boolean =>
  ['ListJobs', 'DescribeJob', 'CreateJob', 'UpdateJobStatus', 'TagRole'].includes(operation);

interface LostCall {
  /** The pass that loses it: 0 creates the job, 1 approves it, 2 records it. */
  pass: number;
  /** The position of the call among those of a backfill, from 1; 0: none. */
  nth: number;
  /** Whether AWS executes the call, and only the response is lost. */
  phase: 'before' | 'after';
  /** Whether the program continues; otherwise it dies. */
  continues?: boolean;
}

/** Makes three passes, of which one loses a call, and then passes until nothing changes. */
async function runWithout(
  { pass, nth, phase, continues }: LostCall,
  faultSettings: Partial<FaultSettings> = {},
) {
  let current = -1;
  let controller = new AbortController();
  const calls: string[][] = [[], [], [], []];
  await using env = await testEnv(BACKFILL_SPEC, {
    onCall(entry, currentPhase) {
      // A program that is dead sends no call.
      if (controller.signal.aborted) throw new Error('the program has died');
      if (!isOfBackfill(entry)) return;
      if (currentPhase === 'before') calls[current]?.push(entry.operation);
      if (current !== pass || calls[current]?.length !== nth || currentPhase !== phase) return;
      if (!continues) controller.abort(new Error('the program dies'));
      throw new Error('the call or its response is lost');
    },
    faultSettings,
  });
  await callS3(env.sandbox.endpoint, 'PUT', `/${SOURCE}`);
  await callS3(env.sandbox.endpoint, 'PUT', `/${SOURCE}/Tax/old.pdf`, { body: 'old' });
  await env.reconcileWith(TAX_SPEC, { allowedRisks: ['change-default-encryption'] });
  for (current = 0; current < 3; current += 1) {
    const { signal } = controller;
    const aws = createAwsClient({ clients: env.clients, accounts: [], region: EAST.region, signal });
    await env.reconcile({ ...(current === 1 ? START : {}), aws, signal }).catch(() => {});
    controller = new AbortController();
    await env.sandbox.waitForJobs();
  }
  const isConverged = async () => (await env.reconcile(START)).plan.waves.length === 0;
  let passes = 0;
  while (!(await isConverged()) && passes < 5) {
    passes += 1;
    await env.sandbox.waitForJobs();
  }
  return {
    calls: calls.slice(0, 3),
    jobs: (await listJobs(env.client, EAST)).map(({ Status }) => Status),
    isConverged: passes < 5,
    isReplicated: versionOf(env.sandbox, REPLICA, 'Tax/old.pdf') !== undefined,
  };
}

test.each<[text: string, passes: number, faultSettings: Partial<FaultSettings>]>([
  ['S3 remembers the token of a job', 3, {}],
  // AWS does not document for how long it remembers a token.
  ['S3 forgets the token of a job', 1, { repeatedJobToken: 'newJob' }],
])(
  'backfill: exactly one job exists after a death or a lost response at any of its calls (%s)',
  { timeout: 60_000 },
  async (_, passes, faultSettings) => {
    const { calls, ...reference } = await runWithout({ pass: -1, nth: 0, phase: 'before' }, faultSettings);
    expect(reference).toEqual({ jobs: ['Complete'], isConverged: true, isReplicated: true });
    const writes = ['CreateJob', 'UpdateJobStatus', 'TagRole'];
    expect(calls.map((operations) => operations.filter((operation) => writes.includes(operation)))).toEqual(
      writes.map((operation) => [operation]),
    );
    const lostCalls = calls.slice(0, passes).flatMap((operations, pass) =>
      operations.flatMap((operation, index): LostCall[] => [
        { pass, nth: index + 1, phase: 'before' },
        // A read whose response is lost changes nothing either.
        ...(writes.includes(operation)
          ? [false, true].map((continues) => ({ pass, nth: index + 1, phase: 'after' as const, continues }))
          : []),
      ]),
    );
    for (const lostCall of lostCalls) {
      const { calls: _calls, ...outcome } = await runWithout(lostCall, faultSettings);
      expect(outcome, JSON.stringify(lostCall)).toEqual(reference);
    }
  },
);
