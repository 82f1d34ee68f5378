import { DescribeAlarmsCommand, type DescribeAlarmsInput } from '@aws-sdk/client-cloudwatch';
import { describe, expect, test } from 'vitest';
import { batchAlarmReads } from '../../src/aws/alarms.ts';
import type { Aws } from '../../src/core/resource.ts';

const EAST = { region: 'us-east-1' };
const WEST = { region: 'us-west-2' };

/**
 * A CloudWatch with these alarms, and the requests that it got. Limits of DescribeAlarms: 100 names in a request, and 100
 * alarms on a page (CloudWatch API reference).
 */
function cloudWatchWith(
  names: readonly string[],
  failure?: (input: DescribeAlarmsInput) => Error | undefined,
) {
  const requests: (DescribeAlarmsInput & { region: string })[] = [];
  const send = (async ({ region }: { region: string }, command: DescribeAlarmsCommand) => {
    const { input } = command;
    requests.push({ ...input, region });
    const error = failure?.(input);
    if (error) throw error;
    const selected = names.filter(
      (name) => input.AlarmNames?.includes(name) ?? name.startsWith(input.AlarmNamePrefix ?? ''),
    );
    if ((input.AlarmNames?.length ?? 0) > 100) throw new Error('ValidationError: more than 100 names');
    const start = Number(input.NextToken ?? 0);
    return {
      MetricAlarms: selected.slice(start, start + 100).map((AlarmName) => ({ AlarmName })),
      ...(start + 100 < selected.length ? { NextToken: String(start + 100) } : {}),
    };
  }) as unknown as Aws['send'];
  return { send, requests };
}

/** Reads alarms by name, all in one tick, and returns the names of those that exist. */
async function read(send: Aws['send'], names: readonly string[], location = EAST): Promise<string[]> {
  const responses = await Promise.all(
    names.map((name) => send(location, new DescribeAlarmsCommand({ AlarmNames: [name] }))),
  );
  return responses.flatMap(({ MetricAlarms = [] }) => MetricAlarms.map(({ AlarmName = '' }) => AlarmName));
}

const namesOf = (count: number) =>
  Array.from({ length: count }, (_, index) => `replikey-tax-${index}-failed`);

describe('alarm batcher', () => {
  test('reads of one tick: one call for 100 names in a Region', async () => {
    const { send, requests } = cloudWatchWith(namesOf(100));
    const batched = batchAlarmReads(send);
    const names = [...namesOf(99), 'replikey-tax-absent-failed'];
    const [east] = await Promise.all([read(batched, names), read(batched, names, WEST)]);
    expect(east).toEqual(namesOf(99));
    expect(requests.map(({ region, AlarmNames }) => [region, AlarmNames?.length])).toEqual([
      ['us-east-1', 100],
      ['us-west-2', 100],
    ]);
  });

  test('more than 100 names: one listing by prefix, 100 alarms in a call', async () => {
    const { send, requests } = cloudWatchWith([...namesOf(250), 'other']);
    expect(await read(batchAlarmReads(send), namesOf(250))).toEqual(namesOf(250));
    expect(requests).toHaveLength(3);
    expect(requests.every(({ AlarmNamePrefix }) => AlarmNamePrefix === 'replikey-')).toBe(true);
  });

  test('a second tick: one listing for all later reads, and no call for an alarm that was read', async () => {
    const { send, requests } = cloudWatchWith(namesOf(100));
    const batched = batchAlarmReads(send);
    await read(batched, namesOf(10));
    await read(batched, namesOf(10));
    expect(requests).toHaveLength(1);
    expect(await read(batched, namesOf(40))).toEqual(namesOf(40));
    expect(await read(batched, namesOf(100))).toEqual(namesOf(100));
    expect(requests).toHaveLength(2);
  });

  test('a listing that is denied: reads by name', async () => {
    const { send, requests } = cloudWatchWith(namesOf(250), ({ AlarmNamePrefix }) =>
      AlarmNamePrefix === undefined
        ? undefined
        : Object.assign(new Error('denied'), { name: 'AccessDenied' }),
    );
    expect(await read(batchAlarmReads(send), namesOf(250))).toEqual(namesOf(250));
    expect(requests.map(({ AlarmNames }) => AlarmNames?.length)).toEqual([undefined, 100, 100, 50]);
  });

  test('a read that fails: fails for each alarm, and never counts as absent', async () => {
    const { send } = cloudWatchWith(namesOf(2), () => new Error('down'));
    await expect(read(batchAlarmReads(send), namesOf(2))).rejects.toThrow('down');
  });
});
