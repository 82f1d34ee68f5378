import type { FieldChange } from '../core/diff.ts';
import { isRef } from '../core/ref.ts';
import type { Statement } from '../iam/types.ts';
import { escapeUnprintable } from '../util/escape.ts';
import { appendToPointer, formatPointer, parsePointer } from '../util/json-pointer.ts';
import { type PlanStyle, wrapText } from './style.ts';

/** Returns the lines of one changed field: the value before and the value after. */
export function changeText(change: FieldChange, style: PlanStyle): string[] {
  if (change.type === 'elements') return elementLines(change, style);
  const { type, path, before, after } = change;
  const { paint, width } = style;
  if (type === 'replace') {
    const name = changedFieldName(path, true);
    const [oldText, newText] = [valueText(before), valueText(after)];
    const mark = `      ${paint.yellow('~')} `;
    if (name.length + oldText.length + newText.length + 13 <= width)
      return [`${mark}${name}: ${oldText} ${paint.dim('→')} ${newText}`];
    return [
      ...headingLines(mark, name, width),
      ...wrapText('          ', oldText, width),
      ...wrapText(`        ${paint.dim('→')} `, newText, width),
    ];
  }
  const [mark, value] = type === 'add' ? [paint.green('+'), after] : [paint.red('-'), before];
  return namedEntries(path, value).flatMap(([name, item]) => valueLines(mark, name, item, style));
}

/** Returns the lines of a changed set: only the elements that are removed and added. */
const elementLines = (
  { path, removed, added }: FieldChange & { type: 'elements' },
  { paint, width }: PlanStyle,
): string[] => [
  ...headingLines(`      ${paint.yellow('~')} `, changedFieldName(path, true), width),
  ...removed.map((element) => `          ${paint.red('-')} ${valueText(element)}`),
  ...added.map((element) => `          ${paint.green('+')} ${valueText(element)}`),
];

/**
 * Returns the entries of an added or removed value: each entry of a map by its own name, and none for an empty list.
 */
function namedEntries(pointer: string, value: unknown): [name: string, value: unknown][] {
  if (Array.isArray(value) && value.length === 0) return [];
  const isMap = parsePointer(pointer).length === 1 && isNestedObject(value) && !isStatement(value);
  if (!isMap) return [[changedFieldName(pointer), value]];
  return Object.entries(value).flatMap(([key, item]) => namedEntries(appendToPointer(pointer, key), item));
}

/** Returns the lines of a field and its value; a statement or a rule takes a line for each of its parts. */
function valueLines(mark: string, name: string, value: unknown, { width }: PlanStyle): string[] {
  const parts = isStatement(value)
    ? statementLines(value)
    : isNestedObject(value)
      ? fieldLines(value)
      : undefined;
  if (parts)
    return [
      ...headingLines(`      ${mark} `, name, width),
      ...parts.flatMap((part) => wrapText('          ', part, width, { hang: 4 })),
    ];
  const text = valueText(value);
  if (name.length + text.length + 10 <= width) return [`      ${mark} ${name}: ${text}`];
  return [...headingLines(`      ${mark} `, name, width), ...wrapText('          ', text, width)];
}

/** Returns the heading above a value of several lines. */
const headingLines = (mark: string, name: string, width: number): string[] =>
  wrapText(mark, `${name}:`, width, { hang: 2 });

/**
 * Returns the name of a changed field: `rules["replikey/tax/tax"].prefix`. Names a condition in the form of a
 * statement: `…, kms:ViaService is`. Omits the operator if only the values of the condition are replaced.
 */
function changedFieldName(pointer: string, isReplaced = false): string {
  const [policy = '', sid = '', element, operator = '', key] = parsePointer(pointer);
  if (element !== 'Condition' || key === undefined) return escapeUnprintable(formatPointer(pointer));
  const statement = formatPointer(appendToPointer(appendToPointer('', policy), sid));
  return escapeUnprintable(`${statement}, ${key}${isReplaced ? '' : ` ${operatorText(operator)}`}`);
}

const isNestedObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !isRef(value);

/**
 * Returns a policy statement as a sentence, one line a part: `Allow kms:Decrypt`, `on …`, `if kms:ViaService is …`,
 * `and …`.
 */
export function statementLines(statement: Statement): string[] {
  const { Effect, Principal, NotPrincipal, Action, NotAction, Resource, NotResource, Condition } = statement;
  const principals = [
    principalText(Principal),
    NotPrincipal && `everyone except ${principalText(NotPrincipal)}`,
  ];
  const actions = [valuesText(Action), NotAction && `everything except ${valuesText(NotAction)}`];
  const resources = [valuesText(Resource), NotResource && `everything except ${valuesText(NotResource)}`];
  const conditions = Object.entries(Condition ?? {}).flatMap(([operator, keys]) =>
    Object.entries(keys).map(
      ([key, values]) => `${key} ${operatorText(operator)} ${valuesText(values, ' or ')}`,
    ),
  );
  return [
    [Effect, ...principals.filter(Boolean).map((name) => `${name} to`), ...actions.filter(Boolean)].join(' '),
    ...resources.filter(Boolean).map((name) => `on ${name}`),
    ...conditions.map((condition, index) => `${index === 0 ? 'if' : 'and'} ${condition}`),
  ].map(escapeUnprintable);
}

export const isStatement = (value: unknown): value is Statement =>
  typeof value === 'object' && value !== null && 'Effect' in value;

/** Returns the text of a condition operator: `is`, `is like`. */
export const operatorText = (operator: string): string =>
  ({ StringEquals: 'is', StringLike: 'is like' })[operator] ?? operator;

function principalText(principal: unknown): string {
  if (typeof principal !== 'object' || principal === null) return valuesText(principal);
  return Object.values(principal)
    .map((value) => valuesText(value))
    .join(', ');
}

function valuesText(value: unknown, separator = ', '): string {
  if (value === undefined) return '';
  return Array.isArray(value) ? value.map(valueText).join(separator) : valueText(value);
}

/** Returns a value as a plan shows it: a reference is known only after apply. */
export function valueText(value: unknown): string {
  if (value === undefined) return '(none)';
  if (isRef(value)) return '(known after apply)';
  if (typeof value === 'string') return value === '' ? '""' : escapeUnprintable(value);
  if (Array.isArray(value))
    return value.length === 1 ? valueText(value[0]) : `[${value.map(valueText).join(', ')}]`;
  if (typeof value === 'object' && value !== null) return `{${fieldLines(value).join(', ')}}`;
  return String(value);
}

/** Returns the fields of a value, `status: Enabled`. Omits disabled and empty fields. */
export const fieldLines = (value: object): string[] =>
  Object.entries(value)
    .filter(([, item]) => item !== false && JSON.stringify(item) !== '{}')
    .map(([key, item]) => `${escapeUnprintable(key)}: ${valueText(item)}`);
