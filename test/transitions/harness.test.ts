import { describe, expect, test } from 'vitest';
import { createPropagation } from '../../src/reconcile/propagation.ts';
import { systemClock } from '../../src/util/clock.ts';
import { parseSpecs, TAX_SPEC } from '../support/env.ts';
import { allTransitions, EDITS, topologies } from './changes.ts';
import { runCase } from './run-case.ts';
import { destinationsOf } from './writer.ts';

const transitionOf = async (change: string, topology = 'one pair') => {
  const transition = (await allTransitions()).find(
    (candidate) => candidate.change === change && candidate.topology === topology,
  );
  if (!transition) throw new Error(`no transition ${change}`);
  return transition;
};

describe('matrix of transitions', () => {
  test('counts the objects that fail when permissions are narrowed without a drain', async () => {
    const transition = await transitionOf('another destination bucket');
    const { counts, violations } = await runCase(
      { ...transition, options: { drainMs: 0, allowedRisks: ['lose-in-flight'] } },
      'undisturbed',
      'atWrite',
    );
    expect(counts.failed).toBeGreaterThan(0);
    expect(violations.join()).toMatch(/acme-tax\/Tax\/\d+ \(before\) FAILED: .*DstPutObjectNotPermitted/);
  });

  test('counts the objects that fail when rules do not wait for propagation', async () => {
    const transition = await transitionOf('another destination bucket');
    const propagation = createPropagation({ clock: systemClock, waitMs: 0 });
    const { counts } = await runCase(
      { ...transition, options: { propagation } },
      'undisturbed',
      'atProcessing',
    );
    expect(counts.failed).toBeGreaterThan(0);
  });

  test('counts the objects that a foreign change of the default encryption passes over', async () => {
    const transition = await transitionOf('rule added');
    const withSseS3 = (yaml: string) =>
      yaml
        .replace('"region":"us-east-1"', '"region":"us-east-1","defaultEncryption":"SSE-S3"')
        .replaceAll('"prefix":"', '"sseKmsEncryptedObjects":false,"prefix":"');
    const encryptedByHand: typeof transition = {
      ...transition,
      before: withSseS3(transition.before),
      after: withSseS3(transition.after),
      adapt(store) {
        const keys = [...store.account('111122223333').keys.values()];
        const key = keys.find(({ region }) => region === 'us-east-1');
        const source = store.bucket('acme-tax');
        if (!key || !source) throw new Error('the source has no key');
        const encryption = { SSEAlgorithm: 'aws:kms' as const, KMSMasterKeyID: key.arn };
        source.encryption = { Rules: [{ ApplyServerSideEncryptionByDefault: encryption }] };
      },
    };
    const { counts } = await runCase(encryptedByHand, 'undisturbed', 'atWrite');
    expect(counts.passedOver).toBeGreaterThan(0);
  });

  test('a killed process leaves the first writes, and the next run converges', async () => {
    const transition = await transitionOf('another destination bucket');
    const { writes, violations } = await runCase(transition, { after: 'write', nth: 3 }, 'atProcessing');
    expect(writes).toBe(3);
    expect(violations).toEqual([]);
  });

  test('contains every edit, and every example', async () => {
    const transitions = await allTransitions();
    const changes = new Set(transitions.map(({ change }) => change));
    expect(EDITS.flatMap(({ names }) => names).filter((name = '') => !changes.has(name))).toEqual([]);
    const covered = new Set(transitions.map(({ topology }) => topology));
    expect((await topologies()).filter(({ name }) => !covered.has(name))).toEqual([]);
  });
});

test('destinations of a request: filter, encryption and delete markers of the rules decide', async () => {
  const rules = `
    - { prefix: Tax/, deleteMarkerReplication: true }
    - { name: gold, filter: { prefix: Gold/, tags: { tier: gold } } }
    - { name: plain, prefix: Plain/, sseKmsEncryptedObjects: false }
    - { name: off, prefix: Off/, enabled: false }
`;
  const { pairs } = await parseSpecs(TAX_SPEC.replace('\n    - prefix: Tax/\n', rules));
  const isReplicated = (key: string, fields: object = {}) =>
    destinationsOf(pairs, 'acme-tax', { key, tags: {}, isDeleteMarker: false, ...fields }).size === 1;
  expect(isReplicated('Tax/1')).toBe(true);
  expect(isReplicated('Tax/1', { isDeleteMarker: true })).toBe(true);
  expect(isReplicated('Gold/1')).toBe(false);
  expect(isReplicated('Gold/1', { tags: { tier: 'gold', other: 'x' } })).toBe(true);
  expect(isReplicated('Plain/1')).toBe(false);
  expect(isReplicated('Plain/1', { encryption: 'AES256' })).toBe(true);
  expect(isReplicated('Plain/1', { isDeleteMarker: true })).toBe(false);
  expect(isReplicated('Off/1')).toBe(false);
  expect(isReplicated('Other/1')).toBe(false);
});
