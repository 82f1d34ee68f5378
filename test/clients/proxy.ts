import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface LocalhostProxy extends AsyncDisposable {
  /** URL of the proxy. */
  url: string;
  /** Host headers of the requests, in order. */
  hosts: string[];
}

/**
 * Starts an HTTP proxy that forwards all requests to `localhost` and to names below it (`bucket.localhost`) to an endpoint on
 * this machine, with their Host header. Not every system resolves such names. It refuses any other host.
 */
export async function startLocalhostProxy(endpoint: string): Promise<LocalhostProxy> {
  const { hostname, port } = new URL(endpoint);
  const hosts: string[] = [];
  const server = createServer((incoming, outgoing) => {
    const url = new URL(incoming.url ?? '', 'http://proxy.invalid');
    if (!/(?:^|\.)localhost$/.test(url.hostname)) {
      outgoing.writeHead(502).end(`${url.hostname} is not below localhost`);
      return;
    }
    hosts.push(incoming.headers.host ?? '');
    const forwarded = request(
      // As sent: new URL() changes the escapes of some characters.
      {
        hostname,
        port,
        method: incoming.method,
        path: pathOf(incoming.url ?? ''),
        headers: incoming.headers,
      },
      (response) => {
        outgoing.writeHead(response.statusCode ?? 502, response.headers);
        response.pipe(outgoing);
      },
    );
    forwarded.on('error', (error) => outgoing.destroy(error));
    incoming.pipe(forwarded);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    hosts,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Returns the path and the query of a request line in absolute form. */
const pathOf = (url: string): string => url.replace(/^[a-z]+:\/\/[^/?]*/i, '') || '/';
