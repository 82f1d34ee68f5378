import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DescribeKeyCommand, GetKeyPolicyCommand, PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { CreateQueueCommand, GetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { expect, test, vi } from 'vitest';
import type { FailureBurst } from '../../src/controller/status.ts';
import {
  type ControllerProcess,
  fetchText,
  pairStatusOf,
  startController,
  untilReady,
} from '../support/controller-process.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';
import { clientsOfJane, JANE, policyJson } from '../support/other-caller.ts';

/** `npm run test:latency` measures 20 runs. */
const RUNS = Number(process.env.LATENCY_RUNS ?? 1);
/** The bound of the acceptance, in milliseconds. */
const MAX_LATENCY_MS = 60_000;

const ACCOUNT = '111122223333';
const QUEUE_ARN = `arn:aws:sqs:us-east-1:${ACCOUNT}:failures`;

/** A rule for each run: a burst of a rule is explained once. */
const prefixOf = (run: number) => `Run${run}/`;
const SPEC = TAX_SPEC.replace(
  '    - prefix: Tax/\n',
  Array.from({ length: RUNS }, (_, run) => `    - { name: run${run}, prefix: ${prefixOf(run)} }\n`).join(''),
).replace('  rules:\n', `  failures: { to: "${QUEUE_ARN}" }\n  rules:\n`);

/** Administration of the key without kms:Decrypt, so that the statement of replikey is needed. */
const ADMINISTRATION = {
  Sid: 'Administration',
  Effect: 'Allow',
  Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` },
  Action: ['kms:Get*', 'kms:Put*', 'kms:Describe*', 'kms:List*', 'kms:GenerateDataKey', 'kms:Encrypt'],
  Resource: '*',
};

/** What a user sees of a burst: its statement, author and fix, in the status and on the page. */
async function explainedBurst(controller: ControllerProcess, rule: string): Promise<FailureBurst> {
  const bursts: FailureBurst[] = (await pairStatusOf(controller)).failureBursts ?? [];
  const burst = bursts.find((each) => each.rule === rule);
  const { text } = await fetchText(controller, '/?pair=tax');
  if (!burst?.cause || burst.lastChange?.by !== JANE || !burst.fix || !text.includes(JANE))
    throw new Error(`not explained yet: ${JSON.stringify(burst)}`);
  expect(text).toContain(burst.cause);
  return burst;
}

test(
  `failure events: statement, author and fix of a denied object within 60 s (${RUNS} runs)`,
  async () => {
    await using env = await testEnv(SPEC);
    const folder = await mkdtemp(path.join(tmpdir(), 'replikey-latency-'));
    await writeFile(path.join(folder, 'spec.yaml'), SPEC);
    const config = {
      endpoint: env.sandbox.endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: ACCOUNT, secretAccessKey: 'any' },
    };
    const sqs = new SQSClient(config);
    const s3 = new S3Client({ ...config, forcePathStyle: true });
    const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'failures' }));
    const args = [folder, '--interval', '3600', '--failures', QUEUE_ARN];
    const controller = await startController(args, { endpoint: env.sandbox.endpoint });
    try {
      await untilReady(controller);
      const { kms } = await clientsOfJane(env);
      const { KeyMetadata } = await kms.send(new DescribeKeyCommand({ KeyId: 'alias/acme-tax' }));
      const KeyId = KeyMetadata?.KeyId;
      const latencies: number[] = [];
      for (let run = 0; run < RUNS; run += 1) {
        await kms.send(new PutKeyPolicyCommand({ KeyId, Policy: policyJson([ADMINISTRATION]) }));
        const startedAt = performance.now();
        await s3.send(
          new PutObjectCommand({ Bucket: 'acme-tax', Key: `${prefixOf(run)}2027 ü.pdf`, Body: 'x' }),
        );
        const burst = await vi.waitFor(() => explainedBurst(controller, `replikey/tax/run${run}`), {
          timeout: MAX_LATENCY_MS,
          interval: 50,
        });
        latencies.push(performance.now() - startedAt);
        expect(burst).toMatchObject({
          reason: 'SrcGetObjectNotPermitted',
          count: 1,
          keys: [`${prefixOf(run)}2027 ü.pdf`],
          cause: `the key policy of alias/acme-tax does not allow kms:Decrypt for arn:aws:s3:::acme-tax/${prefixOf(run)}*`,
          lastChange: { by: JANE, event: 'PutKeyPolicy' },
          fix: expect.stringContaining(
            'add this statement to the key policy of alias/acme-tax: {"Effect":"Allow"',
          ),
        });
        // The burst starts a pass, which reverts the change.
        await vi.waitFor(
          async () => {
            const { Policy: current } = await kms.send(new GetKeyPolicyCommand({ KeyId }));
            expect(current).toContain('kms:Decrypt');
          },
          { timeout: MAX_LATENCY_MS, interval: 50 },
        );
      }
      const { Attributes } = await sqs.send(
        new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['ApproximateNumberOfMessages'] }),
      );
      expect(Attributes).toEqual({ ApproximateNumberOfMessages: '0' });
      const sorted = latencies.sort((a, b) => a - b);
      const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
      const maximum = sorted.at(-1) ?? 0;
      if (RUNS > 1)
        process.stdout.write(
          `From a denied object to its explanation, ${RUNS} runs: median ${(median / 1000).toFixed(1)} s, maximum ${(maximum / 1000).toFixed(1)} s\n`,
        );
      expect(maximum).toBeLessThan(MAX_LATENCY_MS);
      controller.child.kill('SIGTERM');
      expect((await controller.exited).code).toBe(0);
    } finally {
      controller.child.kill('SIGKILL');
      await rm(folder, { recursive: true });
    }
  },
  RUNS * MAX_LATENCY_MS + 60_000,
);
