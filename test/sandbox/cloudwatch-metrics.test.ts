import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { GetMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import { CreateRoleCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { AssumeRoleCommand } from '@aws-sdk/client-sts';
import { afterEach, describe, expect, test } from 'vitest';
import { ACCOUNT_SPECS, CROSS_ACCOUNT_SPEC, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { pythonEnvironment } from '../support/python.ts';
import { callCloudWatch, callQuery, callS3, type RawResponse } from '../support/raw-aws.ts';
import { changeRolePolicy, clientOf, EAST, put, SOURCE } from './support.ts';

/** 2026-11-30T10:00:00Z, a whole hour. */
const TEN = Date.UTC(2026, 10, 30, 10);
const MINUTE = 60_000;
const ACCOUNT = '111122223333';

/*
 * S3 User Guide, "Amazon S3 metrics and dimensions", "S3 replication metrics": names and valid statistics. The dimensions
 * and the Regions are those of aws-facts-operations.md 2.2 (yet-another-cloudwatch-exporter#1188).
 */
const METRICS = [
  'OperationsFailedReplication',
  'ReplicationLatency',
  'BytesPendingReplication',
  'OperationsPendingReplication',
];
const DIMENSIONS = [
  { Name: 'SourceBucket', Value: 'acme-tax' },
  { Name: 'DestinationBucket', Value: 'acme-tax-replica' },
  { Name: 'RuleId', Value: 'replikey/tax/tax' },
];

let now = TEN;
const clock = () => now;
let env: TestEnv | undefined;

afterEach(async () => {
  await env?.[Symbol.asyncDispose]();
  env = undefined;
  now = TEN;
});

async function replicatingPair(spec = TAX_SPEC, state?: string): Promise<TestEnv> {
  env = await testEnv(spec, { clock, ...(state === undefined ? {} : { state }) });
  await env.reconcile();
  return env;
}

const queryOf = (name: string, Stat: string, Period = 60, Dimensions: object[] = DIMENSIONS) => ({
  Id: 'm',
  MetricStat: { Metric: { Namespace: 'AWS/S3', MetricName: name, Dimensions }, Period, Stat },
});

const seconds = (time: number): number => time / 1000;

interface Result {
  Id: string;
  Label: string;
  Timestamps: number[];
  Values: number[];
  StatusCode: string;
}

async function getMetricData(
  endpoint: string,
  queries: object[],
  {
    region = 'us-east-1',
    account = ACCOUNT,
    start = TEN - 60 * MINUTE,
    end = TEN + 60 * MINUTE,
    ...others
  }: { region?: string; account?: string; start?: number; end?: number; [member: string]: unknown } = {},
): Promise<RawResponse & { results: Result[] }> {
  const response = await callCloudWatch(
    endpoint,
    'GetMetricData',
    { MetricDataQueries: queries, StartTime: seconds(start), EndTime: seconds(end), ...others },
    { accessKeyId: account, region },
  );
  return { ...response, results: response.json.MetricDataResults as Result[] };
}

/** Returns the values of a metric, oldest first. */
async function valuesOf(
  { sandbox }: Pick<TestEnv, 'sandbox'>,
  name: string,
  stat: string,
  options: Parameters<typeof getMetricData>[2] & { period?: number } = {},
): Promise<[minute: number, value: number][]> {
  const { period, ...range } = options;
  const { results } = await getMetricData(sandbox.endpoint, [queryOf(name, stat, period)], {
    ScanBy: 'TimestampAscending',
    ...range,
  });
  const [{ Timestamps, Values } = { Timestamps: [], Values: [] }] = results;
  return Timestamps.map((at, index) => [(at * 1000 - TEN) / MINUTE, Values[index] ?? Number.NaN]);
}

// S3 User Guide, "Metrics and dimensions": daily storage metrics, with the dimensions BucketName and StorageType. The size
// includes noncurrent versions and the parts of uploads that are not complete.
test('BucketSizeBytes: a datapoint for each storage type and day, with noncurrent versions and parts', async () => {
  env = await testEnv(TAX_SPEC, { clock });
  const { endpoint } = env.sandbox;
  await env.reconcile();
  for (const body of ['first', 'second']) await callS3(endpoint, 'PUT', `/${SOURCE}/a.txt`, { body });
  await callS3(endpoint, 'PUT', `/${SOURCE}/b.txt`, {
    body: 'rare',
    headers: { 'x-amz-storage-class': 'STANDARD_IA' },
  });
  const upload = /<UploadId>([^<]*)/.exec(
    (await callS3(endpoint, 'POST', `/${SOURCE}/c.txt?uploads`)).body,
  )?.[1];
  await callS3(endpoint, 'PUT', `/${SOURCE}/c.txt?partNumber=1&uploadId=${upload}`, { body: 'part' });
  const DAY = 24 * 60 * MINUTE;
  const midnight = TEN - 10 * 60 * MINUTE;
  const sizesOf = async (storageType: string, region?: string) => {
    const dimensions = [
      { Name: 'BucketName', Value: SOURCE },
      { Name: 'StorageType', Value: storageType },
    ];
    const { results } = await getMetricData(
      endpoint,
      [queryOf('BucketSizeBytes', 'Average', DAY / 1000, dimensions)],
      { start: midnight, end: midnight + 2 * DAY, ...(region === undefined ? {} : { region }) },
    );
    return results[0]?.Values;
  };
  expect(await sizesOf('StandardStorage')).toEqual([15]);
  expect(await sizesOf('StandardIAStorage')).toEqual([4]);
  expect(await sizesOf('GlacierStorage')).toEqual([]);
  expect(await sizesOf('StandardStorage', 'us-west-2')).toEqual([]);
  await callS3(endpoint, 'PUT', `/${SOURCE}/d.txt`, { body: 'later' });
  expect(await sizesOf('StandardStorage')).toEqual([15]);
  now += DAY;
  expect(await sizesOf('StandardStorage')).toEqual([20, 15]);
});

describe('replication metrics', () => {
  test('sandbox: 1,010 replicated and 100 failed objects give Sum 100, SampleCount 1110 and Average 100/1110', async () => {
    const { sandbox, client, ...rest } = await replicatingPair();
    // Without an SDK, which needs most of the time of a put.
    const putAll = async (keys: string[]) => {
      for (let first = 0; first < keys.length; first += 100)
        await Promise.all(
          keys
            .slice(first, first + 100)
            .map((key) => callS3(sandbox.endpoint, 'PUT', `/${SOURCE}/${key}`, { body: 'x' })),
        );
      await sandbox.waitForReplication();
    };
    await putAll(Array.from({ length: 1010 }, (_, index) => `Tax/a${index}`));
    await changeRolePolicy(client, (statements) => {
      for (const [sid, statement] of Object.entries(statements))
        if (JSON.stringify(statement).includes('s3:ReplicateObject')) delete statements[sid];
    });
    await putAll(Array.from({ length: 100 }, (_, index) => `Tax/z${index}`));
    const read = (stat: string) => valuesOf({ sandbox, ...rest }, 'OperationsFailedReplication', stat);
    expect(await read('Sum')).toEqual([[0, 100]]);
    expect(await read('SampleCount')).toEqual([[0, 1110]]);
    expect(await read('Average')).toEqual([[0, 100 / 1110]]);
  });

  test.each([
    ['one account', TAX_SPEC],
    ['two accounts', ACCOUNT_SPECS + CROSS_ACCOUNT_SPEC],
  ])(
    'sandbox: metrics of a pair in %s are in the Region that S3 keeps them in, and in no other',
    async (_, spec) => {
      const pair = await replicatingPair(spec);
      await put(pair);
      const regionsOf = async (name: string, account: string) => {
        const regions = ['us-east-1', 'us-west-2', 'eu-west-1'];
        const hasData = await Promise.all(
          regions.map(
            async (region) => (await valuesOf(pair, name, 'SampleCount', { region, account })).length > 0,
          ),
        );
        return regions.filter((_, index) => hasData[index]);
      };
      const regions = await Promise.all(METRICS.map((name) => regionsOf(name, ACCOUNT)));
      expect(regions).toEqual([['us-east-1'], ['us-west-2'], ['us-west-2'], ['us-west-2']]);
      // The metrics belong to the account of the source, not to that of the destination.
      expect(await Promise.all(METRICS.map((name) => regionsOf(name, '444455556666')))).toEqual([
        [],
        [],
        [],
        [],
      ]);
    },
  );

  test('sandbox: a rule without metrics has no datapoints', async () => {
    const pair = await replicatingPair(
      TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      metrics: false'),
    );
    await put(pair);
    expect([...pair.sandbox.store.metrics.keys()]).toEqual([]);
  });

  test('sandbox: a rule without operations has no datapoints, which is not zero', async () => {
    const pair = await replicatingPair();
    await put(pair, { Key: 'outside/of/the/prefix' });
    const { results } = await getMetricData(
      pair.sandbox.endpoint,
      METRICS.map((name, index) => ({ ...queryOf(name, 'Sum'), Id: `m${index}` })),
    );
    expect(results.map(({ Values, StatusCode }) => ({ Values, StatusCode }))).toEqual(
      METRICS.map(() => ({ Values: [], StatusCode: 'Complete' })),
    );
  });

  test('sandbox: an object that is pending for minutes has its age, size and number in each of them', async () => {
    const pair = await replicatingPair();
    const { sandbox, client } = pair;
    sandbox.faultSettings.replicationDelayMs = 3_600_000;
    await client.send(EAST, new PutObjectCommand({ Bucket: SOURCE, Key: 'Tax/1', Body: 'numbers' }));
    await client.send(EAST, new PutObjectCommand({ Bucket: SOURCE, Key: 'Tax/2', Body: 'more numbers' }));
    now = TEN + 3 * MINUTE;
    const region = 'us-west-2';
    expect(await valuesOf(pair, 'OperationsPendingReplication', 'Maximum', { region })).toEqual([
      [0, 2],
      [1, 2],
      [2, 2],
      [3, 2],
    ]);
    expect((await valuesOf(pair, 'BytesPendingReplication', 'Maximum', { region })).at(-1)).toEqual([3, 19]);
    const latency = await valuesOf(pair, 'ReplicationLatency', 'Maximum', { region });
    expect(latency.map(([minute, value]) => [minute, Math.round(value)])).toEqual([
      [1, 120],
      [2, 180],
      [3, 180],
    ]);
    expect(await valuesOf(pair, 'OperationsFailedReplication', 'SampleCount')).toEqual([]);
  });

  test('sandbox: metrics survive a restart, and datapoints older than 15 days are dropped', async () => {
    const state = await mkdtemp(path.join(tmpdir(), 'replikey-metrics-'));
    try {
      const { client } = await replicatingPair(TAX_SPEC, state);
      await put({ sandbox: (env as TestEnv).sandbox, client });
      await env?.[Symbol.asyncDispose]();
      env = await testEnv(TAX_SPEC, { clock, state });
      expect(await valuesOf(env, 'OperationsFailedReplication', 'SampleCount')).toEqual([[0, 1]]);
      now = TEN + 16 * 24 * 60 * MINUTE;
      await put(env, { Key: 'Tax/later' });
      await env[Symbol.asyncDispose]();
      env = await testEnv(TAX_SPEC, { clock, state });
      const values = await valuesOf(env, 'OperationsFailedReplication', 'SampleCount', { end: now + MINUTE });
      expect(values).toEqual([[16 * 24 * 60, 1]]);
      expect([...env.sandbox.store.metrics.values()].map(({ chunks }) => chunks.size)).toEqual([1, 1, 1, 1]);
    } finally {
      await env?.[Symbol.asyncDispose]();
      env = undefined;
      await rm(state, { recursive: true });
    }
  });
});

const custom = (values: object) => ({
  MetricName: 'Pages',
  Dimensions: [{ Name: 'Printer', Value: 'p1' }],
  ...values,
});
const customQuery = (MetricStat: object = {}, others: object = {}) => ({
  Id: 'pages',
  MetricStat: {
    Metric: { Namespace: 'Office', MetricName: 'Pages', Dimensions: [{ Name: 'Printer', Value: 'p1' }] },
    Period: 300,
    Stat: 'Sum',
    ...MetricStat,
  },
  ...others,
});

/** Starts a sandbox with a metric `Pages`: 1, 2, 3, … pages in the ten minutes from 10:00. */
async function withCustomMetric(): Promise<string> {
  now = TEN + 10 * MINUTE;
  env = await testEnv(TAX_SPEC, { clock });
  const { endpoint } = env.sandbox;
  const { status } = await callCloudWatch(endpoint, 'PutMetricData', {
    Namespace: 'Office',
    MetricData: Array.from({ length: 10 }, (_, index) =>
      custom({ Value: index + 1, Unit: 'Count', Timestamp: seconds(TEN + index * MINUTE) }),
    ),
  });
  expect(status).toBe(200);
  return endpoint;
}

// The expected values follow from the CloudWatch API Reference, GetMetricData, MetricDataQuery and MetricStat.
describe('GetMetricData', () => {
  test.each([
    ['Sum', 15],
    ['SampleCount', 5],
    ['Average', 3],
    ['Minimum', 1],
    ['Maximum', 5],
  ])('GetMetricData: aggregates the values of a period with %s', async (Stat, value) => {
    const endpoint = await withCustomMetric();
    const { results } = await getMetricData(endpoint, [customQuery({ Stat })], { start: TEN });
    expect(results).toEqual([
      {
        Id: 'pages',
        Label: 'Pages',
        // The default order is TimestampDescending.
        Timestamps: [seconds(TEN + 5 * MINUTE), seconds(TEN)],
        Values: [{ Sum: 40, SampleCount: 5, Average: 8, Minimum: 6, Maximum: 10 }[Stat], value],
        StatusCode: 'Complete',
      },
    ]);
  });

  test('GetMetricData: rounds StartTime down to the minute, and excludes EndTime', async () => {
    const endpoint = await withCustomMetric();
    const range = { start: TEN + 2 * MINUTE + 34_000, end: TEN + 4 * MINUTE, ScanBy: 'TimestampAscending' };
    const { results } = await getMetricData(endpoint, [customQuery({ Period: 60 })], range);
    expect(results[0]).toMatchObject({
      Timestamps: [seconds(TEN + 2 * MINUTE), seconds(TEN + 3 * MINUTE)],
      Values: [3, 4],
    });
  });

  test('GetMetricData: returns data of the given unit only, and all data without a unit', async () => {
    const endpoint = await withCustomMetric();
    const queries = [
      customQuery({ Unit: 'Count' }, { Id: 'a', Label: 'pages printed' }),
      customQuery({ Unit: 'Seconds' }, { Id: 'b' }),
      customQuery({}, { Id: 'c' }),
    ];
    const { results } = await getMetricData(endpoint, queries);
    expect(results.map(({ Id, Label, Values }) => [Id, Label, Values.length])).toEqual([
      ['a', 'pages printed', 2],
      ['b', 'Pages', 0],
      ['c', 'Pages', 2],
    ]);
  });

  test('GetMetricData: a metric with fewer or other dimensions is another metric', async () => {
    const endpoint = await withCustomMetric();
    const metric = { Namespace: 'Office', MetricName: 'Pages' };
    const { results } = await getMetricData(endpoint, [
      customQuery({ Metric: metric }, { Id: 'a' }),
      customQuery({ Metric: { ...metric, Dimensions: [{ Name: 'Printer', Value: 'p2' }] } }, { Id: 'b' }),
    ]);
    expect(results.map(({ Values }) => Values)).toEqual([[], []]);
  });

  test('GetMetricData: omits queries with ReturnData false', async () => {
    const endpoint = await withCustomMetric();
    const queries = [customQuery({}, { Id: 'a', ReturnData: false }), customQuery({}, { Id: 'b' })];
    expect((await getMetricData(endpoint, queries)).results.map(({ Id }) => Id)).toEqual(['b']);
  });

  test('GetMetricData: NextToken returns the datapoints beyond MaxDatapoints', async () => {
    const endpoint = await withCustomMetric();
    const queries = [
      customQuery({ Period: 60 }, { Id: 'a' }),
      customQuery({ Period: 60, Stat: 'Maximum' }, { Id: 'b' }),
    ];
    const values: Record<string, number[]> = { a: [], b: [] };
    const codes: string[][] = [];
    let token: unknown;
    do {
      const { results, json } = await getMetricData(endpoint, queries, {
        MaxDatapoints: 8,
        ...(token === undefined ? {} : { NextToken: token }),
      });
      for (const { Id, Values } of results) values[Id]?.push(...Values);
      codes.push(results.map(({ StatusCode }) => StatusCode));
      expect(results.flatMap(({ Values }) => Values).length).toBeLessThanOrEqual(8);
      token = json.NextToken;
    } while (token !== undefined);
    const newestFirst = [10, 9, 8, 7, 6, 5, 4, 3, 2, 1];
    expect(values).toEqual({ a: newestFirst, b: newestFirst });
    expect(codes).toEqual([
      ['PartialData', 'PartialData'],
      ['Complete', 'PartialData'],
      ['Complete', 'Complete'],
    ]);
  });

  test.each([
    ['no query', [], {}, 400, 'ValidationError'],
    [
      '501 queries',
      Array.from({ length: 501 }, (_, i) => customQuery({}, { Id: `q${i}` })),
      {},
      400,
      'ValidationError',
    ],
    ['equal ids', [customQuery(), customQuery()], {}, 400, 'ValidationError'],
    ['an id in upper case', [customQuery({}, { Id: 'Pages' })], {}, 400, 'ValidationError'],
    ['a period of 90 s', [customQuery({ Period: 90 })], {}, 400, 'ValidationError'],
    ['an empty range', [customQuery()], { start: TEN, end: TEN }, 400, 'ValidationError'],
    ['100,801 datapoints', [customQuery()], { MaxDatapoints: 100_801 }, 400, 'ValidationError'],
    ['metric math', [{ Id: 'sum', Expression: 'SUM(METRICS())' }], {}, 501, 'NotImplemented'],
    ['a percentile', [customQuery({ Stat: 'p99' })], {}, 501, 'NotImplemented'],
    ['a dynamic label', [customQuery({}, { Label: `\${PROP('Dim.Printer')}` })], {}, 501, 'NotImplemented'],
  ])('GetMetricData: rejects %s', async (_, queries, options, status, code) => {
    const endpoint = await withCustomMetric();
    expect(await getMetricData(endpoint, queries, options)).toMatchObject({ status, code });
  });

  test('GetMetricData: accepts 500 queries', async () => {
    const endpoint = await withCustomMetric();
    const queries = Array.from({ length: 500 }, (_, index) => customQuery({}, { Id: `q${index}` }));
    expect((await getMetricData(endpoint, queries)).results).toHaveLength(500);
  });

  test('GetMetricData: metricsDelayMs hides a datapoint until it has this age', async () => {
    const endpoint = await withCustomMetric();
    const { faultSettings } = (env as TestEnv).sandbox;
    faultSettings.metricsDelayMs = 5 * MINUTE;
    const newest = async () =>
      (await getMetricData(endpoint, [customQuery({ Period: 60 })])).results[0]?.Values[0];
    expect(await newest()).toBe(6);
    now += MINUTE;
    expect(await newest()).toBe(7);
  });

  // Service Authorization Reference, "Actions, resources, and condition keys for Amazon CloudWatch".
  test('GetMetricData: needs cloudwatch:GetMetricData in the identity policies of the caller', async () => {
    await withCustomMetric();
    const { sandbox } = env as TestEnv;
    const admin = clientOf(sandbox, `AKIA${ACCOUNT}`);
    const AssumeRolePolicyDocument = JSON.stringify({
      Version: '2012-10-17',
      Statement: { Effect: 'Allow', Principal: { AWS: ACCOUNT }, Action: 'sts:AssumeRole' },
    });
    const role = { RoleName: 'reader' };
    const { Role } = await admin.send(EAST, new CreateRoleCommand({ ...role, AssumeRolePolicyDocument }));
    const session = { RoleArn: Role?.Arn, RoleSessionName: 'reader' };
    const { Credentials } = await admin.send(EAST, new AssumeRoleCommand(session));
    const reader = clientOf(sandbox, {
      accessKeyId: Credentials?.AccessKeyId ?? '',
      secretAccessKey: Credentials?.SecretAccessKey ?? '',
      sessionToken: Credentials?.SessionToken ?? '',
    });
    const read = () =>
      reader.send(
        EAST,
        new GetMetricDataCommand({
          MetricDataQueries: [{ Id: 'a', MetricStat: { Metric: {}, Period: 60, Stat: 'Sum' } }],
          StartTime: new Date(TEN),
          EndTime: new Date(now),
        }),
      );
    await expect(read()).rejects.toMatchObject({ name: 'AccessDenied', $metadata: { httpStatusCode: 403 } });
    const PolicyDocument = JSON.stringify({
      Version: '2012-10-17',
      Statement: { Effect: 'Allow', Action: 'cloudwatch:GetMetricData', Resource: '*' },
    });
    await admin.send(EAST, new PutRolePolicyCommand({ ...role, PolicyName: 'read', PolicyDocument }));
    expect(await read()).toMatchObject({ MetricDataResults: [{ Id: 'a', StatusCode: 'Complete' }] });
  });
});

const boto3 = pythonEnvironment('boto3');
const awscli = pythonEnvironment('awscli');
const run = promisify(execFile);

/** Returns the environment variables of a Python client of the sandbox. */
const clientEnv = (endpoint: string) => ({
  PATH: process.env.PATH,
  AWS_ENDPOINT_URL: endpoint,
  AWS_ACCESS_KEY_ID: ACCOUNT,
  AWS_SECRET_ACCESS_KEY: 'test',
  AWS_DEFAULT_REGION: 'us-east-1',
});

/** Writes and reads a metric over one of the protocols of botocore, and prints the result as JSON. */
const BOTO3_SCRIPT = `
import datetime, json, sys
import boto3, botocore.model
from botocore.exceptions import ClientError
botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS = (sys.argv[2],)
start = datetime.datetime.fromtimestamp(int(sys.argv[1]), datetime.timezone.utc)
cloudwatch = boto3.client("cloudwatch")
metric = {"Namespace": "Office", "MetricName": "Pages", "Dimensions": [{"Name": "Printer", "Value": "p1"}]}
cloudwatch.put_metric_data(
    Namespace="Office",
    MetricData=[{"MetricName": "Pages", "Dimensions": metric["Dimensions"], "Value": 2.5, "Timestamp": start}],
)
def read(period):
    query = {"Id": "a", "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"}}
    return cloudwatch.get_metric_data(
        MetricDataQueries=[query], StartTime=start, EndTime=start + datetime.timedelta(minutes=20)
    )["MetricDataResults"][0]
result = read(300)
try:
    read(90)
    error = None
except ClientError as caught:
    error = caught.response["Error"]["Code"]
print(json.dumps({
    "protocol": cloudwatch.meta.service_model.resolved_protocol,
    "timestamps": [int(time.timestamp()) for time in result["Timestamps"]],
    "values": result["Values"],
    "metrics": [listed["MetricName"] for listed in cloudwatch.list_metrics(Namespace="Office")["Metrics"]],
    "error": error,
}))
`;

describe('protocols of CloudWatch', () => {
  // botocore 1.44 prefers JSON. Others, such as the AWS SDK for Go, prefer Smithy RPC v2 CBOR.
  test.skipIf(boto3.missing).each(['json', 'smithy-rpc-v2-cbor', 'query'])(
    'boto3: writes and reads metrics over the protocol %s',
    async (protocol) => {
      const endpoint = await withCustomMetric();
      const { stdout } = await run(
        boto3.program('python'),
        ['-c', BOTO3_SCRIPT, String(seconds(TEN)), protocol],
        { env: clientEnv(endpoint) },
      );
      expect(JSON.parse(stdout)).toEqual({
        protocol,
        timestamps: [seconds(TEN + 5 * MINUTE), seconds(TEN)],
        values: [40, 17.5],
        metrics: ['Pages'],
        error: 'ValidationError',
      });
    },
  );

  test.skipIf(awscli.missing)('AWS CLI: reads metrics', async () => {
    const endpoint = await withCustomMetric();
    const query = ['--start-time', '2026-11-30T10:00:00Z', '--end-time', '2026-11-30T10:20:00Z'];
    const { stdout } = await run(
      awscli.program('python'),
      [
        '-m',
        'awscli',
        'cloudwatch',
        'get-metric-data',
        '--output',
        'json',
        ...query,
        '--metric-data-queries',
        JSON.stringify([customQuery()]),
      ],
      { env: clientEnv(endpoint) },
    );
    expect(JSON.parse(stdout).MetricDataResults).toMatchObject([
      { Id: 'pages', Values: [40, 15], StatusCode: 'Complete' },
    ]);
  });

  test('Query protocol: older clients read metrics', async () => {
    const endpoint = await withCustomMetric();
    const response = await callQuery(endpoint, 'monitoring', 'GetMetricData', {
      StartTime: '2026-11-30T10:00:00Z',
      EndTime: '2026-11-30T10:05:00Z',
      'MetricDataQueries.member.1.Id': 'pages',
      'MetricDataQueries.member.1.MetricStat.Metric.Namespace': 'Office',
      'MetricDataQueries.member.1.MetricStat.Metric.MetricName': 'Pages',
      'MetricDataQueries.member.1.MetricStat.Metric.Dimensions.member.1.Name': 'Printer',
      'MetricDataQueries.member.1.MetricStat.Metric.Dimensions.member.1.Value': 'p1',
      'MetricDataQueries.member.1.MetricStat.Period': '300',
      'MetricDataQueries.member.1.MetricStat.Stat': 'Sum',
    });
    expect(response.status).toBe(200);
    expect(response.body).toContain('<Values><member>15</member></Values>');
    expect(response.body).toContain('<Timestamps><member>2026-11-30T10:00:00Z</member></Timestamps>');
  });
});
