import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import type { AwsClient } from '../../src/aws/client.ts';
import type { EventQuery } from '../../src/aws/cloudtrail.ts';
import { createAttributor } from '../../src/controller/attribution.ts';
import { findLastChange, parseLookupEntry } from '../../src/controller/audit-record.ts';
import type { AuditedCall } from '../../src/core/kind.ts';
import type { Location, Step } from '../../src/core/resource.ts';
import { kinds } from '../../src/kinds/index.ts';
import { fakeClock } from '../support/fake-clock.ts';

const NOON = Date.UTC(2026, 0, 1, 12);
const MINUTE = 60_000;
const JANE = 'arn:aws:sts::111122223333:assumed-role/admin/jane';
const at = (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');

/** A LookupEvents entry for PutBucketPolicy. */
const auditEvent = (overrides: object = {}) => ({
  CloudTrailEvent: JSON.stringify({
    eventName: 'PutBucketPolicy',
    eventTime: at(NOON),
    userIdentity: { type: 'AssumedRole', arn: JANE, accountId: '111122223333' },
    userAgent: '[aws-cli/2.31.0]',
    requestParameters: { bucketName: 'acme-tax', Host: 'acme-tax.s3.amazonaws.com' },
    ...overrides,
  }),
});

const filter = {
  since: NOON - 5 * MINUTE,
  until: NOON + MINUTE,
  isAbout: ({ parameters: { bucketName } }: AuditedCall) => bucketName === 'acme-tax',
};

const lastChangeOf = (entries: object[], options = filter) =>
  findLastChange(entries.flatMap(parseLookupEntry), options);

describe('findLastChange', () => {
  test('several events in any order: returns the newest', () => {
    const bob = { userIdentity: { arn: JANE.replace('jane', 'bob') }, eventTime: at(NOON - MINUTE) };
    const expected = { by: JANE, event: 'PutBucketPolicy', at: at(NOON) };
    expect(lastChangeOf([auditEvent(), auditEvent(bob)])).toEqual(expected);
    expect(lastChangeOf([auditEvent(bob), auditEvent()])).toEqual(expected);
  });

  test.each([
    ['a call of replikey', { userAgent: 'replikey/0.1.0 node/20.19.0' }],
    ['a call of replikey as S3 reports it', { userAgent: '[replikey/0.1.0 node/20.19.0 app/x]' }],
    ['a refused call', { errorCode: 'AccessDenied' }],
    ['a call for another bucket', { requestParameters: { bucketName: 'acme-books' } }],
    ['a call without parameters', { requestParameters: null }],
    ['a call before the last clean pass', { eventTime: at(NOON - 6 * MINUTE) }],
    ['a call after the drift was detected', { eventTime: at(NOON + 2 * MINUTE) }],
    ['a call without an identity', { userIdentity: {} }],
    ['a call with an invalid time', { eventTime: 'yesterday' }],
  ])('ignores %s', (_, overrides) => {
    expect(lastChangeOf([auditEvent(overrides)])).toBe(undefined);
  });

  test.each([undefined, '', 'null', '[]', '{', '{"eventName":1}'])('ignores an invalid event: %j', (text) => {
    expect(lastChangeOf([{ CloudTrailEvent: text }])).toBe(undefined);
  });

  test.each([
    ['a service', { type: 'AWSService', invokedBy: 'config.amazonaws.com' }, 'config.amazonaws.com'],
    ['another account', { type: 'AWSAccount', accountId: '999988887777' }, 'account 999988887777'],
  ])('the caller is %s: names it', (_, userIdentity, by) => {
    expect(lastChangeOf([auditEvent({ userIdentity })])).toMatchObject({ by });
  });

  test('a call in the same second as the last clean pass: counts, because CloudTrail times are whole seconds', () => {
    expect(lastChangeOf([auditEvent()], { ...filter, since: NOON + 700 })).toBeDefined();
  });

  test('a session name with control characters: escapes them', () => {
    const { by } = lastChangeOf([auditEvent({ userIdentity: { arn: `${JANE}\u202e\u001b[2J` } })]) ?? {};
    expect(by).toBe(`${JANE}\\u202e\\u001b[2J`);
  });
});

/** Creates an attributor with a fake CloudTrail, and records lookups, attributions and log lines. */
function testAttributor(lookUp: (at: Location, query: EventQuery) => object[]) {
  const clock = fakeClock(NOON);
  const lookups: string[] = [];
  const attributions: string[] = [];
  const messages: string[] = [];
  const aws = { withCache: () => aws } as unknown as AwsClient;
  const attributor = createAttributor({
    kinds,
    clock,
    client: () => aws,
    log: pino({ level: 'debug' }, { write: (line: string) => void messages.push(JSON.parse(line).msg) }),
    loadCloudTrail: async () => ({
      async lookUp(_, location, query) {
        lookups.push([location.account, location.region, query.eventName].filter(Boolean).join(' '));
        return lookUp(location, query);
      },
    }),
    onAttributed: (key, id, { by }) => void attributions.push(`${key} ${id} ${by}`),
  });
  return { clock, lookups, attributions, messages, attributor };
}

const makeStep = (kind: string, name: string, overrides: Partial<Step> = {}): Step =>
  ({
    id: `${kind}/${name}`,
    kind,
    action: 'update',
    at: { region: 'eu-west-1' },
    patch: [{ op: 'replace', path: '/statements/ReplikeyX/Action', value: 's3:*' }],
    ...overrides,
  }) as Step;

const period = { since: NOON - 5 * MINUTE, until: NOON };

describe('createAttributor', () => {
  test('drift of several documents with one event name: one lookup, attributed per document', async () => {
    const { attributor, lookups, attributions, clock } = testAttributor(() =>
      ['a', 'b', 'c'].map((name) => auditEvent({ requestParameters: { bucketName: name } })),
    );
    for (const name of ['a', 'b', 'x'])
      attributor.enqueue(name, [makeStep('s3.bucket-policy', name)], period);
    await clock.advance(1_000);
    expect(lookups).toEqual(['eu-west-1 PutBucketPolicy']);
    expect(attributions).toEqual([`a s3.bucket-policy/a ${JANE}`, `b s3.bucket-policy/b ${JANE}`]);
  });

  test.each([
    ['eu-west-1', 'us-east-1'],
    ['cn-northwest-1', 'cn-north-1'],
    ['us-gov-east-1', 'us-gov-west-1'],
  ])('drift of a role of a pair in %s: looks up events in %s, the Region of IAM', async (region, home) => {
    const { attributor, lookups, clock } = testAttributor(() => []);
    attributor.enqueue(
      'tax',
      [makeStep('iam.role-policy', 'r@main', { at: { account: 'main', region } })],
      period,
    );
    await clock.advance(1_000);
    expect(lookups).toEqual([`main ${home} PutRolePolicy`]);
  });

  test('looks up only events that can cause the change', async () => {
    const { attributor, lookups, clock } = testAttributor(() => []);
    attributor.enqueue('tax', [makeStep('s3.replication', 'a', { action: 'create' })], period);
    await clock.advance(1_000);
    attributor.enqueue(
      'tax',
      [makeStep('iam.role', 'r', { patch: [{ op: 'remove', path: '/tags/team' }] })],
      period,
    );
    await clock.advance(1_000);
    expect(lookups.slice(0, 1)).toEqual(['eu-west-1 DeleteBucketReplication']);
    expect(lookups.slice(2)).toEqual(['us-east-1 TagRole', 'us-east-1 UntagRole']);
  });

  test('no event: repeats the lookup with growing delays, then stops', async () => {
    const { attributor, lookups, clock } = testAttributor(() => []);
    attributor.enqueue('tax', [makeStep('s3.bucket-policy', 'a')], period);
    const counts: number[] = [];
    for (const minutes of [0, 1, 2, 4, 8, 16, 32, 64]) {
      await clock.advance(minutes * MINUTE + 1_000);
      counts.push(lookups.length);
    }
    expect(counts).toEqual([1, 2, 3, 4, 5, 6, 6, 6]);
    expect(clock.pending).toBe(0);
  });

  test('the same drift again: starts no new lookup', async () => {
    const { attributor, lookups, clock } = testAttributor(() => []);
    const step = makeStep('s3.bucket-policy', 'a');
    for (let count = 0; count < 5; count++) {
      attributor.enqueue('tax', [step], { ...period, until: clock.now() });
      await clock.advance(1_000);
    }
    expect(lookups).toHaveLength(1);
    attributor.enqueue('tax', [step], { since: clock.now(), until: clock.now() });
    await clock.advance(1_000);
    expect(lookups).toHaveLength(2);
  });

  test('lookups are denied, or the pair is removed: stops', async () => {
    const { attributor, lookups, messages, clock } = testAttributor(() => {
      throw Object.assign(new Error('not authorized'), { name: 'AccessDeniedException' });
    });
    attributor.enqueue('tax', [makeStep('s3.bucket-policy', 'a')], period);
    await clock.advance(60 * MINUTE);
    expect(lookups).toHaveLength(1);
    expect(messages).toEqual(['attribution failed: not authorized']);
    const removed = testAttributor(() => []);
    removed.attributor.enqueue('tax', [makeStep('s3.bucket-policy', 'a')], period);
    await removed.clock.advance(1_000);
    removed.attributor.forget('tax');
    await removed.clock.advance(60 * MINUTE);
    expect(removed.lookups).toHaveLength(1);
  });

  test('a lookup fails: repeats it', async () => {
    let faults = 1;
    const { attributor, attributions, clock } = testAttributor(() => {
      if (faults-- > 0) throw new Error('socket hang up');
      return [auditEvent({ requestParameters: { bucketName: 'a' } })];
    });
    attributor.enqueue('tax', [makeStep('s3.bucket-policy', 'a')], period);
    await clock.advance(1_000);
    expect(attributions).toEqual([]);
    await clock.advance(MINUTE);
    expect(attributions).toHaveLength(1);
  });
});
