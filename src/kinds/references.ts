import { derivedRoleArn, keyResourceId, roleResourceId } from '../core/ids.ts';
import { ref } from '../core/ref.ts';
import type { Id, Ref } from '../core/resource.ts';
import type { BucketReplication, Side } from '../spec/types.ts';

/** References between documents: a document of one kind that names the key or the role of another. */

/** The ARN of a key, or the reference to it while only its alias is known. */
export const keyArnOrRef = (side: Side): string | Ref =>
  'arn' in side.key ? side.key.arn : ref(keyResourceId('kms.key', side));

/** The ARN of a role, or the reference to it while only its name is known. */
export function roleArnOrRef(pair: BucketReplication): string | Ref {
  if ('arn' in pair.role) return pair.role.arn;
  // A role of an account that is not managed cannot be read.
  return pair.source.managed ? ref(roleResourceId('iam.role', pair)) : derivedRoleArn(pair);
}

/** Roles by ARN, which must exist before a policy names them. A role by name is a reference, which gives the order. */
export const externalRoleIds = (pairs: readonly BucketReplication[]): Id[] =>
  pairs
    .filter(({ role, source }) => 'arn' in role && source.managed)
    .map((pair) => roleResourceId('iam.role', pair));
