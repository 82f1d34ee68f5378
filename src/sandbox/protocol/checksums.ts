import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { AwsError, invalidRequestError } from '../aws-error.ts';

export type ChecksumType = 'FULL_OBJECT' | 'COMPOSITE';

/** A checksum algorithm of S3, by its name in the API (`CRC64NVME`). */
export interface ChecksumAlgorithm {
  name: string;
  /** Length of the decoded value in bytes. */
  length: number;
  /** Types of a checksum of a multipart upload; the first is the default. */
  multipartTypes: ChecksumType[];
  /** Returns the checksum in base64. */
  compute(bytes: Buffer): string;
}

const hashAlgorithm = (name: string, hash: string, length: number): ChecksumAlgorithm => ({
  name,
  length,
  multipartTypes: ['COMPOSITE'],
  compute: (bytes) => createHash(hash).update(bytes).digest('base64'),
});

/** S3 User Guide, "Full object and composite checksum types". */
const CHECKSUM_ALGORITHMS: readonly ChecksumAlgorithm[] = [
  {
    name: 'CRC64NVME',
    length: 8,
    multipartTypes: ['FULL_OBJECT'],
    compute: (bytes) => crc64nvme(bytes).toString('base64'),
  },
  {
    name: 'CRC32',
    length: 4,
    multipartTypes: ['COMPOSITE', 'FULL_OBJECT'],
    compute: (bytes) => uint32ToBase64(crc32(bytes)),
  },
  {
    name: 'CRC32C',
    length: 4,
    multipartTypes: ['COMPOSITE', 'FULL_OBJECT'],
    compute: (bytes) => uint32ToBase64(crc32c(bytes)),
  },
  hashAlgorithm('SHA1', 'sha1', 20),
  hashAlgorithm('SHA256', 'sha256', 32),
  hashAlgorithm('SHA512', 'sha512', 64),
  hashAlgorithm('MD5', 'md5', 16),
];

/** Algorithms of S3 that the sandbox does not compute. */
const UNSUPPORTED_ALGORITHMS = ['XXHASH64', 'XXHASH3', 'XXHASH128'];

/** Algorithm of an object that a client writes without a checksum (S3 User Guide, "Checking object integrity"). */
export const DEFAULT_CHECKSUM_ALGORITHM = 'CRC64NVME';

/**
 * Returns an algorithm by its name in any case.
 *
 * @throws AwsError InvalidRequest for another name, NotImplemented for an algorithm that the sandbox does not compute.
 */
export function checksumAlgorithmOf(name: string): ChecksumAlgorithm {
  const algorithm = CHECKSUM_ALGORITHMS.find((candidate) => candidate.name === name.toUpperCase());
  if (algorithm) return algorithm;
  if (UNSUPPORTED_ALGORITHMS.includes(name.toUpperCase()))
    throw new AwsError(
      501,
      'NotImplemented',
      `The sandbox does not implement the checksum algorithm ${name}`,
    );
  throw invalidRequestError(
    'Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]',
  );
}

const CHECKSUM_HEADER = /^x-amz-checksum-((?:crc|sha|md5|xxhash)\w*)$/;

/**
 * Returns the checksum in the headers of a request.
 *
 * @throws AwsError InvalidRequest for several checksums or an invalid value.
 */
export function checksumOfHeaders(
  headers: Record<string, string>,
): { algorithm: ChecksumAlgorithm; value: string } | undefined {
  const [header, ...otherHeaders] = Object.keys(headers).filter((name) => CHECKSUM_HEADER.test(name));
  if (header === undefined) return undefined;
  if (otherHeaders.length > 0) {
    throw invalidRequestError(
      'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.',
    );
  }
  const algorithm = checksumAlgorithmOf(CHECKSUM_HEADER.exec(header)?.[1] ?? '');
  const value = headers[header] ?? '';
  if (!isChecksum(algorithm, value)) throw invalidRequestError(`Value for ${header} header is invalid.`);
  return { algorithm, value };
}

function isChecksum({ length }: ChecksumAlgorithm, value: string): boolean {
  const bytes = Buffer.from(value, 'base64');
  return bytes.length === length && bytes.toString('base64') === value;
}

/**
 * Checks the checksum of a body against its headers and trailers.
 *
 * @throws AwsError InvalidRequest for an invalid header, BadDigest when the checksum does not match.
 */
export function verifyChecksumHeaders(bytes: Buffer, headers: Record<string, string>): void {
  const checksum = checksumOfHeaders(headers);
  if (checksum === undefined) {
    if (headers['x-amz-sdk-checksum-algorithm'] === undefined) return;
    throw invalidRequestError(
      'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
    );
  }
  const { algorithm, value } = checksum;
  if (algorithm.compute(bytes) !== value) throw badChecksumError(algorithm.name);
}

/** Returns the error for a checksum that differs from the computed one. */
export const badChecksumError = (algorithm: string): AwsError =>
  new AwsError(400, 'BadDigest', `The ${algorithm} you specified did not match the calculated checksum.`);

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
