import * as z from 'zod';
import { formatPath, type Path } from './document.ts';

/** Returns the keys that a schema accepts at a path. */
export const keysAt = (schema: z.ZodType, path: Path): string[] =>
  Object.keys(objectSchemaOf(schemaAt(schema, path))?.shape ?? {});

/** Returns the example of the schema at a path. */
export function exampleAt(schema: z.ZodType, path: Path): string | undefined {
  const { examples } = schemaAt(schema, path)?.meta() ?? {};
  const [example] = Array.isArray(examples) ? examples : [];
  return typeof example === 'string' ? example : undefined;
}

/** Returns the paths of all mappings that accept a key, for a key in the wrong mapping. */
export function parentsOfKey(schema: z.ZodType, key: string): string[] {
  const parents: string[] = [];
  const visit = (current: z.ZodType, path: Path): void => {
    const unwrapped = unwrapSchema(current);
    if (unwrapped instanceof z.ZodArray) visit(unwrapped.element as z.ZodType, path);
    const { shape } = objectSchemaOf(unwrapped) ?? { shape: {} };
    if (Object.hasOwn(shape, key)) parents.push(formatPath(path));
    for (const [name, field] of Object.entries(shape)) visit(field as z.ZodType, [...path, name]);
  };
  visit(schema, []);
  return parents;
}

function schemaAt(schema: z.ZodType, path: Path): z.ZodType | undefined {
  let current: z.ZodType | undefined = schema;
  for (const part of path) {
    const unwrapped: z.ZodType | undefined = unwrapSchema(current);
    if (unwrapped instanceof z.ZodArray) current = unwrapped.element as z.ZodType;
    else if (unwrapped instanceof z.ZodRecord) current = unwrapped.valueType as z.ZodType;
    else {
      const shape: Record<string, unknown> = objectSchemaOf(unwrapped)?.shape ?? {};
      current = Object.hasOwn(shape, String(part)) ? (shape[String(part)] as z.ZodType) : undefined;
    }
  }
  return current instanceof z.ZodOptional ? (current.unwrap() as z.ZodType) : current;
}

/** Removes wrappers from a schema: optional, default, prefault. */
function unwrapSchema(schema: z.ZodType | undefined): z.ZodType | undefined {
  let current = schema;
  while (
    current instanceof z.ZodOptional ||
    current instanceof z.ZodDefault ||
    current instanceof z.ZodPrefault
  ) {
    current = current.unwrap() as z.ZodType;
  }
  return current;
}

/** Returns the mapping schema among the alternatives of a schema. */
function objectSchemaOf(schema: z.ZodType | undefined): z.ZodObject | undefined {
  const unwrapped = unwrapSchema(schema);
  if (unwrapped instanceof z.ZodObject) return unwrapped;
  if (!(unwrapped instanceof z.ZodUnion)) return undefined;
  return unwrapped.options.find((option): option is z.ZodObject => option instanceof z.ZodObject);
}

type Shape = Readonly<Record<string, z.ZodType>>;

/** Makes all fields of a shape optional, including those of nested mappings. Lists stay unchanged. */
export const partialShape = (shape: Shape): Record<string, z.ZodOptional> =>
  Object.fromEntries(Object.entries(shape).map(([name, field]) => [name, partialSchema(field).optional()]));

function partialSchema(field: z.ZodType): z.ZodType {
  const schema = unwrapSchema(field) ?? field;
  // The other document can supply the field that "exactly one of" requires.
  const { oneOf: _, ...meta } = schema.meta() ?? {};
  if (schema instanceof z.ZodObject) return z.strictObject(partialShape(schema.shape as Shape)).meta(meta);
  if (schema instanceof z.ZodUnion)
    return z.union((schema.options as z.ZodType[]).map(partialSchema)).meta(meta);
  return schema;
}
