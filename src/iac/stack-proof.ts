import { copyFacts, factValue, isUnread, type UnreadFact, unreadReasonOf } from '../core/facts.ts';
import { accountOfArn } from '../iam/context.ts';
import {
  createFinding,
  FINDING_CODES,
  type Finding,
  type Fix,
  summarizeFindings,
} from '../proof/findings.ts';
import { keyArnsOfRule } from '../proof/object-cases.ts';
import { proveRules } from '../proof/prove.ts';
import { destinationBucketOf, replicaKeyArn, ruleBucketOf, ruleContextOf } from '../proof/rule-context.ts';
import type { RuleProof } from '../proof/types.ts';
import {
  type DocumentPart,
  documentKey,
  keyOfPolicy,
  rolePolicyKey,
  type Stack,
  type StackSource,
} from './stack.ts';

/** The proof of all rules of a plan, a state or a template. */
export interface StackProof {
  rules: RuleProof[];
  /** Values that decide, and that the input does not contain, sorted. */
  unknownValues: string[];
}

/**
 * Proves the rules of a stack. A request that depends on a value that is not known is undecided. A request that depends
 * on an account that is not known is decided if the decision is the same for every account. Pure.
 *
 * @param nowMs the time of AWS, for a state; absent for a plan
 */
export function proveStack(stack: Stack, nowMs?: number): StackProof {
  const complete = withOutsideFacts(stack);
  const addresses = groupAddresses(stack);
  const merged = stack.sources.flatMap((source) => {
    const rules = proveSource(complete, source, nowMs, addresses);
    return decideForAllAccounts(narrowToRules(complete, source, rules, addresses), rules, nowMs);
  });
  const labelled = replaceInTexts(merged, stack.unknownAccounts);
  return { rules: labelled, unknownValues: unknownValuesOf(stack, labelled) };
}

/** Returns the reasons of unread facts that the undecided findings name. */
function unknownValuesOf(stack: Stack, rules: readonly RuleProof[]): string[] {
  const messages = rules.flatMap(({ findings }) =>
    findings.flatMap(({ severity, message }) => (severity === 'unknown' ? message : [])),
  );
  const reasons = new Set<string>();
  const collect = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    if (isUnread(value)) for (const reason of splitReasons(value.unread)) reasons.add(reason);
    for (const part of Object.values(value)) collect(part);
  };
  collect(stack.facts);
  for (const { unknownOfRules } of stack.sources)
    for (const reason of unknownOfRules.flat()) reasons.add(reason);
  const named = replaceInTexts([...reasons], stack.unknownAccounts).filter((reason) =>
    messages.some((message) => message.includes(reason)),
  );
  // Resources outside the file are named by themselves.
  const outside = messages.flatMap(
    (message) =>
      /^the (?:key|bucket|role) \S+ cannot be read: it is not in the file$/.exec(message)?.[0] ?? [],
  );
  return [
    ...new Set([
      ...named,
      ...outside.map((message) => message.replace('cannot be read: it is', 'is')),
      ...[...stack.unknownAccounts.values()].flatMap((label) =>
        messages.some((message) => /accounts? (?:is|are) not known/.test(message) && message.includes(label))
          ? [`the ${label.slice(1, -1)}`]
          : [],
      ),
    ]),
  ].sort();
}

/** Splits the reasons of several unread policies of a role. */
const splitReasons = (text: string): string[] =>
  text.split(/(?<=known after apply|does not read it|in the file), /);

/** Returns a stack to which the resources are added that its rules use and that the file does not contain. */
const withOutsideFacts = (stack: Stack): Stack =>
  stack.sources.reduce(addOutsideFacts, { ...stack, facts: copyFacts(stack.facts) });

/** Proves the rules of one source bucket, and adds the addresses of the resources that cause the findings. */
function proveSource(
  stack: Stack,
  source: StackSource,
  nowMs: number | undefined,
  addresses: AddressesByResource,
): RuleProof[] {
  return proveRules(stack.facts, source.bucket, [], nowMs).map((proof, index) => {
    const unknowns = source.unknownOfRules[index] ?? [];
    const bucket = factValue(stack.facts.buckets[source.bucket]);
    // The encryption of the objects decides which requests S3 makes.
    const encryption = bucket && unreadReasonOf(bucket.encryption);
    const lock = isUnread(bucket?.objectLock) ? bucket.objectLock.unread : undefined;
    const additional = [
      ...unknowns.map((reason) => createFinding('RK1901', `the rule cannot be read: ${reason}`)),
      ...(encryption === undefined
        ? []
        : [
            createFinding(
              'RK1901',
              `the default encryption of ${source.bucket} cannot be read: ${encryption}`,
            ),
          ]),
      ...(lock === undefined
        ? []
        : [createFinding('RK1901', `the Object Lock of ${source.bucket} cannot be read: ${lock}`)]),
    ];
    // Without the destination, the rule names no bucket that could exist.
    const decided =
      unknowns.length === 0 ? proof.findings : proof.findings.filter(({ code }) => code !== 'RK1103');
    const uncertain = unknowns.length === 0 ? decided : decided.map(undecidedIfDependent(unknowns));
    const findings = [...uncertain, ...additional].map((finding) => {
      const resources = resourcesOf(finding, proof, stack, source, addresses);
      return { ...finding, resources, fixes: finding.fixes.map((fix) => withAddress(fix, resources)) };
    });
    const summary =
      proof.verdict === 'off' ? { verdict: proof.verdict, findings } : summarizeFindings(findings);
    return { ...proof, ...summary, address: source.address };
  });
}

/** Errors that do not depend on the arguments of a rule. */
const INDEPENDENT_OF_RULE: ReadonlySet<Finding['code']> = new Set([
  'RK1102',
  'RK1104',
  'RK1106',
  'RK1301',
  'RK1302',
]);

/** Returns a function that makes an error undecided, if the values of the rule that are not known may prevent it. */
const undecidedIfDependent =
  (unknowns: readonly string[]) =>
  (finding: Finding): Finding =>
    finding.severity !== 'error' || INDEPENDENT_OF_RULE.has(finding.code)
      ? finding
      : createFinding(
          'RK1901',
          `cannot decide, because the rule is not known (${unknowns.join(', ')}). As far as it is known: ${finding.message}`,
        );

/** Names the resource to change in a fix. In AWS, the statement could also be in a policy of its own. */
const withAddress = (fix: Fix, [address]: readonly string[]): Fix =>
  'add' in fix && address !== undefined
    ? { ...fix, what: `add this statement to the policy in ${address}` }
    : fix;

/** The document that each precondition concerns. */
const PART_OF_CODE: Partial<Record<Finding['code'], DocumentPart>> = {
  RK1102: 'versioning',
  RK1104: 'versioning',
  RK1106: 'objectLock',
  RK1107: 'policy',
  RK1108: 'ownership',
};

/** Returns the addresses of the resources to change: those of the policies to fix, or those that contain the setting. */
function resourcesOf(
  finding: Finding,
  proof: RuleProof,
  stack: Stack,
  source: StackSource,
  addressesByResource: AddressesByResource,
): string[] {
  const { addresses, facts } = stack;
  const role = factValue(factValue(facts.buckets[source.bucket])?.replication)?.Role ?? '';
  const addressOf = (...keys: string[]) => {
    const key = keys.find((candidate) => addresses.has(candidate));
    return key === undefined ? [] : [addresses.get(key) as string];
  };
  const ofRolePolicies = () =>
    (addressesByResource.get(`role ${role}`) ?? []).flatMap(([key, address]) =>
      key.startsWith(rolePolicyKey(role, '')) ? address : [],
    );
  const ofFixes = finding.fixes.flatMap((fix) => {
    if (!('policy' in fix)) return [];
    const [address] = addressOf(keyOfPolicy(fix.policy));
    if (address !== undefined) return [address];
    // The fix adds a policy: the role has others, or none.
    if (fix.policy.kind === 'role')
      return ofRolePolicies().length > 0 ? ofRolePolicies() : addressOf(documentKey('role', role, 'self'));
    const kind = fix.policy.kind === 'bucket' || fix.policy.kind === 'key' ? fix.policy.kind : 'role';
    return addressOf(documentKey(kind, fix.policy.of, 'self'));
  });
  if (ofFixes.length > 0) return [...new Set(ofFixes)];
  // The message of an undecided request names the attribute that is not known.
  const named =
    finding.severity === 'unknown'
      ? [...new Set(addresses.values())].filter((address) => names(finding.message, address))
      : [];
  if (finding.severity === 'unknown' && named.length > 0) return longestFirst(named);
  const part = PART_OF_CODE[finding.code] ?? 'self';
  const { specField } = FINDING_CODES[finding.code];
  if (specField === 'rule' || specField === 'backfill') return [source.address];
  if (specField === 'role') {
    const policies = finding.code === 'RK1301' || finding.code === 'RK1302' ? [] : ofRolePolicies();
    return policies.length > 0
      ? policies
      : [...addressOf(documentKey('role', role, 'self')), source.address].slice(0, 1);
  }
  const bucket = specField.startsWith('source') ? proof.bucket : proof.destination;
  if (specField.endsWith('.bucket'))
    return [
      ...addressOf(documentKey('bucket', bucket, part), documentKey('bucket', bucket, 'self')),
      source.address,
    ].slice(0, 1);
  const keys = Object.keys(facts.keys).filter((arn) => names(finding.message, arn));
  return [
    ...longestFirst(keys.flatMap((arn) => addressOf(documentKey('key', arn, 'self')))),
    source.address,
  ].slice(0, 1);
}

const longestFirst = (texts: readonly string[]): string[] => [...texts].sort((a, b) => b.length - a.length);

/** Returns whether a message contains a name as a whole: `aws_kms_key.a` is not in `aws_kms_key.ab`. */
function names(message: string, name: string): boolean {
  const position = message.indexOf(name);
  if (position < 0) return false;
  const [before, after] = [message[position - 1] ?? ' ', message[position + name.length] ?? ' '];
  return !/[\w.]/.test(before) && !/[\w[-]/.test(after);
}

const OUTSIDE: UnreadFact = { unread: 'it is not in the file' };

/** Adds the resources that the rules of a bucket use and that the file does not contain, as unread, in place. */
function addOutsideFacts(stack: Stack, { bucket }: StackSource): Stack {
  const configuration = factValue(factValue(stack.facts.buckets[bucket])?.replication);
  if (!configuration) return stack;
  const { facts } = stack;
  facts.roles[configuration.Role] ??= OUTSIDE;
  for (const rule of configuration.Rules) facts.buckets[destinationBucketOf(rule)] ??= OUTSIDE;
  const source = ruleBucketOf(facts, bucket, accountOfArn(configuration.Role));
  if (!source) return stack;
  for (const rule of configuration.Rules) {
    const context = ruleContextOf(facts, source, configuration, rule);
    const replicaKey = replicaKeyArn(context);
    for (const arn of [...keyArnsOfRule(context), ...(replicaKey === undefined ? [] : [replicaKey])])
      facts.keys[arn] ??= OUTSIDE;
  }
  return stack;
}

/** Addresses by the bucket, role or key whose documents they contain. */
type AddressesByResource = ReadonlyMap<string, [key: string, address: string][]>;

function groupAddresses({ addresses }: Stack): AddressesByResource {
  const groups = new Map<string, [string, string][]>();
  for (const entry of addresses) {
    const [key] = entry;
    const resource = /^(role .+?) policy /.exec(key)?.[1] ?? key.slice(0, key.lastIndexOf(' '));
    const group = groups.get(resource);
    if (group) group.push(entry);
    else groups.set(resource, [entry]);
  }
  return groups;
}

/** Returns a stack with only the documents that decide about the rules of a source bucket. */
function narrowToRules(
  { facts, unknownAccounts }: Stack,
  source: StackSource,
  rules: readonly RuleProof[],
  addresses: AddressesByResource,
): Stack {
  const bases = rules.flatMap(({ basis }) => basis ?? []);
  const names = {
    buckets: [source.bucket, ...bases.flatMap(({ buckets }) => buckets)],
    roles: bases.flatMap(({ roles }) => roles),
    keys: bases.flatMap(({ keys }) => keys),
  };
  const pick = <T>(entries: Record<string, T>, selected: readonly string[]): Record<string, T> =>
    Object.fromEntries(selected.flatMap((name) => (name in entries ? [[name, entries[name] as T]] : [])));
  const resources = [
    ...names.buckets.map((name) => `bucket ${name}`),
    ...names.roles.map((arn) => `role ${arn}`),
    ...names.keys.map((arn) => `key ${arn}`),
  ];
  return {
    facts: {
      buckets: pick(facts.buckets, names.buckets),
      roles: pick(facts.roles, names.roles),
      keys: pick(facts.keys, names.keys),
    },
    addresses: new Map(resources.flatMap((resource) => addresses.get(resource) ?? [])),
    sources: [source],
    unknownAccounts,
  };
}

/**
 * Returns the proofs of the rules of a bucket that hold for every account that the unknown accounts may be.
 *
 * @param stack the documents that decide about the rules, and no others
 * @param rules the proofs for unknown accounts that differ from all others
 */
function decideForAllAccounts(stack: Stack, rules: RuleProof[], nowMs: number | undefined): RuleProof[] {
  const { unknownAccounts } = stack;
  if (unknownAccounts.size === 0) return rules;
  const accounts = [...new Set(JSON.stringify(stack.facts).match(/\b\d{12}\b/g))];
  const unknown = accounts.filter((account) => unknownAccounts.has(account));
  const labels = unknown.map((account) => unknownAccounts.get(account)).join(', ');
  const assignments = assignmentsOf(
    unknown,
    accounts.filter((account) => !unknownAccounts.has(account)),
  );
  if (!assignments) return rules.map((rule) => undecidedProof(rule, labels));
  const otherProofs = assignments.map((assignment) => {
    const assigned = withOutsideFacts(withAccounts(stack, assignment));
    const addresses = groupAddresses(assigned);
    return assigned.sources.flatMap((source) => proveSource(assigned, source, nowMs, addresses));
  });
  return rules.map((rule, index) =>
    mergeProofs(
      rule,
      otherProofs.flatMap((proofs) => proofs[index] ?? []),
      labels,
    ),
  );
}

/** Maximum number of combinations of accounts to try for the rules of one bucket. */
const MAX_ASSIGNMENTS = 256;

/**
 * Returns the accounts that the unknown accounts may be: those that the documents name, and each other. Without any of
 * them, an unknown account is one that no document names. Returns undefined if there are too many combinations.
 */
function assignmentsOf(
  unknown: readonly string[],
  named: readonly string[],
): Map<string, string>[] | undefined {
  let assignments: Map<string, string>[] = [new Map()];
  for (const [index, account] of unknown.entries()) {
    const candidates = [...named, ...unknown.slice(0, index)];
    if (assignments.length * (candidates.length + 1) > MAX_ASSIGNMENTS) return undefined;
    assignments = assignments.flatMap((assignment) => [
      assignment,
      ...candidates.map((candidate) => new Map([...assignment, [account, candidate]])),
    ]);
  }
  return assignments.slice(1);
}

/** Returns a proof without errors, because too many accounts are not known to try all of their combinations. */
function undecidedProof(proof: RuleProof, labels: string): RuleProof {
  if (proof.verdict === 'off') return proof;
  const reason = `cannot decide, because too many accounts are not known (${labels})`;
  const findings = proof.findings.map((finding) =>
    finding.severity === 'error' ? undecidedFinding(finding, reason) : finding,
  );
  return { ...proof, ...summarizeFindings([...findings, createFinding('RK1901', reason)]) };
}

/** Returns an error as an undecided finding. */
function undecidedFinding({ message, resources }: Finding, reason: string): Finding {
  const undecided = createFinding('RK1901', `${reason}. If the accounts differ: ${message}`);
  return { ...undecided, ...(resources && { resources }) };
}

/** Returns the stack with accounts in place of unknown ones. */
const withAccounts = (stack: Stack, assignment: ReadonlyMap<string, string>): Stack => ({
  ...stack,
  facts: replaceInTexts(stack.facts, assignment),
  addresses: new Map([...stack.addresses].map(([key, address]) => [replaceAll(key, assignment), address])),
  sources: replaceInTexts(stack.sources, assignment),
});

const replaceAll = (text: string, replacements: ReadonlyMap<string, string>): string =>
  [...replacements].reduce((result, [from, to]) => result.replaceAll(from, to), text);

/** Returns plain data with texts replaced, in keys as well. */
function replaceInTexts<T>(value: T, replacements: ReadonlyMap<string, string>): T {
  if (replacements.size === 0) return value;
  const replace = (part: unknown): unknown => {
    if (typeof part === 'string') return replaceAll(part, replacements);
    if (Array.isArray(part)) return part.map(replace);
    if (typeof part !== 'object' || part === null) return part;
    return Object.fromEntries(
      Object.entries(part).map(([key, entry]) => [replaceAll(key, replacements), replace(entry)]),
    );
  };
  return replace(value) as T;
}

/** Returns a proof whose findings hold for every assignment of accounts; all others become undecided. */
function mergeProofs(proof: RuleProof, others: readonly RuleProof[], labels: string): RuleProof {
  if (others.length === 0 || others.every(({ verdict }) => verdict === proof.verdict && verdict !== 'broken'))
    return proof;
  const id = ({ code, request }: Finding) => `${code} ${request?.action ?? ''}`;
  const isInAll = (finding: Finding) =>
    [proof, ...others].every(({ findings }) =>
      findings.some((other) => id(other) === id(finding) && other.severity === finding.severity),
    );
  const all = [proof, ...others].flatMap(({ findings }) => findings);
  const byId = new Map([...all].reverse().map((finding) => [id(finding), finding]));
  const findings = [...byId.values()].reverse().map((finding): Finding => {
    if (finding.severity !== 'error' || isInAll(finding)) return finding;
    return undecidedFinding(finding, `cannot decide, because an account is not known (${labels})`);
  });
  return { ...proof, ...summarizeFindings(findings) };
}
