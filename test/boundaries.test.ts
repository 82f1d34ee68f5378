import { expect, test } from 'vitest';
import { kinds } from '../src/kinds/index.ts';
import { dynamicImportsOf, files, folderOf, imports, sourceTextOf } from './support/imports.ts';

test('only the command line loads code while it runs', () => {
  const late = files.filter((file) => dynamicImportsOf(file).length > 0);
  expect(late.filter((file) => folderOf(file) !== 'cli')).toEqual([]);
});

test('no call bypasses the lockout check of KMS', () => {
  const reconciler = files.filter((file) => folderOf(file) !== 'sandbox');
  const bypassing = reconciler.filter((file) => sourceTextOf(file).includes('BypassPolicyLockout'));
  expect(bypassing).toEqual([]);
});

test('outside the folders of AWS documents, only these files import an SDK client', () => {
  const users = [...imports].flatMap(([file, { packages }]) =>
    packages.some((name) => name.startsWith('@aws-sdk/client-')) ? [file] : [],
  );
  const documentFolders = new Set(['kinds', 'facts', 'import', 'prune', 'doctor', 'snapshot', 'sandbox']);
  expect(users.filter((file) => !documentFolders.has(folderOf(file)))).toEqual([
    'aws/client.ts',
    'aws/cloudtrail.ts',
    'aws/role-batcher.ts',
    'aws/sdk-clients.ts',
    'canary/canary-object.ts',
    'cli/demo.ts',
    'controller/s3-lock.ts',
  ]);
});

test('only kinds that replikey prunes can be removed: not buckets, not keys', () => {
  expect([...kinds.values()].flatMap(({ name, remove }) => (remove ? name : [])).sort()).toEqual([
    'iam.role',
    'iam.role-policy',
    's3.bucket-policy',
    's3.replication',
  ]);
});

test('the command line loads no SDK before it knows the command', () => {
  const seen = new Set<string>();
  const reach = (file: string): string[] => {
    if (seen.has(file)) return [];
    seen.add(file);
    const { local = [], packages = [] } = imports.get(file) ?? {};
    return [...packages, ...local.flatMap(reach)];
  };
  const loaded = reach('main.ts');
  expect(loaded).toContain('commander');
  expect(loaded.filter((name) => /@aws-sdk|@smithy|yaml|zod|pino/.test(name))).toEqual([]);
});

test('no code deletes buckets, keys or objects other than canaries, or suspends versioning', () => {
  const reconciler = files.filter((file) => folderOf(file) !== 'sandbox');
  const named = reconciler.flatMap((file) => {
    const text = sourceTextOf(file);
    const commands = text.match(/\b(?:Delete|Remove|Schedule\w*Deletion|Disable)\w*Command\b/g) ?? [];
    const suspends = /Status: ['"]Suspended/.test(text) ? ['Suspended'] : [];
    return [...new Set([...commands, ...suspends])].map((one) => `${file} ${one}`);
  });
  // Rotation is disabled only when a spec says `rotation: false`. Prune deletes four documents, and nothing else.
  expect(named.sort()).toEqual([
    'canary/canary-object.ts DeleteObjectCommand',
    'kinds/iam-role-policy.ts DeleteRolePolicyCommand',
    'kinds/iam-role.ts DeleteRoleCommand',
    'kinds/kms-key.ts DisableKeyRotationCommand',
    'kinds/s3-bucket-policy.ts DeleteBucketPolicyCommand',
    'kinds/s3-replication.ts DeleteBucketReplicationCommand',
  ]);
});
