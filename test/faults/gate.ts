import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Service } from '../../src/aws/clients.ts';
import type { Fault, Refusal } from './faults.ts';

/** A bad line to a sandbox: every call that comes through it suffers the fault that it is set to. */
export interface Gate {
  endpoint: string;
  /** Where nobody listens. */
  closed: string;
  set(fault: Fault, service: Service): void;
  /** Resolves when a call is held that will never be answered. */
  held: Promise<void>;
  close(): Promise<void>;
}

/** Ten minutes: S3 allows fifteen and others five, so that this is what a wrong clock looks like to either. */
const SKEW_MS = 10 * 60_000;

export async function openGate(sandbox: string): Promise<Gate> {
  let set: { fault: Fault; service: Service } | undefined;
  let hold = () => {};
  const server = createServer((asked, response) => {
    const { fault, service } = set ?? {};
    if (!fault || !service) throw new Error('the gate was not set');
    suffer(sandbox, fault, service, asked, response, hold).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const gate: Gate = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    closed: await nobodyListens(),
    held: Promise.resolve(),
    set(fault, service) {
      set = { fault, service };
      gate.held = new Promise((resolve) => {
        hold = resolve;
      });
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return gate;
}

async function suffer(
  sandbox: string,
  { isCarriedOut, instead }: Fault,
  service: Service,
  asked: IncomingMessage,
  response: ServerResponse,
  hold: () => void,
): Promise<void> {
  const body = await bytesOf(asked);
  const answer = isCarriedOut ? await carriedOut(sandbox, asked, body) : undefined;
  switch (instead.how) {
    case 'never answer':
      return hold();
    case 'reset in the answer':
    case 'stop in the answer': {
      // What is promised is more than what comes, also where the answer has no body.
      const { status = 200, headers = {}, bytes = Buffer.alloc(0) } = answer ?? {};
      response.writeHead(status, { ...headers, 'content-length': bytes.length + 1 });
      response.flushHeaders();
      const then = instead.how === 'stop in the answer' ? hold : () => response.destroy();
      response.write(bytes.subarray(0, bytes.length / 2), then);
      return;
    }
    case 'half the body': {
      const { status = 200, headers = {}, bytes = Buffer.alloc(0) } = answer ?? {};
      const half = bytes.subarray(0, bytes.length / 2);
      response.writeHead(status, { ...headers, 'content-length': half.length }).end(half);
      return;
    }
    case 'a page':
      response.writeHead(200, { 'content-type': 'text/html' }).end('<!DOCTYPE html><p>Please log in<br></p>');
      return;
    case 'an error':
      return refuse(response, service, instead.of[service]);
    default:
      asked.socket.destroy();
  }
}

/** An error in the form of its protocol; the date tells a client with a wrong clock what time it is. */
function refuse(response: ServerResponse, service: Service, { status, code, message }: Refusal): void {
  const skewed = /Skewed|Signature/.test(code);
  const headers = {
    date: new Date(Date.now() + (skewed ? SKEW_MS : 0)).toUTCString(),
    'x-amzn-requestid': '4442587f-b7d0-a2f9-0000-000000000000',
    'content-type': formOf(service) === 'json' ? 'application/x-amz-json-1.1' : 'text/xml',
  };
  response.writeHead(status, headers).end(TOLD[formOf(service)](code, message));
}

const formOf = (service: Service): keyof typeof TOLD =>
  service === 's3' ? 's3' : service === 'iam' || service === 'sts' ? 'query' : 'json';

const TOLD = {
  s3: (code: string, message: string) =>
    `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message></Error>`,
  query: (code: string, message: string) =>
    `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error></ErrorResponse>`,
  json: (code: string, message: string) => JSON.stringify({ __type: code, message }),
};

async function carriedOut(sandbox: string, asked: IncomingMessage, body: Buffer) {
  const passed = request(new URL(asked.url ?? '/', sandbox), {
    method: asked.method ?? 'GET',
    headers: asked.headers,
  });
  passed.end(body);
  const [answer] = (await once(passed, 'response')) as [IncomingMessage];
  return {
    status: answer.statusCode ?? 200,
    headers: answer.headers as OutgoingHttpHeaders,
    bytes: await bytesOf(answer),
  };
}

async function bytesOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** A port that was free a moment ago. */
async function nobodyListens(): Promise<string> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}
