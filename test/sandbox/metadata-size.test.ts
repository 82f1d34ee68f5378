import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { createRawClient, elementsOf, type SendRequest } from './raw-request.ts';

// S3 User Guide, "Working with object metadata": user-defined metadata has at most 2 KB, the sum of the bytes of all keys
// and values. S3 API Reference, "Error responses": MetadataTooLarge.

let sandbox: Sandbox;
let send: SendRequest;

beforeAll(async () => {
  sandbox = await startSandbox();
  send = createRawClient(sandbox.endpoint);
  await send('PUT', '/acme');
  await send('PUT', '/acme/source', { body: 'x' });
});

afterAll(() => sandbox.close());

const metadataOf = (bytes: number) => ({
  'x-amz-meta-a': 'x'.repeat(bytes - 1024),
  'x-amz-meta-b': 'x'.repeat(1022),
});
const copyHeaders = { 'x-amz-copy-source': 'acme/source', 'x-amz-metadata-directive': 'REPLACE' };

test.each([
  ['PutObject', 'PUT', '/acme/k', {}],
  ['CopyObject', 'PUT', '/acme/k', copyHeaders],
  ['CreateMultipartUpload', 'POST', '/acme/k?uploads', {}],
])('%s: rejects more than 2 KB of user metadata', async (_, method, path, headers) => {
  const largest = await send(method, path, { headers: { ...headers, ...metadataOf(2048) } });
  expect(largest.status).toBe(200);
  const { status, text } = await send(method, path, { headers: { ...headers, ...metadataOf(2049) } });
  expect([status, ...elementsOf(text, 'Code')]).toEqual([400, 'MetadataTooLarge']);
  expect([...elementsOf(text, 'Size'), ...elementsOf(text, 'MaxSizeAllowed')]).toEqual(['2049', '2048']);
});
