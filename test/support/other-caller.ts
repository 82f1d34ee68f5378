import { CreateRoleCommand, IAMClient, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { KMSClient } from '@aws-sdk/client-kms';
import { S3Client } from '@aws-sdk/client-s3';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import type { TestEnv } from './env.ts';

const ACCOUNT = '111122223333';

/** The caller of `clientsOfJane`, as CloudTrail names it. */
export const JANE = `arn:aws:sts::${ACCOUNT}:assumed-role/admin/jane`;

export const policyJson = (Statement: object) => JSON.stringify({ Version: '2012-10-17', Statement });

/** Returns clients of another caller, with its own role. */
export async function clientsOfJane({ sandbox }: Pick<TestEnv, 'sandbox'>) {
  const config = (
    accessKeyId: string,
    credentials: { sessionToken?: string; secretAccessKey?: string } = {},
  ) => ({
    endpoint: sandbox.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId, secretAccessKey: 'any', ...credentials },
  });
  const iam = new IAMClient(config(ACCOUNT));
  // The root user of an account cannot assume a role.
  const sts = new STSClient(config(`AKIA${ACCOUNT}`));
  const trust = { Effect: 'Allow', Principal: { AWS: ACCOUNT }, Action: 'sts:AssumeRole' };
  const allowAll = { Effect: 'Allow', Action: '*', Resource: '*' };
  const { Role } = await iam.send(
    new CreateRoleCommand({ RoleName: 'admin', AssumeRolePolicyDocument: policyJson(trust) }),
  );
  await iam.send(
    new PutRolePolicyCommand({ RoleName: 'admin', PolicyName: 'all', PolicyDocument: policyJson(allowAll) }),
  );
  const { Credentials } = await sts.send(
    new AssumeRoleCommand({ RoleArn: Role?.Arn, RoleSessionName: 'jane' }),
  );
  const sessionConfig = config(Credentials?.AccessKeyId ?? '', {
    secretAccessKey: Credentials?.SecretAccessKey ?? '',
    sessionToken: Credentials?.SessionToken ?? '',
  });
  return {
    iam: new IAMClient(sessionConfig),
    kms: new KMSClient(sessionConfig),
    s3: new S3Client({ ...sessionConfig, forcePathStyle: true }),
  };
}
