import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';

/** Whether only this machine can reach a server that listens on the address. */
export const isLoopback = (address: string): boolean => /^(?:127\.|::1$|::ffff:127\.)/.test(address);

/**
 * Returns the host or origin of a request that a foreign web page may have caused; undefined for an allowed request. A
 * page can point its own name to 127.0.0.1 and read the responses (DNS rebinding), or post a form. It cannot do so with
 * an IP address, a name of one word or a name reserved for private use. These are allowed, and so are names that match
 * `allowedHosts`.
 */
export function disallowedHost({ headers }: IncomingMessage, allowedHosts = NO_HOSTS): string | undefined {
  const { host, origin } = headers;
  if (origin === 'null') return 'the origin "null"';
  return [host, origin].find(
    (value) =>
      value !== undefined && !isPrivateHost(hostnameOf(value)) && !allowedHosts.test(hostnameOf(value)),
  );
}

/** Returns the message for a refused request. */
export const disallowedHostMessage = (host: string): string =>
  `host not allowed: the server listens on loopback, and ${host} is not a local name; use localhost, or listen on another address`;

const NO_HOSTS = /(?!)/;

const hostnameOf = (host: string): string =>
  host
    .toLowerCase()
    .replace(/^[a-z]+:\/\//, '')
    .replace(/:\d*$/, '')
    .replace(/\.$/, '')
    .replace(/^\[(.*)\]$/, '$1');

/**
 * Whether a host name cannot be a public name: names of RFC 2606, 6761, 6762 and 8375, and `internal`, which ICANN
 * reserves for private use. Public names have at least two parts.
 */
const isPrivateHost = (name: string): boolean =>
  isIP(name) !== 0 || !name.includes('.') || /\.(?:localhost|test|local|internal|home\.arpa)$/.test(name);
