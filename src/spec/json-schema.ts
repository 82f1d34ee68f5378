import * as z from 'zod';
import { forEditors } from './for-editors.ts';
import { documents } from './schema.ts';

/** The JSON Schema (draft 7, which editors know) of everything that a spec file may hold. */
export function jsonSchema(): object {
  const { anyOf = [], ...rest } = z.toJSONSchema(z.union(Object.values(documents)), {
    target: 'draft-7',
    io: 'input',
  }) as Schema;
  return forEditors({
    ...rest,
    title: 'replikey specs',
    description: 'S3 replication of KMS-encrypted objects, declared.',
    definitions: { variable: VARIABLE },
    anyOf: anyOf.map((document) => ({
      title: kindOf(document) ?? '',
      ...(kindOf(document) === 'Variables' ? document : written(document)),
    })),
  });
}

interface Schema {
  type?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  oneOf?: Schema[];
  anyOf?: Schema[];
  items?: Schema;
  const?: string;
  additionalProperties?: Schema | boolean;
  [keyword: string]: unknown;
}

const kindOf = ({ properties }: Schema): string | undefined => properties?.kind?.const;

/** A document as it is written: with variables, and what may stand in Defaults left out. */
function written(document: Schema): Schema {
  const { properties = {} } = document;
  const { metadata, spec, ...envelope } = properties;
  return {
    ...document,
    properties: {
      ...envelope,
      ...(metadata && { metadata: withVariables(metadata) }),
      ...(spec && {
        spec: withVariables(kindOf(document) === 'BucketReplication' ? withDefaults(spec) : spec),
      }),
    },
  };
}

const VARIABLE = {
  description: 'A text with a variable in it.',
  type: 'string',
  pattern: '\\$\\{var\\.[A-Za-z][\\w-]*\\}',
};

/** What a value says of itself, beside what it may be. */
const ABOUT = ['description', 'default', 'examples'];

/** Wherever a single value stands that not every text may be, a text with a variable may stand too. */
function withVariables(schema: Schema): Schema {
  if (schema.type !== 'object' && schema.type !== 'array' && !schema.anyOf) {
    const entries = Object.entries(schema);
    const about = entries.filter(([keyword]) => ABOUT.includes(keyword));
    const allowed = entries.filter(([keyword]) => !ABOUT.includes(keyword));
    const isAnyText = schema.type === 'string' && allowed.length === 1;
    if (isAnyText) return schema;
    const anyOf = [Object.fromEntries(allowed), { $ref: '#/definitions/variable' }];
    return { ...Object.fromEntries(about), anyOf };
  }
  return mapped(schema, withVariables);
}

function mapped(schema: Schema, change: (inner: Schema) => Schema): Schema {
  const { properties, items, anyOf, additionalProperties } = schema;
  return {
    ...schema,
    ...(properties && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, field]) => [name, change(field)]),
      ),
    }),
    ...(items && { items: change(items) }),
    ...(anyOf && { anyOf: anyOf.map(change) }),
    ...(typeof additionalProperties === 'object' && { additionalProperties: change(additionalProperties) }),
  };
}

/** Nothing of a pair need be there where it takes Defaults, and what must be is asked for where it does not. */
function withDefaults(spec: Schema): Schema {
  return { ...loose(spec), if: { required: ['defaults'] }, else: demands(spec) };
}

/** Without what must be there; items of lists are as they were, since lists are taken as a whole. */
function loose(schema: Schema): Schema {
  const { required: _, oneOf: __, items, ...rest } = schema;
  return { ...mapped(rest, loose), ...(items && { items }) };
}

/** What must be there, and nothing else. */
function demands({ required, oneOf, properties = {}, anyOf = [] }: Schema): Schema {
  const fields = Object.entries(properties)
    .map(([name, field]) => [name, demands(field)] as const)
    .filter(([, field]) => Object.keys(field).length > 0);
  return {
    // What is demanded of the fields of a mapping says nothing of a text in its place.
    ...Object.assign({}, ...anyOf.map(demands)),
    ...(required && { required }),
    ...(oneOf && { oneOf }),
    ...(fields.length > 0 && { properties: Object.fromEntries(fields) }),
  };
}
