import { expect, test } from 'vitest';
import type { Statement } from '../../src/iam/types.ts';
import { statementLines } from '../../src/report/change-text.ts';

const rows: [string, Statement, string[]][] = [
  [
    'an identity statement with conditions',
    {
      Effect: 'Allow',
      Action: ['kms:Decrypt', 'kms:Encrypt'],
      Resource: 'arn:aws:kms:us-east-1:111122223333:key/1',
      Condition: {
        StringEquals: { 'kms:ViaService': 's3.us-east-1.amazonaws.com' },
        StringLike: { 'kms:EncryptionContext:aws:s3:arn': ['arn:aws:s3:::a', 'arn:aws:s3:::a/*'] },
      },
    },
    [
      'Allow kms:Decrypt, kms:Encrypt',
      'on arn:aws:kms:us-east-1:111122223333:key/1',
      'if kms:ViaService is s3.us-east-1.amazonaws.com',
      'and kms:EncryptionContext:aws:s3:arn is like arn:aws:s3:::a or arn:aws:s3:::a/*',
    ],
  ],
  [
    'a trust statement',
    { Effect: 'Allow', Principal: { Service: 's3.amazonaws.com' }, Action: 'sts:AssumeRole' },
    ['Allow s3.amazonaws.com to sts:AssumeRole'],
  ],
  [
    'every principal, by a wildcard',
    { Effect: 'Deny', Principal: '*', Action: 's3:*', Resource: '*' },
    ['Deny * to s3:*', 'on *'],
  ],
  [
    'a statement of exclusions',
    {
      Effect: 'Deny',
      NotPrincipal: { AWS: 'arn:aws:iam::111122223333:root' },
      NotAction: 's3:GetObject',
      NotResource: 'arn:aws:s3:::a/public/*',
    },
    [
      'Deny everyone except arn:aws:iam::111122223333:root to everything except s3:GetObject',
      'on everything except arn:aws:s3:::a/public/*',
    ],
  ],
  [
    'a key that does not exist yet',
    {
      Effect: 'Allow',
      Action: 'kms:Decrypt',
      Resource: { $ref: 'kms.key/alias/a@us-east-1', attr: 'arn' } as unknown as string,
    },
    ['Allow kms:Decrypt', 'on (known after apply)'],
  ],
];

test.each(rows)('statementLines: %s', (_, statement, lines) => {
  expect(statementLines(statement)).toEqual(lines);
});
