import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { pythonEnvironment } from '../support/python.ts';

/**
 * What replikey writes as Object Lock, read by boto3 and the AWS CLI, and what these write, read by replikey. Facts: S3 User
 * Guide, "Configuring Object Lock": the default retention applies to new versions; "Object Lock considerations": a replica
 * without a retention of its own takes the default retention of its bucket.
 */

const boto3 = pythonEnvironment('boto3');
const awscli = pythonEnvironment('awscli');
const run = promisify(execFile);
const REPLICA = 'acme-tax-replica';
const LOCKED_SPEC = TAX_SPEC.replace(
  'alias/acme-tax-replica }',
  'alias/acme-tax-replica, objectLock: { mode: Governance, days: 30 } }',
);

const clientEnv = ({ sandbox }: TestEnv) => ({
  PATH: process.env.PATH,
  AWS_ENDPOINT_URL: sandbox.endpoint,
  AWS_ACCESS_KEY_ID: '111122223333',
  AWS_SECRET_ACCESS_KEY: 'test',
  AWS_DEFAULT_REGION: 'us-west-2',
});

/** Runs Python with `s3` as the client of the Region of the replica, and returns the JSON that it prints. */
async function runBoto3(env: TestEnv, script: string): Promise<unknown> {
  const prelude = `import boto3, json\ns3 = boto3.client("s3")\nreplica = "${REPLICA}"\n`;
  const { stdout } = await run(boto3.program('python'), ['-c', prelude + script], { env: clientEnv(env) });
  return JSON.parse(stdout);
}

describe.skipIf(boto3.missing)('boto3', () => {
  test('reads the lock that replikey writes, and the retention of a replica; replikey corrects a shorter one', async () => {
    await using env = await testEnv(LOCKED_SPEC);
    await env.reconcile();
    const lock = {
      ObjectLockEnabled: 'Enabled',
      Rule: { DefaultRetention: { Mode: 'GOVERNANCE', Days: 30 } },
    };
    const put = `boto3.client("s3", region_name="us-east-1").put_object(Bucket="acme-tax", Key="Tax/a", Body=b"x")
print(json.dumps(s3.get_object_lock_configuration(Bucket=replica)["ObjectLockConfiguration"]))`;
    expect(await runBoto3(env, put)).toEqual(lock);
    await env.sandbox.waitForReplication();
    const shorten = `import datetime
from botocore.exceptions import ClientError
head = s3.head_object(Bucket=replica, Key="Tax/a")
retention = s3.get_object_retention(Bucket=replica, Key="Tax/a")["Retention"]
try:
    s3.delete_object(Bucket=replica, Key="Tax/a", VersionId=head["VersionId"])
    deletion = "deleted"
except ClientError as error:
    deletion = error.response["Error"]["Code"]
s3.put_object_lock_configuration(Bucket=replica, ObjectLockConfiguration={
    "ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}})
left = retention["RetainUntilDate"] - datetime.datetime.now(datetime.timezone.utc)
print(json.dumps([head["ReplicationStatus"], retention["Mode"], round(left.total_seconds() / 86400), deletion]))`;
    expect(await runBoto3(env, shorten)).toEqual(['REPLICA', 'GOVERNANCE', 30, 'AccessDenied']);
    const { plan } = await env.reconcile();
    expect(plan.waves.flat().map(({ id, patch }) => [id, patch])).toEqual([
      [`s3.object-lock/${REPLICA}`, [{ op: 'replace', path: '/days', value: 30 }]],
    ]);
    const read =
      'print(json.dumps(s3.get_object_lock_configuration(Bucket=replica)["ObjectLockConfiguration"]))';
    expect(await runBoto3(env, read)).toEqual(lock);
  });
});

describe.skipIf(awscli.missing)('AWS CLI', () => {
  test('locks a bucket as replikey declares it: replikey finds nothing to change', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await run(
      awscli.program('aws'),
      [
        's3api',
        'put-object-lock-configuration',
        '--bucket',
        REPLICA,
        '--object-lock-configuration',
        '{"ObjectLockEnabled":"Enabled","Rule":{"DefaultRetention":{"Mode":"GOVERNANCE","Days":30}}}',
      ],
      { env: clientEnv(env) },
    );
    const { plan } = await env.reconcileWith(LOCKED_SPEC);
    expect([plan.waves, plan.blocked]).toEqual([[], []]);
  });
});
