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
  UpdateKeyDescriptionCommand,
} from '@aws-sdk/client-kms';
import { type PageCursor, paginate } from '../aws/paginate.ts';
import { keyResourceId, locationOfSide, positionOfPath } from '../core/ids.ts';
import type { Aws, Current, Kind, Location, Resource } from '../core/resource.ts';
import type { BucketReplication, Side } from '../spec/types.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { keyAuditEvents } from './cloudtrail-events.ts';
import { ignoreErrors } from './helpers.ts';
import { ownershipTags, toTagMap } from './tags.ts';

/** A key by its alias, which we create when it is absent, or by its ARN, which must exist and is never altered. */
export interface KmsKey {
  alias?: string;
  arn?: string;
  /** What is not declared is left as it is. */
  description?: string;
  rotation?: boolean;
  rotationPeriodInDays?: number;
}

/**
 * Key, alias and rotation are one kind, since a key has no name of its own. `CreateKey` is not idempotent: the alias
 * is also written on the new key as a tag, so that a run that died before naming it finds it again.
 */
const ALIAS_TAG = 'replikey:alias';

export const kmsKey: Kind<KmsKey> = {
  name: 'kms.key',
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
    desiredKey(pair, pair.source, 'spec.source.key'),
    desiredKey(pair, pair.destination, 'spec.destination.key'),
    ...pair.sourceKeys.map((key, index) =>
      desiredKey(pair, { ...pair.source, key }, `spec.sourceKeys[${index}]`),
    ),
  ],

  normalize: (spec) => omitUndefined(spec),

  blockedReason(desired, current, location) {
    if (!current) {
      if (desired.arn === undefined) return undefined;
      return `the key ${desired.arn} does not exist, or is not visible to these credentials; a key given by ARN must exist before`;
    }
    const { arn = '', state, usage, keySpec } = current.attrs;
    const region = arn.split(':')[3];
    if (region !== location.region) {
      return `the key ${arn} lies in ${region}, but the bucket in ${location.region}: S3 takes keys of the bucket's own Region only`;
    }
    if (usage !== 'ENCRYPT_DECRYPT' || keySpec !== 'SYMMETRIC_DEFAULT') {
      return `the key ${arn} is ${keySpec} for ${usage}; S3 needs a symmetric key for ENCRYPT_DECRYPT`;
    }
    if (state !== 'Enabled' && state !== 'Creating') {
      return `the key ${arn} is ${state}; enable it (a key whose deletion was cancelled stays disabled until enabled)`;
    }
    return undefined;
  },

  async read(aws, { location, spec }) {
    const key = await describeKey(aws, location, spec.arn ?? spec.alias);
    if (key) return readCurrentKey(aws, location, key, spec);
    const unnamedKey =
      spec.alias === undefined ? undefined : await findKeyByAliasTag(aws, location, spec.alias);
    return unnamedKey && { spec: {}, attrs: keyAttrsOf(unnamedKey) };
  },

  operations(desired, current) {
    const { alias, description } = desired;
    const currentSpec = current?.spec;
    const rotationOperation = rotationOperationOf(desired, currentSpec);
    return [
      ...(current ? [] : ['kms:CreateKey']),
      ...(alias !== undefined && currentSpec?.alias === undefined ? ['kms:CreateAlias'] : []),
      ...(currentSpec && description !== undefined && description !== currentSpec.description
        ? ['kms:UpdateKeyDescription']
        : []),
      ...(rotationOperation === undefined ? [] : [`kms:${rotationOperation}`]),
    ];
  },

  async write(aws, { location, spec, declaredBy }, current) {
    if (spec.alias === undefined) return;
    const arn = current?.attrs.arn ?? (await createKey(aws, location, spec, declaredBy));
    if (current?.spec.alias === undefined) {
      // The alias is there already when the answer to an earlier attempt was lost; reading it back tells.
      await ignoreErrors(
        aws.send(location, new CreateAliasCommand({ AliasName: spec.alias, TargetKeyId: arn })),
        'AlreadyExistsException',
      );
    }
    if (current && spec.description !== undefined && spec.description !== current.spec.description) {
      await aws.send(
        location,
        new UpdateKeyDescriptionCommand({ KeyId: arn, Description: spec.description }),
      );
    }
    await updateRotation(aws, location, arn, spec, current?.spec);
  },

  explain(path, desired) {
    if (path === '/alias')
      return `a key made for ${desired.alias} is there, but the alias does not name it yet`;
    if (path === '/rotation') return `rotation is declared ${desired.rotation ? 'on' : 'off'}`;
    if (path === '/rotationPeriodInDays') return 'another period between rotations is declared';
    if (path === '/description') return 'another description is declared';
    return undefined;
  },

  notes: (_, { attrs: { arn, multiRegion, manager } }) => [
    ...(multiRegion === 'true'
      ? [`${arn} is a multi-Region key, which S3 takes for a single-Region one: replicas are encrypted anew`]
      : []),
    ...(manager === 'AWS'
      ? [
          `${arn} is managed by AWS: its policy cannot be changed, and S3 documents customer managed keys only`,
        ]
      : []),
  ],

  async fetchTags(aws, { location }, current) {
    const { Tags } = await aws.send(location, new ListResourceTagsCommand({ KeyId: current.attrs.arn }));
    return toTagMap(Tags?.map(({ TagKey, TagValue }) => ({ Key: TagKey, Value: TagValue })));
  },

  facts(desired, { current, arn }) {
    // Nobody makes a key that is given by its ARN.
    if (!current && desired.arn !== undefined) return {};
    return {
      keys: {
        [arn]: omitUndefined({
          arn,
          state: current?.attrs.state ?? 'Enabled',
          usage: current?.attrs.usage,
          keySpec: current?.attrs.keySpec,
          manager: current?.attrs.manager,
        }),
      },
    };
  },

  transientErrors: [
    { code: 'NotFoundException', waitsFor: 'KMS to see the new key' },
    { code: 'KMSInvalidStateException', message: /Creating/, waitsFor: 'the new key to become Enabled' },
  ],

  auditEvents: keyAuditEvents({
    '': ['DeleteAlias', 'UpdateAlias'],
    '/description': ['UpdateKeyDescription'],
    '/rotation': ['EnableKeyRotation', 'DisableKeyRotation'],
  }),
};

function desiredKey(pair: BucketReplication, side: Side, path: string): Resource<KmsKey> {
  const { key } = side;
  return {
    id: keyResourceId(side),
    kind: 'kms.key',
    location: locationOfSide(side),
    spec: { ...key },
    after: [],
    declaredBy: [pair.name],
    position: positionOfPath(pair, path),
  };
}

async function describeKey(
  aws: Aws,
  location: Location,
  key: string | undefined,
): Promise<KeyMetadata | undefined> {
  const response = await ignoreErrors(
    aws.send(location, new DescribeKeyCommand({ KeyId: key })),
    'NotFoundException',
  );
  return response?.KeyMetadata;
}

async function readCurrentKey(
  aws: Aws,
  location: Location,
  key: KeyMetadata,
  spec: KmsKey,
): Promise<Current<KmsKey>> {
  const needsRotationStatus = spec.rotation !== undefined || spec.rotationPeriodInDays !== undefined;
  const rotationStatus = needsRotationStatus
    ? await aws.send(location, new GetKeyRotationStatusCommand({ KeyId: key.KeyId }))
    : undefined;
  return {
    spec: omitUndefined({
      alias: spec.alias,
      arn: spec.arn,
      description: spec.description === undefined ? undefined : (key.Description ?? ''),
      rotation: spec.rotation === undefined ? undefined : rotationStatus?.KeyRotationEnabled,
      rotationPeriodInDays:
        spec.rotationPeriodInDays === undefined ? undefined : rotationStatus?.RotationPeriodInDays,
    }),
    attrs: keyAttrsOf(key),
  };
}

const keyAttrsOf = (key: KeyMetadata): Record<string, string> => ({
  arn: key.Arn ?? '',
  id: key.KeyId ?? '',
  state: key.KeyState ?? '',
  usage: key.KeyUsage ?? '',
  keySpec: key.KeySpec ?? '',
  multiRegion: String(key.MultiRegion ?? false),
  manager: key.KeyManager ?? '',
});

/** How rotation becomes as declared, if it is not; setting a period anew is what changes it. */
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

/** Make a key, once: where the answer is lost, the key is looked for by its tag before another is made. */
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
      // The defaults of KMS; said all the same, since not every endpoint fills them in.
      KeyUsage: 'ENCRYPT_DECRYPT',
      KeySpec: 'SYMMETRIC_DEFAULT',
      Tags: tags.map(({ Key, Value }) => ({ TagKey: Key, TagValue: Value })),
    });
  for (let attempt = 1; ; attempt++) {
    try {
      return (await aws.send(location, createCommand())).KeyMetadata?.Arn;
    } catch (error) {
      const existing = await findKeyByAliasTag(aws, location, alias);
      if (existing) return existing.Arn;
      if (attempt === MAX_CREATE_ATTEMPTS || !isOutcomeUnknown(error)) throw error;
    }
  }
}

const MAX_CREATE_ATTEMPTS = 4;

/** Whether the call may have been carried out though it failed: a fault of the network or of the server. */
function isOutcomeUnknown(error: unknown): boolean {
  const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
  return status === undefined || status >= 500;
}

/** A usable key that carries our tag for this alias, made by a run that did not come to name it. */
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
        // A key whose policy keeps us out is not one that we made.
        'AccessDeniedException',
      );
      if (!tags?.Tags?.some(({ TagKey, TagValue }) => TagKey === ALIAS_TAG && TagValue === alias)) continue;
      const key = await describeKey(aws, location, KeyId);
      if (key && (key.KeyState === 'Enabled' || key.KeyState === 'Creating')) return key;
    }
  }
  return undefined;
}

const nextKmsPage = ({
  Truncated,
  NextMarker,
}: Pick<ListKeysCommandOutput, 'Truncated' | 'NextMarker'>): PageCursor => ({
  hasMore: Truncated,
  marker: NextMarker,
});
