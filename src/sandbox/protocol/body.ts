import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { crc32 } from 'node:zlib';
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
 * Reads the whole body of a request, decodes a chunked upload and verifies the checksums.
 *
 * @throws AwsError when the body is too large or incomplete, or a checksum does not match.
 */
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

/** Functions that compute the checksums of S3 in base64, by the suffix of the header (`x-amz-checksum-crc32`). */
const checksumAlgorithms: Record<string, (bytes: Buffer) => string> = {
  crc32: computeCrc32,
  crc32c: (bytes) => uint32ToBase64(crc32c(bytes)),
  crc64nvme: (bytes) => crc64nvme(bytes).toString('base64'),
  sha1: (bytes) => createHash('sha1').update(bytes).digest('base64'),
  sha256: (bytes) => createHash('sha256').update(bytes).digest('base64'),
};

export function computeCrc32(bytes: Buffer): string {
  return uint32ToBase64(crc32(bytes));
}

function uint32ToBase64(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes.toString('base64');
}

/** Lookup table of CRC-32C: the reflected Castagnoli polynomial. */
const CRC32C_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});

function crc32c(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (CRC32C_TABLE[(crc ^ byte) & 0xff] ?? 0);
  return (crc ^ 0xffffffff) >>> 0;
}

/**
 * Lookup table of CRC-64/NVME: the reflected NVMe polynomial. Each value is split into two 32-bit halves, because a
 * number cannot hold 64 bits and a BigInt is slow.
 */
const CRC64_TABLE = Array.from({ length: 256 }, (_, byte) => {
  let value = BigInt(byte);
  for (let bit = 0; bit < 8; bit++) value = value & 1n ? (value >> 1n) ^ 0x9a6c9329ac4bc9b5n : value >> 1n;
  return { high: Number(value >> 32n), low: Number(value & 0xffffffffn) };
});
const CRC64_HIGH = Int32Array.from(CRC64_TABLE, ({ high }) => high);
const CRC64_LOW = Int32Array.from(CRC64_TABLE, ({ low }) => low);

function crc64nvme(bytes: Buffer): Buffer {
  let high = -1;
  let low = -1;
  for (const byte of bytes) {
    const index = (low ^ byte) & 0xff;
    low = ((low >>> 8) | (high << 24)) ^ (CRC64_LOW[index] ?? 0);
    high = (high >>> 8) ^ (CRC64_HIGH[index] ?? 0);
  }
  const sum = Buffer.alloc(8);
  sum.writeInt32BE(~high, 0);
  sum.writeInt32BE(~low, 4);
  return sum;
}
