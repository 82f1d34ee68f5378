import { expect, test } from 'vitest';
import type { InjectedFault } from '../../src/sandbox/faults.ts';
import { testEnv } from '../support/env.ts';

const denied = (match: string, nth: number): InjectedFault => ({
  match,
  nth,
  times: 100,
  what: { status: 400, code: 'AccessDeniedException' },
});

// The search for a key whose creation had no response follows the failure. The pass has listed the keys before.
test.each([
  ['CreateKey alone', []],
  ['CreateKey and the search that follows', [denied('ListAliases', 3)]],
])('a denied CreateKey: is the cause that the step names (denied: %s)', async (_, more) => {
  await using env = await testEnv();
  env.sandbox.faultSettings.faults = [denied('CreateKey', 1), ...more];
  const { results } = await env.reconcile();
  const failed = results.filter(({ id, result }) => id.startsWith('kms.key/') && result === 'failed');
  expect(failed).toHaveLength(2);
  for (const { why } of failed)
    expect(why).toMatch(/^kms:CreateKey in us-.*; these credentials lack the permission kms:CreateKey$/);
});
