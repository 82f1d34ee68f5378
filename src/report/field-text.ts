import type { Field } from '../spec/fields.ts';
import { wrapped } from './wrapped.ts';

/** A kind of document, and its fields: the outermost of `metadata` and `spec`. */
export function kindText(
  { kind, description, fields }: { kind: string; description: string; fields: readonly Field[] },
  width: number,
): string {
  const outer = fields.filter(({ path }) => path.split('.').length <= 2);
  return [...wrapped('', `${kind}: ${description}`, width), '', ...list(outer, width)].join('\n');
}

/** One field with what may stand there, and the fields below it. */
export function fieldText(
  kind: string,
  { path, type, fallback, description, examples }: Field,
  all: readonly Field[],
  width: number,
): string {
  const depth = path.split('.').length + 1;
  const below = all.filter(
    (field) =>
      /^(\[\])?\./.test(field.path.slice(path.length)) &&
      field.path.startsWith(path) &&
      field.path.split('.').length === depth,
  );
  const line = (text: string) => wrapped('  ', text, width, { hang: 4 });
  return [
    `${path}  (${kind})`,
    '',
    ...(description === '' ? [] : [...wrapped('  ', description, width), '']),
    ...line(`What may stand there: ${type.replaceAll('`', '')}`),
    ...(fallback === ''
      ? []
      : line(`Left out: ${fallback === 'required' ? 'it is required' : fallback.replaceAll('`', '')}`)),
    ...(examples.length === 0
      ? []
      : line(`For example: ${examples.map((one) => JSON.stringify(one)).join(', ')}`)),
    ...(below.length === 0 ? [] : ['', ...list(below, width)]),
  ].join('\n');
}

/** The first sentence of each says enough. */
function list(fields: readonly Field[], width: number): string[] {
  const widest = Math.max(...fields.map(({ path }) => path.length));
  return fields.flatMap(({ path, description }) =>
    wrapped(`  ${path.padEnd(widest)}  `, description.split(/(?<=\.)\s/)[0] ?? '', width).map((line) =>
      line.trimEnd(),
    ),
  );
}
