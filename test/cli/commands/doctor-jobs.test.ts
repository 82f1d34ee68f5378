import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCli } from '../../support/cli.ts';
import { instantSoon, TAX_SPEC, testEnv } from '../../support/env.ts';
import { callS3 } from '../../support/raw-aws.ts';

const BACKFILL = TAX_SPEC.replace(
  '  rules:',
  `  backfill:
    objects: [failed]
    before: "${instantSoon()}"
    report: { bucket: acme-reports, prefix: replikey/ }
  rules:`,
);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-doctor-jobs-'));
  await writeFile(path.join(folder, 'tax.yaml'), BACKFILL);
});
afterAll(() => rm(folder, { recursive: true }));

test('doctor: reports a job that waits, and then its failed objects by cause, with a fix and exit code 1', async () => {
  await using env = await testEnv();
  const { endpoint } = env.sandbox;
  const doctor = (...args: string[]) => runCli(['doctor', 'tax.yaml', ...args], { endpoint, cwd: folder });
  await env.reconcile();
  await callS3(endpoint, 'PUT', '/acme-reports');
  for (const key of ['1', '2 a']) {
    const url = `/acme-tax/Tax/${encodeURIComponent(key)}.txt`;
    await callS3(endpoint, 'PUT', url, { body: 'numbers' });
    await env.sandbox.waitForReplication();
    // S3 User Guide, "Amazon S3 replication failure reasons": a change of tags fails if the replica was deleted
    // (DstVersionNotFound), and Batch Replication does not replicate the version again (DstObjectHardDeleted).
    env.sandbox.store.bucket('acme-tax-replica')?.objects.delete(`Tax/${key}.txt`);
    const body = '<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>';
    await callS3(endpoint, 'PUT', `${url}?tagging`, { body });
    await env.sandbox.waitForReplication();
  }
  await env.reconcileWith(BACKFILL);
  await env.sandbox.waitForJobs();
  const waiting = JSON.parse((await doctor('-o', 'json')).stdout);
  expect(waiting.rules[0].findings).toContainEqual(
    expect.objectContaining({
      code: 'RK1603',
      message: expect.stringMatching(
        /which replicates 2 objects.*; approve with --allow start-backfill=\S+$/,
      ),
      at: expect.objectContaining({ line: expect.any(Number) }),
    }),
  );

  await env.reconcileWith(BACKFILL, { allowedRisks: ['start-backfill'] });
  await env.sandbox.waitForJobs();
  const { stdout, code } = await doctor('--verbose');
  expect(stdout).toMatch(
    /warning RK1601 a backfill left objects without a replica\n +2 of 2 objects were not replicated by the job that ended on \S+; s3:\/\/acme-reports\/replikey\/ has the list; 2 × DstObjectHardDeleted, such as Tax\/1\.txt: .*copy the object in place/,
  );
  expect(code).toBe(1);
  expect((await doctor('-o', 'sarif')).stdout).toContain('"ruleId": "RK1601"');
});
