import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { AwsError } from '../aws-error.ts';
import { checksums } from './checksums.ts';

/** S3 takes 5 GB; what lies in memory here is held to less. */
const MAX_BYTES = 256 * 1024 * 1024;

export interface Body {
  bytes: Buffer;
  /** Headers that came after the body, as chunked uploads send their checksums. */
  trailers: Record<string, string>;
}

type Headers = Record<string, string>;

/** The whole body of a request, with S3's chunked signing undone and its checksums verified. */
export async function readBody(request: IncomingMessage, headers: Headers): Promise<Body> {
  const raw = await readAll(request);
  const body = isChunked(headers) ? unchunk(raw) : { bytes: raw, trailers: {} };
  const length = headers['x-amz-decoded-content-length'];
  if (length !== undefined && Number(length) !== body.bytes.length) throw incomplete();
  verify(body.bytes, { ...headers, ...body.trailers });
  return body;
}

export async function readAll(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    // The rest is read and dropped, since a client reads no answer before it has sent everything.
    if (size <= MAX_BYTES) chunks.push(chunk as Buffer);
  }
  if (size > MAX_BYTES)
    throw new AwsError(400, 'EntityTooLarge', 'Your proposed upload exceeds the maximum allowed size');
  return Buffer.concat(chunks);
}

const isChunked = (headers: Headers): boolean =>
  /\baws-chunked\b/.test(headers['content-encoding'] ?? '') ||
  (headers['x-amz-content-sha256'] ?? '').startsWith('STREAMING-');

/** `size[;chunk-signature=…]\r\n data \r\n … 0\r\n trailers`, as SDKs and the AWS CLI send uploads. */
function unchunk(raw: Buffer): Body {
  const parts: Buffer[] = [];
  let at = 0;
  for (;;) {
    const end = raw.indexOf('\r\n', at);
    if (end < 0) throw incomplete();
    const size = /^[0-9a-f]{1,8}(?=;|$)/i.exec(raw.subarray(at, end).toString('latin1'))?.[0];
    if (size === undefined) throw new AwsError(403, 'InvalidChunkSizeError', 'The chunk size is not valid');
    const from = end + 2;
    const to = from + Number.parseInt(size, 16);
    if (to === from) return { bytes: Buffer.concat(parts), trailers: trailersOf(raw.subarray(from)) };
    if (raw.subarray(to, to + 2).toString('latin1') !== '\r\n') throw incomplete();
    parts.push(raw.subarray(from, to));
    at = to + 2;
  }
}

function trailersOf(raw: Buffer): Record<string, string> {
  const lines = raw.toString('latin1').split('\r\n');
  const pairs = lines.map((line) => line.split(/:(.*)/s)).filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    pairs.map(([name = '', value = '']) => [name.trim().toLowerCase(), value.trim()]),
  );
}

const incomplete = (): AwsError =>
  new AwsError(
    400,
    'IncompleteBody',
    'You did not provide the number of bytes specified by the Content-Length HTTP header',
  );

function verify(bytes: Buffer, headers: Headers): void {
  const md5 = headers['content-md5'];
  if (md5 !== undefined && md5 !== createHash('md5').update(bytes).digest('base64'))
    throw new AwsError(400, 'BadDigest', 'The Content-MD5 you specified did not match what we received.');
  const sha256 = headers['x-amz-content-sha256'] ?? '';
  const computed = /^[0-9a-f]{64}$/.test(sha256) ? createHash('sha256').update(bytes).digest('hex') : sha256;
  if (computed !== sha256) {
    throw new AwsError(
      400,
      'XAmzContentSHA256Mismatch',
      "The provided 'x-amz-content-sha256' header does not match what was computed.",
      { ClientComputedContentSHA256: sha256, S3ComputedContentSHA256: computed },
    );
  }
  for (const [name, checksum] of Object.entries(checksums)) {
    const given = headers[`x-amz-checksum-${name}`];
    if (given !== undefined && given !== checksum(bytes)) {
      throw new AwsError(
        400,
        'BadDigest',
        `The ${name.toUpperCase()} you specified did not match the calculated checksum.`,
      );
    }
  }
}
