/**
 * What S3 asks of KMS on somebody's behalf. Each call is authorised (key policy, and the caller's identity policies)
 * with `kms:ViaService` and the encryption context, and checked for the key's state; the key's material stays inside.
 * Refusals are thrown as `AwsError` with KMS's own codes (`AccessDeniedException`, `DisabledException`,
 * `KMSInvalidStateException`, `NotFoundException`, `InvalidKeyUsageException`).
 */
export interface KeyService {
  /** Resolve a key id, key ARN, alias name or alias ARN to a key ARN, as the requester's account and Region see it. */
  resolve(key: string, requester: { account: string; region: string }): string;
  generateDataKey(use: KeyUse): { plaintext: Buffer; wrapped: string };
  encrypt(use: KeyUse, plaintext: Buffer): string;
  decrypt(use: KeyUse, wrapped: string): Buffer;
}

export interface KeyUse {
  keyArn: string;
  /** ARN of who asks: an account's root, an assumed-role session. */
  principal: string;
  /** `s3.us-east-1.amazonaws.com`, the Region being that of the bucket. */
  viaService: string;
  context: Record<string, string>;
}
