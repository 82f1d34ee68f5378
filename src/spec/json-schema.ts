import { z } from 'zod';
import { documents } from './schema.ts';

/** The JSON Schema (draft 7, which editors know) of everything that a spec file may hold. */
export function jsonSchema(): object {
  const schema = z.union([documents.BucketReplication, documents.Account, documents.Guardrails]);
  return {
    ...z.toJSONSchema(schema, { target: 'draft-7', io: 'input' }),
    title: 'replikey specs',
    description: 'S3 replication of KMS-encrypted objects, declared.',
  };
}
