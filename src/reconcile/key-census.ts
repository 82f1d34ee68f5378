import type { AwsClient } from '../aws/client.ts';
import { recordsIn } from '../core/batch-job.ts';
import { bucketResourceId, locationOfSide } from '../core/ids.ts';
import type { Kind } from '../core/kind.ts';
import { createRefResolver } from '../core/plan.ts';
import { REENCRYPTION_TAG_PREFIX, reencryptionTagKey } from '../core/reencryption.ts';
import { resolveRefs } from '../core/ref.ts';
import { type ActualState, currentOf, type Ref, type Resource } from '../core/resource.ts';
import { toList } from '../iam/context.ts';
import type { Statement } from '../iam/types.ts';
import { ignoreErrors } from '../kinds/helpers.ts';
import { fetchRole } from '../kinds/iam-role.ts';
import { iamRolePolicy, type RemovedKey, type RolePolicyContext } from '../kinds/iam-role-policy.ts';
import { s3Encryption } from '../kinds/s3-encryption.ts';
import { selectsEncryptedObjects } from '../policy/required-statements.ts';
import { parseSid } from '../policy/statements.ts';
import { defaultBatchRoleName } from '../spec/patterns.ts';
import type { BucketReplication, Side } from '../spec/types.ts';
import { compareCodeUnits } from '../util/canonical-json.ts';

/**
 * Adds to the policies of roles the keys that the role may no longer decrypt with, each with the census of the objects that
 * are encrypted under it, which the tags of the batch role record. Without such a key, this makes no call.
 */
export async function addKeyCensuses(
  resources: readonly Resource[],
  actual: ActualState,
  pairs: readonly BucketReplication[],
  { kinds, aws }: { kinds: ReadonlyMap<string, Kind>; aws: AwsClient },
): Promise<Resource[]> {
  if (!kinds.has(iamRolePolicy.name)) return [...resources];
  const resolveRef = createRefResolver(actual);
  return Promise.all(
    resources.map(async (resource) => {
      if (resource.kind !== iamRolePolicy.name || resource.orphaned) return resource;
      const removed = removedUses(resource, actual, pairs, resolveRef);
      if (removed.length === 0) return resource;
      const removedKeys = await Promise.all(removed.map((use) => withCensus(use, aws)));
      const context = { ...(resource.context as object | undefined), removedKeys };
      return { ...resource, context: context satisfies Partial<RolePolicyContext> };
    }),
  );
}

interface RemovedUse {
  /** ARN. */
  key: string;
  pair: BucketReplication;
  side: Side;
}

/** Returns the keys that the declared permissions of a role no longer contain, for buckets that the specs still declare. */
function removedUses(
  resource: Resource,
  actual: ActualState,
  pairs: readonly BucketReplication[],
  resolveRef: (reference: Ref) => string | undefined,
): RemovedUse[] {
  const before = keysOf(currentOf(actual, resource.id)?.spec);
  if (before.length === 0) return [];
  const after = keysOf(resolveRefs(resource.spec, resolveRef));
  const lost = before.filter(
    ({ key, bucket }) => !after.some((use) => use.key === key && use.bucket === bucket),
  );
  return lost.flatMap(({ key, bucket }) => {
    const pair = pairs.find(
      (candidate) =>
        resource.declaredBy.includes(candidate.name) &&
        selectsEncryptedObjects(candidate) &&
        [candidate.source.bucket, candidate.destination.bucket].includes(bucket),
    );
    if (!pair) return [];
    // The change of the default key of a source has a risk of its own.
    const encryption = currentOf(actual, bucketResourceId(s3Encryption.name, bucket))?.spec;
    const isDefault = (encryption as { kmsMasterKeyId?: string } | undefined)?.kmsMasterKeyId === key;
    const side = pair.source.bucket === bucket ? pair.source : pair.destination;
    return isDefault && side === pair.source ? [] : [{ key, pair, side }];
  });
}

/** Returns the keys of the statements for objects that may be encrypted under several keys, with their buckets. */
function keysOf(spec: unknown): { key: string; bucket: string }[] {
  const { statements = {} } = (spec ?? {}) as { statements?: Record<string, Statement> };
  const uses = Object.entries(statements)
    .filter(([Sid]) => ['SourceKey', 'ReplacedKey'].includes(parseSid({ Sid })?.subject ?? ''))
    .flatMap(([, { Resource, Condition }]) => {
      const contexts = toList(Condition?.StringLike?.['kms:EncryptionContext:aws:s3:arn'] ?? []).map(String);
      const buckets = contexts.flatMap((arn) => /:::([^/]+)$/.exec(arn)?.[1] ?? []);
      return toList(Resource ?? []).flatMap((key) => buckets.map((bucket) => ({ key, bucket })));
    });
  const byId = new Map(uses.map((use) => [`${use.bucket} ${use.key}`, use]));
  return [...byId].sort(([a], [b]) => compareCodeUnits(a, b)).map(([, use]) => use);
}

async function withCensus({ key, pair, side }: RemovedUse, aws: AwsClient): Promise<RemovedKey> {
  const roleName = pair.reencrypt?.role?.name ?? defaultBatchRoleName(side.bucket);
  const role = await ignoreErrors(fetchRole(aws, locationOfSide(side), roleName), 'NoSuchEntityException');
  const tag = reencryptionTagKey({ bucket: side.bucket, replacedKey: key });
  const value = role?.tags[tag];
  const [record] = value === undefined ? [] : recordsIn({ [tag]: value }, REENCRYPTION_TAG_PREFIX);
  return { key, bucket: side.bucket, ...(record && { emptyAt: record.completedAt }) };
}
