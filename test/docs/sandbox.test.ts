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
])('the documentation lists what the sandbox speaks of %s', (service, handlers) => {
  const [, list = ''] = new RegExp(`^\\*\\*${service}\\*\\*: ([^.]*)\\.(?: |$)`, 'm').exec(docs) ?? [];
  expect(list.split(/,\s+/)).toEqual(Object.keys(handlers).sort());
});

test('the documentation tells every knob', () => {
  for (const knob of Object.keys(defaultFaultSettings())) expect(docs).toContain(`\`${knob}\``);
});
