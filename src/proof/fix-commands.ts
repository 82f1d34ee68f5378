import { type Facts, factValue } from '../core/facts.ts';
import { accountOfArn } from '../iam/context.ts';
import type { Policy } from '../iam/types.ts';
import { nameInArn, partitionOfArn, regionOfArn } from '../util/arn.ts';
import { awsCli } from '../util/aws-cli.ts';
import { canonicalJson, isJsonEqual } from '../util/canonical-json.ts';
import { shellQuote } from '../util/escape.ts';
import type { Fix, PolicyRef } from './findings.ts';
import { applyFixesToPolicy, type PolicyFix } from './fix.ts';
import { policyFactOf, policyLabel } from './policies.ts';

/** A command that applies fixes: one for each document, which it writes completely. */
export interface FixCommand {
  /** `bucket policy of acme-tax-replica in account 444455556666: add 2 statements` */
  what: string;
  /** For a POSIX shell, with the AWS CLI. */
  command: string;
}

type CallFix = Extract<Fix, { call: unknown }>;

/**
 * Returns the commands that apply fixes. A document that several fixes change is written once, with all changes, because
 * each write replaces the whole document. Pure.
 *
 * @param facts with every document as AWS has it. A fix of a document that was not read gives no command.
 */
export function fixCommands(fixes: readonly Fix[], facts: Facts): FixCommand[] {
  const fixesByDocument = new Map<string, Fix[]>();
  for (const fix of fixes) {
    const document = canonicalJson('call' in fix ? documentOfCall(fix) : fix.policy);
    fixesByDocument.set(document, [...(fixesByDocument.get(document) ?? []), fix]);
  }
  return [...fixesByDocument.values()].flatMap((group) => {
    const [first] = group;
    if (!first) return [];
    return 'call' in first
      ? callCommand(group as CallFix[], facts)
      : policyCommand(first.policy, group as PolicyFix[], facts);
  });
}

/** A replication configuration holds the rules of several fixes. Every other call is a command of its own. */
const documentOfCall = ({ call }: CallFix): object =>
  call.operation === 'PutBucketReplication' ? [call.operation, call.input.Bucket] : call;

function callCommand(fixes: readonly CallFix[], facts: Facts): FixCommand[] {
  const [first] = fixes;
  if (!first) return [];
  const { service, operation, region } = first.call;
  const input = operation === 'PutBucketReplication' ? mergedConfiguration(fixes, facts) : first.call.input;
  const account = factValue(facts.buckets[String(input.Bucket)])?.account;
  const options = Object.entries(input).map(([name, value]) => [toKebabCase(name), value as string | object]);
  return [
    {
      what: first.what,
      command: awsCli(`${service === 's3' ? 's3api' : service} ${toKebabCase(operation)}`, {
        region,
        ...Object.fromEntries(options),
        ...(service === 's3' && { 'expected-bucket-owner': account }),
      }),
    },
  ];
}

/** Returns the input of PutBucketReplication with the changed rules of all fixes. */
function mergedConfiguration(fixes: readonly CallFix[], facts: Facts): Record<string, unknown> {
  const [first] = fixes;
  const input = first?.call.input ?? {};
  const current = factValue(factValue(facts.buckets[String(input.Bucket)])?.replication);
  if (!current) return input;
  const configurations = fixes.map(({ call }) => call.input.ReplicationConfiguration as typeof current);
  const Rules = current.Rules.map((rule, index) => {
    const versions = configurations.flatMap((configuration) => configuration.Rules[index] ?? []);
    return versions.find((version) => !isJsonEqual(version, rule)) ?? rule;
  });
  return { ...input, ReplicationConfiguration: { ...current, Rules } };
}

function policyCommand(ref: PolicyRef, fixes: readonly PolicyFix[], facts: Facts): FixCommand[] {
  const fact = policyFactOf(facts, ref);
  const isMissing = fact === null && canCreate(ref, facts);
  const current = isMissing ? { Version: '2012-10-17', Statement: [] } : factValue(fact);
  if (!current) return [];
  const account = ref.kind === 'bucket' ? factValue(facts.buckets[ref.of])?.account : undefined;
  const where = account === undefined ? '' : ` in account ${account}`;
  return [
    {
      what: `${policyLabel(ref)}${where}: ${changeCounts(fixes)}`,
      command: writeCommand(ref, applyFixesToPolicy(current, fixes), facts),
    },
  ];
}

/** Whether a policy that AWS does not have can be created. A key always has a policy. */
const canCreate = ({ kind, of }: PolicyRef, { buckets, roles }: Facts): boolean =>
  kind === 'bucket'
    ? factValue(buckets[of]) !== undefined
    : kind === 'role' && factValue(roles[of]) !== undefined;

function changeCounts(fixes: readonly PolicyFix[]): string {
  // Several roles may be exempted from one statement.
  const subjectOf = (fix: PolicyFix) => canonicalJson('replace' in fix ? fix.replace : fix);
  const distinct = [...new Map(fixes.map((fix) => [subjectOf(fix), fix])).values()];
  const parts = (['add', 'replace', 'remove'] as const).flatMap((change) => {
    const count = distinct.filter((fix) => change in fix).length;
    return count === 0 ? [] : [`${change} ${count} ${count === 1 ? 'statement' : 'statements'}`];
  });
  return parts.join(', ');
}

/** Returns the command that writes a policy, or deletes a policy that would have no statements. */
function writeCommand(ref: PolicyRef, document: Policy, facts: Facts): string {
  const { kind, of, policy = '' } = ref;
  const role = { 'role-name': nameInArn(of) };
  const isEmpty = [document.Statement].flat().length === 0;
  if (kind === 'trust')
    return awsCli('iam update-assume-role-policy', { ...role, 'policy-document': document });
  if (kind === 'key')
    return awsCli('kms put-key-policy', {
      region: regionOfArn(of),
      'key-id': of,
      'policy-name': 'default',
      policy: document,
    });
  if (kind === 'bucket') {
    const bucket = factValue(facts.buckets[of]);
    const options = { region: bucket?.region, bucket: of, 'expected-bucket-owner': bucket?.account };
    return isEmpty
      ? awsCli('s3api delete-bucket-policy', options)
      : awsCli('s3api put-bucket-policy', { ...options, policy: document });
  }
  if (kind === 'boundary')
    return managedPolicyCommand(of, factValue(facts.roles[of])?.boundaryArn, document, (copy) =>
      awsCli('iam put-role-permissions-boundary', { ...role, 'permissions-boundary': copy }),
    );
  if (policy.startsWith('arn:'))
    return managedPolicyCommand(of, policy, document, (copy) =>
      [
        awsCli('iam attach-role-policy', { ...role, 'policy-arn': copy }),
        awsCli('iam detach-role-policy', { ...role, 'policy-arn': policy }),
      ].join(' &&\n'),
    );
  const options = { ...role, 'policy-name': policy };
  return isEmpty
    ? awsCli('iam delete-role-policy', options)
    : awsCli('iam put-role-policy', { ...options, 'policy-document': document });
}

/**
 * Returns the commands that change a managed policy: a new default version, or a copy in place of a policy of AWS, which
 * no account can change.
 *
 * @param arn absent: the permissions boundary of the role, whose ARN the facts do not contain
 * @param use returns the commands that make the role use the copy
 */
function managedPolicyCommand(
  role: string,
  arn: string | undefined,
  document: Policy,
  use: (copy: string) => string,
): string {
  if (arn !== undefined && accountOfArn(arn) === 'aws') {
    const name = `${nameInArn(arn)}-${nameInArn(role)}`.slice(0, 128);
    const copy = `arn:${partitionOfArn(arn)}:iam::${accountOfArn(role)}:policy/${name}`;
    const create = awsCli('iam create-policy', { 'policy-name': name, 'policy-document': document });
    return `${create} &&\n${use(copy)}`;
  }
  const create = (policyArn: string) =>
    `${awsCli('iam create-policy-version', { 'policy-document': document })} --set-as-default --policy-arn ${policyArn}`;
  if (arn !== undefined) return create(shellQuote(arn));
  const getArn = awsCli('iam get-role', {
    'role-name': nameInArn(role),
    query: 'Role.PermissionsBoundary.PermissionsBoundaryArn',
    output: 'text',
  });
  return create(`"$(${getArn})"`);
}

const toKebabCase = (name: string): string => name.replace(/([a-z])([A-Z])/g, '$1-$2').toLowerCase();
