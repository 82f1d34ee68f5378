import type { Account as OrganizationAccount } from '@aws-sdk/client-organizations';
import { formatAwsError } from '../aws/errors.ts';
import { paginate } from '../aws/paginate.ts';
import { requireField } from '../aws/response.ts';
import type { Aws, Location } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import { omitUndefined } from '../util/canonical-json.ts';

/** An account of the organization. */
export interface MemberAccount {
  /** 12 digits. */
  id: string;
  name?: string;
  /** Why replikey does not read the account: it is not active. */
  error?: string;
}

/**
 * Lists the accounts of the organization.
 *
 * @param location the management account, or an account that may list the organization as its delegated administrator
 *
 * @throws UserError when AWS refuses it. Without the list, accounts would be missing from a survey without a notice.
 */
export async function listMemberAccounts(
  aws: Pick<Aws, 'send'>,
  location: Location,
): Promise<MemberAccount[]> {
  const { ListAccountsCommand } = await import('@aws-sdk/client-organizations');
  const members: MemberAccount[] = [];
  try {
    const pages = paginate(
      (NextToken) =>
        aws.send(location, new ListAccountsCommand(omitUndefined({ MaxResults: 20, NextToken }))),
      ({ NextToken: marker }) => ({ hasMore: marker !== undefined, marker }),
    );
    for await (const page of pages) members.push(...requireField(page, 'Accounts').map(toMember));
    return members;
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(
      EXIT.failed,
      `cannot list the accounts of the organization: ${formatAwsError(error)}; use credentials of the management account or of a delegated administrator, or --accounts FILE`,
      { cause: error },
    );
  }
}

function toMember({ Id: id = '', Name: name, State, Status }: OrganizationAccount): MemberAccount {
  const state = State ?? Status ?? 'unknown';
  const error =
    state === 'ACTIVE'
      ? undefined
      : `its state in the organization is ${state}, and only active accounts can be read`;
  return omitUndefined({ id, name, error });
}
