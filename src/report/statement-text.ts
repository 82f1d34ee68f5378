import type { Statement } from '../iam/types.ts';
import { escapeUnprintable } from '../util/escape.ts';
import { valueText } from './value.ts';

/** A policy statement as a sentence, a line a part: `Allow kms:Decrypt`, `on …`, `if kms:ViaService is …`, `and …`. */
export function statementLines(statement: Statement): string[] {
  const { Effect, Principal, NotPrincipal, Action, NotAction, Resource, NotResource, Condition } = statement;
  const principals = [
    principalText(Principal),
    NotPrincipal && `everybody but ${principalText(NotPrincipal)}`,
  ];
  const actions = [valuesText(Action), NotAction && `everything but ${valuesText(NotAction)}`];
  const resources = [valuesText(Resource), NotResource && `everything but ${valuesText(NotResource)}`];
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

/** What an operator says of a key: `is`, `is like`. */
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
