import { IAM } from '@aws-sdk/client-iam';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';

const ROLE = 'arn:aws:iam::111111111111:role/reader';

let sandbox: Sandbox;
let iam: IAM;

beforeAll(async () => {
  sandbox = await startSandbox();
  iam = new IAM({
    endpoint: sandbox.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: '111111111111', secretAccessKey: 'any' },
  });
  const policy = (...Statement: object[]) => JSON.stringify({ Version: '2012-10-17', Statement });
  await iam.createRole({
    RoleName: 'reader',
    AssumeRolePolicyDocument: policy({
      Effect: 'Allow',
      Principal: { Service: 's3.amazonaws.com' },
      Action: 'sts:AssumeRole',
    }),
  });
  await iam.putRolePolicy({
    RoleName: 'reader',
    PolicyName: 'read',
    PolicyDocument: policy(
      {
        Effect: 'Allow',
        Action: 's3:Get*',
        Resource: 'arn:aws:s3:::open/*',
        Condition: { StringEquals: { 'aws:RequestedRegion': 'us-east-1' } },
      },
      { Effect: 'Deny', Action: 's3:GetObjectAcl', Resource: '*' },
    ),
  });
});

afterAll(async () => {
  iam.destroy();
  await sandbox.close();
});

describe('SimulatePrincipalPolicy', () => {
  it('evaluates the policies of the role for every action and resource', async () => {
    const { EvaluationResults } = await iam.simulatePrincipalPolicy({
      PolicySourceArn: ROLE,
      ActionNames: ['s3:GetObject', 's3:GetObjectAcl'],
      ResourceArns: ['arn:aws:s3:::open/key', 'arn:aws:s3:::closed/key'],
      ContextEntries: [
        {
          ContextKeyName: 'aws:RequestedRegion',
          ContextKeyType: 'string',
          ContextKeyValues: ['us-east-1'],
        },
      ],
    });
    expect(
      EvaluationResults?.map((result) => [
        result.EvalActionName,
        result.EvalResourceName,
        result.EvalDecision,
      ]),
    ).toEqual([
      ['s3:GetObject', 'arn:aws:s3:::open/key', 'allowed'],
      ['s3:GetObject', 'arn:aws:s3:::closed/key', 'implicitDeny'],
      ['s3:GetObjectAcl', 'arn:aws:s3:::open/key', 'explicitDeny'],
      ['s3:GetObjectAcl', 'arn:aws:s3:::closed/key', 'explicitDeny'],
    ]);
  });

  it('denies if the context lacks the key of a condition', async () => {
    const { EvaluationResults } = await iam.simulatePrincipalPolicy({
      PolicySourceArn: ROLE,
      ActionNames: ['s3:GetObject'],
      ResourceArns: ['arn:aws:s3:::open/key'],
    });
    expect(EvaluationResults?.[0]?.EvalDecision).toBe('implicitDeny');
  });
});

describe('CreateServiceLinkedRole', () => {
  it('derives the name from the service, and fails the second time', async () => {
    const support = { AWSServiceName: 'support.amazonaws.com' };
    const { Role } = await iam.createServiceLinkedRole(support);
    expect(Role?.Arn).toBe(
      'arn:aws:iam::111111111111:role/aws-service-role/support.amazonaws.com/AWSServiceRoleForSupport',
    );
    await expect(iam.createServiceLinkedRole(support)).rejects.toThrow('has been taken in this account');
  });
});
