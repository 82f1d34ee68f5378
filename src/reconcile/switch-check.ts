import { ownerKey } from '../core/adoption.ts';
import { type Facts, factValue, isUnread, type KeyFacts, mergeFacts } from '../core/facts.ts';
import type { Change, Kind } from '../core/kind.ts';
import { requireKind } from '../core/plan.ts';
import { ref } from '../core/ref.ts';
import type { ActualState, Aws, Resource } from '../core/resource.ts';
import { collectFacts, proveWithGrants } from '../facts/collect.ts';
import { locationsOf } from '../facts/locations.ts';
import { type ProofInputs, projectionOf } from '../proof/plan-proof.ts';
import { projectFacts } from '../proof/project.ts';
import { failuresOfRules, observedForm, proveRulesOf, ruleDocumentsOf } from '../proof/transition-proof.ts';
import type { Specs } from '../spec/types.ts';
import { omitUndefined } from '../util/canonical-json.ts';

/** What the check of a change of rules needs from the draft of its plan. */
export interface SwitchInputs {
  specs: Specs;
  resources: readonly Resource[];
  kinds: ReadonlyMap<string, Kind>;
  /** The facts of the plan. */
  facts: ProofInputs;
}

/**
 * Reads the documents again that changed rules depend on, and proves these rules again. Immediately before the write of
 * the rules: another caller may have changed a document since the plan was made, and S3 never retries an object that it
 * failed. Documents of a bucket, role or key that this run created are known.
 *
 * @throws SwitchError when a rule would fail that does not fail by the documents of the plan
 */
export type SwitchCheck = (change: Change, applied: AppliedState, aws: Aws) => Promise<void>;

export interface AppliedState {
  actual: ActualState;
  /** Buckets, roles and keys that this run created, as `ownerKey` names them. */
  createdOwners: ReadonlySet<string>;
}

export class SwitchError extends Error {}

export function createSwitchCheck({ specs, resources, kinds, facts }: SwitchInputs): SwitchCheck {
  return async ({ resource, current, doc }, { actual, createdOwners }, aws) => {
    const projection = projectionOf(resources, actual, kinds, facts);
    const observed = resources.flatMap((item) => observedForm(item, projection));
    const observedFacts = projectFacts(facts.facts, observed, projection);
    const kind = requireKind(kinds, resource);
    const arn = projection.arnOf(ref(kind.scope.ownerId(resource.id)));
    const context = { current, arn, accountId: projection.accountIdOf(resource.location) };
    const after = kind.scope.facts?.(doc, context) ?? kind.scope.factsOfDeleted ?? {};
    const { region } = resource.location;
    const planned = withBucket(observedFacts, resource.name, { region, ...after });
    const documents = ruleDocumentsOf(planned, observedFacts, resource.name);
    if (documents.rules.length === 0) return;
    const created = new Set(
      resources
        .filter((item) => createdOwners.has(ownerKey(item)))
        .flatMap((item) => [
          item.name,
          projection.arnOf(ref(requireKind(kinds, item).scope.ownerId(item.id))),
        ]),
    );
    const isOther = (name: string) => !created.has(name);
    const locations = locationsOf(specs, region);
    const fresh = await collectFacts(
      aws,
      {
        buckets: documents.buckets.filter(isOther),
        roles: documents.roles.filter(isOther).map((role) => ({ arn: role })),
        keys: documents.keys.filter(isOther),
      },
      locations,
    );
    const withoutGrants = mapGrants(withFresh(planned, fresh), () => undefined);
    const { facts: latest } = await proveWithGrants(aws, withoutGrants, locations, (known) => ({
      result: undefined,
      proofs: proveRulesOf(known, resource.name, documents.rules),
    }));
    // Grants that cannot be read do not excuse a permission that is gone.
    const readable = mapGrants(latest, (grants) => (isUnread(grants) ? undefined : grants));
    const failure = failuresOfRules(readable, resource.name, documents.rules).find(
      ({ rule, finding }) =>
        !failuresOfRules(planned, resource.name, [rule]).some(
          (before) => before.finding.code === finding.code,
        ),
    );
    if (!failure) return;
    const { rule, finding } = failure;
    throw new SwitchError(
      `the rule "${rule}" would not replicate: ${finding.code} ${finding.message}; another caller changed this since the plan was made. Nothing was written, and the old rules stay in effect: run replikey again`,
    );
  };
}

const withBucket = (facts: Facts, name: string, fields: object): Facts => ({
  ...facts,
  buckets: { ...facts.buckets, [name]: { ...factValue(facts.buckets[name]), ...fields } as never },
});

/** Returns the facts with other grants of their keys; undefined: not read. */
const mapGrants = (facts: Facts, map: (grants: KeyFacts['grants']) => KeyFacts['grants']): Facts => ({
  ...facts,
  keys: Object.fromEntries(
    Object.entries(facts.keys).map(([name, fact]) => {
      const key = factValue(fact);
      if (!key) return [name, fact];
      const { grants, ...others } = key;
      return [name, omitUndefined({ ...others, grants: map(grants) })];
    }),
  ),
});

/** Lays facts that were read again over others. A role is replaced as a whole: a policy of it may be gone. */
function withFresh(facts: Facts, fresh: Facts): Facts {
  const result: Facts = {
    buckets: { ...facts.buckets },
    roles: { ...facts.roles, ...fresh.roles },
    keys: { ...facts.keys },
  };
  mergeFacts(result, { buckets: fresh.buckets, keys: fresh.keys });
  return result;
}
