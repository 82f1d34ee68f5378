import type { CanaryResult } from '../steps/canary.ts';
import type { Paint } from './paint.ts';
import { visible } from './visible.ts';

/** One line a canary. */
export function canaryText(
  { pair, rule, bucketKey, result, latencyMs, why, left }: CanaryResult,
  paint: Paint,
): string {
  const name = `${pair}/${rule}`;
  if (result === 'skipped') return `${paint.dim('-')} ${name}: ${why}`;
  const sort = bucketKey ? 'with a Bucket Key' : 'without a Bucket Key';
  const line =
    result === 'replicated'
      ? `${paint.green('✓')} ${name}, ${sort}: replicated under the declared key in ${latencyMs} ms`
      : `${paint.red('✗')} ${name}, ${sort}: ${visible(why ?? '')}`;
  return [line, ...(left ?? []).map((one) => `    ${paint.yellow('left behind')} ${visible(one)}`)].join(
    '\n',
  );
}
