import {
  DescribeOrganizationCommand,
  DescribePolicyCommand,
  ListParentsCommand,
  ListPoliciesForTargetCommand,
  type PolicySummary,
  type PolicyType,
} from '@aws-sdk/client-organizations';
import { paginate } from '../aws/paginate.ts';
import { requireField } from '../aws/response.ts';
import {
  type AccountFacts,
  type Fact,
  type Facts,
  factValue,
  isUnread,
  type OrganizationMembership,
} from '../core/facts.ts';
import type { Aws, Location } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import { accountOfArn } from '../iam/context.ts';
import type { ControlPolicyLevel } from '../iam/types.ts';
import { parsePolicyDocument } from '../kinds/policy-document.ts';
import type { Specs } from '../spec/types.ts';
import { globalRegionOf } from '../util/arn.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { readFact } from './read.ts';

/** Reads the control policies of accounts. Keeps all responses, so that each request is made once. */
export interface OrganizationReader {
  /** Returns the facts of an account: its organization, SCPs and RCPs. */
  account(id: string): Promise<Fact<AccountFacts>>;
}

/**
 * Creates a reader for a pass.
 *
 * @param location the account whose credentials read the organization, and a Region
 */
export function createOrganizationReader(aws: Aws, location: Location): OrganizationReader {
  const organization = memoizeByKey((_: 'own') => readFact(describeOrganization(aws, location)));
  const parents = memoizeByKey((id: string) => readParent(aws, location, id));
  const policies = memoizeByKey((id: string) => readPolicyDocument(aws, location, id));
  const levels = memoizeByKey(async (key: string): Promise<ControlPolicyLevel> => {
    const [type, id] = key.split(' ') as [ControlPolicyFilter, string];
    const summaries = await listPolicies(aws, location, type, id);
    const name = levelNameOf(id);
    return {
      name,
      policies: await Promise.all(
        summaries.map(async ({ Id = '', Name = Id }) => ({
          name: `${POLICY_LABELS[type]} "${Name}" (${Id}) attached to ${name}`,
          policy: await policies(Id),
        })),
      ),
    };
  });

  /** Returns the levels of an account. AWS attaches at least one policy to each target while the type is enabled. */
  async function controlPolicies(
    type: ControlPolicyFilter,
    ids: readonly string[],
  ): Promise<ControlPolicyLevel[] | undefined> {
    const all = await Promise.all(ids.map((id) => levels(`${type} ${id}`)));
    return all.every(({ policies }) => policies.length === 0) ? undefined : all;
  }

  /** Returns the ids of the levels of an account, from the root to the account. */
  async function ancestry(id: string): Promise<string[]> {
    const parent = await parents(id);
    return parent.startsWith('r-') ? [parent, id] : [...(await ancestry(parent)), id];
  }

  return {
    account: memoizeByKey(async (id: string): Promise<Fact<AccountFacts>> => {
      const described = await organization('own');
      if (described === null || isUnread(described)) return described ?? { unread: 'no organization' };
      const ids = await readFact(ancestry(id), 'ChildNotFoundException');
      if (ids === null) return { outside: described.id };
      if (isUnread(ids)) return ids;
      const membership: OrganizationMembership = {
        id: described.id,
        path: [described.id, ...ids.slice(0, -1), ''].join('/'),
      };
      // Control policies have no effect on the management account.
      if (id === described.managementAccount) return { organization: membership, scps: null, rcps: null };
      const [scps, rcps] = await Promise.all([
        readFact(controlPolicies('SERVICE_CONTROL_POLICY', ids)),
        readFact(controlPolicies('RESOURCE_CONTROL_POLICY', ids)),
      ]);
      return { organization: membership, scps, rcps };
    }),
  };
}

/**
 * Checks the name of the account that reads the organization.
 *
 * @throws UserError if no Account document with credentials has this name: other credentials must not replace it.
 */
export function checkOrganizationAccount(
  { accounts }: Pick<Specs, 'accounts'>,
  account: string | undefined,
): void {
  if (account === undefined || accounts.some(({ name, managed }) => managed && name === account)) return;
  throw new UserError(
    EXIT.usage,
    `cannot read the organization: no Account document with credentials is named "${account}"; add one for the management account or for a delegated administrator`,
  );
}

/**
 * Returns the reader of a pass; undefined without an account that reads the organization.
 *
 * @throws UserError if no Account document with credentials has this name.
 */
export function organizationReaderOf(
  aws: Aws,
  { accounts, pairs }: Pick<Specs, 'accounts' | 'pairs'>,
  account: string | undefined,
): OrganizationReader | undefined {
  if (account === undefined) return undefined;
  checkOrganizationAccount({ accounts }, account);
  const region = globalRegionOf(pairs[0]?.source.region ?? 'us-east-1');
  return createOrganizationReader(aws, { account, region });
}

/**
 * Adds the facts of the accounts that own the buckets, roles and keys of the facts. Without a reader, or when all are known,
 * returns the facts themselves.
 *
 * @param accountIds further accounts, such as those of resources that the plan creates
 */
export async function addAccountFacts(
  organization: OrganizationReader | undefined,
  facts: Facts,
  accountIds: Iterable<string> = [],
): Promise<Facts> {
  if (!organization) return facts;
  const ids = [...new Set([...accountIds, ...accountsIn(facts)])].filter(
    (id) => /^\d{12}$/.test(id) && facts.accounts?.[id] === undefined,
  );
  const entries = await Promise.all(ids.map(async (id) => [id, await organization.account(id)] as const));
  return { ...facts, accounts: { ...facts.accounts, ...Object.fromEntries(entries) } };
}

const accountsIn = ({ buckets, roles, keys }: Facts): string[] => [
  ...Object.values(buckets).flatMap((fact) => {
    const bucket = factValue(fact);
    const { Role = '', Rules = [] } = factValue(bucket?.replication) ?? {};
    return [
      bucket?.account ?? '',
      accountOfArn(Role),
      ...Rules.map(({ Destination }) => Destination?.Account ?? ''),
    ];
  }),
  ...[...Object.keys(roles), ...Object.keys(keys)].map(accountOfArn),
];

type ControlPolicyFilter = Extract<PolicyType, 'SERVICE_CONTROL_POLICY' | 'RESOURCE_CONTROL_POLICY'>;

const POLICY_LABELS: Record<ControlPolicyFilter, string> = {
  SERVICE_CONTROL_POLICY: 'SCP',
  RESOURCE_CONTROL_POLICY: 'RCP',
};

const levelNameOf = (id: string): string =>
  `${id.startsWith('r-') ? 'root' : id.startsWith('ou-') ? 'OU' : 'account'} ${id}`;

async function describeOrganization(aws: Aws, location: Location) {
  const { Organization = {} } = await aws.send(location, new DescribeOrganizationCommand({}));
  const { Id = '', MasterAccountId: managementAccount = '' } = Organization;
  return { id: Id, managementAccount };
}

async function readParent(aws: Aws, location: Location, ChildId: string): Promise<string> {
  const { Parents = [] } = await aws.send(location, new ListParentsCommand({ ChildId }));
  const [parent] = Parents;
  if (parent?.Id === undefined) throw new Error(`invalid response: ${ChildId} has no parent`);
  return parent.Id;
}

async function listPolicies(
  aws: Aws,
  location: Location,
  Filter: ControlPolicyFilter,
  TargetId: string,
): Promise<PolicySummary[]> {
  const summaries: PolicySummary[] = [];
  const pages = paginate(
    (NextToken) =>
      aws.send(location, new ListPoliciesForTargetCommand(omitUndefined({ TargetId, Filter, NextToken }))),
    ({ NextToken }) => ({ hasMore: NextToken !== undefined, marker: NextToken }),
  );
  for await (const { Policies = [] } of pages) summaries.push(...Policies);
  return summaries;
}

async function readPolicyDocument(aws: Aws, location: Location, PolicyId: string) {
  const response = await aws.send(location, new DescribePolicyCommand({ PolicyId }));
  return parsePolicyDocument(requireField(requireField(response, 'Policy'), 'Content'));
}

/** Returns a function that keeps its results by key. Concurrent calls share a result. */
function memoizeByKey<K extends string, T>(read: (key: K) => Promise<T>): (key: K) => Promise<T> {
  const results = new Map<K, Promise<T>>();
  return (key) => {
    const result = results.get(key) ?? read(key);
    results.set(key, result);
    return result;
  };
}
