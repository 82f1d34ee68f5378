import { CreateTopicCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';
import { CreateQueueCommand, SetQueueAttributesCommand } from '@aws-sdk/client-sqs';
import { expect, test } from 'vitest';
import { deleteMessages, receiveMessages, returnMessages } from '../../src/aws/sqs.ts';
import { parseFailureMessage } from '../../src/controller/failure-events.ts';
import { changeRolePolicy, EAST, put } from '../sandbox/support.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';

const ACCOUNT = '111122223333';
const TOPIC = `arn:aws:sns:us-east-1:${ACCOUNT}:failures`;
const QUEUE = `arn:aws:sqs:us-east-1:${ACCOUNT}:failures`;
// The endpoint of the Region receives the calls, not the host of this URL.
const queue = { url: `https://sqs.us-east-1.amazonaws.com/${ACCOUNT}/failures`, location: EAST };

// Amazon SNS Developer Guide, "Fanout to Amazon SQS queues": the policy of the queue allows the topic to send.
const POLICY = JSON.stringify({
  Version: '2012-10-17',
  Statement: {
    Effect: 'Allow',
    Principal: { Service: 'sns.amazonaws.com' },
    Action: 'sqs:SendMessage',
    Resource: QUEUE,
    Condition: { ArnEquals: { 'aws:SourceArn': TOPIC } },
  },
});

test.each(['false', 'true'])(
  'sqs: a failure event through a topic, with raw message delivery %s: received, returned and deleted',
  async (RawMessageDelivery) => {
    await using env = await testEnv(TAX_SPEC.replace('  rules:', `  failures: { to: "${TOPIC}" }\n  rules:`));
    const sns = new SNSClient({
      endpoint: env.sandbox.endpoint,
      region: EAST.region,
      credentials: { accessKeyId: ACCOUNT, secretAccessKey: 'test' },
    });
    await sns.send(new CreateTopicCommand({ Name: 'failures' }));
    await env.client.send(EAST, new CreateQueueCommand({ QueueName: 'failures' }));
    await env.client.send(
      EAST,
      new SetQueueAttributesCommand({ QueueUrl: queue.url, Attributes: { Policy: POLICY } }),
    );
    await sns.send(
      new SubscribeCommand({
        TopicArn: TOPIC,
        Protocol: 'sqs',
        Endpoint: QUEUE,
        Attributes: { RawMessageDelivery },
      }),
    );
    expect((await env.reconcile()).results.filter(({ result }) => result !== 'applied')).toEqual([]);
    await changeRolePolicy(env.client, (statements) => {
      statements.Denied = { Sid: 'Denied', Effect: 'Deny', Action: 's3:ReplicateObject', Resource: '*' };
    });
    await put(env, { Key: 'Tax/2027 ü+&.pdf' });

    const received = await receiveMessages(env.client, queue, 0);
    const messages = received.map(({ body }) => parseFailureMessage(body));
    expect(messages).toContainEqual({ type: 'test' });
    expect(messages).toContainEqual({
      type: 'events',
      notices: [],
      failures: [
        expect.objectContaining({
          bucket: 'acme-tax',
          rule: 'replikey/tax/tax',
          key: 'Tax/2027 ü+&.pdf',
          operation: 'OBJECT_PUT',
          reason: 'DstPutObjectNotPermitted',
        }),
      ],
    });
    expect(received).toHaveLength(2);
    expect(await receiveMessages(env.client, queue, 0)).toEqual([]);
    await returnMessages(env.client, queue, received, 0);
    const again = await receiveMessages(env.client, queue, 0);
    expect(again.map(({ id }) => id).sort()).toEqual(received.map(({ id }) => id).sort());
    expect(await deleteMessages(env.client, queue, again)).toEqual([]);
    expect(await receiveMessages(env.client, queue, 0)).toEqual([]);
  },
);
