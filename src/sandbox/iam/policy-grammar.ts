import { parseDocument } from 'yaml';
import { isConditionOperator } from '../../iam/conditions.ts';
import { toList } from '../../iam/context.ts';
import { isJsonObject, isScalar, STATEMENT_ELEMENTS } from '../../iam/parse.ts';
import type { Policy, Statement } from '../../iam/types.ts';

/**
 * Grammar of identity policies, with the messages and the order of the checks of IAM. The messages and the order follow
 * the policies whose refusal moto recorded (moto tests/test_iam/test_iam_policies.py). IAM parses a policy twice: the second
 * parser, which it calls the legacy parser, reports no detail.
 */

/** The reason why IAM refuses a policy, in the words of IAM. */
export class PolicyGrammarError extends Error {}

const SYNTAX_ERROR = 'Syntax errors in policy.';
const LEGACY_ERROR = 'The policy failed legacy parsing';

/**
 * Parses an identity policy.
 *
 * @throws PolicyGrammarError when IAM would refuse the policy in a partition (`aws`).
 */
export function parseIdentityPolicy(text: string, partition: string): Policy {
  const policy = parseSyntax(text);
  if (policy.Version !== '2012-10-17')
    throw new PolicyGrammarError('Policy document must be version 2012-10-17 or greater.');
  const statements = toList(policy.Statement);
  if (!statements.every(hasLegacyForm)) throw new PolicyGrammarError(LEGACY_ERROR);
  const resourceError = findResourceError(statements, partition);
  checkSids(statements);
  if (statements.some(({ Action, NotAction }) => isMissing(Action ?? NotAction)))
    throw new PolicyGrammarError('Policy statement must contain actions.');
  if (resourceError !== undefined) throw new PolicyGrammarError(resourceError);
  for (const { Action, NotAction } of statements)
    for (const action of toList(Action ?? NotAction)) checkAction(action);
  if (statements.some(({ Resource, NotResource }) => isMissing(Resource ?? NotResource)))
    throw new PolicyGrammarError('Policy statement must contain resources.');
  return policy;
}

const isMissing = (element: string | string[] | undefined): boolean => toList(element).length === 0;

/** Returns a JSON value; undefined for text that is no JSON, or has an object with two equal keys. */
export function parseStrictJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    // JSON.parse keeps the last of two equal keys.
    const hasDuplicateKeys = parseDocument(text, {
      uniqueKeys: true,
      schema: 'json',
      logLevel: 'silent',
    }).errors.some(({ code }) => code === 'DUPLICATE_KEY');
    return hasDuplicateKeys ? undefined : value;
  } catch {
    return undefined;
  }
}

type JsonObject = Record<string, unknown>;

const TOP_ELEMENTS = new Set(['Version', 'Id', 'Statement']);
function parseSyntax(text: string): Policy {
  const value = parseStrictJson(text);
  if (!isJsonObject(value) || !isPolicyForm(value)) throw new PolicyGrammarError(SYNTAX_ERROR);
  const statements = (Array.isArray(value.Statement) ? value.Statement : [value.Statement]) as unknown[];
  if (statements.length === 0) throw new PolicyGrammarError(SYNTAX_ERROR);
  for (const statement of statements) {
    if (!isJsonObject(statement) || !isStatementForm(statement)) throw new PolicyGrammarError(SYNTAX_ERROR);
    if ('Principal' in statement || 'NotPrincipal' in statement)
      throw new PolicyGrammarError('Policy document should not specify a principal.');
  }
  return value as unknown as Policy;
}

const isPolicyForm = ({ Version, Id, Statement, ...others }: JsonObject): boolean =>
  Object.keys(others).every((element) => TOP_ELEMENTS.has(element)) &&
  (Version === undefined || Version === '2012-10-17' || Version === '2008-10-17') &&
  (Id === undefined || typeof Id === 'string') &&
  typeof Statement === 'object' &&
  Statement !== null;

function isStatementForm(statement: JsonObject): boolean {
  const { Sid, Effect, Action, NotAction, Resource, NotResource, Condition = {} } = statement;
  return (
    Object.keys(statement).every((element) => STATEMENT_ELEMENTS.has(element)) &&
    (Sid === undefined || typeof Sid === 'string') &&
    typeof Effect === 'string' &&
    /^(allow|deny)$/i.test(Effect) &&
    (Action === undefined || NotAction === undefined) &&
    (Resource === undefined || NotResource === undefined) &&
    [Action, NotAction, Resource, NotResource].every(isTextOrTexts) &&
    isConditionForm(Condition)
  );
}

const isTextOrTexts = (value: unknown): boolean =>
  value === undefined ||
  typeof value === 'string' ||
  (Array.isArray(value) && value.every((item) => typeof item === 'string'));

const isConditionForm = (condition: unknown): boolean =>
  isJsonObject(condition) &&
  Object.entries(condition).every(
    ([operator, keys]) =>
      isJsonObject(keys) &&
      (isConditionOperator(operator) || Object.keys(keys).length === 0) &&
      Object.values(keys).every((values) => toList(values as unknown[]).every(isScalar)),
  );

/** Returns whether the legacy parser accepts the effect and the dates of a statement. */
const hasLegacyForm = ({ Effect, Condition = {} }: Statement): boolean =>
  (Effect === 'Allow' || Effect === 'Deny') &&
  Object.entries(Condition)
    .filter(([operator]) => /^(For(Any|All)Values?:)?Date/.test(operator))
    .flatMap(([, keys]) => Object.values(keys).flatMap((values) => toList(values)))
    .every((value) => isIamDate(String(value)));

const MAX_EPOCH = 9_223_372_036_854_775_807n;
const YEARS = [-292_275_054, 292_278_993] as const;

/** Returns whether a text is a date of IAM: an ISO 8601 date whose later parts are optional, or seconds of the epoch. */
function isIamDate(text: string): boolean {
  if (/^\d+$/.test(text)) return BigInt(text) <= MAX_EPOCH;
  const match =
    /^(-?\d+)(?:-(\d{1,2})(?:-(\d{1,2}))?)?(?:T(?:(\d{1,2})(?::(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,9}))?)?)?)?(?:Z|[+-](\d\d)(?::?(\d\d))?)?)?$/i.exec(
      text,
    );
  if (!match) return false;
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0, , zoneHour = 0, zoneMinute = 0] =
    match.slice(1).map((part) => (part === undefined ? undefined : Number(part)));
  return (
    [
      [year, ...YEARS],
      [month, 1, 12],
      [day, 1, 31],
      [hour, 0, 23],
      [minute, 0, 59],
      [second, 0, 59],
      [zoneHour, 0, 23],
      [zoneMinute, 0, 59],
    ] as const
  ).every(([value, min, max]) => value >= min && value <= max);
}

/**
 * Returns the message for the first invalid resource.
 *
 * @throws PolicyGrammarError when the legacy parser refuses a resource before.
 */
function findResourceError(statements: readonly Statement[], partition: string): string | undefined {
  let resourceError: string | undefined;
  for (const element of ['Resource', 'NotResource'] as const) {
    for (const statement of statements) {
      const resources = toList(statement[element]);
      // IAM reports the first one in the order of the alphabet.
      for (const resource of resources.toSorted()) resourceError ??= resourceProblem(resource, partition);
      if (resourceError === undefined && !resources.every(isLegacyResource))
        throw new PolicyGrammarError(LEGACY_ERROR);
    }
  }
  return resourceError;
}

const isLegacyResource = (resource: string): boolean => {
  if (resource === '*') return true;
  const parts = resource.split(':');
  return parts[2] !== '' && (parts.length > 5 || !resource.includes('::'));
};

/** Paths with which an IAM resource begins. */
const IAM_PATHS = [
  'user/',
  'federated-user/',
  'role/',
  'group/',
  'instance-profile/',
  'mfa/',
  'server-certificate/',
  'policy/',
  'sms-mfa/',
  'saml-provider/',
  'oidc-provider/',
  'report/',
  'access-report/',
];

/**
 * Resources of S3 with a Region in their ARN (Service Authorization Reference, "Resource types defined by Amazon S3").
 */
const REGIONAL_S3_RESOURCE =
  /^(?:accesspoint|job|storage-lens|storage-lens-group|access-grants|async-request)\//;

function resourceProblem(resource: string, partition: string): string | undefined {
  if (resource === '*') return undefined;
  const [, arnPartition, service, region = '', account, ...rest] = resource.split(':');
  if (arnPartition === undefined) return `Resource ${resource} must be in ARN format or "*".`;
  if (arnPartition !== '*' && arnPartition !== partition) {
    const [, , ...parts] = resource.split(':');
    const leadingParts = [0, 1, 2].map((index) => parts[index] ?? '*');
    const id = parts.length > 3 ? parts.slice(3).join(':') : '*';
    return `Partition "${arnPartition}" is not valid for resource "arn:${[arnPartition, ...leadingParts, id].join(':')}".`;
  }
  if (service === undefined) return 'Resource vendor must be fully qualified and cannot contain regexes.';
  const id = rest.join(':');
  const hasRegion = account !== undefined && region !== '';
  if (service === 'iam' && hasRegion) return `IAM resource ${resource} cannot contain region information.`;
  if (service === 's3' && hasRegion && !REGIONAL_S3_RESOURCE.test(id))
    return `Resource ${resource} can not contain region information.`;
  if (service === 'iam' && id !== '*' && !IAM_PATHS.some((path) => id.startsWith(path)))
    return `IAM resource path must either be "*" or start with ${IAM_PATHS.join(', ')}.`;
  return undefined;
}

function checkSids(statements: readonly Statement[]): void {
  const sids = statements.map(({ Sid }) => Sid ?? '').filter((sid) => sid !== '');
  if (new Set(sids).size < sids.length)
    throw new PolicyGrammarError('Statement IDs (SID) in a single policy must be unique.');
  if (!sids.every((sid) => /^[0-9A-Za-z]*$/.test(sid)))
    throw new PolicyGrammarError(
      'Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*',
    );
}

function checkAction(action: string): void {
  const [vendor = '', ...names] = action.split(':');
  if (names.length === 0 && vendor !== '*')
    throw new PolicyGrammarError(
      'Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.',
    );
  if (names.length > 1) throw new PolicyGrammarError('Actions/Condition can contain only one colon.');
  if (vendor !== '*' && /[^a-zA-Z0-9\-.]/.test(vendor))
    throw new PolicyGrammarError(`Vendor ${vendor} is not valid`);
}
