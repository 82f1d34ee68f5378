interface EditorSchema {
  type?: string;
  required?: string[];
  oneOf?: EditorSchema[];
  anyOf?: EditorSchema[];
  [keyword: string]: unknown;
}

/**
 * A schema that judges the same, in the form for which the YAML language server has the better words: of several forms
 * it tells what is wrong with the first, and of "exactly one" it does not tell which.
 */
export function toEditorSchema(schema: EditorSchema): EditorSchema {
  return mapSchemas(schema, (subschema) => expandOneOf(moveLongFormFirst(subschema)));
}

function mapSchemas(value: EditorSchema, transform: (schema: EditorSchema) => EditorSchema): EditorSchema;
function mapSchemas(value: unknown, transform: (schema: EditorSchema) => EditorSchema): unknown;
function mapSchemas(value: unknown, transform: (schema: EditorSchema) => EditorSchema): unknown {
  if (Array.isArray(value)) return value.map((item) => mapSchemas(item, transform));
  if (typeof value !== 'object' || value === null) return value;
  return transform(
    Object.fromEntries(Object.entries(value).map(([name, item]) => [name, mapSchemas(item, transform)])),
  );
}

/** A misspelt key in a long form is told as such, and not as a text that is missing. */
function moveLongFormFirst({ anyOf, ...rest }: EditorSchema): EditorSchema {
  const isLong = ({ type }: EditorSchema) => type === 'object';
  return anyOf
    ? { ...rest, anyOf: [...anyOf.filter(isLong), ...anyOf.filter((variant) => !isLong(variant))] }
    : rest;
}

/** "Exactly one of two fields": the first, or the second alone; and beside either not the other, in words. */
function expandOneOf(schema: EditorSchema): EditorSchema {
  const { oneOf, ...rest } = schema;
  const [first, second, ...remaining] = oneOf?.flatMap(({ required = [] }) => required) ?? [];
  if (first === undefined || second === undefined || remaining.length > 0) return schema;
  const errorMessage = `Either ${first} or ${second}, not both.`;
  return {
    ...rest,
    oneOf: [{ required: [first] }, { required: [second], not: { required: [first] } }],
    dependencies: {
      [first]: { properties: { [second]: false }, errorMessage },
      [second]: { properties: { [first]: false }, errorMessage },
    },
  };
}
