import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { startSandbox } from '../../src/sandbox/server.ts';

const run = promisify(execFile);

/**
 * Resources of one bucket. The AWS provider reads a whole bucket for them: its policy, ACL, CORS, website, acceleration,
 * request payment, logging, lifecycle, replication, encryption, Object Lock and tags.
 */
const configurationOf = (endpoint: string): string => `
terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}
provider "aws" {
  region                      = "us-east-1"
  access_key                  = "111122223333"
  secret_key                  = "any"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  s3_use_path_style           = true
  endpoints {
${['s3', 'iam', 'sts', 's3control'].map((service) => `    ${service} = "${endpoint}"`).join('\n')}
  }
}
resource "aws_s3_bucket" "bucket" {
  bucket = "acme-demo-bucket"
  tags   = { team = "tax" }
}
resource "aws_s3_bucket_versioning" "bucket" {
  bucket = aws_s3_bucket.bucket.id
  versioning_configuration {
    status = "Enabled"
  }
}
resource "aws_s3_bucket_ownership_controls" "bucket" {
  bucket = aws_s3_bucket.bucket.id
  rule {
    object_ownership = "BucketOwnerPreferred"
  }
}
resource "aws_s3_bucket_acl" "bucket" {
  bucket     = aws_s3_bucket.bucket.id
  acl        = "private"
  depends_on = [aws_s3_bucket_ownership_controls.bucket]
}
resource "aws_s3_bucket_policy" "bucket" {
  bucket = aws_s3_bucket.bucket.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = ["444455556666"] }
      Action    = ["s3:GetObject"]
      Resource  = ["\${aws_s3_bucket.bucket.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = true } }
    }]
  })
}
resource "aws_s3_bucket_request_payment_configuration" "bucket" {
  bucket = aws_s3_bucket.bucket.id
  payer  = "BucketOwner"
}
data "aws_s3_bucket" "bucket" {
  bucket = aws_s3_bucket.bucket.id
}
`;

// The provider is large: `terraform init` finds it in a mirror of the Terraform CLI configuration, or downloads it.
test('terraform: creates a bucket with its settings, plans no change after it, and destroys it', async (context) => {
  await using sandbox = Object.assign(await startSandbox(), {
    [Symbol.asyncDispose]: () => sandbox.close(),
  });
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-terraform-'));
  await writeFile(path.join(folder, 'main.tf'), configurationOf(sandbox.endpoint));
  const terraform = (...args: string[]) => run('terraform', [...args, '-no-color'], { cwd: folder });
  const isInstalled = await terraform('init', '-input=false').then(
    () => true,
    () => false,
  );
  if (isInstalled) {
    await terraform('apply', '-auto-approve');
    const { stdout } = await terraform('plan', '-detailed-exitcode');
    expect(stdout).toContain('No changes.');
    await terraform('destroy', '-auto-approve');
    expect([...sandbox.store.buckets()]).toEqual([]);
    const failures = sandbox.log.entries.filter(
      ({ service, status = 0 }) => service === 's3' && status >= 500,
    );
    expect(failures).toEqual([]);
  }
  await rm(folder, { recursive: true });
  context.skip(!isInstalled, 'Terraform or its AWS provider is not installed');
}, 900_000);
