import { known, unreadOf } from '../core/observed.ts';
import { accountOf } from '../iam/context.ts';
import { byDefault, isKms } from './cases.ts';
import { finding } from './findings.ts';
import type { Finding, Fix } from './types.ts';
import { type Bucket, keyArnOf, type RuleWorld, replicaKeyArn, selectsEncrypted } from './world.ts';

/** What S3 looks at before it asks for any object: whether the other side is there, and ready. */
export function destinationStates(world: RuleWorld): Finding[] {
  const { observed, destination, destinationName, rule, source } = world;
  if (!destination) {
    const unread = unreadOf(observed.buckets[destinationName]);
    return unread === undefined
      ? [finding('RK1103', `the bucket ${destinationName} does not exist`)]
      : [finding('RK1901', `the bucket ${destinationName} cannot be read: ${unread}`)];
  }
  const declared = rule.Destination?.Account;
  return [
    ...(declared !== undefined && declared !== destination.account
      ? [
          finding(
            'RK1105',
            `the rule says that ${destination.name} is in account ${declared}; it is in ${destination.account}`,
          ),
        ]
      : []),
    ...versioning(destination, 'RK1104'),
    ...objectLock(source, destination),
    ...publicAccess(source, destination),
  ];
}

/** Replication cannot be set up without versioning on the source, and S3 keeps it from being suspended. */
export const sourceStates = ({ source }: RuleWorld): Finding[] => versioning(source, 'RK1102');

function versioning(bucket: Bucket, code: 'RK1102' | 'RK1104'): Finding[] {
  const unread = unreadOf(bucket.versioning);
  if (unread !== undefined)
    return [finding('RK1901', `the versioning of ${bucket.name} cannot be read: ${unread}`)];
  const status = known(bucket.versioning)?.Status;
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
  return [finding(code, `versioning of ${bucket.name} is ${status ?? 'not enabled'}`, [fix])];
}

function objectLock(source: Bucket, destination: Bucket): Finding[] {
  if (known(source.objectLock)?.ObjectLockEnabled !== 'Enabled') return [];
  const unread = unreadOf(destination.objectLock);
  if (unread !== undefined)
    return [finding('RK1901', `the Object Lock of ${destination.name} cannot be read: ${unread}`)];
  if (known(destination.objectLock)?.ObjectLockEnabled === 'Enabled') return [];
  const fix: Fix = {
    what: `enable Object Lock on ${destination.name}, which cannot be undone`,
    call: {
      service: 's3',
      operation: 'PutObjectLockConfiguration',
      region: destination.region,
      input: { Bucket: destination.name, ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled' } },
    },
  };
  return [finding('RK1106', `${source.name} has Object Lock, and ${destination.name} has not`, [fix])];
}

/** A policy that is public lets only the bucket's own account in, where that is switched on. */
function publicAccess(source: Bucket, destination: Bucket): Finding[] {
  if (source.account === destination.account) return [];
  if (!known(destination.publicAccessBlock)?.RestrictPublicBuckets) return [];
  const statements = [known(destination.policy)?.Statement ?? []].flat();
  const open = statements.some(
    ({ Effect, Principal, Condition }) =>
      Effect === 'Allow' &&
      Condition === undefined &&
      (Principal === '*' || (typeof Principal === 'object' && [Principal.AWS].flat().includes('*'))),
  );
  if (!open) return [];
  return [
    finding(
      'RK1107',
      `the policy of ${destination.name} is public and RestrictPublicBuckets is on: the role of account ${source.account} is kept out`,
    ),
  ];
}

/** Objects of other accounts keep their ACL to themselves, unless the bucket owns all that lies in it. */
export function ownership({ source }: RuleWorld): Finding[] {
  const owner = known(source.ownership)?.Rules?.[0]?.ObjectOwnership;
  if (source.ownership === undefined || owner === 'BucketOwnerEnforced') return [];
  if (unreadOf(source.ownership) !== undefined) return [];
  const writers = [known(source.policy)?.Statement ?? []]
    .flat()
    .flatMap(({ Effect, Principal }) =>
      Effect === 'Allow' && typeof Principal === 'object' ? [Principal.AWS ?? []].flat() : [],
    )
    .map((principal) => (/^\d{12}$/.test(principal) ? principal : accountOf(principal)));
  const others = [...new Set(writers)].filter((account) => account !== '' && account !== source.account);
  if (others.length === 0) return [];
  return [
    finding(
      'RK1108',
      `${source.name} lets account ${others.join(', ')} in and has Object Ownership ${owner ?? 'ObjectWriter'}: what they write is theirs, and S3 may not read its ACL`,
      [
        {
          what: `let ${source.name} own all its objects`,
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

/** Whether the key of a source object can be used at all. */
export function sourceKeyState({ observed, source }: RuleWorld, keyArn: string): Finding[] {
  const fact = observed.keys[keyArn];
  const unread = unreadOf(fact);
  if (unread !== undefined) return [finding('RK1901', `the key ${keyArn} cannot be read: ${unread}`)];
  const key = known(fact);
  if (!key)
    return [
      finding(
        'RK1202',
        `the key ${keyArn}, which encrypts objects of ${source.name}, does not exist: name one that does`,
      ),
    ];
  return unusable(key.arn, key, 'RK1201');
}

/** The key of replicas: there, in the bucket's Region, symmetric, and enabled. */
export function replicaKeyState(world: RuleWorld): { arn?: string; missing: Finding[]; state: Finding[] } {
  const { observed, rule, destination } = world;
  const name = rule.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID;
  const spoken = replicaKeyArn(world);
  if (spoken === undefined || !destination || !selectsEncrypted(rule)) return { missing: [], state: [] };
  const fact = observed.keys[spoken];
  const region = spoken.split(':')[3];
  if (region !== destination.region) {
    return {
      missing: [
        finding(
          'RK1205',
          `${spoken} lies in ${region}, and ${destination.name} in ${destination.region}`,
          toDefaultKey(world, destination),
        ),
      ],
      state: [],
    };
  }
  const unread = unreadOf(fact);
  if (unread !== undefined)
    return {
      arn: spoken,
      missing: [finding('RK1901', `the key ${spoken} cannot be read: ${unread}`)],
      state: [],
    };
  const key = known(fact);
  if (!key) {
    const where = spoken.includes(':alias/')
      ? `, which is an alias looked up in the account of the role (${accountOf(world.role)}),`
      : '';
    const message = `the key ${spoken}${where} does not exist: name one that does`;
    return { missing: [finding('RK1204', message, toDefaultKey(world, destination))], state: [] };
  }
  return {
    arn: spoken,
    missing: [],
    state: [
      ...unusable(key.arn, key, 'RK1203'),
      ...(spoken === key.arn
        ? []
        : [
            finding(
              'RK1206',
              `${name} is an alias, which is looked up in the account of the role (${accountOf(world.role)}): now it is ${key.arn}`,
            ),
          ]),
      ...(key.manager === 'AWS'
        ? [finding('RK1207', `${key.arn} is managed by AWS: its policy lets no other account in`)]
        : []),
    ],
  };
}

function unusable(
  arn: string,
  { state, usage, keySpec }: { state?: string; usage?: string; keySpec?: string },
  code: 'RK1201' | 'RK1203',
): Finding[] {
  if (usage !== undefined && usage !== 'ENCRYPT_DECRYPT')
    return [finding(code, `the key ${arn} is for ${usage}, and S3 needs one for ENCRYPT_DECRYPT`)];
  if (keySpec !== undefined && keySpec !== 'SYMMETRIC_DEFAULT')
    return [finding(code, `the key ${arn} is ${keySpec}, and S3 needs a symmetric one`)];
  if (state === undefined || state === 'Enabled') return [];
  const call = (operation: string, what: string): Fix => ({
    what,
    call: { service: 'kms', operation, region: arn.split(':')[3] ?? '', input: { KeyId: arn } },
  });
  // A key whose deletion was cancelled stays disabled until it is enabled.
  const fixes = [
    ...(state === 'PendingDeletion' ? [call('CancelKeyDeletion', 'cancel the deletion of the key')] : []),
    ...(state === 'Disabled' || state === 'PendingDeletion' ? [call('EnableKey', 'enable the key')] : []),
  ];
  return [finding(code, `the key ${arn} is ${state}`, fixes)];
}

/** Objects under KMS keys that the rule does not select are passed over, and S3 does not even say so. */
export function selection(world: RuleWorld): Finding[] {
  const { rule, source, destination } = world;
  const standard = byDefault(world);
  if (selectsEncrypted(rule) || !isKms(standard.algorithm)) return [];
  const message = `objects of ${source.name} are encrypted with ${standard.algorithm} by default, and the rule does not select such: S3 passes them over without a status`;
  return [finding('RK1003', message, destination ? toDefaultKey(world, destination) : [])];
}

/** Select encrypted objects, and encrypt replicas with the destination's own key; nothing where it has no other. */
function toDefaultKey({ rule, rules, role, source }: RuleWorld, destination: Bucket): Fix[] {
  const [standard] = known(destination.encryption)?.Rules ?? [];
  const name = standard?.ApplyServerSideEncryptionByDefault?.KMSMasterKeyID;
  if (name === undefined) return [];
  const ReplicaKmsKeyID = keyArnOf(name, destination);
  const before = rule.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID;
  if (selectsEncrypted(rule) && before === ReplicaKmsKeyID) return [];
  const changed = {
    ...rule,
    SourceSelectionCriteria: {
      ...rule.SourceSelectionCriteria,
      SseKmsEncryptedObjects: { Status: 'Enabled' as const },
    },
    Destination: { ...rule.Destination, EncryptionConfiguration: { ReplicaKmsKeyID } },
  };
  const Rules = rules.map((one) => (one === rule ? changed : one));
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
