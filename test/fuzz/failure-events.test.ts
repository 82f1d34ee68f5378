import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createFailureBursts, formatBurst, limitBursts } from '../../src/controller/failure-bursts.ts';
import { parseFailureMessage } from '../../src/controller/failure-events.ts';
import { fuzzRuns, mutatedBytes, mutatedJson, nestedText, pollutedProperties } from '../support/mutations.ts';

const notification = {
  Records: [
    {
      eventVersion: '2.2',
      eventSource: 'aws:s3',
      eventTime: '2024-09-05T21:04:32.527Z',
      eventName: 'Replication:OperationFailedReplication',
      s3: {
        bucket: { name: 'acme-tax', arn: 'arn:aws:s3:::acme-tax' },
        object: { key: 'Tax/2027+%C3%BC.pdf', size: 5, versionId: 'v1', sequencer: '0066DA1CBF104C0D51' },
      },
      replicationEventData: {
        replicationRuleId: 'replikey/tax/tax',
        destinationBucket: 'arn:aws:s3:::acme-tax-replica',
        s3Operation: 'OBJECT_PUT',
        requestTime: '2024-09-05T21:03:59.168Z',
        failureReason: 'SrcGetObjectNotPermitted',
      },
    },
  ],
};
const envelope = { Type: 'Notification', Message: JSON.stringify(notification) };
const WORDS = [
  ...['{', '}', '[', ']', '"', 'null', '1e999', '"__proto__":{"polluted":1},'],
  ...['\\ud800', '%', '%E0%A4%A', '\u0000', nestedText(3_000)],
];

/** Parses a message and counts its failures: the texts have limited lengths, and the times are valid. */
function consume(body: string): void {
  const bursts = createFailureBursts({ now: () => 0, wallTime: () => Date.now() });
  const message = parseFailureMessage(body);
  expect(['events', 'test', 'unknown']).toContain(message.type);
  if (message.type !== 'events') return;
  for (const failure of message.failures) {
    const words = [failure.bucket, failure.rule, failure.reason, failure.operation];
    expect(words.every(({ length }) => length <= 255)).toBe(true);
    expect(failure.key.length).toBeLessThanOrEqual(1_024);
    bursts.add('tax', failure);
  }
  for (const burst of limitBursts(bursts.of('tax'))) {
    expect(formatBurst(burst).length).toBeLessThan(1_000);
    expect(new Date(burst.since).toISOString()).toBe(burst.since);
  }
  expect(pollutedProperties()).toEqual([]);
}

test('parseFailureMessage: mutated JSON throws nothing', () => {
  fc.assert(fc.property(mutatedJson([notification, envelope]), consume), fuzzRuns(800).property);
});

test('parseFailureMessage: mutated bytes throw nothing', () => {
  const texts = [JSON.stringify(notification), JSON.stringify(envelope)];
  fc.assert(
    fc.property(mutatedBytes(texts, WORDS), (bytes) => consume(Buffer.from(bytes).toString())),
    fuzzRuns(800).property,
  );
});
