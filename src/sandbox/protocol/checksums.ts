import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** The checksums of S3 by the end of their header's name (`x-amz-checksum-crc32`), in base64. */
export const checksumAlgorithms: Record<string, (bytes: Buffer) => string> = {
  crc32: (bytes) => uint32ToBase64(crc32(bytes)),
  crc32c: (bytes) => uint32ToBase64(crc32c(bytes)),
  crc64nvme: (bytes) => crc64nvme(bytes).toString('base64'),
  sha1: (bytes) => createHash('sha1').update(bytes).digest('base64'),
  sha256: (bytes) => createHash('sha256').update(bytes).digest('base64'),
};

function uint32ToBase64(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes.toString('base64');
}

/** Castagnoli's polynomial, reflected. */
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

/** The polynomial of NVMe, reflected, in halves: 64 bits are too many for a number, and big ones are slow. */
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
