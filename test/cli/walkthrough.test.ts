import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Plan } from '../../src/core/resource.ts';
import { runCli, type SandboxProcess, startSandboxProcess } from '../support/cli.ts';
import { pythonEnvironment } from '../support/python.ts';
import {
  WALKTHROUGH_TRUST,
  type WalkthroughKeys,
  walkthroughPolicy,
  walkthroughReplication,
} from '../support/walkthrough.ts';

/**
 * AWS's walkthrough "Replicating encrypted objects", with the AWS CLI and the original buckets, role, policies, order and
 * mistake: it allows only the encryption context of objects with an S3 Bucket Key, so that all others fail.
 */
const awscli = pythonEnvironment('awscli');

const spec = (keys: WalkthroughKeys, foreignRules: string) => `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: tax }
spec:
  source: { bucket: source, region: us-east-1, key: "${keys.source}" }
  destination: { bucket: destination, region: us-west-2, key: "${keys.destination}" }
  role: { name: replicationRolekmsobj }
  rules:
    - prefix: Tax
  policy: { foreignRules: ${foreignRules} }
`;

describe.skipIf(awscli.missing)(
  `AWS's walkthrough with the AWS CLI${awscli.missing ? `: ${awscli.missing}` : ''}`,
  { timeout: 60_000 },
  () => {
    let folder: string;
    let sandbox: SandboxProcess;
    let keys: WalkthroughKeys;

    beforeAll(async () => {
      folder = await mkdtemp(path.join(tmpdir(), 'replikey-walkthrough-'));
      await writeFile(path.join(folder, 'config'), '[profile acctA]\nregion = us-east-1\noutput = json\n');
      await writeFile(
        path.join(folder, 'credentials'),
        '[acctA]\naws_access_key_id = 111122223333\naws_secret_access_key = any\n',
      );
      sandbox = await startSandboxProcess();
    });
    afterAll(async () => {
      await sandbox?.stop();
      await rm(folder, { recursive: true });
    });

    /** Runs one line of the walkthrough, and parses its output. */
    async function aws(line: string, ...extraArgs: string[]): Promise<Record<string, unknown>> {
      const args = [...line.split(' '), ...extraArgs, '--profile', 'acctA'];
      const { stdout } = await promisify(execFile)(awscli.program('aws'), args, {
        cwd: folder,
        env: {
          PATH: process.env.PATH ?? '',
          HOME: folder,
          AWS_CONFIG_FILE: path.join(folder, 'config'),
          AWS_SHARED_CREDENTIALS_FILE: path.join(folder, 'credentials'),
          AWS_ENDPOINT_URL: sandbox.endpoint,
        },
      });
      return stdout === '' ? {} : JSON.parse(stdout);
    }

    const file = (name: string, document: unknown) =>
      writeFile(path.join(folder, name), JSON.stringify(document, null, 3));

    const POLICY = 's3-role-permissions-policykmsobj.json';
    const putRolePolicy = () =>
      aws(
        `iam put-role-policy --role-name replicationRolekmsobj --policy-document file://${POLICY} --policy-name replicationRolechangeownerPolicy`,
      );

    const createKey = async (region: string) => {
      const { KeyMetadata } = await aws(`kms create-key --region ${region}`);
      return (KeyMetadata as { Arn: string }).Arn;
    };

    /** Puts an encrypted object, waits for the final replication status, and returns it with the reason of a failure. */
    async function putAndWait(key: string, bucketKey: boolean) {
      await writeFile(path.join(folder, 'body'), `the contents of ${key}`);
      await aws(
        `s3api put-object --bucket source --key ${key} --body body --server-side-encryption aws:kms`,
        '--ssekms-key-id',
        keys.source,
        bucketKey ? '--bucket-key-enabled' : '--no-bucket-key-enabled',
      );
      const state = await vi.waitFor(
        async () => {
          const response = await fetch(`${sandbox.endpoint}/_sandbox/replication?bucket=source&key=${key}`);
          const [version] = (await response.json()) as { replication: Replication }[];
          expect(version?.replication.status).not.toBe('PENDING');
          return version?.replication;
        },
        { timeout: 10_000 },
      );
      const { ReplicationStatus } = await aws(`s3api head-object --bucket source --key ${key}`);
      expect(ReplicationStatus).toBe(state?.status);
      const [attempt] = state?.attempts ?? [];
      return { status: ReplicationStatus, reason: attempt?.reason, detail: attempt?.detail };
    }

    const reconcile = (foreignRules: string, ...args: string[]) =>
      runCli([...args, '-'], { endpoint: sandbox.endpoint, input: spec(keys, foreignRules) });

    it('accepts every call', async () => {
      await aws('s3api create-bucket --bucket source --region us-east-1');
      await aws('s3api put-bucket-versioning --bucket source --versioning-configuration Status=Enabled');
      await aws(
        's3api create-bucket --bucket destination --region us-west-2 --create-bucket-configuration LocationConstraint=us-west-2',
      );
      await aws('s3api put-bucket-versioning --bucket destination --versioning-configuration Status=Enabled');

      await file('s3-role-trust-policy-kmsobj.json', WALKTHROUGH_TRUST);
      const { Role } = await aws(
        'iam create-role --role-name replicationRolekmsobj --assume-role-policy-document file://s3-role-trust-policy-kmsobj.json',
      );
      keys = { source: await createKey('us-east-1'), destination: await createKey('us-west-2') };
      await file(POLICY, walkthroughPolicy(keys, ['kms:Encrypt']));
      await putRolePolicy();

      const configuration = walkthroughReplication(keys, (Role as { Arn: string }).Arn);
      await file('replication.json', configuration);
      await aws(
        's3api put-bucket-replication --replication-configuration file://replication.json --bucket source',
      );
      const { ReplicationConfiguration } = await aws('s3api get-bucket-replication --bucket source');
      expect(ReplicationConfiguration).toMatchObject(configuration);
    });

    it('fails objects with a Bucket Key while the role has only kms:Encrypt for the replica key', async () => {
      expect(await putAndWait('Tax/literal', true)).toMatchObject({
        status: 'FAILED',
        reason: 'DstPutObjectNotPermitted',
        detail: expect.stringContaining('kms:GenerateDataKey'),
      });
    });

    it('replicates objects with a Bucket Key once the role has kms:GenerateDataKey and kms:Decrypt', async () => {
      await file(POLICY, walkthroughPolicy(keys, ['kms:Encrypt', 'kms:GenerateDataKey', 'kms:Decrypt']));
      await putRolePolicy();
      expect(await putAndWait('Tax/with', true)).toMatchObject({ status: 'COMPLETED' });
      expect(
        await aws('s3api head-object --bucket destination --key Tax/with --region us-west-2'),
      ).toMatchObject({
        ReplicationStatus: 'REPLICA',
        SSEKMSKeyId: keys.destination,
        BucketKeyEnabled: true,
      });
      await aws('s3api get-object --bucket destination --key Tax/with --region us-west-2 replica');
    });

    it('fails objects without a Bucket Key because of the encryption context', async () => {
      expect(await putAndWait('Tax/without', false)).toMatchObject({
        status: 'FAILED',
        reason: 'SrcGetObjectNotPermitted',
        detail: expect.stringMatching(/kms:EncryptionContext:aws:s3:arn.*arn:aws:s3:::source\/Tax\/without/s),
      });
    });

    it('has a plan with only the differences, each with its reason', async () => {
      const { code, stdout } = await reconcile('Preserve', '--dry-run', '--detailed-exitcode', '-o', 'json');
      expect(code).toBe(2);
      const { waves, notes, unchanged, blocked } = JSON.parse(stdout) as Plan;
      const byDefault = [
        'the spec turns the S3 Bucket Key on (it determines the encryption context of new objects)',
        'S3 encrypts new objects under the declared key by default',
      ];
      expect(waves.flat().map(({ action, id, why }) => [action, id, why])).toEqual([
        [
          'create',
          'iam.role-policy/replicationRolekmsobj',
          ['does not exist yet', 'S3 needs these permissions as the role'],
        ],
        ['update', 's3.encryption/destination', byDefault],
        ['update', 's3.replication/source', ['the rule replikey/tax/tax is declared']],
        ['update', 's3.encryption/source', byDefault],
      ]);
      expect(blocked).toEqual([]);
      // Both buckets and their versioning, both keys, and the role, whose trust policy is equivalent.
      expect(unchanged).toBe(7);
      const before = 'already exists: replikey changes only the settings in this plan';
      expect(notes.map(({ id, message }) => [id, message])).toEqual([
        ['s3.replication/source', expect.stringMatching(/foreign rules, which replikey keeps/)],
        ['s3.replication/source', expect.stringMatching(/declare backfill for objects that exist already/)],
        ...['iam.role/replicationRolekmsobj', 's3.bucket/source', 's3.bucket/destination'].map((id) => [
          id,
          before,
        ]),
      ]);
    });

    it('refuses to remove a foreign rule with foreignRules: Replace until remove-rules is allowed', async () => {
      const { code, stdout } = await reconcile('Replace', '--once');
      expect(code).toBe(3);
      expect(stdout).toContain('allow it with --allow remove-rules');
    });

    it('replicates objects with and without a Bucket Key after reconcile, which then has nothing to do', async () => {
      const risks = ['remove-rules', 'change-default-encryption', 'lose-in-flight'];
      const result = await reconcile('Replace', '--once', ...risks.flatMap((risk) => ['--allow', risk]));
      expect(result).toMatchObject({ code: 0, stderr: '' });
      expect(await putAndWait('Tax/reconciled-with', true)).toMatchObject({ status: 'COMPLETED' });
      expect(await putAndWait('Tax/reconciled-without', false)).toMatchObject({ status: 'COMPLETED' });
      expect((await reconcile('Replace', '--dry-run', '--detailed-exitcode')).code).toBe(0);
    });
  },
);

interface Replication {
  status: string;
  attempts: { reason?: string; detail?: string }[];
}
