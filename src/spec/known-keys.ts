import * as z from 'zod';
import { formatPath, type Path } from './path.ts';

/** The keys that a schema knows at a path. */
export const keysAt = (schema: z.ZodType, path: Path): string[] =>
  Object.keys(mapping(schemaAt(schema, path))?.shape ?? {});

/** What the schema gives as an example for a path. */
export function exampleAt(schema: z.ZodType, path: Path): string | undefined {
  const { examples } = schemaAt(schema, path)?.meta() ?? {};
  const [example] = Array.isArray(examples) ? examples : [];
  return typeof example === 'string' ? example : undefined;
}

/** Where else a schema knows a key, for one that was written in the wrong place. */
export function placesOf(schema: z.ZodType, key: string): string[] {
  const found: string[] = [];
  const visit = (current: z.ZodType, path: Path): void => {
    const inner = bare(current);
    if (inner instanceof z.ZodArray) visit(inner.element as z.ZodType, path);
    const { shape } = mapping(inner) ?? { shape: {} };
    if (Object.hasOwn(shape, key)) found.push(formatPath(path));
    for (const [name, field] of Object.entries(shape)) visit(field as z.ZodType, [...path, name]);
  };
  visit(schema, []);
  return found;
}

function schemaAt(schema: z.ZodType, path: Path): z.ZodType | undefined {
  let current: z.ZodType | undefined = schema;
  for (const part of path) {
    const inner: z.ZodType | undefined = bare(current);
    if (inner instanceof z.ZodArray) current = inner.element as z.ZodType;
    else if (inner instanceof z.ZodRecord) current = inner.valueType as z.ZodType;
    else {
      const shape: Record<string, unknown> = mapping(inner)?.shape ?? {};
      current = Object.hasOwn(shape, String(part)) ? (shape[String(part)] as z.ZodType) : undefined;
    }
  }
  return current instanceof z.ZodOptional ? (current.unwrap() as z.ZodType) : current;
}

/** A schema without what is wrapped around it: optional, default, prefault. */
export function bare(schema: z.ZodType | undefined): z.ZodType | undefined {
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
function mapping(schema: z.ZodType | undefined): z.ZodObject | undefined {
  const inner = bare(schema);
  if (inner instanceof z.ZodObject) return inner;
  if (!(inner instanceof z.ZodUnion)) return undefined;
  return inner.options.find((option): option is z.ZodObject => option instanceof z.ZodObject);
}
