import { sortedSet } from '../canonical.ts';
import { desire } from '../core/desire.ts';
import { part } from '../core/handover.ts';
import type { Kind, Resource } from '../core/resource.ts';
import { ACTIONS as PROOF } from '../doctor/read.ts';
import type { Policy, Statement } from '../iam/types.ts';
import { partition } from '../spec/names.ts';
import type { BucketReplication } from '../spec/types.ts';

/** What replikey is to be allowed to do: look, or change as well; to write canaries, and to ask who changed what drifted. */
export interface Purpose {
  apply: boolean;
  verify: boolean;
  whoChanged?: boolean;
}

/** The policies of one account, by the name of its document; `''` for the ambient credentials. */
export interface AccountPermissions {
  account: string;
  /** Twelve digits; absent where nothing says which. */
  accountId?: string;
  policy: Policy;
}

/**
 * What canaries do under the prefixes of the rules: write, with a tag, look, and take every version away again. The
 * controller looks at the newest objects as well.
 */
const CANARIES = {
  source: [
    's3:DeleteObjectVersion',
    's3:GetObject',
    's3:GetObjectVersion',
    's3:GetObjectVersionTagging',
    's3:PutObject',
    's3:PutObjectTagging',
  ],
  bucket: ['s3:ListBucketVersions'],
  destination: ['s3:DeleteObjectVersion', 's3:GetObject', 's3:GetObjectVersion'],
  key: ['kms:Decrypt', 'kms:GenerateDataKey'],
} as const;

/** What tells of changes in CloudTrail: of all of the account, since AWS knows no resource of it. */
const WHO_CHANGED = 'cloudtrail:LookupEvents';

/** Actions for which AWS knows no resource: they are asked of the account as a whole. */
const ACCOUNT_WIDE: ReadonlySet<string> = new Set([
  'kms:CreateKey',
  'kms:ListAliases',
  'kms:ListKeys',
  WHO_CHANGED,
]);

/** Actions that have a statement of their own. */
const APART: ReadonlySet<string> = new Set(['iam:PassRole', WHO_CHANGED]);

/** The aliases themselves are asked about as well as their keys. */
const OF_ALIASES: ReadonlySet<string> = new Set(['kms:CreateAlias']);

/**
 * The least that the credentials of each account need for these specs: from what each kind says that it does, on what the
 * specs name. Pure.
 */
export function permissionsFor(
  pairs: readonly BucketReplication[],
  kinds: readonly Kind[],
  purpose: Purpose,
): AccountPermissions[] {
  const { ours } = part(desire(pairs, kinds), pairs);
  const needs = new Map<string, Needs>();
  const of = (account = ''): Needs => {
    const known = needs.get(account) ?? new Map<string, Set<string>>();
    needs.set(account, known);
    return known;
  };
  const ids = accountIdsOf(pairs);
  const byName = new Map(kinds.map((kind) => [kind.name, kind]));
  for (const resource of ours) {
    const { actions } = byName.get(resource.kind) ?? { actions: { read: [], write: [] } };
    for (const action of [...actions.read, ...(purpose.apply ? actions.write : [])])
      need(of(resource.at.account), action, arnsOf(resource, action, ids));
  }
  for (const pair of pairs) {
    const more = [...proofOf(pair, ids), ...(purpose.verify ? canariesOf(pair, ids) : [])];
    for (const [account, action, arns] of more) need(of(account), action, arns);
  }
  if (purpose.whoChanged) for (const actions of needs.values()) need(actions, WHO_CHANGED, []);
  return [...needs].map(([account, actions]) => {
    const accountId = ids.get(account);
    return { account, ...(accountId === undefined ? {} : { accountId }), policy: policyOf(actions) };
  });
}

/** By action, the ARNs that it is needed for. */
type Needs = Map<string, Set<string>>;
type Need = [account: string | undefined, action: string, arns: string[]];

function need(needs: Needs, action: string, arns: readonly string[]): void {
  const known = needs.get(action) ?? new Set();
  for (const arn of ACCOUNT_WIDE.has(action) ? ['*'] : arns) known.add(arn);
  needs.set(action, known);
}

function accountIdsOf(pairs: readonly BucketReplication[]): Map<string, string> {
  const sides = pairs.flatMap(({ source, destination }) => [source, destination]);
  return new Map(
    sides.flatMap(({ account = '', accountId }) => (accountId === undefined ? [] : [[account, accountId]])),
  );
}

type Ids = ReadonlyMap<string, string>;

/** What a resource is called in policies. An account that nothing names is any. */
function arnsOf({ kind, id, at, spec }: Resource, action: string, ids: Ids): string[] {
  const name = id.slice(id.indexOf('/') + 1);
  const aws = `arn:${partition(at.region)}`;
  const owner = ids.get(at.account ?? '') ?? '*';
  if (action === 'iam:PassRole') return passed(spec, at, ids);
  if (kind.startsWith('s3.')) return [`${aws}:s3:::${name}`];
  if (kind.startsWith('iam.')) {
    const path = (spec as { path?: string }).path ?? '/';
    return [`${aws}:iam::${owner}:role${path}${name.replace(/@.*$/, '')}`];
  }
  const { alias, arn } = spec as { alias?: string; arn?: string };
  if (arn !== undefined) return [arn];
  const keys = `${aws}:kms:${at.region}:${owner}`;
  return [`${keys}:key/*`, ...(OF_ALIASES.has(action) && alias ? [`${keys}:${alias}`] : [])];
}

/** The role that a configuration names: one that is given, or one that a run makes. */
function passed(spec: unknown, at: Resource['at'], ids: Ids): string[] {
  const { role } = spec as { role?: string | { $ref: string } };
  if (typeof role === 'string') return [role];
  const name = String(role?.$ref ?? 'iam.role/*')
    .replace(/^iam\.role\//, '')
    .replace(/@.*$/, '');
  return [`arn:${partition(at.region)}:iam::${ids.get(at.account ?? '') ?? '*'}:role/*${name}`];
}

/** What the proof of a plan reads beside what the kinds read. */
function proofOf({ source, destination, role }: BucketReplication, ids: Ids): Need[] {
  const at = (account: string | undefined) => ids.get(account ?? '') ?? '*';
  const aws = `arn:${partition(source.region)}`;
  const roleArn =
    'arn' in role ? role.arn : `${aws}:iam::${at(source.account)}:role${role.path ?? '/'}${role.name}`;
  return [source, destination]
    .filter(({ managed }) => managed)
    .flatMap((side): Need[] => {
      const isSource = side === source;
      return PROOF.flatMap((action): Need[] => {
        if (action.startsWith('s3:')) return [[side.account, action, [`${aws}:s3:::${side.bucket}`]]];
        if (action.startsWith('kms:'))
          return [
            [
              side.account,
              action,
              ['arn' in side.key ? side.key.arn : `${aws}:kms:${side.region}:${at(side.account)}:key/*`],
            ],
          ];
        // A managed policy that somebody attached may be anywhere.
        const arns = /Policy(Version)?$/.test(action) && !/Role/.test(action) ? ['*'] : [roleArn];
        return isSource ? [[side.account, action, arns]] : [];
      });
    });
}

function canariesOf({ source, destination, rules }: BucketReplication, ids: Ids): Need[] {
  if (!source.managed || !destination.managed) return [];
  const aws = `arn:${partition(source.region)}`;
  const objects = (bucket: string) => rules.map(({ prefix }) => `${aws}:s3:::${bucket}/${prefix}*`);
  const keys = ({ region, account = '', key }: BucketReplication['source']) =>
    'arn' in key ? [key.arn] : [`${aws}:kms:${region}:${ids.get(account) ?? '*'}:key/*`];
  return [
    ...CANARIES.source.map((action): Need => [source.account, action, objects(source.bucket)]),
    ...CANARIES.bucket.map((action): Need => [source.account, action, [`${aws}:s3:::${source.bucket}`]]),
    ...CANARIES.destination.map((action): Need => [destination.account, action, objects(destination.bucket)]),
    ...CANARIES.key.map((action): Need => [source.account, action, keys(source)]),
  ];
}

/** One statement for each set of things, with the actions on it. */
function policyOf(needs: Needs): Policy {
  const byArns = new Map<string, { arns: string[]; actions: string[] }>();
  for (const [action, arns] of needs) {
    const sorted = sortedSet(arns);
    const key = `${APART.has(action) ? action : ''} ${sorted.join(' ')}`;
    const known = byArns.get(key) ?? { arns: sorted, actions: [] };
    byArns.set(key, { ...known, actions: sortedSet([...known.actions, action]) });
  }
  const statements = [...byArns.values()].map(
    ({ arns, actions }): Statement => ({
      Effect: 'Allow',
      Action: actions,
      Resource: arns,
      // The role is handed to S3, and to nobody else.
      ...(actions.includes('iam:PassRole')
        ? { Condition: { StringEquals: { 'iam:PassedToService': 's3.amazonaws.com' } } }
        : {}),
    }),
  );
  return {
    Version: '2012-10-17',
    Statement: statements.sort((a, b) => String(a.Action).localeCompare(String(b.Action), 'en')),
  };
}
