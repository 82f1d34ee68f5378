import { describe, expect, test } from 'vitest';
import { desiredResources } from '../../src/core/desired.ts';
import type { Kind } from '../../src/core/kind.ts';
import { planChanges, renderChange } from '../../src/core/plan.ts';
import { currentOf, type Observation, type Resource } from '../../src/core/resource.ts';
import type { Statement } from '../../src/iam/types.ts';
import { senderStatements, type TargetDoc } from '../../src/kinds/failure-target.ts';
import { kinds } from '../../src/kinds/index.ts';
import { kmsKeyPolicy } from '../../src/kinds/kms-key-policy.ts';
import { s3Notification } from '../../src/kinds/s3-notification.ts';
import { snsTopicPolicy } from '../../src/kinds/sns-topic-policy.ts';
import { sqsQueuePolicy } from '../../src/kinds/sqs-queue-policy.ts';
import { joinPolicy, toStatementList } from '../../src/policy/statements.ts';
import { addTargetKeys } from '../../src/reconcile/target-keys.ts';
import type { BucketReplication } from '../../src/spec/types.ts';
import { testPair } from '../support/pair.ts';

const ACCOUNT = '111122223333';
const QUEUE = `arn:aws:sqs:us-east-1:${ACCOUNT}:failures`;
const TOPIC = `arn:aws:sns:us-east-1:${ACCOUNT}:failures`;

const pairOf = (name: string, to = QUEUE, accountId = ACCOUNT): BucketReplication =>
  testPair({
    name,
    source: { bucket: `acme-${name}`, account: 'main', accountId },
    failures: {
      to,
      path: 'spec.failures.to',
      account: 'main',
      accountId: ACCOUNT,
      managed: true,
      events: ['failed'],
    },
  });

/** Returns the resource of a queue or topic policy that pairs declare. */
function policyResource(pairs: BucketReplication[], kind: Kind = sqsQueuePolicy as never): Resource {
  const [resource] = desiredResources(pairs, [kind]);
  return { ...(resource ?? expect.fail('no resource')), after: [] };
}

const docOf = (...statements: Statement[]): TargetDoc => ({ policy: joinPolicy({}, statements) });
const ownStatements = (senders: Record<string, string>) => toStatementList(senderStatements(QUEUE, senders));

/** Plans a policy over a document; absent: the queue does not exist. */
function planOver(doc: TargetDoc | undefined, resource: Resource) {
  const kind = kinds.get(resource.kind) ?? expect.fail('no kind');
  const observation: Observation = doc
    ? { state: 'present', current: kind.parse(doc, resource) }
    : { state: 'absent' };
  const actual = new Map([[resource.id, observation]]);
  const plan = planChanges([resource], actual, kinds);
  const written = renderChange(resource, actual, kind).doc as TargetDoc;
  return { plan, step: plan.waves.flat()[0], written };
}

const foreign: Statement = {
  Sid: 'theirs',
  Effect: 'Allow',
  Principal: { AWS: '444455556666' },
  Action: 'SQS:ReceiveMessage',
  Resource: QUEUE,
};

describe('queue policy', () => {
  // The statement of docs.aws.amazon.com/AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html
  test('allows S3 to send for the bucket and its account only', () => {
    expect(planOver(docOf(), policyResource([pairOf('tax')])).written.policy.Statement).toEqual([
      {
        Sid: 'ReplikeyFailureEvents111122223333',
        Effect: 'Allow',
        Principal: { Service: 's3.amazonaws.com' },
        Action: 'sqs:SendMessage',
        Resource: QUEUE,
        Condition: {
          ArnLike: { 'aws:SourceArn': ['arn:aws:s3:::acme-tax'] },
          StringEquals: { 'aws:SourceAccount': ACCOUNT },
        },
      },
    ]);
  });

  // A queue policy has at most 20 statements (SQS developer guide, quotas-policies).
  test('a hundred buckets of two accounts: has one statement for each account', () => {
    const pairs = Array.from({ length: 100 }, (_, index) =>
      pairOf(`p${index}`, QUEUE, index % 2 ? ACCOUNT : '444455556666'),
    );
    const { written, plan } = planOver(docOf(foreign), policyResource(pairs));
    expect(plan.blocked).toEqual([]);
    expect(written.policy.Statement).toHaveLength(3);
  });

  test('more buckets than the policy can name: is blocked, with the remedy', () => {
    const pairs = Array.from({ length: 400 }, (_, index) => pairOf(`records-${index}`));
    const { plan } = planOver(docOf(), policyResource(pairs));
    expect(plan.blocked[0]?.why).toMatch(
      /bytes .* SQS allows 8192 bytes and 20 statements; use a queue for fewer/,
    );
    const wide: Statement = {
      Effect: 'Allow',
      Principal: { Service: 's3.amazonaws.com' },
      Action: 'sqs:SendMessage',
      Resource: QUEUE,
      Condition: { StringEquals: { 'aws:SourceAccount': ACCOUNT } },
    };
    expect(planOver(docOf(wide), policyResource(pairs)).plan).toMatchObject({ blocked: [], waves: [[]] });
  });

  test('keeps foreign statements, and the buckets of specs outside the run', () => {
    const other = ownStatements({ 'arn:aws:s3:::acme-other': ACCOUNT });
    const { written, step } = planOver(docOf(foreign, ...other), policyResource([pairOf('tax')]));
    expect(step?.patch).toEqual([{ op: 'add', path: '/senders/arn:aws:s3:::acme-tax', value: ACCOUNT }]);
    expect(written.policy.Statement).toEqual([
      foreign,
      ...ownStatements({ 'arn:aws:s3:::acme-other': ACCOUNT, 'arn:aws:s3:::acme-tax': ACCOUNT }),
    ]);
  });

  test('another caller changed the statement: writes it again with all its buckets', () => {
    const [own] = ownStatements({ 'arn:aws:s3:::acme-other': ACCOUNT, 'arn:aws:s3:::acme-tax': ACCOUNT });
    const narrowed = { ...own, Action: 'sqs:GetQueueUrl' } as Statement;
    const { written, step } = planOver(docOf(narrowed), policyResource([pairOf('tax')]));
    expect(step?.patch).toHaveLength(1);
    expect(written.policy.Statement).toEqual([own]);
  });

  test('the pruned bucket: is removed, and the others stay', () => {
    const orphan = {
      ...policyResource([pairOf('tax')]),
      spec: { target: QUEUE, senders: {} },
      pruneOwners: ['acme-tax'],
      orphaned: true as const,
    };
    const both = { 'arn:aws:s3:::acme-other': ACCOUNT, 'arn:aws:s3:::acme-tax': ACCOUNT };
    const { written } = planOver(docOf(foreign, ...ownStatements(both)), orphan);
    expect(written.policy.Statement).toEqual([
      foreign,
      ...ownStatements({ 'arn:aws:s3:::acme-other': ACCOUNT }),
    ]);
    const last = planOver(docOf(...ownStatements({ 'arn:aws:s3:::acme-tax': ACCOUNT })), orphan);
    expect(last.written.policy.Statement).toEqual([]);
  });

  test.each<[string, TargetDoc | undefined, RegExp]>([
    ['the queue does not exist', undefined, /^the queue arn\S+ does not exist; create it/],
    [
      'the key of AWS encrypts it',
      { ...docOf(), kmsKey: 'alias/aws/sqs' },
      /is encrypted with alias\/aws\/sqs, whose key policy does not allow S3 and cannot be changed; use SSE/,
    ],
    [
      'a foreign statement denies S3',
      docOf({ Sid: 'deny', Effect: 'Deny', Principal: '*', Action: 'sqs:*', Resource: '*' }),
      /queue policy denies sqs:SendMessage .*deny.*; change that statement, so that S3 can send/,
    ],
    [
      'a foreign statement names a deleted user',
      docOf({ ...foreign, Principal: { AWS: 'AIDAEXAMPLE0123456789' } }),
      /names the deleted user or role AIDAEXAMPLE0123456789/,
    ],
  ])('%s: is blocked, with the reason', (_, doc, reason) => {
    const { plan } = planOver(doc, policyResource([pairOf('tax')]));
    expect(plan.waves.flat()).toEqual([]);
    expect(plan.blocked).toMatchObject([{ why: expect.stringMatching(reason) }]);
  });
});

test('topic policy: allows S3 to publish', () => {
  const resource = policyResource([pairOf('tax', TOPIC)], snsTopicPolicy as never);
  expect(planOver(docOf(), resource).written.policy.Statement).toMatchObject([
    { Action: 'sns:Publish', Resource: TOPIC },
  ]);
});

describe('a customer managed key of the queue', () => {
  const KEY = `arn:aws:kms:us-east-1:${ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab`;
  const EMPTY = joinPolicy({});

  /** Returns the resources of a pair, after the queue and the key of the source were read. */
  function withKeys(kmsKey: string): Resource[] {
    const resources = desiredResources([pairOf('tax')], [...kinds.values()]);
    const actual = new Map<Resource['id'], Observation>();
    for (const resource of resources) {
      const current =
        resource.kind === sqsQueuePolicy.name
          ? sqsQueuePolicy.parse({ policy: EMPTY, kmsKey }, resource as never)
          : resource.id === 'kms.key-policy/alias/acme-tax@main/us-east-1'
            ? kmsKeyPolicy.parse({ arn: KEY, policy: EMPTY }, resource as never)
            : undefined;
      if (current) actual.set(resource.id, { state: 'present', current });
    }
    expect(currentOf(actual, `sqs.queue-policy/${QUEUE}`)?.attrs.kmsKey).toBe(kmsKey);
    return addTargetKeys(resources, actual);
  }
  const statementsOfKey = (resources: readonly Resource[]): string[] => {
    const policy = resources.find(({ id }) => id.startsWith('kms.key-policy/alias/acme-tax@'));
    return Object.keys((policy?.spec as { statements?: object } | undefined)?.statements ?? {});
  };
  const notificationIn = (resources: readonly Resource[]) =>
    resources.find(({ kind }) => kind === s3Notification.name);

  test.each([
    KEY,
    KEY.split('/')[1] ?? '',
    'alias/acme-tax',
    `arn:aws:kms:us-east-1:${ACCOUNT}:alias/acme-tax`,
  ])('that a spec declares: its policy lets S3 use it: %s', (key) => {
    const resources = withKeys(key);
    expect(statementsOfKey(resources)).toContain('ReplikeyFailureEventsTax');
    expect(notificationIn(resources)?.after).toContain('kms.key-policy/alias/acme-tax@main/us-east-1');
  });

  test('that no spec declares: the plan prints the statement', () => {
    const resources = withKeys('alias/other');
    expect(statementsOfKey(resources)).not.toContain('ReplikeyFailureEventsTax');
    const resource = { ...(notificationIn(resources) ?? expect.fail('none')), after: [] };
    const { notes } = planChanges([resource], new Map([[resource.id, { state: 'absent' }]]), kinds);
    expect(notes.map(({ message }) => message)).toEqual([
      'the KMS key alias/other encrypts the queue or topic, and no spec declares it: its policy must contain {"Sid":"ReplikeyFailureEventsTax","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"*"}',
    ]);
  });
});
