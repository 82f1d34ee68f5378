import type { normal } from './codec.ts';

type Normal = ReturnType<typeof normal>;

/** What is wrong with an input, by AWS's own two sorts. */
export interface Faults {
  /** Members of another type than the schema's: nothing that the service would even look at. */
  mistyped: string[];
  /** Required members that are not there, as `tags.1.member.key`. */
  missing: string[];
}

/** Hold an input to its operation's schema, as far as the schema tells: types, and what must be there. */
export function faultsOf(schema: Normal, input: unknown): Faults {
  const faults: Faults = { mistyped: [], missing: [] };
  if (!schema.isUnitSchema()) check(schema, input, '', faults);
  return faults;
}

function check(schema: Normal, value: unknown, at: string, faults: Faults): void {
  if (!hasType(schema, value)) {
    faults.mistyped.push(at);
    return;
  }
  if (schema.isStructSchema()) checkMembers(schema, value as Record<string, unknown>, at, faults);
  else if (schema.isListSchema()) {
    for (const [index, item] of (value as unknown[]).entries())
      check(schema.getValueSchema(), item, `${at}.${index + 1}.member`, faults);
  } else if (schema.isMapSchema()) {
    for (const [key, item] of Object.entries(value as object))
      check(schema.getValueSchema(), item, `${at}.${key}.member`, faults);
  }
}

function checkMembers(schema: Normal, value: Record<string, unknown>, at: string, faults: Faults): void {
  let left = requiredMembers(schema);
  for (const [name, member] of schema.structIterator()) {
    const given = value[name] ?? undefined;
    const path = at === '' ? uncapitalised(name) : `${at}.${uncapitalised(name)}`;
    if (given !== undefined) check(member, given, path, faults);
    else if (left > 0) faults.missing.push(path);
    left -= 1;
  }
}

/** The SDK's structures list their required members first, and say how many those are. */
function requiredMembers(schema: Normal): number {
  const count = (schema.getSchema() as unknown[])[6];
  return typeof count === 'number' ? count : 0;
}

function hasType(schema: Normal, value: unknown): boolean {
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
export function missingMessage(missing: string[]): string {
  const each = missing.map(
    (member) => `Value null at '${member}' failed to satisfy constraint: Member must not be null`,
  );
  return `${missing.length} validation error${missing.length === 1 ? '' : 's'} detected: ${each.join('; ')}`;
}

const uncapitalised = (name: string): string => name.slice(0, 1).toLowerCase() + name.slice(1);
