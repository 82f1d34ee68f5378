import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { AwsError } from '../aws-error.ts';
import { checksumAlgorithms } from './checksums.ts';

/** S3 takes 5 GB; what lies in memory here is held to less. */
const MAX_REQUEST_BODY_BYTES = 256 * 1024 * 1024;

export interface RequestBody {
  bytes: Buffer;
  /** Headers that came after the body, as chunked uploads send their checksums. */
  trailers: Record<string, string>;
}

type RequestHeaders = Record<string, string>;

/** The whole body of a request, with S3's chunked signing undone and its checksums verified. */
export async function readBody(request: IncomingMessage, headers: RequestHeaders): Promise<RequestBody> {
  const raw = await readRequestBytes(request);
  const body = isChunkedUpload(headers) ? decodeChunkedUpload(raw) : { bytes: raw, trailers: {} };
  const length = headers['x-amz-decoded-content-length'];
  if (length !== undefined && Number(length) !== body.bytes.length) throw incompleteBodyError();
  verifyChecksums(body.bytes, { ...headers, ...body.trailers });
  return body;
}

export async function readRequestBytes(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    // The rest is read and dropped, since a client reads no answer before it has sent everything.
    if (size <= MAX_REQUEST_BODY_BYTES) chunks.push(chunk as Buffer);
  }
  if (size > MAX_REQUEST_BODY_BYTES)
    throw new AwsError(400, 'EntityTooLarge', 'Your proposed upload exceeds the maximum allowed size');
  return Buffer.concat(chunks);
}

const isChunkedUpload = (headers: RequestHeaders): boolean =>
  /\baws-chunked\b/.test(headers['content-encoding'] ?? '') ||
  (headers['x-amz-content-sha256'] ?? '').startsWith('STREAMING-');

/** `size[;chunk-signature=…]\r\n data \r\n … 0\r\n trailers`, as SDKs and the AWS CLI send uploads. */
function decodeChunkedUpload(raw: Buffer): RequestBody {
  const parts: Buffer[] = [];
  let offset = 0;
  for (;;) {
    const lineEnd = raw.indexOf('\r\n', offset);
    if (lineEnd < 0) throw incompleteBodyError();
    const size = /^[0-9a-f]{1,8}(?=;|$)/i.exec(raw.subarray(offset, lineEnd).toString('latin1'))?.[0];
    if (size === undefined) throw new AwsError(403, 'InvalidChunkSizeError', 'The chunk size is not valid');
    const start = lineEnd + 2;
    const chunkEnd = start + Number.parseInt(size, 16);
    if (chunkEnd === start)
      return { bytes: Buffer.concat(parts), trailers: parseTrailers(raw.subarray(start)) };
    if (raw.subarray(chunkEnd, chunkEnd + 2).toString('latin1') !== '\r\n') throw incompleteBodyError();
    parts.push(raw.subarray(start, chunkEnd));
    offset = chunkEnd + 2;
  }
}

function parseTrailers(raw: Buffer): Record<string, string> {
  const lines = raw.toString('latin1').split('\r\n');
  const pairs = lines.map((line) => line.split(/:(.*)/s)).filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    pairs.map(([name = '', value = '']) => [name.trim().toLowerCase(), value.trim()]),
  );
}

const incompleteBodyError = (): AwsError =>
  new AwsError(
    400,
    'IncompleteBody',
    'You did not provide the number of bytes specified by the Content-Length HTTP header',
  );

function verifyChecksums(bytes: Buffer, headers: RequestHeaders): void {
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
  for (const [name, compute] of Object.entries(checksumAlgorithms)) {
    const expected = headers[`x-amz-checksum-${name}`];
    if (expected !== undefined && expected !== compute(bytes)) {
      throw new AwsError(
        400,
        'BadDigest',
        `The ${name.toUpperCase()} you specified did not match the calculated checksum.`,
      );
    }
  }
}
