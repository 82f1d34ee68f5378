import * as z from 'zod';
import { toEditorSchema } from './editor-schema.ts';
import { documentSchemas } from './schema.ts';

/** The JSON Schema (draft 7, which editors know) of everything that a spec file may hold. */
export function buildJsonSchema(): object {
  const { anyOf = [], ...rest } = z.toJSONSchema(z.union(Object.values(documentSchemas)), {
    target: 'draft-7',
    io: 'input',
  }) as JsonSchemaNode;
  return toEditorSchema({
    ...rest,
    title: 'replikey specs',
    description: 'S3 replication of KMS-encrypted objects, declared.',
    definitions: { variable: VARIABLE_REFERENCE_SCHEMA },
    anyOf: anyOf.map((document) => ({
      title: kindOfSchema(document) ?? '',
      ...(kindOfSchema(document) === 'Variables' ? document : toWrittenForm(document)),
    })),
  });
}

interface JsonSchemaNode {
  type?: string;
  properties?: Record<string, JsonSchemaNode>;
  required?: string[];
  oneOf?: JsonSchemaNode[];
  anyOf?: JsonSchemaNode[];
  items?: JsonSchemaNode;
  const?: string;
  additionalProperties?: JsonSchemaNode | boolean;
  [keyword: string]: unknown;
}

const kindOfSchema = ({ properties }: JsonSchemaNode): string | undefined => properties?.kind?.const;

/** A document as it is written: with variables, and what may stand in Defaults left out. */
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
  description: 'A text with a variable in it.',
  type: 'string',
  pattern: '\\$\\{var\\.[A-Za-z][\\w-]*\\}',
};

/** What a value says of itself, beside what it may be. */
const ANNOTATION_KEYWORDS = ['description', 'default', 'examples'];

/** Wherever a single value stands that not every text may be, a text with a variable may stand too. */
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

/** Nothing of a pair need be there where it takes Defaults, and what must be is asked for where it does not. */
function allowDefaults(spec: JsonSchemaNode): JsonSchemaNode {
  return { ...withoutRequired(spec), if: { required: ['defaults'] }, else: requirementsOf(spec) };
}

/** Without what must be there; items of lists are as they were, since lists are taken as a whole. */
function withoutRequired(schema: JsonSchemaNode): JsonSchemaNode {
  const { required: _, oneOf: __, items, ...rest } = schema;
  return { ...mapSubschemas(rest, withoutRequired), ...(items && { items }) };
}

/** What must be there, and nothing else. */
function requirementsOf({ required, oneOf, properties = {}, anyOf = [] }: JsonSchemaNode): JsonSchemaNode {
  const fields = Object.entries(properties)
    .map(([name, field]) => [name, requirementsOf(field)] as const)
    .filter(([, field]) => Object.keys(field).length > 0);
  return {
    // What is demanded of the fields of a mapping says nothing of a text in its place.
    ...Object.assign({}, ...anyOf.map(requirementsOf)),
    ...(required && { required }),
    ...(oneOf && { oneOf }),
    ...(fields.length > 0 && { properties: Object.fromEntries(fields) }),
  };
}
