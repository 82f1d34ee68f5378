import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { runCli } from '../support/cli.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';

it('import: prints specs with an empty plan, and fails for a bucket without replication', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const options = { endpoint: env.sandbox.endpoint };
  const { code, stdout, stderr } = await runCli(['import', '--all'], options);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const planned = await runCli(['plan', '-', '--detailed-exitcode'], { ...options, input: stdout });
  expect(planned).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Nothing to do: /m) });

  const notReplicating = await runCli(['import', '--bucket', 'acme-tax-replica'], options);
  expect(notReplicating).toMatchObject({
    code: 1,
    stderr: 'bucket acme-tax-replica has no replication configuration\n',
  });
  const missing = await runCli(['import', '--bucket', 'nowhere'], options);
  expect(missing).toMatchObject({
    code: 1,
    stderr: 'cannot read bucket nowhere: it does not exist\n',
  });
  expect((await runCli(['import'], options)).code).toBe(64);
});

it('max-changes: refuses a larger plan, by the command line or by guardrails', async () => {
  await using env = await testEnv();
  const options = { endpoint: env.sandbox.endpoint };
  const refused = await runCli(['--once', '-', '--max-changes', '5'], { ...options, input: TAX_SPEC });
  expect(refused.code).toBe(3);
  expect(refused.stdout).toContain(
    'the plan changes 13 of 13 resources, and the limit is 5; raise it with --max-changes 13',
  );
  expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
  expect((await runCli(['--once', '-', '--max-changes', '20%'], { ...options, input: TAX_SPEC })).code).toBe(
    3,
  );
  expect((await runCli(['--once', '-', '--max-changes', 'many'], { ...options, input: TAX_SPEC })).code).toBe(
    64,
  );

  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-guardrails-'));
  try {
    await writeFile(path.join(folder, 'tax.yaml'), TAX_SPEC);
    const guardrails =
      'apiVersion: replikey.dev/v1\nkind: Guardrails\nmetadata: { name: all }\nspec: { maxChanges: 5 }\n';
    await writeFile(path.join(folder, 'guardrails.yaml'), guardrails);
    expect((await runCli(['--once', folder], options)).code).toBe(3);
    expect((await runCli(['--once', folder, '--max-changes', '13'], options)).code).toBe(0);
  } finally {
    await rm(folder, { recursive: true });
  }
});
