import * as z from 'zod';
import { documentSchemas } from './schema.ts';

/** Builds the JSON Schema of spec files. It uses draft 7, which editors support. */
export function buildJsonSchema(): object {
  const { anyOf = [], ...rest } = z.toJSONSchema(z.union(Object.values(documentSchemas)), {
    target: 'draft-7',
    io: 'input',
  }) as JsonSchemaNode;
  return toEditorSchema({
    ...rest,
    title: 'replikey specs',
    description: 'Declarative S3 replication of KMS-encrypted objects.',
    definitions: { variable: VARIABLE_REFERENCE_SCHEMA },
    anyOf: anyOf.map((document) => ({
      title: kindOfSchema(document) ?? '',
      ...(kindOfSchema(document) === 'Variables' ? document : toWrittenForm(document)),
    })),
  });
}

/** A part of a JSON Schema. */
interface JsonSchemaNode {
  type?: string | string[];
  description?: string;
  default?: unknown;
  enum?: string[];
  const?: string;
  minimum?: number;
  maximum?: number;
  examples?: unknown[];
  properties?: Record<string, JsonSchemaNode>;
  required?: string[];
  additionalProperties?: JsonSchemaNode | boolean;
  items?: JsonSchemaNode;
  oneOf?: JsonSchemaNode[];
  anyOf?: JsonSchemaNode[];
  [keyword: string]: unknown;
}

const kindOfSchema = ({ properties }: JsonSchemaNode): string | undefined => properties?.kind?.const;

/** Returns the schema of a document as written: variables are allowed, and fields from Defaults are optional. */
function toWrittenForm(document: JsonSchemaNode): JsonSchemaNode {
  const { properties = {} } = document;
  const { metadata, spec, ...envelope } = properties;
  return {
    ...document,
    properties: {
      ...envelope,
      ...(metadata && { metadata: allowVariables(metadata) }),
      ...(spec && {
        spec: allowVariables(kindOfSchema(document) === 'BucketReplication' ? allowDefaults(spec) : spec),
      }),
    },
  };
}

const VARIABLE_REFERENCE_SCHEMA = {
  description: 'A string that contains a variable.',
  type: 'string',
  pattern: '\\$\\{var\\.[A-Za-z][\\w-]*\\}',
};

/** Keywords that describe a value and do not restrict it. */
const ANNOTATION_KEYWORDS = ['description', 'default', 'examples'];

/** Allows a text with a variable in place of each single value. A value that can be any text needs no change. */
function allowVariables(schema: JsonSchemaNode): JsonSchemaNode {
  if (schema.type !== 'object' && schema.type !== 'array' && !schema.anyOf) {
    const entries = Object.entries(schema);
    const annotations = entries.filter(([keyword]) => ANNOTATION_KEYWORDS.includes(keyword));
    const constraints = entries.filter(([keyword]) => !ANNOTATION_KEYWORDS.includes(keyword));
    const isAnyText = schema.type === 'string' && constraints.length === 1;
    if (isAnyText) return schema;
    const anyOf = [Object.fromEntries(constraints), { $ref: '#/definitions/variable' }];
    return { ...Object.fromEntries(annotations), anyOf };
  }
  return mapSubschemas(schema, allowVariables);
}

function mapSubschemas(
  schema: JsonSchemaNode,
  transform: (inner: JsonSchemaNode) => JsonSchemaNode,
): JsonSchemaNode {
  const { properties, items, anyOf, additionalProperties } = schema;
  return {
    ...schema,
    ...(properties && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, field]) => [name, transform(field)]),
      ),
    }),
    ...(items && { items: transform(items) }),
    ...(anyOf && { anyOf: anyOf.map(transform) }),
    ...(typeof additionalProperties === 'object' && {
      additionalProperties: transform(additionalProperties),
    }),
  };
}

/** Requires the fields of a pair only if it does not name Defaults. */
function allowDefaults(spec: JsonSchemaNode): JsonSchemaNode {
  return { ...withoutRequired(spec), if: { required: ['defaults'] }, else: requirementsOf(spec) };
}

/** Removes requirements, except those of list items, because lists are inherited as a whole. */
function withoutRequired(schema: JsonSchemaNode): JsonSchemaNode {
  const { required: _, oneOf: __, items, ...rest } = schema;
  return { ...mapSubschemas(rest, withoutRequired), ...(items && { items }) };
}

/** Returns only the requirements of a schema. */
function requirementsOf({ required, oneOf, properties = {}, anyOf = [] }: JsonSchemaNode): JsonSchemaNode {
  const fields = Object.entries(properties)
    .map(([name, field]) => [name, requirementsOf(field)] as const)
    .filter(([, field]) => Object.keys(field).length > 0);
  return {
    // The requirements of a mapping do not apply to a text in its place.
    ...Object.assign({}, ...anyOf.map(requirementsOf)),
    ...(required && { required }),
    ...(oneOf && { oneOf }),
    ...(fields.length > 0 && { properties: Object.fromEntries(fields) }),
  };
}

/**
 * Returns an equivalent schema that gives better messages in the YAML language server. For alternatives, the server
 * explains only the mismatch with the first one. For "exactly one of", it does not name the alternatives.
 */
function toEditorSchema(schema: JsonSchemaNode): JsonSchemaNode {
  return mapSchemas(schema, (subschema) => expandOneOf(moveLongFormFirst(subschema)));
}

function mapSchemas(
  value: JsonSchemaNode,
  transform: (schema: JsonSchemaNode) => JsonSchemaNode,
): JsonSchemaNode;
function mapSchemas(value: unknown, transform: (schema: JsonSchemaNode) => JsonSchemaNode): unknown;
function mapSchemas(value: unknown, transform: (schema: JsonSchemaNode) => JsonSchemaNode): unknown {
  if (Array.isArray(value)) return value.map((item) => mapSchemas(item, transform));
  if (typeof value !== 'object' || value === null) return value;
  return transform(
    Object.fromEntries(Object.entries(value).map(([name, item]) => [name, mapSchemas(item, transform)])),
  );
}

/** Moves the long form first, so that editors report a misspelt key in it instead of a missing text. */
function moveLongFormFirst({ anyOf, ...rest }: JsonSchemaNode): JsonSchemaNode {
  const isLong = ({ type }: JsonSchemaNode) => type === 'object';
  return anyOf
    ? { ...rest, anyOf: [...anyOf.filter(isLong), ...anyOf.filter((variant) => !isLong(variant))] }
    : rest;
}

/** Expands "exactly one of two fields" into two alternatives, with a message for each field beside the other. */
function expandOneOf(schema: JsonSchemaNode): JsonSchemaNode {
  const { oneOf, ...rest } = schema;
  const [first, second, ...remaining] = oneOf?.flatMap(({ required = [] }) => required) ?? [];
  if (first === undefined || second === undefined || remaining.length > 0) return schema;
  const errorMessage = `Set either ${first} or ${second}, not both.`;
  return {
    ...rest,
    oneOf: [{ required: [first] }, { required: [second], not: { required: [first] } }],
    dependencies: {
      [first]: { properties: { [second]: false }, errorMessage },
      [second]: { properties: { [first]: false }, errorMessage },
    },
  };
}

/** A field of a document in the schema. */
export interface SchemaField {
  /** `spec.rules[].prefix` */
  path: string;
  /** The allowed values, in words. */
  type: string;
  /** The default as code, `required`, or empty for an optional field without a default. */
  fallback: string;
  description: string;
  examples: unknown[];
}

/** Returns every kind of document, with its description and all its fields in schema order. */
export function describeDocumentKinds(): { kind: string; description: string; fields: SchemaField[] }[] {
  return Object.entries(documentSchemas).map(([kind, schema]) => {
    const json = z.toJSONSchema(schema, { target: 'draft-7', io: 'input' }) as JsonSchemaNode;
    const fields = fieldsOf(json, '');
    // Defaults accept the same `spec` fields as a pair, which describes them.
    const ownFields = kind === 'Defaults' ? fields.filter(({ path }) => !path.startsWith('spec.')) : fields;
    return { kind, description: json.description ?? '', fields: ownFields };
  });
}

function fieldsOf(schema: JsonSchemaNode, path: string): SchemaField[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const fieldPath = path === '' ? name : `${path}.${name}`;
    const isRequired = schema.required?.includes(name) ?? false;
    const variants = [field, ...(field.anyOf ?? [])];
    const nestedFields = variants.flatMap((variant) => [
      ...fieldsOf(variant, fieldPath),
      ...(variant.items
        ? [variant.items, ...(variant.items.anyOf ?? [])].flatMap((item) => fieldsOf(item, `${fieldPath}[]`))
        : []),
      // In a mapping from names to mappings, `*` represents a name.
      ...(typeof variant.additionalProperties === 'object'
        ? fieldsOf(variant.additionalProperties, `${fieldPath}.*`)
        : []),
    ]);
    // An optional mapping has an empty fallback, because its fields have their own.
    const fallback =
      field.default === undefined ? (isRequired ? 'required' : '') : `\`${JSON.stringify(field.default)}\``;
    const { description = '', examples = [] } = field;
    return [{ path: fieldPath, type: typeLabelOf(field), fallback, description, examples }, ...nestedFields];
  });
}

function typeLabelOf(schema: JsonSchemaNode): string {
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (schema.enum) return schema.enum.map((value) => `\`${value}\``).join(', ');
  if (schema.anyOf) return schema.anyOf.map(typeLabelOf).join(' or ');
  if (schema.type === 'array') return 'list';
  if (schema.type === 'integer' && schema.minimum !== undefined)
    return `${schema.minimum} to ${schema.maximum}`;
  if (schema.type === 'object') {
    if (schema.properties) return 'mapping';
    return typeof schema.additionalProperties === 'object' && schema.additionalProperties.properties
      ? 'map of mappings'
      : 'map of strings';
  }
  const types = [schema.type ?? []].flat();
  return types.map((type) => ({ integer: 'number' })[type] ?? type).join(' or ');
}
