import { CreateKeyCommand, ListKeysCommand } from '@aws-sdk/client-kms';
import { GetBucketVersioningCommand, PutBucketVersioningCommand } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type AwsClientOptions, createAwsClient } from '../../src/aws/client.ts';
import { commandInfo } from '../../src/aws/command.ts';
import { formatAwsError } from '../../src/aws/errors.ts';
import { CONCURRENCY } from '../../src/aws/rate-limiter.ts';
import type { SdkClients } from '../../src/aws/sdk-clients.ts';
import { EXIT, UserError } from '../../src/errors.ts';

const at = { region: 'us-east-1' };
const read = () => new GetBucketVersioningCommand({ Bucket: 'acme-tax' });
const write = () =>
  new PutBucketVersioningCommand({ Bucket: 'acme-tax', VersioningConfiguration: { Status: 'Enabled' } });
const anError = (name: string, message = '…'): Error => Object.assign(new Error(message), { name });

/** A door to an AWS that answers what it is told to, one after the other, and then successfully. */
function aDoor(answers: unknown[] = [], options: Partial<AwsClientOptions> = {}) {
  const sent: object[] = [];
  const retried: string[] = [];
  const send = async (command: object): Promise<unknown> => {
    sent.push(command);
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer ?? {};
  };
  const clients: SdkClients = { get: () => ({ send, destroy() {} }), destroy() {} };
  const door = createAwsClient({
    clients,
    accounts: [],
    region: 'us-east-1',
    onRetry: ({ operation, reason }) => retried.push(`${reason} ${operation}`),
    ...options,
  });
  return { door, sent, retried };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** The outcome of a call, with the clock driven past every wait. */
async function outcome<T>(call: Promise<T>): Promise<T | Error> {
  const settled = call.catch((error: Error) => error);
  await vi.runAllTimersAsync();
  return settled;
}

describe('the door tries again', () => {
  test.each(['SlowDown', 'InternalError', 'OperationAborted', 'TimeoutError'])('after %s', async (name) => {
    const { door, sent, retried } = aDoor([anError(name), anError(name)]);
    expect(await outcome(door.send(at, read()))).toEqual({});
    expect(sent).toHaveLength(3);
    expect(retried).toEqual(Array(2).fill(`${name}: … s3:GetBucketVersioning`));
    expect(door.calls).toMatchObject({ reads: 3, writes: 0 });
  });

  test.each(['AccessDenied', 'NoSuchBucket', 'LimitExceededException', 'MalformedPolicy'])(
    'never after %s',
    async (name) => {
      const { door, sent } = aDoor([anError(name)]);
      expect(await outcome(door.send(at, read()))).toMatchObject({ name });
      expect(sent).toHaveLength(1);
    },
  );

  test('for so long, and then gives the last refusal', async () => {
    const { door, sent } = aDoor(Array(50).fill(anError('SlowDown')), { retryTimeoutMs: 60_000 });
    expect(await outcome(door.send(at, read()))).toMatchObject({ name: 'SlowDown' });
    expect(sent.length).toBeGreaterThan(3);
    expect(sent.length).toBeLessThan(12);
  });

  test('no CreateKey whose answer was lost, since each one makes a key, but one that was throttled', async () => {
    const lost = aDoor([anError('TimeoutError')]);
    expect(await outcome(lost.door.send(at, new CreateKeyCommand({})))).toMatchObject({
      name: 'TimeoutError',
    });
    expect(lost.sent).toHaveLength(1);
    const throttled = aDoor([anError('ThrottlingException')]);
    expect(await outcome(throttled.door.send(at, new CreateKeyCommand({})))).toEqual({});
    expect(throttled.sent).toHaveLength(2);
  });
});

describe('the door', () => {
  test('asks again whose credentials these are where it could not be told before', async () => {
    const { door, sent } = aDoor([anError('AccessDenied'), { Account: '111122223333' }]);
    expect(await outcome(door.accountId(undefined))).toMatchObject({ name: 'AccessDenied' });
    expect(await outcome(door.accountId(undefined))).toBe('111122223333');
    expect(sent).toHaveLength(2);
  });

  test('tells whose credentials these are after an interruption, too, for what must be finished', async () => {
    const controller = new AbortController();
    const { door } = aDoor([{ Account: '111122223333' }], { signal: controller.signal });
    controller.abort(new Error('interrupted'));
    expect(await outcome(door.uninterruptible().accountId(undefined))).toBe('111122223333');
  });

  test('shares what is read twice in a pass, and never what is written', async () => {
    const { door, sent } = aDoor([{ Status: 'Enabled' }]);
    const pass = door.withCache();
    const [one, two] = (await outcome(
      Promise.all([pass.send(at, read()), pass.send(at, read())]),
    )) as object[];
    expect(one).toBe(two);
    expect(sent).toHaveLength(1);
    await outcome(Promise.all([pass.send(at, write()), pass.send(at, write())]));
    expect(sent).toHaveLength(3);
    await outcome(pass.send({ region: 'eu-west-1' }, read()));
    expect(sent).toHaveLength(4);
    await outcome(door.withCache().send(at, read()));
    expect(sent).toHaveLength(5);
  });

  test('of a dry run sends nothing that writes', async () => {
    const { door, sent } = aDoor([{ Keys: [] }]);
    expect(await outcome(door.readOnly().send(at, write()))).toMatchObject({
      message: 'a dry run tried to send s3:PutBucketVersioning',
    });
    expect(await outcome(door.readOnly().send(at, new ListKeysCommand({})))).toEqual({ Keys: [] });
    expect(sent).toHaveLength(1);
  });

  test('starts no attempt after an interruption, but for what must be finished', async () => {
    const controller = new AbortController();
    const { door, sent } = aDoor([anError('SlowDown')], { signal: controller.signal });
    const call = door.send(at, read()).catch((error: Error) => error);
    await vi.advanceTimersByTimeAsync(0);
    expect(sent).toHaveLength(1);
    controller.abort(new Error('interrupted'));
    await vi.runAllTimersAsync();
    expect(await call).toMatchObject({ message: 'interrupted' });
    expect(sent).toHaveLength(1);
    expect(await outcome(door.uninterruptible().send(at, write()))).toEqual({});
    expect(sent).toHaveLength(2);
  });

  test('never loses the answer to a call that was in flight when the run was interrupted', async () => {
    const controller = new AbortController();
    const { door } = aDoor([{ Status: 'Enabled' }], { signal: controller.signal });
    const call = door.send(at, read());
    await Promise.resolve();
    controller.abort(new Error('interrupted'));
    expect(await outcome(call)).toEqual({ Status: 'Enabled' });
  });

  test('passes on no more of what an error says than anybody reads', async () => {
    const { door } = aDoor([anError('E'.repeat(1_000_000), 'x'.repeat(1_000_000))]);
    const error = (await outcome(door.send(at, read()))) as Error;
    expect(error.message).toMatch(/^x{2000}…$/);
    expect(formatAwsError(error, 's3:GetBucketVersioning', at).length).toBeLessThan(5_000);
  });

  test('ends the run when credentials do not work', async () => {
    const { door } = aDoor([anError('ExpiredToken', 'The provided token has expired.')]);
    expect(await outcome(door.send(at, read()))).toMatchObject({
      exitCode: EXIT.credentials,
      message:
        's3:GetBucketVersioning in us-east-1: ExpiredToken: The provided token has expired; renew the credentials',
    });
  });

  test('asks whose credentials these are once, and refuses those of another account than declared', async () => {
    const { door, sent } = aDoor([{ Account: '111122223333' }]);
    expect(await outcome(Promise.all([door.accountId(undefined), door.accountId(undefined)]))).toEqual([
      '111122223333',
      '111122223333',
    ]);
    expect(sent).toHaveLength(1);
    const main = { name: 'main', id: '444455556666', managed: true, positions: {} };
    const wrong = aDoor([{ Account: '111122223333' }], { accounts: [main] });
    expect(await outcome(wrong.door.accountId('main'))).toMatchObject({
      exitCode: EXIT.credentials,
      message:
        'the credentials of account "main" belong to 111122223333, but its document says 444455556666: nothing was read or changed there',
    });
  });
});

describe('a door that shares reads believes documents of accounts until it is asked whether they are right', () => {
  const main = { name: 'main', id: '111122223333', managed: true };
  const accounts = [main, { name: 'partner', id: '444455556666', managed: false }];
  const inMain = { account: 'main', region: 'us-east-1' };

  test('of those that were read in, and once', async () => {
    const { door, sent } = aDoor([{ Account: main.id }], { accounts: accounts as never });
    const sharing = door.withCache();
    await sharing.verifyAccounts();
    expect(sent).toEqual([]);
    await sharing.send(inMain, read());
    expect(await sharing.accountId('main')).toBe(main.id);
    expect(await sharing.accountId('partner')).toBe('444455556666');
    await sharing.verifyAccounts();
    await door.withCache().send(inMain, read());
    expect(sent.map((command) => commandInfo(command).operation)).toEqual([
      'GetCallerIdentity',
      'GetBucketVersioning',
      'GetBucketVersioning',
    ]);
  });

  test.each<[why: string, answer: unknown, exitCode: number, message: RegExp]>([
    [
      'belong to another account',
      { Account: '999988887777' },
      EXIT.credentials,
      /belong to 999988887777, but its document says 111122223333/,
    ],
    [
      'belong nobody can tell to whom',
      anError('AccessDenied'),
      EXIT.failed,
      /nobody can tell whose .*sts:GetCallerIdentity in account main, us-east-1/,
    ],
  ])(
    'credentials that %s stop everything, however late that is found out',
    async (_, answer, exitCode, message) => {
      const { door } = aDoor([answer], { accounts: accounts as never });
      const sharing = door.withCache();
      await sharing.send(inMain, read());
      await vi.runAllTimersAsync();
      await expect(sharing.withCache().verifyAccounts()).rejects.toMatchObject({
        exitCode,
        message: expect.stringMatching(message),
      });
    },
  );
});

test('no more calls are open at once than AWS bears, however many are asked for', async () => {
  let open = 0;
  let most = 0;
  const send = async () => {
    open += 1;
    most = Math.max(most, open);
    await Promise.resolve();
    open -= 1;
    return {};
  };
  const clients: SdkClients = { get: () => ({ send, destroy() {} }), destroy() {} };
  const door = createAwsClient({ clients, accounts: [], region: 'us-east-1' });
  await outcome(Promise.all(Array.from({ length: 500 }, () => door.send(at, read()))));
  expect(most).toBeGreaterThanOrEqual(CONCURRENCY.initial);
  expect(most).toBeLessThanOrEqual(CONCURRENCY.max);
});

describe('what is told of an error', () => {
  const told = (error: unknown) => formatAwsError(error, 'kms:CreateKey', at);

  const rows: [string, unknown, string][] = [
    [
      'a fault of the network, which has no name',
      new Error('read ECONNRESET'),
      'kms:CreateKey in us-east-1: read ECONNRESET',
    ],
    ['what is no error', 'a text', 'kms:CreateKey failed: a text'],
    ['what was told already', new UserError(EXIT.credentials, 'as it stands'), 'as it stands'],
  ];
  test.each(rows)('%s', (_, error, words) => {
    expect(told(error)).toBe(words);
  });

  test('holds nothing of the request: no signature, no token, no key', () => {
    const error = Object.assign(anError('SignatureDoesNotMatch', 'The signatures differ.'), {
      AWSAccessKeyId: 'AKIASECRET',
      StringToSign: 'AWS4-HMAC-SHA256 SECRET',
      SignatureProvided: 'SECRET',
      $response: { headers: { 'x-amz-security-token': 'SECRET' } },
      $metadata: { httpStatusCode: 403, requestId: 'R1', cfId: 'SECRET' },
      $fault: 'client',
    });
    expect(told(error)).toBe(
      'kms:CreateKey in us-east-1: SignatureDoesNotMatch (HTTP 403): The signatures differ, request R1',
    );
  });
});

test('an error is told with operation, place, code, message, request id and what to do', () => {
  const error = Object.assign(new Error('Access Denied'), {
    name: 'AccessDenied',
    $fault: 'client',
    $metadata: { httpStatusCode: 403, requestId: 'R1' },
  });
  expect(formatAwsError(error, 's3:PutBucketPolicy', { account: 'main', region: 'us-east-1' })).toBe(
    's3:PutBucketPolicy in account main, us-east-1: AccessDenied (HTTP 403): Access Denied, request R1; these credentials lack the permission, or the bucket belongs to another account',
  );
});
