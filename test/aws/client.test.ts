import { CreateKeyCommand, ListKeysCommand } from '@aws-sdk/client-kms';
import {
  GetBucketVersioningCommand,
  HeadBucketCommand,
  PutBucketReplicationCommand,
  PutBucketVersioningCommand,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type AwsClientOptions, createAwsClient } from '../../src/aws/client.ts';
import { commandInfo } from '../../src/aws/command.ts';
import { formatAwsError, recordFailedCall } from '../../src/aws/errors.ts';
import { CONCURRENCY } from '../../src/aws/rate-limiter.ts';
import type { SdkClients } from '../../src/aws/sdk-clients.ts';
import { EXIT, UserError } from '../../src/errors.ts';

const at = { region: 'us-east-1' };
const read = () => new GetBucketVersioningCommand({ Bucket: 'acme-tax' });
const write = () =>
  new PutBucketVersioningCommand({ Bucket: 'acme-tax', VersioningConfiguration: { Status: 'Enabled' } });
const namedError = (name: string, message = '…'): Error => Object.assign(new Error(message), { name });

const sdkClientsOf = (send: (command: object) => Promise<unknown>): SdkClients => ({
  get: () => ({ send, destroy() {} }),
  destroy() {},
  now: Date.now,
  endpoint: async () => 'aws',
});

/** Returns a client whose calls get these responses in order, and then empty ones. */
function testClient(responses: unknown[] = [], options: Partial<AwsClientOptions> = {}) {
  const sent: object[] = [];
  const retried: string[] = [];
  const send = async (command: object): Promise<unknown> => {
    sent.push(command);
    const response = responses.shift();
    if (response instanceof Error) throw response;
    return response ?? {};
  };
  const clients = sdkClientsOf(send);
  const client = createAwsClient({
    clients,
    accounts: [],
    region: 'us-east-1',
    onRetry: ({ operation, reason }) => retried.push(`${reason} ${operation}`),
    ...options,
  });
  return { client, sent, retried };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Returns the outcome of a call. Advances the clock past every delay. */
async function outcome<T>(call: Promise<T>): Promise<T | Error> {
  const settled = call.catch((error: Error) => error);
  await vi.runAllTimersAsync();
  return settled;
}

describe('AwsClient.send', () => {
  test.each(['SlowDown', 'InternalError', 'OperationAborted', 'TimeoutError'])(
    'retries after %s',
    async (name) => {
      const { client, sent, retried } = testClient([namedError(name), namedError(name)]);
      expect(await outcome(client.send(at, read()))).toEqual({});
      expect(sent).toHaveLength(3);
      expect(retried).toEqual(Array(2).fill(`${name}: … s3:GetBucketVersioning`));
      expect(client.calls).toMatchObject({ reads: 3, writes: 0 });
    },
  );

  test.each(['AccessDenied', 'NoSuchBucket', 'LimitExceededException', 'MalformedPolicy'])(
    'does not retry after %s',
    async (name) => {
      const { client, sent } = testClient([namedError(name)]);
      expect(await outcome(client.send(at, read()))).toMatchObject({ name });
      expect(sent).toHaveLength(1);
    },
  );

  test('stops retrying after the timeout and throws the last error', async () => {
    const { client, sent } = testClient(Array(50).fill(namedError('SlowDown')), { retryTimeoutMs: 60_000 });
    expect(await outcome(client.send(at, read()))).toMatchObject({ name: 'SlowDown' });
    expect(sent.length).toBeGreaterThan(3);
    expect(sent.length).toBeLessThan(12);
  });

  test('does not retry a CreateKey whose response was lost, but retries a throttled one', async () => {
    const lost = testClient([namedError('TimeoutError')]);
    expect(await outcome(lost.client.send(at, new CreateKeyCommand({})))).toMatchObject({
      name: 'TimeoutError',
    });
    expect(lost.sent).toHaveLength(1);
    const throttled = testClient([namedError('ThrottlingException')]);
    expect(await outcome(throttled.client.send(at, new CreateKeyCommand({})))).toEqual({});
    expect(throttled.sent).toHaveLength(2);
  });
});

describe('AwsClient', () => {
  test('accountId: calls STS again after a failure', async () => {
    const { client, sent } = testClient([namedError('AccessDenied'), { Account: '111122223333' }]);
    expect(await outcome(client.accountId(undefined))).toMatchObject({ name: 'AccessDenied' });
    expect(await outcome(client.accountId(undefined))).toBe('111122223333');
    expect(sent).toHaveLength(2);
  });

  test('uninterruptible: accountId succeeds after an interruption', async () => {
    const controller = new AbortController();
    const { client } = testClient([{ Account: '111122223333' }], { signal: controller.signal });
    controller.abort(new Error('interrupted'));
    expect(await outcome(client.uninterruptible().accountId(undefined))).toBe('111122223333');
  });

  test('withCache: sends equal reads of a pass once, and every write', async () => {
    const { client, sent } = testClient([{ Status: 'Enabled' }]);
    const pass = client.withCache();
    const [first, second] = (await outcome(
      Promise.all([pass.send(at, read()), pass.send(at, read())]),
    )) as object[];
    expect(first).toBe(second);
    expect(sent).toHaveLength(1);
    await outcome(Promise.all([pass.send(at, write()), pass.send(at, write())]));
    expect(sent).toHaveLength(3);
    await outcome(pass.send({ region: 'eu-west-1' }, read()));
    expect(sent).toHaveLength(4);
    await outcome(client.withCache().send(at, read()));
    expect(sent).toHaveLength(5);
  });

  test('withCache: with a limit, keeps the responses that were used last, and no error that a retry may pass', async () => {
    const { client, sent } = testClient([{}, {}, {}, {}, namedError('ExpiredToken'), {}], {
      retryTimeoutMs: 0,
    });
    const cached = client.withCache(2);
    const readBucket = (Bucket: string) =>
      outcome(cached.send(at, new GetBucketVersioningCommand({ Bucket })));
    for (const bucket of ['a', 'b', 'a']) await readBucket(bucket);
    expect(sent).toHaveLength(2);
    await readBucket('c');
    await readBucket('a');
    expect(sent).toHaveLength(3);
    await readBucket('b');
    expect(sent).toHaveLength(4);
    expect(await readBucket('d')).toMatchObject({ message: expect.stringContaining('ExpiredToken') });
    expect(await readBucket('d')).toEqual({});
    expect(sent).toHaveLength(6);
  });

  test('readOnly: rejects writes', async () => {
    const { client, sent } = testClient([{ Keys: [] }]);
    expect(await outcome(client.readOnly().send(at, write()))).toMatchObject({
      message: 'read-only client: refused the write s3:PutBucketVersioning',
    });
    expect(await outcome(client.readOnly().send(at, new ListKeysCommand({})))).toEqual({ Keys: [] });
    expect(sent).toHaveLength(1);
  });

  test('starts no attempt after an interruption, unless the client is uninterruptible', async () => {
    const controller = new AbortController();
    const { client, sent } = testClient([namedError('SlowDown')], { signal: controller.signal });
    const call = client.send(at, read()).catch((error: Error) => error);
    await vi.advanceTimersByTimeAsync(0);
    expect(sent).toHaveLength(1);
    controller.abort(new Error('interrupted'));
    await vi.runAllTimersAsync();
    expect(await call).toMatchObject({ message: 'interrupted' });
    expect(sent).toHaveLength(1);
    expect(await outcome(client.uninterruptible().send(at, write()))).toEqual({});
    expect(sent).toHaveLength(2);
  });

  test.each(['withCache', 'withBatching', 'uninterruptible'] as const)(
    '%s: the client stays fenced and read-only',
    async (derive) => {
      const { client, sent } = testClient();
      const lost = new Error('another process leads');
      const fenced = client.fenced(() => {
        throw lost;
      });
      expect(await outcome(fenced[derive]().send(at, write()))).toBe(lost);
      expect(await outcome(client.readOnly()[derive]().send(at, write()))).toMatchObject({
        message: 'read-only client: refused the write s3:PutBucketVersioning',
      });
      expect(sent).toEqual([]);
    },
  );

  test('fenced: the client stays read-only', async () => {
    const { client, sent } = testClient();
    const fenced = client.readOnly().fenced(() => {});
    expect(await outcome(fenced.send(at, write()))).toMatchObject({
      message: expect.stringMatching(/^read-only client/),
    });
    expect(sent).toEqual([]);
  });

  test('returns the response to a call that was in flight at an interruption', async () => {
    const controller = new AbortController();
    const { client } = testClient([{ Status: 'Enabled' }], { signal: controller.signal });
    const call = client.send(at, read());
    await Promise.resolve();
    controller.abort(new Error('interrupted'));
    expect(await outcome(call)).toEqual({ Status: 'Enabled' });
  });

  test('truncates long names and messages of errors', async () => {
    const { client } = testClient([namedError('E'.repeat(1_000_000), 'x'.repeat(1_000_000))]);
    const error = (await outcome(client.send(at, read()))) as Error;
    expect(error.message).toMatch(/^x{2000}…$/);
    expect(formatAwsError(error).length).toBeLessThan(5_000);
  });

  test('throws a UserError if the credentials are expired', async () => {
    const { client } = testClient([namedError('ExpiredToken', 'The provided token has expired.')]);
    expect(await outcome(client.send(at, read()))).toMatchObject({
      exitCode: EXIT.credentials,
      message:
        's3:GetBucketVersioning in us-east-1: ExpiredToken: The provided token has expired; renew the credentials',
    });
  });

  test('accountId: calls STS once, and rejects credentials of another account than declared', async () => {
    const { client, sent } = testClient([{ Account: '111122223333' }]);
    expect(await outcome(Promise.all([client.accountId(undefined), client.accountId(undefined)]))).toEqual([
      '111122223333',
      '111122223333',
    ]);
    expect(sent).toHaveLength(1);
    const main = { name: 'main', id: '444455556666', managed: true, positions: {} };
    const wrongAccount = testClient([{ Account: '111122223333' }], { accounts: [main] });
    expect(await outcome(wrongAccount.client.accountId('main'))).toMatchObject({
      exitCode: EXIT.credentials,
      message:
        'wrong account: the credentials of account "main" belong to 111122223333, but its Account document declares 444455556666; nothing was read or changed there',
    });
  });
});

describe('withCache: verifyAccounts', () => {
  const main = { name: 'main', id: '111122223333', managed: true };
  const accounts = [main, { name: 'partner', id: '444455556666', managed: false }];
  const inMain = { account: 'main', region: 'us-east-1' };

  test('verifies each account that was read once', async () => {
    const { client, sent } = testClient([{ Account: main.id }], { accounts: accounts as never });
    const cachedClient = client.withCache();
    await cachedClient.verifyAccounts();
    expect(sent).toEqual([]);
    await cachedClient.send(inMain, read());
    expect(await cachedClient.accountId('main')).toBe(main.id);
    expect(await cachedClient.accountId('partner')).toBe('444455556666');
    await cachedClient.verifyAccounts();
    await client.withCache().send(inMain, read());
    expect(sent.map((command) => commandInfo(command).operation)).toEqual([
      'GetCallerIdentity',
      'GetBucketVersioning',
      'GetBucketVersioning',
    ]);
  });

  test.each<[why: string, response: unknown, exitCode: number, message: RegExp]>([
    [
      'belong to another account',
      { Account: '999988887777' },
      EXIT.credentials,
      /belong to 999988887777, but its Account document declares 111122223333/,
    ],
    [
      'belong to an account that STS does not return',
      namedError('AccessDenied'),
      EXIT.failed,
      /cannot determine the account of the credentials: .*sts:GetCallerIdentity in account main, us-east-1.* set managed: false in its Account document/,
    ],
  ])('throws for credentials that %s', async (_, response, exitCode, message) => {
    const { client } = testClient([response], { accounts: accounts as never });
    const cachedClient = client.withCache();
    await cachedClient.send(inMain, read());
    await vi.runAllTimersAsync();
    await expect(cachedClient.withCache().verifyAccounts()).rejects.toMatchObject({
      exitCode,
      message: expect.stringMatching(message),
    });
  });
});

test('AwsClient: limits the number of concurrent calls', async () => {
  let open = 0;
  let maxOpen = 0;
  const send = async () => {
    open += 1;
    maxOpen = Math.max(maxOpen, open);
    await Promise.resolve();
    open -= 1;
    return {};
  };
  const clients = sdkClientsOf(send);
  const client = createAwsClient({ clients, accounts: [], region: 'us-east-1' });
  await outcome(Promise.all(Array.from({ length: 500 }, () => client.send(at, read()))));
  expect(maxOpen).toBeGreaterThanOrEqual(CONCURRENCY.initial);
  expect(maxOpen).toBeLessThanOrEqual(CONCURRENCY.max);
});

describe('formatAwsError', () => {
  const format = (error: unknown) => {
    recordFailedCall(error, new CreateKeyCommand({}), at);
    return formatAwsError(error);
  };

  const rows: [string, unknown, string][] = [
    [
      'network error without a name',
      new Error('read ECONNRESET'),
      'kms:CreateKey in us-east-1: read ECONNRESET',
    ],
    ['thrown string', 'a text', 'a text'],
    ['UserError, unchanged', new UserError(EXIT.credentials, 'final message'), 'final message'],
  ];
  test.each(rows)('%s', (_, error, expected) => {
    expect(format(error)).toBe(expected);
  });

  test('contains no signature, token or key of the request', () => {
    const error = Object.assign(namedError('SignatureDoesNotMatch', 'The signatures differ.'), {
      AWSAccessKeyId: 'AKIASECRET',
      StringToSign: 'AWS4-HMAC-SHA256 SECRET',
      SignatureProvided: 'SECRET',
      $response: { headers: { 'x-amz-security-token': 'SECRET' } },
      $metadata: { httpStatusCode: 403, requestId: 'R1', cfId: 'SECRET' },
      $fault: 'client',
    });
    expect(format(error)).toBe(
      'kms:CreateKey in us-east-1: SignatureDoesNotMatch (HTTP 403): The signatures differ, request R1',
    );
  });
});

const INPUT = { Bucket: 'acme-tax', ReplicationConfiguration: { Role: '', Rules: [] } };

describe('formatAwsError: a denied call', () => {
  const denied = (command: object, message: string, name = 'AccessDenied'): string => {
    const $metadata = { httpStatusCode: 403, requestId: 'R1' };
    const error = Object.assign(new Error(message), { name, $fault: 'client', $metadata });
    recordFailedCall(error, command, { account: 'main', region: 'us-east-1' });
    return formatAwsError(error);
  };

  test('shows operation, location, code, message, request id, and the IAM action of the operation', () => {
    expect(denied(new PutBucketReplicationCommand(INPUT), 'Access Denied')).toBe(
      's3:PutBucketReplication in account main, us-east-1: AccessDenied (HTTP 403): Access Denied, request R1; these credentials lack the permission s3:PutReplicationConfiguration, or the bucket belongs to another account',
    );
  });

  test('shows the action that AWS names', () => {
    const message =
      'User: arn:aws:iam::1:user/u is not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/r';
    expect(denied(new PutBucketReplicationCommand(INPUT), message)).toMatch(
      /; these credentials lack the permission iam:PassRole$/,
    );
  });

  test('does not call the permission missing if a policy denies it explicitly', () => {
    const message =
      'User: arn:aws:iam::1:user/u is not authorized to perform: kms:TagResource with an explicit deny in a service control policy';
    expect(denied(new CreateKeyCommand({}), message, 'AccessDeniedException')).toMatch(
      /; a policy denies these credentials the permission kms:TagResource$/,
    );
  });
});

test('formatAwsError: names the call that failed, not the last of several concurrent calls', async () => {
  let failCall = () => {};
  const headDenied = new Promise<object>((_, reject) => {
    const error = Object.assign(namedError('403', ''), { $metadata: { httpStatusCode: 403 } });
    failCall = () => reject(error);
  });
  const send = (command: object) => (command instanceof HeadBucketCommand ? headDenied : Promise.resolve({}));
  const client = createAwsClient({ clients: sdkClientsOf(send), accounts: [], region: 'us-east-1' });
  const denied = client.send(at, new HeadBucketCommand({ Bucket: 'acme-tax' }));
  const result = denied.catch((error: unknown) => error);
  await outcome(client.send(at, read()));
  failCall();
  expect(formatAwsError(await result)).toMatch(/^s3:HeadBucket .* lack the permission s3:ListBucket/);
});

// Facts: an opt-in Region that is not enabled answers with these errors, S3 with InvalidToken
// (https://docs.aws.amazon.com/general/latest/gr/rande-manage.html).
describe('a Region that is not enabled', () => {
  const isIdentity = (command: object) => commandInfo(command).operation === 'GetCallerIdentity';

  /** Returns a client whose credentials are valid in some Regions only, and the calls that it sends. */
  function regionalClient(validRegions: readonly string[], region = 'eu-west-1') {
    const sent: string[] = [];
    const clients: SdkClients = {
      ...sdkClientsOf(async () => ({})),
      get: (service, location) => ({
        destroy() {},
        async send(command) {
          sent.push(`${commandInfo(command).operation} ${location.region}`);
          if (!validRegions.includes(location.region))
            throw namedError(service === 's3' ? 'InvalidToken' : 'InvalidClientTokenId');
          return isIdentity(command) ? { Account: '111122223333' } : {};
        },
      }),
    };
    return { client: createAwsClient({ clients, accounts: [], region }), sent };
  }

  test('a call fails with a hint, and concurrent calls share one probe in another Region', async () => {
    const { client, sent } = regionalClient(['eu-west-1']);
    const calls = Array.from({ length: 5 }, () => outcome(client.send({ region: 'af-south-1' }, read())));
    for (const error of await Promise.all(calls)) {
      expect(error).not.toBeInstanceOf(UserError);
      expect(formatAwsError(error)).toContain('aws account enable-region --region-name af-south-1');
    }
    expect(sent.filter((call) => call.startsWith('GetCallerIdentity'))).toEqual([
      'GetCallerIdentity eu-west-1',
    ]);
  });

  test('credentials that no Region accepts are invalid', async () => {
    const { client, sent } = regionalClient([]);
    const error = await outcome(client.send({ region: 'af-south-1' }, read()));
    expect(error).toBeInstanceOf(UserError);
    expect(error).toMatchObject({ exitCode: EXIT.credentials });
    expect(sent).toEqual([
      'GetBucketVersioning af-south-1',
      'GetCallerIdentity eu-west-1',
      'GetCallerIdentity us-east-1',
    ]);
  });

  test('the Region of the first pair: the account is identified in the Region of the global services', async () => {
    const { client } = regionalClient(['us-east-1'], 'af-south-1');
    expect(await outcome(client.accountId(undefined))).toBe('111122223333');
  });

  test('a token that expires later: the credentials are checked again, not remembered', async () => {
    const validRegions = ['eu-west-1', 'us-east-1'];
    const { client } = regionalClient(validRegions);
    expect(await outcome(client.accountId(undefined))).toBe('111122223333');
    validRegions.length = 0;
    expect(await outcome(client.send({ region: 'eu-west-2' }, read()))).toBeInstanceOf(UserError);
  });
});
