import type { BucketReplication, Position, Side } from '../spec/types.ts';
import { partitionOfRegion } from '../util/arn.ts';
import type { Id, Location } from './resource.ts';

/** Ids of resources: the kind, and a name with account and Region where the name alone is not unique. */

/** Bucket names are unique in all of AWS. */
export const bucketResourceId = (kind: string, bucket: string): Id => `${kind}/${bucket}`;

/** Aliases are unique in an account and Region; an ARN is unique by itself. */
export const keyResourceId = (kind: string, { key, account, region }: Side): Id =>
  'arn' in key ? `${kind}/${key.arn}` : `${kind}/${key.alias}@${[account, region].filter(Boolean).join('/')}`;

/** Role names are unique in an account. The role of a pair belongs to the account of its source. */
export const roleResourceId = (kind: string, { role, source }: BucketReplication): Id =>
  'arn' in role ? `${kind}/${role.arn}` : namedRoleResourceId(kind, role.name, source.account);

export const namedRoleResourceId = (kind: string, name: string, account: string | undefined): Id =>
  `${kind}/${[name, account].filter(Boolean).join('@')}`;

/** The ARN of a role, derived from its name and account. */
export function derivedRoleArn({ role, source }: BucketReplication): string {
  if ('arn' in role) return role.arn;
  return `arn:${partitionOfRegion(source.region)}:iam::${source.accountId}:role${role.path ?? '/'}${role.name}`;
}

export function locationOfSide(side: Side): Location {
  return side.account === undefined
    ? { region: side.region }
    : { account: side.account, region: side.region };
}

/** The name in an id, without the account and the Region that make it the only one. */
export function nameFromId(id: Id, { account, region }: Location): string {
  const name = id.slice(id.indexOf('/') + 1);
  const qualifier = [[account, region].filter(Boolean).join('/'), account].find((candidate) =>
    name.endsWith(`@${candidate}`),
  );
  return qualifier === undefined ? name : name.slice(0, -qualifier.length - 1);
}

/** Rule ids tell ours from foreign ones, and whose ours are. */
export const toRuleId = (pair: string, rule: string): string => `replikey/${pair}/${rule}`;

export const isReplikeyRule = (id: string | undefined): boolean => id?.startsWith('replikey/') ?? false;

/** The spec that a rule of ours is of. */
export const specNameOfRule = (id: string): string => id.split('/')[1] ?? '';

/** Where in the YAML a path of a spec stands, or the nearest path around it that does. */
export function positionOfPath(pair: BucketReplication, path: string): Position {
  const exact = pair.positions[path];
  if (exact) return exact;
  const parentPath = path.replace(/(\.[^.[]+|\[\d+\])$/, '');
  return parentPath === path ? (pair.positions[''] ?? NO_POSITION) : positionOfPath(pair, parentPath);
}

/** The position of what no YAML asks for. */
export const NO_POSITION: Position = { file: '', line: 1, column: 1 };

/** The tags on everything that we create: that it is ours, and for which specs it was made. */
export const MANAGED_BY_TAG = 'replikey:managed-by';
export const SPEC_TAG = 'replikey:spec';

/** The tag of a role, with the name of a spec after it, that records what the spec said: Retain or Remove. */
export const DELETION_TAG_PREFIX = 'replikey:deletion:';

/** The id of the bucket, key or role that a resource belongs to: `iam.role/x` for `iam.role-policy/x`. */
export const ownerIdOf = (id: Id, ownerKind: string): Id => `${ownerKind}/${id.slice(id.indexOf('/') + 1)}`;
