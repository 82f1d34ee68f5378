import { EXIT, UserError } from '../../errors.ts';
import { wrapText } from '../../report/style.ts';
import { suggest } from '../../spec/did-you-mean.ts';
import type { SchemaField } from '../../spec/json-schema.ts';
import type { CommandDefinition } from '../command-model.ts';
import { helpWidth } from '../help.ts';

/** Prints the schema description of a field, or of a kind of document. */
export const explainCommand: CommandDefinition = {
  name: 'explain',
  description: 'describe the fields of a spec',
  examples: [
    ['reconcile explain', 'list all kinds of documents'],
    ['reconcile explain spec.rules.prefix', 'describe one field'],
  ],
  configure: (command) =>
    command.argument('[field]', 'field, for example spec.rules.prefix (default: all kinds of documents)'),
  async run({ io }, query: string | undefined) {
    const { describeDocumentKinds } = await import('../../spec/json-schema.ts');
    const documentKinds = describeDocumentKinds();
    const width = helpWidth(io);
    const [kindQuery = '', ...rest] = (query ?? '').split('.');
    const kind = documentKinds.find(
      (documentKind) => documentKind.kind.toLowerCase() === kindQuery.toLowerCase(),
    );
    if (query === undefined || (kind && rest.length === 0)) {
      const texts = (kind ? [kind] : documentKinds).map((documentKind) =>
        documentKindText(documentKind, width),
      );
      io.stdout.write(`${texts.join('\n\n')}\n`);
      return EXIT.ok;
    }
    const path = stripIndexes(kind ? rest.join('.') : query);
    const matches = (kind ? [kind] : documentKinds).flatMap(({ kind: kindName, fields }) =>
      fields
        .filter((field) => matchesPath(stripIndexes(field.path), path))
        .map((field) => ({ of: kindName, field, fields })),
    );
    if (matches.length === 0) {
      const fieldPaths = documentKinds.flatMap(({ fields }) =>
        fields.map((field) => stripIndexes(field.path)),
      );
      const suggestion =
        suggest(path, fieldPaths) ?? fieldPaths.find((fieldPath) => fieldPath.endsWith(`.${path}`));
      const advice =
        suggestion === undefined ? 'list the fields with reconcile explain' : `did you mean ${suggestion}?`;
      throw new UserError(EXIT.usage, `unknown field ${query}: ${advice}`);
    }
    const texts = matches.map(({ of: kindName, field, fields }) => fieldText(kindName, field, fields, width));
    io.stdout.write(`${texts.join('\n\n')}\n`);
    return EXIT.ok;
  },
};

/** Compares two paths; `*` in a field matches any name. */
function matchesPath(field: string, path: string): boolean {
  const [fieldParts, queryParts] = [field.split('.'), path.split('.')];
  return (
    fieldParts.length === queryParts.length &&
    fieldParts.every((name, index) => name === '*' || name === queryParts[index])
  );
}

/** Removes list indexes: `spec.rules[0].prefix`, `spec.rules[].prefix` and `spec.rules.prefix` are one field. */
const stripIndexes = (path: string): string => path.replace(/\[\d*\]/g, '');

/** Describes a kind of document and its top-level fields, those directly in `metadata` and `spec`. */
function documentKindText(
  { kind, description, fields }: { kind: string; description: string; fields: readonly SchemaField[] },
  width: number,
): string {
  const topLevelFields = fields.filter(({ path }) => path.split('.').length <= 2);
  return [...wrapText('', `${kind}: ${description}`, width), '', ...fieldList(topLevelFields, width)].join(
    '\n',
  );
}

/** Describes one field with its valid values, and the fields below it. */
function fieldText(
  kind: string,
  { path, type, fallback, description, examples }: SchemaField,
  allFields: readonly SchemaField[],
  width: number,
): string {
  const depth = path.split('.').length + 1;
  const childFields = allFields.filter(
    (field) =>
      /^(\[\])?\./.test(field.path.slice(path.length)) &&
      field.path.startsWith(path) &&
      field.path.split('.').length === depth,
  );
  const wrapLine = (text: string) => wrapText('  ', text, width, { hang: 4 });
  return [
    `${path}  (${kind})`,
    '',
    ...(description === '' ? [] : [...wrapText('  ', description, width), '']),
    ...wrapLine(`Valid values: ${type.replaceAll('`', '')}`),
    ...(fallback === ''
      ? []
      : wrapLine(
          `Default: ${fallback === 'required' ? 'none, the field is required' : fallback.replaceAll('`', '')}`,
        )),
    ...(examples.length === 0
      ? []
      : wrapLine(`For example: ${examples.map((example) => JSON.stringify(example)).join(', ')}`)),
    ...(childFields.length === 0 ? [] : ['', ...fieldList(childFields, width)]),
  ].join('\n');
}

/** Lists fields with the first sentence of their descriptions. */
function fieldList(fields: readonly SchemaField[], width: number): string[] {
  const widest = Math.max(...fields.map(({ path }) => path.length));
  return fields.flatMap(({ path, description }) =>
    wrapText(`  ${path.padEnd(widest)}  `, description.split(/(?<=\.)\s/)[0] ?? '', width).map((line) =>
      line.trimEnd(),
    ),
  );
}
