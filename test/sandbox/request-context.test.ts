import { createHash } from 'node:crypto';
import { CreateRoleCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { CreateAliasCommand, CreateKeyCommand } from '@aws-sdk/client-kms';
import { AssumeRoleCommand } from '@aws-sdk/client-sts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Statement } from '../../src/iam/types.ts';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { createRawClient, elementsOf, type SendRequest, type WireRequest } from './raw-request.ts';
import { clientOf, EAST } from './support.ts';

/**
 * Enforcement policies of AWS's documentation, as bucket policies. Each case names its page, and the requests with the
 * results that the page states. The requests are raw HTTP, so that no SDK adds a header.
 */

const ACCOUNT = '111122223333';
const BUCKET = 'acme-demo-bucket';
const OBJECTS = `arn:aws:s3:::${BUCKET}/*`;
const NOW = Date.UTC(2026, 10, 30, 12);

let sandbox: Sandbox;
let send: SendRequest;
let key = { arn: '', id: '' };
let otherKeyArn = '';
/** Access key of a session of the role `uploader`, whose policy allows everything. */
let session = '';
let roleId = '';

beforeAll(async () => {
  sandbox = await startSandbox({ clock: () => NOW });
  send = createRawClient(sandbox.endpoint);
  const client = clientOf(sandbox, ACCOUNT, 0);
  const { KeyMetadata } = await client.send(EAST, new CreateKeyCommand({}));
  key = { arn: KeyMetadata?.Arn ?? '', id: KeyMetadata?.KeyId ?? '' };
  await client.send(EAST, new CreateAliasCommand({ AliasName: 'alias/tax', TargetKeyId: key.id }));
  const other = await client.send(EAST, new CreateKeyCommand({}));
  otherKeyArn = other.KeyMetadata?.Arn ?? '';
  const trust = { Effect: 'Allow', Principal: { AWS: ACCOUNT }, Action: 'sts:AssumeRole' };
  const { Role } = await client.send(
    EAST,
    new CreateRoleCommand({
      RoleName: 'uploader',
      AssumeRolePolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: trust }),
      Tags: [{ Key: 'team', Value: 'tax' }],
    }),
  );
  roleId = Role?.RoleId ?? '';
  const everything = { Effect: 'Allow', Action: '*', Resource: '*' };
  await client.send(
    EAST,
    new PutRolePolicyCommand({
      RoleName: 'uploader',
      PolicyName: 'everything',
      PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: everything }),
    }),
  );
  // The root user of an account cannot assume a role, so that the state contains the session.
  sandbox.store.account(ACCOUNT).sessions.set('ASIAUPLOADER', {
    accessKeyId: 'ASIAUPLOADER',
    roleName: 'uploader',
    sessionName: 'alice',
    expires: NOW + 3_600_000,
    transitiveTags: [],
  } as never);
  session = 'ASIAUPLOADER';
  await send('PUT', `/${BUCKET}`);
  await send('PUT', `/${BUCKET}?versioning`, {
    body: '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>',
  });
});
afterAll(() => sandbox.close());

type Case = {
  deny: Partial<Statement>;
  requests: [
    description: string,
    expectedStatus: number,
    method: string,
    path: string,
    options?: WireRequest & { knobs?: object },
  ][];
};

const put = (path = 'object', headers: Record<string, string> = {}) =>
  ['PUT', `/${BUCKET}/${path}`, { headers, body: 'data' }] as [string, string, WireRequest];

const SSE = 'x-amz-server-side-encryption';
const KEY_ID = `${SSE}-aws-kms-key-id`;

/** Writes policies against one bucket, one after another. */
async function run({ deny, requests }: Case) {
  const statement = { Effect: 'Deny', Principal: '*', Action: 's3:PutObject', Resource: OBJECTS, ...deny };
  const policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
  const { status, text } = await send('PUT', `/${BUCKET}?policy`, { body: policy });
  expect(status, text).toBe(204);
  try {
    const results: [string, number][] = [];
    for (const [description, , method, path, { knobs = {}, ...options } = {}] of requests) {
      Object.assign(sandbox.faultSettings, knobs);
      const response = await send(method, path, options);
      sandbox.faultSettings.secureTransport = 'loopback';
      if (response.status === 403 && method !== 'HEAD')
        expect(elementsOf(response.text, 'Code')).toEqual(['AccessDenied']);
      results.push([description, response.status]);
    }
    expect(results).toEqual(requests.map(([description, status]) => [description, status]));
  } finally {
    await send('DELETE', `/${BUCKET}?policy`);
  }
}

// S3 User Guide, "Access denied message examples": within an account, the message names user, action and reason.
test.each([
  ['the user admin', () => `AKIA${ACCOUNT}`, `arn:aws:iam::${ACCOUNT}:user/admin`],
  ['a session', () => session, `arn:aws:sts::${ACCOUNT}:assumed-role/uploader/alice`],
])('AccessDenied: names caller and action to %s', async (_, accessKey, arn) => {
  const statement = { Effect: 'Deny', Principal: '*', Action: 's3:PutObject', Resource: OBJECTS };
  const policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
  expect((await send('PUT', `/${BUCKET}?policy`, { body: policy })).status).toBe(204);
  const { status, text } = await send('PUT', `/${BUCKET}/object`, { body: 'x', account: accessKey() });
  await send('DELETE', `/${BUCKET}?policy`);
  expect([status, ...elementsOf(text, 'Code')]).toEqual([403, 'AccessDenied']);
  expect(elementsOf(text, 'Message')[0]).toContain(`User: ${arn} is not authorized to perform: s3:PutObject`);
});

describe('request context: enforcement policy of the documentation', () => {
  test('SSE-KMS is required (UsingKMSEncryption, "Requiring server-side encryption")', () =>
    run({
      deny: { Condition: { StringNotEquals: { [`s3:${SSE}`]: 'aws:kms' } } },
      requests: [
        ['no header', 403, ...put()],
        ['SSE-S3', 403, ...put('object', { [SSE]: 'AES256' })],
        ['SSE-KMS', 200, ...put('object', { [SSE]: 'aws:kms' })],
        ['copy without header', 403, ...put('copy', { 'x-amz-copy-source': `/${BUCKET}/object` })],
        [
          'copy with SSE-KMS',
          200,
          ...put('copy', { 'x-amz-copy-source': `/${BUCKET}/object`, [SSE]: 'aws:kms' }),
        ],
        ['start of an upload without header', 403, 'POST', `/${BUCKET}/object?uploads`],
        ['read', 200, 'GET', `/${BUCKET}/object`],
      ],
    }));

  test('the default encryption of the bucket does not replace the header (bucket-encryption)', async () => {
    const rule = `<ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>${key.arn}</KMSMasterKeyID></ApplyServerSideEncryptionByDefault>`;
    const configuration = (content: string) =>
      `<ServerSideEncryptionConfiguration><Rule>${content}</Rule></ServerSideEncryptionConfiguration>`;
    await send('PUT', `/${BUCKET}?encryption`, { body: configuration(rule) });
    await run({
      deny: { Condition: { StringNotEquals: { [`s3:${SSE}`]: 'aws:kms' } } },
      requests: [
        ['no header', 403, ...put()],
        ['SSE-KMS', 200, ...put('object', { [SSE]: 'aws:kms' })],
      ],
    });
    await send('DELETE', `/${BUCKET}?encryption`);
  });

  // "the AWS KMS key ID that Amazon S3 uses for object encryption must match the AWS KMS key ID in the policy,
  // otherwise Amazon S3 denies the request"
  test('a KMS key is required (UsingKMSEncryption, "Requiring server-side encryption")', () =>
    run({
      deny: { Condition: { StringNotEquals: { [`s3:${KEY_ID}`]: key.arn } } },
      requests: [
        ['no key', 403, ...put('object', { [SSE]: 'aws:kms' })],
        ['another key', 403, ...put('object', { [SSE]: 'aws:kms', [KEY_ID]: otherKeyArn })],
        ['the ARN', 200, ...put('object', { [SSE]: 'aws:kms', [KEY_ID]: key.arn })],
        ['the id', 200, ...put('object', { [SSE]: 'aws:kms', [KEY_ID]: key.id })],
      ],
    }));

  test('SSE-C is denied (ServerSideEncryptionCustomerKeys, "Requiring and restricting SSE-C")', () =>
    run({
      deny: { Condition: { Null: { [`s3:${SSE}-customer-algorithm`]: 'false' } } },
      requests: [
        ['no header', 200, ...put()],
        ['SSE-C', 403, ...put('object', { [`${SSE}-customer-algorithm`]: 'AES256' })],
      ],
    }));

  test('TLS is required (example-bucket-policies, "Restrict access to only HTTPS requests")', () =>
    run({
      deny: {
        Action: 's3:*',
        Resource: [OBJECTS, `arn:aws:s3:::${BUCKET}`],
        Condition: { Bool: { 'aws:SecureTransport': 'false' } },
      },
      requests: [
        ['over loopback, which counts as TLS', 200, ...put()],
        ['plain HTTP', 403, 'GET', `/${BUCKET}/object`, { knobs: { secureTransport: 'never' } }],
        ['plain HTTP, list', 403, 'GET', `/${BUCKET}?list-type=2`, { knobs: { secureTransport: 'never' } }],
      ],
    }));

  test('TLS 1.2 is required (example-bucket-policies-condition-keys, s3:TlsVersion)', () =>
    run({
      deny: { Condition: { NumericLessThan: { 's3:TlsVersion': '1.2' } } },
      requests: [['over TLS 1.3', 200, ...put()]],
    }));

  test('bucket-owner-full-control is required (about-object-ownership)', () =>
    run({
      deny: { Condition: { StringNotEquals: { 's3:x-amz-acl': 'bucket-owner-full-control' } } },
      requests: [
        ['no ACL', 403, ...put()],
        ['another ACL', 403, ...put('object', { 'x-amz-acl': 'private' })],
        ['bucket-owner-full-control', 200, ...put('object', { 'x-amz-acl': 'bucket-owner-full-control' })],
      ],
    }));

  test('the grant of full control is required (amazon-s3-policy-keys, example 1)', () =>
    run({
      deny: {
        Condition: { StringNotEquals: { 's3:x-amz-grant-full-control': 'id=AccountA-CanonicalUserID' } },
      },
      requests: [
        ['no grant', 403, ...put()],
        ['another grant', 403, ...put('object', { 'x-amz-grant-full-control': 'id=other' })],
      ],
    }));

  test('a copy source is required (amazon-s3-policy-keys, example 2)', async () => {
    await send(...put('public/object'));
    await send(...put('private/object'));
    await run({
      deny: { Condition: { StringNotLike: { 's3:x-amz-copy-source': `${BUCKET}/public/*` } } },
      requests: [
        ['upload', 403, ...put()],
        ['copy of another folder', 403, ...put('copy', { 'x-amz-copy-source': `${BUCKET}/private/object` })],
        ['copy of public/', 200, ...put('copy', { 'x-amz-copy-source': `${BUCKET}/public/object` })],
      ],
    });
  });

  test('a storage class is required (amazon-s3-policy-keys, "Restrict object uploads to objects with a specific storage class")', () =>
    run({
      deny: { Condition: { StringNotEquals: { 's3:x-amz-storage-class': ['STANDARD_IA'] } } },
      requests: [
        ['no header', 403, ...put()],
        ['STANDARD_IA', 200, ...put('object', { 'x-amz-storage-class': 'STANDARD_IA' })],
      ],
    }));

  test('a metadata directive is required (service authorization reference, s3:x-amz-metadata-directive)', () =>
    run({
      deny: { Condition: { StringEquals: { 's3:x-amz-metadata-directive': 'REPLACE' } } },
      requests: [
        ['copy of metadata', 200, ...put('copy', { 'x-amz-copy-source': `${BUCKET}/object` })],
        [
          'replacement of metadata',
          403,
          ...put('copy', { 'x-amz-copy-source': `${BUCKET}/object`, 'x-amz-metadata-directive': 'REPLACE' }),
        ],
      ],
    }));

  test('one version is allowed (amazon-s3-policy-keys, "Grant access to a specific version of an object")', async () => {
    const { headers } = await send(...put('versioned'));
    const later = await send(...put('versioned'));
    const version = headers['x-amz-version-id'];
    await run({
      deny: {
        Action: 's3:GetObjectVersion',
        Condition: { StringNotEquals: { 's3:VersionId': version ?? '' } },
      },
      requests: [
        ['that version', 200, 'GET', `/${BUCKET}/versioned?versionId=${version}`],
        [
          'another version',
          403,
          'GET',
          `/${BUCKET}/versioned?versionId=${later.headers['x-amz-version-id']}`,
        ],
        ['the current version without id', 200, 'GET', `/${BUCKET}/versioned`],
      ],
    });
  });

  test('a prefix is required in lists (amazon-s3-policy-keys, "Get a list of objects with a specific prefix")', () =>
    run({
      deny: {
        Action: 's3:ListBucket',
        Resource: `arn:aws:s3:::${BUCKET}`,
        Condition: { StringNotEquals: { 's3:prefix': 'projects' } },
      },
      requests: [
        ['no prefix', 403, 'GET', `/${BUCKET}?list-type=2`],
        ['another prefix', 403, 'GET', `/${BUCKET}?list-type=2&prefix=other`],
        ['the prefix', 200, 'GET', `/${BUCKET}?list-type=2&prefix=projects`],
        ['the prefix in ListObjects', 200, 'GET', `/${BUCKET}?prefix=projects`],
      ],
    }));

  test('a list is limited (amazon-s3-policy-keys, "Setting the maximum number of keys")', () =>
    run({
      deny: {
        Action: ['s3:ListBucket', 's3:ListBucketVersions'],
        Resource: `arn:aws:s3:::${BUCKET}`,
        Condition: { NumericGreaterThan: { 's3:max-keys': '10' } },
      },
      requests: [
        ['10 keys', 200, 'GET', `/${BUCKET}?list-type=2&max-keys=10`],
        ['11 keys', 403, 'GET', `/${BUCKET}?list-type=2&max-keys=11`],
        ['11 versions', 403, 'GET', `/${BUCKET}?versions&max-keys=11`],
      ],
    }));

  test('tag keys are restricted (tagging-and-policies, s3:RequestObjectTagKeys)', () =>
    run({
      deny: {
        Action: ['s3:PutObject', 's3:PutObjectTagging'],
        Condition: {
          'ForAnyValue:StringNotEquals': { 's3:RequestObjectTagKeys': ['Owner', 'CreationDate'] },
        },
      },
      requests: [
        ['an allowed key', 200, ...put('object', { 'x-amz-tagging': 'Owner=tax' })],
        ['another key', 403, ...put('object', { 'x-amz-tagging': 'Owner=tax&Project=x' })],
        [
          'another key in PutObjectTagging',
          403,
          'PUT',
          `/${BUCKET}/object?tagging`,
          { body: '<Tagging><TagSet><Tag><Key>Project</Key><Value>x</Value></Tag></TagSet></Tagging>' },
        ],
      ],
    }));

  test('a tag value is required (tagging-and-policies, s3:RequestObjectTag)', () =>
    run({
      deny: { Condition: { StringNotEquals: { 's3:RequestObjectTag/Project': 'X' } } },
      requests: [
        ['no tag', 403, ...put()],
        ['the tag', 200, ...put('object', { 'x-amz-tagging': 'Project=X' })],
      ],
    }));

  test('only tagged objects can be read (tagging-and-policies, s3:ExistingObjectTag)', async () => {
    await send(...put('tagged', { 'x-amz-tagging': 'environment=production' }));
    await send(...put('untagged'));
    await run({
      deny: {
        Action: ['s3:GetObject', 's3:GetObjectTagging'],
        Condition: { StringNotEquals: { 's3:ExistingObjectTag/environment': 'production' } },
      },
      requests: [
        ['an object with the tag', 200, 'GET', `/${BUCKET}/tagged`],
        ['its tags', 200, 'GET', `/${BUCKET}/tagged?tagging`],
        ['an object without it', 403, 'GET', `/${BUCKET}/untagged`],
        [
          'a copy of an object without it',
          403,
          ...put('copy', { 'x-amz-copy-source': `${BUCKET}/untagged` }),
        ],
      ],
    });
  });

  test('presigned URLs are limited to ten minutes (bucket-policy-s3-sigv4-conditions, s3:signatureAge)', () => {
    const presigned = (date: string) =>
      `/${BUCKET}/object?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${ACCOUNT}%2F20261130%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=${date}&X-Amz-Expires=604800&X-Amz-SignedHeaders=host&X-Amz-Signature=0`;
    return run({
      deny: { Action: 's3:*', Condition: { NumericGreaterThan: { 's3:signatureAge': '600000' } } },
      requests: [
        ['a header', 200, 'GET', `/${BUCKET}/object`],
        ['a URL of this minute', 200, 'GET', presigned('20261130T120000Z'), { account: 'anonymous' }],
        ['a URL of eleven minutes ago', 403, 'GET', presigned('20261130T114900Z'), { account: 'anonymous' }],
      ],
    });
  });

  test('presigned URLs are denied (bucket-policy-s3-sigv4-conditions, s3:authType)', () =>
    run({
      deny: { Action: 's3:*', Condition: { StringNotEquals: { 's3:authType': 'REST-HEADER' } } },
      requests: [
        ['a header', 200, 'GET', `/${BUCKET}/object`],
        [
          'a presigned URL',
          403,
          'GET',
          `/${BUCKET}/object?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${ACCOUNT}%2F20261130%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20261130T120000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=0`,
          { account: 'anonymous' },
        ],
      ],
    }));

  test('unsigned payloads are denied (bucket-policy-s3-sigv4-conditions, s3:x-amz-content-sha256)', () =>
    run({
      deny: {
        Action: 's3:*',
        Condition: { StringEquals: { 's3:x-amz-content-sha256': 'UNSIGNED-PAYLOAD' } },
      },
      requests: [
        [
          'signed',
          200,
          ...put('object', { 'x-amz-content-sha256': createHash('sha256').update('data').digest('hex') }),
        ],
        ['unsigned', 403, ...put('object', { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' })],
      ],
    }));

  test('addresses are restricted (example-bucket-policies, "Restricting access to specific IP addresses")', async () => {
    await run({
      deny: { Action: 's3:*', Condition: { NotIpAddress: { 'aws:SourceIp': '192.0.2.0/24' } } },
      requests: [['from 127.0.0.1', 403, ...put()]],
    });
    await run({
      deny: {
        Action: 's3:*',
        Condition: { NotIpAddress: { 'aws:SourceIp': ['192.0.2.0/24', '127.0.0.0/8'] } },
      },
      requests: [['from 127.0.0.1', 200, ...put()]],
    });
  });

  test('a referer and a user agent are required (IAM User Guide, aws:referer and aws:UserAgent)', async () => {
    await run({
      deny: { Condition: { StringNotLike: { 'aws:Referer': 'http://www.example.com/*' } } },
      requests: [
        ['no referer', 403, ...put()],
        ['the referer', 200, ...put('object', { referer: 'http://www.example.com/page' })],
      ],
    });
    await run({
      deny: { Condition: { StringLike: { 'aws:UserAgent': 'curl/*' } } },
      requests: [
        ['curl', 403, ...put('object', { 'user-agent': 'curl/8.0' })],
        ['another', 200, ...put('object', { 'user-agent': 'aws-cli/2' })],
      ],
    });
  });

  test('a time is enforced (IAM User Guide, aws:CurrentTime and aws:EpochTime)', async () => {
    await run({
      deny: { Condition: { DateGreaterThan: { 'aws:CurrentTime': '2026-11-30T12:00:01Z' } } },
      requests: [['before', 200, ...put()]],
    });
    await run({
      deny: { Condition: { DateGreaterThan: { 'aws:EpochTime': String(NOW / 1000 - 1) } } },
      requests: [['after', 403, ...put()]],
    });
  });

  // AWS security blog, "How to restrict Amazon S3 bucket access to a specific IAM role": the role id with a wildcard for
  // the session, and the account id for the root user.
  test('a role is selected by aws:userId', () =>
    run({
      deny: { Action: 's3:PutObject', Condition: { StringNotLike: { 'aws:userId': `${roleId}:*` } } },
      requests: [
        ['the role', 200, 'PUT', `/${BUCKET}/object`, { account: session }],
        ['the root user', 403, ...put()],
      ],
    }));

  test.each([
    ['aws:userId of the root user', { StringEquals: { 'aws:userid': ACCOUNT } }, 403, 200],
    ['aws:PrincipalType', { StringEquals: { 'aws:PrincipalType': 'AssumedRole' } }, 200, 403],
    ['aws:PrincipalType of the root user', { StringEquals: { 'aws:PrincipalType': 'Account' } }, 403, 200],
    [
      'aws:PrincipalArn',
      { ArnLike: { 'aws:PrincipalArn': `arn:aws:iam::${ACCOUNT}:role/uploader` } },
      200,
      403,
    ],
    ['aws:PrincipalAccount', { StringEquals: { 'aws:PrincipalAccount': ACCOUNT } }, 403, 403],
    ['aws:PrincipalTag', { StringEquals: { 'aws:PrincipalTag/team': 'tax' } }, 200, 403],
    ['aws:ResourceAccount', { StringEquals: { 'aws:ResourceAccount': ACCOUNT } }, 403, 403],
    ['s3:ResourceAccount', { StringEquals: { 's3:ResourceAccount': ACCOUNT } }, 403, 403],
    ['aws:RequestedRegion', { StringEquals: { 'aws:RequestedRegion': 'us-east-1' } }, 403, 403],
    [
      'aws:RequestedRegion of another Region',
      { StringEquals: { 'aws:RequestedRegion': 'us-west-2' } },
      200,
      200,
    ],
    ['aws:MultiFactorAuthPresent', { Bool: { 'aws:MultiFactorAuthPresent': 'false' } }, 200, 403],
    ['s3:signatureversion', { StringNotEquals: { 's3:signatureversion': 'AWS4-HMAC-SHA256' } }, 200, 200],
  ] as const)('%s selects principals (IAM User Guide, global condition keys)', (_, Condition, root, role) =>
    run({
      deny: { Condition },
      requests: [
        ['the root user', root, ...put()],
        ['the role', role, 'PUT', `/${BUCKET}/object`, { account: session }],
      ],
    }),
  );

  test('conditional writes are required (conditional-writes-enforce)', async () => {
    await run({
      deny: {
        Condition: { Null: { 's3:if-none-match': 'true' }, Bool: { 's3:ObjectCreationOperation': 'true' } },
      },
      requests: [
        ['unconditional upload', 403, ...put('conditional')],
        ['conditional upload', 200, ...put('conditional', { 'if-none-match': '*' })],
        ['start of an upload', 200, 'POST', `/${BUCKET}/conditional-2?uploads`],
      ],
    });
  });

  test('conditional deletes are required (conditional-delete-enforce)', async () => {
    const { headers } = await send(...put('deleted'));
    const { etag = '' } = headers;
    const entry = (content: string) => `<Delete><Object><Key>deleted</Key>${content}</Object></Delete>`;
    await run({
      deny: { Action: 's3:DeleteObject', Condition: { Null: { 's3:if-match': 'true' } } },
      requests: [
        ['unconditional', 403, 'DELETE', `/${BUCKET}/deleted`],
        ['conditional', 204, 'DELETE', `/${BUCKET}/deleted`, { headers: { 'if-match': etag } }],
      ],
    });
    await send(...put('deleted'));
    const policy = {
      Version: '2012-10-17',
      Statement: {
        Effect: 'Deny',
        Principal: '*',
        Action: 's3:DeleteObject',
        Resource: OBJECTS,
        Condition: { Null: { 's3:if-match': 'true' } },
      },
    };
    await send('PUT', `/${BUCKET}?policy`, { body: JSON.stringify(policy) });
    const unconditional = await send('POST', `/${BUCKET}?delete`, { body: entry('') });
    expect(elementsOf(unconditional.text, 'Code')).toEqual(['AccessDenied']);
    const conditional = await send('POST', `/${BUCKET}?delete`, { body: entry(`<ETag>${etag}</ETag>`) });
    expect(elementsOf(conditional.text, 'Code')).toEqual([]);
    await send('DELETE', `/${BUCKET}?policy`);
  });
});

// The headers of the start of an upload describe the object, so that uploads in parts work under such policies.
test('request context: parts of an upload have the encryption of its start', async () => {
  const statement = {
    Effect: 'Deny',
    Principal: '*',
    Action: 's3:PutObject',
    Resource: OBJECTS,
    Condition: { StringNotEquals: { [`s3:${SSE}`]: 'aws:kms' } },
  };
  const policy = JSON.stringify({ Version: '2012-10-17', Statement: statement });
  await send('PUT', `/${BUCKET}?policy`, { body: policy });
  const start = await send('POST', `/${BUCKET}/parts?uploads`, { headers: { [SSE]: 'aws:kms' } });
  const [uploadId] = elementsOf(start.text, 'UploadId');
  const part = await send('PUT', `/${BUCKET}/parts?partNumber=1&uploadId=${uploadId}`, { body: 'data' });
  expect(part.status).toBe(200);
  const complete = await send('POST', `/${BUCKET}/parts?uploadId=${uploadId}`, {
    body: `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${part.headers.etag}</ETag></Part></CompleteMultipartUpload>`,
  });
  expect(complete.status).toBe(200);
  await send('DELETE', `/${BUCKET}?policy`);
});

test('request context: a session of AssumeRole has the keys of its role', async () => {
  const client = clientOf(sandbox, session, 0);
  const assumed = client.send(
    EAST,
    new AssumeRoleCommand({ RoleArn: `arn:aws:iam::${ACCOUNT}:role/uploader`, RoleSessionName: 'bob' }),
  );
  expect((await assumed).AssumedRoleUser?.AssumedRoleId).toBe(`${roleId}:bob`);
});
