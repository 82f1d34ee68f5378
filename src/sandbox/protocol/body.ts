import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { crc32 } from 'node:zlib';
import { AwsError } from '../aws-error.ts';

const MAX_BYTES = 256 * 1024 * 1024;

/** The whole body of a request, with S3's chunked signing undone and its checksums verified. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > MAX_BYTES)
      throw new AwsError(400, 'EntityTooLarge', 'Your proposed upload exceeds the maximum allowed size');
    chunks.push(chunk as Buffer);
  }
  const raw = Buffer.concat(chunks);
  const { headers } = request;
  const chunked =
    String(headers['content-encoding'] ?? '').includes('aws-chunked') ||
    String(headers['x-amz-content-sha256'] ?? '').startsWith('STREAMING-');
  if (!chunked) {
    verify(raw, headers);
    return raw;
  }
  const { body, trailers } = unchunk(raw);
  verify(body, { ...headers, ...trailers });
  return body;
}

/** `size[;chunk-signature=…]\r\n data \r\n … 0\r\n trailers`, as SDKs and the AWS CLI send uploads. */
export function unchunk(raw: Buffer): { body: Buffer; trailers: Record<string, string> } {
  const parts: Buffer[] = [];
  const trailers: Record<string, string> = {};
  let at = 0;
  while (at < raw.length) {
    const end = raw.indexOf('\r\n', at);
    if (end < 0) throw new AwsError(400, 'IncompleteBody', 'The request body terminated unexpectedly');
    const size = Number.parseInt(raw.subarray(at, end).toString('latin1'), 16);
    if (Number.isNaN(size)) throw new AwsError(400, 'InvalidChunkSizeError', 'The chunk size is not valid');
    at = end + 2;
    if (size === 0) break;
    parts.push(raw.subarray(at, at + size));
    at += size + 2;
  }
  for (const line of raw.subarray(at).toString('latin1').split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) trailers[line.slice(0, colon).trim().toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { body: Buffer.concat(parts), trailers };
}

type Headers = Record<string, string | string[] | undefined>;

function verify(body: Buffer, headers: Headers): void {
  const md5 = headers['content-md5'];
  if (md5 !== undefined && md5 !== createHash('md5').update(body).digest('base64')) {
    throw new AwsError(400, 'BadDigest', 'The Content-MD5 you specified did not match what we received.');
  }
  for (const [name, checksum] of Object.entries(CHECKSUMS)) {
    const given = headers[`x-amz-checksum-${name}`];
    if (given !== undefined && given !== checksum(body)) {
      throw new AwsError(
        400,
        'BadDigest',
        `The ${name.toUpperCase()} you specified did not match the calculated checksum.`,
      );
    }
  }
}

/** The checksums that Node computes by itself; CRC32C and CRC64NVME are taken as they are sent. */
const CHECKSUMS: Record<string, (body: Buffer) => string> = {
  crc32(body) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(crc32(body));
    return bytes.toString('base64');
  },
  sha1: (body) => createHash('sha1').update(body).digest('base64'),
  sha256: (body) => createHash('sha256').update(body).digest('base64'),
};
