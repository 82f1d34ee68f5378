import { createServer, type IncomingMessage, request as sendRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { type AwsClient, createAwsClient } from '../../src/aws/client.ts';
import { createSdkClients } from '../../src/aws/sdk-clients.ts';
import { type TestEnv, testEnv } from '../support/env.ts';
import { TEST_SECRET } from '../support/secrets.ts';

type Subresource = 'replication' | 'encryption';

/** An endpoint that keeps one document of acme-tax as raw XML, and passes all other requests to a sandbox. */
interface DocumentEndpoint extends AsyncDisposable {
  aws: AwsClient;
  xml: string;
  /** Bodies of the writes of the document. */
  written: string[];
}

async function documentEndpoint(env: TestEnv, subresource: Subresource): Promise<DocumentEndpoint> {
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://endpoint');
    if (pathname.split('/')[1] !== 'acme-tax' || !searchParams.has(subresource) || endpoint.xml === '') {
      const upstream = sendRequest(new URL(request.url ?? '/', env.sandbox.endpoint), {
        method: request.method,
        headers: request.headers,
      });
      request.pipe(upstream);
      upstream.on('response', (upstreamResponse) => {
        response.writeHead(upstreamResponse.statusCode ?? 500, upstreamResponse.headers);
        upstreamResponse.pipe(response);
      });
      return;
    }
    const body = await textOf(request);
    if (request.method === 'PUT') {
      endpoint.written.push(body);
      endpoint.xml = body;
    }
    response.writeHead(200, { 'content-type': 'application/xml' });
    response.end(request.method === 'GET' ? endpoint.xml : undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const clients = createSdkClients([], {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    credentials: { accessKeyId: '111122223333', secretAccessKey: TEST_SECRET },
  });
  const endpoint: DocumentEndpoint = {
    aws: createAwsClient({ clients, accounts: [], region: 'us-east-1', retryTimeoutMs: 0 }),
    xml: '',
    written: [],
    async [Symbol.asyncDispose]() {
      clients.destroy();
      server.closeAllConnections();
      server.close();
    },
  };
  return endpoint;
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

const SDK_UNKNOWN = '<Teleport><Speed>9</Speed></Teleport>';
const NOT_MODELLED = '<ExistingObjectReplication><Status>Enabled</Status></ExistingObjectReplication>';

/** The elements of a rule, sorted: the order in which the SDK writes them has no meaning. */
const childrenOf = (rule: string): string[] =>
  (rule.slice('<Rule>'.length).match(/<(\w+)>.*?<\/\1>/gs) ?? []).sort();

/** A rule in the notation of the SDK, without white space. */
const ruleXml = (id: string, priority: number, extra = '', status = 'Enabled') =>
  `<Rule><ID>${id}</ID><Priority>${priority}</Priority><Filter><Prefix>Tax/</Prefix></Filter><Status>${status}</Status>${extra}<Destination><Bucket>arn:aws:s3:::acme-tax-replica</Bucket></Destination><DeleteMarkerReplication><Status>Disabled</Status></DeleteMarkerReplication></Rule>`;
const replicationXml = (...rules: string[]) =>
  `<?xml version="1.0" encoding="UTF-8"?><ReplicationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Role>arn:aws:iam::111122223333:role/replikey-acme-tax</Role>${rules.join('')}</ReplicationConfiguration>`;

const MANAGED = 'replikey/tax/tax';
const FOREIGN = 'foreign';

describe('s3.replication', () => {
  test.each([
    [
      'the SDK does not know, in a foreign rule',
      [ruleXml(MANAGED, 1), ruleXml(FOREIGN, 2, SDK_UNKNOWN)],
      'Teleport, Speed',
    ],
    ['the SDK does not know, in a managed rule', [ruleXml(MANAGED, 1, SDK_UNKNOWN)], 'Teleport, Speed'],
    [
      'replikey does not model, in a managed rule',
      [ruleXml(MANAGED, 1, NOT_MODELLED)],
      'ExistingObjectReplication',
    ],
    [
      'replikey does not model, in a managed rule beside a foreign rule that has it too',
      [ruleXml(MANAGED, 1, NOT_MODELLED), ruleXml(FOREIGN, 2, NOT_MODELLED)],
      'ExistingObjectReplication',
    ],
  ])('refuses an element that %s, and writes nothing', async (_, rules, elements) => {
    await using env = await testEnv();
    await env.reconcile();
    await using endpoint = await documentEndpoint(env, 'replication');
    endpoint.xml = replicationXml(...rules);
    env.sandbox.log.reset();
    const { plan } = await env.reconcile({ aws: endpoint.aws });
    expect(plan.blocked).toMatchObject([
      {
        id: 's3.replication/acme-tax',
        why: expect.stringContaining(
          `the response has elements that this version does not know (${elements})`,
        ),
      },
    ]);
    expect(endpoint.written).toEqual([]);
    expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
  });

  test('keeps an element that replikey does not model in a foreign rule, byte for byte', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await using endpoint = await documentEndpoint(env, 'replication');
    const foreign = ruleXml(FOREIGN, 2, NOT_MODELLED);
    endpoint.xml = replicationXml(ruleXml(MANAGED, 1, '', 'Disabled'), foreign);
    const { plan, remaining } = await env.reconcile({ aws: endpoint.aws });
    expect(plan.blocked).toEqual([]);
    expect(endpoint.written).toHaveLength(1);
    const rules = endpoint.written[0]?.match(/<Rule>.*?<\/Rule>/gs) ?? [];
    expect(rules.map(childrenOf)).toContainEqual(childrenOf(foreign));
    expect(endpoint.written[0]).toContain(`<ID>${MANAGED}</ID>`);
    expect(remaining?.waves).toEqual([]);
  });
});

describe('s3.encryption', () => {
  const encryptionXml = (extra: string) =>
    `<?xml version="1.0" encoding="UTF-8"?><ServerSideEncryptionConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>false</BucketKeyEnabled>${extra}</Rule></ServerSideEncryptionConfiguration>`;

  test('refuses an element that the SDK does not know, and writes nothing', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await using endpoint = await documentEndpoint(env, 'encryption');
    endpoint.xml = encryptionXml(SDK_UNKNOWN);
    const { plan } = await env.reconcile({ aws: endpoint.aws });
    expect(plan.blocked).toMatchObject([
      { id: 's3.encryption/acme-tax', why: expect.stringContaining('does not know (Teleport, Speed)') },
    ]);
    expect(endpoint.written).toEqual([]);
  });

  test('carries BlockedEncryptionTypes through a write', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await using endpoint = await documentEndpoint(env, 'encryption');
    const blocked = '<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>';
    endpoint.xml = encryptionXml(blocked);
    const { plan, remaining } = await env.reconcile({
      aws: endpoint.aws,
      allowedRisks: ['change-default-encryption'],
    });
    expect(plan.blocked).toEqual([]);
    expect(endpoint.written).toHaveLength(1);
    expect(endpoint.written[0]).toContain(blocked);
    expect(endpoint.written[0]).toContain('<SSEAlgorithm>aws:kms</SSEAlgorithm>');
    expect(remaining?.waves).toEqual([]);
  });
});
