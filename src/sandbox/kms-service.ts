import { randomBytes } from 'node:crypto';
import { authorize, storedPolicy } from './authorize.ts';
import { AwsError } from './aws-error.ts';
import { findKey, type Requester } from './kms-keys.ts';
import { packCiphertext, seal, unpackCiphertext, unseal } from './sealed.ts';
import type { KeyState } from './state.ts';
import type { Store } from './store.ts';

/**
 * What S3 asks of KMS on somebody's behalf. Each call is authorised (key policy, and the caller's identity policies)
 * with `kms:ViaService` and the encryption context, and checked for the key's state; the key's material stays inside.
 * Refusals are thrown as `AwsError` with KMS's own codes (`AccessDeniedException`, `DisabledException`,
 * `KMSInvalidStateException`, `NotFoundException`, `InvalidKeyUsageException`).
 */
export interface KeyService {
  /** Resolve a key id, key ARN, alias name or alias ARN to a key ARN, as the requester's account and Region see it. */
  resolve(key: string, requester: Requester): string;
  generateDataKey(use: KeyUse): { plaintext: Buffer; wrapped: string };
  encrypt(use: KeyUse, plaintext: Buffer): string;
  decrypt(use: KeyUse, wrapped: string): Buffer;
  /** Only ask whether it would be allowed and the key be usable. */
  check(use: KeyUse, action: KeyAction): void;
}

export interface KeyUse {
  keyArn: string;
  /** ARN of who asks: an account's root, an assumed-role session. */
  principal: string;
  /** `s3.us-east-1.amazonaws.com`, the Region being that of the bucket; absent: KMS is called directly. */
  viaService?: string;
  context: Record<string, string>;
}

export type KeyAction = 'kms:Encrypt' | 'kms:Decrypt' | 'kms:GenerateDataKey';

export function createKeyService(store: Store, clock: () => number): KeyService {
  function usable(use: KeyUse, action: KeyAction): KeyState {
    const [, , , region = '', account = ''] = use.keyArn.split(':');
    const key = findKey(store, use.keyArn, { account, region }, clock());
    const callerAccount = use.principal.split(':')[4] ?? '';
    const context: Record<string, string> = { 'kms:CallerAccount': callerAccount };
    if (use.viaService !== undefined) {
      context['kms:ViaService'] = use.viaService;
      context['aws:SecureTransport'] = 'true';
    }
    for (const [name, value] of Object.entries(use.context)) context[`kms:EncryptionContext:${name}`] = value;
    const decision = authorize(
      store,
      {
        principal: use.principal,
        action,
        resource: key.arn,
        resourceAccount: key.account,
        context: { ...context, 'kms:EncryptionContextKeys': Object.keys(use.context) },
        resourcePolicy: storedPolicy(store, `key policy of ${key.arn}`, key.policy),
      },
      clock(),
    );
    if (!decision.allowed) {
      throw new AwsError(
        400,
        'AccessDeniedException',
        `User: ${use.principal} is not authorized to perform: ${action} on resource: ${key.arn} because ${decision.reason}`,
      );
    }
    checkState(key);
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
    generateDataKey(use) {
      const key = usable(use, 'kms:GenerateDataKey');
      const plaintext = randomBytes(32);
      return { plaintext, wrapped: wrap(key, plaintext, use.context) };
    },
    encrypt: (use, plaintext) => wrap(usable(use, 'kms:Encrypt'), plaintext, use.context),
    decrypt(use, wrapped) {
      const key = usable(use, 'kms:Decrypt');
      const ciphertext = unpackCiphertext(Buffer.from(wrapped, 'base64'));
      if (!ciphertext) throw new AwsError(400, 'InvalidCiphertextException', '');
      return open(key, ciphertext.sealed, use.context);
    },
    check: (use, action) => void usable(use, action),
  };
}

export function checkState(key: KeyState): void {
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

const wrap = (key: KeyState, plaintext: Buffer, context: Record<string, string>): string =>
  packCiphertext(key.arn, seal(Buffer.from(key.material, 'base64'), plaintext, context)).toString('base64');

export function open(
  key: KeyState,
  sealed: Parameters<typeof unseal>[1],
  context: Record<string, string>,
): Buffer {
  try {
    return unseal(Buffer.from(key.material, 'base64'), sealed, context);
  } catch {
    throw new AwsError(400, 'InvalidCiphertextException', '');
  }
}
