/**
 * Returns the time budget of a property over whole runs: it stops after `runs` or after the time limit, which
 * PROPERTY_SECONDS overrides. The timeout of the test is longer.
 */
export function propertyBudget(runs: number, seconds: number) {
  const limit = Number(process.env.PROPERTY_SECONDS ?? seconds) * 1_000;
  return {
    property: { numRuns: runs, interruptAfterTimeLimit: limit },
    test: { timeout: limit + 60_000 },
  };
}
