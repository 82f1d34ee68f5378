import {
  DeleteBucketReplicationCommand,
  GetBucketReplicationCommand,
  PutBucketReplicationCommand,
  type ReplicationRule,
} from '@aws-sdk/client-s3';
import { defined, sortedSet } from '../canonical.ts';
import { unwanted } from '../core/leftover.ts';
import { bucketId, isOurRule, keyId, place, position, roleId, ruleId, specOfRule } from '../core/names.ts';
import { bucketArn, isAcrossAccounts, keyArn, overridesOwner, roleArn } from '../core/permissions.ts';
import { isRef, ref } from '../core/ref.ts';
import type { Id, Kind, Ref, Risk, Seen } from '../core/resource.ts';
import { sidName } from '../core/statements.ts';
import type { BucketReplication, Side } from '../spec/types.ts';
import { orAbsent } from './absent.ts';
import { bucketSettles } from './bucket-settles.ts';
import { fromAws, isV1, type RuleSpec, toAws } from './replication-rule.ts';
import { bucketTrail } from './trail.ts';

/** The one replication configuration of a source bucket: one role, and the rules of all specs that share the bucket. */
export interface S3Replication {
  bucket: string;
  /** Empty where no spec wants one: as it is. */
  role: string | Ref;
  rules: Record<string, RuleSpec>;
  /** What becomes of rules that are not ours. */
  foreignRules: 'Preserve' | 'Replace' | 'Refuse';
  /** Ids of rules that are not ours and of the old form (V1), which cannot stand beside ours; none is wanted. */
  v1Rules: string[];
}

export const s3Replication: Kind<S3Replication> = {
  name: 's3.replication',
  actions: {
    read: ['s3:GetReplicationConfiguration'],
    write: ['s3:PutReplicationConfiguration', 'iam:PassRole'],
  },

  want({ pair, pairs }) {
    const sharing = pairs.filter((other) => other.source.bucket === pair.source.bucket);
    return [
      {
        id: bucketId('s3.replication', pair.source.bucket),
        kind: 's3.replication',
        at: place(pair.source),
        spec: {
          bucket: pair.source.bucket,
          role: roleArn(pair),
          rules: Object.fromEntries(sharing.flatMap(rulesOf)),
          foreignRules: strictest(sharing),
          v1Rules: [],
        },
        beside: ref(bucketId('s3.bucket', pair.source.bucket)),
        after: switchedOnAfter(sharing),
        pairs: [pair.name],
        from: position(pair, 'spec.rules'),
      },
    ];
  },

  left: (of) =>
    of.sources.map(({ bucket, at }) =>
      unwanted(of, {
        id: bucketId('s3.replication', bucket),
        kind: 's3.replication',
        at,
        spec: { bucket, role: '', rules: {}, foreignRules: 'Preserve' as const, v1Rules: [] },
        after: [],
      }),
    ),

  canonical: ({ bucket, role, rules, foreignRules, v1Rules }) => ({
    bucket,
    role,
    rules: Object.fromEntries(Object.entries(rules).map(([id, rule]) => [id, defined(rule) as RuleSpec])),
    foreignRules,
    v1Rules: sortedSet(v1Rules),
  }),

  /**
   * Priorities must be unique in the whole document. Rules keep the one that they have; a new one is given the next
   * above all others, so that adding a rule never renumbers another.
   *
   * A rule that its spec does not declare any more is switched off: left on, it would go on without the permissions
   * that the spec declares no more either, and every object would fail.
   */
  complete(desired, seen) {
    const foreign = foreignOf(seen);
    const wanted = { ...desired.rules, ...switchedOff(desired, seen) };
    const taken = new Set<number>([
      ...foreign.map((rule) => rule.Priority ?? 0),
      ...Object.values(wanted).flatMap((rule) => rule.priority ?? []),
    ]);
    const rules: Record<string, RuleSpec> = {};
    for (const [id, rule] of Object.entries(wanted)) {
      const kept = seen?.spec.rules[id]?.priority;
      const priority = rule.priority ?? (kept !== undefined && !taken.has(kept) ? kept : undefined);
      if (priority !== undefined) {
        taken.add(priority);
        rules[id] = { ...rule, priority };
      }
    }
    for (const [id, rule] of Object.entries(wanted)) {
      rules[id] ??= { ...rule, priority: freePriority(taken) };
    }
    if (desired.role !== '' || !seen) return { ...desired, rules };
    return { ...desired, rules, role: seen.spec.role, v1Rules: seen.spec.v1Rules };
  },

  blocks(desired, seen) {
    const count = Object.keys(desired.rules).length + foreignOf(seen).length;
    if (count > 1000) return `${desired.bucket} would have ${count} rules, and S3 allows 1,000 a bucket`;
    const held = new Map(foreignOf(seen).map(({ Priority, ID }) => [Priority, ID]));
    for (const [id, { priority }] of Object.entries(desired.rules)) {
      if (held.has(priority))
        return `the rule ${id} asks for priority ${priority}, which the rule "${held.get(priority)}" of ${desired.bucket} has, and which is not ours: declare another, or none`;
    }
    return undefined;
  },

  async read(aws, { at, spec, pairs, prune = [] }) {
    const owner = await aws.accountId(at.account);
    const answer = await orAbsent(
      aws.send(at, new GetBucketReplicationCommand({ Bucket: spec.bucket, ExpectedBucketOwner: owner })),
      'ReplicationConfigurationNotFoundError',
      'NoSuchBucket',
    );
    const configuration = answer?.ReplicationConfiguration;
    if (!configuration) return undefined;
    const all = configuration.Rules ?? [];
    // Rules of specs that this run was not given are left as they are, even where foreign ones are replaced.
    const names = new Set([...pairs.map(sidName), ...prune]);
    const mine = ({ ID = '' }: ReplicationRule) =>
      ID in spec.rules ||
      (isOurRule(ID) ? names.has(sidName(specOfRule(ID))) : spec.foreignRules === 'Replace');
    const foreign = all.filter((rule) => !mine(rule));
    return {
      spec: {
        bucket: spec.bucket,
        role: configuration.Role ?? '',
        rules: Object.fromEntries(all.filter(mine).map((rule) => [rule.ID ?? '', fromAws(rule)])),
        foreignRules: spec.foreignRules,
        v1Rules: foreign.filter(isV1).map(({ ID }) => ID ?? ''),
      },
      attrs: { prune: prune.join(' ') },
      rest: foreign,
    };
  },

  calls: (_, __, goes) => [goes ? 's3:DeleteBucketReplication' : 's3:PutBucketReplication'],

  async write(aws, { at, spec }, was) {
    const ours = Object.entries(spec.rules).map(([id, rule]) => toAws(id, rule));
    const foreign = renewed(foreignOf(was), ours);
    await aws.send(
      at,
      new PutBucketReplicationCommand({
        Bucket: spec.bucket,
        ExpectedBucketOwner: await aws.accountId(at.account),
        ReplicationConfiguration: { Role: spec.role as string, Rules: [...foreign, ...ours] },
      }),
    );
  },

  shared: true,

  isSpent: ({ rules }, { rest }) =>
    Object.keys(rules).length === 0 && ((rest as ReplicationRule[] | undefined) ?? []).length === 0,

  /** S3 refuses a configuration without rules. */
  async remove(aws, { at, spec }) {
    const owner = await aws.accountId(at.account);
    await aws.send(
      at,
      new DeleteBucketReplicationCommand({ Bucket: spec.bucket, ExpectedBucketOwner: owner }),
    );
  },

  stillNeeds(seen, { role }) {
    const others = foreignOf(seen).filter(({ ID }) => !isOurRule(ID));
    if (others.length === 0 || seen.spec.role !== role.arn) return undefined;
    return `rules of ${seen.spec.bucket} that are not ours replicate as its role: ${names(others)}`;
  },

  explain(path, desired) {
    if (path === '') return 'switched on last, since S3 never tries a failed object again';
    if (path === '/role') return 'S3 replicates as the role of the configuration';
    if (path.startsWith('/v1Rules')) {
      return 'rules of the old form (V1) cannot stand beside ours: they are given a filter and a priority, and go on replicating delete markers, as the old form does';
    }
    const [, , id, field] = path.split('/').map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
    if (id === undefined) return undefined;
    if (field === 'status' && desired.rules[id]?.status === 'Disabled') {
      return `the rule ${id} is declared to be off, or not any more: then --prune takes it away`;
    }
    if (!(id in desired.rules))
      return `the rule ${id} is not declared, and what no spec declares is to be taken away`;
    return field === undefined ? `the rule ${id} is declared` : `the rule ${id} declares another ${field}`;
  },

  risks(desired, seen) {
    const risks: Risk[] = [];
    const foreign = foreignOf(seen);
    // Rules of ours are among these only where they are pruned, which somebody asked for.
    const removed = Object.keys(seen.spec.rules).filter((id) => !(id in desired.rules) && !isOurRule(id));
    if (removed.length > 0) {
      risks.push({
        id: 'remove-rules',
        message: `stops replicating what the rules ${removed.join(', ')} replicate now`,
      });
    }
    if (foreign.length > 0 && desired.foreignRules === 'Refuse') {
      risks.push({
        id: 'foreign-rules',
        message: `${desired.bucket} has rules that are not ours (${names(foreign)}) and the spec says foreignRules: Refuse`,
      });
    }
    if (foreign.length > 0 && seen.spec.role !== desired.role) {
      risks.push({
        id: 'change-role',
        message: `the rules ${names(foreign)} are not ours and would replicate as another role too: name the role ${String(seen.spec.role)} in the spec, or make sure that the declared one may do their work`,
      });
    }
    return risks;
  },

  /** Objects that were there before a rule: S3 never looks at them, and many believe that it does. */
  caveats({ rules }, seen, bucket) {
    const isNew = isRef(bucket);
    const wider = Object.entries(rules).some(([id, rule]) => selectsMore(rule, seen?.spec.rules[id]));
    return isNew || !wider ? [] : [ONLY_NEW];
  },

  notes(_, seen) {
    const foreign = foreignOf(seen);
    const gone = foreign.filter((rule) => isOurRule(rule.ID));
    const others = foreign.filter((rule) => !isOurRule(rule.ID));
    return [
      ...(others.length > 0 ? [`has rules that are not ours, left as they are: ${names(others)}`] : []),
      ...(gone.length > 0
        ? [`has rules of ours that no spec declares here, left as they are: ${names(gone)}`]
        : []),
    ];
  },

  byHand(desired) {
    const { bucket, role, rules } = s3Replication.complete?.(desired, undefined) ?? desired;
    return {
      what: `set the replication configuration of ${bucket}, or add its rules to what is there`,
      document: { Role: role, Rules: Object.entries(rules).map(([id, rule]) => toAws(id, rule)) },
      command: `aws s3api put-bucket-replication --bucket ${bucket} --replication-configuration file://replication.json`,
    };
  },

  facts({ bucket, role, rules }, { at, seen }) {
    const ours = Object.entries(rules).map(([id, rule]) => toAws(id, rule));
    const foreign = renewed(foreignOf(seen), ours);
    return {
      buckets: {
        [bucket]: { region: at.region, replication: { Role: role as string, Rules: [...foreign, ...ours] } },
      },
    };
  },

  prunedFirst: true,

  settles: [
    ...bucketSettles,
    {
      code: 'InvalidRequest',
      message: /[Vv]ersioning/,
      waitsFor: 'S3 to see that versioning is enabled on both buckets',
    },
    {
      code: 'InvalidRequest',
      message: /Destination bucket must exist/,
      waitsFor: 'S3 to see the new destination',
    },
    { code: 'InvalidArgument', message: /[Rr]ole/, waitsFor: 'S3 to see the new role' },
  ],

  trail: bucketTrail({ '': ['DeleteBucketReplication'], '/': ['PutBucketReplication'] }),
};

const ONLY_NEW =
  'S3 replicates what is written from then on: objects that are there already need S3 Batch Replication';

/** Whether a rule replicates objects that it, as it was, did not replicate, or not to this bucket. */
function selectsMore(rule: RuleSpec, was: RuleSpec | undefined): boolean {
  if (rule.status === 'Disabled') return false;
  return (
    was?.status !== 'Enabled' ||
    rule.destination !== was.destination ||
    !rule.prefix.startsWith(was.prefix) ||
    Object.entries(was.tags).some(([key, value]) => rule.tags[key] !== value) ||
    (rule.sseKmsEncryptedObjects && !was.sseKmsEncryptedObjects)
  );
}

function rulesOf(pair: BucketReplication): [string, RuleSpec][] {
  return pair.rules.map((rule) => [
    rule.id ?? ruleId(pair.name, rule.name),
    defined({
      status: rule.enabled ? 'Enabled' : 'Disabled',
      priority: rule.priority,
      prefix: rule.prefix,
      tags: rule.tags,
      deleteMarkerReplication: rule.deleteMarkerReplication,
      sseKmsEncryptedObjects: rule.sseKmsEncryptedObjects,
      replicaModifications: rule.replicaModifications,
      destination: bucketArn(pair.destination.bucket, pair.destination.region),
      // S3 refuses a replica key without the selection, and the selection without a key.
      replicaKmsKeyId: rule.sseKmsEncryptedObjects ? keyArn(pair.destination) : undefined,
      storageClass: pair.destination.storageClass,
      account: overridesOwner(pair) ? pair.destination.accountId : undefined,
      owner: overridesOwner(pair) ? 'Destination' : undefined,
      replicationTimeControl: rule.replicationTimeControl,
      metrics: rule.metrics,
    }) as RuleSpec,
  ]);
}

/**
 * Replication is switched on last: an object that fails is never tried again, so that nothing may start replicating
 * before versioning, encryption, the role's permissions and the keys' are in place.
 */
function switchedOnAfter(pairs: readonly BucketReplication[]): Id[] {
  return pairs.flatMap((pair) => [
    ...(['source', 'destination'] as const).flatMap((side) => [
      bucketId('s3.versioning', pair[side].bucket),
      bucketId('s3.encryption', pair[side].bucket),
      ...keysReady(pair[side], pair),
    ]),
    ...pair.sourceKeys.flatMap((key) => keysReady({ ...pair.source, key }, pair)),
    'arn' in pair.role ? roleId(pair) : roleId(pair, 'iam.role-policy'),
    ...(isAcrossAccounts(pair) ? [bucketId('s3.bucket-policy', pair.destination.bucket)] : []),
  ]);
}

/** A key that we create is ready when its policy is; where no rule selects encrypted objects, none is needed. */
function keysReady(side: Side, { rules }: BucketReplication): Id[] {
  if ('arn' in side.key || !rules.some((rule) => rule.sseKmsEncryptedObjects)) return [keyId(side)];
  return [keyId(side, 'kms.key-policy')];
}

/** The rules of ours that are there and not wanted, unless they are to be taken away altogether. */
function switchedOff(
  desired: S3Replication,
  seen: Seen<S3Replication> | undefined,
): Record<string, RuleSpec> {
  if (!seen) return {};
  const pruned = new Set(seen.attrs.prune?.split(' '));
  const stale = Object.entries(seen.spec.rules).filter(
    ([id]) => isOurRule(id) && !(id in desired.rules) && !pruned.has(sidName(specOfRule(id))),
  );
  return Object.fromEntries(
    stale.map(([id, { priority: _, ...rule }]) => [id, { ...rule, status: 'Disabled' as const }]),
  );
}

/**
 * Rules of the old form in the new one, meaning the same: the old form replicates delete markers without saying so, the
 * new one only where it says so.
 */
function renewed(foreign: readonly ReplicationRule[], ours: readonly ReplicationRule[]): ReplicationRule[] {
  const taken = new Set([...foreign, ...ours].map((rule) => rule.Priority ?? 0));
  return foreign.map((rule) => {
    if (!isV1(rule)) return rule;
    const { Prefix, ...rest } = rule;
    return {
      ...rest,
      Filter: { Prefix: Prefix ?? '' },
      Priority: freePriority(taken),
      DeleteMarkerReplication: { Status: 'Enabled' as const },
    };
  });
}

/** The largest that S3 takes. */
const LARGEST_PRIORITY = 2_147_483_647;

/** Take the priority above all others, or the highest that is free where S3's end there. */
function freePriority(taken: Set<number>): number {
  let priority = Math.min(Math.max(0, ...taken) + 1, LARGEST_PRIORITY);
  while (taken.has(priority)) priority -= 1;
  taken.add(priority);
  return priority;
}

function strictest(pairs: readonly BucketReplication[]): S3Replication['foreignRules'] {
  const said = pairs.map((pair) => pair.policy.foreignRules);
  return (['Refuse', 'Preserve'] as const).find((one) => said.includes(one)) ?? 'Replace';
}

const foreignOf = (seen: Seen | undefined): ReplicationRule[] =>
  (seen?.rest as ReplicationRule[] | undefined) ?? [];

const names = (rules: ReplicationRule[]): string =>
  rules.map((rule) => `"${rule.ID ?? '(no id)'}"`).join(', ');
