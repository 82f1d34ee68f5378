import { type ReplicationRule, ReplicationRule$ } from '@aws-sdk/client-s3';
import { beforeAll, describe, expect, test } from 'vitest';
import { collectReplicationFacts } from '../../src/facts/collect.ts';
import { locationsOf } from '../../src/facts/locations.ts';
import { discoverReplication } from '../../src/import/discover.ts';
import { importSpecs, toYaml } from '../../src/import/render-yaml.ts';
import { proveRules } from '../../src/proof/prove.ts';
import { changeRules, EAST, SOURCE } from '../sandbox/support.ts';
import { testEnv } from '../support/env.ts';

/**
 * The schema of a rule in the next version of the SDK, which has one more element. unknown-elements.test.ts has the same
 * document with this version, which drops the element.
 */
beforeAll(() => {
  const [, , , , names, types] = ReplicationRule$ as unknown as [0, 0, 0, 0, string[], unknown[]];
  names.splice(1, 0, 'Teleport');
  types.splice(1, 0, 0);
});

const withTeleport = (rule: ReplicationRule | undefined) => ({ ...rule, Teleport: '9' }) as never;

describe('an element that a newer SDK knows, and replikey does not model', () => {
  test('plan: is blocked', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await changeRules(env.client, ([rule]) => [withTeleport({ ...rule, Status: 'Disabled' } as never)]);
    const { plan } = await env.reconcile({ dryRun: true });
    expect(plan.blocked).toMatchObject([
      {
        id: 's3.replication/acme-tax',
        why: expect.stringContaining('elements that this version does not know (Teleport)'),
      },
    ]);
  });

  test('doctor: gives no verdict, and names the element', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await changeRules(env.client, ([rule]) => [withTeleport(rule)]);
    const locations = locationsOf({ pairs: [], accounts: [] }, 'us-east-1');
    const facts = await collectReplicationFacts(env.client, [SOURCE], locations);
    expect(proveRules(facts, SOURCE)).toMatchObject([
      { verdict: 'unknown', findings: [{ code: 'RK1903', message: expect.stringContaining('(Teleport)') }] },
    ]);
  });

  test('import: warns, and names the element', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await changeRules(env.client, ([rule]) => [withTeleport(rule)]);
    const replication = await discoverReplication(env.client, SOURCE, EAST.region);
    expect(toYaml(importSpecs(replication ? [replication] : []))).toContain(
      'have elements that this version does not know (Teleport)',
    );
  });

  test('plan: a foreign rule keeps it', async () => {
    await using env = await testEnv();
    await env.reconcile();
    await changeRules(env.client, ([rule]) => [
      { ...rule, Status: 'Disabled' } as ReplicationRule,
      withTeleport({ ...rule, ID: 'foreign', Priority: 7, Filter: { Prefix: 'Foreign/' } } as never),
    ]);
    const { remaining } = await env.reconcile();
    expect(remaining?.waves).toEqual([]);
    let foreign: ReplicationRule | undefined;
    await changeRules(env.client, (rules) => {
      foreign = rules.find(({ ID }) => ID === 'foreign');
      return rules;
    });
    expect(foreign).toMatchObject({ Teleport: '9' });
  });
});
