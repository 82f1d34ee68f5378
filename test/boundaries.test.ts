import { expect, test } from 'vitest';
import { kinds } from '../src/kinds/index.ts';
import { dynamicImportsOf, files, folderOf, imports, sourceTextOf } from './support/imports.ts';

test('only the command line loads code when it is asked for', () => {
  const late = files.filter((file) => dynamicImportsOf(file).length > 0);
  expect(late.filter((file) => folderOf(file) !== 'cli')).toEqual([]);
});

test('the check of KMS that keeps people from locking themselves out is never bypassed', () => {
  const ours = files.filter((file) => folderOf(file) !== 'sandbox');
  const bypassing = ours.filter((file) => sourceTextOf(file).includes('BypassPolicyLockout'));
  expect(bypassing).toEqual([]);
});

test('only the door and the clients talk to AWS, and only kinds, doctors, canaries and the demo name its operations', () => {
  const users = [...imports].filter(([, { packages }]) =>
    packages.some((one) => one.startsWith('@aws-sdk/client-')),
  );
  const rooms = new Set(users.map(([file]) => (folderOf(file) === 'sandbox' ? 'sandbox' : file)));
  const others = [...rooms].filter(
    (file) => !/^(kinds|import|doctor|prune|recording)\//.test(file) && file !== 'sandbox',
  );
  expect(others.sort()).toEqual([
    'aws/sdk-clients.ts',
    'aws/cloudtrail.ts',
    'aws/client.ts',
    'aws/role-batcher.ts',
    'cli/demo.ts',
    'controller/s3-lock.ts',
    'canary/canary-object.ts',
    'canary/canary.ts',
  ]);
});

test('only what is pruned can be taken away: kinds of buckets and keys have nothing that removes them', () => {
  expect([...kinds.values()].flatMap(({ name, remove }) => (remove ? name : [])).sort()).toEqual([
    'iam.role',
    'iam.role-policy',
    's3.bucket-policy',
    's3.replication',
  ]);
});

test('no file imports itself by way of others', () => {
  const state = new Map<string, 'open' | 'done'>();
  const visit = (file: string, trail: string[]): void => {
    if (state.get(file) === 'done') return;
    expect(state.get(file), [...trail, file].join(' -> ')).not.toBe('open');
    state.set(file, 'open');
    for (const next of imports.get(file)?.local ?? []) visit(next, [...trail, file]);
    state.set(file, 'done');
  };
  for (const file of files) visit(file, []);
});

test('what the command line needs before it knows the command loads no SDK', () => {
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

test('buckets, keys and objects but our own canaries cannot be deleted, nor versioning suspended: there is no code for it', () => {
  const ours = files.filter((file) => folderOf(file) !== 'sandbox');
  const named = ours.flatMap((file) => {
    const text = sourceTextOf(file);
    const commands = text.match(/\b(?:Delete|Remove|Schedule\w*Deletion|Disable)\w*Command\b/g) ?? [];
    const suspends = /Status: ['"]Suspended/.test(text) ? ['Suspended'] : [];
    return [...new Set([...commands, ...suspends])].map((one) => `${file} ${one}`);
  });
  // Rotation is switched off only where a spec says rotation: false; what may be pruned is four documents, no things.
  expect(named.sort()).toEqual([
    'kinds/iam-role-policy.ts DeleteRolePolicyCommand',
    'kinds/iam-role.ts DeleteRoleCommand',
    'kinds/kms-key.ts DisableKeyRotationCommand',
    'kinds/s3-bucket-policy.ts DeleteBucketPolicyCommand',
    'kinds/s3-replication.ts DeleteBucketReplicationCommand',
    'canary/canary-object.ts DeleteObjectCommand',
  ]);
});
