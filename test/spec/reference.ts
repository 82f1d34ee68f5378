import { describeDocumentKinds, type SchemaField } from '../../src/spec/json-schema.ts';

/** docs/reference/spec-fields.md: every field of every kind of document, with what the schema says of it. */
export function reference(): string {
  const kinds = describeDocumentKinds().map(
    ({ kind, description, fields }) => `## ${kind}\n\n${description}\n\n${table(fields)}`,
  );
  return `# Reference

<!-- Written by test/spec; do not edit. Anew: npx vitest run test/spec -u -->

Every field of every document, from the schema that validates them. [specs.md](specs.md) says what the words mean, and
[choose-a-topology.md](../how-to/choose-a-topology.md) shows whole arrangements.

${kinds.join('\n')}`;
}

const table = (fields: SchemaField[]): string =>
  [
    '| field | what may stand there | left out | meaning |',
    '| --- | --- | --- | --- |',
    ...fields.map(
      ({ path, type, fallback, description }) => `| \`${path}\` | ${type} | ${fallback} | ${description} |`,
    ),
    '',
  ].join('\n');
