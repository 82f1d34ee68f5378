import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import type { Sought } from '../../src/aws/cloudtrail.ts';
import type { Door } from '../../src/aws/door.ts';
import { createInquiry } from '../../src/controller/inquiry.ts';
import { lastChange } from '../../src/controller/last-change.ts';
import type { Place, Step } from '../../src/core/resource.ts';
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
    expect(lastChange([told(), told(bob)], within)).toEqual(expected);
    expect(lastChange([told(bob), told()], within)).toEqual(expected);
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
    expect(lastChange([told(more)], within)).toBe(undefined);
  });

  test.each([undefined, '', 'null', '[]', '{', '{"eventName":1}'])('is none that reads %j', (text) => {
    expect(lastChange([{ CloudTrailEvent: text }], within)).toBe(undefined);
  });

  test.each([
    ['a service', { type: 'AWSService', invokedBy: 'config.amazonaws.com' }, 'config.amazonaws.com'],
    ['another account', { type: 'AWSAccount', accountId: '999988887777' }, 'account 999988887777'],
  ])('may be made by %s', (_, userIdentity, by) => {
    expect(lastChange([told({ userIdentity })], within)).toMatchObject({ by });
  });

  test('counts in the second in which it was last as declared, since CloudTrail has no smaller ones', () => {
    expect(lastChange([told()], { ...within, since: NOON + 700 })).toBeDefined();
  });

  test('steers no terminal, whatever somebody calls a session', () => {
    const { by } = lastChange([told({ userIdentity: { arn: `${JANE}\u202e\u001b[2J` } })], within) ?? {};
    expect(by).toBe(`${JANE}\\u202e\\u001b[2J`);
  });
});

/** An inquiry with a CloudTrail of a test's own. */
function asking(lookUp: (at: Place, sought: Sought) => object[]) {
  const clock = fakeClock(NOON);
  const asked: string[] = [];
  const found: string[] = [];
  const said: string[] = [];
  const door = { sharing: () => door } as unknown as Door;
  const inquiry = createInquiry({
    kinds,
    clock,
    door: () => door,
    log: pino({ level: 'debug' }, { write: (line: string) => void said.push(JSON.parse(line).msg) }),
    cloudTrail: async () => ({
      async lookUp(_, where, sought) {
        asked.push([where.account, where.region, sought.event].filter(Boolean).join(' '));
        return lookUp(where, sought);
      },
    }),
    found: (key, id, { by }) => void found.push(`${key} ${id} ${by}`),
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
    for (const name of ['a', 'b', 'x']) inquiry.ask(name, [aStep('s3.bucket-policy', name)], aboutNow);
    await clock.pass(1_000);
    expect(asked).toEqual(['eu-west-1 PutBucketPolicy']);
    expect(found).toEqual([`a s3.bucket-policy/a ${JANE}`, `b s3.bucket-policy/b ${JANE}`]);
  });

  test.each([
    ['eu-west-1', 'us-east-1'],
    ['cn-northwest-1', 'cn-north-1'],
    ['us-gov-east-1', 'us-gov-west-1'],
  ])('asks of roles of %s in %s, where IAM is', async (region, home) => {
    const { inquiry, asked, clock } = asking(() => []);
    inquiry.ask('tax', [aStep('iam.role-policy', 'r@main', { at: { account: 'main', region } })], aboutNow);
    await clock.pass(1_000);
    expect(asked).toEqual([`main ${home} PutRolePolicy`]);
  });

  test('asks for what could have made the difference, and for nothing else', async () => {
    const { inquiry, asked, clock } = asking(() => []);
    inquiry.ask('tax', [aStep('s3.replication', 'a', { action: 'create' })], aboutNow);
    await clock.pass(1_000);
    inquiry.ask('tax', [aStep('iam.role', 'r', { patch: [{ op: 'remove', path: '/tags/team' }] })], aboutNow);
    await clock.pass(1_000);
    expect(asked.slice(0, 1)).toEqual(['eu-west-1 DeleteBucketReplication']);
    expect(asked.slice(2)).toEqual(['us-east-1 TagRole', 'us-east-1 UntagRole']);
  });

  test('asks again, later and later, and not for ever', async () => {
    const { inquiry, asked, clock } = asking(() => []);
    inquiry.ask('tax', [aStep('s3.bucket-policy', 'a')], aboutNow);
    const counts: number[] = [];
    for (const minutes of [0, 1, 2, 4, 8, 16, 32, 64]) {
      await clock.pass(minutes * MINUTE + 1_000);
      counts.push(asked.length);
    }
    expect(counts).toEqual([1, 2, 3, 4, 5, 6, 6, 6]);
    expect(clock.pending).toBe(0);
  });

  test('takes the same again for no new question', async () => {
    const { inquiry, asked, clock } = asking(() => []);
    const step = aStep('s3.bucket-policy', 'a');
    for (let count = 0; count < 5; count++) {
      inquiry.ask('tax', [step], { ...aboutNow, until: clock.now() });
      await clock.pass(1_000);
    }
    expect(asked).toHaveLength(1);
    inquiry.ask('tax', [step], { since: clock.now(), until: clock.now() });
    await clock.pass(1_000);
    expect(asked).toHaveLength(2);
  });

  test('asks no more of what may not be asked, nor of a pair that is gone', async () => {
    const { inquiry, asked, said, clock } = asking(() => {
      throw Object.assign(new Error('not authorized'), { name: 'AccessDeniedException' });
    });
    inquiry.ask('tax', [aStep('s3.bucket-policy', 'a')], aboutNow);
    await clock.pass(60 * MINUTE);
    expect(asked).toHaveLength(1);
    expect(said).toEqual(['who changed something is not known: not authorized']);
    const late = asking(() => []);
    late.inquiry.ask('tax', [aStep('s3.bucket-policy', 'a')], aboutNow);
    await late.clock.pass(1_000);
    late.inquiry.forget('tax');
    await late.clock.pass(60 * MINUTE);
    expect(late.asked).toHaveLength(1);
  });

  test('asks again after a fault', async () => {
    let faults = 1;
    const { inquiry, found, clock } = asking(() => {
      if (faults-- > 0) throw new Error('socket hang up');
      return [told({ requestParameters: { bucketName: 'a' } })];
    });
    inquiry.ask('tax', [aStep('s3.bucket-policy', 'a')], aboutNow);
    await clock.pass(1_000);
    expect(found).toEqual([]);
    await clock.pass(MINUTE);
    expect(found).toHaveLength(1);
  });
});
