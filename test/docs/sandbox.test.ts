import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { defaultFaultSettings } from '../../src/sandbox/faults.ts';
import { serviceHandlers } from '../../src/sandbox/handlers.ts';

const docs = await readFile('docs/how-to/use-the-sandbox.md', 'utf8');

test.each([
  ['S3', serviceHandlers.s3],
  ['IAM', serviceHandlers.iam],
  ['KMS', serviceHandlers.kms],
  ['STS', serviceHandlers.sts],
  ['CloudTrail', serviceHandlers.cloudtrail],
  ['CloudWatch', serviceHandlers.cloudwatch],
  ['SQS', serviceHandlers.sqs],
  ['SNS', serviceHandlers.sns],
])('docs/how-to/use-the-sandbox.md: lists the operations of %s', (service, handlers) => {
  const [, list = ''] = new RegExp(`^\\*\\*${service}\\*\\*: ([^.]*)\\.(?: |$)`, 'm').exec(docs) ?? [];
  expect(list.split(/,\s+/)).toEqual(Object.keys(handlers).sort());
});

test('docs/how-to/use-the-sandbox.md: describes each setting for faults', () => {
  for (const setting of Object.keys(defaultFaultSettings())) expect(docs).toContain(`\`${setting}\``);
});
