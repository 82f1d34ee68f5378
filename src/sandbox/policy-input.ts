import { PolicyError, parsePolicy } from '../iam/parse.ts';
import type { Policy } from '../iam/types.ts';
import type { AwsError } from './aws-error.ts';

/** A policy that somebody sent, or the service's own refusal of it. */
export function parsePolicyInput(text: string, toError: (message: string) => AwsError): Policy {
  try {
    return parsePolicy(text);
  } catch (error) {
    if (error instanceof PolicyError) throw toError(`The policy cannot be used: ${error.message}`);
    throw error;
  }
}
