import { expect, test } from 'vitest';
import { NO_POSITION } from '../../src/core/ids.ts';
import type { Housekeeping, Id } from '../../src/core/resource.ts';
import { housekeepingLines, removedText } from '../../src/report/retained-text.ts';

const expire = (id: Id, ...sids: string[]): Housekeeping => ({
  id,
  action: 'expire',
  at: { region: 'us-east-1' },
  sids,
  needs: [],
  pairs: ['tax'],
  from: NO_POSITION,
});
const SID = 'ReplikeyUntil202612011015x3fa9c1DestinationObjectsTax';
const RULE = 'replikey/tax/tax/canary-202612011020-3fa9c1';

test.each([
  ['one statement', [expire('iam.role-policy/a', SID)], '1 statement'],
  ['a temporary rule', [expire('s3.replication/a', RULE)], '1 temporary rule'],
  [
    'both',
    [expire('iam.role-policy/a', SID, `${SID}2`), expire('s3.replication/a', RULE)],
    '2 statements and 1 temporary rule',
  ],
])('housekeeping: counts %s', (_, housekeeping, count) => {
  expect(housekeepingLines({ housekeeping, retained: [] })).toEqual([
    `Housekeeping: ${count} to remove that expired.`,
  ]);
  expect(removedText({ housekeeping })).toEqual([`Removed ${count} that expired.`]);
});
