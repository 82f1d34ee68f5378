import { PolicyError, parsePolicy } from '../iam/parse.ts';
import type { Policy } from '../iam/types.ts';
import type { AwsError } from './aws-error.ts';

/** A policy that somebody sent, or the service's own refusal of it. */
export function parseStored(text: string, malformed: (message: string) => AwsError): Policy {
  try {
    return parsePolicy(text);
  } catch (error) {
    if (error instanceof PolicyError) throw malformed(`The policy cannot be used: ${error.message}`);
    throw error;
  }
}
