import * as z from 'zod';
import { unwrapSchema } from './schema-keys.ts';

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
