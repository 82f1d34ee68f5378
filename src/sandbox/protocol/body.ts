import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { AwsError } from '../aws-error.ts';

/** The largest accepted body. S3 accepts 5 GB; the sandbox accepts less, because it keeps bodies in memory. */
const MAX_REQUEST_BODY_BYTES = 256 * 1024 * 1024;

export interface RequestBody {
  bytes: Buffer;
  /** Headers after the body. Chunked uploads send their checksums there. */
  trailers: Record<string, string>;
}

type RequestHeaders = Record<string, string>;

/**
 * Reads the whole body of a request, decodes a chunked upload, and verifies Content-MD5 and x-amz-content-sha256.
 *
 * @throws AwsError when the body is too large or incomplete, or one of the two does not match.
 */
export async function readBody(request: IncomingMessage, headers: RequestHeaders): Promise<RequestBody> {
  const raw = await readRequestBytes(request);
  const body = isChunkedUpload(headers) ? decodeChunkedUpload(raw) : { bytes: raw, trailers: {} };
  const length = headers['x-amz-decoded-content-length'];
  if (length !== undefined && Number(length) !== body.bytes.length) throw incompleteBodyError();
  verifyDigests(body.bytes, { ...headers, ...body.trailers });
  return body;
}

export async function readRequestBytes(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    // Bytes beyond the limit are read and discarded, because a client reads no response before it has sent the whole
    // body.
    if (size <= MAX_REQUEST_BODY_BYTES) chunks.push(chunk as Buffer);
  }
  if (size > MAX_REQUEST_BODY_BYTES)
    throw new AwsError(400, 'EntityTooLarge', 'Your proposed upload exceeds the maximum allowed size');
  return Buffer.concat(chunks);
}

const isChunkedUpload = (headers: RequestHeaders): boolean =>
  /\baws-chunked\b/.test(headers['content-encoding'] ?? '') ||
  (headers['x-amz-content-sha256'] ?? '').startsWith('STREAMING-');

/**
 * Decodes a chunked upload of an SDK or the AWS CLI: `size[;chunk-signature=…]\r\n data \r\n … 0\r\n trailers`. Chunk
 * signatures are not verified.
 */
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

function verifyDigests(bytes: Buffer, headers: RequestHeaders): void {
  const md5 = headers['content-md5'];
  if (md5 !== undefined && Buffer.from(md5, 'base64').length !== 16)
    throw new AwsError(400, 'InvalidDigest', 'The Content-MD5 you specified was invalid.', {
      'Content-MD5': md5,
    });
  const computedMd5 = md5 && createHash('md5').update(bytes).digest('base64');
  if (md5 && computedMd5 && md5 !== computedMd5) {
    throw new AwsError(400, 'BadDigest', 'The Content-MD5 you specified did not match what we received.', {
      ExpectedDigest: md5,
      CalculatedDigest: computedMd5,
    });
  }
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
}
