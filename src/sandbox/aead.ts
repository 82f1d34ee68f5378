import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

/** Ciphertext of AES-256-GCM, as KMS and S3 use it: the tag authenticates ciphertext and encryption context. */
export interface AeadCiphertext {
  iv: string;
  tag: string;
  data: Buffer;
}

export function encryptAead(
  key: Buffer,
  plaintext: Buffer,
  context: Record<string, string> = {},
): AeadCiphertext {
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, iv);
  cipher.setAAD(Buffer.from(serializeContext(context)));
  const data = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  return { iv: iv.toString('base64'), tag: cipher.getAuthTag().toString('base64'), data };
}

/** @throws Error when the key, the data or the context differs from the one at encryption. */
export function decryptAead(
  key: Buffer,
  payload: AeadCiphertext,
  context: Record<string, string> = {},
): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(payload.iv, 'base64'));
  decipher.setAAD(Buffer.from(serializeContext(context)));
  decipher.setAuthTag(Buffer.from(payload.tag, 'base64'));
  return Buffer.concat([decipher.update(payload.data), decipher.final()]);
}

/** Builds a KMS ciphertext. It contains the ARN of its key, so that a Decrypt request needs no key id. */
export function packCiphertext(keyArn: string, payload: AeadCiphertext): Buffer {
  const header = JSON.stringify({ k: keyArn, i: payload.iv, t: payload.tag });
  const length = Buffer.alloc(2);
  length.writeUInt16BE(header.length);
  return Buffer.concat([length, Buffer.from(header), payload.data]);
}

/** Parses a KMS ciphertext; undefined if the sandbox did not create it. */
export function unpackCiphertext(blob: Buffer): { keyArn: string; payload: AeadCiphertext } | undefined {
  try {
    const length = blob.readUInt16BE(0);
    const { k, i, t } = JSON.parse(blob.subarray(2, 2 + length).toString()) as Record<
      'k' | 'i' | 't',
      string
    >;
    return { keyArn: k, payload: { iv: i, tag: t, data: blob.subarray(2 + length) } };
  } catch {
    return undefined;
  }
}

const serializeContext = (context: Record<string, string>): string =>
  JSON.stringify(Object.entries(context).sort(([a], [b]) => (a < b ? -1 : 1)));
