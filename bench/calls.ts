/**
 * Measures the CPU time of one call: through the bare SDK, with the options that make it cheaper, and through the AWS
 * client of replikey. It uses the thin endpoint without a delay, after a warm-up, with 50 concurrent calls.
 */
import { DescribeKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { GetBucketVersioningCommand, S3Client } from '@aws-sdk/client-s3';
import { createAwsClient } from '../src/aws/client.ts';
import { createSdkClients } from '../src/aws/sdk-clients.ts';
import { ACCOUNT } from './support/pairs.ts';
import { recordPair } from './support/recorded-responses.ts';
import { saveResults } from './support/results.ts';
import { median } from './support/run.ts';
import { startThinEndpoint } from './support/thin-endpoint.ts';

const CALLS = 4_000;
const CONCURRENCY = 50;
const RUNS = 5;

const thin = await startThinEndpoint();
const recorded = await recordPair('own');
await thin.serve(recorded, { delayMs: 0, roles: 1 });

const bucket = 'bench-p0000000-source';
const clientConfig = {
  endpoint: thin.endpoint,
  region: 'us-east-1',
  credentials: { accessKeyId: ACCOUNT, secretAccessKey: 'bench' },
};
const versioning = () => new GetBucketVersioningCommand({ Bucket: bucket, ExpectedBucketOwner: ACCOUNT });
const describeKey = () => new DescribeKeyCommand({ KeyId: `alias/${bucket}` });

interface Variant {
  name: string;
  s3: () => Promise<unknown>;
  kms: () => Promise<unknown>;
}

function sdkVariant(name: string, options: { cacheMiddleware?: boolean }): Variant {
  const s3 = new S3Client({ ...clientConfig, ...options, forcePathStyle: true });
  const kms = new KMSClient({ ...clientConfig, ...options });
  return { name, s3: () => s3.send(versioning()), kms: () => kms.send(describeKey()) };
}

function replikeyVariant(): Variant {
  const clients = createSdkClients([], clientConfig);
  const aws = createAwsClient({ clients, accounts: [], region: 'us-east-1' });
  const location = { region: 'us-east-1' };
  return {
    name: 'through the AWS client of replikey',
    s3: () => aws.send(location, versioning()),
    kms: () => aws.send(location, describeKey()),
  };
}

/** Returns the CPU time per call in microseconds. */
async function cpuOf(call: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  let remaining = CALLS;
  const worker = async () => {
    while (remaining-- > 0) await call();
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / CALLS;
}

const variants = [
  sdkVariant('the bare SDK', {}),
  sdkVariant('with cacheMiddleware', { cacheMiddleware: true }),
  replikeyVariant(),
];
const measured = variants.map(() => ({ s3: [] as number[], kms: [] as number[] }));
for (let run = 0; run <= RUNS; run++) {
  for (const [index, way] of variants.entries()) {
    const costs = { s3: await cpuOf(way.s3), kms: await cpuOf(way.kms) };
    // The first round is a warm-up.
    if (run === 0) continue;
    measured[index]?.s3.push(costs.s3);
    measured[index]?.kms.push(costs.kms);
  }
}
console.log('| | S3, CPU a call | KMS, CPU a call | against the bare SDK |');
console.log('| --- | ---: | ---: | ---: |');
const rows: object[] = [];
const base = measured[0] ?? { s3: [], kms: [] };
for (const [index, way] of variants.entries()) {
  const { s3, kms } = measured[index] ?? base;
  const ratio = (median(s3) / median(base.s3) + median(kms) / median(base.kms)) / 2;
  rows.push({ way: way.name, s3Us: median(s3), kmsUs: median(kms), ratio });
  console.log(
    `| ${way.name} | ${median(s3).toFixed(0)} µs | ${median(kms).toFixed(0)} µs | ${ratio.toFixed(2)} |`,
  );
}
await saveResults('calls', rows);
thin.close();
