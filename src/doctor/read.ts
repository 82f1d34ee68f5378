import {
  GetPolicyCommand,
  GetPolicyVersionCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  ListAttachedRolePoliciesCommand,
  ListRolePoliciesCommand,
} from '@aws-sdk/client-iam';
import { DescribeKeyCommand, GetKeyPolicyCommand } from '@aws-sdk/client-kms';
import {
  GetBucketEncryptionCommand,
  GetBucketOwnershipControlsCommand,
  GetBucketPolicyCommand,
  GetBucketReplicationCommand,
  GetBucketVersioningCommand,
  GetObjectLockConfigurationCommand,
  GetPublicAccessBlockCommand,
} from '@aws-sdk/client-s3';
import { describeError } from '../aws/describe-error.ts';
import { defined } from '../core/canonical.ts';
import {
  type BucketFacts,
  type Fact,
  type KeyFacts,
  known,
  type Observed,
  overlaid,
  type RoleFacts,
} from '../core/observed.ts';
import type { Aws, Place } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import type { Policy } from '../iam/types.ts';
import { regionOf } from '../import/look.ts';
import { policyOf } from '../kinds/policy-text.ts';
import { byDefault, isKms, keysOf } from '../proof/cases.ts';
import { accountOf, bucketOf, destinationOf, replicaKeyArn, worldOf } from '../proof/world.ts';

/** Where things are that nobody could tell from their names alone. */
export interface Atlas {
  /** A place for each bucket that specs speak of, by name. */
  buckets: ReadonlyMap<string, Place>;
  /** Names of Account documents by their number. */
  accounts: ReadonlyMap<string, string>;
  /** Buckets of accounts for which there are no credentials. */
  unmanaged: ReadonlySet<string>;
  /** Where to ask first. */
  region: string;
}

/** What is to be read, and what of it was. */
interface Reader {
  observed: Observed;
  bucket(name: string, as: 'source' | 'destination'): Promise<void>;
  role(arn: string): Promise<void>;
  key(arn: string): Promise<void>;
}

function createReader(aws: Aws, atlas: Atlas): Reader {
  const observed: Observed = { buckets: {}, roles: {}, keys: {} };
  const reading = new Map<string, Promise<void>>();
  const once = (id: string, read: () => Promise<void>): Promise<void> => {
    const made = reading.get(id) ?? read();
    reading.set(id, made);
    return made;
  };
  return {
    observed,
    bucket: (name, as) =>
      once(`${as} ${name}`, async () => {
        const found = await readBucket(aws, name, as, atlas);
        observed.buckets = overlaid(
          { ...NOTHING, buckets: observed.buckets },
          { ...NOTHING, buckets: { [name]: found } },
        ).buckets;
      }),
    role: (arn) =>
      once(arn, async () => {
        observed.roles[arn] = await readRole(aws, arn, atlas);
      }),
    key: (arn) =>
      once(arn, async () => {
        observed.keys[arn] = await readKey(aws, arn, atlas);
      }),
  };
}

const NOTHING: Observed = { buckets: {}, roles: {}, keys: {} };

/**
 * Read everything that the proof of some source buckets looks at, as their configurations lead there. What cannot be
 * read is noted as such, with the reason, and stops nothing.
 */
export async function readReplications(aws: Aws, names: readonly string[], atlas: Atlas): Promise<Observed> {
  const reader = createReader(aws, atlas);
  const { observed } = reader;
  await Promise.all(
    names.map(async (name) => {
      await reader.bucket(name, 'source');
      const configuration = known(known(observed.buckets[name])?.replication);
      if (!configuration) return;
      const { Role, Rules } = configuration;
      await Promise.all([
        reader.role(Role),
        ...Rules.map((rule) => reader.bucket(destinationOf(rule), 'destination')),
      ]);
      const source = bucketOf(observed, name, accountOf(Role));
      if (!source) return;
      const worlds = Rules.map((rule) => worldOf(observed, source, configuration, rule));
      const keys = [
        ...worlds.map(byDefault).flatMap(({ algorithm, keyArn }) => (isKms(algorithm) ? [keyArn] : [])),
        ...worlds.flatMap(keysOf),
        ...worlds.flatMap((world) => replicaKeyArn(world) ?? []),
      ];
      await Promise.all(keys.map(reader.key));
    }),
  );
  return observed;
}

/** Read just these things, for a proof of what specs foresee. */
export async function readThings(
  aws: Aws,
  things: Record<'sources' | 'destinations' | 'roles' | 'keys', Iterable<string>>,
  atlas: Atlas,
): Promise<Observed> {
  const reader = createReader(aws, atlas);
  await Promise.all([
    ...[...things.sources].map((name) => reader.bucket(name, 'source')),
    ...[...things.destinations].map((name) => reader.bucket(name, 'destination')),
    ...[...things.roles].map(reader.role),
    ...[...things.keys].map(reader.key),
  ]);
  return reader.observed;
}

/** Read keys that turned out to matter later: those that objects were seen under. */
export async function readKeys(
  aws: Aws,
  observed: Observed,
  arns: Iterable<string>,
  atlas: Atlas,
): Promise<Observed> {
  const more = await Promise.all(
    [...new Set(arns)]
      .filter((arn) => observed.keys[arn] === undefined)
      .map(async (arn) => [arn, await readKey(aws, arn, atlas)] as const),
  );
  return { ...observed, keys: { ...observed.keys, ...Object.fromEntries(more) } };
}

async function readBucket(
  aws: Aws,
  name: string,
  as: 'source' | 'destination',
  atlas: Atlas,
): Promise<Fact<BucketFacts>> {
  if (atlas.unmanaged.has(name)) return { unread: 'there are no credentials for its account' };
  const declared = atlas.buckets.get(name);
  const region =
    declared?.region ?? (await fact(regionOf(aws, name, atlas.region), 's3:HeadBucket', atlas, 'NotFound'));
  if (region === null) return null;
  if (typeof region !== 'string') return region;
  const at: Place = { ...declared, region };
  const owner = await aws.accountId(at.account);
  const input = { Bucket: name, ExpectedBucketOwner: owner };
  const ask = <T>(operation: string, answer: Promise<T>, ...absent: string[]) =>
    fact(answer, `s3:${operation}`, at, 'NoSuchBucket', ...absent);
  const versioning = await ask('GetBucketVersioning', aws.send(at, new GetBucketVersioningCommand(input)));
  if (versioning === null) return null;
  // Whose it is nobody tells; only that it is not ours.
  if ('unread' in versioning) return versioning;
  const [encryption, policy, objectLock, more] = await Promise.all([
    ask(
      'GetBucketEncryption',
      aws
        .send(at, new GetBucketEncryptionCommand(input))
        .then((found) => ({ Rules: found.ServerSideEncryptionConfiguration?.Rules ?? [] })),
      'ServerSideEncryptionConfigurationNotFoundError',
    ),
    ask(
      'GetBucketPolicy',
      aws.send(at, new GetBucketPolicyCommand(input)).then(({ Policy = '{}' }) => policyOf(Policy)),
      'NoSuchBucketPolicy',
    ),
    ask(
      'GetObjectLockConfiguration',
      aws
        .send(at, new GetObjectLockConfigurationCommand(input))
        .then((found) => defined({ ObjectLockEnabled: found.ObjectLockConfiguration?.ObjectLockEnabled })),
      'ObjectLockConfigurationNotFoundError',
    ),
    as === 'source' ? sourceFacts() : destinationFacts(),
  ]);
  return {
    region,
    account: owner,
    versioning: defined({ Status: versioning.Status }),
    encryption,
    policy,
    objectLock,
    ...more,
  };

  async function sourceFacts() {
    const [replication, ownership] = await Promise.all([
      ask(
        'GetBucketReplication',
        aws.send(at, new GetBucketReplicationCommand(input)).then(({ ReplicationConfiguration: found }) => ({
          Role: found?.Role ?? '',
          Rules: found?.Rules ?? [],
        })),
        'ReplicationConfigurationNotFoundError',
      ),
      ask(
        'GetBucketOwnershipControls',
        aws.send(at, new GetBucketOwnershipControlsCommand(input)).then((found) => ({
          Rules: (found.OwnershipControls?.Rules ?? []) as { ObjectOwnership: string }[],
        })),
        'OwnershipControlsNotFoundError',
      ),
    ]);
    return { replication, ownership };
  }

  async function destinationFacts() {
    const publicAccessBlock = await ask(
      'GetPublicAccessBlock',
      aws
        .send(at, new GetPublicAccessBlockCommand(input))
        .then((found) =>
          defined({ RestrictPublicBuckets: found.PublicAccessBlockConfiguration?.RestrictPublicBuckets }),
        ),
      'NoSuchPublicAccessBlockConfiguration',
    );
    return { publicAccessBlock };
  }
}

async function readRole(aws: Aws, arn: string, atlas: Atlas): Promise<Fact<RoleFacts>> {
  const at = placeOf(arn, atlas, atlas.region);
  const RoleName = arn.slice(arn.lastIndexOf('/') + 1);
  const ask = <T>(operation: string, answer: Promise<T>) =>
    fact(answer, `iam:${operation}`, at, 'NoSuchEntityException');
  const answer = await ask('GetRole', aws.send(at, new GetRoleCommand({ RoleName })));
  if (answer === null || 'unread' in answer) return answer;
  // A role of that name may be of another account, or of another path.
  if (answer.Role?.Arn !== arn) return null;
  const boundaryArn = answer.Role.PermissionsBoundary?.PermissionsBoundaryArn;
  const [policies, boundary] = await Promise.all([
    ask('ListRolePolicies', policiesOf(aws, at, RoleName)),
    boundaryArn === undefined ? null : ask('GetPolicy', managedPolicy(aws, at, boundaryArn)),
  ]);
  return { trust: policyOf(answer.Role.AssumeRolePolicyDocument ?? '{"Statement":[]}'), policies, boundary };
}

async function policiesOf(aws: Aws, at: Place, RoleName: string): Promise<Record<string, Policy>> {
  const names: string[] = [];
  for (let Marker: string | undefined; ; ) {
    const page = await aws.send(at, new ListRolePoliciesCommand(defined({ RoleName, Marker })));
    names.push(...(page.PolicyNames ?? []));
    if (!page.IsTruncated) break;
    Marker = page.Marker;
  }
  const attached: string[] = [];
  for (let Marker: string | undefined; ; ) {
    const page = await aws.send(at, new ListAttachedRolePoliciesCommand(defined({ RoleName, Marker })));
    attached.push(...(page.AttachedPolicies ?? []).flatMap(({ PolicyArn }) => PolicyArn ?? []));
    if (!page.IsTruncated) break;
    Marker = page.Marker;
  }
  const documents = await Promise.all([
    ...names.map(async (PolicyName): Promise<[string, Policy]> => {
      const { PolicyDocument = '{"Statement":[]}' } = await aws.send(
        at,
        new GetRolePolicyCommand({ RoleName, PolicyName }),
      );
      return [PolicyName, policyOf(PolicyDocument)];
    }),
    ...attached.map(async (arn): Promise<[string, Policy]> => [arn, await managedPolicy(aws, at, arn)]),
  ]);
  return Object.fromEntries(documents);
}

async function managedPolicy(aws: Aws, at: Place, PolicyArn: string): Promise<Policy> {
  const { Policy } = await aws.send(at, new GetPolicyCommand({ PolicyArn }));
  const VersionId = Policy?.DefaultVersionId ?? 'v1';
  const { PolicyVersion } = await aws.send(at, new GetPolicyVersionCommand({ PolicyArn, VersionId }));
  return policyOf(PolicyVersion?.Document ?? '{"Statement":[]}');
}

async function readKey(aws: Aws, name: string, atlas: Atlas): Promise<Fact<KeyFacts>> {
  const at = placeOf(name, atlas, name.split(':')[3] ?? atlas.region);
  const answer = await fact(
    aws.send(at, new DescribeKeyCommand({ KeyId: name })),
    'kms:DescribeKey',
    at,
    'NotFoundException',
  );
  if (answer === null || 'unread' in answer) return answer;
  const { Arn: arn = name, KeyState, KeyUsage, KeySpec, KeyManager } = answer.KeyMetadata ?? {};
  const policy = await fact(
    aws
      .send(at, new GetKeyPolicyCommand({ KeyId: arn, PolicyName: 'default' }))
      .then(({ Policy = '{"Statement":[]}' }) => policyOf(Policy)),
    'kms:GetKeyPolicy',
    at,
  );
  return defined({
    arn,
    state: KeyState,
    usage: KeyUsage,
    keySpec: KeySpec,
    manager: KeyManager,
    policy,
  });
}

/** The credentials for what an ARN names: those of its account, where a document names it. */
function placeOf(arn: string, { accounts }: Atlas, region: string): Place {
  const account = accounts.get(accountOf(arn));
  return account === undefined ? { region } : { account, region };
}

/** What was read; null where the answer says that there is none; the reason where it cannot be read. */
async function fact<T>(
  answer: Promise<T>,
  operation: string,
  at: { region: string },
  ...absent: string[]
): Promise<Fact<T>> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (error instanceof Error && absent.includes(error.name)) return null;
    return { unread: describeError(error, operation, at) };
  }
}
