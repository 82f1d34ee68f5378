import { createHash, randomBytes } from 'node:crypto';
import { decryptAead, encryptAead } from '../aead.ts';
import { AwsError, invalidRequestError } from '../aws-error.ts';
import type { Call } from '../call.ts';
import { isSecureTransport } from '../request-context.ts';
import type { BucketState, ObjectEncryption, UploadState } from '../state.ts';
import { accessDeniedError, invalidArgumentError, objectArn } from './access.ts';
import { blocksCustomerKeys, type DataKey } from './encryption.ts';

/**
 * Server-side encryption with keys of the caller (SSE-C). S3 stores no key: it encrypts the object under a data key, and
 * the data key under the key of the caller, which every read must provide.
 */

export interface CustomerKey {
  key: Buffer;
  /** MD5 of the key in base64, which responses contain. */
  md5: string;
}

interface CustomerKeyHeaders {
  algorithm: string | undefined;
  key: string | undefined;
  md5: string | undefined;
}

/** Members of an input with the key of the object, and with the key of the source of a copy. */
export interface CustomerKeyInput {
  SSECustomerAlgorithm?: string;
  SSECustomerKey?: string;
  SSECustomerKeyMD5?: string;
  CopySourceSSECustomerAlgorithm?: string;
  CopySourceSSECustomerKey?: string;
  CopySourceSSECustomerKeyMD5?: string;
  ServerSideEncryption?: string;
}

const headersOf = (input: CustomerKeyInput): CustomerKeyHeaders => ({
  algorithm: input.SSECustomerAlgorithm,
  key: input.SSECustomerKey,
  md5: input.SSECustomerKeyMD5,
});

const sourceHeadersOf = (input: CustomerKeyInput): CustomerKeyHeaders => ({
  algorithm: input.CopySourceSSECustomerAlgorithm,
  key: input.CopySourceSSECustomerKey,
  md5: input.CopySourceSSECustomerKeyMD5,
});

/**
 * Returns the key under which a write stores an object; undefined for a write without SSE-C.
 *
 * @throws AwsError 403 when the bucket blocks SSE-C, 400 when a header is missing or wrong.
 */
export function customerKeyOfWrite(
  call: Call,
  bucket: BucketState,
  key: string,
  input: CustomerKeyInput,
): CustomerKey | undefined {
  const headers = headersOf(input);
  if (!isPresent(headers)) return undefined;
  if (input.ServerSideEncryption !== undefined) {
    throw invalidArgumentError(
      'Server Side Encryption with Customer provided key is incompatible with the encryption method specified',
      ARGUMENT_NAME,
      input.ServerSideEncryption,
    );
  }
  const customerKey = parseCustomerKey(call, headers);
  rejectBlockedCustomerKey(call, bucket, key);
  return customerKey;
}

/**
 * Returns the key of a read and the data key that it decrypts; undefined for a version without SSE-C.
 *
 * @param source whether the read is that of a copy, whose source has headers of its own
 * @throws AwsError 400 without the key, or with a key for a version without SSE-C; 403 for another key.
 */
export function customerKeyOfRead(
  call: Call,
  { encryption }: { encryption: ObjectEncryption },
  input: CustomerKeyInput,
  source = false,
): (CustomerKey & { dataKey: Buffer }) | undefined {
  const headers = source ? sourceHeadersOf(input) : headersOf(input);
  if (!encryption.customerKey) {
    if (!isPresent(headers)) return undefined;
    parseCustomerKey(call, headers);
    throw invalidRequestError('The encryption parameters are not applicable to this object.');
  }
  if (!isPresent(headers)) {
    throw invalidRequestError(
      'The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.',
    );
  }
  const customerKey = parseCustomerKey(call, headers);
  const dataKey = unwrapDataKey(customerKey, encryption.wrapped);
  if (dataKey === undefined) {
    throw accessDeniedError(
      'Requests specifying Server Side Encryption with Customer provided keys must provide the correct secret key.',
    );
  }
  return { ...customerKey, dataKey };
}

/**
 * Returns the key of a part, after the check that the upload has the same.
 *
 * @throws AwsError 400 when only one of upload and part has a key, or the keys differ; 403 when the bucket blocks SSE-C.
 */
export function customerKeyOfPart(
  call: Call,
  bucket: BucketState,
  { key, wrapped }: Pick<UploadState, 'key' | 'wrapped'>,
  input: CustomerKeyInput,
): CustomerKey | undefined {
  const headers = headersOf(input);
  if (isPresent(headers) !== (wrapped !== undefined)) {
    throw invalidRequestError(
      'The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.',
    );
  }
  if (wrapped === undefined) return undefined;
  const customerKey = parseCustomerKey(call, headers);
  if (unwrapDataKey(customerKey, wrapped) === undefined) {
    throw invalidRequestError('The provided encryption parameters did not match the ones used originally.');
  }
  rejectBlockedCustomerKey(call, bucket, key);
  return customerKey;
}

/** Returns the members of a response that confirm SSE-C. */
export const toCustomerKeyOutput = (customerKey: CustomerKey | undefined) =>
  customerKey === undefined ? {} : { SSECustomerAlgorithm: 'AES256', SSECustomerKeyMD5: customerKey.md5 };

/** S3 names this argument in every error about the headers of SSE-C. */
const ARGUMENT_NAME = 'x-amz-server-side-encryption';

const isPresent = ({ algorithm, key, md5 }: CustomerKeyHeaders): boolean =>
  algorithm !== undefined || key !== undefined || md5 !== undefined;

/** Parses the three headers of SSE-C, in the order in which S3 checks them. */
function parseCustomerKey(call: Call, { algorithm, key, md5 }: CustomerKeyHeaders): CustomerKey {
  const requirement = (text: string) =>
    invalidArgumentError(
      `Requests specifying Server Side Encryption with Customer provided keys must ${text}.`,
      ARGUMENT_NAME,
    );
  // S3 User Guide, "Using SSE-C": "You must use HTTPS when specifying SSE-C headers".
  if (!isSecureTransport(call.origin, call.faultSettings))
    throw requirement('be made over a secure connection');
  if (algorithm === undefined) throw requirement('provide a valid encryption algorithm');
  if (key === undefined) throw requirement('provide an appropriate secret key');
  if (algorithm !== 'AES256') {
    throw new AwsError(
      400,
      'InvalidEncryptionAlgorithmError',
      'The Encryption request you specified is not valid. Supported value: AES256.',
      { ArgumentName: ARGUMENT_NAME, ArgumentValue: algorithm },
    );
  }
  if (md5 === undefined) throw requirement('provide the client calculated MD5 of the secret key');
  const bytes = Buffer.from(key, 'base64');
  if (createHash('md5').update(bytes).digest('base64') !== md5) {
    throw invalidArgumentError(
      'The calculated MD5 hash of the key did not match the hash that was provided.',
      ARGUMENT_NAME,
    );
  }
  if (bytes.length !== 32)
    throw invalidArgumentError('The secret key was invalid for the specified algorithm.', ARGUMENT_NAME);
  return { key: bytes, md5 };
}

/**
 * Rejects a write with SSE-C to a bucket that blocks it (S3 User Guide, "Blocking or unblocking SSE-C", and
 * "Troubleshoot access denied errors", which has the message).
 */
function rejectBlockedCustomerKey(call: Call, bucket: BucketState, key: string): void {
  if (!blocksCustomerKeys(bucket)) return;
  throw accessDeniedError(
    `User: ${call.caller.arn} is not authorized to perform: s3:${call.operation} on resource: "${objectArn(bucket, key)}" because this bucket has blocked upload requests that specify Server Side Encryption with Customer provided keys (SSE-C). Please specify a different server-side encryption type`,
  );
}

/** Returns a new data key, encrypted under the key of the caller. */
export function createCustomerDataKey({ key }: CustomerKey): DataKey {
  const plaintext = randomBytes(32);
  const { data, ...rest } = encryptAead(key, plaintext);
  return { plaintext, wrapped: JSON.stringify({ ...rest, data: data.toString('base64') }) };
}

/** Decrypts a data key; undefined if another key of the caller encrypted it. */
function unwrapDataKey({ key }: CustomerKey, wrapped: string): Buffer | undefined {
  const { iv, tag, data } = JSON.parse(wrapped) as Record<'iv' | 'tag' | 'data', string>;
  try {
    return decryptAead(key, { iv, tag, data: Buffer.from(data, 'base64') });
  } catch {
    return undefined;
  }
}
