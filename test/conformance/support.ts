import { randomUUID } from 'node:crypto';
import type { KeyMetadata } from '@aws-sdk/client-kms';
import {
  PutObjectCommand,
  type PutObjectCommandInput,
  type PutObjectCommandOutput,
  type ReplicationRule,
} from '@aws-sdk/client-s3';
import { type Aws, send } from './aws.ts';

/** What leads to one recorded answer: the calls before, and the call whose answer is compared. */
export type Scenario = (aws: Aws) => Promise<object>;

/** Scenarios by fact; several where a recording says that several calls are answered alike. */
export type Scenarios = Record<string, Scenario | Scenario[]>;

/** A name that nobody has used: buckets are global, and all scenarios run at once. */
export function unique(prefix: string): string {
  return `${prefix}-${randomUUID().slice(0, 13)}`;
}

/** A fresh bucket in the caller's Region. */
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
  const made = await bucket(aws, name);
  await versioning(aws, made, 'Enabled');
  return made;
}

export function versioning(aws: Aws, name: string, status: string) {
  return aws.s3.putBucketVersioning({
    Bucket: name,
    VersioningConfiguration: { Status: status as 'Enabled' },
  });
}

/** Put an object as those who recorded did: without the content type that this SDK adds. */
export function putObject(
  aws: Aws,
  input: PutObjectCommandInput & { Body: string },
): Promise<PutObjectCommandOutput> {
  // The SDK warns of an empty body, unless it is told that it is empty.
  const command = new PutObjectCommand({ ContentLength: Buffer.byteLength(input.Body), ...input });
  return send(aws.s3, command, ({ headers }) => {
    delete headers['content-type'];
  });
}

/** A fresh symmetric KMS key. */
export async function key(
  aws: Aws,
  description = 'conformance',
): Promise<KeyMetadata & { Arn: string; KeyId: string }> {
  const { KeyMetadata } = await aws.kms.createKey({ Description: description });
  if (KeyMetadata?.KeyId === undefined || KeyMetadata.Arn === undefined)
    throw new Error('CreateKey gave no key');
  return { ...KeyMetadata, Arn: KeyMetadata.Arn, KeyId: KeyMetadata.KeyId };
}

export function trust(service = 'ec2.amazonaws.com', more: object = {}): string {
  return policy({ Effect: 'Allow', Principal: { Service: service }, Action: 'sts:AssumeRole', ...more });
}

export function policy(...statements: object[]): string {
  return JSON.stringify({ Version: '2012-10-17', Statement: statements });
}

/** A fresh role; its name. */
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

/** A source in us-east-1 and a destination in us-west-2, both versioned, and the ARN of a role that need not exist. */
export async function pair(aws: Aws): Promise<Pair> {
  const [source, destination] = await Promise.all([versioned(aws), versioned(aws.in('us-west-2'))]);
  return { source, destination, role: roleArn(aws, 'replication') };
}

export function arn(bucketName: string): string {
  return `arn:aws:s3:::${bucketName}`;
}

/** A rule that AWS takes, and what a scenario wants otherwise; `undefined` takes a field away. */
export function rule({ destination }: Pair, changes: object = {}): ReplicationRule {
  const whole = {
    ID: 'rule-1',
    Priority: 1,
    Filter: { Prefix: '' },
    Status: 'Enabled',
    Destination: { Bucket: arn(destination) },
    DeleteMarkerReplication: { Status: 'Disabled' },
    ...changes,
  };
  return Object.fromEntries(Object.entries(whole).filter(([, value]) => value !== undefined)) as never;
}

export function replicate(
  aws: Aws,
  { source, role: Role }: Pair,
  Rules: ReplicationRule[],
  more: object = {},
) {
  return aws.s3.putBucketReplication({
    Bucket: source,
    ReplicationConfiguration: { Role, Rules },
    ...more,
  });
}

/** An account that is not the caller's. */
export const STRANGER = '222222222222';
