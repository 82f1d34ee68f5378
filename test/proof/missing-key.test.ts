import { expect, test } from 'vitest';
import { TAX_SPEC, testEnv } from '../support/env.ts';

const missing = (region: string) =>
  `"arn:aws:kms:${region}:111122223333:key/99999999-2222-3333-4444-555555555555"`;

/** replikey never creates a key named by ARN, so the observation also holds after apply. */
test.each([
  ['source', TAX_SPEC.replace('alias/acme-tax }', `${missing('us-east-1')} }`), 'RK1202'],
  ['spare', TAX_SPEC.replace('  rules:', `  sourceKeys: [${missing('us-east-1')}]\n  rules:`), 'RK1202'],
  ['replica', TAX_SPEC.replace('alias/acme-tax-replica', missing('us-west-2')), 'RK1204'],
])('plan: a missing %s key is reported once, at its declaration', async (_, yaml, code) => {
  await using env = await testEnv(yaml);
  const { plan, proof, refusals } = await env.reconcile({ dryRun: true });
  expect(plan.blocked).toMatchObject([{ why: expect.stringContaining('does not exist') }]);
  expect(proof).toMatchObject([
    {
      verdict: 'blocked',
      findings: [
        {
          code,
          message: expect.stringMatching(
            /does not exist(: use an existing key$|\. Manual step, .* name it in the rule$)/,
          ),
        },
      ],
    },
  ]);
  expect(proof[0]?.findings[0]?.at?.line).toBe(
    1 + yaml.split('\n').findIndex((line) => line.includes('99999999')),
  );
  // The spec is blocked already, so there is no separate refusal.
  expect(refusals).toEqual([]);
});
