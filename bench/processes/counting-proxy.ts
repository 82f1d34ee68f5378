/** Stands before an endpoint: every call takes 50 ms longer, and is counted by its operation. */
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

/** What some tools ask and the sandbox does not know, answered as AWS does where nothing of the kind is set. */
const NOTHING_SET: Record<string, { type: string; body: string }> = {
  ListGrants: { type: 'application/x-amz-json-1.1', body: '{"Grants":[],"Truncated":false}' },
};

const to = new URL(process.argv[2] ?? '');
const agent = new Agent({ keepAlive: true });
let calls: Record<string, number> = {};

/** By `X-Amz-Target` for KMS, by `Action` for IAM and STS, by method and subresource for S3. */
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
      const nothing = NOTHING_SET[operation];
      if (nothing) {
        outgoing.writeHead(200, { 'content-type': nothing.type }).end(nothing.body);
        return;
      }
      const { method, url, headers } = incoming;
      const on = request(
        { agent, host: to.hostname, port: to.port, method, path: url, headers },
        (answer) => {
          outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
          answer.pipe(outgoing);
        },
      );
      on.on('error', (error) => outgoing.destroy(error));
      on.end(body);
    }, DELAY_MS);
  });
});
server.keepAliveTimeout = 60_000;

// Asked for what was called, it begins to count anew.
process.on('message', () => {
  process.send?.(calls);
  calls = {};
});
process.on('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
