import { type Parsed, positionOf, problem } from './document.ts';
import { KEY_ARN, KEY_ID, partition, ROLE_ARN } from './names.ts';
import { type Path, valueAt } from './path.ts';
import { derivedRoleName, longForm, ruleNames } from './resolve.ts';
import type { WrittenRule } from './schema.ts';
import { suggest } from './suggest.ts';
import type { Position, Problem } from './types.ts';
import { type CheckedReplication, isSound, type Valid } from './validate.ts';

/** What the form of a single field cannot say: one function a rule, each over one spec or over all of them. */

const SIDES = ['source', 'destination'] as const;

/**
 * Check each spec by itself, then all of them together. Names are compared over all documents, also those of which
 * nothing else could be read, so that a reference to a broken Account is not called unknown.
 */
export function check(valid: readonly Valid[], all: readonly Parsed[]): Problem[] {
  const pairs = valid.filter((one) => one.kind === 'BucketReplication');
  const ids = accountIds(valid);
  return [
    ...pairs.flatMap((pair) => OF_ONE.flatMap((rule) => rule(pair, ids)).flatMap(found(pair))),
    ...valid.flatMap(oneWayIn),
    ...accountsExist(pairs, all),
    ...duplicateNames(all),
    ...agreeing(pairs),
    ...priorities(pairs),
  ];
}

/** Ids of the accounts by name. */
const accountIds = (valid: readonly Valid[]): ReadonlyMap<string, string> =>
  new Map(
    valid.flatMap((one) =>
      one.kind === 'Account' && isSound(one, ['spec', 'id'])
        ? [[one.written.metadata.name, one.written.spec.id] as const]
        : [],
    ),
  );

/** Where in a spec, what is wrong, what to do, and the other fields from which that follows. */
type Finding = [path: Path, message: string, hint: string, ...from: Path[]];
type Rule = (pair: CheckedReplication, accounts: ReadonlyMap<string, string>) => Finding[];

const OF_ONE: readonly Rule[] = [
  oneKeyEach,
  keyIdHasOwner,
  keyNearBucket,
  oneRole,
  roleOfSource,
  twoBuckets,
  onePartition,
  oneAccount,
  ruleSaysWhat,
  tagsFit,
  deleteMarkersHaveNoTags,
  timeControlNeedsMetrics,
  ruleNamesDiffer,
];

/** Only what stands on sound ground: a field that is wrong by itself was reported already. */
const found =
  (pair: CheckedReplication) =>
  ([path, message, hint, ...from]: Finding): Problem[] =>
    isSound(pair, path, ...from) ? [problem(pair.parsed, path, message, hint)] : [];

function oneKeyEach({ written }: CheckedReplication): Finding[] {
  return SIDES.flatMap((side): Finding[] => {
    const path = ['spec', side, 'key'];
    const { alias, arn, rotation } = longForm(written.spec[side].key);
    if (alias !== undefined && arn !== undefined) {
      const hint = 'keep one: an alias is created when absent, an ARN must exist';
      return [[path, 'both an alias and an ARN are given', hint]];
    }
    if (alias === undefined && arn === undefined) {
      return [[path, 'neither an alias nor an ARN is given', 'add alias: alias/my-key']];
    }
    if (arn !== undefined && rotation !== undefined) {
      const hint = 'remove rotation, or declare the key by its alias';
      return [[[...path, 'rotation'], 'a key that is given by ARN is never altered', hint]];
    }
    return [];
  });
}

function keyIdHasOwner({ written }: CheckedReplication): Finding[] {
  return SIDES.flatMap((side): Finding[] => {
    const { key, account } = written.spec[side];
    const { arn } = longForm(key);
    if (arn === undefined || account !== undefined || !KEY_ID.test(arn)) return [];
    const hint = 'write the ARN of the key, or name an account on this side';
    const message = 'a bare key id does not say whose key it is';
    return [[keyPath(written, side), message, hint, ['spec', side, 'account']]];
  });
}

function keyNearBucket({ written }: CheckedReplication): Finding[] {
  return SIDES.flatMap((side): Finding[] => {
    const { key, region } = written.spec[side];
    const [, , keyRegion] = KEY_ARN.exec(longForm(key).arn ?? '') ?? [];
    if (keyRegion === undefined || keyRegion === region) return [];
    const message = `the key lies in ${keyRegion}, but the bucket in ${region}`;
    const hint = "S3 takes keys of the bucket's own Region only";
    return [[keyPath(written, side), message, hint, ['spec', side, 'region']]];
  });
}

/** The ARN itself, in the short form and in the long one. */
const keyPath = (written: CheckedReplication['written'], side: (typeof SIDES)[number]): Path =>
  typeof written.spec[side].key === 'string' ? ['spec', side, 'key'] : ['spec', side, 'key', 'arn'];

function oneRole({ written }: CheckedReplication): Finding[] {
  const { role } = written.spec;
  if (role === undefined) return [];
  if (role.name !== undefined && role.arn !== undefined) {
    const hint = 'keep one: a name is created when absent, an ARN must exist';
    return [[['spec', 'role'], 'both a name and an ARN are given', hint]];
  }
  if (role.name !== undefined || role.arn !== undefined) return [];
  return [
    [['spec', 'role'], 'neither a name nor an ARN is given', 'add name:, or remove role for a derived one'],
  ];
}

function roleOfSource({ written }: CheckedReplication, accounts: ReadonlyMap<string, string>): Finding[] {
  const { role, source } = written.spec;
  const [, , owner] = ROLE_ARN.exec(role?.arn ?? '') ?? [];
  const account = accounts.get(source.account ?? '');
  if (owner === undefined || account === undefined || owner === account) return [];
  const message = `the role belongs to the account ${owner}, but the source bucket to ${account}`;
  const hint = 'S3 assumes a role of the account that owns the source bucket';
  return [[['spec', 'role', 'arn'], message, hint, ['spec', 'source', 'account']]];
}

function twoBuckets({ written }: CheckedReplication): Finding[] {
  const { source, destination } = written.spec;
  if (source.bucket !== destination.bucket) return [];
  const path = ['spec', 'destination', 'bucket'];
  const message = 'a bucket cannot replicate to itself';
  return [[path, message, 'name another destination', ['spec', 'source', 'bucket']]];
}

function onePartition({ written }: CheckedReplication): Finding[] {
  const { source, destination } = written.spec;
  const [from, to] = [partition(source.region), partition(destination.region)];
  if (from === to) return [];
  const message = `${source.region} is in ${from} and ${destination.region} in ${to}`;
  const hint = 'S3 does not replicate from one partition to another';
  return [[['spec', 'destination', 'region'], message, hint, ['spec', 'source', 'region']]];
}

function oneAccount({ written }: CheckedReplication): Finding[] {
  const { source, destination } = written.spec;
  if (source.account === destination.account) return [];
  const missing = (['source', 'destination'] as const).find(
    (side) => written.spec[side].account === undefined,
  );
  const message = missing
    ? `only one side names an account; ${missing} would use the ambient credentials`
    : `source is in account ${source.account} and destination in ${destination.account}`;
  const [here, there] = missing === 'source' ? ['source', 'destination'] : ['destination', 'source'];
  const hint = 'pairs across accounts are not supported in this version: name the same account on both sides';
  return [[['spec', here, 'account'], message, hint, ['spec', there, 'account']]];
}

const ofRules =
  (look: (rule: WrittenRule, path: Path) => Finding[]) =>
  ({ written }: CheckedReplication): Finding[] =>
    written.spec.rules.flatMap((rule, index) => look(rule, ['spec', 'rules', index]));

function ruleSaysWhat(pair: CheckedReplication): Finding[] {
  return ofRules((rule, path) => {
    const { prefix, filter } = rule;
    if (prefix !== undefined && filter !== undefined) {
      const hint = 'prefix is the short form of filter.prefix: keep one';
      return [[[...path, 'filter'], 'both prefix and filter are given', hint]];
    }
    if (prefix !== undefined || filter?.prefix !== undefined) return [];
    if (Object.keys(filter?.tags ?? {}).length > 0) return [];
    const hint = 'add prefix: Tax/, or prefix: "" for every object';
    return [[path, 'the rule does not say which objects it replicates', hint]];
  })(pair);
}

function tagsFit(pair: CheckedReplication): Finding[] {
  return ofRules(({ filter }, path) => {
    const count = Object.keys(filter?.tags ?? {}).length;
    if (count <= 10) return [];
    const message = `${count} tags are asked for, and an object has at most 10`;
    return [[[...path, 'filter', 'tags'], message, 'such a rule never matches: remove some']];
  })(pair);
}

function deleteMarkersHaveNoTags(pair: CheckedReplication): Finding[] {
  return ofRules(({ filter, deleteMarkerReplication }, path) => {
    if (!deleteMarkerReplication || Object.keys(filter?.tags ?? {}).length === 0) return [];
    const message = 'delete markers have no tags, so a rule that filters by tags cannot replicate them';
    return [[[...path, 'deleteMarkerReplication'], message, 'remove one of the two', [...path, 'filter']]];
  })(pair);
}

function timeControlNeedsMetrics(pair: CheckedReplication): Finding[] {
  return ofRules(({ replicationTimeControl, metrics }, path) => {
    if (!replicationTimeControl || metrics) return [];
    return [[[...path, 'metrics'], 'replicationTimeControl needs metrics', 'remove metrics: false']];
  })(pair);
}

function ruleNamesDiffer({ written, parsed }: CheckedReplication): Finding[] {
  const names = ruleNames(written.spec.rules);
  return names.flatMap((name, index): Finding[] => {
    const first = names.indexOf(name);
    if (first === index) return [];
    const before: Path = ['spec', 'rules', first, 'name'];
    const message = `the rule name ${name} is already used at ${at(positionOf(parsed, before))}`;
    return [[['spec', 'rules', index, 'name'], message, 'give each rule of a spec its own name', before]];
  });
}

function oneWayIn(one: Valid): Problem[] {
  if (one.kind !== 'Account') return [];
  const { profile, assumeRole } = one.written.spec;
  if (profile === undefined || assumeRole === undefined) return [];
  const path = ['spec', 'assumeRole'];
  if (!isSound(one, path)) return [];
  return [
    problem(
      one.parsed,
      path,
      'both profile and assumeRole are given',
      'keep one; a profile can assume a role',
    ),
  ];
}

function accountsExist(pairs: readonly CheckedReplication[], all: readonly Parsed[]): Problem[] {
  const known = all.flatMap((parsed) => {
    const { kind, name } = identity(parsed);
    return kind === 'Account' && name !== undefined ? [name] : [];
  });
  return pairs.flatMap(({ written, parsed }) =>
    SIDES.flatMap((side) => {
      const name = written.spec[side].account;
      if (name === undefined || known.includes(name)) return [];
      const meant = suggest(name, known);
      const hint = meant
        ? `did you mean ${meant}?`
        : 'add one: kind: Account with metadata.name and spec.id, and name its file too';
      return [problem(parsed, ['spec', side, 'account'], `there is no Account document named ${name}`, hint)];
    }),
  );
}

function duplicateNames(all: readonly Parsed[]): Problem[] {
  const first = new Map<string, Position>();
  return all.flatMap((parsed) => {
    const { kind, name } = identity(parsed);
    if (kind === undefined || name === undefined) return [];
    const path = ['metadata', 'name'];
    const before = first.get(`${kind} ${name}`);
    first.set(`${kind} ${name}`, before ?? positionOf(parsed, path));
    if (!before) return [];
    const message = `the ${kind} ${name} is already declared at ${at(before)}`;
    return [problem(parsed, path, message, 'names are unique: rename one of the two')];
  });
}

function identity({ value }: Parsed): { kind?: string; name?: string } {
  const kind = valueAt(value, ['kind']);
  const name = valueAt(value, ['metadata', 'name']);
  return {
    ...(typeof kind === 'string' ? { kind } : {}),
    ...(typeof name === 'string' ? { name } : {}),
  };
}

/** What several specs say of one thing must agree. */
function agreeing(pairs: readonly CheckedReplication[]): Problem[] {
  const claims = new Map<string, { value: string; position: Position }>();
  return pairs.flatMap((pair) =>
    claimsOf(pair).flatMap(({ path, from, thing, value }) => {
      if (!isSound(pair, path, ...from)) return [];
      const before = claims.get(thing);
      if (!before) claims.set(thing, { value, position: positionOf(pair.parsed, path) });
      if (!before || before.value === value) return [];
      const message = `${thing} is ${value} here, but ${before.value} at ${at(before.position)}`;
      return [problem(pair.parsed, path, message, 'make the two agree')];
    }),
  );
}

/** That a thing has a value, said at a path; which thing that is follows from other fields. */
interface Claim {
  path: Path;
  from: Path[];
  thing: string;
  value: string;
}

function claimsOf({ written: { spec } }: CheckedReplication): Claim[] {
  // A bucket on both sides is wrong in itself, and `twoBuckets` says so.
  const sides = spec.source.bucket === spec.destination.bucket ? (['source'] as const) : SIDES;
  const role = spec.role?.arn ?? spec.role?.name ?? derivedRoleName(spec.source.bucket);
  const account = spec.source.account === undefined ? '' : ` in account ${spec.source.account}`;
  const ofRole = {
    path: ['spec', 'role'],
    from: [
      ['spec', 'source', 'bucket'],
      ['spec', 'source', 'account'],
    ],
    value: role,
  };
  return [
    ...sides.flatMap((side) => sideClaims(side, spec[side])),
    { ...ofRole, thing: `the role of source bucket ${spec.source.bucket}` },
    // IAM tells role names apart without regard to case.
    { ...ofRole, thing: `the spelling of the role ${role.toLowerCase()}${account}` },
  ];
}

function sideClaims(
  side: (typeof SIDES)[number],
  { bucket, region, account, key }: CheckedReplication['written']['spec']['source'],
): Claim[] {
  const at = (...field: string[]): Path => ['spec', side, ...field];
  const { alias, arn, rotation } = longForm(key);
  const ofBucket = (field: string, thing: string, value: string): Claim => ({
    path: at(field),
    from: [at('bucket')],
    thing: `${thing} of bucket ${bucket}`,
    value,
  });
  const claims = [
    ofBucket('region', 'the Region', region),
    ofBucket('account', 'the account', account ?? 'not named'),
    ofBucket('key', 'the key', alias ?? arn ?? 'not given'),
    ofBucket('key', 'bucketKey', String(typeof key === 'string' || key.bucketKey)),
  ];
  if (alias === undefined || rotation === undefined) return claims;
  const where = [region, account && `in account ${account}`].filter(Boolean).join(' ');
  const thing = `the rotation of ${alias} in ${where}`;
  return [
    ...claims,
    { path: at('key', 'rotation'), from: [at('region'), at('account')], thing, value: String(rotation) },
  ];
}

/** Priorities are unique in the one configuration of a source bucket, whichever spec declares them. */
function priorities(pairs: readonly CheckedReplication[]): Problem[] {
  const taken = new Map<string, Position>();
  return pairs.flatMap((pair) =>
    pair.written.spec.rules.flatMap(({ priority }, index) => {
      const { bucket } = pair.written.spec.source;
      const path = ['spec', 'rules', index, 'priority'];
      if (priority === undefined || !isSound(pair, path, ['spec', 'source', 'bucket'])) return [];
      const before = taken.get(`${bucket} ${priority}`);
      taken.set(`${bucket} ${priority}`, before ?? positionOf(pair.parsed, path));
      if (!before) return [];
      const hint = `priorities are unique among the rules of ${bucket}: choose another, or leave it out`;
      return [problem(pair.parsed, path, `priority ${priority} is already used at ${at(before)}`, hint)];
    }),
  );
}

const at = ({ file, line, column }: Position): string => `${file}:${line}:${column}`;
