import * as z from 'zod';
import { documentSchemas } from './schema.ts';

/** A part of a JSON Schema, as far as fields need it. */
interface FieldSchema {
  type?: string | string[];
  description?: string;
  default?: unknown;
  enum?: string[];
  const?: string;
  minimum?: number;
  maximum?: number;
  maxItems?: number;
  properties?: Record<string, FieldSchema>;
  required?: string[];
  additionalProperties?: FieldSchema | false;
  items?: FieldSchema;
  examples?: unknown[];
  anyOf?: FieldSchema[];
}

/** One field of a document, as the schema has it. */
export interface SchemaField {
  /** `spec.rules[].prefix` */
  path: string;
  /** What may stand there, in words. */
  type: string;
  /** What holds where it is left out, as code; `required`; or nothing, where leaving it out says nothing. */
  fallback: string;
  description: string;
  examples: unknown[];
}

/** Every kind of document: what it is, and all its fields in the order of the schema. */
export function describeDocumentKinds(): { kind: string; description: string; fields: SchemaField[] }[] {
  return Object.entries(documentSchemas).map(([kind, schema]) => {
    const json = z.toJSONSchema(schema, { target: 'draft-7', io: 'input' }) as FieldSchema;
    const fields = fieldsOf(json, '');
    // What may stand in Defaults is what may stand in a pair, and told there.
    const ownFields = kind === 'Defaults' ? fields.filter(({ path }) => !path.startsWith('spec.')) : fields;
    return { kind, description: json.description ?? '', fields: ownFields };
  });
}

function fieldsOf(schema: FieldSchema, path: string): SchemaField[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const fieldPath = path === '' ? name : `${path}.${name}`;
    const isRequired = schema.required?.includes(name) ?? false;
    const variants = [field, ...(field.anyOf ?? [])];
    const nestedFields = variants.flatMap((variant) => [
      ...fieldsOf(variant, fieldPath),
      ...(variant.items
        ? [variant.items, ...(variant.items.anyOf ?? [])].flatMap((item) => fieldsOf(item, `${fieldPath}[]`))
        : []),
      // Of a mapping from names to mappings, `*` stands for a name.
      ...(variant.additionalProperties ? fieldsOf(variant.additionalProperties, `${fieldPath}.*`) : []),
    ]);
    // What is only a mapping of others, and may be left out, is told by its fields.
    const fallback =
      field.default === undefined ? (isRequired ? 'required' : '') : `\`${JSON.stringify(field.default)}\``;
    const { description = '', examples = [] } = field;
    return [{ path: fieldPath, type: typeLabelOf(field), fallback, description, examples }, ...nestedFields];
  });
}

function typeLabelOf(schema: FieldSchema): string {
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (schema.enum) return schema.enum.map((value) => `\`${value}\``).join(', ');
  if (schema.anyOf) return schema.anyOf.map(typeLabelOf).join(' or ');
  if (schema.type === 'array') return 'list';
  if (schema.type === 'integer' && schema.minimum !== undefined)
    return `${schema.minimum} to ${schema.maximum}`;
  if (schema.type === 'object') {
    if (schema.properties) return 'mapping';
    return schema.additionalProperties && 'properties' in schema.additionalProperties
      ? 'names and mappings'
      : 'names and texts';
  }
  const types = [schema.type ?? []].flat();
  return types.map((type) => ({ string: 'text', integer: 'number' })[type] ?? type).join(' or ');
}
