import { CreateKeyCommand } from '@aws-sdk/client-kms';
import { expect, test } from 'vitest';
import { readyCondition } from '../../src/controller/conditions.ts';
import type { Outcome } from '../../src/reconcile/pass.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';

test.each([
  ['DescribeKey', /^kms\.key|^s3\.replication/],
  ['GetKeyPolicy', /is undecided: RK1901/],
])(
  'readyCondition: the key of a new pair cannot be read (%s): recoverable, because the next read may succeed',
  async (operation, message) => {
    await using env = await testEnv();
    const { KeyMetadata } = await env.client.send({ region: 'us-west-2' }, new CreateKeyCommand({}));
    const spec = TAX_SPEC.replace('key: alias/acme-tax-replica', `key: "${KeyMetadata?.Arn}"`);
    env.sandbox.faultSettings.faults = [
      {
        match: operation,
        nth: 1,
        times: 1_000,
        what: { status: 403, code: 'AccessDeniedException', message: 'no' },
      },
    ];
    const [condition, retry] = readyCondition(await env.reconcileWith(spec));
    expect(condition).toMatchObject({
      status: 'False',
      reason: 'Unreadable',
      message: expect.stringMatching(message),
    });
    expect(retry).toBe('recoverable');
  },
);

test('readyCondition: one change that is not applied: counts it in the singular', () => {
  const plan = { waves: [[{}]], blocked: [], unchanged: 12 };
  const [condition] = readyCondition({ plan, refusals: [], results: [] } as unknown as Outcome);
  expect(condition).toMatchObject({ reason: 'ChangesPending', message: '1 change is pending' });
});
