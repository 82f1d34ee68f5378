import { PutBucketPolicyCommand } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { planText } from '../../src/report/plan-text.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';

/** Adds a foreign Deny statement to the destination bucket. */
const deny = ({ client }: TestEnv, Condition: object) =>
  client.send(
    { region: 'us-west-2' },
    new PutBucketPolicyCommand({
      Bucket: 'acme-tax-replica',
      Policy: JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          {
            Sid: 'OnlyThroughEndpoint',
            Effect: 'Deny',
            Principal: '*',
            Action: 's3:*',
            Resource: 'arn:aws:s3:::acme-tax-replica/*',
            Condition,
          },
        ],
      }),
    }),
  );
const THROUGH_ENDPOINT = { StringNotEquals: { 'aws:SourceVpce': 'vpce-1a2b3c4d' } };

test('unproven rule: refuses the plan before the first write, with cause and fix', async () => {
  await using env = await testEnv();
  await env.reconcile();
  await deny(env, THROUGH_ENDPOINT);
  const reconcileChanged = env.reconcileWith.bind(env, YAML);
  const { plan, proof, refusals, results } = await reconcileChanged();
  expect(plan.waves.flat().map(({ id }) => id)).toEqual(['s3.replication/acme-tax']);
  expect(results).toEqual([]);
  expect(refusals.map(({ id }) => id)).toEqual(['unproven']);
  expect(refusals[0]?.message).toMatch(
    /^replikey\/tax\/tax would not replicate: RK1308 S3 is not allowed to write the replica: bucket policy of acme-tax-replica denies s3:ReplicateObject .*OnlyThroughEndpoint.*--allow-unproven$/,
  );
  const text = planText(plan, env.specs.pairs, proof);
  expect(text).toContain('✗ replikey/tax/tax  acme-tax → acme-tax-replica  does not replicate');
  expect(text).toMatch(
    /error RK1308 the role cannot write replicas \(S3 reports\s+DstPutObjectNotPermitted\)/,
  );
  expect(text).toContain('"aws:PrincipalArn"');
  expect(text).toMatch(/^Proof: 0 of 1 rules proven, 1 does not replicate\.$/m);

  const forced = await reconcileChanged({ allowUnproven: true });
  expect(forced.results.map(({ result }) => result)).toEqual(['applied']);
});

test('unknown verdict: is reported, and refuses nothing', async () => {
  await using env = await testEnv();
  await env.reconcile();
  await deny(env, { StringNotEquals: { 'aws:PrincipalOrgID': 'o-1a2b3c4d5e' } });
  const { proof, refusals, results } = await env.reconcileWith(YAML);
  expect(proof.map(({ verdict }) => verdict)).toEqual(['unknown']);
  expect(proof[0]?.findings[0]).toMatchObject({
    code: 'RK1902',
    message: expect.stringContaining('aws:PrincipalOrgID'),
  });
  expect(refusals).toEqual([]);
  expect(results.map(({ result }) => result)).toEqual(['applied']);
});

const YAML = `${TAX_SPEC}      metrics: false\n`;

test('unreadable inline policies: the verdict stays unknown although the plan writes the policy of replikey', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const denied = { status: 403, code: 'AccessDenied', message: 'Access Denied' };
  env.sandbox.faultSettings.faults = [{ match: 'ListRolePolicies', nth: 1, times: 1_000, what: denied }];
  const { proof } = await env.reconcileWith(YAML, { dryRun: true });
  expect(proof.map(({ verdict }) => verdict)).toEqual(['unknown']);
});

test('unproven rule: is refused although an alarm of its spec is blocked, because replication does not depend on alarms', async () => {
  await using env = await testEnv();
  await env.reconcile();
  await deny(env, THROUGH_ENDPOINT);
  const denied = { status: 403, code: 'AccessDenied', message: 'Access Denied' };
  env.sandbox.faultSettings.faults = [{ match: 'DescribeAlarms', nth: 1, times: 1_000, what: denied }];
  const alarmed = YAML.replace(/ {6}metrics: false\n/, '').replace(
    '  rules:',
    '  alarms: { failed: true, notify: [arn:aws:sns:us-east-1:111122223333:replication] }\n  rules:',
  );
  const { plan, refusals, results } = await env.reconcileWith(`${alarmed}      priority: 7\n`);
  expect(plan.blocked.map(({ id }) => id)).toEqual(['cloudwatch.alarm/replikey-tax-tax-failed@us-east-1']);
  expect(refusals.map(({ id }) => id)).toEqual(['unproven']);
  expect(results).toEqual([]);
});
