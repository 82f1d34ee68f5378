import {
  GetAccountAuthorizationDetailsCommand,
  NoSuchEntityException,
  type RoleDetail,
} from '@aws-sdk/client-iam';
import { defined } from '../canonical.ts';
import { pages } from '../core/pages.ts';
import type { Aws, Command, Place } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import { nameOf } from './operation.ts';

/** Reads of single roles, and what a role of the listing of an account answers to each. */
const ANSWERS: Record<string, (role: RoleDetail, input: Input) => unknown> = {
  GetRole: (role) => ({ Role: role }),
  ListRolePolicies: ({ RolePolicyList = [] }) => ({
    PolicyNames: RolePolicyList.map(({ PolicyName }) => PolicyName),
    IsTruncated: false,
  }),
  ListAttachedRolePolicies: ({ AttachedManagedPolicies = [] }) => ({
    AttachedPolicies: AttachedManagedPolicies,
    IsTruncated: false,
  }),
  GetRolePolicy: ({ RoleName, RolePolicyList = [] }, { PolicyName }) => {
    const found = RolePolicyList.find((policy) => policy.PolicyName === PolicyName);
    if (!found) throw noSuch(`The role policy with name ${PolicyName} cannot be found.`);
    return { RoleName, ...found };
  },
};

interface Input {
  RoleName?: string;
  PolicyName?: string;
}

/** Two roles take eight calls; an account has at most five thousand roles, a thousand on a page. */
const WORTH_LISTING = 3;

/**
 * Answer reads of single roles out of one listing of the account, where the reads that come together are about enough of
 * them. Where the listing is refused, each role is asked for on its own.
 */
export function rolesInBulk(send: Aws['send']): Aws['send'] {
  const accounts = new Map<string, { names: Set<string>; listing: Promise<Roles | undefined> }>();

  function listingFor(at: Place, name: string): Promise<Roles | undefined> {
    const key = at.account ?? '';
    const known = accounts.get(key);
    if (known) {
      known.names.add(name);
      return known.listing;
    }
    const names = new Set([name]);
    const listing = together().then(() => (names.size < WORTH_LISTING ? undefined : listed(send, at)));
    accounts.set(key, { names, listing });
    return listing;
  }

  return async <O>(at: Place, command: Command<O>): Promise<O> => {
    const { service, operation, input } = nameOf(command);
    const answer = service === 'iam' ? ANSWERS[operation] : undefined;
    if (!answer) return send(at, command);
    const { RoleName = '' } = input as Input;
    const roles = await listingFor(at, RoleName);
    if (!roles) return send(at, command);
    const role = roles.get(RoleName);
    if (!role) throw noSuch(`The role with name ${RoleName} cannot be found.`);
    return answer(role, input as Input) as O;
  };
}

type Roles = ReadonlyMap<string, RoleDetail>;

/** Until all reads that are begun at once have been asked for. */
const together = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function listed(send: Aws['send'], at: Place): Promise<Roles | undefined> {
  const roles = new Map<string, RoleDetail>();
  try {
    const all = pages(
      (Marker) =>
        send(
          at,
          new GetAccountAuthorizationDetailsCommand(
            defined({ Filter: ['Role' as const], MaxItems: 1_000, Marker }),
          ),
        ),
      ({ IsTruncated, Marker }) => ({ more: IsTruncated, marker: Marker }),
    );
    for await (const page of all)
      for (const role of page.RoleDetailList ?? []) roles.set(role.RoleName ?? '', role);
    return roles;
  } catch (error) {
    if (error instanceof UserError) throw error;
    return undefined;
  }
}

const noSuch = (message: string): Error => new NoSuchEntityException({ message, $metadata: {} });
