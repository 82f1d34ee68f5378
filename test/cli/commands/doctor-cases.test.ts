import { expect, test } from 'vitest';
import { runCli } from '../../support/cli.ts';

/**
 * Runs the whole program over exported facts of reported cases. The expected results come from the documentation of AWS,
 * which each row names.
 */
test.each([
  // IAM User Guide, "Cross-account policy evaluation logic": both sides must allow (aws/aws-cdk#35825).
  ['cross-account-blind', 1, 'does not replicate', 'RK1308', 'no identity policy of'],
  // IAM User Guide, NotPrincipal with Deny: name the account, the role and the session (aws/aws-cdk#12865).
  ['not-principal', 1, 'does not replicate', 'RK1308', 'OnlyTheReplicationRole'],
  // S3 User Guide, "Using Object Lock with S3 Replication" (hashicorp/terraform-provider-aws#14061).
  ['object-lock-default-retention', 1, 'does not replicate', 'RK1314', 's3:GetObjectRetention'],
  // S3 User Guide, "Organizing objects using prefixes": literal (alphagov/digitalmarketplace-aws#432).
  ['prefix-star', 1, 'does not replicate', 'RK1011', 'use the prefix ""'],
  // S3 User Guide, "Setting up permissions for live replication": only tags are lost.
  ['untagged-false-positive', 0, 'proven', 'RK1306', 'objects with tags'],
])('doctor: case %s exits with %i and reports "%s"', async (name, code, verdict, finding, text) => {
  const result = await runCli(['doctor', '--observed', `test/proof/cases/${name}.json`], {
    env: { AWS_ENDPOINT_URL: 'http://127.0.0.1:9' },
  });
  expect(result.code).toBe(code);
  expect(result.stdout.split('\n')[0]).toContain(verdict);
  expect(result.stdout.split('\n')[1]).toContain(finding);
  expect(result.stdout).toContain(text);
});
