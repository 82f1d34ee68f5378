import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Sandbox, startSandbox } from '../../../src/sandbox/server.ts';

/** Access key id of the administrator of moto's account, for all credentials that its tests invent. */
const ADMINISTRATOR = 'AKIA123456789012';

export interface Adapter extends AsyncDisposable {
  endpoint: string;
}

/**
 * Starts a server that moto's tests use as a moto server. It forwards every request to a sandbox, and changes only the access key
 * id. It answers two requests itself: `/moto-api/reset` replaces the sandbox by a new one, and `/adapter/not-implemented` returns
 * the operations that the sandboxes answered with 501 since the last such request.
 */
export async function startAdapter(): Promise<Adapter> {
  let sandbox = await startSandbox();
  let notImplemented: string[] = [];
  const collect = () => {
    for (const { status, service, operation } of sandbox.log.entries)
      if (status === 501) notImplemented.push(`${service}:${operation}`);
    sandbox.log.reset();
  };
  const respond = (response: ServerResponse, value: unknown) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    switch (request.url) {
      case '/moto-api/reset': {
        collect();
        const previous = sandbox;
        sandbox = await startSandbox();
        await previous.close();
        respond(response, { status: 'ok' });
        return;
      }
      case '/adapter/not-implemented':
        collect();
        respond(response, [...new Set(notImplemented)].sort());
        notImplemented = [];
        return;
      default:
        forward(sandbox, request, response);
    }
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => response.writeHead(502).end(String(error)));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await sandbox.close();
    },
  };
}

function forward(sandbox: Sandbox, request: IncomingMessage, response: ServerResponse): void {
  // Node.js has answered `Expect: 100-continue` already.
  const { expect: _, authorization, ...headers } = request.headers;
  const forwarded = httpRequest(sandbox.endpoint, {
    method: request.method,
    path: withAdministrator(request.url ?? '/'),
    headers: {
      ...headers,
      ...(authorization !== undefined && { authorization: withAdministrator(authorization) }),
    },
  });
  forwarded.on('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
    answer.pipe(response);
  });
  forwarded.on('error', (error) => response.writeHead(502).end(String(error)));
  request.pipe(forwarded);
}

/**
 * Replaces the access key id of a credential, such as `FOOBARKEY`, by that of the administrator: in a header or a presigned URL, of
 * Signature Version 4 or 2. Keeps the ids of temporary credentials, whose signature the sandbox checks.
 */
const withAdministrator = (text: string): string =>
  text.replace(
    /(Credential=|AWSAccessKeyId=)(?!ASIA)[^/%,&\s]+/i,
    (_, name: string) => `${name}${ADMINISTRATOR}`,
  );
