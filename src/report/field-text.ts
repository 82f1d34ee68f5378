import type { Field } from '../spec/fields.ts';

/** A kind of document, and its fields: the outermost of `metadata` and `spec`. */
export function kindText({
  kind,
  description,
  fields,
}: {
  kind: string;
  description: string;
  fields: readonly Field[];
}): string {
  const outer = fields.filter(({ path }) => path.split('.').length <= 2);
  return [`${kind}: ${description}`, '', ...list(outer)].join('\n');
}

/** One field with what may stand there, and the fields below it. */
export function fieldText(
  kind: string,
  { path, type, fallback, description, examples }: Field,
  all: readonly Field[],
): string {
  const depth = path.split('.').length + 1;
  const below = all.filter(
    (field) =>
      /^(\[\])?\./.test(field.path.slice(path.length)) &&
      field.path.startsWith(path) &&
      field.path.split('.').length === depth,
  );
  return [
    `${path}  (${kind})`,
    '',
    ...(description === '' ? [] : [`  ${description}`, '']),
    `  What may stand there: ${type.replaceAll('`', '')}`,
    ...(fallback === ''
      ? []
      : [`  Left out: ${fallback === 'required' ? 'it is required' : fallback.replaceAll('`', '')}`]),
    ...(examples.length === 0
      ? []
      : [`  For example: ${examples.map((one) => JSON.stringify(one)).join(', ')}`]),
    ...(below.length === 0 ? [] : ['', ...list(below)]),
  ].join('\n');
}

/** The first sentence of each says enough. */
function list(fields: readonly Field[]): string[] {
  const widest = Math.max(...fields.map(({ path }) => path.length));
  return fields.map(({ path, description }) =>
    `  ${path.padEnd(widest)}  ${description.split(/(?<=\.)\s/)[0] ?? ''}`.trimEnd(),
  );
}
