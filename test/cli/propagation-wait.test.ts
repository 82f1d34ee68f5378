import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { resolveEndpoint } from '../../src/aws/sdk-clients.ts';
import { propagationWaitMs } from '../../src/cli/options.ts';

/** AWS SDKs and Tools Reference Guide, "Service-specific endpoints": environment variables and `endpoint_url` in the config file. */

afterEach(() => vi.unstubAllEnvs());

test.each([
  ['aws', 45_000],
  ['sandbox', 0],
  ['http://127.0.0.1:4566', 0],
  ['iam=aws, kms=aws, s3=http://127.0.0.1:4566, sts=aws', 0],
  ['iam=http://127.0.0.1:4566, kms=aws, s3=aws, sts=aws', 45_000],
])('propagationWaitMs: endpoint %s: %i ms', (endpoint, ms) => {
  expect(propagationWaitMs({}, endpoint)).toBe(ms);
  expect(propagationWaitMs({ propagationWait: 7 }, endpoint)).toBe(7_000);
});

test('propagationWaitMs: an endpoint in ~/.aws/config: does not wait', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-config-'));
  const file = path.join(folder, 'config');
  await writeFile(file, '[default]\nendpoint_url = http://127.0.0.1:9000\n');
  vi.stubEnv('AWS_CONFIG_FILE', file);
  for (const name of ['AWS_PROFILE', 'AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL_S3']) vi.stubEnv(name, undefined);
  expect(propagationWaitMs({}, await resolveEndpoint({}))).toBe(0);
  await rm(folder, { recursive: true });
});

test('propagationWaitMs: an endpoint of AWS in the environment, in China: waits', async () => {
  vi.stubEnv('AWS_ENDPOINT_URL_S3', 'https://bucket.vpce-1.s3.cn-north-1.vpce.amazonaws.com.cn');
  expect(propagationWaitMs({}, await resolveEndpoint({}))).toBe(45_000);
});
