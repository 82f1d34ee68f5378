import { readFile } from 'node:fs/promises';
import { TagRoleCommand } from '@aws-sdk/client-iam';
import { PutBucketNotificationConfigurationCommand } from '@aws-sdk/client-s3';
import {
  CreateTopicCommand,
  GetTopicAttributesCommand,
  SetTopicAttributesCommand,
} from '@aws-sdk/client-sns';
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  SetQueueAttributesCommand,
} from '@aws-sdk/client-sqs';
import { expect, test } from 'vitest';
import type { Outcome } from '../../src/reconcile/pass.ts';
import { changeRolePolicy, EAST, put, SOURCE } from '../sandbox/support.ts';
import { ACCOUNT_SPECS, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { callS3, callSqs } from '../support/raw-aws.ts';

const OWNER = '111122223333';
const QUEUE = `arn:aws:sqs:us-east-1:${OWNER}:failures`;
const QueueUrl = `https://sqs.us-east-1.amazonaws.com/${OWNER}/failures`;
const SPEC = TAX_SPEC.replace('  rules:', `  failures: { to: "${QUEUE}" }\n  rules:`);
const POLICY_ID = `sqs.queue-policy/${QUEUE}`;
const NOTIFICATION_ID = `s3.notification/${SOURCE}`;

/** Returns an environment with the queue that the spec names. */
async function queueEnv(yaml = SPEC): Promise<TestEnv> {
  const env = await testEnv(yaml);
  await env.client.send(EAST, new CreateQueueCommand({ QueueName: 'failures' }));
  return env;
}

const notificationXml = async ({ sandbox }: TestEnv): Promise<string> =>
  (await callS3(sandbox.endpoint, 'GET', `/${SOURCE}?notification`)).body;

const policyOf = async ({ client }: TestEnv): Promise<string> => {
  const command = new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['Policy'] });
  return (await client.send(EAST, command)).Attributes?.Policy ?? '';
};

async function messages({ sandbox }: TestEnv): Promise<string[]> {
  const { json } = await callSqs(sandbox.endpoint, 'ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 10 });
  return ((json.Messages ?? []) as { Body: string }[]).map(({ Body }) => Body);
}

const failuresIn = ({ results }: Outcome) => results.filter(({ result }) => result !== 'applied');

test('failure events: a denied object arrives in the queue, and the second pass changes nothing', async () => {
  await using env = await queueEnv();
  const outcome = await env.reconcile();
  expect([outcome.refusals, failuresIn(outcome), outcome.remaining?.waves]).toEqual([[], [], []]);

  await changeRolePolicy(env.client, (statements) => {
    statements.Denied = { Sid: 'Denied', Effect: 'Deny', Action: 's3:ReplicateObject', Resource: '*' };
  });
  await put(env, { Key: 'Tax/2026.pdf' });
  const bodies = await messages(env);
  expect(bodies.filter((body) => body.includes('s3:TestEvent'))).toHaveLength(1);
  expect(bodies.filter((body) => body.includes('Replication:OperationFailedReplication'))).toMatchObject([
    expect.stringContaining('"configurationId":"replikey/tax"'),
  ]);

  expect((await env.reconcile({ dryRun: true })).plan.waves.flat().map(({ id }) => id)).toEqual([]);
});

// The test event and the failed object are of S3: docs.aws.amazon.com how-to-enable-disable-notification-intro.
test('failure events: a pass without changes reads one notification configuration and one queue more', async () => {
  await using env = await queueEnv();
  await env.reconcile();
  const countsOf = async (pass: Promise<Outcome>) => {
    env.sandbox.log.reset();
    await pass;
    return env.sandbox.log.counts();
  };
  env.sandbox.log.reset();
  const withFailures = await countsOf(env.reconcile());
  // The first pass without failure events records in a tag that the spec declared them.
  await env.reconcileWith(TAX_SPEC);
  const without = await countsOf(env.reconcileWith(TAX_SPEC));
  expect(withFailures).toEqual({
    ...without,
    's3:GetBucketNotificationConfiguration': 1,
    'sqs:GetQueueAttributes': 1,
  });
});

test('failure-events.yaml.example: sends both events to its queue', async () => {
  const yaml = await Promise.all(
    ['accounts.yaml', 'failure-events.yaml.example'].map((file) =>
      readFile(`specs/examples/${file}`, 'utf8'),
    ),
  );
  await using env = await testEnv(yaml.join('---\n'));
  const main = { account: 'main', region: 'us-east-1' };
  await env.client.send(main, new CreateQueueCommand({ QueueName: 'replication-failures' }));
  expect(failuresIn(await env.reconcile())).toEqual([]);
  const { body } = await callS3(env.sandbox.endpoint, 'GET', '/acme-orders?notification');
  expect(body.match(/<Event>[^<]*/g)).toEqual([
    '<Event>s3:Replication:OperationFailedReplication',
    '<Event>s3:Replication:OperationMissedThreshold',
  ]);
});

test('failure events: without the queue, rules are applied, and the events are blocked with the reason', async () => {
  await using env = await testEnv(SPEC);
  const { plan, results } = await env.reconcile();
  expect(plan.blocked).toMatchObject([
    {
      id: POLICY_ID,
      why: `the queue ${QUEUE} does not exist; create it: replikey creates no queue or topic`,
    },
  ]);
  expect(results.find(({ id }) => id === `s3.replication/${SOURCE}`)).toMatchObject({ result: 'applied' });
  expect(results.find(({ id }) => id === NOTIFICATION_ID)).toMatchObject({
    result: 'skipped',
    why: `${POLICY_ID} is blocked`,
  });
  expect((await env.canaries()).map(({ result }) => result)).toEqual(['replicated', 'replicated']);

  await env.client.send(EAST, new CreateQueueCommand({ QueueName: 'failures' }));
  expect(failuresIn(await env.reconcile())).toEqual([]);
  expect(await notificationXml(env)).toContain('<Id>replikey/tax</Id>');
});

test('failure events: a foreign configuration of the same event blocks no rule', async () => {
  await using env = await queueEnv(TAX_SPEC);
  await env.reconcile();
  const Policy = JSON.stringify({
    Statement: {
      Effect: 'Allow',
      Principal: { Service: 's3.amazonaws.com' },
      Action: 'sqs:*',
      Resource: '*',
    },
  });
  await env.client.send(EAST, new CreateQueueCommand({ QueueName: 'theirs', Attributes: { Policy } }));
  const theirs = {
    Id: 'theirs',
    QueueArn: QUEUE.replace('failures', 'theirs'),
    Events: ['s3:Replication:*'],
  };
  await env.client.send(
    EAST,
    new PutBucketNotificationConfigurationCommand({
      Bucket: SOURCE,
      NotificationConfiguration: { QueueConfigurations: [theirs as never], EventBridgeConfiguration: {} },
    }),
  );
  const before = await notificationXml(env);
  const { plan, results } = await env.reconcileWith(SPEC.replace('Tax/', 'Taxes/'));
  expect(plan.blocked).toMatchObject([
    { id: NOTIFICATION_ID, why: expect.stringContaining('"theirs" of acme-tax sends s3:Replication:') },
  ]);
  expect(results.find(({ id }) => id === `s3.replication/${SOURCE}`)).toMatchObject({ result: 'applied' });
  expect(await notificationXml(env)).toBe(before);
});

test('failure events: a foreign target that S3 cannot validate is named', async () => {
  await using env = await queueEnv(TAX_SPEC);
  await env.reconcile();
  await env.client.send(
    EAST,
    new PutBucketNotificationConfigurationCommand({
      Bucket: SOURCE,
      SkipDestinationValidation: true,
      NotificationConfiguration: {
        QueueConfigurations: [
          { Id: 'gone', QueueArn: QUEUE.replace('failures', 'gone'), Events: ['s3:ObjectCreated:*'] },
        ],
      },
    }),
  );
  const { results } = await env.reconcileWith(SPEC, { propagationTimeoutMs: 200 });
  expect(results).toContainEqual({
    id: NOTIFICATION_ID,
    action: 'update',
    result: 'failed',
    why: expect.stringMatching(
      /Unable to validate the following destination configurations: arn:aws:sqs:us-east-1:111122223333:gone \(The destination queue does not exist\).*\(waited for S3 to see the policy of the queue or topic\)/,
    ),
  });
});

test('failure events: the owner of an account without credentials gets the statement and a command', async () => {
  const spec = SPEC.replace('region: us-east-1,', 'region: us-east-1, account: main,')
    .replace('region: us-west-2,', 'region: us-west-2, account: main,')
    .replaceAll(`:${OWNER}:failures`, ':777788889999:failures');
  await using env = await testEnv(
    `${ACCOUNT_SPECS}apiVersion: replikey.dev/v1
kind: Account
metadata: { name: monitoring }
spec: { id: "777788889999", managed: false }
---
${spec}`,
  );
  const { plan } = await env.reconcile({ dryRun: true });
  expect(plan.handover).toMatchObject([
    {
      id: 'sqs.queue-policy/arn:aws:sqs:us-east-1:777788889999:failures',
      account: '777788889999',
      what: 'allow S3 to send events to the queue arn:aws:sqs:us-east-1:777788889999:failures',
      document: [{ Sid: 'ReplikeyFailureEvents111122223333' }],
      command: expect.stringContaining('aws sqs set-queue-attributes --region us-east-1 --queue-url'),
    },
  ]);
  expect(plan.waves.flat().map(({ id }) => id)).toContain(NOTIFICATION_ID);
});

test('failure events: prune removes the entry and the bucket from the policy of the queue, and nothing else', async () => {
  const removable = SPEC.replace('  rules:', '  policy: { deletion: Remove }\n  rules:');
  const other = removable.replaceAll('acme-tax', 'acme-books').replace('name: tax', 'name: books');
  await using env = await queueEnv();
  expect(failuresIn(await env.reconcileWith(`${removable}---\n${other}`))).toEqual([]);
  await env.client.send(
    EAST,
    new SetQueueAttributesCommand({
      QueueUrl,
      Attributes: {
        Policy: JSON.stringify({
          Version: '2012-10-17',
          Statement: [
            ...(JSON.parse(await policyOf(env)) as { Statement: object[] }).Statement,
            { Sid: 'theirs', Effect: 'Allow', Principal: { AWS: OWNER }, Action: 'sqs:*', Resource: QUEUE },
          ],
        }),
      },
    }),
  );
  const outcome = await env.reconcileWith(other, { prune: true, allowedRisks: ['remove-pair'] });
  expect(failuresIn(outcome)).toEqual([]);
  expect(await notificationXml(env)).not.toContain('QueueConfiguration');
  expect(JSON.parse(await policyOf(env))).toMatchObject({
    Statement: [
      { Sid: 'theirs' },
      { Condition: { ArnLike: { 'aws:SourceArn': ['arn:aws:s3:::acme-books'] } } },
    ],
  });

  // A spec that declares no events any more.
  const silent = other.replace(/ {2}failures: .*\n/, '');
  const kept = await env.reconcileWith(silent);
  expect(kept.plan.waves.flat().map(({ kind }) => kind)).not.toContain('s3.notification');
  const pruned = await env.reconcileWith(silent, { prune: true });
  expect(failuresIn(pruned)).toEqual([]);
  expect(pruned.plan.notes.filter(({ id }) => id.startsWith('sqs.'))).toEqual([]);
  const books = await callS3(env.sandbox.endpoint, 'GET', '/acme-books?notification');
  expect(books.body).not.toContain('QueueConfiguration');
  expect(JSON.parse(await policyOf(env)).Statement).toMatchObject([{ Sid: 'theirs' }]);
});

// https://github.com/cloud-custodian/cloud-custodian/issues/1779: SNS rejects a policy without statements.
// SNS Developer Guide, "Example cases for Amazon SNS access control": the policy of a new topic.
test('failure events: prune of the only statement of a topic policy leaves the policy of a new topic', async () => {
  const topic = 'arn:aws:sns:us-east-1:111122223333:replication-failures';
  const yaml = SPEC.replace(QUEUE, topic).replace('  rules:', '  policy: { deletion: Remove }\n  rules:');
  await using env = await queueEnv();
  const policyText = async () =>
    (await env.client.send(EAST, new GetTopicAttributesCommand({ TopicArn: topic }))).Attributes?.Policy ??
    '';
  await env.client.send(EAST, new CreateTopicCommand({ Name: 'replication-failures' }));
  const initial = JSON.parse(await policyText());
  expect(failuresIn(await env.reconcileWith(yaml))).toEqual([]);
  const [own] = JSON.parse(await policyText()).Statement.filter(({ Sid }: { Sid: string }) =>
    Sid.startsWith('Replikey'),
  );
  const AttributeValue = JSON.stringify({ Version: '2012-10-17', Statement: [own] });
  await env.client.send(
    EAST,
    new SetTopicAttributesCommand({ TopicArn: topic, AttributeName: 'Policy', AttributeValue }),
  );
  const pruned = await env.reconcileWith(yaml.replace(/ {2}failures: .*\n/, ''), { prune: true });
  expect(failuresIn(pruned)).toEqual([]);
  expect(JSON.parse(await policyText()).Statement).toEqual(initial.Statement);
  expect(pruned.remaining?.waves).toEqual([]);
});

test('failure events: prune removes the entry of a spec that loses failures and gets deletion: Remove in one change', async () => {
  await using env = await queueEnv();
  expect(failuresIn(await env.reconcile())).toEqual([]);
  expect(await notificationXml(env)).toContain('QueueConfiguration');
  const withoutFailures = SPEC.replace(/ {2}failures:.*\n/, '');
  const removed = withoutFailures.replace('  rules:', '  policy: { deletion: Remove }\n  rules:');
  const notesOf = ({ plan }: Outcome) => plan.notes.map(({ message }) => message);
  expect(notesOf(await env.reconcileWith(withoutFailures, { dryRun: true }))).toEqual([
    'the spec tax no longer declares failures; to remove its entry in the notification configuration of the source bucket, set deletion: Remove, and run with --prune',
  ]);
  const outcome = await env.reconcileWith(removed, { prune: true });
  expect(failuresIn(outcome)).toEqual([]);
  expect(await notificationXml(env)).not.toContain('QueueConfiguration');
  const converged = await env.reconcileWith(removed, { prune: true });
  expect([converged.plan.waves, notesOf(converged)]).toEqual([[], []]);
});

test('failure events: prune removes the entry after the removed spec got its tag by hand', async () => {
  await using env = await queueEnv();
  const other = SPEC.replaceAll('acme-tax', 'acme-books').replace('name: tax', 'name: books');
  expect(failuresIn(await env.reconcileWith(`${SPEC}---\n${other}`))).toEqual([]);
  const { plan } = await env.reconcileWith(other, { prune: true });
  const [, Key = '', Value = ''] = /--tags 'Key=(.*),Value=(.*)'$/.exec(plan.notes[0]?.message ?? '') ?? [];
  expect([Key, Value]).toEqual(['replikey:deletion:tax', 'Remove failures']);
  await env.client.send(EAST, new TagRoleCommand({ RoleName: 'replikey-acme-tax', Tags: [{ Key, Value }] }));
  const outcome = await env.reconcileWith(other, { prune: true, allowedRisks: ['remove-pair'] });
  expect(failuresIn(outcome)).toEqual([]);
  expect(await notificationXml(env)).not.toContain('QueueConfiguration');
});
