import { toList } from './context.ts';
import type { Policy, Statement } from './types.ts';

/** Condition keys whose fixed values limit a statement to known principals or networks, in lower case. */
const LIMITING_KEYS =
  /^(aws:(sourcearn|sourcevpc|sourcevpce|sourceowner|sourceaccount|sourceip|userid|principalarn|principalaccount|principalorgid|principalorgpaths)|s3:(x-amz-server-side-encryption-aws-kms-key-id|dataaccesspointarn|dataaccesspointaccount))$/;

/**
 * Returns whether S3 considers a bucket policy public: a statement allows every principal, and no condition limits it to
 * fixed values, which contain no wildcard and no variable (S3 User Guide, "Blocking public access", "The meaning of
 * public").
 */
export const isPublicPolicy = ({ Statement }: Policy): boolean => toList(Statement).some(isPublicStatement);

function isPublicStatement({ Effect, Principal, NotPrincipal, Condition = {} }: Statement): boolean {
  if (Effect !== 'Allow') return false;
  const isForAll =
    NotPrincipal !== undefined ||
    Principal === '*' ||
    (typeof Principal === 'object' && toList(Principal.AWS).includes('*'));
  if (!isForAll) return false;
  const isLimited = Object.entries(Condition).some(
    ([operator, keys]) =>
      /^(ForAnyValue:)?(String(Equals|EqualsIgnoreCase|Like)|Arn(Equals|Like)|IpAddress)$/.test(operator) &&
      Object.entries(keys).some(
        ([key, values]) =>
          LIMITING_KEYS.test(key.toLowerCase()) &&
          toList(values).every((value) => !/[*?$]|\/0$/.test(String(value))),
      ),
  );
  return !isLimited;
}
