import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { cloudTrailHandlers } from '../../src/sandbox/cloudtrail/handlers.ts';
import { defaultFaultSettings } from '../../src/sandbox/faults.ts';
import { iamHandlers } from '../../src/sandbox/iam/handlers.ts';
import { kmsHandlers } from '../../src/sandbox/kms/handlers.ts';
import { s3Handlers } from '../../src/sandbox/s3/handlers.ts';
import { stsHandlers } from '../../src/sandbox/sts.ts';

const docs = await readFile('docs/sandbox.md', 'utf8');

test.each([
  ['S3', s3Handlers],
  ['IAM', iamHandlers],
  ['KMS', kmsHandlers],
  ['STS', stsHandlers],
  ['CloudTrail', cloudTrailHandlers],
])('the documentation lists what the sandbox speaks of %s', (service, handlers) => {
  const [, list = ''] = new RegExp(`^\\*\\*${service}\\*\\*: ([^.]*)\\.(?: |$)`, 'm').exec(docs) ?? [];
  expect(list.split(/,\s+/)).toEqual(Object.keys(handlers).sort());
});

test('the documentation tells every knob', () => {
  for (const knob of Object.keys(defaultFaultSettings())) expect(docs).toContain(`\`${knob}\``);
});
