import type { ReplicationRule } from '@aws-sdk/client-s3';
import { copyFacts, type Fact, type Facts, factValue, mergeFacts } from '../core/facts.ts';
import { isReplikeyRule, specNameOfRule } from '../core/ids.ts';
import { KEEP_RETAINED, type Retention } from '../core/kind.ts';
import type { PlanDraft } from '../core/plan.ts';
import type { Id, Resource } from '../core/resource.ts';
import type { Policy, Statement } from '../iam/types.ts';
import { toSidName } from '../policy/statements.ts';
import { isGranted } from '../policy/transitions.ts';
import { isJsonEqual } from '../util/canonical-json.ts';
import type { Finding } from './findings.ts';
import {
  defaultEncryptionOf,
  isKmsAlgorithm,
  keyArnsInPolicies,
  type ObservedObject,
  objectCasesOf,
} from './object-cases.ts';
import { withoutCutOffs } from './policies.ts';
import { factsAfterWrite, type Projection, projectFacts } from './project.ts';
import { proveRule } from './prove.ts';
import {
  type RuleContext,
  replicaKeyArns,
  ruleBucketOf,
  ruleContextOf,
  rulePrefixOf,
  selectsKmsObjects,
} from './rule-context.ts';
import type { ObjectCase, RuleProof } from './types.ts';

/**
 * The proof of a change: in every state that a run can leave behind, S3 replicates each kind of object that it
 * replicated before. A run can end after any step, so a state is a set of steps that contains everything its steps
 * need. Rules that replikey does not manage count as well.
 *
 * Adding permissions never stops a rule. Only the other changes (the rules themselves, default encryption, trust
 * policies, boundaries) and their order matter. The proof therefore checks each closed set of these, with no more
 * additions than it needs: every other state allows at least as much.
 */
export interface TransitionInputs {
  /** Facts before the plan, as read. They contain the configuration of each source bucket whose rules are proven. */
  facts: Facts;
  resources: readonly Resource[];
  projection: Projection;
  plan: Pick<PlanDraft, 'waves' | 'blocked'>;
  /** Rules that a spec declares, as `bucket id`. */
  declaredRules: ReadonlySet<string>;
  /** Specs in this run, by their names in Sids: their undeclared rules are managed too. */
  owners: ReadonlySet<string>;
  /** Objects that specs declare, by source bucket. */
  objectsByBucket: ReadonlyMap<string, readonly ObservedObject[]>;
}

/** A kind of object that a plan stops, although S3 replicates it before. */
export interface StoppedRule {
  bucket: string;
  rule: string;
  /** Whether replikey does not manage the rule. */
  isForeign: boolean;
  /** `during`: only until later steps are done; `after`: for good; `expired`: when retained permissions are removed. */
  when: 'during' | 'after' | 'expired';
  /** The step that stops it; absent: only an expiry does. */
  step?: Id;
  /** The kind of object, for messages. */
  objects: string;
  finding: Finding;
  /** Objects that are in flight when all steps are done fail, too. */
  losesInFlight?: true;
}

export interface TransitionProof {
  stopped: StoppedRule[];
  /** Foreign rules for which replikey could decide neither the state before nor the state after. */
  undecided: { bucket: string; rule: string; finding: Finding }[];
}

/** The removal of all retained permissions. */
const NARROW_ALL: Retention = { mode: 'narrow', nowMs: Number.POSITIVE_INFINITY };

/** Proves every rule that a plan touches, in every state of the plan. Pure. */
export function proveTransitions(inputs: TransitionInputs): TransitionProof {
  const states = createPlanStates(inputs);
  const proof: TransitionProof = { stopped: [], undecided: [] };
  const end = states.after(states.steps.filter((step) => !step.isBlocked));
  for (const rule of rulesOf(inputs, states)) {
    const { stopped, undecided } = proveRuleStates(rule, states, end);
    proof.stopped.push(...stopped);
    proof.undecided.push(...undecided);
  }
  return proof;
}

/**
 * Returns the rules that would stop if permissions that have expired were removed, as they are after the plan. Pure.
 *
 * @param nowMs the time of AWS, in milliseconds since 1970
 */
export function rulesStoppedByExpiry(inputs: TransitionInputs, nowMs: number): string[] {
  const states = createPlanStates(inputs);
  const end = states.after(states.steps);
  const narrowed = states.after(states.steps, { mode: 'narrow', nowMs });
  return rulesOf(inputs, states).flatMap(({ bucket, id, isForeign, sample }) => {
    const [start, context] = [activeRuleIn(end, bucket, id), activeRuleIn(narrowed, bucket, id)];
    if (!start || !context) return [];
    const judge = createRuleJudge({ start, end: start, sample, isForeign, ignoresSelection: true });
    return judge.newFailureIn(context, true) ? [id] : [];
  });
}

/** A step with its effect on the facts. */
interface StateStep {
  id: Id;
  /** Steps that come first, also through others. */
  needs: readonly Id[];
  /** Whether a step that it needs is blocked, so that it never runs. */
  isBlocked: boolean;
  /** `bucket acme-tax`, `role arn:…` */
  owner: string;
  /** Fields of the facts that it changes. */
  fields: readonly string[];
  /** It only adds permissions, or creates something. */
  isWidening: boolean;
  retains: boolean;
  /** Whether its document contains retained permissions. */
  losesRetained: boolean;
  overlay: Partial<Facts>;
  narrowedOverlay: Partial<Facts>;
}

/** The states of a plan: each is the facts before, with the documents of some steps laid over them. */
export interface PlanStates {
  steps: readonly StateStep[];
  /** Facts without any step. */
  before: Facts;
  /** Returns the facts after some steps. */
  after(steps: readonly StateStep[], retention?: Retention): Facts;
}

export function createPlanStates({ facts, resources, projection, plan }: TransitionInputs): PlanStates {
  const planned = plan.waves.flat();
  const stepsById = new Map(planned.map((step) => [step.id, step]));
  const unchanged = resources.filter(({ id }) => !stepsById.has(id));
  const changed = new Map(resources.filter(({ id }) => stepsById.has(id)).map((item) => [item.id, item]));
  // Of a declared document, `facts` may hold nothing.
  const observed = planned.flatMap(({ id }) => observedForm(changed.get(id), projection));
  const before = projectFacts(projectFacts(facts, observed, projection), unchanged, projection);
  const blockedIds = new Set(plan.blocked.map(({ id }) => id));
  const steps = planned.flatMap((step): StateStep[] => {
    const resource = changed.get(step.id);
    const overlay = resource && factsAfterWrite(resource, projection);
    if (!resource || !overlay) return [];
    const owner = ownerOf(overlay);
    const fields = changedFields(before, overlay, owner);
    const narrowedOverlay = factsAfterWrite(resource, projection, NARROW_ALL) ?? overlay;
    return [
      {
        id: step.id,
        needs: step.needs,
        isBlocked: step.needs.some((id) => blockedIds.has(id)),
        owner: `${owner.type} ${owner.name}`,
        fields: fields.map(({ name }) => name),
        isWidening: fields.every(isWidening),
        retains: step.retains !== undefined,
        overlay,
        losesRetained: !isJsonEqual(overlay, narrowedOverlay),
        narrowedOverlay,
      },
    ];
  });
  return {
    steps,
    before,
    after(selected, retention = KEEP_RETAINED) {
      const isNarrowed = retention.mode === 'narrow';
      const base = isNarrowed ? projectFacts(before, unchanged, projection, retention) : before;
      const result = copyFacts(base);
      for (const step of selected) mergeFacts(result, isNarrowed ? step.narrowedOverlay : step.overlay);
      return result;
    },
  };
}

/** Returns a resource as it is in AWS, so that its projection gives the facts before the plan. */
export function observedForm(
  resource: Resource | undefined,
  { actual }: Pick<Projection, 'actual'>,
): Resource[] {
  const observation = resource && actual.get(resource.id);
  if (!resource || observation?.state !== 'present') return [];
  const { orphaned: _, ...rest } = resource;
  return [{ ...rest, spec: observation.current.spec }];
}

interface Owner {
  type: 'bucket' | 'role' | 'key';
  name: string;
}

const FACTS_OF = { bucket: 'buckets', role: 'roles', key: 'keys' } as const;

function ownerOf({ buckets, roles, keys }: Partial<Facts>): Owner {
  const [type, entries] = buckets
    ? (['bucket', buckets] as const)
    : roles
      ? (['role', roles] as const)
      : (['key', keys ?? {}] as const);
  return { type, name: Object.keys(entries)[0] ?? '' };
}

interface ChangedField {
  name: string;
  before: unknown;
  after: unknown;
}

/** Returns the fields that an overlay changes; empty for an owner that does not exist yet. */
function changedFields(facts: Facts, overlay: Partial<Facts>, { type, name }: Owner): ChangedField[] {
  const group = FACTS_OF[type];
  const valueBefore = factValue(facts[group][name] as Fact<object>) as Record<string, unknown> | undefined;
  const merged = { buckets: {}, roles: {}, keys: {}, [group]: { [name]: valueBefore ?? null } } as Facts;
  mergeFacts(merged, overlay);
  const valueAfter = (factValue(merged[group][name] as Fact<object>) ?? {}) as Record<string, unknown>;
  return Object.keys(valueAfter).flatMap((field) => {
    const [before, after] = [valueBefore?.[field], valueAfter[field]];
    if (valueBefore && isJsonEqual(before, after)) return [];
    return [{ name: field, before: valueBefore ? before : undefined, after }];
  });
}

/** Whether a change cannot stop a rule: something new, versioning turned on, or added permissions. */
function isWidening({ name, before, after }: ChangedField): boolean {
  if (name === 'versioning') return (after as { Status?: string } | null)?.Status === 'Enabled';
  if (name === 'replication' || name === 'encryption') return false;
  // Another retention changes nothing for replication.
  if (name === 'objectLock') return before !== null || after === null;
  if (before === undefined) return true;
  if (name !== 'policy' && name !== 'policies') return false;
  const statementsOf = (fact: unknown): Statement[] => {
    const value = factValue(fact as Fact<object>);
    const policies = name === 'policy' ? [value] : Object.values(value ?? {});
    return (policies as (Policy | undefined)[]).flatMap((policy) =>
      policy ? withoutCutOffs(policy).Statement : [],
    );
  };
  const grants = statementsOf(after);
  const denials = (statements: readonly Statement[]) => statements.filter(({ Effect }) => Effect === 'Deny');
  return (
    statementsOf(before).every((statement) => isGranted(statement, grants)) &&
    isJsonEqual(denials(statementsOf(before)), denials(grants))
  );
}

/** Fields that decide whether S3 replicates; the others only lead to warnings. */
const DECISIVE_FIELDS = {
  source: ['versioning', 'replication', 'encryption', 'policy', 'objectLock'],
  destination: ['versioning', 'policy', 'objectLock'],
};

/** A rule of a source bucket, before or after the plan. */
interface TouchedRule {
  bucket: string;
  id: string;
  isForeign: boolean;
  /** Objects that specs declare for the bucket, for managed rules. */
  sample: readonly ObservedObject[];
}

function rulesOf(
  { declaredRules, owners, objectsByBucket }: TransitionInputs,
  { before, after, steps }: PlanStates,
): TouchedRule[] {
  const end = after(steps);
  return Object.keys(before.buckets).flatMap((bucket) => {
    const ids = new Set([...rulesIn(before, bucket), ...rulesIn(end, bucket)].map(({ ID = '' }) => ID));
    return [...ids].map((id): TouchedRule => {
      const isManaged =
        declaredRules.has(`${bucket} ${id}`) ||
        (isReplikeyRule(id) && owners.has(toSidName(specNameOfRule(id))));
      return {
        bucket,
        id,
        isForeign: !isManaged,
        sample: isManaged ? (objectsByBucket.get(bucket) ?? []) : [],
      };
    });
  });
}

const configurationOf = (facts: Facts, bucket: string) =>
  factValue(factValue(facts.buckets[bucket])?.replication);

const rulesIn = (facts: Facts, bucket: string): ReplicationRule[] =>
  configurationOf(facts, bucket)?.Rules ?? [];

/** Returns the context of a rule that is enabled in a state; undefined if S3 does not replicate by it. */
export function activeRuleIn(facts: Facts, bucket: string, id: string): RuleContext | undefined {
  const configuration = configurationOf(facts, bucket);
  const rule = configuration?.Rules.find(({ ID = '', Status }) => ID === id && Status === 'Enabled');
  const source = configuration && ruleBucketOf(facts, bucket, configuration.Role.split(':')[4] ?? '');
  return configuration && rule && source && ruleContextOf(facts, source, configuration, rule);
}

/**
 * Proves one rule in every state of a plan.
 *
 * @param endFacts after all steps that are not blocked
 */
function proveRuleStates(rule: TouchedRule, states: PlanStates, endFacts: Facts): TransitionProof {
  const { bucket, id, isForeign } = rule;
  const start = activeRuleIn(states.before, bucket, id);
  const end = activeRuleIn(endFacts, bucket, id);
  const relevant = relevantSteps(rule, states.steps, start, end);
  if (relevant.length === 0) return { stopped: [], undecided: [] };
  const sample = start ? [...rule.sample, ...assumedObjects(start, rule)] : rule.sample;
  // A declared rule may intend to pass over encrypted objects: the proof of the plan warns of this.
  const ignoresSelection = !isForeign && end !== undefined && !selectsKmsObjects(end.rule);
  const judge = createRuleJudge({ start, end, sample, isForeign, ignoresSelection });
  const stoppedBy = (
    steps: readonly StateStep[],
    when: StoppedRule['when'],
    step: Id | undefined,
    retention?: Retention,
  ): StoppedRule | undefined => {
    const context = activeRuleIn(states.after(steps, retention), bucket, id);
    const failure = context && judge.newFailureIn(context, when === 'expired');
    return failure && { bucket, rule: id, isForeign, when, ...(step && { step }), ...failure };
  };

  const all = relevant.filter((step) => !step.isBlocked);
  const find = (): StoppedRule | undefined => {
    for (const closed of closedSets(all)) {
      const last = closed.last?.id;
      const during = stoppedBy(closed.steps, 'during', last);
      if (!during) continue;
      const withoutSwitch = all.filter(({ fields }) => !fields.includes('replication'));
      const inFlight = activeRuleIn(states.after(withoutSwitch), bucket, id);
      const losesInFlight = inFlight !== undefined && judge.losesInFlight(inFlight);
      return stoppedBy(all, 'after', last) ?? { ...during, ...(losesInFlight && { losesInFlight }) };
    }
    if (all.every(({ losesRetained }) => !losesRetained)) return undefined;
    const narrowing = all.findLast(({ retains }) => retains)?.id;
    return stoppedBy(all, 'expired', narrowing, NARROW_ALL);
  };
  const stopped = find();
  // The proof of the plan already reports a managed rule that does not replicate in the end.
  if (stopped) return { stopped: !isForeign && stopped.when === 'after' ? [] : [stopped], undecided: [] };
  const finding = isForeign ? judge.undecided() : undefined;
  return { stopped: [], undecided: finding ? [{ bucket, rule: id, finding }] : [] };
}

/** Returns the steps that change what decides about a rule, before or after the plan. */
function relevantSteps(
  { bucket, sample }: TouchedRule,
  steps: readonly StateStep[],
  ...contexts: (RuleContext | undefined)[]
): StateStep[] {
  const used = new Map<string, readonly string[] | undefined>();
  for (const context of contexts.flatMap((item) => item ?? [])) {
    used.set(`bucket ${context.destinationName}`, DECISIVE_FIELDS.destination);
    used.set(`role ${context.role}`, undefined);
    const objectKeys = [
      defaultEncryptionOf(context).keyArn,
      ...keyArnsInPolicies(context),
      ...sample.flatMap(({ encryption }) => (encryption.algorithm === 'AES256' ? [] : encryption.keyArn)),
    ];
    for (const key of [...objectKeys, ...replicaKeyArns(context, objectKeys)])
      used.set(`key ${key}`, undefined);
  }
  for (const { encryption } of sample)
    if (encryption.algorithm !== 'AES256') used.set(`key ${encryption.keyArn}`, undefined);
  used.set(`bucket ${bucket}`, DECISIVE_FIELDS.source);
  return steps.filter(({ owner, fields }) => {
    const decisive = used.get(owner);
    return used.has(owner) && fields.some((field) => decisive?.includes(field) ?? true);
  });
}

/** Without a KMS default, the keys that the role's policies name are the keys of encrypted objects. */
function assumedObjects(start: RuleContext, { isForeign }: TouchedRule): ObservedObject[] {
  if (!isForeign || !selectsKmsObjects(start.rule)) return [];
  if (isKmsAlgorithm(defaultEncryptionOf(start).algorithm)) return [];
  return keyArnsInPolicies(start).map((keyArn) => ({
    encryption: { algorithm: 'aws:kms', keyArn, bucketKey: false },
  }));
}

interface ClosedSet {
  steps: StateStep[];
  /** The last step that does more than widen. */
  last: StateStep | undefined;
}

/** With more steps that do not only widen, the proof checks the states in the order of the plan only. */
const MAX_ENUMERATED_STEPS = 8;

/** Returns the closed sets of the steps that do not only widen, smallest first, each with the steps that it needs. */
function closedSets(steps: readonly StateStep[]): ClosedSet[] {
  const narrowing = steps.filter((step) => !step.isWidening);
  const sets =
    narrowing.length > MAX_ENUMERATED_STEPS
      ? narrowing.map((_, index) => narrowing.slice(0, index + 1))
      : subsetsOf(narrowing).filter((set) => isClosed(set, narrowing));
  return sets
    .filter((set) => set.length > 0)
    .sort((a, b) => a.length - b.length)
    .map((set) => {
      const needed = new Set(set.flatMap(({ needs, id }) => [...needs, id]));
      return { steps: steps.filter(({ id }) => needed.has(id)), last: set.at(-1) };
    });
}

/** Whether a set of steps contains every one of `steps` that its members need. */
export const isClosed = (set: readonly StateStep[], steps: readonly StateStep[]): boolean =>
  set.every(({ needs }) => steps.every((step) => !needs.includes(step.id) || set.includes(step)));

/** Returns all subsets of a few items, in which the items keep their order. */
const subsetsOf = <T>(items: readonly T[]): T[][] =>
  Array.from({ length: 2 ** items.length }, (_, subset) =>
    items.filter((_item, index) => subset & (1 << index)),
  );

interface RuleJudge {
  /** Returns the first kind of object that fails in a state and did not before the plan. */
  newFailureIn(
    context: RuleContext,
    isExpired: boolean,
  ): Pick<StoppedRule, 'objects' | 'finding'> | undefined;
  /** Whether objects that S3 selected before the plan fail when it processes them in a state. */
  losesInFlight(context: RuleContext): boolean;
  /** Returns why the rule is undecided, both before and after the plan. */
  undecided(): Finding | undefined;
}

interface JudgedRule {
  /** The rule before the plan; undefined if S3 does not replicate by it. */
  start: RuleContext | undefined;
  /** The rule after the plan. */
  end: RuleContext | undefined;
  sample: readonly ObservedObject[];
  isForeign: boolean;
  /** Whether the rule passes over encrypted objects on purpose. */
  ignoresSelection: boolean;
}

function createRuleJudge({ start, end, sample, isForeign, ignoresSelection }: JudgedRule): RuleJudge {
  const failure = (context: RuleContext, cases: readonly ObjectCase[]): Finding | undefined => {
    const relevant = proveRule(context, () => [...cases]).findings.filter(
      ({ code, severity }) =>
        (severity === 'error' || severity === 'unknown') && !(ignoresSelection && code === 'RK1003'),
    );
    return relevant[0];
  };
  const startCases = start ? objectCasesOf(start, sample).filter(isTypical) : [];
  const baseline = start ?? end;

  /** Returns the object that the same writer wrote before the plan: the default encryption may differ. */
  function caseBefore(context: RuleContext, objectCase: ObjectCase): ObjectCase {
    if (!baseline || objectCase.type !== 'object') return objectCase;
    const [now, then] = [defaultEncryptionOf(context), defaultEncryptionOf(baseline)];
    const isDefault = isEncryptedBy(objectCase, now);
    if (!isDefault) return { ...objectCase, isTypical: true };
    const { algorithm, keyArn, bucketKey } = then;
    const encryption = isKmsAlgorithm(algorithm)
      ? { algorithm, keyArn, bucketKey }
      : { algorithm: 'AES256' as const };
    return { ...objectCase, encryption, isTypical: true };
  }

  return {
    newFailureIn(context, isExpired) {
      if (!baseline) return undefined;
      const casesNow = objectCasesOf(context, sample);
      const cases = [
        ...casesNow,
        // Objects in flight were written before the plan.
        ...(isExpired
          ? []
          : startCases.filter((objectCase) => !casesNow.some((item) => isJsonEqual(item, objectCase)))),
      ];
      if (!failure(context, cases)) return undefined;
      for (const objectCase of cases) {
        const finding = failure(context, [objectCase]);
        if (!finding) continue;
        const before = failure(baseline, [caseBefore(context, objectCase)]);
        const isWorse = !before || (before.severity === 'unknown' && finding.severity === 'error');
        if (!isWorse) continue;
        // A managed rule that fails in the end, too, is unproven.
        if (!isForeign && end && end !== baseline && failure(end, [objectCase])) continue;
        return { objects: describeObjects(context, objectCase, finding), finding };
      }
      return undefined;
    },
    losesInFlight: (context) =>
      startCases.some((objectCase) =>
        proveRule(context, () => [objectCase]).findings.some(
          ({ code, severity }) => severity === 'error' && code !== 'RK1003',
        ),
      ),
    undecided() {
      if (!start || !end) return undefined;
      const [before, after] = [failure(start, startCases), failure(end, objectCasesOf(end, sample))];
      return before?.severity === 'unknown' && after?.severity === 'unknown' ? after : undefined;
    },
  };
}

const isTypical = (objectCase: ObjectCase): boolean => objectCase.type !== 'object' || objectCase.isTypical;

const isEncryptedBy = (
  objectCase: Extract<ObjectCase, { type: 'object' }>,
  { algorithm, keyArn }: ReturnType<typeof defaultEncryptionOf>,
): boolean =>
  objectCase.encryption.algorithm === 'AES256'
    ? !isKmsAlgorithm(algorithm)
    : isKmsAlgorithm(algorithm) && objectCase.encryption.keyArn === keyArn;

/** Returns the kind of object, for messages. */
function describeObjects(context: RuleContext, objectCase: ObjectCase, { code }: Finding): string {
  if (objectCase.type === 'delete marker') return 'delete markers';
  const key =
    objectCase.key === `${rulePrefixOf(context.rule)}any object` ? '' : ` such as ${objectCase.key}`;
  if (code === 'RK1003') return `new objects${key}, which the default encryption changes`;
  const { encryption } = objectCase;
  if (encryption.algorithm === 'AES256') return `objects${key} with SSE-S3`;
  return `objects${key} under the key ${encryption.keyArn}`;
}

/** The rules of a bucket that a change concerns, and what S3 uses for them. */
export interface RuleDocuments {
  /** Ids of enabled rules that are new or different, or that get another role. */
  rules: string[];
  buckets: string[];
  /** ARNs. */
  roles: string[];
  /** ARNs. */
  keys: string[];
}

/** Returns the rules that differ between two states, with the buckets, roles and keys that S3 uses for them. */
export function ruleDocumentsOf(after: Facts, before: Facts, bucket: string): RuleDocuments {
  const roleBefore = configurationOf(before, bucket)?.Role;
  const contexts = rulesIn(after, bucket).flatMap(({ ID = '' }) => {
    const [now, then] = [activeRuleIn(after, bucket, ID), activeRuleIn(before, bucket, ID)];
    const isUnchanged = then && now && now.role === roleBefore && isJsonEqual(now.rule, then.rule);
    return now && !isUnchanged ? [now] : [];
  });
  const keysOf = (context: RuleContext) => [
    ...(isKmsAlgorithm(defaultEncryptionOf(context).algorithm) && selectsKmsObjects(context.rule)
      ? [defaultEncryptionOf(context).keyArn]
      : []),
    ...replicaKeyArns(context, [defaultEncryptionOf(context).keyArn]),
  ];
  const unique = (names: string[]) => [...new Set(names)];
  return {
    rules: contexts.map(({ rule }) => rule.ID ?? ''),
    buckets:
      contexts.length === 0 ? [] : unique([bucket, ...contexts.map((context) => context.destinationName)]),
    roles: unique(contexts.map(({ role }) => role)),
    keys: unique(contexts.flatMap(keysOf)),
  };
}

/** Proves some rules in a state, for the objects that are typical. */
export const proveRulesOf = (facts: Facts, bucket: string, rules: readonly string[]): RuleProof[] =>
  rules.flatMap((rule) => {
    const context = activeRuleIn(facts, bucket, rule);
    return context
      ? [proveRule(context, (ruleContext) => objectCasesOf(ruleContext, []).filter(isTypical))]
      : [];
  });

/** Returns the errors of some rules in a state, the first of each rule; empty for rules that S3 can replicate by. */
export const failuresOfRules = (
  facts: Facts,
  bucket: string,
  rules: readonly string[],
): { rule: string; finding: Finding }[] =>
  proveRulesOf(facts, bucket, rules).flatMap(({ rule, findings }) => {
    const finding = findings.find(({ code, severity }) => severity === 'error' && code !== 'RK1003');
    return finding ? [{ rule, finding }] : [];
  });
