import { describe, expect, test } from 'vitest';
import { emptyFacts, type Facts } from '../../src/core/facts.ts';
import type { Policy, Statement } from '../../src/iam/types.ts';
import type { Fix, PolicyRef } from '../../src/proof/findings.ts';
import { fixCommands } from '../../src/proof/fix-commands.ts';

const [ROLE_A, ROLE_B] = ['a', 'b'].map((name) => `arn:aws:iam::111122223333:role/team/${name}`) as [
  string,
  string,
];
const BUCKET: PolicyRef = { kind: 'bucket', of: 'acme-tax-replica' };
const FOREIGN: Statement = {
  Sid: 'Foreign',
  Effect: 'Allow',
  Principal: '*',
  Action: 's3:ListBucket',
  Resource: '*',
};
const DENY: Statement = { Sid: 'Deny', Effect: 'Deny', Principal: '*', Action: 's3:*', Resource: '*' };

const policyOf = (...Statement: Statement[]): Policy => ({ Version: '2012-10-17', Statement });
const factsWith = (policy: Policy | null, more: Partial<Facts> = {}): Facts => ({
  ...emptyFacts(),
  buckets: { 'acme-tax-replica': { region: 'us-west-2', account: '444455556666', policy } },
  ...more,
});
const exempting = (role: string): Fix => ({
  what: 'exempt',
  policy: BUCKET,
  replace: DENY,
  by: { ...DENY, Condition: { ArnNotEquals: { 'aws:PrincipalArn': [role] } } },
});
const adding = (Action: string, policy = BUCKET): Fix => ({
  what: 'add',
  policy,
  add: { Effect: 'Allow', Action, Resource: '*' },
});
/** Returns the document in a command. */
const documentIn = (command = ''): Policy => JSON.parse(/'(\{[^']*\})'/.exec(command)?.[1] ?? '');

describe('fixCommands', () => {
  test('several fixes of one policy: one command with the whole document, and each change once', () => {
    const commands = fixCommands(
      [adding('s3:A'), exempting(ROLE_A), adding('s3:A'), exempting(ROLE_B), adding('s3:B')],
      factsWith(policyOf(FOREIGN, DENY)),
    );
    expect(commands.map(({ what }) => what)).toEqual([
      'bucket policy of acme-tax-replica in account 444455556666: add 2 statements, replace 1 statement',
    ]);
    expect(commands[0]?.command).toMatch(
      /^aws s3api put-bucket-policy --region us-west-2 --bucket acme-tax-replica --expected-bucket-owner 444455556666 --policy '/,
    );
    expect(documentIn(commands[0]?.command)).toEqual(
      policyOf(
        FOREIGN,
        { ...DENY, Condition: { ArnNotEquals: { 'aws:PrincipalArn': [ROLE_A, ROLE_B] } } },
        { Effect: 'Allow', Action: 's3:A', Resource: '*' },
        { Effect: 'Allow', Action: 's3:B', Resource: '*' },
      ),
    );
  });

  test('a bucket without a policy: a policy with the statement', () => {
    const [command] = fixCommands([adding('s3:A')], factsWith(null));
    expect(documentIn(command?.command)).toEqual(
      policyOf({ Effect: 'Allow', Action: 's3:A', Resource: '*' }),
    );
  });

  test('a policy that would be empty: its deletion', () => {
    const [command] = fixCommands(
      [{ what: 'remove', policy: BUCKET, remove: FOREIGN }],
      factsWith(policyOf(FOREIGN)),
    );
    expect(command?.command).toBe(
      'aws s3api delete-bucket-policy --region us-west-2 --bucket acme-tax-replica --expected-bucket-owner 444455556666',
    );
  });

  test.each([
    ['an unread policy', { unread: 'AccessDenied' }],
    ['a policy that was never read', undefined],
  ])('%s: no command', (_, policy) => {
    const facts = factsWith(null);
    facts.buckets['acme-tax-replica'] = { region: 'us-west-2', ...(policy && { policy }) };
    expect(fixCommands([adding('s3:A')], facts)).toEqual([]);
  });

  const roleFacts = (boundaryArn?: string): Facts => ({
    ...emptyFacts(),
    roles: { [ROLE_A]: { boundary: policyOf(FOREIGN), ...(boundaryArn && { boundaryArn }) } },
  });
  const inBoundary = [adding('kms:Decrypt', { kind: 'boundary', of: ROLE_A })];

  test.each([
    [
      'of the account',
      'arn:aws:iam::111122223333:policy/limit',
      /--policy-arn arn:aws:iam::111122223333:policy\/limit$/,
    ],
    [
      'whose ARN is not known',
      undefined,
      /--policy-arn "\$\(aws iam get-role --role-name a --query Role.PermissionsBoundary.PermissionsBoundaryArn --output text\)"$/,
    ],
  ])('permissions boundary %s: a new default version', (_, arn, policyArn) => {
    const [command] = fixCommands(inBoundary, roleFacts(arn));
    expect(command?.command).toMatch(/^aws iam create-policy-version --policy-document '/);
    expect(command?.command).toMatch(policyArn);
    expect(documentIn(command?.command).Statement).toContainEqual(FOREIGN);
  });

  test('permissions boundary of AWS, which no account can change: a copy in its place', () => {
    const [command] = fixCommands(inBoundary, roleFacts('arn:aws:iam::aws:policy/PowerUserAccess'));
    expect(command?.command).toMatch(
      /^aws iam create-policy --policy-name PowerUserAccess-a --policy-document '/,
    );
    expect(command?.command).toMatch(
      /&&\naws iam put-role-permissions-boundary --role-name a --permissions-boundary arn:aws:iam::111122223333:policy\/PowerUserAccess-a$/,
    );
  });

  test('two rules of one configuration: one command with both changed rules, and all others', () => {
    const rules = ['one', 'two', 'other'].map((ID) => ({
      ID,
      Status: 'Enabled' as const,
      Destination: undefined,
    }));
    const changed = (index: number): Fix => ({
      what: 'select encrypted objects',
      call: {
        service: 's3',
        operation: 'PutBucketReplication',
        region: 'us-east-1',
        input: {
          Bucket: 'acme-tax',
          ReplicationConfiguration: {
            Role: ROLE_A,
            Rules: rules.map((rule, at) => (at === index ? { ...rule, Priority: index } : rule)),
          },
        },
      },
    });
    const facts: Facts = {
      ...emptyFacts(),
      buckets: { 'acme-tax': { region: 'us-east-1', replication: { Role: ROLE_A, Rules: rules } } },
    };
    const commands = fixCommands([changed(0), changed(1)], facts);
    expect(commands).toHaveLength(1);
    expect(documentIn(commands[0]?.command)).toEqual({
      Role: ROLE_A,
      Rules: [
        { ID: 'one', Status: 'Enabled', Priority: 0 },
        { ID: 'two', Status: 'Enabled', Priority: 1 },
        { ID: 'other', Status: 'Enabled' },
      ],
    });
  });
});
