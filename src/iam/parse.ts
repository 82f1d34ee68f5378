import { isConditionOperator } from './conditions.ts';
import { toList } from './context.ts';
import type { Policy, Statement } from './types.ts';

/** The reason why a text is not a valid policy. */
export class PolicyError extends Error {}

/** Pairs of opposite elements. A statement can have at most one element of each pair. */
const EXCLUSIVE_ELEMENTS = [
  ['Action', 'NotAction'],
  ['Resource', 'NotResource'],
  ['Principal', 'NotPrincipal'],
] as const;
export const STATEMENT_ELEMENTS = new Set<string>([
  'Sid',
  'Effect',
  'Condition',
  ...EXCLUSIVE_ELEMENTS.flat(),
]);
const PRINCIPAL_TYPES = new Set(['AWS', 'Service', 'Federated', 'CanonicalUser']);

/** Maximum depth of a policy. The deepest part of a valid policy is a value in the list of a condition. */
const MAX_POLICY_DEPTH = 8;

/**
 * Reads a policy from JSON text and checks it against the elements and words that IAM accepts.
 *
 * @throws PolicyError when the text is not JSON or not a valid policy.
 */
export function parsePolicy(text: string): Policy {
  const policy = parseStoredPolicy(text);
  const { Version } = policy;
  if (Version !== undefined && Version !== '2012-10-17' && Version !== '2008-10-17') {
    throw new PolicyError(`invalid Version ${JSON.stringify(Version)}: use 2012-10-17`);
  }
  const statements = toList(policy.Statement);
  if (statements.length === 0) throw new PolicyError('the Statement is missing');
  for (const statement of statements) checkStatementElements(statement);
  return policy;
}

/**
 * Reads a policy that AWS already accepted. It checks only the structure that evaluation needs. Elements and words that
 * IAM introduced later are accepted.
 *
 * @throws PolicyError when the text is not JSON or has another structure.
 */
export function parseStoredPolicy(text: string): Policy {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new PolicyError('invalid JSON', { cause: error });
  }
  return toPolicy(value);
}

/**
 * Returns a JSON value as a policy after a check of its structure.
 *
 * @throws PolicyError when the value does not have the structure of a policy.
 */
export function toPolicy(value: unknown): Policy {
  if (!isJsonObject(value)) throw new PolicyError('not a JSON object');
  if (isDeeperThan(value, MAX_POLICY_DEPTH))
    throw new PolicyError(`more than ${MAX_POLICY_DEPTH} levels deep`);
  if (value.Statement === undefined) throw new PolicyError('the Statement is missing');
  for (const statement of toList(value.Statement)) checkStatementTypes(statement);
  return value as unknown as Policy;
}

const isDeeperThan = (value: unknown, levels: number): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (levels === 0 || Object.values(value).some((child) => isDeeperThan(child, levels - 1)));

/** Checks the types of the elements of a statement. */
function checkStatementTypes(statement: unknown): void {
  if (!isJsonObject(statement)) throw new PolicyError('a Statement is not an object');
  if (statement.Sid !== undefined && typeof statement.Sid !== 'string')
    throw new PolicyError('the Sid of a Statement is not a string');
  for (const key of ['Action', 'NotAction', 'Resource', 'NotResource'] as const) {
    if (statement[key] !== undefined && !isStringOrStrings(statement[key])) {
      throw new PolicyError(`the ${key} of a Statement is not a string or a list of strings`);
    }
  }
  checkPrincipal('Principal', statement.Principal);
  checkPrincipal('NotPrincipal', statement.NotPrincipal);
  checkCondition(statement.Condition);
}

/** Checks which elements a statement has, and the words in them. */
function checkStatementElements(statement: Statement): void {
  const unknownElement = Object.keys(statement).find((key) => !STATEMENT_ELEMENTS.has(key));
  if (unknownElement !== undefined)
    throw new PolicyError(`a Statement has the unknown element ${unknownElement}`);
  if (statement.Effect !== 'Allow' && statement.Effect !== 'Deny') {
    throw new PolicyError('a Statement has no Effect of Allow or Deny');
  }
  for (const [element, opposite] of EXCLUSIVE_ELEMENTS) {
    if (statement[element] !== undefined && statement[opposite] !== undefined)
      throw new PolicyError(`a Statement has both ${element} and ${opposite}`);
  }
  if (statement.Action === undefined && statement.NotAction === undefined)
    throw new PolicyError('a Statement has neither Action nor NotAction');
  for (const key of ['Principal', 'NotPrincipal'] as const) {
    const unknownType = Object.keys(typeof statement[key] === 'object' ? statement[key] : {}).find(
      (type) => !PRINCIPAL_TYPES.has(type),
    );
    if (unknownType !== undefined)
      throw new PolicyError(`the ${key} of a Statement has the unknown type ${unknownType}`);
  }
  const unknownOperator = Object.keys(statement.Condition ?? {}).find(
    (operator) => !isConditionOperator(operator),
  );
  if (unknownOperator !== undefined)
    throw new PolicyError(`a Condition has the unknown operator ${unknownOperator}`);
}

function checkPrincipal(key: string, value: unknown): void {
  if (value === undefined || value === '*') return;
  if (!isJsonObject(value)) throw new PolicyError(`the ${key} of a Statement is neither "*" nor an object`);
  for (const [type, names] of Object.entries(value)) {
    if (!isStringOrStrings(names))
      throw new PolicyError(`the ${type} of a ${key} is not a string or a list of strings`);
  }
}

function checkCondition(value: unknown): void {
  if (value === undefined) return;
  if (!isJsonObject(value)) throw new PolicyError('the Condition of a Statement is not an object');
  for (const [operator, keys] of Object.entries(value)) {
    if (!isJsonObject(keys)) throw new PolicyError(`the ${operator} of a Condition is not an object`);
    const invalidKey = Object.keys(keys).find((key) => !toList(keys[key]).every(isScalar));
    if (invalidKey !== undefined)
      throw new PolicyError(`the ${operator} of ${invalidKey} is not a value or a list of values`);
  }
}

const isStringOrStrings = (value: unknown): boolean =>
  toList(value).every((item) => typeof item === 'string');

/** Returns whether a value can be the value of a condition key. */
export const isScalar = (value: unknown): boolean => ['string', 'number', 'boolean'].includes(typeof value);

export const isJsonObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
