import { partitionOfRegion } from '../../util/arn.ts';
import { formatAccessDenied } from '../authorize.ts';
import { AwsError, constraintError } from '../aws-error.ts';
import { authorizeCaller, type Call, callerAccountOf, type Handlers, pageOf } from '../call.ts';
import type { RoleState } from '../state.ts';
import { isAwsManagedPolicy } from '../stored-policies.ts';

/**
 * Wraps handlers so that each one first evaluates the identity policies of the caller. IAM has no resource policies
 * for these operations.
 */
export const withIamAuthorization = (handlers: Handlers): Handlers =>
  Object.fromEntries(
    Object.entries(handlers).map(([operation, handler]) => [
      operation,
      (call: Call, input: IamResourceNames) => {
        requireIamAccess(call, iamResourceArnOf(call, input));
        return handler(call, input);
      },
    ]),
  );

/** Input members that identify the resource of an operation. */
interface IamResourceNames {
  RoleName?: string;
  PolicyArn?: string;
  PolicyName?: string;
  Path?: string;
}

function iamResourceArnOf(
  call: Call,
  { RoleName, PolicyArn, PolicyName, Path = '/' }: IamResourceNames,
): string {
  if (RoleName !== undefined) {
    const role = callerAccountOf(call).roles.get(RoleName.toLowerCase());
    return role?.arn ?? iamArnOf(call, `role${Path}${RoleName}`);
  }
  if (PolicyArn !== undefined) return PolicyArn;
  return PolicyName === undefined ? '*' : iamArnOf(call, `policy${Path}${PolicyName}`);
}

/** Returns the ARN of a resource of the caller's account: `role/NAME`, `policy/NAME`. */
export const iamArnOf = ({ caller, region }: Call, resource: string): string =>
  `arn:${partitionOfRegion(region)}:iam::${caller.account}:${resource}`;

function requireIamAccess(call: Call, resource: string): void {
  const action = `iam:${call.operation}`;
  const { allowed, reason } = authorizeCaller(call, { action, resource });
  if (allowed) return;
  throw new AwsError(403, 'AccessDenied', formatAccessDenied(call.caller.arn, action, resource, reason));
}

export function getRoleByName(call: Call, name: string): RoleState {
  const role = callerAccountOf(call).roles.get(name.toLowerCase());
  if (role && role.visibleFrom <= call.now) return role;
  throw noSuchEntityError(`The role with name ${name} cannot be found.`);
}

/** Returns a role that the caller may modify. Service-linked roles are not modifiable. */
export function getMutableRole(call: Call, name: string): RoleState {
  const role = getRoleByName(call, name);
  if (!role.path.startsWith(SERVICE_ROLE_PATH)) return role;
  throw new AwsError(
    400,
    'UnmodifiableEntity',
    `Cannot perform the operation on the protected role '${role.name}' - this role is only modifiable by AWS`,
  );
}

export const SERVICE_ROLE_PATH = '/aws-service-role/';

/** @throws AwsError NoSuchEntity when neither AWS nor the account has a managed policy of that ARN. */
export function requireManagedPolicy(call: Call, arn: string, label: string): void {
  if (!isAwsManagedPolicy(arn) && !callerAccountOf(call).policies.has(arn))
    throw noSuchEntityError(`${label} ${arn} does not exist or is not attachable.`);
}

/** Returns a page of a list, with the paging members of each IAM list. */
export function iamPageOf<T>(
  items: readonly T[],
  { MaxItems = 100, Marker }: { MaxItems?: number; Marker?: string },
): { items: T[]; IsTruncated: boolean; Marker: string | undefined } {
  const { items: page, next } = pageOf(items, MaxItems, Marker);
  return { items: page, IsTruncated: next !== undefined, Marker: next };
}

export const noSuchEntityError = (message: string): AwsError => new AwsError(404, 'NoSuchEntity', message);

export const limitExceededError = (message: string): AwsError => new AwsError(409, 'LimitExceeded', message);

/** Returns the error of IAM for a value that its model does not allow. */
export const iamValidationError = (value: string, member: string, constraint: string): AwsError =>
  constraintError('ValidationError', value, member, constraint);

export function checkMaxLength(value: string | undefined, member: string, limit: number): void {
  if (value !== undefined && value.length > limit)
    throw iamValidationError(value, member, `Member must have length less than or equal to ${limit}`);
}

export function checkIamName(name: string, member: string, limit: number): void {
  checkMaxLength(name, member, limit);
  if (/^[\w+=,.@-]+$/.test(name)) return;
  throw new AwsError(
    400,
    'ValidationError',
    `The specified value for ${member} is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-`,
  );
}

export type IamTag = { Key: string; Value: string };

const MAX_TAGS = 50;
const TAG_KEY = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]+$/u;
const TAG_VALUE = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

/** @throws AwsError of IAM for tags that are too many, too long, equal, or have other characters. */
export function checkIamTags(tags: readonly IamTag[]): void {
  if (tags.length > MAX_TAGS)
    throw iamListError('tags', `Member must have length less than or equal to ${MAX_TAGS}`);
  for (const [index, { Key, Value }] of tags.entries()) {
    const place = `tags.${index + 1}.member`;
    if (Key.length > 128)
      throw iamListError(`${place}.key`, 'Member must have length less than or equal to 128');
    if (Key === '') throw iamListError(`${place}.key`, 'Member must have length greater than or equal to 1');
    if (Value.length > 256)
      throw iamListError(`${place}.value`, 'Member must have length less than or equal to 256');
    const pattern = '[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]';
    if (!TAG_KEY.test(Key))
      throw iamListError(`${place}.key`, `Member must satisfy regular expression pattern: ${pattern}+`);
    if (!TAG_VALUE.test(Value))
      throw iamListError(`${place}.value`, `Member must satisfy regular expression pattern: ${pattern}*`);
  }
  if (new Set(tags.map(({ Key }) => Key.toLowerCase())).size === tags.length) return;
  throw new AwsError(
    400,
    'InvalidInput',
    'Duplicate tag keys found. Please note that Tag keys are case insensitive.',
  );
}

export function checkIamTagKeys(keys: readonly string[]): void {
  if (keys.length > MAX_TAGS)
    throw iamListError('tagKeys', `Member must have length less than or equal to ${MAX_TAGS}`);
  if (keys.every((key) => key.length <= 128 && TAG_KEY.test(key))) return;
  throw iamListError(
    'tagKeys',
    'Member must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+, Member must not be null]',
  );
}

/** Returns the error of IAM for a list, or for a member of a list. It does not contain the value. */
const iamListError = (member: string, constraint: string): AwsError =>
  new AwsError(
    400,
    'ValidationError',
    `1 validation error detected: Value at '${member}' failed to satisfy constraint: ${constraint}`,
  );
