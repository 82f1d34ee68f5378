import { bucketResourceId, positionOfPath } from '../core/ids.ts';
import type { Change, Kind } from '../core/kind.ts';
import { type Orphan, orphanResource } from '../core/orphan.ts';
import type { Aws, Current, Id, Location, Resource } from '../core/resource.ts';
import { toList } from '../iam/context.ts';
import { evaluate } from '../iam/evaluate.ts';
import type { Policy, Statement } from '../iam/types.ts';
import {
  joinPolicy,
  normalizeStatement,
  type Statements,
  splitPolicy,
  toSidName,
  toStatementList,
} from '../policy/statements.ts';
import { parseTargetArn } from '../spec/patterns.ts';
import type { BucketReplication, FailureEvents } from '../spec/types.ts';
import { bucketArn } from '../util/arn.ts';
import { type DocumentMerge, mergeCommand } from '../util/aws-cli.ts';
import { isJsonEqual, omitUndefined, sortKeys, toSortedSet } from '../util/canonical-json.ts';
import { deletedPrincipalProblem, parsePolicyDocument } from './policy-document.ts';

/**
 * The buckets whose events S3 may send to a queue or topic. All buckets of an account share one statement, because a
 * queue policy has at most 20 statements.
 */
export interface TargetPolicy {
  /** ARN of the queue or topic. */
  target: string;
  /** Source accounts, twelve digits, by the ARNs of their buckets. */
  senders: Record<string, string>;
}

/** The policy of a queue or topic, with the settings that decide whether S3 can send to it. */
export interface TargetDoc {
  policy: Policy;
  /** The KMS key that encrypts messages: an id, an ARN or an alias; absent: SSE with keys of the service, or none. */
  kmsKey?: string;
}

/** The differences between queues and topics. */
interface TargetType {
  /** Name of the kind. */
  kind: string;
  service: 'sqs' | 'sns';
  noun: 'queue' | 'topic';
  action: string;
  /** Maximum size of a policy in bytes, and of statements in it. */
  maxBytes: number;
  maxStatements: number;
  /** Returns the statement of a policy without others; absent: the policy is removed. */
  defaultStatement?: (arn: string) => Statement;
}

/**
 * Returns the statement of the policy that SNS gives to a new topic: callers of its account may use it as their IAM
 * policies allow. SNS has no empty policy: it rejects a policy without statements with `Policy Error: null`.
 *
 * https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html
 */
const defaultTopicStatement = (arn: string): Statement => ({
  Sid: '__default_statement_ID',
  Effect: 'Allow',
  Principal: { AWS: '*' },
  Action: [
    'SNS:GetTopicAttributes',
    'SNS:SetTopicAttributes',
    'SNS:AddPermission',
    'SNS:RemovePermission',
    'SNS:DeleteTopic',
    'SNS:Subscribe',
    'SNS:ListSubscriptionsByTopic',
    'SNS:Publish',
  ],
  Resource: arn,
  Condition: { StringEquals: { 'AWS:SourceOwner': parseTargetArn(arn).account } },
});

/**
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-policies.html
 * https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-language-api-permissions-reference.html
 */
export const TARGET_TYPES = {
  queue: {
    kind: 'sqs.queue-policy',
    service: 'sqs',
    noun: 'queue',
    action: 'sqs:SendMessage',
    maxBytes: 8_192,
    maxStatements: 20,
  },
  topic: {
    kind: 'sns.topic-policy',
    service: 'sns',
    noun: 'topic',
    action: 'sns:Publish',
    maxBytes: 30_720,
    maxStatements: 100,
    defaultStatement: defaultTopicStatement,
  },
} as const satisfies Record<string, TargetType>;

/** Returns the type of a queue or topic by its ARN. */
export const targetTypeOf = (arn: string): TargetType =>
  parseTargetArn(arn).service === 'sns' ? TARGET_TYPES.topic : TARGET_TYPES.queue;

/** Returns the id of the policy of a queue or topic. */
export const targetPolicyId = (arn: string): Id => `${targetTypeOf(arn).kind}/${arn}`;

export const locationOfTarget = ({ to, account }: Pick<FailureEvents, 'to' | 'account'>): Location =>
  omitUndefined({ account, region: parseTargetArn(to).region });

/** Returns the policy of the queue or topic that a pair sends events to, if it is of this type. */
export function desiredTargetPolicy(
  { kind, service }: TargetType,
  pair: BucketReplication,
): Resource<TargetPolicy>[] {
  const { failures, source } = pair;
  if (!failures || parseTargetArn(failures.to).service !== service) return [];
  const { to, accountId, path } = failures;
  return [
    {
      id: targetPolicyId(to),
      kind,
      name: to,
      location: locationOfTarget(failures),
      spec: {
        target: to,
        // `fetch` compares the account of the ambient credentials with that of the queue or topic.
        senders: { [bucketArn(source.bucket, source.region)]: source.accountId ?? accountId },
      },
      after: [bucketResourceId('s3.bucket', source.bucket)],
      declaredBy: [pair.name],
      position: positionOfPath(pair, path),
    },
  ];
}

/** Returns the policies of the queues and topics that an orphan sent events to. */
export const orphanTargetPolicies = (
  { kind, service }: TargetType,
  orphan: Orphan,
): Resource<TargetPolicy>[] =>
  orphan.notifications.flatMap(({ bucket, targets }) =>
    targets
      .filter(({ arn }) => parseTargetArn(arn).service === service)
      .map(({ arn, location }) => ({
        ...orphanResource(orphan, {
          id: targetPolicyId(arn),
          kind,
          name: arn,
          location,
          spec: { target: arn, senders: {} },
          after: [],
        }),
        // All buckets of an account share a statement, so it contains no names of specs.
        pruneOwners: [bucket],
      })),
  );

/** The members of the kinds that queues and topics share. All are pure. */
export function targetPolicyMembers(type: TargetType) {
  return {
    parse: parseTargetPolicy,
    normalize: ({ target, senders }: TargetPolicy): TargetPolicy => ({ target, senders: sortKeys(senders) }),
    render: (
      resource: Resource<TargetPolicy>,
      current: Current<TargetPolicy, Statement[]> | undefined,
    ): TargetDoc => renderTargetPolicy(type, resource, current),
    check: (change: Change<TargetPolicy, TargetDoc, Statement[]>) => ({
      blocked: senderProblem(type, change),
    }),
    explain: () => `S3 sends events to a ${type.noun} only if its policy allows it`,
    response: { replacesWholeDocument: true },
  } as const satisfies Partial<Kind<TargetPolicy, TargetDoc, Statement[]>>;
}

/**
 * Parses the policy of a queue or topic.
 *
 * @throws PolicyError for a text that is not a policy.
 */
export const toTargetDoc = ({ Policy: text, KmsMasterKeyId: kmsKey }: Record<string, string>): TargetDoc => ({
  policy: text ? parsePolicyDocument(text) : joinPolicy({}),
  ...(kmsKey && { kmsKey }),
});

/**
 * Checks that the credentials belong to the account of a queue or topic. The specs do not contain the account of ambient
 * credentials.
 */
export async function assertOwnTarget(aws: Aws, location: Location, arn: string): Promise<void> {
  const { account } = parseTargetArn(arn);
  const callerAccount = await aws.accountId(location.account);
  if (account !== callerAccount)
    throw new Error(
      `it belongs to account ${account}, but the credentials to account ${callerAccount}; declare both in Account documents`,
    );
}

/**
 * Returns the statement that lets S3 encrypt messages with the customer managed key of a queue or topic, for the policy of
 * that key. One spec is enough for all that share the key.
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html
 */
export function targetKeyStatements(specNames: readonly string[]): Statements {
  const [first] = toSortedSet(specNames);
  if (first === undefined) return {};
  return {
    [`ReplikeyFailureEvents${toSidName(first)}`]: {
      Effect: 'Allow',
      Principal: { Service: 's3.amazonaws.com' },
      Action: ['kms:Decrypt', 'kms:GenerateDataKey'],
      Resource: '*',
    },
  };
}

const OWN_SID = /^ReplikeyFailureEvents(\d{12})$/;

/** Returns the statements that allow S3 to send the events of these buckets, one for each account. */
export function senderStatements(target: string, senders: Readonly<Record<string, string>>): Statements {
  const accounts = toSortedSet(Object.values(senders));
  return Object.fromEntries(
    accounts.map((account): [string, Statement] => [
      `ReplikeyFailureEvents${account}`,
      {
        Effect: 'Allow',
        Principal: { Service: 's3.amazonaws.com' },
        Action: targetTypeOf(target).action,
        Resource: target,
        Condition: {
          ArnLike: {
            'aws:SourceArn': toSortedSet(Object.keys(senders).filter((arn) => senders[arn] === account)),
          },
          StringEquals: { 'aws:SourceAccount': account },
        },
      },
    ]),
  );
}

/** Returns the buckets that a statement of replikey names, with their account. */
function sendersOf({ Sid = '', Condition }: Statement): Record<string, string> {
  const [, account = ''] = OWN_SID.exec(Sid) ?? [];
  const arns = toList(Condition?.ArnLike?.['aws:SourceArn']).map(String);
  return Object.fromEntries(arns.filter((arn) => /^arn:[^:]+:s3:::./.test(arn)).map((arn) => [arn, account]));
}

const isOwn = ({ Sid = '' }: Statement): boolean => OWN_SID.test(Sid);

function parseTargetPolicy(
  { policy, kmsKey }: TargetDoc,
  { name, spec, pruneOwners = [] }: Resource<TargetPolicy>,
): Current<TargetPolicy, Statement[]> {
  const { foreign: statements } = splitPolicy(policy, []);
  const foreign = statements.filter((statement) => !isOwn(statement));
  const isManaged = (arn: string) =>
    arn in spec.senders || pruneOwners.includes(arn.slice(arn.lastIndexOf(':') + 1));
  const senders: Record<string, string> = {};
  const kept: Record<string, string> = {};
  for (const statement of statements.filter(isOwn)) {
    const named = sendersOf(statement);
    const expected = Object.values(senderStatements(name, named))[0];
    // A changed statement allows nothing for certain, so its buckets are added again.
    const isIntact =
      expected !== undefined && isJsonEqual(normalizeStatement(statement), normalizeStatement(expected));
    for (const [arn, account] of Object.entries(named))
      if (!isManaged(arn)) kept[arn] = account;
      else if (isIntact) senders[arn] = account;
  }
  return {
    spec: { target: name, senders },
    attrs: omitUndefined({ arn: name, policyId: policy.Id, kmsKey }) as Record<string, string>,
    // Buckets of specs outside this run stay in the statement that they share.
    foreign: [...foreign, ...withSids(senderStatements(name, kept))],
  };
}

const withSids = (statements: Statements): Statement[] =>
  Object.entries(statements).map(([Sid, statement]) => ({ Sid, ...statement }));

function renderTargetPolicy(
  type: TargetType,
  { name, spec }: Resource<TargetPolicy>,
  current: Current<TargetPolicy, Statement[]> | undefined,
): TargetDoc {
  const foreign = (current?.foreign ?? []).filter((statement) => !isOwn(statement));
  const kept = Object.assign({}, ...(current?.foreign ?? []).filter(isOwn).map(sendersOf));
  const needed = Object.entries(spec.senders).filter(
    ([bucket, account]) => !isSendAllowed(type, name, [bucket, account], foreign),
  );
  const statements = senderStatements(name, { ...kept, ...Object.fromEntries(needed) });
  const isEmpty = foreign.length + Object.keys(statements).length === 0;
  const defaultStatements = isEmpty && type.defaultStatement ? [type.defaultStatement(name)] : foreign;
  return {
    policy: joinPolicy(statements, defaultStatements, current?.attrs.policyId),
    ...(current?.attrs.kmsKey && { kmsKey: current.attrs.kmsKey }),
  };
}

/** Returns the decision of a policy on the events of a bucket. */
const decideSend = (
  { action, noun }: TargetType,
  target: string,
  [bucket, account]: [string, string],
  statements: Statement[],
) =>
  evaluate(
    {
      principal: 's3.amazonaws.com',
      action,
      resource: target,
      resourceAccount: parseTargetArn(target).account,
      context: { 'aws:SourceArn': bucket, 'aws:SourceAccount': account, 'aws:PrincipalIsAWSService': 'true' },
    },
    { resource: { name: `${noun} policy`, policy: joinPolicy({}, statements) } },
  );

const isSendAllowed = (...request: Parameters<typeof decideSend>): boolean => decideSend(...request).allowed;

function senderProblem(
  type: TargetType,
  change: Change<TargetPolicy, TargetDoc, Statement[]>,
): string | undefined {
  const { noun, service, maxBytes, maxStatements } = type;
  const { resource, current, doc } = change;
  const { name, spec } = resource;
  if (!current)
    return resource.orphaned
      ? undefined
      : `the ${noun} ${name} does not exist; create it: replikey creates no queue or topic`;
  if (current.attrs.kmsKey === `alias/aws/${service}`)
    return `the ${noun} ${name} is encrypted with alias/aws/${service}, whose key policy does not allow S3 and cannot be changed; use SSE with keys of the service (SSE-${service.toUpperCase()}), or a customer managed key`;
  const statements = toList(doc?.policy.Statement);
  const bytes = Buffer.byteLength(JSON.stringify(doc?.policy ?? ''));
  if (bytes > maxBytes || statements.length > maxStatements)
    return `the policy of the ${noun} ${name} would have ${bytes} bytes and ${statements.length} statements, but ${service.toUpperCase()} allows ${maxBytes} bytes and ${maxStatements} statements; use a ${noun} for fewer buckets, or add a statement of your own for all buckets of the account`;
  for (const sender of Object.entries(spec.senders)) {
    const { kind, reason } = decideSend(type, name, sender, statements);
    if (kind === 'explicitDeny')
      return `${reason}; change that statement, so that S3 can send events of ${sender[0]}`;
  }
  return deletedPrincipalProblem(current.foreign ?? [], `policy of the ${noun} ${name}`);
}

/**
 * Returns a command that adds buckets to the statements of replikey in the policy of a queue or topic, in an account that
 * replikey cannot read. It keeps all other statements, and the other buckets of these.
 *
 * @param merge `result` is the jq program that converts the merged policy to the argument of `put`
 */
export const mergeSenderCommand = (
  { result, ...merge }: Pick<DocumentMerge, 'get' | 'put'> & { result: string },
  statements: Statements,
): string =>
  mergeCommand({
    ...merge,
    additions: toStatementList(statements),
    program: `. // {"Version":"2012-10-17","Statement":[]} | .Statement = ([.Statement] | flatten | . as $old | map(select(.Sid as $sid | all($new[]; .Sid != $sid))) + ($new | map(.Sid as $sid | .Condition.ArnLike["aws:SourceArn"] |= ([., ($old[] | select(.Sid == $sid) | .Condition.ArnLike["aws:SourceArn"])] | flatten | unique)))) | ${result}`,
  });
