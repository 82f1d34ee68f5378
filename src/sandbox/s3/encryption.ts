import { createHash, randomBytes } from 'node:crypto';
import { AwsError } from '../aws-error.ts';
import type { Caller } from '../call.ts';
import type { KeyService } from '../kms-service.ts';
import { seal, unseal } from '../sealed.ts';
import type { BucketState, ObjectEncryption, VersionState } from '../state.ts';
import type { Store } from '../store.ts';

/** What is asked for an object: by the request, or by the bucket's default where the request says nothing. */
export interface EncryptionChoice {
  algorithm: ObjectEncryption['algorithm'];
  keyArn?: string;
  bucketKey: boolean;
  /** The client's own pairs of the encryption context. */
  context: Record<string, string>;
}

export interface EncryptionRequest {
  ServerSideEncryption?: string;
  SSEKMSKeyId?: string;
  BucketKeyEnabled?: boolean;
  SSEKMSEncryptionContext?: string;
}

/** The request's headers override the bucket's default, and each other only as far as they say. */
export function chooseEncryption(
  request: EncryptionRequest,
  bucket: BucketState,
  keys: KeyService,
  account: string,
): EncryptionChoice {
  const rule = bucket.encryption?.Rules?.[0];
  const byDefault = rule?.ApplyServerSideEncryptionByDefault;
  const algorithm = request.ServerSideEncryption ?? byDefault?.SSEAlgorithm ?? 'AES256';
  if (!isAlgorithm(algorithm)) {
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
  const name =
    request.SSEKMSKeyId ??
    (request.ServerSideEncryption === undefined || byDefault?.SSEAlgorithm === algorithm
      ? byDefault?.KMSMasterKeyID
      : undefined) ??
    'alias/aws/s3';
  return {
    algorithm,
    keyArn: asS3(() => keys.resolve(name, { account, region: bucket.region })),
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

const isAlgorithm = (text: string): text is ObjectEncryption['algorithm'] =>
  text === 'AES256' || text === 'aws:kms' || text === 'aws:kms:dsse';

/** With an S3 Bucket Key the context names the bucket, without one the object. */
export const contextArn = (bucket: string, key: string, bucketKey: boolean): string =>
  bucketKey ? `arn:aws:s3:::${bucket}` : `arn:aws:s3:::${bucket}/${key}`;

/** Encrypt the bytes of an object under a data key of its own, which KMS (or S3 itself, for SSE-S3) wraps. */
export function encryptObject(
  store: Store,
  keys: KeyService,
  bucket: BucketState,
  key: string,
  plaintext: Buffer,
  choice: EncryptionChoice,
  principal: Caller['arn'],
): { blob: string; encryption: ObjectEncryption } {
  const context = { ...choice.context, 'aws:s3:arn': contextArn(bucket.name, key, choice.bucketKey) };
  const { keyArn } = choice;
  const dataKey =
    keyArn === undefined
      ? ownDataKey()
      : asS3(() => keys.generateDataKey({ keyArn, principal, viaService: viaService(bucket), context }));
  const sealed = seal(dataKey.plaintext, plaintext);
  return {
    blob: store.putBlob(sealed.data),
    encryption: {
      algorithm: choice.algorithm,
      ...(keyArn === undefined ? {} : { keyArn }),
      bucketKey: choice.bucketKey,
      wrapped: dataKey.wrapped,
      context: keyArn === undefined ? {} : context,
      iv: sealed.iv,
      tag: sealed.tag,
    },
  };
}

/** @throws AwsError in S3's words (`KMS.DisabledException`, …) when KMS does not give the data key. */
export function decryptObject(
  store: Store,
  keys: KeyService,
  bucket: BucketState,
  version: { blob?: string; encryption: ObjectEncryption },
  principal: Caller['arn'],
): Buffer {
  const { encryption } = version;
  const { keyArn } = encryption;
  const dataKey =
    keyArn === undefined
      ? ownUnwrap(encryption.wrapped)
      : asS3(() =>
          keys.decrypt(
            { keyArn, principal, viaService: viaService(bucket), context: encryption.context },
            encryption.wrapped,
          ),
        );
  const data = version.blob === undefined ? Buffer.alloc(0) : store.getBlob(version.blob);
  return unseal(dataKey, { iv: encryption.iv, tag: encryption.tag, data });
}

export const viaService = (bucket: BucketState): string => `s3.${bucket.region}.amazonaws.com`;

/** S3's own key, which nobody sees. */
const S3_KEY = createHash('sha256').update('the sandbox keeps no secrets of real data').digest();

function ownDataKey(): { plaintext: Buffer; wrapped: string } {
  const plaintext = randomBytes(32);
  const sealed = seal(S3_KEY, plaintext);
  return { plaintext, wrapped: JSON.stringify({ ...sealed, data: sealed.data.toString('base64') }) };
}

function ownUnwrap(wrapped: string): Buffer {
  const { iv, tag, data } = JSON.parse(wrapped) as Record<'iv' | 'tag' | 'data', string>;
  return unseal(S3_KEY, { iv, tag, data: Buffer.from(data, 'base64') });
}

/** S3 passes KMS's refusals on under its own name; a denial stays a denial. */
function asS3<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    if (error.code === 'AccessDeniedException') throw new AwsError(403, 'AccessDenied', error.message);
    throw new AwsError(400, `KMS.${error.code}`, error.message);
  }
}

/** What an answer says of an object's encryption. */
export const encryptionHeaders = ({ encryption }: VersionState) => ({
  ServerSideEncryption: encryption.algorithm,
  ...(encryption.keyArn === undefined ? {} : { SSEKMSKeyId: encryption.keyArn }),
  ...(encryption.bucketKey ? { BucketKeyEnabled: true } : {}),
});
