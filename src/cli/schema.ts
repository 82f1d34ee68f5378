import { EXIT } from '../errors.ts';
import { definitions } from '../kubernetes/crd.ts';
import { outputSchema } from '../report/json-schema.ts';
import { jsonSchema } from '../spec/json-schema.ts';
import type { Io } from './io.ts';

const SCHEMAS = {
  specs: () => inJson(jsonSchema()),
  output: () => inJson(outputSchema()),
  crd: () => definitions(),
};

const inJson = (schema: object): string => `${JSON.stringify(schema, null, 2)}\n`;

/** `reconcile schema`. */
export async function schema(of: keyof typeof SCHEMAS, io: Io): Promise<number> {
  io.stdout.write(SCHEMAS[of]());
  return EXIT.ok;
}
