import { EXIT, UserError } from '../../errors.ts';
import { documentKindText, fieldText } from '../../report/field-text.ts';
import { suggest } from '../../spec/did-you-mean.ts';
import { describeDocumentKinds } from '../../spec/schema-fields.ts';
import { helpWidth } from '../help.ts';
import type { Io } from '../io.ts';

/** `reconcile explain [FIELD]`: what the schema says of a field, or of a kind of document. */
export async function runExplain(query: string | undefined, io: Io): Promise<number> {
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
    const fieldPaths = documentKinds.flatMap(({ fields }) => fields.map((field) => stripIndexes(field.path)));
    const suggestion =
      suggest(path, fieldPaths) ?? fieldPaths.find((fieldPath) => fieldPath.endsWith(`.${path}`));
    const advice =
      suggestion === undefined ? 'reconcile explain lists what there is' : `did you mean ${suggestion}?`;
    throw new UserError(EXIT.usage, `there is no field ${query}: ${advice}`);
  }
  const texts = matches.map(({ of: kindName, field, fields }) => fieldText(kindName, field, fields, width));
  io.stdout.write(`${texts.join('\n\n')}\n`);
  return EXIT.ok;
}

/** Where a field has `*`, any name is meant. */
function matchesPath(field: string, path: string): boolean {
  const [fieldParts, queryParts] = [field.split('.'), path.split('.')];
  return (
    fieldParts.length === queryParts.length &&
    fieldParts.every((name, index) => name === '*' || name === queryParts[index])
  );
}

/** Without the places in lists: `spec.rules[0].prefix`, `spec.rules[].prefix` and `spec.rules.prefix` are one field. */
const stripIndexes = (path: string): string => path.replace(/\[\d*\]/g, '');
