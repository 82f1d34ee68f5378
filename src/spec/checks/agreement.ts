import { stableJson } from '../../canonical.ts';
import { type Parsed, positionOf, problem } from '../document.ts';
import { derivedRoleName } from '../names.ts';
import type { Path } from '../path.ts';
import { longForm } from '../resolve.ts';
import { at } from '../source.ts';
import type { Position, Problem } from '../types.ts';
import { type CheckedReplication, isSound } from '../validate.ts';
import { SIDES } from './finding.ts';

/** What several specs say of one thing must agree. */
export function agreeing(pairs: readonly CheckedReplication[]): Problem[] {
  const claims = new Map<string, { value: string; parsed: Parsed; path: Path }>();
  return pairs.flatMap((pair) =>
    claimsOf(pair).flatMap(({ path, from, thing, value }) => {
      if (!isSound(pair, path, ...from)) return [];
      const before = claims.get(thing);
      if (!before) claims.set(thing, { value, parsed: pair.parsed, path });
      if (!before || before.value === value) return [];
      const message = `${thing} is ${value} here, but ${before.value} at ${at(positionOf(before.parsed, before.path))}`;
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
  return [
    ...sides.flatMap((side) => bucketClaims(side, spec[side])),
    ...sides.flatMap((side) => keyClaims(spec[side], ['spec', side, 'key'], ['spec', side])),
    ...spec.sourceKeys.flatMap((key, index) =>
      keyClaims({ ...spec.source, key }, ['spec', 'sourceKeys', index], ['spec', 'source']),
    ),
    ...roleClaims(spec),
    ...(spec.direction === 'both' ? reverseRoleClaims(spec) : []),
  ];
}

type WrittenSpec = CheckedReplication['written']['spec'];

function roleClaims({ role, source }: WrittenSpec): Claim[] {
  const name = role?.arn ?? role?.name ?? derivedRoleName(source.bucket);
  const account = source.account === undefined ? '' : ` in account ${source.account}`;
  const from: Path[] = [
    ['spec', 'source', 'bucket'],
    ['spec', 'source', 'account'],
  ];
  const path: Path = ['spec', 'role'];
  return [
    { path, from, value: name, thing: `the role of source bucket ${source.bucket}` },
    // IAM tells role names apart without regard to case.
    { path, from, value: name, thing: `the spelling of the role ${name.toLowerCase()}${account}` },
    ...(['path', 'permissionsBoundary', 'tags'] as const).flatMap((field) =>
      said(
        [...path, field],
        [...from, [...path, 'name']],
        `${field} of the role ${name}${account}`,
        role?.[field],
      ),
    ),
  ];
}

/** The way back of a two-way spec has a role of its own, after its own source. */
function reverseRoleClaims({ role, destination }: WrittenSpec): Claim[] {
  const { bucket } = destination;
  const value = role?.arn ?? derivedRoleName(bucket);
  const from: Path[] = [['spec', 'destination', 'bucket']];
  return [{ path: ['spec', 'direction'], from, value, thing: `the role of source bucket ${bucket}` }];
}

function bucketClaims(side: (typeof SIDES)[number], written: WrittenSpec['source']): Claim[] {
  const { bucket, region, account, key, defaultEncryption, blockPublicAccess, objectOwnership } = written;
  const { alias, arn, bucketKey = defaultEncryption === 'SSE-KMS' } = longForm(key);
  const of = (field: string, thing: string, value: unknown): Claim[] =>
    said(['spec', side, field], [['spec', side, 'bucket']], `${thing} of bucket ${bucket}`, value);
  return [
    ...of('region', 'the Region', region),
    ...of('account', 'the account', account ?? 'not named'),
    ...of('key', 'the key', alias ?? arn ?? 'not given'),
    ...of('key', 'bucketKey', bucketKey),
    ...of('defaultEncryption', 'defaultEncryption', defaultEncryption),
    ...of('blockPublicAccess', 'blockPublicAccess', blockPublicAccess),
    ...of('objectOwnership', 'objectOwnership', objectOwnership),
  ];
}

function keyClaims({ region, account, key }: WrittenSpec['source'], path: Path, side: Path): Claim[] {
  const { alias, ...settings } = longForm(key);
  if (alias === undefined) return [];
  const where = [region, account && `in account ${account}`].filter(Boolean).join(' ');
  return (['description', 'rotation', 'rotationPeriodInDays'] as const).flatMap((field) =>
    said(
      [...path, field],
      [[...side, 'region'], [...side, 'account'], path],
      `the ${field} of ${alias} in ${where}`,
      settings[field],
    ),
  );
}

/** A claim, where something was said at all. */
const said = (path: Path, from: Path[], thing: string, value: unknown): Claim[] =>
  value === undefined
    ? []
    : [{ path, from, thing, value: typeof value === 'string' ? value : stableJson(value) }];

/** IDs are unique in the one configuration of a source bucket, whichever spec declares them. */
export function ruleIds(pairs: readonly CheckedReplication[]): Problem[] {
  const taken = new Map<string, Position>();
  return pairs.flatMap((pair) =>
    pair.written.spec.rules.flatMap(({ id }, index) => {
      const { bucket } = pair.written.spec.source;
      const path = ['spec', 'rules', index, 'id'];
      if (id === undefined || !isSound(pair, path, ['spec', 'source', 'bucket'])) return [];
      const before = taken.get(`${bucket} ${id}`);
      taken.set(`${bucket} ${id}`, before ?? positionOf(pair.parsed, path));
      if (!before) return [];
      const hint = `a rule of ${bucket} is declared once: remove one of the two`;
      return [problem(pair.parsed, path, `the rule "${id}" is already declared at ${at(before)}`, hint)];
    }),
  );
}

/** Priorities are unique in the one configuration of a source bucket, whichever spec declares them. */
export function priorities(pairs: readonly CheckedReplication[]): Problem[] {
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
