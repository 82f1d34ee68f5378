import { Argument } from 'commander';
import { EXIT } from '../../errors.ts';
import type { CommandDefinition } from '../command-model.ts';

const SCHEMA_RENDERERS = {
  specs: async () => toJsonDocument((await import('../../spec/json-schema.ts')).buildJsonSchema()),
  output: async () => toJsonDocument((await import('../../report/schema.ts')).outputSchema()),
  crd: async () => (await import('../../kubernetes/crd.ts')).renderCustomResourceDefinitions(),
};

const toJsonDocument = (schema: object): string => `${JSON.stringify(schema, null, 2)}\n`;

export const schemaCommand: CommandDefinition = {
  name: 'schema',
  summary: 'print the JSON Schema of specs or of output',
  description:
    'print the JSON Schema of specs, the JSON Schema of the output of -o json and -o ndjson, or the CustomResourceDefinitions',
  examples: [
    ['reconcile schema > replikey.schema.json', 'validate specs in an editor'],
    ['reconcile schema output > output.schema.json', 'validate output in a program'],
  ],
  configure: (command) =>
    command.addArgument(
      new Argument('[schema]', 'schema to print').choices(Object.keys(SCHEMA_RENDERERS)).default('specs'),
    ),
  async run({ io }, subject: keyof typeof SCHEMA_RENDERERS) {
    io.stdout.write(await SCHEMA_RENDERERS[subject]());
    return EXIT.ok;
  },
};
