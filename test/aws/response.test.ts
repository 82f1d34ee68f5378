import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DescribeKeyCommand, ListAliasesCommand, ListKeysCommand } from '@aws-sdk/client-kms';
import { GetBucketReplicationCommand, GetBucketVersioningCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAwsClient } from '../../src/aws/client.ts';
import { validateResponse } from '../../src/aws/response.ts';
import { createSdkClients } from '../../src/aws/sdk-clients.ts';

const replication = new GetBucketReplicationCommand({ Bucket: 'acme-tax' });
const key = new DescribeKeyCommand({ KeyId: 'alias/acme-tax' });

test.each<[what: string, command: object, answer: unknown]>([
  ['all of its members', key, { KeyMetadata: { KeyId: 'k', Enabled: true, CreationDate: new Date() } }],
  ['members that the SDK does not know yet', key, { KeyMetadata: { KeyId: 'k', News: { of: 2027 } } }],
  ['nothing, where nothing is an answer', new GetBucketVersioningCommand({ Bucket: 'b' }), { $metadata: {} }],
  [
    'a list',
    replication,
    { ReplicationConfiguration: { Role: 'r', Rules: [{ Status: 'Enabled', Destination: { Bucket: 'b' } }] } },
  ],
])('an answer passes with %s', (_, command, answer) => {
  expect(() => validateResponse(command, answer)).not.toThrow();
});

test.each<[what: string, command: object, answer: unknown, where: string]>([
  ['nothing where it would be read as "there is none"', new ListAliasesCommand({}), {}, 'it lacks Aliases'],
  ['text for a structure', key, { KeyMetadata: 'k' }, 'KeyMetadata is no structure'],
  ['a number for text', key, { KeyMetadata: { KeyId: 7 } }, 'KeyMetadata.KeyId is no text'],
  [
    'text for yes or no',
    key,
    { KeyMetadata: { KeyId: 'k', Enabled: 'no' } },
    'KeyMetadata.Enabled is neither',
  ],
  ['a structure for a list', new ListAliasesCommand({}), { Aliases: {} }, 'Aliases is no list'],
  [
    'something wrong deep in a list',
    new ListAliasesCommand({}),
    { Aliases: [{ AliasName: 'alias/a' }, { AliasName: ['alias/b'] }] },
    'Aliases[1].AliasName is no text',
  ],
  ['no structure at all', key, [], 'it is no structure'],
])('an answer is refused with %s, and the place is told', (_, command, answer, where) => {
  expect(() => validateResponse(command, answer)).toThrow(where);
});

describe('an endpoint that answers 200 and nothing', () => {
  const server = createServer((_, response) => response.writeHead(200).end());
  const clients = () =>
    createSdkClients([], {
      endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      credentials: { accessKeyId: '111122223333', secretAccessKey: 'test' },
    });
  beforeAll(() => new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve)));
  afterAll(() => void server.close());

  test.each([new ListAliasesCommand({}), new ListKeysCommand({})])(
    'has not said that there is none',
    async (command) => {
      const door = createAwsClient({
        clients: clients(),
        accounts: [],
        region: 'us-east-1',
        retryTimeoutMs: 0,
      });
      await expect(door.send({ region: 'us-east-1' }, command as never)).rejects.toThrow(
        /the answer has not the form of one: it lacks (Aliases|Keys)/,
      );
    },
  );
});
