import {
  CreateAliasCommand,
  CreateKeyCommand,
  DescribeKeyCommand,
  DisableKeyRotationCommand,
  EnableKeyRotationCommand,
  GetKeyRotationStatusCommand,
  type KeyMetadata,
  ListAliasesCommand,
  ListKeysCommand,
  type ListKeysCommandOutput,
  ListResourceTagsCommand,
  TagResourceCommand,
  UpdateKeyDescriptionCommand,
} from '@aws-sdk/client-kms';
import { type PageCursor, paginate } from '../aws/paginate.ts';
import { requireField } from '../aws/response.ts';
import { keyResourceId, locationOfSide, positionOfPath } from '../core/ids.ts';
import type { Check, Kind } from '../core/kind.ts';
import type { Aws, Current, Location, ManualStep, Resource } from '../core/resource.ts';
import { relatedSides } from '../policy/required-statements.ts';
import { type KeyUse, keyUsesOf } from '../spec/key-uses.ts';
import type { BucketReplication } from '../spec/types.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { keyAuditEvents } from './cloudtrail-events.ts';
import { ignoreErrors, orAlreadyExists, ownershipTags, toTagMap } from './helpers.ts';
import { keyScope } from './scopes.ts';

/**
 * A key by its alias, which replikey creates when it is absent, or by its ARN, which must exist and is never changed.
 */
export interface KmsKey {
  alias?: string;
  arn?: string;
  /** Undeclared settings stay as they are. */
  description?: string;
  rotation?: boolean;
  rotationPeriodInDays?: number;
  /** Whether another key replaces the key, which replikey then never creates. */
  isReplaced?: boolean;
}

/** A key, with its rotation if a spec declares that. */
export interface KeyDoc {
  /** Values of AWS as text, for references and checks; absent before the key exists. */
  attrs: Record<string, string>;
  /** The alias that names the key; absent for a key by ARN, and for a key that no alias names yet. */
  alias?: string;
  description?: string;
  rotation?: boolean;
  rotationPeriodInDays?: number;
}

/**
 * Key, alias and rotation are one kind, since a key has no name of its own. `CreateKey` is not idempotent: the new key
 * also has its alias as a tag, so that the next run finds it when this run dies before it creates the alias.
 */
const ALIAS_TAG = 'replikey:alias';

/** The value of this tag for a key that lost its alias to another run. */
const UNUSED = 'unused';

const ROTATION = 'rotation';

export const kmsKey: Kind<KmsKey, KeyDoc> = {
  name: 'kms.key',
  scope: {
    ...keyScope,
    facts({ attrs }, { current, arn }) {
      // replikey does not create a key that a spec gives by ARN.
      if (!current && attrs.arn !== undefined) return undefined;
      const { state = 'Enabled', usage, keySpec, manager } = attrs;
      return omitUndefined({ arn, state, usage, keySpec, manager });
    },
  },
  permissions: {
    read: [
      'kms:DescribeKey',
      'kms:GetKeyRotationStatus',
      'kms:ListKeys',
      'kms:ListAliases',
      'kms:ListResourceTags',
    ],
    write: [
      'kms:CreateKey',
      'kms:TagResource',
      'kms:CreateAlias',
      'kms:UpdateKeyDescription',
      'kms:EnableKeyRotation',
      'kms:DisableKeyRotation',
    ],
  },

  desired: ({ pair }) => [
    ...keyUsesOf(pair).map((use) => desiredKey(pair, use)),
    ...relatedSides(pair).map((side) =>
      desiredKey(pair, { side, path: 'spec.destination.key', isReplaced: false }),
    ),
  ],

  async fetch(aws, location, name, details = []) {
    const key = await describeKey(aws, location, name);
    if (!key) {
      const unnamed = name.startsWith('alias/') ? await findKeyByAliasTag(aws, location, name) : undefined;
      return unnamed && { attrs: toAttrs(unnamed) };
    }
    const rotation = details.includes(ROTATION)
      ? await aws.send(location, new GetKeyRotationStatusCommand({ KeyId: key.KeyId }))
      : undefined;
    return omitUndefined({
      attrs: toAttrs(key),
      alias: name.startsWith('alias/') ? name : undefined,
      description: key.Description ?? '',
      rotation: rotation?.KeyRotationEnabled,
      rotationPeriodInDays: rotation?.RotationPeriodInDays,
    });
  },

  parse({ attrs, ...doc }, { spec }) {
    if (spec.arn === undefined && doc.alias === undefined) return { spec: {}, attrs };
    return {
      spec: omitUndefined({
        isReplaced: spec.isReplaced,
        alias: spec.alias,
        arn: spec.arn,
        description: spec.description === undefined ? undefined : doc.description,
        rotation: spec.rotation === undefined ? undefined : doc.rotation,
        rotationPeriodInDays: spec.rotationPeriodInDays === undefined ? undefined : doc.rotationPeriodInDays,
      }),
      attrs,
    };
  },

  normalize: (spec) => omitUndefined(spec),

  render: ({ spec: { arn, ...spec } }, current) =>
    omitUndefined({ attrs: current?.attrs ?? (arn === undefined ? {} : { arn }), ...spec }),

  operations({ desired, current }) {
    const { alias, description } = desired;
    const rotation = rotationOperationOf(desired, current?.spec);
    return [
      ...(current ? [] : ['kms:CreateKey']),
      ...(alias !== undefined && current?.spec.alias === undefined ? ['kms:CreateAlias'] : []),
      ...(current && description !== undefined && description !== current.spec.description
        ? ['kms:UpdateKeyDescription']
        : []),
      ...(rotation === undefined ? [] : [`kms:${rotation}`]),
    ].map((call) => ({ call }));
  },

  async send(aws, { resource: { location, declaredBy }, desired, current }) {
    if (desired.alias === undefined) return;
    const arn = current?.attrs.arn ?? (await createKey(aws, location, desired, declaredBy));
    if (current?.spec.alias === undefined) {
      const command = new CreateAliasCommand({ AliasName: desired.alias, TargetKeyId: arn });
      await orAlreadyExists(aws.send(location, command), 'AlreadyExistsException', (client, existing) =>
        leaveUnused(client, location, arn, existing as Current<KmsKey>),
      );
    }
    const { description } = desired;
    if (current && description !== undefined && description !== current.spec.description) {
      await aws.send(location, new UpdateKeyDescriptionCommand({ KeyId: arn, Description: description }));
    }
    await updateRotation(aws, location, arn, desired, current?.spec);
  },

  response: {},

  check: ({ resource, current }) => (current ? checkKey(resource, current) : checkMissingKey(resource)),

  explain(path, desired) {
    if (path === '/alias')
      return `a key created for ${desired.alias} exists, but the alias does not name it yet`;
    if (path === '/rotation') return `the spec turns rotation ${desired.rotation ? 'on' : 'off'}`;
    if (path === '/rotationPeriodInDays') return 'the spec declares another rotation period';
    if (path === '/description') return 'the spec declares another description';
    return undefined;
  },

  async fetchTags(aws, { location }, current) {
    const { Tags } = await aws.send(location, new ListResourceTagsCommand({ KeyId: current.attrs.arn }));
    return toTagMap(Tags?.map(({ TagKey, TagValue }) => ({ Key: TagKey, Value: TagValue })));
  },

  transientErrors: [
    { code: 'NotFoundException', waitsFor: 'KMS to see the new key' },
    { code: 'KMSInvalidStateException', message: /creating/i, waitsFor: 'the new key to become Enabled' },
  ],

  auditEvents: keyAuditEvents(
    {
      '': ['DeleteAlias', 'UpdateAlias'],
      '/description': ['UpdateKeyDescription'],
      '/rotation': ['EnableKeyRotation', 'DisableKeyRotation'],
    },
    fetchKeyIdentifiers,
    [
      'CancelKeyDeletion',
      'CreateAlias',
      'CreateGrant',
      'DeleteImportedKeyMaterial',
      'DisableKey',
      'EnableKey',
      'ImportKeyMaterial',
      'PutKeyPolicy',
      'RetireGrant',
      'RevokeGrant',
      'ScheduleKeyDeletion',
    ],
  ),
};

function desiredKey(
  pair: BucketReplication,
  { side, path, isReplaced }: Pick<KeyUse, 'side' | 'path' | 'isReplaced'>,
): Resource<KmsKey> {
  const { key } = side;
  const declaresRotation =
    'alias' in key && (key.rotation !== undefined || key.rotationPeriodInDays !== undefined);
  return {
    id: keyResourceId('kms.key', side),
    kind: 'kms.key',
    name: 'arn' in key ? key.arn : key.alias,
    ...(declaresRotation && { details: [ROTATION] }),
    location: locationOfSide(side),
    spec: { ...key, ...(isReplaced && { isReplaced }) },
    after: [],
    declaredBy: [pair.name],
    position: positionOfPath(pair, path),
  };
}

const checkMissingKey = ({ spec: { alias, arn, isReplaced } }: Resource<KmsKey>): Check => ({
  blocked:
    arn === undefined
      ? isReplaced
        ? `the key ${alias} does not exist, so that no object is encrypted under it; remove it from replaces`
        : undefined
      : `the key ${arn} does not exist, or is not visible to these credentials; create it first, since replikey never creates a key given by ARN`,
});

function checkKey({ location }: Resource<KmsKey>, { attrs }: Current<KmsKey>): Check {
  const { arn = '', state, usage, keySpec, multiRegion, manager } = attrs;
  const notes = [
    ...(multiRegion === 'true'
      ? [`${arn} is a multi-Region key, which S3 treats as a single-Region key: S3 encrypts replicas again`]
      : []),
    ...(manager === 'AWS'
      ? [
          `${arn} is managed by AWS: its policy cannot be changed, and S3 documents replication for customer managed keys only`,
        ]
      : []),
  ];
  return { blocked: blockedReason(), notes };

  function blockedReason(): string | undefined {
    const region = arn.split(':')[3];
    if (region !== location.region) {
      return `the key ${arn} is in ${region}, but the bucket is in ${location.region}; declare a key of the bucket's Region, since S3 accepts no other`;
    }
    if (usage !== 'ENCRYPT_DECRYPT' || keySpec !== 'SYMMETRIC_DEFAULT') {
      return `the key ${arn} is ${keySpec} for ${usage}; S3 needs a symmetric key for ENCRYPT_DECRYPT`;
    }
    if (state !== 'Enabled' && state !== 'Creating') {
      return `the key ${arn} is ${state}; enable it (a key stays disabled after its deletion was cancelled)`;
    }
    return undefined;
  }
}

/** Returns the metadata of a key by its id, ARN or alias; undefined when KMS has no such key. */
export const describeKey = (
  aws: Pick<Aws, 'send'>,
  location: Location,
  key: string | undefined,
): Promise<KeyMetadata | undefined> => ignoreErrors(requireKey(aws, location, key), 'NotFoundException');

/**
 * Returns the metadata of a key.
 *
 * @throws the error of AWS, `NotFoundException` among them.
 */
export async function requireKey(
  aws: Pick<Aws, 'send'>,
  location: Location,
  key: string | undefined,
): Promise<KeyMetadata> {
  return requireField(await aws.send(location, new DescribeKeyCommand({ KeyId: key })), 'KeyMetadata');
}

/** Returns id and ARN of the key that an alias names. */
export async function fetchKeyIdentifiers(aws: Aws, location: Location, name: string): Promise<string[]> {
  const key = await describeKey(aws, location, name);
  return [key?.KeyId, key?.Arn].filter((identifier) => identifier !== undefined);
}

const toAttrs = (key: KeyMetadata): Record<string, string> => ({
  arn: key.Arn ?? '',
  id: key.KeyId ?? '',
  state: key.KeyState ?? '',
  usage: key.KeyUsage ?? '',
  keySpec: key.KeySpec ?? '',
  multiRegion: String(key.MultiRegion ?? false),
  manager: key.KeyManager ?? '',
});

/**
 * Returns the operation that sets rotation as declared, if it differs. EnableKeyRotation also changes the period of a
 * rotation that is already enabled.
 */
function rotationOperationOf(
  { rotation, rotationPeriodInDays }: KmsKey,
  current: KmsKey | undefined,
): 'EnableKeyRotation' | 'DisableKeyRotation' | undefined {
  if (rotation === false) return current?.rotation ? 'DisableKeyRotation' : undefined;
  const periodDiffers =
    rotationPeriodInDays !== undefined && rotationPeriodInDays !== current?.rotationPeriodInDays;
  return (rotation && !current?.rotation) || periodDiffers ? 'EnableKeyRotation' : undefined;
}

async function updateRotation(
  aws: Aws,
  location: Location,
  KeyId: string | undefined,
  desired: KmsKey,
  current: KmsKey | undefined,
): Promise<void> {
  const operation = rotationOperationOf(desired, current);
  if (operation === 'DisableKeyRotation') await aws.send(location, new DisableKeyRotationCommand({ KeyId }));
  if (operation === 'EnableKeyRotation') {
    const RotationPeriodInDays = desired.rotationPeriodInDays;
    await aws.send(location, new EnableKeyRotationCommand(omitUndefined({ KeyId, RotationPeriodInDays })));
  }
}

/**
 * Creates a key exactly once. If the response is lost, it searches for the key by its tag before it creates another.
 */
async function createKey(
  aws: Aws,
  location: Location,
  { alias = '', description }: KmsKey,
  declaredBy: readonly string[],
): Promise<string | undefined> {
  const tags = [...ownershipTags(declaredBy), { Key: ALIAS_TAG, Value: alias }];
  const createCommand = () =>
    new CreateKeyCommand({
      Description: description ?? `${alias}: S3 replication, created by replikey`,
      // The defaults of KMS. They are sent because not every endpoint applies them.
      KeyUsage: 'ENCRYPT_DECRYPT',
      KeySpec: 'SYMMETRIC_DEFAULT',
      Tags: tags.map(({ Key, Value }) => ({ TagKey: Key, TagValue: Value })),
    });
  for (let attempt = 1; ; attempt++) {
    try {
      return (await aws.send(location, createCommand())).KeyMetadata?.Arn;
    } catch (error) {
      const existing = await findKeyByAliasTag(aws, location, alias).catch(() => {
        // The failure to create the key is the cause, not the failure to search for it.
        throw error;
      });
      if (existing) return existing.Arn;
      if (attempt === MAX_CREATE_ATTEMPTS || !isOutcomeUnknown(error)) throw error;
    }
  }
}

/**
 * Returns how a person deletes a key that this run created, when the alias names another one. Changes its tag, so that no
 * run uses the key if the alias is deleted.
 *
 * @param existing the key that the alias names; without an alias, a key that none names yet
 */
async function leaveUnused(
  aws: Aws,
  location: Location,
  arn: string | undefined,
  { spec, attrs }: Current<KmsKey>,
): Promise<ManualStep[]> {
  if (arn === undefined || spec.alias === undefined || attrs.arn === arn) return [];
  const Tags = [{ TagKey: ALIAS_TAG, TagValue: UNUSED }];
  // The report matters more than the tag.
  await aws.send(location, new TagResourceCommand({ KeyId: arn, Tags })).catch(() => undefined);
  return [
    {
      what: `the key ${arn} is unused, because another run created ${spec.alias} for ${attrs.arn}; replikey never deletes keys: schedule its deletion`,
      command: `aws kms schedule-key-deletion --region ${location.region} --key-id ${arn} --pending-window-in-days 30`,
    },
  ];
}

const MAX_CREATE_ATTEMPTS = 4;

/** Whether AWS may have carried out the call although it failed: a fault of the network or of the server. */
function isOutcomeUnknown(error: unknown): boolean {
  const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
  return status === undefined || status >= 500;
}

/**
 * Finds a usable key without an alias that carries the tag for this alias. A run that ended before CreateAlias leaves
 * such a key.
 */
export async function findKeyByAliasTag(
  aws: Aws,
  location: Location,
  alias: string,
): Promise<KeyMetadata | undefined> {
  const keysWithAlias = new Set<string | undefined>();
  const aliases = paginate(
    (Marker) => aws.send(location, new ListAliasesCommand(omitUndefined({ Limit: 100, Marker }))),
    nextKmsPage,
  );
  for await (const page of aliases)
    for (const keyAlias of page.Aliases ?? []) keysWithAlias.add(keyAlias.TargetKeyId);
  const keys = paginate(
    (Marker) => aws.send(location, new ListKeysCommand(omitUndefined({ Limit: 1000, Marker }))),
    nextKmsPage,
  );
  for await (const page of keys) {
    for (const { KeyId } of page.Keys ?? []) {
      if (keysWithAlias.has(KeyId)) continue;
      const tags = await ignoreErrors(
        aws.send(location, new ListResourceTagsCommand({ KeyId })),
        'NotFoundException',
        // A key whose policy denies access to replikey was not created by replikey.
        'AccessDeniedException',
      );
      if (!tags?.Tags?.some(({ TagKey, TagValue }) => TagKey === ALIAS_TAG && TagValue === alias)) continue;
      const key = await describeKey(aws, location, KeyId);
      // replikey creates single-Region keys: a person copied the tags of a multi-Region key.
      if (key && !key.MultiRegion && (key.KeyState === 'Enabled' || key.KeyState === 'Creating')) return key;
    }
  }
  return undefined;
}

export const nextKmsPage = ({
  Truncated,
  NextMarker,
}: Pick<ListKeysCommandOutput, 'Truncated' | 'NextMarker'>): PageCursor => ({
  hasMore: Truncated,
  marker: NextMarker,
});
