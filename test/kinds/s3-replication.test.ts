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

/** Returns the priorities of the rules that a write leaves, given the current managed and foreign priorities. */
function prioritiesAfter(
  desired: Record<string, number | undefined>,
  managed: Record<string, number> = {},
  foreign: number[] = [],
): Record<string, number | undefined> {
  const foreignRules = foreign.map(
    (Priority, index): Partial<ReplicationRule> => ({ ID: `f${index}`, Priority }),
  );
  const current: Current<S3Replication, ReplicationRule[]> = {
    spec: aConfiguration(managed),
    attrs: {},
    foreign: foreignRules as ReplicationRule[],
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

describe('s3.replication: priorities', () => {
  test('declared ones are kept, and others are allocated above all current ones', () => {
    expect(prioritiesAfter({ a: 5, b: undefined, c: undefined })).toEqual({ a: 5, b: 6, c: 7 });
    expect(prioritiesAfter({ a: undefined }, {}, [3, 1])).toEqual({ a: 4 });
  });
  test('current ones are kept, so a new rule renumbers no other rule', () => {
    expect(prioritiesAfter({ new: undefined, old: undefined }, { old: 1 })).toEqual({ new: 2, old: 1 });
  });
  test('a current one that another rule uses now is replaced', () => {
    expect(prioritiesAfter({ a: undefined }, { a: 1 }, [1])).toEqual({ a: 2 });
    expect(prioritiesAfter({ a: undefined, b: 1 }, { a: 1 })).toEqual({ a: 2, b: 1 });
  });
  test('are allocated downwards once the maximum of S3 is used', () => {
    expect(prioritiesAfter({ a: undefined, b: undefined }, {}, [LARGEST, LARGEST - 2])).toEqual({
      a: LARGEST - 1,
      b: LARGEST - 3,
    });
  });
  test('are unique and valid for random desired and current rules', () => {
    const priority = fc.oneof(fc.nat(5), fc.integer({ min: LARGEST - 5, max: LARGEST }));
    const desiredPriorities = fc.dictionary(
      fc.constantFrom('a', 'b', 'c', 'd'),
      fc.option(priority, { nil: undefined }),
    );
    fc.assert(
      fc.property(
        desiredPriorities,
        fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), priority),
        fc.uniqueArray(priority, { maxLength: 6 }),
        (desired, managed, foreign) => {
          const declared = Object.values(desired).filter((value) => value !== undefined);
          fc.pre(new Set([...declared, ...foreign]).size === declared.length + foreign.length);
          const after = Object.values(prioritiesAfter(desired, managed, foreign));
          expect(new Set([...after, ...foreign]).size).toBe(after.length + foreign.length);
          for (const value of after) {
            expect(value).toBeGreaterThanOrEqual(0);
            expect(value).toBeLessThanOrEqual(LARGEST);
          }
        },
      ),
    );
  });
});
