import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GetAccountAuthorizationDetailsCommand } from '@aws-sdk/client-iam';
import { CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { createClients } from '../../src/aws/clients.ts';
import { createDoor } from '../../src/aws/door.ts';
import { kinds } from '../../src/kinds/index.ts';
import { reconcile } from '../../src/reconcile.ts';
import { startSandbox } from '../../src/sandbox/server.ts';
import { loadFiles } from '../../src/spec/load.ts';
import { ACCOUNT, type KeysOf, type SharedKeys, specOf } from './pairs.ts';

/** What the sandbox answers to all that is asked of one converged pair. */
export interface Recorded {
  /** By method, path, target and body. */
  answers: Record<string, RecordedAnswer>;
  sharedKeys?: SharedKeys;
}

export interface RecordedAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

export const keyOf = (method = '', url = '', target = '', body = ''): string =>
  [method, url, target, body].join('\n');

/** Converge one pair in the sandbox, and write down what a pass over it is answered. */
export async function recordOne(keys: KeysOf): Promise<Recorded> {
  const sandbox = await startSandbox();
  const answers: Record<string, RecordedAnswer> = {};
  const way = await wayTo(new URL(sandbox.endpoint).port, answers);
  const connection = {
    credentials: { accessKeyId: ACCOUNT, secretAccessKey: 'bench' },
    endpoint: `http://127.0.0.1:${way.port}`,
  };
  const sharedKeys = keys === 'shared' ? await twoKeys(sandbox.endpoint, connection.credentials) : undefined;
  const { specs } = loadFiles([{ file: 'bench.yaml', bytes: Buffer.from(specOf(0, sharedKeys)) }]);
  if (!specs) throw new Error('the spec of the benchmark is not valid');
  const clients = createClients(specs.accounts, connection);
  const door = createDoor({ clients, accounts: specs.accounts, region: 'us-east-1' });
  const options = { kinds, allow: [], waitMs: 10_000 };
  await reconcile(specs, { ...options, door, dryRun: false });
  for (const key of Object.keys(answers)) delete answers[key];
  await door.send({ region: 'us-east-1' }, new GetAccountAuthorizationDetailsCommand({ Filter: ['Role'] }));
  const fresh = createDoor({ clients, accounts: specs.accounts, region: 'us-east-1' });
  const { plan, proof } = await reconcile(specs, { ...options, door: fresh, dryRun: true });
  if (plan.waves.length > 0 || proof.some(({ verdict }) => verdict !== 'proven'))
    throw new Error('the pair of the benchmark does not converge');
  clients.destroy();
  way.close();
  await sandbox.close();
  return { answers, ...(sharedKeys === undefined ? {} : { sharedKeys }) };
}

async function twoKeys(
  endpoint: string,
  credentials: { accessKeyId: string; secretAccessKey: string },
): Promise<SharedKeys> {
  const made = async (region: string) => {
    const client = new KMSClient({ endpoint, region, credentials });
    const { KeyMetadata } = await client.send(new CreateKeyCommand({}));
    client.destroy();
    return KeyMetadata?.Arn ?? '';
  };
  return { source: await made('us-east-1'), destination: await made('us-west-2') };
}

async function wayTo(port: string, answers: Record<string, RecordedAnswer>) {
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const sent = Buffer.concat(chunks);
      const { method, url, headers } = incoming;
      const on = request({ port, host: '127.0.0.1', method, path: url, headers }, (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => parts.push(chunk));
        answer.on('end', () => {
          const body = Buffer.concat(parts);
          outgoing.writeHead(answer.statusCode ?? 500, answer.headers).end(body);
          const type = answer.headers['content-type'];
          answers[keyOf(method, url, String(headers['x-amz-target'] ?? ''), sent.toString())] = {
            status: answer.statusCode ?? 500,
            headers: { 'x-amzn-requestid': '0', ...(type === undefined ? {} : { 'content-type': type }) },
            body: body.toString(),
          };
        });
      });
      on.end(sent);
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
