import { describe, expect, test } from 'vitest';
import {
  type DestinationOwner,
  destinationFinding,
  findDestinationOwner,
} from '../../src/fleet/destinations.ts';

const SOURCE = '111122223333';
const BACKUP = '444455556666';
const OTHER = '777788889999';
const ACCOUNTS = { listed: new Set([SOURCE, BACKUP]), unlisted: new Set<string>() };

const elsewhere = (unlisted: string[] = []): DestinationOwner => ({
  status: 'elsewhere',
  sourceAccount: SOURCE,
  accounts: { ...ACCOUNTS, unlisted: new Set(unlisted) },
});
const codeOf = (destination: DestinationOwner, expected?: string) =>
  destinationFinding(destination, 'acme-tax-replica', expected)?.code;

describe('destinationFinding', () => {
  test('a bucket of a known account, an absent one and one that cannot be read: no finding', () => {
    expect(codeOf({ status: 'owned', account: BACKUP, isKnown: true })).toBeUndefined();
    expect(codeOf({ status: 'absent' })).toBeUndefined();
    expect(codeOf({ status: 'unknown', reason: 'denied' }, BACKUP)).toBeUndefined();
  });

  test('the rule names a listed account that does not own the bucket: the name was taken over', () => {
    expect(codeOf(elsewhere(), BACKUP)).toBe('RK1701');
    // The list of the named account decides, even if other accounts are not listed.
    expect(codeOf(elsewhere([OTHER]), BACKUP)).toBe('RK1701');
  });

  test('the rule names no account, and no listed account owns the bucket: the name was taken over', () => {
    expect(codeOf(elsewhere())).toBe('RK1701');
  });

  test('the rule names no account, and one of the accounts could not be listed: the owner is unknown', () => {
    const finding = destinationFinding(elsewhere([OTHER]), 'acme-tax-replica', undefined);
    expect(finding).toMatchObject({ code: 'RK1901', message: expect.stringContaining(OTHER) });
  });

  test('the rule names an account without credentials: no finding, because it may own the bucket', () => {
    expect(codeOf(elsewhere([OTHER]), OTHER)).toBeUndefined();
  });

  test('the rule names an unknown account: the destination is foreign', () => {
    expect(codeOf(elsewhere(), OTHER)).toBe('RK1702');
    expect(codeOf({ status: 'owned', account: OTHER, isKnown: false })).toBe('RK1702');
  });
});

describe('findDestinationOwner', () => {
  const context = {
    owner: undefined,
    source: { account: SOURCE, accountName: 'main' },
    locations: {
      buckets: new Map(),
      accountNames: new Map(),
      unmanagedBuckets: new Set<string>(),
      region: 'us-east-1',
    },
    accounts: ACCOUNTS,
  };
  const find = (error: object) => {
    const send = async () => {
      throw Object.assign(new Error('refused'), error);
    };
    return findDestinationOwner({ send } as never, 'acme-tax-replica', { unread: 'denied' }, context);
  };
  const response = (headers: object) => ({ $response: { headers } });

  // S3 API Reference, "HeadBucket": 403 with x-amz-bucket-region for a bucket of another account, 404 if there is none.
  test('403 with the Region: the bucket exists', async () => {
    const error = {
      name: '403',
      $metadata: { httpStatusCode: 403 },
      ...response({ 'x-amz-bucket-region': 'us-east-1' }),
    };
    expect(await find(error)).toMatchObject({ status: 'elsewhere' });
  });

  test('301 to another Region: the bucket exists', async () => {
    const error = {
      name: '301',
      $metadata: { httpStatusCode: 301 },
      ...response({ 'x-amz-bucket-region': 'eu-west-1' }),
    };
    expect(await find(error)).toMatchObject({ status: 'elsewhere' });
  });

  test('403 without the Region, and a failure of S3: nothing is known', async () => {
    for (const httpStatusCode of [403, 500])
      expect(await find({ name: 'Unknown', $metadata: { httpStatusCode } })).toMatchObject({
        status: 'unknown',
      });
  });
});
