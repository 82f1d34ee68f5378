import { expect, test } from 'vitest';
import type { Life } from './lives.ts';
import { EXTENT, matrixOf, sampleOf } from './matrix.ts';
import { tableOf } from './table.ts';
import { openTheatre } from './theatre.ts';
import { type Verdict, verdictOf, wrongWith } from './verdict.ts';

/** Enough for every fault and every operation. */
const SAMPLE = 28;

/** Every call of a life, or a sample of them, with every fault. */
export function suffering(life: Life): void {
  const { isAll, seed } = EXTENT;

  test(`${life.name}: whatever befalls a call, the run tells the truth and the next one heals it`, {
    timeout: 3_600_000,
  }, async () => {
    await using theatre = await openTheatre(life);
    const all = matrixOf(theatre.calls);
    const cases = isAll ? all : sampleOf(all, SAMPLE, seed);
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
    process.stdout.write(isAll ? `\n${title}\n\n${tableOf(results)}\n` : `${title}, FAULTS_SEED=${seed}\n`);
    expect(wrong).toEqual([]);
  });
}
