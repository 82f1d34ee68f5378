import { expect, test } from 'vitest';
import { kinds } from '../src/kinds/index.ts';
import { dynamicImportsOf, files, folderOf, imports, sourceTextOf } from './support/imports.ts';

test('boundaries: only cli/ uses dynamic imports', () => {
  const dynamicImporters = files.filter((file) => dynamicImportsOf(file).length > 0);
  expect(dynamicImporters.filter((file) => folderOf(file) !== 'cli')).toEqual([]);
});

test('boundaries: no call bypasses the lockout check of KMS', () => {
  const reconciler = files.filter((file) => folderOf(file) !== 'sandbox');
  const bypassing = reconciler.filter((file) => sourceTextOf(file).includes('BypassPolicyLockout'));
  expect(bypassing).toEqual([]);
});

test('boundaries: outside the folders of AWS documents, only these files import an SDK client', () => {
  const users = [...imports].flatMap(([file, { packages }]) =>
    packages.some((name) => name.startsWith('@aws-sdk/client-')) ? [file] : [],
  );
  const documentFolders = new Set([
    'kinds',
    'facts',
    'import',
    'prune',
    'doctor',
    'fleet',
    'snapshot',
    'sandbox',
  ]);
  expect(users.filter((file) => !documentFolders.has(folderOf(file)))).toEqual([
    'aws/client.ts',
    'aws/cloudtrail.ts',
    'aws/role-batcher.ts',
    'aws/sdk-clients.ts',
    'aws/sqs.ts',
    'canary/canary-object.ts',
    'cli/demo.ts',
    'controller/s3-lock.ts',
  ]);
});

test('boundaries: only kinds that prune deletes have remove(), not buckets and keys', () => {
  expect([...kinds.values()].flatMap(({ name, remove }) => (remove ? name : [])).sort()).toEqual([
    'cloudwatch.alarm',
    'iam.role',
    'iam.role-policy',
    // A job that waits is cancelled.
    's3.backfill',
    's3.bucket-policy',
    's3.notification',
    's3.replication',
  ]);
});

test('boundaries: main.ts loads no SDK before it knows the command', () => {
  const visited = new Set<string>();
  const reach = (file: string): string[] => {
    if (visited.has(file)) return [];
    visited.add(file);
    const { local = [], packages = [] } = imports.get(file) ?? {};
    return [...packages, ...local.flatMap(reach)];
  };
  const loaded = reach('main.ts');
  expect(loaded).toContain('commander');
  expect(loaded.filter((name) => /@aws-sdk|@smithy|yaml|zod|pino/.test(name))).toEqual([]);
});

test('boundaries: no code deletes buckets, keys or objects other than canaries, or suspends versioning', () => {
  const reconciler = files.filter((file) => folderOf(file) !== 'sandbox');
  const destructive = reconciler.flatMap((file) => {
    const text = sourceTextOf(file);
    const commands = text.match(/\b(?:Delete|Remove|Schedule\w*Deletion|Disable)\w*Command\b/g) ?? [];
    const suspends = /Status: ['"]Suspended/.test(text) ? ['Suspended'] : [];
    return [...new Set([...commands, ...suspends])].map((command) => `${file} ${command}`);
  });
  // Rotation is disabled only when a spec says `rotation: false`. Prune deletes five documents, and nothing else.
  // A failure event is deleted after it was counted.
  expect(destructive.sort()).toEqual([
    'aws/alarms.ts DeleteAlarmsCommand',
    'aws/sqs.ts DeleteMessageBatchCommand',
    'canary/canary-object.ts DeleteObjectCommand',
    'kinds/iam-role-policy.ts DeleteRolePolicyCommand',
    'kinds/iam-role.ts DeleteRoleCommand',
    'kinds/kms-key.ts DisableKeyRotationCommand',
    'kinds/s3-bucket-policy.ts DeleteBucketPolicyCommand',
    'kinds/s3-replication.ts DeleteBucketReplicationCommand',
  ]);
});
