import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { kinds } from '../../src/kinds/index.ts';
import type { PlannedState } from '../../src/reconcile/pass.ts';
import { GUARDED_OPERATIONS } from '../../src/script/operations.ts';
import { CREATING_OPERATIONS, type Recording, recordPlan } from '../../src/script/record.ts';
import { renderScript } from '../../src/script/render.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

const NOW = Date.parse('2026-11-30T12:00:00Z');
const HOUR = 60 * 60_000;

const HEADER = {
  digest: '0123456789abcdef0123456789abcdef',
  accountIds: { '': '111122223333' },
  accounts: [],
  target: 'AWS, account 111122223333',
  madeAt: new Date(NOW),
  validUntil: new Date(NOW + 24 * HOUR),
  remarks: ['Proof: acme-tax replikey/tax/tax is proven after the plan (18 requests).'],
  propagationWaitSeconds: 45,
};

async function record(env: TestEnv, yaml: string): Promise<Recording> {
  let state: PlannedState = { resources: [], actual: new Map() };
  const { plan } = await env.reconcileWith(yaml, {
    dryRun: true,
    onPlan: (_plan, _proof, plannedState) => {
      state = plannedState;
    },
  });
  return recordPlan({ plan, ...state, kinds, aws: env.client.readOnly(), retainFromMs: NOW + 24 * HOUR });
}

const assertValidShell = (script: string) => {
  const { status, stderr } = spawnSync('sh', ['-n'], { input: script, encoding: 'utf8' });
  expect(status, stderr).toBe(0);
};

describe('script of a plan', () => {
  test('of a new pair: contains each call with its document, in the order of the plan', async () => {
    await using env = await testEnv();
    const recording = await record(env, TAX_SPEC);
    const script = renderScript(recording, HEADER);
    assertValidShell(script);
    await expect(script).toMatchFileSnapshot('golden/new-pair.sh');
    expect(env.client.calls.writes).toBe(0);
    // The guide shows one of these steps.
    const guide = await readFile(
      path.resolve(import.meta.dirname, '../../docs/how-to/review-and-apply-plans.md'),
      'utf8',
    );
    const [, shown = ''] = /```sh\n(# create s3\.versioning[\s\S]*?)```/.exec(guide) ?? [];
    expect(script).toContain(shown);
  });

  test('of a replaced key: waits before the rules change, and removes the replaced permissions in a phase of its own', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const recording = await record(env, TAX_SPEC.replace('alias/acme-tax-replica', 'alias/acme-other'));
    const script = renderScript(recording, HEADER);
    assertValidShell(script);
    const rules = script.slice(script.indexOf("step 's3.replication/acme-tax'"));
    expect(rules).toMatch(/^step .*\nretry_on=.*\nwait=45\ninput /);
    expect(recording.narrowing.map(({ id }) => id)).toContain('iam.role-policy/replikey-acme-tax');
    for (const { calls } of recording.narrowing)
      for (const { input, before } of calls) {
        expect(JSON.stringify(before)).toContain('ReplikeyUntil20261201');
        expect(JSON.stringify(input)).not.toContain('ReplikeyUntil');
      }
    // The drain of 15 minutes, rounded up to the minute, after the validity of the script, which is 24 hours.
    expect(script).toContain("until 2026-12-01T12:16:00Z; run it then'");
  });

  test('of a plan with a setting that the AWS CLI cannot write: names the steps that it omits', async () => {
    await using env = await testEnv();
    await env.reconcile();
    const yaml = TAX_SPEC.replace(
      '  rules:',
      '  failures: { to: "arn:aws:sqs:us-east-1:111122223333:failures" }\n  rules:',
    );
    const { omitted } = await record(env, yaml);
    expect(omitted.map(({ id }) => id)).toContain('s3.notification/acme-tax');
  });

  test('while another caller changes a setting: fails instead of a guard that would not hold', async () => {
    await using env = await testEnv(TAX_SPEC);
    await env.reconcile();
    const changed = TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n    - prefix: Law/');
    let state: PlannedState = { resources: [], actual: new Map() };
    const { plan } = await env.reconcileWith(changed, {
      dryRun: true,
      onPlan: (_plan, _proof, plannedState) => {
        state = plannedState;
      },
    });
    await env.reconcileWith(TAX_SPEC.replace('prefix: Tax/', 'prefix: Other/'));
    await expect(
      recordPlan({ plan, ...state, kinds, aws: env.client.readOnly(), retainFromMs: NOW }),
    ).rejects.toThrow(/ changed while the script was made: another caller writes it; run again$/);
  });

  test('a name with characters of the shell: stays data', async () => {
    await using env = await testEnv();
    const description = "$(touch pwned) `touch pwned` \\ 'größe'";
    const yaml = TAX_SPEC.replace(
      'key: alias/acme-tax }',
      `key: { alias: alias/acme-tax, description: ${JSON.stringify(description)} } }`,
    );
    const script = renderScript(await record(env, yaml), HEADER);
    assertValidShell(script);
    const document = /<<'END'\n(\{\n {2}"Description": "\$\(touch[\s\S]*?)\nEND/.exec(script)?.[1] ?? '{}';
    expect(JSON.parse(document)).toMatchObject({ Description: description });
  });

  test('permissions to write: a script omits only these operations', () => {
    const declared = [...kinds.values()].flatMap(({ permissions }) => permissions.write);
    // Named by the action of IAM, which for S3 differs from the operation.
    const covered = [...GUARDED_OPERATIONS.keys(), ...CREATING_OPERATIONS].map((name) =>
      name.replace(/^(Put|Update)(Bucket)?/, '').toLowerCase(),
    );
    const uncovered = declared.filter((action) => {
      const name = action.slice(action.indexOf(':') + 1).replace(/^(Put|Update)(Bucket)?/, '');
      return (
        !covered.includes(name.replace('Configuration', '').toLowerCase()) &&
        !covered.includes(name.toLowerCase())
      );
    });
    expect([...new Set(uncovered)].sort()).toMatchInlineSnapshot(`
      [
        "cloudwatch:DeleteAlarms",
        "cloudwatch:TagResource",
        "iam:DeleteRole",
        "iam:DeleteRolePolicy",
        "iam:PassRole",
        "kms:TagResource",
        "s3:CreateJob",
        "s3:DeleteBucketPolicy",
        "s3:PutBucketNotification",
        "s3:PutJobTagging",
        "s3:TagResource",
        "s3:UpdateJobStatus",
      ]
    `);
  });
});
