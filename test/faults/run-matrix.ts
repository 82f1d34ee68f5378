import { expect, test } from 'vitest';
import { type CaseOutcome, caseOutcomeOf, findViolations } from './assertions.ts';
import { createHarness } from './harness.ts';
import { matrixOf, SAMPLING, sampleOf } from './matrix.ts';
import type { Scenario } from './scenarios.ts';
import { tableOf } from './table.ts';

/** Enough for every fault and every operation. */
const SAMPLE_SIZE = 28;

/** Tests every combination of a call of the scenario and a fault, or a sample of them. */
export function runMatrix(scenario: Scenario): void {
  const { isAll, seed } = SAMPLING;

  test(`${scenario.name}: after any fault of a call, the report is true and the next run recovers`, {
    timeout: 3_600_000,
  }, async () => {
    await using harness = await createHarness(scenario);
    const all = matrixOf(harness.calls);
    const cases = isAll ? all : sampleOf(all, SAMPLE_SIZE, seed);
    const caseResults: { fault: string; verdict: CaseOutcome | 'wrong' }[] = [];
    const violations: string[] = [];
    for (const injection of cases) {
      const results = await harness.runDisturbed({ injection });
      const caseViolations = findViolations(results);
      const { service, operation, nth } = injection.call;
      if (caseViolations.length > 0)
        violations.push(
          `${injection.fault.name} at ${service}:${operation} ${nth}: ${caseViolations.join('; ')}`,
        );
      caseResults.push({
        fault: injection.fault.name,
        verdict: caseViolations.length > 0 ? 'wrong' : caseOutcomeOf(results.disturbedRun),
      });
    }
    const title = `${scenario.name}: ${cases.length} of ${all.length} cases, ${harness.calls.length} calls`;
    process.stdout.write(
      isAll ? `\n${title}\n\n${tableOf(caseResults)}\n` : `${title}, FAULTS_SEED=${seed}\n`,
    );
    expect(violations).toEqual([]);
  });
}
