/**
 * How long a property over whole runs may look for a counterexample: as many runs as there is time for, and
 * PROPERTY_SECONDS for more of them. The runner's own limit lies above.
 */
export function propertyBudget(runs: number, seconds: number) {
  const limit = Number(process.env.PROPERTY_SECONDS ?? seconds) * 1_000;
  return {
    property: { numRuns: runs, interruptAfterTimeLimit: limit },
    test: { timeout: limit + 60_000 },
  };
}
