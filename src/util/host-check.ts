import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';

/** Whether only this machine can reach a server that listens there. */
export const isLoopback = (address: string): boolean => /^(?:127\.|::1$|::ffff:127\.)/.test(address);

/**
 * The name of a stranger for whom a browser on this machine sends a request: a page can let a name of its own point to
 * 127.0.0.1, and read what is answered there (DNS rebinding), or post a form to it. Nobody can point an address, a
 * name of one word or a name that is reserved for private use; those are ours, and so is what `ours` matches.
 */
export function disallowedHost({ headers }: IncomingMessage, allowedHosts = NO_HOSTS): string | undefined {
  const { host, origin } = headers;
  if (origin === 'null') return 'a page without an origin';
  return [host, origin].find(
    (value) =>
      value !== undefined && !isPrivateHost(hostnameOf(value)) && !allowedHosts.test(hostnameOf(value)),
  );
}

/** What whoever was refused is told. */
export const disallowedHostMessage = (host: string): string =>
  `${host} is not a name of this machine, which listens on loopback: ask for localhost, or listen on another address`;

const NO_HOSTS = /(?!)/;

const hostnameOf = (host: string): string =>
  host
    .toLowerCase()
    .replace(/^[a-z]+:\/\//, '')
    .replace(/:\d*$/, '')
    .replace(/\.$/, '')
    .replace(/^\[(.*)\]$/, '$1');

/** RFC 2606, 6761, 6762 and 8375, and `internal`, which ICANN keeps for private use; public names have two parts at least. */
const isPrivateHost = (name: string): boolean =>
  isIP(name) !== 0 || !name.includes('.') || /\.(?:localhost|test|local|internal|home\.arpa)$/.test(name);
