import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DescribeKeyCommand, ListAliasesCommand, ListKeysCommand } from '@aws-sdk/client-kms';
import { DescribeOrganizationCommand, ListPoliciesForTargetCommand } from '@aws-sdk/client-organizations';
import { GetBucketReplicationCommand, GetBucketVersioningCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAwsClient } from '../../src/aws/client.ts';
import { validateResponse } from '../../src/aws/response.ts';
import { createSdkClients } from '../../src/aws/sdk-clients.ts';

const replication = new GetBucketReplicationCommand({ Bucket: 'acme-tax' });
const key = new DescribeKeyCommand({ KeyId: 'alias/acme-tax' });

test.each<[what: string, command: object, response: unknown]>([
  ['all its members', key, { KeyMetadata: { KeyId: 'k', Enabled: true, CreationDate: new Date() } }],
  ['members that the SDK does not know yet', key, { KeyMetadata: { KeyId: 'k', NewMember: { of: 2027 } } }],
  [
    'no members, if the operation allows it',
    new GetBucketVersioningCommand({ Bucket: 'b' }),
    { $metadata: {} },
  ],
  [
    'a list',
    replication,
    { ReplicationConfiguration: { Role: 'r', Rules: [{ Status: 'Enabled', Destination: { Bucket: 'b' } }] } },
  ],
])('validateResponse: accepts a response with %s', (_, command, response) => {
  expect(() => validateResponse(command, response)).not.toThrow();
});

test.each<[what: string, command: object, response: unknown, message: string]>([
  ['no list of aliases', new ListAliasesCommand({}), {}, 'Aliases is missing'],
  ['no organization', new DescribeOrganizationCommand({}), {}, 'Organization is missing'],
  [
    'no list of policies',
    new ListPoliciesForTargetCommand({ TargetId: 'r-acme', Filter: 'SERVICE_CONTROL_POLICY' }),
    {},
    'Policies is missing',
  ],
  ['a string for a structure', key, { KeyMetadata: 'k' }, 'KeyMetadata is not a structure'],
  ['a number for a string', key, { KeyMetadata: { KeyId: 7 } }, 'KeyMetadata.KeyId is not a string'],
  [
    'a string for a boolean',
    key,
    { KeyMetadata: { KeyId: 'k', Enabled: 'no' } },
    'KeyMetadata.Enabled is not a boolean',
  ],
  ['a structure for a list', new ListAliasesCommand({}), { Aliases: {} }, 'Aliases is not a list'],
  [
    'a wrong type within a list',
    new ListAliasesCommand({}),
    { Aliases: [{ AliasName: 'alias/a' }, { AliasName: ['alias/b'] }] },
    'Aliases[1].AliasName is not a string',
  ],
  ['a list for the whole', key, [], 'it is not a structure'],
])('validateResponse: rejects a response with %s, and names the path', (_, command, response, message) => {
  expect(() => validateResponse(command, response)).toThrow(message);
});

describe('AwsClient: an endpoint that returns 200 with an empty body', () => {
  const server = createServer((_, response) => response.writeHead(200).end());
  const clients = () =>
    createSdkClients([], {
      endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      credentials: { accessKeyId: '111122223333', secretAccessKey: 'test' },
    });
  beforeAll(() => new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve)));
  afterAll(() => void server.close());

  test.each([new ListAliasesCommand({}), new ListKeysCommand({})])(
    'is rejected as invalid, not read as an empty list',
    async (command) => {
      const client = createAwsClient({
        clients: clients(),
        accounts: [],
        region: 'us-east-1',
        retryTimeoutMs: 0,
      });
      await expect(client.send({ region: 'us-east-1' }, command as never)).rejects.toThrow(
        /invalid response: (Aliases|Keys) is missing/,
      );
    },
  );
});
