import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { createRawClient, elementsOf, type SendRequest, type WireRequest } from './raw-request.ts';

/**
 * Object Lock over raw HTTP. Sources: LocalStack's recordings of AWS (TestS3ObjectLockRetention,
 * TestS3ObjectLockLegalHold, TestS3ObjectLock), the S3 User Guide ("Locking objects with Object Lock", "Object Lock
 * considerations") and the S3 API Reference. The message about protected objects is the one that AWS returns since 2024.
 */

const ACCOUNT = '111122223333';
const BUCKET = 'acme-locked';
const DAY_MS = 24 * 60 * 60 * 1000;
const START = Date.UTC(2026, 10, 30);
const PROTECTED = 'Access Denied because object protected by object lock.';
const MALFORMED = 'The XML you provided was not well-formed or did not validate against our published schema';

let sandbox: Sandbox;
let send: SendRequest;
let now = START;

beforeEach(async () => {
  now = START;
  sandbox = await startSandbox({ clock: () => now });
  send = createRawClient(sandbox.endpoint);
  await send('PUT', `/${BUCKET}`, { headers: { 'x-amz-bucket-object-lock-enabled': 'true' } });
});
afterEach(() => sandbox.close());

const MD5 = { 'content-md5': 'jXd/OF09/siBXSD3SWAm3A==' };
const date = (days: number) => new Date(START + days * DAY_MS).toISOString();
const lockHeaders = (mode: string, days: number) => ({
  'x-amz-object-lock-mode': mode,
  'x-amz-object-lock-retain-until-date': date(days),
});
const put = (key: string, headers: Record<string, string> = {}) =>
  send('PUT', `/${BUCKET}/${key}`, { body: 'data', headers: { ...MD5, ...headers } });
const putLocked = async (mode: string, days: number, key = 'object') => {
  const { headers, text } = await put(key, lockHeaders(mode, days));
  expect(text).toBe('');
  return headers['x-amz-version-id'] ?? '';
};
const retention = (mode: string, days: number) =>
  `<Retention><Mode>${mode}</Mode><RetainUntilDate>${date(days)}</RetainUntilDate></Retention>`;
const putRetention = (body: string, headers: Record<string, string> = {}, key = 'object') =>
  send('PUT', `/${BUCKET}/${key}?retention`, { body, headers });
const remove = (version: string, options: WireRequest = {}) =>
  send('DELETE', `/${BUCKET}/object?versionId=${version}`, options);
const BYPASS = { headers: { 'x-amz-bypass-governance-retention': 'true' } };

type Answer = [status: number, code: string, message: string];
const errorOf = ({ status, text }: { status: number; text: string }): Answer => [
  status,
  elementsOf(text, 'Code')[0] ?? '',
  elementsOf(text, 'Message')[0] ?? '',
];

/** Creates a role whose policy allows everything except some actions, and returns the access key of a session. */
function sessionWithout(...actions: string[]): string {
  const account = sandbox.store.account(ACCOUNT);
  const statements = [
    { Effect: 'Allow', Action: '*', Resource: '*' },
    ...(actions.length > 0 ? [{ Effect: 'Deny', Action: actions, Resource: '*' }] : []),
  ];
  account.roles.set('limited', {
    name: 'limited',
    path: '/',
    id: 'AROALIMITED',
    arn: `arn:aws:iam::${ACCOUNT}:role/limited`,
    trust: '{}',
    created: START,
    maxSessionDuration: 3600,
    tags: new Map(),
    inline: new Map([['policy', JSON.stringify({ Version: '2012-10-17', Statement: statements })]]),
    attached: [],
    visibleFrom: 0,
  });
  account.sessions.set('ASIALIMITED', {
    accessKeyId: 'ASIALIMITED',
    roleName: 'limited',
    sessionName: 'alice',
    expires: START + 365 * DAY_MS,
    transitiveTags: [],
  } as never);
  return 'ASIALIMITED';
}

describe('Object Lock retention', () => {
  test('governance mode: prevents the deletion of a version until the date, and allows a delete marker', async () => {
    const version = await putLocked('GOVERNANCE', 10);
    expect(errorOf(await remove(version))).toEqual([403, 'AccessDenied', PROTECTED]);
    const marker = await send('DELETE', `/${BUCKET}/object`);
    expect([marker.status, marker.headers['x-amz-delete-marker']]).toEqual([204, 'true']);
    now += 10 * DAY_MS;
    expect((await remove(version)).status).toBe(204);
  });

  test('governance mode: the bypass needs the header and s3:BypassGovernanceRetention', async () => {
    const version = await putLocked('GOVERNANCE', 10);
    const account = sessionWithout('s3:BypassGovernanceRetention');
    expect(errorOf(await remove(version, { ...BYPASS, account })).slice(0, 2)).toEqual([403, 'AccessDenied']);
    expect((await remove(version, BYPASS)).status).toBe(204);
  });

  test('compliance mode: rejects the deletion by the root user with bypass', async () => {
    const version = await putLocked('COMPLIANCE', 10);
    expect(errorOf(await remove(version, BYPASS))).toEqual([403, 'AccessDenied', PROTECTED]);
    now += 11 * DAY_MS;
    expect((await remove(version)).status).toBe(204);
  });

  test('DeleteObjects: reports a protected version, and deletes the others', async () => {
    const version = await putLocked('GOVERNANCE', 10);
    const { headers } = await put('free');
    const object = (key: string, id = '') => `<Object><Key>${key}</Key><VersionId>${id}</VersionId></Object>`;
    const body = `<Delete>${object('object', version)}${object('free', headers['x-amz-version-id'])}</Delete>`;
    const response = await send('POST', `/${BUCKET}?delete`, { body });
    expect(elementsOf(response.text, 'Code')).toEqual(['AccessDenied']);
    expect(elementsOf(response.text, 'Message')).toEqual([PROTECTED]);
    expect(elementsOf(elementsOf(response.text, 'Deleted')[0] ?? '', 'Key')).toEqual(['free']);
    const bypass = await send('POST', `/${BUCKET}?delete`, { body, ...BYPASS });
    expect(elementsOf(bypass.text, 'Code')).toEqual([]);
  });

  test.each([
    ['GOVERNANCE', 'extends', retention('GOVERNANCE', 20), false, 200],
    ['GOVERNANCE', 'shortens', retention('GOVERNANCE', 5), false, 403],
    ['GOVERNANCE', 'shortens with bypass', retention('GOVERNANCE', 5), true, 200],
    ['GOVERNANCE', 'changes the mode', retention('COMPLIANCE', 20), false, 403],
    ['GOVERNANCE', 'changes the mode with bypass', retention('COMPLIANCE', 20), true, 200],
    ['GOVERNANCE', 'removes the retention', '<Retention/>', false, 403],
    ['GOVERNANCE', 'removes the retention with bypass', '<Retention/>', true, 200],
    ['COMPLIANCE', 'extends', retention('COMPLIANCE', 20), false, 200],
    ['COMPLIANCE', 'shortens with bypass', retention('COMPLIANCE', 5), true, 403],
    ['COMPLIANCE', 'changes the mode with bypass', retention('GOVERNANCE', 20), true, 403],
    ['COMPLIANCE', 'removes the retention with bypass', '<Retention/>', true, 403],
  ])('PutObjectRetention of %s: %s', async (mode, _, body, bypass, status) => {
    await putLocked(mode, 10);
    const response = await putRetention(body, bypass ? BYPASS.headers : {});
    expect(response.status).toBe(status);
    if (status === 403) expect(errorOf(response)).toEqual([403, 'AccessDenied', PROTECTED]);
  });

  test('GetObjectRetention and HEAD: return mode and date, in the formats of AWS', async () => {
    await putLocked('GOVERNANCE', 10);
    const { status, text } = await send('GET', `/${BUCKET}/object?retention`);
    expect(status).toBe(200);
    expect(elementsOf(text, 'Mode')).toEqual(['GOVERNANCE']);
    expect(new Date(elementsOf(text, 'RetainUntilDate')[0] ?? '').getTime()).toBe(START + 10 * DAY_MS);
    const { headers } = await send('HEAD', `/${BUCKET}/object`);
    expect(headers['x-amz-object-lock-mode']).toBe('GOVERNANCE');
    expect(headers['x-amz-object-lock-retain-until-date']).toBe('2026-12-10T00:00:00Z');
  });

  // S3 API Reference, "HeadObject": "This header is only returned if the requester has the s3:GetObjectRetention
  // permission."
  test('HEAD: hides the lock from callers without permission to read it', async () => {
    await put('object', { ...lockHeaders('GOVERNANCE', 10), 'x-amz-object-lock-legal-hold': 'ON' });
    const account = sessionWithout('s3:GetObjectRetention', 's3:GetObjectLegalHold');
    const { status, headers } = await send('HEAD', `/${BUCKET}/object`, { account });
    expect(status).toBe(200);
    expect(Object.keys(headers).filter((name) => name.includes('object-lock'))).toEqual([]);
  });

  test.each([
    [
      'no retention',
      'GET',
      'object?retention',
      '',
      [404, 'NoSuchObjectLockConfiguration', 'The specified object does not have a ObjectLock configuration'],
    ],
    [
      'no object',
      'PUT',
      'missing?retention',
      retention('GOVERNANCE', 1),
      [404, 'NoSuchKey', 'The specified key does not exist.'],
    ],
    [
      'mode without date',
      'PUT',
      'object?retention',
      '<Retention><Mode>GOVERNANCE</Mode></Retention>',
      [400, 'MalformedXML', MALFORMED],
    ],
    [
      'an unknown mode',
      'PUT',
      'object?retention',
      retention('governance', 1),
      [400, 'MalformedXML', MALFORMED],
    ],
    ['no document', 'PUT', 'object?retention', '', [400, 'MalformedXML', MALFORMED]],
    [
      'a date in the past',
      'PUT',
      'object?retention',
      retention('GOVERNANCE', -1),
      [400, 'InvalidArgument', 'The retain until date must be in the future!'],
    ],
  ] as const)('request with %s: returns the error of AWS', async (_, method, path, body, answer) => {
    await put('object');
    expect(errorOf(await send(method, `/${BUCKET}/${path}`, { body }))).toEqual(answer);
  });

  test.each(['PUT', 'GET'])('%s of the retention of a delete marker: returns 405', async (method) => {
    await put('object');
    const { headers } = await send('DELETE', `/${BUCKET}/object`);
    for (const query of ['', `&versionId=${headers['x-amz-version-id']}`]) {
      const response = await send(method, `/${BUCKET}/object?retention${query}`, {
        body: method === 'PUT' ? retention('GOVERNANCE', 1) : '',
      });
      expect(errorOf(response).slice(0, 2)).toEqual([405, 'MethodNotAllowed']);
      expect(elementsOf(response.text, 'Method')).toEqual([method]);
    }
  });
});

describe('Object Lock legal hold', () => {
  test('prevents the deletion of a version until it is off, also with bypass', async () => {
    const { headers } = await put('object', { 'x-amz-object-lock-legal-hold': 'ON' });
    const version = headers['x-amz-version-id'] ?? '';
    expect(errorOf(await remove(version, BYPASS))).toEqual([403, 'AccessDenied', PROTECTED]);
    const off = await send('PUT', `/${BUCKET}/object?legal-hold`, {
      body: '<LegalHold><Status>OFF</Status></LegalHold>',
    });
    expect(off.status).toBe(200);
    const head = await send('HEAD', `/${BUCKET}/object`);
    expect(head.headers['x-amz-object-lock-legal-hold']).toBe('OFF');
    expect((await remove(version)).status).toBe(204);
  });

  test('GetObjectLegalHold: returns the status, or 404 without one', async () => {
    await put('object');
    expect(errorOf(await send('GET', `/${BUCKET}/object?legal-hold`)).slice(0, 2)).toEqual([
      404,
      'NoSuchObjectLockConfiguration',
    ]);
    await send('PUT', `/${BUCKET}/object?legal-hold`, { body: '<LegalHold><Status>ON</Status></LegalHold>' });
    const { text } = await send('GET', `/${BUCKET}/object?legal-hold`);
    expect(elementsOf(text, 'Status')).toEqual(['ON']);
  });

  test('PutObjectLegalHold: rejects an empty document', async () => {
    await put('object');
    expect(errorOf(await send('PUT', `/${BUCKET}/object?legal-hold`, { body: '<LegalHold/>' }))).toEqual([
      400,
      'MalformedXML',
      MALFORMED,
    ]);
  });
});

describe('Object Lock of new objects', () => {
  test.each([
    [
      'a mode without a date',
      { 'x-amz-object-lock-mode': 'GOVERNANCE' },
      'x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied',
    ],
    ['a date in the past', lockHeaders('GOVERNANCE', -1), 'The retain until date must be in the future!'],
    ['an unknown mode', lockHeaders('strict', 1), 'Unknown wormMode directive.'],
    [
      'an unknown legal hold',
      { 'x-amz-object-lock-legal-hold': 'MAYBE' },
      "Legal Hold must be either of 'ON' or 'OFF'",
    ],
  ])('PutObject with %s: InvalidArgument', async (_, headers, message) => {
    expect(errorOf(await put('object', headers as Record<string, string>))).toEqual([
      400,
      'InvalidArgument',
      message.replaceAll("'", '&apos;'),
    ]);
  });

  test('bucket without Object Lock: InvalidRequest', async () => {
    await send('PUT', '/acme-plain');
    await send('PUT', '/acme-plain/object', { body: 'data' });
    const answer = [400, 'InvalidRequest', 'Bucket is missing Object Lock Configuration'];
    const requests = [
      send('PUT', '/acme-plain/object', {
        body: 'data',
        headers: { ...MD5, ...lockHeaders('GOVERNANCE', 1) },
      }),
      send('PUT', '/acme-plain/object?retention', { body: retention('GOVERNANCE', 1) }),
      send('GET', '/acme-plain/object?retention'),
      send('GET', '/acme-plain/object?legal-hold'),
      send('POST', '/acme-plain/object?uploads', { headers: lockHeaders('GOVERNANCE', 1) }),
    ];
    for (const request of requests) expect(errorOf(await request)).toEqual(answer);
  });

  // S3 API Reference, "PutObject": "The Content-MD5 or x-amz-sdk-checksum-algorithm header is required".
  test('upload without a checksum: InvalidRequest', async () => {
    const response = await send('PUT', `/${BUCKET}/object`, {
      body: 'data',
      headers: lockHeaders('GOVERNANCE', 1),
    });
    expect(errorOf(response)).toEqual([
      400,
      'InvalidRequest',
      'Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters',
    ]);
  });

  // S3 User Guide: "deny users permission to configure object retention settings. Amazon S3 then … rejects any request to
  // put an object that includes a retention mode and setting."
  test('retention in a put needs s3:PutObjectRetention, a legal hold s3:PutObjectLegalHold', async () => {
    const account = sessionWithout('s3:PutObjectRetention', 's3:PutObjectLegalHold');
    for (const headers of [lockHeaders('GOVERNANCE', 1), { 'x-amz-object-lock-legal-hold': 'ON' }]) {
      const options = { account, body: 'data', headers: { ...MD5, ...headers } as Record<string, string> };
      expect(errorOf(await send('PUT', `/${BUCKET}/object`, options)).slice(0, 2)).toEqual([
        403,
        'AccessDenied',
      ]);
    }
    expect((await send('PUT', `/${BUCKET}/object`, { account, body: 'data' })).status).toBe(200);
  });

  const configuration = (rule: string) =>
    `<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>${rule}</ObjectLockConfiguration>`;
  const defaultRetention = (content: string) =>
    `<Rule><DefaultRetention>${content}</DefaultRetention></Rule>`;
  const putConfiguration = (body: string) => send('PUT', `/${BUCKET}?object-lock`, { body });
  const DEFAULT = defaultRetention('<Mode>GOVERNANCE</Mode><Days>3</Days>');

  test('default retention: applies to puts, copies and uploads in parts that set none', async () => {
    await putLocked('COMPLIANCE', 10, 'source');
    expect((await putConfiguration(configuration(DEFAULT))).status).toBe(200);
    await put('put');
    await send('PUT', `/${BUCKET}/copy`, { headers: { 'x-amz-copy-source': `${BUCKET}/source` } });
    const start = await send('POST', `/${BUCKET}/parts?uploads`);
    const [uploadId] = elementsOf(start.text, 'UploadId');
    const part = await send('PUT', `/${BUCKET}/parts?partNumber=1&uploadId=${uploadId}`, {
      body: 'data',
      headers: MD5,
    });
    await send('POST', `/${BUCKET}/parts?uploadId=${uploadId}`, {
      body: `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${part.headers.etag}</ETag></Part></CompleteMultipartUpload>`,
    });
    // fact: localstack TestS3ObjectLockRetention::test_s3_copy_object_retention_lock: a copy keeps no retention.
    for (const key of ['put', 'copy', 'parts']) {
      const { headers } = await send('HEAD', `/${BUCKET}/${key}`);
      expect([
        key,
        headers['x-amz-object-lock-mode'],
        headers['x-amz-object-lock-retain-until-date'],
      ]).toEqual([key, 'GOVERNANCE', '2026-12-03T00:00:00Z']);
    }
    await putLocked('COMPLIANCE', 10, 'explicit');
    const { headers } = await send('HEAD', `/${BUCKET}/explicit`);
    expect(headers['x-amz-object-lock-mode']).toBe('COMPLIANCE');
  });

  test('upload in parts: takes the lock of its start', async () => {
    const start = await send('POST', `/${BUCKET}/parts?uploads`, {
      headers: { ...lockHeaders('COMPLIANCE', 10), 'x-amz-object-lock-legal-hold': 'ON' },
    });
    const [uploadId] = elementsOf(start.text, 'UploadId');
    const upload = (headers: Record<string, string>) =>
      send('PUT', `/${BUCKET}/parts?partNumber=1&uploadId=${uploadId}`, { body: 'data', headers });
    expect(errorOf(await upload({}))[2]).toBe(
      'Content-MD5 OR x-amz-checksum- HTTP header is required for Upload Part requests with Object Lock parameters',
    );
    const part = await upload(MD5);
    await send('POST', `/${BUCKET}/parts?uploadId=${uploadId}`, {
      body: `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${part.headers.etag}</ETag></Part></CompleteMultipartUpload>`,
    });
    const { headers } = await send('HEAD', `/${BUCKET}/parts`);
    expect(headers).toMatchObject({
      'x-amz-object-lock-mode': 'COMPLIANCE',
      'x-amz-object-lock-retain-until-date': '2026-12-10T00:00:00Z',
      'x-amz-object-lock-legal-hold': 'ON',
    });
  });

  test('PutObjectLockConfiguration: round trip, and removal of the default retention', async () => {
    await putConfiguration(configuration(defaultRetention('<Mode>COMPLIANCE</Mode><Years>1</Years>')));
    const { text } = await send('GET', `/${BUCKET}?object-lock`);
    expect([elementsOf(text, 'Mode'), elementsOf(text, 'Years')]).toEqual([['COMPLIANCE'], ['1']]);
    await putConfiguration(configuration(''));
    expect((await send('GET', `/${BUCKET}?object-lock`)).text).not.toContain('Rule');
  });

  test.each([
    ['no ObjectLockEnabled', `<ObjectLockConfiguration>${DEFAULT}</ObjectLockConfiguration>`, 'MalformedXML'],
    ['no element', '<ObjectLockConfiguration/>', 'MalformedXML'],
    ['an empty rule', configuration('<Rule/>'), 'MalformedXML'],
    ['an empty retention', configuration(defaultRetention('')), 'MalformedXML'],
    ['no period', configuration(defaultRetention('<Mode>GOVERNANCE</Mode>')), 'MalformedXML'],
    [
      'days and years',
      configuration(defaultRetention('<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>')),
      'MalformedXML',
    ],
    [
      'an unknown mode',
      configuration(defaultRetention('<Mode>governance</Mode><Days>1</Days>')),
      'MalformedXML',
    ],
    ['0 days', configuration(defaultRetention('<Mode>GOVERNANCE</Mode><Days>0</Days>')), 'InvalidArgument'],
  ])('PutObjectLockConfiguration with %s: rejected', async (_, body, code) => {
    expect(errorOf(await putConfiguration(body)).slice(0, 2)).toEqual([400, code]);
  });
});

// S3 API Reference, CreateBucket, "Permissions": with ObjectLockEnabledForBucket, s3:PutBucketObjectLockConfiguration and
// s3:PutBucketVersioning are required as well.
test.each(['s3:PutBucketObjectLockConfiguration', 's3:PutBucketVersioning'])(
  'CreateBucket with Object Lock: needs %s',
  async (action) => {
    const account = sessionWithout(action);
    const headers = { 'x-amz-bucket-object-lock-enabled': 'true' };
    expect(errorOf(await send('PUT', '/acme-second', { headers, account })).slice(0, 2)).toEqual([
      403,
      'AccessDenied',
    ]);
    expect((await send('PUT', '/acme-second', { account })).status).toBe(200);
  },
);

// The sandbox has no event holds, so it does not accept one silently.
test('PutObjectLockConfiguration with a default event hold: not implemented', async () => {
  const body =
    '<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><DefaultEventHold><Days>7</Days></DefaultEventHold></DefaultRetention></Rule></ObjectLockConfiguration>';
  const response = await send('PUT', `/${BUCKET}?object-lock`, { body });
  expect(errorOf(response).slice(0, 2)).toEqual([501, 'NotImplemented']);
});

// S3 User Guide, "Object Lock considerations": condition key s3:object-lock-remaining-retention-days.
test('Object Lock: a bucket policy limits the remaining retention days', async () => {
  const policy = {
    Version: '2012-10-17',
    Statement: {
      Effect: 'Deny',
      Principal: '*',
      Action: 's3:PutObjectRetention',
      Resource: `arn:aws:s3:::${BUCKET}/*`,
      Condition: { NumericGreaterThan: { 's3:object-lock-remaining-retention-days': '10' } },
    },
  };
  await put('object');
  await send('PUT', `/${BUCKET}?policy`, { body: JSON.stringify(policy) });
  expect((await putRetention(retention('GOVERNANCE', 11))).status).toBe(403);
  expect((await putRetention(retention('GOVERNANCE', 10))).status).toBe(200);
});

test('Object Lock: an upload that began before a restart keeps its lock, and policies see it', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-lock-'));
  const startIn = () => startSandbox({ clock: () => now, state: folder });
  let running = await startIn();
  try {
    const before = createRawClient(running.endpoint);
    await before('PUT', `/${BUCKET}`, { headers: { 'x-amz-bucket-object-lock-enabled': 'true' } });
    const policy = {
      Version: '2012-10-17',
      Statement: {
        Effect: 'Deny',
        Principal: '*',
        Action: 's3:PutObject',
        Resource: `arn:aws:s3:::${BUCKET}/*`,
        Condition: { NumericGreaterThan: { 's3:object-lock-remaining-retention-days': '10' } },
      },
    };
    await before('PUT', `/${BUCKET}?policy`, { body: JSON.stringify(policy) });
    const start = await before('POST', `/${BUCKET}/parts?uploads`, {
      headers: lockHeaders('COMPLIANCE', 10),
    });
    const [uploadId] = elementsOf(start.text, 'UploadId');
    await running.close();
    running = await startIn();
    const after = createRawClient(running.endpoint);
    const part = await after('PUT', `/${BUCKET}/parts?partNumber=1&uploadId=${uploadId}`, {
      body: 'data',
      headers: MD5,
    });
    expect(part.status, part.text).toBe(200);
    await after('POST', `/${BUCKET}/parts?uploadId=${uploadId}`, {
      body: `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${part.headers.etag}</ETag></Part></CompleteMultipartUpload>`,
    });
    const { headers } = await after('HEAD', `/${BUCKET}/parts`);
    expect(headers['x-amz-object-lock-retain-until-date']).toBe('2026-12-10T00:00:00Z');
  } finally {
    await running.close();
    await rm(folder, { recursive: true });
  }
});
