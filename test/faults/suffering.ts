import { expect, test } from 'vitest';
import type { Life } from './lives.ts';
import { chanceOf, EXTENT, matrixOf, sampleOf } from './matrix.ts';
import { tableOf } from './table.ts';
import { openTheatre } from './theatre.ts';
import { type Verdict, verdictOf, wrongWith } from './verdict.ts';

const SAMPLE = 45;

/** Every call of a life, or a sample of them, with every fault. */
export function suffering(life: Life): void {
  const { isAll, seed } = EXTENT;
  const extent = isAll ? 'every call with every fault' : `a sample (FAULTS_SEED=${seed})`;

  test(`${life.name}: a run is told truly and healed by the next, ${extent}`, {
    timeout: 3_600_000,
  }, async () => {
    await using theatre = await openTheatre(life);
    const all = matrixOf(theatre.calls);
    const cases = isAll ? all : sampleOf(all, SAMPLE, chanceOf(seed));
    const results: { fault: string; verdict: Verdict | 'wrong' }[] = [];
    const wrong: string[] = [];
    for (const strike of cases) {
      const ended = await theatre.suffer({ strike });
      const faults = wrongWith(ended);
      const { service, operation, nth } = strike.call;
      if (faults.length > 0)
        wrong.push(`${strike.fault.name} at ${service}:${operation} ${nth}: ${faults.join('; ')}`);
      results.push({ fault: strike.fault.name, verdict: faults.length > 0 ? 'wrong' : verdictOf(ended.ran) });
    }
    const title = `${life.name}: ${cases.length} of ${all.length} cases, ${theatre.calls.length} calls`;
    process.stdout.write(`\n${title}\n\n${tableOf(results)}\n`);
    expect(wrong).toEqual([]);
  });
}
