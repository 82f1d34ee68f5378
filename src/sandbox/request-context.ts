import type { IncomingMessage } from 'node:http';
import { isLoopback } from '../util/host-check.ts';
import type { FaultSettings } from './faults.ts';

/** Where a request came from and how it is signed. Policies can test these facts. */
export interface RequestOrigin {
  /** Address of the client: `127.0.0.1`, `::1`. */
  sourceIp: string;
  /** Whether the Authorization header or the query string of a presigned URL carries the signature. */
  authType: 'REST-HEADER' | 'REST-QUERY-STRING';
  /** Age of the signature of a presigned URL in milliseconds. */
  signatureAgeMs?: number;
}

export function originOf({ socket, headers, url = '/' }: IncomingMessage, now: number): RequestOrigin {
  const sourceIp = (socket.remoteAddress ?? '').replace(/^::ffff:/, '');
  const query = new URL(`http://sandbox${url}`).searchParams;
  if (headers.authorization !== undefined || !query.has('X-Amz-Credential'))
    return { sourceIp, authType: 'REST-HEADER' };
  const signedAt = parseAmzDate(query.get('X-Amz-Date') ?? '');
  return {
    sourceIp,
    authType: 'REST-QUERY-STRING',
    ...(signedAt === undefined ? {} : { signatureAgeMs: Math.max(0, now - signedAt) }),
  };
}

/** Parses `20261130T174000Z` to milliseconds since the epoch; undefined for other text. */
function parseAmzDate(text: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (!match) return undefined;
  const [year = 0, month = 1, day, hour, minute, second] = match.slice(1).map(Number);
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

/**
 * Returns whether a request counts as sent over TLS. The sandbox speaks plain HTTP. By default a request over loopback
 * counts as TLS, because its client reaches AWS over TLS.
 */
export const isSecureTransport = (
  { sourceIp }: RequestOrigin,
  { secureTransport }: FaultSettings,
): boolean => (secureTransport === 'loopback' ? isLoopback(sourceIp) : secureTransport === 'always');

/**
 * Returns the global condition keys that every request of a client carries (IAM User Guide, "AWS global condition
 * context keys"). `authorize` adds those of the principal, of the resource and of the time.
 */
export const globalConditionKeysOf = (call: {
  origin: RequestOrigin;
  faultSettings: FaultSettings;
  headers: Record<string, string>;
  region: string;
  session?: unknown;
}): Record<string, string> => ({
  'aws:RequestedRegion': call.region,
  'aws:SecureTransport': String(isSecureTransport(call.origin, call.faultSettings)),
  'aws:SourceIp': call.origin.sourceIp,
  ...(call.headers['user-agent'] === undefined ? {} : { 'aws:UserAgent': call.headers['user-agent'] }),
  ...(call.headers.referer === undefined ? {} : { 'aws:Referer': call.headers.referer }),
  // Temporary credentials carry this key. The sandbox accepts no MFA code in AssumeRole.
  ...(call.session === undefined ? {} : { 'aws:MultiFactorAuthPresent': 'false' }),
});
