import { EXIT } from '../errors.ts';
import { outputSchema } from '../report/json-schema.ts';
import { jsonSchema } from '../spec/json-schema.ts';
import type { Io } from './io.ts';

const SCHEMAS = { specs: () => jsonSchema(), output: () => outputSchema() };

/** `reconcile schema`. */
export async function schema(of: keyof typeof SCHEMAS, io: Io): Promise<number> {
  io.stdout.write(`${JSON.stringify(SCHEMAS[of](), null, 2)}\n`);
  return EXIT.ok;
}
