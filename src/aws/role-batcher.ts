import {
  GetAccountAuthorizationDetailsCommand,
  NoSuchEntityException,
  type RoleDetail,
} from '@aws-sdk/client-iam';
import type { Aws, Command, Location } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { commandInfo } from './command.ts';
import { paginate } from './paginate.ts';

/** Reads of single roles, with the response that each gets from an entry of the account's listing. */
const ROLE_RESPONSES: Record<string, (role: RoleDetail, input: RoleInput) => unknown> = {
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
    const inlinePolicy = RolePolicyList.find((policy) => policy.PolicyName === PolicyName);
    if (!inlinePolicy) throw noSuchEntity(`The role policy with name ${PolicyName} cannot be found.`);
    return { RoleName, ...inlinePolicy };
  },
};

interface RoleInput {
  RoleName?: string;
  PolicyName?: string;
}

/**
 * Minimum number of roles for a listing. Two roles take eight calls; an account has at most five thousand roles, a
 * thousand on a page.
 */
const MIN_BATCH_SIZE = 3;

/**
 * Answers reads of single roles from one listing of the account, when at least MIN_BATCH_SIZE roles are read in the
 * same tick. If the listing fails, it reads each role separately.
 */
export function batchRoleReads(send: Aws['send']): Aws['send'] {
  const batches = new Map<string, { roleNames: Set<string>; roles: Promise<RolesByName | undefined> }>();

  function rolesFor(location: Location, roleName: string): Promise<RolesByName | undefined> {
    const key = location.account ?? '';
    const batch = batches.get(key);
    if (batch) {
      batch.roleNames.add(roleName);
      return batch.roles;
    }
    const roleNames = new Set([roleName]);
    const roles = afterCurrentTick().then(() =>
      roleNames.size < MIN_BATCH_SIZE ? undefined : listAllRoles(send, location),
    );
    batches.set(key, { roleNames, roles });
    return roles;
  }

  return async <O>(location: Location, command: Command<O>): Promise<O> => {
    const { service, operation, input } = commandInfo(command);
    const toResponse = service === 'iam' ? ROLE_RESPONSES[operation] : undefined;
    if (!toResponse) return send(location, command);
    const { RoleName = '' } = input as RoleInput;
    const roles = await rolesFor(location, RoleName);
    if (!roles) return send(location, command);
    const role = roles.get(RoleName);
    if (!role) throw noSuchEntity(`The role with name ${RoleName} cannot be found.`);
    return toResponse(role, input as RoleInput) as O;
  };
}

type RolesByName = ReadonlyMap<string, RoleDetail>;

/** Resolves after all reads that the current tick starts. */
export const afterCurrentTick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function listAllRoles(send: Aws['send'], location: Location): Promise<RolesByName | undefined> {
  const roles = new Map<string, RoleDetail>();
  try {
    const rolePages = paginate(
      (Marker) =>
        send(
          location,
          new GetAccountAuthorizationDetailsCommand(
            omitUndefined({ Filter: ['Role' as const], MaxItems: 1_000, Marker }),
          ),
        ),
      ({ IsTruncated, Marker }) => ({ hasMore: IsTruncated, marker: Marker }),
    );
    for await (const page of rolePages)
      for (const role of page.RoleDetailList ?? []) roles.set(role.RoleName ?? '', role);
    return roles;
  } catch (error) {
    if (error instanceof UserError) throw error;
    return undefined;
  }
}

const noSuchEntity = (message: string): Error => new NoSuchEntityException({ message, $metadata: {} });
