/**
 * Counts the calls of an hour in which 10 of many pairs change, with and without change events. The controller runs with a
 * clock of the benchmark against the thin endpoint, whose responses show converged pairs, and a queue in memory. PAIRS is the
 * number of pairs.
 */
import { pino } from 'pino';
import { createAwsClient } from '../src/aws/client.ts';
import { createSdkClients } from '../src/aws/sdk-clients.ts';
import type { ReceivedMessage } from '../src/aws/sqs.ts';
import { createController } from '../src/controller/controller.ts';
import { kinds } from '../src/kinds/index.ts';
import { queueAddressOf } from '../src/util/arn.ts';
import { type Clock, sleep } from '../src/util/clock.ts';
import { parseQueueName } from '../src/util/queue-address.ts';
import { fakeClock } from '../test/support/fake-clock.ts';
import { ACCOUNT, pairName, pairYaml } from './support/pairs.ts';
import { recordPair } from './support/recorded-responses.ts';
import { saveResults } from './support/results.ts';
import { startThinEndpoint } from './support/thin-endpoint.ts';

const PAIRS = Number(process.env.PAIRS ?? 10_000);
const CHANGES = 10;
const HOUR_S = 3_600;
const POLL_S = 20;

const thin = await startThinEndpoint();
const recorded = await recordPair('own');

/** A queue in memory that counts calls, and waits as SQS does. */
function memoryQueue(clock: Clock) {
  const messages: ReceivedMessage[] = [];
  const state = { calls: 0 };
  return {
    state,
    send: (body: string) => {
      const id = String(messages.length + state.calls);
      messages.push({ id, receiptHandle: id, body });
    },
    module: {
      async receiveMessages(_: unknown, __: unknown, waitSeconds: number): Promise<ReceivedMessage[]> {
        state.calls += 1;
        for (let waited = 0; waited < waitSeconds && messages.length === 0; waited += 1)
          await sleep(clock, 1_000);
        return messages.splice(0, 10);
      },
      async deleteMessages() {
        state.calls += 1;
        return [];
      },
      async returnMessages() {
        state.calls += 1;
      },
    },
  };
}

/** An event of EventBridge about a bucket. */
function changeEvent(index: number, now: number): string {
  const time = new Date(now).toISOString().replace(/\.\d+Z$/, 'Z');
  const detail = {
    eventID: `event-${index}`,
    eventSource: 's3.amazonaws.com',
    eventName: 'PutBucketPolicy',
    eventTime: time,
    awsRegion: 'us-east-1',
    recipientAccountId: ACCOUNT,
    userIdentity: { arn: `arn:aws:sts::${ACCOUNT}:assumed-role/admin/jane` },
    requestParameters: { bucketName: `bench-${pairName(index)}-source` },
  };
  return JSON.stringify({ 'detail-type': 'AWS API Call via CloudTrail', source: 'aws.s3', detail });
}

async function startRun(options: { intervalS: number; hasEvents: boolean }) {
  await thin.serve(recorded, { delayMs: 0, roles: PAIRS });
  const clock = fakeClock(Date.now());
  const clients = createSdkClients([], {
    endpoint: thin.endpoint,
    credentials: { accessKeyId: ACCOUNT, secretAccessKey: 'bench' },
  });
  const queue = memoryQueue(clock);
  const address = queueAddressOf(parseQueueName(`arn:aws:sqs:us-east-1:${ACCOUNT}:changes`));
  const controller = createController({
    kinds,
    connect: () => ({
      aws: createAwsClient({ clients, accounts: [], region: 'us-east-1' }),
      close: () => clients.destroy(),
    }),
    clock,
    random: () => 0.5,
    log: pino({ level: 'warn' }, process.stderr),
    intervalMs: options.intervalS * 1_000,
    ...(options.hasEvents && {
      changes: { queues: [address], waitSeconds: POLL_S, loadSqs: async () => queue.module },
    }),
    workers: 50,
    waitMs: 2_000,
    allow: [],
    allowUnproven: false,
    thresholds: () => ({ maxRemovals: 10 }),
    isLeaderFor: () => true,
  });
  const isIdle = () => {
    const { depth, active } = controller.status().queue;
    return depth + active === 0;
  };
  const untilIdle = async () => {
    while (!isIdle()) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  /** Advances the clock, and waits for the passes that become due. */
  const advance = async (seconds: number) => {
    for (let passed = 0; passed < seconds; passed += POLL_S) {
      await clock.advance(POLL_S * 1_000);
      await untilIdle();
    }
  };
  const calls = () => {
    const { reads, writes } = controller.status().calls;
    return reads + writes + queue.state.calls;
  };
  const files = Array.from({ length: PAIRS }, (_, index) => ({
    file: `${pairName(index)}.yaml`,
    bytes: Buffer.from(pairYaml(index)),
  }));
  await controller.update({ files, problems: [] });
  await untilIdle();
  const notReady = controller.status().pairs.filter(({ conditions }) => conditions.Ready.status !== 'True');
  if (notReady.length > 0) throw new Error(`${notReady[0]?.name}: ${notReady[0]?.conditions.Ready.message}`);
  return {
    queue,
    clock,
    advance,
    calls,
    adds: () => controller.status().queue.adds,
    async stop() {
      const drained = controller.drain();
      await clock.advance(60_000);
      await drained;
    },
  };
}

// Each interval of 300 s makes one pass over every pair.
const polling = await startRun({ intervalS: 300, hasEvents: false });
const beforeRound = polling.calls();
await polling.advance(320);
const round = polling.calls() - beforeRound;
await polling.stop();

const INTERVAL_S = 2 * HOUR_S;
const events = await startRun({ intervalS: INTERVAL_S, hasEvents: true });
const [beforeHour, addsBefore] = [events.calls(), events.adds()];
for (let change = 0; change < CHANGES; change += 1) {
  await events.advance(HOUR_S / CHANGES - 40);
  events.queue.send(changeEvent(Math.floor((change * PAIRS) / CHANGES), events.clock.now()));
  await events.advance(40);
}
const hour = events.calls() - beforeHour;
const passes = events.adds() - addsBefore;
if (passes !== CHANGES) throw new Error(`${passes} passes after ${CHANGES} changes`);
await events.stop();

const without = (HOUR_S / 300) * round;
const rows = [
  { run: 'polling, `--interval 300`', calls: without },
  { run: '`--changes`, `--interval 3600`', calls: hour + round },
  { run: '`--changes`, default interval (7,200 s)', calls: hour + round / 2 },
  { run: '`--changes`, an hour without a full resync', calls: hour },
];
console.log(`${PAIRS} pairs, ${CHANGES} changes, a pass over all pairs: ${round} calls\n`);
console.log('| | calls in an hour | fewer |');
console.log('| --- | ---: | ---: |');
const format = (count: number) => Math.round(count).toLocaleString('en-US');
for (const { run, calls } of rows)
  console.log(`| ${run} | ${format(calls)} | ${format(without / calls)} × |`);
await saveResults('events', rows);
thin.close();
