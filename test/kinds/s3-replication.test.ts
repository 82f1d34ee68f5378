import type { ReplicationRule } from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NO_POSITION } from '../../src/core/ids.ts';
import type { Kind } from '../../src/core/kind.ts';
import { renderFrom } from '../../src/core/plan.ts';
import type { Current, Resource } from '../../src/core/resource.ts';
import type { RuleSpec } from '../../src/kinds/replication-rule.ts';
import { type S3Replication, s3Replication } from '../../src/kinds/s3-replication.ts';

const LARGEST = 2_147_483_647;

const RULE: RuleSpec = {
  status: 'Enabled',
  prefix: '',
  tags: {},
  deleteMarkerReplication: false,
  sseKmsEncryptedObjects: false,
  replicaModifications: false,
  replicationTimeControl: false,
  metrics: false,
  destination: 'arn:aws:s3:::acme-tax-replica',
};

const aConfiguration = (priorities: Record<string, number | undefined>): S3Replication => ({
  bucket: 'acme-tax',
  role: 'arn:aws:iam::111122223333:role/replikey-acme-tax',
  rules: Object.fromEntries(
    Object.entries(priorities).map(([id, priority]) => [
      id,
      priority === undefined ? RULE : { ...RULE, priority },
    ]),
  ),
  foreignRules: 'Preserve',
  v1Rules: [],
});

/** The priorities that rules end with, among what is there. */
function allotted(
  desired: Record<string, number | undefined>,
  ours: Record<string, number> = {},
  theirs: number[] = [],
): Record<string, number | undefined> {
  const rest = theirs.map((Priority, index): Partial<ReplicationRule> => ({ ID: `t${index}`, Priority }));
  const current: Current<S3Replication, ReplicationRule[]> = {
    spec: aConfiguration(ours),
    attrs: {},
    foreign: rest as ReplicationRule[],
  };
  const resource: Resource<S3Replication> = {
    id: 's3.replication/acme-tax',
    kind: 's3.replication',
    name: 'acme-tax',
    location: { region: 'us-east-1' },
    spec: aConfiguration(desired),
    after: [],
    declaredBy: ['tax'],
    position: NO_POSITION,
  };
  const change = renderFrom(resource, current, s3Replication as unknown as Kind, () => undefined);
  const { rules } = change.desired as S3Replication;
  return Object.fromEntries(Object.entries(rules).map(([id, { priority }]) => [id, priority]));
}

describe('priorities', () => {
  test('that are declared stand, and others are allotted above all that are there', () => {
    expect(allotted({ a: 5, b: undefined, c: undefined })).toEqual({ a: 5, b: 6, c: 7 });
    expect(allotted({ a: undefined }, {}, [3, 1])).toEqual({ a: 4 });
  });
  test('that are there are kept, so that a new rule renumbers no other', () => {
    expect(allotted({ new: undefined, old: undefined }, { old: 1 })).toEqual({ new: 2, old: 1 });
  });
  test('that somebody else took in between are given up', () => {
    expect(allotted({ a: undefined }, { a: 1 }, [1])).toEqual({ a: 2 });
    expect(allotted({ a: undefined, b: 1 }, { a: 1 })).toEqual({ a: 2, b: 1 });
  });
  test('end where those of S3 end: above the largest there is none', () => {
    expect(allotted({ a: undefined, b: undefined }, {}, [LARGEST, LARGEST - 2])).toEqual({
      a: LARGEST - 1,
      b: LARGEST - 3,
    });
  });
  test('differ, and are such as S3 takes, whatever is declared and there', () => {
    const priority = fc.oneof(fc.nat(5), fc.integer({ min: LARGEST - 5, max: LARGEST }));
    const some = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.option(priority, { nil: undefined }));
    fc.assert(
      fc.property(
        some,
        fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), priority),
        fc.uniqueArray(priority, { maxLength: 6 }),
        (desired, ours, theirs) => {
          const declared = Object.values(desired).filter((one) => one !== undefined);
          fc.pre(new Set([...declared, ...theirs]).size === declared.length + theirs.length);
          const after = Object.values(allotted(desired, ours, theirs));
          expect(new Set([...after, ...theirs]).size).toBe(after.length + theirs.length);
          for (const one of after) {
            expect(one).toBeGreaterThanOrEqual(0);
            expect(one).toBeLessThanOrEqual(LARGEST);
          }
        },
      ),
    );
  });
});
