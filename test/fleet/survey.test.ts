import { readFile } from 'node:fs/promises';
import { DeleteBucketCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type AwsClient, createAwsClient } from '../../src/aws/client.ts';
import { commandInfo, requiredAction } from '../../src/aws/command.ts';
import type { SdkClients } from '../../src/aws/sdk-clients.ts';
import type { Location } from '../../src/core/resource.ts';
import { type BucketResult, type SurveyEvent, type SurveyOptions, survey } from '../../src/fleet/survey.ts';
import { ACCOUNT_SPECS, CROSS_ACCOUNT_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { callS3 } from '../support/raw-aws.ts';

const MAIN = '111122223333';
const BACKUP = '444455556666';

/** A call to the sandbox. The hook may throw in its place. */
interface Call {
  location: Location;
  /** The IAM action that the call requires. */
  action: string;
  operation: string;
  bucket: string | undefined;
  input: Record<string, unknown>;
}

let env: TestEnv;
let calls: Call[];
let onCall: (call: Call) => void;
let onOutput: (call: Call, output: unknown) => void;

beforeAll(async () => {
  env = await testEnv(`${ACCOUNT_SPECS}${CROSS_ACCOUNT_SPEC}`);
  await env.reconcile();
  for (const name of ['plain-1', 'plain-2', 'plain-3', 'plain-4'])
    await callS3(env.sandbox.endpoint, 'PUT', `/${name}`, { account: MAIN });
  await callS3(env.sandbox.endpoint, 'PUT', '/backup-plain', { account: BACKUP });
});
afterAll(() => env[Symbol.asyncDispose]());
beforeEach(() => {
  calls = [];
  onCall = () => {};
  onOutput = () => {};
});

/** Returns a client of the sandbox that records its calls. */
function recordingClient(signal?: AbortSignal): AwsClient {
  const clients: SdkClients = {
    ...env.clients,
    get(service, location) {
      const transport = env.clients.get(service, location);
      return {
        ...transport,
        async send(command, beforeSend) {
          const { operation, input } = commandInfo(command);
          const action = requiredAction(service, operation, input);
          const call = {
            location,
            action,
            operation,
            input: input as Record<string, unknown>,
            bucket: (input as { Bucket?: string }).Bucket,
          };
          calls.push(call);
          onCall(call);
          const output = await transport.send(command, beforeSend);
          onOutput(call, output);
          return output;
        },
      };
    },
  };
  const { accounts } = env.specs;
  return createAwsClient({ clients, accounts, region: 'us-east-1', ...(signal && { signal }) });
}

/** Removes the Regions from a list of buckets, as S3 before 2024 and other endpoints send it. */
function withoutRegions(output: unknown): void {
  const { Buckets = [] } = output as { Buckets?: { BucketRegion?: string }[] };
  for (const bucket of Buckets) delete bucket.BucketRegion;
}

const error = (name: string, httpStatusCode: number): Error =>
  Object.assign(new Error('refused by the test'), { name, $metadata: { httpStatusCode } });

async function surveyFleet(overrides: Partial<SurveyOptions> = {}) {
  const aws = recordingClient(overrides.signal);
  const events: SurveyEvent[] = [];
  const result = survey(aws, {
    accounts: [
      { client: 'main', id: MAIN, name: 'main', access: 'ambient credentials' },
      { client: 'backup', id: BACKUP, name: 'backup', access: 'profile backup' },
    ],
    otherAccounts: new Set(),
    region: 'us-east-1',
    sampleSize: 0,
    samplePages: 1,
    failedSinceMs: 86_400_000,
    specsByBucket: new Map(),
    done: new Map(),
    signal: new AbortController().signal,
    onEvent: (event) => events.push(event),
    ...overrides,
  });
  return { ...(await result), events, aws };
}

const bucketsRead = (): string[] =>
  calls.flatMap(({ operation, bucket }) => (operation === 'GetBucketReplication' ? (bucket ?? []) : []));

describe('survey', () => {
  test('reads each bucket once, proves the rules with the documents of both accounts, and writes nothing', async () => {
    const { accounts, buckets, aws } = await surveyFleet();
    expect(accounts.map(({ id, totals }) => [id, totals])).toEqual([
      [MAIN, { total: 5, replicating: 1, withoutReplication: 4, unknown: 0 }],
      [BACKUP, { total: 2, replicating: 0, withoutReplication: 2, unknown: 0 }],
    ]);
    expect(buckets).toMatchObject([
      {
        name: 'acme-tax',
        account: MAIN,
        region: 'us-east-1',
        verdict: 'proven',
        specs: ['tax'],
        rules: [
          {
            id: 'replikey/tax/tax',
            destination: 'acme-tax-replica',
            destinationAccount: BACKUP,
            verdict: 'proven',
          },
        ],
        findings: [{ category: 'no-alarm', code: 'RK1704', rule: 'replikey/tax/tax' }],
      },
    ]);
    expect(aws.calls.writes).toBe(0);
    expect(bucketsRead().sort()).toEqual([...new Set(bucketsRead())].sort());
    // S3 reports the Regions in the list, so that no bucket without replication has a second call.
    expect(calls.filter(({ bucket }) => bucket?.startsWith('plain'))).toHaveLength(4);
  });

  test('the documented permissions contain the action of every call', async () => {
    await surveyFleet();
    const page = await readFile('docs/how-to/survey-all-accounts.md', 'utf8');
    const [, json = ''] = /```json\n([\s\S]*?)```/.exec(page) ?? [];
    const [statement] = (JSON.parse(json) as { Statement: { Action: string[] }[] }).Statement;
    const actions = new Set(calls.map(({ action }) => action));
    // Every caller may send GetCallerIdentity.
    actions.delete('sts:GetCallerIdentity');
    expect(actions.size).toBeGreaterThan(15);
    expect([...actions].filter((action) => !statement?.Action.includes(action))).toEqual([]);
  });

  test('reads few buckets of an account at a time, which bounds the memory', async () => {
    const open = new Set<string>();
    let most = 0;
    onCall = ({ operation, bucket = '' }) => {
      if (operation === 'GetBucketReplication') open.add(bucket);
      most = Math.max(most, open.size);
    };
    const onEvent = (event: SurveyEvent) => {
      if (event.type === 'bucket') open.delete(event.result.name);
    };
    for (let index = 0; index < 30; index++)
      await callS3(env.sandbox.endpoint, 'PUT', `/many-${index}`, { account: MAIN });
    try {
      const { accounts } = await surveyFleet({ onEvent });
      expect(accounts[0]?.totals.total).toBe(35);
      // 8 of each account, the source that waits for its metrics, and its destination.
      expect(most).toBeLessThanOrEqual(18);
    } finally {
      for (let index = 0; index < 30; index++)
        await callS3(env.sandbox.endpoint, 'DELETE', `/many-${index}`, { account: MAIN });
    }
  });

  test('a list with several pages: every bucket counts', async () => {
    onCall = ({ operation, input }) => {
      if (operation === 'ListBuckets') input.MaxBuckets = 2;
    };
    const { accounts } = await surveyFleet();
    expect(accounts.map(({ totals }) => totals.total)).toEqual([5, 2]);
    expect(calls.filter(({ operation }) => operation === 'ListBuckets')).toHaveLength(4);
  });

  test('regions: reads only their buckets, and still knows the owners of destinations elsewhere', async () => {
    const { accounts, buckets } = await surveyFleet({ regions: ['us-east-1'] });
    expect(accounts.map(({ totals }) => totals.total)).toEqual([5, 1]);
    expect(bucketsRead()).not.toContain('backup-plain-west');
    expect(buckets[0]?.rules[0]).toMatchObject({ destinationAccount: BACKUP, verdict: 'proven' });
  });

  test.each([undefined, ['eu-west-1'], ['us-east-1']])(
    'a bucket whose Region cannot be read: is unknown with the Region filter %s',
    async (regions) => {
      onOutput = ({ operation }, output) => {
        if (operation === 'ListBuckets') withoutRegions(output);
      };
      onCall = ({ operation, bucket }) => {
        if (operation === 'HeadBucket' && bucket === 'plain-2') throw error('Forbidden', 403);
      };
      const { accounts, buckets } = await surveyFleet(regions && { regions });
      expect(accounts[0]?.totals).toMatchObject({ unknown: 1, total: regions?.[0] === 'eu-west-1' ? 1 : 5 });
      const unknown = buckets.find(({ name }) => name === 'plain-2');
      expect(unknown).toMatchObject({
        verdict: 'unknown',
        rules: [],
        findings: [
          { code: 'RK1901', message: expect.stringMatching(/its Region cannot be read: .*HeadBucket/) },
        ],
      });
      expect(unknown).not.toHaveProperty('region');
    },
  );

  test('an account that denies the list: is unknown with the reason, and the others continue', async () => {
    onCall = ({ operation, location }) => {
      if (operation === 'ListBuckets' && location.account === 'backup') throw error('AccessDenied', 403);
    };
    const { accounts, buckets, events } = await surveyFleet();
    expect(accounts[1]).toMatchObject({
      id: BACKUP,
      error: expect.stringContaining('these credentials lack the permission s3:ListAllMyBuckets'),
      totals: { total: 0 },
    });
    expect(accounts[0]).toMatchObject({ totals: { total: 5 } });
    expect(events).toContainEqual(expect.objectContaining({ type: 'account failed', account: BACKUP }));
    // The rule names the owner, which could not be listed: no claim that the name was taken over.
    expect(buckets[0]?.findings.map(({ code }) => code)).not.toContain('RK1701');
    expect(buckets[0]).toMatchObject({ verdict: 'unknown', rules: [{ verdict: 'unknown' }] });
  });

  test('credentials of another account: nothing is read with them', async () => {
    onCall = ({ operation, location }) => {
      if (operation === 'GetCallerIdentity' && location.account === 'backup')
        throw error('AccessDenied', 403);
    };
    const { accounts } = await surveyFleet();
    expect(accounts[1]?.error).toContain('AccessDenied');
    expect(
      calls.filter(({ location }) => location.account === 'backup').map(({ operation }) => operation),
    ).toEqual(['GetCallerIdentity']);
  });

  test('a bucket that denies the configuration: is unknown, not healthy, and the others continue', async () => {
    onCall = ({ operation, bucket }) => {
      if (operation === 'GetBucketReplication' && bucket === 'plain-2') throw error('AccessDenied', 403);
    };
    const { accounts, buckets } = await surveyFleet();
    expect(accounts[0]?.totals).toEqual({ total: 5, replicating: 1, withoutReplication: 3, unknown: 1 });
    expect(buckets.find(({ name }) => name === 'plain-2')).toMatchObject({
      verdict: 'unknown',
      rules: [],
      findings: [
        {
          category: 'unknown',
          code: 'RK1901',
          message: expect.stringContaining('s3:GetReplicationConfiguration'),
        },
      ],
    });
  });

  test('throttled calls: are retried, with the same result', async () => {
    const throttled = new Set<string>();
    onCall = ({ operation }) => {
      if (throttled.has(operation) || !['GetBucketReplication', 'GetBucketPolicy'].includes(operation))
        return;
      throttled.add(operation);
      throw error('SlowDown', 503);
    };
    const { accounts, buckets } = await surveyFleet();
    expect(throttled.size).toBe(2);
    expect(accounts[0]?.totals).toMatchObject({ total: 5, unknown: 0 });
    expect(buckets[0]?.verdict).toBe('proven');
  });

  test('credentials that expire meanwhile: the remaining buckets are unknown, other accounts are complete', async () => {
    onCall = ({ operation, bucket, location }) => {
      if (location.account !== 'main' || operation !== 'GetBucketReplication' || bucket === 'acme-tax')
        return;
      throw error('ExpiredToken', 400);
    };
    const { accounts, lostCredentials } = await surveyFleet();
    expect([...lostCredentials.keys()]).toEqual([MAIN]);
    expect(accounts[0]).toMatchObject({
      error: expect.stringContaining('ExpiredToken'),
      totals: { total: 5, unknown: 4, withoutReplication: 0 },
    });
    expect(accounts[1]).toMatchObject({ totals: { total: 2, unknown: 0 } });
  });

  test('an interruption: throws its reason, emits no result that it caused, and the next run reads the rest', async () => {
    const controller = new AbortController();
    const done = new Map<string, Map<string, BucketResult>>();
    const onEvent = (event: SurveyEvent) => {
      if (event.type !== 'bucket') return;
      const { account, name } = event.result;
      done.set(account, (done.get(account) ?? new Map()).set(name, event.result));
    };
    onCall = ({ operation }) => {
      if (operation === 'GetBucketVersioning') controller.abort(new Error('interrupted by the test'));
    };
    await expect(surveyFleet({ signal: controller.signal, onEvent })).rejects.toThrow(
      'interrupted by the test',
    );
    const results = [...done.values()].flatMap((byName) => [...byName.values()]);
    expect(results.filter(({ status }) => status === 'unknown' || status === 'replicating')).toEqual([]);

    onCall = () => {};
    calls = [];
    const { accounts } = await surveyFleet({ done });
    expect(accounts.map(({ totals }) => totals)).toEqual([
      { total: 5, replicating: 1, withoutReplication: 4, unknown: 0 },
      { total: 2, replicating: 0, withoutReplication: 2, unknown: 0 },
    ]);
    const names = results.map(({ name }) => name);
    expect(bucketsRead().filter((name) => names.includes(name))).toEqual(
      // The proof reads the configuration of the destination as well.
      names.filter((name) => name === 'acme-tax-replica'),
    );
  });

  test('a destination that no account owns any more: is dangling', async () => {
    await using other = await testEnv(`${ACCOUNT_SPECS}${CROSS_ACCOUNT_SPEC}`);
    await other.reconcile();
    const s3 = { account: 'backup', region: 'us-west-2' };
    await other.client.send(s3, new DeleteBucketCommand({ Bucket: 'acme-tax-replica' }));
    const before = env;
    env = other;
    try {
      const { buckets } = await surveyFleet();
      expect(buckets[0]).toMatchObject({
        verdict: 'broken',
        rules: [{ verdict: 'broken' }],
        findings: [{ category: 'dangling-destination', code: 'RK1103' }, { category: 'no-alarm' }],
      });
    } finally {
      env = before;
    }
  });
});
