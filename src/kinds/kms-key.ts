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
import { defined } from '../canonical.ts';
import { keyId, place, position } from '../core/names.ts';
import { type Following, pages } from '../core/pages.ts';
import type { Aws, Kind, Place, Resource, Seen } from '../core/resource.ts';
import type { BucketReplication, Side } from '../spec/types.ts';
import { orAbsent } from './absent.ts';
import { ownTags, tagMap } from './tags.ts';
import { keyTrail } from './trail.ts';

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
  actions: {
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

  want: ({ pair }) => [
    want(pair, pair.source, 'spec.source.key'),
    want(pair, pair.destination, 'spec.destination.key'),
    ...pair.sourceKeys.map((key, index) => want(pair, { ...pair.source, key }, `spec.sourceKeys[${index}]`)),
  ],

  canonical: (spec) => defined(spec),

  blocks(desired, seen, at) {
    if (!seen) {
      if (desired.arn === undefined) return undefined;
      return `the key ${desired.arn} does not exist, or is not visible to these credentials; a key given by ARN must exist before`;
    }
    const { arn = '', state, usage, keySpec } = seen.attrs;
    const region = arn.split(':')[3];
    if (region !== at.region) {
      return `the key ${arn} lies in ${region}, but the bucket in ${at.region}: S3 takes keys of the bucket's own Region only`;
    }
    if (usage !== 'ENCRYPT_DECRYPT' || keySpec !== 'SYMMETRIC_DEFAULT') {
      return `the key ${arn} is ${keySpec} for ${usage}; S3 needs a symmetric key for ENCRYPT_DECRYPT`;
    }
    if (state !== 'Enabled' && state !== 'Creating') {
      return `the key ${arn} is ${state}; enable it (a key whose deletion was cancelled stays disabled until enabled)`;
    }
    return undefined;
  },

  async read(aws, { at, spec }) {
    const named = await describe(aws, at, spec.arn ?? spec.alias);
    if (named) return seen(aws, at, named, spec);
    const orphan = spec.alias === undefined ? undefined : await keyMadeFor(aws, at, spec.alias);
    return orphan && { spec: {}, attrs: attrs(orphan) };
  },

  calls(desired, seen) {
    const { alias, description } = desired;
    const was = seen?.spec;
    const switched = rotationCall(desired, was);
    return [
      ...(seen ? [] : ['kms:CreateKey']),
      ...(alias !== undefined && was?.alias === undefined ? ['kms:CreateAlias'] : []),
      ...(was && description !== undefined && description !== was.description
        ? ['kms:UpdateKeyDescription']
        : []),
      ...(switched === undefined ? [] : [`kms:${switched}`]),
    ];
  },

  async write(aws, { at, spec, pairs }, was) {
    if (spec.alias === undefined) return;
    const arn = was?.attrs.arn ?? (await create(aws, at, spec, pairs));
    if (was?.spec.alias === undefined) {
      // The alias is there already when the answer to an earlier attempt was lost; reading it back tells.
      await orAbsent(
        aws.send(at, new CreateAliasCommand({ AliasName: spec.alias, TargetKeyId: arn })),
        'AlreadyExistsException',
      );
    }
    if (was && spec.description !== undefined && spec.description !== was.spec.description) {
      await aws.send(at, new UpdateKeyDescriptionCommand({ KeyId: arn, Description: spec.description }));
    }
    await rotate(aws, at, arn, spec, was?.spec);
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

  async tags(aws, { at }, seen) {
    const { Tags } = await aws.send(at, new ListResourceTagsCommand({ KeyId: seen.attrs.arn }));
    return tagMap(Tags?.map(({ TagKey, TagValue }) => ({ Key: TagKey, Value: TagValue })));
  },

  facts(desired, { seen, arn }) {
    // Nobody makes a key that is given by its ARN.
    if (!seen && desired.arn !== undefined) return {};
    return {
      keys: {
        [arn]: defined({
          arn,
          state: seen?.attrs.state ?? 'Enabled',
          usage: seen?.attrs.usage,
          keySpec: seen?.attrs.keySpec,
          manager: seen?.attrs.manager,
        }),
      },
    };
  },

  settles: [
    { code: 'NotFoundException', waitsFor: 'KMS to see the new key' },
    { code: 'KMSInvalidStateException', message: /Creating/, waitsFor: 'the new key to become Enabled' },
  ],

  trail: keyTrail({
    '': ['DeleteAlias', 'UpdateAlias'],
    '/description': ['UpdateKeyDescription'],
    '/rotation': ['EnableKeyRotation', 'DisableKeyRotation'],
  }),
};

function want(pair: BucketReplication, side: Side, path: string): Resource<KmsKey> {
  const { key } = side;
  return {
    id: keyId(side),
    kind: 'kms.key',
    at: place(side),
    spec: { ...key },
    after: [],
    pairs: [pair.name],
    from: position(pair, path),
  };
}

async function describe(aws: Aws, at: Place, key: string | undefined): Promise<KeyMetadata | undefined> {
  const answer = await orAbsent(aws.send(at, new DescribeKeyCommand({ KeyId: key })), 'NotFoundException');
  return answer?.KeyMetadata;
}

async function seen(aws: Aws, at: Place, key: KeyMetadata, spec: KmsKey): Promise<Seen<KmsKey>> {
  const asked = spec.rotation !== undefined || spec.rotationPeriodInDays !== undefined;
  const status = asked
    ? await aws.send(at, new GetKeyRotationStatusCommand({ KeyId: key.KeyId }))
    : undefined;
  return {
    spec: defined({
      alias: spec.alias,
      arn: spec.arn,
      description: spec.description === undefined ? undefined : (key.Description ?? ''),
      rotation: spec.rotation === undefined ? undefined : status?.KeyRotationEnabled,
      rotationPeriodInDays:
        spec.rotationPeriodInDays === undefined ? undefined : status?.RotationPeriodInDays,
    }),
    attrs: attrs(key),
  };
}

const attrs = (key: KeyMetadata): Record<string, string> => ({
  arn: key.Arn ?? '',
  id: key.KeyId ?? '',
  state: key.KeyState ?? '',
  usage: key.KeyUsage ?? '',
  keySpec: key.KeySpec ?? '',
  multiRegion: String(key.MultiRegion ?? false),
  manager: key.KeyManager ?? '',
});

/** How rotation becomes as declared, if it is not; setting a period anew is what changes it. */
function rotationCall(
  { rotation, rotationPeriodInDays }: KmsKey,
  was: KmsKey | undefined,
): 'EnableKeyRotation' | 'DisableKeyRotation' | undefined {
  if (rotation === false) return was?.rotation ? 'DisableKeyRotation' : undefined;
  const other = rotationPeriodInDays !== undefined && rotationPeriodInDays !== was?.rotationPeriodInDays;
  return (rotation && !was?.rotation) || other ? 'EnableKeyRotation' : undefined;
}

async function rotate(
  aws: Aws,
  at: Place,
  KeyId: string | undefined,
  spec: KmsKey,
  was: KmsKey | undefined,
): Promise<void> {
  const call = rotationCall(spec, was);
  if (call === 'DisableKeyRotation') await aws.send(at, new DisableKeyRotationCommand({ KeyId }));
  if (call === 'EnableKeyRotation') {
    const RotationPeriodInDays = spec.rotationPeriodInDays;
    await aws.send(at, new EnableKeyRotationCommand(defined({ KeyId, RotationPeriodInDays })));
  }
}

/** Make a key, once: where the answer is lost, the key is looked for by its tag before another is made. */
async function create(
  aws: Aws,
  at: Place,
  { alias = '', description }: KmsKey,
  pairs: readonly string[],
): Promise<string | undefined> {
  const tags = [...ownTags(pairs), { Key: ALIAS_TAG, Value: alias }];
  const command = () =>
    new CreateKeyCommand({
      Description: description ?? `${alias}: S3 replication, created by replikey`,
      // The defaults of KMS; said all the same, since not every endpoint fills them in.
      KeyUsage: 'ENCRYPT_DECRYPT',
      KeySpec: 'SYMMETRIC_DEFAULT',
      Tags: tags.map(({ Key, Value }) => ({ TagKey: Key, TagValue: Value })),
    });
  for (let attempt = 1; ; attempt++) {
    try {
      return (await aws.send(at, command())).KeyMetadata?.Arn;
    } catch (error) {
      const made = await keyMadeFor(aws, at, alias);
      if (made) return made.Arn;
      if (attempt === ATTEMPTS || !isLost(error)) throw error;
    }
  }
}

const ATTEMPTS = 4;

/** Whether the call may have been carried out though it failed: a fault of the network or of the server. */
function isLost(error: unknown): boolean {
  const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
  return status === undefined || status >= 500;
}

/** A usable key that carries our tag for this alias, made by a run that did not come to name it. */
export async function keyMadeFor(aws: Aws, at: Place, alias: string): Promise<KeyMetadata | undefined> {
  const named = new Set<string | undefined>();
  const aliases = pages(
    (Marker) => aws.send(at, new ListAliasesCommand(defined({ Limit: 100, Marker }))),
    following,
  );
  for await (const page of aliases) for (const one of page.Aliases ?? []) named.add(one.TargetKeyId);
  const keys = pages(
    (Marker) => aws.send(at, new ListKeysCommand(defined({ Limit: 1000, Marker }))),
    following,
  );
  for await (const page of keys) {
    for (const { KeyId } of page.Keys ?? []) {
      if (named.has(KeyId)) continue;
      const tags = await orAbsent(
        aws.send(at, new ListResourceTagsCommand({ KeyId })),
        'NotFoundException',
        // A key whose policy keeps us out is not one that we made.
        'AccessDeniedException',
      );
      if (!tags?.Tags?.some(({ TagKey, TagValue }) => TagKey === ALIAS_TAG && TagValue === alias)) continue;
      const key = await describe(aws, at, KeyId);
      if (key && (key.KeyState === 'Enabled' || key.KeyState === 'Creating')) return key;
    }
  }
  return undefined;
}

const following = ({
  Truncated,
  NextMarker,
}: Pick<ListKeysCommandOutput, 'Truncated' | 'NextMarker'>): Following => ({
  more: Truncated,
  marker: NextMarker,
});
