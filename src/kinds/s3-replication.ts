import {
  DeleteBucketReplicationCommand,
  GetBucketReplicationCommand,
  PutBucketReplicationCommand,
  type ReplicationRule,
} from '@aws-sdk/client-s3';
import { rejectDroppedElements, requireField } from '../aws/response.ts';
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
import { type Change, KEEP_RETAINED, type Kind } from '../core/kind.ts';
import { orphanResource } from '../core/orphan.ts';
import { isRef, ref } from '../core/ref.ts';
import type { Current, Id, Location, Ref, Resource, Risk } from '../core/resource.ts';
import { keptRuleIds } from '../core/rule-ids.ts';
import { isCrossAccount, overridesOwner, relatedSides } from '../policy/required-statements.ts';
import { toSidName } from '../policy/statements.ts';
import { keyUsesOf } from '../spec/key-uses.ts';
import { isV1Rule, MAX_RULE_PRIORITY } from '../spec/rule-fields.ts';
import type { BucketReplication, Rule, Side } from '../spec/types.ts';
import { bucketArn } from '../util/arn.ts';
import { awsCli, MERGED_FILE, mergeCommand } from '../util/aws-cli.ts';
import { isJsonEqual, omitUndefined, sortKeys, toSortedSet } from '../util/canonical-json.ts';
import { parsePointer } from '../util/json-pointer.ts';
import { type CanaryRule, keptCanaryRules, parseCanaryRule, toCanaryRules } from './canary-rule.ts';
import { bucketAuditEvents } from './cloudtrail-events.ts';
import { bucketTransientErrors, ignoreErrors, keyArnOrRef, roleArnOrRef } from './helpers.ts';
import {
  fromS3Rule,
  RULE_ELEMENTS,
  type RuleSpec,
  selectsMore,
  toRuleSpec,
  toS3Rule,
  usesMore,
} from './replication-rule.ts';
import { lockIdsOf } from './s3-object-lock.ts';
import { bucketScope } from './scopes.ts';

/**
 * The only replication configuration of a source bucket: one role, and the rules of all specs that share the bucket.
 */
export interface S3Replication {
  bucket: string;
  /** Empty when no spec declares a role: the current role stays. */
  role: string | Ref;
  rules: Record<string, RuleSpec>;
  /** The treatment of foreign rules. */
  foreignRules: 'Preserve' | 'Replace' | 'Refuse';
  /**
   * Ids of foreign rules in the old schema (V1), which S3 does not accept beside rules of the new schema. Always empty
   * in the desired spec.
   */
  v1Rules: string[];
}

/** The document as S3 returns it. */
export interface ReplicationDoc {
  Role: string;
  Rules: ReplicationRule[];
}

/** More input for `check` and `render`. An orphan has none. */
interface ReplicationContext {
  /** ARN of the bucket; a reference if the bucket does not exist yet. */
  bucket: string | Ref;
  /** Declared ids of the rules without a name. */
  unnamedIds: string[];
  /** The instants before which specs replicate existing objects, by the names of the specs. */
  backfilledBefore: Record<string, string>;
}

export type CurrentReplication = Current<S3Replication, ReplicationRule[]>;
export type ReplicationChange = Change<S3Replication, ReplicationDoc, ReplicationRule[]>;

export const s3Replication: Kind<S3Replication, ReplicationDoc, ReplicationRule[]> = {
  name: 's3.replication',
  scope: {
    ...bucketScope,
    stage: 'rules',
    keepsReplication: ({ patch, before }) =>
      patch.every(({ op, path }) => {
        const rule = before[path] as Partial<RuleSpec> | undefined;
        return op === 'remove' && /^\/rules\/[^/]+$/.test(path) && rule?.status === 'Disabled';
      }),
    facts: (replication) => ({ replication }),
    factsOfDeleted: { replication: null },
  },
  permissions: {
    read: ['s3:GetReplicationConfiguration'],
    write: ['s3:PutReplicationConfiguration', 'iam:PassRole'],
    passesRoleTo: 's3.amazonaws.com',
  },

  desired({ pair, relatedPairs }) {
    const pairsOfBucket = relatedPairs.filter(({ source }) => source.bucket === pair.source.bucket);
    return [
      {
        id: bucketResourceId('s3.replication', pair.source.bucket),
        kind: 's3.replication',
        name: pair.source.bucket,
        location: locationOfSide(pair.source),
        spec: {
          bucket: pair.source.bucket,
          role: roleArnOrRef(pair),
          rules: Object.fromEntries(pairsOfBucket.flatMap(desiredRulesOf)),
          foreignRules: strictestForeignRules(pairsOfBucket),
          v1Rules: [],
        },
        context: {
          bucket: ref(bucketResourceId('s3.bucket', pair.source.bucket)),
          unnamedIds: pairsOfBucket.flatMap(unnamedRuleIdsOf),
          backfilledBefore: Object.fromEntries(
            pairsOfBucket.flatMap(({ name, backfill }) => (backfill ? [[name, backfill.before]] : [])),
          ),
        } satisfies ReplicationContext,
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
        name: bucket,
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

  async fetch(aws, location, name) {
    const owner = await aws.accountId(location.account);
    const response = await ignoreErrors(
      aws.send(location, new GetBucketReplicationCommand({ Bucket: name, ExpectedBucketOwner: owner })),
      'ReplicationConfigurationNotFoundError',
      'NoSuchBucket',
    );
    if (!response) return undefined;
    const { Role = '', Rules = [] } = requireField(response, 'ReplicationConfiguration');
    rejectDroppedElements({ Role, Rules }, response, RULE_ELEMENTS);
    return { Role, Rules };
  },

  parse({ Role, Rules }, resource) {
    const { spec, declaredBy, pruneOwners = [], disableOwners = [] } = resource;
    // Rules of specs that are not part of this run stay as they are, even when foreign rules are replaced.
    const ownedNames = new Set([...declaredBy.map(toSidName), ...pruneOwners, ...disableOwners]);
    const isManaged = ({ ID = '' }: ReplicationRule) =>
      ID in spec.rules ||
      (isReplikeyRule(ID) ? ownedNames.has(toSidName(specNameOfRule(ID))) : spec.foreignRules === 'Replace');
    const retained = Rules.flatMap((rule) => parseCanaryRule(rule) ?? []);
    const lastingRules = Rules.filter((rule) => !parseCanaryRule(rule));
    const foreign = lastingRules.filter((rule) => !isManaged(rule));
    const current: CurrentReplication = {
      spec: {
        bucket: spec.bucket,
        role: Role,
        rules: Object.fromEntries(
          lastingRules.filter(isManaged).map((rule) => [rule.ID ?? '', fromS3Rule(rule)]),
        ),
        foreignRules: spec.foreignRules,
        v1Rules: foreign.filter(isV1Rule).map(({ ID }) => ID ?? ''),
      },
      attrs: {},
      foreign,
      ...(retained.length > 0 && { retained }),
    };
    return { ...current, attrs: ruleIdAttrs(resource, current) };
  },

  render(resource, current, retention = KEEP_RETAINED) {
    const { spec, orphaned } = resource;
    const foreign = current?.foreign ?? [];
    const canaryRules = keptCanaryRules(current?.retained, retention);
    const declared = withKeptIds(resource, current);
    const undeclared = disableUndeclaredRules(declared, resource, current);
    const rules = withPriorities({ ...declared, ...undeclared }, current);
    const managed = Object.entries(sortKeys(rules)).map(([id, rule]) => toS3Rule(id, rule));
    // S3 refuses a configuration without rules.
    if (orphaned && managed.length + foreign.length + canaryRules.length === 0) return undefined;
    // Without a desired role no spec declares the configuration, so all but the pruned rules stays as it is.
    if (spec.role === '' && current)
      return { Role: current.spec.role as string, Rules: [...foreign, ...managed, ...canaryRules] };
    const otherRules = upgradeV1Rules(foreign, managed);
    return { Role: spec.role as string, Rules: [...otherRules, ...managed, ...canaryRules] };
  },

  operations: ({ resource: { name, location }, doc }) =>
    doc === undefined
      ? [{ call: 's3:DeleteBucketReplication' }]
      : [
          {
            call: 's3:PutBucketReplication',
            manual: {
              what: `add these rules to the replication configuration of ${name}`,
              document: doc,
              command: addRulesCommand(name, location, doc),
            },
          },
        ],

  async send(aws, { resource: { name, location }, doc }) {
    await aws.send(
      location,
      new PutBucketReplicationCommand({
        Bucket: name,
        ExpectedBucketOwner: await aws.accountId(location.account),
        ReplicationConfiguration: doc,
      }),
    );
  },

  async remove(aws, { name, location }) {
    const owner = await aws.accountId(location.account);
    await aws.send(
      location,
      new DeleteBucketReplicationCommand({ Bucket: name, ExpectedBucketOwner: owner }),
    );
  },

  response: {
    replacesWholeDocument: true,
    elements: RULE_ELEMENTS,
  },

  check(change) {
    const { current, desired } = change;
    return {
      blocked: ruleConflictOf(desired, current?.foreign ?? []),
      risks: current ? [...risksOf(desired, current), ...pairRemovals(change, current)] : [],
      notes: foreignRuleNotes(current?.foreign ?? []),
      changeNotes: existingObjectsNotes(change),
      widensUse: rulesWithWiderUse(change).length > 0,
    };
  },

  explain(path, desired) {
    if (path === '') return 'enabled last, because S3 never retries a failed object';
    if (path === '/role') return 'S3 replicates as the role of the configuration';
    if (path.startsWith('/v1Rules')) {
      return 'S3 accepts no V1 rules beside V2 rules: replikey adds a filter and a priority to them, and they still replicate delete markers';
    }
    const [, id, field] = parsePointer(path);
    if (id === undefined) return undefined;
    if (field === 'status' && desired.rules[id]?.status === 'Disabled') {
      return `the rule ${id} is declared disabled, or is no longer declared; --prune removes an undeclared rule`;
    }
    if (!(id in desired.rules)) return `no spec declares the rule ${id}, so replikey removes it`;
    return field === undefined
      ? `the rule ${id} is declared`
      : `${field} of the rule ${id} differs from the spec`;
  },

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

/**
 * Gives each rule a priority that is unique in the document. A rule keeps the priority that it has. A new one gets the
 * next above all others, so that adding a rule never renumbers another.
 */
function withPriorities(
  allRules: Record<string, RuleSpec>,
  current: CurrentReplication | undefined,
): Record<string, RuleSpec> {
  const usedPriorities = new Set<number>([
    ...(current?.foreign ?? []).map((rule) => rule.Priority ?? 0),
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
  return rules;
}

/**
 * Returns the command that adds rules to a replication configuration, in an account that replikey cannot read. It stops
 * if the other rules replicate as another role, because a configuration has only one.
 */
const addRulesCommand = (bucket: string, { region }: Location, doc: ReplicationDoc): string =>
  mergeCommand({
    get: awsCli('s3api get-bucket-replication', {
      region,
      bucket,
      query: 'ReplicationConfiguration',
      output: 'json',
    }),
    absentError: 'ReplicationConfigurationNotFoundError',
    additions: doc,
    program:
      '. // {"Role":$new.Role,"Rules":[]} | if .Role == $new.Role then . else error("the rules of this bucket replicate as \\(.Role)") end | .Rules = [.Rules[] | select(.ID as $id | all($new.Rules[]; .ID != $id))] + $new.Rules',
    put: awsCli('s3api put-bucket-replication', {
      region,
      bucket,
      'replication-configuration': MERGED_FILE,
    }),
  });

/** S3 allows this many rules in a configuration. */
const MAX_RULES = 1_000;

function ruleConflictOf(
  { bucket, rules }: S3Replication,
  foreign: readonly ReplicationRule[],
): string | undefined {
  const count = Object.keys(rules).length + foreign.length;
  if (count > MAX_RULES) return `${bucket} would have ${count} rules, but S3 allows 1,000 per bucket`;
  const foreignByPriority = new Map(foreign.map(({ Priority, ID }) => [Priority, ID]));
  for (const [id, { priority }] of Object.entries(rules)) {
    if (foreignByPriority.has(priority))
      return `the rule ${id} declares the priority ${priority}, which the foreign rule "${foreignByPriority.get(priority)}" of ${bucket} has; declare another priority, or none`;
  }
  return undefined;
}

function risksOf(desired: S3Replication, { spec, foreign = [] }: CurrentReplication): Risk[] {
  const risks: Risk[] = [];
  // Managed rules are removed only by --prune, at a person's request.
  const removedIds = Object.keys(spec.rules).filter((id) => !(id in desired.rules) && !isReplikeyRule(id));
  if (removedIds.length > 0) {
    risks.push({
      id: 'remove-rules',
      message: `removes the foreign rules ${removedIds.join(', ')}, which ends their replication`,
    });
  }
  if (foreign.length > 0 && desired.foreignRules === 'Refuse') {
    risks.push({
      id: 'foreign-rules',
      message: `${desired.bucket} has foreign rules (${formatRuleIds(foreign)}), and the spec sets foreignRules: Refuse`,
    });
  }
  if (foreign.length > 0 && spec.role !== desired.role) {
    risks.push({
      id: 'change-role',
      message: `the foreign rules ${formatRuleIds(foreign)} would also replicate as another role; declare the role ${String(spec.role)}, or declare role.also: foreignRules, which gives the role the permissions that these rules need`,
    });
  }
  const keepsRole = ['', spec.role].includes(desired.role as string);
  const changedIds = keepsRole ? [] : rulesChangedInUse(desired, spec);
  if (changedIds.length > 0) {
    // S3 may assume the new role for objects that it selected under the old rules.
    risks.push({
      id: 'lose-in-flight',
      message: `changes the role and the rules ${changedIds.join(', ')} in one run: the new role lacks the permissions that objects in flight need; change the role in one run, and the rules in the next`,
    });
  }
  return risks;
}

/** Returns a risk for each pair that no spec declares any more, and of which prune disables or removes the rules. */
function pairRemovals({ resource, desired, doc }: ReplicationChange, { spec }: CurrentReplication): Risk[] {
  const { declaredBy, orphaned, pruneOwners = [], disableOwners = [] } = resource;
  const declaredOwners = orphaned ? [] : declaredBy.map(toSidName);
  const isOrphanedOwner = (owner: string) =>
    [...pruneOwners, ...disableOwners].includes(owner) && !declaredOwners.includes(owner);
  const endedByPair = new Map<string, string[]>();
  for (const [id, { status }] of Object.entries(spec.rules)) {
    const isEnded = doc === undefined || !(id in desired.rules) || status !== desired.rules[id]?.status;
    const pair = specNameOfRule(id);
    if (isReplikeyRule(id) && isOrphanedOwner(toSidName(pair)) && isEnded)
      endedByPair.set(pair, [...(endedByPair.get(pair) ?? []), id]);
  }
  return [...endedByPair].map(([pair, ids]) => {
    const effect =
      doc === undefined
        ? `deletes the whole replication configuration of ${desired.bucket}, with the pair ${pair}`
        : ids.some((id) => id in desired.rules)
          ? `stops the replication of the pair ${pair} from ${desired.bucket}`
          : `removes the pair ${pair} from ${desired.bucket}`;
    const message = `${effect}, which no spec declares any more: ${ids.join(', ')}`;
    return { id: 'remove-pair', subject: pair, message };
  });
}

/** Returns the enabled rules that a change disables, removes, or gives settings that decide about permissions. */
const rulesChangedInUse = (desired: S3Replication, current: S3Replication): string[] =>
  Object.entries(current.rules).flatMap(([id, rule]) =>
    rule.status === 'Enabled' &&
    !isJsonEqual(permissionSettingsOf(desired.rules[id]), permissionSettingsOf(rule))
      ? [id]
      : [],
  );

/** Returns the settings of a rule that decide about the permissions of its role. */
const permissionSettingsOf = (rule: RuleSpec | undefined) =>
  rule && { ...rule, priority: 0, metrics: false, replicationTimeControl: false };

function foreignRuleNotes(foreign: readonly ReplicationRule[]): string[] {
  const undeclared = foreign.filter((rule) => isReplikeyRule(rule.ID));
  const unmanaged = foreign.filter((rule) => !isReplikeyRule(rule.ID));
  return [
    ...(unmanaged.length > 0 ? [`has foreign rules, which replikey keeps: ${formatRuleIds(unmanaged)}`] : []),
    ...(undeclared.length > 0
      ? [`has rules of specs outside this run, which replikey keeps: ${formatRuleIds(undeclared)}`]
      : []),
  ];
}

/**
 * Returns notes on the objects that existed before a rule. Many users expect that S3 replicates them. A backfill does not
 * replicate those that are written after its instant and before the rule takes effect.
 */
function existingObjectsNotes({ resource, current, desired }: ReplicationChange): string[] {
  const { bucket, backfilledBefore = {} } = (resource.context ?? {}) as Partial<ReplicationContext>;
  // The bucket's ARN is still a reference when the bucket does not exist yet.
  if (isRef(bucket)) return [];
  const widened = Object.entries(desired.rules).filter(([id, rule]) =>
    selectsMore(rule, current?.spec.rules[id]),
  );
  return [...new Set(widened.map(([id]) => existingObjectsNote(specNameOfRule(id), backfilledBefore)))];
}

function existingObjectsNote(specName: string, backfilledBefore: Record<string, string>): string {
  const before = backfilledBefore[specName];
  return before === undefined
    ? 'S3 replicates only objects written after this change; declare backfill for objects that exist already'
    : `S3 replicates only objects written after this change, and the backfill of ${specName} only those from before ${before}; declare a later before when the change has taken effect, or the objects written in between stay without a replica`;
}

/**
 * Returns the ids of enabled rules that will depend on permissions that they do not use now: new rules, rules that use
 * more, and all rules of a configuration whose role changes.
 */
export function rulesWithWiderUse({ current, desired }: ReplicationChange): string[] {
  const isNewRole = current !== undefined && current.spec.role !== desired.role;
  return Object.entries(desired.rules).flatMap(([id, rule]) =>
    (isNewRole && rule.status === 'Enabled') || usesMore(rule, current?.spec.rules[id]) ? [id] : [],
  );
}

/** Returns a resource that declares the rules of a configuration as they are. */
function withCurrentRules(
  { context: _, ...resource }: Resource<S3Replication>,
  { spec }: CurrentReplication,
): Resource<S3Replication> {
  return { ...resource, spec };
}

/**
 * Returns the change that adds temporary rules for canaries to a configuration, and changes no other rule.
 *
 * @param change the change of the rules that the canaries test
 * @throws Error when S3 accepts no more rules, or has no higher priority
 */
export function addCanaryRules(
  change: ReplicationChange,
  canaryRules: readonly CanaryRule[],
): ReplicationChange {
  const { resource, current, doc } = change;
  const { bucket, role } = change.desired;
  const existing = current && s3Replication.render(withCurrentRules(resource, current), current);
  const { Role, Rules } = existing ?? { Role: role as string, Rules: [] };
  if (Rules.length + canaryRules.length > MAX_RULES)
    throw new Error(
      `canary first is not possible: ${bucket} has ${Rules.length} rules, and S3 allows 1,000; set rollout: wait`,
    );
  const temporaryRules = toCanaryRules(canaryRules, [...Rules, ...(doc?.Rules ?? [])]);
  if (!temporaryRules)
    throw new Error(
      `canary first is not possible: a rule of ${bucket} has the highest priority that S3 allows; set rollout: wait`,
    );
  const temporaryDoc = { Role, Rules: [...Rules, ...temporaryRules] };
  const parsed = s3Replication.parse(temporaryDoc, resource);
  return {
    ...change,
    doc: temporaryDoc,
    desired: s3Replication.normalize(parsed.spec),
    retained: parsed.retained ?? [],
  };
}

/** Returns why the permissions of an orphaned spec must stay: foreign rules that replicate as its role. */
export function foreignUseOfRole(
  bucket: string,
  { Role, Rules }: ReplicationDoc,
  roleArn: string,
): string | undefined {
  const foreign = Rules.filter(({ ID }) => !isReplikeyRule(ID));
  if (foreign.length === 0 || Role !== roleArn) return undefined;
  return `foreign rules of ${bucket} replicate as its role: ${formatRuleIds(foreign)}`;
}

/** Returns the declared rules under the ids that they have, or will have, in S3. */
function withKeptIds(
  resource: Resource<S3Replication>,
  current: CurrentReplication | undefined,
): Record<string, RuleSpec> {
  const { rules } = resource.spec;
  const ids = idsOfDeclaredRules(resource, current);
  return ids ? Object.fromEntries(Object.entries(rules).map(([id, rule]) => [ids.get(id), rule])) : rules;
}

/** Returns the ids that declared rules have in S3, by their declared ids; undefined when these are the same. */
export function idsOfDeclaredRules(
  { spec: { rules }, context }: Resource<S3Replication>,
  current: CurrentReplication | undefined,
): ReadonlyMap<string, string> | undefined {
  const { unnamedIds = [] } = (context as ReplicationContext | undefined) ?? {};
  if (!current || unnamedIds.length === 0) return undefined;
  const foreign = current.foreign?.map((rule) => [rule.ID ?? '', fromS3Rule(rule)]) ?? [];
  const existing = { ...Object.fromEntries(foreign), ...current.spec.rules } as Record<string, RuleSpec>;
  return keptRuleIds(rules, unnamedIds, existing);
}

/** Returns the attributes with the ids of the unnamed rules, by their declared ids. */
function ruleIdAttrs(resource: Resource<S3Replication>, current: CurrentReplication): Record<string, string> {
  const ids = idsOfDeclaredRules(resource, current);
  const { unnamedIds = [] } = (resource.context as ReplicationContext | undefined) ?? {};
  return Object.fromEntries(unnamedIds.map((id) => [ruleIdAttr(id), ids?.get(id) ?? id]));
}

const ruleIdAttr = (declaredId: string): string => `rule ${declaredId}`;

/**
 * Returns the id that a rule has in S3, or the reference to it: an unnamed rule may keep the id of its former prefix. A
 * configuration in an account that is not managed cannot be read.
 */
export function ruleIdOrRef(pair: BucketReplication, rule: Rule): string | Ref {
  const declaredId = declaredRuleId(pair, rule);
  return rule.unnamed && pair.source.managed
    ? ref(bucketResourceId(s3Replication.name, pair.source.bucket), ruleIdAttr(declaredId))
    : declaredId;
}

export const declaredRuleId = ({ name: spec }: BucketReplication, { id, name }: Rule): string =>
  id ?? toRuleId(spec, name);

const unnamedRuleIdsOf = ({ name: spec, rules }: BucketReplication): string[] =>
  rules.flatMap(({ name, unnamed }) => (unnamed ? toRuleId(spec, name) : []));

function desiredRulesOf(pair: BucketReplication): [string, RuleSpec][] {
  return pair.rules.map(({ name, id, unnamed: _, literal: __, ...rule }) => [
    id ?? toRuleId(pair.name, name),
    toRuleSpec(
      rule,
      omitUndefined({
        destination: bucketArn(pair.destination.bucket, pair.destination.region),
        // S3 refuses a replica key without the selection, and the selection without a key.
        replicaKmsKeyId:
          rule.sseKmsEncryptedObjects && !pair.destination.relatedKeys
            ? keyArnOrRef(pair.destination)
            : undefined,
        relatedKey: rule.sseKmsEncryptedObjects && pair.destination.relatedKeys ? (true as const) : undefined,
        storageClass: pair.destination.storageClass,
        account: overridesOwner(pair) ? pair.destination.accountId : undefined,
        owner: overridesOwner(pair) ? 'Destination' : undefined,
      }),
    ),
  ]);
}

/**
 * Returns the resources that must exist before replication starts. S3 never retries a failed object, so no rule may be
 * enabled before versioning, encryption, and the permissions of the role and the keys are in place.
 */
function replicationDependencies(pairs: readonly BucketReplication[]): Id[] {
  return pairs.flatMap((pair) => [
    ...(['source', 'destination'] as const).flatMap((side) => [
      bucketResourceId('s3.versioning', pair[side].bucket),
      bucketResourceId('s3.encryption', pair[side].bucket),
      ...lockIdsOf(pair[side]),
    ]),
    ...keyUsesOf(pair).flatMap(({ side }) => keyDependencies(side, pair)),
    ...relatedSides(pair).flatMap((side) => keyDependencies(side, pair)),
    roleResourceId('arn' in pair.role ? 'iam.role' : 'iam.role-policy', pair),
    ...(isCrossAccount(pair) ? [bucketResourceId('s3.bucket-policy', pair.destination.bucket)] : []),
  ]);
}

/**
 * Returns the resource that makes a key ready for replication. A key that replikey creates is ready when its policy is
 * written. Without a rule that selects encrypted objects, the policy is not needed.
 */
function keyDependencies(side: Side, { rules }: BucketReplication): Id[] {
  if ('arn' in side.key || !rules.some((rule) => rule.sseKmsEncryptedObjects))
    return [keyResourceId('kms.key', side)];
  return [keyResourceId('kms.key-policy', side)];
}

/** Returns the specs, by their names in Sids, with an enabled rule that no spec declares any more. */
export function ownersOfUndeclaredRules(
  resource: Resource<S3Replication>,
  current: CurrentReplication,
): string[] {
  const declared = withKeptIds(resource, current);
  return Object.entries(current.spec.rules).flatMap(([id, { status }]) =>
    status === 'Enabled' && isReplikeyRule(id) && !(id in declared) ? [toSidName(specNameOfRule(id))] : [],
  );
}

/** Returns the managed rules that no spec declares, disabled, without those that prune removes. */
function disableUndeclaredRules(
  declared: Record<string, RuleSpec>,
  { pruneOwners = [] }: Resource<S3Replication>,
  current: CurrentReplication | undefined,
): Record<string, RuleSpec> {
  // Left enabled, a rule would lose its permissions with its spec, and S3 would fail every object.
  const undeclared = Object.entries(current?.spec.rules ?? {}).filter(
    ([id]) => isReplikeyRule(id) && !(id in declared) && !pruneOwners.includes(toSidName(specNameOfRule(id))),
  );
  return Object.fromEntries(
    undeclared.map(([id, { priority: _, ...rule }]) => [id, { ...rule, status: 'Disabled' as const }]),
  );
}

/**
 * Converts V1 rules to the new schema without a change of their meaning. V1 rules always replicate delete markers;
 * rules of the new schema replicate them only with DeleteMarkerReplication.
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

/** Allocates the priority above all others, or the highest free priority when the maximum of S3 is in use. */
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

const formatRuleIds = (rules: ReplicationRule[]): string =>
  rules.map((rule) => `"${rule.ID ?? '(no id)'}"`).join(', ');
