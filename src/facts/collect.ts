import { emptyFacts, type Facts, factValue, isUnread, mergeFacts } from '../core/facts.ts';
import type { Aws, Location } from '../core/resource.ts';
import { accountOfArn } from '../iam/context.ts';
import { keyArnsOfRule } from '../proof/object-cases.ts';
import { keyFactOf } from '../proof/policies.ts';
import { keysDecidedByGrants } from '../proof/prove.ts';
import { destinationBucketOf, ruleBucketOf, ruleContextOf } from '../proof/rule-context.ts';
import type { RuleProof } from '../proof/types.ts';
import { canonicalJson } from '../util/canonical-json.ts';
import type { Locations } from './locations.ts';
import {
  type BucketFactScope,
  readBucketFacts,
  readKeyFacts,
  readKeyGrants,
  readRoleFacts,
  readRoleFactsByName,
} from './read.ts';

/** Reads each requested resource once and stores the result as facts. */
interface FactCollector {
  facts: Facts;
  bucket(name: string, scope: BucketFactScope): Promise<void>;
  role(arn: string): Promise<void>;
  key(arn: string): Promise<void>;
}

function createFactCollector(aws: Aws, locations: Locations): FactCollector {
  const facts = emptyFacts();
  const promises = new Map<string, Promise<void>>();
  const readOnce = (id: string, read: () => Promise<void>): Promise<void> => {
    const promise = promises.get(id) ?? read();
    promises.set(id, promise);
    return promise;
  };
  return {
    facts,
    bucket: (name, scope) =>
      readOnce(`${scope} ${name}`, async () => {
        mergeFacts(facts, { buckets: { [name]: await readBucketFacts(aws, name, scope, locations) } });
      }),
    role: (arn) =>
      readOnce(arn, async () => {
        facts.roles[arn] = await readRoleFacts(aws, arn, locations);
      }),
    key: (arn) =>
      readOnce(arn, async () => {
        facts.keys[arn] = await readKeyFacts(aws, arn, locations);
      }),
  };
}

/**
 * Reads all facts that the proof of some source buckets needs, by following their replication configurations. A
 * resource that cannot be read is recorded with the reason; the remaining reads continue.
 */
export async function collectReplicationFacts(
  aws: Aws,
  names: readonly string[],
  locations: Locations,
): Promise<Facts> {
  const collector = createFactCollector(aws, locations);
  const { facts } = collector;
  await Promise.all(
    names.map(async (name) => {
      await collector.bucket(name, 'source');
      const configuration = factValue(factValue(facts.buckets[name])?.replication);
      if (!configuration) return;
      const { Role, Rules } = configuration;
      await Promise.all([
        collector.role(Role),
        ...Rules.map((rule) => collector.bucket(destinationBucketOf(rule), 'destination')),
      ]);
      const source = ruleBucketOf(facts, name, accountOfArn(Role));
      if (!source) return;
      const contexts = Rules.map((rule) => ruleContextOf(facts, source, configuration, rule));
      await Promise.all(contexts.flatMap(keyArnsOfRule).map(collector.key));
    }),
  );
  return facts;
}

/**
 * Reads the facts that the proof of the rules of some buckets needs and that are not known yet. It reads nothing for
 * rules whose role, destination and keys are known.
 */
export async function collectMissingFacts(
  aws: Aws,
  known: Facts,
  buckets: Iterable<string>,
  locations: Locations,
): Promise<Facts> {
  const collector = createFactCollector(aws, locations);
  await Promise.all(
    [...new Set(buckets)].map(async (name) => {
      const isKnown = factValue(known.buckets[name])?.replication !== undefined;
      // A declared bucket without a configuration has no rules.
      if (!isKnown && name in known.buckets) return;
      if (!isKnown) await collector.bucket(name, 'foreign source');
      const facts = isKnown ? known : collector.facts;
      const configuration = factValue(factValue(facts.buckets[name])?.replication);
      if (!configuration) return;
      const { Role, Rules } = configuration;
      await Promise.all([
        ...(Role in known.roles ? [] : [collector.role(Role)]),
        ...Rules.map(destinationBucketOf)
          .filter((bucket) => !(bucket in known.buckets))
          .map((bucket) => collector.bucket(bucket, 'foreign destination')),
      ]);
      const merged: Facts = {
        buckets: { ...collector.facts.buckets, ...known.buckets },
        roles: { ...collector.facts.roles, ...known.roles },
        keys: known.keys,
      };
      const source = ruleBucketOf(merged, name, accountOfArn(Role));
      if (!source) return;
      const contexts = Rules.map((rule) => ruleContextOf(merged, source, configuration, rule));
      await Promise.all(
        contexts
          .flatMap(keyArnsOfRule)
          .filter((arn) => !(arn in known.keys))
          .map(collector.key),
      );
    }),
  );
  return collector.facts;
}

/** The buckets, roles and keys from which the proof of a plan starts. */
export interface FactTargets {
  buckets: Iterable<string>;
  roles: Iterable<{ arn: string } | { name: string; location: Location }>;
  /** ARNs. */
  keys: Iterable<string>;
}

/**
 * Reads only these resources, for the proof of a plan. It omits facts that the plan already contains, and facts that
 * can only cause a warning.
 */
export async function collectFacts(
  aws: Aws,
  { buckets, roles, keys }: FactTargets,
  locations: Locations,
): Promise<Facts> {
  const collector = createFactCollector(aws, locations);
  const byName = new Map([...roles].map((role) => [canonicalJson(role), role]));
  await Promise.all([
    ...[...buckets].map((name) => collector.bucket(name, 'either')),
    ...[...keys].map(collector.key),
    ...[...byName.values()].map(async (role) => {
      if ('arn' in role) return collector.role(role.arn);
      const namedRole = await readRoleFactsByName(aws, role.name, role.location);
      // An absent or unreadable role has no known ARN. The plan reports it.
      if (namedRole !== null && !isUnread(namedRole)) collector.facts.roles[namedRole.arn] = namedRole.facts;
    }),
  ]);
  return collector.facts;
}

/** Reads whether buckets have Object Lock, by bucket name. */
export async function collectObjectLocks(
  aws: Aws,
  buckets: Iterable<string>,
  locations: Locations,
): Promise<Facts['buckets']> {
  const collector = createFactCollector(aws, locations);
  await Promise.all([...buckets].map((name) => collector.bucket(name, 'locks')));
  return collector.facts.buckets;
}

/**
 * Proves with the policies first. If these do not allow S3 to use some keys, reads the grants of these keys and proves
 * again. A proof that the policies decide makes no call.
 *
 * @param prove returns its result, with the proofs in it
 */
export async function proveWithGrants<T>(
  aws: Aws,
  facts: Facts,
  locations: Locations,
  prove: (facts: Facts) => { result: T; proofs: readonly RuleProof[] },
): Promise<{ result: T; facts: Facts }> {
  const { result, proofs } = prove(facts);
  const withGrants = await addGrants(aws, facts, keysDecidedByGrants(proofs), locations);
  return withGrants === facts ? { result, facts } : { result: prove(withGrants).result, facts: withGrants };
}

/** Reads the grants of some keys, and adds them to the facts. Grants that are known are not read again. */
export async function addGrants(
  aws: Aws,
  facts: Facts,
  keyArns: Iterable<string>,
  locations: Locations,
): Promise<Facts> {
  const missing = [...keyArns].filter(
    (arn) => EXISTING_KEY_ARN.test(arn) && factValue(keyFactOf(facts, arn))?.grants === undefined,
  );
  if (missing.length === 0) return facts;
  const keys = { ...facts.keys };
  await Promise.all(
    missing.map(async (arn) => {
      const grants = await readKeyGrants(aws, arn, locations);
      const names = Object.keys(keys).filter((name) => factValue(keys[name])?.arn === arn);
      for (const name of names.length > 0 ? names : [arn])
        keys[name] = { arn, ...factValue(keys[name]), grants };
    }),
  );
  return { ...facts, keys };
}

/** The ARN of a key that KMS has created. A key that only the plan creates has no id yet, and no grants. */
const EXISTING_KEY_ARN = /:key\/(mrk-)?[0-9a-f-]{32,36}$/;

/** Reads the missing keys under which sampled objects are encrypted, and adds them to the facts. */
export async function addKeyFacts(
  aws: Aws,
  facts: Facts,
  arns: Iterable<string>,
  locations: Locations,
): Promise<Facts> {
  const keyEntries = await Promise.all(
    [...new Set(arns)]
      .filter((arn) => facts.keys[arn] === undefined)
      .map(async (arn) => [arn, await readKeyFacts(aws, arn, locations)] as const),
  );
  return { ...facts, keys: { ...facts.keys, ...Object.fromEntries(keyEntries) } };
}
