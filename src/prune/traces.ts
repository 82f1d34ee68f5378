import { DELETION, SPEC } from '../core/names.ts';
import { markOf, sidName, specOfSid } from '../core/statements.ts';
import type { Statement } from '../iam/types.ts';
import type { BucketReplication } from '../spec/types.ts';
import type { RoleFound } from './roles.ts';

/** A spec of which a role tells, though none of that name is given for that role. */
export interface Trace {
  /** The name of the spec as Sids have it, and the name itself as far as it can be told. */
  name: string;
  spec: string;
  role: RoleFound;
  /** Names of buckets, and ARNs of keys. */
  sources: string[];
  destinations: string[];
  keys: string[];
  /** Whether specs that are given use the role, too. */
  shared: boolean;
  /** Why all of it stays, if so. */
  stays?: string;
}

/**
 * What a role tells of specs that are not given, or that are given with another role now: those that its policy still
 * serves, and where nothing serves any more but the role is there, those that its tags record.
 *
 * @param idOf twelve digits: the account that a pair's role is in
 */
export function tracesIn(
  role: RoleFound,
  pairs: readonly BucketReplication[],
  idOf: (pair: BucketReplication) => string | undefined,
): Trace[] {
  const account = role.arn.split(':')[4];
  const using = pairs.filter((pair) =>
    'arn' in pair.role
      ? pair.role.arn === role.arn
      : // IAM tells role names apart without regard to case.
        pair.role.name.toLowerCase() === role.name.toLowerCase() && idOf(pair) === account,
  );
  const at = using[0] && !('arn' in using[0].role) ? { ...role.at, ...accountOf(using[0]) } : role.at;
  const recorded = Object.keys(role.tags).flatMap((key) =>
    key.startsWith(DELETION) ? key.slice(DELETION.length) : [],
  );
  const known = [...recorded, ...(role.tags[SPEC]?.split(' ') ?? [])];
  const names = new Set([
    ...role.statements.flatMap((statement) => markOf(statement)?.name ?? []),
    ...(using.length === 0 ? recorded.map(sidName) : []),
  ]);
  for (const pair of using) names.delete(sidName(pair.name));
  return [...names].map((name) => {
    const trace = {
      name,
      spec: specOfSid(name, known),
      role: { ...role, at },
      shared: using.length > 0,
      ...named(role.statements.filter((one) => markOf(one)?.name === name)),
    };
    const stays = reason(trace, pairs, using);
    return stays === undefined ? trace : { ...trace, stays };
  });
}

const accountOf = ({ source }: BucketReplication) =>
  source.account === undefined ? {} : { account: source.account };

/** The buckets and keys that statements of ours name. */
function named(statements: readonly Statement[]): Pick<Trace, 'sources' | 'destinations' | 'keys'> {
  const resources = (pattern: RegExp): string[] =>
    statements.flatMap((statement) =>
      pattern.test(markOf(statement)?.about ?? '') ? [statement.Resource ?? []].flat() : [],
    );
  const buckets = (pattern: RegExp): string[] => [
    ...new Set(
      resources(pattern).flatMap((arn) => /^arn:[^:]+:s3:::([a-z0-9.-]+)(\/|$)/.exec(arn)?.[1] ?? []),
    ),
  ];
  return {
    sources: buckets(/^Source(Bucket|Objects)$/),
    destinations: buckets(/^Destination(Objects|Deletes|Owner)$/),
    keys: [...new Set(resources(/Key$/).filter((arn) => /^arn:[^:]+:kms:[^:]+:\d+:key\/./.test(arn)))],
  };
}

function reason(
  { name, spec, role, sources }: Trace,
  pairs: readonly BucketReplication[],
  using: readonly BucketReplication[],
): string | undefined {
  const names = (some: readonly BucketReplication[]) => some.map((pair) => pair.name).join(', ');
  const byArn = using.filter((pair) => 'arn' in pair.role);
  if (byArn.length > 0) return `its role is given by ARN to ${names(byArn)}, and so is never altered`;
  const retaining = using.filter(({ policy }) => policy.deletion !== 'Remove');
  if (retaining.length > 0) return `${names(retaining)} shares its role and says deletion: Retain`;
  // A spec that is given, but with another role now, speaks for itself.
  const given = pairs.find((pair) => sidName(pair.name) === name)?.policy.deletion;
  if ((given ?? role.tags[DELETION + spec]) !== 'Remove') {
    return given === undefined
      ? `it did not say deletion: Remove; aws iam tag-role --role-name ${role.name} --tags Key=${DELETION}${spec},Value=Remove says it now`
      : 'it says deletion: Retain';
  }
  const serves = role.statements.some((statement) => markOf(statement)?.name === name);
  return serves && sources.length === 0
    ? 'the policy of its role does not tell its source bucket'
    : undefined;
}
