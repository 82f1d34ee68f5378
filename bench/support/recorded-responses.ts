import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GetAccountAuthorizationDetailsCommand } from '@aws-sdk/client-iam';
import { CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { createAwsClient } from '../../src/aws/client.ts';
import { createSdkClients } from '../../src/aws/sdk-clients.ts';
import { kinds } from '../../src/kinds/index.ts';
import { reconcile } from '../../src/reconcile/reconcile.ts';
import { startSandbox } from '../../src/sandbox/server.ts';
import { loadSpecFiles } from '../../src/spec/load.ts';
import { ACCOUNT, type KeyMode, pairYaml, type SharedKeys } from './pairs.ts';

/** The responses of the sandbox in a pass over one converged pair. */
export interface RecordedResponses {
  /** By method, path, target and body. */
  responses: Record<string, RecordedResponse>;
  sharedKeys?: SharedKeys;
}

export interface RecordedResponse {
  status: number;
  headers: Record<string, string>;
  body: string;
}

export const requestKey = (method = '', url = '', target = '', body = ''): string =>
  [method, url, target, body].join('\n');

/** Converges one pair in the sandbox, and records the responses of a pass over it. */
export async function recordPair(keys: KeyMode): Promise<RecordedResponses> {
  const sandbox = await startSandbox();
  const responses: Record<string, RecordedResponse> = {};
  const proxy = await startRecordingProxy(new URL(sandbox.endpoint).port, responses);
  const connection = {
    credentials: { accessKeyId: ACCOUNT, secretAccessKey: 'bench' },
    endpoint: `http://127.0.0.1:${proxy.port}`,
  };
  const sharedKeys =
    keys === 'shared' ? await createSharedKeys(sandbox.endpoint, connection.credentials) : undefined;
  const { specs } = await loadSpecFiles([
    { file: 'bench.yaml', bytes: Buffer.from(pairYaml(0, sharedKeys)) },
  ]);
  if (!specs) throw new Error('the spec of the benchmark is not valid');
  const clients = createSdkClients(specs.accounts, connection);
  const aws = createAwsClient({ clients, accounts: specs.accounts, region: 'us-east-1' });
  const options = { kinds, allowedRisks: [], propagationTimeoutMs: 10_000 };
  await reconcile(specs, { ...options, aws, dryRun: false });
  for (const key of Object.keys(responses)) delete responses[key];
  await aws.send({ region: 'us-east-1' }, new GetAccountAuthorizationDetailsCommand({ Filter: ['Role'] }));
  const freshAws = createAwsClient({ clients, accounts: specs.accounts, region: 'us-east-1' });
  const { plan, proof } = await reconcile(specs, { ...options, aws: freshAws, dryRun: true });
  if (plan.waves.length > 0 || proof.some(({ verdict }) => verdict !== 'proven'))
    throw new Error('the pair of the benchmark does not converge');
  clients.destroy();
  proxy.close();
  await sandbox.close();
  return { responses, ...(sharedKeys === undefined ? {} : { sharedKeys }) };
}

async function createSharedKeys(
  endpoint: string,
  credentials: { accessKeyId: string; secretAccessKey: string },
): Promise<SharedKeys> {
  const createKey = async (region: string) => {
    const client = new KMSClient({ endpoint, region, credentials });
    const { KeyMetadata } = await client.send(new CreateKeyCommand({}));
    client.destroy();
    return KeyMetadata?.Arn ?? '';
  };
  return { source: await createKey('us-east-1'), destination: await createKey('us-west-2') };
}

async function startRecordingProxy(port: string, responses: Record<string, RecordedResponse>) {
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const requestBody = Buffer.concat(chunks);
      const { method, url, headers } = incoming;
      const upstream = request({ port, host: '127.0.0.1', method, path: url, headers }, (response) => {
        const parts: Buffer[] = [];
        response.on('data', (chunk: Buffer) => parts.push(chunk));
        response.on('end', () => {
          const body = Buffer.concat(parts);
          outgoing.writeHead(response.statusCode ?? 500, response.headers).end(body);
          const type = response.headers['content-type'];
          responses[requestKey(method, url, String(headers['x-amz-target'] ?? ''), requestBody.toString())] =
            {
              status: response.statusCode ?? 500,
              headers: { 'x-amzn-requestid': '0', ...(type === undefined ? {} : { 'content-type': type }) },
              body: body.toString(),
            };
        });
      });
      upstream.end(requestBody);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
