import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RecordedStep } from '../../src/script/record.ts';
import { renderScript } from '../../src/script/render.ts';
import { isInstalled } from '../support/cli.ts';

/** Guards of a script, run by a shell against a program that answers as the AWS CLI does. */

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'replikey-guards-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Responses of an operation, in order; the last one repeats. A text is an error code. */
type Responses = Record<string, (object | string)[]>;

interface GuardRun {
  code: number | null;
  output: string;
  /** Operations that the script called, with the inputs of writes. */
  writes: { operation: string; input: unknown }[];
  sleeps: string[];
}

const HEADER = {
  digest: '0123456789abcdef',
  accountIds: { '': '111122223333' },
  accounts: [],
  target: 'AWS',
  madeAt: new Date(0),
  validUntil: new Date('2099-01-01T00:00:00Z'),
  remarks: [],
  propagationWaitSeconds: 45,
};

function run(step: Partial<RecordedStep> & Pick<RecordedStep, 'calls'>, responses: Responses): GuardRun {
  const recorded: RecordedStep = {
    id: 'kind/name',
    what: 'update',
    why: [],
    account: '111122223333',
    region: 'us-east-1',
    transientErrors: [],
    waitsForPermissions: false,
    ...step,
  };
  const newKeys = [
    {
      id: recorded.id,
      alias: 'alias/tax',
      variable: 'key_1',
      placeholder: 'placeholder',
      account: '111122223333',
      region: 'us-east-1',
    },
  ];
  const script = renderScript({ steps: [recorded], narrowing: [], newKeys, omitted: [] }, HEADER);
  writeFileSync(path.join(folder, 'responses.json'), JSON.stringify(responses));
  writeFileSync(path.join(folder, 'log'), '');
  writeFileSync(path.join(folder, 'aws'), FAKE_AWS, { mode: 0o755 });
  writeFileSync(path.join(folder, 'sleep'), '#!/bin/sh\necho "$1" >> "$FOLDER/sleeps"\n', { mode: 0o755 });
  writeFileSync(path.join(folder, 'sleeps'), '');
  const { status, stdout, stderr } = spawnSync('sh', ['-c', script], {
    encoding: 'utf8',
    env: { PATH: `${folder}:${process.env.PATH}`, FOLDER: folder, NODE: process.execPath },
  });
  const lines = (file: string) => readFileSync(path.join(folder, file), 'utf8').split('\n').filter(Boolean);
  return {
    code: status,
    output: stdout + stderr,
    writes: lines('log').map((line) => JSON.parse(line)),
    sleeps: lines('sleeps'),
  };
}

const FAKE_AWS = `#!/bin/sh
exec "$NODE" -e '
const fs = require("fs");
const [, operation, ...args] = process.argv.slice(1);
if (operation === "get-caller-identity") { console.log("111122223333"); process.exit(0); }
const folder = process.env.FOLDER;
const input = args.find((arg) => arg.startsWith("file://"));
if (!/^(get|list|describe|head)/.test(operation))
  fs.appendFileSync(folder + "/log", JSON.stringify({ operation, input: JSON.parse(fs.readFileSync(input.slice(7), "utf8")) }) + "\\n");
const file = folder + "/responses.json";
const responses = JSON.parse(fs.readFileSync(file, "utf8"));
const list = responses[operation] ?? ["UnexpectedCall"];
const response = list.length > 1 ? list.shift() : list[0];
fs.writeFileSync(file, JSON.stringify(responses));
if (typeof response === "string") { console.error("An error occurred (" + response + ") when calling the operation: text"); process.exit(254); }
console.log(JSON.stringify(response));
' "$@"
`;

const REPLICATION = { Role: 'arn:aws:iam::111122223333:role/r', Rules: [{ ID: 'a' }] };
const PUT_REPLICATION = {
  service: 's3',
  operation: 'PutBucketReplication',
  input: { Bucket: 'acme-tax', ReplicationConfiguration: REPLICATION },
  before: null,
} as const;

describe.skipIf(!isInstalled('jq'))('guard of a step', () => {
  test('if the read fails: stops, and writes nothing', () => {
    for (const error of ['AccessDenied', 'SlowDown', 'InvalidRequest']) {
      const { code, output, writes } = run(
        { calls: [PUT_REPLICATION] },
        { 'get-bucket-replication': [error] },
      );
      expect({ code, writes }).toEqual({ code: 1, writes: [] });
      expect(output).toContain(
        `stopped at kind/name: s3api get-bucket-replication failed: An error occurred (${error})`,
      );
    }
  });

  test('if an error of the read ends soon: repeats the read, and does not take the setting as absent', () => {
    const { code, writes } = run(
      { calls: [PUT_REPLICATION], transientErrors: [{ code: 'InvalidRequest' }] },
      {
        'get-bucket-replication': [
          'InvalidRequest',
          { ReplicationConfiguration: { Role: 'other', Rules: [] } },
        ],
      },
    );
    expect({ code, writes }).toEqual({ code: 1, writes: [] });
  });

  test('an error with another message than the transient one: is not repeated', () => {
    const { code, sleeps } = run(
      { calls: [PUT_REPLICATION], transientErrors: [{ code: 'InvalidRequest', message: 'principal' }] },
      { 'get-bucket-replication': ['InvalidRequest'] },
    );
    expect({ code, sleeps }).toEqual({ code: 1, sleeps: [] });
  });

  test('if the rules are written: waits for permissions, also when this run changed none of them', () => {
    const written = { ReplicationConfiguration: REPLICATION };
    const step = { calls: [PUT_REPLICATION], waitsForPermissions: true };
    const absent = 'ReplicationConfigurationNotFoundError';
    const first = run(step, { 'get-bucket-replication': [absent, written], 'put-bucket-replication': [{}] });
    expect(first).toMatchObject({ code: 0, sleeps: ['45'] });
    expect(run(step, { 'get-bucket-replication': [written] })).toMatchObject({
      code: 0,
      sleeps: [],
      writes: [],
    });
  });

  const ALARM = { AlarmName: 'tax', AlarmActions: [], Threshold: 0, Tags: [{ Key: 'a', Value: 'b' }] };
  const putAlarm = (before: object | null) => ({
    calls: [{ service: 'cloudwatch', operation: 'PutMetricAlarm', input: ALARM, before } as const],
  });
  const reported = (alarm: object) => ({ MetricAlarms: [{ ...alarm, AlarmArn: 'arn', StateValue: 'OK' }] });

  test('for an alarm with an action that is not desired: removes the action', () => {
    const actual = { ...ALARM, AlarmActions: ['arn:pager'] };
    const { code, writes, output } = run(putAlarm(actual), {
      'describe-alarms': [reported(actual), reported(ALARM)],
      'put-metric-alarm': [{}],
    });
    expect(code, output).toBe(0);
    expect(writes.map(({ operation }) => operation)).toEqual(['put-metric-alarm']);
  });

  test('for an alarm that another caller changed since the plan: stops', () => {
    const before = { ...ALARM, Threshold: 1 };
    const { code, writes } = run(putAlarm(before), {
      'describe-alarms': [reported({ ...ALARM, Threshold: 5 })],
    });
    expect({ code, writes }).toEqual({ code: 1, writes: [] });
  });

  test('for the policy of a new key: keeps the statement of the account, and stops if there is none', () => {
    const root = { Sid: 'Enable IAM User Permissions', Effect: 'Allow', Action: 'kms:*', Resource: '*' };
    const added = { Sid: 'Replikey', Effect: 'Allow', Action: 'kms:Decrypt', Resource: '*' };
    const policy = (...Statement: object[]) => JSON.stringify({ Version: '2012-10-17', Statement });
    const calls = [
      {
        service: 'kms',
        operation: 'PutKeyPolicy',
        input: { KeyId: 'k', PolicyName: 'default', Policy: { Version: '2012-10-17', Statement: [added] } },
      } as const,
    ];
    const transientErrors = [{ code: 'NotFound' }];
    const { writes } = run(
      { calls, transientErrors },
      {
        'get-key-policy': ['NotFoundException', { Policy: policy(root) }, { Policy: policy(root, added) }],
        'put-key-policy': [{}],
      },
    );
    expect(writes.map(({ input }) => JSON.parse((input as { Policy: string }).Policy))).toEqual([
      { Version: '2012-10-17', Statement: [root, added] },
    ]);
    const lost = run({ calls, transientErrors }, { 'get-key-policy': [{}] });
    expect(lost.writes).toEqual([]);
    expect(lost.code).not.toBe(0);
  });

  test('before a key is created: stops if the tags of a key without an alias cannot be read', () => {
    const { code, writes, output } = run(
      { calls: [{ service: 'kms', operation: 'CreateKey', input: { Description: 'x' } }] },
      {
        'describe-key': ['NotFoundException'],
        'list-aliases': [{ Aliases: [] }],
        'list-keys': [{ Keys: [{ KeyId: 'k', KeyArn: 'arn:k' }] }],
        'list-resource-tags': ['ThrottlingException'],
      },
    );
    expect({ code, writes }, output).toEqual({ code: 1, writes: [] });
  });
});
