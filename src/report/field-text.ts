import type { SchemaField } from '../spec/schema-fields.ts';
import { wrapText } from './style.ts';

/** A kind of document, and its fields: the outermost of `metadata` and `spec`. */
export function documentKindText(
  { kind, description, fields }: { kind: string; description: string; fields: readonly SchemaField[] },
  width: number,
): string {
  const topLevelFields = fields.filter(({ path }) => path.split('.').length <= 2);
  return [...wrapText('', `${kind}: ${description}`, width), '', ...fieldList(topLevelFields, width)].join(
    '\n',
  );
}

/** One field with what may stand there, and the fields below it. */
export function fieldText(
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
    ...wrapLine(`What may stand there: ${type.replaceAll('`', '')}`),
    ...(fallback === ''
      ? []
      : wrapLine(`Left out: ${fallback === 'required' ? 'it is required' : fallback.replaceAll('`', '')}`)),
    ...(examples.length === 0
      ? []
      : wrapLine(`For example: ${examples.map((example) => JSON.stringify(example)).join(', ')}`)),
    ...(childFields.length === 0 ? [] : ['', ...fieldList(childFields, width)]),
  ].join('\n');
}

/** The first sentence of each says enough. */
function fieldList(fields: readonly SchemaField[], width: number): string[] {
  const widest = Math.max(...fields.map(({ path }) => path.length));
  return fields.flatMap(({ path, description }) =>
    wrapText(`  ${path.padEnd(widest)}  `, description.split(/(?<=\.)\s/)[0] ?? '', width).map((line) =>
      line.trimEnd(),
    ),
  );
}
