import { DescribeKeyCommand, PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { describe, expect, test, vi } from 'vitest';
import type { ReceivedMessage } from '../../src/aws/sqs.ts';
import type { ControllerOptions } from '../../src/controller/controller.ts';
import { shardOf } from '../../src/controller/leadership.ts';
import type { PairStatus } from '../../src/controller/status.ts';
import { resourceEventsOf } from '../../src/kubernetes/events.ts';
import { queueAddressOf } from '../../src/util/arn.ts';
import { type Clock, sleep } from '../../src/util/clock.ts';
import { parseQueueName } from '../../src/util/queue-address.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { fakeClock, flushPromises } from '../support/fake-clock.ts';
import { clientsOfJane, JANE, policyJson } from '../support/other-caller.ts';
import { testController } from '../support/test-controller.ts';

const QUEUE = queueAddressOf(parseQueueName('arn:aws:sqs:us-east-1:111122223333:failures'));
const MINUTE = 60_000;
const VISIBILITY_MS = 30_000;

/** A queue in memory with the semantics of SQS: a received message is invisible for 30 s, until it is deleted. */
function memoryQueue(clock: Clock) {
  const messages: (ReceivedMessage & { visibleAt: number })[] = [];
  const returned: number[] = [];
  let sent = 0;
  let failure: Error | undefined;
  let polls = 0;
  const visible = () => messages.filter(({ visibleAt }) => visibleAt <= clock.monotonicNow());
  return {
    messages,
    returned,
    get polls() {
      return polls;
    },
    fail(error: Error | undefined) {
      failure = error;
    },
    send(...bodies: string[]) {
      for (const body of bodies) {
        sent += 1;
        messages.push({ id: `m${sent}`, receiptHandle: `r${sent}`, body, visibleAt: 0 });
      }
    },
    module: {
      async receiveMessages(_: unknown, __: unknown, waitSeconds: number): Promise<ReceivedMessage[]> {
        polls += 1;
        if (failure) throw failure;
        for (let waited = 0; waited < waitSeconds && visible().length === 0; waited += 1)
          await sleep(clock, 1_000);
        const received = visible().slice(0, 10);
        for (const message of received) message.visibleAt = clock.monotonicNow() + VISIBILITY_MS;
        return received;
      },
      async deleteMessages(_: unknown, __: unknown, deleted: readonly ReceivedMessage[]) {
        for (const { receiptHandle } of deleted)
          messages.splice(
            messages.findIndex((message) => message.receiptHandle === receiptHandle),
            1,
          );
        return [];
      },
      async returnMessages(_: unknown, __: unknown, list: readonly ReceivedMessage[], seconds: number) {
        for (const { receiptHandle } of list) {
          const message = messages.find((each) => each.receiptHandle === receiptHandle);
          if (message) message.visibleAt = clock.monotonicNow() + seconds * 1_000;
          returned.push(seconds);
        }
      },
    },
  };
}

/** Returns a failure event of S3 (see failure-events.test.ts). */
function eventBody(
  clock: Clock,
  n: number,
  {
    bucket = 'acme-tax',
    rule = 'replikey/tax/tax',
    operation = 'OBJECT_PUT',
    reason = 'SrcGetObjectNotPermitted',
  } = {},
): string {
  const time = new Date(clock.now()).toISOString();
  const object = { key: `Tax/${n}+%C3%BC`, versionId: `v${n}`, sequencer: String(n) };
  const data = { replicationRuleId: rule, s3Operation: operation, requestTime: time, failureReason: reason };
  const record = {
    eventVersion: '2.2',
    eventSource: 'aws:s3',
    eventTime: time,
    eventName: 'Replication:OperationFailedReplication',
    s3: { bucket: { name: bucket }, object },
    replicationEventData: data,
  };
  return JSON.stringify({ Records: [record] });
}

/** Creates a controller that has converged its pair, with a queue in memory. */
async function monitoredController(options: Partial<ControllerOptions> = {}, yaml = TAX_SPEC) {
  const clock = fakeClock();
  const env = await testEnv(yaml, { clock: clock.now });
  const queue = memoryQueue(clock);
  const updates: [after: PairStatus, before: PairStatus][] = [];
  const events: { pair: string; reason: string }[] = [];
  const loop = testController(env, {
    clock,
    loadCloudTrail: () => import('../../src/aws/cloudtrail.ts'),
    failures: { queues: [QUEUE], waitSeconds: 20, loadSqs: async () => queue.module },
    onStatusUpdate: (after, before) => void updates.push([after, before]),
    observer: { onFailureEvent: (event) => void events.push(event) },
    ...options,
  });
  await loop.controller.update({
    files: [{ file: 'specs/tax.yaml', bytes: Buffer.from(yaml) }],
    problems: [],
  });
  await loop.idle();
  return {
    ...loop,
    env,
    clock,
    queue,
    events,
    pair: () => loop.controller.status().pairs[0] as PairStatus,
    messages: () => loop.lines.map(({ msg }) => msg),
    kubernetesEvents: () =>
      updates
        .flatMap(([after, before]) => resourceEventsOf(before, after))
        .filter(({ reason }) => reason === 'ReplicationFailed'),
    /** Advances the clock in steps until an assertion holds. */
    until: (assertion: () => void, stepMs = 500) =>
      vi.waitFor(
        async () => {
          await clock.advance(stepMs);
          assertion();
        },
        { timeout: 20_000, interval: 5 },
      ),
    async [Symbol.asyncDispose]() {
      await loop.controller.drain();
      await env[Symbol.asyncDispose]();
    },
  };
}

const KEY_ADMINISTRATION = {
  Sid: 'Admin',
  Effect: 'Allow',
  Principal: { AWS: 'arn:aws:iam::111122223333:root' },
  Action: ['kms:Get*', 'kms:Put*', 'kms:Describe*', 'kms:List*', 'kms:GenerateDataKey', 'kms:Encrypt'],
  Resource: '*',
};

/** Jane replaces the policy of the source key by one without replikey's statement. */
async function breakKeyPolicy(env: TestEnv): Promise<void> {
  const { kms } = await clientsOfJane(env);
  const KeyId = await keyIdOf(env);
  await kms.send(
    new PutKeyPolicyCommand({ KeyId, PolicyName: 'default', Policy: policyJson([KEY_ADMINISTRATION]) }),
  );
}

async function keyIdOf({ client }: TestEnv): Promise<string> {
  const { KeyMetadata } = await client.send(
    { region: 'us-east-1' },
    new DescribeKeyCommand({ KeyId: 'alias/acme-tax' }),
  );
  return KeyMetadata?.KeyId ?? '';
}

const CAUSE = 'the key policy of alias/acme-tax does not allow kms:Decrypt for arn:aws:s3:::acme-tax/Tax/*';

describe('failure events', () => {
  test('a burst after a changed key policy: cause, author, fix, one event, one log line, and its reversal', async () => {
    await using running = await monitoredController();
    const { env, clock, queue, pair, until } = running;
    await clock.advance(1_000);
    await breakKeyPolicy(env);
    await clock.advance(1_000);
    await env.client.send(
      { region: 'us-east-1' },
      new PutObjectCommand({ Bucket: 'acme-tax', Key: 'Tax/1 ü', Body: 'x' }),
    );
    queue.send(...Array.from({ length: 214 }, (_, n) => eventBody(clock, n)));
    await until(() => expect(pair().failureBursts?.[0]).toMatchObject({ count: 214, reverted: {} }), 100);
    expect(queue.messages).toEqual([]);
    const { failureBursts = [], conditions } = pair();
    expect(failureBursts).toEqual([
      {
        id: '1',
        bucket: 'acme-tax',
        rule: 'replikey/tax/tax',
        reason: 'SrcGetObjectNotPermitted',
        operation: 'OBJECT_PUT',
        count: 214,
        since: expect.any(String),
        until: expect.any(String),
        keys: Array.from({ length: 20 }, (_, n) => `Tax/${213 - n} ü`),
        cause: CAUSE,
        lastChange: { by: JANE, event: 'PutKeyPolicy', at: expect.any(String) },
        fix: expect.stringMatching(
          /^add this statement to the key policy of alias\/acme-tax: \{"Effect":"Allow",/,
        ),
        commands: [expect.objectContaining({ command: expect.stringMatching(/^aws kms put-key-policy /) })],
        reverted: { at: expect.any(String), ids: ['kms.key-policy/alias/acme-tax@us-east-1'] },
        reportedAt: expect.any(String),
      },
    ]);
    expect(conditions.Replicating).toMatchObject({ status: 'False', reason: 'OperationsFailed' });
    expect(conditions.Replicating.message).toMatch(
      /^tax\/tax: 214 objects since \S+, SrcGetObjectNotPermitted: the key policy .*; last changed by \S+\/jane with PutKeyPolicy at .*; replikey reverted kms\.key-policy.*\. Fix: /,
    );
    const reports = running.lines.filter(({ msg }) => msg.startsWith('replication fails: '));
    expect(reports).toMatchObject([
      { level: 'warn', msg: expect.stringContaining(`${CAUSE}; last changed by ${JANE}`) },
    ]);
    expect(running.kubernetesEvents()).toMatchObject([
      { type: 'Warning', note: expect.stringContaining(`${CAUSE}; last changed by ${JANE}`) },
    ]);
    expect(running.events).toEqual(Array(214).fill({ pair: 'tax', reason: 'SrcGetObjectNotPermitted' }));

    await clock.advance(16 * MINUTE);
    expect(pair().failureBursts).toMatchObject([{ count: 214, endedAt: expect.any(String) }]);
    expect(pair().conditions.Replicating.status).not.toBe('False');
    expect(running.kubernetesEvents()).toHaveLength(1);
  });

  test('replikey reverted the change before the event arrived: the burst names the reversal and the author', async () => {
    await using running = await monitoredController();
    const { env, clock, queue, pair, until } = running;
    await clock.advance(1_000);
    await breakKeyPolicy(env);
    await clock.advance(1_000);
    const body = eventBody(clock, 0);
    await clock.advance(1_000);
    running.controller.resync();
    await running.idle();
    await until(() => expect(pair().changes[0]?.steps[0]?.lastChange?.by).toBe(JANE), 100);
    queue.send(body);
    await until(() => expect(pair().failureBursts?.[0]?.reportedAt).toBeDefined());
    expect(pair().failureBursts).toMatchObject([
      {
        cause: 'the policies and settings that replikey can read allow every request of S3 now',
        lastChange: { by: JANE, event: 'PutKeyPolicy' },
        reverted: { ids: ['kms.key-policy/alias/acme-tax@us-east-1'] },
      },
    ]);
  });

  test('many failures of one burst: one diagnosis', async () => {
    await using running = await monitoredController();
    const { env, clock, queue, pair, until } = running;
    queue.send(eventBody(clock, 0));
    await until(() => expect(pair().failureBursts?.[0]?.reportedAt).toBeDefined());
    const calls = () => env.sandbox.log.counts()['s3:GetBucketReplication'] ?? 0;
    await running.idle();
    const before = calls();
    queue.send(...Array.from({ length: 500 }, (_, n) => eventBody(clock, n + 1)));
    await until(() => expect(pair().failureBursts?.[0]?.count).toBe(501));
    expect(calls()).toBe(before);
    // Everything is allowed: no cause is invented.
    expect(pair().failureBursts?.[0]).toMatchObject({
      cause: 'the policies and settings that replikey can read allow every request of S3 now',
    });
    expect(pair().failureBursts?.[0]).not.toHaveProperty('lastChange');
  });

  test('failed delete markers: a burst of their own that leaves the condition unchanged', async () => {
    await using running = await monitoredController();
    const { clock, queue, pair, until } = running;
    const before = pair().conditions.Replicating.status;
    queue.send(eventBody(clock, 0, { operation: 'OBJECT_DELETE', reason: 'DstDelObjNotPermitted' }));
    await until(() => expect(pair().failureBursts?.[0]?.reportedAt).toBeDefined());
    expect(pair().conditions.Replicating.status).toBe(before);
    expect(running.kubernetesEvents()).toMatchObject([{ type: 'Normal' }]);
  });

  test('the same message twice, because a deletion was lost: counted once', async () => {
    await using running = await monitoredController();
    const { clock, queue, pair, until } = running;
    const body = eventBody(clock, 0);
    queue.send(body, body);
    await until(() => expect(queue.messages).toEqual([]));
    expect(pair().failureBursts).toMatchObject([{ count: 1 }]);
  });

  test('unknown messages: stay in the queue with one warning, and do not stop the others', async () => {
    await using running = await monitoredController();
    const { clock, queue, pair, until } = running;
    queue.send(...Array(25).fill('garbage \u001b[2J'), eventBody(clock, 0), '{"Event":"s3:TestEvent"}');
    await until(() => expect(pair().failureBursts).toMatchObject([{ count: 1 }]));
    await clock.advance(5 * MINUTE);
    expect(queue.messages).toHaveLength(25);
    expect(running.messages().filter((msg) => msg.startsWith('a message is no failure event'))).toHaveLength(
      1,
    );
  });

  test('an event of an undeclared rule: counted as unknown, deleted, and logged once', async () => {
    await using running = await monitoredController();
    const { clock, queue, until } = running;
    queue.send(...[0, 1].map((n) => eventBody(clock, n, { bucket: 'other' })));
    queue.send(eventBody(clock, 2, { rule: 'handmade' }));
    await until(() => expect(queue.messages).toEqual([]));
    expect(running.events).toEqual(Array(3).fill({ pair: '', reason: 'SrcGetObjectNotPermitted' }));
    expect(running.messages().filter((msg) => msg.includes('no spec declares'))).toEqual([
      'failure events of a rule that no spec declares: replikey/tax/tax of other',
      'failure events of a rule that no spec declares: handmade of acme-tax',
    ]);
  });

  test('an event of a bucket of another shard: returned for another process, not deleted', async () => {
    const [tax, other] = [TAX_SPEC, TAX_SPEC.replaceAll('tax', 'hr').replaceAll('Tax', 'Hr')];
    const isMine = (bucket = '') => shardOf(bucket, 2) === shardOf('acme-tax', 2);
    expect(isMine('acme-hr')).toBe(false);
    await using running = await monitoredController(
      { isAssigned: ({ pairs }) => isMine(pairs[0]?.source.bucket) },
      `${tax}---\n${other}`,
    );
    const { clock, queue, until } = running;
    queue.send(eventBody(clock, 0, { bucket: 'acme-hr', rule: 'replikey/hr/hr' }), eventBody(clock, 1));
    await until(() => expect(queue.returned.length).toBeGreaterThan(0));
    await until(() => expect(queue.messages).toHaveLength(1));
    expect(queue.messages[0]?.body).toContain('acme-hr');
    expect(queue.returned).toContain(5);
    // The process does not call SQS without a pause.
    const polls = queue.polls;
    await clock.advance(MINUTE);
    expect(queue.polls - polls).toBeLessThan(40);
  });

  test('a standby: receives nothing until it leads', async () => {
    let isLeader = false;
    await using running = await monitoredController({ isLeaderFor: () => isLeader });
    const { clock, queue, until, pair } = running;
    queue.send(eventBody(clock, 0));
    await clock.advance(5 * MINUTE);
    expect(queue.polls).toBe(0);
    isLeader = true;
    await until(() => expect(pair().failureBursts).toMatchObject([{ count: 1 }]));
  });

  test('SQS refuses the calls: one warning, growing pauses, and events after it recovers', async () => {
    await using running = await monitoredController();
    const { clock, queue, until, pair } = running;
    queue.fail(Object.assign(new Error('no such queue'), { name: 'QueueDoesNotExist' }));
    await clock.advance(10 * MINUTE);
    expect(queue.polls).toBeLessThan(25);
    expect(running.messages().filter((msg) => msg.includes('cannot receive failure events'))).toHaveLength(1);
    queue.fail(undefined);
    queue.send(eventBody(clock, 0));
    await until(() => expect(pair().failureBursts).toMatchObject([{ count: 1 }]), 5_000);
  });

  test('drain: does not wait for the call that waits for messages', async () => {
    await using running = await monitoredController();
    await running.clock.advance(1_000);
    let isDrained = false;
    void running.controller.drain().then(() => {
      isDrained = true;
    });
    await flushPromises();
    await vi.waitFor(() => expect(isDrained).toBe(true));
  });
});
