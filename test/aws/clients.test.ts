import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GetBucketReplicationCommand, GetBucketVersioningCommand } from '@aws-sdk/client-s3';
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

/** An endpoint that answers everything with one document. */
async function answering(xml: string): Promise<{ get: () => Promise<unknown>; close: () => void }> {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'application/xml' }).end(xml);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const clients = createClients([], { endpoint, credentials });
  return {
    get: () => clients.get('s3', at).send(new GetBucketReplicationCommand({ Bucket: 'acme-tax' })),
    close: () => {
      clients.destroy();
      server.closeAllConnections();
      server.close();
    },
  };
}

const CONFIGURATION = `<?xml version="1.0" encoding="UTF-8"?>
<ReplicationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Role>arn:aws:iam::111122223333:role/r</Role><Rule><ID>r</ID><Priority>1</Priority><Status>Enabled</Status><Filter><And><Prefix>Tax/</Prefix><Tag><Key>a</Key><Value>b</Value></Tag></And></Filter><DeleteMarkerReplication><Status>Disabled</Status></DeleteMarkerReplication><SourceSelectionCriteria><SseKmsEncryptedObjects><Status>Enabled</Status></SseKmsEncryptedObjects></SourceSelectionCriteria><Destination><Bucket>arn:aws:s3:::b</Bucket><EncryptionConfiguration><ReplicaKmsKeyID>k</ReplicaKmsKeyID></EncryptionConfiguration><Metrics><Status>Enabled</Status></Metrics></Destination></Rule></ReplicationConfiguration>`;

test('an answer with an element that the SDK does not know is refused, since a put of the rest would drop it', async () => {
  const whole = await answering(CONFIGURATION);
  expect(await whole.get()).toMatchObject({
    ReplicationConfiguration: { Rules: [{ ID: 'r', Filter: { And: { Tags: [{ Key: 'a', Value: 'b' }] } } }] },
  });
  whole.close();
  const newer = await answering(
    CONFIGURATION.replace('<Metrics>', '<Teleport><Speed>9</Speed></Teleport><Metrics>'),
  );
  await expect(newer.get()).rejects.toMatchObject({
    name: 'UnknownElements',
    message: expect.stringMatching(
      /does not know \(Teleport, Speed\).*nothing is written: use a newer version/,
    ),
  });
  newer.close();
});
