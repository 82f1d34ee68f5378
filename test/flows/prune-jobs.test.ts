import { expect, test } from 'vitest';
import { TAX_SPEC, testEnv } from '../support/env.ts';

const PRUNE = {
  prune: true,
  thresholds: { maxRemovals: 50 },
  drainMs: 0,
  allowedRisks: ['lose-in-flight', 'remove-pair'],
};
const WITH = TAX_SPEC.replace(
  '  rules:',
  `  policy: { deletion: Remove }\n  backfill: { before: "2026-01-01T00:00:00Z" }\n  rules:`,
);
const OTHER = TAX_SPEC.replaceAll('tax', 'books').replaceAll('Tax/', 'Books/');
test('try', async () => {
  await using env = await testEnv(WITH);
  await env.reconcileWith(`${WITH}---\n${OTHER}`);
  await env.sandbox.waitForJobs();
  const show = async (yaml: string) => {
    const { plan, results } = await env.reconcileWith(yaml, PRUNE as never);
    console.log(
      JSON.stringify(
        [
          plan.waves.flat().map(({ action, id, calls }) => [action, id, calls]),
          plan.notes,
          plan.blocked,
          results.filter((r) => r.result !== 'applied'),
        ],
        null,
        1,
      ),
    );
  };
  await show(`${WITH}---\n${OTHER}`);
  await show(`${WITH.replace(/ {2}backfill.*\n/, '')}---\n${OTHER}`);
  await show(OTHER);
  expect(1).toBe(1);
});
