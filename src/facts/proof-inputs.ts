import { copyFacts, type Fact, type Facts, factValue, mergeFacts } from '../core/facts.ts';
import { accountsOfPair, locationOfSide } from '../core/ids.ts';
import type { Kind } from '../core/kind.ts';
import type { PlanDraft } from '../core/plan.ts';
import { ref } from '../core/ref.ts';
import type { ActualState, Aws, Location, Ref, Resource, Step } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import type { Policy } from '../iam/types.ts';
import { relatedSides } from '../policy/required-statements.ts';
import { resourcesNamedBy } from '../policy/statements.ts';
import { asReplaced } from '../policy/transitions.ts';
import { type ProofInputs, projectionOf } from '../proof/plan-proof.ts';
import { projectFacts } from '../proof/project.ts';
import { observedForm } from '../proof/transition-proof.ts';
import { keyUsesOf } from '../spec/key-uses.ts';
import type { BucketReplication, Specs } from '../spec/types.ts';
import { collectFacts, collectMissingFacts, collectObjectLocks, collectReplicationFacts } from './collect.ts';
import { locationsOf } from './locations.ts';
import { addAccountFacts, type OrganizationReader } from './organization.ts';
import { readBoundary } from './read.ts';

/** Reads the proof inputs concurrently with the observation, because neither depends on the other. */
export async function readProofInputs(
  specs: Specs,
  aws: Aws,
  organization?: OrganizationReader,
): Promise<ProofInputs> {
  const managedPairs = specs.pairs.filter(({ source }) => source.managed);
  const [facts, accountIds] = await Promise.all([
    collectFacts(
      aws,
      {
        buckets: managedPairs.flatMap(({ source, destination }) => [source.bucket, destination.bucket]),
        roles: managedPairs.map(({ role, source }) =>
          'arn' in role ? role : { name: role.name, location: locationOfSide(source) },
        ),
        keys: managedPairs.flatMap(externalKeyArnsOf),
      },
      locationsOf(specs, managedPairs[0]?.source.region ?? 'us-east-1'),
    ),
    resolveAccountIds(managedPairs, aws),
  ]);
  return { facts: await addAccountFacts(organization, facts, accountIds.values()), accountIds };
}

/** Reads the proof inputs of a pass that changes no rules: everything as it is in AWS, as the doctor does. */
export async function readLiveProofInputs(
  specs: Specs,
  aws: Aws,
  organization?: OrganizationReader,
): Promise<ProofInputs> {
  const buckets = [...new Set(specs.pairs.map(({ source }) => source.bucket))];
  const [facts, accountIds] = await Promise.all([
    collectReplicationFacts(aws, buckets, locationsOf(specs, specs.pairs[0]?.source.region ?? 'us-east-1')),
    resolveAccountIds(specs.pairs, aws),
  ]);
  return { facts: await addAccountFacts(organization, facts, accountIds.values()), accountIds };
}

/** A plan, with what the proof of its transition needs. */
export interface TransitionSubject {
  specs: Specs;
  resources: readonly Resource[];
  actual: ActualState;
  kinds: ReadonlyMap<string, Kind>;
  plan: Pick<PlanDraft, 'waves' | 'housekeeping'>;
}

/**
 * Adds the facts about what a plan touches beside the declared resources: rules that no spec declares, with their role,
 * destinations and keys; Object Lock; boundaries that roles get. A pass without changes makes no calls for them.
 */
export async function addTransitionFacts(
  inputs: ProofInputs,
  subject: TransitionSubject,
  aws: Aws,
  organization?: OrganizationReader,
): Promise<ProofInputs> {
  const { specs, resources, actual, kinds, plan } = subject;
  const steps = plan.waves.flat();
  const changingPairs = new Set([...steps, ...plan.housekeeping].flatMap(({ pairs }) => pairs));
  if (changingPairs.size === 0) return inputs;
  const pairs = specs.pairs.filter(({ name, source }) => source.managed && changingPairs.has(name));
  const projection = projectionOf(resources, actual, kinds, inputs);
  const observed = resources.flatMap((resource) => observedForm(resource, projection));
  const before = projectFacts(inputs.facts, observed, projection);
  const sharedWith = sourcesOfChangingRoles(subject, before, projection.arnOf);
  const locations = {
    ...locationsOf(specs, pairs[0]?.source.region ?? steps[0]?.at.region ?? 'us-east-1'),
    sharedWith,
  };
  const [locks, missing, boundaries] = await Promise.all([
    // A missing permission to read Object Lock is only a warning.
    collectObjectLocks(
      aws,
      pairs.flatMap(({ source, destination }) => [source.bucket, destination.bucket]),
      locations,
    ),
    collectMissingFacts(
      aws,
      before,
      [
        ...pairs.map(({ source }) => source.bucket),
        ...steps.flatMap(bucketOfRules(subject)),
        ...sharedWith.keys(),
      ],
      locations,
    ),
    readNewBoundaries(subject, aws),
  ]);
  const facts = copyFacts(inputs.facts);
  mergeFacts(facts, missing);
  mergeFacts(facts, { buckets: locks });
  return { ...inputs, facts: await addAccountFacts(organization, facts), boundaries };
}

/** Returns the source buckets that the policies of changing roles name, with the location of the role. */
function sourcesOfChangingRoles(
  { resources, kinds, plan }: TransitionSubject,
  before: Facts,
  arnOf: (reference: Ref) => string,
): Map<string, Location> {
  const changing = new Set([...plan.waves.flat(), ...plan.housekeeping].map(({ id }) => id));
  return new Map(
    resources.flatMap(({ id, kind, location }): [string, Location][] => {
      const scope = kinds.get(kind)?.scope;
      if (!changing.has(id) || scope?.type !== 'role') return [];
      const role = factValue(before.roles[arnOf(ref(scope.ownerId(id)))]);
      const statements = Object.values(factValue(role?.policies) ?? {}).flatMap(({ Statement }) => Statement);
      return resourcesNamedBy(statements.map(asReplaced)).sources.map((bucket) => [bucket, location]);
    }),
  );
}

/** Returns the bucket whose rules a step changes. */
const bucketOfRules =
  ({ kinds }: TransitionSubject) =>
  ({ id, kind }: Step): string[] =>
    kinds.get(kind)?.scope.stage === 'rules' ? [id.slice(id.indexOf('/') + 1)] : [];

/** Reads the policies that roles get as their boundaries. */
async function readNewBoundaries(
  { resources, plan }: TransitionSubject,
  aws: Aws,
): Promise<Record<string, Fact<Policy>>> {
  const stepIds = new Set(
    plan.waves
      .flat()
      .filter(({ patch }) => patch.some(({ path }) => path === '/permissionsBoundary'))
      .map(({ id }) => id),
  );
  const entries = resources
    .filter(({ id }) => stepIds.has(id))
    .flatMap(({ spec, location }) => {
      const { permissionsBoundary: arn } = spec as { permissionsBoundary?: string };
      return arn === undefined ? [] : [{ arn, location }];
    })
    .map(async ({ arn, location }) => [arn, await readBoundary(aws, location, arn)] as const);
  return Object.fromEntries(await Promise.all(entries));
}

const externalKeyArnsOf = (pair: BucketReplication): string[] =>
  [...keyUsesOf(pair).map(({ side }) => side), ...relatedSides(pair)].flatMap(({ key }) =>
    'arn' in key ? key.arn : [],
  );

async function resolveAccountIds(
  pairs: readonly BucketReplication[],
  aws: Aws,
): Promise<Map<string, string>> {
  const owners = pairs.flatMap(accountsOfPair);
  const names = [...new Set(owners.filter(({ managed }) => managed).map(({ account }) => account))];
  const ids = names.map(async (name): Promise<[string, string][]> => {
    try {
      return [[name ?? '', await aws.accountId(name)]];
    } catch (error) {
      if (error instanceof UserError) throw error;
      return [];
    }
  });
  const declaredIds = owners.flatMap(({ account = '', accountId }): [string, string][] =>
    accountId === undefined ? [] : [[account, accountId]],
  );
  return new Map([...declaredIds, ...(await Promise.all(ids)).flat()]);
}
