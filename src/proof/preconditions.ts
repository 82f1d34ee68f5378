import type { ReplicationRule } from '@aws-sdk/client-s3';
import { factValue, unreadReasonOf } from '../core/facts.ts';
import { accountOfArn } from '../iam/context.ts';
import { isPublicPolicy } from '../iam/statement.ts';
import { usesRelatedKey } from '../spec/rule-fields.ts';
import { regionOfArn, relatedKeyArn } from '../util/arn.ts';
import { createFinding, type Finding, type Fix } from './findings.ts';
import { defaultEncryptionOf, isKmsAlgorithm } from './object-cases.ts';
import {
  destinationBucketOf,
  type RuleBucket,
  type RuleContext,
  replicaKeyArnFor,
  resolveKeyArn,
  selectsKmsObjects,
} from './rule-context.ts';
import { mismatchReason, type SourceObject } from './rule-match.ts';
import type { ObjectCase } from './types.ts';

/** Checks what S3 requires before it processes any object: the destination exists and is ready. */
export function destinationFindings(context: RuleContext): Finding[] {
  const { facts, destination, destinationName, rule, source } = context;
  if (!destination) {
    const unread = unreadReasonOf(facts.buckets[destinationName]);
    return unread === undefined
      ? [createFinding('RK1103', `the bucket ${destinationName} does not exist`)]
      : [createFinding('RK1901', `the bucket ${destinationName} cannot be read: ${unread}`)];
  }
  const declaredAccount = rule.Destination?.Account;
  return [
    ...(declaredAccount !== undefined && declaredAccount !== destination.account
      ? [
          createFinding(
            'RK1105',
            `the rule names account ${declaredAccount} for ${destination.name}, which is in account ${destination.account}`,
          ),
        ]
      : []),
    ...versioningFindings(destination, 'RK1104'),
    ...objectLockFindings(source, destination),
  ];
}

/**
 * Checks the versioning of the source. S3 requires versioning for replication, and does not let the user suspend it
 * afterwards.
 */
export const sourceFindings = ({ source }: RuleContext): Finding[] => versioningFindings(source, 'RK1102');

function versioningFindings(bucket: RuleBucket, code: 'RK1102' | 'RK1104'): Finding[] {
  const unread = unreadReasonOf(bucket.versioning);
  if (unread !== undefined)
    return [createFinding('RK1901', `the versioning of ${bucket.name} cannot be read: ${unread}`)];
  const status = factValue(bucket.versioning)?.Status;
  if (status === 'Enabled') return [];
  const fix: Fix = {
    what: `enable versioning on ${bucket.name}`,
    call: {
      service: 's3',
      operation: 'PutBucketVersioning',
      region: bucket.region,
      input: { Bucket: bucket.name, VersioningConfiguration: { Status: 'Enabled' } },
    },
  };
  return [createFinding(code, `versioning of ${bucket.name} is ${status ?? 'not enabled'}`, [fix])];
}

function objectLockFindings(source: RuleBucket, destination: RuleBucket): Finding[] {
  if (factValue(source.objectLock)?.ObjectLockEnabled !== 'Enabled') return [];
  const unread = unreadReasonOf(destination.objectLock);
  if (unread !== undefined)
    return [createFinding('RK1901', `the Object Lock of ${destination.name} cannot be read: ${unread}`)];
  if (factValue(destination.objectLock)?.ObjectLockEnabled === 'Enabled') return [];
  const fix: Fix = {
    what: `enable Object Lock on ${destination.name}, which cannot be undone`,
    call: {
      service: 's3',
      operation: 'PutObjectLockConfiguration',
      region: destination.region,
      input: { Bucket: destination.name, ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled' } },
    },
  };
  return [createFinding('RK1106', `${source.name} has Object Lock, and ${destination.name} does not`, [fix])];
}

/**
 * Reports a public policy under RestrictPublicBuckets. S3 then denies every access from other accounts, also to a role
 * that the policy names (S3 API Reference, PublicAccessBlockConfiguration).
 */
export function publicAccessFindings(
  { source, destination }: RuleContext,
  objectCases: readonly ObjectCase[],
): Finding[] {
  if (!destination || source.account === destination.account) return [];
  if (!factValue(destination.publicAccessBlock)?.RestrictPublicBuckets) return [];
  const policy = factValue(destination.policy);
  if (!policy || !isPublicPolicy(policy)) return [];
  const finding = createFinding(
    'RK1107',
    `the policy of ${destination.name} is public and RestrictPublicBuckets is on: S3 denies access to the role of account ${source.account}. Manual step, because the statement belongs to others: replace the public statement with one that names its principals`,
  );
  const hasObjects = objectCases.some(({ type }) => type === 'object');
  return [hasObjects ? finding : { ...finding, failureReason: 'DstDelObjNotPermitted' }];
}

/**
 * Reports accounts whose objects may keep their own ACL. This applies unless the bucket owner owns all objects in the
 * bucket.
 */
export function ownershipFindings({ source }: RuleContext): Finding[] {
  const owner = factValue(source.ownership)?.Rules?.[0]?.ObjectOwnership;
  if (source.ownership === undefined || owner === 'BucketOwnerEnforced') return [];
  if (unreadReasonOf(source.ownership) !== undefined) return [];
  const writers = [factValue(source.policy)?.Statement ?? []]
    .flat()
    .flatMap(({ Effect, Principal }) =>
      Effect === 'Allow' && typeof Principal === 'object' ? [Principal.AWS ?? []].flat() : [],
    )
    .map((principal) => (/^\d{12}$/.test(principal) ? principal : accountOfArn(principal)));
  const foreignAccounts = [...new Set(writers)].filter(
    (account) => account !== '' && account !== source.account,
  );
  if (foreignAccounts.length === 0) return [];
  return [
    createFinding(
      'RK1108',
      `${source.name} grants access to account ${foreignAccounts.join(', ')}, and its Object Ownership is ${owner ?? 'ObjectWriter'}: writers own their objects, and S3 may be unable to read the ACLs`,
      [
        {
          what: `set Object Ownership of ${source.name} to BucketOwnerEnforced`,
          call: {
            service: 's3',
            operation: 'PutBucketOwnershipControls',
            region: source.region,
            input: {
              Bucket: source.name,
              OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
            },
          },
        },
      ],
    ),
  ];
}

/** Checks whether S3 can use the key of a source object at all. */
export function sourceKeyFindings({ facts, source }: RuleContext, keyArn: string): Finding[] {
  const fact = facts.keys[keyArn];
  const unread = unreadReasonOf(fact);
  if (unread !== undefined) return [createFinding('RK1901', `the key ${keyArn} cannot be read: ${unread}`)];
  const key = factValue(fact);
  if (!key)
    return [
      createFinding(
        'RK1202',
        `the key ${keyArn}, which encrypts objects of ${source.name}, does not exist: use an existing key`,
      ),
    ];
  return keyUsabilityFindings(key.arn, key, 'RK1201');
}

/**
 * Reports what AWS does not document about related multi-Region keys (SDK reference, UseSourceMultiRegionKey).
 *
 * @param objectKeys ARNs of the keys of the objects
 */
export function relatedKeyFindings(
  { rule, destination }: RuleContext,
  objectKeys: readonly string[],
): Finding[] {
  if (!usesRelatedKey(rule) || !selectsKmsObjects(rule) || !destination) return [];
  const unrelated = objectKeys.filter((arn) => relatedKeyArn(arn, destination.region) === undefined);
  return [
    createFinding(
      'RK1208',
      'AWS does not document which permissions S3 needs for related multi-Region keys: the proof assumes those of a replica key that the rule names',
    ),
    ...unrelated.map((arn) =>
      createFinding(
        'RK1209',
        `the rule encrypts replicas under related multi-Region keys, but ${arn} is not a multi-Region key: AWS does not document what S3 does with its objects`,
      ),
    ),
  ];
}

/** Checks the key of the replica of an object: it must exist, be in the destination's Region, be symmetric, and be enabled. */
export function checkReplicaKey(
  context: RuleContext,
  objectKey: string,
): {
  arn?: string;
  missingFindings: Finding[];
  stateFindings: Finding[];
} {
  const { facts, rule, destination = context.unreadDestination } = context;
  const configuredName = rule.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID;
  const requestedArn = replicaKeyArnFor(context, objectKey);
  if (requestedArn === undefined || !destination || !selectsKmsObjects(rule))
    return { missingFindings: [], stateFindings: [] };
  const keyFact = facts.keys[requestedArn];
  const region = regionOfArn(requestedArn);
  if (region !== destination.region) {
    return {
      missingFindings: [
        createReplicaKeyFinding(
          context,
          destination,
          'RK1205',
          `${requestedArn} is in ${region}, and ${destination.name} is in ${destination.region}`,
        ),
      ],
      stateFindings: [],
    };
  }
  const unread = unreadReasonOf(keyFact);
  if (unread !== undefined)
    return {
      arn: requestedArn,
      missingFindings: [createFinding('RK1901', `the key ${requestedArn} cannot be read: ${unread}`)],
      stateFindings: [],
    };
  const key = factValue(keyFact);
  if (!key) {
    const aliasNote = requestedArn.includes(':alias/')
      ? ` (S3 resolves the alias in the account of the role, ${accountOfArn(context.role)})`
      : '';
    const message = `the key ${requestedArn}${aliasNote} does not exist`;
    return {
      missingFindings: [createReplicaKeyFinding(context, destination, 'RK1204', message)],
      stateFindings: [],
    };
  }
  return {
    arn: requestedArn,
    missingFindings: [],
    stateFindings: [
      ...keyUsabilityFindings(key.arn, key, 'RK1203'),
      ...(requestedArn === key.arn
        ? []
        : [
            createFinding(
              'RK1206',
              `${configuredName} is an alias, which S3 resolves in the account of the role (${accountOfArn(context.role)}): currently to ${key.arn}`,
            ),
          ]),
      ...(key.manager === 'AWS'
        ? [createFinding('RK1207', `AWS manages ${key.arn}: its policy allows no other account`)]
        : []),
    ],
  };
}

function keyUsabilityFindings(
  arn: string,
  { state, usage, keySpec }: { state?: string; usage?: string; keySpec?: string },
  code: 'RK1201' | 'RK1203',
): Finding[] {
  if (usage !== undefined && usage !== 'ENCRYPT_DECRYPT')
    return [createFinding(code, `the key ${arn} has the usage ${usage}: S3 requires ENCRYPT_DECRYPT`)];
  if (keySpec !== undefined && keySpec !== 'SYMMETRIC_DEFAULT')
    return [createFinding(code, `the key ${arn} has the spec ${keySpec}: S3 requires a symmetric key`)];
  if (state === undefined || state === 'Enabled') return [];
  // A replica of a multi-Region key is in this state for some seconds, sometimes minutes.
  if (state === 'Creating') {
    const message = `KMS is still creating the key ${arn}; run again when its state is Enabled`;
    return [createFinding(code, message)];
  }
  const isScheduled = state === 'PendingDeletion' || state === 'PendingReplicaDeletion';
  const callFix = (operation: string, what: string): Fix => ({
    what,
    call: { service: 'kms', operation, region: regionOfArn(arn), input: { KeyId: arn } },
  });
  // A key whose deletion was cancelled stays disabled until EnableKey.
  const fixes = [
    ...(isScheduled ? [callFix('CancelKeyDeletion', 'cancel the deletion of the key')] : []),
    ...(state === 'Disabled' || isScheduled ? [callFix('EnableKey', 'enable the key')] : []),
  ];
  return [createFinding(code, `the key ${arn} is ${state}`, fixes)];
}

/**
 * Reports a rule that syncs changes of replicas, whose destination has no such rule in return. S3 then syncs tags and
 * ACLs of replicas in one direction only (S3 User Guide, "Replicating metadata changes with replica modification sync").
 */
export function modificationFindings({ rule, source, destination }: RuleContext): Finding[] {
  const isSynced = (candidate: ReplicationRule) =>
    candidate.SourceSelectionCriteria?.ReplicaModifications?.Status === 'Enabled';
  if (!isSynced(rule) || !destination || unreadReasonOf(destination.replication) !== undefined) return [];
  const returns = (factValue(destination.replication)?.Rules ?? []).some(
    (candidate) =>
      candidate.Status === 'Enabled' && isSynced(candidate) && destinationBucketOf(candidate) === source.name,
  );
  if (returns) return [];
  return [
    createFinding(
      'RK1012',
      `no enabled rule of ${destination.name} syncs changes of replicas to ${source.name}: changes of tags and ACLs in ${destination.name} stay there`,
    ),
  ];
}

/**
 * Reports a rule that does not select KMS-encrypted objects. S3 skips these objects and does not set a replication
 * status.
 */
export function selectionFindings(context: RuleContext, sample: readonly SourceObject[]): Finding[] {
  const { rule, rules, source, destination } = context;
  if (selectsKmsObjects(rule)) return [];
  const { algorithm } = defaultEncryptionOf(context);
  // A request header can encrypt an object with KMS although the default of the bucket is SSE-S3.
  const selecting = { ...rule, SourceSelectionCriteria: SELECTS_KMS_OBJECTS };
  const otherRules = rules.filter((candidate) => candidate !== rule);
  const skipped = sample.filter(
    (object) =>
      isKmsAlgorithm(object.encryption.algorithm) &&
      mismatchReason(selecting, object, otherRules) === undefined,
  );
  const [example] = skipped;
  if (!isKmsAlgorithm(algorithm) && !example) return [];
  const cause = isKmsAlgorithm(algorithm)
    ? `${source.name} encrypts objects with ${algorithm} by default`
    : `${skipped.length} of ${sample.length} sampled objects are encrypted with KMS (for example ${example?.key})`;
  const message = `${cause}, and the rule does not select them: S3 skips them without a replication status`;
  return [
    destination
      ? createReplicaKeyFinding(context, destination, 'RK1003', message)
      : createFinding('RK1003', message),
  ];
}

const SELECTS_KMS_OBJECTS = { SseKmsEncryptedObjects: { Status: 'Enabled' as const } };

/**
 * Returns a finding whose fix is the default key of the destination. If the destination has no other key, the finding
 * names the step that needs a person.
 */
function createReplicaKeyFinding(
  context: RuleContext,
  destination: RuleBucket,
  code: 'RK1003' | 'RK1204' | 'RK1205',
  message: string,
): Finding {
  const fixes = defaultKeyFixes(context, destination);
  if (fixes.length > 0) return createFinding(code, message, fixes);
  const reason =
    unreadReasonOf(destination.encryption) === undefined
      ? `${destination.name} has no usable default key`
      : `replikey cannot read the default key of ${destination.name}`;
  const step = `choose a key in ${destination.region} that may encrypt the replicas, and name it in the rule`;
  return createFinding(code, `${message}. Manual step, because ${reason}: ${step}`);
}

/**
 * Returns the fix that selects encrypted objects and encrypts replicas with the destination's default key. Returns no
 * fix if the destination has no default key, if this key does not exist, or if the rule uses it already.
 */
function defaultKeyFixes({ facts, rule, rules, role, source }: RuleContext, destination: RuleBucket): Fix[] {
  const [defaultRule] = factValue(destination.encryption)?.Rules ?? [];
  const defaultKeyName = defaultRule?.ApplyServerSideEncryptionByDefault?.KMSMasterKeyID;
  if (defaultKeyName === undefined) return [];
  const ReplicaKmsKeyID = resolveKeyArn(defaultKeyName, destination);
  if (facts.keys[ReplicaKmsKeyID] === null) return [];
  const currentKeyId = rule.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID;
  if (selectsKmsObjects(rule) && currentKeyId === ReplicaKmsKeyID) return [];
  const updatedRule = {
    ...rule,
    SourceSelectionCriteria: {
      ...rule.SourceSelectionCriteria,
      SseKmsEncryptedObjects: { Status: 'Enabled' as const },
    },
    Destination: { ...rule.Destination, EncryptionConfiguration: { ReplicaKmsKeyID } },
  };
  const Rules = rules.map((candidate) => (candidate === rule ? updatedRule : candidate));
  return [
    {
      what: `select encrypted objects, and encrypt replicas with the default key of ${destination.name}`,
      call: {
        service: 's3',
        operation: 'PutBucketReplication',
        region: source.region,
        input: { Bucket: source.name, ReplicationConfiguration: { Role: role, Rules } },
      },
    },
  ];
}
