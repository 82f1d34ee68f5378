import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { kinds } from '../src/kinds/index.ts';

/** What each file of src imports, by paths below src; `import type` counts for neither order nor weight. */
const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.ts'),
);
const imports = new Map(files.map((file) => [file, importsOf(file)]));

function importsOf(file: string): { local: string[]; packages: string[]; types: string[] } {
  const text = readFileSync(path.join('src', file), 'utf8');
  const found = [
    ...text.matchAll(/^(?:import|export) (type )?[^;]*?from '([^']+)';$|^import '([^']+)';$/gms),
  ].map(([, type, name = '', bare = '']) => ({ type: type !== undefined, name: name || bare }));
  const local = (name: string) => path.posix.join(path.posix.dirname(file), name);
  const isLocal = ({ name }: { name: string }) => name.startsWith('.') && name.endsWith('.ts');
  return {
    local: found.filter((one) => isLocal(one) && !one.type).map(({ name }) => local(name)),
    types: found.filter((one) => isLocal(one) && one.type).map(({ name }) => local(name)),
    packages: found
      .filter(({ name }) => !name.startsWith('.'))
      .filter(({ type }) => !type)
      .map(({ name }) => name),
  };
}

const room = (file: string): string => (file.includes('/') ? (file.split('/')[0] ?? '') : '');
const inRoom = (name: string) => [...imports].filter(([file]) => room(file) === name);

/** Which rooms a room may import from, types included. What is not here may import anything. */
const MAY_IMPORT: Record<string, string[]> = {
  iam: ['iam'],
  http: ['http'],
  sandbox: ['sandbox', 'iam', 'http'],
  core: ['core', 'spec', 'iam', ''],
  proof: ['proof', 'core', 'spec', 'iam'],
  doctor: ['doctor', 'proof', 'core', 'spec', 'aws', 'kinds', 'import', 'iam', ''],
  spec: ['spec', ''],
  kinds: ['kinds', 'core', 'spec', 'iam', ''],
  aws: ['aws', 'core', 'spec', ''],
  steps: ['steps', 'aws', 'core', 'spec', ''],
  import: ['import', 'core', 'aws', 'spec', ''],
  recording: ['recording', 'doctor', 'import', 'prune', 'kinds', 'steps', 'aws', 'core', 'spec', ''],
  prune: ['prune', 'import', 'kinds', 'aws', 'core', 'spec', 'iam', ''],
  permissions: ['permissions', 'doctor', 'core', 'spec', 'iam', ''],
  controller: ['controller', 'http', 'doctor', 'report', 'proof', 'core', 'spec', 'steps', 'aws', ''],
  kubernetes: ['kubernetes', 'controller', 'core', 'spec', ''],
  report: ['report', 'core', 'spec', 'iam', 'proof', 'doctor', 'aws', 'steps', ''],
};

test.each(Object.entries(MAY_IMPORT))('src/%s imports from %j alone', (name, allowed) => {
  const found = inRoom(name);
  expect(found.length).toBeGreaterThan(0);
  for (const [file, { local, types }] of found) {
    const strangers = [...local, ...types].filter((target) => !allowed.includes(room(target)));
    expect(strangers, file).toEqual([]);
  }
});

test.each(['core', 'iam', 'proof', 'report'])('src/%s does no I/O', (name) => {
  for (const [file, { packages }] of inRoom(name)) {
    const io = packages.filter((one) =>
      /^(node:(?!crypto|zlib|util)|@aws-sdk|@smithy|pino|p-retry)/.test(one),
    );
    expect(io, file).toEqual([]);
  }
});

test.each(['core', 'iam', 'proof', 'report'])('src/%s has no clock, no chance, and no process', (name) => {
  for (const [file] of inRoom(name)) {
    const text = readFileSync(path.join('src', file), 'utf8');
    const found = text.match(
      /\b(Date\.now|new Date\(\)|Math\.random|randomUUID|performance\.|process\.|fetch\()/g,
    );
    expect(found, file).toBe(null);
  }
});

test('only the command line loads code when it is asked for', () => {
  const late = files.filter((file) => /\bimport\(/.test(readFileSync(path.join('src', file), 'utf8')));
  expect(late.filter((file) => file !== 'cli.ts' && room(file) !== 'cli')).toEqual([]);
});

test('the check of KMS that keeps people from locking themselves out is never bypassed', () => {
  const ours = files.filter((file) => room(file) !== 'sandbox');
  const bypassing = ours.filter((file) =>
    readFileSync(path.join('src', file), 'utf8').includes('BypassPolicyLockout'),
  );
  expect(bypassing).toEqual([]);
});

test('only the door and the clients talk to AWS, and only kinds, doctors, canaries and the demo name its operations', () => {
  const users = [...imports].filter(([, { packages }]) =>
    packages.some((one) => one.startsWith('@aws-sdk/client-')),
  );
  const rooms = new Set(users.map(([file]) => (room(file) === 'sandbox' ? 'sandbox' : file)));
  const others = [...rooms].filter(
    (file) => !/^(kinds|import|doctor|prune|recording)\//.test(file) && file !== 'sandbox',
  );
  expect(others.sort()).toEqual([
    'aws/clients.ts',
    'aws/door.ts',
    'aws/roles-in-bulk.ts',
    'cli/demo.ts',
    'controller/s3-lock.ts',
    'steps/canary.ts',
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
  const loaded = [...reach('main.ts'), ...reach('cli.ts')];
  expect(loaded).toContain('commander');
  expect(loaded.filter((name) => /@aws-sdk|@smithy|yaml|zod|pino/.test(name))).toEqual([]);
});

test('buckets, keys and objects but our own canaries cannot be deleted, nor versioning suspended: there is no code for it', () => {
  const ours = files.filter((file) => room(file) !== 'sandbox');
  const named = ours.flatMap((file) => {
    const text = readFileSync(path.join('src', file), 'utf8');
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
    'steps/canary.ts DeleteObjectCommand',
  ]);
});
