import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RECORDED } from '../../iac/recorded.ts';
import { runCli } from '../../support/cli.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-stack-'));
});
afterAll(() => rm(folder, { recursive: true }));

const recorded = (name: string) => path.resolve(RECORDED, `${name}.json`);

/** Stops every connection and name look-up of the process, and writes its CPU time to a file at exit. */
const OFFLINE = (cpuFile: string) => `
import { writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import dns from 'node:dns';
import net from 'node:net';
const refuse = () => { throw new Error('the network was used'); };
net.Socket.prototype.connect = refuse;
dns.lookup = refuse;
syncBuiltinESMExports();
process.on('exit', () => {
  const { user, system } = process.cpuUsage();
  writeFileSync(${JSON.stringify(cpuFile)}, String((user + system) / 1e6));
});
`;

test('doctor --terraform: needs no network, no AWS settings, and less than a second of CPU time', async () => {
  const cpuFile = path.join(folder, 'cpu');
  const hook = path.join(folder, 'offline.mjs');
  await writeFile(hook, OFFLINE(cpuFile));
  const { code, stdout, stderr } = await runCli(
    ['doctor', '--terraform', recorded('cross-account-no-bucket-policy')],
    {
      env: { NODE_OPTIONS: `--import=${pathToFileURL(hook).href}` },
    },
  );
  expect(stderr).toBe('');
  expect(code).toBe(1);
  expect(stdout).toContain('in module.destination.aws_s3_bucket_policy.this[0]');
  expect(Number(await readFile(cpuFile, 'utf8'))).toBeLessThan(1);
});

test('doctor --terraform: undecided rules fail, unless --allow-unproven accepts them', async () => {
  const args = ['doctor', '--terraform', recorded('cross-account-new')];
  const refused = await runCli(args);
  expect(refused.code).toBe(1);
  expect(refused.stdout).toContain('  aws_iam_role_policy.replication.policy is known after apply\n');
  expect(refused.stdout).toContain('  reconcile doctor --terraform state.json\n');
  expect(refused.stdout).toContain('--allow-unproven');
  const accepted = await runCli([...args, '--allow-unproven']);
  expect(accepted.code).toBe(0);
  expect(accepted.stdout).not.toContain('--allow-unproven');
});

test('doctor --terraform: reads standard input, and the UTF-16 that PowerShell writes', async () => {
  const text = await readFile(recorded('cross-account-correct'), 'utf8');
  const piped = await runCli(['doctor', '--terraform', '-'], { input: text });
  expect([piped.code, piped.stderr]).toEqual([0, '']);
  expect(piped.stdout).toContain('1 of 1 rules proven.');
  const file = path.join(folder, 'utf16.json');
  await writeFile(file, Buffer.from(`\uFEFF${text}`, 'utf16le'));
  expect((await runCli(['doctor', '--terraform', file])).code).toBe(0);
});

test('doctor --terraform -o sarif: each result has the plan file and the addresses', async () => {
  const { code, stdout } = await runCli([
    'doctor',
    '--terraform',
    recorded('same-account-no-kms-statement'),
    '-o',
    'sarif',
  ]);
  expect(code).toBe(1);
  const [result] = JSON.parse(stdout).runs[0].results;
  expect(result).toMatchObject({
    ruleId: 'RK1307',
    level: 'error',
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: `${RECORDED}/same-account-no-kms-statement.json` },
          region: { startLine: 1, startColumn: 1 },
        },
        logicalLocations: [
          { fullyQualifiedName: 'aws_iam_policy.replication', kind: 'resource' },
          {
            fullyQualifiedName: 'module.source_bucket.aws_s3_bucket_replication_configuration.this[0]',
            kind: 'resource',
          },
        ],
      },
    ],
  });
  expect(result.message.text).toContain('(in aws_iam_policy.replication)');
});

test('doctor --terraform -o json: has the input, the address of each rule and the unknown values', async () => {
  const { stdout } = await runCli(['doctor', '--terraform', recorded('same-account-new'), '-o', 'json']);
  const report = JSON.parse(stdout);
  expect(report).toMatchObject({
    format: 1,
    input: { type: 'terraform-plan', version: '1.11.4' },
    rules: [
      {
        address: 'module.source_bucket.aws_s3_bucket_replication_configuration.this[0]',
        verdict: 'unknown',
        findings: expect.arrayContaining([
          expect.objectContaining({ code: 'RK1901', resources: ['aws_iam_policy.replication'] }),
        ]),
      },
    ],
    unknownValues: ['aws_iam_policy.replication.policy is known after apply'],
  });
});

describe('doctor --cloudformation', () => {
  const TEMPLATE = path.resolve('test/iac/cloudformation/replication.yaml');

  test('with the description of the stack: uses its account, Region and parameters', async () => {
    const stack = path.join(folder, 'stack.json');
    const StackId = 'arn:aws:cloudformation:eu-central-1:111122223333:stack/tax/1';
    const Parameters = [{ ParameterKey: 'WithKeys', ParameterValue: 'false' }];
    await writeFile(stack, JSON.stringify({ Stacks: [{ StackId, StackName: 'tax', Parameters }] }));
    const { code, stdout, stderr } = await runCli(['doctor', '--cloudformation', TEMPLATE, '--stack', stack]);
    expect([code, stderr]).toEqual([1, '']);
    expect(stdout).toContain('allows kms:Decrypt on arn:aws:kms:eu-central-1:111122223333:key/{SourceKey}');
    expect(stdout).toContain('      in Role\n');
  });

  test('with a Region only: proves the rule for every account', async () => {
    const { code, stdout } = await runCli(['doctor', '--cloudformation', TEMPLATE, '--region', 'eu-west-1']);
    expect(code, stdout).toBe(0);
  });

  test('with a description of several stacks, or a description alone: fails with what to do', async () => {
    const stack = path.join(folder, 'stacks.json');
    await writeFile(stack, '{"Stacks":[{},{}]}');
    const several = await runCli(['doctor', '--cloudformation', TEMPLATE, '--stack', stack]);
    expect([several.code, several.stderr]).toEqual([
      64,
      expect.stringContaining('describe-stacks --stack-name NAME'),
    ]);
    const alone = await runCli(['doctor', '--stack', stack]);
    expect([alone.code, alone.stderr]).toEqual([64, expect.stringContaining('add --cloudformation FILE')]);
  });
});

describe('input that is no plan', () => {
  const CASES: [name: string, content: string | Buffer, message: string][] = [
    ['a saved plan', Buffer.from('PK\u0003\u0004rest'), 'it is a saved plan'],
    ['an empty file', '', 'is empty'],
    ['text', 'not json', 'invalid JSON'],
    ['a list', '[]', 'not a JSON object'],
    ['a raw state file', '{"version":4,"serial":1,"lineage":"x","resources":[]}', 'this is a state file'],
    ['the log of a plan', '{"@level":"info","@message":"x"}', 'this is the log'],
    ['a template', '{"Resources":{}}', 'use --cloudformation'],
    [
      'a newer format',
      '{"format_version":"2.0","planned_values":{}}',
      'format version "2.0" is not supported',
    ],
    [
      'a plan with an error',
      '{"format_version":"1.2","errored":true,"planned_values":{}}',
      'ended with an error',
    ],
    [
      'a plan of another form',
      '{"format_version":"1.2","planned_values":[]}',
      'planned_values is not an object',
    ],
  ];
  test.each(CASES)(
    'doctor --terraform with %s: fails with the reason and what to do',
    async (_, content, message) => {
      const file = path.join(folder, 'input.json');
      await writeFile(file, content);
      const { code, stdout, stderr } = await runCli(['doctor', '--terraform', file]);
      expect([code, stdout]).toEqual([64, '']);
      expect(stderr).toContain(message);
    },
  );

  test('doctor --terraform with an empty state: reports no rules, and fails unless --allow-unproven', async () => {
    const input = { input: '{"format_version":"1.0"}' };
    const { code, stdout, stderr } = await runCli(['doctor', '--terraform', '-'], input);
    expect([code, stdout]).toEqual([1, 'No replication rules in the state in standard input.\n']);
    expect(stderr).toContain('nothing proven: the state in standard input contains no replication rules');
    const accepted = await runCli(['doctor', '--terraform', '-', '--allow-unproven'], input);
    expect([accepted.code, accepted.stderr]).toEqual([0, '']);
  });

  test('doctor --terraform --bucket with another name: fails, and lists the source buckets', async () => {
    const args = ['doctor', '--terraform', recorded('cross-account-correct'), '--bucket'];
    const { code, stdout, stderr } = await runCli([...args, 'acme-tx']);
    expect([code, stdout]).toEqual([64, '']);
    expect(stderr).toMatch(/cannot select acme-tx: .*; it has acme-ledgers/);
  });

  test.each([
    ['--organization-account', 'Main'],
    ['--sample', '5'],
    ['--failed-since', '1h'],
    ['--region', 'us-east-1'],
  ])('doctor --terraform %s: is refused', async (option, value) => {
    const args = ['doctor', '--terraform', recorded('cross-account-correct'), option, value];
    const { code, stderr } = await runCli(args);
    expect(code).toBe(64);
    expect(stderr).toContain(`use it without ${option}`);
  });

  test('doctor --terraform with an empty name: is refused', async () => {
    const { code, stderr } = await runCli(['doctor', '--terraform', '']);
    expect([code, stderr]).toEqual([64, expect.stringContaining('the name of the file to prove is empty')]);
  });

  test('doctor --terraform with specs: is refused', async () => {
    const { code, stderr } = await runCli(['doctor', 'specs/', '--terraform', recorded('cross-account-new')]);
    expect(code).toBe(64);
    expect(stderr).toContain('use it without specs');
  });
});
