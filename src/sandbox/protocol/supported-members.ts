import { missingFeatureError } from '../aws-error.ts';
import { ignoredMembers } from './ignored-members.ts';
import type { ServiceName } from './operations.ts';

/**
 * Members that change nothing in the sandbox, or that it applies before a handler receives the input: of all operations, or
 * of one (`ListParts.SSECustomerKey`).
 */
export const MEMBERS_WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  // The protocol layer checks digests and lengths of bodies, for all operations.
  'ContentLength',
  'ContentMD5',
  'ChecksumAlgorithm',
  'ChecksumCRC32',
  'ChecksumCRC32C',
  'ChecksumCRC64NVME',
  'ChecksumSHA1',
  'ChecksumSHA256',
  // No bucket of the sandbox charges the requester.
  'RequestPayer',
  // No bucket of the sandbox requires MFA. S3 accepts the header then.
  'MFA',
  // A request for RestoreStatus. No object of the sandbox is archived.
  'OptionalObjectAttributes',
  // A token that AWS Support gave out. S3 requires none since 2023.
  'Token',
  // The sandbox lets a caller lock itself out of a bucket policy.
  'ConfirmRemoveSelfBucketAccess',
  // No bucket has an analytics, inventory, metrics or tiering configuration.
  'Id',
  'ContinuationToken',
  // The parts of the upload hold the key of the customer.
  'CompleteMultipartUpload.SSECustomerAlgorithm',
  'CompleteMultipartUpload.SSECustomerKey',
  'CompleteMultipartUpload.SSECustomerKeyMD5',
  'ListParts.SSECustomerAlgorithm',
  'ListParts.SSECustomerKey',
  'ListParts.SSECustomerKeyMD5',
]);

/** @throws AwsError when a request sets a member that the handler would ignore. The default of a member is no setting. */
export function checkSupportedMembers(
  service: ServiceName,
  operation: string,
  input: Record<string, unknown>,
): void {
  const members = ignoredMembers[service]?.[operation];
  const member = members?.split(' ').find((name) => !isUnset(input[name]));
  if (member !== undefined) throw missingFeatureError(`${member} of ${service}:${operation}`);
}

const isUnset = (value: unknown): boolean =>
  value === undefined || value === null || value === '' || value === false || isEmptyObject(value);

const isEmptyObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !(value instanceof Date) && Object.keys(value).length === 0;
