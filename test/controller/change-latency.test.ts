import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DeleteBucketReplicationCommand, GetBucketReplicationCommand } from '@aws-sdk/client-s3';
import { CreateQueueCommand, SQSClient } from '@aws-sdk/client-sqs';
import { expect, test, vi } from 'vitest';
import { runCli } from '../support/cli.ts';
import {
  type ControllerProcess,
  pairStatusOf,
  startController,
  untilReady,
} from '../support/controller-process.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';
import { clientsOfJane, JANE, policyJson } from '../support/other-caller.ts';

/** `npm run test:latency` measures 20 runs. */
const RUNS = Number(process.env.LATENCY_RUNS ?? 1);
/** Debounce of 5 s, and a wide margin for a slow machine. */
const MAX_LATENCY_MS = 30_000;

const ACCOUNT = '111122223333';
const QUEUE_ARN = `arn:aws:sqs:us-east-1:${ACCOUNT}:replikey-changes`;
const QUEUE_POLICY = policyJson({
  Effect: 'Allow',
  Principal: { Service: 'events.amazonaws.com' },
  Action: 'sqs:SendMessage',
  Resource: QUEUE_ARN,
});

/** Replaces what differs between two runs. */
const normalize = (text: string): string =>
  text
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, '2026-12-01T10:00:00Z')
    .replace(/127\.0\.0\.1:\d+/g, 'localhost:8080');

test(
  `change events: another caller's change is reverted and attributed within seconds (${RUNS} runs)`,
  async () => {
    await using env = await testEnv();
    await env.reconcile();
    const folder = await mkdtemp(path.join(tmpdir(), 'replikey-changes-'));
    await writeFile(path.join(folder, 'tax.yaml'), TAX_SPEC);
    const credentials = { accessKeyId: ACCOUNT, secretAccessKey: 'any' };
    const sqs = new SQSClient({ endpoint: env.sandbox.endpoint, region: 'us-east-1', credentials });
    await sqs.send(
      new CreateQueueCommand({ QueueName: 'replikey-changes', Attributes: { Policy: QUEUE_POLICY } }),
    );
    env.sandbox.faultSettings.changeQueue = QUEUE_ARN;
    const start = () => startController([folder, '--changes', QUEUE_ARN], { endpoint: env.sandbox.endpoint });
    const { s3 } = await clientsOfJane(env);
    const ruleCount = async () => {
      const configuration = await s3
        .send(new GetBucketReplicationCommand({ Bucket: 'acme-tax' }))
        .catch(() => undefined);
      return configuration?.ReplicationConfiguration?.Rules?.length ?? 0;
    };
    const untilReverted = () =>
      vi.waitFor(async () => expect(await ruleCount()).toBe(1), {
        timeout: MAX_LATENCY_MS,
        interval: 20,
      });
    const untilAttributed = (running: ControllerProcess) =>
      vi.waitFor(
        async () => {
          const { conditions } = await pairStatusOf(running);
          expect(conditions.Drifted.message).toContain(JANE);
          return conditions.Drifted.message as string;
        },
        { timeout: MAX_LATENCY_MS, interval: 50 },
      );
    let controller = await start();
    try {
      await untilReady(controller);
      expect(controller.log()).toContain('reconciling 1 pair every 7200 s');
      const latencies: number[] = [];
      let drift = '';
      for (let run = 0; run < RUNS; run += 1) {
        const startedAt = performance.now();
        await s3.send(new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' }));
        await untilReverted();
        latencies.push(performance.now() - startedAt);
        drift = await untilAttributed(controller);
      }
      const page = await readFile('docs/how-to/detect-changes-within-seconds.md', 'utf8');
      expect(page.replace(/\n/g, ' ')).toContain(normalize(drift));
      const { stdout } = await runCli(['status', '--server', controller.url]);
      expect(page).toContain(normalize(stdout).trimEnd());

      // The process dies after a change: the first pass of the next one finds it, whether or not its event is left.
      await s3.send(new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' }));
      controller.child.kill('SIGKILL');
      await controller.exited;
      controller = await start();
      await untilReverted();
      expect(env.sandbox.log.counts()['cloudtrail:LookupEvents']).toBeUndefined();
      const sorted = latencies.sort((a, b) => a - b);
      if (RUNS > 1)
        process.stdout.write(
          `From a change to its reversal, ${RUNS} runs: median ${((sorted[RUNS >> 1] ?? 0) / 1000).toFixed(1)} s, maximum ${((sorted.at(-1) ?? 0) / 1000).toFixed(1)} s\n`,
        );
      controller.child.kill('SIGTERM');
      expect((await controller.exited).code).toBe(0);
    } finally {
      controller.child.kill('SIGKILL');
      sqs.destroy();
      await rm(folder, { recursive: true });
    }
  },
  RUNS * MAX_LATENCY_MS + 60_000,
);
