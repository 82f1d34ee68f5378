import type { Store } from '../../src/sandbox/store.ts';
import { TAX_SPEC } from '../support/env.ts';
import type { Transition } from './changes.ts';

/** Changes of buckets with a rule that replikey does not manage. */

const ACCOUNT = '111122223333';
export const FOREIGN_ROLE = 'foreign-replication';
const ROLE_ARN = `arn:aws:iam::${ACCOUNT}:role/${FOREIGN_ROLE}`;

/** A pair whose rules become foreign ones. */
export const FOREIGN_PAIR = TAX_SPEC.replace('name: tax', 'name: foreign').replace(
  'prefix: Tax/',
  'prefix: Foreign/',
);

/** The default encryption SSE-S3, and a rule that does not select KMS objects. */
const withSseS3 = (yaml: string): string =>
  yaml
    .replace('region: us-east-1,', 'region: us-east-1, defaultEncryption: SSE-S3,')
    .replace('- prefix: Foreign/', '- { prefix: Foreign/, sseKmsEncryptedObjects: false }');

/** Makes the rules of the source foreign: with other ids, under another role that may replicate from and to any bucket. */
export function makeForeign(store: Store): void {
  const account = store.account(ACCOUNT);
  const source = store.bucket('acme-tax');
  const [role] = account.roles.values();
  if (!source?.replication || !role) throw new Error('the source has no replication');
  account.roles.clear();
  const permissions = {
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Action: ['s3:*', 'kms:*'], Resource: '*' }],
  };
  account.roles.set(FOREIGN_ROLE, {
    ...role,
    id: role.id.replace(/.{5}$/, 'OTHER'),
    name: FOREIGN_ROLE,
    arn: ROLE_ARN,
    tags: new Map(),
    inline: new Map([['foreign', JSON.stringify(permissions)]]),
  });
  source.replication = {
    Role: ROLE_ARN,
    Rules: source.replication.Rules?.map((rule, index) => ({ ...rule, ID: `foreign-${index}` })),
  };
  for (const key of account.keys.values()) {
    const policy = JSON.parse(key.policy) as { Statement: { Sid?: string }[] };
    policy.Statement = policy.Statement.filter(({ Sid }) => !Sid?.startsWith('Replikey'));
    key.policy = JSON.stringify(policy);
  }
}

const common = {
  topology: 'one pair',
  prune: false,
  hasForeignRules: true,
  adapt: makeForeign,
  allowedRisks: ['change-default-encryption', 'change-default-key', 'change-role'],
};

export const FOREIGN_TRANSITIONS: Transition[] = [
  {
    ...common,
    change: 'default SSE-S3 to SSE-KMS, with a foreign rule',
    before: withSseS3(FOREIGN_PAIR),
    after: `${TAX_SPEC}  role: { arn: "${ROLE_ARN}" }\n`,
    refused: ['stop-foreign-rules'],
  },
  {
    ...common,
    change: 'rule added beside a foreign rule',
    before: FOREIGN_PAIR,
    after: `${TAX_SPEC}  role: { arn: "${ROLE_ARN}" }\n`,
  },
  {
    ...common,
    change: 'role, with a foreign rule',
    before: FOREIGN_PAIR,
    after: TAX_SPEC,
    refused: ['stop-foreign-rules'],
  },
];
