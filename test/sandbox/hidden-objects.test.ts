import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Statement } from '../../src/iam/types.ts';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { createRawClient, elementsOf, type SendRequest } from './raw-request.ts';

/**
 * S3 API Reference, "GetObject" and "HeadObject", Permissions: "If the object that you request doesn't exist, the error
 * that Amazon S3 returns depends on whether you also have the s3:ListBucket permission": 404 with it, 403 without it.
 */

const ACCOUNT = '111122223333';
const BUCKET = 'acme-hidden';

let sandbox: Sandbox;
let send: SendRequest;

beforeEach(async () => {
  sandbox = await startSandbox();
  send = createRawClient(sandbox.endpoint);
  await send('PUT', `/${BUCKET}`);
  await send('PUT', `/${BUCKET}?versioning`, {
    body: '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>',
  });
  await send('PUT', `/${BUCKET}/object`, { body: 'data' });
});
afterEach(() => sandbox.close());

/** Returns the access key of a session of a role with these statements. */
function sessionOf(...statements: Statement[]): string {
  const account = sandbox.store.account(ACCOUNT);
  account.roles.set('reader', {
    name: 'reader',
    path: '/',
    id: 'AROAREADER',
    arn: `arn:aws:iam::${ACCOUNT}:role/reader`,
    trust: '{}',
    created: 0,
    maxSessionDuration: 3600,
    tags: new Map(),
    inline: new Map([['policy', JSON.stringify({ Version: '2012-10-17', Statement: statements })]]),
    attached: [],
    visibleFrom: 0,
  });
  account.sessions.set('ASIAREADER', {
    accessKeyId: 'ASIAREADER',
    roleName: 'reader',
    sessionName: 'alice',
    expires: Date.now() + 3_600_000,
    transitiveTags: [],
  } as never);
  return 'ASIAREADER';
}

const READ: Statement = {
  Effect: 'Allow',
  Action: ['s3:GetObject*', 's3:PutObject'],
  Resource: `arn:aws:s3:::${BUCKET}/*`,
};
const LIST: Statement = { Effect: 'Allow', Action: 's3:ListBucket', Resource: `arn:aws:s3:::${BUCKET}` };
/** A version id that S3 could have issued, of another version. */
async function unknownVersionId(): Promise<string> {
  const { headers } = await send('PUT', `/${BUCKET}/other`, { body: 'data' });
  return headers['x-amz-version-id'] ?? '';
}

describe('missing object', () => {
  const requests: [string, string, string, Record<string, string>?][] = [
    ['GetObject', 'GET', 'missing'],
    ['HeadObject', 'HEAD', 'missing'],
    ['GetObject of a version', 'GET', 'object?versionId=VERSION'],
    ['HeadObject of a version', 'HEAD', 'object?versionId=VERSION'],
    ['GetObjectAttributes', 'GET', 'missing?attributes', { 'x-amz-object-attributes': 'ETag' }],
    ['GetObjectTagging', 'GET', 'missing?tagging'],
    ['GetObjectAcl', 'GET', 'missing?acl'],
    ['CopyObject', 'PUT', 'copy', { 'x-amz-copy-source': `${BUCKET}/missing` }],
  ];

  test.each(requests)(
    '%s: returns 403 without s3:ListBucket, and 404 with it',
    async (_, method, path, headers = {}) => {
      const url = `/${BUCKET}/${path.replace('VERSION', await unknownVersionId())}`;
      const without = await send(method, url, { account: sessionOf(READ), headers });
      const withList = await send(method, url, { account: sessionOf(READ, LIST), headers });
      expect([without.status, withList.status]).toEqual([403, 404]);
      if (method !== 'HEAD') expect(elementsOf(without.text, 'Code')).toEqual(['AccessDenied']);
    },
  );

  test('existing object: needs no s3:ListBucket', async () => {
    const account = sessionOf(READ);
    expect((await send('GET', `/${BUCKET}/object`, { account })).status).toBe(200);
    expect((await send('HEAD', `/${BUCKET}/object`, { account })).status).toBe(200);
  });

  test('deleted object: hidden like a missing one', async () => {
    await send('DELETE', `/${BUCKET}/object`);
    expect((await send('GET', `/${BUCKET}/object`, { account: sessionOf(READ) })).status).toBe(403);
    expect((await send('GET', `/${BUCKET}/object`, { account: sessionOf(READ, LIST) })).status).toBe(404);
  });

  test('message: names s3:ListBucket and the bucket', async () => {
    const { text } = await send('GET', `/${BUCKET}/missing`, { account: sessionOf(READ) });
    expect(text.replaceAll('&quot;', '"')).toContain(
      `is not authorized to perform: s3:ListBucket on resource: "arn:aws:s3:::${BUCKET}"`,
    );
  });
});

// Required permissions for Amazon S3 API operations: a version has actions of its own.
test.each([
  ['GetObjectTagging', 'GET', 'object?tagging&versionId=VERSION', 's3:GetObjectVersionTagging'],
  ['GetObjectAcl', 'GET', 'object?acl&versionId=VERSION', 's3:GetObjectVersionAcl'],
  ['GetObject', 'GET', 'object?versionId=VERSION', 's3:GetObjectVersion'],
  ['DeleteObject', 'DELETE', 'object?versionId=VERSION', 's3:DeleteObjectVersion'],
])('%s of a version: needs %s %s %s', async (_, method, path, action) => {
  const { headers } = await send('PUT', `/${BUCKET}/object`, { body: 'data' });
  const url = `/${BUCKET}/${path.replace('VERSION', headers['x-amz-version-id'] ?? '')}`;
  const allow = (name: string): Statement => ({ Effect: 'Allow', Action: name, Resource: '*' });
  expect((await send(method, url, { account: sessionOf(allow(action.replace('Version', ''))) })).status).toBe(
    403,
  );
  expect((await send(method, url, { account: sessionOf(allow(action)) })).status).toBeLessThan(300);
});
