import type { CanaryResult } from '../steps/canary.ts';
import { visible } from '../visible.ts';
import type { Paint } from './paint.ts';

/** One line a canary. */
export function canaryText(
  { pair, rule, bucketKey, sseAlgorithm, result, latencyMs, why, left }: CanaryResult,
  paint: Paint,
): string {
  const name = `${pair}/${rule}`;
  if (result === 'skipped') return `${paint.dim('-')} ${name}: ${why}`;
  const isKms = sseAlgorithm === 'aws:kms';
  const sort = isKms ? `${bucketKey ? 'with' : 'without'} a Bucket Key` : 'encrypted by S3 alone';
  const line =
    result === 'replicated'
      ? `${paint.green('✓')} ${name}, ${sort}: replicated${isKms ? ' under the declared key' : ''} in ${latencyMs} ms`
      : `${paint.red('✗')} ${name}, ${sort}: ${visible(why ?? '')}`;
  return [line, ...(left ?? []).map((one) => `    ${paint.yellow('left behind')} ${visible(one)}`)].join(
    '\n',
  );
}
