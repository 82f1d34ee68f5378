import { reencryptedSidesOf } from '../spec/key-uses.ts';
import type { BucketReplication, Position, Side } from '../spec/types.ts';
import { partitionOfRegion } from '../util/arn.ts';
import type { Id, Location } from './resource.ts';

/** Returns the id of a resource of a bucket. Bucket names are unique in all of AWS. */
export const bucketResourceId = (kind: string, bucket: string): Id => `${kind}/${bucket}`;

/** Returns the id of a resource of a key. Aliases are unique in an account and Region; an ARN is unique by itself. */
export const keyResourceId = (kind: string, { key, account, region }: Side): Id =>
  'arn' in key ? `${kind}/${key.arn}` : `${kind}/${key.alias}@${[account, region].filter(Boolean).join('/')}`;

/**
 * Returns the id of a resource of a role. Role names are unique in an account. The role of a pair belongs to its source
 * account.
 */
export const roleResourceId = (kind: string, { role, source }: BucketReplication): Id =>
  'arn' in role ? `${kind}/${role.arn}` : namedRoleResourceId(kind, role.name, source.account);

/** Returns the id of a resource of the role of a pair's backfill; undefined for a pair without one. */
export const batchRoleResourceId = (kind: string, { backfill, source }: BucketReplication): Id | undefined =>
  backfill && batchRoleId(kind, { role: backfill.role, side: source });

/** A role of the batch jobs of a pair. */
export interface BatchRole {
  role: { name: string } | { arn: string };
  /** The side with the bucket of the jobs. The role belongs to its account. */
  side: Side;
  /** Where the spec declares it. */
  path: string;
}

/** Returns the roles of the batch jobs of a pair. A role with jobs in several buckets occurs once. */
export function batchRolesOf(pair: BucketReplication): BatchRole[] {
  const { backfill, source } = pair;
  const roles: BatchRole[] = [
    ...(backfill ? [{ role: backfill.role, side: source, path: 'spec.backfill.role' }] : []),
    ...reencryptedSidesOf(pair).map(({ role, side }) => ({ role, side, path: 'spec.reencrypt.role' })),
  ];
  return [...new Map(roles.map((role) => [batchRoleId('role', role), role])).values()];
}

/** Returns the id of a resource of a role of batch jobs. */
export const batchRoleId = (kind: string, { role, side }: Omit<BatchRole, 'path'>): Id =>
  'arn' in role ? `${kind}/${role.arn}` : namedRoleResourceId(kind, role.name, side.account);

export const namedRoleResourceId = (kind: string, name: string, account: string | undefined): Id =>
  `${kind}/${[name, account].filter(Boolean).join('@')}`;

/** Returns the ARN of a role, derived from its name and account. */
export function derivedRoleArn({ role, source }: BucketReplication): string {
  if ('arn' in role) return role.arn;
  return `arn:${partitionOfRegion(source.region)}:iam::${source.accountId}:role${role.path ?? '/'}${role.name}`;
}

export function locationOfSide(side: Pick<Side, 'account' | 'region'>): Location {
  return side.account === undefined
    ? { region: side.region }
    : { account: side.account, region: side.region };
}

/** An account that owns a part of a pair. */
export type AccountOfPair = Pick<Side, 'account' | 'accountId' | 'managed' | 'region'>;

/** Returns the accounts of a pair: of both buckets, and of the queue or topic for its events if another one owns that. */
export const accountsOfPair = ({ source, destination, failures }: BucketReplication): AccountOfPair[] => [
  source,
  destination,
  // The ambient credentials belong to the account of the source.
  ...(failures?.account === undefined ? [] : [{ ...failures, region: source.region }]),
];

/** Returns the name in an id, without the account and the Region that make the id unique. */
export function nameFromId(id: Id, { account, region }: Location): string {
  const name = id.slice(id.indexOf('/') + 1);
  const qualifier = [[account, region].filter(Boolean).join('/'), account].find((candidate) =>
    name.endsWith(`@${candidate}`),
  );
  return qualifier === undefined ? name : name.slice(0, -qualifier.length - 1);
}

/** Name of the inline policy that replikey manages in a role. */
export const ROLE_POLICY_NAME = 'replikey';

/** Returns the id of a rule. It marks the rule as managed by replikey, and names its spec. */
export const toRuleId = (pair: string, rule: string): string => `replikey/${pair}/${rule}`;

export const isReplikeyRule = (id: string | undefined): boolean => id?.startsWith('replikey/') ?? false;

/** Returns the spec that a managed rule belongs to. */
export const specNameOfRule = (id: string): string => id.split('/')[1] ?? '';

/** Begins the names of re-drives. No spec has such a name, because the name of a spec is a DNS label. */
const REDRIVE_PREFIX = 'redrive.';

/** Returns the name under which a re-drive of a bucket creates its role policy and its job, as a spec does. */
export const redriveName = (bucket: string): string => REDRIVE_PREFIX + bucket;

/** Returns whether a name is that of a re-drive, not of a spec. Nothing records a re-drive: each one is a new job. */
export const isRedrive = (specName: string): boolean => specName.startsWith(REDRIVE_PREFIX);

/** Returns the position of a spec path in the YAML, or that of its nearest parent with a position. */
export function positionOfPath(pair: BucketReplication, path: string): Position {
  const exact = pair.positions[path];
  if (exact) return exact;
  const parentPath = path.replace(/(\.[^.[]+|\[\d+\])$/, '');
  return parentPath === path ? (pair.positions[''] ?? NO_POSITION) : positionOfPath(pair, parentPath);
}

/** The position of a resource that no YAML declares. */
export const NO_POSITION: Position = { file: '', line: 1, column: 1 };

/** Tags of everything that replikey creates: that replikey manages it, and for which specs it was created. */
export const MANAGED_BY_TAG = 'replikey:managed-by';
export const SPEC_TAG = 'replikey:spec';

/** Prefix of role tags that record the `deletion` of a spec, Retain or Remove. The name of the spec follows. */
export const DELETION_TAG_PREFIX = 'replikey:deletion:';

/**
 * Marks of such a tag: the spec declares failure events, or it did before. Prune then looks for its entries in the
 * notification configuration of the source bucket.
 */
export const FAILURE_MARKS: readonly string[] = ['failures', 'former-failures'];

/** What such a tag records: `Retain`, `Remove`, or either with a mark, as in `Remove failures`. */
export interface DeletionTag {
  isRemoved: boolean;
  marks: readonly string[];
}

/** Returns the value of such a tag. */
export const toDeletionTag = ({ isRemoved, marks }: DeletionTag): string =>
  [isRemoved ? 'Remove' : 'Retain', ...marks].join(' ');

/** Returns what such a tag records; undefined without a tag, and for a value in another form. */
export function parseDeletionTag(value: string | undefined): DeletionTag | undefined {
  const [deletion, ...marks] = value?.split(' ') ?? [];
  return deletion === 'Remove' || deletion === 'Retain'
    ? { isRemoved: deletion === 'Remove', marks }
    : undefined;
}

/**
 * Prefix of role tags that record the former role of a configuration, whose policy still has statements. The name of
 * that role follows, with `/` for each comma, which AWS does not allow in tags.
 */
export const NARROW_TAG_PREFIX = 'replikey:narrow:';
export const toNarrowTag = (role: string): string => NARROW_TAG_PREFIX + role.replaceAll(',', '/');
export const roleOfNarrowTag = (key: string): string =>
  key.slice(NARROW_TAG_PREFIX.length).replaceAll('/', ',');

/** Returns the id of the bucket, key or role that a resource belongs to: `iam.role/x` for `iam.role-policy/x`. */
export const ownerIdOf = (id: Id, ownerKind: string): Id => `${ownerKind}/${id.slice(id.indexOf('/') + 1)}`;
