import { NormalizedSchema } from '@smithy/core/schema';
import { schemaOf } from './command.ts';

/**
 * What an answer is worthless without. The SDK passes an empty body off as an answer that says nothing, which reads as
 * "there is none", and what there is none of would be made, or written over.
 */
const REQUIRED_FIELDS: Record<string, string> = {
  DescribeKey: 'KeyMetadata',
  GetAccountAuthorizationDetails: 'RoleDetailList',
  GetBucketEncryption: 'ServerSideEncryptionConfiguration',
  GetBucketOwnershipControls: 'OwnershipControls',
  GetBucketPolicy: 'Policy',
  GetBucketReplication: 'ReplicationConfiguration',
  GetCallerIdentity: 'Account',
  GetKeyPolicy: 'Policy',
  GetPublicAccessBlock: 'PublicAccessBlockConfiguration',
  GetRole: 'Role',
  GetRolePolicy: 'PolicyDocument',
  ListAliases: 'Aliases',
  ListBuckets: 'Buckets',
  ListKeys: 'Keys',
  ListRoles: 'Roles',
  LookupEvents: 'Events',
};

/** An answer that is not of the form in which AWS answers. */
export class InvalidResponseError extends Error {}

/**
 * Hold an answer to the form of its operation: the SDK passes on values of JSON whatever their types, and a recording
 * may hold anything.
 *
 * @throws MalformedAnswer with the place in the answer.
 */
export function validateResponse(command: object, response: unknown): void {
  const violation = schemaViolationOf(command, response);
  if (violation !== undefined) throw invalidResponse(violation);
  const requiredField = REQUIRED_FIELDS[schemaOf(command)[2]];
  if (requiredField !== undefined && (response as Record<string, unknown>)[requiredField] === undefined)
    throw invalidResponse(`it lacks ${requiredField}`);
}

/** Where an answer to a command is not of the types that AWS answers, in words. */
export function schemaViolationOf(command: object, response: unknown): string | undefined {
  const outputSchema = schemaOf(command)[5];
  const schema = typeof outputSchema === 'function' ? (outputSchema as () => unknown)() : outputSchema;
  return schema === undefined
    ? undefined
    : schemaViolationAt(NormalizedSchema.of(schema as never), response, '');
}

const invalidResponse = (reason: string): InvalidResponseError =>
  new InvalidResponseError(`the answer has not the form of one: ${reason}`);

/** Where a value is not of the type that its schema says, in words; what the schema does not know may be anything. */
function schemaViolationAt(schema: NormalizedSchema, value: unknown, path: string): string | undefined {
  if (schema.isUnitSchema() || schema.isBlobSchema() || schema.isDocumentSchema()) return undefined;
  const isObject = typeof value === 'object' && value !== null;
  if (schema.isListSchema()) {
    if (!Array.isArray(value)) return `${path} is no list`;
    const itemSchema = schema.getValueSchema();
    return firstDefined(value.entries(), ([index, item]) =>
      schemaViolationAt(itemSchema, item, `${path}[${index}]`),
    );
  }
  if (schema.isStructSchema() || schema.isMapSchema()) {
    if (!isObject || Array.isArray(value)) return `${path || 'it'} is no structure`;
    const memberSchemas = schema.isMapSchema() ? undefined : schema.getMemberSchemas();
    return firstDefined(Object.entries(value), ([name, member]) => {
      const memberSchema = memberSchemas ? ownMember(memberSchemas, name) : schema.getValueSchema();
      return memberSchema && member !== undefined
        ? schemaViolationAt(memberSchema, member, path === '' ? name : `${path}.${name}`)
        : undefined;
    });
  }
  if (schema.isBooleanSchema())
    return typeof value === 'boolean' ? undefined : `${path} is neither true nor false`;
  if (schema.isNumericSchema()) return Number.isFinite(value) ? undefined : `${path} is no number`;
  if (schema.isTimestampSchema())
    return value instanceof Date || typeof value === 'string' ? undefined : `${path} is no time`;
  return !schema.isStringSchema() || typeof value === 'string' ? undefined : `${path} is no text`;
}

function firstDefined<T>(items: Iterable<T>, find: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const result = find(item);
    if (result !== undefined) return result;
  }
  return undefined;
}

const ownMember = <T>(members: Record<string, T>, name: string): T | undefined =>
  Object.hasOwn(members, name) ? members[name] : undefined;
