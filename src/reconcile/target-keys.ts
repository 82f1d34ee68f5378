import { type ActualState, currentOf, type Id, type Resource } from '../core/resource.ts';
import { targetKeyStatements } from '../kinds/failure-target.ts';
import { kmsKeyPolicy } from '../kinds/kms-key-policy.ts';
import { type NotificationContext, s3Notification } from '../kinds/s3-notification.ts';
import { snsTopicPolicy } from '../kinds/sns-topic-policy.ts';
import { sqsQueuePolicy } from '../kinds/sqs-queue-policy.ts';
import { normalizeStatements, type Statements } from '../policy/statements.ts';

/**
 * Lets S3 use the customer managed keys that encrypt queues and topics: adds the permissions to the policies of keys that
 * specs declare, and gives other keys to the notification configurations, which print the statement. Pure.
 */
export function addTargetKeys(resources: readonly Resource[], actual: ActualState): Resource[] {
  const keyPolicies = new Map<Id, { statements: Statements; declaredBy: string[] }>();
  const afterTarget = new Map<Id, Id>();
  const undeclaredKeys = new Map<Id, string>();
  for (const target of resources.filter(isTargetPolicy)) {
    const key = currentOf(actual, target.id)?.attrs.kmsKey;
    if (key === undefined || key.startsWith('alias/aws/') || target.orphaned) continue;
    const policy = resources.find((resource) => isPolicyOfKey(resource, key, target, actual));
    if (!policy) {
      undeclaredKeys.set(target.id, key);
      continue;
    }
    const { statements = {}, declaredBy = [] } = keyPolicies.get(policy.id) ?? {};
    keyPolicies.set(policy.id, {
      statements: { ...statements, ...targetKeyStatements(target.declaredBy) },
      declaredBy: [...declaredBy, ...target.declaredBy],
    });
    afterTarget.set(target.id, policy.id);
  }
  if (keyPolicies.size + undeclaredKeys.size === 0) return [...resources];
  return resources.map((resource) => {
    const added = keyPolicies.get(resource.id);
    if (added) return withStatements(resource, added);
    return resource.kind === s3Notification.name ? withKeys(resource, afterTarget, undeclaredKeys) : resource;
  });
}

const isTargetPolicy = ({ kind }: Resource): boolean =>
  kind === sqsQueuePolicy.name || kind === snsTopicPolicy.name;

/** Returns whether a resource is the policy of the key that a queue or topic names: by id, ARN or alias. */
function isPolicyOfKey(
  { id, kind, name, location }: Resource,
  key: string,
  target: Resource,
  actual: ActualState,
): boolean {
  if (kind !== kmsKeyPolicy.name) return false;
  const { arn } = currentOf(actual, id)?.attrs ?? {};
  if (arn !== undefined && (arn === key || arn.endsWith(`:key/${key}`))) return true;
  const alias = key.replace(/^arn:[^:]+:kms:[^:]+:\d{12}:/, '');
  const isSameLocation =
    location.account === target.location.account && location.region === target.location.region;
  return alias === name && isSameLocation;
}

function withStatements(
  resource: Resource,
  { statements, declaredBy }: { statements: Statements; declaredBy: string[] },
): Resource {
  const spec = resource.spec as { statements: Statements };
  return {
    ...resource,
    spec: { ...spec, statements: normalizeStatements({ ...spec.statements, ...statements }) },
    declaredBy: [...new Set([...resource.declaredBy, ...declaredBy])],
  };
}

/** Returns a notification configuration that follows the policies of keys, with the keys that no spec declares. */
function withKeys(
  resource: Resource,
  afterTarget: ReadonlyMap<Id, Id>,
  undeclaredKeys: ReadonlyMap<Id, string>,
): Resource {
  const context: NotificationContext = {
    undeclaredKeys: resource.after.flatMap((id) => undeclaredKeys.get(id) ?? []),
  };
  return {
    ...resource,
    after: [...resource.after, ...resource.after.flatMap((id) => afterTarget.get(id) ?? [])],
    ...(context.undeclaredKeys.length > 0 && { context }),
  };
}
