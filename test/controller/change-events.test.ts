import { describe, expect, test } from 'vitest';
import { parseChangeMessage } from '../../src/controller/change-events.ts';
import { createChangeIndex, provenSubjects } from '../../src/controller/change-index.ts';
import { keysBySpec, toWorkItems } from '../../src/controller/work-items.ts';
import { desiredResources } from '../../src/core/desired.ts';
import { kinds } from '../../src/kinds/index.ts';
import { ACCOUNT_SPECS, CROSS_ACCOUNT_SPEC, parseSpecs, TAX_SPEC } from '../support/env.ts';

const ACCOUNT = '111122223333';
const KEY_ID = 'a1b2c3d4-5678-90ab-cdef-EXAMPLE11111';
const KEY_ARN = `arn:aws:kms:us-east-1:${ACCOUNT}:key/${KEY_ID}`;

/** Returns the envelope of a record (Amazon EventBridge Events Reference, "Event structure"). */
const envelope = (source: string, detail: Record<string, unknown>) => ({
  version: '0',
  id: '0cdc5423-ed4e-71d8-c4f7-9c4ab361748c',
  'detail-type': 'AWS API Call via CloudTrail',
  source,
  account: ACCOUNT,
  time: '2024-04-20T18:37:38Z',
  region: 'us-east-1',
  resources: [],
  detail: {
    eventVersion: '1.08',
    userIdentity: { type: 'AssumedRole', arn: `arn:aws:sts::${ACCOUNT}:assumed-role/admin/jane` },
    eventTime: '2024-04-20T18:37:38Z',
    awsRegion: 'us-east-1',
    sourceIPAddress: '192.0.2.0',
    userAgent: 'aws-cli/2.31.0',
    responseElements: null,
    eventID: 'a1b2c3d4-5678-90ab-cdef-EXAMPLE33333',
    readOnly: false,
    eventType: 'AwsApiCall',
    managementEvent: true,
    recipientAccountId: ACCOUNT,
    eventCategory: 'Management',
    ...detail,
  },
});

function parse(source: string, detail: Record<string, unknown>) {
  const message = parseChangeMessage(JSON.stringify(envelope(source, detail)));
  if (message.type !== 'event') throw new Error(message.why);
  return message.event;
}

/** RetireGrant by a service has no parameters (AWS KMS Developer Guide, "RetireGrant"). */
const RETIRE_GRANT = {
  userIdentity: { type: 'AWSService', invokedBy: 'AWS Internal' },
  eventSource: 'kms.amazonaws.com',
  eventName: 'RetireGrant',
  userAgent: 'AWS Internal',
  requestParameters: null,
  responseElements: { keyId: KEY_ARN },
  additionalEventData: { grantId: 'e3b0c442' },
  resources: [{ accountId: 'AWS Internal', type: 'AWS::KMS::Key', ARN: KEY_ARN }],
};

async function indexOf(yaml: string) {
  const specs = await parseSpecs(yaml);
  const items = toWorkItems(specs);
  const keys = keysBySpec(items);
  return createChangeIndex({
    kinds,
    resources: desiredResources(specs.pairs, [...kinds.values()]),
    keyOf: (spec) => keys.get(spec),
    accountIdOf: (name) => (name === 'backup' ? '444455556666' : ACCOUNT),
  });
}

const proof = { buckets: [], roles: [], keys: [KEY_ARN], policies: [], unread: [] };

describe('parseChangeMessage', () => {
  test.each([
    ['no JSON', '{'],
    [
      'an event of another type',
      JSON.stringify({ 'detail-type': 'Object Created', source: 'aws.s3', detail: {} }),
    ],
    [
      'an event that no AWS service sent',
      JSON.stringify(envelope('acme.s3', { eventSource: 's3.amazonaws.com', eventName: 'x' })),
    ],
    [
      'a record without an event name',
      JSON.stringify(envelope('aws.s3', { eventSource: 's3.amazonaws.com' })),
    ],
    [
      'an account that is no id',
      JSON.stringify(
        envelope('aws.s3', { eventSource: 's3.amazonaws.com', eventName: 'x', recipientAccountId: 'me' }),
      ),
    ],
  ])('%s: is unknown', (_, body) => {
    expect(parseChangeMessage(body)).toMatchObject({ type: 'unknown' });
  });

  test('a long document: is left out, and the names stay', () => {
    const { requestParameters } = parse('aws.s3', {
      eventSource: 's3.amazonaws.com',
      eventName: 'PutBucketPolicy',
      requestParameters: { bucketName: 'acme-tax', bucketPolicy: { Statement: ['x'.repeat(20_000)] } },
    });
    expect(requestParameters).toEqual({ bucketName: 'acme-tax' });
  });
});

describe('change index', () => {
  test.each([
    [
      'a bucket',
      'aws.s3',
      {
        eventSource: 's3.amazonaws.com',
        eventName: 'PutBucketPolicy',
        requestParameters: { bucketName: 'acme-tax' },
      },
    ],
    [
      'a role',
      'aws.iam',
      {
        eventSource: 'iam.amazonaws.com',
        eventName: 'DetachRolePolicy',
        requestParameters: { roleName: 'Replikey-Acme-Tax', policyArn: 'arn:aws:iam::aws:policy/x' },
      },
    ],
    [
      'an alias',
      'aws.kms',
      {
        eventSource: 'kms.amazonaws.com',
        eventName: 'UpdateAlias',
        requestParameters: { aliasName: 'alias/acme-tax', targetKeyId: 'other' },
      },
    ],
    [
      'a key id',
      'aws.kms',
      { eventSource: 'kms.amazonaws.com', eventName: 'DisableKey', requestParameters: { keyId: KEY_ID } },
    ],
    [
      'a key ARN',
      'aws.kms',
      { eventSource: 'kms.amazonaws.com', eventName: 'PutKeyPolicy', requestParameters: { keyId: KEY_ARN } },
    ],
    ['a grant without parameters', 'aws.kms', RETIRE_GRANT],
  ])('an event about %s: finds the pair, in its account and Region only', async (_, source, detail) => {
    const index = await indexOf(TAX_SPEC);
    index.setProven('tax', provenSubjects([proof], 'us-east-1'));
    expect(index.pairsOf(parse(source, detail))).toEqual(['tax']);
    expect(index.pairsOf(parse(source, { ...detail, awsRegion: 'eu-west-1' }))).toEqual([]);
    expect(index.pairsOf(parse(source, { ...detail, recipientAccountId: '999988887777' }))).toEqual([]);
  });

  test('the destination in another account: only events of that account count', async () => {
    const index = await indexOf(ACCOUNT_SPECS + CROSS_ACCOUNT_SPEC);
    const detail = {
      eventSource: 's3.amazonaws.com',
      eventName: 'DeleteBucketPolicy',
      awsRegion: 'us-west-2',
      requestParameters: { bucketName: 'acme-tax-replica' },
    };
    expect(index.pairsOf(parse('aws.s3', detail))).toEqual([]);
    expect(index.pairsOf(parse('aws.s3', { ...detail, recipientAccountId: '444455556666' }))).toEqual([
      'tax',
    ]);
  });

  test('a managed policy: known after a pass, and forgotten when the role loses it', async () => {
    const index = await indexOf(TAX_SPEC);
    const policyArn = `arn:aws:iam::${ACCOUNT}:policy/limits`;
    const event = parse('aws.iam', {
      eventSource: 'iam.amazonaws.com',
      eventName: 'CreatePolicyVersion',
      requestParameters: { policyArn, setAsDefault: true },
    });
    expect(index.pairsOf(event)).toEqual([]);
    const added = index.setProven('tax', provenSubjects([{ ...proof, policies: [policyArn] }], 'us-east-1'));
    expect(added.map(({ name }) => name)).toContain(policyArn);
    expect(index.pairsOf(event)).toEqual(['tax']);
    index.setProven('tax', provenSubjects([proof], 'us-east-1'));
    expect(index.pairsOf(event)).toEqual([]);
  });

  test('pairs with one key: all of them', async () => {
    const second = TAX_SPEC.replace('name: tax', 'name: books').replaceAll(
      'bucket: acme-tax',
      'bucket: acme-books',
    );
    const index = await indexOf(`${TAX_SPEC}---\n${second}`);
    const event = parse('aws.kms', {
      eventSource: 'kms.amazonaws.com',
      eventName: 'DeleteAlias',
      requestParameters: { aliasName: 'alias/acme-tax' },
    });
    expect(index.pairsOf(event).sort()).toEqual(['books', 'tax']);
  });
});
