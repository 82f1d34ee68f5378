import * as z from 'zod';
import { documents } from './schema.ts';

/** A part of a JSON Schema, as far as fields need it. */
interface Schema {
  type?: string | string[];
  description?: string;
  default?: unknown;
  enum?: string[];
  const?: string;
  minimum?: number;
  maximum?: number;
  maxItems?: number;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema | false;
  items?: Schema;
  examples?: unknown[];
  anyOf?: Schema[];
}

/** One field of a document, as the schema has it. */
export interface Field {
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
export function kindsOfDocuments(): { kind: string; description: string; fields: Field[] }[] {
  return Object.entries(documents).map(([kind, schema]) => {
    const json = z.toJSONSchema(schema, { target: 'draft-7', io: 'input' }) as Schema;
    const fields = fieldsOf(json, '');
    // What may stand in Defaults is what may stand in a pair, and told there.
    const own = kind === 'Defaults' ? fields.filter(({ path }) => !path.startsWith('spec.')) : fields;
    return { kind, description: json.description ?? '', fields: own };
  });
}

function fieldsOf(schema: Schema, path: string): Field[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const at = path === '' ? name : `${path}.${name}`;
    const required = schema.required?.includes(name) ?? false;
    const forms = [field, ...(field.anyOf ?? [])];
    const inner = forms.flatMap((form) => [
      ...fieldsOf(form, at),
      ...(form.items
        ? [form.items, ...(form.items.anyOf ?? [])].flatMap((item) => fieldsOf(item, `${at}[]`))
        : []),
      // Of a mapping from names to mappings, `*` stands for a name.
      ...(form.additionalProperties ? fieldsOf(form.additionalProperties, `${at}.*`) : []),
    ]);
    // What is only a mapping of others, and may be left out, is told by its fields.
    const fallback =
      field.default === undefined ? (required ? 'required' : '') : `\`${JSON.stringify(field.default)}\``;
    const { description = '', examples = [] } = field;
    return [{ path: at, type: typeOf(field), fallback, description, examples }, ...inner];
  });
}

function typeOf(schema: Schema): string {
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (schema.enum) return schema.enum.map((one) => `\`${one}\``).join(', ');
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(' or ');
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
  return types.map((one) => ({ string: 'text', integer: 'number' })[one] ?? one).join(' or ');
}
