import type {
  PutResourcePolicyRequest,
  RegisterDelegatedAdministratorRequest,
} from '@aws-sdk/client-organizations';
import type { AwsError } from '../aws-error.ts';
import type { Handlers } from '../call.ts';
import { parsePolicyInput } from '../stored-policies.ts';
import {
  accountNotFoundError,
  constraintViolationError,
  getAuthorizedOrganization,
  organizationsError,
} from './access.ts';
import { markOrganizationChanged } from './organization.ts';

/** Handlers of delegated administrators, and of the policy that delegates the administration of policies. */
export const delegationHandlers: Handlers = {
  RegisterDelegatedAdministrator(call, input: RegisterDelegatedAdministratorRequest) {
    const organization = getAuthorizedOrganization(call);
    const { AccountId = '', ServicePrincipal = '' } = input;
    if (!organization.accounts.has(AccountId)) throw accountNotFoundError();
    if (AccountId === organization.managementAccount)
      throw constraintViolationError(
        'CANNOT_REGISTER_MASTER_AS_DELEGATED_ADMINISTRATOR',
        'You cannot register the management account as delegated administrator.',
      );
    const services = organization.delegatedAdministrators.get(AccountId) ?? [];
    if (services.includes(ServicePrincipal))
      throw organizationsError(
        'AccountAlreadyRegisteredException',
        'The provided account is already a delegated administrator for your organization.',
      );
    organization.delegatedAdministrators.set(AccountId, [...services, ServicePrincipal]);
    markOrganizationChanged(call.store, organization);
    return {};
  },

  PutResourcePolicy(call, { Content = '' }: PutResourcePolicyRequest) {
    const organization = getAuthorizedOrganization(call);
    parsePolicyInput(
      Content,
      (message): AwsError =>
        organizationsError('InvalidInputException', message, 'INVALID_RESOURCE_POLICY_JSON'),
    );
    organization.resourcePolicy = Content;
    markOrganizationChanged(call.store, organization);
    const { id, partition, managementAccount } = organization;
    return {
      ResourcePolicy: {
        ResourcePolicySummary: {
          Id: `rp-${id.slice('o-'.length)}`,
          Arn: `arn:${partition}:organizations::${managementAccount}:resourcepolicy/${id}/rp-${id.slice('o-'.length)}`,
        },
        Content,
      },
    };
  },
};
