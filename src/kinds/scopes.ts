import { ownerIdOf } from '../core/ids.ts';
import type { Scope } from '../core/kind.ts';
import type { Resource } from '../core/resource.ts';
import { bucketArn, partitionOfRegion } from '../util/arn.ts';

/** Documents of a bucket: the bucket itself has the kind `s3.bucket`. */
export const bucketScope: Scope = {
  type: 'bucket',
  stage: 'permissions',
  ownerId: (id) => ownerIdOf(id, 's3.bucket'),
  arn: ({ name, location }) => bucketArn(name, location.region),
  policyArns: ({ name, location }) => [bucketArn(name, location.region)],
};

/** Batch jobs of a bucket. */
export const jobScope: Scope = {
  ...bucketScope,
  stage: 'jobs',
  ownerId: (id) => `s3.bucket/${id.split('/')[1]}`,
  policyArns({ location: { region }, context }, action, accountId) {
    const { roleName } = (context ?? {}) as { roleName?: string };
    const partition = partitionOfRegion(region);
    if (action.startsWith('iam:'))
      return roleName === undefined ? [] : [`arn:${partition}:iam::${accountId}:role/${roleName}`];
    // AWS authorizes CreateJob and ListJobs on all resources (Service Authorization Reference, Amazon S3).
    return JOB_ACTIONS.has(action) ? [`arn:${partition}:s3:${region}:${accountId}:job/*`] : ['*'];
  },
};

/** Actions that AWS authorizes on a job. */
const JOB_ACTIONS = new Set(['s3:DescribeJob', 's3:UpdateJobStatus', 's3:PutJobTagging']);

/** Documents of a role: the role itself has the kind `iam.role`. */
export const roleScope: Scope = {
  type: 'role',
  stage: 'permissions',
  ownerId: (id) => ownerIdOf(id, 'iam.role'),
  arn: roleArn,
  policyArns: (resource, _, accountId) => [roleArn(resource, accountId)],
};

/** Documents of a key: the key itself has the kind `kms.key`. */
export const keyScope: Scope = {
  type: 'key',
  stage: 'permissions',
  ownerId: (id) => ownerIdOf(id, 'kms.key'),
  arn: ({ name, location }, accountId) =>
    isArn(name)
      ? name
      : `arn:${partitionOfRegion(location.region)}:kms:${location.region}:${accountId}:key/${name}`,
  policyArns({ name, location }, action, accountId) {
    if (isArn(name)) return [name];
    const prefix = `arn:${partitionOfRegion(location.region)}:kms:${location.region}:${accountId}`;
    return [`${prefix}:key/*`, ...(ALIAS_ACTIONS.has(action) ? [`${prefix}:${name}`] : [])];
  },
};

/** A queue, whose name is its ARN. */
export const queueScope: Scope = targetScope('queue');

/** A topic, whose name is its ARN. */
export const topicScope: Scope = targetScope('topic');

function targetScope(type: 'queue' | 'topic'): Scope {
  return {
    type,
    stage: 'monitoring',
    ownerId: (id) => id,
    arn: ({ name }) => name,
    policyArns: ({ name }) => [name],
  };
}

/** Alarms of CloudWatch, each a document of its own. */
export const alarmScope: Scope = {
  type: 'alarm',
  stage: 'monitoring',
  ownerId: (id) => id,
  arn: alarmArn,
  policyArns: (resource, action, accountId) =>
    // The topics that the alarm notifies.
    action.startsWith('sns:')
      ? ((resource.spec as { alarmActions?: string[] }).alarmActions ?? [])
      : [alarmArn(resource, accountId)],
};

/** Actions that KMS authorizes on the alias as well as on the key. */
const ALIAS_ACTIONS = new Set(['kms:CreateAlias']);

/** Returns the ARN of a role. The spec of the role contains its path; its policies have it as context. */
function roleArn({ name, location, spec, context }: Resource, accountId: string): string {
  const { arn, path = '/' } = { ...(context as object), ...(spec as object) } as {
    arn?: string;
    path?: string;
  };
  return arn ?? `arn:${partitionOfRegion(location.region)}:iam::${accountId}:role${path}${name}`;
}

function alarmArn({ name, location: { region } }: Resource, accountId: string): string {
  return `arn:${partitionOfRegion(region)}:cloudwatch:${region}:${accountId}:alarm:${name}`;
}

const isArn = (name: string): boolean => name.startsWith('arn:');
