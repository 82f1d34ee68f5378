import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GetBucketVersioningCommand } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { createClients } from '../../src/aws/clients.ts';

const credentials = { accessKeyId: '111122223333', secretAccessKey: 'test' };
const at = { region: 'eu-central-1' };

test('an endpoint that never answers is given up, not waited for without end', async () => {
  const server = createServer(() => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const clients = createClients([], { endpoint, credentials, timeoutMs: 50 });
  try {
    const asked = clients.get('s3', at).send(new GetBucketVersioningCommand({ Bucket: 'acme-tax' }));
    await expect(asked).rejects.toMatchObject({ name: 'TimeoutError' });
  } finally {
    clients.destroy();
    server.closeAllConnections();
    server.close();
  }
});

test('a client is made once for each service, account and Region', () => {
  const clients = createClients([], { credentials });
  expect(clients.get('kms', at)).toBe(clients.get('kms', at));
  expect(clients.get('kms', at)).not.toBe(clients.get('kms', { region: 'us-east-1' }));
  expect(clients.get('kms', at)).not.toBe(clients.get('kms', { ...at, account: 'main' }));
  clients.destroy();
});
