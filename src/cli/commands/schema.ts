import { EXIT } from '../../errors.ts';
import { renderCustomResourceDefinitions } from '../../kubernetes/crd.ts';
import { outputSchema } from '../../report/schema.ts';
import { buildJsonSchema } from '../../spec/json-schema.ts';
import type { Io } from '../io.ts';

const SCHEMA_RENDERERS = {
  specs: () => toJsonDocument(buildJsonSchema()),
  output: () => toJsonDocument(outputSchema()),
  crd: () => renderCustomResourceDefinitions(),
};

const toJsonDocument = (schema: object): string => `${JSON.stringify(schema, null, 2)}\n`;

/** `reconcile schema`. */
export async function runSchema(subject: keyof typeof SCHEMA_RENDERERS, io: Io): Promise<number> {
  io.stdout.write(SCHEMA_RENDERERS[subject]());
  return EXIT.ok;
}
