import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Service } from '../../src/aws/command.ts';
import type { CallFault, ErrorResponse } from './faults.ts';

/** A proxy to a sandbox that injects a fault into every call. */
export interface FaultProxy {
  endpoint: string;
  /** An endpoint without a listener. */
  refusingEndpoint: string;
  injectNext(fault: CallFault, service: Service): void;
  /** Resolves when the proxy holds a call without a response. */
  untilStalled: Promise<void>;
  close(): Promise<void>;
}

/** S3 allows 15 minutes of clock skew, other services 5. */
const SKEW_MS = 10 * 60_000;

export async function startFaultProxy(sandbox: string): Promise<FaultProxy> {
  let injected: { fault: CallFault; service: Service } | undefined;
  let stall = () => {};
  const server = createServer((request, response) => {
    const { fault, service } = injected ?? {};
    if (!fault || !service) throw new Error('no fault is set');
    injectFault(sandbox, fault, service, request, response, stall).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: FaultProxy = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    refusingEndpoint: await findClosedEndpoint(),
    untilStalled: Promise.resolve(),
    injectNext(fault, service) {
      injected = { fault, service };
      proxy.untilStalled = new Promise((resolve) => {
        stall = resolve;
      });
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}

async function injectFault(
  sandbox: string,
  { isExecuted, effect }: CallFault,
  service: Service,
  incoming: IncomingMessage,
  response: ServerResponse,
  stall: () => void,
): Promise<void> {
  const body = await bytesOf(incoming);
  const upstream = isExecuted ? await forward(sandbox, incoming, body) : undefined;
  switch (effect.kind) {
    case 'never respond':
      return stall();
    case 'reset in the response':
    case 'stop in the response': {
      // The content length exceeds the bytes that follow, also for a response without a body.
      const { status = 200, headers = {}, bytes = Buffer.alloc(0) } = upstream ?? {};
      response.writeHead(status, { ...headers, 'content-length': bytes.length + 1 });
      response.flushHeaders();
      const onWritten = effect.kind === 'stop in the response' ? stall : () => response.destroy();
      response.write(bytes.subarray(0, bytes.length / 2), onWritten);
      return;
    }
    case 'half of the body': {
      const { status = 200, headers = {}, bytes = Buffer.alloc(0) } = upstream ?? {};
      const half = bytes.subarray(0, bytes.length / 2);
      response.writeHead(status, { ...headers, 'content-length': half.length }).end(half);
      return;
    }
    case 'HTML page':
      response.writeHead(200, { 'content-type': 'text/html' }).end('<!DOCTYPE html><p>Please log in<br></p>');
      return;
    case 'error response':
      return sendError(response, service, effect.errors[service]);
    default:
      incoming.socket.destroy();
  }
}

/** Sends an error in the form of its protocol. Its date lets a client correct its clock. */
function sendError(
  response: ServerResponse,
  service: Service,
  { status, code, message }: ErrorResponse,
): void {
  const skewed = /Skewed|Signature/.test(code);
  const headers = {
    date: new Date(Date.now() + (skewed ? SKEW_MS : 0)).toUTCString(),
    'x-amzn-requestid': '4442587f-b7d0-a2f9-0000-000000000000',
    'content-type': formOf(service) === 'json' ? 'application/x-amz-json-1.1' : 'text/xml',
  };
  response.writeHead(status, headers).end(formatErrorBody[formOf(service)](code, message));
}

const formOf = (service: Service): keyof typeof formatErrorBody =>
  service === 's3' ? 's3' : service === 'iam' || service === 'sts' ? 'query' : 'json';

const formatErrorBody = {
  s3: (code: string, message: string) =>
    `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message></Error>`,
  query: (code: string, message: string) =>
    `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error></ErrorResponse>`,
  json: (code: string, message: string) => JSON.stringify({ __type: code, message }),
};

async function forward(sandbox: string, incoming: IncomingMessage, body: Buffer) {
  const outgoing = request(new URL(incoming.url ?? '/', sandbox), {
    method: incoming.method ?? 'GET',
    headers: incoming.headers,
  });
  outgoing.end(body);
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  return {
    status: response.statusCode ?? 200,
    headers: response.headers as OutgoingHttpHeaders,
    bytes: await bytesOf(response),
  };
}

async function bytesOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Returns an endpoint whose port was just closed. */
async function findClosedEndpoint(): Promise<string> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}
