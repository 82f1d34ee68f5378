import type { BucketReplication, Position, Side } from '../spec/types.ts';
import type { Id, Place } from './resource.ts';

/** Ids of resources: a name, with account and Region where the name alone is not unique. */

/** Bucket names are unique in the world. */
export const bucketId = (kind: string, bucket: string): Id => `${kind}/${bucket}`;

/** Aliases are unique in an account and Region; an ARN says it all. */
export function keyId(side: Side, kind = 'kms.key'): Id {
  if ('arn' in side.key) return keyArnId(side.key.arn, kind);
  return `${kind}/${side.key.alias}@${[side.account, side.region].filter(Boolean).join('/')}`;
}

export const keyArnId = (arn: string, kind = 'kms.key-policy'): Id => `${kind}/${arn}`;

/** Roles are unique in an account; the role of a pair is its source's. */
export function roleId(pair: BucketReplication, kind = 'iam.role'): Id {
  if ('arn' in pair.role) return `${kind}/${pair.role.arn}`;
  return namedRoleId(pair.role.name, pair.source.account, kind);
}

export const namedRoleId = (name: string, account: string | undefined, kind: string): Id =>
  `${kind}/${[name, account].filter(Boolean).join('@')}`;

export function place(side: Side): Place {
  return side.account === undefined
    ? { region: side.region }
    : { account: side.account, region: side.region };
}

/** The name in an id, without the account and the Region that make it the only one. */
export function nameIn(id: Id, { account, region }: Place): string {
  const name = id.slice(id.indexOf('/') + 1);
  const where = [[account, region].filter(Boolean).join('/'), account].find((one) =>
    name.endsWith(`@${one}`),
  );
  return where === undefined ? name : name.slice(0, -where.length - 1);
}

/** Rule ids tell ours from foreign ones, and whose ours are. */
export const ruleId = (pair: string, rule: string): string => `replikey/${pair}/${rule}`;

export const isOurRule = (id: string | undefined): boolean => id?.startsWith('replikey/') ?? false;

/** The spec that a rule of ours is of. */
export const specOfRule = (id: string): string => id.split('/')[1] ?? '';

/** Where in the YAML a path of a spec stands, or the nearest path around it that does. */
export function position(pair: BucketReplication, path: string): Position {
  const there = pair.positions[path];
  if (there) return there;
  const around = path.replace(/(\.[^.[]+|\[\d+\])$/, '');
  return around === path ? (pair.positions[''] ?? NOWHERE) : position(pair, around);
}

/** The position of what no YAML asks for. */
export const NOWHERE: Position = { file: '', line: 1, column: 1 };

/** The tags on everything that we create: that it is ours, and for which specs it was made. */
export const MANAGED_BY = 'replikey:managed-by';
export const SPEC = 'replikey:spec';

/** The tag of a role, with the name of a spec after it, that records what the spec said: Retain or Remove. */
export const DELETION = 'replikey:deletion:';
