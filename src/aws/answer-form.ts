import { NormalizedSchema } from '@smithy/core/schema';
import { schemaOf } from './operation.ts';

/**
 * What an answer is worthless without. The SDK passes an empty body off as an answer that says nothing, which reads as
 * "there is none", and what there is none of would be made, or written over.
 */
const NEEDED: Record<string, string> = {
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
export class MalformedAnswer extends Error {}

/**
 * Hold an answer to the form of its operation: the SDK passes on values of JSON whatever their types, and a recording
 * may hold anything.
 *
 * @throws MalformedAnswer with the place in the answer.
 */
export function checkAnswer(command: object, answer: unknown): void {
  const wrong = misfitOf(command, answer);
  if (wrong !== undefined) throw malformed(wrong);
  const needed = NEEDED[schemaOf(command)[2]];
  if (needed !== undefined && (answer as Record<string, unknown>)[needed] === undefined)
    throw malformed(`it lacks ${needed}`);
}

/** Where an answer to a command is not of the types that AWS answers, in words. */
export function misfitOf(command: object, answer: unknown): string | undefined {
  const output = schemaOf(command)[5];
  const schema = typeof output === 'function' ? (output as () => unknown)() : output;
  return schema === undefined ? undefined : misfit(NormalizedSchema.of(schema as never), answer, '');
}

const malformed = (why: string): MalformedAnswer =>
  new MalformedAnswer(`the answer has not the form of one: ${why}`);

/** Where a value is not of the type that its schema says, in words; what the schema does not know may be anything. */
function misfit(schema: NormalizedSchema, value: unknown, at: string): string | undefined {
  if (schema.isUnitSchema() || schema.isBlobSchema() || schema.isDocumentSchema()) return undefined;
  const isObject = typeof value === 'object' && value !== null;
  if (schema.isListSchema()) {
    if (!Array.isArray(value)) return `${at} is no list`;
    const item = schema.getValueSchema();
    return first(value.entries(), ([index, one]) => misfit(item, one, `${at}[${index}]`));
  }
  if (schema.isStructSchema() || schema.isMapSchema()) {
    if (!isObject || Array.isArray(value)) return `${at || 'it'} is no structure`;
    const members = schema.isMapSchema() ? undefined : schema.getMemberSchemas();
    return first(Object.entries(value), ([name, one]) => {
      const member = members ? own(members, name) : schema.getValueSchema();
      return member && one !== undefined
        ? misfit(member, one, at === '' ? name : `${at}.${name}`)
        : undefined;
    });
  }
  if (schema.isBooleanSchema())
    return typeof value === 'boolean' ? undefined : `${at} is neither true nor false`;
  if (schema.isNumericSchema()) return Number.isFinite(value) ? undefined : `${at} is no number`;
  if (schema.isTimestampSchema())
    return value instanceof Date || typeof value === 'string' ? undefined : `${at} is no time`;
  return !schema.isStringSchema() || typeof value === 'string' ? undefined : `${at} is no text`;
}

function first<T>(items: Iterable<T>, look: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const found = look(item);
    if (found !== undefined) return found;
  }
  return undefined;
}

const own = <T>(members: Record<string, T>, name: string): T | undefined =>
  Object.hasOwn(members, name) ? members[name] : undefined;
