import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { accountRootArn, partitionOfRegion } from '../../util/arn.ts';
import { type AeadCiphertext, decryptAead, encryptAead, packCiphertext, unpackCiphertext } from '../aead.ts';
import { authorize, formatAccessDenied, grantsOf, keyPolicyOf } from '../authorize.ts';
import { AwsError, missingFeatureError } from '../aws-error.ts';
import type { KeyState } from '../state.ts';
import type { Store } from '../store.ts';
import { keyConditionKeysOf } from './condition-keys.ts';
import { isKeyVisible, rejectKeyStates, UNUSABLE_STATES } from './key-state.ts';

/** Account and Region of a request. The KMS API and the calls of S3 to KMS share the functions of this file. */

export interface Requester {
  account: string;
  region: string;
}

/**
 * Returns the key of an id, ARN, alias name or alias ARN, as seen from this account and Region.
 *
 * @throws AwsError NotFoundException, with the message of KMS for each form of the name.
 */
export function findKey(store: Store, name: string, { account, region }: Requester, now: number): KeyState {
  const arn = /^arn:[^:]+:kms:([^:]*):(\d{12}):(key\/(.+)|alias\/.+)$/.exec(name);
  const keyRegion = arn?.[1] ?? region;
  const keyAccount = arn?.[2] ?? account;
  const owner = store.account(keyAccount);
  const alias = arn
    ? arn[4] === undefined
      ? arn[3]
      : undefined
    : name.startsWith('alias/')
      ? name
      : undefined;
  if (alias !== undefined) {
    const target = owner.aliases.get(`${keyRegion}/${alias}`)?.targetKeyId;
    const key =
      target === undefined
        ? createS3ManagedKey(store, alias, keyAccount, keyRegion, now)
        : owner.keys.get(`${keyRegion}/${target}`);
    if (key && isKeyVisible(store, key, now)) return key;
    throw kmsNotFoundError(`Alias ${buildKmsArn(keyAccount, keyRegion, alias)} is not found.`);
  }
  const id = arn?.[4] ?? name;
  const key = keyRegion === region ? owner.keys.get(`${keyRegion}/${id}`) : undefined;
  if (key && isKeyVisible(store, key, now)) return key;
  if (arn && keyRegion !== region) throw kmsNotFoundError(`Invalid arn ${keyRegion}`);
  if (!arn && !/^(mrk-[0-9a-f]{32}|[0-9a-f-]{36})$/.test(id)) throw kmsNotFoundError(`Invalid keyId '${id}'`);
  throw kmsNotFoundError(`Key '${buildKeyArn(keyAccount, keyRegion, id)}' does not exist`);
}

export const buildKeyArn = (account: string, region: string, id: string): string =>
  buildKmsArn(account, region, `key/${id}`);

/** Returns the ARN of a key (`key/ID`) or of an alias (`alias/NAME`). */
export const buildKmsArn = (account: string, region: string, name: string): string =>
  `arn:${partitionOfRegion(region)}:kms:${region}:${account}:${name}`;

export const kmsNotFoundError = (message: string): AwsError =>
  new AwsError(400, 'NotFoundException', message);

/** Creates the AWS managed key of S3 (`alias/aws/s3`) in an account and Region; undefined for other aliases. */
function createS3ManagedKey(
  store: Store,
  alias: string,
  account: string,
  region: string,
  now: number,
): KeyState | undefined {
  if (alias !== 'alias/aws/s3') return undefined;
  const owner = store.account(account);
  const key = createKeyState({ account, region }, now, {
    description: 'Default key that protects my S3 objects when no other key is defined',
    manager: 'AWS',
    policy: s3ManagedKeyPolicy(account, region),
  });
  owner.keys.set(`${region}/${key.id}`, key);
  owner.aliases.set(`${region}/${alias}`, { name: alias, targetKeyId: key.id, created: now });
  store.markChanged(owner);
  return key;
}

export function createKeyState(
  { account, region }: Requester,
  now: number,
  fields: Partial<KeyState>,
): KeyState {
  const id = fields.multiRegion ? `mrk-${randomBytes(16).toString('hex')}` : randomUUID();
  return {
    id,
    arn: buildKeyArn(account, region, id),
    account,
    region,
    description: '',
    state: 'Enabled',
    usage: 'ENCRYPT_DECRYPT',
    spec: 'SYMMETRIC_DEFAULT',
    origin: 'AWS_KMS',
    multiRegion: false,
    manager: 'CUSTOMER',
    created: now,
    policy: defaultKeyPolicy(account, region),
    tags: new Map(),
    rotation: { enabled: false, periodInDays: 365 },
    material: randomBytes(32).toString('base64'),
    visibleFrom: now,
    ...fields,
  };
}

/** Returns the key policy that KMS attaches to a key without a policy, in KMS's format. */
export function defaultKeyPolicy(account: string, region: string): string {
  return formatKeyPolicy({
    Version: '2012-10-17',
    Id: 'key-default-1',
    Statement: [
      {
        Sid: 'Enable IAM User Permissions',
        Effect: 'Allow',
        Principal: { AWS: accountRootArn(account, region) },
        Action: 'kms:*',
        Resource: '*',
      },
    ],
  });
}

/**
 * Formats a policy as KMS stores it: two spaces of indentation, a space before each colon, and each list on one line
 * with its brackets. fact: c7n/test_kms_remove_named/kms.GetKeyPolicy_1
 */
export function formatKeyPolicy(value: unknown, indent = ''): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value))
    return value.length === 0
      ? '[ ]'
      : `[ ${value.map((item) => formatKeyPolicy(item, indent)).join(', ')} ]`;
  const innerIndent = `${indent}  `;
  const members = Object.entries(value).map(
    ([name, member]) => `${innerIndent}${JSON.stringify(name)} : ${formatKeyPolicy(member, innerIndent)}`,
  );
  return members.length === 0 ? '{ }' : `{\n${members.join(',\n')}\n${indent}}`;
}

/** Returns the id of the current key material. Each rotation changes the id. */
export const materialIdOf = ({ id, rotations = 0 }: KeyState): string =>
  createHash('sha256').update(`${id} ${rotations}`).digest('hex');

function s3ManagedKeyPolicy(account: string, region: string): string {
  return formatKeyPolicy({
    Version: '2012-10-17',
    Id: 'auto-s3-2',
    Statement: [
      {
        Sid: 'Allow access through S3 for all principals in the account that are authorized to use S3',
        Effect: 'Allow',
        Principal: { AWS: '*' },
        Action: ['kms:Encrypt', 'kms:Decrypt', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:DescribeKey'],
        Resource: '*',
        Condition: {
          StringEquals: { 'kms:CallerAccount': account, 'kms:ViaService': `s3.${region}.amazonaws.com` },
        },
      },
      {
        Sid: 'Allow direct access to key metadata to the account',
        Effect: 'Allow',
        Principal: { AWS: accountRootArn(account, region) },
        Action: ['kms:Describe*', 'kms:Get*', 'kms:List*'],
        Resource: '*',
      },
    ],
  });
}

/**
 * Calls from S3 to KMS on behalf of a principal. Each call evaluates the key policy and the identity policies of the
 * principal, with `kms:ViaService` and the encryption context, and then checks the state of the key. The key material
 * never leaves the service. Rejected calls throw an `AwsError` with the codes of KMS (`AccessDeniedException`,
 * `DisabledException`, `KMSInvalidStateException`, `NotFoundException`, `InvalidKeyUsageException`).
 */
export interface KeyService {
  /** Resolves a key id, key ARN, alias name or alias ARN to a key ARN, for the account and Region of the requester. */
  resolve(name: string, requester: Requester): string;
  generateDataKey(request: KeyRequest): { plaintext: Buffer; wrapped: string };
  encrypt(request: KeyRequest, plaintext: Buffer): string;
  decrypt(request: KeyRequest, wrapped: string): Buffer;
  /** Checks that the request is allowed and that the key is usable, without using the key. */
  check(request: KeyRequest, action: KeyAction): void;
}

export interface KeyRequest {
  keyArn: string;
  /** ARN of the principal: the root user of an account, or an assumed-role session. */
  principal: string;
  /** `s3.us-east-1.amazonaws.com`, with the Region of the bucket; absent for a direct call to KMS. */
  viaService?: string;
  /** Whether S3 calls KMS with the session of a client (forward access session), not with a role of its own. */
  isForwarded?: boolean;
  context: Record<string, string>;
  /** Further condition keys of the request. */
  conditionKeys?: Record<string, string>;
}

/**
 * Condition keys of a call that S3 forwards for a client (IAM User Guide, "Forward access sessions"). The call does not
 * carry the address of the client.
 */
const FORWARDED_KEYS = {
  'aws:CalledVia': 's3.amazonaws.com',
  'aws:CalledViaFirst': 's3.amazonaws.com',
  'aws:CalledViaLast': 's3.amazonaws.com',
  'aws:ViaAWSService': 'true',
};

export type KeyAction =
  | 'kms:Encrypt'
  | 'kms:Decrypt'
  | 'kms:GenerateDataKey'
  | 'kms:ReEncryptFrom'
  | 'kms:ReEncryptTo';

export function createKeyService(store: Store, clock: () => number): KeyService {
  function getUsableKey(request: KeyRequest, action: KeyAction): KeyState {
    const [, , , region = '', account = ''] = request.keyArn.split(':');
    const key = findKey(store, request.keyArn, { account, region }, clock());
    const callerAccount = request.principal.split(':')[4] ?? '';
    const decision = authorize(
      store,
      {
        principal: request.principal,
        action,
        resource: key.arn,
        resourceAccount: key.account,
        context: {
          ...kmsConditionKeysOf(callerAccount, request.context),
          ...keyConditionKeysOf(store, key),
          'kms:EncryptionAlgorithm': 'SYMMETRIC_DEFAULT',
          'aws:RequestedRegion': key.region,
          ...(request.viaService === undefined
            ? {}
            : { 'kms:ViaService': request.viaService, 'aws:SecureTransport': 'true' }),
          ...(request.isForwarded ? FORWARDED_KEYS : {}),
          ...request.conditionKeys,
        },
        resourcePolicy: keyPolicyOf(store, key, clock()),
        grants: grantsOf(store, key),
      },
      clock(),
    );
    if (!decision.allowed) throw kmsAccessDeniedError(request.principal, action, key.arn, decision.reason);
    checkKeyUsable(store, key, clock(), action.slice('kms:'.length));
    return key;
  }

  return {
    resolve: (name, requester) => findKey(store, name, requester, clock()).arn,
    generateDataKey(request) {
      const key = getUsableKey(request, 'kms:GenerateDataKey');
      const plaintext = randomBytes(32);
      return { plaintext, wrapped: encryptToBlob(key, plaintext, request.context).toString('base64') };
    },
    encrypt: (request, plaintext) =>
      encryptToBlob(getUsableKey(request, 'kms:Encrypt'), plaintext, request.context).toString('base64'),
    decrypt(request, wrapped) {
      const key = getUsableKey(request, 'kms:Decrypt');
      const ciphertext = unpackCiphertext(Buffer.from(wrapped, 'base64'));
      if (!ciphertext) throw new AwsError(400, 'InvalidCiphertextException', '');
      return decryptPayload(key, ciphertext.payload, request.context);
    },
    check: (request, action) => void getUsableKey(request, action),
  };
}

/**
 * Checks that KMS can use a key for symmetric encryption.
 *
 * @throws AwsError with the message of KMS for the operation: `Encrypt`.
 */
export function checkKeyUsable(
  store: Store,
  key: KeyState,
  now: number,
  operation: string,
  algorithm = 'SYMMETRIC_DEFAULT',
): void {
  if (key.usage !== 'ENCRYPT_DECRYPT') {
    throw new AwsError(
      400,
      'InvalidKeyUsageException',
      `${key.arn} key usage is ${key.usage} which is not valid for ${operation}.`,
    );
  }
  rejectKeyStates(store, key, now, UNUSABLE_STATES);
  const isSymmetric = key.spec === 'SYMMETRIC_DEFAULT';
  if (isSymmetric !== (algorithm === 'SYMMETRIC_DEFAULT'))
    throw new AwsError(
      400,
      'InvalidKeyUsageException',
      `Algorithm ${algorithm} is not compatible with key spec ${key.spec}.`,
    );
  if (!isSymmetric) throw missingFeatureError(`encryption under a key of the spec ${key.spec}`);
}

/** Encrypts under a KMS key. The ciphertext contains the ARN of the key. */
export const encryptToBlob = (
  key: KeyState,
  plaintext: Buffer,
  context: Record<string, string> | undefined,
): Buffer => packCiphertext(key.arn, encryptAead(Buffer.from(key.material, 'base64'), plaintext, context));

/** Returns the condition keys of each request that uses a key. */
export function kmsConditionKeysOf(
  callerAccount: string,
  encryptionContext: Record<string, string>,
): Record<string, string | string[]> {
  const pairs = Object.entries(encryptionContext);
  return {
    ...Object.fromEntries(pairs.map(([name, value]) => [`kms:EncryptionContext:${name}`, value])),
    'kms:EncryptionContextKeys': pairs.map(([name]) => name),
    'kms:CallerAccount': callerAccount,
  };
}

export const kmsAccessDeniedError = (
  principal: string,
  action: string,
  resource: string,
  reason?: string,
): AwsError =>
  new AwsError(400, 'AccessDeniedException', formatAccessDenied(principal, action, resource, reason));

export function decryptPayload(
  key: KeyState,
  payload: AeadCiphertext,
  context: Record<string, string>,
): Buffer {
  try {
    return decryptAead(Buffer.from(key.material, 'base64'), payload, context);
  } catch {
    throw new AwsError(400, 'InvalidCiphertextException', '');
  }
}
