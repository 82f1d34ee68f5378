import { CreateRoleCommand, GetRoleCommand } from '@aws-sdk/client-iam';
import { CreateKeyCommand, DescribeKeyCommand, ListKeysCommand } from '@aws-sdk/client-kms';
import {
  CreateBucketCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  HeadBucketCommand,
  ListBucketsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { AssumeRoleCommand, GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AwsClient } from '../../src/aws/client.ts';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { clientOf, EAST } from './support.ts';

let sandbox: Sandbox;
let client: AwsClient;
let now = Date.UTC(2026, 0, 1);
beforeEach(async () => {
  now = Date.UTC(2026, 0, 1);
  sandbox = await startSandbox({ clock: () => now });
  client = clientOf(sandbox, '111122223333', 0);
});
afterEach(() => sandbox.close());

const listBuckets = () => client.send(EAST, new ListBucketsCommand({}));
const callAdminApi = async (path: string, init?: RequestInit) => {
  const response = await fetch(`${sandbox.endpoint}/_sandbox/${path}`, init);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};
const TRUST = JSON.stringify({
  Version: '2012-10-17',
  Statement: [
    { Effect: 'Allow', Principal: { AWS: 'arn:aws:iam::111122223333:root' }, Action: 'sts:AssumeRole' },
  ],
});

describe('a fault', () => {
  test('affects the nth call of its operation, and `times` calls', async () => {
    sandbox.faultSettings.faults = [
      { match: 'ListBuckets', nth: 2, times: 2, what: { status: 500, code: 'InternalError' } },
    ];
    const outcomes = [];
    for (let n = 0; n < 4; n++)
      outcomes.push(
        await listBuckets().then(
          () => 'ok',
          (error: Error) => error.name,
        ),
      );
    expect(outcomes).toEqual(['ok', 'InternalError', 'InternalError', 'ok']);
    expect(sandbox.log.entries.map(({ status }) => status)).toEqual([200, 500, 500, 200]);
  });

  test.each([
    ['s3', () => listBuckets(), 'SlowDown'],
    ['kms', () => client.send(EAST, new ListKeysCommand({})), 'ThrottlingException'],
    ['iam', () => client.send(EAST, new GetRoleCommand({ RoleName: 'r' })), 'Throttling'],
  ])('throttles %s with the code of the service', async (match, call, name) => {
    sandbox.faultSettings.faults = [{ match, nth: 1, what: 'throttle' }];
    await expect(call()).rejects.toMatchObject({ name });
  });

  test('reset-before: drops the connection before the call takes effect', async () => {
    sandbox.faultSettings.faults = [{ match: 'CreateBucket', nth: 1, what: 'reset-before' }];
    await expect(client.send(EAST, new CreateBucketCommand({ Bucket: 'acme-tax' }))).rejects.toThrow();
    expect(sandbox.store.bucket('acme-tax')).toBeUndefined();
  });

  test('reset-after: drops the connection after the call takes effect', async () => {
    sandbox.faultSettings.faults = [{ match: 'CreateBucket', nth: 1, what: 'reset-after' }];
    await expect(client.send(EAST, new CreateBucketCommand({ Bucket: 'acme-tax' }))).rejects.toThrow();
    expect(sandbox.store.bucket('acme-tax')).toBeDefined();
  });
});

describe('propagation delay', () => {
  test('a role is not visible until rolePropagationMs have passed', async () => {
    sandbox.faultSettings.rolePropagationMs = 5_000;
    await client.send(EAST, new CreateRoleCommand({ RoleName: 'r', AssumeRolePolicyDocument: TRUST }));
    const get = () => client.send(EAST, new GetRoleCommand({ RoleName: 'r' }));
    await expect(get()).rejects.toMatchObject({ name: 'NoSuchEntityException' });
    now += 5_000;
    expect((await get()).Role?.RoleName).toBe('r');
  });

  test('a key is not visible until keyPropagationMs have passed', async () => {
    sandbox.faultSettings.keyPropagationMs = 5_000;
    const { KeyMetadata } = await client.send(EAST, new CreateKeyCommand({}));
    const get = () => client.send(EAST, new DescribeKeyCommand({ KeyId: KeyMetadata?.KeyId }));
    await expect(get()).rejects.toMatchObject({ name: 'NotFoundException' });
    now += 5_000;
    expect((await get()).KeyMetadata?.KeyState).toBe('Enabled');
  });
});

describe('admin API', () => {
  test('/knobs: reads the settings, and changes single ones', async () => {
    const put = await callAdminApi('knobs', { method: 'PUT', body: JSON.stringify({ latencyMs: 5 }) });
    expect(put).toMatchObject({ status: 200, body: { latencyMs: 5, replicationDelayMs: 0 } });
    expect((await callAdminApi('knobs')).body).toEqual(put.body);
    expect(sandbox.faultSettings.latencyMs).toBe(5);
  });

  test.each([
    ['{', /^invalid JSON: send an object of knobs$/],
    ['{"latency": 5}', /Unrecognized key: "latency"/],
    ['{"latencyMs": "soon"}', /expected number.*→ at latencyMs/s],
    ['{"latencyMs": -1}', /→ at latencyMs/],
    ['{"faults": [{"match": "*", "nth": 0, "what": "throttle"}]}', /→ at faults\[0\]\.nth/],
    ['{"__proto__": {"latencyMs": 1}, "faults": 1}', /→ at faults/],
  ])('/knobs: rejects invalid settings with the reason: %s', async (body, reason) => {
    const { status, body: response } = await callAdminApi('knobs', { method: 'PUT', body });
    expect(status).toBe(400);
    expect(response.error).toMatch(reason);
    expect((await callAdminApi('knobs')).body.latencyMs).toBe(0);
  });

  test('/log: returns calls and counts, and DELETE empties it', async () => {
    await listBuckets();
    await client.send(EAST, new GetCallerIdentityCommand({}));
    expect((await callAdminApi('log')).body).toMatchObject({
      counts: { 's3:ListBuckets': 1, 'sts:GetCallerIdentity': 1 },
      entries: [{ operation: 'ListBuckets', account: '111122223333', write: false, status: 200 }, {}],
    });
    await callAdminApi('log', { method: 'DELETE' });
    expect((await callAdminApi('log')).body).toMatchObject({ counts: {}, entries: [] });
  });

  test('returns 404 for an unknown object or path, and 200 for /health', async () => {
    expect((await callAdminApi('replication?bucket=b&key=k')).status).toBe(404);
    expect((await callAdminApi('nonsense')).status).toBe(404);
    expect(await callAdminApi('health')).toMatchObject({ status: 200, body: { status: 'ok' } });
  });
});

describe('accounts and Regions', () => {
  test('an access key of 12 digits is the account ID, and an account owns its buckets', async () => {
    const otherClient = clientOf(sandbox, '444455556666', 0);
    expect(await otherClient.accountId(undefined)).toBe('444455556666');
    await client.send(EAST, new CreateBucketCommand({ Bucket: 'acme-tax' }));
    expect((await otherClient.send(EAST, new ListBucketsCommand({}))).Buckets).toEqual([]);
    await expect(
      otherClient.send(EAST, new CreateBucketCommand({ Bucket: 'acme-tax' })),
    ).rejects.toMatchObject({
      name: 'BucketAlreadyExists',
    });
    await expect(
      otherClient.send(EAST, new GetBucketVersioningCommand({ Bucket: 'acme-tax' })),
    ).rejects.toMatchObject({ name: 'AccessDenied' });
    await expect(
      client.send(
        EAST,
        new GetBucketVersioningCommand({ Bucket: 'acme-tax', ExpectedBucketOwner: '444455556666' }),
      ),
    ).rejects.toMatchObject({ name: 'AccessDenied' });
  });

  test('the credentials of a role call as the role, and expire', async () => {
    await client.send(EAST, new CreateRoleCommand({ RoleName: 'r', AssumeRolePolicyDocument: TRUST }));
    // The root user of an account cannot assume a role.
    const { Credentials } = await clientOf(sandbox, 'AKIA111122223333', 0).send(
      EAST,
      new AssumeRoleCommand({ RoleArn: 'arn:aws:iam::111122223333:role/r', RoleSessionName: 'session' }),
    );
    const role = clientOf(
      sandbox,
      {
        accessKeyId: Credentials?.AccessKeyId ?? '',
        secretAccessKey: Credentials?.SecretAccessKey ?? '',
        sessionToken: Credentials?.SessionToken ?? '',
      },
      0,
    );
    expect((await role.send(EAST, new GetCallerIdentityCommand({}))).Arn).toBe(
      'arn:aws:sts::111122223333:assumed-role/r/session',
    );
    await client.send(EAST, new CreateBucketCommand({ Bucket: 'acme-tax' }));
    await expect(
      role.send(EAST, new GetObjectCommand({ Bucket: 'acme-tax', Key: 'k' })),
    ).rejects.toMatchObject({
      name: 'AccessDenied',
    });
    now += 24 * 3_600_000;
    await expect(role.send(EAST, new ListBucketsCommand({}))).rejects.toMatchObject({
      message: /ExpiredToken/,
    });
  });

  test('a call in the wrong Region returns the Region of the bucket', async () => {
    await client.send(
      { region: 'eu-west-1' },
      new CreateBucketCommand({
        Bucket: 'acme-tax',
        CreateBucketConfiguration: { LocationConstraint: 'eu-west-1' },
      }),
    );
    await expect(
      client.send(
        { region: 'us-west-2' },
        new PutBucketVersioningCommand({
          Bucket: 'acme-tax',
          VersioningConfiguration: { Status: 'Enabled' },
        }),
      ),
    ).rejects.toMatchObject({ $response: { headers: { 'x-amz-bucket-region': 'eu-west-1' } } });
    expect(
      (await client.send({ region: 'eu-west-1' }, new HeadBucketCommand({ Bucket: 'acme-tax' })))
        .BucketRegion,
    ).toBe('eu-west-1');
  });

  test('virtual-hosted requests reach their bucket', async () => {
    const url = new URL(sandbox.endpoint);
    const virtual = new S3Client({
      region: 'us-east-1',
      endpoint: `http://localhost:${url.port}`,
      credentials: { accessKeyId: '111122223333', secretAccessKey: 'test' },
    });
    // Resolvers may not know subdomains of localhost, so the request goes to the address with the name in its Host header.
    virtual.middlewareStack.add(
      (next) => async (args) => {
        const request = args.request as { hostname: string; headers: Record<string, string> };
        request.headers.host = `${request.hostname}:${url.port}`;
        request.hostname = url.hostname;
        return next(args);
      },
      { step: 'finalizeRequest', priority: 'low' },
    );
    await virtual.send(new CreateBucketCommand({ Bucket: 'acme-tax' }));
    await virtual.send(new PutObjectCommand({ Bucket: 'acme-tax', Key: 'a b/ü', Body: 'x' }));
    expect([...(sandbox.store.bucket('acme-tax')?.objects.keys() ?? [])]).toEqual(['a b/ü']);
    virtual.destroy();
  });
});

describe('requests to the admin API', () => {
  test('PUT knobs: keeps the settings that the body omits, and replaces the list of faults', async () => {
    const fault = { match: '*', nth: 1, what: 'throttle' };
    const put = async (body: object) =>
      (await callAdminApi('knobs', { method: 'PUT', body: JSON.stringify(body) })).body;
    expect(await put({ latencyMs: 1, faults: [fault] })).toMatchObject({ latencyMs: 1, faults: [fault] });
    expect(await put({ faults: [] })).toMatchObject({ latencyMs: 1, faults: [] });
  });

  test.each([
    ['replication', 'missing parameter bucket'],
    ['replication?bucket=acme-tax', 'missing parameter key'],
    ['replication?bucket=acme-tax&key=k', 'no bucket acme-tax'],
  ])('GET %s: names what is missing', async (path, reason) => {
    const { status, body } = await callAdminApi(path);
    expect(status).toBe(reason.startsWith('missing') ? 400 : 404);
    expect(body.error).toContain(reason);
  });

  test('GET replication: names the missing object of a bucket', async () => {
    await client.send(EAST, new CreateBucketCommand({ Bucket: 'acme-tax' }));
    const { status, body } = await callAdminApi('replication?bucket=acme-tax&key=k');
    expect([status, body.error]).toEqual([404, 'no object k in the bucket acme-tax']);
  });

  test('another path or method: lists the supported requests', async () => {
    const { status, body } = await callAdminApi('time');
    expect(status).toBe(404);
    expect(body.error).toContain('GET /_sandbox/time is not supported; use ');
    expect((await callAdminApi('knobs', { method: 'POST' })).status).toBe(404);
  });
});
