import { expect, test } from 'vitest';
import { jobStatusText } from '../../src/core/job-status.ts';

const ENDED = { since: '2026-12-01T00:54:30.000Z' } as const;

test.each([
  [
    { total: 1_488, succeeded: 1_488, failed: 0 },
    '1,488 objects replicated by the job that ended on 2026-12-01T00:54:30Z',
  ],
  [
    { total: 1, succeeded: 1, failed: 0 },
    '1 object replicated by the job that ended on 2026-12-01T00:54:30Z',
  ],
  // A job that finds nothing must not look like one that replicated all objects.
  [{ total: 0, succeeded: 0, failed: 0 }, 'no object matched the job that ended on 2026-12-01T00:54:30Z'],
])('jobStatusText: of a job that succeeded, has the number of its objects: %j', (counts, text) => {
  expect(jobStatusText({ state: 'succeeded', ...ENDED, ...counts })).toBe(text);
});

test('jobStatusText: of a job with failed tasks, has both numbers and the place of the list', () => {
  expect(
    jobStatusText({
      state: 'tasksFailed',
      ...ENDED,
      total: 3,
      succeeded: 2,
      failed: 1,
      report: 's3://acme-reports/replikey/',
    }),
  ).toBe(
    '1 of 3 objects were not replicated by the job that ended on 2026-12-01T00:54:30Z; s3://acme-reports/replikey/ has the list',
  );
});
