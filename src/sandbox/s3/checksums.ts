import { crc32 } from 'node:zlib';

/** The checksums that were sent with an object, by the names of the API; without one S3 computes one itself. */
export function checksumsOf(body: Buffer, headers: Record<string, string>): Record<string, string> {
  const headerChecksums = Object.entries(CHECKSUM_MEMBERS).flatMap(([header, name]) =>
    headers[header] ? [[name, headers[header]]] : [],
  );
  if (headerChecksums.length > 0) return Object.fromEntries(headerChecksums);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(body));
  return { ChecksumCRC32: bytes.toString('base64') };
}

const CHECKSUM_MEMBERS = {
  'x-amz-checksum-crc32': 'ChecksumCRC32',
  'x-amz-checksum-crc32c': 'ChecksumCRC32C',
  'x-amz-checksum-crc64nvme': 'ChecksumCRC64NVME',
  'x-amz-checksum-sha1': 'ChecksumSHA1',
  'x-amz-checksum-sha256': 'ChecksumSHA256',
};
