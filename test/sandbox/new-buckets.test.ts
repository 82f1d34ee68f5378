import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { createRawClient, elementsOf, type SendRequest } from './raw-request.ts';

let sandbox: Sandbox;
let send: SendRequest;

beforeAll(async () => {
  sandbox = await startSandbox();
  send = createRawClient(sandbox.endpoint);
});

afterAll(() => sandbox.close());

const codeOf = async (name: string, body = '') => {
  const { status, text } = await send('PUT', `/${name}`, { body });
  return [status, ...elementsOf(text, 'Code')];
};

// S3 User Guide, "General purpose bucket naming rules": reserved prefixes and suffixes.
test.each([
  'xn--acme',
  'sthree-acme',
  'amzn-s3-demo-acme',
  'acme-s3alias',
  'acme--ol-s3',
  'acme.mrap',
  'acme--x-s3',
  'acme--table-s3',
])('CreateBucket: rejects the reserved name %s', async (name) => {
  expect(await codeOf(name)).toEqual([400, 'InvalidBucketName']);
});

// S3 API Reference, CreateBucket: Bucket and Location declare a directory bucket, which the sandbox does not have.
test.each([
  '<Bucket><Type>Directory</Type><DataRedundancy>SingleAvailabilityZone</DataRedundancy></Bucket>',
  '<Location><Type>AvailabilityZone</Type><Name>use1-az4</Name></Location>',
])('CreateBucket: returns 501 for a directory bucket, with %s', async (element) => {
  const body = `<CreateBucketConfiguration>${element}</CreateBucketConfiguration>`;
  for (const name of ['acme-directory', 'acme--use1-az4--x-s3'])
    expect(await codeOf(name, body)).toEqual([501, 'NotImplemented']);
  expect((await send('HEAD', '/acme-directory')).status).toBe(404);
});
