import { isConditionOperator, parseIpRange } from '../../iam/conditions.ts';
import { toList } from '../../iam/context.ts';
import { PolicyError, toPolicy } from '../../iam/parse.ts';
import { matchWildcard } from '../../iam/pattern.ts';
import type { Policy, Principal, Statement } from '../../iam/types.ts';
import { accountRootArn, bucketArn } from '../../util/arn.ts';
import { AwsError } from '../aws-error.ts';
import type { BucketState } from '../state.ts';
import type { Store } from '../store.ts';
import { findUnknownPrincipal, SERVICE_PRINCIPAL } from '../stored-policies.ts';
import { BUCKET_POLICY_ACTIONS, COMMON_CONDITION_KEYS, S3_CONDITION_KEYS } from './policy-actions.ts';

/**
 * Checks a bucket policy as PutBucketPolicy does, and returns it in the form in which S3 stores it.
 *
 * @throws AwsError MalformedPolicy, with the message of S3.
 */
export function checkBucketPolicy(text: string, bucket: BucketState, store: Store, now: number): Policy {
  const policy = parseBucketPolicy(text);
  for (const [index, statement] of toList(policy.Statement).entries()) {
    checkPolicyActions(statement);
    checkPolicyResources(statement, bucket);
    checkActionsApply(statement, index);
    checkPolicyConditions(statement);
  }
  const normalizedPolicy = normalizeBucketPolicy(policy, bucket.region);
  if (Buffer.byteLength(JSON.stringify(normalizedPolicy)) > MAX_POLICY_BYTES) {
    throw malformedBucketPolicyError(
      `Normalized policy document exceeds the maximum allowed size of ${MAX_POLICY_BYTES} bytes`,
    );
  }
  const unknownService = toList(policy.Statement)
    .flatMap(({ Principal, NotPrincipal }) => servicesOf(Principal ?? NotPrincipal))
    .find((service) => !SERVICE_PRINCIPAL.test(service));
  if (unknownService !== undefined) throw invalidPrincipalError('Service', unknownService);
  const unknownPrincipal = findUnknownPrincipal(store, policy, now);
  if (unknownPrincipal !== undefined) throw invalidPrincipalError('AWS', unknownPrincipal);
  return normalizedPolicy;
}

/** S3 User Guide, "Adding a bucket policy by using the Amazon S3 console": 20 KB. S3 does not count white space. */
const MAX_POLICY_BYTES = 20_480;

const malformedBucketPolicyError = (message: string, detail?: string): AwsError =>
  new AwsError(400, 'MalformedPolicy', message, detail === undefined ? {} : { Detail: detail });

const invalidPrincipalError = (type: string, principal: string): AwsError =>
  malformedBucketPolicyError('Invalid principal in policy', `"${type}" : "${principal}"`);

const servicesOf = (principal: Principal | undefined): string[] =>
  typeof principal === 'object' ? toList(principal.Service) : [];

/** Parses the text of a policy, and checks its elements. */
function parseBucketPolicy(text: string): Policy {
  if (!text.startsWith('{')) {
    throw malformedBucketPolicyError("Policies must be valid JSON and the first byte must be '{'");
  }
  let document: Record<string, unknown>;
  try {
    document = JSON.parse(text) as Record<string, unknown>;
  } catch {
    throw malformedBucketPolicyError('This policy contains invalid Json');
  }
  rejectUnknownFields(document, ['Version', 'Id', 'Statement']);
  const { Version, Statement } = document;
  if (Version !== undefined && Version !== '2012-10-17' && Version !== '2008-10-17') {
    throw malformedBucketPolicyError('The policy must contain a valid version string');
  }
  if (Statement === undefined) throw malformedBucketPolicyError('Missing required field Statement');
  if (Array.isArray(Statement) && Statement.length === 0) {
    throw malformedBucketPolicyError('Could not parse the policy: Statement is empty!');
  }
  for (const statement of toList(Statement)) checkPolicyStatement(statement);
  try {
    return toPolicy(document);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    throw invalidSyntaxError();
  }
}

const invalidSyntaxError = (): AwsError => malformedBucketPolicyError('Invalid policy syntax.');

function rejectUnknownFields(value: object, knownFields: string[]): void {
  const unknownField = Object.keys(value).find((field) => !knownFields.includes(field));
  if (unknownField !== undefined) throw malformedBucketPolicyError(`Unknown field ${unknownField}`);
}

/** Elements of a statement. Each pair excludes each other, and one of them is required. */
const PAIRED_FIELDS = [
  ['Principal', 'NotPrincipal'],
  ['Action', 'NotAction'],
  ['Resource', 'NotResource'],
] as const;

function checkPolicyStatement(value: unknown): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalidSyntaxError();
  rejectUnknownFields(value, ['Sid', 'Effect', 'Condition', ...PAIRED_FIELDS.flat()]);
  const statement = value as Record<string, unknown>;
  const { Effect, NotPrincipal } = statement;
  if (Effect === undefined) throw malformedBucketPolicyError('Missing required field Effect');
  if (Effect !== 'Allow' && Effect !== 'Deny') throw malformedBucketPolicyError(`Invalid effect: ${Effect}`);
  for (const [field, opposite] of PAIRED_FIELDS) {
    if (statement[field] !== undefined && statement[opposite] !== undefined) {
      throw malformedBucketPolicyError(`Statement/policy already has instance of ${field}`);
    }
    const fieldValue = field in statement ? statement[field] : statement[opposite];
    if (fieldValue === null) throw invalidSyntaxError();
    if (fieldValue === undefined) throw malformedBucketPolicyError(`Missing required field ${field}`);
    if (typeof fieldValue === 'object' && Object.keys(fieldValue).length === 0) {
      throw malformedBucketPolicyError(`Missing required field ${field} cannot be empty!`);
    }
  }
  checkPrincipalElement(statement.Principal ?? NotPrincipal);
  if (NotPrincipal !== undefined && Effect === 'Allow') {
    throw malformedBucketPolicyError('Allow with NotPrincipal is not allowed.');
  }
}

function checkPrincipalElement(principal: unknown): void {
  if (principal === '*') return;
  if (typeof principal !== 'object' || principal === null || Array.isArray(principal))
    throw invalidSyntaxError();
  for (const [type, names] of Object.entries(principal)) {
    const [name = ''] = toList<unknown>(names);
    if (!['AWS', 'Service', 'Federated', 'CanonicalUser'].includes(type) || name === '') {
      throw invalidPrincipalError(type, String(name));
    }
  }
}

interface PolicyAction {
  /** `s3:putobject` */
  name: string;
  type: 'bucket' | 'object';
  /** Condition keys in lower case; a `*` replaces the key of a tag. */
  keys: string[];
}

/** What a bucket policy can contain, parsed on the first use. */
let vocabulary: { actions: PolicyAction[]; conditionKeys: string[]; commonKeys: string[] } | undefined;

function vocabularyOf(): NonNullable<typeof vocabulary> {
  const wordsOf = (text: string) => text.trim().toLowerCase().split(/\s+/);
  vocabulary ??= {
    actions: BUCKET_POLICY_ACTIONS.trim()
      .split('\n')
      .map((line) => {
        const [name = '', type, ...keys] = wordsOf(line);
        return { name: `s3:${name}`, type: type as PolicyAction['type'], keys };
      }),
    conditionKeys: wordsOf(S3_CONDITION_KEYS),
    commonKeys: wordsOf(COMMON_CONDITION_KEYS),
  };
  return vocabulary;
}

/** Returns the actions that a pattern like `s3:Get*` names. */
function actionsOf(pattern: string): PolicyAction[] {
  const lowerPattern = pattern.toLowerCase();
  return vocabularyOf().actions.filter(({ name }) => matchWildcard(lowerPattern, name));
}

function checkPolicyActions({ Action, NotAction }: Statement): void {
  const unknownAction = toList(Action ?? NotAction).find((pattern) => actionsOf(pattern).length === 0);
  if (unknownAction !== undefined)
    throw malformedBucketPolicyError('Policy has invalid action', unknownAction);
}

/** Checks that each resource is the bucket of the policy, or objects in it. */
function checkPolicyResources({ Resource, NotResource }: Statement, { name, region }: BucketState): void {
  const arn = bucketArn(name, region);
  const foreignResource = toList(Resource ?? NotResource).find(
    (resource) => !(resource.startsWith(arn) && /^([/*?]|$)/.test(resource.slice(arn.length))),
  );
  if (foreignResource !== undefined)
    throw malformedBucketPolicyError('Policy has invalid resource', foreignResource);
}

/** Checks that each action applies to one of the resources. */
function checkActionsApply({ Sid, Action, Resource }: Statement, index: number): void {
  if (Resource === undefined) return;
  const types = new Set(
    toList(Resource).flatMap((resource) =>
      resource.includes('/') ? ['object'] : /[*?]/.test(resource) ? ['bucket', 'object'] : ['bucket'],
    ),
  );
  const uselessAction = toList(Action).find(
    (pattern) => !actionsOf(pattern).some(({ type }) => types.has(type)),
  );
  if (uselessAction === undefined) return;
  throw malformedBucketPolicyError(
    'Action does not apply to any resource(s) in statement',
    `Action "${uselessAction}" in Statement "${Sid ?? `NO_ID-${index}`}"`,
  );
}

/** Checks operators, keys and addresses of the conditions, and that the keys apply to the actions. */
function checkPolicyConditions({ Action, Condition = {} }: Statement): void {
  const { conditionKeys, commonKeys } = vocabularyOf();
  for (const [operator, keys] of Object.entries(Condition)) {
    if (!isConditionOperator(operator)) {
      throw malformedBucketPolicyError(`Invalid Condition type : ${operator}`);
    }
    for (const [key, values] of Object.entries(keys)) {
      const matches = (pattern: string) => matchWildcard(pattern, key.toLowerCase());
      // S3 accepts every global key, also one that does not exist.
      if (!/^aws:./i.test(key) && !conditionKeys.some(matches)) {
        throw malformedBucketPolicyError('Policy has an invalid condition key');
      }
      const appliesTo = (action: PolicyAction) => action.keys.some(matches);
      if (/^s3:/i.test(key) && !commonKeys.some(matches)) {
        const uselessAction = toList(Action).find((pattern) => !actionsOf(pattern).some(appliesTo));
        if (uselessAction !== undefined) {
          throw malformedBucketPolicyError(
            'Conditions do not apply to combination of actions and resources in statement',
            `Condition "${key}" and action "${uselessAction}"`,
          );
        }
      }
      const isAddress = /IpAddress/.test(operator);
      if (isAddress && !toList(values).every((value) => parseIpRange(String(value)))) {
        throw malformedBucketPolicyError('Invalid IP address in Conditions');
      }
    }
  }
}

/**
 * Returns a policy in the form in which S3 stores and returns it: elements in a fixed order, lists of one value as this
 * value, values of conditions as text, and an account as the ARN of its root.
 */
function normalizeBucketPolicy({ Version, Id, Statement }: Policy, region: string): Policy {
  const unwrap = <T>(value: T): unknown =>
    Array.isArray(value) && value.length === 1 ? value[0] : (value as unknown);
  const toRootArn = (name: unknown) =>
    typeof name === 'string' && /^\d{12}$/.test(name) ? accountRootArn(name, region) : name;
  const mapEntries = (record: object, map: (value: unknown) => unknown) =>
    Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
  const mapPrincipal = (principal: Principal | undefined) =>
    typeof principal === 'object'
      ? mapEntries(principal, (names) => unwrap(toList<unknown>(names).map(toRootArn)))
      : principal;
  const statements = toList(Statement).map(
    ({ Sid, Effect, Principal, NotPrincipal, Action, NotAction, Resource, NotResource, Condition }) => ({
      Sid,
      Effect,
      Principal: mapPrincipal(Principal),
      NotPrincipal: mapPrincipal(NotPrincipal),
      Action: unwrap(Action),
      NotAction: unwrap(NotAction),
      Resource: unwrap(Resource),
      NotResource: unwrap(NotResource),
      Condition:
        Condition &&
        mapEntries(Condition, (keys) =>
          mapEntries(keys as object, (values) => unwrap(toList<unknown>(values).map(String))),
        ),
    }),
  );
  // JSON omits the elements that are undefined.
  return JSON.parse(JSON.stringify({ Version, Id, Statement: statements })) as Policy;
}
