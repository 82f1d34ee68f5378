import { createHash, randomBytes } from 'node:crypto';
import { bucketArn } from '../../util/arn.ts';
import { decryptAead, encryptAead } from '../aead.ts';
import { AwsError } from '../aws-error.ts';
import type { KeyService } from '../kms/keys.ts';
import type { BucketState, ObjectEncryption, VersionState } from '../state.ts';
import type { Store } from '../store.ts';

/** The encryption of a new object: from the request, or from the bucket's default if the request sets none. */
export interface EncryptionChoice {
  algorithm: ObjectEncryption['algorithm'];
  keyArn?: string;
  /** Data key under a key of the caller, for SSE-C. */
  customerDataKey?: DataKey;
  bucketKey: boolean;
  /** Pairs of the encryption context that the client sent. */
  context: Record<string, string>;
}

/** A data key, and its encrypted form, which S3 stores with the object. */
export interface DataKey {
  plaintext: Buffer;
  wrapped: string;
}

export interface EncryptionRequest {
  ServerSideEncryption?: string;
  SSEKMSKeyId?: string;
  BucketKeyEnabled?: boolean;
  SSEKMSEncryptionContext?: string;
}

/**
 * Returns the encryption of a new object. Each header of the request overrides one field of the bucket's default. The
 * key of the default applies only if the request names no other algorithm; the last fallback is `alias/aws/s3`. A key of
 * the caller (SSE-C) takes precedence over the default.
 */
export function chooseEncryption(
  request: EncryptionRequest,
  bucket: BucketState,
  keyService: KeyService,
  account: string,
  customerDataKey?: DataKey,
): EncryptionChoice {
  if (customerDataKey) return { algorithm: 'AES256', customerDataKey, bucketKey: false, context: {} };
  const rule = bucket.encryption?.Rules?.[0];
  const defaultEncryption = rule?.ApplyServerSideEncryptionByDefault;
  const algorithm = request.ServerSideEncryption ?? defaultEncryption?.SSEAlgorithm ?? 'AES256';
  if (!isEncryptionAlgorithm(algorithm)) {
    throw new AwsError(400, 'InvalidArgument', 'The encryption method specified is not supported', {
      ArgumentName: 'x-amz-server-side-encryption',
      ArgumentValue: algorithm,
    });
  }
  if (algorithm === 'AES256') {
    if (request.SSEKMSKeyId !== undefined) {
      throw new AwsError(
        400,
        'InvalidArgument',
        'Server Side Encryption with Customer provided key is incompatible with the encryption method specified',
        { ArgumentName: 'x-amz-server-side-encryption' },
      );
    }
    return { algorithm, bucketKey: false, context: {} };
  }
  const keyId =
    request.SSEKMSKeyId ??
    (request.ServerSideEncryption === undefined || defaultEncryption?.SSEAlgorithm === algorithm
      ? defaultEncryption?.KMSMasterKeyID
      : undefined) ??
    'alias/aws/s3';
  return {
    algorithm,
    keyArn: mapKmsErrorsToS3(() => keyService.resolve(keyId, { account, region: bucket.region })),
    bucketKey: algorithm === 'aws:kms' && (request.BucketKeyEnabled ?? rule?.BucketKeyEnabled ?? false),
    context:
      request.SSEKMSEncryptionContext === undefined
        ? {}
        : (JSON.parse(Buffer.from(request.SSEKMSEncryptionContext, 'base64').toString()) as Record<
            string,
            string
          >),
  };
}

/** Returns whether a bucket refuses writes with SSE-C. New buckets do so since April 2026. */
export const blocksCustomerKeys = ({ encryption }: BucketState): boolean =>
  encryption?.Rules?.[0]?.BlockedEncryptionTypes?.EncryptionType?.includes('SSE-C') === true;

const isEncryptionAlgorithm = (text: string): text is ObjectEncryption['algorithm'] =>
  text === 'AES256' || text === 'aws:kms' || text === 'aws:kms:dsse';

/**
 * Returns the `aws:s3:arn` of the encryption context: the bucket's ARN with an S3 Bucket Key, otherwise the object's.
 */
export const encryptionContextArnOf = (
  { name, region }: Pick<BucketState, 'name' | 'region'>,
  key: string,
  bucketKey: boolean,
): string => (bucketKey ? bucketArn(name, region) : `${bucketArn(name, region)}/${key}`);

/** Encrypts the bytes of an object with a new data key. KMS wraps the data key, or S3 itself for SSE-S3. */
export function encryptObject(
  store: Store,
  keyService: KeyService,
  bucket: BucketState,
  key: string,
  plaintext: Buffer,
  encryptionChoice: EncryptionChoice,
  principal: string,
): { blob: string; encryption: ObjectEncryption } {
  const context = {
    ...encryptionChoice.context,
    'aws:s3:arn': encryptionContextArnOf(bucket, key, encryptionChoice.bucketKey),
  };
  const { keyArn, customerDataKey } = encryptionChoice;
  const dataKey =
    keyArn === undefined
      ? (customerDataKey ?? createS3DataKey())
      : mapKmsErrorsToS3(() =>
          keyService.generateDataKey({
            keyArn,
            principal,
            viaService: viaServiceOf(bucket),
            isForwarded: true,
            context,
          }),
        );
  const ciphertext = encryptAead(dataKey.plaintext, plaintext);
  return {
    blob: store.putBlob(ciphertext.data),
    encryption: {
      algorithm: encryptionChoice.algorithm,
      ...(keyArn === undefined ? {} : { keyArn }),
      bucketKey: encryptionChoice.bucketKey,
      ...(customerDataKey === undefined ? {} : { customerKey: true }),
      wrapped: dataKey.wrapped,
      context: keyArn === undefined ? {} : context,
      iv: ciphertext.iv,
      tag: ciphertext.tag,
    },
  };
}

/**
 * Returns the decrypted bytes of a version.
 *
 * @param customerDataKey the data key of a version under SSE-C, which only the caller's key decrypts
 * @throws AwsError with S3's code (`KMS.DisabledException`, …) when KMS does not return the data key.
 */
export function decryptObject(
  store: Store,
  keyService: KeyService,
  bucket: BucketState,
  version: { blob?: string; encryption: ObjectEncryption },
  principal: string,
  customerDataKey?: Buffer,
): Buffer {
  const { encryption } = version;
  const { keyArn } = encryption;
  const dataKey =
    keyArn === undefined
      ? (customerDataKey ?? unwrapS3DataKey(encryption.wrapped))
      : mapKmsErrorsToS3(() =>
          keyService.decrypt(
            {
              keyArn,
              principal,
              viaService: viaServiceOf(bucket),
              isForwarded: true,
              context: encryption.context,
            },
            encryption.wrapped,
          ),
        );
  const data = version.blob === undefined ? Buffer.alloc(0) : store.getBlob(version.blob);
  return decryptAead(dataKey, { iv: encryption.iv, tag: encryption.tag, data });
}

export const viaServiceOf = (bucket: BucketState): string => `s3.${bucket.region}.amazonaws.com`;

/** S3's own key, which wraps the data keys of SSE-S3. No API returns it. */
const S3_MASTER_KEY = createHash('sha256').update('the sandbox keeps no secrets of real data').digest();

function createS3DataKey(): DataKey {
  const plaintext = randomBytes(32);
  const ciphertext = encryptAead(S3_MASTER_KEY, plaintext);
  return { plaintext, wrapped: JSON.stringify({ ...ciphertext, data: ciphertext.data.toString('base64') }) };
}

export function unwrapS3DataKey(wrapped: string): Buffer {
  const { iv, tag, data } = JSON.parse(wrapped) as Record<'iv' | 'tag' | 'data', string>;
  return decryptAead(S3_MASTER_KEY, { iv, tag, data: Buffer.from(data, 'base64') });
}

/** Runs an action and maps errors of KMS to S3: AccessDenied for a denial, otherwise `KMS.` and the code of KMS. */
export function mapKmsErrorsToS3<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    if (error.code === 'AccessDeniedException') throw new AwsError(403, 'AccessDenied', error.message);
    throw new AwsError(400, `KMS.${error.code}`, error.message);
  }
}

/** Returns the encryption fields of a response for an object. For SSE-C, `toCustomerKeyOutput` returns them. */
export const toEncryptionOutput = ({ encryption }: Pick<VersionState, 'encryption'>) => ({
  ...(encryption.customerKey ? {} : { ServerSideEncryption: encryption.algorithm }),
  ...(encryption.keyArn === undefined ? {} : { SSEKMSKeyId: encryption.keyArn }),
  ...(encryption.bucketKey ? { BucketKeyEnabled: true } : {}),
});
