import * as z from 'zod';
import { outputValueSchema } from './schema.ts';

/**
 * The JSON Schema (draft 7, as that of specs) of everything that is printed as JSON.
 *
 * @param strict whether a field that it does not know is wrong: what is published takes those of later versions.
 */
export function outputSchema({ strict = false } = {}): object {
  const schema = z.toJSONSchema(outputValueSchema, {
    target: 'draft-7',
    io: strict ? 'output' : 'input',
    override: ({ jsonSchema }) => {
      // What zod adds for itself, and a reader would stumble over.
      if (jsonSchema.format === 'date-time') delete jsonSchema.pattern;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
    },
  });
  return {
    $schema: schema.$schema,
    $id: 'urn:replikey:output:1',
    title: 'replikey output',
    description: 'What replikey prints with -o json, and each line of -o ndjson.',
    ...schema,
  };
}
