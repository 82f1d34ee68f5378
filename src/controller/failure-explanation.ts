import type { Facts } from '../core/facts.ts';
import type { Finding, FindingCode, Fix, PolicyRef } from '../proof/findings.ts';
import { type FixCommand, fixCommands } from '../proof/fix-commands.ts';
import { policyLabel } from '../proof/policies.ts';
import type { RuleProof } from '../proof/types.ts';
import { nameInArn } from '../util/arn.ts';
import type { FailureBurst } from './status.ts';

/** Why S3 fails, and how it is corrected. */
export interface FailureExplanation {
  cause: string;
  fix?: string;
  commands: FixCommand[];
  /** The document that causes the failure; absent: none, or replikey does not know it. */
  document?: CausingDocument;
}

/** A document of a bucket, role or key, and the events that change it. */
export interface CausingDocument {
  type: 'bucket' | 'role' | 'key';
  /** Name of the bucket, or ARN of the role or key. */
  of: string;
  /** The name by which events refer to it. */
  name: string;
  eventNames: string[];
}

/** Events that change a policy. A statement of a role can be lost with any of its policies. */
const POLICY_EVENTS: Record<PolicyRef['kind'], [CausingDocument['type'], string[]]> = {
  trust: ['role', ['UpdateAssumeRolePolicy']],
  role: ['role', ['PutRolePolicy', 'DeleteRolePolicy', 'DetachRolePolicy', 'AttachRolePolicy']],
  boundary: ['role', ['PutRolePermissionsBoundary']],
  bucket: ['bucket', ['PutBucketPolicy', 'DeleteBucketPolicy']],
  key: ['key', ['PutKeyPolicy']],
};

/** Events after which a call corrects the setting. */
const SETTING_EVENTS: Record<string, string[]> = {
  EnableKey: ['DisableKey', 'ScheduleKeyDeletion'],
  CancelKeyDeletion: ['ScheduleKeyDeletion'],
  PutBucketReplication: ['PutBucketReplication', 'DeleteBucketReplication'],
};

/** Events that remove what a finding without a fix misses. */
const REMOVAL_EVENTS: Partial<Record<FindingCode, [keyof RuleSubjects, string[]]>> = {
  RK1001: ['source', ['DeleteBucketReplication']],
  RK1103: ['destination', ['DeleteBucket']],
  RK1107: ['destination', ['PutBucketPublicAccessBlock']],
  RK1302: ['role', ['DeleteRole']],
};

interface RuleSubjects {
  source: string;
  destination: string;
  role: string;
}

/** Failure reasons that follow from the objects, not from permissions (Amazon S3 User Guide, failure reasons). */
const REASON_TEXTS: Record<string, string> = {
  SrcKeyNotFound: 'the object was deleted before S3 replicated it',
  SrcObjectNotFound: 'the object was deleted before S3 replicated it',
  SrcVersionNotFound: 'the version was deleted before S3 replicated it',
  SrcObjectNotEligible: 'the storage class or the tags of the object exclude it',
  SrcReplicationNotPending: 'S3 has already replicated the object',
  DstVersionNotFound: 'the replica of the version does not exist any more, so S3 cannot change its metadata',
  DstObjectHardDeleted: 'the replica of the version was deleted permanently: copy the object over itself',
};

const REPLICATE_AGAIN =
  'S3 does not retry the failed objects: then write them again, or run S3 Batch Replication';

/** The longest commands that a burst keeps, in characters. */
const MAX_COMMANDS_LENGTH = 8_192;

/**
 * Explains a burst by the proofs of the rules as they are now. Prefers the finding with S3's own reason. Pure.
 *
 * @param aliases the declared aliases of keys, by the ARN of the key
 */
export function explainFailure(
  burst: Pick<FailureBurst, 'bucket' | 'rule' | 'reason' | 'keys'>,
  proofs: readonly RuleProof[],
  facts: Facts,
  aliases: ReadonlyMap<string, string>,
): FailureExplanation {
  const proofsOfRule = proofs.filter(({ rule }) => rule === burst.rule);
  const proof = proofsOfRule[0] ?? proofs[0];
  const findings = (proofsOfRule.length > 0 ? proofsOfRule : proofs).flatMap((each) => each.findings);
  const errors = findings.filter(({ severity }) => severity === 'error');
  const finding = errors.find(({ failureReason }) => failureReason === burst.reason) ?? errors[0];
  const withAliases = (text: string) =>
    [...aliases].reduce((result, [arn, alias]) => result.replaceAll(arn, alias), text);
  if (!finding) return explainWithoutError(burst, findings);
  const commands = fixCommands(
    errors.flatMap(({ fixes }) => fixes),
    facts,
  );
  const isShort = JSON.stringify(commands).length <= MAX_COMMANDS_LENGTH;
  const document = documentOf(finding, {
    source: burst.bucket,
    destination: proof?.destination ?? '',
    role: proof?.basis?.roles[0] ?? '',
  });
  const more = errors.length - 1;
  const cause = `${causeOf(finding)}${more === 0 ? '' : ` (and ${more} more ${more === 1 ? 'finding' : 'findings'})`}`;
  const fixText = finding.fixes.map(fixInstruction).join(', and ');
  return {
    cause: withAliases(cause),
    ...(fixText !== '' && { fix: `${withAliases(fixText)}. ${REPLICATE_AGAIN}` }),
    commands: isShort ? commands : [],
    ...(document && { document }),
  };
}

function explainWithoutError(
  { reason }: Pick<FailureBurst, 'reason'>,
  findings: readonly Finding[],
): FailureExplanation {
  const reasonText = REASON_TEXTS[reason];
  if (reasonText !== undefined) return { cause: reasonText, commands: [] };
  const unknown = findings.find(({ severity }) => severity === 'unknown');
  if (unknown) return { cause: unknown.message, commands: [] };
  return {
    cause: 'the policies and settings that replikey can read allow every request of S3 now',
    fix: REPLICATE_AGAIN,
    commands: [],
  };
}

/** Returns what the policies lack or deny, or the message of a finding about a setting. */
function causeOf({ fixes, message, request }: Finding): string {
  const texts = fixes.flatMap((fix) => {
    if ('call' in fix) return [];
    const label = policyLabel(fix.policy);
    if (!('add' in fix)) return [`the ${label} denies ${request?.action} on ${request?.resource}`];
    return [`the ${label} does not allow ${actionOf(fix.add)} for ${resourceOf(fix.add)}`];
  });
  return texts.length === 0 ? message : texts.join(', and ');
}

type AddedStatement = Extract<Fix, { add: unknown }>['add'];

const actionOf = ({ Action }: AddedStatement): string => [Action ?? []].flat().join(', ');

/** Returns the objects for which a statement is missing: those in the encryption context of a key, or the resource. */
function resourceOf({ Resource, Principal, Condition }: AddedStatement): string {
  const contextArns = [Condition?.StringLike?.['kms:EncryptionContext:aws:s3:arn'] ?? []].flat();
  const resource = contextArns.at(-1) ?? [Resource ?? []].flat()[0];
  return String(resource ?? JSON.stringify(Principal));
}

const fixInstruction = (fix: Fix): string =>
  'add' in fix
    ? `${fix.what}: ${JSON.stringify(fix.add)}`
    : 'replace' in fix
      ? `${fix.what}: ${JSON.stringify(fix.by)}`
      : fix.what;

/** Returns the document whose last change caused a finding: that of its last fix. */
function documentOf({ code, fixes }: Finding, subjects: RuleSubjects): CausingDocument | undefined {
  const fix = fixes.find((each) => !('remove' in each)) ?? fixes[0];
  if (fix && 'call' in fix) {
    const { service, operation, input } = fix.call;
    const eventNames = SETTING_EVENTS[operation] ?? [operation];
    return service === 'kms'
      ? documentNamed('key', String(input.KeyId), eventNames)
      : documentNamed('bucket', String(input.Bucket), eventNames);
  }
  if (fix) {
    const [type, eventNames] = POLICY_EVENTS[fix.policy.kind];
    return documentNamed(type, fix.policy.of, eventNames);
  }
  const [subject, eventNames = []] = REMOVAL_EVENTS[code] ?? [];
  if (subject === undefined || subjects[subject] === '') return undefined;
  return documentNamed(subject === 'role' ? 'role' : 'bucket', subjects[subject], eventNames);
}

const documentNamed = (type: CausingDocument['type'], of: string, eventNames: string[]): CausingDocument => ({
  type,
  of,
  name: type === 'role' ? nameInArn(of) : of,
  eventNames,
});
