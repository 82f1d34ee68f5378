import { stableJson } from '../canonical.ts';
import { isUnread, known, layOver, nothingObserved, type Observed } from '../core/observed.ts';
import type { Aws, Place } from '../core/resource.ts';
import { accountOf } from '../iam/context.ts';
import { byDefault, isKms, keysOf } from '../proof/cases.ts';
import { bucketOf, destinationOf, replicaKeyArn, worldOf } from '../proof/world.ts';
import type { Atlas } from './atlas.ts';
import { type Aspect, readBucket } from './read-bucket.ts';
import { readKey } from './read-key.ts';
import { readRole, readRoleNamed } from './read-role.ts';

/** IAM actions that the doctor and the proof of a plan use, beside those of the kinds. */
export const ACTIONS: readonly string[] = [
  'iam:GetPolicy',
  'iam:GetPolicyVersion',
  'iam:GetRole',
  'iam:GetRolePolicy',
  'iam:ListAttachedRolePolicies',
  'iam:ListRolePolicies',
  'kms:DescribeKey',
  'kms:GetKeyPolicy',
  's3:GetBucketObjectLockConfiguration',
  's3:GetBucketOwnershipControls',
  's3:GetBucketPolicy',
  's3:GetBucketPublicAccessBlock',
  's3:GetBucketVersioning',
  's3:GetEncryptionConfiguration',
  's3:GetReplicationConfiguration',
  's3:ListBucket',
];

/** What is to be read, and what of it was. */
interface Reader {
  observed: Observed;
  bucket(name: string, aspect: Aspect): Promise<void>;
  role(arn: string): Promise<void>;
  key(arn: string): Promise<void>;
}

function createReader(aws: Aws, atlas: Atlas): Reader {
  const observed = nothingObserved();
  const reading = new Map<string, Promise<void>>();
  const once = (id: string, read: () => Promise<void>): Promise<void> => {
    const made = reading.get(id) ?? read();
    reading.set(id, made);
    return made;
  };
  return {
    observed,
    bucket: (name, aspect) =>
      once(`${aspect} ${name}`, async () => {
        layOver(observed, { buckets: { [name]: await readBucket(aws, name, aspect, atlas) } });
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

/** Things by which a proof of what specs foresee begins. */
export interface Things {
  buckets: Iterable<string>;
  roles: Iterable<{ arn: string } | { name: string; at: Place }>;
  /** ARNs. */
  keys: Iterable<string>;
}

/**
 * Read just these things, for a proof of what specs foresee: what a plan knows anyway is left out, and so is what could
 * only be a warning.
 */
export async function readThings(
  aws: Aws,
  { buckets, roles, keys }: Things,
  atlas: Atlas,
): Promise<Observed> {
  const reader = createReader(aws, atlas);
  const byName = new Map([...roles].map((role) => [stableJson(role), role]));
  await Promise.all([
    ...[...buckets].map((name) => reader.bucket(name, 'either')),
    ...[...keys].map(reader.key),
    ...[...byName.values()].map(async (role) => {
      if ('arn' in role) return reader.role(role.arn);
      const found = await readRoleNamed(aws, role.name, role.at);
      // One that is not there, or cannot be read, has no ARN to be called by: the plan says so.
      if (found !== null && !isUnread(found)) reader.observed.roles[found.arn] = found.facts;
    }),
  ]);
  return reader.observed;
}

/** Whether buckets have Object Lock, by name. */
export async function readObjectLocks(
  aws: Aws,
  buckets: Iterable<string>,
  atlas: Atlas,
): Promise<Observed['buckets']> {
  const reader = createReader(aws, atlas);
  await Promise.all([...buckets].map((name) => reader.bucket(name, 'locks')));
  return reader.observed.buckets;
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
