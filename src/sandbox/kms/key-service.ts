import { randomBytes } from 'node:crypto';
import { decryptAead, encryptAead, packCiphertext, unpackCiphertext } from '../aead.ts';
import { authorize, toNamedPolicy } from '../authorize.ts';
import { AwsError } from '../aws-error.ts';
import type { KeyState } from '../state.ts';
import type { Store } from '../store.ts';
import { findKey, type Requester } from './keys.ts';

/**
 * What S3 asks of KMS on somebody's behalf. Each call is authorised (key policy, and the caller's identity policies)
 * with `kms:ViaService` and the encryption context, and checked for the key's state; the key's material stays inside.
 * Refusals are thrown as `AwsError` with KMS's own codes (`AccessDeniedException`, `DisabledException`,
 * `KMSInvalidStateException`, `NotFoundException`, `InvalidKeyUsageException`).
 */
export interface KeyService {
  /** Resolve a key id, key ARN, alias name or alias ARN to a key ARN, as the requester's account and Region see it. */
  resolve(name: string, requester: Requester): string;
  generateDataKey(request: KeyRequest): { plaintext: Buffer; wrapped: string };
  encrypt(request: KeyRequest, plaintext: Buffer): string;
  decrypt(request: KeyRequest, wrapped: string): Buffer;
  /** Only ask whether it would be allowed and the key be usable. */
  check(request: KeyRequest, action: KeyAction): void;
}

export interface KeyRequest {
  keyArn: string;
  /** ARN of who asks: an account's root, an assumed-role session. */
  principal: string;
  /** `s3.us-east-1.amazonaws.com`, the Region being that of the bucket; absent: KMS is called directly. */
  viaService?: string;
  context: Record<string, string>;
}

export type KeyAction = 'kms:Encrypt' | 'kms:Decrypt' | 'kms:GenerateDataKey';

export function createKeyService(store: Store, clock: () => number): KeyService {
  function getUsableKey(request: KeyRequest, action: KeyAction): KeyState {
    const [, , , region = '', account = ''] = request.keyArn.split(':');
    const key = findKey(store, request.keyArn, { account, region }, clock());
    const callerAccount = request.principal.split(':')[4] ?? '';
    const context: Record<string, string> = { 'kms:CallerAccount': callerAccount };
    if (request.viaService !== undefined) {
      context['kms:ViaService'] = request.viaService;
      context['aws:SecureTransport'] = 'true';
    }
    for (const [name, value] of Object.entries(request.context))
      context[`kms:EncryptionContext:${name}`] = value;
    const decision = authorize(
      store,
      {
        principal: request.principal,
        action,
        resource: key.arn,
        resourceAccount: key.account,
        context: { ...context, 'kms:EncryptionContextKeys': Object.keys(request.context) },
        resourcePolicy: toNamedPolicy(store, `key policy of ${key.arn}`, key.policy),
      },
      clock(),
    );
    if (!decision.allowed) {
      throw new AwsError(
        400,
        'AccessDeniedException',
        `User: ${request.principal} is not authorized to perform: ${action} on resource: ${key.arn} because ${decision.reason}`,
      );
    }
    checkKeyState(key);
    if (key.spec !== 'SYMMETRIC_DEFAULT')
      throw new AwsError(
        400,
        'InvalidKeyUsageException',
        `Algorithm SYMMETRIC_DEFAULT is not compatible with key spec ${key.spec}.`,
      );
    return key;
  }

  return {
    resolve: (name, requester) => findKey(store, name, requester, clock()).arn,
    generateDataKey(request) {
      const key = getUsableKey(request, 'kms:GenerateDataKey');
      const plaintext = randomBytes(32);
      return { plaintext, wrapped: encryptToBase64(key, plaintext, request.context) };
    },
    encrypt: (request, plaintext) =>
      encryptToBase64(getUsableKey(request, 'kms:Encrypt'), plaintext, request.context),
    decrypt(request, wrapped) {
      const key = getUsableKey(request, 'kms:Decrypt');
      const ciphertext = unpackCiphertext(Buffer.from(wrapped, 'base64'));
      if (!ciphertext) throw new AwsError(400, 'InvalidCiphertextException', '');
      return decryptPayload(key, ciphertext.payload, request.context);
    },
    check: (request, action) => void getUsableKey(request, action),
  };
}

export function checkKeyState(key: KeyState): void {
  if (key.usage !== 'ENCRYPT_DECRYPT') {
    throw new AwsError(
      400,
      'InvalidKeyUsageException',
      `${key.arn} key usage is ${key.usage} which is not valid for this operation.`,
    );
  }
  if (key.state === 'Disabled') throw new AwsError(400, 'DisabledException', `${key.arn} is disabled.`);
  if (key.state !== 'Enabled') {
    const state = key.state === 'PendingDeletion' ? 'pending deletion' : key.state.toLowerCase();
    throw new AwsError(400, 'KMSInvalidStateException', `${key.arn} is ${state}.`);
  }
}

const encryptToBase64 = (key: KeyState, plaintext: Buffer, context: Record<string, string>): string =>
  packCiphertext(key.arn, encryptAead(Buffer.from(key.material, 'base64'), plaintext, context)).toString(
    'base64',
  );

export function decryptPayload(
  key: KeyState,
  payload: Parameters<typeof decryptAead>[1],
  context: Record<string, string>,
): Buffer {
  try {
    return decryptAead(Buffer.from(key.material, 'base64'), payload, context);
  } catch {
    throw new AwsError(400, 'InvalidCiphertextException', '');
  }
}
