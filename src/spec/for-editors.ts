interface Schema {
  type?: string;
  required?: string[];
  oneOf?: Schema[];
  anyOf?: Schema[];
  [keyword: string]: unknown;
}

/**
 * A schema that judges the same, in the form for which the YAML language server has the better words: of several forms
 * it tells what is wrong with the first, and of "exactly one" it does not tell which.
 */
export function forEditors(schema: Schema): Schema {
  return everywhere(schema, (one) => onlyOne(longFormFirst(one)));
}

function everywhere(value: Schema, change: (schema: Schema) => Schema): Schema;
function everywhere(value: unknown, change: (schema: Schema) => Schema): unknown;
function everywhere(value: unknown, change: (schema: Schema) => Schema): unknown {
  if (Array.isArray(value)) return value.map((one) => everywhere(one, change));
  if (typeof value !== 'object' || value === null) return value;
  return change(
    Object.fromEntries(Object.entries(value).map(([name, one]) => [name, everywhere(one, change)])),
  );
}

/** A misspelt key in a long form is told as such, and not as a text that is missing. */
function longFormFirst({ anyOf, ...rest }: Schema): Schema {
  const isLong = ({ type }: Schema) => type === 'object';
  return anyOf ? { ...rest, anyOf: [...anyOf.filter(isLong), ...anyOf.filter((one) => !isLong(one))] } : rest;
}

/** "Exactly one of two fields": the first, or the second alone; and beside either not the other, in words. */
function onlyOne(schema: Schema): Schema {
  const { oneOf, ...rest } = schema;
  const [one, other, ...more] = oneOf?.flatMap(({ required = [] }) => required) ?? [];
  if (one === undefined || other === undefined || more.length > 0) return schema;
  const errorMessage = `Either ${one} or ${other}, not both.`;
  return {
    ...rest,
    oneOf: [{ required: [one] }, { required: [other], not: { required: [one] } }],
    dependencies: {
      [one]: { properties: { [other]: false }, errorMessage },
      [other]: { properties: { [one]: false }, errorMessage },
    },
  };
}
