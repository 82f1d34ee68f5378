import type { Statement } from '../iam/types.ts';
import { showValue } from './value.ts';

/** A policy statement as a sentence: `Allow kms:Decrypt on … if kms:ViaService is …`. */
export function statementText(statement: Statement): string {
  const { Effect, Principal, Action, Resource, Condition } = statement;
  const parts = [
    Effect,
    Principal === undefined ? '' : `${showPrincipal(Principal)} to`,
    listText(Action),
    Resource === undefined ? '' : `on ${listText(Resource)}`,
  ];
  const conditions = Object.entries(Condition ?? {}).flatMap(([operator, keys]) =>
    Object.entries(keys).map(([key, values]) => `${key} ${verb(operator)} ${listText(values, ' or ')}`),
  );
  const sentence = parts.filter(Boolean).join(' ');
  return conditions.length === 0 ? sentence : `${sentence} if ${conditions.join(' and ')}`;
}

export const isStatement = (value: unknown): value is Statement =>
  typeof value === 'object' && value !== null && 'Effect' in value;

const verb = (operator: string): string =>
  ({ StringEquals: 'is', StringLike: 'is like' })[operator] ?? operator;

function showPrincipal(principal: unknown): string {
  if (typeof principal !== 'object' || principal === null) return showValue(principal);
  return Object.values(principal)
    .map((one) => listText(one))
    .join(', ');
}

const listText = (value: unknown, joint = ', '): string =>
  Array.isArray(value) ? value.map(showValue).join(joint) : showValue(value);
