import { list } from './context.ts';
import type { Policy } from './types.ts';

/** Why a text is not a policy, in words. */
export class PolicyError extends Error {}

const KEYS = new Set([
  'Sid',
  'Effect',
  'Principal',
  'NotPrincipal',
  'Action',
  'NotAction',
  'Resource',
  'NotResource',
  'Condition',
]);

/**
 * Read a policy from JSON text.
 *
 * @throws PolicyError when it is not JSON, or not of a policy's form.
 */
export function parsePolicy(text: string): Policy {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new PolicyError('it is not valid JSON', { cause: error });
  }
  if (!isRecord(value)) throw new PolicyError('it is not a JSON object');
  if (value.Version !== undefined && value.Version !== '2012-10-17' && value.Version !== '2008-10-17') {
    throw new PolicyError(`its Version is ${JSON.stringify(value.Version)}, and policies have 2012-10-17`);
  }
  const statements = list(value.Statement as unknown);
  if (statements.length === 0) throw new PolicyError('it has no Statement');
  for (const statement of statements) checkStatement(statement);
  return value as unknown as Policy;
}

function checkStatement(statement: unknown): void {
  if (!isRecord(statement)) throw new PolicyError('a Statement is not an object');
  const unknown = Object.keys(statement).find((key) => !KEYS.has(key));
  if (unknown !== undefined) throw new PolicyError(`a Statement has the unknown element ${unknown}`);
  if (statement.Effect !== 'Allow' && statement.Effect !== 'Deny') {
    throw new PolicyError('a Statement has no Effect of Allow or Deny');
  }
  for (const key of ['Action', 'NotAction', 'Resource', 'NotResource'] as const) {
    const value = statement[key];
    if (value !== undefined && !list(value).every((one) => typeof one === 'string')) {
      throw new PolicyError(`the ${key} of a Statement is not a string or a list of strings`);
    }
  }
  if (statement.Condition !== undefined && !isRecord(statement.Condition)) {
    throw new PolicyError('the Condition of a Statement is not an object');
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
