import { createHash, createHmac } from 'node:crypto';
import { Agent, request as httpRequest } from 'node:http';
import { crc32 } from 'node:zlib';
import { SignatureV4 } from '@smithy/signature-v4';
import type { Call, Client } from '../client.ts';
import { encodeRequest, type WireRequest } from './wire-requests.ts';
import { decodeResponse, type WireResponse } from './wire-responses.ts';

/** Returns a client that builds and reads HTTP messages by itself. Only the signature comes from a library of the SDK. */
export function rawHttpClient(endpoint: string): Client {
  // A kept connection could close while a request is sent.
  const agent = new Agent({ maxSockets: 16 });
  const { host } = new URL(endpoint);
  return {
    name: 'raw HTTP',
    async send(call) {
      const request = changed(encodeRequest(call), call);
      const signed = await sign(call, { ...request, headers: { ...request.headers, host } });
      return decodeResponse(call, await exchange(endpoint, agent, signed));
    },
    close: async () => agent.destroy(),
  };
}

function changed(request: WireRequest, { changes }: Call): WireRequest {
  const headers = Object.entries({ ...request.headers, ...changes?.headers });
  return {
    ...request,
    headers: Object.fromEntries(headers.filter((entry): entry is [string, string] => entry[1] !== null)),
    body: changes?.body === undefined ? request.body : Buffer.from(changes.body),
  };
}

/** Adds the checks of the body that AWS requires, and signs. */
async function sign({ service, region, credentials }: Call, request: WireRequest): Promise<WireRequest> {
  const isS3 = service === 's3' || service === 's3control';
  const headers = {
    ...request.headers,
    ...(request.body.length > 0 ? { 'content-length': String(request.body.length) } : {}),
    ...(isS3 ? bodyChecks(request) : {}),
  };
  const signer = new SignatureV4({
    credentials,
    region,
    service: isS3 ? 's3' : service,
    sha256: Sha256,
    // S3 signs the path as it was sent; the other services sign it encoded once more.
    uriEscapePath: !isS3,
    applyChecksum: isS3,
  });
  const { headers: signedHeaders } = await signer.sign({
    ...request,
    headers,
    protocol: 'http:',
    hostname: '127.0.0.1',
  });
  return { ...request, headers: signedHeaders };
}

/** Objects have a CRC-32, as in the recordings. Other bodies have an MD5, which some operations require. */
function bodyChecks({ method, path, body, headers }: WireRequest): Record<string, string> {
  const isObject = method === 'PUT' && path.split('/').length > 2 && !('x-amz-copy-source' in headers);
  if (isObject) {
    const checksum = Buffer.alloc(4);
    checksum.writeUInt32BE(crc32(body));
    return { 'x-amz-checksum-crc32': checksum.toString('base64') };
  }
  return body.length > 0 ? { 'content-md5': createHash('md5').update(body).digest('base64') } : {};
}

function exchange(endpoint: string, agent: Agent, request: WireRequest): Promise<WireResponse> {
  const query = Object.entries(request.query)
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join('&');
  const url = new URL(endpoint);
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      {
        agent,
        hostname: url.hostname,
        port: url.port,
        method: request.method,
        path: query === '' ? request.path : `${request.path}?${query}`,
        headers: request.headers,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers as Record<string, string>,
            body: Buffer.concat(chunks),
          }),
        );
      },
    );
    sent.on('error', reject);
    sent.end(request.body);
  });
}

/** SHA-256 in the form that the signer expects. */
class Sha256 {
  private readonly hash;

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret as Uint8Array);
  }

  update(data: Uint8Array): void {
    this.hash.update(data);
  }

  async digest(): Promise<Uint8Array> {
    return this.hash.digest();
  }

  reset(): void {}
}
