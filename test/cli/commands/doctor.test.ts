import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, test } from 'vitest';
import type { Facts } from '../../../src/core/facts.ts';
import { collectReplicationFacts } from '../../../src/facts/collect.ts';
import { locationsOf } from '../../../src/facts/locations.ts';
import type { InjectedFault } from '../../../src/sandbox/faults.ts';
import { changeRolePolicy } from '../../sandbox/support.ts';
import { type CliResult, type RunOptions, runCli } from '../../support/cli.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../../support/env.ts';

const EAST = { region: 'us-east-1' };

let healthy: TestEnv;
let broken: TestEnv;
let folder: string;

beforeAll(async () => {
  [healthy, broken] = await Promise.all([testEnv(), testEnv()]);
  await Promise.all([healthy.reconcile(), broken.reconcile()]);
  await put(healthy, 'Tax/2026.pdf');
  await put(healthy, 'Notes/2026.txt');
  await changeRolePolicy(broken.client, (statements) => {
    delete statements.ReplikeyDestinationObjectsTax;
  });
  await put(broken, 'Tax/2026.pdf');
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-doctor-'));
});
afterAll(async () => {
  await Promise.all([healthy, broken].map((testEnvironment) => testEnvironment[Symbol.asyncDispose]()));
  await rm(folder, { recursive: true });
});

async function put({ client, sandbox }: TestEnv, Key: string): Promise<void> {
  await client.send(EAST, new PutObjectCommand({ Bucket: 'acme-tax', Key, Body: 'numbers' }));
  await sandbox.waitForReplication();
}

const doctor = ({ sandbox }: TestEnv, args: string[], options: RunOptions = {}): Promise<CliResult> =>
  runCli(['doctor', ...args], { endpoint: sandbox.endpoint, ...options });

const file = async (name: string, value: unknown): Promise<string> => {
  const target = path.join(folder, name);
  await mkdir(path.dirname(target), { recursive: true });
  await writeFile(target, typeof value === 'string' ? value : JSON.stringify(value));
  return target;
};

describe('doctor with AWS', () => {
  beforeEach(() => {
    for (const { sandbox } of [healthy, broken]) sandbox.log.reset();
  });
  afterEach(() => {
    for (const { sandbox } of [healthy, broken]) {
      expect(sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
      sandbox.faultSettings.faults = [];
    }
  });

  it('prints one line for a rule that replicates, and the status of its objects', async () => {
    const result = await doctor(healthy, ['--bucket', 'acme-tax']);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toMatchInlineSnapshot(`
      "✓ replikey/tax/tax  acme-tax → acme-tax-replica  proven: all 16 requests are allowed
      · acme-tax  1 object checked: 1 COMPLETED

      1 of 1 rules proven. No failure in 1 operation of 14 days.
      Based on the rules of 1 source bucket and the policies of 1 role, 2 buckets, 2 keys; not read: endpoint policies. 16 of 16 requests depend on control policies that were not read.
      "
    `);
  });

  it('diagnoses declared rules, and prints the position of a cause in the YAML', async () => {
    expect((await doctor(healthy, ['-'], { input: TAX_SPEC })).code).toBe(0);
    const { code, stdout } = await doctor(broken, ['-'], { input: TAX_SPEC });
    expect(code).toBe(1);
    expect(stdout).toContain('<stdin>:6:26');
  });

  it('prints the first cause of a broken rule, the failure reason of S3, and the fix', async () => {
    const result = await doctor(broken, ['--bucket', 'acme-tax']);
    expect(result).toMatchObject({ code: 1, stderr: '' });
    expect(
      result.stdout
        .replaceAll(/(since|the first at) \S+/g, '$1 T')
        .replaceAll(/key\/[0-9a-f-]{36}/g, 'key/ID'),
    ).toMatchInlineSnapshot(`
      "✗ replikey/tax/tax  acme-tax → acme-tax-replica  does not replicate
          error RK1308 the role cannot write replicas (S3 reports DstPutObjectNotPermitted)
            S3 is not allowed to write the replica: no identity policy of arn:aws:iam::111122223333:role/replikey-acme-tax allows s3:ReplicateObject on arn:aws:s3:::acme-tax-replica/Tax/any object
            fix add this statement to the policy replikey of the role arn:aws:iam::111122223333:role/replikey-acme-tax
                {
                  "Effect": "Allow",
                  "Action": "s3:ReplicateObject",
                  "Resource": "arn:aws:s3:::acme-tax-replica/Tax/*"
                }
      ✗ replikey/tax/tax  acme-tax → acme-tax-replica  1 operation in 14 days, 1 failed
          warning RK1405 replication operations failed
            1 of 1 operations within 24 hours failed, the first at T
      ✗ acme-tax  1 object checked: 1 FAILED
          warning RK1401 replication failed, and S3 does not retry it
            1 of 1 sampled objects, 1 of them written within 24 hours; the oldest is Tax/2026.pdf, since T when every rule is proven, reconcile redrive --bucket acme-tax replicates them

      Commands that apply the fixes. Each writes the whole document, as replikey read it, with the changes.
        policy replikey of the role arn:aws:iam::111122223333:role/replikey-acme-tax: add 1 statement
          aws iam put-role-policy --role-name replikey-acme-tax --policy-name replikey --policy-document '{"Version":"2012-10-17","Statement":[
          {"Sid":"ReplikeyDestinationKeyTax","Action":["kms:Decrypt","kms:Encrypt","kms:GenerateDataKey"],"Condition":{"StringEquals":{"kms:ViaService":["s3.us-west-2.amazonaws.com"]},"StringLike":{"kms:EncryptionContext:aws:s3:arn":["arn:aws:s3:::acme-tax-replica","arn:aws:s3:::acme-tax-replica/Tax/*"]}},"Effect":"Allow","Resource":["arn:aws:kms:us-west-2:111122223333:key/ID"]},
          {"Sid":"ReplikeySourceBucketTax","Action":["s3:GetReplicationConfiguration","s3:ListBucket"],"Effect":"Allow","Resource":["arn:aws:s3:::acme-tax"]},
          {"Sid":"ReplikeySourceKeyTax","Action":["kms:Decrypt"],"Condition":{"StringEquals":{"kms:ViaService":["s3.us-east-1.amazonaws.com"]},"StringLike":{"kms:EncryptionContext:aws:s3:arn":["arn:aws:s3:::acme-tax","arn:aws:s3:::acme-tax/Tax/*"]}},"Effect":"Allow","Resource":["arn:aws:kms:us-east-1:111122223333:key/ID"]},
          {"Sid":"ReplikeySourceObjectsTax","Action":["s3:GetObjectLegalHold","s3:GetObjectRetention","s3:GetObjectVersionAcl","s3:GetObjectVersionAnnotationForReplication","s3:GetObjectVersionForReplication","s3:GetObjectVersionTagging"],"Effect":"Allow","Resource":["arn:aws:s3:::acme-tax/Tax/*"]},
          {"Effect":"Allow","Action":"s3:ReplicateObject","Resource":"arn:aws:s3:::acme-tax-replica/Tax/*"}
          ]}'

      0 of 1 rules proven, 1 does not replicate. Operations failed under 1 rule. Objects failed or were passed over in 1 bucket.
      Based on the rules of 1 source bucket and the policies of 1 role, 2 buckets, 2 keys; not read: endpoint policies. 12 of 16 requests depend on control policies that were not read.
      "
    `);
  });

  it('shows every finding and every request with -v', async () => {
    const { stdout } = await doctor(broken, ['--bucket', 'acme-tax', '-v']);
    expect(stdout).toContain('error RK1308 the role cannot write replicas');
    expect(stdout).toContain('denied  s3:ReplicateObject to write the replica: no identity policy of');
    expect(stdout).toContain('allowed sts:AssumeRole to assume the role');
  });

  it('reports whether the declared changes would correct a broken rule', async () => {
    const { stdout } = await doctor(broken, ['-', '--sample', '0'], { input: TAX_SPEC });
    expect(stdout).toContain(
      '\n· 1 declared change is not applied; with it, every declared rule is proven: see reconcile plan\n',
    );
  });

  it('reads no objects with --sample 0', async () => {
    const { stdout } = await doctor(healthy, ['--bucket', 'acme-tax', '--sample', '0']);
    expect(stdout).not.toContain('checked');
    expect(healthy.sandbox.log.counts()).not.toHaveProperty('s3:ListObjectVersions');
  });

  const objects: [string, () => TestEnv, string, number, RegExp[]][] = [
    [
      'a replicated object',
      () => healthy,
      'Tax/2026.pdf',
      0,
      [/COMPLETED, aws:kms under arn:.*, with a Bucket Key$/m],
    ],
    [
      'a failed object',
      () => broken,
      'Tax/2026.pdf',
      1,
      [
        /FAILED/,
        /RK1401.*S3 does not retry it/,
        /RK1308 the role cannot write replicas/,
        /replica\/Tax\/2026\.pdf/,
      ],
    ],
    [
      'an object that no rule matches',
      () => healthy,
      'Notes/2026.txt',
      1,
      [
        /no replication status/,
        /RK1403 no rule selects the object/,
        /does not select it: the prefix is Tax\//,
      ],
    ],
  ];
  test.each(objects)('explains %s', async (_, testEnvironment, key, code, patterns) => {
    const result = await doctor(testEnvironment(), ['--bucket', 'acme-tax', '--object', key]);
    expect(result).toMatchObject({ code, stderr: '' });
    for (const pattern of patterns) expect(result.stdout).toMatch(pattern);
  });

  it('rejects --object for a missing object, and for more than one bucket', async () => {
    expect(await doctor(healthy, ['--bucket', 'acme-tax', '--object', 'Tax/none'])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'cannot read object Tax/none of bucket acme-tax: it does not exist\n',
    });
    const two = ['--bucket', 'acme-tax', '--bucket', 'acme-tax-replica', '--object', 'Tax/2026.pdf'];
    expect(await doctor(healthy, two)).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('--object requires exactly one bucket'),
    });
  });

  it('prints the diagnosis as JSON', async () => {
    const { code, stdout } = await doctor(broken, ['--bucket', 'acme-tax', '-o', 'json']);
    expect(code).toBe(1);
    const { format, rules, objects: reports } = JSON.parse(stdout);
    expect(format).toBe(1);
    expect(rules).toMatchObject([
      { bucket: 'acme-tax', rule: 'replikey/tax/tax', destination: 'acme-tax-replica', verdict: 'broken' },
    ]);
    expect(rules[0].findings[0]).toMatchObject({
      code: 'RK1308',
      severity: 'error',
      failureReason: 'DstPutObjectNotPermitted',
      request: { action: 's3:ReplicateObject' },
      fixes: [{ policy: { kind: 'role' }, add: { Effect: 'Allow', Action: 's3:ReplicateObject' } }],
    });
    expect(reports).toMatchObject([{ bucket: 'acme-tax', lookedAt: 1, byStatus: { FAILED: 1 } }]);

    const explained = await doctor(broken, [
      '--bucket',
      'acme-tax',
      '--object',
      'Tax/2026.pdf',
      '-o',
      'json',
    ]);
    expect(JSON.parse(explained.stdout)).toMatchObject({
      format: 1,
      bucket: 'acme-tax',
      object: { key: 'Tax/2026.pdf', status: 'FAILED' },
      taken: [{ verdict: 'broken' }],
    });
  });

  it('prints the diagnosis as SARIF, with positions in the specs', async () => {
    const spec = await file('specs/tax.yaml', TAX_SPEC);
    const { code, stdout } = await doctor(broken, [path.dirname(spec), '-o', 'sarif']);
    expect(code).toBe(1);
    const { $schema, version, runs } = JSON.parse(stdout);
    expect({ $schema, version }).toEqual({
      $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
      version: '2.1.0',
    });
    const [{ tool, results }] = runs;
    expect(tool.driver).toMatchObject({ name: 'replikey', version: expect.any(String) });
    const declared = tool.driver.rules.map(({ id }: { id: string }) => id);
    expect(results.length).toBeGreaterThan(0);
    for (const result of results) {
      expect(declared).toContain(result.ruleId);
      expect(['error', 'warning', 'note']).toContain(result.level);
      expect(result.message.text).toContain('replikey/tax/tax (acme-tax → acme-tax-replica): ');
      expect(result.locations).toEqual([
        {
          physicalLocation: {
            artifactLocation: { uri: pathToFileURL(spec).href },
            region: { startLine: expect.any(Number), startColumn: expect.any(Number) },
          },
        },
      ]);
    }
    expect(results[0]).toMatchObject({
      ruleId: 'RK1308',
      level: 'error',
      locations: [{ physicalLocation: { region: { startLine: 6, startColumn: 26 } } }],
    });
    const fingerprints = results.map((result: { partialFingerprints: object }) =>
      JSON.stringify(result.partialFingerprints),
    );
    expect(new Set(fingerprints).size).toBe(fingerprints.length);
  });

  it('reports a missing bucket, and a bucket without replication configuration', async () => {
    const { code, stdout } = await doctor(healthy, ['--bucket', 'nowhere', '--bucket', 'acme-tax-replica']);
    expect(code).toBe(1);
    expect(stdout).toContain('error RK1101 the source bucket does not exist');
    expect(stdout).toContain('error RK1001 the bucket has no replication configuration');
  });

  const denied = (match: string): InjectedFault => ({
    match,
    nth: 1,
    times: 100,
    what: { status: 403, code: 'AccessDenied' },
  });
  test.each(['GetBucketVersioning', 'GetBucketPolicy', 'GetRole', 'GetKeyPolicy'])(
    'reports an unknown verdict if %s is denied, and passes it only with --allow-unproven',
    async (operation) => {
      healthy.sandbox.faultSettings.faults = [denied(operation)];
      const result = await doctor(healthy, ['--bucket', 'acme-tax']);
      expect(result.code).toBe(1);
      expect(result.stdout).toMatch(/^\? .* {2}is not proven$/m);
      expect(result.stdout).toMatch(new RegExp(`RK1901[^]*${operation} in us-.*lack the permission`));
      expect((await doctor(healthy, ['--bucket', 'acme-tax', '--allow-unproven'])).code).toBe(0);
    },
  );

  it('reports an unknown verdict for an object if a read is denied', async () => {
    healthy.sandbox.faultSettings.faults = [denied('GetBucketPolicy')];
    const args = ['--bucket', 'acme-tax', '--object', 'Tax/2026.pdf'];
    expect(await doctor(healthy, args)).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('is not proven'),
    });
    expect((await doctor(healthy, [...args, '--allow-unproven'])).code).toBe(0);
  });

  it('reports a bucket of another account as unreadable, not as missing', async () => {
    const otherAccount = { env: { AWS_ACCESS_KEY_ID: '444455556666' } };
    const { code, stdout } = await doctor(healthy, ['--bucket', 'acme-tax'], otherAccount);
    expect(code).toBe(1);
    expect(stdout).toMatch(/the bucket acme-tax cannot be read: .*HTTP 403.*belongs to another account/);
  });
});

describe('doctor with files, without AWS', () => {
  let observed: Facts;
  let all: string;
  beforeAll(async () => {
    observed = await collectReplicationFacts(
      healthy.client,
      ['acme-tax'],
      locationsOf({ pairs: [], accounts: [] }, 'us-east-1'),
    );
    all = await file('observed.json', observed);
  });

  /** Runs without credentials, with an endpoint at which no server listens. */
  const offline = (...args: string[]) =>
    runCli(['doctor', '--observed', ...args], { env: { AWS_ENDPOINT_URL: 'http://127.0.0.1:9' } });

  it('proves rules from one file', async () => {
    const result = await offline(all);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toContain('1 of 1 rules proven');
  });

  it('proves rules from a folder of files in the format of the AWS CLI', async () => {
    const { buckets, roles, keys } = JSON.parse(JSON.stringify(observed));
    const { replication, encryption, ...source } = buckets['acme-tax'];
    await file('parts/buckets/source.json', {
      buckets: {
        'acme-tax': {
          ...source,
          replication: { ReplicationConfiguration: replication },
          encryption: { ServerSideEncryptionConfiguration: encryption },
        },
      },
    });
    await file('parts/buckets/destination.json', {
      buckets: { 'acme-tax-replica': buckets['acme-tax-replica'] },
    });
    await file('parts/roles.json', { roles });
    const described = Object.entries(keys as Record<string, { arn: string; policy: unknown }>).map(
      ([arn, { policy }]) => [
        arn,
        {
          KeyMetadata: {
            Arn: arn,
            KeyState: 'Enabled',
            KeyUsage: 'ENCRYPT_DECRYPT',
            KeySpec: 'SYMMETRIC_DEFAULT',
          },
          policy: { Policy: JSON.stringify(policy) },
        },
      ],
    );
    await file('parts/keys.json', { keys: Object.fromEntries(described) });
    await file('parts/README.md', 'not JSON');
    const result = await offline(path.join(folder, 'parts'));
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toContain('1 of 1 rules proven');
  });

  it('counts the grants of a file in the format of the AWS CLI', async () => {
    const facts = structuredClone(observed);
    const [[role = '', roleFact] = []] = Object.entries(facts.roles);
    const withoutKey = { Statement: [{ Effect: 'Allow', Action: 's3:*', Resource: '*' }] };
    const roles = { [role]: { ...roleFact, policies: { replikey: withoutKey } } };
    const keysWith = (parts: object) =>
      Object.fromEntries(
        Object.entries(facts.keys).map(([arn, key]) => [
          arn,
          { ...key, policy: { Statement: [] }, ...parts },
        ]),
      );
    const Grants = [
      {
        GrantId: '0c237476',
        CreationDate: 1761955200.123,
        GranteePrincipal: role,
        IssuingAccount: 'arn:aws:iam::111122223333:root',
        Operations: ['Decrypt', 'Encrypt', 'GenerateDataKey'],
      },
    ];
    const granted = { ...facts, roles, keys: keysWith({ grants: { Grants, Truncated: false } }) };
    const result = await offline(await file('grants.json', granted));
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toContain('1 of 1 rules proven');
    const without = await offline(
      await file('grants-not-read.json', { ...facts, roles, keys: keysWith({}) }),
    );
    expect(without.code).toBe(1);
    expect(without.stdout).toContain('the grants of the key were not read');
    const wrong = await offline(
      await file('grants-wrong.json', { ...facts, keys: keysWith({ grants: { Grants: {} } }) }),
    );
    expect(wrong.code).toBe(64);
    expect(wrong.stderr).toContain('grants');
  });

  it('reports an unknown verdict if the files lack the roles', async () => {
    const { roles, ...withoutRoles } = observed;
    const result = await offline(await file('without-roles.json', withoutRoles));
    expect(result.code).toBe(1);
    expect(result.stdout).toContain('not read');
    expect((await offline(path.join(folder, 'without-roles.json'), '--allow-unproven')).code).toBe(0);
  });

  const invalidFiles: [string, unknown, RegExp][] = [
    ['text that is not JSON', 'buckets:', /invalid JSON in \S*wrong\.json/],
    ['a list', [], /wrong\.json: the document: .*expected object/],
    ['a misspelt key', { bucket: {} }, /wrong\.json: .*"bucket"/],
    [
      'a bucket without Region',
      { buckets: { a: { versioning: {} } } },
      /wrong\.json: buckets\.a\.region: .*string/,
    ],
    [
      'a rule that is not an object',
      { buckets: { a: { region: 'us-east-1', replication: { Role: 'r', Rules: ['tax'] } } } },
      /buckets\.a\.replication\.Rules\.0: .*object/,
    ],
    [
      'an invalid policy',
      { roles: { 'arn:aws:iam::1:role/r': { trust: 'allow' } } },
      /roles\.arn:aws:iam::1:role\/r\.trust: /,
    ],
    [
      'no replication',
      { buckets: { a: { region: 'us-east-1', replication: null } } },
      /no replication found/,
    ],
    ['an empty object', {}, /no replication found/],
  ];
  test.each(invalidFiles)('rejects %s with the position of the error', async (_, value, message) => {
    const result = await offline(await file('wrong.json', value));
    expect(result).toMatchObject({ code: 64, stdout: '' });
    expect(result.stderr).toMatch(message);
    expect(result.stderr).not.toContain('Invalid input;');
  });

  it('rejects a missing file, a folder without files, and --object', async () => {
    expect(await offline(path.join(folder, 'nothing.json'))).toMatchObject({
      code: 64,
      stderr: expect.stringMatching(/cannot read .*nothing\.json/),
    });
    await mkdir(path.join(folder, 'empty'));
    expect(await offline(path.join(folder, 'empty'))).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('no JSON file found in'),
    });
    expect(await offline(all, '--bucket', 'acme-tax', '--object', 'Tax/2026.pdf')).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('--object'),
    });
  });

  it('rejects a command line without specs, bucket or file', async () => {
    expect(await runCli(['doctor'])).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('no specs, bucket or file given'),
    });
  });
});
