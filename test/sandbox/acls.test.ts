import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { createRawClient, elementsOf, type SendRequest, type WireResponse } from './raw-request.ts';

const ACCOUNT = '111122223333';
const OTHER = '444455556666';
const BUCKET = 'acme-demo-bucket';
const EVERYONE = 'uri="http://acs.amazonaws.com/groups/global/AllUsers"';

let sandbox: Sandbox;
let send: SendRequest;
/** Canonical user id of the owner of the bucket. */
let ownerId = '';

beforeAll(async () => {
  sandbox = await startSandbox();
  send = createRawClient(sandbox.endpoint, { account: ACCOUNT });
  await send('PUT', `/${BUCKET}`);
  [ownerId = ''] = elementsOf((await send('GET', `/${BUCKET}?acl`)).text, 'ID');
});

afterAll(() => sandbox.close());

beforeEach(() => setOwnership('BucketOwnerEnforced'));

const setOwnership = (value: string) =>
  send('PUT', `/${BUCKET}?ownershipControls`, {
    body: `<OwnershipControls><Rule><ObjectOwnership>${value}</ObjectOwnership></Rule></OwnershipControls>`,
  });

const resultOf = ({ status, text }: WireResponse) =>
  [status, elementsOf(text, 'Code')[0]].filter(Boolean).join(' ');

const putObject = async (headers: Record<string, string>, account = ACCOUNT) =>
  resultOf(await send('PUT', `/${BUCKET}/key`, { headers, body: 'text', account }));

const putAcl = async (headers: Record<string, string>, body = '', resource = `/${BUCKET}`) =>
  resultOf(await send('PUT', `${resource}?acl`, { headers, body }));

const acl = (name: string) => ({ 'x-amz-acl': name });

// https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html: with BucketOwnerEnforced, S3 accepts
// requests without an ACL and with bucket-owner-full-control or an equivalent; all others fail with 400
// AccessControlListNotSupported. PutBucketAcl and PutObjectAcl fail with every ACL.
test('BucketOwnerEnforced: rejects ACLs', async () => {
  expect(await putObject({})).toBe('200');
  expect(await putObject(acl('bucket-owner-full-control'))).toBe('200');
  expect(await putObject(acl('private'))).toBe('200');
  expect(await putObject({ 'x-amz-grant-full-control': `id="${ownerId}"` })).toBe('200');
  for (const headers of [acl('public-read'), acl('aws-exec-read'), { 'x-amz-grant-read': EVERYONE }])
    expect(await putObject(headers)).toBe('400 AccessControlListNotSupported');
  for (const resource of [`/${BUCKET}`, `/${BUCKET}/key`])
    expect(await putAcl(acl('private'), '', resource)).toBe('400 AccessControlListNotSupported');
  const copy = { ...acl('public-read'), 'x-amz-copy-source': `/${BUCKET}/key` };
  expect(await putObject(copy)).toBe('400 AccessControlListNotSupported');
  const upload = await send('POST', `/${BUCKET}/key?uploads`, { headers: acl('public-read') });
  expect(resultOf(upload)).toBe('400 AccessControlListNotSupported');
});

// S3 API Reference, PublicAccessBlockConfiguration, BlockPublicAcls: calls of PutBucketAcl, PutObjectAcl and PutObject with
// a public ACL fail. New buckets have the setting.
test('BlockPublicAcls: rejects public ACLs with AccessDenied', async () => {
  await setOwnership('ObjectWriter');
  const publicAcls = ['public-read', 'public-read-write', 'authenticated-read'].map(acl);
  for (const headers of [...publicAcls, { 'x-amz-grant-read': EVERYONE }]) {
    expect(await putObject(headers)).toBe('403 AccessDenied');
    expect(await putAcl(headers)).toBe('403 AccessDenied');
  }
});

test('ACLs that grant access to others are not implemented, and do not succeed silently', async () => {
  await setOwnership('ObjectWriter');
  for (const headers of [acl('aws-exec-read'), { 'x-amz-grant-read': `id="${'a'.repeat(64)}"` }]) {
    expect(await putObject(headers)).toBe('501 NotImplemented');
    expect(await putAcl(headers)).toBe('501 NotImplemented');
  }
  // Full control of the owner is the ACL of each bucket, so that S3 and the sandbox have nothing to change.
  const own = (await send('GET', `/${BUCKET}?acl`)).text;
  expect([await putAcl(acl('private')), await putAcl({}, own)]).toEqual(['200', '200']);
  expect(await putAcl({}, own.replace('FULL_CONTROL', 'READ'))).toBe('501 NotImplemented');
});

// localstack, services/s3/validation.py and provider.py, compared with S3 in tests/aws/services/s3/test_s3.py.
describe('ACL: rejects what is not one', () => {
  test.each<[headers: Record<string, string>, code: string, fields: Record<string, string>]>([
    [acl('friends'), 'InvalidArgument', { ArgumentName: 'x-amz-acl', ArgumentValue: 'friends' }],
    [
      { 'x-amz-grant-read': 'everyone' },
      'InvalidArgument',
      { ArgumentName: 'x-amz-grant-read', ArgumentValue: 'everyone' },
    ],
    [
      { 'x-amz-grant-read': 'uri="http://example.com"' },
      'InvalidArgument',
      { Message: 'Invalid group uri', ArgumentName: 'uri' },
    ],
    [{ 'x-amz-grant-read': 'id="x"' }, 'InvalidArgument', { Message: 'Invalid id', ArgumentName: 'id' }],
    [
      { ...acl('private'), 'x-amz-grant-read': EVERYONE },
      'InvalidRequest',
      { Message: 'Specifying both Canned ACLs and Header Grants is not allowed' },
    ],
    [{}, 'MissingSecurityHeader', { MissingHeaderName: 'x-amz-acl' }],
  ])('%j', async (headers, code, fields) => {
    const { status, text } = await send('PUT', `/${BUCKET}?acl`, { headers });
    expect([status, elementsOf(text, 'Code')[0]]).toEqual([400, code]);
    for (const [name, value] of Object.entries(fields)) expect(elementsOf(text, name)).toEqual([value]);
  });

  test('a document with a header, and a document that is no ACL', async () => {
    const own = (await send('GET', `/${BUCKET}?acl`)).text;
    expect(await putAcl(acl('private'), own)).toBe('400 UnexpectedContent');
    expect(await putAcl({}, own.replace('FULL_CONTROL', 'ALL'))).toBe('400 MalformedACLError');
    expect(await putAcl({}, own.replace(ownerId, 'x'))).toBe('400 InvalidArgument');
  });
});

// S3 API Reference, CreateBucket: ACLs and Object Ownership. Public reports quote the code for Block Public Access.
test('CreateBucket: rejects an ACL that the new bucket cannot have', async () => {
  const create = async (headers: Record<string, string>) =>
    resultOf(await send('PUT', '/another-demo-bucket', { headers }));
  const writer = { 'x-amz-object-ownership': 'ObjectWriter' };
  expect(await create(acl('public-read'))).toBe('400 InvalidBucketAclWithObjectOwnership');
  expect(await create({ ...writer, ...acl('public-read') })).toBe(
    '400 InvalidBucketAclWithBlockPublicAccessError',
  );
  expect(await create({ ...writer, 'x-amz-grant-read': EVERYONE })).toBe(
    '400 InvalidBucketAclWithBlockPublicAccessError',
  );
  expect(await create({ ...writer, ...acl('log-delivery-write') })).toBe('501 NotImplemented');
  expect(await create(acl('private'))).toBe('200');
});

// Recorded: localstack test_s3_api.py::TestS3BucketOwnershipControls::test_bucket_ownership_controls_exc.
test('PutBucketOwnershipControls: rejects an unknown value', async () => {
  expect(resultOf(await setOwnership('Everyone'))).toBe('400 MalformedXML');
});

// https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html: the writer owns an object, unless the
// bucket owner is enforced, or is preferred and the request has the ACL bucket-owner-full-control.
test('Object Ownership: decides who owns an object of another account', async () => {
  const objects = `arn:aws:s3:::${BUCKET}/*`;
  const Principal = { AWS: `arn:aws:iam::${OTHER}:root` };
  const statement = {
    Effect: 'Allow',
    Principal,
    Action: ['s3:PutObject', 's3:PutObjectAcl'],
    Resource: objects,
  };
  const policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
  expect((await send('PUT', `/${BUCKET}?policy`, { body: policy })).status).toBe(204);
  const full = acl('bucket-owner-full-control');
  const readByBucketOwner = async () => (await send('GET', `/${BUCKET}/key`)).status;

  expect([await putObject({}, OTHER), await readByBucketOwner()]).toEqual(['200', 200]);
  await setOwnership('ObjectWriter');
  // recorded: stackd/cross-acct-owner — the bucket owner cannot read an object of another account.
  expect([await putObject({}, OTHER), await readByBucketOwner()]).toEqual(['200', 403]);
  await setOwnership('BucketOwnerPreferred');
  expect([await putObject({}, OTHER), await readByBucketOwner()]).toEqual(['200', 403]);
  expect([await putObject(full, OTHER), await readByBucketOwner()]).toEqual(['200', 200]);
  // S3 API Reference, PutObject: a request with an ACL needs s3:PutObjectAcl.
  const withoutAcl = JSON.stringify({
    Version: '2012-10-17',
    Statement: [{ ...statement, Action: 's3:PutObject' }],
  });
  await send('PUT', `/${BUCKET}?policy`, { body: withoutAcl });
  expect([await putObject(full, OTHER), await putObject({}, OTHER)]).toEqual(['403 AccessDenied', '200']);
});
