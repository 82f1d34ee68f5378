import type { BucketReplication, Position, Side } from '../spec/types.ts';
import type { Id, Place } from './resource.ts';

/** Ids of resources: a name, with account and Region where the name alone is not unique. */

/** Bucket names are unique in the world. */
export const bucketId = (kind: string, bucket: string): Id => `${kind}/${bucket}`;

/** Aliases are unique in an account and Region; an ARN says it all. */
export function keyId(side: Side, kind = 'kms.key'): Id {
  if ('arn' in side.key) return `${kind}/${side.key.arn}`;
  return `${kind}/${side.key.alias}@${[side.account, side.region].filter(Boolean).join('/')}`;
}

/** Roles are unique in an account; the role of a pair is its source's. */
export function roleId(pair: BucketReplication, kind = 'iam.role'): Id {
  if ('arn' in pair.role) return `${kind}/${pair.role.arn}`;
  return `${kind}/${[pair.role.name, pair.source.account].filter(Boolean).join('@')}`;
}

export function place(side: Side): Place {
  return side.account === undefined
    ? { region: side.region }
    : { account: side.account, region: side.region };
}

/** Rule ids tell ours from foreign ones, and whose ours are. */
export const ruleId = (pair: string, rule: string): string => `replikey/${pair}/${rule}`;

export const isOurRule = (id: string | undefined): boolean => id?.startsWith('replikey/') ?? false;

/** Where in the YAML a path of a spec stands, or the nearest path around it that does. */
export function position(pair: BucketReplication, path: string): Position {
  const there = pair.positions[path];
  if (there) return there;
  const around = path.replace(/(\.[^.[]+|\[\d+\])$/, '');
  return around === path ? (pair.positions[''] ?? { file: '', line: 1, column: 1 }) : position(pair, around);
}

/** The tags on everything that we create: that it is ours, and for which specs it was made. */
export const MANAGED_BY = 'replikey:managed-by';
export const SPEC = 'replikey:spec';
