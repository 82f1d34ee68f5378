import { EXIT, UserError } from '../errors.ts';
import { fieldText, kindText } from '../report/field-text.ts';
import { kindsOfDocuments } from '../spec/fields.ts';
import { suggest } from '../spec/suggest.ts';
import { helpWidth } from './help.ts';
import type { Io } from './io.ts';

/** `reconcile explain [FIELD]`: what the schema says of a field, or of a kind of document. */
export async function explain(asked: string | undefined, io: Io): Promise<number> {
  const kinds = kindsOfDocuments();
  const width = helpWidth(io);
  const [named = '', ...rest] = (asked ?? '').split('.');
  const kind = kinds.find((one) => one.kind.toLowerCase() === named.toLowerCase());
  if (asked === undefined || (kind && rest.length === 0)) {
    const texts = (kind ? [kind] : kinds).map((one) => kindText(one, width));
    io.stdout.write(`${texts.join('\n\n')}\n`);
    return EXIT.ok;
  }
  const path = normal(kind ? rest.join('.') : asked);
  const found = (kind ? [kind] : kinds).flatMap(({ kind: of, fields }) =>
    fields.filter((field) => isMeant(normal(field.path), path)).map((field) => ({ of, field, fields })),
  );
  if (found.length === 0) {
    const known = kinds.flatMap(({ fields }) => fields.map((field) => normal(field.path)));
    const meant = suggest(path, known) ?? known.find((one) => one.endsWith(`.${path}`));
    const instead = meant === undefined ? 'reconcile explain lists what there is' : `did you mean ${meant}?`;
    throw new UserError(EXIT.usage, `there is no field ${asked}: ${instead}`);
  }
  const texts = found.map(({ of, field, fields }) => fieldText(of, field, fields, width));
  io.stdout.write(`${texts.join('\n\n')}\n`);
  return EXIT.ok;
}

/** Where a field has `*`, any name is meant. */
function isMeant(field: string, path: string): boolean {
  const [names, asked] = [field.split('.'), path.split('.')];
  return names.length === asked.length && names.every((name, index) => name === '*' || name === asked[index]);
}

/** Without the places in lists: `spec.rules[0].prefix`, `spec.rules[].prefix` and `spec.rules.prefix` are one field. */
const normal = (path: string): string => path.replace(/\[\d*\]/g, '');
