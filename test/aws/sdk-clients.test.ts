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

/** Returns what a client with a short timeout gets from an endpoint that responds with `respond`. */
async function callEndpoint(
  respond: (response: ServerResponse) => void,
  service: 's3' | 'sts',
  timeoutMs = 50,
) {
  const server = createServer((request, response) => {
    request.resume().on('end', () => respond(response));
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
  const chunk = Buffer.alloc(1024 * 1024, ' ');
  const pour = () => {
    while (response.write(chunk));
  };
  response.on('drain', pour);
  pour();
};

describe.each(['s3', 'sts'] as const)('SDK clients (%s)', (service) => {
  test.each<[what: string, respond: (response: ServerResponse) => void]>([
    ['never responds', () => {}],
    ['stops within a response', (response) => response.write('<a>')],
    ['sends its response byte by byte', drip],
  ])('time out when an endpoint %s', async (_, respond) => {
    const error = await callEndpoint(respond, service);
    expect(error).toMatchObject({ name: 'TimeoutError' });
    expect(classifyError(error)).toBe('transient');
  });

  test('reject a response that exceeds the maximum size', async () => {
    const before = process.memoryUsage().rss;
    const error = await callEndpoint(flood, service, 30_000);
    expect(error).toMatchObject({
      name: 'ResponseTooLarge',
      message: expect.stringMatching(/^the response exceeds \d+ bytes/),
    });
    expect(classifyError(error)).toBe('final');
    expect(process.memoryUsage().rss - before).toBeLessThan(500 * 1024 * 1024);
  });
});

test('SDK clients: one client per service, account and Region', () => {
  const clients = createSdkClients([], { credentials });
  expect(clients.get('kms', at)).toBe(clients.get('kms', at));
  expect(clients.get('kms', at)).not.toBe(clients.get('kms', { region: 'us-east-1' }));
  expect(clients.get('kms', at)).not.toBe(clients.get('kms', { ...at, account: 'main' }));
  clients.destroy();
});

/** Starts an endpoint that returns one document to every request. */
async function endpointReturning(xml: string) {
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
    now: () => 0,
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

test('s3.replication: rejects a document with elements that the SDK does not know, which a put would drop', async () => {
  const whole = await endpointReturning(CONFIGURATION);
  expect(await whole.get()).toMatchObject({
    ReplicationConfiguration: { Rules: [{ ID: 'r', Filter: { And: { Tags: [{ Key: 'a', Value: 'b' }] } } }] },
  });
  expect(await whole.fetch()).toMatchObject({ Rules: [{ ID: 'r' }] });
  whole.close();
  const newer = await endpointReturning(
    CONFIGURATION.replace('<Metrics>', '<Teleport><Speed>9</Speed></Teleport><Metrics>'),
  );
  await expect(newer.fetch()).rejects.toMatchObject({
    name: 'UnknownElements',
    message: expect.stringMatching(
      /does not know \(Teleport, Speed\).*replikey writes nothing: use a newer version/,
    ),
  });
  newer.close();
});

// Domains of the endpoints by partition: the AWS General Reference, "AWS service endpoints", and the guides of the partitions.
test.each([
  ['https://vpce-1a2b.s3.eu-central-1.vpce.amazonaws.com', 'aws'],
  ['https://s3.dualstack.us-gov-west-1.amazonaws.com', 'aws'],
  ['https://kms.eu-central-1.api.aws', 'aws'],
  ['https://kms.cn-north-1.amazonaws.com.cn', 'aws'],
  ['https://kms.eusc-de-east-1.amazonaws.eu', 'aws'],
  ['https://vpce-1a2b.s3.eusc-de-east-1.vpce.amazonaws.eu', 'aws'],
  ['https://kms.us-iso-east-1.c2s.ic.gov', 'aws'],
  ['https://kms.us-isob-east-1.sc2s.sgov.gov', 'aws'],
  ['https://s3.us-east-1.amazonaws.eu', 'https://s3.us-east-1.amazonaws.eu'],
  ['https://s3.amazonaws.com.example.com', 'https://s3.amazonaws.com.example.com'],
])('endpoint: %s is %s', async (endpoint, name) => {
  const clients = createSdkClients([], { endpoint, credentials });
  expect(await clients.endpoint()).toBe(name);
  clients.destroy();
});
