import { EXIT } from '../errors.ts';
import { jsonSchema } from '../spec/json-schema.ts';
import type { Io } from './io.ts';

/** `reconcile schema`. */
export async function schema(io: Io): Promise<number> {
  io.stdout.write(`${JSON.stringify(jsonSchema(), null, 2)}\n`);
  return EXIT.ok;
}
