import * as z from 'zod';
import { formatPath, type Path } from './document.ts';

/** The keys that a schema knows at a path. */
export const keysAt = (schema: z.ZodType, path: Path): string[] =>
  Object.keys(objectSchemaOf(schemaAt(schema, path))?.shape ?? {});

/** What the schema gives as an example for a path. */
export function exampleAt(schema: z.ZodType, path: Path): string | undefined {
  const { examples } = schemaAt(schema, path)?.meta() ?? {};
  const [example] = Array.isArray(examples) ? examples : [];
  return typeof example === 'string' ? example : undefined;
}

/** Where else a schema knows a key, for one that was written in the wrong place. */
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

/** A schema without what is wrapped around it: optional, default, prefault. */
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

/** The mapping among the forms that a schema allows. */
function objectSchemaOf(schema: z.ZodType | undefined): z.ZodObject | undefined {
  const unwrapped = unwrapSchema(schema);
  if (unwrapped instanceof z.ZodObject) return unwrapped;
  if (!(unwrapped instanceof z.ZodUnion)) return undefined;
  return unwrapped.options.find((option): option is z.ZodObject => option instanceof z.ZodObject);
}

type Shape = Readonly<Record<string, z.ZodType>>;

/** The same fields, none of which need be there, and so in every mapping below; lists are as they were. */
export const partialShape = (shape: Shape): Record<string, z.ZodOptional> =>
  Object.fromEntries(Object.entries(shape).map(([name, field]) => [name, partialSchema(field).optional()]));

function partialSchema(field: z.ZodType): z.ZodType {
  const schema = unwrapSchema(field) ?? field;
  // "Exactly one of" can be met by the other part.
  const { oneOf: _, ...meta } = schema.meta() ?? {};
  if (schema instanceof z.ZodObject) return z.strictObject(partialShape(schema.shape as Shape)).meta(meta);
  if (schema instanceof z.ZodUnion)
    return z.union((schema.options as z.ZodType[]).map(partialSchema)).meta(meta);
  return schema;
}
