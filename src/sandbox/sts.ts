import { randomBytes } from 'node:crypto';
import type { AssumeRoleRequest, Tag } from '@aws-sdk/client-sts';
import { ACCOUNT_ROOT_ARN } from '../iam/statement.ts';
import { partitionOfArn } from '../util/arn.ts';
import { formatAccessDenied, toNamedPolicy } from './authorize.ts';
import { AwsError, constraintError } from './aws-error.ts';
import { authorizeCaller, type Call, type Handlers } from './call.ts';
import { checkIdentityPolicy, policySizeOf } from './iam/policy-documents.ts';
import { randomBase32 } from './iam/roles.ts';
import type { RoleState, SessionState } from './state.ts';
import { findRole, managedPolicyDocumentOf } from './stored-policies.ts';

/** Handlers of the STS API (Query protocol). */
export const stsHandlers: Handlers = {
  GetCallerIdentity: ({ caller }) => ({
    Account: caller.account,
    Arn: caller.arn,
    UserId: caller.userId,
  }),

  AssumeRole(call, input: AssumeRoleRequest) {
    const sessionName = input.RoleSessionName ?? '';
    const arn = input.RoleArn ?? '';
    checkAssumeRoleMembers(input);
    if (!/^arn:[^:]+:iam::\d{12}:role\/.+$/.test(arn))
      throw new AwsError(400, 'ValidationError', `${arn} is invalid`);
    const tags = sessionTagsOf(call.session, input);
    if (ACCOUNT_ROOT_ARN.test(call.caller.arn))
      throw new AwsError(403, 'AccessDenied', 'Roles may not be assumed by root accounts.');
    const role = requireAssumableRole(call, arn, input);
    const policies = sessionPoliciesOf(call, arn, input);
    const durationSeconds = input.DurationSeconds ?? 3600;
    checkSessionDuration(call.session, role, durationSeconds);

    const accountId = arn.split(':')[4] ?? '';
    const sourceIdentity = input.SourceIdentity ?? call.session?.sourceIdentity;
    const session: SessionState = {
      accessKeyId: `ASIA${randomBase32(16)}`,
      secretAccessKey: randomBytes(30).toString('base64'),
      token: randomBytes(192).toString('base64'),
      roleName: role.name,
      roleId: role.id,
      sessionName,
      expires: call.now + durationSeconds * 1000,
      ...tags,
      ...(sourceIdentity === undefined ? {} : { sourceIdentity }),
      ...(policies.length === 0 ? {} : { policies }),
    };
    const account = call.store.account(accountId);
    account.sessions.set(session.accessKeyId, session);
    call.store.markChanged(account);
    const packedBytes = [
      ...policies.map(({ document }) => document),
      ...Object.entries(tags.tags).flat(),
    ].join('').length;
    return {
      Credentials: {
        AccessKeyId: session.accessKeyId,
        SecretAccessKey: session.secretAccessKey,
        SessionToken: session.token,
        Expiration: new Date(session.expires),
      },
      AssumedRoleUser: {
        AssumedRoleId: `${role.id}:${sessionName}`,
        Arn: `arn:${partitionOfArn(arn)}:sts::${accountId}:assumed-role/${role.name}/${sessionName}`,
      },
      // A percentage of the space for session policies and tags.
      ...(packedBytes === 0
        ? {}
        : { PackedPolicySize: Math.min(100, Math.ceil((packedBytes / MAX_SESSION_POLICY_SIZE) * 100)) }),
      ...(sourceIdentity === undefined ? {} : { SourceIdentity: sourceIdentity }),
    };
  },
};

const MAX_SESSION_POLICY_SIZE = 2048;
const MAX_SESSION_POLICIES = 10;
const MAX_SESSION_TAGS = 50;

const stsValidationError = (value: unknown, member: string, constraint: string): AwsError =>
  constraintError('ValidationError', value, member, constraint);

const invalidParameterError = (message: string): AwsError =>
  new AwsError(400, 'InvalidParameterValue', message);

/** Lengths and patterns of the text members of AssumeRole (STS API Reference, AssumeRole). */
const TEXT_MEMBERS = [
  { name: 'roleArn', of: ({ RoleArn }: AssumeRoleRequest) => RoleArn, min: 20, max: 2048 },
  {
    name: 'roleSessionName',
    of: ({ RoleSessionName }: AssumeRoleRequest) => RoleSessionName,
    min: 2,
    max: 64,
    pattern: /^[\w+=,.@-]*$/,
    patternText: '[\\w+=,.@-]*',
  },
  {
    name: 'externalId',
    of: ({ ExternalId }: AssumeRoleRequest) => ExternalId,
    min: 2,
    max: 1224,
    pattern: /^[\w+=,.@:/-]*$/,
    patternText: '[\\w+=,.@:\\/-]*',
  },
  {
    name: 'sourceIdentity',
    of: ({ SourceIdentity }: AssumeRoleRequest) => SourceIdentity,
    min: 2,
    max: 64,
    pattern: /^[\w+=,.@-]*$/,
    patternText: '[\\w+=,.@-]*',
  },
];

/** @throws AwsError for a member whose length, pattern or value the model of AssumeRole does not allow. */
function checkAssumeRoleMembers(input: AssumeRoleRequest): void {
  for (const { name, of, min, max, pattern, patternText } of TEXT_MEMBERS) {
    const text = of(input);
    if (text === undefined) continue;
    if (text.length < min)
      throw stsValidationError(text, name, `Member must have length greater than or equal to ${min}`);
    if (text.length > max)
      throw stsValidationError(text, name, `Member must have length less than or equal to ${max}`);
    if (pattern && !pattern.test(text))
      throw stsValidationError(text, name, `Member must satisfy regular expression pattern: ${patternText}`);
  }
  const { DurationSeconds: duration } = input;
  if (duration !== undefined && duration < 900)
    throw stsValidationError(
      duration,
      'durationSeconds',
      'Member must have value greater than or equal to 900',
    );
  if (duration !== undefined && duration > 43_200)
    throw stsValidationError(
      duration,
      'durationSeconds',
      'Member must have value less than or equal to 43200',
    );
}

/**
 * Returns the tags of a new session: those of the request, and the transitive ones of the calling session.
 *
 * @throws AwsError when a tag is not valid, or would replace a transitive tag of the calling session.
 */
function sessionTagsOf(
  caller: SessionState | undefined,
  { Tags = [], TransitiveTagKeys = [] }: AssumeRoleRequest,
): { tags: Record<string, string>; transitiveTags: string[] } {
  checkSessionTags(Tags);
  const keys = Tags.map(({ Key = '' }) => Key.toLowerCase());
  const transitiveKeys = TransitiveTagKeys.map((key) => key.toLowerCase());
  if (transitiveKeys.some((key) => !keys.includes(key)))
    throw invalidParameterError('The specified transitive tag key must be included in the requested tags.');
  const inheritedKeys = caller?.transitiveTags ?? [];
  if (keys.some((key) => inheritedKeys.includes(key)))
    throw invalidParameterError(
      "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.",
    );
  const inheritedTags = Object.entries(caller?.tags ?? {}).filter(([key]) =>
    inheritedKeys.includes(key.toLowerCase()),
  );
  return {
    tags: Object.fromEntries([
      ...inheritedTags,
      ...Tags.map(({ Key = '', Value = '' }) => [Key, Value] as const),
    ]),
    transitiveTags: [...inheritedKeys, ...transitiveKeys],
  };
}

function checkSessionTags(tags: readonly Tag[]): void {
  if (tags.length > MAX_SESSION_TAGS)
    throw new AwsError(
      400,
      'ValidationError',
      `1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to ${MAX_SESSION_TAGS}`,
    );
  for (const [index, { Key = '', Value = '' }] of tags.entries()) {
    for (const [member, text, limit] of [
      ['key', Key, 128],
      ['value', Value, 256],
    ] as const)
      if (text.length > limit)
        throw stsValidationError(
          text,
          `tags.${index + 1}.member.${member}`,
          `Member must have length less than or equal to ${limit}`,
        );
  }
  if (new Set(tags.map(({ Key = '' }) => Key.toLowerCase())).size < tags.length)
    throw invalidParameterError('Duplicate tag keys found. Please note that Tag keys are case insensitive.');
}

/** Returns the role if the caller may assume it with these tags and this source identity. */
function requireAssumableRole(call: Call, arn: string, input: AssumeRoleRequest): RoleState {
  const { Tags = [], TransitiveTagKeys = [], ExternalId, RoleSessionName = '', SourceIdentity } = input;
  const role = findRole(call.store, arn, call.now);
  const context = {
    'sts:RoleSessionName': RoleSessionName,
    ...(ExternalId === undefined ? {} : { 'sts:ExternalId': ExternalId }),
    ...(SourceIdentity === undefined ? {} : { 'sts:SourceIdentity': SourceIdentity }),
    ...Object.fromEntries(Tags.map(({ Key, Value = '' }) => [`aws:RequestTag/${Key}`, Value])),
    ...(Tags.length === 0 ? {} : { 'aws:TagKeys': Tags.map(({ Key = '' }) => Key) }),
    ...(TransitiveTagKeys.length === 0 ? {} : { 'sts:TransitiveTagKeys': TransitiveTagKeys }),
  };
  const actions = [
    'sts:AssumeRole',
    ...(Tags.length === 0 ? [] : ['sts:TagSession']),
    ...(SourceIdentity === undefined ? [] : ['sts:SetSourceIdentity']),
  ];
  for (const action of actions) {
    const isAllowed =
      role &&
      authorizeCaller(call, {
        action,
        resource: arn,
        resourceAccount: arn.split(':')[4] ?? '',
        resourcePolicy: toNamedPolicy(call.store, `trust policy of ${role.name}`, role.trust),
        context,
      }).allowed;
    if (!isAllowed) throw new AwsError(403, 'AccessDenied', formatAccessDenied(call.caller.arn, action, arn));
  }
  return role as RoleState;
}

/** Returns the session policies of a request: the inline policy, and managed policies of the role's account. */
function sessionPoliciesOf(
  call: Call,
  roleArn: string,
  { Policy, PolicyArns = [] }: AssumeRoleRequest,
): NonNullable<SessionState['policies']> {
  if (Policy !== undefined) checkIdentityPolicy(Policy, call.region);
  if (Policy !== undefined && policySizeOf(Policy) > MAX_SESSION_POLICY_SIZE)
    throw stsValidationError(
      Policy,
      'policy',
      `Member must have length less than or equal to ${MAX_SESSION_POLICY_SIZE}`,
    );
  if (PolicyArns.length > MAX_SESSION_POLICIES)
    throw new AwsError(
      400,
      'ValidationError',
      `1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to ${MAX_SESSION_POLICIES}`,
    );
  const account = call.store.account(roleArn.split(':')[4] ?? '');
  const managedPolicies = PolicyArns.map(({ arn = '' }) => {
    const document = managedPolicyDocumentOf(account, arn);
    if (document === undefined)
      throw new AwsError(400, 'ValidationError', `Policy ${arn} does not exist or is not attachable.`);
    return { name: `session policy "${arn.slice(arn.lastIndexOf('/') + 1)}"`, document };
  });
  return [
    ...(Policy === undefined ? [] : [{ name: 'session policy', document: Policy }]),
    ...managedPolicies,
  ];
}

/** @throws AwsError when a session would last longer than the role, or role chaining, allows. */
function checkSessionDuration(
  caller: SessionState | undefined,
  role: RoleState,
  durationSeconds: number,
): void {
  if (caller && durationSeconds > 3600)
    throw new AwsError(
      400,
      'ValidationError',
      'The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.',
    );
  if (durationSeconds > role.maxSessionDuration)
    throw new AwsError(
      400,
      'ValidationError',
      'The requested DurationSeconds exceeds the MaxSessionDuration set for this role.',
    );
}
