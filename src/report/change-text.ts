import { stableJson } from '../canonical.ts';
import type { Operation } from '../core/difference.ts';
import { showPointer } from '../core/pointer.ts';
import { isRef } from '../core/ref.ts';
import { visible } from '../visible.ts';
import { isStatement, statementLines, verb } from './statement.ts';
import type { PlanStyle } from './style.ts';
import { fieldLines, showValue } from './value.ts';
import { wrapped } from './wrapped.ts';

/** One field that differs: what it was, and what it becomes. */
export function changeText(operation: Operation, before: unknown, style: PlanStyle): string[] {
  const { paint, width } = style;
  const name = nameOf(operation.path, operation.op === 'replace');
  const after = 'value' in operation ? operation.value : undefined;
  if (operation.op === 'remove')
    return named(operation.path, before).flatMap(([name, value]) =>
      shown(paint.red('-'), name, value, style),
    );
  if (operation.op === 'replace' && Array.isArray(before) && Array.isArray(after))
    return listText(name, before, after, style);
  if (operation.op === 'replace') {
    const [old, now] = [showValue(before), showValue(after)];
    const mark = `      ${paint.yellow('~')} `;
    if (name.length + old.length + now.length + 13 <= width)
      return [`${mark}${name}: ${old} ${paint.dim('→')} ${now}`];
    return [
      ...headed(mark, name, width),
      ...wrapped('          ', old, width),
      ...wrapped(`        ${paint.dim('→')} `, now, width),
    ];
  }
  return named(operation.path, after).flatMap(([name, value]) => shown(paint.green('+'), name, value, style));
}

/** A list that differs, as the set that it is: only what comes and what goes. */
function listText(
  name: string,
  before: readonly unknown[],
  after: readonly unknown[],
  { paint, width }: PlanStyle,
): string[] {
  const has = (list: readonly unknown[], item: unknown) =>
    list.some((one) => stableJson(one) === stableJson(item));
  const gone = before.filter((item) => !has(after, item));
  const come = after.filter((item) => !has(before, item));
  return [
    ...headed(`      ${paint.yellow('~')} `, name, width),
    ...gone.map((item) => `          ${paint.red('-')} ${showValue(item)}`),
    ...come.map((item) => `          ${paint.green('+')} ${showValue(item)}`),
  ];
}

/** What comes or goes: what a map holds is named one by one, and an empty list is nothing. */
function named(pointer: string, value: unknown): [name: string, value: unknown][] {
  if (Array.isArray(value) && value.length === 0) return [];
  const isMap = pointer.split('/').length === 2 && isRecord(value) && !isStatement(value);
  if (!isMap) return [[nameOf(pointer), value]];
  return Object.entries(value).flatMap(([key, item]) =>
    named(`${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`, item),
  );
}

/** A field and its value; a statement or a rule takes a line for each of its parts. */
function shown(mark: string, name: string, value: unknown, { width }: PlanStyle): string[] {
  const parts = isStatement(value) ? statementLines(value) : isRecord(value) ? fieldLines(value) : undefined;
  if (parts)
    return [
      ...headed(`      ${mark} `, name, width),
      ...parts.flatMap((part) => wrapped('          ', part, width, { hang: 4 })),
    ];
  const text = showValue(value);
  if (name.length + text.length + 10 <= width) return [`      ${mark} ${name}: ${text}`];
  return [...headed(`      ${mark} `, name, width), ...wrapped('          ', text, width)];
}

/** A name that its value stands below. */
const headed = (mark: string, name: string, width: number): string[] =>
  wrapped(mark, `${name}:`, width, { hang: 2 });

/**
 * `rules["replikey/tax/tax"].prefix`; a condition is named as a statement shows it: `…, kms:ViaService is`. Where only its
 * values are replaced, how they are compared says nothing.
 */
function nameOf(pointer: string, isReplaced = false): string {
  const [, statement = '', operator = '', key = ''] =
    /^(.+)\/Condition\/([^/]+)\/([^/]+)$/.exec(pointer) ?? [];
  if (statement === '') return visible(showPointer(pointer));
  const unescaped = key.replaceAll('~1', '/').replaceAll('~0', '~');
  return visible(`${showPointer(statement)}, ${unescaped}${isReplaced ? '' : ` ${verb(operator)}`}`);
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !isRef(value);
