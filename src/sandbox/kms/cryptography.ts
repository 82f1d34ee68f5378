import { randomBytes } from 'node:crypto';
import { type AeadCiphertext, unpackCiphertext } from '../aead.ts';
import { AwsError } from '../aws-error.ts';
import type { Call, Handlers } from '../call.ts';
import { formatMissingMembers } from '../protocol/codec.ts';
import type { KeyState } from '../state.ts';
import {
  checkDryRun,
  checkRange,
  getAuthorizedKey,
  kmsValidationError,
  requesterOf,
  requireKeyAccess,
} from './access.ts';
import { checkKeyUsable, decryptPayload, encryptToBlob, findKey, materialIdOf } from './keys.ts';

type EncryptionContext = Record<string, string> | undefined;

/** Handlers of the cryptographic operations. */
export const cryptographyHandlers: Handlers = {
  Encrypt(call, input) {
    const plaintext = Buffer.from(input.Plaintext);
    if (plaintext.length === 0) {
      throw new AwsError(
        400,
        'ValidationException',
        "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length greater than or equal to 1",
      );
    }
    if (plaintext.length > 4096) {
      throw new AwsError(
        400,
        'ValidationException',
        "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096",
      );
    }
    const key = getUsableKey(call, input.KeyId, input.EncryptionContext, input.EncryptionAlgorithm);
    checkDryRun(input);
    return {
      CiphertextBlob: encryptToBlob(key, plaintext, input.EncryptionContext),
      KeyId: key.arn,
      EncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
    };
  },

  Decrypt(call, input) {
    const { key, plaintext } = decryptBlob(call, input.CiphertextBlob, {
      name: input.KeyId,
      context: input.EncryptionContext,
      action: 'kms:Decrypt',
      algorithm: input.EncryptionAlgorithm,
    });
    checkDryRun(input);
    return {
      Plaintext: plaintext,
      KeyId: key.arn,
      EncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
      KeyMaterialId: materialIdOf(key),
    };
  },

  ReEncrypt(call, input) {
    const source = decryptBlob(call, input.CiphertextBlob, {
      name: input.SourceKeyId,
      context: input.SourceEncryptionContext,
      action: 'kms:ReEncryptFrom',
      algorithm: input.SourceEncryptionAlgorithm,
    });
    const destinationKey = findKey(call.store, input.DestinationKeyId, requesterOf(call), call.now);
    requireKeyAccess(call, 'kms:ReEncryptTo', destinationKey, input.DestinationEncryptionContext);
    checkKeyUsable(call.store, destinationKey, call.now, 'ReEncrypt', input.DestinationEncryptionAlgorithm);
    checkDryRun(input);
    return {
      CiphertextBlob: encryptToBlob(destinationKey, source.plaintext, input.DestinationEncryptionContext),
      SourceKeyId: source.key.arn,
      KeyId: destinationKey.arn,
      SourceEncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
      DestinationEncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
    };
  },

  GenerateDataKey(call, input) {
    const { key, plaintext, wrapped } = createDataKey(call, input);
    return {
      Plaintext: plaintext,
      CiphertextBlob: wrapped,
      KeyId: key.arn,
      KeyMaterialId: materialIdOf(key),
    };
  },

  GenerateDataKeyWithoutPlaintext(call, input) {
    const { key, wrapped } = createDataKey(call, input);
    return { CiphertextBlob: wrapped, KeyId: key.arn, KeyMaterialId: materialIdOf(key) };
  },
};

/** Returns a key that the caller may use and whose state allows cryptographic operations. */
function getUsableKey(call: Call, name: string, context: EncryptionContext, algorithm?: string): KeyState {
  const key = getAuthorizedKey(call, name, context);
  checkKeyUsable(call.store, key, call.now, call.operation, algorithm);
  return key;
}

function createDataKey(
  call: Call,
  input: {
    KeyId: string;
    KeySpec?: string;
    NumberOfBytes?: number;
    EncryptionContext?: EncryptionContext;
    DryRun?: boolean;
  },
): { key: KeyState; plaintext: Buffer; wrapped: Buffer } {
  const { KeySpec, NumberOfBytes } = input;
  if ((KeySpec === undefined) === (NumberOfBytes === undefined)) {
    throw new AwsError(400, 'ValidationException', 'Please specify either number of bytes or key spec.');
  }
  if (KeySpec !== undefined && !Object.hasOwn(BYTES_BY_KEY_SPEC, KeySpec))
    throw kmsValidationError(KeySpec, 'keySpec', 'Member must satisfy enum value set: [AES_256, AES_128]');
  if (NumberOfBytes !== undefined) checkRange(NumberOfBytes, 'numberOfBytes', [1, 1024]);
  const key = getUsableKey(call, input.KeyId, input.EncryptionContext);
  checkDryRun(input);
  const plaintext = randomBytes(NumberOfBytes ?? BYTES_BY_KEY_SPEC[KeySpec ?? ''] ?? 32);
  return { key, plaintext, wrapped: encryptToBlob(key, plaintext, input.EncryptionContext) };
}

const BYTES_BY_KEY_SPEC: Record<string, number> = { AES_256: 32, AES_128: 16 };

function decryptBlob(
  call: Call,
  blob: Uint8Array | undefined,
  {
    name,
    context = {},
    action,
    algorithm,
  }: { name?: string; context?: EncryptionContext; action: string; algorithm?: string },
): { key: KeyState; plaintext: Buffer } {
  if (blob === undefined)
    throw new AwsError(400, 'ValidationException', formatMissingMembers(['ciphertextBlob']));
  const ciphertext = unpackCiphertext(Buffer.from(blob));
  if (!ciphertext) throw new AwsError(400, 'InvalidCiphertextException', '');
  const key = findKey(call.store, name ?? keyArnOfCiphertext(call, ciphertext), requesterOf(call), call.now);
  requireKeyAccess(call, action, key, context);
  if (keyIdOfArn(key.arn) !== keyIdOfArn(ciphertext.keyArn)) {
    throw new AwsError(
      400,
      'IncorrectKeyException',
      'The key ID in the request does not identify a CMK that can perform this operation.',
    );
  }
  checkKeyUsable(call.store, key, call.now, call.operation, algorithm);
  return { key, plaintext: decryptPayload(key, ciphertext.payload, context) };
}

/**
 * Returns the ARN of the key that decrypts a ciphertext. For a multi-Region key this is the key in the Region of the
 * call, because a replica decrypts ciphertexts from other Regions.
 */
function keyArnOfCiphertext(call: Call, { keyArn }: { keyArn: string; payload: AeadCiphertext }): string {
  const [arn, partition, kms, , account] = keyArn.split(':');
  const id = keyIdOfArn(keyArn);
  return id.startsWith('mrk-') ? [arn, partition, kms, call.region, account, `key/${id}`].join(':') : keyArn;
}

const keyIdOfArn = (arn: string): string => arn.slice(arn.indexOf('/') + 1);
