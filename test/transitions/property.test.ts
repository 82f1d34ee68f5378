import fc from 'fast-check';
import { expect, test } from 'vitest';
import { propertyBudget } from '../support/property-budget.ts';
import {
  type Doc,
  EDITS,
  type Edit,
  edited,
  specsOf,
  type Transition,
  topologies,
  toYaml,
} from './changes.ts';
import { OPEN } from './matrix.ts';
import { type Disturbance, runCase } from './run-case.ts';

// Forty pairs of specs, or as many as the time limit allows.
const limits = propertyBudget(28, 45);

/** Edits of the matrix that combine with each other, without changes that still lose objects. */
const COMBINED = EDITS.filter(
  ({ names, prepare, prune }) =>
    !prepare &&
    !prune &&
    !names.some((name = '') => name in OPEN) &&
    !(names.includes('role') && 'role and another change' in OPEN),
);

const TOPOLOGIES = await topologies();

const editsOf = (selectable: readonly Edit[]) =>
  fc.uniqueArray(fc.constantFrom(...selectable), { maxLength: 3, selector: ({ names }) => names[0] });
const disturbance: fc.Arbitrary<Disturbance> = fc.oneof(
  fc.constantFrom<Disturbance>('undisturbed', 'denied'),
  fc.integer({ min: 1, max: 12 }).map((nth): Disturbance => ({ after: 'write', nth })),
);

/** Applies those of the edits that apply. */
const applied = (docs: readonly Doc[], selected: readonly Edit[]): Doc[] =>
  selected.reduce<Doc[]>((result, edit) => edited(result, edit) ?? result, [...docs]);

const isValid = (yaml: string) =>
  specsOf(yaml).then(
    () => true,
    () => false,
  );

const caseArbitrary = fc.record({
  topology: fc.constantFrom(...TOPOLOGIES),
  from: editsOf(COMBINED.filter(({ isForwardOnly }) => !isForwardOnly)),
  to: editsOf(COMBINED),
  disturbance,
  inFlight: fc.constantFrom('atWrite' as const, 'atProcessing' as const),
});

test('random changes of live rules: no object fails or is passed over', limits.test, async () => {
  let changed = 0;
  await fc.assert(
    fc.asyncProperty(caseArbitrary, async ({ topology, from, to, disturbance: how, inFlight }) => {
      const [before, after] = [toYaml(applied(topology.docs, from)), toYaml(applied(topology.docs, to))];
      fc.pre(before !== after && (await isValid(before)) && (await isValid(after)));
      const transition: Transition = {
        change: 'random',
        topology: topology.name,
        before,
        after,
        allowedRisks: [...new Set(EDITS.flatMap(({ allowedRisks = [] }) => allowedRisks))],
        prune: false,
      };
      const { counts, violations } = await runCase(transition, how, inFlight);
      changed += 1;
      // A plan may be refused or blocked: then the old rules stay in effect.
      const problems = violations.filter((violation) => !/^refused for|is not as declared$/.test(violation));
      expect([counts.failed, counts.passedOver, problems.slice(0, 5)]).toEqual([0, 0, []]);
    }),
    limits.property,
  );
  expect(changed).toBeGreaterThan(0);
});
