import { CreateRoleCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { createRawClient, elementsOf, type SendRequest } from './raw-request.ts';
import { clientOf, EAST } from './support.ts';

/**
 * PutBucketReplication passes the role to S3 (S3 User Guide, "Setting up permissions for live replication"; IAM User
 * Guide, "Granting a user permissions to pass a role to an AWS service").
 */

const ACCOUNT = '111122223333';
const SESSION = 'ASIADEPLOYER';
const ROLE = `arn:aws:iam::${ACCOUNT}:role/replication`;

let sandbox: Sandbox;
let send: SendRequest;

beforeAll(async () => {
  sandbox = await startSandbox();
  send = createRawClient(sandbox.endpoint, { account: ACCOUNT });
  for (const bucket of ['source-bucket', 'replica-bucket']) {
    await send('PUT', `/${bucket}`);
    const body = '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>';
    await send('PUT', `/${bucket}?versioning`, { body });
  }
  const trust = { Effect: 'Allow', Principal: { AWS: ACCOUNT }, Action: 'sts:AssumeRole' };
  await clientOf(sandbox, ACCOUNT).send(
    EAST,
    new CreateRoleCommand({ RoleName: 'deployer', AssumeRolePolicyDocument: documentOf(trust) }),
  );
  sandbox.store.account(ACCOUNT).sessions.set(SESSION, {
    accessKeyId: SESSION,
    roleName: 'deployer',
    sessionName: 'ci',
    expires: Number.POSITIVE_INFINITY,
    transitiveTags: [],
  });
});

afterAll(() => sandbox.close());

const documentOf = (...Statement: object[]) => JSON.stringify({ Version: '2012-10-17', Statement });

const allow = (Action: string, Resource: string, Condition?: object) => ({
  Effect: 'Allow',
  Action,
  Resource,
  ...(Condition && { Condition }),
});

const PUT = allow('s3:PutReplicationConfiguration', 'arn:aws:s3:::source-bucket');

async function putReplication(role: string, account: string) {
  const body = `<ReplicationConfiguration><Role>${role}</Role><Rule><Status>Enabled</Status><Prefix></Prefix><Destination><Bucket>arn:aws:s3:::replica-bucket</Bucket></Destination></Rule></ReplicationConfiguration>`;
  const { status, text } = await send('PUT', '/source-bucket?replication', { body, account });
  return { status, code: elementsOf(text, 'Code')[0], message: elementsOf(text, 'Message')[0] };
}

async function putAsDeployer(...statements: object[]) {
  await clientOf(sandbox, ACCOUNT).send(
    EAST,
    new PutRolePolicyCommand({
      RoleName: 'deployer',
      PolicyName: 'deploy',
      PolicyDocument: documentOf(PUT, ...statements),
    }),
  );
  return await putReplication(ROLE, SESSION);
}

describe('PutBucketReplication: needs iam:PassRole', () => {
  const toService = (service: string) => ({ StringEquals: { 'iam:PassedToService': service } });

  test.each<[policy: string, statements: object[]]>([
    ['without the action', []],
    ['for another role', [allow('iam:PassRole', `${ROLE}-2`)]],
    ['to another service', [allow('iam:PassRole', ROLE, toService('lambda.amazonaws.com'))]],
    [
      'that another statement denies',
      [allow('iam:*', '*'), { ...allow('iam:PassRole', ROLE), Effect: 'Deny' }],
    ],
  ])('%s: AccessDenied', async (_, statements) => {
    const { status, code, message } = await putAsDeployer(...statements);
    expect([status, code]).toEqual([403, 'AccessDenied']);
    expect(message).toContain(`is not authorized to perform: iam:PassRole on resource: &quot;${ROLE}&quot;`);
    expect((await send('GET', '/source-bucket?replication')).status).toBe(404);
  });

  test('to S3: succeeds, also for a role that does not exist', async () => {
    const statement = allow('iam:PassRole', ROLE, toService('s3.amazonaws.com'));
    expect(await putAsDeployer(statement)).toMatchObject({ status: 200 });
  });
});

test('PutBucketReplication: returns AccessDenied for a role of another account', async () => {
  expect(await putReplication('arn:aws:iam::444455556666:role/replication', ACCOUNT)).toEqual({
    status: 403,
    code: 'AccessDenied',
    message: 'Access Denied',
  });
});
