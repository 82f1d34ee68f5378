import {
  DeleteBucketReplicationCommand,
  GetBucketReplicationCommand,
  PutBucketReplicationCommand,
  type ReplicationRule,
} from '@aws-sdk/client-s3';
import {
  bucketResourceId,
  isReplikeyRule,
  keyResourceId,
  locationOfSide,
  positionOfPath,
  roleResourceId,
  specNameOfRule,
  toRuleId,
} from '../core/ids.ts';
import { orphanResource } from '../core/orphan.ts';
import { isRef, ref } from '../core/ref.ts';
import type { Current, Id, Kind, Ref, Risk } from '../core/resource.ts';
import { isCrossAccount, keyArnOrRef, overridesOwner, roleArnOrRef } from '../policy/replication-policies.ts';
import { toSidName } from '../policy/statements.ts';
import { isV1Rule, MAX_RULE_PRIORITY } from '../spec/rule-fields.ts';
import type { BucketReplication, Side } from '../spec/types.ts';
import { bucketArn } from '../util/arn.ts';
import { omitUndefined, toSortedSet } from '../util/canonical-json.ts';
import { bucketAuditEvents } from './cloudtrail-events.ts';
import { ignoreErrors } from './helpers.ts';
import { fromS3Rule, type RuleSpec, selectsMore, toRuleSpec, toS3Rule } from './replication-rule.ts';
import { bucketTransientErrors } from './transient-errors.ts';

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
  permissions: {
    read: ['s3:GetReplicationConfiguration'],
    write: ['s3:PutReplicationConfiguration', 'iam:PassRole'],
  },

  desired({ pair, relatedPairs: pairs }) {
    const pairsOfBucket = pairs.filter((otherPair) => otherPair.source.bucket === pair.source.bucket);
    return [
      {
        id: bucketResourceId('s3.replication', pair.source.bucket),
        kind: 's3.replication',
        location: locationOfSide(pair.source),
        spec: {
          bucket: pair.source.bucket,
          role: roleArnOrRef(pair),
          rules: Object.fromEntries(pairsOfBucket.flatMap(desiredRulesOf)),
          foreignRules: strictestForeignRules(pairsOfBucket),
          v1Rules: [],
        },
        context: ref(bucketResourceId('s3.bucket', pair.source.bucket)),
        after: replicationDependencies(pairsOfBucket),
        declaredBy: [pair.name],
        position: positionOfPath(pair, 'spec.rules'),
      },
    ];
  },

  orphans: (orphan) =>
    orphan.sources.map(({ bucket, location }) =>
      orphanResource(orphan, {
        id: bucketResourceId('s3.replication', bucket),
        kind: 's3.replication',
        location,
        spec: { bucket, role: '', rules: {}, foreignRules: 'Preserve' as const, v1Rules: [] },
        after: [],
      }),
    ),

  normalize: ({ bucket, role, rules, foreignRules, v1Rules }) => ({
    bucket,
    role,
    rules: Object.fromEntries(
      Object.entries(rules).map(([id, rule]) => [id, omitUndefined(rule) as RuleSpec]),
    ),
    foreignRules,
    v1Rules: toSortedSet(v1Rules),
  }),

  /**
   * Priorities must be unique in the whole document. Rules keep the one that they have; a new one is given the next
   * above all others, so that adding a rule never renumbers another.
   *
   * A rule that its spec does not declare any more is switched off: left on, it would go on without the permissions
   * that the spec declares no more either, and every object would fail.
   */
  complete(desired, current) {
    const foreign = foreignRulesOf(current);
    const allRules = { ...desired.rules, ...disableUndeclaredRules(desired, current) };
    const usedPriorities = new Set<number>([
      ...foreign.map((rule) => rule.Priority ?? 0),
      ...Object.values(allRules).flatMap((rule) => rule.priority ?? []),
    ]);
    const rules: Record<string, RuleSpec> = {};
    for (const [id, rule] of Object.entries(allRules)) {
      const currentPriority = current?.spec.rules[id]?.priority;
      const priority =
        rule.priority ??
        (currentPriority !== undefined && !usedPriorities.has(currentPriority) ? currentPriority : undefined);
      if (priority !== undefined) {
        usedPriorities.add(priority);
        rules[id] = { ...rule, priority };
      }
    }
    for (const [id, rule] of Object.entries(allRules)) {
      rules[id] ??= { ...rule, priority: allocatePriority(usedPriorities) };
    }
    if (desired.role !== '' || !current) return { ...desired, rules };
    return { ...desired, rules, role: current.spec.role, v1Rules: current.spec.v1Rules };
  },

  blockedReason(desired, current) {
    const count = Object.keys(desired.rules).length + foreignRulesOf(current).length;
    if (count > 1000) return `${desired.bucket} would have ${count} rules, and S3 allows 1,000 a bucket`;
    const foreignByPriority = new Map(foreignRulesOf(current).map(({ Priority, ID }) => [Priority, ID]));
    for (const [id, { priority }] of Object.entries(desired.rules)) {
      if (foreignByPriority.has(priority))
        return `the rule ${id} asks for priority ${priority}, which the rule "${foreignByPriority.get(priority)}" of ${desired.bucket} has, and which is not ours: declare another, or none`;
    }
    return undefined;
  },

  async read(aws, { location, spec, declaredBy, pruneOwners: prune = [] }) {
    const owner = await aws.accountId(location.account);
    const response = await ignoreErrors(
      aws.send(
        location,
        new GetBucketReplicationCommand({ Bucket: spec.bucket, ExpectedBucketOwner: owner }),
      ),
      'ReplicationConfigurationNotFoundError',
      'NoSuchBucket',
    );
    const configuration = response?.ReplicationConfiguration;
    if (!configuration) return undefined;
    const allRules = configuration.Rules ?? [];
    // Rules of specs that this run was not given are left as they are, even where foreign ones are replaced.
    const ownedNames = new Set([...declaredBy.map(toSidName), ...prune]);
    const isManaged = ({ ID = '' }: ReplicationRule) =>
      ID in spec.rules ||
      (isReplikeyRule(ID) ? ownedNames.has(toSidName(specNameOfRule(ID))) : spec.foreignRules === 'Replace');
    const foreign = allRules.filter((rule) => !isManaged(rule));
    return {
      spec: {
        bucket: spec.bucket,
        role: configuration.Role ?? '',
        rules: Object.fromEntries(
          allRules.filter(isManaged).map((rule) => [rule.ID ?? '', fromS3Rule(rule)]),
        ),
        foreignRules: spec.foreignRules,
        v1Rules: foreign.filter(isV1Rule).map(({ ID }) => ID ?? ''),
      },
      attrs: { prune: prune.join(' ') },
      foreign: foreign,
    };
  },

  operations: (_, __, isRemoval) => [isRemoval ? 's3:DeleteBucketReplication' : 's3:PutBucketReplication'],

  async write(aws, { location, spec }, current) {
    const managed = Object.entries(spec.rules).map(([id, rule]) => toS3Rule(id, rule));
    const foreign = upgradeV1Rules(foreignRulesOf(current), managed);
    await aws.send(
      location,
      new PutBucketReplicationCommand({
        Bucket: spec.bucket,
        ExpectedBucketOwner: await aws.accountId(location.account),
        ReplicationConfiguration: { Role: spec.role as string, Rules: [...foreign, ...managed] },
      }),
    );
  },

  isShared: true,

  isEmpty: ({ rules }, { foreign }) =>
    Object.keys(rules).length === 0 && ((foreign as ReplicationRule[] | undefined) ?? []).length === 0,

  /** S3 refuses a configuration without rules. */
  async remove(aws, { location, spec }) {
    const owner = await aws.accountId(location.account);
    await aws.send(
      location,
      new DeleteBucketReplicationCommand({ Bucket: spec.bucket, ExpectedBucketOwner: owner }),
    );
  },

  remainingUse(current, { role }) {
    const foreign = foreignRulesOf(current).filter(({ ID }) => !isReplikeyRule(ID));
    if (foreign.length === 0 || current.spec.role !== role.arn) return undefined;
    return `rules of ${current.spec.bucket} that are not ours replicate as its role: ${formatRuleIds(foreign)}`;
  },

  explain(path, desired) {
    if (path === '') return 'switched on last, since S3 never tries a failed object again';
    if (path === '/role') return 'S3 replicates as the role of the configuration';
    if (path.startsWith('/v1Rules')) {
      return 'rules of the old form (V1) cannot stand beside ours: they are given a filter and a priority, and go on replicating delete markers, as the old form does';
    }
    const [, , id, field] = path.split('/').map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
    if (id === undefined) return undefined;
    if (field === 'status' && desired.rules[id]?.status === 'Disabled') {
      return `the rule ${id} is declared to be off, or not any more: then --prune takes it away`;
    }
    if (!(id in desired.rules))
      return `the rule ${id} is not declared, and what no spec declares is to be taken away`;
    return field === undefined ? `the rule ${id} is declared` : `the rule ${id} declares another ${field}`;
  },

  risks(desired, current) {
    const risks: Risk[] = [];
    const foreign = foreignRulesOf(current);
    // Rules of ours are among these only where they are pruned, which somebody asked for.
    const removedIds = Object.keys(current.spec.rules).filter(
      (id) => !(id in desired.rules) && !isReplikeyRule(id),
    );
    if (removedIds.length > 0) {
      risks.push({
        id: 'remove-rules',
        message: `stops replicating what the rules ${removedIds.join(', ')} replicate now`,
      });
    }
    if (foreign.length > 0 && desired.foreignRules === 'Refuse') {
      risks.push({
        id: 'foreign-rules',
        message: `${desired.bucket} has rules that are not ours (${formatRuleIds(foreign)}) and the spec says foreignRules: Refuse`,
      });
    }
    if (foreign.length > 0 && current.spec.role !== desired.role) {
      risks.push({
        id: 'change-role',
        message: `the rules ${formatRuleIds(foreign)} are not ours and would replicate as another role too: name the role ${String(current.spec.role)} in the spec, or make sure that the declared one may do their work`,
      });
    }
    return risks;
  },

  /** Objects that were there before a rule: S3 never looks at them, and many believe that it does. */
  caveats({ rules }, current, bucketArnOrRef) {
    const isNew = isRef(bucketArnOrRef);
    const selectsMoreObjects = Object.entries(rules).some(([id, rule]) =>
      selectsMore(rule, current?.spec.rules[id]),
    );
    return isNew || !selectsMoreObjects ? [] : [EXISTING_OBJECTS_CAVEAT];
  },

  notes(_, current) {
    const foreign = foreignRulesOf(current);
    const undeclared = foreign.filter((rule) => isReplikeyRule(rule.ID));
    const unmanaged = foreign.filter((rule) => !isReplikeyRule(rule.ID));
    return [
      ...(unmanaged.length > 0
        ? [`has rules that are not ours, left as they are: ${formatRuleIds(unmanaged)}`]
        : []),
      ...(undeclared.length > 0
        ? [`has rules of ours that no spec declares here, left as they are: ${formatRuleIds(undeclared)}`]
        : []),
    ];
  },

  manualSteps(desired) {
    const { bucket, role, rules } = s3Replication.complete?.(desired, undefined) ?? desired;
    return {
      what: `set the replication configuration of ${bucket}, or add its rules to what is there`,
      document: { Role: role, Rules: Object.entries(rules).map(([id, rule]) => toS3Rule(id, rule)) },
      command: `aws s3api put-bucket-replication --bucket ${bucket} --replication-configuration file://replication.json`,
    };
  },

  facts({ bucket, role, rules }, { location, current }) {
    const managed = Object.entries(rules).map(([id, rule]) => toS3Rule(id, rule));
    const foreign = upgradeV1Rules(foreignRulesOf(current), managed);
    return {
      buckets: {
        [bucket]: {
          region: location.region,
          replication: { Role: role as string, Rules: [...foreign, ...managed] },
        },
      },
    };
  },

  deletedFirst: true,

  transientErrors: [
    ...bucketTransientErrors,
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

  auditEvents: bucketAuditEvents({ '': ['DeleteBucketReplication'], '/': ['PutBucketReplication'] }),
};

const EXISTING_OBJECTS_CAVEAT =
  'S3 replicates what is written from then on: objects that are there already need S3 Batch Replication';

function desiredRulesOf(pair: BucketReplication): [string, RuleSpec][] {
  return pair.rules.map(({ name, id, ...rule }) => [
    id ?? toRuleId(pair.name, name),
    toRuleSpec(
      rule,
      omitUndefined({
        destination: bucketArn(pair.destination.bucket, pair.destination.region),
        // S3 refuses a replica key without the selection, and the selection without a key.
        replicaKmsKeyId: rule.sseKmsEncryptedObjects ? keyArnOrRef(pair.destination) : undefined,
        storageClass: pair.destination.storageClass,
        account: overridesOwner(pair) ? pair.destination.accountId : undefined,
        owner: overridesOwner(pair) ? 'Destination' : undefined,
      }),
    ),
  ]);
}

/**
 * Replication is switched on last: an object that fails is never tried again, so that nothing may start replicating
 * before versioning, encryption, the role's permissions and the keys' are in place.
 */
function replicationDependencies(pairs: readonly BucketReplication[]): Id[] {
  return pairs.flatMap((pair) => [
    ...(['source', 'destination'] as const).flatMap((side) => [
      bucketResourceId('s3.versioning', pair[side].bucket),
      bucketResourceId('s3.encryption', pair[side].bucket),
      ...keyDependencies(pair[side], pair),
    ]),
    ...pair.sourceKeys.flatMap((key) => keyDependencies({ ...pair.source, key }, pair)),
    'arn' in pair.role ? roleResourceId(pair) : roleResourceId(pair, 'iam.role-policy'),
    ...(isCrossAccount(pair) ? [bucketResourceId('s3.bucket-policy', pair.destination.bucket)] : []),
  ]);
}

/** A key that we create is ready when its policy is; where no rule selects encrypted objects, none is needed. */
function keyDependencies(side: Side, { rules }: BucketReplication): Id[] {
  if ('arn' in side.key || !rules.some((rule) => rule.sseKmsEncryptedObjects)) return [keyResourceId(side)];
  return [keyResourceId(side, 'kms.key-policy')];
}

/** The rules of ours that are there and not wanted, unless they are to be taken away altogether. */
function disableUndeclaredRules(
  desired: S3Replication,
  current: Current<S3Replication> | undefined,
): Record<string, RuleSpec> {
  if (!current) return {};
  const prunedNames = new Set(current.attrs.prune?.split(' '));
  const undeclared = Object.entries(current.spec.rules).filter(
    ([id]) => isReplikeyRule(id) && !(id in desired.rules) && !prunedNames.has(toSidName(specNameOfRule(id))),
  );
  return Object.fromEntries(
    undeclared.map(([id, { priority: _, ...rule }]) => [id, { ...rule, status: 'Disabled' as const }]),
  );
}

/**
 * Rules of the old form in the new one, meaning the same: the old form replicates delete markers without saying so, the
 * new one only where it says so.
 */
function upgradeV1Rules(
  foreign: readonly ReplicationRule[],
  managed: readonly ReplicationRule[],
): ReplicationRule[] {
  const usedPriorities = new Set([...foreign, ...managed].map((rule) => rule.Priority ?? 0));
  return foreign.map((rule) => {
    if (!isV1Rule(rule)) return rule;
    const { Prefix, ...ruleWithoutPrefix } = rule;
    return {
      ...ruleWithoutPrefix,
      Filter: { Prefix: Prefix ?? '' },
      Priority: allocatePriority(usedPriorities),
      DeleteMarkerReplication: { Status: 'Enabled' as const },
    };
  });
}

/** Take the priority above all others, or the highest that is free where S3's end there. */
function allocatePriority(usedPriorities: Set<number>): number {
  let priority = Math.min(Math.max(0, ...usedPriorities) + 1, MAX_RULE_PRIORITY);
  while (usedPriorities.has(priority)) priority -= 1;
  usedPriorities.add(priority);
  return priority;
}

function strictestForeignRules(pairs: readonly BucketReplication[]): S3Replication['foreignRules'] {
  const policies = pairs.map((pair) => pair.policy.foreignRules);
  return (['Refuse', 'Preserve'] as const).find((candidate) => policies.includes(candidate)) ?? 'Replace';
}

const foreignRulesOf = (current: Current | undefined): ReplicationRule[] =>
  (current?.foreign as ReplicationRule[] | undefined) ?? [];

const formatRuleIds = (rules: ReplicationRule[]): string =>
  rules.map((rule) => `"${rule.ID ?? '(no id)'}"`).join(', ');
