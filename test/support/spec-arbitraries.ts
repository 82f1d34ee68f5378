import { CreateAliasCommand, CreateKeyCommand } from '@aws-sdk/client-kms';
import fc from 'fast-check';
import type { AwsClient } from '../../src/aws/client.ts';
import type { Specs } from '../../src/spec/types.ts';

const maybe = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined });
const storageClass = maybe(fc.constantFrom('STANDARD_IA', 'GLACIER_IR'));
const owner = maybe(fc.constantFrom('source', 'destination'));

/** The alias of a key that buckets of random specs replace. The key must exist. */
const REPLACED_ALIAS = 'alias/replaced';

/** Generates valid specs as JSON, which is YAML. Their buckets are from a small pool, so that specs share them. */
export const specArbitrary: fc.Arbitrary<string> = fc
  .record({
    accounts: fc.boolean(),
    buckets: fc.tuple(...['first', 'second', 'third', 'fourth'].map(bucket)),
    pairs: fc.uniqueArray(
      fc.record({
        from: fc.nat(3),
        to: fc.nat(3),
        rules: rulesArbitrary(),
        storageClass,
        owner,
        both: fc.boolean(),
      }),
      { minLength: 1, maxLength: 3, selector: ({ from, to }) => `${from} ${to}` },
    ),
    // From a bucket with Object Lock, S3 replicates only to buckets with Object Lock, so all buckets have the same.
    objectLock: maybe(fc.constantFrom({}, { mode: 'Governance', days: 1 }, { mode: 'Governance', years: 2 })),
    policy: fc.constantFrom({}, { foreignRules: 'Refuse' }, { foreignRules: 'Replace' }),
  })
  .filter(({ pairs }) => pairs.every(({ from, to }) => from !== to))
  .map(({ accounts, buckets, pairs, objectLock, policy }) => {
    const lock = defined({ objectLock });
    const documents = pairs.map(
      ({ from, to, rules, storageClass: storage, owner: objectOwner, both }, index) => {
        const [source, destination] = [buckets[from], buckets[to]] as [Bucket, Bucket];
        const differ = accounts && source.account !== destination.account;
        return {
          apiVersion: 'replikey.dev/v1',
          kind: 'BucketReplication',
          metadata: { name: `spec-${index}` },
          spec: {
            // A two-way spec and a spec in the other direction would declare one configuration twice, which is a spec problem.
            ...(both && pairs.length === 1 ? { direction: 'both' } : {}),
            source: { ...side(source, accounts), ...lock },
            destination: {
              ...side(destination, accounts),
              ...lock,
              ...(storage === undefined ? {} : { storageClass: storage }),
              ...(differ && objectOwner !== undefined ? { objectOwner } : {}),
            },
            ...(source.sourceKeys.length > 0 ? { sourceKeys: source.sourceKeys } : {}),
            ...(Object.keys(source.role).length > 0 ? { role: source.role } : {}),
            rules,
            policy,
          },
        };
      },
    );
    const accountDocuments = accounts ? [ACCOUNTS.main, ACCOUNTS.backup] : [];
    return [...accountDocuments, ...documents].map((document) => JSON.stringify(document)).join('\n---\n');
  });

/** A queue or topic that specs name, in the account of a bucket. */
export interface Target {
  account: string | undefined;
  region: string;
  name: string;
}

interface Document {
  kind: string;
  spec: {
    direction?: string;
    source: { bucket: string; region: string; account?: 'main' | 'backup'; key: { replaces?: string[] } };
    destination: { region: string; key: { replaces?: string[] } };
    rules: { metrics: boolean; enabled: boolean }[];
  };
}

/** A backfill that all specs of a sample declare: those of one bucket share its job. */
const backfillArbitrary = fc.record(
  {
    before: fc.constantFrom('2026-01-01T00:00:00Z', '2026-01-01T02:00:00+02:00'),
    after: fc.constant('2024-02-29T23:59:59-01:00'),
    objects: fc.subarray(['existing', 'failed', 'replicas'], { minLength: 1 }),
    start: fc.constantFrom('Confirmed', 'Automatic'),
    maxObjects: fc.integer({ min: 1, max: 20_000_000_000 }),
    priority: fc.nat({ max: 2_147_483_647 }),
  },
  { requiredKeys: ['before'] },
);

/**
 * Adds a backfill to specs with an enabled rule, a re-encryption to specs with a replaced key, and alarms and failure events
 * to specs of which every rule has metrics. Returns the queues and topics that must exist.
 */
export const completeSpecArbitrary: fc.Arbitrary<{ yaml: string; queues: Target[]; topics: Target[] }> = fc
  .record({
    yaml: specArbitrary,
    alarms: fc.boolean(),
    backfill: fc.option(backfillArbitrary, { nil: undefined }),
    reencrypt: fc.boolean(),
    events: fc.constantFrom('queue', 'topic'),
  })
  .map(({ yaml, alarms, backfill, reencrypt, events }) => {
    const queues: Target[] = [];
    const topics: Target[] = [];
    const arnOf = (targets: Target[], service: string, target: Target): string => {
      const id = target.account === 'backup' ? '444455556666' : '111122223333';
      targets.push(target);
      return `arn:aws:${service}:${target.region}:${id}:${target.name}`;
    };
    const documents = yaml.split('\n---\n').map((text) => JSON.parse(text) as Document);
    for (const { kind, spec } of documents) {
      if (kind !== 'BucketReplication') continue;
      if (backfill && spec.rules.some(({ enabled }) => enabled)) Object.assign(spec, { backfill });
      if (reencrypt && [spec.source, spec.destination].some(({ key }) => key.replaces))
        Object.assign(spec, { reencrypt: {} });
      if (spec.direction === 'both') continue;
      if (!spec.rules.every(({ metrics }) => metrics)) continue;
      const { bucket: name, region, account } = spec.source;
      const regions = [...new Set([region, spec.destination.region])];
      if (alarms)
        Object.assign(spec, {
          alarms: {
            failed: true,
            lateAfterMinutes: 30,
            notify: regions.map((at) => arnOf(topics, 'sns', { account, region: at, name: 'alarms' })),
          },
        });
      // All specs of a bucket name the same target.
      const target = { account, region, name: `${name}-failures` };
      const to = events === 'queue' ? arnOf(queues, 'sqs', target) : arnOf(topics, 'sns', target);
      Object.assign(spec, { failures: { to } });
    }
    return { yaml: documents.map((document) => JSON.stringify(document)).join('\n---\n'), queues, topics };
  });

/** Creates the keys that specs replace. */
export async function createReplacedKeys(client: AwsClient, { pairs }: Specs): Promise<void> {
  const created = new Set<string>();
  for (const { source, destination } of pairs)
    for (const { account: name, region, replacedKeys } of [source, destination]) {
      const location = { region, ...(name !== undefined && { account: name }) };
      if (replacedKeys.length === 0 || created.has(JSON.stringify(location))) continue;
      created.add(JSON.stringify(location));
      const { KeyMetadata } = await client.send(location, new CreateKeyCommand({}));
      await client.send(
        location,
        new CreateAliasCommand({ AliasName: REPLACED_ALIAS, TargetKeyId: KeyMetadata?.KeyId }),
      );
    }
}

const account = (name: string, id: string) => ({
  apiVersion: 'replikey.dev/v1',
  kind: 'Account',
  metadata: { name },
  spec: { id },
});
const ACCOUNTS = { main: account('main', '111122223333'), backup: account('backup', '444455556666') };

interface Bucket {
  bucket: string;
  region: string;
  account: string;
  key: object;
  settings: object;
  sourceKeys: string[];
  role: object;
}

const defined = (value: object): object =>
  Object.fromEntries(Object.entries(value).filter(([, fieldValue]) => fieldValue !== undefined));

function bucket(name: string): fc.Arbitrary<Bucket> {
  return fc
    .record({
      region: fc.constantFrom('us-east-1', 'eu-west-1'),
      account: fc.constantFrom('main', 'backup'),
      shared: fc.boolean(),
      description: maybe(fc.constantFrom('Tax key', '')),
      rotation: maybe(fc.boolean()),
      period: maybe(fc.integer({ min: 90, max: 2_560 })),
      defaultEncryption: fc.constantFrom('SSE-KMS', 'DSSE-KMS', 'SSE-S3'),
      bucketKey: maybe(fc.boolean()),
      blockPublicAccess: maybe(fc.boolean()),
      objectOwnership: maybe(fc.constantFrom('BucketOwnerEnforced', 'BucketOwnerPreferred')),
      replaces: fc.subarray([REPLACED_ALIAS]),
      sourceKeys: fc.subarray(['alias/old', 'alias/older']),
      path: maybe(fc.constant('/service-role/')),
      tags: maybe(fc.dictionary(fc.constantFrom('team', 'stage'), fc.constantFrom('a', 'b'), { maxKeys: 2 })),
    })
    .map((options) => {
      // A shared key is declared by its alias only, so that its declarations agree.
      const settings = options.shared
        ? {}
        : {
            description: options.description,
            rotation: options.rotation,
            rotationPeriodInDays: options.rotation ? options.period : undefined,
          };
      const canHaveBucketKey = options.defaultEncryption === 'SSE-KMS' || options.bucketKey === false;
      return {
        bucket: `acme-${name}`,
        region: options.region,
        account: options.account,
        key: defined({
          alias: options.shared ? 'alias/acme-shared' : `alias/acme-${name}`,
          bucketKey: canHaveBucketKey ? options.bucketKey : undefined,
          replaces: options.replaces.length > 0 ? options.replaces : undefined,
          ...settings,
        }),
        settings: defined({
          defaultEncryption: options.defaultEncryption,
          blockPublicAccess: options.blockPublicAccess,
          objectOwnership: options.objectOwnership,
        }),
        sourceKeys: options.sourceKeys,
        role: defined({ path: options.path, tags: options.tags }),
      };
    });
}

const side = ({ bucket: name, region, account: owner, key, settings }: Bucket, accounts: boolean) => ({
  bucket: name,
  region,
  ...(accounts ? { account: owner } : {}),
  key,
  ...settings,
});

function rulesArbitrary(): fc.Arbitrary<object[]> {
  const prefix = fc.constantFrom('', 'Tax/', 'Tax/2026/', 'a*b/', '日本/', 'Straße');
  const rule = fc
    .record({
      prefix,
      tags: fc.dictionary(fc.constantFrom('tier', 'stage'), fc.constantFrom('gold', ''), { maxKeys: 2 }),
      excludedPrefixes: fc.subarray(['Tmp/', 'Logs/2026/', 'a*b']),
      excludedTags: fc.dictionary(fc.constantFrom('replicate', 'owner'), fc.constantFrom('no', ''), {
        maxKeys: 2,
      }),
      enabled: fc.boolean(),
      deletes: fc.boolean(),
      timed: fc.boolean(),
      metrics: fc.boolean(),
      encrypted: fc.boolean(),
      sync: fc.boolean(),
    })
    .map((options) => {
      const hasTags = Object.keys(options.tags).length > 0;
      const exclude = defined({
        prefixes:
          options.excludedPrefixes.length > 0
            ? options.excludedPrefixes.map((excluded) => options.prefix + excluded)
            : undefined,
        tags: Object.keys(options.excludedTags).length > 0 ? options.excludedTags : undefined,
      });
      const hasExclusion = Object.keys(exclude).length > 0;
      return {
        ...(hasTags || hasExclusion
          ? {
              filter: {
                prefix: options.prefix,
                ...(hasTags ? { tags: options.tags } : {}),
                ...(hasExclusion ? { exclude } : {}),
              },
            }
          : { prefix: options.prefix }),
        literal: true,
        enabled: options.enabled,
        deleteMarkerReplication:
          options.deletes && !hasTags && Object.keys(options.excludedTags).length === 0,
        replicationTimeControl: options.timed,
        metrics: options.metrics || options.timed,
        sseKmsEncryptedObjects: options.encrypted,
        replicaModifications: options.sync,
      };
    });
  return fc.array(rule, { minLength: 1, maxLength: 3 });
}
