import { isOperator } from './conditions.ts';
import { list } from './context.ts';
import type { Policy, Statement } from './types.ts';

/** Why a text is not a policy, in words. */
export class PolicyError extends Error {}

/** The elements of a statement that say the same thing or its opposite: one of each pair. */
const PAIRS = [
  ['Action', 'NotAction'],
  ['Resource', 'NotResource'],
  ['Principal', 'NotPrincipal'],
] as const;
const ELEMENTS = new Set<string>(['Sid', 'Effect', 'Condition', ...PAIRS.flat()]);
const PRINCIPALS = new Set(['AWS', 'Service', 'Federated', 'CanonicalUser']);

/** How deep a policy is at most: its deepest part is a value in a list of a condition. */
const MAX_DEPTH = 8;

/**
 * Read a policy from JSON text, and hold it to what IAM takes.
 *
 * @throws PolicyError when it is not JSON, or no policy.
 */
export function parsePolicy(text: string): Policy {
  const policy = readPolicy(text);
  const { Version } = policy;
  if (Version !== undefined && Version !== '2012-10-17' && Version !== '2008-10-17') {
    throw new PolicyError(`its Version is ${JSON.stringify(Version)}, and policies have 2012-10-17`);
  }
  const statements = list(policy.Statement);
  if (statements.length === 0) throw new PolicyError('it has no Statement');
  for (const statement of statements) checkElements(statement);
  return policy;
}

/**
 * Read a policy that somebody accepted: it has the form that can be evaluated, whatever words it may use that IAM has
 * learnt since.
 *
 * @throws PolicyError when it is not JSON, or of another form.
 */
export function readPolicy(text: string): Policy {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new PolicyError('it is not valid JSON', { cause: error });
  }
  return asPolicy(value);
}

/** @throws PolicyError when a value does not have a policy's form. */
export function asPolicy(value: unknown): Policy {
  if (!isRecord(value)) throw new PolicyError('it is not a JSON object');
  if (isDeeper(value, MAX_DEPTH)) throw new PolicyError(`it is more than ${MAX_DEPTH} levels deep`);
  if (value.Statement === undefined) throw new PolicyError('it has no Statement');
  for (const statement of list(value.Statement)) checkForm(statement);
  return value as unknown as Policy;
}

const isDeeper = (value: unknown, levels: number): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (levels === 0 || Object.values(value).some((one) => isDeeper(one, levels - 1)));

/** The types of what a statement says. */
function checkForm(statement: unknown): void {
  if (!isRecord(statement)) throw new PolicyError('a Statement is not an object');
  if (statement.Sid !== undefined && typeof statement.Sid !== 'string')
    throw new PolicyError('the Sid of a Statement is not a string');
  for (const key of ['Action', 'NotAction', 'Resource', 'NotResource'] as const) {
    if (statement[key] !== undefined && !areStrings(statement[key])) {
      throw new PolicyError(`the ${key} of a Statement is not a string or a list of strings`);
    }
  }
  checkPrincipal('Principal', statement.Principal);
  checkPrincipal('NotPrincipal', statement.NotPrincipal);
  checkCondition(statement.Condition);
}

/** Which elements a statement has, and the words in them. */
function checkElements(statement: Statement): void {
  const unknown = Object.keys(statement).find((key) => !ELEMENTS.has(key));
  if (unknown !== undefined) throw new PolicyError(`a Statement has the unknown element ${unknown}`);
  if (statement.Effect !== 'Allow' && statement.Effect !== 'Deny') {
    throw new PolicyError('a Statement has no Effect of Allow or Deny');
  }
  for (const [one, other] of PAIRS) {
    if (statement[one] !== undefined && statement[other] !== undefined)
      throw new PolicyError(`a Statement has both ${one} and ${other}`);
  }
  if (statement.Action === undefined && statement.NotAction === undefined)
    throw new PolicyError('a Statement has neither Action nor NotAction');
  for (const key of ['Principal', 'NotPrincipal'] as const) {
    const type = Object.keys(typeof statement[key] === 'object' ? statement[key] : {}).find(
      (one) => !PRINCIPALS.has(one),
    );
    if (type !== undefined) throw new PolicyError(`the ${key} of a Statement has the unknown type ${type}`);
  }
  const operator = Object.keys(statement.Condition ?? {}).find((one) => !isOperator(one));
  if (operator !== undefined) throw new PolicyError(`a Condition has the unknown operator ${operator}`);
}

function checkPrincipal(key: string, value: unknown): void {
  if (value === undefined || value === '*') return;
  if (!isRecord(value)) throw new PolicyError(`the ${key} of a Statement is neither "*" nor an object`);
  for (const [type, names] of Object.entries(value)) {
    if (!areStrings(names))
      throw new PolicyError(`the ${type} of a ${key} is not a string or a list of strings`);
  }
}

function checkCondition(value: unknown): void {
  if (value === undefined) return;
  if (!isRecord(value)) throw new PolicyError('the Condition of a Statement is not an object');
  for (const [operator, keys] of Object.entries(value)) {
    if (!isRecord(keys)) throw new PolicyError(`the ${operator} of a Condition is not an object`);
    const odd = Object.keys(keys).find((key) => !list(keys[key]).every(isScalar));
    if (odd !== undefined)
      throw new PolicyError(`the ${operator} of ${odd} is not a value or a list of values`);
  }
}

const areStrings = (value: unknown): boolean => list(value).every((one) => typeof one === 'string');

const isScalar = (value: unknown): boolean => ['string', 'number', 'boolean'].includes(typeof value);

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
