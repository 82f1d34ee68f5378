import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GetBucketReplicationCommand } from '@aws-sdk/client-s3';
import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { describe, expect, test } from 'vitest';
import { classifyError } from '../../src/aws/errors.ts';
import { createSdkClients } from '../../src/aws/sdk-clients.ts';
import type { Aws } from '../../src/core/resource.ts';
import { s3Replication } from '../../src/kinds/s3-replication.ts';

const credentials = { accessKeyId: '111122223333', secretAccessKey: 'test' };
const at = { region: 'eu-central-1' };

/** An endpoint that begins every answer in one way; what clients with little patience are told. */
async function told(begin: (response: ServerResponse) => void, service: 's3' | 'sts', timeoutMs = 50) {
  const server = createServer((request, response) => {
    request.resume().on('end', () => begin(response));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const clients = createSdkClients([], { endpoint, credentials, timeoutMs });
  const command = {
    s3: new GetBucketReplicationCommand({ Bucket: 'acme-tax' }),
    sts: new GetCallerIdentityCommand({}),
  }[service];
  try {
    return await clients
      .get(service, at)
      .send(command)
      .catch((error: Error) => error);
  } finally {
    clients.destroy();
    server.closeAllConnections();
    server.close();
  }
}

const drip = (response: ServerResponse) => {
  const timer = setInterval(() => response.write(' '), 5);
  response.on('close', () => clearInterval(timer));
};

const flood = (response: ServerResponse) => {
  const more = Buffer.alloc(1024 * 1024, ' ');
  const pour = () => {
    while (response.write(more));
  };
  response.on('drain', pour);
  pour();
};

describe.each(['s3', 'sts'] as const)('an endpoint (%s)', (service) => {
  test.each<[what: string, begin: (response: ServerResponse) => void]>([
    ['never answers', () => {}],
    ['stops in the middle of an answer', (response) => response.write('<a>')],
    ['sends its answer byte by byte', drip],
  ])('that %s is given up, not waited for without end', async (_, begin) => {
    const error = await told(begin, service);
    expect(error).toMatchObject({ name: 'TimeoutError' });
    expect(classifyError(error)).toBe('transient');
  });

  test('that never ends its answer is not listened to any longer than AWS ever talks', async () => {
    const before = process.memoryUsage().rss;
    const error = await told(flood, service, 30_000);
    expect(error).toMatchObject({
      name: 'AnswerTooLong',
      message: expect.stringMatching(/^the answer is longer than \d+ bytes/),
    });
    expect(classifyError(error)).toBe('final');
    expect(process.memoryUsage().rss - before).toBeLessThan(500 * 1024 * 1024);
  });
});

test('a client is made once for each service, account and Region', () => {
  const clients = createSdkClients([], { credentials });
  expect(clients.get('kms', at)).toBe(clients.get('kms', at));
  expect(clients.get('kms', at)).not.toBe(clients.get('kms', { region: 'us-east-1' }));
  expect(clients.get('kms', at)).not.toBe(clients.get('kms', { ...at, account: 'main' }));
  clients.destroy();
});

/** An endpoint that answers everything with one document. */
async function answering(xml: string) {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'application/xml' }).end(xml);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const clients = createSdkClients([], { endpoint, credentials });
  const send = (command: object) => clients.get('s3', at).send(command);
  const aws: Aws = {
    accountId: async () => '111122223333',
    send: (_, command) => send(command) as never,
  };
  return {
    get: () => send(new GetBucketReplicationCommand({ Bucket: 'acme-tax' })),
    fetch: () => s3Replication.fetch(aws, at, 'acme-tax'),
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
  expect(await whole.fetch()).toMatchObject({ Rules: [{ ID: 'r' }] });
  whole.close();
  const newer = await answering(
    CONFIGURATION.replace('<Metrics>', '<Teleport><Speed>9</Speed></Teleport><Metrics>'),
  );
  await expect(newer.fetch()).rejects.toMatchObject({
    name: 'UnknownElements',
    message: expect.stringMatching(
      /does not know \(Teleport, Speed\).*nothing is written: use a newer version/,
    ),
  });
  newer.close();
});
