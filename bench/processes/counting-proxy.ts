/** A proxy that delays every call by 50 ms, and counts calls by operation. */
import { Agent, createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';

const DELAY_MS = 50;
const VERBS: Record<string, string> = {
  GET: 'Get',
  PUT: 'Put',
  DELETE: 'Delete',
  POST: 'Post',
  HEAD: 'Head',
};

/** Empty responses to operations that some tools call and the sandbox does not implement. */
const EMPTY_RESPONSES: Record<string, { type: string; body: string }> = {
  ListGrants: { type: 'application/x-amz-json-1.1', body: '{"Grants":[],"Truncated":false}' },
};

const upstreamUrl = new URL(process.argv[2] ?? '');
const agent = new Agent({ keepAlive: true });
let calls: Record<string, number> = {};

/** Returns the operation: `X-Amz-Target` for KMS, `Action` for IAM and STS, method and subresource for S3. */
function operationOf({ method = '', url = '', headers }: IncomingMessage, body: string): string {
  const target = headers['x-amz-target'];
  if (typeof target === 'string') return target.split('.')[1] ?? target;
  const action = /^(?:.*&)?Action=(\w+)/.exec(body)?.[1];
  if (action) return action;
  const [path = '', query = ''] = url.split('?');
  if (path === '/') return 'ListBuckets';
  const subresource = query.split(/[&=]/)[0] ?? '';
  return `${VERBS[method] ?? method} bucket ${subresource}`.trim();
}

const server = createServer((incoming, outgoing) => {
  const chunks: Buffer[] = [];
  incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
  incoming.on('end', () => {
    const body = Buffer.concat(chunks);
    const operation = operationOf(incoming, body.toString());
    calls[operation] = (calls[operation] ?? 0) + 1;
    setTimeout(() => {
      const emptyResponse = EMPTY_RESPONSES[operation];
      if (emptyResponse) {
        outgoing.writeHead(200, { 'content-type': emptyResponse.type }).end(emptyResponse.body);
        return;
      }
      const { method, url, headers } = incoming;
      const upstream = request(
        { agent, host: upstreamUrl.hostname, port: upstreamUrl.port, method, path: url, headers },
        (response) => {
          outgoing.writeHead(response.statusCode ?? 500, response.headers);
          response.pipe(outgoing);
        },
      );
      upstream.on('error', (error) => outgoing.destroy(error));
      upstream.end(body);
    }, DELAY_MS);
  });
});
server.keepAliveTimeout = 60_000;

// Sends the counts, and resets them.
process.on('message', () => {
  process.send?.(calls);
  calls = {};
});
process.on('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
