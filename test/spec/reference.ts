import { z } from 'zod';
import { documents } from '../../src/spec/schema.ts';

/** A part of a JSON Schema, as far as fields need it. */
interface Schema {
  type?: string;
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
  anyOf?: Schema[];
}

/** docs/reference.md: every field of every kind of document, with what the schema says of it. */
export function reference(): string {
  const kinds = Object.entries(documents).map(([kind, schema]) => {
    const json = z.toJSONSchema(schema, { target: 'draft-7', io: 'input' }) as Schema;
    return `## ${kind}\n\n${json.description}\n\n${table(fieldsOf(json, ''))}`;
  });
  return `# Reference

<!-- Written by test/spec; do not edit. Anew: npx vitest run test/spec -u -->

Every field of every document, from the schema that validates them. [specs.md](specs.md) says what the words mean, and
[topologies.md](topologies.md) shows whole arrangements.

${kinds.join('\n')}`;
}

interface Field {
  path: string;
  type: string;
  fallback: string;
  description: string;
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
    ]);
    // What is only a mapping of others, and may be left out, is told by its fields.
    const fallback =
      field.default === undefined ? (required ? 'required' : '') : `\`${JSON.stringify(field.default)}\``;
    return [{ path: at, type: typeOf(field), fallback, description: field.description ?? '' }, ...inner];
  });
}

function typeOf(schema: Schema): string {
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (schema.enum) return schema.enum.map((one) => `\`${one}\``).join(', ');
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(' or ');
  if (schema.type === 'array') return 'list';
  if (schema.type === 'integer' && schema.minimum !== undefined)
    return `${schema.minimum} to ${schema.maximum}`;
  if (schema.type === 'object') return schema.properties ? 'mapping' : 'names and texts';
  return { string: 'text', boolean: 'boolean' }[schema.type ?? ''] ?? schema.type ?? '';
}

const table = (fields: Field[]): string =>
  [
    '| field | what may stand there | left out | meaning |',
    '| --- | --- | --- | --- |',
    ...fields.map(
      ({ path, type, fallback, description }) => `| \`${path}\` | ${type} | ${fallback} | ${description} |`,
    ),
    '',
  ].join('\n');
