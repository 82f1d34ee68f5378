import { AwsError, invalidRequestError } from '../aws-error.ts';
import type { Handlers } from '../call.ts';
import type { KeyService } from '../kms/keys.ts';
import type { BucketState, ObjectEncryption, VersionState } from '../state.ts';
import type { Store } from '../store.ts';
import { accessDeniedError, getAuthorizedBucket, readUnlessHidden } from './access.ts';
import { encryptionContextArnOf, mapKmsErrorsToS3, unwrapS3DataKey, viaServiceOf } from './encryption.ts';
import { getVersionFor } from './versions.ts';

/** The new encryption of an object, from UpdateObjectEncryption or from a batch job. */
export interface EncryptionUpdate {
  KMSKeyArn?: string | undefined;
  BucketKeyEnabled?: boolean | undefined;
}

/** S3 User Guide, "Updating server-side encryption for existing data", requires both actions. */
export const UPDATE_ENCRYPTION_ACTIONS = ['s3:PutObject', 's3:UpdateObjectEncryption'] as const;

export const objectEncryptionHandlers: Handlers = {
  UpdateObjectEncryption(call, input) {
    const [bucket] = UPDATE_ENCRYPTION_ACTIONS.map((action) =>
      getAuthorizedBucket(call, input, action, input.Key),
    ) as [BucketState];
    const update: EncryptionUpdate | undefined = input.ObjectEncryption?.SSEKMS;
    if (!update)
      throw invalidRequestError(
        'Requests that modify an object encryption configuration require a valid new encryption type. Valid values are SSEKMS. Modify the request to specify SSE-KMS for the updated encryption type, and then try again.',
      );
    const version = readUnlessHidden(call, bucket, () =>
      getVersionFor('PUT', bucket, input.Key, input.VersionId),
    );
    updateObjectEncryption(call, bucket, version, update, call.caller.arn, call.now);
    return {};
  },
};

/**
 * Encrypts the data key of a version under another KMS key. The bytes, the ETag, the version id and the times stay the same,
 * and live replication does not see the change (S3 User Guide, "Updating server-side encryption for existing data"). The
 * messages are those of the S3 API Reference, "UpdateObjectEncryption".
 *
 * @param principal ARN of the caller, or of the session of a job's role
 * @throws AwsError InvalidRequest, AccessDenied, or the error of KMS.
 */
export function updateObjectEncryption(
  { store, keyService }: { store: Store; keyService: KeyService },
  bucket: BucketState,
  version: VersionState,
  { KMSKeyArn: keyArn, BucketKeyEnabled: bucketKey = false }: EncryptionUpdate,
  principal: string,
  now: number,
): void {
  requireOwnKeyArn(keyArn, bucket);
  const { algorithm, customerKey } = version.encryption;
  if (algorithm === 'aws:kms:dsse' || customerKey)
    throw invalidRequestError(
      "The UpdateObjectEncryption operation doesn't support source objects with the encryption type DSSE-KMS or SSE-C. Only source objects encrypted with SSE-S3 or SSE-KMS are supported.",
    );
  const isRetained = (version.retention?.until ?? 0) > now;
  if (isRetained || version.legalHold === 'ON')
    throw accessDeniedError(
      "The encryption type for the specified object can't be updated because that object is protected by S3 Object Lock. If the object has a governance-mode retention period or a legal hold, you must first remove the Object Lock status on the object before you issue your UpdateObjectEncryption request. You can't use the UpdateObjectEncryption operation with objects that have an Object Lock compliance mode retention period applied to them.",
    );
  mapKmsErrorsToS3(() => {
    version.encryption = reencrypt(keyService, bucket, version, { keyArn, bucketKey }, principal);
  });
  store.markObjectChanged(bucket, version.key);
}

function requireOwnKeyArn(keyArn: string | undefined, { owner }: BucketState): asserts keyArn is string {
  if (!keyArn)
    throw invalidRequestError(
      "Requests that modify an object's encryption type to SSE-KMS require an AWS KMS key Amazon Resource Name (ARN). Modify the request to specify a KMS key ARN, and then try again.",
    );
  // The pattern of the API reference: neither an id nor an alias.
  const account = /^arn:aws[-a-z0-9]*:kms:[-a-z0-9]*:([0-9]{12}):key\/.+$/.exec(keyArn)?.[1];
  if (account === undefined)
    throw invalidRequestError(
      "Requests that modify an object's encryption type to SSE-KMS require a valid AWS KMS key Amazon Resource Name (ARN). Confirm that you have a correctly formatted KMS key ARN in your request, and then try again.",
    );
  if (account !== owner)
    throw accessDeniedError(
      'The AWS KMS key in the request must be owned by the same account as the bucket. Modify the request to specify a KMS key from the same account, and then try again.',
    );
}

/**
 * Returns the encryption of a version under another key, with the same data key. AWS requires kms:Encrypt, kms:Decrypt,
 * kms:GenerateDataKey and kms:ReEncrypt* without a statement about which key needs which; the sandbox checks the actions of
 * decryption on the old key, and the others on the new one.
 */
function reencrypt(
  keyService: KeyService,
  bucket: BucketState,
  { key, encryption }: VersionState,
  { keyArn, bucketKey }: { keyArn: string; bucketKey: boolean },
  principal: string,
): ObjectEncryption {
  const request = { principal, viaService: viaServiceOf(bucket), isForwarded: true };
  let dataKey: Buffer;
  if (encryption.keyArn === undefined) dataKey = unwrapS3DataKey(encryption.wrapped);
  else {
    const oldKey = { ...request, keyArn: encryption.keyArn, context: encryption.context };
    keyService.check(oldKey, 'kms:ReEncryptFrom');
    dataKey = keyService.decrypt(oldKey, encryption.wrapped);
  }
  if (keyArn.split(':')[3] !== bucket.region)
    throw new AwsError(400, 'NotFoundException', `Invalid arn ${keyArn.split(':')[3]}`);
  const context = {
    ...encryption.context,
    'aws:s3:arn': encryptionContextArnOf(bucket, key, bucketKey),
  };
  const newKey = { ...request, keyArn, context };
  for (const action of ['kms:GenerateDataKey', 'kms:ReEncryptTo'] as const) keyService.check(newKey, action);
  const wrapped = keyService.encrypt(newKey, dataKey);
  return { ...encryption, algorithm: 'aws:kms', keyArn, bucketKey, wrapped, context };
}
