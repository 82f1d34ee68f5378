import type { Policy } from '../iam/types.ts';
import type { AccountState } from './state.ts';

/** Policies that AWS keeps can all be attached; only of this one does the sandbox know what it allows. */
const AWS_MANAGED: Record<string, Policy> = {
  'arn:aws:iam::aws:policy/AdministratorAccess': {
    Version: '2012-10-17',
    Statement: { Effect: 'Allow', Action: '*', Resource: '*' },
  },
};

export const isAwsManaged = (arn: string): boolean => arn.startsWith('arn:aws:iam::aws:policy/');

/** The text of a managed policy, where it is known. */
export function documentOf({ policies }: AccountState, arn: string): string | undefined {
  const known = AWS_MANAGED[arn];
  return known ? JSON.stringify(known) : policies.get(arn)?.document;
}
