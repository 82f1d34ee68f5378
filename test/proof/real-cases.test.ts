import { describe, expect, test } from 'vitest';
import type { Observed } from '../../src/core/observed.ts';
import type { SeenObject } from '../../src/proof/cases.ts';
import { mended } from '../../src/proof/mend.ts';
import { prove } from '../../src/proof/prove.ts';
import type { Finding, Fix, RuleProof } from '../../src/proof/types.ts';
import { REAL_CASES } from './real-cases.ts';

describe('what people ran into is found, named, and mended', () => {
  test.each(REAL_CASES)(
    '$name ($thread)',
    ({ world, seen = [], errors, warnings = [], names, rounds = 1 }) => {
      const { verdict, findings } = proofOf(world, seen);
      expect(codesOf(findings, 'error')).toEqual(errors);
      expect(codesOf(findings, 'warning')).toEqual(warnings);
      expect(verdict).toBe(errors.length === 0 ? 'proven' : 'broken');
      for (const name of names) expect(findings[0]?.message).toContain(name);

      let then = world;
      for (let round = 0; round < rounds; round++) {
        const { findings: found } = proofOf(then, seen);
        expect(found.filter(({ fixes }) => fixes.length === 0)).toEqual([]);
        then = found.flatMap(({ fixes }) => fixes).reduce(carriedOut, then);
      }
      expect(proofOf(then, seen)).toMatchObject({ verdict: 'proven', findings: [] });
    },
  );
});

function proofOf(world: Observed, seen: readonly SeenObject[]): RuleProof {
  const [proof] = prove(world, 'acme-tax', seen);
  if (!proof) throw new Error('there is no rule');
  return proof;
}

const codesOf = (findings: readonly Finding[], wanted: Finding['severity']) =>
  findings.filter(({ severity }) => severity === wanted).map(({ code }) => code);

/** What a person does who follows a fix to the letter. */
function carriedOut(world: Observed, fix: Fix): Observed {
  if (!('call' in fix)) return mended(world, fix);
  const { operation, input } = fix.call;
  if (operation !== 'PutBucketReplication') throw new Error(`no row needs ${operation}`);
  const { Bucket, ReplicationConfiguration } = input as { Bucket: string; ReplicationConfiguration: never };
  const before = world.buckets[Bucket] as object as { region: string };
  return {
    ...world,
    buckets: { ...world.buckets, [Bucket]: { ...before, replication: ReplicationConfiguration } },
  };
}
