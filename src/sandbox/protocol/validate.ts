import type { normalizeSchema } from './codec.ts';

type InputSchema = ReturnType<typeof normalizeSchema>;

/** What is wrong with an input, by AWS's own two sorts. */
export interface InputErrors {
  /** Members of another type than the schema's: nothing that the service would even look at. */
  mistyped: string[];
  /** Required members that are not there, as `tags.1.member.key`. */
  missing: string[];
}

/** Hold an input to its operation's schema, as far as the schema tells: types, and what must be there. */
export function validateInput(schema: InputSchema, input: unknown): InputErrors {
  const errors: InputErrors = { mistyped: [], missing: [] };
  if (!schema.isUnitSchema()) checkInputValue(schema, input, '', errors);
  return errors;
}

function checkInputValue(schema: InputSchema, value: unknown, path: string, errors: InputErrors): void {
  if (!hasType(schema, value)) {
    errors.mistyped.push(path);
    return;
  }
  if (schema.isStructSchema()) checkMembers(schema, value as Record<string, unknown>, path, errors);
  else if (schema.isListSchema()) {
    for (const [index, item] of (value as unknown[]).entries())
      checkInputValue(schema.getValueSchema(), item, `${path}.${index + 1}.member`, errors);
  } else if (schema.isMapSchema()) {
    for (const [key, item] of Object.entries(value as object))
      checkInputValue(schema.getValueSchema(), item, `${path}.${key}.member`, errors);
  }
}

function checkMembers(
  schema: InputSchema,
  value: Record<string, unknown>,
  parentPath: string,
  errors: InputErrors,
): void {
  let requiredCount = countRequiredMembers(schema);
  for (const [name, member] of schema.structIterator()) {
    const memberValue = value[name] ?? undefined;
    const path = parentPath === '' ? toMemberPath(name) : `${parentPath}.${toMemberPath(name)}`;
    if (memberValue !== undefined) checkInputValue(member, memberValue, path, errors);
    else if (requiredCount > 0) errors.missing.push(path);
    requiredCount -= 1;
  }
}

/** The SDK's structures list their required members first, and say how many those are. */
function countRequiredMembers(schema: InputSchema): number {
  const count = (schema.getSchema() as unknown[])[6];
  return typeof count === 'number' ? count : 0;
}

function hasType(schema: InputSchema, value: unknown): boolean {
  if (schema.isStructSchema() || schema.isMapSchema())
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  if (schema.isListSchema()) return Array.isArray(value);
  if (schema.isBlobSchema()) return value instanceof Uint8Array;
  if (schema.isBooleanSchema()) return typeof value === 'boolean';
  if (schema.isNumericSchema()) return Number.isSafeInteger(value);
  if (schema.isTimestampSchema()) return value instanceof Date && !Number.isNaN(value.getTime());
  return !schema.isStringSchema() || typeof value === 'string';
}

/** The words of KMS, IAM and STS for what is missing. */
export function formatMissingMembers(missing: string[]): string {
  const messages = missing.map(
    (member) => `Value null at '${member}' failed to satisfy constraint: Member must not be null`,
  );
  return `${missing.length} validation error${missing.length === 1 ? '' : 's'} detected: ${messages.join('; ')}`;
}

const toMemberPath = (name: string): string => name.slice(0, 1).toLowerCase() + name.slice(1);
