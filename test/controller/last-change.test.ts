import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import type { AwsClient } from '../../src/aws/client.ts';
import type { EventQuery } from '../../src/aws/cloudtrail.ts';
import { createAttributor, findLastChange } from '../../src/controller/attribution.ts';
import type { Location, Step } from '../../src/core/resource.ts';
import { kinds } from '../../src/kinds/index.ts';
import { fakeClock } from '../support/fake-clock.ts';

const NOON = Date.UTC(2026, 0, 1, 12);
const MINUTE = 60_000;
const JANE = 'arn:aws:sts::111122223333:assumed-role/admin/jane';
const at = (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');

/** An event as CloudTrail tells it, of a bucket whose policy was put. */
const told = (more: object = {}) => ({
  CloudTrailEvent: JSON.stringify({
    eventName: 'PutBucketPolicy',
    eventTime: at(NOON),
    userIdentity: { type: 'AssumedRole', arn: JANE, accountId: '111122223333' },
    userAgent: '[aws-cli/2.31.0]',
    requestParameters: { bucketName: 'acme-tax', Host: 'acme-tax.s3.amazonaws.com' },
    ...more,
  }),
});

const within = {
  since: NOON - 5 * MINUTE,
  until: NOON + MINUTE,
  isAbout: ({ bucketName }: Record<string, unknown>) => bucketName === 'acme-tax',
};

describe('the last change', () => {
  test('is the newest of those that CloudTrail tells, in whatever order', () => {
    const bob = { userIdentity: { arn: JANE.replace('jane', 'bob') }, eventTime: at(NOON - MINUTE) };
    const expected = { by: JANE, event: 'PutBucketPolicy', at: at(NOON) };
    expect(findLastChange([told(), told(bob)], within)).toEqual(expected);
    expect(findLastChange([told(bob), told()], within)).toEqual(expected);
  });

  test.each([
    ['replikey itself made', { userAgent: 'replikey/0.1.0 node/20.19.0' }],
    ['replikey itself made, as S3 tells it', { userAgent: '[replikey/0.1.0 node/20.19.0 app/x]' }],
    ['was refused', { errorCode: 'AccessDenied' }],
    ['is about another bucket', { requestParameters: { bucketName: 'acme-books' } }],
    ['says not what it is about', { requestParameters: null }],
    ['was made before it was last as declared', { eventTime: at(NOON - 6 * MINUTE) }],
    ['was made after it was found', { eventTime: at(NOON + 2 * MINUTE) }],
    ['nobody is known to have made', { userIdentity: {} }],
    ['has no time', { eventTime: 'yesterday' }],
  ])('is none that %s', (_, more) => {
    expect(findLastChange([told(more)], within)).toBe(undefined);
  });

  test.each([undefined, '', 'null', '[]', '{', '{"eventName":1}'])('is none that reads %j', (text) => {
    expect(findLastChange([{ CloudTrailEvent: text }], within)).toBe(undefined);
  });

  test.each([
    ['a service', { type: 'AWSService', invokedBy: 'config.amazonaws.com' }, 'config.amazonaws.com'],
    ['another account', { type: 'AWSAccount', accountId: '999988887777' }, 'account 999988887777'],
  ])('may be made by %s', (_, userIdentity, by) => {
    expect(findLastChange([told({ userIdentity })], within)).toMatchObject({ by });
  });

  test('counts in the second in which it was last as declared, since CloudTrail has no smaller ones', () => {
    expect(findLastChange([told()], { ...within, since: NOON + 700 })).toBeDefined();
  });

  test('steers no terminal, whatever somebody calls a session', () => {
    const { by } = findLastChange([told({ userIdentity: { arn: `${JANE}\u202e\u001b[2J` } })], within) ?? {};
    expect(by).toBe(`${JANE}\\u202e\\u001b[2J`);
  });
});

/** An inquiry with a CloudTrail of a test's own. */
function asking(lookUp: (at: Location, sought: EventQuery) => object[]) {
  const clock = fakeClock(NOON);
  const asked: string[] = [];
  const found: string[] = [];
  const said: string[] = [];
  const door = { withCache: () => door } as unknown as AwsClient;
  const inquiry = createAttributor({
    kinds,
    clock,
    client: () => door,
    log: pino({ level: 'debug' }, { write: (line: string) => void said.push(JSON.parse(line).msg) }),
    loadCloudTrail: async () => ({
      async lookUp(_, where, sought) {
        asked.push([where.account, where.region, sought.eventName].filter(Boolean).join(' '));
        return lookUp(where, sought);
      },
    }),
    onAttributed: (key, id, { by }) => void found.push(`${key} ${id} ${by}`),
  });
  return { clock, asked, found, said, inquiry };
}

const aStep = (kind: string, name: string, more: Partial<Step> = {}): Step =>
  ({
    id: `${kind}/${name}`,
    kind,
    action: 'update',
    at: { region: 'eu-west-1' },
    patch: [{ op: 'replace', path: '/statements/ReplikeyX/Action', value: 's3:*' }],
    ...more,
  }) as Step;

const aboutNow = { since: NOON - 5 * MINUTE, until: NOON };

describe('an inquiry', () => {
  test('asks once for all documents that one sort of event changes, and tells them apart', async () => {
    const { inquiry, asked, found, clock } = asking(() =>
      ['a', 'b', 'c'].map((name) => told({ requestParameters: { bucketName: name } })),
    );
    for (const name of ['a', 'b', 'x']) inquiry.enqueue(name, [aStep('s3.bucket-policy', name)], aboutNow);
    await clock.advance(1_000);
    expect(asked).toEqual(['eu-west-1 PutBucketPolicy']);
    expect(found).toEqual([`a s3.bucket-policy/a ${JANE}`, `b s3.bucket-policy/b ${JANE}`]);
  });

  test.each([
    ['eu-west-1', 'us-east-1'],
    ['cn-northwest-1', 'cn-north-1'],
    ['us-gov-east-1', 'us-gov-west-1'],
  ])('asks of roles of %s in %s, where IAM is', async (region, home) => {
    const { inquiry, asked, clock } = asking(() => []);
    inquiry.enqueue(
      'tax',
      [aStep('iam.role-policy', 'r@main', { at: { account: 'main', region } })],
      aboutNow,
    );
    await clock.advance(1_000);
    expect(asked).toEqual([`main ${home} PutRolePolicy`]);
  });

  test('asks for what could have made the difference, and for nothing else', async () => {
    const { inquiry, asked, clock } = asking(() => []);
    inquiry.enqueue('tax', [aStep('s3.replication', 'a', { action: 'create' })], aboutNow);
    await clock.advance(1_000);
    inquiry.enqueue(
      'tax',
      [aStep('iam.role', 'r', { patch: [{ op: 'remove', path: '/tags/team' }] })],
      aboutNow,
    );
    await clock.advance(1_000);
    expect(asked.slice(0, 1)).toEqual(['eu-west-1 DeleteBucketReplication']);
    expect(asked.slice(2)).toEqual(['us-east-1 TagRole', 'us-east-1 UntagRole']);
  });

  test('asks again, later and later, and not for ever', async () => {
    const { inquiry, asked, clock } = asking(() => []);
    inquiry.enqueue('tax', [aStep('s3.bucket-policy', 'a')], aboutNow);
    const counts: number[] = [];
    for (const minutes of [0, 1, 2, 4, 8, 16, 32, 64]) {
      await clock.advance(minutes * MINUTE + 1_000);
      counts.push(asked.length);
    }
    expect(counts).toEqual([1, 2, 3, 4, 5, 6, 6, 6]);
    expect(clock.pending).toBe(0);
  });

  test('takes the same again for no new question', async () => {
    const { inquiry, asked, clock } = asking(() => []);
    const step = aStep('s3.bucket-policy', 'a');
    for (let count = 0; count < 5; count++) {
      inquiry.enqueue('tax', [step], { ...aboutNow, until: clock.now() });
      await clock.advance(1_000);
    }
    expect(asked).toHaveLength(1);
    inquiry.enqueue('tax', [step], { since: clock.now(), until: clock.now() });
    await clock.advance(1_000);
    expect(asked).toHaveLength(2);
  });

  test('asks no more of what may not be asked, nor of a pair that is gone', async () => {
    const { inquiry, asked, said, clock } = asking(() => {
      throw Object.assign(new Error('not authorized'), { name: 'AccessDeniedException' });
    });
    inquiry.enqueue('tax', [aStep('s3.bucket-policy', 'a')], aboutNow);
    await clock.advance(60 * MINUTE);
    expect(asked).toHaveLength(1);
    expect(said).toEqual(['who changed something is not known: not authorized']);
    const late = asking(() => []);
    late.inquiry.enqueue('tax', [aStep('s3.bucket-policy', 'a')], aboutNow);
    await late.clock.advance(1_000);
    late.inquiry.forget('tax');
    await late.clock.advance(60 * MINUTE);
    expect(late.asked).toHaveLength(1);
  });

  test('asks again after a fault', async () => {
    let faults = 1;
    const { inquiry, found, clock } = asking(() => {
      if (faults-- > 0) throw new Error('socket hang up');
      return [told({ requestParameters: { bucketName: 'a' } })];
    });
    inquiry.enqueue('tax', [aStep('s3.bucket-policy', 'a')], aboutNow);
    await clock.advance(1_000);
    expect(found).toEqual([]);
    await clock.advance(MINUTE);
    expect(found).toHaveLength(1);
  });
});
