import { expect, test } from 'vitest';
import type { ChangeEvent } from '../../src/controller/change-events.ts';
import { createChangeLog } from '../../src/controller/change-log.ts';
import { fakeClock } from '../support/fake-clock.ts';

const ACCOUNT = '111122223333';

const changeOf = (eventID: string, role: string, isRelated: boolean) => {
  const event: ChangeEvent = {
    eventID,
    eventName: 'PutRolePolicy',
    eventSource: 'iam.amazonaws.com',
    eventTime: '2026-12-01T10:00:00Z',
    awsRegion: 'us-east-1',
    recipientAccountId: ACCOUNT,
    userIdentity: { arn: `arn:aws:sts::${ACCOUNT}:assumed-role/admin/jane` },
  };
  return { event, names: [role], isOwn: false, isRelated };
};

test('change log: 50,000 events of other roles displace no event of a pair', () => {
  const log = createChangeLog(fakeClock());
  const change = changeOf('of-pair', 'replikey-acme-tax', true);
  expect(log.add(change)).toBe(true);
  for (let count = 0; count < 50_000; count += 1) log.add(changeOf(`other-${count}`, `app-${count}`, false));
  const subject = { source: 'iam.amazonaws.com', region: 'us-east-1', name: 'replikey-acme-tax' };
  expect(log.of(subject)).toHaveLength(1);
  expect(log.add(change)).toBe(false);
  // The memory for other events is bounded.
  expect(log.of({ ...subject, name: 'app-0' })).toEqual([]);
  expect(log.of({ ...subject, name: 'app-49999' })).toHaveLength(1);
  expect(log.byName(['PutRolePolicy'], 'us-east-1', ACCOUNT)).toHaveLength(20_001);
});
