import type { Statement } from '../iam/types.ts';
import { visible } from '../visible.ts';
import { showValue } from './value.ts';

/** A policy statement as a sentence, a line a part: `Allow kms:Decrypt`, `on …`, `if kms:ViaService is …`, `and …`. */
export function statementLines(statement: Statement): string[] {
  const { Effect, Principal, NotPrincipal, Action, NotAction, Resource, NotResource, Condition } = statement;
  const who = [showPrincipal(Principal), NotPrincipal && `everybody but ${showPrincipal(NotPrincipal)}`];
  const what = [listText(Action), NotAction && `everything but ${listText(NotAction)}`];
  const where = [listText(Resource), NotResource && `everything but ${listText(NotResource)}`];
  const conditions = Object.entries(Condition ?? {}).flatMap(([operator, keys]) =>
    Object.entries(keys).map(([key, values]) => `${key} ${verb(operator)} ${listText(values, ' or ')}`),
  );
  return [
    [Effect, ...who.filter(Boolean).map((name) => `${name} to`), ...what.filter(Boolean)].join(' '),
    ...where.filter(Boolean).map((name) => `on ${name}`),
    ...conditions.map((condition, index) => `${index === 0 ? 'if' : 'and'} ${condition}`),
  ].map(visible);
}

export const isStatement = (value: unknown): value is Statement =>
  typeof value === 'object' && value !== null && 'Effect' in value;

/** What an operator says of a key: `is`, `is like`. */
export const verb = (operator: string): string =>
  ({ StringEquals: 'is', StringLike: 'is like' })[operator] ?? operator;

function showPrincipal(principal: unknown): string {
  if (typeof principal !== 'object' || principal === null) return listText(principal);
  return Object.values(principal)
    .map((one) => listText(one))
    .join(', ');
}

function listText(value: unknown, joint = ', '): string {
  if (value === undefined) return '';
  return Array.isArray(value) ? value.map(showValue).join(joint) : showValue(value);
}
