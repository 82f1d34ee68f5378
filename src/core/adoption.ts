import type { BucketReplication } from '../spec/types.ts';
import { appendToPointer } from '../util/json-pointer.ts';
import { isRedrive, MANAGED_BY_TAG, SPEC_TAG, specNameOfRule } from './ids.ts';
import type { Id, Note, PlanContent, Resource, Risk, Step } from './resource.ts';

/** Tags of the existing buckets, keys and roles that a plan changes; undefined when the tags cannot be read. */
export type TagsById = ReadonlyMap<Id, Record<string, string> | undefined>;

/**
 * Returns a key of the bucket, key or role that a resource belongs to: the same for `s3.versioning/x` and
 * `s3.bucket/x`.
 */
export const ownerKey = ({ id }: { id: Id }): string =>
  `${id.slice(0, id.indexOf('.'))} ${id.slice(id.indexOf('/') + 1)}`;

/**
 * Adds the adoption of existing resources to a plan. With `adopt: Never`, each resource that replikey does not manage
 * is a risk. With `adopt: IfCompatible`, a resource that another tool seems to manage is a risk. Other adoptions are
 * notes. Removes the risks of settings that an unfinished first run of the same specs did not reach.
 */
export function assessAdoption(
  plan: PlanContent,
  resources: readonly Resource[],
  pairs: readonly BucketReplication[],
  tagsById: TagsById,
): PlanContent {
  const notes: Note[] = [];
  const risksByStep = new Map<Id, Risk[]>();
  const resourcesById = new Map(resources.map((resource) => [resource.id, resource]));
  const firstSteps = new Map([...plan.waves.flat()].reverse().map((step) => [ownerKey(step), step]));
  for (const [id, tags] of tagsById) {
    const resource = resourcesById.get(id);
    const firstStep = resource && firstSteps.get(ownerKey(resource));
    if (!resource || resource.orphaned || !firstStep) continue;
    const verdict = assessResource(resource, tags, strictestAdoption(resource, pairs));
    if (verdict.risk) risksByStep.set(firstStep.id, [...(risksByStep.get(firstStep.id) ?? []), verdict.risk]);
    if (verdict.note) notes.push({ id, message: verdict.note, pairs: resource.declaredBy });
  }
  const unfinishedSpecs = specsWithNewRules(plan.waves.flat(), pairs);
  // An interrupted run may have created the new destination of existing rules.
  const moves = (name: string, { id }: Step) => isNewDestination(plan.waves.flat(), name, id);
  const tagsByOwner = new Map([...tagsById].map(([id, tags]) => [ownerKey({ id }), tags]));
  const withAdoptionRisks = (step: Step): Step => ({
    ...step,
    risks: [
      ...step.risks.filter(
        ({ isInitial }) =>
          !isInitial ||
          !step.pairs.every((name) => unfinishedSpecs.has(name) || moves(name, step)) ||
          !isCreatedFor(step.pairs, tagsByOwner.get(ownerKey(step))),
      ),
      ...(risksByStep.get(step.id) ?? []),
    ],
  });
  return {
    ...plan,
    waves: plan.waves.map((wave) => wave.map(withAdoptionRisks)),
    notes: [...plan.notes, ...notes],
  };
}

/**
 * Returns the specs whose first run is not finished: a plan creates all of their rules, which come last. The rules of an
 * account without credentials cannot be read, so they count as new.
 */
function specsWithNewRules(steps: readonly Step[], pairs: readonly BucketReplication[]): Set<string> {
  const names = new Set(pairs.flatMap(({ name, source }) => (source.managed ? [] : name)));
  for (const { action, patch, desired, pairs: declaredBy } of steps) {
    const { rules } = (desired ?? {}) as { rules?: object };
    if (rules === undefined) continue;
    const added = new Set(patch.flatMap(({ op, path }) => (op === 'add' ? path : [])));
    for (const name of declaredBy) {
      const ids = Object.keys(rules).filter((id) => specNameOfRule(id) === name);
      const isNew = ids.length > 0 && ids.every((id) => added.has(appendToPointer('/rules', id)));
      if (action === 'create' || isNew) names.add(name);
    }
  }
  return names;
}

/** Returns whether a plan makes the bucket of a document the destination of rules of a spec, which it was not before. */
function isNewDestination(steps: readonly Step[], specName: string, id: Id): boolean {
  const isNamedIn = (value: unknown) =>
    JSON.stringify(value ?? '').includes(`:::${id.slice(id.indexOf('/') + 1)}"`);
  return steps.some(
    ({ patch, before, desired, pairs }) =>
      pairs.includes(specName) &&
      (desired as { rules?: object } | undefined)?.rules !== undefined &&
      patch.some(
        (operation) => operation.op !== 'remove' && 'value' in operation && isNamedIn(operation.value),
      ) &&
      !isNamedIn(before),
  );
}

/** Returns whether replikey created a resource for one of these specs. */
const isCreatedFor = (specNames: readonly string[], tags: Record<string, string> | undefined): boolean =>
  tags?.[MANAGED_BY_TAG] === 'replikey' &&
  (tags[SPEC_TAG] ?? '').split(' ').some((specName) => specNames.includes(specName));

function assessResource(
  { id, declaredBy }: Resource,
  tags: Record<string, string> | undefined,
  adopt: BucketReplication['policy']['adopt'],
): { risk?: Risk; note?: string } {
  if (tags === undefined)
    return { note: 'its tags cannot be read, so replikey cannot detect another tool that manages it' };
  const specNames = tags[SPEC_TAG]?.split(' ') ?? [];
  if (MANAGED_BY_TAG in tags) {
    if (specNames.some((specName) => declaredBy.includes(specName))) return {};
    // A re-drive and a spec share the role of the jobs of a bucket.
    if ([...specNames, ...declaredBy].some(isRedrive)) return {};
    return {
      note: `was created for the spec ${specNames.join(', ') || '(unnamed)'}, which is not among the specs that declare it now`,
    };
  }
  const manager = detectManager(tags);
  if (adopt === 'Never') {
    const message = `${id} already exists, replikey does not manage it, and the spec sets adopt: Never`;
    return { risk: { id: 'adopt', message } };
  }
  if (manager !== undefined && adopt === 'IfCompatible') {
    const message = `${id} appears to be managed by ${manager}, which may revert this change, or have its own changes reverted`;
    return { risk: { id: 'other-manager', message } };
  }
  const managerSuffix = manager === undefined ? '' : ` and appears to be managed by ${manager}`;
  return {
    note: `already exists${managerSuffix}: replikey changes only the settings in this plan`,
  };
}

/** Tags that other tools set on the resources that they manage. */
const MANAGER_TAGS: readonly [pattern: RegExp, manager: (value: string) => string][] = [
  [/^aws:cloudformation:stack-name$/, (stack) => `the CloudFormation stack ${stack}`],
  [/^services\.k8s\.aws\/controller-version$/, (version) => `an ACK controller (${version})`],
  [/^crossplane-(name|kind|providerconfig)$/, (value) => `Crossplane (${value})`],
  [/^pulumi:(project|stack)$/, (value) => `Pulumi (${value})`],
  [/^(terraform|tf[-_:].*|terraform[-_:].*)$/i, () => 'Terraform'],
  [/^managed[-_ ]?by$/i, (value) => value],
];

/** Returns the tool that manages a resource according to its tags: `the CloudFormation stack web`; undefined: none. */
export function detectManager(tags: Record<string, string>): string | undefined {
  for (const [key, value] of Object.entries(tags)) {
    const managerTag = MANAGER_TAGS.find(([pattern]) => pattern.test(key));
    if (managerTag) return managerTag[1](value);
  }
  return undefined;
}

function strictestAdoption(
  { declaredBy: names }: Resource,
  pairs: readonly BucketReplication[],
): BucketReplication['policy']['adopt'] {
  const adoptPolicies = pairs.filter(({ name }) => names.includes(name)).map(({ policy }) => policy.adopt);
  return (
    (['Never', 'IfCompatible'] as const).find((adoptPolicy) => adoptPolicies.includes(adoptPolicy)) ??
    'Always'
  );
}
