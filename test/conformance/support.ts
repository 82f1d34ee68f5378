import { randomUUID } from 'node:crypto';
import type { KeyMetadata } from '@aws-sdk/client-kms';
import type { PutObjectCommandInput, PutObjectCommandOutput, ReplicationRule } from '@aws-sdk/client-s3';
import type { Aws } from './aws.ts';

/** Makes the calls that lead to one recorded response, and returns the response of the last one. */
export type Scenario = (aws: Aws) => Promise<object>;

/** Scenarios by fact id. A fact that was recorded for several calls has several scenarios. */
export type Scenarios = Record<string, Scenario | Scenario[]>;

/** Returns an unused name: bucket names are global, and all scenarios run concurrently. */
export function unique(prefix: string): string {
  return `${prefix}-${randomUUID().slice(0, 13)}`;
}

/** Creates a bucket in the caller's Region. */
export async function bucket(aws: Aws, name = unique('bucket')): Promise<string> {
  await aws.s3.createBucket({
    Bucket: name,
    ...(aws.region === 'us-east-1'
      ? {}
      : { CreateBucketConfiguration: { LocationConstraint: aws.region as 'us-west-2' } }),
  });
  return name;
}

export async function versioned(aws: Aws, name?: string): Promise<string> {
  const bucketName = await bucket(aws, name);
  await versioning(aws, bucketName, 'Enabled');
  return bucketName;
}

export function versioning(aws: Aws, name: string, status: string) {
  return aws.s3.putBucketVersioning({
    Bucket: name,
    VersioningConfiguration: { Status: status as 'Enabled' },
  });
}

/** Puts an object as in the recordings, without the content type that the JavaScript SDK adds. */
export function putObject(
  aws: Aws,
  input: PutObjectCommandInput & { Body: string },
): Promise<PutObjectCommandOutput> {
  return aws.call('s3', 'PutObject', input, { headers: { 'content-type': null } });
}

/** Creates a symmetric KMS key. */
export async function key(
  aws: Aws,
  description = 'conformance',
): Promise<KeyMetadata & { Arn: string; KeyId: string }> {
  const { KeyMetadata } = await aws.kms.createKey({ Description: description });
  if (KeyMetadata?.KeyId === undefined || KeyMetadata.Arn === undefined)
    throw new Error('CreateKey returned no key');
  return { ...KeyMetadata, Arn: KeyMetadata.Arn, KeyId: KeyMetadata.KeyId };
}

export function trust(service = 'ec2.amazonaws.com', overrides: object = {}): string {
  return policy({ Effect: 'Allow', Principal: { Service: service }, Action: 'sts:AssumeRole', ...overrides });
}

export function policy(...statements: object[]): string {
  return JSON.stringify({ Version: '2012-10-17', Statement: statements });
}

/** Creates a role, and returns its name. */
export async function role(aws: Aws, document = trust(), name = unique('role')): Promise<string> {
  await aws.iam.createRole({ RoleName: name, AssumeRolePolicyDocument: document });
  return name;
}

export function roleArn(aws: Aws, name: string): string {
  return `arn:aws:iam::${aws.account}:role/${name}`;
}

export interface Pair {
  source: string;
  destination: string;
  role: string;
}

/** Creates a source in us-east-1 and a destination in us-west-2, both versioned. The role does not exist. */
export async function pair(aws: Aws): Promise<Pair> {
  const [source, destination] = await Promise.all([versioned(aws), versioned(aws.in('us-west-2'))]);
  return { source, destination, role: roleArn(aws, 'replication') };
}

export function arn(bucketName: string): string {
  return `arn:aws:s3:::${bucketName}`;
}

/** Returns a valid rule with changes. `undefined` removes a field. */
export function rule({ destination }: Pair, changes: object = {}): ReplicationRule {
  const fields = {
    ID: 'rule-1',
    Priority: 1,
    Filter: { Prefix: '' },
    Status: 'Enabled',
    Destination: { Bucket: arn(destination) },
    DeleteMarkerReplication: { Status: 'Disabled' },
    ...changes,
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}

export function replicate(
  aws: Aws,
  { source, role: Role }: Pair,
  Rules: ReplicationRule[],
  overrides: object = {},
) {
  return aws.s3.putBucketReplication({
    Bucket: source,
    ReplicationConfiguration: { Role, Rules },
    ...overrides,
  });
}

/** An account other than the caller's. */
export const FOREIGN_ACCOUNT = '222222222222';
