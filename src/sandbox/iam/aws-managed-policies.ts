import type { Policy } from '../../iam/types.ts';
import type { AccountState } from '../state.ts';

/** Policies that AWS keeps can all be attached; only of this one does the sandbox know what it allows. */
const AWS_MANAGED_POLICIES: Record<string, Policy> = {
  'arn:aws:iam::aws:policy/AdministratorAccess': {
    Version: '2012-10-17',
    Statement: { Effect: 'Allow', Action: '*', Resource: '*' },
  },
};

export const isAwsManagedPolicy = (arn: string): boolean => arn.startsWith('arn:aws:iam::aws:policy/');

/** The text of a managed policy, where it is known. */
export function managedPolicyDocumentOf({ policies }: AccountState, arn: string): string | undefined {
  const awsPolicy = AWS_MANAGED_POLICIES[arn];
  return awsPolicy ? JSON.stringify(awsPolicy) : policies.get(arn)?.document;
}
