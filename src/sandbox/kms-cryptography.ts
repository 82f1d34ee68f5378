import { randomBytes } from 'node:crypto';
import { AwsError } from './aws-error.ts';
import type { Call, Handlers } from './call.ts';
import { demand, inRange, keyFor, violation } from './kms-access.ts';
import { findKey, materialId } from './kms-keys.ts';
import { checkState, open } from './kms-service.ts';
import { missingMessage } from './protocol/validate.ts';
import { packCiphertext, type Sealed, seal, unpackCiphertext } from './sealed.ts';
import type { KeyState } from './state.ts';

type Context = Record<string, string> | undefined;

/** The operations that use a key. */
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
    const key = usable(call, input.KeyId, input.EncryptionContext);
    return {
      CiphertextBlob: encrypted(key, plaintext, input.EncryptionContext),
      KeyId: key.arn,
      EncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
    };
  },

  Decrypt(call, input) {
    const { key, plaintext } = decrypted(call, input.CiphertextBlob, {
      name: input.KeyId,
      context: input.EncryptionContext,
      action: 'kms:Decrypt',
    });
    return {
      Plaintext: plaintext,
      KeyId: key.arn,
      EncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
      KeyMaterialId: materialId(key),
    };
  },

  ReEncrypt(call, input) {
    const from = decrypted(call, input.CiphertextBlob, {
      name: input.SourceKeyId,
      context: input.SourceEncryptionContext,
      action: 'kms:ReEncryptFrom',
    });
    const to = findKey(call.store, input.DestinationKeyId, requester(call), call.now);
    demand(call, 'kms:ReEncryptTo', to, input.DestinationEncryptionContext);
    checkState(to);
    return {
      CiphertextBlob: encrypted(to, from.plaintext, input.DestinationEncryptionContext),
      SourceKeyId: from.key.arn,
      KeyId: to.arn,
      SourceEncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
      DestinationEncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
    };
  },

  GenerateDataKey(call, input) {
    const { key, plaintext, wrapped } = dataKey(call, input);
    return {
      Plaintext: plaintext,
      CiphertextBlob: wrapped,
      KeyId: key.arn,
      KeyMaterialId: materialId(key),
    };
  },

  GenerateDataKeyWithoutPlaintext(call, input) {
    const { key, wrapped } = dataKey(call, input);
    return { CiphertextBlob: wrapped, KeyId: key.arn, KeyMaterialId: materialId(key) };
  },
};

/** A key that the caller may use so, and that is in a state to work. */
function usable(call: Call, name: string, context: Context): KeyState {
  const key = keyFor(call, name, context);
  checkState(key);
  return key;
}

function dataKey(
  call: Call,
  input: { KeyId: string; KeySpec?: string; NumberOfBytes?: number; EncryptionContext?: Context },
): { key: KeyState; plaintext: Buffer; wrapped: Buffer } {
  const { KeySpec, NumberOfBytes } = input;
  if ((KeySpec === undefined) === (NumberOfBytes === undefined)) {
    throw new AwsError(400, 'ValidationException', 'Please specify either number of bytes or key spec.');
  }
  if (KeySpec !== undefined && !Object.hasOwn(KEY_BYTES, KeySpec))
    throw violation(KeySpec, 'keySpec', 'Member must satisfy enum value set: [AES_256, AES_128]');
  if (NumberOfBytes !== undefined) inRange(NumberOfBytes, 'numberOfBytes', [1, 1024]);
  const key = usable(call, input.KeyId, input.EncryptionContext);
  const plaintext = randomBytes(NumberOfBytes ?? KEY_BYTES[KeySpec ?? ''] ?? 32);
  return { key, plaintext, wrapped: encrypted(key, plaintext, input.EncryptionContext) };
}

const KEY_BYTES: Record<string, number> = { AES_256: 32, AES_128: 16 };

function decrypted(
  call: Call,
  blob: Uint8Array | undefined,
  { name, context = {}, action }: { name?: string; context?: Context; action: string },
): { key: KeyState; plaintext: Buffer } {
  if (blob === undefined) throw new AwsError(400, 'ValidationException', missingMessage(['ciphertextBlob']));
  const ciphertext = unpackCiphertext(Buffer.from(blob));
  if (!ciphertext) throw new AwsError(400, 'InvalidCiphertextException', '');
  const key = findKey(call.store, name ?? keyOfCiphertext(call, ciphertext), requester(call), call.now);
  demand(call, action, key, context);
  if (keyId(key.arn) !== keyId(ciphertext.keyArn)) {
    throw new AwsError(
      400,
      'IncorrectKeyException',
      'The key ID in the request does not identify a CMK that can perform this operation.',
    );
  }
  checkState(key);
  return { key, plaintext: open(key, ciphertext.sealed, context) };
}

/** What a multi-Region key encrypted in one Region, its replica decrypts in another. */
function keyOfCiphertext(call: Call, { keyArn }: { keyArn: string; sealed: Sealed }): string {
  const [arn, partition, kms, , account] = keyArn.split(':');
  const id = keyId(keyArn);
  return id.startsWith('mrk-') ? [arn, partition, kms, call.region, account, `key/${id}`].join(':') : keyArn;
}

const keyId = (arn: string): string => arn.slice(arn.indexOf('/') + 1);

const requester = (call: Call) => ({ account: call.caller.account, region: call.region });

const encrypted = (key: KeyState, plaintext: Buffer, context: Context): Buffer =>
  packCiphertext(key.arn, seal(Buffer.from(key.material, 'base64'), plaintext, context));
